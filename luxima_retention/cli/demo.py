"""``luxima-retention demo``: everything on an embedded PostgreSQL, in under a minute."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext

    from luxima_retention.cli.demo_mail import Mailbox

_SETTINGS = """\
# Written by `luxima-retention demo`.
[database]
dsn = "{job}"
owner_dsn = "{owner}"

[audit_log]
tenant_column = "tenant"

[databases.supabase]
dsn = "{job}"
owner_dsn = "{owner}"

[policies.security-events]
tables = [{{ table = "app.security_events", time_column = "occurred_at" }}]

[prometheus]
urls = [{prometheus}]

{loki}

[rotation]
state_dir = "{directory}/rotation"

[rotation.sets.billing]
paths = ["{directory}/logs/*.log"]

[archive]
url = "file://{directory}/archive"
retention_days = 365

[telemetry]
environment = "demo"
textfile_directory = "{directory}/metrics"

[ledger]
origin = "luxima-demo"
key_file = "{directory}/ledger-key.pem"
anchors = ["file://{directory}/anchor"]

{notify}
"""

_NOTIFY = """\
[notify]
language = "en"
quiet_hours = ""
smtp_url = "{url}"
smtp_ca_file = "{ca_file}"
mail_from = "retention@luxima.example"
mail_to = ["devops@luxima.example"]
"""

_CAPTURED = "2026-11-23T08:30:00Z"
#: what is said before each command, and the command
_STEPS = (
    ("As the owner: make the schema, the batch functions with their floor, the job's role.", ("migrate",)),
    ("Make the key that signs the ledger.", ("ledger", "keygen")),
    (
        "A court asks for tenant-7's records: they stay, whatever their age.",
        (
            "hold",
            "add",
            "--policy",
            "audit-logs",
            "--tenant",
            "tenant-7",
            "--reason",
            "demo",
            "--id",
            "H-demo",
        ),
    ),
    ("What would be deleted? Nothing is written anywhere.", ("run", "audit-logs", "--dry-run")),
    (
        "A first run would take half of the table: a guard refuses until the value is named.",
        ("run", "audit-logs"),
    ),
    ("It is named once.", ("run", "audit-logs", "--max-fraction", "0.6")),
    ("The same run again, as the CronJob of this evening: nothing to do.", ("run", "audit-logs")),
    ("Why is this old row still there?", ("explain", "audit-logs", "199968")),
    (
        "Security events, here in the same PostgreSQL: every table has its own plan.",
        ("run", "security-events"),
    ),
    (
        "Half of them is more than usual, so the value is named once.",
        ("run", "security-events", "--max-fraction", "0.6"),
    ),
    (
        "Application logs: the bucket of a real Loki, captured on 2026-11-23; no Loki reads it now.",
        ("run", "application-logs", "--as-of", _CAPTURED, "--dry-run"),
    ),
    (
        "Index tables first, then the chunks that only they named.",
        ("run", "application-logs", "--as-of", _CAPTURED, "--max-fraction", "0.6"),
    ),
    ("Does Prometheus keep its 60 days? It is only asked.", ("run", "metrics")),
    (
        "Log files: what is older than a week is renamed, made again and compressed the week after.",
        ("run", "log-files"),
    ),
    ("Is every archived record readable, and as it was?", ("archive", "verify")),
    ("Has anybody touched the ledger?", ("ledger", "verify")),
)
#: the report's formats, and what each is for
_REPORTS = (
    ("What an auditor reads: one page of verdict, figures and exceptions, and everything behind it.", "html"),
    ("The same on paper, with the minutes of destruction to sign.", "pdf"),
    (
        "And what a third party verifies without us: the report, the ledger, and a program that checks them.",
        "bundle",
    ),
)
#: what our modules load only where they need it
_LIBRARIES = (
    "boto3",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "google_crc32c",
    "jinja2",
    "prometheus_client",
    "psycopg.rows",
    "requests",
    "rfc8785",
    "rich.table",
    "tenacity",
    "zstandard",
)
#: Nobody writes to the captured bucket, so it is overdue on any later day.
_WITHOUT_LOKI = {"LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS": "[]"}


@click.command("demo")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    help="Where archive, key and settings are left; a new directory.",
)
def command(directory: Path) -> None:
    """Fill an embedded PostgreSQL with a year of audit rows, and apply the policy to it.

    Needs the extra "demo"; no root, no server. Everything it starts is stopped at the end.
    """
    from luxima_retention.core.errors import ConfigurationError

    directory = directory.resolve()
    if directory.exists() and any(directory.iterdir()):
        raise ConfigurationError(f"{directory} is not empty", "remove it, or name another with --directory")
    for name in ("archive", "anchor", "metrics"):
        (directory / name).mkdir(parents=True)
    from luxima_retention.cli import demo_servers as demo
    from luxima_retention.cli.demo_mail import mail_server

    with (
        demo.database(click.echo) as owner,
        demo.prometheus() as prometheus,
        demo.loki_bucket(click.echo) as loki,
        mail_server(directory) as mailbox,
    ):
        settings = _prepare(owner, directory, prometheus, loki, mailbox)
        for sentence, arguments in _STEPS:
            _show(sentence, arguments, settings)
        _report(directory, settings)
        _metrics(directory / "metrics")
        _mail(mailbox)
    click.secho("\nWhere to look", bold=True)
    click.echo(f"  settings  {settings}\n  archive   {directory}/archive\n  anchor    {directory}/anchor")
    click.echo(f"  log files {directory}/logs")
    click.echo(f"  metrics   {directory}/metrics; their dashboards and alerts: observability/")
    click.echo(f"  report    {directory}/report.html, report.pdf, report.zip")
    click.echo("  docs      docs/architecture.md, docs/evidence.md, docs/postgresql.md")


def _prepare(owner: str, directory: Path, prometheus: str, loki: str, mailbox: Mailbox | None) -> Path:
    """The table with its rows, the job's role, and the settings file."""
    import psycopg

    from luxima_retention.cli import demo_servers as demo
    from luxima_retention.io.sqlfiles import load

    click.echo("filling core.audit_log with 200,000 rows of one year …")
    with psycopg.connect(owner) as connection:
        connection.execute(load("templates/demo.sql").encode())
    job = owner.replace("postgres:@", "luxima_retention:@", 1)
    demo.log_files(directory / "logs")
    path = directory / "luxima-retention.toml"
    urls = f'"{prometheus}"' if prometheus else ""
    notify = _NOTIFY.format(url=mailbox.url, ca_file=mailbox.ca_file) if mailbox else ""
    text = _SETTINGS.format(
        job=job, owner=owner, directory=directory, prometheus=urls, loki=loki, notify=notify
    )
    path.write_text(text, encoding="utf-8")
    return path


