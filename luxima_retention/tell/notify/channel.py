"""What every channel has in common: how it says that a message did not arrive, and limits in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from luxima_retention.core.errors import RetentionError, StoreError
from luxima_retention.tell.notify.conditions import Message

Value = TypeVar("Value")
#: channel's reference of each message that it sent before: number → reference
Sent = Mapping[str, Any]


class Later(StoreError):  # noqa: N818 - the receiver's decision
    """The receiver did not accept the message now; the next flush sends it again.

    Args:
        seconds: that it asked to wait.
    """

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class Refused(StoreError):  # noqa: N818 - the receiver's decision
    """The receiver will never take this message as it is."""


class Channel(Protocol):
    """One way to people."""

    #: ``telegram``, ``mail``, ``plane``, ``webhook``
    name: str
    #: whether it waits for the end of the quiet hours with what is not critical
    waits: bool

    def send(self, message: Message, sent: Sent) -> Any:
        """Send one message.

        Returns:
            A JSON value by which a later message can answer this one.

        Raises:
            Later: not now.
            Refused: never.
            RetentionError: it is not known whether it arrived.
        """

    def test(self) -> str:
        """Send a marked message; a sentence that says what the receiver answered. Raises as :meth:`send`."""


def bounded(work: Callable[[], Value], seconds: float, what: str) -> Value:
    """What ``work`` returns, if it ends in time; a library that hangs is left to itself.

    Args:
        work: blocks, perhaps without end.
        seconds: to wait for it.
        what: the subject of the sentence that is told otherwise.

    Raises:
        StoreError: it did not end in time.
        Exception: whatever ``work`` raised.
    """
    ended: list[Value] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            ended.append(work())
        except Exception as error:  # noqa: BLE001 - raised where somebody waits
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True, name=what)
    thread.start()
    thread.join(max(seconds, 0.0))
    if raised:
        raise raised[0]
    if not ended:
        raise StoreError(f"{what} did not answer within {seconds:.1f} s")
    return ended[0]


def reason_of(error: RetentionError) -> str:
    """What happened, without the address, which may be a credential."""
    from luxima_retention.io.http import HttpError

    return error.reason if isinstance(error, HttpError) else error.message
