"""When a log rotates, and which rotated files go by number or age. No I/O, no clock.

The order of the questions is that of logrotate (manual page logrotate(8), "daily" to "maxsize"), so that
the same configuration rotates the same files; where its answer would lose or surprise, the difference
stands beside the rule. Periods are counted in calendar days of the set's own zone, never in hours: neither
summer time nor a run that starts a few minutes early shifts them.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Protocol, TypeVar

_WEEK = 7
#: a last rotation that lies further ahead means that the clock was wrong, then or now
_AHEAD = timedelta(hours=25)


class Every(StrEnum):
    """How often a log rotates."""

    MINUTES = "minutes"
    HOUR = "hourly"
    DAY = "daily"
    WEEK = "weekly"
    MONTH = "monthly"
    YEAR = "yearly"
    #: by size alone
    SIZE = "size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What a set of logs is configured to do.

    Args:
        every: the period, or ``size``.
        minutes: of the period ``minutes``.
        weekday: 0 is Sunday, 6 is Saturday, 7 is every seven days whichever day that is.
        month_day: day of the month, 31 is its last one; 0 is the first run in a month.
        size: bytes from which a log rotates under ``size``.
        min_size: bytes below which a log that is due waits; 0 is off.
        max_size: bytes above which a log rotates before it is due; 0 is off.
        min_age: a log that is due waits while its last write is younger.
        rotate_empty: whether a log of no bytes rotates at all.
    """

    every: Every = Every.WEEK
    minutes: int = 60
    weekday: int = 0
    month_day: int = 0
    size: int = 1024 * 1024
    min_size: int = 0
    max_size: int = 0
    min_age: timedelta = timedelta(0)
    rotate_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a log.

    Args:
        size: bytes.
        modified: its last write.
        last: when it last rotated, or when its clock was started; ``None`` when it was never seen.
    """

    size: int
    modified: datetime
    last: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Whether a log rotates, by which rule, in a sentence."""

    rotates: bool
    rule: str
    sentence: str


def due(facts: Facts, schedule: Schedule, now: datetime, zone: tzinfo, *, force: bool = False) -> Due:
    """Whether a log rotates now.

    Args:
        facts: of the log.
        schedule: of its set.
        now: aware.
        zone: in which days begin.
        force: rotate whatever the schedule says; an empty log still waits where the set says so.
    """
    if not facts.size and not schedule.rotate_empty:
        return _no("empty", "it is empty")
    if force:
        return _yes("forced", "rotation was asked for now")
    if schedule.max_size and facts.size > schedule.max_size:
        return _yes("max-size", f"its {facts.size} bytes are above max_size {schedule.max_size}")
    if schedule.every is Every.SIZE:
        return _by_size(facts.size, schedule.size)
    if facts.last is None:
        return _no("first-run", "it is seen for the first time: its clock starts now")
    found = _by_period(facts.last, schedule, now, zone)
    return _vetoed(facts, schedule, now) or found if found.rotates else found


def _by_size(size: int, limit: int) -> Due:
    if size >= limit:
        return _yes("size", f"its {size} bytes have reached size {limit}")
    return _no("size", f"its {size} bytes are below size {limit}")


def _vetoed(facts: Facts, schedule: Schedule, now: datetime) -> Due | None:
    """Size and age can hold back what the period asks for."""
    if facts.size < schedule.min_size:
        return _no(
            "min-size", f"it is due, but its {facts.size} bytes are below min_size {schedule.min_size}"
        )
    # Without min_age a write in the future, which a clock set back leaves behind, must not hold anything up.
    if schedule.min_age and now - facts.modified < schedule.min_age:
        days = schedule.min_age.days
        return _no("min-age", f"it is due, but its last write is younger than min_age_days {days}")
    return None


def _by_period(last: datetime, schedule: Schedule, now: datetime, zone: tzinfo) -> Due:
    here, there = now.astimezone(zone), last.astimezone(zone)
    since = f"it last rotated on {there:%Y-%m-%d %H:%M}"
    if last - now > _AHEAD:
        return _yes("clock", f"{since}, which is in the future: a clock was wrong")
    if _elapsed(there, here, schedule):
        return _yes(schedule.every.value, f"{since}: {schedule.every.value} is due")
    return _no(schedule.every.value, f"{since}: {schedule.every.value} is not due yet")


def _elapsed(last: datetime, now: datetime, schedule: Schedule) -> bool:
    """Whether the period is over; both instants in the zone of the set. Never for a clock set back."""
    days = (now.date() - last.date()).days
    match schedule.every:
        case Every.MINUTES:
            return _minute(now) - _minute(last) >= schedule.minutes
        case Every.HOUR:
            return _hour(now) > _hour(last)
        case Every.DAY:
            return days >= 1
        case Every.WEEK:
            return days >= _WEEK or (days >= 1 and now.isoweekday() % _WEEK == schedule.weekday)
        case Every.MONTH:
            return last.date() < _month_begun(now.date(), schedule.month_day)
        case _:
            return now.year > last.year


def _minute(instant: datetime) -> int:
    """Whole minutes of the clock, so that a run that starts some seconds early finds a period to be over."""
    return int(instant.timestamp() // 60)


def _hour(instant: datetime) -> tuple[date, int]:
    return instant.date(), instant.hour


def _month_begun(today: date, month_day: int) -> date:
    """The last day, today or before, on which a month of this set began."""
    begun = today.replace(day=_in_month(today, month_day))
    if begun <= today:
        return begun
    before = today.replace(day=1) - timedelta(days=1)
    return before.replace(day=_in_month(before, month_day))


def _in_month(month: date, month_day: int) -> int:
    """Day 31 of a month of thirty days is its last; day 0 is the first."""
    return min(max(month_day, 1), monthrange(month.year, month.month)[1])


def _yes(rule: str, sentence: str) -> Due:
    return Due(rotates=True, rule=rule, sentence=sentence)


def _no(rule: str, sentence: str) -> Due:
    return Due(rotates=False, rule=rule, sentence=sentence)


class Aged(Protocol):
    """A rotated file, as far as number and age matter."""

    @property
    def rank(self) -> int:
        """0 is the newest; below that it is dated in the future, and neither goes nor counts."""

    @property
    def modified(self) -> datetime:
        """The last write, which rotation and compression leave as it was."""


_Rotated = TypeVar("_Rotated", bound=Aged)


def surplus(
    rotated: Sequence[_Rotated], *, keep: int | None, max_age: timedelta | None, now: datetime
) -> list[tuple[_Rotated, str]]:
    """The rotated files that go by number or age, each with its sentence; judged on every run.

    logrotate looks at the age only when the log itself rotates; files of a log that has gone quiet would
    stay for ever.

    Args:
        rotated: of one log.
        keep: how many stay; ``None`` does not limit, 0 keeps none.
        max_age: whole days; older ones go, whatever their number.
        now: aware.
    """
    going = []
    for file in rotated:
        if file.rank < 0:
            continue
        if keep is not None and file.rank >= keep:
            going.append((file, f"there are {keep} newer ones, which is keep"))
        elif max_age is not None and (now - file.modified).days > max_age.days:
            going.append(
                (file, f"its last write is more than {max_age.days} days ago, which is max_age_days")
            )
    return going
