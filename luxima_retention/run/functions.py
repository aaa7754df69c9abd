"""The functions, triggers and rights of schema ``retention``: made by migrate, and known when they change.

Their text stands in ``sql/functions`` and ``sql/templates``. What the catalogue says of them afterwards has
a digest (``sql/queries/catalogue.sql``), which migrate writes down in ``retention.target`` and in the ledger;
each run compares it before it begins, and inside each batch.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luxima_retention.core.errors import ConfigurationError, TamperingFound
from luxima_retention.core.plan import Finding, Level, Survey
from luxima_retention.io.sqlfiles import load, named, names

if TYPE_CHECKING:
    import psycopg

    from luxima_retention.evidence.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that migrate did.

    Args:
        sentence: for people.
        floor: for a floor that moved: ``target``, ``from``, ``to``.
        target: for a table that was set up: its facts for the ledger; no sentence then.
        made: whether a table's functions were made.
    """

    sentence: str
    made: bool = False
    floor: Mapping[str, Any] | None = None
    target: Mapping[str, Any] | None = None


def _sql(name: str) -> str:
    return named("queries/catalogue.sql")[name]


def _rows(connection: psycopg.Connection[Any], name: str, **values: Any) -> list[tuple[Any, ...]]:
    return connection.execute(_sql(name).encode(), values).fetchall()


def check_schemas(connection: psycopg.Connection[Any]) -> None:
    """Refuse schemas of another role: whoever owns one may replace what we make in it.

    Raises:
        ConfigurationError: a schema, or something in it, belongs to neither this role nor a superuser.
    """
    for name, owner, foreign in _rows(connection, "schema_owners"):
        if foreign:
            raise ConfigurationError(
                f"{name} belongs to {owner}, who could replace our functions there",
                f"run migrate as {owner}, or have a superuser drop it or give it to the role that migrates",
            )


def shared_digest() -> str:
    """SHA-256, hex, of the files that make the shared functions."""
    text = "".join(load(path) for path in names("functions"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_intact(connection: psycopg.Connection[Any]) -> bool:
    """Whether everything is as the last migrate of this version left it."""
    ((shared,),) = _rows(connection, "shared")
    recorded = _rows(connection, "recorded")
    return shared == shared_digest() and all(
        catalogue == _catalogue(connection, function) for _, function, catalogue in recorded
    )


def _catalogue(connection: psycopg.Connection[Any], function: str) -> str:
    ((digest, _),) = _rows(connection, "catalogue", function=function)
    return str(digest)


def apply_shared(connection: psycopg.Connection[Any]) -> Iterator[Change]:
    """Make the shared functions and triggers, or make them again."""
    from psycopg import sql

    ((before,),) = _rows(connection, "shared")
    for path in names("functions"):
        connection.execute(load(path).encode())
    digest = shared_digest()
    connection.execute(sql.SQL(_sql("set_shared")).format(sha256=sql.Literal(digest)))
    if before is not None:
        was = "were not as migrate had left them" if before == digest else "were of another version"
        yield Change(sentence=f"functions, triggers or rights of schema retention {was}: made again")


def check_strangers(connection: psycopg.Connection[Any]) -> None:
    """Refuse what stands in schema ``retention`` and is not of this version.

    Raises:
        TamperingFound: a function, trigger or rule that no file of ours makes.
    """
    texts = [load(path) for path in names("functions")]
    functions = {name for text in texts for name in re.findall(r"FUNCTION retention\.(\w+)\(", text)}
    triggers = {name for text in texts for name in re.findall(r"CREATE(?: CONSTRAINT)? TRIGGER (\w+)", text)}
    values = {"functions": sorted(functions), "triggers": sorted(triggers)}
    if found := _rows(connection, "strangers", **values):
        raise TamperingFound(
            f"schema retention holds what is not ours: {', '.join(row[0] for row in found)}",
            "find out who made it, drop it, and run migrate again",
        )


def record_catalogue(connection: psycopg.Connection[Any], made: Collection[str]) -> Iterator[Change]:
    """Write down what the catalogue says now; the facts of each table for the ledger, which may lack them."""
    for target, function, before in _rows(connection, "recorded"):
        digest = _catalogue(connection, function)
        if digest != before:
            connection.execute(_sql("record").encode(), {"target": target, "catalogue": digest})
        ((facts,),) = _rows(connection, "facts", target=target)
        yield Change(sentence="", target=facts, made=target in made)


def changed_functions(ledger: Ledger, survey: Survey) -> tuple[Finding, ...]:
    """Whether the functions that a survey found are those that the ledger knows from migrate.

    Args:
        ledger: readable.
        survey: of any store; one whose evidence names no ``functions_sha256`` has no such functions.
    """
    found = survey.evidence.get("functions_sha256")
    if found is None:
        return ()
    recorded = recorded_catalogue(ledger, survey.identity.target)
    if recorded == found:
        return ()
    said = (
        "the ledger does not know the functions" if recorded is None else "the ledger knows other functions"
    )
    return (
        Finding(
            code="functions-not-in-ledger",
            level=Level.REFUSE,
            message=f"{said} of {survey.identity.target} that the database has",
            hint="find out who changed them; `luxima-retention migrate` makes them again and records them",
        ),
    )


def recorded_catalogue(ledger: Ledger, target: str) -> str | None:
    """The digest that the newest ``migrated`` entry of a table tells; ``None`` without one."""
    found = None
    for entry in ledger.entries(kinds={"migrated"}):
        if entry.body.get("target") == target:
            found = entry.body.get("catalogue")
    return found
