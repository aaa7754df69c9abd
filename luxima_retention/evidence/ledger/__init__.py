"""The ledger: what was decided, done and refused, as a chain of entries that is only ever appended to.

Three keepers of the same chain: :mod:`.postgres` where ``database.dsn`` is set, :mod:`.file` where
``ledger.path`` names one on a persistent volume, :mod:`.memory` for unit tests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.evidence.events import Event
from luxima_retention.evidence.ledger.entry import Entry, verify_chain
from luxima_retention.evidence.ledger.verify import GENESIS, Tree

__all__ = ["GENESIS", "Entry", "Ledger", "open_ledger", "verify_chain"]


class Ledger(Protocol):
    """A chain of entries.

    Attributes:
        written: the newest entry that this process itself made durable: it must still be there when it signs.

    Every method raises :class:`~.StoreError` when the ledger cannot be reached,
    read or written, and :class:`~.TamperingFound` when it is not what was written.
    """

    #: the newest entry that this process wrote outside of a transaction of somebody else's
    written: Entry | None

    def append(self, event: Event, *, policy: str | None, at: datetime, inside: Any = None) -> Entry:
        """Write the next entry, durably.

        Args:
            event: what it says.
            policy: ``None`` for an entry of no single policy.
            at: the program's clock, UTC.
            inside: an open psycopg connection to the database that :meth:`shares` recognised: the entry
                becomes final with the caller's transaction, and until then nobody else can append.
                Without it the entry is durable when this returns.

        Raises:
            ValueError: the event holds what the ledger does not take; a fault of the caller.
        """

    def entries(
        self, after: int = 0, kinds: Collection[str] | None = None, policy: str | None = None
    ) -> Iterator[Entry]:
        """Entries numbered above ``after``, in their order, in flat memory; ``None`` does not restrict."""

    def lines(self) -> Iterator[tuple[bytes, str | None]]:
        """The bytes of every entry, and the hash that is recorded beside it if there is one: to verify."""

    def newest(self, kinds: Collection[str] | None = None, policy: str | None = None) -> Entry | None:
        """The newest entry, or the newest of some kinds or of one policy; ``None`` when there is none."""

    def head(self) -> Entry | None:
        """The newest entry of all; ``None`` for an empty ledger."""

    def shares(self, fingerprint: str) -> bool:
        """Whether the store of this fingerprint lies in the ledger's own database.

        Then the entry of a batch can be written ``inside`` the transaction of its deletion.
        """

    def newest_checkpoint(self, at: int | None = None) -> tuple[Tree, str] | None:
        """The newest recorded checkpoint, of at most ``at`` entries: the tree it was made from, and its note.

        ``None`` without one. Nothing here is verified.
        """

    def record(self, note: str, tree: Tree) -> None:
        """Keep a checkpoint's signed note, and the tree that it was made from. Recording it twice is one."""

    def notes(self) -> Iterator[str]:
        """Every recorded note, by size."""

    def check_writable(self) -> None:
        """Prove that an entry could be written now, without writing one."""

    def close(self) -> None:
        """Give back connections and descriptors; may be called twice."""


def open_ledger(dsn: str, path: str, deadline: Deadline = UNLIMITED) -> Ledger:
    """The ledger that the settings name; nothing is connected to or opened yet.

    Args:
        dsn: ``database.dsn``; empty when there is no database of our own.
        path: ``ledger.path``; used without ``dsn`` only.
        deadline: of the run: no answer of the database is waited for much longer.

    Raises:
        ConfigurationError: neither is set: nothing may be destroyed without a ledger.
    """
    if dsn:
        from luxima_retention.evidence.ledger.postgres import PostgresLedger

        return PostgresLedger(dsn, deadline)
    if path:
        from luxima_retention.evidence.ledger.file import FileLedger

        return FileLedger(Path(path))
    raise ConfigurationError(
        "no ledger is configured, and nothing is destroyed without one",
        "set database.dsn, or ledger.path to a file on a persistent volume",
    )
