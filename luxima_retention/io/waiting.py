"""Waits for what blocks in a library, and no longer than a run may take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from luxima_retention.core.deadline import Deadline

Value = TypeVar("Value")

#: Seconds between two looks at the stop signal.
_LOOK = 0.1


class TooLongError(Exception):
    """It did not end within the seconds that it had."""


def awaited(work: Callable[[], Value], *, seconds: float, deadline: Deadline, unfinished: str) -> Value:
    """What ``work`` returns; if it does not end in time it is left to itself, in a thread that keeps nobody.

    Args:
        work: blocks, perhaps without end.
        seconds: that it may take in all.
        deadline: of the run; what is in hand when it comes has a few seconds more.
        unfinished: what is not done then, as a sentence.

    Raises:
        TooLongError: the seconds are over.
        RunStopped: the run should end.
        Exception: whatever ``work`` raised.
    """
    ended: list[Value] = []
    raised: list[Exception] = []
    done = threading.Event()

    def run() -> None:
        try:
            ended.append(work())
        except Exception as error:  # noqa: BLE001 - raised where somebody waits
            raised.append(error)
        done.set()

    threading.Thread(target=run, daemon=True, name=unfinished).start()
    limit, given_up = deadline.monotonic() + seconds, deadline.in_hand()
    while not done.wait(_LOOK):
        if given_up():
            deadline.check(unfinished)
        if deadline.monotonic() >= limit:
            raise TooLongError
    if raised:
        raise raised[0]
    return ended[0]
