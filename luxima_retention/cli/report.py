"""``luxima-retention report``: what was kept, destroyed and refused in a period."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from luxima_retention.cli.common import Instant
from luxima_retention.errors import ConfigurationError, StoreError, TamperingFound

if TYPE_CHECKING:
    from luxima_retention.report.model import Report
    from luxima_retention.settings import Settings
    from luxima_retention.state import State


@click.command("report")
@click.option("--from", "start", type=Instant(), required=True, help="Start of the period.")
@click.option("--to", "end", type=Instant(), required=True, help="End of the period; outside of it.")
@click.option(
    "--format", "form", type=click.Choice(["json", "csv", "html", "pdf"]), default="json", help="Form."
)
@click.option(
    "-o", "--out", "path", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File."
)
@click.option("--lang", type=click.Choice(["id", "en"]), default="id", help="Language of HTML and PDF.")
@click.pass_context
def command(
    context: click.Context, *, start: datetime, end: datetime, form: str, path: Path, lang: str
) -> None:
    """Write a report about a period, from the ledger and a fresh survey that changes nothing."""
    from luxima_retention.state import open_state

    if start >= end:
        raise ConfigurationError("the period is empty", "name an instant after --from with --to")
    state = open_state(context.obj.settings)
    if state is None:
        raise ConfigurationError("no ledger is configured", "set database.dsn or ledger.path")
    try:
        made = _built(context.obj.settings, state, start, end)
    finally:
        state.close()
    data = _rendered(made, form, lang)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"the report {path} cannot be written: {error.strerror}") from error
    click.echo(f"{made.verdict}: {path}")


def _rendered(report: Report, form: str, lang: str) -> bytes:
    from luxima_retention.report.html import as_html
    from luxima_retention.report.pdf import as_pdf
    from luxima_retention.report.plain import as_csv, as_json

    if form == "pdf":
        return as_pdf(report, lang)
    forms: dict[str, Callable[[Report], str]] = {
        "json": as_json,
        "csv": as_csv,
        "html": partial(as_html, lang=lang),
    }
    return forms[form](report).encode()


def _built(settings: Settings, state: State, start: datetime, end: datetime) -> Report:
    from luxima_retention import runner
    from luxima_retention.ledger.checkpoint import open_anchors, trusted_key, verify
    from luxima_retention.report.model import build

    wrong = None
    try:
        key = trusted_key(settings.ledger, None, state.ledger)
        verify(state.ledger, open_anchors(settings.ledger), key, ())
    except TamperingFound as error:
        wrong = error.message
    survey = runner.run(settings, runner.Options(dry_run=True), runner.Hooks())
    return build(state.ledger.entries(), survey, start, end, wrong)
