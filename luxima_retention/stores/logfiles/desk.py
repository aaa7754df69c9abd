"""What a set needs beyond its own directories: locks, journal, hooks, ledger, the wish to stop.

All of it is done by the process that was started, with its own rights. A set that is worked on as another
user asks for it over a socket, see :mod:`~luxima_retention.stores.logfiles.child`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from luxima_retention.stores.logfiles.folder import Folder, Locks
from luxima_retention.stores.logfiles.hooks import run_hooks
from luxima_retention.stores.logfiles.journal import Journal, Step, name_of
from luxima_retention.stores.logfiles.sets import LogSet
from luxima_retention.stores.logfiles.terms import Terms

#: the settings of a set that hold hooks
EVENTS = ("first", "before", "after", "before_removal", "last")


class Desk(Protocol):
    """See the module."""

    def pending(self) -> Sequence[Step]:
        """What earlier runs have left half done."""

    def lock(self, name: str, what: str) -> None:
        """Keep other rotations out; see :meth:`~luxima_retention.stores.logfiles.folder.Locks.take`."""

    def begin(self, steps: Iterable[Step]) -> None:
        """Announce rotations, durably."""

    def copied(self, key: str, inode: int) -> None:
        """A copy is whole."""

    def done(self, keys: Collection[str]) -> None:
        """Nothing is left to be done for some logs."""

    def hooks(self, event: str, paths: Sequence[str], rotated: str, what: str) -> Sequence[str]:
        """Run hooks; see :func:`~luxima_retention.stores.logfiles.hooks.run_hooks`."""

    def record(self, values: Mapping[str, Any]) -> None:
        """Tell the ledger."""

    def stopping(self) -> bool:
        """Whether the run should end."""


class OwnDesk:
    """See :class:`Desk`, in this very process.

    Args:
        log_set: that is worked on.
        terms: of the run.
        folder: of our own.
        locks: in it.

    Raises:
        BusyError: another rotation works on the set.
        StoreError: its journal cannot be read.
    """

    def __init__(self, log_set: LogSet, terms: Terms, folder: Folder, locks: Locks) -> None:
        self._set = log_set
        self._locks = locks
        name = name_of(log_set.name, log_set.settings.paths)
        locks.take(f"set {name}", f"on set {log_set.name}")
        self._journal = Journal(folder, name)
        self.record = terms.record
        self.stopping = terms.stopping
        self.pending = lambda: self._journal.pending
        self.lock = locks.take
        self.begin = self._journal.begin
        self.copied = self._journal.copied
        self.done = self._journal.done
        self.close = self._journal.close

    def hooks(self, event: str, paths: Sequence[str], rotated: str, what: str) -> Sequence[str]:
        """See :class:`Desk`."""
        chosen = getattr(self._set.settings, event) if event in EVENTS else ()
        return run_hooks(chosen, event, paths, rotated, what=what)


class DryDesk:
    """See :class:`Desk`; for a run that only looks."""

    def __init__(self, terms: Terms) -> None:
        self.stopping = terms.stopping

    def pending(self) -> Sequence[Step]:
        """A dry run finishes nothing."""
        return ()

    def _nothing(self, *_values: Any) -> None: ...

    lock = begin = copied = done = record = _nothing

    def hooks(self, *_values: Any) -> Sequence[str]:
        """None."""
        return ()

    def close(self) -> None:
        """Nothing is open."""
