"""Rotated log files as a store: what has expired goes by the same five steps as every other record.

A record is a rotated file; its time is the later of the date in its name and its last write, which rotation
and compression leave as it was. Live logs are not records: they rotate first.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta

from luxima_retention.core.clock import Clock, iso
from luxima_retention.core.errors import StoreError
from luxima_retention.core.plan import (
    Committed,
    Count,
    Explanation,
    Finding,
    Hold,
    Identity,
    Level,
    Plan,
    Request,
    Slice,
    Staged,
    Survey,
)
from luxima_retention.core.protocol import Sink, Work
from luxima_retention.stores.logfiles.files import Item, held, items
from luxima_retention.stores.logfiles.folder import Folder, Locks, lock_of, state_path
from luxima_retention.stores.logfiles.identity import acting_as
from luxima_retention.stores.logfiles.patterns import is_wild
from luxima_retention.stores.logfiles.removal import remove
from luxima_retention.stores.logfiles.rules import Facts, due
from luxima_retention.stores.logfiles.safe import Directory
from luxima_retention.stores.logfiles.sets import LogSet, Place, close_all, open_at_once
from luxima_retention.stores.logfiles.state import OF_ALL_SETS, State
from luxima_retention.stores.logfiles.system import UnfitError
from luxima_retention.stores.logfiles.turn import last_rotation_of

#: files and bytes of one batch
_FILES = 500
_BYTES = 256 * 1024 * 1024
#: a multiple of three, so that the base64 of blocks can be joined
_BLOCK = 3 * 256 * 1024


class LogFilesStore:
    """See :class:`~luxima_retention.core.protocol.Archivable`; one for each set.

    Args:
        log_set: the set.
        clock: the program's, which is also that of the files.
        read_only: for a dry run.
    """

    archive_format = "jsonl"

    def __init__(self, log_set: LogSet, *, clock: Clock, read_only: bool) -> None:
        self.set = log_set
        self._clock = clock
        self._read_only = read_only
        self._working = ExitStack()
        self._looked: _Looked | None = None
        self._many = False

    def identity(self) -> Identity:
        """The set, and the directory in which its first pattern looks."""
        pattern = self.set.patterns[0]
        parts = pattern.split("/")[:-1]
        wild = next((index for index, part in enumerate(parts) if is_wild(part)), len(parts))
        root = "/".join(parts[:wild]) or "/"
        return Identity(kind="directory", target=self.set.name, fingerprint=f"directory:{root}")

    def clock(self) -> datetime:
        """The program's clock."""
        return self._clock()

    def preflight(self, request: Request) -> tuple[Finding, ...]:
        """Directories that are missing, unsafe or cannot be written to; names that are left alone."""
        found = list(self._unsafe_folder())
        looked = self._looked = self._look(request, examines=True)
        found += looked.wrong
        if self.set.settings.expire:
            found += looked.quiet
        elif looked.old:
            found.append(_staying(looked.old, request))
        if unfit := looked.unfit:
            more = f" (and {len(unfit) - 1} more)" if len(unfit) > 1 else ""
            found.append(_finding("left-alone", Level.WARNING, f"{unfit[0]}{more}: it is never removed"))
        return tuple(found)

    def survey(self, request: Request) -> Survey:
        """Look at every rotated file of the set; what :meth:`preflight` has just seen is not looked at twice.

        Once only: the survey that proves what a run has done looks again.
        """
        looked, self._looked = self._looked, None
        if looked is None or looked.request is not request:
            looked = self._look(request, examines=False)
        sums = looked.sums
        return Survey(
            identity=self.identity(),
            store_clock=looked.now,
            expired=sums.expired,
            population=Count(value=sums.population),
            held=sums.held,
            future=sums.future,
            oldest=sums.oldest,
            oldest_expired=sums.oldest_expired,
            newest=sums.newest,
            expired_bytes=Count(value=sums.expired_bytes),
            parts=tuple(sums.parts),
            forecast={"batches": -(-sums.expired // _FILES), "reusable_bytes": sums.expired_bytes},
            evidence={"paths": " ".join(self.set.settings.paths)},
        )

    def batches(self, plan: Plan, work: Work) -> Iterator[_Batch]:
        """Oldest first; each batch reads the holds again and looks at each file again."""
        self.close()
        with self._acting():
            places = self._places(self._working)
            self._many = len(places) > open_at_once()
            expired = self._expired(places, plan)
        locks = self._locks()
        for place in places:
            if place.rotated_in is not None:
                locks.take(*lock_of(place.rotated_in))
        left, position = plan.items if self.set.settings.expire else 0, 0
        while left > 0 and position < len(expired) and not work.stopping():
            end = _end_of_batch(expired, position, min(left, _FILES))
            batch = _Batch(self, plan, work.holds(), expired[position:end])
            yield batch
            left -= batch.staged
            position = end

    def explain(self, item: str, request: Request) -> Explanation:
        """By path: of a rotated file, or of a log, for which it tells when it rotates."""
        with self._acting(), ExitStack() as stack:
            for place in self._places(stack):
                for found in items(self.set, place, self.clock()):
                    if found.path == item:
                        told = _explained(found, request, self.clock())
                        return told if self.set.settings.expire else _not_expiring(told)
                for log in place.logs:
                    if place.directory.path_of(log) == item:
                        return self._explained_log(place, log, item, request)
        return Explanation(
            item=item,
            verdict="absent",
            rule="absent",
            sentence=f"{item} is neither a log nor a rotated file of set {self.set.name}",
        )

    def archive_schema(self) -> tuple[tuple[str, str], ...]:
        """JSON lines have none."""
        return ()

    def close(self) -> None:
        """Give back the directories of the last batches, and their locks."""
        self._working.close()

    def rest(self, directory: Directory) -> None:
        """Give back the descriptor of a directory where there are many."""
        if self._many:
            directory.park()

    def acting(self) -> AbstractContextManager[None]:
        """The rights with which the set is worked on."""
        return self._acting()

    def _acting(self) -> AbstractContextManager[None]:
        return acting_as(self.set.settings.user, self.set.settings.group)

    def _locks(self) -> Locks:
        """Those of rotations, so that none works on the files meanwhile."""
        folder = Folder.open_own(state_path(self.set.state_dir), make=True)
        assert folder is not None  # noqa: S101 - it is made
        self._working.callback(folder.close)
        return self._working.enter_context(closing(Locks(folder)))

    def _places(self, stack: ExitStack) -> list[Place]:
        places = self.set.find()
        stack.callback(close_all, places)
        return places

    def _look(self, request: Request, *, examines: bool) -> _Looked:
        """One walk over the set: its figures and, if it ``examines``, what is wrong with it."""
        sums = _Sums(expires=self.set.settings.expire)
        looked = _Looked(request=request, now=self.clock(), sums=sums)
        with self._acting(), ExitStack() as stack:
            places = self._places(stack)
            room = open_at_once()
            for place in places:
                before = (sums.expired, sums.expired_bytes)
                for item in items(self.set, place, looked.now, looked.unfit):
                    sums.add(item, request, looked.now)
                    looked.old += item.at < request.cutoff
                sums.part(place.store.path if place.rotated_in else place.directory.path, before)
                if examines:
                    looked.wrong += self._wrong(place)
                    looked.quiet += self._quiet(place, request)
                if len(places) > room:
                    place.park()
            looked.wrong += self._unreached(places) if examines else ()
        return looked

    def _expired(self, places: Sequence[Place], plan: Plan) -> list[Item]:
        now = self.clock()
        past: list[Item] = []
        for place in places:
            found = items(self.set, place, now)
            past += (item for item in found if item.at < plan.cutoff and item.at <= now)
            if self._many:
                place.park()
        return sorted(past, key=lambda item: (item.at, item.path))

    def _wrong(self, place: Place) -> Iterator[Finding]:
        chosen = self.set.settings
        if place.rotated_in is None:
            if not chosen.create_old_dir:
                yield _finding(
                    "old-dir-missing", Level.FAILED, f"old_dir of {place.directory.path} is missing"
                )
            return
        try:
            same = place.rotated_in.key == place.directory.key
            place.rotated_in.check_safe(trusted=self.set.trusts if same else self.set.trusts_old_dir)
        except UnfitError as error:
            yield _finding(error.rule, Level.FAILED, error.message, error.hint)
        if not self._read_only and (why := place.rotated_in.not_writable()):
            yield _finding(
                "read-only", Level.FAILED, why, "mount it for writing, or give this process the right"
            )

    def _unreached(self, places: Sequence[Place]) -> Iterator[Finding]:
        """A volume that is not mounted must not look like one without records."""
        if self.set.settings.missing_ok:
            return
        for pattern in self.set.patterns:
            if not any(pattern in place.patterns for place in places):
                yield _finding(
                    "missing",
                    Level.FAILED,
                    f"no directory of {pattern} is there",
                    "mount it, or set missing_ok",
                )

    def _unsafe_folder(self) -> Iterator[Finding]:
        """A rotation would stop at a directory of our own that others can write."""
        try:
            folder = Folder.open_own(state_path(self.set.state_dir), make=False)
        except StoreError as error:
            yield _finding("state-dir", Level.FAILED, error.message, error.hint)
        else:
            if folder is not None:
                folder.close()

    def _quiet(self, place: Place, request: Request) -> Iterator[Finding]:
        """Logs that hold records past the cutoff because they do not rotate."""
        for log in place.logs if self.set.settings.expire else ():
            try:
                file = place.directory.look(log, hard_links=True)
            except (FileNotFoundError, UnfitError):
                continue
            if file.size and file.modified < request.cutoff:
                path = place.directory.path_of(log)
                said = f"{path} was last written {iso(file.modified)} and has not rotated since"
                yield _finding(
                    "not-rotated", Level.WARNING, said, "see `luxima-retention explain log-files PATH`"
                )

    def _explained_log(self, place: Place, log: str, path: str, request: Request) -> Explanation:
        try:
            file = place.directory.look(log, hard_links=self.set.settings.allow_hard_links)
        except (FileNotFoundError, UnfitError) as error:
            said = error.message if isinstance(error, UnfitError) else f"{path} has vanished"
            return Explanation(
                item=path, verdict="stays", rule="left-alone", sentence=f"{said}: it is left alone"
            )
        with ExitStack() as stack:
            state = self._state(stack)
            last = last_rotation_of(self.set, place, log, state=state, now=request.now)
        facts = Facts(size=file.size, modified=file.modified, last=last)
        verdict = due(facts, self.set.schedule, request.now, self.set.zone)
        when = "rotates at the next run" if verdict.rotates else "does not rotate now"
        return Explanation(
            item=path,
            verdict="stays",
            rule=f"log.{verdict.rule}",
            sentence=f"{path} is a log, which {when}: {verdict.sentence}",
            dated=file.modified,
        )

    def _state(self, stack: ExitStack) -> State | None:
        path = self.set.state_file
        if not path:
            folder = Folder.open_own(state_path(self.set.state_dir), make=False)
            if folder is None:
                return None
            stack.callback(folder.close)
            return State(folder, OF_ALL_SETS, self.set.zone)
        if not os.path.isfile(path):  # noqa: PTH113 - as it is written
            return None
        directory = Directory.open(os.path.dirname(path) or "/")  # noqa: PTH120 - as it is written
        stack.callback(directory.close)
        return State(directory, os.path.basename(path), self.set.zone)  # noqa: PTH119


def _finding(code: str, level: Level, message: str, hint: str | None = None) -> Finding:
    return Finding(code=code, level=level, message=message, hint=hint)


def _staying(count: int, request: Request) -> Finding:
    """Files that are older than the period, where the set does not apply it."""
    said = f"{count} files are older than {iso(request.cutoff)} and stay: the set says expire = false"
    return _finding("not-expiring", Level.WARNING, said, "set expire = true, which needs a ledger")


@dataclass(slots=True)
class _Sums:
    """The survey's figures."""

    expires: bool
    population: int = 0
    expired: int = 0
    expired_bytes: int = 0
    held: int = 0
    future: int = 0
    oldest: datetime | None = None
    oldest_expired: datetime | None = None
    newest: datetime | None = None
    parts: list[Slice] = field(default_factory=list)

    def add(self, item: Item, request: Request, now: datetime) -> None:
        self.population += 1
        if item.at > now:
            self.future += 1
            return
        self.oldest = min(self.oldest or item.at, item.at)
        self.newest = max(self.newest or item.at, item.at)
        if item.at >= request.cutoff or not self.expires:
            return
        if held(item, request.holds, request.policy):
            self.held += 1
            return
        self.expired += 1
        self.expired_bytes += item.file.size
        self.oldest_expired = min(self.oldest_expired or item.at, item.at)

    def part(self, name: str, before: tuple[int, int]) -> None:
        """The share of one directory."""
        count = self.expired - before[0]
        if count:
            self.parts.append(Slice(name=name, items=count, size_bytes=self.expired_bytes - before[1]))


@dataclass(slots=True, kw_only=True)
class _Looked:
    """What one walk over the set has seen.

    Args:
        request: that was asked.
        now: of the walk.
        sums: the figures.
        wrong: directories that are missing, unsafe or cannot be written to.
        quiet: logs that do not rotate.
        unfit: names that are left alone, as sentences.
        old: files older than the period.
    """

    request: Request
    now: datetime
    sums: _Sums
    wrong: list[Finding] = field(default_factory=list)
    quiet: list[Finding] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)
    old: int = 0


def _end_of_batch(expired: Sequence[Item], start: int, most: int) -> int:
    """One past the last file of a batch: not too many, not too large, at least one."""
    size, end = 0, start
    while end < len(expired) and end - start < most:
        size += expired[end].file.size
        if end > start and size > _BYTES:
            break
        end += 1
    return end


class _Batch:
    """See :class:`~luxima_retention.core.protocol.Batch`."""

    def __init__(
        self, store: LogFilesStore, plan: Plan, holds: tuple[Hold, ...], candidates: Sequence[Item]
    ) -> None:
        self._store = store
        self._plan = plan
        self._holds = holds
        self._candidates = candidates
        self._going: list[Item] = []
        self._skipped: dict[str, int] = {}

    @property
    def staged(self) -> int:
        """Files that go."""
        return len(self._going)

    def stage(self, sink: Sink | None) -> Staged:
        """Hash each file, and write it to the archive; one that changes meanwhile is skipped."""
        lines = []
        with self._store.acting():
            for item in self._candidates:
                if held(item, self._holds, self._plan.policy):
                    self._skip("hold")
                    continue
                sha256 = self._read(item, sink)
                self._store.rest(item.directory)
                if sha256 is not None:
                    self._going.append(item)
                    lines.append(f"{sha256}  {item.path}\n")
        times = [item.at for item in self._going]
        return Staged(
            items=len(self._going),
            size_bytes=sum(item.file.size for item in self._going),
            first=min(times, default=None),
            last=max(times, default=None),
            digest=hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest(),
        )

    def commit(self) -> Committed:
        """Remove them; each is looked at once more."""
        gone, size, failures = 0, 0, []
        with self._store.acting():
            for item in self._going:
                try:
                    if not self._unchanged(item):
                        continue
                    remove(self._store.set, item.directory, item.rotated.name)
                except StoreError as error:
                    failures.append(error.message)
                    continue
                finally:
                    self._store.rest(item.directory)
                gone += 1
                size += item.file.size
            for directory in {item.directory for item in self._going}:
                directory.sync()
                self._store.rest(directory)
        return Committed(items=gone, size_bytes=size, skipped=self._skipped, failures=tuple(failures))

    def rollback(self) -> None:
        """Nothing is gone before ``commit``."""

    def _skip(self, rule: str) -> None:
        self._skipped[rule] = self._skipped.get(rule, 0) + 1

    def _unchanged(self, item: Item) -> bool:
        try:
            found = item.directory.look(
                item.rotated.name, hard_links=self._store.set.settings.allow_hard_links
            )
        except FileNotFoundError:
            self._skip("vanished")
            return False
        if found != item.file:
            self._skip("changed")
            return False
        return True

    def _read(self, item: Item, sink: Sink | None) -> str | None:
        """The SHA-256 of a file, hex, which is streamed to the sink on the way."""
        links = self._store.set.settings.allow_hard_links
        try:
            with item.directory.reading(item.rotated.name, hard_links=links) as (descriptor, found):
                if found != item.file:
                    self._skip("changed")
                    return None
                return _streamed(item, descriptor, sink)
        except FileNotFoundError:
            self._skip("vanished")
            return None


def _streamed(item: Item, descriptor: int, sink: Sink | None) -> str:
    """One JSON line for each file: its facts, its bytes in base64, their SHA-256."""
    sha256 = hashlib.sha256()
    if sink is not None:
        facts = {"path": item.path, "log": item.log, "bytes": item.file.size, "at": iso(item.at)}
        sink.write(json.dumps(facts).encode()[:-1] + b', "data": "')
    read = 0
    with os.fdopen(os.dup(descriptor), "rb", buffering=_BLOCK) as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            read += len(block)
            if sink is not None:
                sink.write(base64.b64encode(block))
    if sink is not None:
        sink.write(f'", "sha256": "{sha256.hexdigest()}"}}\n'.encode())
    if read != item.file.size:
        raise StoreError(f"{item.path} was written to while it was read", "it is tried again at the next run")
    return sha256.hexdigest()


def _not_expiring(told: Explanation) -> Explanation:
    if told.verdict != "goes":
        return told
    said = f"{told.item} is older than the policy's period, and the set says expire = false"
    return replace(told, verdict="stays", rule="not-expiring", sentence=said, due=None)


def _explained(item: Item, request: Request, now: datetime) -> Explanation:
    verdict, rule, said = "goes", "expired", f"is older than {iso(request.cutoff)}"
    if item.at > now:
        verdict, rule, said = "stays", "future", "is dated in the future: it is never touched"
    elif item.at >= request.cutoff:
        verdict, rule, said = "stays", "younger", f"is not older than {iso(request.cutoff)}"
    elif held(item, request.holds, request.policy):
        verdict, rule, said = "stays", "hold", "has expired and is kept by a hold"
    day = datetime.combine(item.at.astimezone(UTC).date(), time(), UTC)
    return Explanation(
        item=item.path,
        verdict=verdict,
        rule=rule,
        sentence=f"{item.path} {said}",
        dated=item.at,
        due=day + timedelta(days=request.retention_days + 1),
    )
