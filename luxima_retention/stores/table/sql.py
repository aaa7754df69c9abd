"""The SQL of one table, from templates and the table's shape: one text for dry run, count and deletion."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luxima_retention.core.tablenames import function_name
from luxima_retention.io.sqlfiles import load
from luxima_retention.stores.table.mapping import Mapped
from luxima_retention.stores.table.times import TimeColumn

if TYPE_CHECKING:
    from psycopg import sql


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A foreign key that needs rows of this table.

    Args:
        child: the table that refers, quoted and with its schema.
        columns: pairs of columns, that table's and ours, with the operator that compares them.
        own: whether it is this table, or a partition of it; a row does not need itself.
    """

    child: str
    columns: tuple[tuple[str, str, str], ...]
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a table is made, by settings and catalogue.

    Args:
        table: with its schema: ``core.audit_log``.
        policy: that it belongs to.
        time: its column of instants.
        key: names and types of the columns that tell rows apart, as ``format_type`` writes them.
        tenant, subject: for holds; ``None`` where not mapped.
        strategy: ``keyset`` or ``tid_range``.
        register: whether ledger and hold register lie in the same database.
        references: foreign keys whose rows are left, where the settings say so.
        schemas: of the types and operators that the functions name, besides PostgreSQL's own.
    """

    table: str
    policy: str
    time: TimeColumn
    key: tuple[tuple[str, str], ...]
    tenant: Mapped | None
    subject: Mapped | None
    strategy: str
    register: bool
    references: tuple[Reference, ...] = ()
    schemas: tuple[str, ...] = ()

    @property
    def grants(self) -> tuple[str, ...]:
        """What ``{owner}`` of the functions needs besides the table itself, as statements."""
        schemas = [f"GRANT USAGE ON SCHEMA {name} TO {{owner}}" for name in self.schemas]
        return (*schemas, *(f"GRANT SELECT ON {item.child} TO {{owner}}" for item in self.references))

    @property
    def function(self) -> str:
        """The end of its functions' names: ``core_audit_log``."""
        return function_name(self.table)

    @property
    def mapped(self) -> dict[str, Mapped]:
        """What holds may name here: ``tenant``, ``subject``."""
        both = {"tenant": self.tenant, "subject": self.subject}
        return {name: mapped for name, mapped in both.items() if mapped}

    @property
    def digest(self) -> str:
        """Of what the functions were written for; what the catalogue says of indexes is no part of it."""
        said = (self.table, self.time, self.key, self.mapped, self.references, self.register)
        return hashlib.sha256(repr(said).encode()).hexdigest()


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
    return {name: parts[name] for name in ("holds", "at", "dated", "free", "unreferenced")}


def functions(shape: Shape, role: str) -> sql.Composed:
    """The table's three functions, with their grants to the job's role."""
    from psycopg import sql

    parts = _parts(shape, sql.SQL)
    parts |= function_names(shape)
    parts |= {
        "role": sql.Identifier(role),
        "schema": sql.Identifier(shape.table.partition(".")[0]),
        "digest": sql.Literal(shape.digest),
        "body": _survey(shape, _parts(shape, _argument_of(f"survey_{shape.function}"))),
        "given": _holds(shape, {**parts, "rules": _given(shape)})["holds"],
        "one": _template("explain", _parts(shape, _argument_of(f"explain_{shape.function}"))),
    }
    names = ("survey_function", f"prune_{shape.strategy}", "prune_grants")
    return sql.SQL("\n").join(_template(name, parts) for name in names)


def rest(shape: Shape, role: str) -> sql.Composed:
    """What PostgREST may call for this table, as the role that an API key stands for."""
    from psycopg import sql

    parts: dict[str, Any] = {**rest_names(shape), **function_names(shape)}
    parts |= {"role": sql.Identifier(role), "target": sql.Literal(shape.table)}
    return _template("rest", parts)


def function_names(shape: Shape) -> dict[str, sql.Identifier]:
    """The names of a table's functions."""
    from psycopg import sql

    return {name: sql.Identifier("retention", f"{name}_{shape.function}") for name in _FUNCTIONS}


def rest_names(shape: Shape) -> dict[str, sql.Identifier]:
    """The names of what PostgREST calls."""
    from psycopg import sql

    outside = {"state": "state", "preview": "preview", "explained": "explain", "trim": "trim"}
    return {
        name: sql.Identifier("retention_api", f"{function}_{shape.function}")
        for name, function in outside.items()
    }


