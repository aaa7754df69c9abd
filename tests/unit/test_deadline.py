"""The end of a run as one value: budget, stop signal, and waits that never go past either."""

from __future__ import annotations

import math

import pytest

from luxima_retention.core.deadline import IN_HAND, UNLIMITED, Deadline
from luxima_retention.core.errors import ExitCode, RunStopped


class Time:
    """A clock that sleeping moves; the stop signal comes at ``stop_at``."""

    def __init__(self, stop_at=math.inf):
        self.now = 100.0
        self.stop_at = stop_at

    def deadline(self, seconds=None):
        ends = None if seconds is None else self.now + seconds
        return Deadline(ends=ends, stopping=self.stopping, sleep=self.sleep, monotonic=lambda: self.now)

    def stopping(self):
        return self.now >= self.stop_at

    def sleep(self, seconds):
        self.now = min(self.now + seconds, max(self.stop_at, self.now))


def test_without_a_limit_nothing_ends():
    assert not UNLIMITED.over()
    assert UNLIMITED.remaining() == math.inf


@pytest.mark.parametrize(("passed", "over"), [(0, False), (7.5, False), (8, True), (9, True)])
def test_a_budget_is_used_up_at_its_end(passed, over):
    time = Time()
    deadline = time.deadline(8)
    time.now += passed
    assert deadline.over() is over
    assert deadline.remaining() == max(8 - passed, 0)


def test_a_wait_ends_with_the_budget_and_no_later():
    time = Time()
    time.deadline(8).wait(60)
    assert time.now == 108


def test_a_wait_ends_with_the_stop_signal():
    time = Time(stop_at=103)
    deadline = time.deadline(60)
    deadline.wait(30)
    assert time.now == 103
    assert deadline.over()
    deadline.wait(30)
    assert time.now == 103, "a run that was stopped waits for nothing more"


def test_a_step_has_the_nearer_end():
    time = Time()
    assert time.deadline(8).within(60).remaining() == 8
    assert time.deadline(60).within(8).remaining() == 8
    assert time.deadline().within(8).remaining() == 8


@pytest.mark.parametrize(
    ("time", "said"),
    [(Time(stop_at=0), "was told to stop"), (Time(), "time budget is used up")],
    ids=["signal", "budget"],
)
def test_what_is_not_done_is_said_with_its_reason_and_exit_7(time, said):
    deadline = time.deadline(0)
    with pytest.raises(RunStopped, match=f"Loki was not asked: .*{said}") as caught:
        deadline.check("Loki was not asked")
    assert caught.value.exit_code is ExitCode.STOPPED
    assert caught.value.hint == "the next run continues; --max-runtime gives it more time"


def test_while_there_is_time_a_check_says_nothing():
    assert Time().deadline(1).check("never said") is None


def test_what_is_in_hand_when_the_end_comes_has_a_few_seconds_more():
    time = Time(stop_at=110)
    given_up = time.deadline().in_hand()
    for now, wanted in ((105, False), (110, False), (114.9, False), (115, True)):
        time.now = now
        assert given_up() is wanted, now


def test_what_begins_after_the_end_has_them_as_well():
    time = Time()
    deadline = time.deadline(0)
    time.now += 60
    given_up = deadline.in_hand()
    assert not given_up()
    time.now += IN_HAND - 0.1
    assert not given_up()
    time.now += 0.1
    assert given_up()
