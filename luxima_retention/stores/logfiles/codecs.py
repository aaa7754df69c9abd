"""Compression of rotated files: streamed, checked by reading back, flat in memory.

Zstandard runs on two threads of its library (RFC 8878). gzip (RFC 1952) is one member whose blocks are
deflated side by side, each primed with the 32 KiB before it, so that two cores work and ``zcat`` reads it.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import Any, BinaryIO

from luxima_retention.core.errors import StoreError
from luxima_retention.stores.logfiles.hooks import environment
from luxima_retention.stores.logfiles.safe import write

#: name of a codec → extension of its files
EXTENSIONS = {"zstd": ".zst", "gzip": ".gz", "bzip2": ".bz2", "xz": ".xz"}
_MAGIC = {"zstd": b"\x28\xb5\x2f\xfd", "gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00"}
_LEVELS = {"zstd": 3, "gzip": 6, "bzip2": 9, "xz": 6}
_HIGHEST = {"zstd": 19}
_BLOCK = 1024 * 1024
_GZIP_BLOCK = 2 * 1024 * 1024
_WINDOW = 32 * 1024
_ZSTD_PIECE = 512
#: of one thread; the library's own choice costs three times the memory and saves nothing
_ZSTD_JOB = 2 * 1024 * 1024
_THREADS = 2
#: environment of the program, as logrotate(8) has it under ``compresscmd``
_COMPRESSED = "LOGROTATE_COMPRESSED_FILENAME"
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


@dataclass(frozen=True, slots=True)
class Packed:
    """What came back from a compressed file, as it was read from there.

    Args:
        held: bytes that it holds; ``None`` for a form that only the configured program knows.
        sha256: of the compressed file, hex.
        said: what the program has written to stderr; empty without one.
    """

    held: int | None
    sha256: str
    said: str = ""


def compress(
    codec: str,
    source: int,
    target: int,
    *,
    level: int | None = None,
    program: tuple[str, ...] = (),
    path: str = "",
) -> Packed:
    """Compress all that is left of ``source`` into an empty ``target``, and read back what was written.

    Args:
        codec: ``zstd``, ``gzip``, ``bzip2``, ``xz`` or ``program``.
        source: descriptor; read to its end.
        target: descriptor; written, and read from its beginning while it grows.
        level: ``None`` is the codec's usual one.
        program: with its arguments, from stdin to stdout.
        path: of the source, which the program gets as logrotate tells it.

    Raises:
        OSError: reading or writing failed.
        StoreError: the program failed, or what was written does not come back.
    """
    back = _ReadBack(target)
    if codec == "program":
        said = _by_program(program, source, target, path)
        back.grown(os.fstat(target).st_size, last=True)
        known = recognised(os.pread(target, 8, 0)) is not None
        held = sum(map(len, _decompressed(back))) if known else None
        return Packed(held, back.rest(), said)
    chosen = min(level or _LEVELS[codec], _HIGHEST.get(codec, 9))
    encoded = _ENCODERS[codec](blocks(source, _GZIP_BLOCK if codec == "gzip" else _BLOCK), chosen)
    with ThreadPoolExecutor(1) as pool:
        held_later = pool.submit(lambda: sum(map(len, _decompressed(back))))
        size = 0
        try:
            for data in encoded:
                write(target, data)
                size += len(data)
                back.grown(size)
        finally:
            back.grown(size, last=True)
        return Packed(held_later.result(), back.rest())


class _ReadBack(io.RawIOBase):
    """A file that is read while it is written; whoever is ahead of the writer waits. Hashes what it reads."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._place = 0
        self._size = 0
        self._last = False
        self._changed = threading.Condition()
        self._sha256 = hashlib.sha256()

    def grown(self, size: int, *, last: bool = False) -> None:
        """So many bytes have been written, and no more will be."""
        with self._changed:
            self._size, self._last = size, last
            self._changed.notify()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._last or self._size - self._place >= _BLOCK)
            most = min(len(buffer), self._size - self._place)
        got = os.preadv(self._descriptor, [memoryview(buffer)[:most]], self._place) if most else 0
        self._sha256.update(memoryview(buffer)[:got])
        self._place += got
        return got

    def rest(self) -> str:
        """The SHA-256 of the whole file, once it is written."""
        while data := os.pread(self._descriptor, _BLOCK, self._place):
            self._sha256.update(data)
            self._place += len(data)
        return self._sha256.hexdigest()


def blocks(descriptor: int, size: int = _BLOCK) -> Iterator[bytes]:
    """What a descriptor still gives, in blocks."""
    while data := os.read(descriptor, size):
        yield data


def _zstd(source: Iterator[bytes], level: int) -> Iterator[bytes]:
    import zstandard

    chosen = zstandard.ZstdCompressionParameters.from_level(
        level, threads=_THREADS, job_size=_ZSTD_JOB, write_checksum=True
    )
    encoder = zstandard.ZstdCompressor(compression_params=chosen).compressobj()
    for block in source:
        yield encoder.compress(block)
    yield encoder.flush()


