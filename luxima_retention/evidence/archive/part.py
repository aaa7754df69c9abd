"""One batch on its way into the archive: compressed, hashed and uploaded beside the database's thread."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from luxima_retention.core.errors import ArchiveError, RetentionError
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence.archive.records import Digest, Digester
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.objects import Lock, ObjectStore, Upload

_BLOCK = 256 * 1024
#: blocks that may wait: the store is held back by what is slower, and memory stays flat
_WAITING = 8
#: the fastest: a batch holds locks while it is compressed, and log records compress well at any level
_LEVEL = 1
_PIECE = 64 * 1024


class ArchivePart:
    """Takes one batch; a :class:`~luxima_retention.core.protocol.Sink`.

    ``write`` only collects blocks. A thread compresses, hashes and uploads them meanwhile; when it is
    slower, ``write`` waits. What goes wrong there is raised by the next ``write`` or by ``seal``.

    Args:
        place: where it goes.
        name: below the place.
        form: ``csv`` or ``jsonl``.
        lock: Object Lock for the stored object.
    """

    def __init__(self, place: ObjectStore, name: str, form: str, lock: Lock | None) -> None:
        import zstandard

        self.format = form
        self.name = name
        self._place = place
        self._buffer = bytearray()
        self._queue: queue.Queue[bytearray | None] = queue.Queue(_WAITING)
        self._failure: BaseException | None = None
        self._digester = Digester(form)
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
        self._decoder = zstandard.ZstdDecompressor().decompressobj()
        self._decoded = 0
        with _as_archive_error(name):
            self._upload: Upload = place.upload(name, lock)
        self._thread = threading.Thread(target=self._work, name="archive", daemon=True)
        self._thread.start()

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            ArchiveError: what was written before could not be stored.
        """
        self._buffer += data
        if len(self._buffer) >= _BLOCK:
            self._pass_on()

    def seal(
        self, expected_items: int, *, first: datetime | None = None, last: datetime | None = None
    ) -> Sealed:
        """Store the rest, then read everything back from the place and verify it.

        The thread decoded each compressed block again, against the checksum of its content: when the bytes
        that come back from the place are the bytes that it stored, they decode to what was counted.

        Args:
            expected_items: records that the store says it wrote.
            first: the oldest instant among them.
            last: the newest.

        Raises:
            ArchiveError: it could not be stored, or what came back is not what was written. Nothing may
                be deleted then; ``discard`` cleans up.
        """
        with _as_archive_error(self.name):
            self._pass_on()
            self._stop()
            self._raise_failure()
            digest = self._digester.finish()
            if not self._decoder.eof or self._decoded != digest.raw_bytes:
                raise ArchiveError("what was compressed does not decode to what the store wrote")
            if digest.items != expected_items:
                raise ArchiveError(f"it holds {digest.items} records, the store wrote {expected_items}")
            failpoint("archive.before_upload")
            version = self._upload.finish()
            failpoint("archive.after_upload")
            sealed = self._sealed(digest, version, first, last)
            _read_back(self._place, sealed)
        return sealed

    def discard(self) -> None:
        """Leave nothing behind that counts: stop, and take back what was uploaded.

        What cannot be taken back (a locked object, a lost connection) is an orphan: no entry of the
        ledger and no manifest names it.
        """
        self._failure = self._failure or ArchiveError("it was given up")
        self._stop()
        try:
            self._upload.abort()
        except RetentionError as error:
            raise ArchiveError(
                f"archive part {self.name} stays behind as an orphan: {error.message}"
            ) from error

    def _pass_on(self) -> None:
        """Hand the collected block to the thread."""
        self._raise_failure()
        block, self._buffer = self._buffer, bytearray()
        self._queue.put(block)

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            with _as_archive_error(self.name):
                raise self._failure

    def _work(self) -> None:
        """The thread: every block in its order; after a failure it only empties the queue."""
        compressor = self._compressor
        while (block := self._queue.get()) is not None:
            self._guarded(self._take, compressor.compress, bytes(block))
        self._guarded(self._store, compressor.flush)

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        if self._failure is None:
            try:
                step(*arguments)
            except BaseException as error:  # noqa: BLE001 - raised again in the store's thread
                self._failure = error

    def _take(self, compress: Callable[[bytes], bytes], block: bytes) -> None:
        self._digester.feed(block)
        self._store(lambda: compress(block))

    def _store(self, produce: Callable[[], bytes]) -> None:
        failpoint("archive.during_upload")
        data = produce()
        self._sha256.update(data)
        self._size += len(data)
        for piece in _pieces([data]):
            self._decoded += len(self._decoder.decompress(piece))
        self._upload.write(data)

    def _sealed(
        self, digest: Digest, version: str | None, first: datetime | None, last: datetime | None
    ) -> Sealed:
        return Sealed(
            name=self.name,
            version=version,
            items=digest.items,
            first=first,
            last=last,
            bytes=self._size,
            sha256=self._sha256.hexdigest(),
            raw_bytes=digest.raw_bytes,
            raw_sha256=digest.raw_sha256,
            root=digest.root,
            header=digest.header,
        )


