"""The stop signal, which may arrive in the middle of a wait for it."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from luxima_retention.cli.common import Stopper


def test_a_signal_in_any_moment_of_a_wait_blocks_nothing():
    """A handler runs inside of what the main thread does: what it needs must not be locked by that."""
    stopper, came = Stopper(), 0

    def told(number, frame):
        nonlocal came
        came += 1
        stopper._told(signal.SIGTERM, frame)

    before = signal.signal(signal.SIGALRM, told)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        while came < 500:
            stopper.wait(0.0001)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert stopper()


def test_a_signal_ends_every_wait_and_each_later_one():
    stopper = Stopper()
    waits = [threading.Thread(target=stopper.wait, args=(600,)) for _ in range(3)]
    with stopper.listening():
        for wait in waits:
            wait.start()
        assert not stopper()
        signal.raise_signal(signal.SIGTERM)
        for wait in waits:
            wait.join()
        stopper.wait(600)
    assert stopper()


def test_without_a_signal_a_wait_takes_its_time():
    begun = time.monotonic()
    Stopper().wait(0.05)
    assert time.monotonic() - begun >= 0.05


def test_a_second_interrupt_ends_at_once():
    stopper = Stopper()
    with stopper.listening():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
