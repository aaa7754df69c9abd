"""``luxima-retention archive``: list, verify, rehearse, restore and expire what was archived."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from luxima_retention.cli.common import fitted, warn

if TYPE_CHECKING:
    from psycopg import Connection

    from luxima_retention.core.plan import Hold
    from luxima_retention.evidence.archive import Archive, Expired, Manifest
    from luxima_retention.evidence.archive.audit import Found
    from luxima_retention.evidence.events import ArchiveDrilled
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
        click.echo(fitted(_line(manifest)))
    for orphan in orphans:
        click.echo(f"orphan  {orphan.name}  {orphan.size} bytes  {orphan.modified:%Y-%m-%dT%H:%M:%SZ}")


@command.command("verify")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--record", is_flag=True, help="Enter the result into the ledger: the scheduled check of all.")
@_OUTPUT
@click.pass_context
def verify_archives(context: click.Context, *, runs: tuple[str, ...], record: bool, output: str) -> None:
    """Look for everything that the ledger says was archived, decode it, and hash every record again.

    It begins with the ledger: what is missing is named too. Without RUN all archives are looked for. It goes
    on after the first fault and ends with 6, or with 3 where something could not be looked at.
    """
    import json

    from luxima_retention.core.clock import system_clock
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.evidence.archive.audit import audit, checked

    if record and runs:
        raise ConfigurationError("--record is about the whole archive", "leave out RUN")
    with closing(_needed_ledger(context)) as ledger:
        found = []
        for item in audit(_archive(context), ledger, runs):
            found.append(item)
            if output == "text":
                click.echo("\n".join(_verdict(item)))
        if record:
            ledger.append(checked(found), policy=None, at=system_clock())
    if output == "json":
        click.echo(json.dumps({"archives": [_json(item) for item in found]}, indent=2))
    _judge(found)


def _judge(found: Sequence[Found]) -> None:
    from luxima_retention.core.errors import ArchiveError, TamperingFound
    from luxima_retention.evidence.archive.audit import State

    broken = sum(item.state is State.BROKEN for item in found)
    unknown = sum(item.state is State.UNKNOWN for item in found)
    hint = "restore the archive from its copy; without one, the records of the named runs are lost"
    if broken:
        raise TamperingFound(f"{broken} of {len(found)} archived runs are not what the ledger says", hint)
    if unknown:
        raise ArchiveError(f"{unknown} of {len(found)} archived runs could not be examined in full")


def _verdict(item: Found) -> Iterator[str]:
    size = "" if item.items is None else f"  {item.items} records  {item.size} bytes"
    yield f"{item.state:<8} {item.run_id}  {item.policy}{size}"
    yield from (f"         {sentence}" for sentence in (*item.faults, *item.unseen))


def _json(item: Found) -> dict[str, Any]:
    names = ("run_id", "policy", "manifest", "items", "faults", "unseen")
    return {**{name: getattr(item, name) for name in names}, "bytes": item.size, "state": item.state}


@command.command("drill")
@_OUTPUT
@click.pass_context
def drill(context: click.Context, output: str) -> None:
    """Rehearse a restore: of each policy one part comes back into a scratch schema, is compared, and goes.

    The schema is that of the session's temporary tables in database.dsn; without a database the part is only
    decoded and compared. Each rehearsal is entered in the ledger.
    """
    import json

    from luxima_retention.evidence.archive.drill import sample

    archive = _archive(context)
    chosen = sample(archive.manifests())
    if not chosen:
        click.echo("nothing is archived yet: there is nothing to restore", err=True)
    with closing(_needed_ledger(context)) as ledger:
        _compare_all(chosen, _recorded(context))
        done = []
        for manifest in chosen:
            done.append(_rehearse(context, archive, manifest, ledger))
            if output == "text":
                click.echo(_same(done[-1], manifest))
    if output == "json":
        click.echo(json.dumps({"drills": [item.body() for item in done]}, indent=2))


def _same(done: ArchiveDrilled, manifest: Manifest) -> str:
    return f"same     {done.run_id}  {manifest.run.policy}  {done.items} records restored to {done.into}"


def _rehearse(context: click.Context, archive: Archive, manifest: Manifest, ledger: Ledger) -> ArchiveDrilled:
    from luxima_retention.core.clock import system_clock
    from luxima_retention.core.errors import TamperingFound
    from luxima_retention.evidence.archive.drill import drilled, rehearse

    policy, where, failure = manifest.run.policy, "", None
    with _scratch(context) as connection:
        try:
            where = rehearse(archive, manifest, connection)
        except TamperingFound as error:
            failure = error
    drill = drilled(manifest, where, "differs" if failure else "same")
    ledger.append(drill, policy=policy, at=system_clock())
    if failure:
        raise failure
    return drill


@contextmanager
def _scratch(context: click.Context) -> Iterator[Connection[Any] | None]:
    """A connection for temporary tables; nothing where no database is configured."""
    from luxima_retention.io.postgres import connect

    dsn = context.obj.settings.database.dsn
    if not dsn:
        yield None
        return
    with connect(dsn.get_secret_value(), purpose="drill") as connection:
        connection.autocommit = True
        yield connection


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
        raise ConfigurationError("a restore needs one destination", "give either --into or --to")
    archive = _archive(context)
    manifest = archive.find(run)
    recorded = _recorded(context)
    _compare(manifest, recorded)
    if recorded is None:
        click.echo("no ledger is configured: the manifest is compared with its parts only", err=True)
    count = (
        _restore_table(context, archive, manifest, into) if into else _restore_file(archive, manifest, path)
    )
    if (ledger := _ledger(context)) is not None:
        event = manifest.restored(into or "a file")
        ledger.append(event, policy=manifest.run.policy, at=system_clock())
        ledger.close()
    click.echo(f"{count} records of {manifest.run.target} restored to {into or path}")


@command.command("expire")
@click.option("--dry-run", is_flag=True, help="Only print what would be deleted.")
@_OUTPUT
@click.pass_context
def expire(context: click.Context, dry_run: bool, output: str) -> None:
    """Destroy the archives whose own retention (archive.retention_days) is over and that no hold keeps."""
    from luxima_retention.tell.telemetry import telling

    settings = context.obj.settings
    told = (
        nullcontext()
        if dry_run
        else telling(settings, "archive-expire", settings.schedule.jobs["archive-expire"], warn)
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
            verb = "would be deleted" if dry_run else "destroyed"
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
    return _needed_ledger(context) if settings.keeps_state else None


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


def _compare_all(manifests: Sequence[Manifest], recorded: dict[str, str] | None) -> None:
    """A sample is a manifest with one part; the ledger names the digest of the whole one."""
    for manifest in manifests:
        _compare(manifest, recorded)


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
