"""The command line: one module a command; nothing is decided here.

Modules are loaded when their command is called, so that ``--help`` stays fast.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from luxima_retention import __version__
from luxima_retention.core.errors import ExitCode, RetentionError
from luxima_retention.core.redact import redacted

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.config.sources import Configuration
    from luxima_retention.core.plan import Hold

_STDERR = 2
#: command → what it does; the command itself is ``command`` in the module of that name
COMMANDS = {
    "matrix": "The matrix in force, and where each value came from.",
    "run": "Apply the matrix: survey, decide, guard, act, prove.",
    "explain": "Why a record will be deleted or kept, by which rule, on which date.",
    "doctor": "Reach everything; check rights, clocks, versions and what is missing.",
    "approve": "Approve a plan that a guard refused, or a proposal: a person, once, by its digest.",
    "compute": "Propose a larger hosted database, and change it once a person approved.",
    "hold": "Place, list and release legal holds.",
    "archive": "List, verify, restore and expire the archives of what was destroyed.",
    "ledger": "Read, verify, sign and hand over the chain of entries.",
    "witness": "Cosign another party's ledger: a small HTTP service (C2SP tlog-witness).",
    "report": "What was kept, destroyed and refused in a period, for an auditor.",
    "migrate": "Make schema, functions and rights in PostgreSQL, as its owner.",
    "observability": "Write and check alert rules, dashboards and provisioning.",
    "rotation": "Read logrotate's configuration as settings.",
    "schedule": "Run each policy at its times: a daemon where there is neither cluster nor cron.",
    "notify": "Send messages that wait, test the channels, take alerts of Grafana.",
    "manifests": "Write CronJobs and crontab for the policies that are configured.",
    "demo": "Try everything on an embedded PostgreSQL, in under a minute.",
    "completion": "Print the completion script of a shell.",
}


@dataclass
class Context:
    """What commands share: the settings, read once and only by those that need them."""

    config: Path | None = None
    log_level: str | None = None

    @cached_property
    def configuration(self) -> Configuration:
        """The settings with their origins."""
        from luxima_retention.config.sources import load
        from luxima_retention.stores.registry import options

        return load(self.config, options())

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.configuration.settings

    def holds(self) -> tuple[Hold, ...]:
        """The holds in force; none where neither database nor ledger is configured."""
        from luxima_retention.evidence.holds import in_force
        from luxima_retention.run.state import open_state

        state = open_state(self.settings)
        if state is None:
            return ()
        try:
            return in_force(state.register)
        finally:
            state.close()


class _Commands(click.Group):
    """Loads the module of a command when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - same
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"luxima_retention.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - same
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _tell_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """``--version``; an auditor compares the verifier's sum with that of the copy in a bundle."""
    if not wanted:
        return
    click.echo(f"luxima-retention, version {__version__}")
    if context.meta["verbose"]:
        from hashlib import sha256
        from importlib.resources import files

        verifier = (files("luxima_retention.evidence.ledger") / "verify.py").read_bytes()
        click.echo(f"verify.py, SHA-256 {sha256(verifier).hexdigest()}")
    context.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file; default: LUXIMA_CONFIG, ./luxima-retention.toml, /etc/luxima-retention/.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning"]),
    help="What goes to stderr; default: warning on a terminal, else info.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, callback=_tell_version, help="Show the version and exit."
)
@click.option(
    "--verbose",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, value: context.meta.update(verbose=value),
    help="With --version: also the SHA-256 of the verifier that bundles carry.",
)
@click.pass_context
def cli(context: click.Context, config: Path | None, log_level: str | None) -> None:
    """Apply Luxima's log retention matrix to every store, and prove that it was done.

    Exit status: 0 done, 1 fault, 2 usage, 3 could not be completed, 4 a guard refused, 5 another run holds
    the lease, 6 the proof failed, 7 stopped in good order, 8 drift. See docs/exit-codes.md.
    """
    context.obj = Context(config=config, log_level=log_level)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: every way to end has its exit code, and its sentence on stderr."""
    _open_streams()
    # As PID 1 a process without a handler does not even notice SIGTERM. Batches have one of their own.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        status = _status(arguments)
    except _Terminated:
        click.echo("error: stopped by SIGTERM before it was done", err=True)
        status = ExitCode.STOPPED
    sys.exit(status)


class _Terminated(BaseException):
    """SIGTERM; no ``except Exception`` may take it for a fault."""


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise _Terminated


def _open_streams() -> None:
    """Streams that were closed lead nowhere: else the next file would get their number and their text."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - for as long as we live


def _status(arguments: Sequence[str] | None) -> int:
    try:
        status = cli.main(args=arguments, prog_name="luxima-retention", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("aborted", err=True)
        return ExitCode.USAGE
    except RetentionError as error:
        return _told(error)
    except (BrokenPipeError, SystemExit):
        # Click ends so, and only so, where a reader leaves, as in `matrix | head -1`: it has what it wanted.
        leave_quietly()
        return ExitCode.DONE
    except Exception as error:  # noqa: BLE001 - the last resort: a bug of ours, told with its exit code
        return _fault(error)
    return status if isinstance(status, int) else ExitCode.DONE


def leave_quietly() -> None:
    """Whoever read our output is gone; Python would complain again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fault(error: Exception) -> int:
    """A bug. Its traceback may show values, so it is for whoever asks for it."""
    click.echo(f"error: unexpected fault: {type(error).__name__}", err=True)
    if "debug" in sys.argv:
        import traceback

        click.echo(redacted("".join(traceback.format_exception(error))), err=True, nl=False)
    else:
        click.echo("hint: run again with --log-level debug and report the traceback", err=True)
    return ExitCode.FAULT


def _told(error: RetentionError) -> int:
    from luxima_retention.cli.common import fitted

    click.echo(fitted(f"error: {error.message}", err=True), err=True)
    if error.hint:
        click.echo(fitted(f"hint: {error.hint}", err=True), err=True)
    return error.exit_code
