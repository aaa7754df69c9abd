"""The ledger in PostgreSQL: schema ``retention``, behind triggers that let it only grow.

``sql/migrations/0002_ledger.sql`` says how; ``sql/templates/ledger_grants.sql`` what the job's role may.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import StoreError, TamperingFound
from luxima_retention.evidence.events import Event, SweepCompleted
from luxima_retention.evidence.ledger import entry
from luxima_retention.evidence.ledger.entry import Entry
from luxima_retention.evidence.ledger.verify import Tree
from luxima_retention.io.postgres import connect, database_fingerprint
from luxima_retention.io.sqlfiles import named

if TYPE_CHECKING:
    import psycopg

_PAGE = 2000


def _sql(name: str) -> bytes:
    return named("queries/ledger.sql")[name].encode()


class PostgresLedger:
    """Keeps the chain in table ``retention.ledger``.

    Args:
        dsn: where schema ``retention`` is; connected to at first use.
        deadline: of the run.
    """

    def __init__(self, dsn: str, deadline: Deadline = UNLIMITED) -> None:
        self._dsn = dsn
        self._deadline = deadline
        self._own: psycopg.Connection[Any] | None = None
        self._fingerprint: str | None = None
        self.written: Entry | None = None

    def append(
        self,
        event: Event,
        *,
        policy: str | None,
        at: datetime,
        inside: psycopg.Connection[Any] | None = None,
    ) -> Entry:
        """See :class:`~.Ledger`."""
        with _errors("an entry could not be written to the ledger"):
            if inside is not None:
                return _append(inside, event, policy=policy, at=at, durable=False)
            connection = self._connection()
            with connection.transaction():
                made = _append(connection, event, policy=policy, at=at, durable=True)
            self.written = made
            return made

    def entries(
        self, after: int = 0, kinds: Collection[str] | None = None, policy: str | None = None
    ) -> Iterator[Entry]:
        """See :class:`~.Ledger`."""
        for row in self._rows(after, kinds, policy):
            yield entry_of(row)

    def lines(self) -> Iterator[tuple[bytes, str | None]]:
        """See :class:`~.Ledger`."""
        for seq, data, recorded, kind, policy in self._rows(0, None, None):
            said = f'"kind":"{kind}","policy":{json.dumps(policy)},"previous":"'
            if said.encode() not in data:
                raise _disagrees(seq)
            yield data, recorded.hex()

    def _rows(
        self, after: int, kinds: Collection[str] | None, policy: str | None
    ) -> Iterator[tuple[int, bytes, bytes, str, str | None]]:
        """Rows in their order, page by page: in no single snapshot, and in flat memory."""
        wanted = {"kinds": None if kinds is None else list(kinds), "policy": policy, "page": _PAGE}
        while True:
            with _errors("the ledger could not be read"):
                rows = self._connection().execute(_sql("page"), {**wanted, "after": after}).fetchall()
            yield from rows
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def newest(self, kinds: Collection[str] | None = None, policy: str | None = None) -> Entry | None:
        """See :class:`~.Ledger`."""
        wanted = {"kinds": None if kinds is None else list(kinds), "policy": policy}
        with _errors("the ledger could not be read"):
            row = self._connection().execute(_sql("newest"), wanted).fetchone()
        return None if row is None else entry_of(row)

    def head(self) -> Entry | None:
        """See :class:`~.Ledger`."""
        return self.newest()

    def shares(self, fingerprint: str) -> bool:
        """See :class:`~.Ledger`."""
        if self._fingerprint is None:
            with _errors("the ledger could not be read"):
                self._fingerprint = database_fingerprint(self._connection())
        return fingerprint == self._fingerprint or fingerprint.startswith(self._fingerprint + "/")

    def newest_checkpoint(self, at: int | None = None) -> tuple[Tree, str] | None:
        """See :class:`~.Ledger`."""
        with _errors("the ledger's checkpoints could not be read"):
            row = self._connection().execute(_sql("newest_checkpoint"), {"at": at}).fetchone()
        if row is None:
            return None
        size, peaks, note = row
        try:
            return Tree(size, [bytes(peaks)[start : start + 32] for start in range(0, len(peaks), 32)]), note
        except ValueError as error:
            raise TamperingFound(f"the checkpoint of {size} entries was changed: {error}") from error

    def record(self, note: str, tree: Tree) -> None:
        """See :class:`~.Ledger`."""
        values = {"size": tree.size, "root": tree.root(), "peaks": b"".join(tree.peaks), "note": note}
        with _errors("a checkpoint could not be written to the ledger"):
            self._connection().execute(_sql("record"), values)

    def notes(self) -> Iterator[str]:
        """See :class:`~.Ledger`."""
        with _errors("the ledger's checkpoints could not be read"):
            rows = self._connection().execute(_sql("notes")).fetchall()
        return iter([str(note) for (note,) in rows])

    def check_writable(self) -> None:
        """See :class:`~.Ledger`; writes an entry and rolls it back."""
        from luxima_retention.core.clock import system_clock

        with _errors("the ledger cannot be written"):
            connection = self._connection()
            with connection.transaction(force_rollback=True):
                _append(connection, SweepCompleted(), policy=None, at=system_clock(), durable=False)

    def close(self) -> None:
        """See :class:`~.Ledger`."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def _connection(self) -> psycopg.Connection[Any]:
        """The ledger's own connection, in autocommit mode; made again when it broke."""
        if self._own is None or self._own.closed:
            self._own = connect(self._dsn, purpose="ledger", deadline=self._deadline)
            self._own.autocommit = True
        return self._own


def _append(
    connection: psycopg.Connection[Any], event: Event, *, policy: str | None, at: datetime, durable: bool
) -> Entry:
    """Take the head, then write what follows it, in the connection's open transaction."""
    row = connection.execute(_sql("head"), {"durable": durable}).fetchone()
    if row is None:
        raise StoreError("the ledger does not say where its head is")
    seq, head, newest = row
    at = entry.not_before(at, newest)
    made = entry.make(event, policy=policy, at=at, seq=seq + 1, previous=bytes(head).hex())
    values = {"seq": made.seq, "entry": made.data, "hash": bytes.fromhex(made.hash), "previous": head}
    connection.execute(_sql("append"), values)
    return made


def entry_of(row: tuple[Any, ...]) -> Entry:
    """The entry of one row, whose columns must say what its bytes say."""
    seq, data, recorded, kind, policy = row
    found = entry.read(bytes(data))
    if (found.seq, found.hash, found.kind, found.policy) != (seq, bytes(recorded).hex(), kind, policy):
        raise _disagrees(seq)
    return found


def _disagrees(seq: int) -> TamperingFound:
    return TamperingFound(
        f"entry {seq} of the ledger was changed: its columns and its bytes disagree",
        "run `luxima-retention ledger verify` and compare with the newest anchor",
    )


@contextmanager
def _errors(sentence: str) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise _failed(sentence, error) from error


def _failed(sentence: str, error: psycopg.Error) -> StoreError:
    """What the server said, as our error, with the hint that its SQLSTATE asks for."""
    said = error.diag.message_primary or str(error).strip().partition("\n")[0]
    return StoreError(f"{sentence}: {said}", _hints().get(error.sqlstate or "08006"))


@cache
def _hints() -> dict[str, str]:
    migrate = "run `luxima-retention migrate` with the owner's connection"
    return {
        "42P01": migrate,
        "42883": migrate,
        "3F000": migrate,
        "42501": f"{migrate}; it grants the job's role what it needs on the ledger",
        "25006": "database.dsn must name the primary, not a standby",
        "08006": "check that database.dsn is reachable",
    }
