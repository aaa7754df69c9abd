"""Cron expressions as Kubernetes and cron read them: five fields, 0 and 7 are Sunday. No I/O, no clock.

Source: crontab(5) and the Kubernetes documentation of CronJob (schedule syntax). What the two read
differently from others is refused: a day of the month together with a day of the week, macros, ``CRON_TZ``.
"""

from __future__ import annotations

from dataclasses import dataclass

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field(name="minute", first=0, last=59),
    _Field(name="hour", first=0, last=23),
    _Field(name="day", first=1, last=31),
    _Field(name="month", first=1, last=12, names=_MONTHS),
    _Field(name="day_of_week", first=0, last=7, names=_DAYS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CronLine:
    """When something is due: the numbers that each field admits.

    Args:
        minute, hour, day, month: as in a calendar.
        day_of_week: 0 is Sunday, 6 Saturday.
    """

    minute: frozenset[int]
    hour: frozenset[int]
    day: frozenset[int]
    month: frozenset[int]
    day_of_week: frozenset[int]

    @property
    def day_names(self) -> tuple[str, ...]:
        """The days of the week by name, so that no reader can count them from another day."""
        return tuple(_DAYS[number] for number in sorted(self.day_of_week))


def parse(expression: str) -> CronLine:
    """Read an expression such as ``17 2 * * *`` or ``23 4 * * sun``.

    Raises:
        ValueError: it is none, or it would mean one thing here and another elsewhere.
    """
    words = expression.split()
    if len(words) != len(_FIELDS):
        raise ValueError(
            f"{expression!r} has {len(words)} fields: write minute, hour, day, month, day of week"
        )
    if words[2] != "*" and words[4] != "*":
        raise ValueError(f"{expression!r} names a day of the month and a day of the week: name one of them")
    numbers = {field.name: _numbers(field, word) for field, word in zip(_FIELDS, words, strict=True)}
    days = frozenset(number % 7 for number in numbers.pop("day_of_week"))
    line = CronLine(**numbers, day_of_week=days)
    if not _exists(line):
        raise ValueError(f"{expression!r} never comes: none of its months has such a day")
    return line


def _exists(line: CronLine) -> bool:
    longest = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
    return any(min(line.day) <= longest.get(month, 31) for month in line.month)


def _numbers(field: _Field, word: str) -> frozenset[int]:
    found: set[int] = set()
    for item in word.lower().split(","):
        span, slash, step = item.partition("/")
        if slash and (not step.isdecimal() or int(step) == 0):
            raise ValueError(f"{item!r} is no {field.name}: the step after / is a number from 1")
        first, last = _span(field, span, open_ended=bool(slash))
        if first > last:
            raise ValueError(f"{item!r} is no {field.name}: it ends before it begins")
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _span(field: _Field, text: str, *, open_ended: bool) -> tuple[int, int]:
    """``*``, ``a``, ``a-b``; ``a`` before a step goes on to the end."""
    # Sunday stands at both ends of the numbers, but once in a whole week.
    end = 6 if field.name == "day_of_week" else field.last
    if text == "*":
        return field.first, end
    first, dash, last = text.partition("-")
    begin = _number(field, first)
    if dash:
        return begin, _number(field, last)
    return begin, end if open_ended else begin


def _number(field: _Field, text: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.first
    if not (text.isascii() and text.isdecimal()) or not field.first <= int(text) <= field.last:
        raise ValueError(f"{text!r} is no {field.name}: it is between {field.first} and {field.last}")
    return int(text)
