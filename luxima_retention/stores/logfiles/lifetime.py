"""How long an imported set keeps its files, beside the policy's period. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

#: days of a period, at least; a set that rotates by size has none
_DAYS = {"minutes": 0, "hourly": 1 / 24, "daily": 1, "weekly": 7, "monthly": 28, "yearly": 365}


def told_lifetime(values: Mapping[str, Any], retention_days: int, today: date) -> str:
    """A sentence where ``keep`` keeps files for longer than the policy; else empty.

    Args:
        values: of a set, as imported.
        retention_days: of the policy log-files.
        today: on which a file is rotated, for instance.
    """
    keep, every = values.get("keep"), values.get("every", "weekly")
    ends = today + timedelta(days=retention_days + 1)
    expires = values.get("expire", True)
    policy = f"the policy's {retention_days} days would end on {ends}, and do not count: expire = false"
    if expires:
        policy = f"the policy's {retention_days} days remove it on {ends} at the latest: expire = true"
    if keep is None:
        return "" if expires else f"rotate -1 keeps every file for ever; {policy}"
    if every not in _DAYS:
        return ""
    each = values.get("minutes", 60) / 1440 if every == "minutes" else _DAYS[every]
    days = min(int(keep * each), 365_000)
    if days <= retention_days:
        return ""
    stays = today + timedelta(days=days)
    return f"rotate {keep} keeps a file that is rotated today until {stays} or longer ({every}); {policy}"
