"""``luxima-retention run``: apply the matrix."""

from __future__ import annotations

import json
import os
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from luxima_retention.cli.common import (
    Duration,
    Instant,
    Part,
    Shard,
    Stopper,
    loading,
    output_option,
    policy_type,
    readers_may_leave,
)
from luxima_retention.cli.log import Log, sayer
from luxima_retention.core.errors import ExitCode, RetentionError

if TYPE_CHECKING:
    from luxima_retention.cli import Context
    from luxima_retention.core.plan import Plan
    from luxima_retention.core.results import RunResult
    from luxima_retention.run.runner import Hooks, Options


@click.command("run")
@click.argument("policies", nargs=-1, type=policy_type, metavar="[POLICY]...")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; change nothing anywhere.")
@click.option("--as-of", type=Instant(), help="Count from this past instant instead of now.")
@click.option(
    "--save-plan", type=click.Path(dir_okay=False, path_type=Path), help="With --dry-run: file for the plan."
)
@click.option(
    "--plan",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Apply a saved plan, on its terms.",
)
@click.option("--max-items", type=click.IntRange(min=0), help="Refuse to destroy more records than this.")
@click.option(
    "--max-fraction", type=Part(), help="Part of all records, 0 to 1, that may be deleted (guard share)."
)
@click.option("--min-remaining", type=click.IntRange(min=0), help="Records that must be left.")
@click.option(
    "--max-silence",
    type=Duration(off=True),
    help="Age of the newest record up to which its source is not stale.",
)
@click.option("--max-runtime", type=Duration(), help="Time budget; stops in good order, exit 7.")
@click.option("--shard", type=Shard(), help="This process does part I of N (application-logs, --sweep).")
@click.option("--sweep", is_flag=True, help="Also walk all chunks of Loki's bucket (application-logs).")
@click.option("--rotate-now", is_flag=True, help="Rotate whatever the schedule says (log-files).")
@click.option(
    "--if-locked",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    help="Exit with 5, or with 0, where another run works on the policy.",
)
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@output_option
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    if_locked: str,
    yes: bool,
    output: str,
    **named: Any,
) -> int:
    """Apply the matrix to the named policies; to all of them when none is named.

    Surveys each store, decides by the cutoff and the legal holds, asks the guards, deletes in small batches,
    and surveys again. On a terminal it shows the plan and asks first.
    """
    with loading():
        from luxima_retention.cli.progress import Live
        from luxima_retention.core.results import to_json
        from luxima_retention.run import runner

        settings = context.obj.settings
    stopper, live = Stopper(), Live()
    options = runner.Options(**named)
    hooks = runner.Hooks(
        confirm=(lambda _plans: True) if yes or not _interactive() else _asked,
        stopping=stopper,
        wait=stopper.wait,
        observer=live,
    )
    runner.check_named(settings, options)
    with stopper.listening(), live:
        result = _watched(context.obj, options, hooks)
    with readers_may_leave():
        if output == "json":
            click.echo(json.dumps(to_json(result), indent=2))
        else:
            from luxima_retention.cli.render import render_run

            render_run(result)
    skipped = if_locked == "skip" and result.exit_code is ExitCode.LOCKED
    return ExitCode.DONE if skipped else result.exit_code


def _watched(context: Context, options: Options, hooks: Hooks) -> RunResult:
    """The run, told to the stack that watches; a dry run is told to nobody."""
    from luxima_retention.core.clock import system_clock
    from luxima_retention.core.observer import Several
    from luxima_retention.run import runner
    from luxima_retention.tell.audience import Audience, Nobody
    from luxima_retention.tell.logs import broken_off, finished

    settings, began = context.settings, system_clock()
    audience = Nobody() if options.dry_run else Audience(settings, options.shard, os.environ)
    tracing = audience.tracing
    say = sayer(context, invocation=str(uuid.uuid4()), **(tracing.ids() if tracing else {}))
    observers = [Log(say), hooks.observer, *((tracing,) if tracing else ())]
    watched = replace(hooks, observer=Several(*observers), tell=audience.run)
    try:
        result = runner.run(settings, options, watched)
    except BaseException as error:
        code = error.exit_code if isinstance(error, RetentionError) else ExitCode.FAULT
        names = options.policies or tuple(settings.policies)
        # Where nothing was begun (a flag that contradicts another) nothing is known that was not before.
        told = () if code is ExitCode.USAGE else audience.failed(names, began, code)
        say("run.finished", **broken_off(code, told, dry_run=options.dry_run))
        raise
    say("run.finished", **finished(result))
    return result


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked(plans: tuple[Plan, ...]) -> bool:
    """Show the plans on the terminal and ask; only "yes" goes on."""
    from luxima_retention.cli.render import render_plans

    render_plans(plans)
    return bool(click.confirm("Destroy them?", default=False, err=True))
