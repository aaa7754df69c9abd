"""``luxima-retention observability``: rules and dashboards as files, and whether they have what they need."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from luxima_retention.cli.common import output_option, warn

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.io.http import Http
    from luxima_retention.tell.observability.check import Checked

#: that a Prometheus may take to answer
_SECONDS = 30.0


@click.group("observability")
def command() -> None:
    """Write, check and compare alert rules, dashboards and provisioning."""


@command.command("generate")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("observability"),
    help="Where the files are written.",
)
@click.pass_context
def generate(context: click.Context, directory: Path) -> None:
    """Write every file anew, for the policies that are configured; all of them where none is."""
    for path, text in _files(context.obj.settings).items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text, encoding="utf-8")
        click.echo(directory / path)


@command.command("check")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the files are; default: observability.directory, or observability without --record.",
)
@click.option("--prometheus", metavar="URL", help="Prometheus to ask; default: those of the policies.")
@click.option("--record", is_flag=True, help="Enter the result into the ledger, and tell it: for schedules.")
@output_option
@click.pass_context
def check(
    context: click.Context, *, directory: Path | None, prometheus: str | None, record: bool, output: str
) -> None:
    """Compare the files with what would be written, lint them, and tell which metrics nobody exports.

    Exit status: 0 all well, 8 a file differs, is wrong, or asks for a metric that the Prometheus lacks, 3
    where it could not be asked.
    """
    from luxima_retention.tell.telemetry import telling

    settings = context.obj.settings
    named = settings.observability.directory or ("" if record else "observability")
    place = directory or (Path(named) if named else None)
    if not record:
        context.exit(int(_checked(settings, place, prometheus, output).code))
    with telling(settings, "observability", settings.schedule.jobs["observability-check"], warn):
        found = _checked(settings, place, prometheus, output)
        _recorded(settings, found)
        context.exit(int(found.code))


def _checked(settings: Settings, place: Path | None, prometheus: str | None, output: str) -> Checked:
    """Look, and print what was found."""
    from luxima_retention.tell.observability.check import look

    found = look(_files(settings), place, tuple(_servers(settings, prometheus)))
    if output == "json":
        click.echo(json.dumps({"version": 1, **_told(found)}, indent=2))
    else:
        for line in _lines(found):
            click.echo(line)
    return found


def _servers(settings: Settings, named: str | None) -> Iterator[Http]:
    """The servers that are asked: one that was named has credentials only where a policy names it, too."""
    from luxima_retention.config.endpoints import endpoint
    from luxima_retention.config.settings import HttpSettings
    from luxima_retention.core.deadline import UNLIMITED
    from luxima_retention.io.http import Http
    from luxima_retention.run.matrix import with_metrics
    from luxima_retention.stores.registry import kind_of

    policies = [settings.policy(name) for name in with_metrics(settings)]
    known = [one for policy in policies if (of := kind_of(policy).metrics) for one in of(policy)]
    if named:
        plain = endpoint(named, HttpSettings(), setting="--prometheus", options="prometheus.http")
        known = [one for one in known if one.url.rstrip("/") == named.rstrip("/")] or [plain]
    yield from (Http(one, UNLIMITED.within(_SECONDS)) for one in known)


def _recorded(settings: Settings, found: Checked) -> None:
    """The outcome as an entry of the ledger, signed; people are told where it changed."""
    from luxima_retention.core.clock import system_clock
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.evidence.ledger.session import begin
    from luxima_retention.run.state import open_state
    from luxima_retention.tell.notify.facts import seen_of_dashboards
    from luxima_retention.tell.notify.send import after_check

    state, now = open_state(settings), system_clock()
    if state is None:
        raise ConfigurationError("no ledger is configured", "set database.dsn or ledger.path")
    with closing(state):
        session = begin(settings, state.ledger, now)
        state.ledger.append(found.event, policy=None, at=now)
        if session is not None:
            session.sign(now)
    seen = seen_of_dashboards(settings, code=found.code, sentence=found.sentence, now=now)
    for warning in after_check(settings, [seen]):
        warn(warning)


@command.command("forget")
@click.argument("policy")
@click.pass_context
def forget(context: click.Context, policy: str) -> None:
    """Delete from the Pushgateway what POLICY has told; for a policy that is no more."""
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.tell import pushing
    from luxima_retention.tell.telemetry import pushgateway

    telemetry = context.obj.settings.telemetry
    if not telemetry.pushgateway_url:
        raise ConfigurationError("no Pushgateway is configured", "set telemetry.pushgateway_url")
    pushing.forget(pushgateway(telemetry), {"environment": telemetry.environment, "policy": policy})
    click.echo(f"{policy} is forgotten")


def _files(settings: Settings) -> Mapping[str, str]:
    from luxima_retention.run.matrix import configured
    from luxima_retention.tell.observability.files import files

    return files(configured(settings) or tuple(settings.policies), settings.telemetry.environment)


def _told(found: Checked) -> dict[str, object]:
    return {
        "compared": found.compared,
        "differs": list(found.differs),
        "wrong": list(found.wrong),
        "asked": found.asked,
        "error": found.error.message if found.error else None,
        "missing": [
            {"name": item.name, "used_by": list(item.used_by), "exported_by": item.exported_by}
            for item in found.missing
        ],
    }


def _lines(found: Checked) -> Iterator[str]:
    yield from (f"differs  {path}: run `luxima-retention observability generate`" for path in found.differs)
    yield from (f"wrong    {sentence}" for sentence in found.wrong)
    for item in found.missing:
        yield f"missing  {item.name}: exported by {item.exported_by}; used by {', '.join(item.used_by)}"
    if found.error:
        yield f"unknown  {found.error.message}"
    if not found.code:
        yield "all well"
    if not found.compared:
        yield "no file was compared: observability.directory is empty"
