"""Compression of rotated files: to a name of our own, read back, then in place of the plain file.

A plain file goes only once its compressed one has its name for good; a kill in between leaves both, and the
next run compares them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from luxima_retention.core.errors import RetentionError, StoreError
from luxima_retention.io.failpoints import failpoint
from luxima_retention.stores.logfiles import codecs
from luxima_retention.stores.logfiles.files import ranked
from luxima_retention.stores.logfiles.moving import temporary
from luxima_retention.stores.logfiles.outcome import ENTRY
from luxima_retention.stores.logfiles.safe import Attributes, Directory, File
from luxima_retention.stores.logfiles.sets import LogSet, Place, open_at_once
from luxima_retention.stores.logfiles.system import UnfitError, being_written, sync_volume, told

if TYPE_CHECKING:
    from luxima_retention.stores.logfiles.desk import Desk
    from luxima_retention.stores.logfiles.names import Rotated
    from luxima_retention.stores.logfiles.outcome import Rotations
    from luxima_retention.stores.logfiles.terms import Terms

#: files that are compressed before their names become durable together
_TOGETHER = 500
#: bytes from which a file is made durable by itself; more than a few smaller ones are by their volume
_ALONE = 1024 * 1024
_FEW = 8
_TOGETHER_BYTES = 64 * 1024 * 1024
#: how long the writers of a set may take, in all, to close files that a hook has told them to
_PATIENCE = 5.0
_STEP = 0.02


@dataclass(frozen=True, slots=True)
class _Ready:
    """A file that is compressed, but has not got its name."""

    store: Directory
    name: str
    draft: str
    file: File
    inode: int


class Shrinking:
    """Compresses the rotated files of a set, directory after directory.

    Args:
        log_set: whose they are.
        terms: of the run.
        desk: for the ledger, and the wish to stop.
        result: told what was done.
    """

    def __init__(self, log_set: LogSet, terms: Terms, desk: Desk, result: Rotations) -> None:
        self.set = log_set
        self.terms = terms
        self.desk = desk
        self.result = result
        self._compressor: codecs.Compressor | None = None
        self._ready: list[_Ready] = []
        self._written: list[tuple[Directory, str]] = []

    def take(self, place: Place) -> None:
        """Compress the files of a directory, but the newest of a log where the set delays it."""
        for name in self._candidates(place):
            if self.desk.stopping():
                return
            if not self._attempt(place.store, name):
                self._written.append((place.store, name))

    def end(self) -> None:
        """Once more what writers had open: those that were told to reopen get a moment, once for the set."""
        until = time.monotonic() + _PATIENCE
        left = self._written
        while left and time.monotonic() < until and not self.desk.stopping():
            time.sleep(_STEP)
            left = [(store, name) for store, name in left if not self._attempt(store, name)]
        for store, name in left:
            path = store.path_of(name)
            self.result.left.append(f"{path} is still open for writing: it is compressed once closed")
        self._settle()
        if self._compressor is not None:
            self._compressor.close()

    def _attempt(self, store: Directory, name: str) -> bool:
        """Whether there is nothing left to do for a file; a failure is told."""
        try:
            if not self._one(store, name):
                return False
        except FileNotFoundError:
            return True
        except UnfitError as error:
            self.result.left.append(error.message)
        except RetentionError as error:
            self.result.fail(error)
        if (
            len(self._ready) >= min(_TOGETHER, open_at_once())
            or sum(one.file.size for one in self._ready) > _TOGETHER_BYTES
        ):
            self._settle()
        return True

    def _candidates(self, place: Place) -> Iterator[str]:
        for files in place.rotated.values():
            packed = {file.plain for file in files if file.compressed}
            for rank, file in ranked(files, self.terms.now):
                if file.compressed or (self.set.settings.delay_compress and rank <= 0):
                    continue
                if file.plain not in packed:
                    yield file.name

    def _one(self, store: Directory, name: str) -> bool:
        """Whether the file could be compressed: false while somebody writes to it."""
        chosen = self.set.settings
        with store.reading(name, hard_links=chosen.allow_hard_links) as (source, file):
            if self.terms.read_only:
                self.result.compressed.add({"path": store.path_of(name), "bytes": file.size})
                return True
            if being_written(source):
                return False
            self._compress(store, name, source, file)
        return True

    def _compress(self, store: Directory, name: str, source: int, file: File) -> None:
        draft = temporary(name)
        target = store.make(draft, Attributes.of(file, source))
        try:
            with told(f"{store.path_of(name)} cannot be compressed"):
                packed = self._packed(store.path_of(name), source, target, file)
                os.utime(target, ns=(file.written, file.written))
                if file.size > _ALONE:
                    os.fsync(target)
            failpoint("rotate.after_compress")
            _check_unchanged(store.path_of(name), file, source)
            status = os.fstat(target)
            self._tell(store, name, file, status.st_size, packed.sha256)
        except BaseException:
            store.remove(draft)
            raise
        finally:
            os.close(target)
        self._ready.append(_Ready(store, name, draft, file, status.st_ino))

    def _packed(self, path: str, source: int, target: int, file: File) -> codecs.Packed:
        """Compress it and read it back; of a form that only its program knows, that it is not empty."""
        chosen = self.set.settings
        self._compressor = self._compressor or codecs.Compressor(
            chosen.compress, level=chosen.compress_level, program=chosen.compress_program
        )
        try:
            packed = self._compressor.compress(source, target, path=path)
        except StoreError as error:
            raise StoreError(f"{path} did not come back from its compression: {error.message}") from error
        if packed.said:
            self.result.left.append(f"compressing {path}, its program said: {packed.said}")
        if packed.held is None and file.size and not os.fstat(target).st_size:
            raise StoreError(f"{path} came out empty", "see compress_program")
        if packed.held is not None and packed.held != file.size:
            raise StoreError(f"{path} came back with {packed.held} bytes of {file.size}")
        return packed

    def _tell(self, store: Directory, name: str, file: File, size: int, sha256: str) -> None:
        entry = {
            "path": store.path_of(name) + self.set.extension,
            "bytes": file.size,
            "compressed_bytes": size,
            "sha256": sha256,
        }
        self.result.compressed.add(entry)
        self.result.unrecorded.append(entry)

    def _settle(self) -> None:
        """Give what is compressed its name, durably, and remove what it was made from."""
        ready, self._ready = self._ready, []
        if not ready:
            return
        _sync_files(ready)
        named = [one for one in ready if self._named(one)]
        _sync_names({one.store for one in named})
        failpoint("rotate.before_unlink")
        for one in named:
            try:
                _remove_same(one.store, one.name, one.file)
            except RetentionError as error:
                self.result.fail(error)
        for store in {one.store for one in named} if len(named) > _FEW else ():
            store.park()
        self._record()

    def _named(self, one: _Ready) -> bool:
        """Whether the compressed file has its name now, and is the one that was made."""
        plain, taken = one.store.path_of(one.name), one.name + self.set.extension
        try:
            one.store.rename(one.draft, taken)
            if os.stat(taken, dir_fd=one.store.descriptor, follow_symlinks=False).st_ino == one.inode:
                return True
            said = f"{one.store.path_of(taken)} is another file than the one that was made"
        except FileExistsError:
            one.store.remove(one.draft)
            said = f"{one.store.path_of(taken)} already exists"
        except RetentionError as error:
            said = error.message
        except FileNotFoundError:
            said = f"the compressed file was removed before it had its name, {one.store.path_of(taken)}"
        self.result.fail(StoreError(f"{plain} stays plain: {said}"))
        return False

    def _record(self) -> None:
        """Entries are made on the way, for a directory may hold more than memory should."""
        if len(self.result.unrecorded) < ENTRY:
            return
        try:
            self.desk.record(self.result.entry())
        except RetentionError as error:  # what was compressed stays so
            self.result.fail(error)


def _sync_files(ready: Sequence[_Ready]) -> None:
    """Make what was written durable: a few files one by one, many by their volume."""
    small = [one for one in ready if one.file.size <= _ALONE]
    with told("compressed files cannot be synchronised"):
        if len(small) > _FEW:
            _sync_volumes({one.store for one in small})
            return
        for one in small:
            with suppress(FileNotFoundError, UnfitError), one.store.reading(one.draft) as (file, _):
                os.fsync(file)


def _sync_names(stores: Collection[Directory]) -> None:
    if len(stores) > _FEW:
        with told("names of compressed files cannot be synchronised"):
            _sync_volumes(stores)
        return
    for store in stores:
        store.sync()


def _sync_volumes(stores: Collection[Directory]) -> None:
    for store in {store.key[0]: store for store in stores}.values():
        sync_volume(store.descriptor)


def settle_pairs(log_set: LogSet, place: Place, terms: Terms, result: Rotations) -> bool:
    """Where a file is there plain and compressed, leave one of them; whether there was anything to do.

    A killed run leaves such a pair, whose plain file goes. Where both differ somebody else made the
    compressed one: it is set aside, for it stands where the plain one will go. This comes before files move
    up, which would carry both along.
    """
    if not log_set.compresses or place.rotated_in is None:
        return False
    found = False
    for files in place.rotated.values():
        plain = {file.name for file in files if not file.compressed}
        for packed in files:
            if packed.compressed and packed.plain in plain:
                found = True
                try:
                    if said := _settled(log_set, place.store, packed, terms):
                        result.left.append(said)
                except FileNotFoundError:
                    continue
                except RetentionError as error:
                    result.fail(error)
    if found and not terms.read_only:
        place.store.sync()
    return found


def _settled(log_set: LogSet, store: Directory, packed: Rotated, terms: Terms) -> str:
    """What is to be said of a pair, which stays when somebody still writes to it."""
    links, plain = log_set.settings.allow_hard_links, packed.plain
    with (
        store.reading(plain, hard_links=links) as (source, file),
        store.reading(packed.name, hard_links=links) as (target, _),
    ):
        if being_written(source):
            return f"{store.path_of(plain)} is still open for writing: it stays beside {packed.name}"
        same = _same(source, target)
    if same:
        if not terms.read_only:
            _remove_same(store, plain, file)
        return ""
    aside = f"{packed.name}-{terms.now.astimezone(log_set.zone):%Y%m%d%H}.backup"
    said = f"{store.path_of(packed.name)} does not hold what {plain} does"
    if store.exists(aside):
        raise StoreError(f"{said}, and {aside} already exists", "look at all three")
    if not terms.read_only:
        store.rename(packed.name, aside)
    return f"{said}: it is set aside as {aside}"


def _same(plain: int, packed: int) -> bool:
    try:
        return codecs.same_content(plain, packed)
    except StoreError:
        return False  # damaged, or nothing that we can read


def _check_unchanged(path: str, file: File, source: int) -> None:
    if not file.same(os.fstat(source)):
        raise StoreError(
            f"{path} was written to while it was compressed", "it is tried again at the next run"
        )


def _remove_same(store: Directory, name: str, file: File) -> None:
    """Remove a plain file, unless it is another one by now or somebody wrote to it."""
    try:
        status = os.stat(name, dir_fd=store.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not file.same(status):
        raise StoreError(f"{store.path_of(name)} was written to after it was compressed", "both are kept")
    store.remove(name)
