"""A rehearsal of the restore: a sample comes back into a scratch schema, is compared, and goes again."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from luxima_retention.core.errors import ArchiveError, TamperingFound
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence.archive.manifest import Manifest
from luxima_retention.evidence.archive.part import check
from luxima_retention.evidence.archive.restore import columns_of, restore_table
from luxima_retention.evidence.events import ArchiveDrilled
from luxima_retention.io.sqlfiles import named

if TYPE_CHECKING:
    import psycopg

    from luxima_retention.evidence.archive import Archive


#: the session's own scratch schema: nobody else sees it, and nothing of it stays
SCRATCH = "pg_temp.retention_drill"


def sample(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Of each policy one archived run, and of that one part; by chance, so that nobody can prepare for it."""
    chosen: dict[str, Manifest] = {}
    seen: dict[str, int] = {}
    for manifest in manifests:
        policy = manifest.run.policy
        seen[policy] = seen.get(policy, 0) + 1
        if manifest.parts and secrets.randbelow(seen[policy]) == 0:
            chosen[policy] = manifest
    return [replace(item, parts=(secrets.choice(item.parts),)) for item in chosen.values()]


def rehearse(archive: Archive, manifest: Manifest, connection: psycopg.Connection[Any] | None) -> str:
    """Restore the one part of ``manifest`` and compare it, to the last byte, with what was archived.

    Args:
        archive: where it lies.
        manifest: of one part; see :func:`sample`.
        connection: in autocommit mode, of any role that may make temporary tables: they lie in a schema of
            the session's own, and go with it. ``None``, or records that are not rows: only decoded.

    Returns:
        Where it was restored to: the scratch table, or ``memory``.

    Raises:
        TamperingFound: what came back is not what was archived.
        ArchiveError, StoreError: it cannot be read or restored.
    """
    (part,) = manifest.parts
    if connection is None or manifest.run.form != "csv":
        _decode(archive, part, manifest.run.form)
        return "memory"
    count = restore_table(archive, manifest, connection, SCRATCH)
    sha256, size = _read_again(connection, part)
    connection.execute(named("queries/archive.sql")["drop_sample"].encode())
    if (count, sha256, size) != (part.items, part.raw_sha256, part.raw_bytes):
        raise TamperingFound(
            f"archive part {part.name} was restored, and reads as {count} records with SHA-256 {sha256},"
            f" not as {part.items} with {part.raw_sha256}"
        )
    return SCRATCH


def _decode(archive: Archive, part: Sealed, form: str) -> None:
    try:
        check(archive.place, part, form)
    except ArchiveError as error:
        if archive.is_unreachable(error):
            raise
        raise TamperingFound(error.message, error.hint) from error


def _read_again(connection: psycopg.Connection[Any], part: Sealed) -> tuple[str, int]:
    """SHA-256 and length of the scratch table's rows, written as the archive's were."""
    from psycopg import sql

    digest, size = hashlib.sha256(), 0
    statement = sql.SQL(named("queries/archive.sql")["copy_out"]).format(
        table=sql.Identifier(*SCRATCH.split(".")), columns=columns_of(part)
    )
    with connection.transaction():
        connection.execute(named("queries/archive.sql")["written"].encode())
        with connection.cursor().copy(statement) as copy:
            for block in copy:
                digest.update(block)
                size += len(block)
    return digest.hexdigest(), size


def drilled(manifest: Manifest, where: str, outcome: str) -> ArchiveDrilled:
    """The entry ``archive.drilled``."""
    (part,) = manifest.parts
    return ArchiveDrilled(
        run_id=manifest.run.run_id,
        manifest=manifest.name,
        part=part.name,
        items=part.items,
        raw_sha256=part.raw_sha256,
        into="a scratch schema" if where != "memory" else "memory",
        outcome=outcome,
    )
