"""One limit for everything that is told: nobody waits longer, whatever a receiver does.

A limit for each read would not do: a server that sends a byte now and then would hold a run for ever. So
each receiver is spoken to in a thread of its own, which is left behind once the time is over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping

#: seconds that all of it may cost a run; then receivers are left behind
BUDGET = 2.0
#: seconds that one request waits for a connection or a byte
REQUEST_SECONDS = 1.5

#: speaks to one receiver; gives a sentence for each thing that it did not take
Telling = Callable[[], list[str]]


class _Thread(threading.Thread):
    def __init__(self, telling: Telling) -> None:
        super().__init__(daemon=True)
        self._telling = telling
        self.said: list[str] = []

    def run(self) -> None:
        try:
            self.said = self._telling()
        except Exception as error:  # noqa: BLE001 - telling decides nothing, not even by a fault of ours
            self.said = [f"telemetry failed: {type(error).__name__}"]


def within(tellings: Mapping[str, Telling], seconds: float) -> Iterator[str]:
    """Do all of these side by side; a sentence for what failed, and for each that was not done in time.

    Args:
        tellings: the receiver, for people → what speaks to it.
        seconds: for all of them together.
    """
    end = time.monotonic() + seconds
    threads = {receiver: _Thread(telling) for receiver, telling in tellings.items()}
    for thread in threads.values():
        thread.start()
    for receiver, thread in threads.items():
        thread.join(max(0.0, end - time.monotonic()))
        if thread.is_alive():
            yield f"{receiver} took longer than {seconds:.1f} s and was left behind"
        else:
            yield from thread.said
