"""What a run archived, in one canonical JSON document. No I/O, no clock."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from luxima_retention import __version__
from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.foreign import json_of
from luxima_retention.core.plan import digest
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence import codec, events
from luxima_retention.evidence.ledger.verify import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the manifest repeats about the run.

    Args:
        policy: its name.
        run_id: UUID.
        target: ``core.audit_log``.
        fingerprint: of the store, as the plan names it.
        cutoff: everything in the archive is strictly older.
        form: ``csv`` or ``jsonl``.
        schema: name and type of each column; empty for ``jsonl``.
    """

    policy: str
    run_id: str
    target: str
    fingerprint: str
    cutoff: datetime
    form: str
    schema: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An archived run. Every sum is computed from the parts, also for a manifest that is read.

    Args:
        run: what was archived.
        parts: one for each batch; each restores by its own header.
        created_at: when the manifest was written.
        keep_until: the archive's own retention, at least.
        object_lock: ``off``, ``governance`` or ``compliance``; until ``keep_until``.
        data: the RFC 8785 bytes.
    """

    run: Run
    parts: tuple[Sealed, ...]
    created_at: datetime
    keep_until: datetime
    object_lock: str
    data: bytes = b""

    @property
    def name(self) -> str:
        """The manifest's name below the archive's URL; the same when the run was resumed."""
        return f"manifests/{self.run.policy}/{self.run.cutoff:%Y-%m-%d}-{self.run.run_id}.json"

    @property
    def names(self) -> tuple[str, ...]:
        """Every object of this archive, the manifest last."""
        return (*(part.name for part in self.parts), self.name)

    @property
    def items(self) -> int:
        """Records."""
        return sum(part.items for part in self.parts)

    @property
    def size(self) -> int:
        """Bytes as stored."""
        return sum(part.bytes for part in self.parts)

    @property
    def root(self) -> str:
        """RFC 6962 tree hash whose leaves are the parts' roots, hex."""
        tree = Tree()
        tree.extend([bytes.fromhex(part.root) for part in self.parts])
        return tree.root().hex()

    @property
    def sha256(self) -> str:
        """SHA-256 of the manifest's bytes, hex; what the ledger's entry ``archive.verified`` names."""
        return hashlib.sha256(self.data).hexdigest()

    def verified(self) -> events.ArchiveVerified:
        """What the ledger says once it is written."""
        return events.ArchiveVerified(**self._facts())

    def restored(self, into: str) -> events.ArchiveRestored:
        """What the ledger says once it is brought back."""
        return events.ArchiveRestored(**self._facts(), into=into)

    def expired(self, state: events.ArchiveState) -> events.ArchiveExpired:
        """What the ledger says before and after it is destroyed."""
        return events.ArchiveExpired(**self._facts(), state=state)

    def _facts(self) -> dict[str, Any]:
        return {
            "run_id": self.run.run_id,
            "manifest": self.name,
            "manifest_sha256": self.sha256,
            "parts": len(self.parts),
            "items": self.items,
            "bytes": self.size,
            "root": self.root,
            "keep_until": self.keep_until,
            "object_lock": self.object_lock,
        }


def run_of(name: str) -> str:
    """``manifests/audit-logs/2026-05-27-<run>.json`` → the run's UUID."""
    return name.rsplit("/", 1)[-1].removesuffix(".json")[11:]


def build(
    run: Run, parts: Sequence[Sealed], *, created_at: datetime, keep_until: datetime, object_lock: str
) -> Manifest:
    """The manifest of a run over its parts."""
    import rfc8785

    draft = Manifest(
        run=run,
        parts=tuple(parts),
        created_at=created_at,
        keep_until=keep_until,
        object_lock=object_lock,
    )
    members = {**_members(draft), "writer": f"luxima-retention {__version__}"}
    return replace(draft, data=rfc8785.dumps(members))


def read(data: bytes) -> Manifest:
    """The manifest of these bytes.

    Raises:
        ValueError, KeyError, TypeError: they are none, or their sums do not add up.
    """
    value = json_of(data)
    run = Run(
        policy=value["policy"],
        run_id=value["run_id"],
        target=value["target"],
        fingerprint=value["fingerprint"],
        cutoff=parse_iso(value["cutoff"]),
        form=value["format"],
        schema=tuple((column["name"], column["type"]) for column in value["schema"]),
    )
    found = Manifest(
        run=run,
        parts=tuple(codec.decode(Sealed, part) for part in value["parts"]),
        created_at=parse_iso(value["created_at"]),
        keep_until=parse_iso(value["keep_until"]),
        object_lock=value["object_lock"],
        data=data,
    )
    if _members(found) != {key: item for key, item in value.items() if key != "writer"}:
        raise ValueError("its sums or digests do not agree with its parts")
    return found


def _members(manifest: Manifest) -> dict[str, Any]:
    schema = [{"name": name, "type": kind} for name, kind in manifest.run.schema]
    return {
        "v": 1,
        "policy": manifest.run.policy,
        "run_id": manifest.run.run_id,
        "target": manifest.run.target,
        "fingerprint": manifest.run.fingerprint,
        "cutoff": iso(manifest.run.cutoff),
        "format": manifest.run.form,
        "schema": schema,
        "schema_sha256": digest(schema),
        "created_at": iso(manifest.created_at),
        "keep_until": iso(manifest.keep_until),
        "object_lock": manifest.object_lock,
        "items": manifest.items,
        "bytes": manifest.size,
        "raw_bytes": sum(part.raw_bytes for part in manifest.parts),
        "first": _bound(manifest.parts, min, "first"),
        "last": _bound(manifest.parts, max, "last"),
        "root": manifest.root,
        "parts": [codec.encode(part) for part in manifest.parts],
    }


def _bound(parts: Sequence[Sealed], choose: Any, field: str) -> str | None:
    times = [getattr(part, field) for part in parts if getattr(part, field) is not None]
    return iso(choose(times)) if times else None


def columns(header: str) -> tuple[str, ...]:
    """The column names of a CSV header line."""
    import csv
    import io

    return tuple(next(csv.reader(io.StringIO(header)), ()))
