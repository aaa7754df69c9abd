"""Cron expressions as Kubernetes and cron read them: five fields, 0 and 7 are Sunday; times by ``cronsim``.

Source: crontab(5) and the Kubernetes documentation of CronJob (schedule syntax). What the two read
differently from others is refused: a day of the month together with a day of the week, macros, ``CRON_TZ``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, takewhile

_FIELDS = 5
_DAY, _MONTH, _WEEKDAY = 2, 3, 4
#: numbers, names, lists, ranges and steps; not the ``L``, ``W`` and ``#`` of other dialects
_FIELD = re.compile(r"(\*|[0-9]+|[a-z]{3})(-([0-9]+|[a-z]{3}))?(/[0-9]+)?", re.IGNORECASE)

#: how far back an earlier time is looked for; 29 February is left out in 1900 and 2100, so 8 years apart
_SPANS = tuple(timedelta(days=days) for days in (0.1, 2, 40, 400, 9 * 366))
#: where samples begin, and how many times they are at most: more than a year of days
_SAMPLED_FROM, _SAMPLED = datetime(2026, 1, 1, tzinfo=UTC), 400
_TWO_WEEKS = timedelta(days=14)


def parse(expression: str) -> str:
    """Check an expression such as ``17 2 * * *`` or ``23 4 * * sun``.

    Returns:
        The expression, its fields separated by one space.

    Raises:
        ValueError: it is not valid, or it would mean one thing here and another elsewhere.
    """
    from cronsim import CronSim, CronSimError

    fields = expression.split()
    if len(fields) != _FIELDS:
        raise ValueError(
            f"{expression!r} has {len(fields)} fields: write minute, hour, day, month, day of week"
        )
    if wrong := [item for field in fields for item in field.split(",") if not _FIELD.fullmatch(item)]:
        raise ValueError(f"{wrong[0]!r} in {expression!r} is not a number, a name, a range or a step")
    if fields[_DAY] != "*" and fields[_WEEKDAY] != "*":
        raise ValueError(f"{expression!r} names a day of the month and a day of the week: name one of them")
    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"{expression!r} is not valid: {str(error).lower()}") from None
    except StopIteration:
        raise ValueError(f"{expression!r} never takes place: none of its months has such a day") from None
    return " ".join(fields)


def times(expression: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The times of ``expression`` in ``zone`` strictly after ``after``, without end, aware, in that zone.

    In summer time it does as Debian's cron: a time that the change leaves out comes right after it, one
    that comes twice comes once; what is due each hour or minute goes on (source: ``cronsim``'s README).
    """
    from cronsim import CronSim

    # In UTC: times of one zone are compared by what its clock shows, which comes twice in autumn.
    began = after.astimezone(UTC)
    for time in CronSim(expression, after.astimezone(zone)):
        # Asked in an hour that comes twice, it names the first one again.
        if time.astimezone(UTC) > began:
            yield time


def passed(expression: str, zone: tzinfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """The times strictly after ``after`` and no later than ``until``."""
    for time in times(expression, zone, after):
        if time.astimezone(UTC) > until.astimezone(UTC):
            return
        yield time


def sampled(expression: str, zone: tzinfo) -> list[datetime]:
    """Times enough to see how far two that follow each other may lie apart: a year of days.

    Where every week is like the others, two weeks show as much, at a twentieth of the cost.
    """
    found = islice(times(expression, zone, _SAMPLED_FROM), _SAMPLED)
    if not _weeks_are_alike(expression, zone):
        return list(found)
    return list(takewhile(lambda time: time <= _SAMPLED_FROM + _TWO_WEEKS, found))


def _weeks_are_alike(expression: str, zone: tzinfo) -> bool:
    """Whether no day of a month and no month is named, and the zone knows no summer time."""
    fields = expression.split()
    days = (_SAMPLED_FROM + timedelta(days=day) for day in range(_SAMPLED))
    return fields[_DAY] == fields[_MONTH] == "*" and len({zone.utcoffset(day) for day in days}) == 1


def previous(expression: str, zone: tzinfo, before: datetime) -> datetime:
    """The newest time that is not after ``before``.

    Looked for forwards in longer and longer spans: backwards, ``cronsim`` passes over the second of the
    hours that come twice.
    """
    return next(
        last[0]
        for span in _SPANS
        if (last := deque(passed(expression, zone, before - span, before), maxlen=1))
    )
