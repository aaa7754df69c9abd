"""A connection to PostgreSQL whose waits end with the run: whatever the server waits for is cancelled."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

from luxima_retention.core.deadline import UNLIMITED, Deadline

Value = TypeVar("Value")

#: Seconds that a server has for cancelling; one that cannot be reached any more does not.
_CANCELLING = 5.0


class StoppableConnection(psycopg.Connection[Any]):
    """As psycopg's own.

    Attributes:
        deadline: of the run; a statement that is in hand when it comes has a few seconds more.
    """

    deadline: Deadline = UNLIMITED

    def wait(
        self,
        gen: Generator[Any, Any, Value],
        interval: float = 0.1,
        timeout: float | None = None,
    ) -> Value:
        """See :meth:`psycopg.Connection.wait`.

        Raises:
            RunStopped: the run should end.
        """
        if self.deadline is UNLIMITED:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(self._watched(gen), interval, timeout)
        except psycopg.errors.QueryCanceled:
            self.deadline.check("the database has not answered")
            raise

    def _watched(self, gen: Generator[Any, Any, Value]) -> Generator[Any, Any, Value]:
        """The same steps; looks at the end of the run each time that nothing has come."""
        given_up, now, cancelled = self.deadline.in_hand(), self.deadline.monotonic, 0.0
        try:
            state = next(gen)
            while True:
                ready = yield state
                if not ready and given_up():
                    if not cancelled:
                        self._try_cancel(timeout=_CANCELLING)
                        cancelled = now()
                    elif now() > cancelled + _CANCELLING:
                        self.pgconn.finish()
                        self.deadline.check("the database has not answered")
                state = gen.send(ready)
        except StopIteration as ended:
            value: Value = ended.value
            return value