def _read_back(place: ObjectStore, sealed: Sealed) -> None:
    """Read from the place what was just stored there, and compare it with what was sent."""
    stored = _Counted(place.read(sealed.name, sealed.version))
    for _ in stored:
        pass
    _compare("stored bytes", stored.found(), (sealed.sha256, sealed.bytes))


def check(place: ObjectStore, sealed: Sealed, form: str) -> None:
    """Read a part from its place, decode it, count and hash its records again, in flat memory.

    Args:
        place: where it is.
        sealed: what it must be.
        form: ``csv`` or ``jsonl``.

    Raises:
        ArchiveError: it cannot be read, or it is not what ``sealed`` says.
    """
    for _ in blocks(place, sealed, form):
        pass


def blocks(place: ObjectStore, sealed: Sealed, form: str) -> Iterator[bytes]:
    """The uncompressed stream of a part; raises at its end if it was not what ``sealed`` says.

    Raises:
        ArchiveError: see :func:`check`. What was yielded before must then be given up.
    """
    digester = Digester(form)
    with _as_archive_error(sealed.name):
        stored = _Counted(place.read(sealed.name, sealed.version))
        for block in _decompressed(stored):
            digester.feed(block)
            yield block
        _compare("stored bytes", stored.found(), (sealed.sha256, sealed.bytes))
        found = digester.finish()
        _compare("stream", (found.raw_sha256, found.raw_bytes), (sealed.raw_sha256, sealed.raw_bytes))
        _compare("records", found.items, sealed.items)
        _compare("header", found.header, sealed.header)
        _compare("tree", found.root, sealed.root)


class _Counted:
    """Hashes and counts what passes."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self.sha256 = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._source:
            self.sha256.update(block)
            self.size += len(block)
            yield block

    def found(self) -> tuple[str, int]:
        return self.sha256.hexdigest(), self.size


def _decompressed(stored: _Counted) -> Iterator[bytes]:
    import zstandard

    decompressor = zstandard.ZstdDecompressor().decompressobj()
    try:
        for piece in _pieces(stored):
            if decompressor.eof:
                raise ArchiveError("there is more data after its end")
            yield decompressor.decompress(piece)
    except zstandard.ZstdError as error:
        raise ArchiveError(f"it cannot be decompressed: {error}") from error
    if not decompressor.eof:
        raise ArchiveError("it ends too early")


def _pieces(stored: Iterable[bytes]) -> Iterator[bytes]:
    """Small enough that even what compresses a thousandfold fits into memory."""
    for block in stored:
        for start in range(0, len(block), _PIECE):
            yield block[start : start + _PIECE]


def _compare(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise ArchiveError(f"its {what} came back as {found}, not as {expected}")


@contextmanager
def _as_archive_error(name: str) -> Iterator[None]:
    """Whatever goes wrong inside is an ArchiveError that names the part."""
    try:
        yield
    except RetentionError as error:
        raise ArchiveError(f"archive part {name}: {error.message}", error.hint) from error
    except Exception as error:
        raise ArchiveError(f"archive part {name}: {error}") from error