def dropped(function: str, statement: str) -> sql.Composed:
    """A statement over the names of a table's functions, which all end with ``function``."""
    from psycopg import sql

    names = {name: sql.Identifier("retention", f"{name}_{function}") for name in _FUNCTIONS}
    return sql.SQL(statement).format(**names)


_FUNCTIONS = ("survey", "explain", "keeps", "prune")


def _template(name: str, parts: Mapping[str, Any]) -> sql.Composed:
    from psycopg import sql

    return sql.SQL(load(f"templates/{name}.sql")).format(**parts)


def _survey(shape: Shape, parts: Mapping[str, Any]) -> sql.Composed:
    kind = "keyset" if shape.strategy == "keyset" else "scan"
    loose = _template("loose" if shape.references else "loose_all", parts)
    return _template(f"survey_{kind}", parts) + _template("survey_end", {**parts, "loose": loose})


def _argument_of(function: str) -> Callable[[str], sql.Composable]:
    """An argument by its function's name: a column of the same name would be taken for it in SQL."""
    from psycopg import sql

    return lambda name: sql.Identifier(function, name)


def _parts(shape: Shape, argument: Callable[[str], sql.Composable] | None = None) -> dict[str, Any]:
    """Everything that the templates name; parameters are placeholders where there is no function."""
    from psycopg import sql

    parameter = argument or sql.Placeholder
    column = sql.SQL("t.{}").format(sql.Identifier(shape.time.name))
    cutoff = shape.time.edge(sql.SQL("{}::timestamptz").format(parameter("p_cutoff")))
    at = shape.time.at(column)
    parts = {
        "table": identifier(shape.table),
        "table_name": sql.Literal(identifier(shape.table).as_string(None)),
        "target": sql.Literal(shape.table),
        "time": sql.Identifier(shape.time.name),
        "time_type": sql.SQL(shape.time.type),
        "at": at,
        "dated": shape.time.dated(column),
        "without_date": _without_date(shape, column, cutoff),
        "cutoff": cutoff,
        "past": shape.time.past(column, sql.SQL("edge")),
        "past_cutoff": shape.time.past(column, cutoff),
        "now": shape.time.edge(sql.SQL("now()")),
        "rules": _rules(shape, parameter, in_function=argument is not None),
        "is_key": _is_key(shape, parameter("p_key")),
        "unreferenced": _unreferenced(shape),
        **_cursor(shape),
    }
    return parts | _holds(shape, parts)


def _without_date(shape: Shape, column: sql.Composable, cutoff: sql.Composable) -> sql.Composed:
    """What a survey counts as undated: of keys that carry their time, only those that a walk would meet."""
    from psycopg import sql

    undated = sql.SQL("NOT coalesce({}, false)").format(shape.time.dated(column))
    if shape.time.kind == "instant":
        return sql.SQL("{0} IS NULL OR {0} = '-infinity'").format(column)
    if shape.time.kind in {"uuid_v7", "ulid"}:
        return sql.SQL("{} < {} AND {}").format(column, cutoff, undated)
    return sql.SQL("{0} IS NULL OR {0} <= 0").format(column)


def _rules(shape: Shape, parameter: Any, *, in_function: bool) -> sql.Composed:
    from psycopg import sql

    if in_function:
        return sql.SQL("retention.rules({}, {}, {})").format(
            sql.Literal(shape.policy), parameter("p_holds"), sql.Literal(shape.register)
        )
    return sql.SQL(load("templates/rules_before.sql")).format(holds=parameter("p_holds"))


def _given(shape: Shape) -> sql.Composed:
    """Only the rules that the caller names, as an argument of the function that counts what they keep."""
    from psycopg import sql

    holds = sql.Identifier(f"keeps_{shape.function}", "p_holds")
    return sql.SQL("retention.rules({}, {}, false)").format(sql.Literal(shape.policy), holds)


#: the parts of the rules, by what they name
_PARTS: Mapping[str, frozenset[str]] = {
    "by_range": frozenset(),
    "by_tenant": frozenset({"tenant"}),
    "by_subject": frozenset({"subject"}),
    "by_both": frozenset({"tenant", "subject"}),
}


