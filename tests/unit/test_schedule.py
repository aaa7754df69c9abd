"""When something is due: read as cron reads it, judged by the ledger."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from luxima_retention.cli import cli
from luxima_retention.config.cronline import parse, previous, sampled, times
from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.evidence.ledger import open_ledger
from luxima_retention.run import runner
from luxima_retention.run.schedule import Daemon, Due, Hooks, Slot, Trigger, due, slots, upcoming
from tests.configured import settings_of

JAKARTA = ZoneInfo("Asia/Jakarta")
BERLIN = ZoneInfo("Europe/Berlin")
#: no summer time; its changes at 2 and 3 o'clock; its changes on other days; at midnight, and in the south
ZONES = ("Asia/Jakarta", "Europe/Berlin", "America/New_York", "America/Santiago")
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def slot(expression, zone=JAKARTA, grace=HOUR):
    return Slot(
        name="audit-logs",
        policy="audit-logs",
        expression=expression,
        zone=zone,
        arguments=("run",),
        grace=grace,
    )


def jakarta(day, hour, minute=0, month=3):
    return datetime(2026, month, day, hour, minute, tzinfo=JAKARTA)


def fires(expression, zone=JAKARTA, between=YEAR):
    return [
        fire.astimezone(UTC)
        for fire in takewhile(lambda fire: fire < between[1], times(expression, zone, between[0] - MINUTE))
    ]


# An oracle of our own: it goes from one change of the clocks to the next, and names the minutes of each day
# between them as numbers, without cronsim and without comparing times of a zone.

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905 - read at a glance
DAYS = "sun mon tue wed thu fri sat".split()  # noqa: SIM905 - same
NAMES = {3: {name: n for n, name in enumerate(MONTHS, 1)}, 4: {name: n for n, name in enumerate(DAYS)}}
HIGHEST = (59, 23, 31, 12, 7)
LOWEST = (0, 0, 1, 1, 0)


def numbers(field, place):
    """The numbers that a field names; those of the day of the week from 0 to 6."""

    def number(text):
        return NAMES.get(place, {}).get(text.lower()) if text.isalpha() else int(text)

    found = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        low, _, high = span.partition("-")
        first = LOWEST[place] if low == "*" else number(low)
        last = HIGHEST[place] if low == "*" or (step and not high) else number(high or low)
        found |= set(range(first, last + 1, int(step or 1)))
    return {number % 7 for number in found} if place == 4 else found


def date_fields(local):
    return local.day, local.month, local.isoweekday() % 7


def shows(zone, instant):
    """What a clock there shows."""
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def ahead(zone, instant):
    """How far a clock there is ahead of UTC."""
    return shows(zone, instant) - instant.replace(tzinfo=None)


@cache
def spans(zone, between=YEAR):
    """The spans in which a clock there runs on evenly: when each begins and ends, and how far it is ahead."""
    bounds, instant = [between[0]], between[0]
    while instant < between[1]:
        if ahead(zone, instant) != ahead(zone, instant + HOUR):
            changed = (n for n in range(1, 61) if ahead(zone, instant) != ahead(zone, instant + n * MINUTE))
            bounds.append(instant + next(changed) * MINUTE)
        instant += HOUR
    return [(begin, end, ahead(zone, begin)) for begin, end in pairwise([*bounds, between[1]])]


def minutes_of(begin, end, date, daily):
    """The minutes from ``begin`` to before ``end``, by what a clock shows, that a pattern names."""
    day = begin.replace(hour=0, minute=0)
    while day < end:
        if all(value in allowed for value, allowed in zip(date_fields(day), date, strict=True)):
            yield from (time for time in (day + n * MINUTE for n in daily) if begin <= time < end)
        day += timedelta(days=1)


def oracle(expression, zone, between=YEAR):
    """The times as crontab(5) of Debian has them, one after the other.

    A time that is left out comes right after the gap, one that comes twice comes once; what has a star as
    minute or hour goes by the minutes as they pass.
    """
    minute, hour, *date = [numbers(field, place) for place, field in enumerate(expression.split())]
    daily = [60 * h + m for h in sorted(hour) for m in sorted(minute)]
    stars = any(field.startswith("*") for field in expression.split()[:2])
    shown = None
    for begin, end, offset in spans(zone, between):
        begins, ends = begin.replace(tzinfo=None) + offset, end.replace(tzinfo=None) + offset
        shown = shown or begins
        left_out = not stars and any(minutes_of(shown, begins, date, daily))
        first = begins if stars else max(shown, begins)
        if left_out and next(minutes_of(first, ends, date, daily), None) != begins:
            yield begin
        yield from ((time - offset).replace(tzinfo=UTC) for time in minutes_of(first, ends, date, daily))
        shown = max(shown, ends)


@cache
def every(expression, zone):
    """The times of a year."""
    return list(oracle(expression, zone))


PLACES = {
    "report": {"url": "file:///reports"},
    "archive": {"url": "file:///archive", "retention_days": 730},
}
CONFIGURED = {
    "database": {"dsn": "postgresql://role@db/luxima"},
    "databases": {"supabase": {"dsn": "postgresql://role@supabase/postgres"}},
    "policies": {
        "application-logs": {"buckets": ["loki"]},
        "security-events": {"tables": ["auth.audit_log_entries"]},
    },
    "prometheus": {"urls": ["http://prometheus:9090"]},
    "rotation": {"sets": {"services": {"paths": ["/var/log/services/*.log"], "method": "rename"}}},
}
EVERYTHING = settings_of({**CONFIGURED, **PLACES})
DEFAULTS = {item.name: item for item in slots(EVERYTHING)}


def test_the_seed_has_these_slots():
    assert {name: item.expression for name, item in DEFAULTS.items()} == {
        "application-logs": "25 7 * * *",
        "application-logs-sweep": "23 8 * * sun",
        "security-events": "15 7 * * *",
        "audit-logs": "5 7 * * *",
        "metrics": "35 7 * * *",
        "log-files": "2 7 * * *",
        "ledger-verify": "13 8 * * *",
        "archive-expire": "43 8 * * sun",
        "archive-verify": "3 9 * * sat",
        "archive-drill": "53 9 2 * *",
        "observability-check": "23 9 * * mon",
        "report": "37 8 1 * *",
    }


@pytest.mark.parametrize(
    "name", ["application-logs", "security-events", "audit-logs", "metrics", "log-files"]
)
def test_each_policy_runs_within_the_first_hour_of_a_utc_day(name):
    """The cutoff is the start of a UTC day: the sooner after it a run is, the smaller the bound."""
    for fire in fires(DEFAULTS[name].expression):
        assert timedelta() < fire - fire.replace(hour=0, minute=0) < HOUR


@pytest.mark.parametrize("zone", ZONES[:2])
@pytest.mark.parametrize("name", DEFAULTS)
def test_a_year_of_each_slot_is_what_a_walk_over_its_minutes_finds(name, zone):
    expected = every(DEFAULTS[name].expression, zone)
    assert len(expected) in {365, 366, 52, 12}
    assert fires(DEFAULTS[name].expression, ZoneInfo(zone)) == expected


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "expression",
    [
        "0 3 * * 0",
        "0 3 * * 7",
        "0 3 * * 1-5",
        "0 3 * * 5-7",
        "0 3 * * mon-fri",
        "0 3 * * 0-6/3",
        "30 2 * * *",
        "0-59/15 1-3 * * *",
        "15 1,2,3 * * *",
        "7 * * * *",
        "*/30 2 * * *",
        "0 0 31 * *",
        "0 0 * mar,oct *",
    ],
)
def test_a_year_of_other_expressions_as_well(expression, zone):
    assert fires(expression, ZoneInfo(zone)) == every(expression, zone)


@pytest.mark.parametrize("zone", ZONES)
def test_so_are_the_weeks_around_each_change_where_much_is_due(zone):
    """All other weeks are alike for what goes by the minutes."""
    for begin, _, _ in spans(zone):
        around = begin - timedelta(days=5), begin + timedelta(days=5)
        assert fires("*/20 * * * *", ZoneInfo(zone), around) == list(oracle("*/20 * * * *", zone, around))


BEGINNING = (datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 3, 31, 12, tzinfo=UTC))


@pytest.mark.parametrize("minute", range(60))
def test_no_day_is_skipped_where_summer_time_begins(minute):
    """What APScheduler's own trigger does for every minute of the hour after midnight."""
    trigger, found, now = Trigger(slot(f"{minute} 0 * * *", BERLIN)), [], BEGINNING[0]
    while (fire := trigger.get_next_fire_time(found[-1] if found else None, now)) < BEGINNING[1]:
        found.append(fire)
    assert [fire.astimezone(BERLIN).day for fire in found] == [28, 29, 30, 31]
    assert found == list(oracle(f"{minute} 0 * * *", "Europe/Berlin", BEGINNING))


