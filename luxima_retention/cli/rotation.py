"""``luxima-retention rotation``: coming from logrotate."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import click

from luxima_retention.core.errors import ConfigurationError

if TYPE_CHECKING:
    from luxima_retention.stores.logfiles.importer import Imported

#: logrotate(8) refuses larger files too
_LARGEST = 16 * 1024 * 1024
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@click.group("rotation")
def command() -> None:
    """Coming from logrotate: its configuration as settings."""


@command.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="File for the settings, not stdout."
)
def import_(files: tuple[str, ...], out: Path | None) -> None:
    """Read logrotate's configuration and write TOML for rotation.sets.

    What has no counterpart is told on stderr and as comments. Exit status 2 when something could not be
    understood: the sets that could are written all the same.
    """
    from luxima_retention.stores.logfiles.importer import import_files
    from luxima_retention.stores.logfiles.importer_toml import render

    imported = import_files(files, _Files())
    text = render(imported)
    if out is None:
        click.echo(text, nl=False)
    else:
        _write(out, text)
    _tell(imported)
    if imported.problems:
        raise ConfigurationError(
            f"{len(imported.problems)} of what was read could not be understood;"
            f" {len(imported.sets)} sets were written",
            "correct the lines named above, and import again",
        )


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
    """All of it or nothing."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", "name another with -o"
        ) from error


class _Files:
    """Reads configurations as logrotate(8) does: what others can write to is not run as root."""

    home = os.path.expanduser("~")  # noqa: PTH111 - as text

    def text(self, path: str) -> str:
        """See :class:`luxima_retention.stores.logfiles.importer.Reader`."""
        try:
            with open(path, "rb", opener=_without_waiting) as file:
                _check(path, os.fstat(file.fileno()))
                return file.read(_LARGEST).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error

    def files(self, path: str) -> list[str] | None:
        """See :class:`luxima_retention.stores.logfiles.importer.Reader`."""
        if not os.path.isdir(path):  # noqa: PTH112 - as text
            return None
        try:
            with os.scandir(path) as found:
                return sorted(entry.name for entry in found if entry.is_file())
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be listed: {error.strerror}") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would wait for its writer


def _check(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"{path} is no regular file")
    if status.st_size > _LARGEST:
        raise ConfigurationError(f"{path} is larger than {_LARGEST} bytes")
    if os.geteuid() == 0 and (status.st_uid != 0 or status.st_mode & _OTHERS):
        raise ConfigurationError(f"{path} could be written by others than root, and its scripts run as root")
