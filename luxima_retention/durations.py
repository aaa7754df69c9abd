"""Durations as people write them. Standard library only."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d+)\s*([smhd])")
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
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
