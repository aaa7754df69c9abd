"""What a set of log files is, and what its directories hold now."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from functools import cached_property, partial
from typing import TYPE_CHECKING

from luxima_retention.core.clock import zone_of
from luxima_retention.core.errors import StoreError
from luxima_retention.stores.logfiles import codecs, walk
from luxima_retention.stores.logfiles.names import Naming, Rotated
from luxima_retention.stores.logfiles.patterns import is_wild, matcher
from luxima_retention.stores.logfiles.rules import Every, Schedule
from luxima_retention.stores.logfiles.safe import OWN, Directory
from luxima_retention.stores.logfiles.system import UnfitError, told

if TYPE_CHECKING:
    from luxima_retention.stores.logfiles.options import LogFilesPolicy, RotationSetSettings

_AGO = {"now": timedelta(0), "hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True, kw_only=True)
class LogSet:
    """A set as configured.

    Args:
        name: of the set.
        settings: ``rotation.sets.<name>``.
        zone: in which days begin.
        state_dir: directory of our own; empty leaves it to who runs.
        state_file: logrotate's own state file; empty keeps the state in ``state_dir``.
        mail_program: sends mail.
    """

    name: str
    settings: RotationSetSettings
    zone: tzinfo
    state_dir: str = ""
    state_file: str = ""
    mail_program: str = "mail"

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        """Its paths, with ``~`` and ``~user`` as the home directories that they mean.

        Raises:
            StoreError: there is no such user.
        """
        return tuple(map(_at_home, self.settings.paths))

    @cached_property
    def schedule(self) -> Schedule:
        """When its logs rotate."""
        chosen = self.settings
        return Schedule(
            every=Every(chosen.every),
            minutes=chosen.minutes,
            weekday=chosen.weekday,
            month_day=chosen.month_day,
            size=chosen.size,
            min_size=chosen.min_size,
            max_size=chosen.max_size,
            min_age=timedelta(days=chosen.min_age_days),
            rotate_empty=chosen.rotate_empty,
        )

    @cached_property
    def naming(self) -> Naming:
        """What its rotated files are called."""
        chosen = self.settings
        return Naming(
            dated=chosen.dated,
            date_format=chosen.date_format,
            ago=_AGO[chosen.date_ago],
            zone=self.zone,
            extension=chosen.extension,
            add_extension=chosen.add_extension,
            start=chosen.start,
            compressed=self.extension,
        )

    @cached_property
    def compresses(self) -> bool:
        """Whether its rotated files are compressed."""
        return self.settings.compress != "none"

    @cached_property
    def extension(self) -> str:
        """That of its compressed files; of one that does not compress, the one it would have."""
        return self.settings.compress_extension or codecs.EXTENSIONS.get(self.settings.compress, ".zst")

    @cached_property
    def names_tell(self) -> bool:
        """Whether the rotated files that stay tell when a log last rotated."""
        return self.naming.tells and self.settings.keep != 0 and self.settings.max_age_days != 0

    @property
    def trusts(self) -> bool:
        """Whether others may write to the directories of its logs."""
        return self.settings.trust_directory or bool(self.settings.user)

    @property
    def trusts_old_dir(self) -> bool:
        """Whether others may write to ``old_dir``."""
        return self.trusts or self.settings.trust_old_dir

    def find(self, refused: Callable[[UnfitError], None] = lambda _error: None) -> list[Place]:
        """Each directory that its patterns reach, open; the caller closes it.

        Args:
            refused: gets links that a wildcard has found and that are not followed.

        Raises:
            StoreError: a directory cannot be listed or opened.
        """
        by_key: dict[tuple[int, int], Place] = {}
        room = open_at_once()
        with ExitStack() as stack:
            stack.callback(close_all, by_key.values())
            for pattern in self.patterns:
                for found in walk.reached(pattern, refused):
                    place = self._place(found, by_key)
                    place.found.update(found.names)
                    place.patterns.append(pattern)
                    place.listed = found.listed
                    if len(by_key) > room:
                        place.park()
            for place in by_key.values():
                place.rotated_in = self._rotated_in(place.directory)
                self.look(place)
                if len(by_key) > room:
                    place.park()
            stack.pop_all()
        return list(by_key.values())

    def _place(self, found: walk.Reached, by_key: dict[tuple[int, int], Place]) -> Place:
        directory = Directory(found.path, found.descriptor, partial(walk.open_directory, found.path))
        known = by_key.get(directory.key)
        if known is not None:
            directory.close()
            return known
        place = by_key[directory.key] = Place(directory=directory)
        return place

    def look(self, place: Place) -> None:
        """List the rotated files of a directory, again after they have changed.

        The first time, what the patterns were compared with will do.
        """
        listed, place.listed = place.listed, None
        if place.rotated_in is None:
            listed = []
        elif listed is None or place.rotated_in is not place.directory:
            listed = place.rotated_in.names()
        place.drafts = [name for name in listed if name.startswith(OWN)]
        if place.drafts:
            listed = [name for name in listed if not name.startswith(OWN)]
        patterns = [last_part(pattern) for pattern in place.patterns]
        groups = self.naming.grouped(listed)
        matches = [matcher(pattern) for pattern in patterns] if groups else []
        place.rotated = {log: files for log, files in groups.items() if any(match(log) for match in matches)}
        rotated = {file.name for files in place.rotated.values() for file in files}
        # A name that was configured without wildcards is a log, whatever it looks like.
        rotated -= {pattern for pattern in patterns if not is_wild(pattern)} if rotated else set()
        place.logs = sorted(place.found - rotated)

    def unmatched(self, places: Sequence[Place]) -> Iterator[str]:
        """The patterns that match no log."""
        for pattern in self.patterns:
            reached = (place for place in places if pattern in place.patterns)
            matches = matcher(last_part(pattern))
            if not any(matches(log) for place in reached for log in place.logs):
                yield pattern

    def _rotated_in(self, directory: Directory) -> Directory | None:
        """The directory of rotated files; ``None`` where it is missing."""
        name = self.settings.old_dir
        if not name:
            return directory
        try:
            return directory.beside(name)
        except FileNotFoundError:
            return None


def _at_home(pattern: str) -> str:
    if not pattern.startswith("~"):
        return pattern
    expanded = os.path.expanduser(pattern)  # noqa: PTH111 - a pattern, not a path
    if not expanded.startswith("/"):
        user = pattern.partition("/")[0][1:]
        missing = f"there is no user {user}" if user else "who runs has no home directory"
        raise StoreError(f"{pattern}: {missing}", "see paths of the set")
    return expanded


def log_sets(settings: LogFilesPolicy) -> tuple[LogSet, ...]:
    """The sets in the order in which they stand."""
    zone = zone_of(settings.time_zone)
    return tuple(
        LogSet(
            name=name,
            settings=chosen,
            zone=zone,
            state_dir=settings.state_dir,
            state_file=settings.state_file,
            mail_program=settings.mail_program,
        )
        for name, chosen in settings.sets.items()
    )


def open_at_once() -> int:
    """Directories of a set that stay open; where there are more, each is given back until its turn comes."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4


