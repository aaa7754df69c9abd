"""``luxima-retention schedule``: run the policies, and the monthly report, at their times."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from luxima_retention.cli.common import Stopper, output_option
from luxima_retention.cli.log import sayer

if TYPE_CHECKING:
    from luxima_retention.cli import Context


@click.command("schedule")
@click.option(
    "--print-next", type=click.IntRange(min=1), metavar="N", help="Print the next N runs, and start nothing."
)
@output_option
@click.pass_context
def command(context: click.Context, *, print_next: int | None, output: str) -> None:
    """Run each policy at its times, and the monthly report, until told to stop (SIGTERM, exit 0).

    The times stand in section schedule of the settings. What was due while nothing ran is started if it is
    not later than schedule.grace, else recorded in the ledger. Of several daemons one works.
    """
    from luxima_retention.run.schedule import Daemon, Hooks
    from luxima_retention.tell.telemetry import daemon_metrics

    shared: Context = context.obj
    if print_next is not None:
        _print(shared, print_next, output)
        return
    stopper = Stopper()
    hooks = Hooks(
        command=_command(shared),
        stopping=stopper,
        wait=stopper.wait,
        say=sayer(shared),
        metrics=partial(daemon_metrics, shared.settings.telemetry.textfile_directory),
    )
    with stopper.listening():
        Daemon(shared.settings, hooks).serve()


def _command(shared: Context) -> list[str]:
    """This same program, with the same settings."""
    words = [sys.executable, "-P", "-m", "luxima_retention"]
    if shared.config is not None:
        words += ["--config", str(shared.config.absolute())]
    if shared.log_level is not None:
        words += ["--log-level", shared.log_level]
    return words


def _print(shared: Context, count: int, output: str) -> None:
    from luxima_retention.core.clock import iso, system_clock
    from luxima_retention.run.schedule import slots, upcoming

    coming = upcoming(slots(shared.settings), system_clock(), count)
    if output == "json":
        runs = [
            {"slot": slot.name, "at": iso(fire), "local": fire.isoformat(), "arguments": list(slot.arguments)}
            for fire, slot in coming
        ]
        click.echo(json.dumps({"version": 1, "runs": runs}, indent=2))
        return
    for fire, slot in coming:
        click.echo(f"{iso(fire)}  {fire:%a %Y-%m-%d %H:%M %Z}  luxima-retention {' '.join(slot.arguments)}")
