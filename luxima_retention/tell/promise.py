"""What the settings promise of each policy, in seconds: limit, allowance, interval; and its targets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from luxima_retention.config.cronline import sampled
from luxima_retention.core.errors import RetentionError
from luxima_retention.core.plan import digest
from luxima_retention.run.matrix import bound
from luxima_retention.stores.kind import Opening
from luxima_retention.stores.registry import kind_of
from luxima_retention.tell.families import UNKNOWN

if TYPE_CHECKING:
    from luxima_retention.config.settings import PolicyConfig, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A policy's promise, with which alert rules need no numbers of their own.

    Args:
        policy: its name.
        targets: names of its stores, the same in every run, also where none could be opened.
        limit: seconds that a record is kept.
        allowance: seconds that one may live longer while runs are on time; not a number without a schedule.
        interval: seconds between two scheduled runs at most; not a number without a schedule.
    """

    policy: str
    targets: tuple[str, ...]
    limit: float
    allowance: float
    interval: float


def promise(config: PolicyConfig[Any]) -> Promise:
    """The promise of a configured policy."""
    schedule = config.settings.schedule
    timed = bool(config.options.schedule)
    late = schedule.grace + schedule.max_runtime
    return Promise(
        policy=config.name,
        targets=_targets(config),
        limit=timedelta(days=config.options.retention_days).total_seconds(),
        allowance=(bound(config) + late).total_seconds() if timed else UNKNOWN,
        interval=interval(config.settings, config.options.schedule),
    )


def interval(settings: Settings, expression: str) -> float:
    """Seconds between two times of a cron expression at most; not a number without one."""
    if not expression:
        return UNKNOWN
    zone = ZoneInfo(settings.schedule.time_zone)
    found = pairwise(sampled(expression, zone))
    return max((later - earlier).total_seconds() for earlier, later in found)


def matrix_digest(settings: Settings) -> str:
    """Twelve hex digits that change when a period, a kind, a schedule or an archive rule does."""
    rows = {
        name: [policy.kind, policy.retention_days, policy.schedule, policy.archive]
        for name, policy in settings.policies.items()
    }
    return digest(rows)[:12]


def _targets(config: PolicyConfig[Any]) -> tuple[str, ...]:
    """The names; the policy's own where its stores cannot even be named."""
    try:
        return tuple(name for name, _ in kind_of(config).targets(config, Opening())) or (config.name,)
    except RetentionError:
        return (config.name,)
