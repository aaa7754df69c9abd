"""Reads Loki's TSDB index files, versions 2 to 4: every reference to a chunk, every checksum verified.

Memory holds the symbols; the file itself is unpacked to disk and mapped. A file that cannot be read whole is
an error, never a file without references. Layout: nine offsets and a CRC-32C at the end (the table of
contents), symbols, then series aligned to 16 bytes, each with its own CRC-32C; verified against index files
of Loki 3.4. Version 4 (schema v14) adds to each chunk the day on which back-filled lines were ingested; from
then on Loki counts their retention. Source: grafana/loki, pkg/storage/stores/shipper/indexshipper/tsdb/index,
main of August 2026.
"""

from __future__ import annotations

import mmap
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from luxima_retention.core.errors import StoreError

_MAGIC = 0xBAAAD700
_HEADER = 5
_TOC = struct.Struct(">7Q2qI")
_CHECKSUM = struct.Struct(">I")
_VERSIONS = (2, 3, 4)
_PAGED, _DATED = 3, 4  # versions that brought pages of chunks, and days of ingestion
_DAY_MS = 86_400_000
_TENANT_LABEL = b"__loki_tenant__"
_ALIGN = 16
_LONGEST_VARINT = 10
_BITS = 7 * (_LONGEST_VARINT - 1)
_MORE = 0x80  # the bit that says that another byte follows
_FINGERPRINT = 8


class UnreadableIndexError(StoreError):
    """An index file that is damaged, foreign or of a version that is not known."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A chunk as an index file refers to it.

    Args:
        tenant: ``None`` in a file of one tenant, whose directory names it.
        fingerprint: of the stream.
        start, end: Unix milliseconds, inclusive.
        checksum: CRC-32C of the chunk object.
        kib: uncompressed size, rounded.
        entries: log lines.
        ingested: of back-filled lines, when they came, rounded up to a day; 0 for all others.
    """

    tenant: str | None
    fingerprint: int
    start: int
    end: int
    checksum: int
    kib: int
    entries: int
    ingested: int = 0

    @property
    def counts_from(self) -> int:
        """The instant from which Loki counts the retention of the chunk."""
        return max(self.end, self.ingested)


def read(blocks: Iterable[bytes], name: str) -> Iterator[Reference]:
    """Every reference in a gzipped index file.

    Args:
        blocks: of the object.
        name: for errors.

    Raises:
        UnreadableIndexError: the file is not what Loki writes, in any byte that is needed.
    """
    with closing(IndexFile(blocks, name)) as file:
        yield from file.references()


class IndexFile:
    """An index file, unpacked to disk, that may be read several times.

    Args:
        blocks: of the gzipped object.
        name: for errors.

    Raises:
        UnreadableIndexError: its frame is not that of an index file.
    """

    def __init__(self, blocks: Iterable[bytes], name: str) -> None:
        with tempfile.TemporaryFile() as file:
            for piece in _unzipped(blocks, name):
                file.write(piece)
            size = file.tell()
            file.flush()
            if size < _HEADER + _TOC.size:
                raise UnreadableIndexError(f"index file {name} is only {size} bytes long")
            self._data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        try:
            self._file = _File(self._data, name)
        except BaseException:
            self._data.close()
            raise

    def references(self) -> Iterator[Reference]:
        """Every reference in it.

        Raises:
            UnreadableIndexError: as :func:`read`.
        """
        return self._file.references()

    def close(self) -> None:
        """Give back memory and disk."""
        self._data.close()


