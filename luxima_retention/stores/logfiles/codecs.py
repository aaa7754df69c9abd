"""Compression of rotated files: streamed, compared with what was written, flat in memory.

Zstandard (RFC 8878) runs on two threads of its library for large files. gzip (RFC 1952) is one member whose
blocks are deflated side by side by zlib-ng, each primed with the 32 KiB before it, so that two cores work and
``zcat`` reads it. Everything that is written is read again and compared. A zstd frame has checksum and size
of its content from the encoder itself; the other forms are decoded on the way, for their checksums are weaker
or ours; gzip by zlib, which is another implementation than the one that wrote it.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO, Protocol

from luxima_retention.core.errors import StoreError
from luxima_retention.stores.logfiles.hooks import environment
from luxima_retention.stores.logfiles.system import write

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

#: name of a codec → extension of its files
EXTENSIONS = {"zstd": ".zst", "gzip": ".gz", "bzip2": ".bz2", "xz": ".xz"}
_MAGIC = {"zstd": b"\x28\xb5\x2f\xfd", "gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00"}
_LEVELS = {"zstd": 3, "gzip": 6, "bzip2": 9, "xz": 6}
_HIGHEST = {"zstd": 19}
_BLOCK = 128 * 1024
_GZIP_BLOCK = 512 * 1024
_WINDOW = 32 * 1024
_ZSTD_PIECE = 512
#: files up to here are compressed at once, without threads
_SMALL = 1024 * 1024
#: of one thread; the library's own choice, 8 MiB, costs three times the memory and saves nothing more
_ZSTD_JOB = 1024 * 1024
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


class Compressor:
    """Compresses one file after the other; what it needs for that is made once.

    Args:
        codec: ``zstd``, ``gzip``, ``bzip2``, ``xz`` or ``program``.
        level: ``None`` is the codec's usual one.
        program: with its arguments, from stdin to stdout.
    """

    def __init__(self, codec: str, *, level: int | None = None, program: tuple[str, ...] = ()) -> None:
        self._codec = codec
        self._program = program
        self._pool: ThreadPoolExecutor | None = None
        if codec != "program":
            self._level = min(level or _LEVELS[codec], _HIGHEST.get(codec, 9))
            self._whole = _encoder(codec, self._level)

    def compress(self, source: int, target: int, *, path: str = "") -> Packed:
        """Compress a file into an empty one, and compare what is there then with what was written.

        Args:
            source: descriptor; read from its beginning to its end.
            target: descriptor, written and read.
            path: of the source, which the program gets as logrotate tells it.

        Raises:
            OSError: reading or writing failed.
            StoreError: the program failed, or what was written does not come back.
        """
        if self._codec == "program":
            return _by_program(self._program, source, target, path)
        size = os.fstat(source).st_size
        os.lseek(source, 0, os.SEEK_SET)
        back = _Back(self._codec, target)
        for data in self._encoded(source, size):
            write(target, data)
            back.compare(data)
        return back.packed(size)

    def _encoded(self, source: int, size: int) -> Iterator[bytes]:
        if size <= _SMALL:
            return iter([self._whole(b"".join(blocks(source)))])
        if self._codec == "gzip":
            self._pool = self._pool or _threads()
            return _gzip(blocks(source, _GZIP_BLOCK), self._level, self._pool)
        return _streamed(blocks(source), _stream_encoder(self._codec, self._level, size))

    def close(self) -> None:
        """End its threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _threads() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(_THREADS)


def _encoder(codec: str, level: int) -> Callable[[bytes], bytes]:
    """Compresses a small file at once."""
    if codec == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True).compress
    if codec == "gzip":
        return partial(_gzip_whole, level=level)
    if codec == "bzip2":
        import bz2

        return lambda data: bz2.compress(data, level)
    import lzma

    return lambda data: lzma.compress(data, preset=level)