def test_an_hour_that_is_left_out_comes_right_after_it_and_one_that_comes_twice_comes_once():
    berlin = [fire.astimezone(BERLIN) for fire in fires("30 2 * * *", BERLIN)]
    walls = [f"{fire:%m-%d %H:%M %Z}" for fire in berlin]
    assert [wall for wall in walls if wall.startswith("03-29")] == ["03-29 03:00 CEST"]
    assert [wall for wall in walls if wall.startswith("10-25")] == ["10-25 02:30 CEST"]


@pytest.mark.parametrize("expression", ["30 2 * * *", "*/10 * * * *", "0 3 * * sun"])
@pytest.mark.parametrize("zone", ZONES)
@given(data=st.data())
def test_the_next_time_is_later_and_the_one_before_is_not(expression, zone, data):
    """Also when it is asked in the hours around a change of the clocks, of which one may come twice."""
    changes = [begin for begin, _, _ in spans(zone)[1:]] or [datetime(2026, 3, 29, tzinfo=UTC)]
    hours = data.draw(st.sampled_from([2, 48]))
    at = data.draw(st.sampled_from(changes)) + data.draw(st.integers(-3600, 3600)) * timedelta(seconds=hours)
    expected = every(expression, zone)
    later = bisect_right(expected, at)
    assert next(times(expression, ZoneInfo(zone), at)).astimezone(UTC) == expected[later]
    assert previous(expression, ZoneInfo(zone), at).astimezone(UTC) == expected[later - 1]


