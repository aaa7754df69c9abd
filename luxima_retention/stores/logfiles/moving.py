"""How a log becomes a rotated file, so that a kill at any moment loses no line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from luxima_retention.core.errors import StoreError
from luxima_retention.io.failpoints import failpoint
from luxima_retention.stores.logfiles.journal import Step
from luxima_retention.stores.logfiles.names import Naming, Rotated
from luxima_retention.stores.logfiles.safe import OWN, Attributes, Directory, File, copy, told

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
    """

    def __init__(self, directory: Directory, store: Directory, *, hard_links: bool) -> None:
        self._directory = directory
        self._store = store
        self._hard_links = hard_links

    def clean(self) -> None:
        """Remove what a killed run left half written."""
        for directory in {self._directory, self._store}:
            for name in directory.names(own=True):
                if name.endswith(_TEMPORARY):
                    directory.remove(name)

    def happened(self, step: Step) -> bool:
        """Whether a rotation that was announced took place, as far as its log is concerned."""
        if step.method in {"copy", "copytruncate"}:
            if step.method == "copytruncate" and self._store.exists(step.to):
                self._truncate_again(step)
            return self._store.exists(step.to)
        try:
            status = os.stat(step.log, dir_fd=self._directory.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return self._directory.exists(_aside(step.log)) or self._store.exists(step.to)
        return status.st_ino != step.inode

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
                self._check(self._store, step.to, file)
            elif step.method == "renamecopy":
                self._directory.rename(step.log, _aside(step.log))
                self._check(self._directory, _aside(step.log), file)
            else:
                self._copy(step)
        except FileExistsError as error:
            raise StoreError(
                f"{self._directory.path_of(step.log)} cannot become {self._store.path_of(step.to)},"
                " which is there already"
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
                if not self._store.exists(step.to):
                    self._copied(source, file, step.to)
                if not file.same(os.fstat(source)):
                    raise StoreError(
                        f"{self._directory.path_of(step.log)} was written to while it was copied"
                    )
        except FileNotFoundError:
            return
        failpoint("rotate.before_unlink")
        self._directory.remove(aside)
        self._directory.sync()

    def _check(self, directory: Directory, name: str, file: File) -> None:
        status = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
        if (status.st_dev, status.st_ino) != (file.device, file.inode):
            raise StoreError(f"{directory.path_of(name)} is another file than the log that was looked at")

    def sync(self) -> None:
        """Make the new names durable."""
        self._store.sync()
        if self._store is not self._directory:
            self._directory.sync()

    def _copy(self, step: Step) -> None:
        truncates = step.method == "copytruncate"
        with self._directory.reading(step.log, hard_links=self._hard_links, write=truncates) as (log, file):
            self._copied(log, file, step.to)
            failpoint("rotate.before_truncate")
            if truncates:
                self._truncate(log, step, file.size)

    def _copied(self, source: int, file: File, to: str) -> None:
        """A complete copy under its name, or none."""
        draft = temporary(to)
        target = self._store.make(draft, Attributes.of(file, source))
        try:
            with told(f"{self._store.path_of(to)} cannot be written"):
                copy(source, target, file.size)
                os.utime(target, ns=(file.written, file.written))
                os.fsync(target)
            self._store.rename(draft, to)
        except BaseException:
            self._store.remove(draft)
            raise
        finally:
            os.close(target)
        self._store.sync()

    def _truncate(self, log: int, step: Step, copied: int) -> None:
        """Append what came after the copy, and cut the log at once: what comes in between is lost."""
        with (
            self._store.reading(step.to, write=True) as (target, _),
            told(f"{self._directory.path_of(step.log)} cannot be truncated"),
        ):
            place = copied
            while (end := os.fstat(log).st_size) > place:
                os.lseek(log, place, os.SEEK_SET)
                os.lseek(target, place, os.SEEK_SET)
                while place < end and (data := os.read(log, min(1 << 20, end - place))):
                    os.write(target, data)
                    place += len(data)
            os.ftruncate(log, 0)
            os.fsync(target)

    def _truncate_again(self, step: Step) -> None:
        """Finish a copy whose log was not cut: the copy is what the log begins with."""
        try:
            with (
                self._directory.reading(step.log, hard_links=self._hard_links, write=True) as (log, file),
                self._store.reading(step.to) as (target, copied),
            ):
                same = file.inode == step.inode and copied.size and _begins_with(log, target)
                if same:
                    self._truncate(log, step, copied.size)
        except FileNotFoundError:
            return


def _begins_with(log: int, copied: int) -> bool:
    os.lseek(copied, 0, os.SEEK_SET)
    os.lseek(log, 0, os.SEEK_SET)
    while data := os.read(copied, 1 << 20):
        if os.read(log, len(data)) != data:
            return False
    return True
