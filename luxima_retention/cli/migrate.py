"""``luxima-retention migrate``: schema, functions, floor and rights, made by an owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.evidence.events import Event
    from luxima_retention.evidence.ledger import Ledger
    from luxima_retention.run.functions import Change


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
    sentences = [change.sentence for change in changes if change.sentence]
    for sentence in sentences:
        click.echo(sentence)
    if not sentences:
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

    dsn = settings.database.owner_dsn or settings.database.dsn
    if not changes or not (dsn or settings.ledger.path):
        return
    ledger = open_ledger(dsn.get_secret_value() if dsn else "", settings.ledger.path)
    try:
        for policy, event in _events(changes, ledger):
            ledger.append(event, policy=policy, at=system_clock())
    finally:
        ledger.close()


def _events(changes: list[Change], ledger: Ledger) -> Iterator[tuple[str | None, Event]]:
    """What was done, and what stands in the database and the ledger does not know; each with its policy."""
    from luxima_retention.evidence.events import FloorChanged, migrated
    from luxima_retention.run.functions import recorded_catalogue

    for change in changes:
        if change.floor:
            target, before, after = (change.floor[name] for name in ("target", "from", "to"))
            yield None, FloorChanged(target=target, before=before, after=after)
        facts = change.target
        if facts and (change.made or recorded_catalogue(ledger, facts["target"]) != facts["catalogue"]):
            yield facts["policy"], migrated(facts)
