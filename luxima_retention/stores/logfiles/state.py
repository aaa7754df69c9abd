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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, tzinfo

from luxima_retention.core.errors import StoreError
from luxima_retention.io.failpoints import failpoint
from luxima_retention.stores.logfiles.safe import OWN, Attributes, BusyError, Directory, told, write

#: beside the logs, where ``rotation.state_file`` is empty
BESIDE = f"{OWN}.state"
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
    """

    def __init__(self, directory: Directory, name: str, zone: tzinfo) -> None:
        self.problems: tuple[str, ...] = ()
        self._directory = directory
        self._name = name
        self._zone = zone
        self._last: dict[str, datetime] = {}
        self._like = Attributes(mode=0o640)
        self._changed = False
        self._read()

    def last(self, log: str) -> datetime | None:
        """When a log last rotated, or its clock was started."""
        return self._last.get(log)

    def note(self, log: str, at: datetime) -> None:
        """A log has rotated, or its clock starts."""
        self._last[log] = at
        self._changed = True

    def forget(self, logs: Iterable[str]) -> None:
        """Drop logs that are no more."""
        for log in logs:
            self._changed |= self._last.pop(log, None) is not None

    def known(self) -> tuple[str, ...]:
        """The logs of the file."""
        return tuple(self._last)

    def save(self) -> None:
        """Replace the file, if anything has changed; one that was damaged is kept beside it.

        Raises:
            StoreError: it cannot be written; the old one is as it was.
        """
        if not self._changed:
            return
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
        self._changed = False

    @property
    def _path(self) -> str:
        return self._directory.path_of(self._name)

    def _read(self) -> None:
        try:
            with self._directory.reading(self._name) as (descriptor, found):
                if found.size > _LARGEST:
                    raise StoreError(f"{self._path} is too large for a state file")
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
            f"{self._path}: line {number}, {line[:80]!r}, tells nothing"
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
        lines = [_HEAD]
        for log, at in self._last.items():
            local = at.astimezone(self._zone)
            date = f"{local.year}-{local.month}-{local.day}"
            lines.append(f'"{_escape(log)}" {date}-{local.hour}:{local.minute}:{local.second}')
        return "\n".join(lines) + "\n"


def _escape(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]


@contextmanager
def locked(directory: Directory, name: str) -> Iterator[None]:
    """Hold the lock of a state file, which logrotate takes on the file itself.

    A lock on a file that anybody can open may be anybody's, and would keep every rotation out: it does not
    count, and the file is closed to others (CVE-2022-1348). The locks on the directories still hold.

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
