"""Compression of rotated files: to a name of our own, read back, then in place of the plain file.

A plain file goes only once its compressed one has its name for good; a kill in between leaves both, and the
next run compares them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from luxima_retention.core.errors import RetentionError, StoreError
from luxima_retention.io.failpoints import failpoint
from luxima_retention.stores.logfiles import codecs
from luxima_retention.stores.logfiles.moving import temporary
from luxima_retention.stores.logfiles.outcome import ENTRY
from luxima_retention.stores.logfiles.safe import Attributes, Directory, File, UnfitError, being_written, told
from luxima_retention.stores.logfiles.sets import LogSet, Place

if TYPE_CHECKING:
    from luxima_retention.stores.logfiles.names import Rotated
    from luxima_retention.stores.logfiles.outcome import Rotations
    from luxima_retention.stores.logfiles.terms import Terms

#: files that are compressed before their names become durable together
_TOGETHER = 64
_TOGETHER_BYTES = 64 * 1024 * 1024
#: how long writers may take, in all, to close files that a hook has told them to
_PATIENCE = 5.0
_STEP = 0.02


def shrink(log_set: LogSet, place: Place, terms: Terms, result: Rotations) -> None:
    """Compress the rotated files of a directory, but the newest of a log where the set delays it."""
    if log_set.compresses and place.rotated_in is not None:
        _Shrinking(log_set, place, terms, result).run()


class _Shrinking:
    def __init__(self, log_set: LogSet, place: Place, terms: Terms, result: Rotations) -> None:
        self.set = log_set
        self.store = place.store
        self.place = place
        self.terms = terms
        self.result = result
        self.until = time.monotonic() + _PATIENCE
        self.ready: list[tuple[str, str, File]] = []

    def run(self) -> None:
        for name in self._candidates():
            if self.terms.stopping():
                break
            try:
                self._one(name)
            except FileNotFoundError:
                continue
            except UnfitError as error:
                self.result.left.append(error.message)
            except RetentionError as error:
                self.result.fail(error)
            if len(self.ready) >= _TOGETHER or self._waiting_bytes() > _TOGETHER_BYTES:
                self._settle()
        self._settle()

    def _waiting_bytes(self) -> int:
        return sum(file.size for _, _, file in self.ready)

    def _candidates(self) -> Iterator[str]:
        for files in self.place.rotated.values():
            packed = {file.plain for file in files if file.compressed}
            for rank, file in enumerate(files):
                if file.compressed or (self.set.settings.delay_compress and rank == 0):
                    continue
                if file.plain not in packed:
                    yield file.name

    def _one(self, name: str) -> None:
        chosen = self.set.settings
        with self.store.reading(name, hard_links=chosen.allow_hard_links) as (source, file):
            if self.terms.read_only:
                self.result.compressed.add({"path": self.store.path_of(name), "bytes": file.size})
                return
            if self._still_written(source):
                path = self.store.path_of(name)
                self.result.left.append(f"{path} is still open for writing: it is compressed once closed")
                return
            self._compress(name, source, file)

    def _still_written(self, source: int) -> bool:
        """Whether somebody writes to it; who was told to reopen a moment ago gets that moment."""
        while being_written(source):
            if time.monotonic() > self.until or self.terms.stopping():
                return True
            time.sleep(_STEP)
        return False

    def _compress(self, name: str, source: int, file: File) -> None:
        draft = temporary(name)
        target = self.store.make(draft, Attributes.of(file, source))
        try:
            with told(f"{self.store.path_of(name)} cannot be compressed"):
                packed = self._packed(name, source, target, file)
                os.utime(target, ns=(file.written, file.written))
                os.fsync(target)
            failpoint("rotate.after_compress")
            _check_unchanged(self.store.path_of(name), file, source)
            self._tell(name, file, os.fstat(target).st_size, packed.sha256)
        except BaseException:
            self.store.remove(draft)
            raise
        finally:
            os.close(target)
        self.ready.append((name, draft, file))

    def _packed(self, name: str, source: int, target: int, file: File) -> codecs.Packed:
        """Compress it and read it back; of a form that only its program knows, that it is not empty."""
        chosen, path = self.set.settings, self.store.path_of(name)
        try:
            packed = codecs.compress(
                chosen.compress,
                source,
                target,
                level=chosen.compress_level,
                program=chosen.compress_program,
                path=path,
            )
        except StoreError as error:
            raise StoreError(f"{path} did not come back from its compression: {error.message}") from error
        if packed.said:
            self.result.left.append(f"compressing {path}, its program said: {packed.said}")
        if packed.held is None and file.size and not os.fstat(target).st_size:
            raise StoreError(f"{path} came out empty", "see compress_program")
        if packed.held is not None and packed.held != file.size:
            raise StoreError(f"{path} came back with {packed.held} bytes of {file.size}")
        return packed

    def _tell(self, name: str, file: File, size: int, sha256: str) -> None:
        entry = {
            "path": self.store.path_of(name) + self.set.extension,
            "bytes": file.size,
            "compressed_bytes": size,
            "sha256": sha256,
        }
        self.result.compressed.add(entry)
        self.result.unrecorded.append(entry)

    def _settle(self) -> None:
        """Give what is compressed its name, durably, and remove what it was made from."""
        named = []
        for name, draft, file in self.ready:
            try:
                self.store.rename(draft, name + self.set.extension)
                named.append((name, file))
            except FileExistsError:
                self.store.remove(draft)
                taken = self.store.path_of(name + self.set.extension)
                self.result.fail(
                    StoreError(f"{self.store.path_of(name)} stays plain: {taken} is there already")
                )
        self.ready.clear()
        if not named:
            return
        self.store.sync()
        failpoint("rotate.before_unlink")
        for name, file in named:
            _remove_same(self.store, name, file)
        self.store.sync()
        self._record()

    def _record(self) -> None:
        """Entries are made on the way, for a directory may hold more than memory should."""
        if len(self.result.unrecorded) < ENTRY:
            return
        try:
            self.terms.record(self.result.entry())
        except RetentionError as error:  # what was compressed stays so
            self.result.fail(error)


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
        raise StoreError(f"{said}, and {aside} is there already", "look at all three")
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
