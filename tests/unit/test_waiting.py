"""Waits for what blocks in a library: its own limit, the end of the run, and what it raises."""

from __future__ import annotations

import threading
import time

import pytest

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import RunStopped
from luxima_retention.io.waiting import TooLongError, awaited


@pytest.fixture
def hanging():
    """Blocks until the test is over."""
    over = threading.Event()
    yield over.wait
    over.set()


def wait_for(work, *, seconds=60.0, deadline=UNLIMITED):
    return awaited(work, seconds=seconds, deadline=deadline, unfinished="it has not answered")


def test_what_ends_in_time_is_returned_or_raised():
    assert wait_for(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: 1 // 0)


def test_an_end_that_came_before_lets_what_is_quick_happen():
    """The ledger's last entry is written after the end."""
    assert wait_for(lambda: 7, deadline=Deadline(stopping=lambda: True)) == 7


def test_its_own_limit_ends_it(hanging):
    with pytest.raises(TooLongError):
        wait_for(hanging, seconds=0.3)


@pytest.mark.parametrize(
    ("deadline", "why"),
    [
        (Deadline(stopping=lambda: True), "told to stop"),
        (Deadline(ends=time.monotonic()), "time budget is used up"),
    ],
)
def test_the_end_of_the_run_ends_it(hanging, monkeypatch, deadline, why):
    monkeypatch.setattr("luxima_retention.core.deadline.IN_HAND", 0.3)
    with pytest.raises(RunStopped, match=f"it has not answered: .*{why}"):
        wait_for(hanging, deadline=deadline)


def test_a_thread_that_hangs_keeps_no_process(hanging):
    with pytest.raises(TooLongError):
        wait_for(hanging, seconds=0.1)
    left = [thread for thread in threading.enumerate() if thread.name == "it has not answered"]
    assert left
    assert all(thread.daemon for thread in left)
