"""What is told, and what is not: the conditions of targets over random sequences of outcomes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from luxima_retention.core.errors import SEVERITY, ExitCode
from luxima_retention.tell.notify.conditions import (
    Change,
    Memory,
    Message,
    Seen,
    Severity,
    digest,
    forget,
    observe,
    quiet_until,
    tick,
)
from tests.conftest import LONG

JAKARTA = ZoneInfo("Asia/Jakarta")
DAY = 86_400.0
START = datetime(2026, 11, 26, 3, 0, tzinfo=UTC).timestamp()


def seen(code, at, key="production:audit-logs:core.audit_log", **more):
    return Seen(key=key, code=code, at=START + at, facts={"policy": "audit-logs"}, **more)


def told(memory, *items):
    message = observe(memory, items)
    return [] if message is None else [str(note.change) for note in message.notes]


def test_trouble_is_told_once_and_its_end_answers_the_first_message():
    memory = Memory()
    first = observe(memory, [seen(4, 0)])
    assert first.notes[0].change is Change.FAILING
    assert first.severity is Severity.WARNING
    assert told(memory, seen(4, 3600)) == []
    worse = observe(memory, [seen(6, 7200)])
    assert worse.notes[0].change is Change.WORSE
    assert worse.severity is Severity.CRITICAL
    assert worse.answers == first.number
    assert told(memory, seen(3, 9000)) == [], "what is less bad than what was told is not told"
    assert told(memory, seen(6, 9100)) == [], "and neither is what was told already"
    over = observe(memory, [seen(0, 10_800)])
    assert [note.change for note in over.notes] == [Change.RECOVERED]
    assert over.answers == first.number
    assert over.severity is Severity.INFO
    assert over.notes[0].since == START
    assert told(memory, seen(0, 11_000)) == []


def test_one_message_a_run_worst_first():
    message = observe(
        Memory(),
        [seen(4, 0, "p:a:"), seen(6, 0, "p:b:"), seen(0, 0, "p:c:"), seen(3, 0, "p:d:")],
    )
    assert [note.code for note in message.notes] == [6, 3, 4]


def test_another_run_at_work_and_a_backlog_that_shrinks_are_no_trouble():
    memory = Memory()
    assert told(memory, seen(5, 0)) == []
    assert told(memory, seen(7, 100, left=900)) == []
    assert told(memory, seen(7, 200, left=500)) == []
    assert told(memory, seen(7, 300, left=500)) == ["failing"]
    assert told(memory, seen(5, 400)) == []
    assert told(memory, seen(0, 500, left=0)) == ["recovered"]


def test_what_is_well_is_not_remembered_and_a_message_stays_small():
    memory = Memory()
    observe(memory, [seen(0, 0, f"production:log-files:{number}", left=0) for number in range(3000)])
    assert memory.to_json()["conditions"] == {}
    message = observe(memory, [seen(6, 60, f"production:log-files:{number}") for number in range(3000)])
    assert len(message.notes) == 3000
    assert len(json.dumps(memory.to_json())) < 2_000_000


def test_a_backlog_is_remembered_from_one_run_to_the_next():
    memory = Memory()
    assert told(memory, seen(0, 0, left=0)) == []
    assert told(memory, seen(7, 100, left=900)) == []
    memory = Memory.from_json(json.loads(json.dumps(memory.to_json())))
    assert memory.conditions["production:audit-logs:core.audit_log"].facts == {"policy": "audit-logs"}
    assert told(memory, seen(7, 200, left=900)) == ["failing"]


def test_what_goes_up_and_down_is_told_as_unstable_then_hourly_at_most():
    memory = Memory()
    changes = [told(memory, seen(4 * (step % 2), step * 60)) for step in range(1, 120)]
    flat = [change for found in changes for change in found]
    assert flat[:3] == ["failing", "recovered", "unstable"]
    assert flat[3:] == ["hourly"], "119 minutes have room for one"


def test_an_unstable_target_that_stays_well_is_told_as_recovered():
    memory = Memory()
    for step in range(1, 5):
        observe(memory, [seen(4 * (step % 2), step * 60)])
    hourly = tick(memory, START + 2 * 3600)
    assert [note.change for note in hourly.notes] == [Change.HOURLY]
    over = tick(memory, START + DAY + 3600)
    assert [note.change for note in over.notes] == [Change.RECOVERED]
    assert tick(memory, START + DAY + 7200) is None


def test_an_unstable_target_that_becomes_critical_is_told_at_once():
    memory = Memory()
    for step in range(1, 4):
        observe(memory, [seen(4 * (step % 2), step * 60)])
    assert told(memory, seen(6, 300)) == ["worse"]


def test_a_warning_that_nobody_mends_becomes_critical_once():
    memory = Memory()
    observe(memory, [seen(4, 0, patience=7200)])
    assert tick(memory, START + 7100) is None
    late = tick(memory, START + 7200)
    assert [note.change for note in late.notes] == [Change.ESCALATED]
    assert late.notes[0].critical
    assert tick(memory, START + 7300) is None
    assert told(memory, seen(4, 7400, patience=7200)) == []


def test_the_digest_comes_once_a_day_at_eight_and_only_if_something_is_open():
    memory = Memory()
    at = lambda hour, minute=0, day=27: datetime(2026, 11, day, hour, minute, tzinfo=JAKARTA)  # noqa: E731
    assert digest(memory, at(8), JAKARTA) is None
    observe(memory, [seen(4, 0)])
    assert digest(memory, at(7, 59, 28), JAKARTA) is None
    told_now = digest(memory, at(8, 0, 28), JAKARTA)
    assert told_now.digest
    assert told_now.severity is Severity.INFO
    assert [note.change for note in told_now.notes] == [Change.OPEN]
    assert digest(memory, at(8, 5, 28), JAKARTA) is None
    assert digest(memory, at(9, 0, 29), JAKARTA) is not None


def test_quiet_hours_end_in_the_morning():
    at = lambda hour: datetime(2026, 11, 26, hour, 30, tzinfo=JAKARTA)  # noqa: E731
    assert quiet_until(at(21), JAKARTA, (22, 6)) is None
    assert quiet_until(at(23), JAKARTA, (22, 6)).isoformat() == "2026-11-27T06:00:00+07:00"
    assert quiet_until(at(5), JAKARTA, (22, 6)).isoformat() == "2026-11-26T06:00:00+07:00"
    assert quiet_until(at(6), JAKARTA, (22, 6)) is None
    assert quiet_until(at(2), JAKARTA, None) is None
    assert quiet_until(at(13), JAKARTA, (12, 14)).hour == 14


def test_quiet_hours_over_midnight_keep_their_wall_clock_when_summer_time_begins_and_ends():
    berlin = ZoneInfo("Europe/Berlin")
    spring = datetime(2026, 3, 28, 23, 30, tzinfo=berlin)
    assert quiet_until(spring, berlin, (22, 6)).timestamp() - spring.timestamp() == 5.5 * 3600
    autumn = datetime(2026, 10, 24, 23, 30, tzinfo=berlin)
    assert quiet_until(autumn, berlin, (22, 6)).timestamp() - autumn.timestamp() == 7.5 * 3600
    for fold in (0, 1):
        twice = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold)
        assert quiet_until(twice, berlin, (22, 3)).timestamp() - twice.timestamp() == (1.5 - fold) * 3600


def of_tables(code, *tables, at=0):
    """What a run over these tables saw, and its policy as a whole."""
    facts = [{"policy": "audit-logs", "target": table} for table in ("", *tables)]
    codes = [0, *([code] * len(tables))]
    return [
        Seen(key=f"production:audit-logs:{fact['target']}", code=found, at=START + at, facts=fact)
        for fact, found in zip(facts, codes, strict=True)
    ]


def test_a_failing_target_that_the_settings_name_no_more_is_closed_by_a_word():
    memory = Memory()
    first = observe(memory, of_tables(4, "core.audit_log", "core.old"))
    assert observe(memory, of_tables(4, "core.audit_log", "core.old", at=60)) is None
    assert observe(memory, of_tables(4, "core.audit_log", at=DAY)) is None, "it may be another machine's"
    closed = observe(memory, of_tables(4, "core.audit_log", at=2 * DAY + 60))
    (note,) = (note for note in closed.notes if note.change is Change.REMOVED)
    assert note.key == "production:audit-logs:core.old"
    assert closed.answers == first.number
    alone = Message(number="9", at=closed.at, notes=(note,))
    assert alone.severity is Severity.INFO
    assert observe(memory, of_tables(4, "core.audit_log", at=2 * DAY + 120)) is None
    assert list(memory.to_json()["conditions"]) == ["production:audit-logs:core.audit_log"]
    (old,) = (trouble for trouble in memory.troubles if trouble.key.endswith("core.old"))
    assert (old.over, old.removed) == (START + 2 * DAY + 60, True)


def test_two_machines_with_targets_of_their_own_close_nothing_of_each_other():
    memory, changes = Memory(), []
    for number in range(20):
        message = observe(memory, of_tables(4, f"set-{number % 2}", at=number * DAY / 2))
        changes += [note.change for note in message.notes] if message else []
    assert Change.REMOVED not in changes


def test_a_run_that_never_came_to_its_targets_closes_none():
    memory = Memory()
    observe(memory, of_tables(4, "core.audit_log"))
    message = observe(memory, [Seen(key="production:audit-logs:", code=3, at=START + 60, facts=POLICY)])
    assert [note.change for note in message.notes] == [Change.FAILING]


POLICY = {"policy": "audit-logs", "target": ""}


def test_what_belongs_to_a_removed_policy_is_closed_and_forgotten():
    memory = Memory()
    observe(memory, [seen(4, 0), seen(0, 0, "production:audit-logs:other", left=5)])
    assert forget(memory, {"audit-logs"}, START + 3 * DAY) is None
    assert forget(memory, {"metrics"}, START + DAY) is None
    message = forget(memory, {"metrics"}, START + 2 * DAY)
    assert [note.change for note in message.notes] == [Change.REMOVED]
    assert memory.conditions == {}
    assert forget(memory, {"metrics"}, START + 3 * DAY) is None


def test_a_trouble_is_remembered_from_first_word_to_end():
    memory = Memory()
    message = observe(memory, [seen(4, 0)])
    memory.arrived(message.number, "telegram", START + 3)
    memory.arrived(message.number, "telegram", START + 9)
    observe(memory, [seen(6, 100)])
    observe(memory, [seen(0, 400)])
    observe(memory, [seen(4, 90_000)])
    memory = Memory.from_json(json.loads(json.dumps(memory.to_json())))
    first, second = memory.troubles
    assert (first.since, first.code, first.told, first.over) == (
        START,
        6,
        {"telegram": START + 3},
        START + 400,
    )
    assert (second.since, second.code, second.told, second.over) == (START + 90_000, 4, {}, None)


def test_only_so_many_troubles_are_remembered():
    memory = Memory()
    for number in range(600):
        observe(memory, [seen(4, number * 2 * DAY), seen(0, number * 2 * DAY + 60)])
    kept = memory.to_json()["troubles"]
    assert len(kept) == 500
    assert kept[-1]["since"] == START + 599 * 2 * DAY


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
        st.integers(1, 100_000),
        st.one_of(st.none(), st.integers(0, 5)),
    ),
    max_size=60,
)


@settings(max_examples=1000 if LONG else 300, deadline=None)
@given(STEPS)
def test_no_trouble_is_lost_and_nothing_is_told_twice(steps):
    """After each run: what fails has been told, at its worst; what ended is told once."""
    memory, at, episode, over = Memory(), 0.0, [], 0
    for code, pause, left in steps:
        at += pause
        message = observe(memory, [seen(code, at, left=left, patience=10 * DAY)])
        memory = Memory.from_json(json.loads(json.dumps(memory.to_json())))
        assert all(item.told for item in memory.conditions.values() if item.code), "what fails was told"
        for note in message.notes if message else ():
            if note.change is Change.RECOVERED:
                assert episode, "an end without a beginning"
                over, episode = over + 1, []
            elif note.change in {Change.FAILING, Change.WORSE}:
                assert all(worse_than(note.code, before) for before in episode), "told twice"
                episode.append(note.code)
            else:
                episode.append(note.code or 8)
    if memory.conditions and not next(iter(memory.conditions.values())).code:
        tick(memory, START + at + 2 * DAY)
        assert not next(iter(memory.conditions.values())).told, "an end was not told"


def worse_than(code, before):
    return SEVERITY.index(ExitCode(code)) < SEVERITY.index(ExitCode(before))
