"""When logs rotate and what they are then called: golden days, leap years, summer time, clocks set back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxima_retention.stores.logfiles.names import Naming, last_rotation
from luxima_retention.stores.logfiles.rules import Every, Facts, Schedule, due, surplus

JAKARTA = ZoneInfo("Asia/Jakarta")
BERLIN = ZoneInfo("Europe/Berlin")
OLD = datetime(2020, 1, 1, tzinfo=UTC)


def at(text, zone=JAKARTA):
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def rotates(every, last, now, *, zone=JAKARTA, size=100, modified=OLD, force=False, **schedule):
    facts = Facts(size=size, modified=modified, last=at(last, zone) if last else None)
    return due(facts, Schedule(every=Every(every), **schedule), at(now, zone), zone, force=force)


@pytest.mark.parametrize(
    ("every", "options", "last", "now", "expected"),
    [
        ("hourly", {}, "2026-11-24 10:59", "2026-11-24 11:00", True),
        ("hourly", {}, "2026-11-24 10:00", "2026-11-24 10:59", False),
        ("hourly", {}, "2026-11-24 23:10", "2026-11-25 00:01", True),
        ("daily", {}, "2026-11-24 23:59", "2026-11-25 00:00", True),
        ("daily", {}, "2026-11-24 00:00", "2026-11-24 23:59", False),
        # 2026-11-22 was a Sunday
        ("weekly", {}, "2026-11-18 12:00", "2026-11-21 12:00", False),
        ("weekly", {}, "2026-11-21 23:59", "2026-11-22 00:01", True),
        ("weekly", {}, "2026-11-22 00:01", "2026-11-22 23:59", False),
        ("weekly", {"weekday": 2}, "2026-11-22 12:00", "2026-11-24 01:00", True),
        ("weekly", {"weekday": 7}, "2026-11-17 12:00", "2026-11-23 23:59", False),
        ("weekly", {"weekday": 7}, "2026-11-17 23:59", "2026-11-24 00:01", True),
        ("weekly", {"weekday": 3}, "2026-11-16 23:00", "2026-11-23 01:00", True),
        ("monthly", {}, "2026-11-30 23:00", "2026-12-01 00:10", True),
        ("monthly", {}, "2026-11-01 00:10", "2026-11-30 23:00", False),
        ("monthly", {"month_day": 15}, "2026-11-10 12:00", "2026-11-14 12:00", False),
        ("monthly", {"month_day": 15}, "2026-11-10 12:00", "2026-11-15 00:00", True),
        ("monthly", {"month_day": 31}, "2026-11-10 12:00", "2026-11-30 00:00", True),
        ("monthly", {"month_day": 31}, "2024-02-01 12:00", "2024-02-28 12:00", False),
        ("monthly", {"month_day": 31}, "2024-02-01 12:00", "2024-02-29 12:00", True),
        ("monthly", {"month_day": 31}, "2026-01-31 12:00", "2026-02-28 12:00", True),
        ("yearly", {}, "2026-12-31 23:59", "2027-01-01 00:00", True),
        ("yearly", {}, "2026-01-01 00:00", "2026-12-31 23:59", False),
        ("daily", {}, "2024-02-28 12:00", "2024-02-29 00:00", True),
        ("daily", {}, "2024-02-29 12:00", "2024-03-01 00:00", True),
    ],
)
def test_a_period_is_over_by_the_calendar(every, options, last, now, expected):
    found = rotates(every, last, now, **options)
    assert (found.rotates, found.rule) == (expected, every)


def test_days_begin_in_the_zone_of_the_set():
    facts = Facts(size=1, modified=OLD, last=datetime(2026, 11, 23, 16, 0, tzinfo=UTC))
    now = datetime(2026, 11, 23, 17, 30, tzinfo=UTC)
    assert due(facts, Schedule(every=Every.DAY), now, JAKARTA).rotates
    assert not due(facts, Schedule(every=Every.DAY), now, UTC).rotates


def test_summer_time_neither_skips_nor_doubles_a_day():
    for month, day in ((3, 29), (10, 25)):
        before = datetime(2026, month, day, 0, 30, tzinfo=BERLIN)
        facts = Facts(size=1, modified=OLD, last=before)
        assert not due(facts, Schedule(every=Every.DAY), before.replace(hour=23), BERLIN).rotates
        morrow = before + timedelta(days=1)
        assert due(facts, Schedule(every=Every.DAY), morrow, BERLIN).rotates


def test_the_hour_that_comes_twice_in_autumn_rotates_once():
    facts = Facts(size=1, modified=OLD, last=datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    again = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert not due(facts, Schedule(every=Every.HOUR), again, BERLIN).rotates
    assert due(facts, Schedule(every=Every.HOUR), again + timedelta(hours=1), BERLIN).rotates


def test_a_clock_that_was_set_back_rotates_nothing_again():
    assert not rotates("daily", "2026-11-25 00:30", "2026-11-24 23:40").rotates
    assert not rotates("hourly", "2026-11-24 11:10", "2026-11-24 10:50").rotates


def test_a_last_rotation_far_in_the_future_is_a_wrong_clock():
    found = rotates("weekly", "2026-12-24 12:00", "2026-11-24 12:00")
    assert (found.rotates, found.rule) == (True, "clock")


def test_a_log_seen_for_the_first_time_starts_its_clock():
    assert rotates("weekly", None, "2026-11-22 12:00").rule == "first-run"


def test_an_empty_log_waits_even_when_forced_unless_the_set_says_otherwise():
    weekly = {"every": "weekly", "last": "2026-01-01", "now": "2026-11-24", "size": 0}
    assert rotates(**weekly, force=True).rule == "empty"
    assert rotates(**weekly, rotate_empty=True).rotates


def test_size_ignores_the_time_and_counts_from_its_limit():
    assert [rotates("size", None, "2026-11-24", size=n).rotates for n in (2**20 - 1, 2**20)] == [
        False,
        True,
    ]


def test_size_and_age_hold_back_a_period_but_neither_force_nor_max_size():
    late = {"every": "daily", "last": "2026-11-01", "now": "2026-11-24"}
    assert rotates(**late, min_size=101).rule == "min-size"
    assert rotates(**late, min_size=100).rotates
    assert rotates(**late, min_size=101, force=True).rotates
    assert rotates(**late, min_size=101, max_size=99).rule == "max-size"
    young = at("2026-11-22 12:00")
    assert rotates(**late, min_age=timedelta(days=2), modified=young).rule == "min-age"
    assert rotates(**late, min_age=timedelta(days=1), modified=young).rotates


def test_max_size_rotates_before_the_period_is_over_and_only_above_it():
    today = {"every": "weekly", "last": "2026-11-24", "now": "2026-11-24"}
    assert rotates(**today, max_size=99).rule == "max-size"
    assert not rotates(**today, max_size=100).rotates


instants = st.integers(946_684_800, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
periods = st.sampled_from([every for every in Every if every is not Every.SIZE])
zones = st.sampled_from([JAKARTA, BERLIN, UTC, ZoneInfo("America/Sao_Paulo"), ZoneInfo("Pacific/Apia")])


@given(instants, periods, zones, st.integers(0, 7), st.integers(0, 31))
def test_what_has_just_rotated_is_not_due(now, every, zone, weekday, month_day):
    schedule = Schedule(every=every, weekday=weekday, month_day=month_day)
    assert not due(Facts(size=1, modified=OLD, last=now), schedule, now, zone).rotates


@given(
    instants, periods, zones, st.integers(0, 7), st.integers(0, 31), st.integers(0, 800), st.integers(0, 800)
)
def test_what_is_due_stays_due_until_it_rotates(last, every, zone, weekday, month_day, days, more):
    """Except a weekday's own day: after it, a week without rotation is due again."""
    schedule = Schedule(every=every, weekday=weekday, month_day=month_day)
    facts = Facts(size=1, modified=OLD, last=last)
    if due(facts, schedule, last + timedelta(days=days), zone).rotates:
        later = last + timedelta(days=max(days + more, 8) if every is Every.WEEK else days + more)
        assert due(facts, schedule, later, zone).rotates


