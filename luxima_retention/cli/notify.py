"""``luxima-retention notify``: tell people what waits, try the channels, take alerts of Grafana."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from luxima_retention.cli.common import Stopper, listening
from luxima_retention.cli.log import sayer
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
        click.echo("another run is sending messages now, and sends these, too")
        return ExitCode.DONE
    return _said(told)


def _said(told: Told) -> int:
    click.echo(f"sent {told.sent}, waiting {told.waiting}")
    for warning in (*told.warnings, *told.hints):
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


@command.command("grafana-webhook")
@click.option("--listen", metavar="HOST:PORT", callback=listening, help="Take alerts over HTTP there.")
@click.option("--telegram", is_flag=True, help="Also tell Telegram; not where Grafana does.")
@click.pass_context
def grafana_webhook(context: click.Context, *, listen: tuple[str, int] | None, telegram: bool) -> None:
    """Make or update work items from alerts of Grafana or Alertmanager: a body on stdin, or --listen.

    Requests go to /grafana and carry Grafana's signature by notify.grafana_secret, or it as a bearer token.
    A body on stdin needs none. The same alert twice is one work item. Ends with 3 where a receiver fails.
    """
    from luxima_retention.tell.notify.grafana import LARGEST
    from luxima_retention.tell.notify.service import Receiver, serving

    settings = context.obj.settings
    if listen is None:
        taken = Receiver(settings, telegram=telegram).take(sys.stdin.buffer.read(LARGEST + 1))
        click.echo(json.dumps({"version": 1, "items": taken}, indent=2))
        return
    stopper, say = Stopper(), sayer(context.obj)
    with stopper.listening(), serving(settings, listen, say, telegram=telegram) as address:
        say("grafana.listening", address=address)
        while not stopper():
            stopper.wait(1.0)
