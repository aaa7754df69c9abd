"""``luxima-retention rotation``: coming from logrotate."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from luxima_retention.core.errors import ConfigurationError

if TYPE_CHECKING:
    from luxima_retention.stores.logfiles.importer import Imported, ImportedSet

#: logrotate(8) refuses larger files too
_LARGEST = 16 * 1024 * 1024
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@click.group("rotation")
def command() -> None:
    """Coming from logrotate: its configuration as settings."""


@command.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="New file for the settings, not stdout; an existing one is never overwritten.",
)
@click.option(
    "--expire",
    is_flag=True,
    help="Rotated files are also deleted after the policy's period, which needs a ledger.",
)
@click.option("--check", is_flag=True, help="Write nothing; list what the sets will run, and as whom.")
@click.pass_context
def import_(
    context: click.Context, files: tuple[str, ...], out: Path | None, *, expire: bool, check: bool
) -> None:
    """Read logrotate's configuration and write TOML for rotation.sets.

    What has no counterpart is told on stderr and as comments. Exit status 2 when something could not be
    understood: the sets that could are written all the same.
    """
    from luxima_retention.stores.logfiles.importer import import_files
    from luxima_retention.stores.logfiles.importer_toml import render

    imported = import_files(files, _Files(), expires=expire)
    imported = replace(imported, sets=tuple(_lifetimes(context, imported.sets)))
    if check:
        _list(imported)
    elif out is None:
        click.echo(render(imported, expires=expire), nl=False)
    else:
        _write(out, render(imported, expires=expire))
    _tell(imported)
    if imported.problems:
        done = "are understood" if check else "were written"
        raise ConfigurationError(
            f"{len(imported.problems)} of what was read could not be understood;"
            f" {len(imported.sets)} sets {done}",
            "correct the lines named above, and import again",
        )


def _lifetimes(context: click.Context, sets: Sequence[ImportedSet]) -> Iterator[ImportedSet]:
    """Each set, with a note where it keeps files for longer than the policy."""
    from luxima_retention.config.policies import DEFAULTS, SHORT_FORMS
    from luxima_retention.stores.logfiles.importer import Remark
    from luxima_retention.stores.logfiles.lifetime import told_lifetime

    name = str(SHORT_FORMS["rotation"][0])
    try:
        days = context.obj.configuration.settings.policies[name].retention_days
    except ConfigurationError:  # what is imported may be what mends it
        days = DEFAULTS[name]["retention_days"]
    today = datetime.now().astimezone().date()
    for item in sets:
        said = told_lifetime(item.values, days, today)
        note = (Remark(file=item.file, line=item.line, said=said),) if said else ()
        yield replace(item, notes=(*item.notes, *note))


def _list(imported: Imported) -> None:
    import pwd

    from luxima_retention.stores.logfiles.listing import told_runs

    try:
        runner = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        runner = str(os.geteuid())
    for item in imported.sets:
        for line in told_runs(item, runner):
            click.echo(line.encode("utf-8", "backslashreplace").decode())


def _tell(imported: Imported) -> None:
    """Everything on stderr, once."""
    notes = [*imported.notes, *(note for item in imported.sets for note in item.notes)]
    for note in dict.fromkeys(notes):
        _say(f"note: {note}")
    for problem in imported.problems:
        _say(f"error: {problem}")


def _say(text: str) -> None:
    click.echo(text.encode("utf-8", "backslashreplace").decode(), err=True)


def _write(path: Path, text: str) -> None:
    """All or nothing, and never over what is there; nobody else may write it: root runs its programs."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        new.touch(mode=0o644, exist_ok=False)
        new.write_text(text, encoding="utf-8")
        os.link(new, path)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{path} already exists and is not overwritten", "name a new file with -o, or remove it first"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", "name another with -o"
        ) from error
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


class _Files:
    """Reads configurations as logrotate(8) does: what others can write to is not run as root."""

    home = os.path.expanduser("~")  # noqa: PTH111 - as text

    def text(self, path: str) -> str:
        """See :class:`luxima_retention.stores.logfiles.importer.Reader`."""
        try:
            with open(os.path.expanduser(path), "rb", opener=_without_waiting) as file:  # noqa: PTH111 - text
                _check(path, os.fstat(file.fileno()))
                _check_above(os.path.expanduser(path))  # noqa: PTH111 - as text
                return file.read(_LARGEST).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error

    def files(self, path: str) -> list[str] | None:
        """See :class:`luxima_retention.stores.logfiles.importer.Reader`."""
        path = os.path.expanduser(path)  # noqa: PTH111 - as text
        if not os.path.isdir(path):  # noqa: PTH112 - as text
            return None
        try:
            with os.scandir(path) as found:
                _check_directory(path, os.stat(path))  # noqa: PTH116 - as text
                return sorted(entry.name for entry in found if entry.is_file())
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be listed: {error.strerror}") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would wait for its writer


def _check_directory(path: str, status: os.stat_result) -> None:
    """Whoever may write to a directory of configurations adds one of his own."""
    group = status.st_mode & stat.S_IWGRP and status.st_gid != 0
    if os.geteuid() == 0 and (status.st_uid != 0 or group or status.st_mode & stat.S_IWOTH):
        raise ConfigurationError(
            f"{path} could be written to by others than root, and its scripts run as root"
        )


def _check_above(path: str) -> None:
    """Whoever may rename files in the directory of a configuration puts another file in its place."""
    above = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120 - as text
    status = os.stat(above)  # noqa: PTH116 - as text
    if status.st_uid != 0 or not status.st_mode & stat.S_ISVTX:
        _check_directory(above, status)


def _check(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"{path} is not a regular file")
    if status.st_size > _LARGEST:
        raise ConfigurationError(f"{path} is larger than {_LARGEST} bytes")
    if os.geteuid() == 0 and (status.st_uid != 0 or status.st_mode & _OTHERS):
        raise ConfigurationError(f"{path} could be written by others than root, and its scripts run as root")
