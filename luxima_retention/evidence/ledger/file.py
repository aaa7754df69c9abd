"""The ledger as a file: one entry a line, appended under a lock and synced to the disk.

Only for installations without ``database.dsn``, on a volume that outlives the process.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from luxima_retention.core.errors import StoreError, TamperingFound
from luxima_retention.core.foreign import json_of
from luxima_retention.evidence.events import Event
from luxima_retention.evidence.ledger import entry
from luxima_retention.evidence.ledger.entry import Entry
from luxima_retention.evidence.ledger.verify import Tree, parse

_BLOCK = 64 * 1024
#: how the bytes of every entry begin: the members are sorted
_BEGINNING = b'{"at":"'


class FileLedger:
    """Keeps the chain in a file of JSON lines.

    A process that dies in the middle of an append leaves a last line without its end. What stands there
    was never reported as written. The next append finishes it if it is whole, and moves it aside to
    ``<path>.torn-<seq>`` if it is provably the beginning of the next entry; anything else is refused.

    Args:
        path: created when it is not there; its directory must be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: Entry | None = None

    def append(self, event: Event, *, policy: str | None, at: datetime, inside: Any = None) -> Entry:
        """See :class:`~.Ledger`; a file cannot take part in a transaction."""
        if inside is not None:
            raise ValueError("a ledger in a file cannot write inside a database transaction")
        with self._locked(fcntl.LOCK_EX) as descriptor:
            head = self._mended_head(descriptor)
            seq, previous = entry.after(head)
            at = entry.not_before(at, head.at if head else None)
            made = entry.make(event, policy=policy, at=at, seq=seq, previous=previous)
            self._write(descriptor, made.data + b"\n")
            self.written = made
            return made

    def entries(
        self, after: int = 0, kinds: Collection[str] | None = None, policy: str | None = None
    ) -> Iterator[Entry]:
        """See :class:`~.Ledger`."""
        told = None if kinds is None else [f'"kind":"{kind}"'.encode() for kind in kinds]
        for number, (data, _) in enumerate(self.lines(), start=1):
            # Parsing costs most, and few of many entries are asked for.
            if told is not None and not any(word in data for word in told):
                continue
            if number > after and entry.matches(item := entry.read(data), kinds, policy):
                yield item

    def lines(self) -> Iterator[tuple[bytes, str | None]]:
        """See :class:`~.Ledger`; an unfinished last line was never an entry."""
        if not self.path.exists():
            return
        with self._locked(fcntl.LOCK_SH) as descriptor:
            end, _ = _split(descriptor)
        with self._errors(), self.path.open("rb") as lines:
            position = 0
            for line in lines:
                position += len(line)
                if position > end:
                    return
                yield line[:-1], None

    def newest(self, kinds: Collection[str] | None = None, policy: str | None = None) -> Entry | None:
        """See :class:`~.Ledger`; reads the whole file unless nothing restricts."""
        if kinds is None and policy is None:
            return self.head()
        found = None
        for found in self.entries(kinds=kinds, policy=policy):  # noqa: B007 - the last one counts
            pass
        return found

    def head(self) -> Entry | None:
        """See :class:`~.Ledger`."""
        if not self.path.exists():
            return None
        with self._locked(fcntl.LOCK_SH) as descriptor:
            return _last(descriptor, _split(descriptor)[0])

    def shares(self, fingerprint: str) -> bool:  # noqa: ARG002 - whatever it is
        """A file lies in no database."""
        return False

    def newest_checkpoint(self, at: int | None = None) -> tuple[Tree, str] | None:
        """See :class:`~.Ledger`."""
        found = None
        for recorded in self._recorded():
            if at is None or recorded["size"] <= at:
                found = recorded
        if found is None:
            return None
        return Tree(found["size"], map(bytes.fromhex, found["peaks"])), found["note"]

    def record(self, note: str, tree: Tree) -> None:
        """See :class:`~.Ledger`; a file of JSON lines beside the ledger."""
        if note in self.notes():
            return
        peaks = [peak.hex() for peak in tree.peaks]
        line = json.dumps({"size": tree.size, "peaks": peaks, "note": note}) + "\n"
        with self._locked(fcntl.LOCK_EX, self._checkpoints) as descriptor:
            end, _ = _split(descriptor)
            os.ftruncate(descriptor, end)
            self._write(descriptor, line.encode())

    def notes(self) -> Iterator[str]:
        """See :class:`~.Ledger`."""
        for recorded in self._recorded():
            yield recorded["note"]

    def check_writable(self) -> None:
        """See :class:`~.Ledger`; mends a torn end, which an append would do too."""
        with self._locked(fcntl.LOCK_EX) as descriptor:
            self._mended_head(descriptor)
            if os.statvfs(descriptor).f_bavail == 0:
                raise StoreError(f"no space is left for the ledger {self.path}")

    def close(self) -> None:
        """Nothing stays open between calls."""

    @property
    def _checkpoints(self) -> Path:
        return self.path.with_name(f"{self.path.name}.checkpoints")

    def _recorded(self) -> Iterator[dict[str, Any]]:
        """Every whole line of the checkpoints; one that was cut was never reported as recorded."""
        if not self._checkpoints.exists():
            return
        with self._errors(), self._checkpoints.open() as lines:
            for number, line in enumerate(lines, start=1):
                if line.endswith("\n"):
                    yield _recorded(line, f"line {number} of {self._checkpoints}")

    @contextmanager
    def _locked(self, mode: int, path: Path | None = None) -> Iterator[int]:
        """The file's descriptor, locked until the block ends; made when it is to be written."""
        path = path or self.path
        writing = mode == fcntl.LOCK_EX
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT if writing else os.O_RDONLY
        with self._errors():
            is_new = not path.exists()
            descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, mode)
                if is_new:
                    _sync_directory(path.parent)
                yield descriptor
            finally:
                os.close(descriptor)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"the ledger {self.path} cannot be used: {error.strerror}",
                "ledger.path must name a file on a persistent volume that this user may write",
            ) from error

    def _mended_head(self, descriptor: int) -> Entry | None:
        """The last entry, after what an interrupted append left behind was dealt with."""
        end, tail = _split(descriptor)
        head = _last(descriptor, end)
        if not tail:
            return head
        seq, previous = entry.after(head)
        if _is_entry(tail, seq, previous):
            self._write(descriptor, b"\n")
            return entry.read(tail)
        if not _is_beginning(tail):
            raise TamperingFound(
                f"the ledger {self.path} ends in {len(tail)} bytes that are not the beginning of entry {seq}",
                "run `luxima-retention ledger verify`; compare the file with its newest anchor",
            )
        self._set_aside(tail, seq)
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)
        return head

    def _set_aside(self, tail: bytes, seq: int) -> None:
        aside = self.path.with_name(f"{self.path.name}.torn-{seq}")
        with aside.open("ab") as file:
            file.write(tail + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _sync_directory(self.path.parent)

    def _write(self, descriptor: int, data: bytes) -> None:
        """Append and sync; a write that does not fit (disk full) is taken back before it is reported."""
        size = os.fstat(descriptor).st_size
        try:
            written = os.write(descriptor, data)
            if written < len(data):
                written += os.write(descriptor, data[written:])
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise


def _split(descriptor: int) -> tuple[int, bytes]:
    """Where the last whole line ends, and the bytes behind it."""
    size = os.fstat(descriptor).st_size
    tail = b""
    start = size
    while start > 0 and b"\n" not in tail:
        step = min(_BLOCK, start)
        start -= step
        tail = os.pread(descriptor, step, start) + tail
    end = start + tail.rfind(b"\n") + 1
    return end, tail[end - start :]


def _last(descriptor: int, end: int) -> Entry | None:
    """The entry whose line ends at ``end``; ``None`` at the beginning of the file."""
    if end == 0:
        return None
    line = b""
    start = end - 1
    while start > 0 and b"\n" not in line:
        step = min(_BLOCK, start)
        start -= step
        line = os.pread(descriptor, step, start) + line
    return entry.read(line[line.rfind(b"\n") + 1 :])


def _recorded(line: str, place: str) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json_of(line)
        Tree(value["size"], map(bytes.fromhex, value["peaks"]))
        str(value["note"])
    except (ValueError, KeyError, TypeError) as error:
        raise TamperingFound(f"{place} is not a recorded checkpoint: {error}") from error
    return value


def _is_entry(tail: bytes, seq: int, previous: str) -> bool:
    """Whether the bytes are a whole entry that belongs here, and only its line's end is missing."""
    try:
        members = parse(tail)
    except ValueError:
        return False
    return members.get("seq") == seq and members.get("previous") == previous


def _is_beginning(tail: bytes) -> bool:
    """Whether the bytes can only be the beginning of an entry: one that was cut before its last brace.

    Some file systems leave zero bytes where a write was promised and never came.
    """
    tail = tail.rstrip(b"\0")
    if not (tail.startswith(_BEGINNING) or _BEGINNING.startswith(tail)):
        return False
    try:
        json_of(tail)
    except ValueError:
        return not tail.endswith(b',"v":1}')
    return False


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
