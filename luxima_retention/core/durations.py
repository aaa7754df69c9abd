"""Durations as people write them. Standard library only."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d+)\s*([smhd])")
#: added to an instant, more has no date
_LONGEST = timedelta(days=36_500)
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
        duration = timedelta(**{_UNITS[match[2]]: int(match[1][:12])})
    except OverflowError:
        duration = timedelta.max
    if duration > _LONGEST:
        raise ValueError(f"{value!r} is longer than a century")
    return duration


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