@given(instants, periods, zones)
def test_nothing_waits_longer_than_its_period_and_a_day(last, every, zone):
    longest = {"minutes": 0, "hourly": 0, "daily": 1, "weekly": 7, "monthly": 31, "yearly": 366}[every.value]
    now = last + timedelta(days=longest + 1)
    assert due(Facts(size=1, modified=OLD, last=last), Schedule(every=every), now, zone).rotates


@dataclass(frozen=True)
class File:
    rank: int
    modified: datetime


@given(
    st.lists(st.integers(0, 100), max_size=20), st.none() | st.integers(0, 9), st.none() | st.integers(0, 99)
)
def test_number_and_age_take_the_oldest_and_a_longer_limit_takes_no_more(ages, keep, days):
    now = datetime(2026, 11, 24, tzinfo=UTC)
    files = [File(rank, now - timedelta(days=age)) for rank, age in enumerate(sorted(ages))]

    def going(keep, days):
        age = None if days is None else timedelta(days=days)
        return {file.rank for file, _ in surplus(files, keep=keep, max_age=age, now=now)}

    gone = going(keep, days)
    assert gone == set(range(len(files) - len(gone), len(files)))
    if keep is not None:
        assert going(keep + 1, days) <= gone
        assert len(files) - len(gone) <= keep
    if days is not None:
        assert going(keep, days + 1) <= gone
    assert going(None, None) == set()


