"""What a job declares: which policy, which stores. Declarations stand in ``jobs/``, one for each policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from luxima_retention.config.matrix import BY_NAME
from luxima_retention.core.clock import Clock, system_clock
from luxima_retention.core.deadline import UNLIMITED, Deadline

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.core.plan import Operation
    from luxima_retention.run.engine import Environment, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How stores are opened.

    Args:
        read_only: for a dry run: what is opened cannot write.
        archives: whether records will be archived before they go.
        sweep: the weekly walk over everything that Loki's bucket holds.
        shard: ``(I, N)``: this process does the part ``I`` of ``N``.
        rotate_now: rotate whatever the schedule says.
        clock: the program's.
        deadline: of the run.
    """

    read_only: bool = True
    archives: bool = False
    sweep: bool = False
    shard: tuple[int, int] | None = None
    rotate_now: bool = False
    clock: Clock = system_clock
    deadline: Deadline = UNLIMITED


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A policy with its stores.

    Args:
        policy: its name.
        targets: names and openers; none where the policy is not configured. Opens nothing itself.
        missing: the setting that would configure it.
        dimensions: what holds may name in these stores, by these settings.
        before: an operation of its own that precedes the five steps, such as a rotation.
    """

    policy: str
    targets: Callable[[Settings, Opening], tuple[Target, ...]]
    missing: str
    dimensions: Callable[[Settings], frozenset[str]]
    before: Callable[[Settings, Environment, Opening], Operation] | None = None


def load(policy: str) -> Job:
    """The declaration of a policy's job."""
    job: Job = import_module(BY_NAME[policy].job).JOB
    return job