def _metrics(directory: Path) -> None:
    """What Prometheus would know of the last run on the audit log."""
    click.secho("\nSome of the metrics that the last run wrote:", bold=True)
    chosen = ("last_run_outcome", "last_success", "oldest_eligible", "limit_seconds", "held_records")
    for line in (directory / "luxima_retention_audit-logs.prom").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") and any(name in line for name in chosen) and not line.endswith(" 0.0"):
            click.echo(line)


def _mail(mailbox: Mailbox | None) -> None:
    """What people were told meanwhile: of the refusal, and that it is over."""
    if mailbox is None:
        return
    click.secho(f"\nMeanwhile {len(mailbox.messages)} e-mails were sent; the first two:", bold=True)
    for message in mailbox.messages[:2]:
        text = message.get_body(("plain",))
        click.secho(f"\n  {str(message['Subject']).strip()}", fg="cyan")
        for line in text.get_content().splitlines() if text else ():
            click.echo(f"  {line}")


def _report(directory: Path, settings: Path) -> None:
    """A report about the last thirty days, in each format that is installed."""
    from datetime import UTC, datetime, timedelta
    from importlib.util import find_spec

    from luxima_retention.report.forms import FORMS

    today = datetime.now(UTC).date()
    period = ("--from", str(today - timedelta(days=30)), "--to", str(today + timedelta(days=1)))
    for sentence, form in _REPORTS:
        if form == "pdf" and find_spec("typst") is None:
            continue
        out = directory / f"report{FORMS[form]}"
        arguments = ("report", *period, "--format", form, "--lang", "en", "-o", str(out))
        _show(sentence, arguments, settings, _WITHOUT_LOKI)


def _show(
    sentence: str, arguments: tuple[str, ...], settings: Path, more: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Run one command as a user would, and show it."""
    click.secho(f"\n{sentence}", bold=True)
    click.secho(f"$ luxima-retention {' '.join(arguments)}", fg="cyan")
    sys.stdout.flush()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LUXIMA_")}
    environment |= {"LUXIMA_CONFIG": str(settings), **more}
    process = _processes().Process(target=_run, args=(("--log-level", "warning", *arguments), environment))
    process.start()
    try:
        process.join()
    finally:
        process.kill()  # where the demo is stopped meanwhile


@cache
def _processes() -> ForkServerContext:
    """Each command is a process of its own, forked from one that has loaded what they all need."""
    from pkgutil import walk_packages

    import luxima_retention

    context = multiprocessing.get_context("forkserver")
    ours = (found.name for found in walk_packages(luxima_retention.__path__, "luxima_retention."))
    context.set_forkserver_preload([*_LIBRARIES, *(name for name in ours if not name.endswith("__main__"))])
    return context


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """The whole life of such a process."""
    from luxima_retention.cli import main

    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["luxima-retention", *arguments]
    main(arguments)