@pytest.mark.parametrize(
    ("keep", "days", "gone"),
    [
        (2, None, [2, 3]),
        (0, None, [0, 1, 2, 3]),
        (4, None, []),
        (None, 7, [3]),
        (None, 6, [2, 3]),
        (3, 6, [2, 3]),
    ],
)
def test_the_number_that_is_kept_and_the_last_day_that_is(keep, days, gone):
    now = datetime(2026, 11, 24, tzinfo=UTC)
    ages = (timedelta(0), timedelta(days=6), timedelta(days=8) - timedelta(seconds=1), timedelta(days=8))
    files = [File(rank, now - age) for rank, age in enumerate(ages)]
    limit = None if days is None else timedelta(days=days)
    found = surplus(files, keep=keep, max_age=limit, now=now)
    assert [file.rank for file, _ in found] == gone
    for file, sentence in found:
        by_number = keep is not None and file.rank >= keep
        assert sentence == (
            f"there are {keep} newer ones, which is keep"
            if by_number
            else f"its last write is more than {days} days ago, which is max_age_days"
        )


NOW = datetime(2026, 11, 22, 18, 5, 9, tzinfo=UTC)  # the 23rd in Jakarta


@pytest.mark.parametrize(
    ("options", "log", "expected"),
    [
        ({}, "app.log", "app.log-20261122"),
        ({"zone": JAKARTA}, "app.log", "app.log-20261123"),
        ({"zone": JAKARTA, "ago": timedelta(days=1)}, "app.log", "app.log-20261122"),
        ({"date_format": "-%Y%m%d%H", "ago": timedelta(hours=1)}, "app.log", "app.log-2026112217"),
        ({"date_format": ".%Y-%m-%dT%H:%M:%S"}, "app.log", "app.log.2026-11-22T18:05:09"),
        ({"date_format": "-%s"}, "app.log", f"app.log-{int(NOW.timestamp())}"),
        ({"extension": ".log"}, "app.log", "app-20261122.log"),
        ({"extension": ".log"}, "app.txt", "app.txt-20261122"),
        ({"add_extension": ".log"}, "app.log", "app-20261122.log"),
        ({"add_extension": ".old"}, "app.log", "app.log-20261122.old"),
    ],
)
def test_a_dated_name_says_when(options, log, expected):
    naming = Naming(**options)
    assert naming.dated_name(log, NOW) == expected
    for extension in ("", ".zst", ".gz"):
        found = naming.parse(log, expected + extension)
        assert found is not None
        assert (found.plain, found.compressed) == (expected, bool(extension))


