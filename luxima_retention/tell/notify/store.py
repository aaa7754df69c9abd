"""Where the memory of notifications is kept: beside the ledger, in PostgreSQL or in a file.

A run puts what it saw into an inbox without waiting for anybody; whoever holds the lease ``notify`` takes it
from there. So nothing is lost if a run is killed before it told, or while another one is telling.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from luxima_retention.core.errors import StoreError
from luxima_retention.core.foreign import json_of
from luxima_retention.io.sqlfiles import named
from luxima_retention.run.lease import Lease, take_file, take_postgres
from luxima_retention.tell.notify.conditions import Memory, Seen

if TYPE_CHECKING:
    import psycopg

    from luxima_retention.config.settings import Settings

LEASE = "notify"
Inbox = Sequence[tuple[Seen, ...]]


class Store(Protocol):
    """The memory, on disk."""

    def put(self, seen: Sequence[Seen]) -> None:
        """Keep what a run saw until somebody tells it; needs no lease."""

    def lease(self) -> Lease:
        """The right to load and save.

        Raises:
            LeaseHeld: somebody else has it.
        """

    def load(self) -> tuple[Memory, Inbox]:
        """The memory, and what runs saw since it was saved."""

    def remembered(self) -> Memory:
        """The memory as it was saved last; changes nothing, and needs no lease."""

    def save(self, memory: Memory) -> None:
        """Keep the memory; what :meth:`load` gave of the inbox is part of it now."""

    def close(self) -> None:
        """Close what was opened."""


def open_store(settings: Settings) -> Store | None:
    """The store of these settings; ``None`` without a ledger.

    Raises:
        StoreError: the database does not answer.
    """
    if settings.database.dsn is not None:
        return PostgresStore(settings.database.dsn.get_secret_value())
    return FileStore(Path(settings.ledger.path)) if settings.ledger.path else None


def _packed(seen: Sequence[Seen]) -> str:
    return json.dumps([asdict(item) for item in seen])


def _unpacked(values: Any) -> tuple[Seen, ...]:
    return tuple(Seen(**value) for value in values)


class PostgresStore:
    """In the tables ``retention.notify_inbox`` and ``retention.notify_memory``."""

    def __init__(self, dsn: str) -> None:
        from luxima_retention.io.postgres import connect

        self._dsn = dsn
        self._connection = connect(dsn, purpose="notify")
        self._connection.autocommit = True
        self._taken: list[int] = []

    def put(self, seen: Sequence[Seen]) -> None:
        """See :class:`Store`."""
        self._ask("put", seen=_packed(seen))

    def lease(self) -> Lease:
        """See :class:`Store`."""
        return take_postgres(self._dsn, LEASE)

    def load(self) -> tuple[Memory, Inbox]:
        """See :class:`Store`."""
        rows = self._ask("inbox").fetchall()
        self._taken = [row[0] for row in rows]
        return self.remembered(), [_unpacked(row[1]) for row in rows]

    def remembered(self) -> Memory:
        """See :class:`Store`."""
        found = self._ask("memory").fetchone()
        return Memory.from_json(found[0] if found else {})

    def save(self, memory: Memory) -> None:
        """See :class:`Store`."""
        with self._connection.transaction():
            self._ask("save", memory=json.dumps(memory.to_json()))
            self._ask("taken", ids=self._taken)
        self._taken = []

    def close(self) -> None:
        """See :class:`Store`."""
        self._connection.close()

    def _ask(self, name: str, **values: Any) -> psycopg.Cursor[Any]:
        from luxima_retention.io.postgres import errors

        with errors("the memory of notifications cannot be used: run luxima-retention migrate"):
            return self._connection.execute(named("queries/notify.sql")[name].encode(), values)


class FileStore:
    """Beside the file ledger: ``<ledger>.notify.json`` and ``<ledger>.notify.inbox``.

    Args:
        ledger: path of the ledger.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._memory = ledger.with_name(f"{ledger.name}.notify.json")
        self._inbox = ledger.with_name(f"{ledger.name}.notify.inbox")
        self._taken = 0

    def put(self, seen: Sequence[Seen]) -> None:
        """See :class:`Store`."""
        with self._opened() as descriptor:
            os.lseek(descriptor, 0, os.SEEK_END)
            os.write(descriptor, _packed(seen).encode() + b"\n")

    def lease(self) -> Lease:
        """See :class:`Store`. Nobody checks its token: whoever saves has the kernel's lock."""
        return take_file(self._ledger, LEASE, 1)

    def load(self) -> tuple[Memory, Inbox]:
        """See :class:`Store`."""
        memory = self.remembered()
        with self._opened() as descriptor:
            data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        # A line that a killed run did not finish tells nothing.
        data = data[: data.rfind(b"\n") + 1]
        self._taken = len(data)
        with _readable(self._inbox):
            return memory, [_unpacked(json_of(line)) for line in data.splitlines()]

    def remembered(self) -> Memory:
        """See :class:`Store`."""
        with _readable(self._memory):
            text = self._memory.read_text(encoding="utf-8") if self._memory.exists() else "{}"
            return Memory.from_json(json_of(text))

    def save(self, memory: Memory) -> None:
        """See :class:`Store`. Killed in between, it tells the inbox twice, and that changes no condition."""
        new = self._memory.with_name(self._memory.name + ".new")
        with _readable(new):
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(memory.to_json(), file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._memory)
        with self._opened() as descriptor:
            rest = os.pread(descriptor, os.fstat(descriptor).st_size, self._taken)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, rest, 0)
        self._taken = 0

    def close(self) -> None:
        """See :class:`Store`."""

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The inbox, for a moment ours alone."""
        with _readable(self._inbox):
            descriptor = os.open(self._inbox, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield descriptor
            finally:
                os.close(descriptor)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not what was written there"
        raise StoreError(
            f"the memory of notifications {path} cannot be used: {said}",
            "correct the rights of its directory, or remove the file: open problems are reported once more",
        ) from error
