"""How a table is made, by its settings and the catalogue: what its functions are written for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from luxima_retention.core.errors import ConfigurationError
from luxima_retention.io.postgres import errors
from luxima_retention.io.sqlfiles import named
from luxima_retention.stores.kind import TableTarget
from luxima_retention.stores.table.mapping import Mapped, split
from luxima_retention.stores.table.sql import Reference, Shape, identifier
from luxima_retention.stores.table.times import TYPES, WITHOUT_ZONE, TimeColumn

if TYPE_CHECKING:
    import psycopg

    from luxima_retention.config.settings import TableSettings

#: schemas whose tables are nobody's records
_OURS = {"retention", "retention_trash", "pg_catalog", "information_schema", "pg_toast"}


def plain_path(connection: psycopg.Connection[Any]) -> None:
    """Look names up in ``pg_catalog`` alone for this transaction, and take as long as it takes."""
    connection.execute(_sql("plain_path").encode())


def _sql(name: str) -> str:
    return named("queries/migrate.sql")[name]


def _row(connection: psycopg.Connection[Any], name: str, **values: Any) -> tuple[Any, ...] | None:
    return connection.execute(_sql(name).encode(), values).fetchone()


def look(
    connection: psycopg.Connection[Any], target: TableTarget, strategy: str | None = None
) -> tuple[int, Shape]:
    """The table's oid and shape, by its settings and the catalogue.

    Args:
        connection: in a transaction, whose search_path and statement timeout are set for it.
        target: the table and its policy.
        strategy: that migrate has chosen before; ``None`` chooses.

    Raises:
        ConfigurationError: it is not there, is not a table, or lacks a column, a zone or a key.
    """
    settings = target.table
    quoted = identifier(settings.table).as_string(None)
    plain_path(connection)
    relation = _row(connection, "relation", table=quoted)
    if relation is None:
        raise ConfigurationError(
            f"there is no table {settings.table}", "name it in the settings, or grant USAGE on its schema"
        )
    if settings.table.partition(".")[0] in _OURS:
        raise ConfigurationError(
            f"{settings.table} is the suite's own or PostgreSQL's", "name a table of yours"
        )
    if relation[1] not in {"r", "p"}:
        raise ConfigurationError(f"{settings.table} is not a table (relkind {relation[1]})", "name a table")
    if relation[2]:
        raise ConfigurationError(
            f"{relation[2]} inherits from {settings.table}, and its rows would be deleted with it",
            "ALTER TABLE … NO INHERIT, or make them partitions",
        )
    rows = connection.execute(_sql("columns").encode(), {"table": quoted}).fetchall()
    columns = {name: kind for name, kind, _ in rows}
    ordered = {name for name, _, walkable in rows if walkable}
    references = _references(connection, quoted) if settings.skip_referenced else ()
    return relation[0], Shape(
        table=settings.table,
        policy=target.policy,
        time=_time(settings, columns),
        key=tuple((name, _kind(settings, columns, name)) for name in settings.key_columns),
        tenant=_mapped(connection, settings, columns, settings.tenant_column),
        subject=_mapped(connection, settings, columns, settings.subject_column),
        strategy=strategy or _strategy(connection, settings, quoted, relation[1], ordered),
        register=target.register,
        references=references,
        schemas=tuple(
            row[0]
            for row in connection.execute(
                _sql("schemas").encode(), {"table": quoted, "children": [item.child for item in references]}
            )
        ),
    )


def _kind(settings: TableSettings, columns: Mapping[str, str], name: str) -> str:
    if name not in columns:
        raise ConfigurationError(
            f"{settings.table} has no column {name}", f"it has {', '.join(columns)}; name another"
        )
    return columns[name]


def _mapped(
    connection: psycopg.Connection[Any], settings: TableSettings, columns: Mapping[str, str], setting: str
) -> Mapped | None:
    """What holds are compared with, in the type and by the equality of the column itself."""
    if not setting:
        return None
    name, path = split(setting)
    kind = _kind(settings, columns, name)
    if path:
        if kind not in {"json", "jsonb"}:
            raise ConfigurationError(
                f"{settings.table}.{name} is of type {kind}, so {setting} cannot be a path into it",
                "name a column of type json or jsonb, or a plain column",
            )
        return Mapped(setting=setting, type="text", equality="OPERATOR(pg_catalog.=)", collation="")
    quoted = identifier(settings.table).as_string(None)
    row = _row(connection, "equality", table=quoted, column=name)
    equality, collation = row or ("OPERATOR(pg_catalog.=)", "")
    return Mapped(setting=setting, type=kind, equality=equality, collation=collation)


def _references(connection: psycopg.Connection[Any], quoted: str) -> tuple[Reference, ...]:
    rows = connection.execute(_sql("needed_by").encode(), {"table": quoted}).fetchall()
    return tuple(
        Reference(child=child, columns=tuple(zip(theirs, ours, operators, strict=True)), own=own)
        for child, theirs, ours, operators, own in rows
    )


def _time(settings: TableSettings, columns: Mapping[str, str]) -> TimeColumn:
    name, kind = settings.time_column, _kind(settings, columns, settings.time_column)
    named_column = f"{settings.table}.{name}"
    if kind not in TYPES[settings.time_kind]:
        said = "an instant" if settings.time_kind == "instant" else settings.time_kind
        raise ConfigurationError(
            f"{named_column} is of type {kind}, not {said}",
            "name another time_column, or set time_kind to what the column holds",
        )
    local = kind in WITHOUT_ZONE
    if local and not settings.time_zone:
        raise ConfigurationError(
            f"{named_column} has no time zone, so its age is not known",
            "set time_zone to the zone it is written in",
        )
    zone = settings.time_zone if local else None
    return TimeColumn(name=name, kind=settings.time_kind, type=kind, zone=zone)


def _strategy(
    connection: psycopg.Connection[Any], settings: TableSettings, quoted: str, relkind: str, ordered: set[str]
) -> str:
    keys = [set(row[0]) for row in connection.execute(_sql("unique_keys").encode(), {"table": quoted})]
    indexes = _row(connection, "time_indexes", table=quoted, column=settings.time_column)
    indexed = bool(indexes and indexes[0])
    if settings.strategy == "keyset" and not indexed:
        raise ConfigurationError(
            f"{settings.table} has no index that begins with {settings.time_column}",
            "create one, or set strategy = tid_range",
        )
    by_catalogue = settings.strategy in {"auto", "partition_drop"}
    loose = [name for name in settings.key_columns if name not in ordered]
    walkable = indexed and not (loose and relkind == "r")
    chosen = ("keyset" if walkable else "tid_range") if by_catalogue else settings.strategy
    if chosen == "tid_range" and relkind == "p":
        raise ConfigurationError(
            f"{settings.table} is partitioned and has no index that begins with {settings.time_column}",
            "create one: a pass over pages works on plain tables only",
        )
    if chosen == "keyset" and loose:
        raise ConfigurationError(
            f"{settings.table} cannot be walked in the order of {', '.join(loose)}: it may be NULL, or its"
            " type brings an order of its own",
            "declare it NOT NULL, name other key_columns, or set strategy = tid_range on a plain table",
        )
    if chosen == "keyset" and not any(key <= {settings.time_column, *settings.key_columns} for key in keys):
        raise ConfigurationError(
            f"{settings.table} has no unique key among the columns {', '.join(settings.key_columns)}",
            "set key_columns to its primary key",
        )
    return chosen


def shape_of(connection: psycopg.Connection[Any], target: TableTarget, strategy: str | None = None) -> Shape:
    """The table's shape, for the job.

    Raises:
        ConfigurationError: as :func:`look`.
        StoreError: PostgreSQL refuses.
    """
    with errors(f"{target.table.table} cannot be examined"):
        return look(connection, target, strategy)[1]
