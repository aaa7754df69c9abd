"""Paths and patterns walked part by part, each by the descriptor of the directory before it.

A link is followed where nobody but root or this process's own user could have put it there: it belongs to one
of them, and so does the directory in which it lies, to which nobody else may write. Any other link is refused
with a sentence: whoever owns a directory of logs could point it at files of somebody else.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from luxima_retention.stores.logfiles.patterns import is_wild, matcher
from luxima_retention.stores.logfiles.system import NO_FOLLOW, UnfitError, error_of, writers_by_acl

_PASSING = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ANY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
#: links on the way to a directory, as the kernel counts them (path_resolution(7))
_LINKS = 40
_NO_LINK = "name the directory that it leads to, or work as its owner (user of the set)"

#: makes a directory that is missing, given the descriptor of the one above and its name
Maker = Callable[[int, str], None]
#: looks at each directory on the way: its path and descriptor
Checker = Callable[[str, int], None]


def trusted_users() -> frozenset[int]:
    """Those whose links are followed: root and the user of this process."""
    return frozenset({0, os.geteuid()})


def own_groups() -> set[int]:
    """Groups whose members this process trusts: its own, as fsGroup gives them; of root only root's."""
    return {0} if os.geteuid() == 0 else {os.getegid(), *os.getgroups()}


def others_write(descriptor: int) -> bool:
    """Whether users that this process does not trust may write there, by mode or access control list."""
    status = os.fstat(descriptor)
    if status.st_mode & stat.S_IWOTH:
        return True
    if not status.st_mode & stat.S_IWGRP:
        return False  # with a list these bits are its mask
    users, groups = writers_by_acl(descriptor)
    return bool((groups | {status.st_gid}) - own_groups() or users - trusted_users())


