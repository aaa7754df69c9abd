"""What the operating system does for the rotation, with its errors as sentences."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import struct
from functools import cache

from luxima_retention.core.errors import LeaseHeld, StoreError

#: for names that others may have made: a link is not followed, a FIFO does not block
NO_FOLLOW = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_NOREPLACE = 1
_BLOCK = 1024 * 1024
_ACL = "system.posix_acl_access"
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_USER, _ACL_GROUP, _ACL_MASK, _ACL_WRITE = 0x02, 0x08, 0x10, 2
_F_SETSIG = 10


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


class _Told:
    """See :func:`told`; a generator would cost more than the calls that it stands around."""

    __slots__ = ("_expected", "_what")

    def __init__(self, what: str, expected: tuple[type[OSError], ...]) -> None:
        self._what = what
        self._expected = expected

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, self._expected):
            raise error_of(self._what, error) from error


def told(what: str, *, missing: bool = False, existing: bool = False) -> _Told:
    """Errors of the operating system as a sentence with a hint.

    Args:
        what: what could not be done, with the path.
        missing: the caller expects ``FileNotFoundError``.
        existing: the caller expects ``FileExistsError``.
    """
    return _Told(what, (*_MISSING[: int(missing)], *_EXISTING[: int(existing)]))


_MISSING, _EXISTING = (FileNotFoundError,), (FileExistsError,)


def error_of(what: str, error: OSError) -> StoreError:
    """An error of the operating system as a sentence with a hint."""
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


def acl_of(file: int | str) -> bytes | None:
    """The access control list of a file (acl(5)); ``None`` where its mode says all."""
    try:
        return os.getxattr(file, _ACL, follow_symlinks=isinstance(file, int))
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.EOPNOTSUPP, errno.ENOENT}:
            return None
        raise


def set_acl(descriptor: int, acl: bytes) -> None:
    """Give a file an access control list, where its volume knows of such lists."""
    try:
        os.setxattr(descriptor, _ACL, acl)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise


def writers_by_acl(directory: int) -> tuple[frozenset[int], frozenset[int]]:
    """Users and groups that the access control list of a directory names and lets write to it.

    The mode does not tell: with a list its bits of the group are what the list grants at most (acl(5)). As
    the kernel writes it: a version, then of each entry tag, permissions, number (linux/posix_acl_xattr.h).

    Args:
        directory: its descriptor; one for passing only will do.
    """
    acl = acl_of(f"/proc/self/fd/{directory}/.") or b""
    entries = [_ACL_ENTRY.unpack_from(acl, place) for place in range(4, len(acl) - 7, _ACL_ENTRY.size)]
    most = next((bits for tag, bits, _ in entries if tag == _ACL_MASK), _ACL_WRITE)
    users, groups = (
        frozenset(number for tag, bits, number in entries if tag == kind and bits & most & _ACL_WRITE)
        for kind in (_ACL_USER, _ACL_GROUP)
    )
    return users, groups


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


@cache
def _renameat2() -> ctypes._NamedFuncPointer | None:
    """The C library's renameat2(2), where it has one."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def rename_new(from_fd: int, old: str, to_fd: int, new: str) -> None:
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


@cache
def _syncfs() -> ctypes._NamedFuncPointer | None:
    """The C library's syncfs(2), where it has one."""
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def sync_volume(descriptor: int) -> None:
    """Make everything on the volume of a file durable, which is quicker than many files one by one."""
    call = _syncfs()
    if call is None:
        os.sync()
    elif call(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


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
