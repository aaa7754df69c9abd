"""Brings an archive back: rows into a table, JSON lines into a file; all of it, or nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luxima_retention.core.errors import ArchiveError, ConfigurationError, StoreError
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence.archive.part import blocks
from luxima_retention.io.sqlfiles import named

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

    from luxima_retention.evidence.archive import Archive, Manifest


def restore_table(
    archive: Archive, manifest: Manifest, connection: psycopg.Connection[Any], into: str
) -> int:
    """Copy an archive of rows into a table, in one transaction that is committed here.

    Each value comes back to the last byte: the archive holds PostgreSQL's own CSV, and COPY reads it.
    Every part is hashed as it passes; a part that is not what the manifest says rolls everything back.

    Args:
        archive: where it lies.
        manifest: which archived run.
        connection: of a role that may insert there, or create there.
        into: ``schema.table``; made with the archived columns when it does not exist, in a schema that
            is made when it does not exist.

    Returns:
        The number of rows.

    Raises:
        ConfigurationError: the archive holds no rows, or ``into`` is no ``schema.table``.
        ArchiveError: a part is damaged.
        StoreError: PostgreSQL refused, for example a row that already exists.
    """
    import psycopg

    if manifest.run.form != "csv":
        raise ConfigurationError(f"{manifest.name} holds {manifest.run.form}", "restore it to a file")
    try:
        with connection.transaction():
            connection.execute(_text("exact"))
            _make_table(connection, manifest, into)
            for part in manifest.parts:
                _copy(archive, part, connection, into)
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error)
        raise StoreError(
            f"{into} could not be restored, and is as it was: {said}",
            "restore into a table that does not exist yet: it is made with the archived columns",
        ) from error
    return manifest.items


def restore_file(archive: Archive, manifest: Manifest, path: Path) -> int:
    """Write an archive, uncompressed, to a file that must not exist; CSV keeps one header.

    Raises:
        ArchiveError: a part is damaged; the file is removed then.
        StoreError: the file cannot be written.
    """
    try:
        with path.open("xb") as file:
            try:
                for data in _stream(archive, manifest):
                    file.write(data)
            except BaseException:
                path.unlink()
                raise
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return manifest.items


def _stream(archive: Archive, manifest: Manifest) -> Iterator[bytes]:
    """All parts, one behind the other, without the headers of all but the first."""
    for number, part in enumerate(manifest.parts):
        skip = len(part.header.encode()) + 1 if number and part.header else 0
        for block in blocks(archive.place, part, manifest.run.form):
            yield block[skip:]
            skip = max(0, skip - len(block))


def _copy(archive: Archive, part: Sealed, connection: psycopg.Connection[Any], into: str) -> None:
    statement = _sql("copy_in", table=_identifier(into), columns=columns_of(part))
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for block in blocks(archive.place, part, "csv"):
                copy.write(block)
        if cursor.rowcount != part.items:
            raise ArchiveError(f"{part.name} holds {part.items} rows, {cursor.rowcount} were restored")


def _make_table(connection: psycopg.Connection[Any], manifest: Manifest, into: str) -> None:
    """The table with the archived columns, if there is none of that name."""
    from psycopg import sql

    table = _identifier(into)
    if _answer(connection, "table_exists", {"table": table.as_string(connection)}):
        return
    if not manifest.run.schema:
        raise ConfigurationError(f"{into} does not exist", "create it; the archive does not name its types")
    for name, kind in manifest.run.schema:
        if not _answer(connection, "type_exists", {"type": kind}):
            raise StoreError(f"column {name} has type {kind!r}, which this database does not know")
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in manifest.run.schema
    )
    schema = into.split(".", maxsplit=1)[0]
    if schema != "pg_temp":  # a session's own is there at its first use
        connection.execute(_sql("create_schema", schema=sql.Identifier(schema)))
    connection.execute(_sql("create_table", table=table, columns=columns))


def _identifier(into: str) -> sql.Identifier:
    from psycopg import sql

    names = into.split(".")
    if len(names) != 2 or not all(names):  # noqa: PLR2004 - a schema and a table
        raise ConfigurationError(f"{into!r} is not a table", "write schema.table")
    return sql.Identifier(*names)


def columns_of(part: Sealed) -> sql.Composed:
    """The columns of a part of rows, in its own order, for a statement."""
    from psycopg import sql

    names = next(csv.reader(io.StringIO(part.header)), [])
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _text(name: str) -> bytes:
    return named("queries/archive.sql")[name].encode()


def _sql(name: str, **parts: sql.Composable) -> sql.Composed:
    from psycopg import sql

    return sql.SQL(named("queries/archive.sql")[name]).format(**parts)


def _answer(connection: psycopg.Connection[Any], name: str, values: dict[str, str]) -> bool:
    row = connection.execute(_text(name), values).fetchone()
    return bool(row and row[0])
