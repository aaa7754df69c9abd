"""What a policy's run works with: the policy in force, and everything besides its stores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from luxima_retention.core.clock import Clock, system_clock
from luxima_retention.core.deadline import Deadline
from luxima_retention.core.guards import Limits
from luxima_retention.core.observer import Observer, Silent
from luxima_retention.core.plan import Plan

if TYPE_CHECKING:
    from luxima_retention.evidence.archive import Archive
    from luxima_retention.evidence.ledger.verify import Key
    from luxima_retention.run.planfile import Approved
    from luxima_retention.run.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy in force.

    Args:
        name: ``audit-logs``.
        retention_days: whole days.
        disposition: what happens at the end of the period, for the ledger.
        basis: law or contract that the period rests on, for the ledger.
        archive: ``auto``, ``required`` or ``off``.
        schedule: cron expression of its runs, in ``zone``; empty expects none.
        grace: how late a run may be and still be on time.
        lease: name of its lease, where parts of its work may run side by side; empty for its own name.
        ledgerless: whether it has work that needs no ledger, so that a run may do without one until
            something has expired.
        limits: of its guards.
    """

    name: str
    retention_days: int
    disposition: str = ""
    basis: str = ""
    archive: str = "auto"
    schedule: str = ""
    zone: tzinfo = UTC
    grace: timedelta = timedelta(hours=1)
    lease: str = ""
    ledgerless: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a run works with besides its stores.

    Args:
        now: the program's clock, read once.
        dry_run: ends after the guards; nothing is written anywhere.
        as_of: an instant in the past to count from instead of now.
        state: ledger, holds, leases; ``None`` where none is configured.
        archive: ``None`` where none is configured.
        ready: tries everything that the end of the run needs, given whether it archives; called before the
            first deletion, raises what would keep the run from being ended.
        approved: policy → the terms of a saved plan; ``None`` without one.
        approvers: keys of the persons who may approve what was refused.
        confirm: asked once for each policy before anything is deleted.
        stopping: true once the run should end in good order.
        deadline: of :func:`time.monotonic`; ``None`` is no limit.
        wait: sleeps so many seconds, or less when ``stopping`` turns true.
        observer: is told of each step, batch and outcome.
        clock: the program's, for instants after ``now``.
        sign_start: signs the ledger once a run has announced itself, before anything goes.
    """

    now: datetime
    dry_run: bool = False
    as_of: datetime | None = None
    state: State | None = None
    archive: Archive | None = None
    ready: Callable[[bool], None] = lambda _archives: None
    approved: Mapping[str, Approved] | None = None
    approvers: tuple[Key, ...] = ()
    confirm: Callable[[tuple[Plan, ...]], bool] = lambda _plans: True
    stopping: Callable[[], bool] = lambda: False
    deadline: float | None = None
    wait: Callable[[float], None] = time.sleep
    observer: Observer = field(default_factory=Silent)
    clock: Clock = system_clock
    sign_start: Callable[[], None] = lambda: None

    @property
    def end(self) -> Deadline:
        """The end of the run, which every wait asks: budget and stop signal in one."""
        return Deadline(ends=self.deadline, stopping=self.stopping, sleep=self.wait)