def _holds(shape: Shape, parts: Mapping[str, Any]) -> dict[str, sql.Composable]:
    """``holds``: common table expressions; ``free``: no rule keeps row ``t``; ``holder``: which does.

    A field that is not mapped keeps every row: the safe side.
    """
    from psycopg import sql

    mapped, within = shape.mapped, _within(parts["at"])
    present = {name: names for name, names in _PARTS.items() if names <= mapped.keys()}
    texts = {
        name: sql.SQL("r.{}::{}" if name in mapped else "r.{}").format(
            sql.Identifier(name), sql.SQL(mapped[name].type if name in mapped else "")
        )
        for name in ("tenant", "subject")
    }
    declared = [
        _template("holds_part", {"part": sql.Identifier(name), "names": _named(mapped, names)})
        for name, names in present.items()
    ]
    free = [
        _template(
            "free",
            {
                "part": sql.Identifier(name),
                "matches": _all(mapped[n].equals(n) for n in sorted(names)) + within,
            },
        )
        for name, names in present.items()
    ]
    loose = [
        sql.SQL("(h.{} IS NULL OR {})").format(sql.Identifier(name), item.equals(name))
        for name, item in mapped.items()
    ]
    return {
        "holds": _template(
            "holds", {"rules": parts["rules"], "parts": sql.SQL(", ").join(declared), **texts}
        ),
        "free": sql.SQL(" AND ").join(free),
        "holder": _template("holder", {"matches": _all(loose) + within}),
    }


def _within(at: sql.Composable) -> sql.Composed:
    from psycopg import sql

    return sql.SQL(
        "(h.start_at IS NULL OR {0} >= h.start_at) AND (h.end_at IS NULL OR {0} < h.end_at)"
    ).format(at)


def _named(mapped: Mapping[str, Mapped], names: frozenset[str]) -> sql.Composable:
    """Whether rule ``h`` names just these of the mapped fields."""
    from psycopg import sql

    conditions = [
        sql.SQL("h.{} IS NOT NULL" if name in names else "h.{} IS NULL").format(sql.Identifier(name))
        for name in mapped
    ]
    return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")


def _all(conditions: Iterable[sql.Composable]) -> sql.Composed:
    """Conditions, each followed by ``AND``."""
    from psycopg import sql

    return sql.Composed([sql.SQL("{} AND ").format(condition) for condition in conditions])


def _unreferenced(shape: Shape) -> sql.Composable:
    """Whether no foreign key needs row ``t``."""
    from psycopg import sql

    conditions = []
    for reference in shape.references:
        equal: list[sql.Composable] = [
            sql.SQL("t.{} {} c.{}").format(sql.Identifier(ours), sql.SQL(operator), sql.Identifier(theirs))
            for theirs, ours, operator in reference.columns
        ]
        if reference.own:
            equal.append(sql.SQL("(c.tableoid, c.ctid) <> (t.tableoid, t.ctid)"))
        values = {"child": sql.SQL(reference.child), "matches": sql.SQL(" AND ").join(equal)}
        conditions.append(_template("unreferenced", values))
    return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")


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

    columns = [sql.SQL("t.{}").format(sql.Identifier(name)) for name in (shape.time.name, *_names(shape))]
    kinds = [shape.time.type, *(kind for _, kind in shape.key)]
    numbers = range(len(columns))
    last = [sql.SQL(f"last_{number}") for number in numbers]
    cursor = [sql.SQL(f"cursor_{number}") for number in numbers]
    comma = sql.SQL(", ")
    declared = [
        sql.SQL("{} {};").format(name, sql.SQL(kind))
        for names in (last, cursor)
        for name, kind in zip(names, kinds, strict=True)
    ]
    read: list[sql.Composable] = [
        sql.SQL(f"cursor_0 := j.after_key[{len(kinds)}]::{{}};").format(sql.SQL(kinds[0]))
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
        "last_at": shape.time.at(last[0]),
        "last_key": comma.join(sql.SQL("{}::text").format(name) for name in (*last[1:], last[0])),
        "after": sql.SQL("(j.after_at IS NULL OR ({}) > ({}))").format(row, comma.join(cursor)),
        "upto": sql.SQL("({}) <= ({})").format(row, comma.join(last)),
    }


def _names(shape: Shape) -> list[str]:
    return [name for name, _ in shape.key]
