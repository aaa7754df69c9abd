"""Writes ``docs/benchmarks.md`` and its plots, from the figures in ``docs/benchmarks`` and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.model import Aim, Benchmark, Figures, NotMeasuredError, Row, read
from bench.plot import Panel, svg
from bench.registry import BENCHMARKS

#: metric → heading, and digits behind the point
METRICS = {
    "seconds": ("seconds", 2),
    "rows_per_s": ("rows/s", 0),
    "mib_per_s": ("MiB/s", 0),
    "milliseconds": ("ms", 0),
    "survey_s": ("survey s", 2),
    "prove_s": ("proof s", 2),
    "whole_s": ("command s", 2),
    "cpu_s": ("CPU s", 2),
    "memory_mib": ("MiB", 0),
    "requests": ("requests", 0),
    "list_requests": ("LIST", 0),
    "least_requests": ("least requests", 0),
    "insert_p50_ms": ("insert p50 ms", 2),
    "insert_p99_ms": ("insert p99 ms", 2),
    "wal_mib": ("WAL MiB", 0),
    "objects": ("objects", 0),
    "result_mib": ("result MiB", 1),
    "command_runs": ("runs", 0),
    "longest_s": ("longest s", 2),
}
#: title → metric → name of its line
_PLOTTED = {
    "Seconds": {"seconds": "wall clock", "cpu_s": "CPU of the command"},
    "MiB of memory": {"memory_mib": "memory"},
}
_HEAD = """\
# Benchmarks

