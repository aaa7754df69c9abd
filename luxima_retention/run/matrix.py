"""What the settings say of a policy, without a run: what it is, when it runs next, how late a record may go.

Apart from runner and schedule: whoever shows the matrix needs neither the engine nor the daemon's library.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from luxima_retention.config.cronline import sampled, times
from luxima_retention.config.policies import policy_name
from luxima_retention.core.about import About
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.stores.registry import kind_of

if TYPE_CHECKING:
    from luxima_retention.config.policies import PolicySettings
    from luxima_retention.config.settings import PolicyConfig, Settings


def policy_config(settings: Settings, name: str) -> PolicyConfig[PolicySettings]:
    """The policy of this name, hyphens and underscores being equal.

    Raises:
        ConfigurationError: there is none.
    """
    known = policy_name(name)
    if known not in settings.policies:
        raise ConfigurationError(f"there is no policy {name}", f"policies are {', '.join(settings.policies)}")
    return settings.policy(known)


def configured(settings: Settings) -> tuple[str, ...]:
    """The names of the policies that have a store."""
    policies = (settings.policy(name) for name in settings.policies)
    return tuple(policy.name for policy in policies if kind_of(policy).missing(policy) is None)


def with_metrics(settings: Settings) -> tuple[str, ...]:
    """Those of them whose servers say which metrics there are."""
    return tuple(name for name in configured(settings) if kind_of(settings.policy(name)).metrics)


def archives(config: PolicyConfig[Any]) -> bool:
    """Whether records of this policy are archived before they are destroyed."""
    wanted = config.options.archive == "required" or (
        config.options.archive == "auto" and kind_of(config).archives
    )
    return wanted and bool(config.settings.archive.url)


def about(config: PolicyConfig[Any]) -> About:
    """What the policy is, for people."""
    kind, options = kind_of(config), config.options
    return About(
        kind=kind.name,
        log_type=options.log_type or config.name,
        storage=kind.storage(config),
        disposition=kind.disposition(archives(config)),
        basis=options.basis,
        owner=options.owner,
        review_by=options.review_by.isoformat() if options.review_by else "",
        schedule=options.schedule,
        method=kind.method,
        rules=kind.rules,
    )


def next_run(policy: PolicyConfig[Any], now: datetime) -> datetime | None:
    """When the policy runs next; ``None`` without a schedule."""
    if not policy.options.schedule:
        return None
    return next(times(policy.options.schedule, ZoneInfo(policy.settings.schedule.time_zone), now))


def bound(policy: PolicyConfig[Any]) -> timedelta:
    """How much longer than its period a record may live while every run takes place on time.

    A record that is dated at the cutoff of one run, the start of a UTC day, waits for the next run: from
    that start to the next run, and then for the store's own delay.
    """
    runs = sampled(policy.options.schedule, ZoneInfo(policy.settings.schedule.time_zone))
    waits = (following - _day(run) for run, following in pairwise(runs))
    return max(waits) + kind_of(policy).bound(policy)


def _day(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
