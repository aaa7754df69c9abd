"""The month that a report is about. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from luxima_retention.core.errors import ConfigurationError


def month_of(name: str, now: datetime, zone: str) -> tuple[datetime, datetime]:
    """From the first of the month until the first of the next, UTC.

    Args:
        name: ``2026-10``, or ``last`` for the month that ended before ``now``.
        now: the present instant.
        zone: in which days begin.

    Raises:
        ConfigurationError: ``name`` is not a month.
    """
    here = ZoneInfo(zone)
    if name == "last":
        local = now.astimezone(here)
        year, month = (local.year, local.month - 1) if local.month > 1 else (local.year - 1, 12)
    elif found := re.fullmatch(r"(20[0-9]{2})-(0[1-9]|1[0-2])", name):
        year, month = int(found[1]), int(found[2])
    else:
        raise ConfigurationError(f"{name!r} is not a month", "write --month 2026-10, or --month last")
    following = (year, month + 1) if month < 12 else (year + 1, 1)  # noqa: PLR2004 - December
    start, end = datetime(year, month, 1, tzinfo=here), datetime(*following, 1, tzinfo=here)
    return start.astimezone(UTC), end.astimezone(UTC)
