"""The SQL of one table, from templates and the table's shape: one text for dry run, count and deletion."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luxima_retention.core.tablenames import function_name
from luxima_retention.io.sqlfiles import load

if TYPE_CHECKING:
    from psycopg import sql


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a table is made, by settings and catalogue.

    Args:
        table: with its schema: ``core.audit_log``.
        policy: that it belongs to.
        time_column: its column of instants.
        time_type: ``timestamp with time zone``, ``timestamp without time zone`` or ``date``.
        time_zone: of a column without zone; ``None`` for one with zone.
        key: names and types of the columns that tell rows apart, as ``format_type`` writes them.
        tenant_column, subject_column: for holds; ``None`` where not mapped.
        strategy: ``keyset`` or ``tid_range``.
        register: whether the hold register lies in the same database.
        uuids: mapped columns of type uuid, which a hold may spell in several ways.
    """

    table: str
    policy: str
    time_column: str
    time_type: str
    time_zone: str | None
    key: tuple[tuple[str, str], ...]
    tenant_column: str | None
    subject_column: str | None
    strategy: str
    register: bool
    uuids: tuple[str, ...] = ()

    @property
    def function(self) -> str:
        """The end of its functions' names: ``core_audit_log``."""
        return function_name(self.table)

    @property
    def digest(self) -> str:
        """Of what the functions were written for; what the catalogue says of indexes is no part of it."""
        said = (self.table, self.time_column, self.time_type, self.time_zone, self.key)
        mapped = (self.tenant_column, self.subject_column, self.uuids)
        return hashlib.sha256(repr((said, mapped)).encode()).hexdigest()


def identifier(name: str) -> sql.Identifier:
    """``core.audit_log`` as a quoted identifier, each part by itself."""
    from psycopg import sql

    return sql.Identifier(*name.split("."))


def survey_query(shape: Shape) -> sql.Composed:
    """The survey as a query with ``p_cutoff`` and ``p_holds``: for a database before migrate."""
    return _survey(shape, _parts(shape))


def explain_query(shape: Shape) -> sql.Composed:
    """One row as a query with ``p_key``, ``p_cutoff`` and ``p_holds``."""
    return _template("explain", _parts(shape))


def fragments(shape: Shape) -> dict[str, Any]:
    """What a query over one partition needs, with the placeholder ``p_holds``."""
    parts = _parts(shape)
    return {name: parts[name] for name in ("rules", "at", "held")}


def functions(shape: Shape, role: str) -> sql.Composed:
    """The table's three functions, with their grants to the job's role."""
    from psycopg import sql

    parts = _parts(shape, sql.SQL)
    parts |= {name: sql.Identifier("retention", f"{name}_{shape.function}") for name in _FUNCTIONS}
    parts |= {
        "role": sql.Identifier(role),
        "schema": sql.Identifier(shape.table.partition(".")[0]),
        "digest": sql.Literal(shape.digest),
        "body": _survey(shape, _parts(shape, _argument_of(f"survey_{shape.function}"))),
        "one": _template("explain", _parts(shape, _argument_of(f"explain_{shape.function}"))),
    }
    names = ("survey_function", f"prune_{shape.strategy}", "prune_grants")
    return sql.SQL("\n").join(_template(name, parts) for name in names)


def rest(shape: Shape, role: str) -> sql.Composed:
    """What PostgREST may call for this table, as the role that an API key stands for."""
    from psycopg import sql

    outside = {"state": "state", "preview": "preview", "explained": "explain", "trim": "trim"}
    parts: dict[str, Any] = {
        name: sql.Identifier("retention_api", f"{function}_{shape.function}")
        for name, function in outside.items()
    }
    parts |= {name: sql.Identifier("retention", f"{name}_{shape.function}") for name in _FUNCTIONS}
    parts |= {"role": sql.Identifier(role), "target": sql.Literal(shape.table)}
    return _template("rest", parts)


def dropped(function: str, statement: str) -> sql.Composed:
    """A statement over the names of a table's functions, which all end with ``function``."""
    from psycopg import sql

    names = {name: sql.Identifier("retention", f"{name}_{function}") for name in _FUNCTIONS}
    return sql.SQL(statement).format(**names)


_FUNCTIONS = ("survey", "explain", "prune")


def _template(name: str, parts: Mapping[str, Any]) -> sql.Composed:
    from psycopg import sql

    return sql.SQL(load(f"templates/{name}.sql")).format(**parts)


def _survey(shape: Shape, parts: Mapping[str, Any]) -> sql.Composed:
    kind = "keyset" if shape.strategy == "keyset" else "scan"
    return _template(f"survey_{kind}", parts) + _template("survey_end", parts)


def _argument_of(function: str) -> Callable[[str], sql.Composable]:
    """An argument by its function's name: a column of the same name would be taken for it in SQL."""
    from psycopg import sql

    return lambda name: sql.Identifier(function, name)


