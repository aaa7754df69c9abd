"""The rotation of log files: an operation of its own, which never needs the ledger.

Each set has its turn: in this process, or in one of its own that has become another user for good. What is
believed of earlier runs lies in the folder of our own; see :mod:`~luxima_retention.stores.logfiles.folder`.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import RetentionError, StoreError
from luxima_retention.stores.logfiles import state as states
from luxima_retention.stores.logfiles.child import as_user
from luxima_retention.stores.logfiles.desk import EVENTS, Desk, DryDesk, OwnDesk
from luxima_retention.stores.logfiles.folder import Folder, Locks, state_path
from luxima_retention.stores.logfiles.identity import identity_of
from luxima_retention.stores.logfiles.outcome import Rotations
from luxima_retention.stores.logfiles.safe import Directory
from luxima_retention.stores.logfiles.sets import LogSet
from luxima_retention.stores.logfiles.state import State
from luxima_retention.stores.logfiles.terms import Terms
from luxima_retention.stores.logfiles.turn import Seen, Turn, unforeseen

_YEAR = 366
_ENOUGH = 65_536
_MODULES = (
    "wcmatch.fnmatch",
    "zstandard",
    "zlib_ng.zlib_ng",
    "gzip",
    "bz2",
    "lzma",
    "concurrent.futures.thread",
)


def rotate(log_sets: Sequence[LogSet], terms: Terms) -> tuple[Rotations, ...]:
    """Rotate what is due in each set; a failure of one does not keep the others from their turn.

    Raises:
        LeaseHeld: another rotation has the state file.
        StoreError: the state cannot be read, or others could have written it.
    """
    if not log_sets:
        return ()
    with _limit_raised(), ExitStack() as stack:
        run = _Run(log_sets[0], terms, stack)
        results = [run.turn(log_set) for log_set in log_sets]
        run.end(results[0])
    return tuple(results)


@contextmanager
def _limit_raised() -> Iterator[None]:
    """Many directories are open at once; no more than what programs that we start can cope with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class _Run:
    """What the sets of a run share.

    Args:
        first: any set; they have zone and places of state in common.
        terms: of the run.
        stack: closes what is opened here.
    """

    def __init__(self, first: LogSet, terms: Terms, stack: ExitStack) -> None:
        self._terms = terms
        self._seen: Seen = {}
        self._folder = Folder.open_own(state_path(first.state_dir), make=not terms.read_only)
        self._locks: Locks | None = None
        if self._folder is not None:
            stack.callback(self._folder.close)
        if self._folder is not None and not terms.read_only:
            self._locks = stack.enter_context(closing(Locks(self._folder)))
        self._state = self._opened_state(first, stack)

    def _opened_state(self, first: LogSet, stack: ExitStack) -> State | None:
        if first.state_file:
            return stack.enter_context(_state_file(first, read_only=self._terms.read_only))
        if self._folder is None:
            return None
        if self._locks is None:
            return State(self._folder, states.OF_ALL_SETS, first.zone)
        guard = partial(self._locks.briefly, "state")
        return State(self._folder, states.OF_ALL_SETS, first.zone, guard)

    def turn(self, log_set: LogSet) -> Rotations:
        """One set; whatever goes wrong in it is told, and what it has noted is kept."""
        result = Rotations(name=log_set.name)
        try:
            result = self._turn(log_set, result)
        except RetentionError as error:
            result.fail(error)
        except Exception as error:  # noqa: BLE001 - told, and the other sets have their turn
            result.fail(unforeseen(error))
        try:
            if self._state is not None and not self._terms.read_only:
                self._state.save()
        except RetentionError as error:
            result.fail(error)
        return result

    def _turn(self, log_set: LogSet, result: Rotations) -> Rotations:
        identity = identity_of(log_set.settings.user, log_set.settings.group)
        with closing(self._desk(log_set)) as desk:
            if identity is None:
                turn = Turn(log_set, self._terms, self._seen, self._state, desk)
                turn.run()
                return turn.result
            _import_what_is_needed(log_set)
            told = as_user(identity, desk, partial(self._work, log_set))
        result.unwire(told["result"])
        self._seen.update(_unwired(told["seen"]))
        for log, at in told["noted"].items():
            self._noted(log, at)
        return result

    def _desk(self, log_set: LogSet) -> OwnDesk | DryDesk:
        if self._folder is None or self._locks is None:
            return DryDesk(self._terms)
        return OwnDesk(log_set, self._terms, self._folder, self._locks)

    def _work(self, log_set: LogSet, desk: Desk) -> dict[str, Any]:
        """A set's turn in the process of its user."""
        turn = Turn(log_set, self._terms, self._seen, self._state, desk)
        turn.run()
        noted = self._state.changes if self._state is not None else {}
        return {
            "result": turn.result.wire(),
            "seen": [[*key, logs] for key, logs in self._seen.items()],
            "noted": {log: iso(at) if at else None for log, at in noted.items()},
        }

    def _noted(self, log: str, at: str | None) -> None:
        if self._state is None:
            return
        if at is None:
            self._state.forget([log])
        else:
            self._state.note(log, parse_iso(at))

    def end(self, result: Rotations) -> None:
        """Forget logs that are gone and of which nothing was heard for a year; tell a damaged state."""
        if self._state is None:
            return
        for problem in self._state.problems:
            result.fail(StoreError(problem, "it is kept beside the new one as .damaged"))
        if self._terms.read_only:
            return
        self._state.forget(_gone(self._state, self._terms.now))
        try:
            self._state.save()
        except RetentionError as error:
            result.fail(error)


def _gone(state: State, now: datetime) -> list[str]:
    """Logs that are no more."""
    known = ((log, state.last(log)) for log in state.known())
    return [log for log, last in known if last and (now - last).days > _YEAR and not os.path.lexists(log)]


def _unwired(seen: list[list[Any]]) -> Seen:
    return {
        (device, inode): {log: (name, shared) for log, (name, shared) in logs.items()}
        for device, inode, logs in seen
    }


def _import_what_is_needed(log_set: LogSet) -> None:
    """The user may not be allowed to read our modules."""
    hooks = [hook for event in EVENTS for hook in getattr(log_set.settings, event)]
    needed = [*_MODULES, *(["requests"] if any(hook.url for hook in hooks) else [])]
    for name in needed:
        import_module(name)


@contextmanager
def _state_file(log_set: LogSet, *, read_only: bool) -> Iterator[State | None]:
    """The state file of logrotate, with its lock; ``/dev/null`` keeps none."""
    path = log_set.state_file
    if Path(path).is_char_device():
        yield None
        return
    try:
        directory = Directory.open(os.path.dirname(path) or "/")  # noqa: PTH120 - as it is written
    except FileNotFoundError as error:
        said = f"rotation.state_file is {path}, whose directory is missing"
        raise StoreError(said, "make it, or name another") from error
    name = os.path.basename(path)  # noqa: PTH119 - as it is written
    with ExitStack() as stack:
        stack.callback(directory.close)
        states.check_directory(directory)
        if not read_only:
            stack.enter_context(states.locked(directory, name))
        yield State(directory, name, log_set.zone)
