"""What the catalogue says about a table, as findings: pure, each in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from luxima_retention.core.plan import Finding, Level, Request

if TYPE_CHECKING:
    from luxima_retention.stores.kind import TableTarget

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
    digest: str = ""


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
    may_call: bool = False
    references: tuple[Any, ...] = field(default=())
    triggers: tuple[str, ...] = field(default=())
    rules: tuple[str, ...] = field(default=())
    digest: str = ""


def findings(
    target: TableTarget, known: Known | None, traits: Traits, request: Request
) -> tuple[Finding, ...]:
    """Every finding about one table, the worst first."""
    found = [
        *_server(target, traits),
        *_rights(target, known, traits),
        *_shape(target, known, traits, request),
    ]
    found += [*_references(target, traits), *_triggers(target, traits)]
    order = [Level.FAILED, Level.REFUSE, Level.DRIFT, Level.WARNING, Level.INFO]
    return tuple(sorted(found, key=lambda finding: order.index(finding.level)))


def _server(target: TableTarget, traits: Traits) -> Iterator[Finding]:
    name = target.table.table
    if traits.standby:
        yield _refuse(
            "standby", f"{name} is reached on a standby", "name the primary in the connection string"
        )
    if traits.pooled:
        yield _warning(
            "pooler",
            "the connection goes through a pooler in transaction mode, which keeps no session",
            "name the server itself, or a pooler in session mode: the lease needs a session",
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
    settings = (table.time_column, list(table.key_columns), table.tenant_column, table.subject_column)
    if settings != (known.time_column, known.key_columns, known.tenant_column, known.subject_column):
        yield _refuse("other-settings", f"the settings of {name} have changed since migrate", _MIGRATE)
    elif known.digest and known.digest != traits.digest:
        yield _refuse(
            "other-columns", f"columns of {name} have changed their type or zone since migrate", _MIGRATE
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
    name = target.table.table
    for constraint, table, action, indexed in traits.references:
        if action in {"c", "n", "d"}:
            yield _refuse(
                "foreign-key-cascades",
                f"a deletion from {name} would change rows of {table} ({constraint})",
                "drop the constraint's ON DELETE action; nothing but the policy's own table is ever touched",
            )
        elif not indexed:
            yield _warning(
                "foreign-key-unindexed",
                f"{table} refers to {name} ({constraint}) without an index: each row is searched for",
                f"create an index on the referring column of {table}",
            )
        else:
            yield _warning(
                "foreign-key", f"rows of {name} that {table} refers to ({constraint}) cannot go", None
            )


def _triggers(target: TableTarget, traits: Traits) -> Iterator[Finding]:
    for rule in traits.rules:
        yield _refuse(
            "delete-rule",
            f"rule {rule} rewrites every deletion from {target.table.table}",
            "drop the rule: what it makes of a deletion cannot be counted",
        )
    for trigger in traits.triggers:
        yield _warning(
            "delete-trigger",
            f"trigger {trigger} fires on every deletion from {target.table.table}",
            "look whether it should, and names tables with their schema: its search_path is pg_catalog here;"
            " it is never switched off by us",
        )


def _refuse(code: str, message: str, hint: str) -> Finding:
    return Finding(code=code, level=Level.REFUSE, message=message, hint=hint)


def _warning(code: str, message: str, hint: str | None) -> Finding:
    return Finding(code=code, level=Level.WARNING, message=message, hint=hint)
