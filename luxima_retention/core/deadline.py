"""When a run has to end: its time budget and its stop signal, as one value that every wait asks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from luxima_retention.core.errors import RunStopped

#: Seconds that what is in hand gets when the end has come: enough to finish, too few to hang.
IN_HAND = 5.0


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """The end of a run, or of one step of it.

    ``over`` and ``wait`` are what :class:`~luxima_retention.core.protocol.Work` takes as ``stopping`` and
    ``wait``.

    Args:
        ends: when, by ``monotonic``; ``None`` is no limit.
        stopping: true once somebody has asked for the end (SIGTERM).
        sleep: sleeps so many seconds, or less when ``stopping`` turns true.
        monotonic: seconds of a clock that only goes forward.
    """

    ends: float | None = None
    stopping: Callable[[], bool] = _never
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def over(self) -> bool:
        """Whether the run should end now."""
        return self.remaining() <= 0 or self.stopping()

    def remaining(self) -> float:
        """Seconds until ``ends``, at least 0; infinite without a limit."""
        return math.inf if self.ends is None else max(self.ends - self.monotonic(), 0.0)

    def wait(self, seconds: float) -> None:
        """Sleep so many seconds, never past the end, and less when told to stop."""
        if not self.over():
            self.sleep(min(seconds, self.remaining()))

    def in_hand(self) -> Callable[[], bool]:
        """Begin something that should be finished: tells whether it has to be given up all the same.

        It has :data:`IN_HAND` seconds from the end on, or from now on where the end has come already.
        """
        seen: list[float] = []

        def given_up() -> bool:
            if not seen and self.over():
                seen.append(self.monotonic())
            return bool(seen) and self.monotonic() >= seen[0] + IN_HAND

        given_up()
        return given_up

    def within(self, seconds: float) -> Deadline:
        """The same end, but no later than so many seconds from now."""
        ends = self.monotonic() + seconds
        return replace(self, ends=ends if self.ends is None else min(ends, self.ends))

    def check(self, unfinished: str) -> None:
        """Go on only if there is time.

        Args:
            unfinished: what is not done when there is none, as a sentence.

        Raises:
            RunStopped: the run should end.
        """
        if self.over():
            why = "the run was told to stop" if self.stopping() else "the time budget is used up"
            raise RunStopped(
                f"{unfinished}: {why}", "the next run continues; --max-runtime gives it more time"
            )


#: of commands that nobody limits
UNLIMITED = Deadline()
