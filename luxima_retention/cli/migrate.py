"""``luxima-retention migrate``: schema, functions, floor and rights, made by an owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pydantic import SecretStr

    from luxima_retention.config.settings import Settings
    from luxima_retention.evidence.ledger import Ledger
    from luxima_retention.run.functions import Change
    from luxima_retention.stores.table.shape import TableTarget


@click.command("migrate")
@click.option("--lower-floor", is_flag=True, help="Let a shorter period lower a table's floor.")
@click.pass_context
def command(context: click.Context, lower_floor: bool) -> None:
    """Make schema retention, each table's functions with their floor, and the rights of the job's role.

    Uses database.owner_dsn, and supabase.owner_dsn where it is set. Run again after every change of tables
    or periods; what is in place stays.
    """
    from luxima_retention.core.errors import ConfigurationError

    settings = context.obj.settings
    if not (settings.database.owner_dsn or settings.supabase.owner_dsn):
        raise ConfigurationError(
            "no owner's connection is configured",
            "set database.owner_dsn or supabase.owner_dsn, for this command only",
        )
    changes = [*_database(settings, lower_floor), *_supabase(settings, lower_floor)]
    _record(settings, changes)
    sentences = [change.sentence for change in changes if change.sentence]
    for sentence in sentences:
        click.echo(sentence)
    if not sentences:
        click.echo("everything is in place")


def _database(settings: Settings, lower_floor: bool) -> tuple[Change, ...]:
    from luxima_retention.stores.table.shape import TableTarget

    database = settings.database
    if database.owner_dsn is None:
        return ()
    days = settings.policies.audit_logs.retention_days
    target = TableTarget(policy="audit-logs", table=settings.audit_log, floor_days=days, register=True)
    return _apply(database.owner_dsn, "database.owner_dsn", (target,), database.job_role, lower_floor)


def _supabase(settings: Settings, lower_floor: bool) -> tuple[Change, ...]:
    from luxima_retention.stores.table.shape import TableTarget

    supabase = settings.supabase
    if supabase.owner_dsn is None:
        return ()
    targets = tuple(
        TableTarget(
            policy="security-events",
            table=table,
            floor_days=settings.policies.security_events.retention_days,
            register=False,
            rest_role=supabase.rest_role,
        )
        for table in supabase.tables
    )
    return _apply(supabase.owner_dsn, "supabase.owner_dsn", targets, supabase.job_role, lower_floor)


def _apply(
    dsn: SecretStr, setting: str, targets: tuple[TableTarget, ...], job_role: str, lower_floor: bool
) -> tuple[Change, ...]:
    from luxima_retention.io.postgres import connect
    from luxima_retention.run.migrate import migrate

    with connect(dsn, purpose="migrate", setting=setting) as connection:
        return migrate(connection, targets, job_role=job_role, lower_floors=lower_floor)


def _record(settings: Settings, changes: list[Change]) -> None:
    """Write what was done into the ledger: as the owner where that is possible, else as the job."""
    from luxima_retention.core.clock import system_clock
    from luxima_retention.evidence.ledger import open_ledger

    dsn = settings.database.owner_dsn or settings.database.dsn
    if not changes or not (dsn or settings.ledger.path):
        return
    ledger = open_ledger(dsn.get_secret_value() if dsn else "", settings.ledger.path)
    try:
        for kind, policy, body in _entries(changes, ledger):
            ledger.append(kind, body, policy=policy, at=system_clock())
    finally:
        ledger.close()


def _entries(changes: list[Change], ledger: Ledger) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """What was done, and what stands in the database and the ledger does not know."""
    from luxima_retention.run.functions import recorded_catalogue

    for change in changes:
        if change.floor:
            yield "floor.changed", None, dict(change.floor)
        facts = change.target
        if facts and (change.made or recorded_catalogue(ledger, facts["target"]) != facts["catalogue"]):
            yield "migrated", facts["policy"], dict(facts)
