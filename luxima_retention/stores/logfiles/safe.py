"""Directories that are held open, and names in them that are never followed.

A directory of logs belongs to the service that writes them, and whoever owns a directory can swap what is
in it at any moment. So each directory is opened once, everything happens through its descriptor, a link is
never followed, and a file is what its descriptor says it is, not what its name said a moment before.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from luxima_retention.stores.logfiles import walk
from luxima_retention.stores.logfiles.system import (
    NO_FOLLOW,
    UnfitError,
    acl_of,
    error_of,
    set_acl,
    told,
    writers_by_acl,
)
from luxima_retention.stores.logfiles.system import rename_new as _rename
from luxima_retention.stores.logfiles.walk import own_groups

#: what begins like this is ours: files on their way
OWN = ".luxima-rotation"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: bits of a mode that a file of ours gets from another one; never those that lend rights
PERMISSIONS = 0o777
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


class File(NamedTuple):
    """A regular file, as its descriptor or an lstat(2) told; the other fields are those of stat(2).

    Thousands are made in a run, and a tuple is made in a third of the time of a dataclass.

    Args:
        name: in its directory.
        size: bytes.
        written: its last write, in nanoseconds since 1970.
    """

    name: str
    size: int
    written: int
    device: int
    inode: int
    mode: int
    owner: int
    group: int

    @property
    def modified(self) -> datetime:
        """Its last write; one beyond the calendar is in the future."""
        try:
            return _EPOCH + timedelta(microseconds=self.written // 1000)
        except OverflowError:
            return datetime.max.replace(tzinfo=UTC)

    def same(self, status: os.stat_result) -> bool:
        """Whether that is this very file, and nobody has written to it since."""
        mine = (self.device, self.inode, self.size, self.written)
        return mine == (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class Directory:
    """An open directory.

    Args:
        path: for people, and to open it again.
        descriptor: of the directory; closed with this object.
        opens: opens it again.
    """

    def __init__(self, path: str, descriptor: int, opens: Callable[[], int]) -> None:
        self.path = path
        self._prefix = f"{path.rstrip('/')}/"
        self._descriptor: int | None = descriptor
        self._opens = opens
        status = os.fstat(descriptor)
        self.key = (status.st_dev, status.st_ino)

    @classmethod
    def open(cls, path: str) -> Directory:
        """The directory of that path.

        Raises:
            FileNotFoundError: there is none.
            StoreError: it cannot be read, or a link leads to it that somebody else may have made.
        """
        with told(f"{path} cannot be opened", missing=True):
            return cls(path, walk.open_directory(path), lambda: walk.open_directory(path))

    def beside(self, name: str, like: Attributes | None = None) -> Directory:
        """A directory by its name from this one, or by its absolute path; made where it is missing.

        Args:
            name: parts may be ``..``, or links as :mod:`~luxima_retention.stores.logfiles.walk` has them.
            like: owner and mode of what is made; ``None`` makes nothing.

        Raises:
            FileNotFoundError: there is none.
            StoreError: it cannot be made or read.
        """
        path = name if name.startswith("/") else self.path_of(name)

        def opens() -> int:
            parked = self._descriptor is None
            try:
                return walk.open_directory(name, start=self.descriptor, above=self.path)
            finally:
                if parked:
                    self.park()

        with told(f"{path} cannot be {'opened' if like is None else 'made'}", missing=like is None):
            if like is not None:
                self._make_below(name, like)
            return Directory(path, opens(), opens)

    def _make_below(self, name: str, like: Attributes) -> None:
        """Make a directory, and those above it that are missing, which are nobody's but this process's."""
        head, slash, last = name.rstrip("/").rpartition("/")
        plain = partial(_make, like=Attributes(mode=0o755))
        above = walk.open_directory(head + slash, start=self.descriptor, above=self.path, make=plain)
        try:
            made = partial(_make, like=like)
            os.close(walk.open_directory(last, start=above, above=self.path_of(head), make=made))
        finally:
            os.close(above)

    @property
    def descriptor(self) -> int:
        """Its descriptor; opened again where it was given back meanwhile.

        Raises:
            StoreError: it cannot be opened, or another directory is in its place.
        """
        if self._descriptor is None:
            with told(f"{self.path} cannot be opened again"):
                self._descriptor = self._opens()
            status = os.fstat(self._descriptor)
            if (status.st_dev, status.st_ino) != self.key:
                self.park()
                raise UnfitError("replaced", f"{self.path} is another directory than at first")
        return self._descriptor

    def path_of(self, name: str) -> str:
        """The path of a name, for people."""
        return self._prefix + name

    def names(self) -> list[str]:
        """Every name, those of files of ours on their way, too.

        Raises:
            StoreError: the directory cannot be listed.
        """
        with told(f"{self.path} cannot be listed"):
            return os.listdir(self.descriptor)  # noqa: PTH208 - no path: by descriptor

    def look(self, name: str, *, hard_links: bool = False) -> File:
        """The regular file of that name.

        Raises:
            FileNotFoundError: it has vanished.
            UnfitError: it is not a regular file, or has another name elsewhere.
        """
        try:
            status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise error_of(f"{self.path_of(name)} cannot be examined", error) from error
        return _fit(self, name, status, hard_links=hard_links)

    def acl(self, name: str) -> bytes | None:
        """The access control list of a file that we may not be allowed to open."""
        with told(f"{self.path_of(name)} cannot be examined"):
            return acl_of(f"/proc/self/fd/{self.descriptor}/{name}")

    def exists(self, name: str) -> bool:
        """Whether anything has that name."""
        try:
            with told(f"{self.path_of(name)} cannot be examined", missing=True):
                os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def reading(
        self, name: str, *, hard_links: bool = False, write: bool = False
    ) -> Iterator[tuple[int, File]]:
        """A descriptor of the regular file of that name, and what it says; a FIFO does not block."""
        flags = (os.O_RDWR if write else os.O_RDONLY) | NO_FOLLOW
        with told(f"{self.path_of(name)} cannot be opened", missing=True):
            try:
                descriptor = os.open(name, flags, dir_fd=self.descriptor)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                raise UnfitError("symlink", f"{self.path_of(name)} is a symbolic link") from error
        try:
            yield descriptor, _fit(self, name, os.fstat(descriptor), hard_links=hard_links)
        finally:
            os.close(descriptor)

    def make(self, name: str, like: Attributes) -> int:
        """A new file, open for writing; nobody else could read it before it had its owner and mode.

        Raises:
            FileExistsError: something has that name.
            StoreError: no space, read-only, no right.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW
        with told(f"{self.path_of(name)} cannot be made", existing=True):
            descriptor = os.open(name, flags, 0o600, dir_fd=self.descriptor)
            try:
                like.apply(descriptor)
            except BaseException:
                os.close(descriptor)
                self.remove(name)
                raise
        return descriptor

    def rename(self, old: str, new: str, to: Directory | None = None) -> None:
        """Give a file another name, which nothing may have yet.

        Raises:
            FileExistsError: something has that name.
            StoreError: it is another device, read-only, …
        """
        there = to or self
        with told(
            f"{self.path_of(old)} cannot be renamed to {there.path_of(new)}", missing=True, existing=True
        ):
            _rename(self.descriptor, old, there.descriptor, new)

    def replace(self, old: str, new: str) -> None:
        """Give a file of ours another name, in place of whatever has it."""
        with told(f"{self.path_of(new)} cannot be replaced"):
            os.replace(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        with told(f"{self.path_of(name)} cannot be removed"), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def sync(self) -> None:
        """Make names durable."""
        with told(f"{self.path} cannot be synchronised"):
            try:
                os.fsync(self.descriptor)
            except OSError as error:
                if error.errno not in {errno.EINVAL, errno.EROFS}:  # a file system without that notion
                    raise

    def check_safe(self, *, trusted: bool) -> None:
        """Refuse a directory in which others could make and swap names.

        Args:
            trusted: the set says that it may be so, or works as a user of its own.

        Raises:
            UnfitError: everybody may write to it, or a group to which this process does not belong.
        """
        status = os.fstat(self.descriptor)
        if trusted:
            return
        hint = "chmod o-w,g-w it, work as its owner (user), or set trust_directory of the set"
        if status.st_mode & stat.S_IWOTH:
            raise UnfitError("unsafe-directory", f"everybody may write to {self.path}", hint)
        if status.st_mode & stat.S_IWGRP and status.st_gid not in own_groups():
            who = f"group {status.st_gid} may write to {self.path}, and this process is not of it"
            raise UnfitError("unsafe-directory", who, hint)
        if status.st_mode & stat.S_IWGRP:
            self._check_acl(hint)

    def _check_acl(self, hint: str) -> None:
        users, groups = writers_by_acl(self.descriptor)
        named = [f"user {user}" for user in sorted(users - walk.trusted_users())]
        named += [f"group {group}" for group in sorted(groups - own_groups())]
        if named:
            who = f"{', '.join(named)} may write to {self.path}, as its access control list says"
            raise UnfitError("unsafe-directory", who, hint.replace("chmod o-w,g-w it", "setfacl -b it"))

    def not_writable(self) -> str:
        """Why names cannot be made and removed here; empty when they can."""
        if os.statvfs(self.descriptor).f_flag & os.ST_RDONLY:
            return f"{self.path} is on a volume that is mounted read-only"
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=self.descriptor, effective_ids=True):
            return f"user {os.geteuid()} may not write to {self.path}"
        return ""

    @property
    def real_path(self) -> str:
        """Its path without links."""
        return os.readlink(f"/proc/self/fd/{self.descriptor}")  # noqa: PTH115 - as text

    def park(self) -> None:
        """Give back the descriptor until it is needed again; may be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    close = park


def _make(above: int, name: str, like: Attributes) -> None:
    """Make a directory, with its owner and mode: by its descriptor, and only if it is the one just made."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW, dir_fd=above)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid() and not os.listdir(descriptor):  # noqa: PTH208
                like.apply(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """Mode, owner and group of a file to be made; ``None`` leaves what the process gives."""

    mode: int | None = None
    owner: int | None = None
    group: int | None = None
    #: an access control list, as the kernel writes it; it has the mode in it, which is set after it
    acl: bytes | None = None
    #: whether an owner that this process may not give is an error
    strict: bool = True

    @classmethod
    def of(cls, file: File, descriptor: int) -> Attributes:
        """Those of another file, which is open, as far as this process may give them."""
        acl = acl_of(descriptor)
        return cls(mode=file.mode & PERMISSIONS, owner=file.owner, group=file.group, acl=acl, strict=False)

    def apply(self, descriptor: int) -> None:
        """Set them: first the owner, which clears bits of the mode."""
        status = os.fstat(descriptor)
        owner = -1 if self.owner in {None, status.st_uid} else self.owner
        group = -1 if self.group in {None, status.st_gid} else self.group
        for one, other in ((owner, -1), (-1, group)):
            if (one, other) != (-1, -1):
                try:
                    os.fchown(descriptor, one or 0, other or 0)
                except PermissionError:
                    if self.strict:
                        raise
        if self.acl is not None:
            set_acl(descriptor, self.acl)
        if self.mode is not None:
            os.fchmod(descriptor, self.mode)


def _fit(directory: Directory, name: str, status: os.stat_result, *, hard_links: bool) -> File:
    """The file, if it is one that may be worked on."""
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "no regular file")
        rule = "symlink" if stat.S_ISLNK(mode) else "not-a-file"
        said = f"{directory.path_of(name)} is {kind}"
        raise UnfitError(rule, said, "name regular files alone in paths")
    if status.st_nlink > 1 and not hard_links:
        many = f"{directory.path_of(name)} has {status.st_nlink} names (hard links)"
        raise UnfitError("hard-link", many, "set allow_hard_links where that is meant to be")
    if not status.st_nlink:
        raise FileNotFoundError(errno.ENOENT, "it has just been removed", directory.path_of(name))
    return File(
        name=name,
        size=status.st_size,
        written=status.st_mtime_ns,
        device=status.st_dev,
        inode=status.st_ino,
        mode=stat.S_IMODE(mode),
        owner=status.st_uid,
        group=status.st_gid,
    )
