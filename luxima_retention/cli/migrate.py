"""``luxima-retention migrate``: schema, functions, floor and rights, made by an owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.evidence.events import Event
    from luxima_retention.run.migrate import Change


@click.command("migrate")
@click.option("--lower-floor", is_flag=True, help="Let a shorter period lower a table's floor.")
@click.pass_context
def command(context: click.Context, lower_floor: bool) -> None:
    """Make schema retention, each table's functions with their floor, and the rights of the job's role.

    Uses the owner_dsn of section database, and of each section databases.<name> that has one. Run again
    after every change of tables or periods; what is in place stays.
    """
    from luxima_retention.core.errors import ConfigurationError

    settings = context.obj.settings
    owned = [name for name in ("", *settings.databases) if settings.database_named(name).owner_dsn]
    if not owned:
        raise ConfigurationError(
            "no owner's connection is configured",
            "set database.owner_dsn, or owner_dsn of a section databases.<name>, for this command only",
        )
    changes = [change for name in owned for change in _apply(settings, name, lower_floor)]
    _record(settings, changes)
    for change in changes:
        click.echo(change.sentence)
    if not changes:
        click.echo("everything is in place")


def _apply(settings: Settings, name: str, lower_floor: bool) -> tuple[Change, ...]:
    """Bring one database up to date, with the tables that policies have there."""
    from luxima_retention.io.postgres import connect
    from luxima_retention.run.migrate import migrate
    from luxima_retention.stores.registry import kind_of

    database = settings.database_named(name)
    policies = [settings.policy(policy) for policy in settings.policies]
    targets = [
        target
        for policy in policies
        if kind_of(policy).database(policy) == name
        for target in kind_of(policy).tables(policy)
    ]
    setting = f"databases.{name}.owner_dsn" if name else "database.owner_dsn"
    with connect(database.owner_dsn or "", purpose="migrate", setting=setting) as connection:
        return migrate(connection, tuple(targets), job_role=database.job_role, lower_floors=lower_floor)


def _record(settings: Settings, changes: list[Change]) -> None:
    """Write what was done into the ledger: as the owner where that is possible, else as the job."""
    from luxima_retention.core.clock import system_clock
    from luxima_retention.evidence.ledger import open_ledger

    found = list(_events(changes))
    dsn = settings.database.owner_dsn or settings.database.dsn
    if not found or not (dsn or settings.ledger.path):
        return
    ledger = open_ledger(dsn.get_secret_value() if dsn else "", settings.ledger.path)
    try:
        for policy, event in found:
            ledger.append(event, policy=policy, at=system_clock())
    finally:
        ledger.close()


def _events(changes: list[Change]) -> Iterator[tuple[str | None, Event]]:
    """What the ledger says of them, each with its policy."""
    from luxima_retention.evidence.events import FloorChanged, migrated

    for change in changes:
        if change.floor:
            target, before, after = (change.floor[name] for name in ("target", "from", "to"))
            yield None, FloorChanged(target=target, before=before, after=after)
        if change.target:
            yield change.target["policy"], migrated(change.target)
