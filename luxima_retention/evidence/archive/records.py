"""Counts and hashes what is archived, as a stream and without taking it apart. No I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from luxima_retention.core.errors import ArchiveError
from luxima_retention.evidence.ledger.verify import Tree, leaf_hash

#: bytes of the stream that one leaf of the tree covers; the last one may cover fewer
LEAF = 64 * 1024
_OTHERS = bytes(byte for byte in range(256) if byte not in b'"\n')


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a stream of records comes to.

    Args:
        items: records, without the header.
        header: the header line; empty for ``jsonl``.
        raw_bytes: length of the stream.
        raw_sha256: SHA-256 of the stream, hex.
        root: RFC 6962 tree hash, hex; each leaf is :data:`LEAF` bytes of the stream.
    """

    items: int
    header: str
    raw_bytes: int
    raw_sha256: str
    root: str


class Digester:
    """Counts and hashes a stream of records as it passes, in flat memory.

    In ``csv`` (RFC 4180, as PostgreSQL's COPY writes it) a line end inside quotes belongs to its record:
    a record is over where the quotes before it are even in number. In ``jsonl`` each line is one.

    Args:
        form: ``csv``, whose first record is a header, or ``jsonl``.
    """

    def __init__(self, form: str) -> None:
        self._csv = form == "csv"
        self._sha256 = hashlib.sha256()
        self._tree = Tree()
        self._block = bytearray()
        self._head: bytes | None = b"" if self._csv else None  # collected until the header is whole
        self._header = ""
        self._records = 0
        self._bytes = 0
        self._quoted = False
        self._ended = True

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        if not data:
            return
        self._sha256.update(data)
        self._bytes += len(data)
        self._ended = data.endswith(b"\n")
        self._records += self._line_ends(data) if self._csv else data.count(b"\n")
        if self._head is not None:
            self._find_header(data)
        self._block += data
        self._grow()

    def finish(self) -> Digest:
        """The digest of the whole stream.

        Raises:
            ArchiveError: the stream ends in the middle of a record, or has no header.
        """
        if not self._ended or self._quoted or self._head is not None:
            raise ArchiveError("the archived stream ends in the middle of a record")
        if self._block:
            self._tree.add(leaf_hash(bytes(self._block)))
            self._block.clear()
        return Digest(
            items=self._records - self._csv,
            header=self._header,
            raw_bytes=self._bytes,
            raw_sha256=self._sha256.hexdigest(),
            root=self._tree.root().hex(),
        )

    def _line_ends(self, data: bytes) -> int:
        """How many line ends outside of quotes there are.

        Of each run of quotes between two line ends only its parity counts: what is left of a block are
        its line ends, and a quote where one field opens or closes across a line end.
        """
        marks = data.translate(None, _OTHERS)
        if self._quoted:
            marks = b'"' + marks
        outside = marks.replace(b'""', b"").split(b'"')
        self._quoted = len(outside) % 2 == 0
        return sum(piece.count(b"\n") for piece in outside[::2])

    def _find_header(self, data: bytes) -> None:
        """Keep the first record: up to the first line end that even quotes stand before."""
        head = (self._head or b"") + data
        end = head.find(b"\n")
        while end >= 0 and head.count(b'"', 0, end) % 2:
            end = head.find(b"\n", end + 1)
        self._head = head if end < 0 else None
        self._header = head[:end].decode() if end >= 0 else ""

    def _grow(self) -> None:
        """Turn whole blocks into leaves."""
        whole = len(self._block) // LEAF * LEAF
        with memoryview(self._block) as view:
            for start in range(0, whole, LEAF):
                leaf = hashlib.sha256(b"\x00")
                leaf.update(view[start : start + LEAF])
                self._tree.add(leaf.digest())
        del self._block[:whole]
