"""Writes Loki's TSDB index files, versions 2 to 4, for buckets that no capture holds."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterable, Mapping
from itertools import groupby

import google_crc32c

from luxima_retention.stores.loki.keys import DAY_MS, Chunk

_PAGE = 16


def index_file(
    chunks: Iterable[Chunk],
    *,
    version: int = 3,
    shared: bool = False,
    ingested: Mapping[str, int] | None = None,
) -> bytes:
    """A gzipped index file that names these chunks.

    Args:
        chunks: of one tenant, or of several in a shared file.
        version: 2, 3 or 4.
        shared: the file names the tenants, too.
        ingested: key → number of the day on which back-filled lines came; version 4 only.
    """
    ordered = sorted(chunks, key=lambda c: (c.fingerprint, c.tenant, c.start, c.end, c.checksum))
    tenants = sorted({chunk.tenant.encode() for chunk in ordered}) if shared else []
    symbols = sorted({b"app", b"web", *([b"__loki_tenant__"] if shared else []), *tenants})
    names = b"".join(_uvarint(len(symbol)) + symbol for symbol in symbols)
    data = struct.pack(">IB", 0xBAAAD700, version)
    data += struct.pack(">I", 4 + len(names)) + _checked(struct.pack(">I", len(symbols)) + names)
    series = len(data)
    for (fingerprint, tenant), some in groupby(ordered, key=lambda c: (c.fingerprint, c.tenant)):
        labels = [(b"app", b"web"), *([(b"__loki_tenant__", tenant.encode())] if shared else [])]
        body = struct.pack(">Q", fingerprint) + _uvarint(len(labels))
        for name, value in sorted(labels):
            body += _uvarint(symbols.index(name)) + _uvarint(symbols.index(value))
        body += _chunks(list(some), version, ingested or {})
        data += b"\0" * (-len(data) % 16) + _uvarint(len(body)) + _checked(body)
    end = len(data)
    contents = struct.pack(">7Q2q", 5, series, end, *[end] * 4, 0, 0)
    return gzip.compress(data + _checked(contents))


def _chunks(chunks: list[Chunk], version: int, ingested: Mapping[str, int]) -> bytes:
    rows, last = [], 0
    for chunk in chunks:
        row = _varint(chunk.start - last) + _uvarint(chunk.end - chunk.start) + _uvarint(3) + _uvarint(7)
        row += struct.pack(">I", chunk.checksum)
        if version > 3:
            day = ingested.get(chunk.key)
            row += _uvarint(0) if day is None else _uvarint(_zigzag(day - chunk.end // DAY_MS) + 1)
        rows.append(row)
        last = chunk.end
    head = _uvarint(len(chunks))
    if version > 2:
        pages = [chunks[at : at + _PAGE] for at in range(0, len(chunks), _PAGE)]
        markers, offset = _uvarint(len(pages)), 0
        for number, page in enumerate(pages):
            start, end = min(c.start for c in page), max(c.end for c in page)
            markers += _uvarint(len(page)) + struct.pack(">II", 3 * len(page), 7 * len(page))
            markers += _uvarint(offset) + _varint(start) + _varint(end - start)
            offset += sum(map(len, rows[number * _PAGE : (number + 1) * _PAGE]))
        head += struct.pack(">I", len(markers)) + markers
    return head + b"".join(rows)


def _checked(data: bytes) -> bytes:
    return data + struct.pack(">I", google_crc32c.value(data))


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _varint(value: int) -> bytes:
    return _uvarint(_zigzag(value))


def _zigzag(value: int) -> int:
    return (value << 1) ^ (value >> 127)