class _Walk:
    """A place in the tree; closed after use.

    Args:
        start: descriptor of a directory to start from, for paths that do not begin with /; not closed.
        path: of that directory, for people.
        make: for directories that are missing.
        check: for each directory that is left behind.
    """

    def __init__(
        self,
        start: int | None = None,
        path: str = "/",
        make: Maker | None = None,
        check: Checker | None = None,
    ) -> None:
        self.descriptor = os.open("/", _PASSING) if start is None else os.dup(start)
        self.path = path
        self._make = make
        self._check = check
        self._links = 0

    def close(self) -> None:
        os.close(self.descriptor)

    def copy(self) -> _Walk:
        """The same place once more."""
        walk = _Walk(self.descriptor, self.path, self._make, self._check)
        walk._links = self._links
        return walk

    def plain(self, name: str) -> int | None:
        """A directory in this one, for listing; ``None`` for what only :meth:`go` may enter or refuse."""
        with suppress(OSError):
            return os.open(name, _READING, dir_fd=self.descriptor)
        return None

    def readable(self) -> int:
        """The directory as a descriptor that lists it."""
        return os.open(".", _READING, dir_fd=self.descriptor)

    def file(self, name: str) -> int:
        """A regular file in this directory, for reading."""
        try:
            descriptor = os.open(name, os.O_RDONLY | NO_FOLLOW, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            *parts, last = self._target(name, error).split("/")
            self.go(parts)
            return self.file(last)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            os.close(descriptor)
            raise UnfitError("not-a-file", f"{self.path}/{name} is no regular file of one name", _NO_LINK)
        return descriptor

    def go(self, parts: Sequence[str]) -> None:
        """Walk on.

        Raises:
            UnfitError: a link on the way that somebody else may have made.
            OSError: a part is missing, no directory, not to be entered.
        """
        for part in parts:
            if part not in {"", "."}:
                before = self.path
                self._step(part)
                self.path = f"{before.rstrip('/')}/{part}"

    def _step(self, name: str) -> None:
        if self._check is not None:
            self._check(self.path, self.descriptor)
        try:
            self._enter(os.open(name, _PASSING, dir_fd=self.descriptor))
        except FileNotFoundError:
            if self._make is None:
                raise
            self._make(self.descriptor, name)
            self._enter(os.open(name, _PASSING, dir_fd=self.descriptor))
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            self._follow(name, error)

    def _enter(self, descriptor: int) -> None:
        os.close(self.descriptor)
        self.descriptor = descriptor

    def _follow(self, name: str, error: OSError) -> None:
        self.go(self._target(name, error).split("/"))

    def _target(self, name: str, error: OSError) -> str:
        """Where a link leads, from the directory in which this is by then.

        Raises:
            UnfitError: somebody else may have made it.
            OSError: ``error``, if it is no link; too many of them.
        """
        link = os.open(name, _ANY, dir_fd=self.descriptor)
        try:
            if not stat.S_ISLNK(os.fstat(link).st_mode):
                raise error
            self._check_link(name, os.fstat(link), os.fstat(self.descriptor))
            target = os.readlink("", dir_fd=link)
        finally:
            os.close(link)
        self._links += 1
        if self._links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        if target.startswith("/"):
            self._enter(os.open("/", _PASSING))
        return target

    def _check_link(self, name: str, link: os.stat_result, directory: os.stat_result) -> None:
        path, users = f"{self.path.rstrip('/')}/{name}", trusted_users()
        for what, status in ((path, link), (self.path, directory)):
            if status.st_uid not in users:
                said = f"{path} is a link, and {what} belongs to user {status.st_uid}: it is not followed"
                raise UnfitError("symlink", said, _NO_LINK)
        if others_write(self.descriptor) and not directory.st_mode & stat.S_ISVTX:
            said = f"{path} is a link in a directory that others may write to: it is not followed"
            raise UnfitError("symlink", said, _NO_LINK)


def open_directory(
    path: str,
    *,
    start: int | None = None,
    above: str = "/",
    make: Maker | None = None,
    check: Checker | None = None,
) -> int:
    """The descriptor of a directory, for listing it.

    Args:
        path: absolute, or from ``start``.
        start: descriptor of the directory that a path without / at its beginning counts from.
        above: the path of ``start``, for people.
        make: makes what is missing.
        check: looks at each directory above the last.

    Raises:
        UnfitError: a link on the way that somebody else may have made.
        OSError: it is missing, no directory, not to be entered.
    """
    walk = _Walk(None, "/", make, check) if path.startswith("/") else _Walk(start, above, make, check)
    try:
        walk.go(path.split("/"))
        return walk.readable()
    finally:
        walk.close()


def open_file(path: str) -> int:
    """The descriptor of a regular file, for reading; a FIFO does not block.

    Links are followed as everywhere here, and a file with another name elsewhere is refused: whoever owns the
    directory could have given a file of somebody else that name.

    Args:
        path: absolute.

    Raises:
        UnfitError: a link that somebody else may have made, or a file with several names.
        OSError: it is missing, cannot be read, no regular file.
    """
    *parts, name = path.split("/")
    walk = _Walk()
    try:
        walk.go(parts)
        return walk.file(name)
    finally:
        walk.close()


class Reached(NamedTuple):
    """A directory that a pattern reaches.

    Args:
        path: of the directory.
        descriptor: for listing it; the caller closes it.
        names: those in it that match.
        listed: all names in it, where they were listed.
    """

    path: str
    descriptor: int
    names: list[str]
    listed: list[str] | None


def reached(pattern: str, refused: Callable[[UnfitError], None]) -> Iterator[Reached]:
    """Every directory that a pattern of absolute paths reaches.

    Args:
        pattern: as glob(7) has it.
        refused: gets each link that a wildcard has found and that is not followed.

    Raises:
        UnfitError: a link among the parts without wildcards that somebody else may have made.
        StoreError: a directory cannot be listed; never taken for an empty one.
    """
    *parts, last = pattern.split("/")
    walk = _Walk()
    try:
        yield from _below(walk, parts, last, refused)
    finally:
        walk.close()


def _below(
    walk: _Walk, parts: Sequence[str], last: str, refused: Callable[[UnfitError], None]
) -> Iterator[Reached]:
    wild = next((index for index, part in enumerate(parts) if is_wild(part)), len(parts))
    if not _entered(walk, parts[:wild], None):
        return
    if wild == len(parts):
        yield _matching(walk.path, _listable(walk), last)
        return
    rest = parts[wild + 1 :]
    for name in _directories(walk, parts[wild]):
        descriptor = None if rest else walk.plain(name)
        if descriptor is not None:
            yield _matching(f"{walk.path.rstrip('/')}/{name}", descriptor, last)
            continue
        branch = walk.copy()
        try:
            if _entered(branch, [name], refused):
                yield from _below(branch, rest, last, refused)
        finally:
            branch.close()


def _entered(walk: _Walk, parts: Sequence[str], refused: Callable[[UnfitError], None] | None) -> bool:
    """Whether there is such a directory."""
    path = "/".join((walk.path.rstrip("/"), *filter(None, parts)))
    try:
        walk.go(parts)
    except UnfitError as error:
        if refused is None:
            raise
        refused(error)
        return False
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return False
        raise error_of(f"{path} cannot be opened", error) from error
    return True


def _listable(walk: _Walk) -> int:
    try:
        return walk.readable()
    except OSError as error:
        raise error_of(f"{walk.path} cannot be opened", error) from error


def _directories(walk: _Walk, pattern: str) -> list[str]:
    """Names that match, of what may be a directory; sorted."""
    descriptor = _listable(walk)
    try:
        with os.scandir(descriptor) as found:
            matches = matcher(pattern)
            return sorted(
                entry.name
                for entry in found
                if matches(entry.name) and (entry.is_symlink() or entry.is_dir())
            )
    except OSError as error:
        raise error_of(f"{walk.path} cannot be listed", error) from error
    finally:
        os.close(descriptor)


def _matching(path: str, descriptor: int, pattern: str) -> Reached:
    try:
        if is_wild(pattern):
            listed = os.listdir(descriptor)
            return Reached(path, descriptor, list(filter(matcher(pattern), listed)), listed)
        with suppress(FileNotFoundError):
            os.stat(pattern, dir_fd=descriptor, follow_symlinks=False)
            return Reached(path, descriptor, [pattern], None)
    except OSError as error:
        os.close(descriptor)
        raise error_of(f"{path} cannot be listed", error) from error
    return Reached(path, descriptor, [], None)
