"""Observers: one that watches nothing, and one that passes everything on."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import Mock, call

from luxima_retention.core.observer import Observer, Several, Silent
from luxima_retention.core.results import Outcome, Step, TargetResult

AT = datetime(2026, 11, 23, tzinfo=UTC)
STEP = Step(name="act", began=AT, ended=AT, milliseconds=1)
RESULT = TargetResult(target="t", outcome=Outcome.DONE)
CALLS = [
    call.step_began("p", "t", "act", AT),
    call.step_ended("p", "t", STEP),
    call.batch_done("p", "t", 1, 2),
    call.ended("p", RESULT),
    call.told("something", policy="p"),
]


def tell(observer) -> None:
    observer.step_began("p", "t", "act", AT)
    observer.step_ended("p", "t", STEP)
    observer.batch_done("p", "t", 1, 2)
    observer.ended("p", RESULT)
    observer.told("something", policy="p")


def test_each_of_several_observers_is_told_everything():
    one, two = Mock(spec=Silent), Mock(spec=Silent)
    tell(Several(one, two))
    assert one.mock_calls == two.mock_calls == CALLS


def test_a_silent_observer_can_be_told_everything_and_keeps_nothing():
    silent = Silent()
    tell(silent)
    with silent.span("archive.write", "p", "t") as given:
        assert given is None
    assert vars(silent) == {}
    # Nothing that the engine calls is left out here.
    told = {name for name in vars(Observer) if not name.startswith("_")}
    assert told == {name.removeprefix("call.") for name, _, _ in CALLS} | {"span"}
