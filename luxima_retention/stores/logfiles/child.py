"""Work in a process of its own that has become another user for good, before it opens anything.

It has no identity but the user's: real, effective and saved, and no supplementary group. So what it starts,
a compressor for instance, has no other rights either. Whatever needs the rights of the process that was
started (journal, locks, hooks, ledger) it asks for over a socket, one line of JSON for each question.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from luxima_retention.core.errors import LeaseHeld, RetentionError, StoreError
from luxima_retention.stores.logfiles.desk import Desk
from luxima_retention.stores.logfiles.identity import Identity
from luxima_retention.stores.logfiles.journal import Step, step_of
from luxima_retention.stores.logfiles.system import BusyError

_PARENT_DIES = 1  # PR_SET_PDEATHSIG of prctl(2)
#: how often the question is asked whether the run should end
_STEP = 0.1

Work = Callable[[Desk], dict[str, Any]]


def as_user(identity: Identity, desk: Desk, work: Work) -> dict[str, Any]:
    """The result of work that is done in a process of another user, as JSON values.

    Args:
        identity: whom the process becomes.
        desk: answers its questions.
        work: gets a desk; whatever modules it needs are imported already.

    Raises:
        StoreError: the process has ended without a result.
    """
    here, there = socket.socketpair()
    process = os.fork()
    if not process:
        _be(identity, there, work)
    there.close()
    answered = False
    try:
        result = _answer(here, desk)
        answered = True
    finally:
        here.close()
        if not answered:
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
    if result is None:
        said = os.waitstatus_to_exitcode(status)
        how = f"signal {-said}" if said < 0 else f"status {said}"
        raise StoreError(f"the process of user {identity.user} has ended with {how} and no result")
    return result


def _be(identity: Identity, there: socket.socket, work: Work) -> NoReturn:
    """What the new process does; it never returns to what its parent was doing."""
    status = 1
    try:
        gc.freeze()  # what the parent has open must not be closed once more when it is collected
        for number in (signal.SIGINT, signal.SIGTERM):  # the parent is asked whether to stop
            signal.signal(number, lambda *_: None)
        os.dup2(there.fileno(), 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        identity.become()
        ctypes.CDLL(None).prctl(_PARENT_DIES, signal.SIGKILL)
        with socket.socket(fileno=3) as wire:
            desk = _Asking(wire)
            desk.tell({"result": work(desk)})
        status = 0
    finally:
        os._exit(status)


def _answer(here: socket.socket, desk: Desk) -> dict[str, Any] | None:
    """Answer questions until there is a result; ``None`` when the other side is gone."""
    with here.makefile("rb") as lines:
        for line in lines:
            question = json.loads(line)
            if "result" in question:
                return dict(question["result"])
            answer = _answered(desk, str(question["ask"]), list(question["with"]))
            here.sendall(json.dumps(answer).encode() + b"\n")
    return None


def _answered(desk: Desk, what: str, values: list[Any]) -> dict[str, Any]:
    if what == "begin":
        values = [[step_of(step) for step in values[0]]]
    elif what == "lock" and not str(values[0]).startswith("directory "):
        raise ValueError(f"{values[0]!r} is not the lock of a directory")
    try:
        if what == "pending":
            return {"answer": [step.as_json() for step in desk.pending()]}
        return {"answer": getattr(desk, what)(*values) if what in _QUESTIONS else None}
    except RetentionError as error:
        return {"error": [error.message, error.hint, int(error.exit_code)]}


_QUESTIONS = frozenset({"lock", "begin", "copied", "done", "hooks", "record", "stopping"})


class _Asking:
    """See :class:`~luxima_retention.stores.logfiles.desk.Desk`, on the other side of a socket."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._lines = wire.makefile("rb")
        self._stops = False
        self._asked = 0.0

    def tell(self, values: Mapping[str, Any]) -> None:
        self._wire.sendall(json.dumps(values).encode() + b"\n")

    def _ask(self, what: str, *values: Any) -> Any:
        self.tell({"ask": what, "with": values})
        answer = json.loads(self._lines.readline())
        if "error" not in answer:
            return answer["answer"]
        message, hint, code = answer["error"]
        raise (BusyError if code == LeaseHeld.exit_code else StoreError)(message, hint)

    def pending(self) -> Sequence[Step]:
        return [step_of(step) for step in self._ask("pending")]

    def lock(self, name: str, what: str) -> None:
        self._ask("lock", name, what)

    def begin(self, steps: Iterable[Step]) -> None:
        self._ask("begin", [step.as_json() for step in steps])

    def copied(self, key: str, inode: int) -> None:
        self._ask("copied", key, inode)

    def done(self, keys: Collection[str]) -> None:
        self._ask("done", list(keys))

    def hooks(self, event: str, paths: Sequence[str], rotated: str, what: str) -> Sequence[str]:
        return tuple(self._ask("hooks", event, list(paths), rotated, what))

    def record(self, values: Mapping[str, Any]) -> None:
        self._ask("record", values)

    def stopping(self) -> bool:
        now = time.monotonic()
        if now - self._asked > _STEP:
            self._stops, self._asked = bool(self._ask("stopping")), now
        return self._stops