@pytest.mark.parametrize("hours", range(24, 30))
def test_the_time_before_is_found_in_the_second_of_the_hours_that_come_twice(hours):
    """In Santiago midnight of 5 April 2026 goes back to 23:00: what is due each ten minutes goes on."""
    at = datetime(2026, 4, 4, tzinfo=UTC) + timedelta(hours=hours)
    assert previous("*/10 * * * *", ZoneInfo("America/Santiago"), at).astimezone(UTC) == at


def test_the_time_before_is_found_eight_years_back():
    assert previous("0 0 29 2 *", UTC, datetime(2104, 2, 28, tzinfo=UTC)) == datetime(2096, 2, 29, tzinfo=UTC)


def test_zero_is_sunday_and_not_monday():
    assert {fire.astimezone(JAKARTA).strftime("%a") for fire in fires("0 3 * * 0")} == {"Sun"}


def test_the_end_of_a_month_and_a_leap_day_are_found():
    assert [fire.astimezone(JAKARTA).month for fire in fires("0 0 31 * *")] == [1, 3, 5, 7, 8, 10, 12]
    leap = next(slot("0 0 29 2 *").after(YEAR[0]))
    assert (leap.year, leap.month, leap.day) == (2028, 2, 29)


def _field(low, high):
    number = st.integers(low, high)
    pairs = st.tuples(number, number).filter(lambda pair: pair[0] != pair[1])
    span = pairs.map(lambda pair: f"{min(pair)}-{max(pair)}")
    stepped = st.tuples(span | st.just("*"), st.integers(1, 12)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    item = number.map(str) | span | stepped
    return st.just("*") | st.lists(item, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(_field(0, 59), _field(0, 23), _field(1, 28), _field(1, 12), _field(0, 6)).map(
    lambda parts: parts if "*" in (parts[2], parts[4]) else (*parts[:4], "*")
)


@settings(max_examples=30, deadline=None)
@given(EXPRESSIONS.map(" ".join), st.sampled_from(ZONES))
def test_any_expression_means_what_cron_means(expression, zone):
    theirs = list(islice(oracle(expression, zone), 40))
    ours = [
        fire for fire, _ in zip(times(expression, ZoneInfo(zone), YEAR[0] - MINUTE), theirs, strict=False)
    ]
    assert ours == theirs


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("@daily", "fields"),
        ("CRON_TZ=UTC 0 3 * * *", "fields"),
        ("0 3 1 * mon", "name one of them"),
        ("97 3 * * *", "bad minute"),
        ("0 3 * * 8", "bad day-of-week"),
        ("0 3 last * *", "is not a number, a name, a range or a step"),
        ("0 3 L * *", "is not a number, a name, a range or a step"),
        ("0 3 * * 2nd", "is not a number, a name, a range or a step"),
        ("0 9-3 * * *", "bad hour"),
        ("*/0 * * * *", "bad minute"),
        ("0 0 31 2 *", "'0 0 31 2 \\*' .*"),
        ("0 ٣ * * *", "is not a number, a name, a range or a step"),
    ],
)
def test_what_others_would_read_differently_is_refused(expression, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse(expression)


def test_before_the_first_run_nothing_was_missed():
    assert due(slot("17 2 * * *"), None, jakarta(5, 12)).missed == ()


def test_a_run_that_took_place_is_not_due_again():
    found = due(slot("17 2 * * *"), jakarta(5, 2, 18), jakarta(5, 2, 40))
    assert (found.run, found.missed) == (False, ())


def test_a_restart_within_the_grace_runs_what_was_due_over_midnight():
    found = due(slot("50 23 * * *"), jakarta(30, 23, 51), jakarta(1, 0, 10, month=4))
    assert (found.run, found.missed) == (True, ())


def test_a_restart_after_the_grace_tells_what_was_missed_and_waits():
    found = due(slot("17 2 * * *"), jakarta(1, 2, 18), jakarta(5, 12))
    assert not found.run
    assert found.missed == tuple(jakarta(day, 2, 17) for day in (2, 3, 4, 5))


def test_a_time_at_which_a_run_began_is_not_missed_though_it_never_ended():
    found = due(slot("17 2 * * *"), jakarta(1, 2, 18), jakarta(5, 12)).since_run(jakarta(3, 2, 18))
    assert found.missed == tuple(jakarta(day, 2, 17) for day in (4, 5))


def test_of_many_missed_times_one_is_made_up_for():
    found = due(slot("17 2 * * *"), jakarta(1, 2, 18), jakarta(5, 3))
    assert found.run
    assert found.missed == tuple(jakarta(day, 2, 17) for day in (2, 3, 4))


def test_a_report_is_due_until_the_next_one_is():
    monthly = slot("37 5 1 * *", grace=None)
    assert due(monthly, jakarta(1, 5, 38), jakarta(31, 23)).run is False
    assert due(monthly, jakarta(1, 5, 38), jakarta(1, 5, 37, month=4)).run
    assert due(monthly, jakarta(1, 5, 38), jakarta(30, 23, month=4)).run
    late = due(monthly, jakarta(1, 5, 38), jakarta(2, 1, month=5))
    assert (late.run, late.missed) == (True, (jakarta(1, 5, 37, month=4),))


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("report", {"report"}),
        ("archive", {"archive-expire", "archive-verify", "archive-drill"}),
    ],
)
def test_without_a_place_there_is_no_slot(section, names):
    places = {key: value for key, value in PLACES.items() if key != section}
    assert set(DEFAULTS) - {item.name for item in slots(settings_of({**CONFIGURED, **places}))} == names
    none = dict.fromkeys(names, "")
    off = settings_of({**CONFIGURED, **PLACES, "schedule": {"jobs": none}})
    assert set(DEFAULTS) - {item.name for item in slots(off)} == names


