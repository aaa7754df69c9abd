"""Loki's objects in S3: expired index tables first, their chunks after a grace period.

Queries read the index before the chunks; while a chunk is still named by an index that somebody holds in
memory, it must be there. So phase one lists the condemned chunks, then removes the tables; phase two, at a
later run, removes the chunks. A daily run reads the tables of one day and costs what has expired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

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
    Pending,
    Plan,
    Request,
    Slice,
    Staged,
    Survey,
)
from luxima_retention.core.protocol import Batch, Sink, Work
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.objects import ObjectStore
from luxima_retention.stores.loki import condemned as lists
from luxima_retention.stores.loki.bucket import BATCH, Buckets, WritableBuckets
from luxima_retention.stores.loki.condemned import Condemned
from luxima_retention.stores.loki.keys import DAY_MS, Chunk, instant, milliseconds, parse_chunk
from luxima_retention.stores.loki.scan import (
    Cutoffs,
    Group,
    Judged,
    Layout,
    Look,
    Scan,
    all_chunks,
    dangling,
    is_group_held,
    is_held,
    newest_of,
    oldest_of,
    scan,
    table_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_REASON = "condemned with its index table; queries may still read it"
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a run over Loki's buckets behaves.

    Args:
        grace: between an index table and its chunks.
        min_object_age: chunks that were uploaded more recently are left alone.
        offline: no Loki reads the buckets, so both phases run at once.
        sweep: also look at every chunk, for those that no list names.
        shard: ``(I, N)``: of the sweep, this process does part I of N.
    """

    grace: timedelta
    min_object_age: timedelta
    offline: bool = False
    sweep: bool = False
    shard: tuple[int, int] | None = None

    def due(self, now: datetime) -> datetime:
        """When chunks that are condemned now may go; by then they are old enough as objects, too."""
        return now if self.offline else now + max(self.grace, self.min_object_age)


