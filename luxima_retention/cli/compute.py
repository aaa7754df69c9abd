"""``luxima-retention compute``: the size of a hosted database is proposed, approved, and then changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from luxima_retention.cli.common import warn

if TYPE_CHECKING:
    from luxima_retention.evidence.ledger import Ledger


@click.group("compute")
def command() -> None:
    """Propose a larger compute for a hosted Supabase database, and change it once a person approved."""


@command.command("propose")
@click.option("--reason", required=True, help="Why, such as the alert; no personal data.")
@click.pass_context
def propose(context: click.Context, reason: str) -> None:
    """Enter the next larger compute as a proposal, and tell people its digest. Changes nothing.

    A proposal that is open is not made again. Ends with 4 at compute.largest, and within a day of a change.
    """
    from luxima_retention.core.clock import system_clock
    from luxima_retention.run import compute
    from luxima_retention.tell.notify.proposals import tell

    with _opened(context) as ledger:
        made = compute.propose(context.obj.settings, ledger, reason, system_clock())
    for warning in tell(context.obj.settings, made.event) if made.new else ():
        warn(warning)
    event = made.event
    click.echo(f"proposed (entry {made.entry.seq}): {event.target} from {event.before} to {event.after}")
    click.echo(f"a person may approve it: luxima-retention approve --key FILE {event.digest}")


@command.command("apply")
@click.pass_context
def apply(context: click.Context) -> None:
    """Carry out the proposal that a person approved, once. It restarts the database.

    Without an approval nothing happens, and it ends with 0. It is asked for at most once: where the answer
    is lost, look at the dashboard.
    """
    from luxima_retention.core.clock import system_clock
    from luxima_retention.run import compute

    with _opened(context) as ledger:
        done = compute.apply(context.obj.settings, ledger, system_clock())
    if done is None:
        click.echo("nothing is approved, and nothing was changed")
        return
    click.echo(f"changed {done.target} from {done.before} to {done.after}")


@contextmanager
def _opened(context: click.Context) -> Iterator[Ledger]:
    from luxima_retention.evidence.ledger import open_ledger

    settings = context.obj.settings
    dsn = settings.database.dsn
    ledger = open_ledger(dsn.get_secret_value() if dsn else "", settings.ledger.path)
    try:
        yield ledger
    finally:
        ledger.close()
