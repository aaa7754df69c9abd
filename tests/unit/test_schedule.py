"""When something is due: read as cron reads it, judged by the ledger."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from luxima_retention.cli import cli
from luxima_retention.config.cronline import parse
from luxima_retention.config.settings import Settings
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.run.schedule import Daemon, Hooks, Slot, due, slots, upcoming

JAKARTA = ZoneInfo("Asia/Jakarta")
START = datetime(2026, 1, 1, 0, 0, tzinfo=JAKARTA)
HOUR = timedelta(hours=1)


def slot(expression, zone=JAKARTA, grace=HOUR):
    return Slot(
        name="audit-logs",
        policy="audit-logs",
        line=parse(expression),
        zone=zone,
        arguments=("run",),
        grace=grace,
    )


def jakarta(day, hour, minute=0, month=3):
    return datetime(2026, month, day, hour, minute, tzinfo=JAKARTA)


def fires(expression, days, zone=JAKARTA):
    start = START.astimezone(zone)
    end = start + timedelta(days=days)
    return list(takewhile(lambda fire: fire <= end, slot(expression, zone).after(start)))


def cronsim(expression, days, zone=JAKARTA):
    start = START.astimezone(zone)
    end = start + timedelta(days=days)
    return list(takewhile(lambda fire: fire <= end, CronSim(expression, start)))


PLACES = {
    "report": {"url": "file:///reports"},
    "archive": {"url": "file:///archive", "retention_days": 730},
}
EVERYTHING = Settings(policies={}, **PLACES)
DEFAULTS = {item.name: item for item in slots(EVERYTHING)}


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_year_of_each_slot_is_the_year_of_an_independent_library(name):
    expression = getattr(EVERYTHING.schedule, name.replace("-", "_"))
    expected = cronsim(expression, 365)
    assert len(expected) in {365, 52, 12}
    assert fires(expression, 365) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "0 3 * * 0",
        "0 3 * * 7",
        "0 3 * * 1-5",
        "0 3 * * 5-7",
        "0 3 * * mon-fri",
        "0 3 * * */2",
        "0 3 * * 0-6/3",
    ],
)
def test_days_of_the_week_count_from_sunday(expression):
    assert fires(expression, 60) == cronsim(expression, 60)


def test_zero_is_sunday_and_not_monday():
    assert {fire.strftime("%a") for fire in fires("0 3 * * 0", 60)} == {"Sun"}


def test_an_hour_that_is_left_out_comes_later_and_one_that_comes_twice_comes_twice():
    berlin = fires("30 2 * * *", 365, ZoneInfo("Europe/Berlin"))
    instants = [fire.astimezone(UTC) for fire in berlin]
    assert instants == sorted(set(instants))
    assert len(instants) == 366
    walls = [f"{fire:%m-%d %H:%M %Z}" for fire in berlin]
    assert [wall for wall in walls if wall.startswith("03-29")] == ["03-29 03:30 CEST"]
    assert [wall for wall in walls if wall.startswith("10-25")] == ["10-25 02:30 CEST", "10-25 02:30 CET"]


def test_the_end_of_a_month_and_a_leap_day_are_found():
    assert [fire.month for fire in fires("0 0 31 * *", 365)] == [1, 3, 5, 7, 8, 10, 12]
    leap = next(slot("0 0 29 2 *").after(START))
    assert (leap.year, leap.month, leap.day) == (2028, 2, 29)


def _field(low, high):
    number = st.integers(low, high)
    # The other library takes a-a/n for a/n.
    pairs = st.tuples(number, number).filter(lambda pair: pair[0] != pair[1])
    span = pairs.map(lambda pair: f"{min(pair)}-{max(pair)}")
    stepped = st.tuples(span | st.just("*"), st.integers(1, 12)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    item = number.map(str) | span | stepped
    return st.just("*") | st.lists(item, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(
    _field(0, 59).filter(lambda field: "*" not in field),
    _field(0, 23),
    _field(1, 28),
    _field(1, 12),
    _field(0, 7),
).map(lambda parts: parts if "*" in (parts[2], parts[4]) else (*parts[:4], "*"))


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS.map(" ".join))
def test_any_expression_means_what_cron_means(expression):
    ours = [fire for fire, _ in zip(slot(expression).after(START), range(20), strict=False)]
    theirs = [fire for fire, _ in zip(CronSim(expression, START), range(20), strict=False)]
    assert ours == theirs


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("@daily", "fields"),
        ("CRON_TZ=UTC 0 3 * * *", "fields"),
        ("0 3 1 * mon", "name one of them"),
        ("97 3 * * *", "between 0 and 59"),
        ("0 3 * * 8", "between 0 and 7"),
        ("0 3 last * *", "is no day"),
        ("0 3 * * 2nd", "is no day_of_week"),
        ("0 9-3 * * *", "ends before it begins"),
        ("*/0 * * * *", "a number from 1"),
        ("0 0 31 2 *", "never comes"),
        ("0 ٣ * * *", "is no hour"),
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
    [("report", {"report"}), ("archive", {"archive-expire", "archive-verify", "archive-drill"})],
)
def test_without_a_place_there_is_no_slot(section, names):
    places = {key: value for key, value in PLACES.items() if key != section}
    assert set(DEFAULTS) - {item.name for item in slots(Settings(policies={}, **places))} == names
    off = Settings(policies={}, schedule={name.replace("-", "_"): "" for name in names}, **PLACES)
    assert set(DEFAULTS) - {item.name for item in slots(off)} == names


def test_only_what_does_no_harm_may_start_at_any_hour():
    late = {name for name, item in DEFAULTS.items() if item.grace != EVERYTHING.schedule.grace}
    assert late == {"report", "archive-expire", "archive-verify", "archive-drill", "ledger-verify"}


def test_a_clock_that_went_back_makes_nothing_due():
    assert due(slot("17 2 * * *"), jakarta(5, 2, 18), jakarta(4, 2, 30)).run is False


@given(st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)), st.integers(0, 10**6))  # noqa: DTZ001 - made aware below
def test_every_time_is_served_or_missed_and_none_is_both(last, seconds):
    last = last.replace(tzinfo=UTC)
    now = last + timedelta(seconds=seconds)
    found = due(slot("17 2 * * *"), last, now)
    passed = list(takewhile(lambda fire: fire <= now, slot("17 2 * * *").after(last)))
    assert len(found.missed) + found.run == len(passed)


def test_the_next_runs_of_all_slots_come_in_order():
    coming = upcoming(tuple(DEFAULTS.values()), START, 50)
    assert [fire for fire, _ in coming] == sorted(fire for fire, _ in coming)
    assert {item.name for _, item in coming} == set(DEFAULTS)


def test_a_policy_without_times_has_no_slot():
    chosen = Settings(policies={}, schedule={"metrics": "", "application_logs_sweep": ""})
    assert {item.name for item in slots(chosen)} == {
        "application-logs",
        "security-events",
        "audit-logs",
        "log-files",
        "ledger-verify",
    }


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
    empty = [name.replace("-", "_") for name in DEFAULTS]
    chosen = Settings(policies={}, schedule=dict.fromkeys(empty, ""))
    with pytest.raises(ConfigurationError, match="nothing is scheduled"):
        Daemon(chosen, hooks())


def test_a_schedule_without_a_ledger_is_refused():
    chosen = Settings(policies={}, schedule={"health_port": 0})
    with pytest.raises(ConfigurationError, match="nobody knows what is due"):
        Daemon(chosen, hooks()).serve()


def printed(*options, **variables):
    done = CliRunner().invoke(cli, ["schedule", "--print-next", "3", *options], env=variables)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_next_runs_are_printed_in_both_clocks():
    lines = printed(LUXIMA_SCHEDULE__METRICS="* * * * *").splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(
            r"\S+T\S+:00Z  \w{3} \S+ \d\d:\d\d WIB  luxima-retention run \S+ --max-runtime 50m", line
        )
    assert "run metrics" in lines[0]


def test_the_next_runs_as_json_are_arguments_of_the_command():
    document = json.loads(printed("--output", "json", LUXIMA_SCHEDULE__MAX_RUNTIME="2h"))
    assert document["version"] == 1
    assert len(document["runs"]) == 3
    for run in document["runs"]:
        assert run["arguments"][0] == "run"
        assert run["arguments"][-2:] == ["--max-runtime", "2h"]
        assert datetime.fromisoformat(run["at"]) == datetime.fromisoformat(run["local"])


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"metrics": "0 3 * *"}, "has 4 fields"),
        ({"time_zone": "Asia/Jakrta"}, "is no time zone"),
        ({"metrics": "0 3 1 * sun"}, "name one of them"),
    ],
)
def test_a_schedule_that_means_nothing_is_refused_with_the_settings(section, sentence):
    with pytest.raises(ValueError, match=sentence):
        Settings(policies={}, schedule=section)
