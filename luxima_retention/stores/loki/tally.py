"""What a survey counts: one walk over the expired tables, then over the lists of condemned chunks."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from luxima_retention.core.plan import Count, Finding, Level, Pending, Slice
from luxima_retention.io.objects import ObjectStore
from luxima_retention.stores.loki import condemned as lists
from luxima_retention.stores.loki.condemned import Judged, OnLater, Rule
from luxima_retention.stores.loki.keys import DAY_MS, Chunk, instant, milliseconds
from luxima_retention.stores.loki.scan import (
    Group,
    Inventory,
    Look,
    Names,
    Opened,
    Seen,
    inventory,
    is_held,
    units,
)

_REASON = "condemned with its index table; queries may still read it"
_SHOWN = 5


@dataclass(slots=True, kw_only=True)
class Tally:
    """Everything that one look at the index found, in figures.

    Args:
        inventory: of the tables.
        removable: numbers of the tables of which something goes.
        index_files: objects of the index that go.
        chunks: that are condemned now, each counted once; ``kib`` is their size as the index says.
        young: of those that would be deleted at once, how many were uploaded too recently.
        held: chunks past the cutoff that a hold keeps, directly or through an index file that names them.
        backfilled: expired chunks whose index file names lines that Loki counts from their ingestion.
        due: chunks of lists that may be destroyed.
        lists: how many there are; ``lists_due`` of them may go.
        stuck: expired chunks, and chunks of lists, that an index file which cannot be read may name.
        fresh: some listed chunks that have not expired under the periods of today, of ``fresh_count``.
        waiting: due date → chunks of lists, and their bytes.
        oldest: start of the oldest chunk that goes, Unix milliseconds.
        parts: tenant and day → chunks, bytes, newest end.
        sample: some of the chunks that go.
        sharing: days of tables whose shared files another tenant keeps; ``shared_files`` are these, and
            ``shared_chunks`` the expired chunks that they name.
        unreadable, foreign, strange: sentences and keys, for people.
        unnamed: table of no period → its objects.
        named: keys that kept index files name; ``again`` those that go with tables, where lists exist.
        blocked: days of which an index file stays that was not read.
    """

    inventory: Inventory
    removable: set[int] = field(default_factory=set)
    index_files: int = 0
    chunks: int = 0
    kib: int = 0
    young: int = 0
    held: int = 0
    backfilled: int = 0
    due: int = 0
    stuck: int = 0
    lists: int = 0
    lists_due: int = 0
    fresh: list[str] = field(default_factory=list)
    fresh_count: int = 0
    waiting: dict[datetime, list[int]] = field(default_factory=dict)
    oldest: int | None = None
    parts: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    sample: list[Chunk] = field(default_factory=list)
    sharing: set[int] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    unnamed: dict[str, int] = field(default_factory=dict)
    shared_files: int = 0
    shared_chunks: int = 0
    named: Names = field(default_factory=Names)
    again: Names = field(default_factory=Names)
    blocked: set[int] = field(default_factory=set)

    def numbers_until(self, last: int) -> list[int]:
        """Days of the tables, in order; later ones would hide that writing has ended."""
        return [table.number for table in self.inventory.tables if table.number <= last]

    @property
    def unknown(self) -> int:
        """Objects that may have expired, and expired ones that no rule of ours keeps."""
        return (
            len(self.unreadable)
            + len(self.strange)
            + sum(self.unnamed.values())
            + self.shared_files
            + self.shared_chunks
        )

    @property
    def pending(self) -> tuple[Pending, ...]:
        """What waits on lists, by due date."""
        return tuple(
            Pending(items=items, due=due, reason=_REASON, size_bytes=size or None)
            for due, (items, size) in sorted(self.waiting.items())
        )

    def take(self, judged: Judged) -> None:
        """Count a list."""
        item = judged.item
        self.due += len(judged.due)
        self.lists_due += bool(judged.due)
        self.held += judged.held
        self.stuck += judged.stuck
        self.fresh += judged.fresh[: max(0, _SHOWN - len(self.fresh))]
        self.fresh_count += len(judged.fresh)
        if judged.waiting:
            sums = self.waiting.setdefault(item.due, [0, 0])
            sums[0] += judged.waiting
            sums[1] += item.kib * 1024 * judged.waiting // len(item.keys)

    def add(self, chunk: Chunk, kib: int, *, sample: bool) -> None:
        """Count a chunk that goes."""
        if sample:
            self.sample.append(chunk)
        self.chunks += 1
        self.kib += kib
        self.oldest = chunk.start if self.oldest is None else min(self.oldest, chunk.start)
        part = self.parts.setdefault((chunk.tenant, chunk.end // DAY_MS), [0, 0, 0])
        part[0] += 1
        part[1] += kib * 1024
        part[2] = max(part[2], chunk.end)

    def slices(self) -> Iterator[Slice]:
        """Per tenant and day, for people."""
        for (tenant, day), (items, size, newest) in sorted(self.parts.items()):
            name = f"{tenant} {instant(day * DAY_MS):%Y-%m-%d}"
            yield Slice(name=name, items=items, size_bytes=size, newest=instant(newest))

    def population(self, expired: int) -> Count | None:
        """All objects, estimated: tables are many, and alike; only the expired ones were read."""
        gone = len(self.removable)
        if not gone or not self.chunks:
            return None
        kept = len({table.number for table in self.inventory.tables}) - gone
        return Count(value=expired + round((self.index_files + self.chunks) / gone * kept), exact=False)


def tally(look: Look, place: ObjectStore, *, young: Callable[[list[str]], int] | None = None) -> Tally:
    """Look at every expired table and every list, one after the other.

    Args:
        look: with cutoffs and holds.
        place: of the lists.
        young: counts those of some chunks that were uploaded too recently; ``None`` where that is no matter.

    Raises:
        StoreError: a listing or a request failed; an unreadable index file is a sentence instead.
    """
    found = Tally(inventory=inventory(look))
    found.foreign += [f"{look.layout.index_path}{name}/" for name in found.inventory.foreign]
    for name in found.inventory.unnamed:
        found.foreign.append(f"{look.layout.index_path}{name}/")
        found.unnamed[name] = sum(1 for _ in look.buckets.objects(f"{look.layout.index_path}{name}/"))
    with lists.Lists(place, milliseconds(look.now)) as there:
        found.lists = len(there.order)
        _tally_tables(look, there, found, young)
        _judge_lists(look, there, found, young)
    return found


def _tally_tables(
    look: Look, there: lists.Lists, found: Tally, young: Callable[[list[str]], int] | None
) -> None:
    condemned = Names(key for item in there.waiting(look.now) for key in item.keys)
    seen, fresh = Seen(), list[str]()
    for unit in units(look, found.inventory, lambda contents: _note(look, found, contents, seen)):
        found.removable.update(unit.days)
        found.index_files += len(unit.files)
        for number, (chunk, kib) in enumerate(unit.chunks):
            if chunk.key in condemned:
                continue  # a list has it as pending already, and waits longer once this table goes
            found.add(chunk, kib, sample=not number)
            if found.lists:
                found.again.add(chunk.key)
            if young is not None:
                fresh.append(chunk.key)
                if len(fresh) == lists.LENGTH:
                    found.young += young(fresh)
                    fresh.clear()
    if young is not None and fresh:
        found.young += young(fresh)


def _note(look: Look, found: Tally, contents: Opened, seen: Seen) -> None:
    """Count what stays of a table, and why."""
    found.foreign += contents.foreign
    found.strange += contents.strange
    found.unreadable += contents.unreadable
    seen.begin(contents.table.number)
    for group in contents.kept:
        if group.waits and not contents.unreadable:
            found.shared_files += len(group.files)
            found.sharing.add(contents.table.number)
        if group.is_bolt:
            found.held += len(group.files) if group.held else 0
        elif not group.unreadable:
            _count_kept(look, found, group, seen, blind=bool(contents.unreadable))
    if contents.blind:
        found.blocked.add(contents.table.number)


def _count_kept(look: Look, found: Tally, group: Group, seen: Seen, *, blind: bool) -> None:
    """Chunks past the cutoff that stay with the index files that name them."""
    count = 0
    for chunk, reference in group.named(look.layout.periods):
        found.named.add(chunk.key)
        expired = reference.counts_from < look.cutoffs.of(chunk.tenant)
        count += expired and seen.first(chunk, several=True)
    if group.held:
        found.held += count
    elif group.waits:
        found.shared_chunks += count
    elif group.backfilled:
        found.backfilled += count
    elif blind:
        found.stuck += count


def rule_of(look: Look, elsewhere: OnLater, named: Container[str], blocked: Callable[[Chunk], bool]) -> Rule:
    """What decides about listed chunks at this moment."""
    return Rule(
        now=look.now,
        expired=look.is_expired,
        elsewhere=elsewhere,
        named=named,
        held=lambda chunk: is_held(chunk, look.holds),
        blocked=blocked,
    )


def _judge_lists(
    look: Look, there: lists.Lists, found: Tally, young: Callable[[list[str]], int] | None
) -> None:
    later, days = OnLater(found.again), found.blocked
    rule = rule_of(look, later, found.named, lambda chunk: not days.isdisjoint(chunk.days))
    for item in there:
        judged = lists.judge(item, rule, milliseconds(look.now))
        found.take(judged)
        found.young += young(judged.due) if young is not None else 0
        later.add(item.keys)


def findings(found: Tally, look: Look) -> Iterator[Finding]:
    """What was met on the way and left alone."""
    if found.unreadable:
        more = len(found.unreadable) - 1
        yield Finding(
            code="unreadable-index",
            level=Level.WARNING,
            message=f"{found.unreadable[0]}{f', and {more} more cannot be read' if more else ''}:"
            " their tables and every chunk of their days stay",
            hint="look at the object: a damaged one breaks Loki's queries; newer versions need an update",
        )
    if found.unnamed:
        names = ", ".join(list(found.unnamed)[:_SHOWN])
        yield Finding(
            code="unknown-tables",
            level=Level.WARNING,
            message=f"{len(found.unnamed)} index tables have names that no period gave them: {names}",
            hint="give periods the prefix of each period of Loki, or set url to read them",
        )
    if found.strange:
        yield Finding(
            code="strange-tenants",
            level=Level.WARNING,
            message=f"{len(found.strange)} index files are of tenants whose names Loki does not allow today:"
            f" {', '.join(found.strange[:_SHOWN])}",
            hint="delete them by hand, or with the Loki that wrote them",
        )
    if found.foreign:
        yield Finding(
            code="foreign-objects",
            level=Level.WARNING,
            message=f"{len(found.foreign)} objects or directories of the index are not Loki's:"
            f" {', '.join(found.foreign[:_SHOWN])}",
            hint="they are left alone; check periods if they are Loki's",
        )
    yield from _waiting_findings(found, look)


def _waiting_findings(found: Tally, look: Look) -> Iterator[Finding]:
    """Expired, and kept for a reason that is neither a hold nor a lock."""
    if found.sharing:
        days = max(look.layout.tenant_days.values())
        yield Finding(
            code="shared-index",
            level=Level.WARNING,
            message=f"{len(found.sharing)} expired tables have index files that tenants share, and one of"
            f" these keeps its logs longer: they and {found.shared_chunks} expired chunks that they name stay"
            f" up to {days} days",
            hint="Loki's compactor splits them by tenant: check whether it runs",
        )
    if found.backfilled:
        yield Finding(
            code="backfilled",
            level=Level.WARNING,
            message=f"{found.backfilled} expired chunks stay with index files that name back-filled lines:"
            " Loki counts those from the day on which they were ingested",
        )
    if found.fresh_count:
        yield Finding(
            code="condemned-too-early",
            level=Level.WARNING,
            message=f"{found.fresh_count} condemned chunks have not expired by the periods of today, and"
            f" stay: {', '.join(found.fresh)}",
            hint="the period became longer, or a list was edited; their index may already be deleted",
        )
