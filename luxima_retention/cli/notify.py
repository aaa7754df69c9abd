"""``luxima-retention notify``: tell people what waits, try the channels, take alerts of Grafana."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from luxima_retention.core.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from luxima_retention.tell.notify.send import Told


@click.group("notify")
def command() -> None:
    """Messages about trouble: Telegram, e-mail, Plane, a webhook and heartbeats."""


@command.command("flush")
@click.pass_context
def flush(context: click.Context) -> int:
    """Send what waits: the daily digest, what quiet hours or a receiver held back, what a killed run left.

    Exit status: 0, or 3 where a receiver did not take a message, which then waits for the next flush.
    """
    from luxima_retention.core.errors import LeaseHeld
    from luxima_retention.tell.notify.send import flush as flushed

    try:
        told = flushed(context.obj.settings)
    except LeaseHeld:
        click.echo("another run is telling at this moment; it tells this, too")
        return ExitCode.DONE
    return _said(told)


def _said(told: Told) -> int:
    click.echo(f"sent {told.sent}, waiting {told.waiting}")
    for warning in told.warnings:
        click.echo(warning, err=True)
    return ExitCode.INCOMPLETE if told.warnings else ExitCode.DONE


@command.command("test")
@click.pass_context
def test(context: click.Context) -> int:
    """Send one marked message through every channel, and say what each receiver answered.

    Exit status: 0, 2 where no channel is configured, or 3 where a message did not arrive.
    """
    from luxima_retention.tell.notify.send import test as tested

    results = list(tested(context.obj.settings))
    if not results:
        raise ConfigurationError(
            "no channel is configured", "set notify.telegram_token, notify.mail_to or notify.plane_url"
        )
    for name, arrived, said in results:
        click.echo(f"{name}: {'sent' if arrived else 'not sent'}: {said}")
    return ExitCode.DONE if all(arrived for _, arrived, _ in results) else ExitCode.INCOMPLETE
