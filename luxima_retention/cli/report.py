"""``luxima-retention report``: what was kept, destroyed and refused in a period."""

from __future__ import annotations

from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from luxima_retention.cli.common import Instant, warn
from luxima_retention.core.errors import ConfigurationError

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.evidence.events import ReportSent
    from luxima_retention.report.bundle import Evidence
    from luxima_retention.report.forms import Sent
    from luxima_retention.report.model import Report
    from luxima_retention.run.state import State


@click.group("report", invoke_without_command=True)
@click.option("--from", "start", type=Instant(), help="Start of the period.")
@click.option("--to", "end", type=Instant(), help="End of the period; outside of it.")
@click.option("--month", metavar="MONTH", help="Instead of both: 2026-10, or last; in schedule.time_zone.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "csv", "html", "pdf", "bundle"]),
    help="Form; default: what the ending of FILE says (.zip is a bundle), else json.",
)
@click.option(
    "-o",
    "--out",
    metavar="FILE|URL",
    help="File, or place that gets a file named after the period: s3://bucket/prefix or file:///directory."
    " Default: report.url.",
)
@click.option("--lang", type=click.Choice(["id", "en"]), default="id", help="Language of HTML and PDF.")
@click.option(
    "--csv-dialect",
    type=click.Choice(["comma", "semicolon"]),
    default="comma",
    help="What separates the cells of the CSV; Excel with Indonesian settings opens a semicolon in columns.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    start: datetime | None,
    end: datetime | None,
    month: str | None,
    form: str | None,
    out: str | None,
    lang: str,
    csv_dialect: str,
) -> None:
    """Write a report about a period, from the ledger and a fresh survey that changes nothing.

    A ledger that fails verification is told in the report, and by the exit status: 6, or 3 where it or an
    anchor cannot be read. The bundle about last month that goes to report.url becomes an entry of the ledger.
    """
    if context.invoked_subcommand is not None:
        return
    from luxima_retention.report.forms import entry_of, form_of
    from luxima_retention.report.gather import gather
    from luxima_retention.run.state import open_state
    from luxima_retention.tell.telemetry import telling

    settings = context.obj.settings
    period = _begun(*_period(start, end, month, settings.schedule.time_zone))
    target = out or settings.report.url
    if not target:
        raise ConfigurationError(
            "no destination of the report is given", "name a file with -o, or set report.url"
        )
    form = form or form_of(target)
    state = open_state(settings)
    if state is None:
        raise ConfigurationError("no ledger is configured", "set database.dsn or ledger.path")
    with telling(settings, "report", settings.schedule.jobs["report"], warn), closing(state):
        if form == "bundle":
            _signed(settings, state)
        made, code = gather(settings, state.ledger, *period)
        sent = _written(settings, state, made, target, form=form, lang=lang, dialect=csv_dialect)
        if not out and not code and form == "bundle":
            _recorded(settings, state, made, entry_of(made, form, lang, sent))
            _told(settings, state, made, sent.where, lang)
        click.echo(f"{made.verdict}: {sent.where}")
        if code:
            click.echo(f"the ledger cannot be trusted: {made.ledger_error}", err=True)
            context.exit(int(code))


@command.command("retrospective")
@click.option("--from", "start", type=Instant(), required=True, help="Start of the sprint.")
@click.option("--to", "end", type=Instant(), required=True, help="Its end; outside of it.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "html", "pdf"]),
    help="Form; default: what the ending of FILE says, else json.",
)
@click.option("-o", "--out", metavar="FILE", required=True, help="Where it is written.")
@click.option("--lang", type=click.Choice(["id", "en"]), default="id", help="Language of HTML and PDF.")
@click.pass_context
def retrospective(
    context: click.Context, *, start: datetime, end: datetime, form: str | None, out: str, lang: str
) -> None:
    """Look back at a sprint: troubles, the time to tell and to mend them, guards, holds, open actions.

    From the ledger and from what people were told; no store is asked. It ends as the report does where the
    ledger cannot be trusted.
    """
    from luxima_retention.report import gather
    from luxima_retention.report.forms import form_of, write_retrospective
    from luxima_retention.run.state import open_state

    settings = context.obj.settings
    period = _begun(*_period(start, end, None, settings.schedule.time_zone))
    named = form_of(out)
    form = form or (named if named in {"html", "pdf"} else "json")
    state = open_state(settings)
    if state is None:
        raise ConfigurationError("no ledger is configured", "set database.dsn or ledger.path")
    with closing(state):
        made, code = gather.retrospective(settings, state.ledger, *period)
    write_retrospective(made, form, lang, Path(out))
    told = made.summary
    click.echo(f"{told['incidents']} troubles, {told['open']} open, {told['actions']} actions: {out}")
    if code:
        click.echo(f"the ledger cannot be trusted: {made.ledger_error}", err=True)
        context.exit(int(code))


