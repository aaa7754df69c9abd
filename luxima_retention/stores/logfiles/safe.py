"""Directories that are held open, and names in them that are never followed.

A directory of logs belongs to the service that writes them, and whoever owns a directory can swap what is
in it at any moment. So each directory is opened once, everything happens through its descriptor, a link is
never followed, and a file is what its descriptor says it is, not what its name said a moment before.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache

from luxima_retention.core.errors import LeaseHeld, StoreError

#: what begins like this is ours: locks, state, files on their way
OWN = ".luxima-rotation"
_LOCK = f"{OWN}.lock"
_NO_FOLLOW = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_WILD = frozenset("*?[")
_NOREPLACE = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BLOCK = 1024 * 1024
_ACL = "system.posix_acl_access"
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


class UnfitError(StoreError):
    """A file or a directory that is left alone, with the reason.

    Args:
        rule: constant, for programs: ``symlink``, ``hard-link``, ``not-a-file``, ``unsafe-directory``.
    """

    def __init__(self, rule: str, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.rule = rule


class BusyError(LeaseHeld):
    """Another rotation works in the directory, or on the state file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A regular file, as its descriptor or an lstat(2) told; the other fields are those of stat(2).

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
        path: for people.
        descriptor: of the directory; closed with this object.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        status = os.fstat(descriptor)
        self.key = (status.st_dev, status.st_ino)
        self._lock: int | None = None

    @classmethod
    def open(cls, path: str) -> Directory:
        """The directory of that path, which somebody has configured: links on the way to it are followed.

        Raises:
            FileNotFoundError: there is none.
            StoreError: it cannot be read.
        """
        with told(f"{path} cannot be opened", missing=True):
            return cls(path, os.open(path, _DIRECTORY))

    @classmethod
    def make_at(cls, path: str, like: Attributes) -> Directory:
        """A directory that is made, with its owner and mode, and those above it that are missing.

        Raises:
            StoreError: it cannot be made.
        """
        with told(f"{path} cannot be made"):
            os.makedirs(path, mode=0o755, exist_ok=True)  # noqa: PTH103 - a string is what the rest works with
            made = cls(path, os.open(path, _DIRECTORY))
            like.apply(made.descriptor)
        return made

    def below(self, name: str) -> Directory | None:
        """A directory in this one; ``None`` for a link or anything else."""
        try:
            return Directory(
                self.path_of(name), os.open(name, _DIRECTORY | _NO_FOLLOW, dir_fd=self.descriptor)
            )
        except OSError as error:
            if error.errno in {errno.ENOTDIR, errno.ELOOP, errno.ENOENT}:
                return None
            raise _error(f"{self.path_of(name)} cannot be opened", error) from error

    def path_of(self, name: str) -> str:
        """The path of a name, for people."""
        return f"{self.path.rstrip('/')}/{name}"

    def names(self, *, own: bool = False) -> list[str]:
        """Every name but our own, sorted; or our own alone.

        Raises:
            StoreError: the directory cannot be listed.
        """
        with told(f"{self.path} cannot be listed"):
            listed = os.listdir(self.descriptor)  # noqa: PTH208 - no path: by descriptor
            return sorted(name for name in listed if name.startswith(OWN) == own)

    def look(self, name: str, *, hard_links: bool = False) -> File:
        """The regular file of that name.

        Raises:
            FileNotFoundError: it has vanished.
            UnfitError: it is no regular file, or has another name elsewhere.
        """
        with told(f"{self.path_of(name)} cannot be looked at", missing=True):
            status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        return _fit(self.path_of(name), name, status, hard_links=hard_links)

    def acl(self, name: str) -> bytes | None:
        """The access control list of a file that we may not be allowed to open."""
        with told(f"{self.path_of(name)} cannot be looked at"):
            return acl_of(f"/proc/self/fd/{self.descriptor}/{name}")

    def exists(self, name: str) -> bool:
        """Whether anything has that name."""
        try:
            with told(f"{self.path_of(name)} cannot be looked at", missing=True):
                os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def reading(
        self, name: str, *, hard_links: bool = False, write: bool = False
    ) -> Iterator[tuple[int, File]]:
        """A descriptor of the regular file of that name, and what it says; a FIFO does not block."""
        flags = (os.O_RDWR if write else os.O_RDONLY) | _NO_FOLLOW
        with told(f"{self.path_of(name)} cannot be opened", missing=True):
            try:
                descriptor = os.open(name, flags, dir_fd=self.descriptor)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                raise UnfitError("symlink", f"{self.path_of(name)} is a symbolic link") from error
        try:
            yield (
                descriptor,
                _fit(self.path_of(name), name, os.fstat(descriptor), hard_links=hard_links),
            )
        finally:
            os.close(descriptor)

    def make(self, name: str, like: Attributes) -> int:
        """A new file, open for writing; nobody else could read it before it had its owner and mode.

        Raises:
            FileExistsError: something has that name.
            StoreError: no space, read-only, no right.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
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

    def lock(self) -> None:
        """Keep other rotations out of this directory until it is closed.

        The lock file stays; only its owner can open it, so nobody else can hold the lock.

        Raises:
            BusyError: another rotation works here.
        """
        if self._lock is not None:
            return
        with told(f"{self.path_of(_LOCK)} cannot be opened"):
            descriptor = os.open(_LOCK, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600, dir_fd=self.descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BusyError(f"another rotation works in {self.path}", "run again once it has ended") from None
        self._lock = descriptor

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
        if status.st_mode & stat.S_IWGRP and status.st_gid not in _own_groups():
            who = f"group {status.st_gid} may write to {self.path}, and this process is not of it"
            raise UnfitError("unsafe-directory", who, hint)

    def not_writable(self) -> str:
        """Why names cannot be made and removed here; empty when they can."""
        if os.statvfs(self.descriptor).f_flag & os.ST_RDONLY:
            return f"{self.path} is on a volume that is mounted read-only"
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=self.descriptor, effective_ids=True):
            return f"user {os.geteuid()} may not write to {self.path}"
        return ""

    def close(self) -> None:
        """Give back descriptor and lock; may be called twice."""
        for descriptor in (self._lock, self.descriptor):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self._lock, self.descriptor = None, -1


def _own_groups() -> set[int]:
    """Groups whose members this process trusts: its own, as fsGroup gives them; of root only root's."""
    return {0} if os.geteuid() == 0 else {os.getegid(), *os.getgroups()}


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
        return cls(mode=file.mode, owner=file.owner, group=file.group, acl=acl, strict=False)

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
            self._apply_acl(descriptor, self.acl)
        if self.mode is not None:
            os.fchmod(descriptor, self.mode)

    def _apply_acl(self, descriptor: int, acl: bytes) -> None:
        try:
            os.setxattr(descriptor, _ACL, acl)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:  # another volume may know of no such lists
                raise


