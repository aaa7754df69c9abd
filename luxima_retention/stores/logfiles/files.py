"""Rotated files as records: what each is dated, what it covers, which hold keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from luxima_retention.core.plan import Hold
from luxima_retention.stores.logfiles.names import Rotated
from luxima_retention.stores.logfiles.patterns import path_matches
from luxima_retention.stores.logfiles.safe import Directory, File
from luxima_retention.stores.logfiles.sets import LogSet, Place
from luxima_retention.stores.logfiles.system import UnfitError

#: how far the date in a name may lie ahead: a zone's difference
_AHEAD = timedelta(days=1)


class Item(NamedTuple):
    """A rotated file.

    Args:
        directory: in which it lies.
        log: path of the log that it was.
        rotated: what its name says.
        file: what it is.
        rank: 0 is the newest of its log; -1 one that is dated in the future.
        begin: when the one before it was rotated; ``None`` where nothing tells.
        at: its newest record: the later of its name's date and its last write.
    """

    directory: Directory
    log: str
    rotated: Rotated
    file: File
    rank: int
    begin: datetime | None
    at: datetime

    @property
    def path(self) -> str:
        """Its path."""
        return self.directory.path_of(self.rotated.name)

    @property
    def modified(self) -> datetime:
        """Its last write."""
        return self.file.modified


def items(log_set: LogSet, place: Place, now: datetime, unfit: list[str] | None = None) -> Iterator[Item]:
    """The rotated files of a directory; those that have just vanished are left out.

    Args:
        log_set: whose they are.
        place: the directory.
        now: aware.
        unfit: gets a sentence for each name that is not a file to work on, such as a link.
    """
    if place.rotated_in is None:
        return
    for log, files in place.rotated.items():
        path, begin = place.directory.path_of(log), None
        for rank, rotated in reversed(ranked(files, now)):
            try:
                file = place.rotated_in.look(rotated.name, hard_links=log_set.settings.allow_hard_links)
            except FileNotFoundError:
                continue
            except UnfitError as error:
                if unfit is not None:
                    unfit.append(error.message)
                continue
            at = max(file.modified, rotated.at) if rotated.at else file.modified
            yield Item(
                directory=place.rotated_in,
                log=path,
                rotated=rotated,
                file=file,
                rank=rank,
                begin=begin,
                at=at,
            )
            begin = at


def ranked(files: Sequence[Rotated], now: datetime) -> list[tuple[int, Rotated]]:
    """Each with its rank; a file that is there plain and compressed is one, and the future takes no place."""
    if len(files) == 1:
        (file,) = files
        return [(-1 if file.at is not None and file.at > now + _AHEAD else 0, file)]
    ahead = {file.plain for file in files if file.at is not None and file.at > now + _AHEAD}
    plain = dict.fromkeys(file.plain for file in files if file.plain not in ahead)
    ranks = {name: rank for rank, name in enumerate(plain)} | dict.fromkeys(ahead, -1)
    return [(ranks[file.plain], file) for file in files]


def held(item: Item, holds: Iterable[Hold], policy: str) -> bool:
    """Whether a hold keeps a rotated file; one that may hold a record of the hold's range is kept."""
    return any(hold.covers(policy) and _matches(hold, item) for hold in holds)


def _matches(hold: Hold, item: Item) -> bool:
    """Every field that the hold names must agree; one that files do not know keeps nothing here."""
    if hold.dimensions() - {"path", "range"}:
        return False
    if hold.path is not None and not any(path_matches(path, hold.path) for path in _names(item)):
        return False
    if hold.start is not None and item.at < hold.start:
        return False
    return not (hold.end is not None and item.begin is not None and item.begin >= hold.end)


def _names(item: Item) -> Iterator[str]:
    """Every path by which a hold may mean a file: its own, with and without the compression's; its log's."""
    for directory in (item.directory.path.rstrip("/"), item.directory.real_path):
        for name in (item.rotated.name, item.rotated.plain, item.log.rpartition("/")[2]):
            yield f"{directory}/{name}"
    yield item.log
