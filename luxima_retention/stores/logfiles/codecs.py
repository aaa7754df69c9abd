"""Compression of rotated files: streamed, checked by reading back, flat in memory.

Zstandard runs on two threads of its library (RFC 8878). gzip (RFC 1952) is one member whose blocks are
deflated side by side, each primed with the 32 KiB before it, so that two cores work and ``zcat`` reads it.
"""

from __future__ import annotations

import os
import struct
import subprocess
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from typing import BinaryIO

from luxima_retention.errors import StoreError
from luxima_retention.stores.logfiles.safe import write

#: name of a codec → extension of its files
EXTENSIONS = {"zstd": ".zst", "gzip": ".gz", "bzip2": ".bz2", "xz": ".xz"}
_MAGIC = {"zstd": b"\x28\xb5\x2f\xfd", "gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00"}
_LEVELS = {"zstd": 3, "gzip": 6, "bzip2": 9, "xz": 6}
_HIGHEST = {"zstd": 19}
_BLOCK = 1024 * 1024
_GZIP_BLOCK = 2 * 1024 * 1024
_WINDOW = 32 * 1024
_ZSTD_PIECE = 1024
_THREADS = 2
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


def compress(
    codec: str, source: int, target: int, *, level: int | None = None, program: tuple[str, ...] = ()
) -> None:
    """Compress all that is left of ``source`` into ``target``; both are descriptors.

    Args:
        codec: ``zstd``, ``gzip``, ``bzip2``, ``xz`` or ``program``.
        source: read to its end.
        target: written from where it stands.
        level: ``None`` is the codec's usual one.
        program: with its arguments, from stdin to stdout.

    Raises:
        OSError: reading or writing failed.
        StoreError: the program failed.
    """
    if codec == "program":
        _by_program(program, source, target)
        return
    chosen = min(level or _LEVELS[codec], _HIGHEST.get(codec, 9))
    for data in _ENCODERS[codec](blocks(source, _GZIP_BLOCK if codec == "gzip" else _BLOCK), chosen):
        write(target, data)


def blocks(descriptor: int, size: int = _BLOCK) -> Iterator[bytes]:
    """What a descriptor still gives, in blocks."""
    while data := os.read(descriptor, size):
        yield data


def _zstd(source: Iterator[bytes], level: int) -> Iterator[bytes]:
    import zstandard

    encoder = zstandard.ZstdCompressor(level=level, threads=_THREADS, write_checksum=True).compressobj()
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
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[bytes]] = deque()
        before = b""
        for block in source:
            sums[0], sums[1] = zlib.crc32(block, sums[0]), sums[1] + len(block)
            waiting.append(pool.submit(_deflate, block, level, before))
            before = block[-_WINDOW:]
            if len(waiting) > _THREADS:
                yield waiting.popleft().result()
        yield from (future.result() for future in waiting)
    yield zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS).flush()
    yield struct.pack("<LL", sums[0], sums[1] & 0xFFFFFFFF)


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


def _by_program(program: tuple[str, ...], source: int, target: int) -> None:
    try:
        done = subprocess.run(program, stdin=source, stdout=target, stderr=subprocess.PIPE, check=False)
    except OSError as error:
        said = f"{program[0]} cannot be started: {error.strerror}"
        raise StoreError(said, "see compress_program") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[:200]
        raise StoreError(f"{program[0]} ended with status {done.returncode}: {said}", "see compress_program")


def recognised(head: bytes) -> str | None:
    """The codec of a file that begins so; ``None`` for none that we can read."""
    return next((codec for codec, magic in _MAGIC.items() if head.startswith(magic)), None)


def decompress(descriptor: int) -> Iterator[bytes]:
    """What a compressed file holds, from its beginning, however its codec is called; in blocks.

    Raises:
        StoreError: it is damaged, cut short, or none that can be read.
    """
    codec = recognised(os.pread(descriptor, 8, 0))
    if codec is None:
        raise StoreError("it is no compressed file that can be read back")
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        with os.fdopen(os.dup(descriptor), "rb") as raw:
            yield from _unzstd(raw) if codec == "zstd" else _read_all(codec, raw)
    except (OSError, EOFError, zlib.error) as error:
        raise StoreError(f"it is damaged: {error}") from error
    except Exception as error:
        if type(error).__name__ in {"ZstdError", "LZMAError"}:  # their modules are not imported here
            raise StoreError(f"it is damaged: {error}") from error
        raise


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


def check(descriptor: int, size: int) -> None:
    """Read a compressed file back; its own checksum is over what went in.

    Raises:
        StoreError: it is damaged, or does not hold ``size`` bytes.
    """
    held = sum(map(len, decompress(descriptor)))
    if held != size:
        raise StoreError(f"it holds {held} bytes of {size}")


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