def _bzip2(source: Iterator[bytes], level: int) -> Iterator[bytes]:
    import bz2

    encoder = bz2.BZ2Compressor(level)
    for block in source:
        yield encoder.compress(block)
    yield encoder.flush()


def _xz(source: Iterator[bytes], level: int) -> Iterator[bytes]:
    import lzma

    encoder = lzma.LZMACompressor(preset=level)
    for block in source:
        yield encoder.compress(block)
    yield encoder.flush()


def _gzip(source: Iterator[bytes], level: int) -> Iterator[bytes]:
    yield _GZIP_HEAD
    sums = [0, 0]
    # A thread is only started once there is a second block to do.
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[bytes] | bytes] = deque()
        before = b""
        for block in source:
            sums[0], sums[1] = zlib.crc32(block, sums[0]), sums[1] + len(block)
            whole = len(block) == _GZIP_BLOCK
            waiting.append(
                pool.submit(_deflate, block, level, before) if whole else _deflate(block, level, before)
            )
            before = block[-_WINDOW:]
            if len(waiting) > _THREADS:
                yield _result(waiting.popleft())
        yield from map(_result, waiting)
    yield zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS).flush()
    yield struct.pack("<LL", sums[0], sums[1] & 0xFFFFFFFF)


def _result(deflated: Future[bytes] | bytes) -> bytes:
    return deflated if isinstance(deflated, bytes) else deflated.result()


def _deflate(block: bytes, level: int, before: bytes) -> bytes:
    """One block, to be joined to the others at a byte's end."""
    encoder = zlib.compressobj(
        level, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY, before
    )
    return encoder.compress(block) + encoder.flush(zlib.Z_SYNC_FLUSH)


_ENCODERS: dict[str, Callable[[Iterator[bytes], int], Iterator[bytes]]] = {
    "zstd": _zstd,
    "gzip": _gzip,
    "bzip2": _bzip2,
    "xz": _xz,
}


def _by_program(program: tuple[str, ...], source: int, target: int, path: str) -> str:
    told = environment(os.environ) | {_COMPRESSED: path}
    try:
        done = subprocess.run(
            program, stdin=source, stdout=target, stderr=subprocess.PIPE, env=told, check=False
        )
    except OSError as error:
        said = f"{program[0]} cannot be started: {error.strerror}"
        raise StoreError(said, "see compress_program") from error
    said = done.stderr.decode(errors="replace").strip()[:200]
    if done.returncode:
        raise StoreError(f"{program[0]} ended with status {done.returncode}: {said}", "see compress_program")
    return said


def recognised(head: bytes) -> str | None:
    """The codec of a file that begins so; ``None`` for none that we can read."""
    return next((codec for codec, magic in _MAGIC.items() if head.startswith(magic)), None)


def decompress(descriptor: int) -> Iterator[bytes]:
    """What a compressed file holds, from its beginning, however its codec is called; in blocks.

    Raises:
        StoreError: it is damaged, cut short, or none that can be read.
    """
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), "rb", buffering=0) as raw:
        yield from _decompressed(raw)


def _decompressed(file: io.RawIOBase) -> Iterator[bytes]:
    raw = io.BufferedReader(file, _BLOCK)
    codec = recognised(raw.peek(8))
    if codec is None:
        raise StoreError("it is no compressed file that can be read back")
    try:
        yield from _unzstd(raw) if codec == "zstd" else _read_all(codec, raw)
    except (OSError, EOFError, zlib.error) as error:
        raise StoreError(f"it is damaged: {error}") from error
    except Exception as error:
        if type(error).__name__ in {"ZstdError", "LZMAError"}:  # their modules are not imported here
            raise StoreError(f"it is damaged: {error}") from error
        raise
    finally:
        raw.detach()


def _read_all(codec: str, raw: BinaryIO) -> Iterator[bytes]:
    module = import_module({"gzip": "gzip", "bzip2": "bz2", "xz": "lzma"}[codec])
    with module.open(raw, "rb") as reader:
        while data := reader.read(_BLOCK):
            yield data


def _unzstd(raw: BinaryIO) -> Iterator[bytes]:
    """Frame after frame. Little goes in at once: four bytes may stand for 128 KiB (RFC 8878, 3.1.1.2)."""
    import zstandard

    decoder = zstandard.ZstdDecompressor().decompressobj()
    while data := raw.read(_ZSTD_PIECE):
        while data:
            if decoder.eof:
                decoder = zstandard.ZstdDecompressor().decompressobj()
            yield decoder.decompress(data)
            data = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise EOFError("it ends too early")


def same_content(plain: int, compressed: int) -> bool:
    """Whether a compressed file holds exactly what a plain one does; both from their beginning."""
    os.lseek(plain, 0, os.SEEK_SET)
    for data in decompress(compressed):
        if _read_whole(plain, len(data)) != data:
            return False
    return not os.read(plain, 1)


def _read_whole(descriptor: int, size: int) -> bytes:
    pieces, left = [], size
    while left and (data := os.read(descriptor, left)):
        pieces.append(data)
        left -= len(data)
    return b"".join(pieces)