class _Encoder(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Deflater(_Encoder, Protocol):
    def flush(self, mode: int = ..., /) -> bytes: ...


def _stream_encoder(codec: str, level: int, size: int) -> _Encoder:
    """Compresses a large file block by block."""
    if codec == "zstd":
        import zstandard

        chosen = zstandard.ZstdCompressionParameters.from_level(
            level, threads=_THREADS, job_size=_ZSTD_JOB, write_checksum=True, write_content_size=True
        )
        return zstandard.ZstdCompressor(compression_params=chosen).compressobj(size=size)
    if codec == "bzip2":
        import bz2

        return bz2.BZ2Compressor(level)
    import lzma

    return lzma.LZMACompressor(preset=level)


def _streamed(source: Iterator[bytes], encoder: _Encoder) -> Iterator[bytes]:
    try:
        for block in source:
            yield encoder.compress(block)
        yield encoder.flush()
    except Exception as error:
        if type(error).__name__ == "ZstdError":  # its module is not imported here
            raise StoreError(f"it was written to meanwhile: {error}") from error
        raise


class _Back:
    """What was written, read again from where it is, compared, hashed and, but for zstd, decoded.

    Args:
        codec: of the file.
        descriptor: of the file.
    """

    def __init__(self, codec: str, descriptor: int) -> None:
        self._codec = codec
        self._descriptor = descriptor
        self._place = 0
        self._sha256 = hashlib.sha256()
        self._decoder = None if codec == "zstd" else _Decoder(codec)

    def compare(self, written: bytes) -> None:
        """So much has been written since the last time."""
        found = _read_at(self._descriptor, len(written), self._place)
        if found != written:
            raise StoreError("what was written is not what comes back: the volume is damaged")
        self._place += len(written)
        self._sha256.update(found)
        if self._decoder is not None:
            self._decoder.feed(found)

    def packed(self, size: int) -> Packed:
        """The whole file, which holds ``size`` bytes if all is well."""
        if self._decoder is not None:
            return Packed(self._decoder.end(), self._sha256.hexdigest())
        import zstandard

        head = os.pread(self._descriptor, 32, 0)
        if size and not zstandard.get_frame_parameters(head).has_checksum:
            raise StoreError("it has no checksum")
        return Packed(zstandard.frame_content_size(head), self._sha256.hexdigest())


class _Decoder:
    """Decodes on the way, a little at once, and only counts what comes out."""

    def __init__(self, codec: str) -> None:
        if codec == "gzip":
            self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
        else:
            module = import_module({"bzip2": "bz2", "xz": "lzma"}[codec])
            self._other = module.BZ2Decompressor() if codec == "bzip2" else module.LZMADecompressor()
        self._step = self._of_gzip if codec == "gzip" else self._of_other
        self._count = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        """The next bytes of the file."""
        try:
            self._step(data)
        except (OSError, EOFError, zlib.error) as error:
            raise StoreError(f"it is damaged: {error}") from error

    def _of_gzip(self, data: bytes) -> None:
        while data:
            self._count += len(self._gzip.decompress(data, _BLOCK))
            data = self._gzip.unconsumed_tail
        self._ended = self._gzip.eof

    def _of_other(self, data: bytes) -> None:
        while True:
            self._count += len(self._other.decompress(data, _BLOCK))
            if self._other.eof or self._other.needs_input:
                break
            data = b""
        self._ended = self._other.eof

    def end(self) -> int:
        """How many bytes the file holds."""
        if not self._ended:
            raise StoreError("it is damaged: it ends too early")
        return self._count


def _read_at(descriptor: int, size: int, place: int) -> bytes:
    data = os.pread(descriptor, size, place)
    while data and len(data) < size and (more := os.pread(descriptor, size - len(data), place + len(data))):
        data += more
    return data


def blocks(descriptor: int, size: int = _BLOCK) -> Iterator[bytes]:
    """What a descriptor still gives, in blocks."""
    while data := os.read(descriptor, size):
        yield data


def _gzip(source: Iterator[bytes], level: int, pool: ThreadPoolExecutor) -> Iterator[bytes]:
    from zlib_ng import zlib_ng

    yield _GZIP_HEAD
    crc, size = 0, 0
    waiting: deque[Future[bytes]] = deque()
    before = b""
    for block in source:
        crc, size = zlib_ng.crc32(block, crc), size + len(block)
        waiting.append(pool.submit(_deflate, block, level, before))
        before = block[-_WINDOW:]
        if len(waiting) > _THREADS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
    yield _raw_encoder(level).flush()
    yield struct.pack("<LL", crc, size & 0xFFFFFFFF)


def _gzip_whole(data: bytes, *, level: int) -> bytes:
    """A small file as one member."""
    encoder = _raw_encoder(level)
    tail = struct.pack("<LL", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return b"".join((_GZIP_HEAD, encoder.compress(data), encoder.flush(), tail))


def _deflate(block: bytes, level: int, before: bytes) -> bytes:
    """One block, to be joined to the others at a byte's end."""
    encoder = _raw_encoder(level, before)
    return encoder.compress(block) + encoder.flush(zlib.Z_SYNC_FLUSH)


def _raw_encoder(level: int, before: bytes = b"") -> _Deflater:
    """Deflates without head and tail; primed with what came before, if anything did."""
    from zlib_ng import zlib_ng

    primed = (before,) if before else ()
    memory, strategy = zlib.DEF_MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY
    return zlib_ng.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, memory, strategy, *primed)


def _by_program(program: tuple[str, ...], source: int, target: int, path: str) -> Packed:
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
    known = recognised(os.pread(target, 8, 0)) is not None
    held = sum(map(len, decompress(target))) if known else None
    os.lseek(target, 0, os.SEEK_SET)
    sha256 = hashlib.sha256()
    for data in blocks(target):
        sha256.update(data)
    return Packed(held, sha256.hexdigest(), said)


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
        raise StoreError("it is not a compressed file that can be read back")
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
