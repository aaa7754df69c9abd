"""The program's clock, injected wherever skew, leases, object age or grace periods are judged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

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
    """The inverse of :func:`iso`; an instant without zone is a ``ValueError``."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return instant.astimezone(UTC)
