"""The directory of our own: journals, state and locks, which nobody else can write, never beside the logs.

Whoever owns a directory of logs owns every name in it. So nothing that is believed lies there: it lies in
``/var/lib/luxima-retention`` of root, or where ``rotation.state_dir``, ``$STATE_DIRECTORY`` or
``$XDG_STATE_HOME`` say, and only if no other user could have written there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from luxima_retention.core.errors import StoreError
from luxima_retention.stores.logfiles import walk
from luxima_retention.stores.logfiles.safe import Directory
from luxima_retention.stores.logfiles.system import NO_FOLLOW, BusyError, UnfitError, told

_OF_ROOT = "/var/lib/luxima-retention"
_NAME = "luxima-retention"
_LOCKS = "rotation.locks"
_HINT = "set rotation.state_dir to a directory that only this user can write, not on the volume of the logs"


def state_path(configured: str) -> str:
    """Where journals, state and locks lie.

    Args:
        configured: ``rotation.state_dir``; empty leaves it to who runs.
    """
    if configured:
        return configured
    if os.geteuid() == 0:
        return _OF_ROOT
    # Of systemd.exec(5), with StateDirectory=, which may name several.
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    state = os.environ.get("XDG_STATE_HOME", "")
    if given.startswith("/"):
        return given
    return f"{state if state.startswith('/') else _home() + '/.local/state'}/{_NAME}"


def _home() -> str:
    """The home directory of who runs; a relative one would mean another directory each time.

    Raises:
        StoreError: there is none.
    """
    home = os.path.expanduser("~")  # noqa: PTH111 - as text
    if home.startswith("/"):
        return home.rstrip("/")
    said = f"user {os.geteuid()} has no home directory for the state of rotations"
    raise StoreError(said, "set rotation.state_dir, or HOME to an absolute path")


class Folder(Directory):
    """The directory of our own, looked at before anything in it is believed."""

    @classmethod
    def open_own(cls, path: str, *, make: bool) -> Folder | None:
        """The folder.

        Args:
            path: absolute.
            make: make it where it is missing, for this user alone.

        Returns:
            ``None`` where it is missing and not to be made.

        Raises:
            StoreError: it cannot be made, or others could have written to it.
        """
        maker = _make if make else None
        try:
            with told(f"{path} cannot be opened", missing=not make):
                descriptor = walk.open_directory(path, make=maker, check=_check_above)
        except FileNotFoundError:
            return None
        except StoreError as error:
            raise StoreError(f"the state of rotations: {error.message}", error.hint or _HINT) from error
        folder = cls(path, descriptor, lambda: walk.open_directory(path))
        try:
            folder._check()
        except BaseException:
            folder.close()
            raise
        return folder

    def _check(self) -> None:
        status = os.fstat(self.descriptor)
        if status.st_uid != os.geteuid():
            said = f"{self.path}, the state of rotations, belongs to user {status.st_uid}"
            raise UnfitError("unsafe-directory", f"{said}, not to user {os.geteuid()}, who runs", _HINT)
        if walk.others_write(self.descriptor):
            said = f"others may write to {self.path}, the state of rotations"
            raise UnfitError("unsafe-directory", said, f"chmod go-w {self.path}")

    def open_file(self, name: str, flags: int) -> int:
        """A file of ours, open; nobody else can have made or changed it.

        Raises:
            FileNotFoundError: there is none.
            StoreError: it cannot be opened, or is another user's.
        """
        path = self.path_of(name)
        with told(f"{path} cannot be opened", missing=True):
            descriptor = os.open(name, flags | NO_FOLLOW, 0o600, dir_fd=self.descriptor)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
            os.close(descriptor)
            raise StoreError(f"{path} is not a file of this program's own", "look at it, then remove it")
        return descriptor


def _make(above: int, name: str) -> None:
    os.mkdir(name, 0o700, dir_fd=above)


def _check_above(path: str, descriptor: int) -> None:
    """Whoever may rename a directory on the way could put another one in its place."""
    status = os.fstat(descriptor)
    if status.st_uid not in walk.trusted_users():
        raise UnfitError("unsafe-directory", f"{path} belongs to user {status.st_uid}", _HINT)
    if walk.others_write(descriptor) and not status.st_mode & stat.S_ISVTX:
        raise UnfitError("unsafe-directory", f"others may write to {path}", _HINT)


class Locks:
    """Locks by name in one file of the folder, kept until this is closed, by this very open file.

    Each name is one byte of the file, locked with an open file description lock (fcntl(2)); so thousands of
    directories are locked with one descriptor, and nobody else can open the file.

    Args:
        folder: of our own.
    """

    def __init__(self, folder: Folder) -> None:
        self._path = folder.path_of(_LOCKS)
        self._file = folder.open_file(_LOCKS, os.O_RDWR | os.O_CREAT)
        self._taken: set[str] = set()

    def take(self, name: str, what: str) -> None:
        """Take a lock; one that is held already by this object is not an error.

        Args:
            name: of the lock.
            what: for people: ``another rotation`` has it, where ``what`` says.

        Raises:
            BusyError: another rotation has it.
        """
        if name in self._taken:
            return
        with told(f"{self._path} cannot be locked"):
            try:
                fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _range(fcntl.F_WRLCK, name))
            except BlockingIOError:
                raise BusyError(f"another rotation works {what}", "run again once it has ended") from None
        self._taken.add(name)

    @contextmanager
    def briefly(self, name: str) -> Iterator[None]:
        """Hold a lock for a moment, and wait for it; whoever holds it does so for a moment, too."""
        with told(f"{self._path} cannot be locked"):
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLKW, _range(fcntl.F_WRLCK, name))
        try:
            yield
        finally:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _range(fcntl.F_UNLCK, name))

    def close(self) -> None:
        """Give all of them back."""
        os.close(self._file)


def _range(kind: int, name: str) -> bytes:
    """One byte of the file, as struct flock (fcntl(2))."""
    place = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:7])
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, place, 1, 0)


def lock_of(directory: Directory) -> tuple[str, str]:
    """Name and words of the lock on a directory."""
    return "directory {}:{}".format(*directory.key), f"in {directory.path}"
