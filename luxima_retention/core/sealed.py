"""An archived batch, as the ledger and the archive's manifest name it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A part that was written, read back and found whole; the ledger's entry of the batch repeats it.

    Args:
        name: below the archive's URL.
        version: where the bucket keeps versions.
        items: records.
        first: oldest instant among them, where the store told.
        last: newest instant among them, where the store told.
        bytes: as stored, compressed.
        sha256: of the stored bytes, hex.
        raw_bytes: length of the uncompressed stream.
        raw_sha256: SHA-256 of the uncompressed stream, hex.
        root: RFC 6962 tree hash over the uncompressed stream's blocks of 64 KiB, hex.
        header: the CSV header line; empty for JSON lines.
    """

    name: str
    version: str | None
    items: int
    first: datetime | None
    last: datetime | None
    bytes: int
    sha256: str
    raw_bytes: int
    raw_sha256: str
    root: str
    header: str