class LokiStore:
    """See :class:`~luxima_retention.core.protocol.Expirable`.

    Args:
        buckets: of Loki; writable ones for a real run.
        place: where condemned chunks are listed.
        layout: how Loki writes.
        rules: how a run behaves.
        clock: judges what is due.
        findings: what is known of Loki and its buckets.
        url: for people.
    """

    def __init__(
        self,
        buckets: Buckets,
        place: ObjectStore,
        layout: Layout,
        rules: Rules,
        *,
        clock: Clock,
        findings: Callable[[Request], Sequence[Finding]] = lambda _request: (),
    ) -> None:
        self.buckets = buckets
        self.place = place
        self.layout = layout
        self.rules = rules
        self.now = clock
        self._findings = findings
        self._named: set[str] = set()  # chunks that a part of a sweep leaves to the daily run
        # What the survey's sweep found, so that acting need not list again.
        self._swept: list[str] | None = None
        self._young_orphans = 0

    def identity(self) -> Identity:
        """The service and its buckets."""
        names = ",".join(self.buckets.names)
        endpoint = str(self.buckets.client.meta.endpoint_url)
        fingerprint = f"{endpoint}/{names}/{self.buckets.wire('')}".rstrip("/")
        part = "" if self.rules.shard is None else " part {}/{}".format(*self.rules.shard)
        return Identity(kind="s3", target=f"s3://{names}{part}", fingerprint=fingerprint)

    def clock(self) -> datetime:
        """S3's clock."""
        return self.buckets.clock()

    def preflight(self, request: Request) -> tuple[Finding, ...]:
        """What Loki's configuration and the buckets' own rules say."""
        return tuple(self._findings(request))

    def survey(self, request: Request) -> Survey:
        """The facts: reads the index files of expired tables and the lists of condemned chunks."""
        found = self._mine_of(self._scan(request, request.holds))
        look = self._look(request, request.holds)
        self._sweep(look, found)
        young = self._young(found) if self.rules.offline else frozenset()
        sampled, missing = dangling(look, found) if self.rules.sweep else (0, [])
        chunks = [chunk for going in found.condemned.values() for chunk, _ in going.values()]
        due, orphans = found.due, self._swept or []
        expired = found.index_files + found.chunks + len(due) + len(orphans) - len(young)
        return Survey(
            identity=self.identity(),
            store_clock=self.clock(),
            expired=expired,
            population=_population(found, expired),
            held=len(found.held),
            locked=len(young) + len(found.stuck) + self._young_orphans,
            pending=tuple(_pending(judged) for judged in found.lists if judged.waiting),
            oldest=instant(found.tables[0] * DAY_MS) if found.tables else None,
            oldest_expired=oldest_of(chunks),
            newest=min(self.clock(), instant((found.tables[-1] + 1) * DAY_MS)) if found.tables else None,
            expired_bytes=_bytes(found),
            parts=tuple(_parts(found)),
            findings=(*_scan_findings(found, look), *_dangling_findings(missing), *self._absent(found)),
            evidence={
                "tables": len(found.tables),
                "expired_tables": len({group.table.name for group in found.removable}),
                "index_files": found.index_files,
                "lists_due": sum(1 for judged in found.lists if judged.due),
                "orphans": len(orphans),
                "references_sampled": sampled,
                "references_dangling": len(missing),
            },
        )

    def batches(self, plan: Plan, work: Work) -> Iterator[Batch]:
        """Tables of the oldest day first; then chunks that are due; then what only a sweep finds."""
        if not isinstance(self.buckets, WritableBuckets):
            raise StoreError("the buckets were opened for reading only")
        request = Request(
            policy=plan.policy,
            retention_days=plan.retention_days,
            cutoff=plan.cutoff,
            now=self.now(),
            holds=work.holds(),
        )
        left = plan.items
        found = self._mine_of(self._scan(request, request.holds))
        for name in dict.fromkeys(group.table.name for group in found.removable):
            if work.stopping():
                return
            table = TableBatch(self, work, found, name)
            if table.items > left:
                break
            yield table
            left -= table.items
        yield from self._chunk_batches(request, work, left)

    def _chunk_batches(self, request: Request, work: Work, left: int) -> Iterator[Batch]:
        """After looking again: what an index file names that is there is not destroyed."""
        found = self._mine_of(self._scan(request, request.holds))
        young = self._young(found) if self.rules.offline else frozenset()
        for judged in found.lists:
            keys = [key for key in judged.due if key not in young]
            rest = {*judged.waiting, *judged.rest, *young.intersection(judged.due)}
            for start in range(0, len(keys), BATCH) or (() if rest else (0,)):
                if work.stopping() or left < len(keys[start : start + 1]):
                    return
                some = keys[start : start + BATCH][:left]
                last = start + len(some) >= len(keys)
                yield ChunkBatch(self, work, judged.item, some, rest=rest, last=last)
                left -= len(some)
        if self._swept is None:
            self._sweep(self._look(request, request.holds), found)
        orphans, self._swept = self._swept or [], None
        for keys in _slices(orphans):
            if not work.stopping() and len(keys) <= left:
                yield OrphanBatch(self, work, keys)
                left -= len(keys)

    def explain(self, item: str, request: Request) -> Explanation:
        """By key of a chunk or of an index file, as it stands in the buckets."""
        chunk = parse_chunk(item, milliseconds(request.now))
        table = table_of(item, self.layout)
        if chunk is None and table is None:
            sentence = "it is neither a chunk nor an index file: it is never touched"
            return Explanation(item=item, verdict="stays", rule="unknown", sentence=sentence)
        cutoffs = self._cutoffs(request)
        if chunk is not None:
            dated, cutoff = instant(chunk.end), cutoffs.of(chunk.tenant)
            verdict, rule, sentence = self._explained(chunk, request, cutoff)
        else:
            dated, cutoff = instant((table or 0) * DAY_MS), cutoffs.default
            verdict, rule, sentence = self._explained_file(item, request)
        days = (milliseconds(request.now) - cutoff) // DAY_MS
        due = instant((milliseconds(dated) // DAY_MS + 1 + days) * DAY_MS)
        return Explanation(item=item, verdict=verdict, rule=rule, sentence=sentence, dated=dated, due=due)

    def close(self) -> None:
        """Give back connections."""
        self.buckets.close()

    def _explained(self, chunk: Chunk, request: Request, cutoff: int) -> tuple[str, str, str]:
        key = chunk.key
        if not self.buckets.exists(key):
            return "absent", "absent", "there is no such chunk"
        if chunk.end >= cutoff:
            return "stays", "younger", f"its last line is of {instant(chunk.end)}, not before the cutoff"
        if is_held(chunk, request.holds):
            return "stays", "hold", "its last line has expired, but a hold keeps it"
        return _verdict(chunk, self._scan(request, request.holds), cutoff)

    def _explained_file(self, item: str, request: Request) -> tuple[str, str, str]:
        if not self.buckets.exists(item):
            return "absent", "absent", "there is no such index file"
        found = self._scan(request, request.holds)
        for group in (*found.removable, *found.kept):
            if any(file.key == item for file in group.files):
                if group in found.removable:
                    return (
                        "goes",
                        "expired",
                        f"its table is of {instant(group.table.number * DAY_MS):%Y-%m-%d}",
                    )
                if group.held:
                    return "stays", "hold", "it names chunks that a hold keeps"
                return "stays", "unreadable-index", group.unreadable[0]
        if (table_of(item, self.layout) or 0) in found.sharing:
            return "stays", "shared-index", "its table waits for the longest period of a tenant"
        return "stays", "younger", "its table is not before the cutoff"

    # --- what batches need ------------------------------------------------------------------------------

    def _cutoffs(self, request: Request) -> Cutoffs:
        return Cutoffs(request.cutoff, request.retention_days, self.layout.tenant_days)

    def _scan(self, request: Request, holds: tuple[Hold, ...]) -> Scan:
        return scan(self._look(request, holds), self._lists())

    def _lists(self) -> Iterator[Condemned]:
        return lists.read(self.place, milliseconds(self.now()))

    def _look(self, request: Request, holds: tuple[Hold, ...]) -> Look:
        return Look(
            buckets=self.buckets,
            layout=self.layout,
            cutoffs=self._cutoffs(request),
            holds=holds,
            now=self.now(),
        )

    def _young(self, found: Scan) -> frozenset[str]:
        """Among the chunks that would go at once, those that were uploaded too recently."""
        if not self.rules.min_object_age:
            return frozenset()
        going = {key for chunks in found.condemned.values() for key in chunks}
        going.update(found.due)
        streams = {key.rpartition("/")[0] + "/" for key in going}
        newest = self.now() - self.rules.min_object_age
        return frozenset(
            item.key
            for stream in sorted(streams)
            for item in self.buckets.objects(stream)
            if item.key in going and item.modified > newest
        )

    def _sweep(self, look: Look, found: Scan) -> None:
        """Expired chunks that no index and no list names; only a sweep looks for them."""
        self._swept, self._young_orphans = [], 0
        if not self.rules.sweep:
            return
        known, blocked = found.named | self._named, found.blocked | found.unknown
        newest = look.now - self.rules.min_object_age if self.rules.offline else look.now
        for chunk, _, modified in all_chunks(self.buckets, look.now):
            expired = chunk.end < look.cutoffs.of(chunk.tenant) and self._mine(chunk)
            named = chunk.key in known or not blocked.isdisjoint(chunk.days)
            if not expired or named or is_held(chunk, look.holds):
                continue
            if self.rules.offline and modified > newest:
                self._young_orphans += 1
            else:
                self._swept.append(chunk.key)

    def _absent(self, found: Scan) -> Iterable[Finding]:
        """S3 deletes what is not there without a word, so chunks under wrong keys would look destroyed."""
        chunks = [chunk for going in found.condemned.values() for chunk, _ in going.values()]
        sample = [chunks[at] for at in sorted({0, len(chunks) // 2, len(chunks) - 1})] if chunks else []
        if not sample or any(self.buckets.exists(chunk.key) for chunk in sample):
            return
        other = [
            twin.key
            for chunk in sample
            if self.buckets.exists((twin := replace(chunk, new=not chunk.new)).key)
        ]
        if other:
            yield Finding(
                code="wrong-key-form",
                level=Level.REFUSE,
                message=f"by loki.periods a chunk is {sample[0].key}, but the bucket holds {other[0]}",
                hint="set start and schema_version of loki.periods as in Loki's schema_config",
            )
        else:
            yield Finding(
                code="chunks-missing",
                level=Level.WARNING,
                message=f"chunks that expired tables name are not in the buckets, such as {sample[0].key}",
                hint="name the buckets of all schema periods in loki.buckets; or a lifecycle rule was faster",
            )

    def _mine_of(self, found: Scan) -> Scan:
        """One part of a sweep leaves tables and lists to the daily run, and looks for orphans only."""
        if self.rules.shard is None:
            return found
        self._named = found.named
        return replace(found, removable=[], condemned={}, lists=[], stuck=set())

    def _mine(self, chunk: Chunk) -> bool:
        """Whether a chunk belongs to this process's part of a sweep."""
        if self.rules.shard is None:
            return True
        index, count = self.rules.shard
        return chunk.fingerprint % count == index


class TableBatch:
    """Phase one for one table: list its condemned chunks, then remove its index files."""

    def __init__(self, store: LokiStore, work: Work, found: Scan, name: str) -> None:
        self._store = store
        self._work = work
        self._name = name
        self._groups: list[Group] = [group for group in found.removable if group.table.name == name]
        self._chunks = found.condemned.get(name, {})
        self.items = self._count()
        self._held = 0

    def _count(self) -> int:
        """Index files, and the chunks that they condemn: destroyed later, or where no Loki reads, next."""
        files = sum(len(group.files) for group in self._groups)
        return files + (0 if self._store.rules.offline else len(self._chunks))

    def stage(self, sink: Sink | None) -> Staged:  # noqa: ARG002 - chunks are not archived: Loki's own format
        """Name what goes; a hold that came since the survey stops this table."""
        holds = self._work.holds()
        chunks = [chunk for chunk, _ in self._chunks.values()]
        if any(is_group_held(group, holds) for group in self._groups) or any(
            is_held(chunk, holds) for chunk in chunks
        ):
            self._held, self.items = self.items, 0
        return Staged(items=self.items, first=oldest_of(chunks), last=newest_of(chunks))

    def commit(self) -> Committed:
        """The list first: killed after it, the next run finds the table, and condemns its chunks anew."""
        if not self.items:
            return Committed(items=0, skipped={"hold": self._held} if self._held else {})
        store = self._store
        if self._chunks:
            item = Condemned(
                name=lists.name_of(self._name, self._work.run_id, self._chunks),
                due=store.rules.due(store.now()),
                keys=tuple(self._chunks),
                kib=sum(kib for _, kib in self._chunks.values()),
            )
            failpoint("loki.before_list")
            lists.write(store.place, item)
            failpoint("loki.after_list")
        keys = [file.key for group in self._groups for file in group.files]
        failures = _writable(store).delete(keys)
        failpoint("loki.after_table")
        gone = sum(key not in failures for key in keys)
        return Committed(items=gone, pending=self.items - len(keys), failures=tuple(failures.values()))

    def rollback(self) -> None:
        """Before ``commit`` nothing has happened."""


class ChunkBatch:
    """Phase two for some chunks of one list; with the last of them the list goes, too.

    Args:
        store: of the list.
        work: of the run.
        item: the list.
        keys: some of its chunks.
        rest: what the list must still name; grows with what could not be destroyed.
        last: whether no more batches of the list follow.
    """

    def __init__(
        self, store: LokiStore, work: Work, item: Condemned, keys: list[str], *, rest: set[str], last: bool
    ) -> None:
        self._store = store
        self._work = work
        self._item = item
        self._keys = keys
        self._rest = rest
        self._last = last
        self._held = 0

    def stage(self, sink: Sink | None) -> Staged:  # noqa: ARG002 - as above
        """Name them, without those that a hold keeps now."""
        holds, now = self._work.holds(), milliseconds(self._store.now())
        chunks = [chunk for key in self._keys if (chunk := parse_chunk(key, now))]
        free = [chunk for chunk in chunks if not is_held(chunk, holds)]
        self._held = len(chunks) - len(free)
        self._rest.update(chunk.key for chunk in chunks if is_held(chunk, holds))
        self._keys = [chunk.key for chunk in free]
        return Staged(items=len(free), first=oldest_of(free), last=newest_of(free))

    def commit(self) -> Committed:
        """Destroy them; the list stays as long as anything that it names does."""
        failures = _writable(self._store).delete(self._keys)
        failpoint("loki.after_chunks")
        self._rest.update(failures)
        if self._last:
            self._shorten()
        failpoint("loki.after_list_is_gone")
        return Committed(
            items=len(self._keys) - len(failures),
            skipped={"hold": self._held} if self._held else {},
            failures=tuple(failures.values()),
        )

    def _shorten(self) -> None:
        rest = tuple(key for key in self._item.keys if key in self._rest)
        if rest:
            kib = self._item.kib * len(rest) // len(self._item.keys)
            lists.write(self._store.place, replace(self._item, keys=rest, kib=kib))
        else:
            self._store.place.delete(self._item.name)

    def rollback(self) -> None:
        """Before ``commit`` nothing has happened."""


class OrphanBatch:
    """Chunks that no index names: they are invisible already, and wait for their grace period like others."""

    def __init__(self, store: LokiStore, work: Work, keys: list[str]) -> None:
        self._store = store
        self._work = work
        self._keys = keys

    def stage(self, sink: Sink | None) -> Staged:  # noqa: ARG002 - as above
        """Name them, without those that a hold keeps now."""
        holds, now = self._work.holds(), milliseconds(self._store.now())
        chunks = [
            chunk for key in self._keys if (chunk := parse_chunk(key, now)) and not is_held(chunk, holds)
        ]
        self._keys = [chunk.key for chunk in chunks]
        return Staged(items=len(self._keys), first=oldest_of(chunks), last=newest_of(chunks))

    def commit(self) -> Committed:
        """Put them on a list; where no Loki reads, destroy them."""
        store = self._store
        if not self._keys:
            return Committed(items=0)
        if store.rules.offline:
            failures = _writable(store).delete(self._keys)
            return Committed(items=len(self._keys) - len(failures), failures=tuple(failures.values()))
        item = Condemned(
            name=lists.name_of("sweep", self._work.run_id, self._keys),
            due=store.rules.due(store.now()),
            keys=tuple(self._keys),
        )
        lists.write(store.place, item)
        return Committed(items=0, pending=len(self._keys))

    def rollback(self) -> None:
        """Before ``commit`` nothing has happened."""


def _verdict(chunk: Chunk, found: Scan, cutoff: int) -> tuple[str, str, str]:
    """What becomes of an expired chunk that no hold names."""
    key = chunk.key
    waiting = [judged.item.due for judged in found.lists if key in judged.waiting]
    if key in found.held:
        return "stays", "hold", "a hold keeps the index file that names it"
    if waiting:
        return "pending", "pending", f"condemned, and destroyed by the first run after {iso(waiting[0])}"
    if key in found.due or any(key in going for going in found.condemned.values()):
        return "goes", "expired", f"its last line is of {instant(chunk.end)}, before {instant(cutoff)}"
    if not found.blocked.isdisjoint(chunk.days):
        return "stays", "kept-index", "an index file of its day stays, and may name it; a run tells which"
    return "goes", "orphan", "it has expired, and no index file names it: a run with --sweep takes it"


def _writable(store: LokiStore) -> WritableBuckets:
    if not isinstance(store.buckets, WritableBuckets):
        raise StoreError("the buckets were opened for reading only")
    return store.buckets


def _slices(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), BATCH):
        yield keys[start : start + BATCH]


def _pending(judged: Judged) -> Pending:
    item, items = judged.item, len(judged.waiting)
    size = item.kib * 1024 * items // len(item.keys)
    return Pending(items=items, due=item.due, reason=_REASON, size_bytes=size or None)


def _population(found: Scan, expired: int) -> Count | None:
    """All objects, estimated: tables are many, and alike; only the expired ones were read."""
    gone = len({group.table.number for group in found.removable})
    if not gone or not found.chunks:
        return None
    kept = len(set(found.tables)) - gone
    return Count(value=expired + round((found.index_files + found.chunks) / gone * kept), exact=False)


def _bytes(found: Scan) -> Count:
    kib = sum(kib for going in found.condemned.values() for _, kib in going.values())
    return Count(value=1024 * kib, exact=False)


def _parts(found: Scan) -> Iterator[Slice]:
    """Per tenant and day, for people."""
    sums: dict[tuple[str, int], list[int]] = {}
    for going in found.condemned.values():
        for chunk, kib in going.values():
            entry = sums.setdefault((chunk.tenant, chunk.end // DAY_MS), [0, 0, 0])
            entry[0] += 1
            entry[1] += kib * 1024
            entry[2] = max(entry[2], chunk.end)
    for (tenant, day), (items, size, newest) in sorted(sums.items()):
        name = f"{tenant} {instant(day * DAY_MS):%Y-%m-%d}"
        yield Slice(name=name, items=items, size_bytes=size, newest=instant(newest))


def _dangling_findings(missing: list[str]) -> Iterable[Finding]:
    if missing:
        names = ", ".join(missing[:_SHOWN])
        yield Finding(
            code="dangling-references",
            level=Level.FAILED,
            message=f"{len(missing)} chunks that retained index tables name are not in the bucket: {names}",
            hint="something else deletes chunks here: look at lifecycle rules and other jobs before going on",
        )


def _scan_findings(found: Scan, look: Look) -> Iterable[Finding]:
    """What was met on the way and left alone."""
    for sentence in found.unreadable[:_SHOWN]:
        yield Finding(
            code="unreadable-index",
            level=Level.WARNING,
            message=f"{sentence}: its table and every chunk of its day stay",
            hint="look at the object: a damaged one breaks Loki's queries; other versions are not known here",
        )
    if len(found.unreadable) > _SHOWN:
        yield Finding(
            code="unreadable-index",
            level=Level.WARNING,
            message=f"{len(found.unreadable) - _SHOWN} more index files cannot be read",
        )
    if found.foreign:
        names = ", ".join(found.foreign[:_SHOWN])
        yield Finding(
            code="foreign-objects",
            level=Level.WARNING,
            message=f"{len(found.foreign)} objects or directories of the index are nobody's: {names}",
            hint="they are left alone; check loki.periods if they are Loki's",
        )
    yield from _waiting_findings(found, look)


def _waiting_findings(found: Scan, look: Look) -> Iterable[Finding]:
    """Expired, and kept for a reason that is neither a hold nor a lock."""
    if found.sharing:
        days = max(look.layout.tenant_days.values())
        yield Finding(
            code="shared-index",
            level=Level.WARNING,
            message=f"{len(found.sharing)} expired tables have index files that tenants share: they and every"
            f" chunk of their days stay {days} days",
            hint="Loki's compactor splits them by tenant: look whether it runs",
        )
    if fresh := [key for judged in found.lists for key in judged.fresh]:
        yield Finding(
            code="condemned-too-early",
            level=Level.WARNING,
            message=f"{len(fresh)} condemned chunks have not expired by the periods of today, and stay:"
            f" {', '.join(fresh[:_SHOWN])}",
            hint="the period became longer, or somebody has edited a list; their index may be gone already",
        )
