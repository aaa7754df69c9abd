"""``luxima-retention approve``: a person approves what was refused or proposed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from luxima_retention.core.errors import ExitCode


@click.command("approve")
@click.argument("plan")
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your own key, PEM; on your own machine, never where jobs run.",
)
@click.option("--withdraw", is_flag=True, help="Take the approval back; needs no key.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@click.pass_context
def command(context: click.Context, *, plan: str, key: Path | None, withdraw: bool, yes: bool) -> int:
    """Approve the plan or proposal of this digest, as the message about it names it: 12 digits at least.

    Signs with --key, which must be a key of ledger.approvers. The next run of the policy
    carries out exactly that plan, once; what has grown or changed by then is refused. Silence is no.
    """
    from luxima_retention.core.clock import iso, system_clock
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.evidence.ledger import open_ledger
    from luxima_retention.run import approve

    settings = context.obj.settings
    dsn = settings.database.dsn
    ledger = open_ledger(dsn.get_secret_value() if dsn else "", settings.ledger.path)
    try:
        if withdraw:
            made = approve.withdraw(settings, ledger, plan, system_clock())
            click.echo(f"withdrawn (entry {made[-1].seq}): the next run does not carry it out")
            return ExitCode.DONE
        if key is None:
            raise ConfigurationError("no key is named", "add --key FILE, your own key on your own machine")
        confirm = (lambda _lines: True) if yes or not sys.stdin.isatty() else _asked
        entry = approve.approve(settings, ledger, plan, system_clock(), confirm, key=key)
    finally:
        ledger.close()
    if entry is None:
        click.echo("nothing was approved", err=True)
        return ExitCode.REFUSED
    until = entry.body["end"]
    click.echo(f"approved by {entry.body['by']} (entry {entry.seq}, {iso(entry.at)}), until {until}")
    return ExitCode.DONE


def _asked(lines: tuple[str, ...]) -> bool:
    """Show what it is and ask; only "yes" goes on."""
    for line in lines:
        click.echo(line, err=True)
    return bool(click.confirm("Approve it?", default=False, err=True))
