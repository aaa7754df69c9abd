"""The program's clock, injected wherever skew, leases, object age or grace periods are judged."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from luxima_retention.core.errors import ConfigurationError

_LOCAL = Path("/etc/localtime")

#: Returns the present instant, aware, UTC.
Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The operating system's clock."""
    return datetime.now(UTC)


def iso(instant: datetime) -> str:
    """``2026-11-23T08:30:00Z``, with microseconds where there are any; the form of ledger and JSON."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """The inverse of :func:`iso`.

    Raises:
        ValueError: it is not an instant, has no zone, or lies outside of the calendar in UTC.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} lies outside of the calendar") from None


def zone_of(name: str) -> tzinfo:
    """A time zone by its name; ``local`` is the machine's, by TZ or /etc/localtime, else UTC (tzset(3)).

    Raises:
        ConfigurationError: TZ is a rule and no name.
    """
    if name != "local":
        return ZoneInfo(name)
    local = os.environ.get("TZ", "").removeprefix(":")
    if local:
        try:
            return ZoneInfo(local)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigurationError(
                f"the machine's time zone is {local!r} by TZ, which is no name", "set rotation.time_zone"
            ) from None
    if not _LOCAL.is_file():
        return UTC
    with _LOCAL.open("rb") as file:
        return ZoneInfo.from_file(file, key="local")