def test_the_weekly_look_needs_files_or_a_server_to_ask():
    def looks(**sections):
        ledger = {"ledger": {"path": "ledger.jsonl"}}
        return "observability-check" in {item.name for item in slots(settings_of({**ledger, **sections}))}

    assert not looks()
    assert looks(observability={"directory": "/etc/grafana"})
    assert looks(prometheus={"urls": ["http://127.0.0.1:9090"]})


def test_only_what_does_no_harm_may_start_at_any_hour():
    late = {name for name, item in DEFAULTS.items() if item.grace != EVERYTHING.schedule.grace}
    assert late == {
        "report",
        "archive-expire",
        "archive-verify",
        "archive-drill",
        "ledger-verify",
        "observability-check",
    }


def test_a_clock_that_went_back_makes_nothing_due():
    assert due(slot("17 2 * * *"), jakarta(5, 2, 18), jakarta(4, 2, 30)).run is False


@given(st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)), st.integers(0, 10**6))  # noqa: DTZ001 - made aware below
def test_every_time_is_served_or_missed_and_none_is_both(last, seconds):
    last = last.replace(tzinfo=UTC)
    now = last + timedelta(seconds=seconds)
    found = due(slot("17 2 * * *"), last, now)
    passed = list(takewhile(lambda fire: fire <= now, slot("17 2 * * *").after(last)))
    assert len(found.missed) + found.run == len(passed)