`make bench` measures and writes this page; nothing on it is written by hand.
Figures are medians; the figures of every run are in [benchmarks](benchmarks), a file for each part.
Ways that are compared ran in turns on the same data, on the same machine, in the same minutes.
Memory is the largest process of a command; less than 9 MiB cannot be told.
"""


def write(output: Path) -> None:
    """The page and the plots of all figures below ``output``/benchmarks."""
    directory = output / "benchmarks"
    found = {name: read(path) for name in BENCHMARKS if (path := directory / f"{name}.json").exists()}
    for name, figures in found.items():
        if grown := list(panels(BENCHMARKS[name], figures)):
            (directory / f"{name}.svg").write_text(svg(grown))
    (output / "benchmarks.md").write_text(page(found))


def page(found: dict[str, Figures]) -> str:
    """The text."""
    parts = [_HEAD, *_measured_on(found), *_aims(found)]
    for name, benchmark in BENCHMARKS.items():
        parts += _section(benchmark, found.get(name))
    return "\n".join(parts).rstrip() + "\n"


def _measured_on(found: dict[str, Figures]) -> Iterator[str]:
    """Machine and versions of what was measured last; a section says where it differs."""
    if not found:
        return
    newest = max(found.values(), key=lambda figures: figures.began)
    minutes = sum(figures.seconds for figures in found.values()) / 60
    yield f"Measured last on {newest.began[:10]}; all parts together took {minutes:.0f} minutes."
    yield "\n| machine | |\n|---|---|"
    yield from (f"| {name} | {value} |" for name, value in newest.machine.items())
    yield "\n" + ", ".join(f"{name} {value}" for name, value in newest.versions.items()) + ".\n"


def _aims(found: dict[str, Figures]) -> Iterator[str]:
    yield "## Aims\n\n| part | aim | measured | met |\n|---|---|---|---|"
    for benchmark in BENCHMARKS.values():
        for aim in benchmark.aims:
            link = f"[{benchmark.name}](#{_anchor(benchmark.title)})"
            yield f"| {link} | {aim.says} | {' | '.join(_judged(aim, found.get(benchmark.name)))} |"
    yield ""


def _judged(aim: Aim, figures: Figures | None) -> tuple[str, str]:
    """What was measured, and whether that is enough."""
    if figures is None:
        return "", "not measured"
    try:
        figure = aim.measured(figures)
    except NotMeasuredError as error:
        return "", f"not measured: {error}"
    whole = figure >= 100 or figure == int(figure)
    shown = f"{number(figure, 0 if whole else 2)} {aim.unit}".strip()
    if figures.scale != 1:
        return shown, f"not judged: sizes were {figures.scale:g} of the usual ones"
    if aim.met(figure):
        return shown, "yes"
    return shown, f"**no**{': ' if aim.why else ''}{aim.why}"


def _section(benchmark: Benchmark, figures: Figures | None) -> Iterator[str]:
    yield f"## {benchmark.title}\n\n{benchmark.compares}\n"
    if figures is None:
        yield f"Not measured yet: `python -m bench {benchmark.name}`.\n"
        return
    yield _when(figures)
    if figures.error:
        yield f"**Failed**: {one_line(figures.error)}\n"
    yield from (f"{note}\n" for note in figures.notes)
    yield from _table(benchmark, [row for row in figures.rows if not row.axis], "")
    if any(row.axis in benchmark.plots for row in figures.rows):
        yield f"![{benchmark.title}](benchmarks/{benchmark.name}.svg)\n"
    for axis in benchmark.plots:
        rows = [row for row in figures.rows if row.axis == axis]
        yield from _table(benchmark, rows, f"{benchmark.things} {axis}")


def _when(figures: Figures) -> str:
    sized = "" if figures.scale == 1 else f" Sizes were {figures.scale:g} of the usual ones."
    plural = "run" if figures.runs == 1 else "runs"
    began, load = figures.began[:16].replace("T", " "), figures.machine.get("load", "unknown")
    version = figures.versions.get("luxima-retention", "unknown")
    return (
        f"`python -m bench {figures.name}`, {began} UTC, version {version}, {figures.runs} {plural} each,"
        f" {figures.seconds / 60:.1f} minutes, load {load}.{sized}\n"
    )


def _table(benchmark: Benchmark, rows: list[Row], axis: str) -> Iterator[str]:
    if not rows:
        return
    metrics = [name for name in METRICS if any(row.values(name) for row in rows)]
    heads = [*([axis] if axis else []), *(METRICS[name][0] for name in metrics)]
    ratio = bool(benchmark.reference) and not axis
    heads += [f"{METRICS[benchmark.headline][0]}, × {benchmark.reference}"] if ratio else []
    yield f"| way | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}"
    for row in rows:
        cells = [f"{row.size:,}"] if axis else []
        cells += [_cell(row, name, spread=name == benchmark.headline) for name in metrics]
        cells += [_ratio(benchmark, rows, row)] if ratio else []
        yield f"| {row.case} | {' | '.join(cells)} |"
    yield ""


def _cell(row: Row, metric: str, *, spread: bool) -> str:
    """The median; of what counts most, also the least and the most."""
    if not (values := row.values(metric)):
        return ""
    digits = METRICS[metric][1]
    told = number(row.median(metric), digits)
    if spread and len(values) > 1:
        told += f" ({number(min(values), digits)} to {number(max(values), digits)})"
    return told


def _ratio(benchmark: Benchmark, rows: list[Row], row: Row) -> str:
    """Of ``gzip: ours`` by ``gzip: REFERENCE``, where there is one; else by REFERENCE itself."""
    beside = f"{row.case.rpartition(': ')[0]}: {benchmark.reference}"
    cases = {each.case: each for each in rows}
    reference = cases.get(beside) or cases.get(benchmark.reference)
    try:
        return (
            f"{row.median(benchmark.headline) / reference.median(benchmark.headline):.2f}"
            if reference
            else ""
        )
    except (NotMeasuredError, ZeroDivisionError):
        return ""


def panels(benchmark: Benchmark, figures: Figures) -> Iterator[Panel]:
    """Cost, then memory, against each axis."""
    for title, named in _PLOTTED.items():
        for axis in benchmark.plots:
            points = {name: _points(figures, axis, metric) for metric, name in named.items()}
            if lines := {name: line for name, line in points.items() if line}:
                grows = f"{benchmark.things} {axis}"
                yield Panel(title=f"{title} by {grows}", x=grows, lines=lines)


def _points(figures: Figures, axis: str, metric: str) -> list[tuple[float, float]]:
    rows = [row for row in figures.rows if row.axis == axis and row.case == "ours" and row.values(metric)]
    return sorted((float(row.size), row.median(metric)) for row in rows)


def number(value: float, digits: int) -> str:
    """With thousands apart; large ones to three figures, since no more of it is true."""
    if value >= 10_000 and not digits:
        place = len(f"{value:.0f}") - 3
        value = round(value, -place)
    return f"{value:,.{digits}f}"


def one_line(text: str, most: int = 400) -> str:
    """For a table or a sentence."""
    told = " ".join(text.replace("|", "\\|").split())
    return told if len(told) <= most else f"{told[:most]} …"


def _anchor(title: str) -> str:
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -")
    return kept.replace(" ", "-")