def acl_of(file: int | str) -> bytes | None:
    """The access control list of a file (acl(5)); ``None`` where its mode says all."""
    try:
        return os.getxattr(file, _ACL, follow_symlinks=isinstance(file, int))
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.EOPNOTSUPP, errno.ENOENT}:
            return None
        raise


def matches(pattern: str) -> Iterator[tuple[Directory, list[str]]]:
    """Every directory that a pattern of paths reaches, with the names in it that match.

    What stands before the first wildcard is somebody's configuration and may lead over links; what a
    wildcard finds may not. The caller closes the directories.

    Raises:
        StoreError: a directory cannot be listed; never taken for an empty one.
    """
    *parts, last = pattern.split("/")
    literal = list(_before_wild(parts))
    try:
        start = Directory.open("/".join(literal) or "/")
    except FileNotFoundError:
        return
    for directory in _walk(start, parts[len(literal) :]):
        yield directory, _matching(directory, last)


def _matching(directory: Directory, pattern: str) -> list[str]:
    if not _WILD & set(pattern):
        return [pattern] if directory.exists(pattern) else []
    return [name for name in directory.names() if name_matches(name, pattern)]


def _before_wild(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        if _WILD & set(part):
            return
        yield part


def _walk(directory: Directory, parts: Sequence[str]) -> Iterator[Directory]:
    """The directories that the remaining parts of a pattern reach; closes those on the way."""
    if not parts:
        yield directory
        return
    try:
        names = directory.names() if _WILD & set(parts[0]) else [parts[0]]
        for name in names:
            if name_matches(name, parts[0]) and (found := directory.below(name)):
                yield from _walk(found, parts[1:])
    finally:
        directory.close()


def name_matches(name: str, pattern: str) -> bool:
    """As a shell does: a name that begins with a dot only where the pattern does."""
    return fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))


