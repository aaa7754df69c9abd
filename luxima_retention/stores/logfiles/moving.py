"""How a log becomes a rotated file, so that a kill at any moment loses no line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from luxima_retention.core.errors import StoreError
from luxima_retention.io.failpoints import failpoint
from luxima_retention.stores.logfiles.journal import Step
from luxima_retention.stores.logfiles.names import Naming, Rotated
from luxima_retention.stores.logfiles.safe import OWN, Attributes, Directory, File
from luxima_retention.stores.logfiles.system import copy, told, write

_TEMPORARY = ".tmp"
_ASIDE = ".aside"


def temporary(name: str) -> str:
    """Our own name for a file on its way; short, whatever ``name`` is."""
    return f"{OWN}.{_key(name)}{_TEMPORARY}"


def _aside(name: str) -> str:
    return f"{OWN}.{_key(name)}{_ASIDE}"


def _key(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:24]


class Moves:
    """Moves from a directory of logs to that of their rotated files.

    Args:
        directory: of the logs.
        store: of the rotated files, often the same.
        hard_links: whether files with several names may be moved.
        copied: takes a step and the inode of its copy, which is whole, before the copy gets its name.
    """

    def __init__(
        self,
        directory: Directory,
        store: Directory,
        *,
        hard_links: bool,
        copied: Callable[[Step, int], None] = lambda _step, _inode: None,
    ) -> None:
        self._directory = directory
        self._store = store
        self._hard_links = hard_links
        self._whole = copied

    def clean(self, drafts: Iterable[str]) -> None:
        """Remove what a killed run left half written.

        Args:
            drafts: names of our own among the rotated files; what has gone meanwhile is no error.
        """
        found = [(self._store, name) for name in drafts]
        if self._store is not self._directory:  # from before there was an old_dir
            found += [(self._directory, name) for name in self._directory.names() if name.startswith(OWN)]
        for directory, name in found:
            if name.endswith(_TEMPORARY):
                directory.remove(name)

    def happened(self, step: Step) -> bool:
        """Whether a rotation that was announced took place, as far as its log is concerned."""
        if step.method in {"copy", "copytruncate"}:
            return self._copy_happened(step)
        try:
            status = os.stat(step.log, dir_fd=self._directory.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return self._is_moved(step)
        return not step.is_log(status)

    def _is_moved(self, step: Step) -> bool:
        moved = (self._directory, _aside(step.log)) if step.method == "renamecopy" else (self._store, step.to)
        with suppress(FileNotFoundError):
            status = os.stat(moved[1], dir_fd=moved[0].descriptor, follow_symlinks=False)
            return step.is_log(status)
        return step.method == "renamecopy" and self._has_copy(step)

    def _copy_happened(self, step: Step) -> bool:
        """Whether the copy has its name; the log is cut then, where that was to follow."""
        if not self._has_copy(step):
            return False
        if step.method == "copytruncate" and step.copied > 0:
            self._truncate_again(step)
        return True

    def _has_copy(self, step: Step) -> bool:
        with suppress(FileNotFoundError):
            status = os.stat(step.to, dir_fd=self._store.descriptor, follow_symlinks=False)
            return _is_copy(step, status)
        return False

    def shift(self, log: str, naming: Naming, files: Sequence[Rotated]) -> None:
        """Move numbered files up by one, highest first, as far as they leave no gap.

        A gap is what a killed run leaves: filling it moves nothing out of its turn.
        """
        by_index: dict[int, list[Rotated]] = {}
        for file in files:
            by_index.setdefault(file.index or 0, []).append(file)
        last = naming.start
        while last in by_index:
            last += 1
        for index in range(last - 1, naming.start - 1, -1):
            for file in by_index[index]:
                extension = file.name.removeprefix(file.plain)
                self._store.rename(file.name, naming.numbered(log, index + 1) + extension)
                failpoint("rotate.in_shift")

    def move(self, step: Step, file: File) -> None:
        """Carry a step out; the log is as it was until this succeeds.

        Raises:
            FileNotFoundError: the log has vanished.
            StoreError: no space, another device, a name that is taken, a file that was swapped.
        """
        try:
            if step.method == "rename":
                self._directory.rename(step.log, step.to, self._store)
                self._check(step, self._store, step.to, file)
            elif step.method == "renamecopy":
                self._directory.rename(step.log, _aside(step.log))
                self._check(step, self._directory, _aside(step.log), file)
            else:
                self._copy(step)
        except FileExistsError as error:
            raise StoreError(
                f"{self._directory.path_of(step.log)} cannot become {self._store.path_of(step.to)},"
                " which already exists"
            ) from error

    def acl(self, step: Step) -> bytes | None:
        """The access control list that a log had which has been moved away."""
        if step.method == "renamecopy":
            return self._directory.acl(_aside(step.log))
        return self._store.acl(step.to)

    def bring(self, step: Step) -> None:
        """Copy what ``renamecopy`` has set aside to where it belongs, then remove it."""
        aside = _aside(step.log)
        try:
            with self._directory.reading(aside, hard_links=self._hard_links) as (source, file):
                if not step.is_log(os.fstat(source)):
                    path = self._directory.path_of(aside)
                    raise StoreError(f"{path} is another file than the log that was set aside there")
                if not self._has_copy(step):
                    with self._copied(source, file, step):
                        pass
                if not file.same(os.fstat(source)):
                    raise StoreError(
                        f"{self._directory.path_of(step.log)} was written to while it was copied"
                    )
        except FileNotFoundError:
            return
        failpoint("rotate.before_unlink")
        self._directory.remove(aside)
        self._directory.sync()

    def _check(self, step: Step, directory: Directory, name: str, file: File) -> None:
        """What was moved must be what was looked at; anything else goes back to where it was."""
        status = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
        if (status.st_dev, status.st_ino) != (file.device, file.inode):
            with suppress(FileExistsError, FileNotFoundError):
                directory.rename(name, step.log, self._directory)
            path = self._directory.path_of(step.log)
            raise StoreError(f"{path} was replaced after it was examined: it is left alone")

    def _copy(self, step: Step) -> None:
        truncates = step.method == "copytruncate"
        with self._directory.reading(step.log, hard_links=self._hard_links, write=truncates) as (log, file):
            if not step.is_log(os.fstat(log)):
                path = self._directory.path_of(step.log)
                raise StoreError(f"{path} was replaced after it was examined: it is left alone")
            with self._copied(log, file, step) as target:
                failpoint("rotate.before_truncate")
                if truncates:
                    self._truncate(log, target, step, file.size)

    @contextmanager
    def _copied(self, source: int, file: File, step: Step) -> Iterator[int]:
        """A complete copy under its name, still open; or none."""
        to, draft = step.to, temporary(step.to)
        target = self._store.make(draft, Attributes.of(file, source))
        try:
            try:
                with told(f"{self._store.path_of(to)} cannot be written"):
                    copy(source, target, file.size)
                    os.utime(target, ns=(file.written, file.written))
                    os.fsync(target)
                self._whole(step, os.fstat(target).st_ino)
                failpoint("rotate.before_name")
                self._store.rename(draft, to)
            except BaseException:
                self._store.remove(draft)
                raise
            self._store.sync()
            yield target
        finally:
            os.close(target)

    def _truncate(self, log: int, target: int, step: Step, copied: int) -> None:
        """Append what came after the copy, durably, and cut the log: what comes in between is lost."""
        with told(f"{self._directory.path_of(step.log)} cannot be truncated"):
            place = _appended(log, target, copied)
            if place > copied:
                os.fsync(target)
                _appended(log, target, place)
            os.ftruncate(log, 0)
            os.fsync(target)
        self._whole(step, -os.fstat(target).st_ino)  # what is written from now on is never cut again

    def _truncate_again(self, step: Step) -> None:
        """Finish a copy whose log was not cut: the copy is what the log begins with."""
        with (
            suppress(FileNotFoundError),
            self._directory.reading(step.log, hard_links=self._hard_links, write=True) as (log, _),
            self._store.reading(step.to, write=True) as (target, copied),
        ):
            both = step.is_log(os.fstat(log)) and _is_copy(step, os.fstat(target))
            if both and copied.size and _begins_with(log, target):
                self._truncate(log, target, step, copied.size)


def _is_copy(step: Step, status: os.stat_result) -> bool:
    """Whether that is the very file which was made as the copy; its number alone could be another file's."""
    owners = {step.owner, os.geteuid()}
    return bool(step.copied) and status.st_ino == abs(step.copied) and status.st_uid in owners


def _appended(log: int, target: int, place: int) -> int:
    """Copy what the log has beyond ``place`` to the same place of its copy; where it ends."""
    while (end := os.fstat(log).st_size) > place:
        os.lseek(target, place, os.SEEK_SET)
        while place < end and (data := os.pread(log, min(1 << 20, end - place), place)):
            write(target, data)
            place += len(data)
    return place


def _begins_with(log: int, copied: int) -> bool:
    os.lseek(copied, 0, os.SEEK_SET)
    os.lseek(log, 0, os.SEEK_SET)
    while data := os.read(copied, 1 << 20):
        if os.read(log, len(data)) != data:
            return False
    return True
