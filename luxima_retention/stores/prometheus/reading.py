"""What a Prometheus server says about its retention, as values. Pure: no I/O, no clock.

Sources: Prometheus documentation, "HTTP API" (status endpoints), "Storage" (operational aspects) and
"Configuration" (``<duration>``, ``<size>``, ``storage``); each fact that depends on the version names the
release notes that it follows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from luxima_retention.core.durations import within_go

_UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}
#: Descending units, each at most once. A year is 365 days.
_DURATION = re.compile(
    r"(?:(?P<y>[0-9]+)y)?(?:(?P<w>[0-9]+)w)?(?:(?P<d>[0-9]+)d)?(?:(?P<h>[0-9]+)h)?"
    r"(?:(?P<m>[0-9]+)m)?(?:(?P<s>[0-9]+)s)?(?:(?P<ms>[0-9]+)ms)?"
)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGTPE]?i?)B")
_PERCENTAGE = re.compile(r"[0-9]+(?:\.[0-9]+)?%")
_VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)(?:\.([0-9]+))?")
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+\S+)?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
#: Servers that answer Prometheus' queries and keep their samples by rules of their own.
_PRODUCTS = {
    "prometheus_build_info": "Prometheus",
    "vm_app_version": "VictoriaMetrics",
    "thanos_build_info": "Thanos",
    "cortex_build_info": "Mimir or Cortex",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Up to three limits of a TSDB; whichever is reached first removes blocks.

    Args:
        seconds: age; ``None``: nothing goes for its age.
        size: as the server writes it: ``10GiB``, ``80%``; ``None``: nothing goes for its size.
    """

    seconds: float | None = None
    size: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What one scrape of ``/metrics`` says: plain samples by name, and who serves it.

    ``retention_period`` is VictoriaMetrics' own flag, where it is one.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    product: str | None = None
    retention_period: str | None = None

    def instant(self, name: str) -> datetime | None:
        """A sample in Unix seconds; ``None`` for one that is missing or far outside of any calendar.

        A TSDB without samples says 9.2e15 and -9.2e15.
        """
        value = self.values.get(name)
        if value is None or not 0 < value < 1e11:  # noqa: PLR2004 - the year 5138
            return None
        return datetime.fromtimestamp(value, UTC)


def duration(text: str) -> float:
    """Seconds of a Prometheus duration: ``60d``, ``8w4d``, ``1440h``, ``0``.

    Raises:
        ValueError: it is none; ``2M``, ``60``, ``1.5d`` and ``1d1w`` are refused by the server, too.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is no duration of Prometheus")
    units = _UNITS | {"ms": 1}
    milliseconds = sum(int(count) * units[unit] for unit, count in match.groupdict("0").items())
    return within_go(milliseconds // 1000, text) + milliseconds % 1000 / 1000


def limits(text: str) -> Limits:
    """The limits in force as ``storageRetention`` of ``/api/v1/status/runtimeinfo`` writes them.

    ``15d``, ``10GiB``, ``60d or 10GiB``; with a percentage since 3.11.0 (release notes, #18080).

    Raises:
        ValueError: a part of it is neither duration nor size nor percentage.
    """
    seconds, sizes = None, []
    for part in filter(None, text.split(" or ")):
        if _SIZE.fullmatch(part) or _PERCENTAGE.fullmatch(part):
            sizes.append(part)
        else:
            seconds = duration(part) or None
    return Limits(seconds=seconds, size=" or ".join(sizes) or None)


def version(text: str) -> tuple[int, int, int]:
    """``2.42.0+ds`` as numbers.

    Raises:
        ValueError: it begins with no version.
    """
    match = _VERSION.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no version")
    return int(match[1]), int(match[2]), int(match[3] or 0)


def section(yaml: str, *path: str) -> dict[str, str]:
    """The scalars directly below one path of the configuration that ``/api/v1/status/config`` gives.

    The server writes it itself, always in block style with two blanks a level, so lines are enough.
    """
    found: dict[str, str] = {}
    here: list[str] = []
    for line in _plain(yaml):
        key, _, value = line.strip().partition(":")
        depth = (len(line) - len(line.lstrip())) // 2
        here = [*here[:depth], key]
        if tuple(here[:-1]) == path and depth == len(path) and value.strip():
            found[key] = value.strip().strip("\"'")
    return found


def _plain(yaml: str) -> Iterator[str]:
    """The lines of mappings; list items and what stands in them have no part in any path here."""
    in_list = -1
    for line in yaml.splitlines():
        depth = len(line) - len(line.lstrip())
        if line.lstrip().startswith("- "):
            in_list = depth
        elif depth <= in_list:
            in_list = -1
        if in_list < 0 and ":" in line:
            yield line


def metrics(lines: Iterable[str]) -> Metrics:
    """Read the text format, one line at a time; only numbers without labels are kept."""
    values: dict[str, float] = {}
    product = period = None
    for line in lines:
        match = None if line.startswith("#") else _SAMPLE.fullmatch(line)
        if match is None:
            continue
        if match["name"] in _PRODUCTS:
            product = _PRODUCTS[match["name"]]
        elif match["name"] == "flag":
            period = _retention_period(match["labels"] or "") or period
        elif not match["labels"] and math.isfinite(number := _number(match["value"])):
            values[match["name"]] = number
    return Metrics(values=values, product=product, retention_period=period)


def _retention_period(labels: str) -> str | None:
    named = dict(_LABEL.findall(labels))
    return named.get("value") if named.get("name") == "retentionPeriod" else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def is_agent(flags: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Whether the server runs as an agent, which keeps nothing: by its flag, else by its metrics.

    ``--enable-feature=agent`` in 2.x, ``--agent`` since 3.0.0 (release notes).
    """
    features = str(flags.get("enable-feature", "")).split(",")
    if "agent" in features or flags.get("agent") == "true":
        return True
    known = set(names)
    return "prometheus_agent_active_series" in known and "prometheus_tsdb_lowest_timestamp" not in known