def test_yesterday_is_a_day_of_the_calendar_when_summer_time_ends():
    naming = Naming(zone=BERLIN, ago=timedelta(days=1))
    assert naming.dated_name("a", datetime(2026, 10, 25, 22, 30, tzinfo=UTC)) == "a-20261024"


def test_a_number_keeps_the_extension_where_the_set_says_so():
    assert Naming(dated=False).numbered("app.log", 3) == "app.log.3"
    assert Naming(dated=False, extension=".log").numbered("app.log", 3) == "app.3.log"
    assert Naming(dated=False, add_extension=".x").numbered("app.log", 3) == "app.log.3.x"


@pytest.mark.parametrize(
    "name",
    [
        "app.log",
        "app.log-2026112",
        "app.log-20261399",
        "app.log-20261122.bak",
        "xapp.log-20261122",
        "app.log-",
    ],
)
def test_a_neighbour_is_not_taken_for_a_rotated_file(name):
    assert Naming().parse("app.log", name) is None


@pytest.mark.parametrize(
    "name", ["app.log.01", "app.log.", "app.log.x", "app.log.1.2", "app.log1", "app.log.1.bak"]
)
def test_a_neighbour_is_not_taken_for_a_numbered_file(name):
    assert Naming(dated=False).parse("app.log", name) is None


def test_files_come_newest_first_whatever_their_order_in_the_directory():
    names = sorted(
        ["app.log-20261115.zst", "app.log", "app.log-20261122", "app.log-20261108.gz", "app.logs", "b"]
    )
    assert [file.name for file in Naming().grouped(names)["app.log"]] == [
        "app.log-20261122",
        "app.log-20261115.zst",
        "app.log-20261108.gz",
    ]
    numbered = sorted(["a.10", "a.2.gz", "a.1", "a"])
    assert [file.index for file in Naming(dated=False).grouped(numbered)["a"]] == [1, 2, 10]


def test_a_format_that_does_not_sort_by_its_letters_sorts_by_its_date():
    names = sorted(["a-01122026", "a-30112026", "a-02011999"])
    files = Naming(date_format="-%d%m%Y").grouped(names)["a"]
    assert [file.name for file in files] == ["a-01122026", "a-30112026", "a-02011999"]


def test_the_newest_name_tells_the_last_rotation_and_the_future_tells_nothing():
    naming = Naming(zone=JAKARTA)
    files = naming.grouped(["a-20261115", "a-20261122.zst", "a-20991231"])["a"]
    assert last_rotation(files, NOW) == at("2026-11-22 00:00")
    assert last_rotation([], NOW) is None
    yesterday = replace(naming, ago=timedelta(days=1))
    assert last_rotation(yesterday.grouped(["a-20261121"])["a"], NOW) == at("2026-11-22 00:00")


@pytest.mark.parametrize(
    ("date_format", "tells"), [("-%Y%m%d", True), ("-%s", True), ("-%H%M", False), ("-%Y%j", True)]
)
def test_only_a_name_with_a_day_is_state(date_format, tells):
    assert Naming(date_format=date_format).tells is tells


@given(
    instants,
    st.sampled_from(["-%Y%m%d", "-%Y%m%d%H", ".%Y-%m-%d_%H%M%S", "-%s", "-%Y%j", "-%d.%m.%Y"]),
    st.sampled_from(["app.log", "a", "x.1", "ünï.log", "log-20200101"]),
    zones,
    st.sampled_from(["", ".log"]),
)
def test_every_name_is_read_back_as_what_it_says(now, date_format, log, zone, extension):
    naming = Naming(date_format=date_format, zone=zone, extension=extension)
    name = naming.dated_name(log, now)
    found = naming.parse(log, name + ".zst")
    assert found is not None
    assert (found.plain, found.at is not None) == (name, True)
    assert found in naming.grouped([name + ".zst", "neighbour"])[log]
    assert abs(found.at - now) <= timedelta(hours=26)
