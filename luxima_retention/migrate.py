"""Schema ``retention``, the functions of each table and the rights of the job's role, made by an owner.

Numbered migrations from ``sql/migrations`` run once; the functions of a table follow its settings and are
replaced when those change. The floor of a table only rises by itself; lowering it needs a word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luxima_retention.errors import ConfigurationError, TamperingFound
from luxima_retention.postgres import errors
from luxima_retention.sqlfiles import load, named, names
from luxima_retention.tablesql import Shape, dropped, functions, identifier, rest

if TYPE_CHECKING:
    import psycopg

    from luxima_retention.settings import TableSettings

_WITHOUT_ZONE = {"timestamp without time zone", "date"}
#: schemas whose tables are nobody's records
_OURS = {"retention", "retention_trash", "pg_catalog", "information_schema", "pg_toast"}
_TIMES = {"timestamp with time zone", *_WITHOUT_ZONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A table that a policy empties.

    Args:
        policy: its name.
        table: its settings.
        floor_days: the youngest age that may ever be deleted: the policy's own period.
        register: whether the hold register lies in this database.
        rest_role: the role that PostgREST calls the functions with; empty for none.
    """

    policy: str
    table: TableSettings
    floor_days: int
    register: bool
    rest_role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that migrate did.

    Args:
        sentence: for people.
        floor: for a floor that moved: ``target``, ``from``, ``to``.
        target: for a table that was set up: its facts for the ledger.
    """

    sentence: str
    floor: Mapping[str, Any] | None = None
    target: Mapping[str, Any] | None = None


def migrate(
    connection: psycopg.Connection[Any],
    targets: tuple[Target, ...],
    *,
    job_role: str,
    lower_floors: bool = False,
) -> tuple[Change, ...]:
    """Bring a database up to date; a second time it changes nothing.

    Args:
        connection: of an owner of the tables who may create schemas; nothing open on it.
        targets: the tables that lie in this database.
        job_role: made when it is not there, without a password.
        lower_floors: whether a shorter period may lower a floor.

    Raises:
        ConfigurationError: a table or column is not there, or cannot be emptied safely.
        StoreError: PostgreSQL refuses.
        TamperingFound: a migration that was applied is not the one of this version.
    """
    with _alone(connection), errors("the database cannot be migrated"), connection.transaction():
        plain_path(connection)
        changes = [*_role(connection, job_role), *_migrations(connection)]
        _grant(connection, job_role)
        for target in targets:
            changes += _target(connection, target, job_role, lower_floors=lower_floors)
    return tuple(changes)


@contextmanager
def _alone(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """One migrate at a time."""
    with errors("the lock of migrate cannot be taken"):
        connection.execute(_sql("lock"))
        connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(_sql("unlock"))
        connection.commit()


def plain_path(connection: psycopg.Connection[Any]) -> None:
    """Look names up in ``pg_catalog`` alone for this transaction, and take as long as it takes."""
    connection.execute(_sql("plain_path").encode())


def _sql(name: str) -> str:
    return named("queries/migrate.sql")[name]


def _row(connection: psycopg.Connection[Any], name: str, **values: Any) -> tuple[Any, ...] | None:
    return connection.execute(_sql(name).encode(), values).fetchone()


def _role(connection: psycopg.Connection[Any], role: str) -> Iterator[Change]:
    from psycopg import sql

    found = _row(connection, "role_exists", role=role)
    if found is not None and not found[0]:
        connection.execute(sql.SQL(_sql("create_role")).format(role=sql.Identifier(role)))
        yield Change(sentence=f"role {role} made, without a password: set one, or another way to log in")


def _migrations(connection: psycopg.Connection[Any]) -> Iterator[Change]:
    connection.execute(_sql("bookkeeping").encode())
    applied = dict(connection.execute(_sql("applied").encode()).fetchall())
    for path in names("migrations"):
        text = load(path)
        name = path.rpartition("/")[2]
        number, sha256 = int(name[:4]), hashlib.sha256(text.encode()).hexdigest()
        if number not in applied:
            connection.execute(text.encode())
            connection.execute(_sql("record").encode(), {"number": number, "name": name, "sha256": sha256})
            yield Change(sentence=f"migration {name} applied")
        elif applied[number] != sha256:
            raise TamperingFound(
                f"migration {name} was applied to this database in another form",
                "install the version that made this schema, or ask what was changed in it",
            )
    if newer := sorted(set(applied) - {int(path.rpartition("/")[2][:4]) for path in names("migrations")}):
        raise ConfigurationError(
            f"the database has migration {newer[-1]}, which this version does not know", "upgrade the suite"
        )


def _grant(connection: psycopg.Connection[Any], role: str) -> None:
    from psycopg import sql

    for template in ("ledger_grants", "grants"):
        statement = sql.SQL(load(f"templates/{template}.sql")).format(role=sql.Identifier(role))
        connection.execute(statement)


def _target(
    connection: psycopg.Connection[Any], target: Target, role: str, *, lower_floors: bool
) -> Iterator[Change]:
    relation, shape = look(connection, target)
    statements = functions(shape, role)
    if target.rest_role:
        statements += rest(shape, target.rest_role)
    definition = hashlib.sha256(statements.as_string(None).encode()).hexdigest()
    known = _row(connection, "target", target=shape.table)
    floor, moved = _floor(target, known[0] if known else None, lower=lower_floors)
    yield from moved
    if known is not None and known == (floor, definition, target.policy):
        return
    former = _row(connection, "former_name", target=shape.table)
    for function in sorted({shape.function, former[0] if former else shape.function}):
        connection.execute(dropped(function, _sql("drop_functions")))
    connection.execute(statements)
    facts = _facts(connection, target, relation, shape, floor)
    connection.execute(_sql("set_target").encode(), {**facts, "definition": definition})
    sentence = f"{shape.table} set up for {target.policy}: {shape.strategy}, floor {floor} days"
    yield Change(sentence=sentence, target={**facts, "definition": definition, "job_role": role})


def _facts(
    connection: psycopg.Connection[Any], target: Target, relation: int, shape: Shape, floor: int
) -> dict[str, Any]:
    """The row of ``retention.target``."""
    system = _row(connection, "system")
    return {
        "target": shape.table,
        "policy": target.policy,
        "relation": relation,
        "function_name": shape.function,
        "floor_days": floor,
        "time_column": shape.time_column,
        "time_zone": shape.time_zone,
        "key_columns": [name for name, _ in shape.key],
        "tenant_column": shape.tenant_column,
        "subject_column": shape.subject_column,
        "strategy": shape.strategy,
        "holds_source": "register" if shape.register else "parameter",
        "system_identifier": system[0] if system else "",
    }


def _floor(target: Target, before: int | None, *, lower: bool) -> tuple[int, tuple[Change, ...]]:
    """The floor from now on, and that it moved."""
    wanted = target.floor_days
    if before is None or wanted == before:
        return wanted, ()
    if wanted < before and not lower:
        sentence = (
            f"{target.table.table}: the floor stays at {before} days; --lower-floor would make it {wanted}"
        )
        return before, (Change(sentence=sentence),)
    verb = "lowered" if wanted < before else "raised"
    moved = {"target": target.table.table, "from": before, "to": wanted}
    sentence = f"{target.table.table}: the floor was {verb} from {before} to {wanted} days"
    return wanted, (Change(sentence=sentence, floor=moved),)


def look(
    connection: psycopg.Connection[Any], target: Target, strategy: str | None = None
) -> tuple[int, Shape]:
    """The table's oid and shape, by its settings and the catalogue.

    Args:
        connection: in a transaction, whose search_path and statement timeout are set for it.
        target: the table and its policy.
        strategy: that migrate has chosen before; ``None`` chooses.

    Raises:
        ConfigurationError: it is not there, is no table, or lacks a column, a zone or a key.
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
        raise ConfigurationError(f"{settings.table} is no table (relkind {relation[1]})", "name a table")
    if relation[2]:
        raise ConfigurationError(
            f"{relation[2]} inherits from {settings.table}, and its rows would go with it",
            "ALTER TABLE … NO INHERIT, or make them partitions",
        )
    rows = connection.execute(_sql("columns").encode(), {"table": quoted}).fetchall()
    columns = {name: kind for name, kind, _ in rows}
    ordered = {name for name, _, walkable in rows if walkable}
    time_type = _time_type(settings, columns)
    return relation[0], Shape(
        table=settings.table,
        policy=target.policy,
        time_column=settings.time_column,
        time_type=time_type,
        time_zone=settings.time_zone if time_type in _WITHOUT_ZONE else None,
        key=tuple((name, _kind(settings, columns, name)) for name in settings.key_columns),
        tenant_column=_mapped(settings, columns, settings.tenant_column),
        subject_column=_mapped(settings, columns, settings.subject_column),
        strategy=strategy or _strategy(connection, settings, quoted, relation[1], ordered),
        register=target.register,
        uuids=tuple(
            name for name in (settings.tenant_column, settings.subject_column) if columns.get(name) == "uuid"
        ),
    )