def last_part(pattern: str) -> str:
    """What a pattern says of names in a directory."""
    return pattern.rsplit("/", 1)[1]


@dataclass(slots=True, kw_only=True)
class Place:
    """A directory of logs.

    Args:
        directory: of the logs, open.
        rotated_in: of their rotated files, often the same; ``None`` where ``old_dir`` is missing.
        patterns: that reach it.
        found: every name that they match.
        logs: those that are not rotated files, sorted.
        rotated: log → its rotated files, newest first; also of logs that have vanished.
        drafts: names of our own among them, of files on their way.
        listed: all names in ``directory``, until they are looked at.
    """

    directory: Directory
    rotated_in: Directory | None = None
    patterns: list[str] = field(default_factory=list)
    found: set[str] = field(default_factory=set)
    logs: list[str] = field(default_factory=list)
    rotated: dict[str, list[Rotated]] = field(default_factory=dict)
    drafts: list[str] = field(default_factory=list)
    listed: list[str] | None = None

    @property
    def store(self) -> Directory:
        """The directory of the rotated files.

        Raises:
            StoreError: it is missing.
        """
        if self.rotated_in is None:
            raise StoreError(
                f"old_dir of {self.directory.path} is missing", "make it, or set create_old_dir = true"
            )
        return self.rotated_in

    def without(self, logs: Collection[str]) -> Place:
        """The same, but for the rotated files of some logs."""
        if not logs:
            return self
        return replace(self, rotated={log: files for log, files in self.rotated.items() if log not in logs})

    def park(self) -> None:
        """Give back the descriptors until they are needed again."""
        if self.rotated_in is not None:
            self.rotated_in.park()
        self.directory.park()

    close = park


def close_all(places: Iterable[Place]) -> None:
    """Give back the descriptors of all of them."""
    for place in places:
        place.close()


_ISO = re.compile(
    rb"(?<!\d)(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)?\s?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_COMMON = re.compile(rb"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]", re.ASCII)
_HEAD = 4096


def first_date(directory: Directory, log: str, zone: tzinfo, *, hard_links: bool = False) -> datetime | None:
    """The date in the first line of a log: ISO 8601 or RFC 3339, or the Common Log Format.

    Args:
        directory: of the log.
        log: its name.
        zone: of a date that names none.
        hard_links: whether the log may have several names.
    """
    try:
        with (
            directory.reading(log, hard_links=hard_links) as (descriptor, _),
            told(f"{directory.path_of(log)} cannot be read"),
        ):
            line = os.pread(descriptor, _HEAD, 0).split(b"\n", 1)[0]
    except (FileNotFoundError, UnfitError):
        return None
    try:
        return _date(line, zone)
    except ValueError:
        return None  # 2026-13-45 is none


def _date(line: bytes, zone: tzinfo) -> datetime | None:
    if found := _ISO.search(line):
        day, time, offset = (part.decode() if part else "" for part in found.groups())
        parsed = datetime.fromisoformat(f"{day}T{time}{offset}")
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)
    if found := _COMMON.search(line):
        return datetime.strptime(found[1].decode(), "%d/%b/%Y:%H:%M:%S %z")
    return None