def _unzipped(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The content of a gzip stream of one or more members."""
    unzip = zlib.decompressobj(wbits=31)
    try:
        for block in blocks:
            rest = block
            while rest:
                if unzip.eof:
                    unzip = zlib.decompressobj(wbits=31)
                yield unzip.decompress(rest)
                rest = unzip.unused_data
    except zlib.error as error:
        raise UnreadableIndexError(f"index file {name} is not gzip: {error}") from error
    if not unzip.eof:
        raise UnreadableIndexError(f"index file {name} ends too early")


class _File:
    """One unpacked file."""

    def __init__(self, data: mmap.mmap, name: str) -> None:
        self._data = data
        self._name = name
        magic, self.version = struct.unpack_from(">IB", data, 0)
        if magic != _MAGIC:
            raise self._broken("does not begin as one")
        if self.version not in _VERSIONS:
            raise self._broken(f"is of version {self.version}; known are 2 to 4")
        self._symbols_at, self._series_at, self._series_end = self._contents()
        self._symbols = self._read_symbols()

    def references(self) -> Iterator[Reference]:
        """Series after series."""
        at = self._series_at
        while (at := -(-at // _ALIGN) * _ALIGN) < self._series_end:
            length, body = self._uvarint(at)
            end = body + length
            if end + 4 > self._series_end:
                raise self._broken(f"has a series at {at} that leaves its section")
            self._check(body, end)
            yield from self._series(body, end)
            at = end + 4

    def _contents(self) -> tuple[int, int, int]:
        """Where symbols and series begin and series end, from the table of contents."""
        start = len(self._data) - _TOC.size
        fields = _TOC.unpack_from(self._data, start)
        self._check(start, start + _TOC.size - 4)
        symbols, series, labels = fields[:3]
        if not _HEADER == symbols < series <= labels <= start:
            raise self._broken("has offsets that are out of order")
        return symbols, series, labels

    def _read_symbols(self) -> list[bytes]:
        length, count = struct.unpack_from(">II", self._data, self._symbols_at)
        start, end = self._symbols_at + 4, self._symbols_at + 4 + length
        if end + 4 > self._series_at or count > length:
            raise self._broken("has symbols that leave their section")
        self._check(start, end)
        symbols, at = [], start + 4
        for _ in range(count):
            size, at = self._uvarint(at)
            symbols.append(bytes(self._data[at : at + size]))
            at += size
        if at > end:
            raise self._broken("has symbols that leave their section")
        return symbols

    def _series(self, at: int, end: int) -> Iterator[Reference]:
        """The chunks of one series."""
        if end - at < _FINGERPRINT:
            raise self._broken(f"has a series at {at} that is too short")
        (fingerprint,) = struct.unpack_from(">Q", self._data, at)
        count, at = self._uvarint(at + 8)
        tenant = None
        for _ in range(self._bounded(count, at, end)):
            name, at = self._uvarint(at)
            value, at = self._uvarint(at)
            if self._symbol(name) == _TENANT_LABEL:
                tenant = self._symbol(value).decode(errors="replace")  # such a tenant is in no key
        chunks, at = self._uvarint(at)
        if self.version >= _PAGED:
            self._bounded(4, at, end)
            (skipped,) = struct.unpack_from(">I", self._data, at)
            at += 4 + skipped
        yield from self._chunks(self._bounded(chunks, at, end), at, end, fingerprint, tenant)

    def _chunks(
        self, count: int, at: int, end: int, fingerprint: int, tenant: str | None
    ) -> Iterator[Reference]:
        """Each begins relative to the end of the one before it."""
        data, dated = self._data[at:end], self.version >= _DATED
        last = at = 0
        # No checksum covers the version, which says how series are laid out: only their length gives it away.
        other = self._broken(
            f"has a series of {fingerprint:x} that is not laid out as version {self.version} says"
        )
        for _ in range(count):
            try:
                delta, at = _number(data, at)
                duration, at = _number(data, at)
                kib, at = _number(data, at)
                entries, at = _number(data, at)
                (checksum,) = _CHECKSUM.unpack_from(data, at)
                days, at = _number(data, at + 4) if dated else (0, at + 4)
            except (IndexError, struct.error) as error:
                raise other from error
            start = last + ((delta >> 1) ^ -(delta & 1))
            last = start + duration
            ingested = _ingested(days, last) if dated else 0
            yield Reference(tenant, fingerprint, start, last, checksum, kib, entries, ingested)
        if count and at != len(data):
            raise other

    def _symbol(self, index: int) -> bytes:
        if index >= len(self._symbols):
            raise self._broken(f"refers to symbol {index} of {len(self._symbols)}")
        return self._symbols[index]

    def _bounded(self, count: int, at: int, end: int) -> int:
        """A count that the bytes that are left can hold."""
        if count > end - at:
            raise self._broken(f"counts {count} in {end - at} bytes")
        return count

    def _uvarint(self, at: int) -> tuple[int, int]:
        """Value and next position."""
        try:
            value, size = _number(self._data[at : at + _LONGEST_VARINT], 0)
        except IndexError as error:
            raise self._broken(f"has a number at {at} that does not end") from error
        return value, at + size

    def _check(self, start: int, end: int) -> None:
        """The CRC-32C that follows ``end`` is that of the bytes before it."""
        import google_crc32c

        if end + 4 > len(self._data):
            raise self._broken(f"ends before its checksum at {end}")
        (recorded,) = struct.unpack_from(">I", self._data, end)
        if google_crc32c.value(self._data[start:end]) != recorded:
            raise self._broken(f"has a wrong checksum at {end}")

    def _broken(self, sentence: str) -> UnreadableIndexError:
        return UnreadableIndexError(f"index file {self._name} {sentence}")


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the next position; most of the time goes here.

    Raises:
        IndexError: it does not end.
    """
    value, at = data[at], at + 1
    if value < _MORE:
        return value, at
    value, shift = value & (_MORE - 1), 7
    while (byte := data[at]) >= _MORE and shift < _BITS:
        value |= (byte & (_MORE - 1)) << shift
        at, shift = at + 1, shift + 7
    if byte >= _MORE:
        raise IndexError(at)
    return value | byte << shift, at + 1


def _ingested(code: int, end: int) -> int:
    """Days between the chunk's end and its ingestion, zig-zag coded and plus one; 0 says nothing."""
    if not code:
        return 0
    days = ((code - 1) >> 1) ^ -((code - 1) & 1)
    return (end // _DAY_MS + days) * _DAY_MS
