"""Loki's objects in S3: expired index tables first, their chunks after a grace period.

Queries read the index before the chunks; while a chunk is still named by an index that somebody holds in
memory, it must be there. So phase one lists the condemned chunks, then removes the tables; phase two, at a
later run, removes the chunks. A daily run reads the tables of one day and costs what has expired. A backlog
is worked off day by day: the first table goes before the second is read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import IO

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
    Staged,
    Survey,
)
from luxima_retention.core.protocol import Batch, Sink, Work
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.objects import ObjectStore
from luxima_retention.stores.loki import condemned as lists
from luxima_retention.stores.loki.bucket import Buckets, InterruptedWaitError, Patience
from luxima_retention.stores.loki.condemned import Condemned, Lists, OnLater
from luxima_retention.stores.loki.deleting import Deletion, WritableBuckets
from luxima_retention.stores.loki.keys import (
    DAY_MS,
    Chunk,
    instant,
    may_end_before,
    milliseconds,
    parse_chunk,
)
from luxima_retention.stores.loki.locate import Looker
from luxima_retention.stores.loki.residents import no_index, residents, told
from luxima_retention.stores.loki.scan import (
    Cutoffs,
    Group,
    Layout,
    Look,
    Names,
    Opened,
    Unit,
    all_chunks,
    dangling,
    inventory,
    is_held,
    newest_of,
    oldest_of,
    opened,
    slices,
    standing,
    table_of,
    units,
)
from luxima_retention.stores.loki.tally import Tally, findings, rule_of, tally

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
        check: raises where the settings contradict Loki.
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
        check: Callable[[], None] = lambda: None,
        findings: Callable[[Request], Sequence[Finding]] = lambda _request: (),
    ) -> None:
        self.buckets = buckets
        self.place = place
        self.layout = layout
        self.rules = rules
        self.now = clock
        self._check = check
        self._findings = findings
        self._recognised = False  # whether a table of Loki's index has been seen in these buckets
        self._swept: IO[str] | None = None  # keys of orphans that the last survey found
        self.emptying = False  # whether a sweep has destroyed chunks; then an empty bucket may be its work

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
        self._check()
        return tuple(self._findings(request))

    def survey(self, request: Request) -> Survey:
        """The facts: reads the index files of expired tables and the lists of condemned chunks."""
        # What an earlier process of this run has begun here, it had recognised; it may be gone by now.
        self._recognised = self._recognised or request.begun > 0
        look = self._look(request)
        found = tally(look, self.place, young=self._counts_young(look))
        swept, late = self._sweep(look) if self.rules.sweep else (0, 0)
        alone = self.rules.shard is not None  # a part of a sweep leaves tables and lists to the daily run
        going = 0 if alone else found.index_files + found.chunks + found.due - found.young
        sampled, missing, unreadable = (
            dangling(look, found.inventory.tables) if self.rules.sweep else (0, [], [])
        )
        found.unreadable += unreadable
        unknown, more = self._residents(look, found)
        numbers = found.numbers_until(milliseconds(look.now) // DAY_MS + 1)
        return Survey(
            identity=self.identity(),
            store_clock=self.clock(),
            expired=going + swept,
            population=None if alone else found.population(going + swept),
            held=found.held,
            locked=found.young + found.stuck + found.backfilled + late,
            unknown=found.unknown + unknown,
            pending=() if alone else found.pending,
            oldest=instant(numbers[0] * DAY_MS) if numbers else None,
            oldest_expired=None if alone or found.oldest is None else instant(found.oldest),
            newest=min(self.clock(), instant((numbers[-1] + 1) * DAY_MS)) if numbers else None,
            expired_bytes=Count(value=0 if alone else 1024 * found.kib, exact=False),
            parts=() if alone else tuple(found.slices()),
            findings=(
                *more,
                *findings(found, look),
                *_dangling_findings(missing),
                *(() if alone else self._absent(found)),
            ),
            evidence={
                "tables": len(numbers),
                "expired_tables": 0 if alone else len(found.removable),
                "index_files": 0 if alone else found.index_files,
                "lists_due": 0 if alone else found.lists_due,
                "orphans": swept,
                "references_sampled": sampled,
                "references_dangling": len(missing),
            },
        )

    def batches(self, plan: Plan, work: Work) -> Iterator[Batch]:
        """Tables of the oldest day first; then chunks that are due; then what only a sweep finds."""
        if not isinstance(self.buckets, WritableBuckets):
            raise StoreError("the buckets were opened for reading only")
        self.buckets.patience = Patience(stopping=work.stopping, wait=work.wait)
        request = Request(
            policy=plan.policy,
            retention_days=plan.retention_days,
            cutoff=plan.cutoff,
            now=self.now(),
            holds=work.holds(),
        )
        left = plan.items
        try:
            for walk in (self._table_batches, self._list_batches, self._orphan_batches):
                for batch in walk(request, work):
                    if work.stopping() or not batch.fits(left):
                        break
                    yield batch
                    left -= batch.items
                    if work.stopping():
                        break
                if work.stopping():
                    return  # before the next walk asks the buckets anything
        except InterruptedWaitError:
            return  # the engine sees that the run should stop

    def _table_batches(self, request: Request, work: Work) -> Iterator[LokiBatch]:
        if self.rules.shard is not None:
            return
        look = self._look(request)
        with Lists(self.place, milliseconds(look.now)) as there:
            listed = Names(key for item in there.waiting(look.now) for key in item.keys)
        for unit in units(look, inventory(look)):
            with tempfile.TemporaryFile("w+") as spool:
                yield TableBatch(self, work, look, unit, spool, listed=listed)

    def _orphan_batches(self, request: Request, work: Work) -> Iterator[LokiBatch]:
        """What the survey found, as far as it is still an orphan; the buckets are not listed once more."""
        if not self.rules.sweep:
            return
        look = self._look(request)
        if self._swept is None:
            self._sweep(look)
        for keys in slices(self._still_orphans(look), lists.LENGTH):
            yield OrphanBatch(self, work, keys)

    def _list_batches(self, request: Request, work: Work) -> Iterator[LokiBatch]:
        """After looking again: what an index file names that is there is not destroyed."""
        look = self._look(request)
        now_ms = milliseconds(look.now)
        if self.rules.shard is not None:
            return
        with Lists(self.place, now_ms) as every:
            if not every.order or every.order[-1][0] > look.now:
                return
            there, later = standing(look), OnLater()
            rule = rule_of(look, later, there.names, lambda chunk: not there.days.isdisjoint(chunk.days))
            looker = Looker(self.buckets, lambda wire: self._expires(look, wire))
            for item in every.waiting(look.now):
                later.add(item.keys)
            for item in every.due(look.now):
                judged = lists.judge(item, rule, now_ms)
                young = self._are_young(judged.due, looker) if self._spares_young else set()
                keys = [key for key in judged.due if key not in young]
                later.add(keys)  # a killed run may have left two lists that name a chunk
                rest = {*judged.rest, *judged.due}
                # A list of which nothing is left is removed by a batch of no chunks.
                if keys or not rest:
                    yield ChunkBatch(self, work, item, keys, rest=rest, looker=looker)

    def _expires(self, look: Look, wire: str) -> bool:
        """Whether a key may be on a list of this run."""
        return may_end_before(self.buckets.key(wire), look.cutoffs.default)

    def explain(self, item: str, request: Request) -> Explanation:
        """By key of a chunk or of an index file, as it stands in the buckets."""
        self._check()
        chunk = parse_chunk(item, milliseconds(request.now))
        table = table_of(item, self.layout)
        if chunk is None and table is None:
            sentence = "it is neither a chunk nor an index file: it is never touched"
            return Explanation(item=item, verdict="stays", rule="unknown", sentence=sentence)
        cutoffs = self._look(request).cutoffs
        if chunk is not None:
            dated, cutoff = instant(chunk.end), cutoffs.of(chunk.tenant)
            verdict, rule, sentence = self._explained(chunk, request, cutoff)
        else:
            dated, cutoff = instant(table.number * DAY_MS if table else 0), cutoffs.default
            verdict, rule, sentence = self._explained_file(item, request)
        days = (milliseconds(request.now) - cutoff) // DAY_MS
        due = instant((milliseconds(dated) // DAY_MS + 1 + days) * DAY_MS)
        return Explanation(item=item, verdict=verdict, rule=rule, sentence=sentence, dated=dated, due=due)

    def close(self) -> None:
        """Give back connections."""
        self.buckets.close()
        if self._swept is not None:
            self._swept.close()
            self._swept = None

    def _explained(self, chunk: Chunk, request: Request, cutoff: int) -> tuple[str, str, str]:
        if not self.buckets.exists(chunk.key):
            return "absent", "absent", "there is no such chunk"
        if chunk.end >= cutoff:
            return "stays", "younger", f"its last line is of {instant(chunk.end)}, not before the cutoff"
        if is_held(chunk, request.holds):
            return "stays", "hold", "its last line has expired, but a hold keeps it"
        look = self._look(request)
        named = False
        for table in (table for table in inventory(look).expired(look) if table.number in chunk.days):
            with opened(look, table) as contents:
                if contents.blind:
                    return "stays", "kept-index", "an index file of its day stays, and may name it"
                naming = [group for group in contents.groups if _names(group, chunk, look)]
                for group in naming:
                    if group.stays:
                        rule = "hold" if group.held else "kept-index"
                        return "stays", rule, f"the index file that names it stays: {_why(group.held)}"
                named = named or bool(naming)
        return self._listed(chunk, cutoff, named=named)

    def _listed(self, chunk: Chunk, cutoff: int, *, named: bool) -> tuple[str, str, str]:
        """What becomes of an expired chunk that nothing keeps."""
        expired = f"its last line is of {instant(chunk.end)}, before {instant(cutoff)}"
        with Lists(self.place, milliseconds(self.now())) as there:
            dues = [item.due for item in there if chunk.key in item.keys]
        if named or (dues and max(dues) <= self.now()):
            return "goes", "expired", expired
        if dues:
            due = iso(max(dues))
            return "pending", "pending", f"condemned, and destroyed by the first run after {due}"
        return "goes", "orphan", "it has expired, and no index file names it: a run with --sweep deletes it"

    def _explained_file(self, item: str, request: Request) -> tuple[str, str, str]:
        look, table = self._look(request), table_of(item, self.layout)
        if table is None or not self.buckets.exists(item):
            return "absent", "absent", "there is no such index file"
        if table not in inventory(look).expired(look):
            return "stays", "younger", "its table is not before the cutoff"
        with opened(look, table) as contents:
            for group in contents.groups:
                if any(file.key == item for file in group.files):
                    return _explained_group(contents, group)
        return "stays", "younger", "its tenant keeps the table longer"

    # --- what batches need ------------------------------------------------------------------------------

    def _look(self, request: Request) -> Look:
        return Look(
            buckets=self.buckets,
            layout=self.layout,
            cutoffs=Cutoffs(request.cutoff, request.retention_days, self.layout.tenant_days),
            holds=request.holds,
            now=self.now(),
        )

    @property
    def _spares_young(self) -> bool:
        """Whether chunks go at once, so that how long they have been there matters now."""
        return self.rules.offline and bool(self.rules.min_object_age) and self.rules.shard is None

    @property
    def newest(self) -> datetime | None:
        """Chunks that were uploaded later stay, where chunks go at once."""
        return self.now() - self.rules.min_object_age if self._spares_young else None

    def _are_young(self, keys: list[str], looker: Looker) -> set[str]:
        newest = self.now() - self.rules.min_object_age
        return {
            key
            for found in looker.locate(keys).values()
            for key, item in found.items()
            if item.modified > newest
        }

    def _counts_young(self, look: Look) -> Callable[[list[str]], int] | None:
        """Counts those of some chunks that were uploaded too recently; ``None`` where that is no matter."""
        looker = Looker(self.buckets, lambda wire: self._expires(look, wire))
        return (lambda keys: len(self._are_young(keys, looker))) if self._spares_young else None

    def _sweep(self, look: Look) -> tuple[int, int]:
        """Look for orphans; how many a sweep may condemn, and how many were uploaded too recently."""
        if self._swept is not None:
            self._swept.close()
        count = late = 0
        newest = look.now - self.rules.min_object_age if self.rules.offline else look.now
        is_orphan = self._orphans(look)
        self._swept = tempfile.TemporaryFile("w+")  # noqa: SIM115 - for batches; closed with the store
        for chunk, _, modified in all_chunks(self.buckets, look.now, look.cutoffs.default):
            if not is_orphan(chunk):
                continue
            if self.rules.offline and modified > newest:
                late += 1
            else:
                count += 1
                self._swept.write(f"{chunk.key}\n")
        return count, late

    def _still_orphans(self, look: Look) -> Iterator[str]:
        """Those that were found and still are."""
        if self._swept is None:
            return
        self._swept.seek(0)
        is_orphan, now_ms = self._orphans(look), milliseconds(look.now)
        for line in self._swept:
            chunk = parse_chunk(line.rstrip("\n"), now_ms)
            if chunk is not None and is_orphan(chunk):
                yield chunk.key

    def _orphans(self, look: Look) -> Callable[[Chunk], bool]:
        """Tells expired chunks that no index and no list names, and no hold keeps."""
        there = standing(look)
        there.days |= inventory(look).unnamed_days  # what these name, nothing but a listing finds
        with Lists(self.place, milliseconds(look.now)) as every:
            listed = Names(key for item in every for key in item.keys)
        return lambda chunk: (
            look.is_expired(chunk)
            and self._mine(chunk)
            and not there.may_name(chunk)
            and chunk.key not in listed
            and not is_held(chunk, look.holds)
        )

    def _residents(self, look: Look, found: Tally) -> tuple[int, list[Finding]]:
        """What else is in the buckets; that they are not Loki's, or are read wrongly, is an error."""
        # Lists are ours: where one waits, tables of these buckets have been read.
        self._recognised = self._recognised or bool(found.inventory.tables or found.lists)
        others = residents(
            self.buckets, self.layout.index_path, milliseconds(look.now), recognised=self._recognised
        )
        unnamed = found.inventory.unnamed
        swept = others.seen > 0 or self.emptying
        orphans_only = self.rules.sweep and swept and others.chunks_only and not unnamed
        if self._recognised or orphans_only:
            return others.unknown, list(told(others))
        return max(1, others.seen), [no_index(self.buckets, others, self.layout.index_path, unnamed)]

    def _absent(self, found: Tally) -> Iterable[Finding]:
        """S3 deletes what is not there without a word, so chunks under wrong keys would look destroyed."""
        chunks = found.sample
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
                message=f"by its periods a chunk is {sample[0].key}, but the bucket holds {other[0]}",
                hint="set start and schema_version of the policy's periods as in Loki's schema_config",
            )
        else:
            yield Finding(
                code="chunks-missing",
                level=Level.WARNING,
                message=f"chunks that expired tables name are not in the buckets, such as {sample[0].key}",
                hint="name all of Loki's buckets in the policy's buckets; or a lifecycle rule deleted them",
            )

    def _mine(self, chunk: Chunk) -> bool:
        """Whether a chunk belongs to this process's part of a sweep."""
        if self.rules.shard is None:
            return True
        index, count = self.rules.shard
        return chunk.fingerprint % count == index


