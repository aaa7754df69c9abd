"""What a DBA asks first: what keeps dead rows, what breaks on a deletion, who else deletes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from luxima_retention.core.plan import Finding, Level
from luxima_retention.io.sqlfiles import named

if TYPE_CHECKING:
    import psycopg

#: dead rows of a table that are worth a word: so many, and such a part of all
_MANY_DEAD = 10_000
_DEAD_PART = 0.2


def health_of(connection: psycopg.Connection[Any], quoted: str, name: str) -> tuple[Finding, ...]:
    """Findings about the server around one table, ``schema.table``; the transaction stays open."""
    found = [
        *(_old_snapshot(*row) for row in _rows(connection, "old_snapshots")),
        *(_prepared(*row) for row in _rows(connection, "prepared")),
        *(_unpublishable(*row) for row in _rows(connection, "publications", table=quoted)),
        *_other_owners(connection, name),
    ]
    for row in _rows(connection, "leaves", table=quoted):
        found += _vacuum(*row)
    connection.rollback()
    return tuple(found)


def _rows(connection: psycopg.Connection[Any], query: str, **values: Any) -> list[tuple[Any, ...]]:
    return connection.execute(named("queries/health.sql")[query].encode(), values).fetchall()


def _old_snapshot(pid: int, role: str, seconds: int) -> Finding:
    return _warning(
        "old-transaction",
        f"process {pid} of role {role or '(hidden)'} has a transaction open for {_long(seconds)}:"
        " what is deleted cannot be cleaned up until it ends",
        f"end it, or as a superuser: SELECT pg_terminate_backend({pid})",
    )


def _prepared(gid: str, owner: str, seconds: int) -> Finding:
    return _warning(
        "prepared-transaction",
        f"prepared transaction {gid!r} of {owner} is {_long(seconds)} old:"
        " what is deleted cannot be cleaned up until it ends",
        "COMMIT PREPARED or ROLLBACK PREPARED it",
    )


def _unpublishable(publication: str, table: str) -> Finding:
    return Finding(
        code="no-replica-identity",
        level=Level.FAILED,
        message=f"publication {publication} publishes deletions from {table}, which has no replica identity:"
        " PostgreSQL refuses them",
        hint=f"ALTER TABLE {table} REPLICA IDENTITY USING INDEX … or FULL",
    )


def _vacuum(table: str, dead: int, live: int, cleaned: bool) -> Iterator[Finding]:
    if not cleaned:
        yield _warning(
            "autovacuum-off",
            f"autovacuum does not clean {table}: what is deleted gives no room back",
            f"ALTER TABLE {table} RESET (autovacuum_enabled), or autovacuum = on for the server",
        )
    if dead > _MANY_DEAD and dead > _DEAD_PART * (dead + live):
        yield _warning("dead-rows", f"{table} holds {dead} dead rows beside {live}", f"VACUUM {table}")


def _other_owners(connection: psycopg.Connection[Any], name: str) -> Iterator[Finding]:
    """Other systems that remove rows of the same table, or keep copies of them."""
    from psycopg import sql

    schema, _, relation = name.partition(".")
    pattern = rf"(\"?{re.escape(schema)}\"?\\.)?\"?{re.escape(relation)}\"?"
    values = {"plain": name, "schema": schema, "relation": relation, "pattern": pattern}
    for namespace, table, readable in _rows(connection, "other_owners"):
        if not readable:
            yield _warning(
                "other-owner-not-visible",
                f"whether {namespace}.{table} says something about {name} cannot be seen by this role",
                f"GRANT SELECT ON {namespace}.{table} to it, and USAGE on schema {namespace}",
            )
            continue
        statement = sql.SQL(named("queries/health.sql")[table]).format(name=sql.Identifier(namespace, table))
        for (said,) in connection.execute(statement, values).fetchall():
            yield _warning(
                "other-owner",
                f"{name} has another owner of its retention: {said}",
                "let one of the two do it",
            )


def _long(seconds: int) -> str:
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def _warning(code: str, message: str, hint: str) -> Finding:
    return Finding(code=code, level=Level.WARNING, message=message, hint=hint)