def _period(
    start: datetime | None, end: datetime | None, month: str | None, zone: str
) -> tuple[datetime, datetime]:
    from luxima_retention.core.clock import system_clock
    from luxima_retention.report.period import month_of

    if month is not None and start is None and end is None:
        return month_of(month, system_clock(), zone)
    if month is not None or start is None or end is None:
        raise ConfigurationError("the period is not clear", "give either --month, or both --from and --to")
    if start >= end:
        raise ConfigurationError("the period is empty", "name an instant after --from with --to")
    return start, end


def _begun(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The period, which has begun: of one that has not, nothing can be told, and nothing found wrong."""
    from luxima_retention.core.clock import iso, system_clock

    if start > system_clock():
        raise ConfigurationError(f"the period begins at {iso(start)}, in the future", "name an earlier one")
    return start, end


def _signed(settings: Settings, state: State) -> None:
    """Sign the head that the bundle will be about; why that must not be is for the report to tell."""
    from luxima_retention.core.clock import system_clock
    from luxima_retention.core.errors import RetentionError
    from luxima_retention.evidence.ledger.session import begin

    with suppress(RetentionError):
        begin(settings, state.ledger, system_clock())


def _written(
    settings: Settings, state: State, made: Report, target: str, *, form: str, lang: str, dialect: str
) -> Sent:
    """Write it where it goes."""
    from luxima_retention.config.connections import open_place
    from luxima_retention.report.forms import Sent, send, write

    evidence = _evidence(settings, state, form, dialect)
    if target.startswith(("s3:", "s3+", "file:")):
        return send(made, form, lang, evidence, open_place(settings, target))
    write(made, form, lang, evidence, Path(target))
    return Sent(where=target)


def _evidence(settings: Settings, state: State, form: str, dialect: str) -> Evidence:
    """What a bundle holds besides the report."""
    from luxima_retention.evidence.ledger.checkpoint import (
        open_anchors,
        open_signer,
        trusted_key,
    )
    from luxima_retention.report.bundle import Evidence

    bundled = form == "bundle"
    return Evidence(
        ledger=state.ledger,
        anchors=open_anchors(settings),
        key=trusted_key(settings.ledger, None, state.ledger) if bundled else None,
        signer=open_signer(settings.ledger) if bundled else None,
        csv_dialect=dialect,
    )


def _told(settings: Settings, state: State, made: Report, where: str, lang: str) -> None:
    """Send the report to those whom the settings name; who does not get it changes nothing."""
    from tempfile import TemporaryDirectory

    from luxima_retention.report.bundle import stem
    from luxima_retention.report.forms import FORMS, write
    from luxima_retention.tell.notify.reports import Written, send_report

    form = settings.notify.report_format
    period = f"{made.start:%Y-%m-%d} to {made.end:%Y-%m-%d}"
    with TemporaryDirectory(prefix="luxima-report-") as home:
        file = Path(home) / (stem(made) + FORMS[form]) if settings.notify.report_to else None
        if file is not None:
            write(made, form, lang, _evidence(settings, state, form, "comma"), file)
        written = Written(period=period, verdict=str(made.verdict), where=where, file=file)
        for warning in send_report(settings, written):
            click.echo(warning, err=True)


def _recorded(settings: Settings, state: State, made: Report, sent: ReportSent) -> None:
    """Tell the ledger that last month's report was sent, for whoever asks whether it is due."""
    from luxima_retention.core.clock import system_clock
    from luxima_retention.report.period import month_of

    now = system_clock()
    if (made.start, made.end) == month_of("last", now, settings.schedule.time_zone):
        state.ledger.append(sent, policy=None, at=now)