class LokiBatch:
    """What the batches have in common.

    Attributes:
        items: records of the plan that this batch may take; once it is final, that it took: what a killed run
            has destroyed without a word, and left on its list, is none of the plan that is left.
    """

    items = 0

    def fits(self, left: int) -> bool:
        """Whether the plan has room for it."""
        return self.items <= left

    def stage(self, sink: Sink | None) -> Staged:
        """See :class:`~luxima_retention.core.protocol.Batch`; chunks are not archived: Loki's own format."""
        raise NotImplementedError

    def commit(self) -> Committed:
        """See :class:`~luxima_retention.core.protocol.Batch`."""
        raise NotImplementedError

    def rollback(self) -> None:
        """Before ``commit`` nothing has happened."""


class TableBatch(LokiBatch):
    """Phase one for one table: list its condemned chunks, then remove its index files.

    Args:
        store: of the table.
        work: of the run.
        look: with the holds that the table was judged by.
        unit: what goes.
        spool: takes the keys of its chunks, so that memory need not.
        listed: chunks that lists have as pending already: they are listed anew, and counted no second time.
    """

    def __init__(
        self, store: LokiStore, work: Work, look: Look, unit: Unit, spool: IO[str], *, listed: Names
    ) -> None:
        self._store = store
        self._work = work
        self._unit = unit
        self._spool = spool
        self._listed = listed
        self._chunks = 0
        self._first: int | None = None
        self._last: int | None = None
        self._held = 0
        self._look = look
        for chunk, kib in unit.chunks:
            self._write(chunk, kib)
        # Destroyed later, or where no Loki reads, next.
        self.items = len(unit.files) + (0 if store.rules.offline else self._chunks)

    def _write(self, chunk: Chunk, kib: int) -> None:
        self._spool.write(f"{kib} {chunk.key}\n")
        self._chunks += chunk.key not in self._listed
        self._first = chunk.start if self._first is None else min(self._first, chunk.start)
        self._last = chunk.end if self._last is None else max(self._last, chunk.end)

    def stage(self, sink: Sink | None) -> Staged:  # noqa: ARG002 - see the base
        """Name what goes; a hold that came since the table was read stops this table."""
        holds = self._work.holds()
        if holds != self._look.holds and self._is_held(holds):
            self._held, self.items = self.items, 0
        return Staged(
            items=self.items,
            first=None if self._first is None else instant(self._first),
            last=None if self._last is None else instant(self._last),
        )

    def _is_held(self, holds: tuple[Hold, ...]) -> bool:
        """Whether a hold keeps anything that the table names; of a table that is not read, its day."""
        look = replace(self._look, holds=holds)
        for table in inventory(look).expired(look):
            if table.number in self._unit.days:
                with opened(look, table) as contents:
                    if any(group.held for group in contents.groups):
                        return True
        return False

    def commit(self) -> Committed:
        """The lists first: killed after them, the next run finds the table, and condemns its chunks anew."""
        if not self.items:
            return Committed(items=0, skipped={"hold": self._held} if self._held else {})
        store = self._store
        for item in self._lists():
            failpoint("loki.before_list")
            lists.write(store.place, item)
            failpoint("loki.after_list")
        done = _writable(store).delete((file.key for file in self._unit.files), listed=True)
        failpoint("loki.after_table")
        return Committed(
            items=len(done.gone),
            pending=0 if store.rules.offline else self._chunks,
            skipped=_skipped(done),
            failures=tuple(done.failures.values()),
        )

    def _lists(self) -> Iterator[Condemned]:
        store, unit = self._store, self._unit
        self._spool.seek(0)
        for lines in slices(self._spool, lists.LENGTH):
            pairs = [line.rstrip("\n").split(" ", 1) for line in lines]
            keys = tuple(key for _, key in pairs)
            yield Condemned(
                name=lists.name_of(unit.name, self._work.run_id, keys),
                due=store.rules.due(store.now()),
                keys=keys,
                kib=sum(int(kib) for kib, _ in pairs),
            )