def being_written(descriptor: int) -> bool | None:
    """Whether somebody has the file open for writing; ``None`` where the kernel does not tell.

    A read lease is only given on a file that nobody can write to (fcntl(2), "Leases"). It is given back at
    once; the signal of a broken lease, should one come between, is one that is ignored.
    """
    try:
        fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    return False


_F_SETSIG = 10


@contextmanager
def told(what: str, *, missing: bool = False, existing: bool = False) -> Iterator[None]:
    """Errors of the operating system as a sentence with a hint.

    Args:
        what: what could not be done, with the path.
        missing: the caller expects ``FileNotFoundError``.
        existing: the caller expects ``FileExistsError``.
    """
    try:
        yield
    except OSError as error:
        expected = (missing and isinstance(error, FileNotFoundError)) or (
            existing and isinstance(error, FileExistsError)
        )
        if expected:
            raise
        raise _error(what, error) from error


def _error(what: str, error: OSError) -> StoreError:
    return StoreError(f"{what}: {error.strerror or error}", _HINTS.get(error.errno or 0))


_HINTS = {
    errno.ENOSPC: "make room on the volume; everything is as it was",
    errno.EDQUOT: "raise the quota or make room; everything is as it was",
    errno.EFBIG: "raise the limit of file sizes; everything is as it was",
    errno.EROFS: "mount the volume for writing",
    errno.EACCES: "give this process the right to read and write the directory (in Kubernetes: fsGroup)",
    errno.EPERM: "run as the owner of the logs, or leave create_owner and create_group empty",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EXDEV: "old_dir is on another device: set method = renamecopy",
}


def _fit(path: str, name: str, status: os.stat_result, *, hard_links: bool) -> File:
    """The file, if it is one that may be worked on."""
    for is_kind, kind in _KINDS:
        if is_kind(status.st_mode):
            rule = "symlink" if stat.S_ISLNK(status.st_mode) else "not-a-file"
            raise UnfitError(rule, f"{path} is {kind}", "name regular files alone in paths")
    if status.st_nlink > 1 and not hard_links:
        many = f"{path} has {status.st_nlink} names (hard links)"
        raise UnfitError("hard-link", many, "set allow_hard_links where that is meant to be")
    if not status.st_nlink:
        raise FileNotFoundError(errno.ENOENT, "it has just been removed", path)
    return File(
        name=name,
        size=status.st_size,
        written=status.st_mtime_ns,
        device=status.st_dev,
        inode=status.st_ino,
        mode=stat.S_IMODE(status.st_mode),
        owner=status.st_uid,
        group=status.st_gid,
    )


@cache
def _renameat2() -> ctypes._NamedFuncPointer | None:
    """The C library's renameat2(2), where it has one."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def _rename(from_fd: int, old: str, to_fd: int, new: str) -> None:
    """Rename without ever replacing; where the file system knows no such thing, after a look."""
    call = _renameat2()
    if call is not None:
        if not call(from_fd, os.fsencode(old), to_fd, os.fsencode(new), _NOREPLACE):
            return
        number = ctypes.get_errno()
        if number not in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}:
            raise OSError(number, os.strerror(number), old)
    try:
        os.stat(new, dir_fd=to_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=from_fd, dst_dir_fd=to_fd)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)


def copy(source: int, target: int, size: int) -> None:
    """Copy the first ``size`` bytes, holes as holes."""
    place = 0
    while place < size:
        try:
            begin = os.lseek(source, place, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break  # only a hole is left
        end = min(os.lseek(source, begin, os.SEEK_HOLE), size)
        os.lseek(source, begin, os.SEEK_SET)
        os.lseek(target, begin, os.SEEK_SET)
        place = _copy_range(source, target, begin, end)
        if place < end:
            break  # it was cut short while we read
    os.ftruncate(target, min(size, max(place, os.fstat(source).st_size)))


def _copy_range(source: int, target: int, begin: int, end: int) -> int:
    while begin < end:
        data = os.read(source, min(_BLOCK, end - begin))
        if not data:
            break
        write(target, data)
        begin += len(data)
    return begin


def write(descriptor: int, data: bytes | memoryview) -> None:
    """All of it: os.write may take less."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