def weekly(directory):
    """A policy that runs on Sundays, with a ledger file."""
    (directory / "logs").mkdir()
    sets = {"services": {"paths": [f"{directory}/logs/*.log"], "method": "rename", "missing_ok": True}}
    return settings_of(
        {
            "ledger": {"path": str(directory / "ledger")},
            "policies": {"log-files": {"sets": sets, "schedule": "2 7 * * sun"}},
        }
    )


def test_a_weekly_policy_that_runs_on_time_leaves_nothing_missed_and_a_missed_week_is_one(tmp_path):
    chosen = weekly(tmp_path)
    (only,) = (item for item in slots(chosen) if item.policy)
    sundays = [fire for fire, _ in zip(only.after(YEAR[0]), range(12), strict=False)]

    def run_at(instant):
        options = runner.Options(policies=("log-files",))
        result = runner.run(chosen, options, runner.Hooks(clock=lambda: instant.astimezone(UTC)))
        assert result.exit_code == 0, result

    def told(kind):
        with closing(open_ledger("", chosen.ledger.path)) as ledger:
            return [entry for entry in ledger.entries(policy="log-files") if entry.kind == kind]

    for number, sunday in enumerate(sundays[:8], 1):
        run_at(sunday + timedelta(seconds=40))
        newest = told("run.completed")[-1].at
        assert len(told("run.completed")) == number
        assert told("slot.missed") == []
        # The daemon sees it alike, up to the minute before the next one.
        assert due(only, newest, sunday + timedelta(days=7) - MINUTE) == Due(since=newest)
    run_at(sundays[10] + timedelta(seconds=40))
    (missed,) = told("slot.missed")
    assert missed.body["missed"] == 2
    assert [missed.body["first"], missed.body["last"]] == [iso(sunday) for sunday in sundays[8:10]]


def test_the_next_runs_of_all_slots_come_in_order():
    coming = upcoming(tuple(DEFAULTS.values()), YEAR[0], 50)
    assert [fire for fire, _ in coming] == sorted(fire for fire, _ in coming)
    assert {item.name for _, item in coming} == set(DEFAULTS)


def test_a_policy_without_times_has_no_slot():
    policies = {"metrics": {"schedule": ""}, "application-logs": {"buckets": ["loki"], "sweep_schedule": ""}}
    chosen = settings_of({**CONFIGURED, "policies": {**CONFIGURED["policies"], **policies}})
    assert {item.name for item in slots(chosen)} == {
        "application-logs",
        "security-events",
        "audit-logs",
        "log-files",
        "ledger-verify",
        "observability-check",
    }


