"""``luxima-retention migrate``: schema, functions, floor and rights, made by an owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from luxima_retention.migrate import Change, Target
    from luxima_retention.settings import Settings


@click.command("migrate")
@click.option("--lower-floor", is_flag=True, help="Let a shorter period lower a table's floor.")
@click.pass_context
def command(context: click.Context, lower_floor: bool) -> None:
    """Make schema retention, each table's functions with their floor, and the rights of the job's role.

    Uses database.owner_dsn. Run again after every change of tables or periods; what is in place stays.
    """
    from luxima_retention.errors import ConfigurationError

    settings = context.obj.settings
    if settings.database.owner_dsn is None:
        raise ConfigurationError(
            "no owner's connection is configured", "set database.owner_dsn, for this command only"
        )
    changes = _apply(settings, lower_floor)
    for change in changes:
        click.echo(change.sentence)
    if not changes:
        click.echo("everything is in place")


def _apply(settings: Settings, lower_floor: bool) -> tuple[Change, ...]:
    """Migrate our own database, and write what was done into the ledger there."""
    from luxima_retention.clock import system_clock
    from luxima_retention.ledger.postgres import PostgresLedger
    from luxima_retention.migrate import migrate
    from luxima_retention.postgres import connect

    dsn = settings.database.owner_dsn.get_secret_value() if settings.database.owner_dsn else ""
    with connect(dsn, purpose="migrate", setting="database.owner_dsn") as connection:
        changes = migrate(
            connection,
            (_audit_log(settings),),
            job_role=settings.database.job_role,
            lower_floors=lower_floor,
        )
    ledger = PostgresLedger(dsn)
    try:
        for kind, policy, body in _entries(changes):
            ledger.append(kind, body, policy=policy, at=system_clock())
    finally:
        ledger.close()
    return changes


def _audit_log(settings: Settings) -> Target:
    from luxima_retention.migrate import Target

    days = settings.policies.audit_logs.retention_days
    return Target(policy="audit-logs", table=settings.audit_log, floor_days=days, register=True)


def _entries(changes: tuple[Change, ...]) -> list[tuple[str, str | None, dict[str, Any]]]:
    found: list[tuple[str, str | None, dict[str, Any]]] = []
    for change in changes:
        if change.floor:
            found.append(("floor.changed", None, dict(change.floor)))
        if change.target:
            found.append(("migrated", change.target["policy"], dict(change.target)))
    return found