def _parts(shape: Shape, argument: Callable[[str], sql.Composable] | None = None) -> dict[str, Any]:
    """Everything that the templates name; parameters are placeholders where there is no function."""
    from psycopg import sql

    parameter = argument or sql.Placeholder
    time = sql.Identifier(shape.time_column)
    at = _zoned(shape, sql.SQL("t.{}").format(time), back=True)
    cutoff = _zoned(shape, sql.SQL("{}::timestamptz").format(parameter("p_cutoff")))
    return {
        "table": identifier(shape.table),
        "table_name": sql.Literal(identifier(shape.table).as_string(None)),
        "target": sql.Literal(shape.table),
        "time": time,
        "time_type": sql.SQL(shape.time_type),
        "at": at,
        "cutoff": cutoff,
        "past": _past(time, sql.SQL("edge")),
        "past_cutoff": _past(time, cutoff),
        "now": _zoned(shape, sql.SQL("now()")),
        "rules": _rules(shape, parameter, in_function=argument is not None),
        "held": _template("held", {"matches": _matches(shape, at)}),
        "holder": _template("holder", {"matches": _matches(shape, at)}),
        "is_key": _is_key(shape, parameter("p_key")),
        **_cursor(shape),
    }


def _past(time: sql.Composable, edge: sql.Composable) -> sql.Composed:
    """Whether row ``t`` lies before ``edge``; ``-infinity`` is no date, and never does."""
    from psycopg import sql

    return sql.SQL("t.{0} < {1} AND t.{0} > '-infinity'").format(time, edge)


def _zoned(shape: Shape, value: sql.Composable, *, back: bool = False) -> sql.Composable:
    """An instant in the column's own type; with ``back``, the column as an instant."""
    from psycopg import sql

    if shape.time_zone is None:
        return sql.SQL("{}::timestamptz").format(value) if back else value
    if back and shape.time_type == "date":
        value = sql.SQL("{}::timestamp").format(value)
    zoned = sql.SQL("({} AT TIME ZONE {})").format(value, sql.Literal(shape.time_zone))
    if back or shape.time_type != "date":
        return zoned
    return sql.SQL("{}::date").format(zoned)


def _rules(shape: Shape, parameter: Any, *, in_function: bool) -> sql.Composed:
    from psycopg import sql

    if in_function:
        return sql.SQL("retention.rules({}, {}, {})").format(
            sql.Literal(shape.policy), parameter("p_holds"), sql.Literal(shape.register)
        )
    return sql.SQL(load("templates/rules_before.sql")).format(holds=parameter("p_holds"))


def _matches(shape: Shape, at: sql.Composable) -> sql.Composed:
    """Whether rule ``h`` keeps row ``t``; a field that is not mapped keeps every row: the safe side."""
    from psycopg import sql

    exact = "(h.{0} IS NULL OR h.{0} = t.{1}::text)"
    loose = "(h.{0} IS NULL OR translate(lower(h.{0}), '{{}}-', '') = replace(t.{1}::text, '-', ''))"
    conditions: list[sql.Composable] = [
        sql.SQL(loose if column in shape.uuids else exact).format(
            sql.Identifier(name), sql.Identifier(column)
        )
        for name, column in (("tenant", shape.tenant_column), ("subject", shape.subject_column))
        if column
    ]
    conditions.append(sql.SQL("(h.start_at IS NULL OR {} >= h.start_at)").format(at))
    conditions.append(sql.SQL("(h.end_at IS NULL OR {} < h.end_at)").format(at))
    return sql.SQL(" AND ").join(conditions)


def _is_key(shape: Shape, key: sql.Composable) -> sql.Composed:
    from psycopg import sql

    return sql.SQL(" AND ").join(
        sql.SQL("t.{} = (({}::text[])[{}])::{}").format(
            sql.Identifier(name),
            key,
            sql.Literal(number),
            sql.SQL(kind),
        )
        for number, (name, kind) in enumerate(shape.key, start=1)
    )


def _cursor(shape: Shape) -> dict[str, Any]:
    """The fragments of the keyset walk: variables, comparisons and orders over (time, key).

    The journal's ``after_key`` ends with the time as the column has it: a local time that a change of clocks
    left out would come back from an instant as another one.
    """
    from psycopg import sql

    columns = [sql.SQL("t.{}").format(sql.Identifier(name)) for name in (shape.time_column, *_names(shape))]
    kinds = [shape.time_type, *(kind for _, kind in shape.key)]
    numbers = range(len(columns))
    last = [sql.SQL(f"last_{number}") for number in numbers]
    cursor = [sql.SQL(f"cursor_{number}") for number in numbers]
    comma = sql.SQL(", ")
    declared = [
        sql.SQL("{} {};").format(name, sql.SQL(kind))
        for names in (last, cursor)
        for name, kind in zip(names, kinds, strict=True)
    ]
    instant = _zoned(shape, sql.SQL("j.after_at"))  # of a run that an older version began
    read: list[sql.Composable] = [
        sql.SQL(f"cursor_0 := coalesce(j.after_key[{len(kinds)}]::{kinds[0]}, {{}});").format(instant)
    ]
    read += [
        sql.SQL(f"cursor_{number} := j.after_key[{number}]::{kind};")
        for number, kind in enumerate(kinds[1:], start=1)
    ]
    row = comma.join(columns)
    return {
        "declare": sql.SQL("\n    ").join(declared),
        "read_cursor": sql.SQL("\n    ").join(read),
        "order": row,
        "order_desc": comma.join(sql.SQL("{} DESC").format(column) for column in columns),
        "key_list": row,
        "last_list": comma.join(last),
        "last_at": _zoned(shape, last[0], back=True),
        "last_key": comma.join(sql.SQL("{}::text").format(name) for name in (*last[1:], last[0])),
        "after": sql.SQL("(j.after_at IS NULL OR ({}) > ({}))").format(row, comma.join(cursor)),
        "upto": sql.SQL("({}) <= ({})").format(row, comma.join(last)),
    }


def _names(shape: Shape) -> list[str]:
    return [name for name, _ in shape.key]
