"""Splits what is archived into records, and hashes them. No I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from luxima_retention.errors import ArchiveError
from luxima_retention.ledger.verify import Tree

#: consecutive records that one leaf of the tree covers, joined by line ends
LEAF = 16


class Splitter:
    """Cuts a stream into records, in memory for little more than one of them.

    In ``csv`` (RFC 4180, as PostgreSQL's COPY writes it) a line end inside quotes belongs to the record:
    a record is over when the quotes that it holds are even in number. In ``jsonl`` each line is one.
    """

    def __init__(self, form: str) -> None:
        self._quotes = form == "csv"
        self._rest = b""
        self._open: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The records that end in ``data``, each without its line end."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if not self._quotes:
            return lines
        odd = [index for index, line in enumerate(lines) if line.count(b'"') & 1]
        return self._joined(lines, set(odd)) if odd or self._open else lines

    def finish(self) -> None:
        """The stream is over.

        Raises:
            ArchiveError: in the middle of a record.
        """
        if self._rest or self._open:
            raise ArchiveError("the archived stream ends in the middle of a record")

    def _joined(self, lines: list[bytes], odd: set[int]) -> list[bytes]:
        """The same lines, those of one record put together again."""
        records = []
        for index, line in enumerate(lines):
            if not self._open and index not in odd:
                records.append(line)
                continue
            self._open.append(line)
            if len(self._open) > 1 and index in odd:
                records.append(b"\n".join(self._open))
                self._open = []
        return records


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a stream of records comes to.

    Args:
        items: records, without the header.
        header: the header's bytes; empty for ``jsonl``.
        raw_bytes: length of the stream.
        raw_sha256: SHA-256 of the stream, hex.
        root: RFC 6962 tree hash, hex; each leaf covers :data:`LEAF` consecutive records, the header none.
    """

    items: int
    header: bytes
    raw_bytes: int
    raw_sha256: str
    root: str


class Digester:
    """Counts and hashes a stream of records as it passes.

    Args:
        form: ``csv``, whose first record is a header, or ``jsonl``.
    """

    def __init__(self, form: str) -> None:
        self._splitter = Splitter(form)
        self._sha256 = hashlib.sha256()
        self._tree = Tree()
        self._header: bytes | None = None if form == "csv" else b""
        self._waiting: list[bytes] = []  # records that do not fill a leaf yet
        self._items = 0
        self._bytes = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self._sha256.update(data)
        self._bytes += len(data)
        records = self._splitter.feed(data)
        if self._header is None and records:
            self._header = records.pop(0)
        self._items += len(records)
        self._waiting += records
        self._grow(len(self._waiting) // LEAF * LEAF)

    def finish(self) -> Digest:
        """The digest of the whole stream.

        Raises:
            ArchiveError: the stream ends in the middle of a record.
        """
        self._splitter.finish()
        self._grow(len(self._waiting))
        return Digest(
            items=self._items,
            header=self._header or b"",
            raw_bytes=self._bytes,
            raw_sha256=self._sha256.hexdigest(),
            root=self._tree.root().hex(),
        )

    def _grow(self, count: int) -> None:
        """Turn so many waiting records into leaves."""
        waiting = self._waiting
        self._tree.extend([b"\n".join(waiting[start : start + LEAF]) for start in range(0, count, LEAF)])
        del waiting[:count]