class ChunkBatch(LokiBatch):
    """Phase two for one list; with the last of its chunks the list goes, too.

    Args:
        store: of the list.
        work: of the run.
        item: the list.
        keys: of the chunks that go.
        rest: what the list must still name; shrinks by what is destroyed.
        looker: looks for the chunks.
    """

    def __init__(
        self,
        store: LokiStore,
        work: Work,
        item: Condemned,
        keys: list[str],
        *,
        rest: set[str],
        looker: Looker,
    ) -> None:
        self._store = store
        self._looker = looker
        self._work = work
        self._item = item
        self._keys = keys
        self._rest = rest
        self._held = 0
        self.items = len(keys)

    def fits(self, left: int) -> bool:
        """Of a plan with less room it takes what there is room for; the rest stays on the list."""
        if not left and self._keys:
            return False
        self._keys = self._keys[:left]
        self.items = len(self._keys)
        return True

    def stage(self, sink: Sink | None) -> Staged:  # noqa: ARG002 - see the base
        """Name them, without those that a hold keeps now."""
        holds, now = self._work.holds(), milliseconds(self._store.now())
        chunks = [chunk for key in self._keys if (chunk := parse_chunk(key, now))]
        free = [chunk for chunk in chunks if not is_held(chunk, holds)]
        self._held = len(chunks) - len(free)
        self._keys = [chunk.key for chunk in free]
        return Staged(items=len(free), first=oldest_of(free), last=newest_of(free))

    def commit(self) -> Committed:
        """Destroy them; the list stays as long as anything that it names does.

        What is left of it is what a run that goes on plans: nothing that the ledger has as destroyed already.
        """
        done = _writable(self._store).delete(self._keys, newest=self._store.newest, looker=self._looker)
        failpoint("loki.after_chunks")
        self._rest.difference_update(done.gone, done.absent)
        self.items -= len(done.absent)
        self._shorten()
        failpoint("loki.after_list_is_gone")
        return Committed(
            items=len(done.gone), skipped=_skipped(done, self._held), failures=tuple(done.failures.values())
        )

    def _shorten(self) -> None:
        rest = tuple(key for key in self._item.keys if key in self._rest)
        if rest:
            kib = self._item.kib * len(rest) // len(self._item.keys)
            lists.write(self._store.place, replace(self._item, keys=rest, kib=kib))
        else:
            self._store.place.delete(self._item.name)


