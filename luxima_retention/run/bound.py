"""How long a record may outlive its period while every run is on time.

Apart from the schedule itself: every run needs this, and none needs the library of the daemon.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from luxima_retention.config.cronline import times
from luxima_retention.stores.registry import kind_of

if TYPE_CHECKING:
    from luxima_retention.config.settings import PolicyConfig

#: runs that are looked at for the longest time between two: more than a year of days
_SAMPLED = 400


def bound(policy: PolicyConfig[Any]) -> timedelta:
    """How much longer than its period a record may live while every run takes place on time.

    A record that is dated at the cutoff of one run, the start of a UTC day, waits for the next run: from
    that start to the next run, and then for the store's own delay.
    """
    zone = ZoneInfo(policy.settings.schedule.time_zone)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    runs = list(islice(times(policy.options.schedule, zone, start), _SAMPLED))
    waits = (following - _day(run) for run, following in pairwise(runs))
    return max(waits) + kind_of(policy).bound(policy)


def _day(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
