"""``luxima-retention archive``: list, verify, restore and expire what was archived."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from luxima_retention.cli.common import warn

if TYPE_CHECKING:
    from luxima_retention.core.plan import Hold
    from luxima_retention.evidence.archive import Archive, Expired, Manifest
    from luxima_retention.evidence.ledger import Ledger

_OUTPUT = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the result."
)


@click.group("archive")
def command() -> None:
    """List, verify, restore and expire the archives of what was destroyed."""


@command.command("list")
@click.option("--policy", help="Only archives of this policy.")
@_OUTPUT
@click.pass_context
def list_archives(context: click.Context, policy: str | None, output: str) -> None:
    """Print every archived run, and the parts that no run vouches for."""
    import json

    archive = _archive(context)
    manifests = list(archive.manifests(policy))
    orphans = list(archive.orphans(policy))
    if output == "json":
        members = [json.loads(manifest.data) for manifest in manifests]
        names = [orphan.name for orphan in orphans]
        click.echo(json.dumps({"archives": members, "orphans": names}, indent=2))
        return
    for manifest in manifests:
        click.echo(_line(manifest))
    for orphan in orphans:
        click.echo(f"orphan  {orphan.name}  {orphan.size} bytes  {orphan.modified:%Y-%m-%dT%H:%M:%SZ}")


@command.command("verify")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@_OUTPUT
@click.pass_context
def verify_archives(context: click.Context, runs: tuple[str, ...], output: str) -> None:
    """Read archives back, decode them and hash every record again; all of them when no RUN is named.

    A manifest must also be the one that the ledger's entry archive.verified names.
    """
    import json

    archive = _archive(context)
    recorded = _recorded(context)
    done = []
    for manifest in [archive.find(run) for run in runs] or archive.manifests():
        _compare(manifest, recorded)
        archive.verify(manifest)
        done.append({"run_id": manifest.run.run_id, "items": manifest.items, "bytes": manifest.size})
        if output == "text":
            click.echo(f"whole  {_line(manifest)}")
    if output == "json":
        click.echo(json.dumps({"verified": done}, indent=2))


@command.command("restore")
@click.argument("run")
@click.option("--into", metavar="SCHEMA.TABLE", help="Table for the rows; made when it is not there.")
@click.option(
    "--to",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the records, uncompressed, instead of a table.",
)
@click.pass_context
def restore(context: click.Context, run: str, into: str | None, path: Path | None) -> None:
    """Bring the archive of RUN back: into a table or a file, all of it or nothing.

    RUN is a run id or the beginning of one. The table is reached with database.owner_dsn, or with
    database.dsn where that is not set.
    """
    from luxima_retention.core.clock import system_clock
    from luxima_retention.core.errors import ConfigurationError

    if (into is None) == (path is None):
        raise ConfigurationError("a restore needs one place to go", "give either --into or --to")
    archive = _archive(context)
    manifest = archive.find(run)
    _compare(manifest, _recorded(context))
    count = (
        _restore_table(context, archive, manifest, into) if into else _restore_file(archive, manifest, path)
    )
    if (ledger := _ledger(context)) is not None:
        event = manifest.restored(into or "a file")
        ledger.append(event, policy=manifest.run.policy, at=system_clock())
        ledger.close()
    click.echo(f"{count} records of {manifest.run.target} restored to {into or path}")


@command.command("expire")
@click.option("--dry-run", is_flag=True, help="Only print what would go.")
@_OUTPUT
@click.pass_context
def expire(context: click.Context, dry_run: bool, output: str) -> None:
    """Destroy the archives whose own retention (archive.retention_days) is over and that no hold keeps."""
    from luxima_retention.tell.telemetry import telling

    settings = context.obj.settings
    told = (
        nullcontext()
        if dry_run
        else telling(settings, "archive-expire", settings.schedule.archive_expire, warn)
    )
    with told:
        _expire(context, dry_run=dry_run, output=output)


def _expire(context: click.Context, *, dry_run: bool, output: str) -> None:
    import json

    from luxima_retention.core.clock import system_clock

    archive, now = _archive(context), system_clock()
    going = list(archive.expired(now, _holds(context)))
    ledger = None if dry_run or not going else _needed_ledger(context)
    for expired in going:
        if ledger is not None:
            _destroy(archive, expired, ledger)
        if output == "text":
            verb = "would go" if dry_run else "destroyed"
            click.echo(f"{verb}  {expired.names[-1]}  {len(expired.names)} objects  {expired.size} bytes")
    if output == "json":
        names = [name for expired in going for name in expired.names]
        click.echo(json.dumps({"dry_run": dry_run, "destroyed": names}, indent=2))


def _destroy(archive: Archive, expired: Expired, ledger: Ledger) -> None:
    """Destroy one archive between two entries: what is to go, and that it went."""
    from luxima_retention.core.clock import system_clock
    from luxima_retention.evidence.events import ArchiveState

    ledger.append(expired.event(ArchiveState.INTENT), policy=expired.policy, at=system_clock())
    archive.destroy(expired)
    ledger.append(expired.event(ArchiveState.RESULT), policy=expired.policy, at=system_clock())


def _restore_table(context: click.Context, archive: Archive, manifest: Manifest, into: str) -> int:
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.evidence.archive.restore import restore_table
    from luxima_retention.io.postgres import connect

    database = context.obj.settings.database
    dsn = getattr(database, "owner_dsn", None) or database.dsn
    if not dsn:
        raise ConfigurationError("no database is configured", "set database.dsn, or restore with --to")
    with connect(dsn, purpose="restore", setting="database.owner_dsn") as connection:
        connection.autocommit = True
        return restore_table(archive, manifest, connection, into)


def _restore_file(archive: Archive, manifest: Manifest, path: Path | None) -> int:
    from luxima_retention.evidence.archive.restore import restore_file

    assert path is not None  # noqa: S101 - one of the two was given
    return restore_file(archive, manifest, path)


def _archive(context: click.Context) -> Archive:
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.evidence.archive import open_archive

    archive = open_archive(context.obj.settings)
    if archive is None:
        raise ConfigurationError("no archive is configured", "set archive.url and archive.retention_days")
    return archive


def _ledger(context: click.Context) -> Ledger | None:
    """The configured ledger; ``None`` without one."""
    settings = context.obj.settings
    return _needed_ledger(context) if settings.database.dsn or settings.ledger.path else None


def _needed_ledger(context: click.Context) -> Ledger:
    from luxima_retention.evidence.ledger import open_ledger

    settings = context.obj.settings
    dsn = settings.database.dsn
    return open_ledger(dsn.get_secret_value() if dsn else "", settings.ledger.path)


def _recorded(context: click.Context) -> dict[str, str] | None:
    """Manifest's name → its newest digest in the ledger; ``None`` without a ledger."""
    from luxima_retention.evidence.events import ArchiveVerified

    ledger = _ledger(context)
    if ledger is None:
        return None
    events = (entry.event for entry in ledger.entries(kinds={ArchiveVerified.kind}))
    recorded = {
        event.manifest or "": event.manifest_sha256 or ""
        for event in events
        if isinstance(event, ArchiveVerified)
    }
    ledger.close()
    return recorded


def _compare(manifest: Manifest, recorded: dict[str, str] | None) -> None:
    from luxima_retention.core.errors import TamperingFound

    if recorded is None or recorded.get(manifest.name) == manifest.sha256:
        return
    said = "names another one" if manifest.name in recorded else "does not know it"
    raise TamperingFound(f"{manifest.name} is not the manifest that was written: the ledger {said}")


def _holds(context: click.Context) -> tuple[Hold, ...]:
    """The active holds; without a database there is no register, and nothing is held by it."""
    holds: tuple[Hold, ...] = context.obj.holds()
    return holds


def _line(manifest: Manifest) -> str:
    run: Any = manifest.run
    return (
        f"{run.run_id}  {run.policy}  {run.target}  before {run.cutoff:%Y-%m-%d}  {manifest.items} records  "
        f"{manifest.size} bytes in {len(manifest.parts)} parts  until {manifest.keep_until:%Y-%m-%d}"
    )
