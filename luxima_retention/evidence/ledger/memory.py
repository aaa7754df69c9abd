"""A ledger that forgets: for unit tests of what stands above it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from luxima_retention.core.errors import StoreError
from luxima_retention.evidence.events import Event
from luxima_retention.evidence.ledger import entry
from luxima_retention.evidence.ledger.entry import Entry
from luxima_retention.evidence.ledger.verify import Tree


class MemoryLedger:
    """Keeps entries in a list.

    Args:
        shares_with: the fingerprint of the one store that :meth:`shares` recognises.
    """

    def __init__(self, shares_with: str | None = None) -> None:
        self.all: list[Entry] = []
        self.recorded: list[str] = []
        self.writable = True
        self.written: Entry | None = None
        self._trees: dict[int, Tree] = {}
        self._shares_with = shares_with

    def append(
        self,
        event: Event,
        *,
        policy: str | None,
        at: datetime,
        inside: Any = None,  # noqa: ARG002 - the memory has no transactions
    ) -> Entry:
        """See :class:`~.Ledger`."""
        self.check_writable()
        seq, previous = entry.after(self.head())
        self.all.append(entry.make(event, policy=policy, at=at, seq=seq, previous=previous))
        self.written = self.all[-1]
        return self.all[-1]

    def entries(
        self, after: int = 0, kinds: Collection[str] | None = None, policy: str | None = None
    ) -> Iterator[Entry]:
        """See :class:`~.Ledger`."""
        return (item for item in self.all[after:] if entry.matches(item, kinds, policy))

    def lines(self) -> Iterator[tuple[bytes, str | None]]:
        """See :class:`~.Ledger`."""
        return ((item.data, item.hash) for item in self.all)

    def newest(self, kinds: Collection[str] | None = None, policy: str | None = None) -> Entry | None:
        """See :class:`~.Ledger`."""
        return next((item for item in reversed(self.all) if entry.matches(item, kinds, policy)), None)

    def head(self) -> Entry | None:
        """See :class:`~.Ledger`."""
        return self.newest()

    def shares(self, fingerprint: str) -> bool:
        """See :class:`~.Ledger`."""
        return fingerprint == self._shares_with

    def newest_checkpoint(self, at: int | None = None) -> tuple[Tree, str] | None:
        """See :class:`~.Ledger`."""
        for note in reversed(self.recorded):
            size = int(note.split("\n")[1])
            if (at is None or size <= at) and size in self._trees:
                tree = self._trees[size]
                return Tree(size, tree.peaks), note
        return None

    def record(self, note: str, tree: Tree) -> None:
        """See :class:`~.Ledger`."""
        if note not in self.recorded:
            self.recorded.append(note)
        self._trees[tree.size] = Tree(tree.size, tree.peaks)

    def notes(self) -> Iterator[str]:
        """See :class:`~.Ledger`."""
        return iter(self.recorded)

    def check_writable(self) -> None:
        """See :class:`~.Ledger`."""
        if not self.writable:
            raise StoreError("the ledger in memory was told not to be writable")

    def close(self) -> None:
        """Nothing to give back."""
