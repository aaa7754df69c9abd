"""What a rotation works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from luxima_retention.core.plan import Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a rotation works with.

    Args:
        now: the program's clock, read once.
        policy: whose holds count.
        force: rotate whatever the schedule says.
        read_only: tell what would be done; nothing is written.
        removes: whether ``keep`` and ``max_age_days`` may remove files now, and why not.
        holds: in force; ``None`` where they cannot be read, and nothing is removed.
        stopping: true once the run should end.
        record: takes what was done, for the ledger.
    """

    now: datetime
    policy: str = "log-files"
    force: bool = False
    read_only: bool = True
    removes: bool = True
    holds: tuple[Hold, ...] | None = ()
    stopping: Callable[[], bool] = lambda: False
    record: Callable[[Mapping[str, Any]], None] = lambda _values: None
