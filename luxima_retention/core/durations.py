"""Durations as people write them. Standard library only."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(r"([0-9]+)\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(value: object) -> timedelta | None:
    """``90s``, ``30m``, ``2h`` or ``7d``; ``off`` is ``None``.

    Raises:
        ValueError: it is neither.
    """
    if value is None or isinstance(value, timedelta):
        return value
    if value == "off":
        return None
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a duration: write 90s, 30m, 2h, 7d or off")
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except (OverflowError, ValueError):
        raise ValueError(f"{value!r} is longer than any calendar") from None


# --- durations of programs in Go ------------------------------------------------------------------------

#: seconds in the longest time.Duration: 2**63 - 1 nanoseconds, 292 years (pkg.go.dev/time)
_LONGEST_OF_GO = 2**63 / 1e9
_GO_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86_400,
    "w": 604_800,
    "y": 31_536_000,
}
_GO_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|[smhdwy])")


def go_seconds(text: str) -> float:
    """Seconds of ``720h0m0s``, ``30d``, ``22.5s``, ``0``, as Loki and Tempo print them; a year has 365 days.

    Raises:
        ValueError: it is none.
    """
    if text == "0":
        return 0.0
    parts = _GO_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration")
    return within_go(sum(float(number) * _GO_UNITS[unit] for number, unit in parts), text)


def within_go(seconds: float, text: str) -> float:
    """``seconds``, which ``text`` says.

    Raises:
        ValueError: no program in Go can keep so long a duration.
    """
    if seconds > _LONGEST_OF_GO:
        raise ValueError(f"{text[:40]!r} is longer than any duration")
    return float(seconds)


def spelled(value: object) -> str:
    """A value as a setting is written: the inverse of :func:`parse_duration` for durations."""
    if value is None:
        return "off"
    if not isinstance(value, timedelta):
        return str(value).lower() if isinstance(value, bool) else str(value)
    seconds = int(value.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def in_words(duration: timedelta) -> str:
    """``31 d 7 h``: whole hours, rounded up."""
    days, hours = divmod(-(-int(duration.total_seconds()) // 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
