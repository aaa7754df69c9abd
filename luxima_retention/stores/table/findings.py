"""What the catalogue says about a table, as findings: pure, each in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from luxima_retention.core.plan import Finding, Level, Request

if TYPE_CHECKING:
    from luxima_retention.stores.kind import TableTarget

_TID_RANGE = 14
_MIGRATE = "run `luxima-retention migrate` with the owner's connection"


@dataclass(frozen=True, slots=True)
class Known:
    """The row of ``retention.target``."""

    policy: str
    floor_days: int
    time_column: str
    time_zone: str
    key_columns: list[str]
    tenant_column: str
    subject_column: str
    strategy: str
    relation: int
    system_identifier: str
    holds_source: str
    catalogue: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Referring:
    """A foreign key that a deletion meets: of ``child``, pointing at ``target``, so many keys away."""

    constraint: str
    child: str
    target: str
    on_delete: str
    indexed: bool
    level: int


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger that fires on deletions; ``owner`` where it runs with his rights, not the functions'."""

    name: str
    table: str
    owner: str | None
    by_superuser: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """A right that a trigger seems to need."""

    trigger: str
    right: str
    table: str
    role: str


@dataclass(frozen=True, slots=True)
class Traits:
    """What the catalogue says; see ``sql/queries/table.sql``, ``traits``, ``references``, ``triggers``."""

    standby: bool
    pooled: bool
    filtered: bool
    may_delete: bool
    may_truncate: bool
    may_select: bool
    indexed: bool
    blind: bool
    version: str
    counts: bool = True
    may_call: bool = False
    references: tuple[Referring, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    rules: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    lacking: tuple[Lacking, ...] = ()
    digest: str = ""
    catalogue: str = ""


def findings(
    target: TableTarget, known: Known | None, traits: Traits, request: Request
) -> tuple[Finding, ...]:
    """Every finding about one table, the worst first."""
    found = [
        *_server(target, traits, known.strategy if known else ""),
        *_rights(target, known, traits),
        *_shape(target, known, traits, request),
    ]
    found += [*_references(target, traits), *_triggers(target, traits), *_family(target, traits)]
    order = [Level.FAILED, Level.REFUSE, Level.DRIFT, Level.WARNING, Level.INFO]
    return tuple(sorted(found, key=lambda finding: order.index(finding.level)))


def _server(target: TableTarget, traits: Traits, known_strategy: str) -> Iterator[Finding]:
    name = target.table.table
    if traits.standby:
        yield _refuse(
            "standby", f"{name} is reached on a standby", "name the primary in the connection string"
        )
    if traits.pooled:
        yield _warning(
            "pooler",
            "the connection goes through a pooler",
            "name the server itself, or a pooler in session mode: the lease needs a session",
        )
    if not traits.counts:
        yield Finding(
            code="counts-off",
            level=Level.FAILED,
            message="track_counts is off, so what a deletion does to other tables cannot be seen",
            hint="set track_counts = on, for the server or for the job's role",
        )
    if int(traits.version.partition(".")[0].split()[0]) < _TID_RANGE and known_strategy == "tid_range":
        yield _warning(
            "no-tid-range",
            f"PostgreSQL {traits.version} reads all of {name} in each batch: it cannot scan a range of pages",
            f"upgrade to {_TID_RANGE} or newer, or create an index on {target.table.time_column}",
        )
    if traits.blind:
        yield _warning(
            "lag-not-visible",
            "standbys are attached, but their lag cannot be seen",
            "grant pg_monitor to the job's role",
        )


def _rights(target: TableTarget, known: Known | None, traits: Traits) -> Iterator[Finding]:
    name = target.table.table
    if traits.filtered:
        yield Finding(
            code="row-level-security",
            level=Level.FAILED,
            message=f"row-level security of {name} hides rows from the role that would delete them",
            hint="let a role with BYPASSRLS, or the table's owner, run migrate",
        )
    if known is not None and not traits.may_call:
        yield Finding(
            code="no-execute",
            level=Level.FAILED,
            message=f"this role may not call the batch function of {name}",
            hint=f"set database.job_role to this role and {_MIGRATE}",
        )
    if traits.may_delete or traits.may_truncate:
        which = "DELETE" if traits.may_delete else "TRUNCATE"
        yield _warning(
            "excess-rights",
            f"this role may {which} rows of {name} by itself, past floor and holds",
            f"let the job log in as database.job_role, or revoke {which} from this role",
        )


def _shape(target: TableTarget, known: Known | None, traits: Traits, request: Request) -> Iterator[Finding]:
    name, table = target.table.table, target.table
    if known is None:
        yield _refuse("not-migrated", f"{name} has no batch function yet", _MIGRATE)
        return
    if known.policy != target.policy:
        yield _refuse("other-policy", f"{name} was set up for policy {known.policy}", _MIGRATE)
    if known.floor_days > request.retention_days:
        yield _refuse(
            "below-floor",
            f"the database keeps {name} {known.floor_days} days; the policy says {request.retention_days}",
            "an owner can lower the floor: `luxima-retention migrate --lower-floor`",
        )
    if known.floor_days < request.retention_days:
        yield _warning(
            "floor-behind",
            f"the floor of {name} is {known.floor_days} days; the policy says {request.retention_days}",
            f"{_MIGRATE}: it raises the floor",
        )
    if known.catalogue != traits.catalogue:
        yield _refuse(
            "functions-changed",
            f"functions, triggers or rights that guard {name} are not as migrate left them",
            "find out who changed them; `luxima-retention migrate` makes them again and records that",
        )
    settings = (table.time_column, list(table.key_columns), table.tenant_column, table.subject_column)
    if settings != (known.time_column, known.key_columns, known.tenant_column, known.subject_column):
        yield _refuse("other-settings", f"the settings of {name} have changed since migrate", _MIGRATE)
    elif known.digest and known.digest != traits.digest:
        yield _refuse(
            "other-columns",
            f"columns or foreign keys of {name}, or their settings, changed since migrate",
            _MIGRATE,
        )
    if known.strategy == "keyset" and not traits.indexed:
        yield Finding(
            code="missing-index",
            level=Level.FAILED,
            message=f"{name} has no valid index that begins with {table.time_column} any more",
            hint=f"create it again, or {_MIGRATE} to change the strategy",
        )
    if known.strategy == "tid_range":
        yield Finding(
            code="no-index",
            level=Level.INFO,
            message=f"{name} has no index on {table.time_column}: every run passes over all pages",
            hint=f"CREATE INDEX CONCURRENTLY ON {name} ({table.time_column}, {', '.join(table.key_columns)})",
        )


def _references(target: TableTarget, traits: Traits) -> Iterator[Finding]:
    for key in traits.references:
        by_way = f" by way of {key.target}" if key.level > 1 else ""
        if key.on_delete in {"c", "n", "d"}:
            yield _refuse(
                "foreign-key-cascades",
                f"a deletion from {target.table.table} would change rows of {key.child}"
                f" ({key.constraint}){by_way}",
                "drop the constraint's ON DELETE action; nothing but the policy's own table is ever touched",
            )
        elif key.level == 1:
            yield from _needed(target, key)


def _needed(target: TableTarget, key: Referring) -> Iterator[Finding]:
    """A foreign key that forbids deleting what it needs."""
    if not key.indexed:
        yield _warning(
            "foreign-key-unindexed",
            f"{key.child} refers to {key.target} ({key.constraint}) without an index:"
            " each row is searched for",
            f"create an index on the referring column of {key.child}",
        )
        return
    said = f"rows of {key.target} that {key.child} refers to ({key.constraint})"
    if target.table.skip_referenced:
        yield Finding(code="foreign-key", level=Level.INFO, message=f"{said} are left and counted as locked")
    else:
        yield _warning("foreign-key", f"{said} cannot be deleted", "set skip_referenced = true to leave them")


def _triggers(target: TableTarget, traits: Traits) -> Iterator[Finding]:
    for rule in traits.rules:
        yield _refuse(
            "delete-rule",
            f"rule {rule} rewrites every deletion from {target.table.table}",
            "drop the rule: what it makes of a deletion cannot be counted",
        )
    for trigger in traits.triggers:
        whose = f" with the rights of {trigger.owner}" if trigger.owner else ""
        whose += ", a superuser" if trigger.by_superuser else ""
        yield _warning(
            "delete-trigger",
            f"trigger {trigger.name} fires on every deletion from {trigger.table}{whose}",
            "check whether it should, and names tables with their schema: its search_path is pg_catalog here;"
            " it is never switched off by us",
        )
    for lacking in traits.lacking:
        yield _warning(
            "trigger-lacks-right",
            f"trigger {lacking.trigger} names {lacking.table}, where {lacking.role} may not {lacking.right}",
            f"GRANT {lacking.right} ON {lacking.table} TO {lacking.role}",
        )


def _family(target: TableTarget, traits: Traits) -> Iterator[Finding]:
    for part in traits.foreign:
        yield _refuse(
            "foreign-partition",
            f"partition {part} lies on another server, where deletions cannot be counted",
            f"detach it from {target.table.table}",
        )


_TOUCHES = (
    ("INSERT", re.compile(r"\binsert\s+into\s+([\w.\"]+)", re.IGNORECASE)),
    (
        "UPDATE",
        re.compile(r"\bupdate\s+(?:only\s+)?([\w.\"]+)\s+(?:as\s+\w+\s+|\w+\s+)?set\b", re.IGNORECASE),
    ),
    ("DELETE", re.compile(r"\bdelete\s+from\s+(?:only\s+)?([\w.\"]+)", re.IGNORECASE)),
    ("SELECT", re.compile(r"\b(?:from|join)\s+(?:only\s+)?([\w.\"]+)", re.IGNORECASE)),
)


def touched(source: str) -> tuple[tuple[str, str], ...]:
    """Rights and tables that the text of a function names: what it builds at run time is not seen."""
    said = re.sub(r"--[^\n]*|/\*.*?\*/|'[^']*'", " ", source, flags=re.DOTALL)
    found = [(right, name) for right, pattern in _TOUCHES for name in pattern.findall(said)]
    deleted = {name for right, name in found if right == "DELETE"}
    return tuple(dict.fromkeys(item for item in found if item[0] != "SELECT" or item[1] not in deleted))


def _refuse(code: str, message: str, hint: str) -> Finding:
    return Finding(code=code, level=Level.REFUSE, message=message, hint=hint)


def _warning(code: str, message: str, hint: str | None) -> Finding:
    return Finding(code=code, level=Level.WARNING, message=message, hint=hint)
