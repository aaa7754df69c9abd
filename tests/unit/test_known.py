"""What is known of one target while it has its turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.core.errors import ExitCode, StoreError
from luxima_retention.core.observer import Silent
from luxima_retention.core.proof import Verdict
from luxima_retention.core.results import Outcome, Step, TargetResult
from luxima_retention.run import known as module
from luxima_retention.run.known import Known

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
ENDED = Verdict(outcome=Outcome.FAILED, sentence="it failed", exit_code=ExitCode.INCOMPLETE, hint="look")


class Watch(Silent):
    def __init__(self) -> None:
        self.told = []

    def step_began(self, policy, target, name, at):
        self.told.append((policy, target, name, at))

    def step_ended(self, policy, target, step):
        self.told.append((policy, target, step))

    def ended(self, policy, result):
        self.told.append((policy, result))


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def known(watch, monkeypatch):
    """Each look at a clock finds it 1.2342 seconds, or a minute, later."""
    ticks, minutes = iter(range(100)), iter(range(100))
    monkeypatch.setattr(module.time, "monotonic", lambda: 1.2342 * next(ticks))
    return Known("audit-logs", "memory", watch, lambda: NOW + timedelta(minutes=next(minutes)))


def test_a_target_of_which_nothing_is_known_is_a_fault(known):
    known.learn(run_id="run-1")
    assert known._result == TargetResult(target="memory", outcome=Outcome.FAULT, run_id="run-1")


def test_a_verdict_is_added_to_what_is_known(known, watch):
    known.learn(target="core.audit_log", archive="m.json")
    result = known.ended(ENDED)
    assert result == TargetResult(
        target="core.audit_log",
        outcome=Outcome.FAILED,
        exit_code=ExitCode.INCOMPLETE,
        sentence="it failed",
        hint="look",
        archive="m.json",
    )
    assert watch.told == [("audit-logs", result)]


def test_a_step_is_timed_and_told_whether_it_went_well_or_not(known, watch):
    with known.step("survey"):
        known.learn(target="core.audit_log")
    with pytest.raises(StoreError), known.step("decide"):
        raise StoreError("no answer")
    survey = Step(name="survey", began=NOW, ended=NOW + timedelta(minutes=1), milliseconds=1234)
    decide = Step(
        name="decide", began=NOW + timedelta(minutes=2), ended=NOW + timedelta(minutes=3), milliseconds=1234
    )
    assert watch.told == [
        ("audit-logs", "memory", "survey", NOW),
        ("audit-logs", "core.audit_log", survey),
        ("audit-logs", "core.audit_log", "decide", NOW + timedelta(minutes=2)),
        ("audit-logs", "core.audit_log", decide),
    ]
    assert known.ended(ENDED).steps == (survey, decide)
    assert known.milliseconds == {"survey": 1234, "decide": 1234}
