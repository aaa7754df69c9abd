"""Schema ``retention``, the functions of each table and the rights of the job's role, made by an owner.

Numbered migrations from ``sql/migrations`` run once; the functions of a table follow its settings and are
replaced when those change. The floor of a table only rises by itself; lowering it needs a word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from luxima_retention.core.errors import ConfigurationError, TamperingFound
from luxima_retention.io.postgres import errors
from luxima_retention.io.sqlfiles import load, named, names
from luxima_retention.run.definer import Definer
from luxima_retention.run.functions import (
    Change,
    apply_shared,
    check_schemas,
    check_strangers,
    is_intact,
    record_catalogue,
)
from luxima_retention.stores.kind import TableTarget
from luxima_retention.stores.table.shape import look, plain_path
from luxima_retention.stores.table.sql import Shape, dropped, functions, rest

if TYPE_CHECKING:
    import psycopg


def migrate(
    connection: psycopg.Connection[Any],
    targets: tuple[TableTarget, ...],
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
        check_schemas(connection)
        changes = [*_role(connection, job_role), *_migrations(connection)]
        again = not is_intact(connection)
        if again:
            changes += apply_shared(connection)
        definer = Definer(connection, job_role)
        made: set[str] = set()
        for target in targets:
            found = tuple(_target(connection, target, definer, again=again, lower_floors=lower_floors))
            changes += found
            made |= {target.table.table for change in found if change.made}
        if again or made:
            _grant(connection, job_role)
        check_strangers(connection)
        changes += record_catalogue(connection, made)
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

    for template in ("grants", "ledger_grants", "notify_grants"):
        statement = sql.SQL(load(f"templates/{template}.sql")).format(role=sql.Identifier(role))
        connection.execute(statement)


def _target(
    connection: psycopg.Connection[Any],
    target: TableTarget,
    definer: Definer,
    *,
    again: bool,
    lower_floors: bool,
) -> Iterator[Change]:
    relation, shape = look(connection, target)
    owner = definer.owner_of(shape, target.table.table)
    statements = functions(shape, definer.job_role)
    if target.rest_role:
        statements += rest(shape, target.rest_role)
    said = f"{statements.as_string(None)}\n{owner}"
    definition = hashlib.sha256(said.encode()).hexdigest()
    known = _row(connection, "target", target=shape.table)
    floor, moved = _floor(target, known[0] if known else None, lower=lower_floors)
    yield from moved
    if not again and known is not None and known == (floor, definition, target.policy):
        return
    former = _row(connection, "former_name", target=shape.table)
    for function in sorted({shape.function, former[0] if former else shape.function}):
        connection.execute(dropped(function, _sql("drop_functions")))
    connection.execute(statements)
    definer.hand_over(shape, owner, rest=bool(target.rest_role))
    facts = _facts(connection, target, relation, shape, floor)
    connection.execute(_sql("set_target").encode(), {**facts, "definition": definition})
    sentence = f"{shape.table} set up for {target.policy}: {shape.strategy}, floor {floor} days, by {owner}"
    yield Change(sentence=sentence, made=True)


def _facts(
    connection: psycopg.Connection[Any], target: TableTarget, relation: int, shape: Shape, floor: int
) -> dict[str, Any]:
    """The row of ``retention.target``."""
    system = _row(connection, "system")
    return {
        "target": shape.table,
        "policy": target.policy,
        "relation": relation,
        "function_name": shape.function,
        "floor_days": floor,
        "time_column": shape.time.name,
        "time_zone": shape.time.zone,
        "time_kind": shape.time.kind,
        "skip_referenced": target.table.skip_referenced,
        "key_columns": [name for name, _ in shape.key],
        "tenant_column": target.table.tenant_column or None,
        "subject_column": target.table.subject_column or None,
        "strategy": shape.strategy,
        "holds_source": "register" if shape.register else "parameter",
        "system_identifier": system[0] if system else "",
    }


def _floor(target: TableTarget, before: int | None, *, lower: bool) -> tuple[int, tuple[Change, ...]]:
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