class OrphanBatch(LokiBatch):
    """Chunks that no index names: they are invisible already, and wait for their grace period like others."""

    def __init__(self, store: LokiStore, work: Work, keys: list[str]) -> None:
        self._store = store
        self._work = work
        self._keys = keys
        self.items = len(keys)

    def fits(self, left: int) -> bool:
        """Of a plan with less room it takes what there is room for."""
        self._keys = self._keys[:left]
        self.items = len(self._keys)
        return bool(self._keys)

    def stage(self, sink: Sink | None) -> Staged:  # noqa: ARG002 - see the base
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
            newest = store.now() - store.rules.min_object_age
            done = _writable(store).delete(self._keys, newest=newest)
            store.emptying = store.emptying or bool(done.gone)
            self.items -= len(done.absent)
            return Committed(
                items=len(done.gone), skipped=_skipped(done), failures=tuple(done.failures.values())
            )
        item = Condemned(
            name=lists.name_of("sweep", self._work.run_id, self._keys),
            due=store.rules.due(store.now()),
            keys=tuple(self._keys),
        )
        lists.write(store.place, item)
        return Committed(items=0, pending=len(self._keys))


def _skipped(done: Deletion, held: int = 0) -> dict[str, int]:
    """What was not destroyed, and why; ``vanished`` was not there, so nothing was destroyed."""
    counts = {"hold": held, "vanished": len(done.absent), "locked": len(done.young)}
    return {rule: items for rule, items in counts.items() if items}


