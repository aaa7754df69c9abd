"""Plots of growth as SVG: lines with their points, from zero, in light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 380, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 24, 54, 44
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #57606a }
.title { font-weight: 600; font-size: 13px; fill: #1f2328 }
.page { fill: #ffffff } .grid { stroke: #d8dee4 } .axis { stroke: #8c959f }
.s0 { stroke: #0969da; fill: #0969da } .s1 { stroke: #bc4c00; fill: #bc4c00 }
text.s0, text.s1 { stroke: none } polyline { fill: none !important; stroke-width: 2 } circle { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 } .title { fill: #f0f6fc } .page { fill: #0d1117 } .grid { stroke: #30363d }
.axis { stroke: #656c76 } .s0 { stroke: #4493f8; fill: #4493f8 } .s1 { stroke: #f0883e; fill: #f0883e } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One plot.

    Attributes:
        title: what is shown, with its unit.
        x: what grows.
        lines: name → points (x, y), at most two of them.
    """

    title: str
    x: str
    lines: dict[str, list[tuple[float, float]]]


def svg(panels: Sequence[Panel], columns: int = 2) -> str:
    """All panels in one picture, so many side by side."""
    rows = math.ceil(len(panels) / columns)
    width, height = columns * _WIDTH, rows * _HEIGHT
    told = escape("; ".join(panel.title for panel in panels))
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{told}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
    ]
    for number, panel in enumerate(panels):
        x, y = number % columns * _WIDTH, number // columns * _HEIGHT
        parts.append(f'<g transform="translate({x} {y})">{"".join(_panel(panel))}</g>')
    return "\n".join([*parts, "</svg>", ""])


def ticks(most: float, count: int = 4) -> list[float]:
    """From zero to a round figure that is not below ``most``, in round steps."""
    rough = max(most, 1e-9) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    return [step * number for number in range(math.ceil(most / step - 0.001) + 1)]


def short(value: float) -> str:
    """A figure of an axis: 1.5M, 200k, 0.5."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.4g}{name}"
    return f"{value:.4g}"


def _panel(panel: Panel) -> list[str]:
    points = [point for line in panel.lines.values() for point in line]
    across, up = ticks(max(x for x, _ in points)), ticks(max(y for _, y in points))
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return _LEFT + (right - _LEFT) * x / across[-1], bottom - (bottom - _TOP) * y / up[-1]

    parts = [f'<text class="title" x="{_LEFT}" y="24">{escape(panel.title)}</text>']
    for value in up:
        _, y = at(0, value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    for value in across:
        x, _ = at(value, 0)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{short(value)}</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 35}" text-anchor="middle">{escape(panel.x)}</text>')
    for number, (name, line) in enumerate(panel.lines.items()):
        parts += _line(f"s{number}", [at(*point) for point in line])
        if len(panel.lines) > 1:
            at_x = _LEFT + number * 120
            parts.append(f'<text class="s{number}" x="{at_x}" y="42">● {escape(name)}</text>')
    return parts


def _line(style: str, line: list[tuple[float, float]]) -> list[str]:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
    dots = [f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in line]
    return [f'<polyline class="{style}" points="{joined}"/>', *dots]
