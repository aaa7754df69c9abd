"""When logs last rotated, where names do not tell it: logrotate's own state file, version 2.

One line for each log: ``"/var/log/api.log" 2026-11-22-6:25:0``, in the zone of the sets (logrotate(8),
"--state"); so a machine can change from one program to the other and back, and both keep out of each
other's way by the lock that each takes on the file.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime, tzinfo

from luxima_retention.core.errors import StoreError
from luxima_retention.io.failpoints import failpoint
from luxima_retention.stores.logfiles import walk
from luxima_retention.stores.logfiles.safe import OWN, Attributes, Directory
from luxima_retention.stores.logfiles.system import BusyError, told, write

#: in the folder of our own, where ``rotation.state_file`` is empty
OF_ALL_SETS = "rotation.state"
_HEAD = "logrotate state -- version 2"
_HEADS = {_HEAD, "logrotate state -- version 1"}
_LINE = re.compile(
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>\S+))\s+(?P<date>\d+-\d+-\d+)(?:-(?P<time>\d+:\d+:\d+))?\s*'
)
_ESCAPED = re.compile(r"\\(.)")
_NEW = f"{OWN}.state.tmp"
#: more than a state file of a million logs; a file of that size is something else
_LARGEST = 256 * 1024 * 1024


class State:
    """The state of some logs, as read; written as a whole.

    Args:
        directory: of the file.
        name: of the file.
        zone: of the times in it.
        guard: keeps others from writing while this writes what it has learned into what is there by then.
    """

    def __init__(
        self,
        directory: Directory,
        name: str,
        zone: tzinfo,
        guard: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.problems: tuple[str, ...] = ()
        self._directory = directory
        self._name = name
        self._zone = zone
        self._guard = guard
        self._last: dict[str, datetime] = {}
        self._like = Attributes(mode=0o640)
        self._changed: dict[str, datetime | None] = {}
        self._read()

    def last(self, log: str) -> datetime | None:
        """When a log last rotated, or its clock was started."""
        return self._last.get(log)

    def note(self, log: str, at: datetime) -> None:
        """A log has rotated, or its clock starts."""
        self._last[log] = self._changed[log] = at

    def forget(self, logs: Iterable[str]) -> None:
        """Drop logs that are no more."""
        for log in logs:
            if self._last.pop(log, None) is not None:
                self._changed[log] = None

    def known(self) -> tuple[str, ...]:
        """The logs of the file."""
        return tuple(self._last)

    @property
    def changes(self) -> dict[str, datetime | None]:
        """What was noted since it was read or written; ``None`` for what was forgotten."""
        return dict(self._changed)

    def save(self) -> None:
        """Write what was noted, if anything; a file that was damaged is kept beside it.

        Raises:
            StoreError: it cannot be written; the old one is as it was.
        """
        if not self._changed:
            return
        with self._guard():
            self._read()
            for log, at in self._changed.items():
                self._last.pop(log, None)
                if at is not None:
                    self._last[log] = at
            self._write()
        self._changed.clear()

    def _write(self) -> None:
        self._directory.remove(_NEW)
        descriptor = self._directory.make(_NEW, self._like)
        try:
            with told(f"{self._path} cannot be written"):
                write(descriptor, self._text().encode("utf-8", "surrogateescape"))
                os.fsync(descriptor)
        except BaseException:
            self._directory.remove(_NEW)
            raise
        finally:
            os.close(descriptor)
        failpoint("rotate.before_state")
        if self.problems:
            self._directory.replace(self._name, f"{self._name}.damaged")
        self._directory.replace(_NEW, self._name)
        self._directory.sync()

    @property
    def _path(self) -> str:
        return self._directory.path_of(self._name)

    def _read(self) -> None:
        self._last = {}
        try:
            with self._directory.reading(self._name) as (descriptor, found):
                if found.size > _LARGEST:
                    raise StoreError(f"{self._path} is too large for a state file")
                if found.owner not in walk.trusted_users():
                    said = f"{self._path}, the state of rotations, belongs to user {found.owner}"
                    raise StoreError(said, "look at it, then remove it, or name another state_file")
                self._like = Attributes.of(found, descriptor)
                with told(f"{self._path} cannot be read"):
                    data = b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))
        except FileNotFoundError:
            return
        head, *lines = data.decode("utf-8", "surrogateescape").split("\n")
        problems = []
        if data and head.strip() not in _HEADS:
            problems.append(f"{self._path} does not begin as a state file does")
            lines = ["", head, *lines]
        problems += [
            f"{self._path}: line {number}, {line[:80]!r}, is not valid"
            for number, line in enumerate(lines, 2)
            if not self._take(line)
        ]
        self.problems = tuple(problems[:3])

    def _take(self, line: str) -> bool:
        if not line.strip() or line.strip() in _HEADS:
            return True
        found = _LINE.fullmatch(line)
        if found is None:
            return False
        quoted = found["quoted"]
        name = found["bare"] if quoted is None else _ESCAPED.sub(_unescaped, quoted)
        try:
            parts = [*found["date"].split("-"), *(found["time"] or "0:0:0").split(":")]
            year, month, day, hour, minute, second = map(int, parts)
            self._last[name] = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=self._zone)
        except (ValueError, OverflowError):
            return False
        return True

    def _text(self) -> str:
        lines, dates = [_HEAD], dict[datetime, str]()  # those of one run have one date
        for log, at in self._last.items():
            if at not in dates:
                dates[at] = _date(at.astimezone(self._zone))
            lines.append(f'"{_escape(log)}" {dates[at]}')
        return "\n".join(lines) + "\n"


def _date(local: datetime) -> str:
    return f"{local.year}-{local.month}-{local.day}-{local.hour}:{local.minute}:{local.second}"


def _escape(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]


def check_directory(directory: Directory) -> None:
    """Refuse a directory in which others could replace the state file.

    Raises:
        StoreError: it is another user's, or others may write to it.
    """
    status = os.fstat(directory.descriptor)
    foreign = status.st_uid not in walk.trusted_users()
    if foreign or (walk.others_write(directory.descriptor) and not status.st_mode & stat.S_ISVTX):
        who = f"belongs to user {status.st_uid}" if foreign else "may be written to by others"
        said = f"{directory.path}, the directory of the state file, {who}"
        raise StoreError(said, "name a rotation.state_file elsewhere")


@contextmanager
def locked(directory: Directory, name: str) -> Iterator[None]:
    """Hold the lock of a state file, which logrotate takes on the file itself.

    A lock on a file that anybody can open may be anybody's, and would keep every rotation out: it does not
    count, and the file is closed to others (CVE-2022-1348). Our own locks still hold.

    Raises:
        BusyError: somebody else has it.
        StoreError: the file cannot be opened.
    """
    path = directory.path_of(name)
    for _ in range(10):  # whoever has just ended may have replaced the file between open and lock
        with told(f"{path} cannot be opened"):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(name, flags, 0o640, dir_fd=directory.descriptor)
        try:
            _lock(descriptor)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=directory.descriptor)):
                    yield
                    return
        except BlockingIOError:
            raise BusyError(f"another rotation has {path}", "run again once it has ended") from None
        finally:
            os.close(descriptor)
    raise BusyError(f"{path} is replaced again and again", "run again once the others have ended")


def _lock(descriptor: int) -> None:
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if mode & stat.S_IRWXO:
        with suppress(PermissionError):
            os.fchmod(descriptor, mode & ~stat.S_IRWXO)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not mode & stat.S_IRWXO:
            raise