def _kind(settings: TableSettings, columns: Mapping[str, str], name: str) -> str:
    if name not in columns:
        raise ConfigurationError(
            f"{settings.table} has no column {name}", f"it has {', '.join(columns)}; name another"
        )
    return columns[name]


def _mapped(settings: TableSettings, columns: Mapping[str, str], name: str) -> str | None:
    if name:
        _kind(settings, columns, name)
    return name or None


def _time_type(settings: TableSettings, columns: Mapping[str, str]) -> str:
    kind = _kind(settings, columns, settings.time_column)
    named_column = f"{settings.table}.{settings.time_column}"
    if kind not in _TIMES:
        raise ConfigurationError(
            f"{named_column} is of type {kind}, not an instant", "name another time_column"
        )
    if kind in _WITHOUT_ZONE and not settings.time_zone:
        raise ConfigurationError(
            f"{named_column} has no time zone, so its age is not known",
            "set time_zone to the zone it is written in",
        )
    return kind


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
            f"no unique key of {settings.table} lies within {', '.join(settings.key_columns)}",
            "set key_columns to its primary key",
        )
    return chosen


def shape_of(connection: psycopg.Connection[Any], target: Target, strategy: str | None = None) -> Shape:
    """The table's shape, for the job.

    Raises:
        ConfigurationError: as :func:`look`.
        StoreError: PostgreSQL refuses.
    """
    with errors(f"{target.table.table} cannot be looked at"):
        return look(connection, target, strategy)[1]