def test_a_policy_that_is_not_configured_has_no_slot():
    chosen = settings_of({"database": CONFIGURED["database"]})
    assert [item.name for item in slots(chosen)] == ["audit-logs", "ledger-verify"]


def hooks():
    return Hooks(command=["true"], stopping=lambda: False, wait=lambda _: None, say=lambda *_, **__: None)


def test_the_scheduler_is_as_patient_with_a_slot_as_the_settings_are():
    scheduler = Daemon(EVERYTHING, hooks())._scheduler()
    scheduler.start(paused=True)
    try:
        late = scheduler.add_job(print)
        patience = {job.id: job.misfire_grace_time for job in scheduler.get_jobs()}
        assert patience.pop(late.id) is None
    finally:
        scheduler.shutdown(wait=False)
    assert patience == {
        name: item.grace and int(item.grace.total_seconds()) for name, item in DEFAULTS.items()
    }


def test_a_schedule_without_any_time_is_refused():
    with pytest.raises(ConfigurationError, match="nothing is scheduled"):
        Daemon(settings_of(), hooks())


def test_a_schedule_without_a_ledger_is_refused():
    chosen = settings_of({"prometheus": CONFIGURED["prometheus"], "schedule": {"listen": "127.0.0.1:0"}})
    with pytest.raises(ConfigurationError, match="what is due is read from the ledger"):
        Daemon(chosen, hooks()).serve()


def printed(*options, **variables):
    prometheus = {"LUXIMA_PROMETHEUS__URLS": "http://prometheus:9090"}
    done = CliRunner().invoke(cli, ["schedule", "--print-next", "3", *options], env=prometheus | variables)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_next_runs_are_printed_in_both_clocks():
    lines = printed(LUXIMA_POLICIES__METRICS__SCHEDULE="* * * * *").splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(
            r"\S+T\S+:00Z  \w{3} \S+ \d\d:\d\d WIB"
            r"  luxima-retention run \S+ --max-runtime 50m --if-locked skip",
            line,
        )
    assert "run metrics" in lines[0]


def test_the_next_runs_as_json_are_arguments_of_the_command():
    document = json.loads(printed("--output", "json", LUXIMA_SCHEDULE__MAX_RUNTIME="2h"))
    assert document["version"] == 1
    assert len(document["runs"]) == 3
    for run in document["runs"]:
        assert run["arguments"][0] == "run"
        assert run["arguments"][2:4] == ["--max-runtime", "2h"]
        assert datetime.fromisoformat(run["at"]) == datetime.fromisoformat(run["local"])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"prometheus": {"schedule": "0 3 * *"}}, "has 4 fields"),
        ({"schedule": {"time_zone": "Asia/Jakrta"}}, "is not a time zone"),
        ({"prometheus": {"schedule": "0 3 1 * sun"}}, "name one of them"),
    ],
)
def test_a_schedule_that_means_nothing_is_refused_with_the_settings(values, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        settings_of(values)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "expression",
    [
        "5 7 * * *",
        "23 8 * * sun",
        "0 1,13 * * mon-fri",
        "0 0 * * 1,2",
        "*/5 * * * *",
        "0 0 1 * *",
        "0 0 2 2 *",
    ],
)
def test_a_sample_of_times_shows_the_longest_wait_of_a_year(expression, zone):
    longest = [
        max(later.astimezone(UTC) - earlier.astimezone(UTC) for earlier, later in pairwise(found))
        for found in (
            sampled(expression, ZoneInfo(zone)),
            islice(times(expression, ZoneInfo(zone), YEAR[0]), 400),
        )
    ]
    assert longest[0] == longest[1]


def test_a_sample_is_short_where_every_week_is_alike():
    assert len(sampled("5 7 * * *", JAKARTA)) == 14
    assert len(sampled("5 7 * * *", BERLIN)) == 400
    assert len(sampled("5 7 1 * *", JAKARTA)) == 400