def _names(group: Group, chunk: Chunk, look: Look) -> bool:
    return group.is_bolt or any(found == chunk for found, _ in group.named(look.layout.periods))


def _explained_group(contents: Opened, group: Group) -> tuple[str, str, str]:
    if contents.unreadable:
        return "stays", "unreadable-index", contents.unreadable[0]
    if group.waits:
        return "stays", "shared-index", "it waits for the longest period of a tenant"
    if group.stays:
        return "stays", "hold" if group.held else "kept-index", _why(group.held)
    return "goes", "expired", f"its table is of {instant(contents.table.number * DAY_MS):%Y-%m-%d}"


def _why(held: bool) -> str:
    return "a hold keeps what it names" if held else "it names what Loki keeps longer"


def _writable(store: LokiStore) -> WritableBuckets:
    if not isinstance(store.buckets, WritableBuckets):
        raise StoreError("the buckets were opened for reading only")
    return store.buckets


def _dangling_findings(missing: list[str]) -> Iterable[Finding]:
    if missing:
        names = ", ".join(missing[:_SHOWN])
        yield Finding(
            code="dangling-references",
            level=Level.FAILED,
            message=f"{len(missing)} chunks that retained index tables name are not in the bucket: {names}",
            hint="something else deletes chunks here: look at lifecycle rules and other jobs before going on",
        )
