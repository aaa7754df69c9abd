"""What has expired in Loki's buckets: expired index tables, the chunks that they name, and what keeps them.

The cutoff is the start of a UTC day, so it never lies inside a daily table. A chunk is referred to by the
tables of the days that it touches, and by none later than the day of its end. So chunks that end before
the cutoff are referred to by expired tables only, and nothing that is kept loses a line. What must stay
(a held chunk, an index file that cannot be read) keeps the index files that name it, and these keep
everything else that they name. Tables are looked at one after another, and what was read of one is forgotten
before the next: memory does not grow with the backlog.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain

from luxima_retention.core.plan import Hold
from luxima_retention.stores.loki.bucket import Buckets, Object
from luxima_retention.stores.loki.keys import (
    DAY_MS,
    Chunk,
    Period,
    Table,
    has_new_key,
    instant,
    is_bounded,
    is_fingerprint,
    is_index_file,
    is_index_name,
    is_tenant,
    may_end_before,
    milliseconds,
    parse_chunk,
    parse_table,
)
from luxima_retention.stores.loki.locate import Looker
from luxima_retention.stores.loki.tsdb_index import IndexFile, Reference, UnreadableIndexError


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How Loki was configured to write, and what it promises.

    Args:
        index_path: ``index/``.
        periods: of the schema, in their order.
        tenant_days: tenants that keep longer, in days.
    """

    index_path: str
    periods: tuple[Period, ...]
    tenant_days: Mapping[str, int] = field(default_factory=dict)


class Cutoffs:
    """Each tenant's cutoff, in Unix milliseconds: always the start of a UTC day."""

    def __init__(self, cutoff: datetime, retention_days: int, tenant_days: Mapping[str, int]) -> None:
        self.default = milliseconds(cutoff)
        self._tenants = {
            tenant: milliseconds(cutoff - timedelta(days=days - retention_days))
            for tenant, days in tenant_days.items()
            if days > retention_days
        }
        self.longest = min(self._tenants.values(), default=self.default)

    def of(self, tenant: str) -> int:
        """The cutoff of a tenant."""
        return self._tenants.get(tenant, self.default)

    def passed(self, table: Table, tenant: str | None) -> bool:
        """Whether a table's whole day has expired: for a tenant, or for all (``None``)."""
        return table.number < (self.longest if tenant is None else self.of(tenant)) // DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at the index needs to know."""

    buckets: Buckets
    layout: Layout
    cutoffs: Cutoffs
    holds: tuple[Hold, ...]
    now: datetime

    def is_expired(self, chunk: Chunk) -> bool:
        """Whether a chunk ends before its tenant's cutoff."""
        return chunk.end < self.cutoffs.of(chunk.tenant)


# --- the tables ------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Inventory:
    """The directories below the index path.

    Args:
        tables: that a period named, by number.
        unnamed: that are called like tables, by a prefix of no period.
        foreign: anything else.
    """

    tables: list[Table] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def expired(self, look: Look) -> list[Table]:
        """Tables whose day has passed for most tenants, oldest first."""
        return [table for table in self.tables if table.number < look.cutoffs.default // DAY_MS]

    @property
    def unnamed_days(self) -> set[int]:
        """Days of which a table exists that is not looked into."""
        return {int(name[-5:]) for name in self.unnamed}


def inventory(look: Look) -> Inventory:
    """Every directory below the index path, told apart by its name.

    A tenant that is called like the index path has streams there, by their fingerprints.
    """
    found = Inventory()
    for name in look.buckets.directories(look.layout.index_path):
        table = parse_table(name, look.layout.periods)
        if table is not None:
            found.tables.append(table)
        elif name == "delete_requests" or is_fingerprint(name):
            continue
        elif name[-5:].isdecimal() and name[-5:].isascii():
            found.unnamed.append(name)
        else:
            found.foreign.append(name)
    found.tables.sort(key=lambda table: (table.number, table.name))
    return found


@dataclass(slots=True, kw_only=True)
class Group:
    """The index files of one table that go together: one tenant's, or those that tenants share (``None``).

    Args:
        index: unpacked files; none for boltdb-shipper, whose files are not read.
        few: what they name, where that is little: it need not be read from them again.
        unreadable: sentences about files that could not be read.
        held: a hold keeps something that they name.
        waits: they name something that a tenant keeps longer.
        backfilled: they name lines that expired by their own time, and were ingested after the cutoff.
    """

    table: Table
    tenant: str | None
    files: list[Object]
    index: list[IndexFile] = field(default_factory=list)
    few: list[tuple[Chunk, Reference]] | None = None
    unreadable: list[str] = field(default_factory=list)
    held: bool = False
    waits: bool = False
    backfilled: bool = False

    @property
    def is_bolt(self) -> bool:
        """Whether its files are not read."""
        return self.table.period.store == "boltdb-shipper"

    @property
    def stays(self) -> bool:
        """Whether anything keeps it."""
        return bool(self.unreadable) or self.held or self.waits or self.backfilled

    def named(self, periods: tuple[Period, ...]) -> Iterator[tuple[Chunk, Reference]]:
        """Every chunk that its files name.

        Raises:
            UnreadableIndexError: a file is damaged, or names what can be no chunk of this table.
        """
        if self.few is not None:
            yield from self.few
            return
        new = dict[int, bool]()
        for file, item in zip(self.index, self._visible(), strict=False):
            for reference in file.references():
                day = reference.start // DAY_MS
                if day not in new:
                    new[day] = has_new_key(day, periods)
                yield _chunk(reference, self, item.key, new=new[day]), reference

    def _visible(self) -> list[Object]:
        return [item for item in self.files if not item.hidden]

    def read(self, look: Look, keep: int = 0) -> None:
        """Unpack its files, and find out what keeps it; up to ``keep`` of what they name stays in memory."""
        if self.is_bolt:
            self.held = is_group_held(self, look.layout.periods, look.holds)
            self.waits = not look.cutoffs.passed(self.table, self.tenant)
            return
        for item in self._visible():  # no reader of Loki sees what a marker hides
            try:
                self.index.append(IndexFile(look.buckets.read(item), item.key))
            except UnreadableIndexError as error:
                self.unreadable.append(error.message)
        if self.unreadable:
            return
        try:
            self._judge(look, keep)
        except UnreadableIndexError as error:
            self.unreadable.append(error.message)

    def _judge(self, look: Look, keep: int) -> None:
        few, count = list[tuple[Chunk, Reference]](), 0
        for chunk, reference in self.named(look.layout.periods):
            count += 1
            if count <= keep:
                few.append((chunk, reference))
            self.held = self.held or is_held(chunk, look.holds)
            if not look.cutoffs.passed(self.table, chunk.tenant):
                self.waits = True
            elif look.is_expired(chunk) and reference.counts_from >= look.cutoffs.of(chunk.tenant):
                self.backfilled = True
        self.few = few if count == len(few) else None


@dataclass(slots=True, kw_only=True)
class Opened:
    """An expired table while it is looked at.

    Args:
        groups: of the tenants for whom it has expired, and of the files that all share.
        foreign: keys of objects that are not index files.
        strange: keys of index files of tenants whose names are not known as such.
    """

    table: Table
    groups: list[Group] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    @property
    def unreadable(self) -> list[str]:
        """Sentences about what could not be read; any keeps the whole table."""
        return [sentence for group in self.groups for sentence in group.unreadable]

    @property
    def blind(self) -> bool:
        """Whether chunks of its day may be named by files that stay unread."""
        return bool(self.unreadable) or any(group.is_bolt and group.stays for group in self.groups)

    @property
    def removable(self) -> list[Group]:
        """What goes."""
        return [] if self.unreadable else [group for group in self.groups if not group.stays]

    @property
    def kept(self) -> list[Group]:
        """What stays."""
        return self.groups if self.unreadable else [group for group in self.groups if group.stays]

    def condemned(self, look: Look, seen: Seen) -> Iterator[tuple[Chunk, int]]:
        """The chunks that go with it, each once, and their sizes in KiB.

        What a group of this table that stays names, stays; what one of a later table names is found out when
        its turn comes to be destroyed.
        """
        kept = Names(chunk.key for chunk in self._kept_chunks(look))
        shared = any(group.tenant is None for group in self.groups)
        for group in self.removable:
            several = shared or len(group.index) > 1
            for chunk, reference in group.named(look.layout.periods):
                if look.is_expired(chunk) and chunk.key not in kept and seen.first(chunk, several=several):
                    yield chunk, reference.kib

    def reserve(self, look: Look, seen: Seen) -> None:
        """What stays and reaches into a later table does not go with that one."""
        for chunk in self._kept_chunks(look):
            if chunk.days[-1] > self.table.number:
                seen.first(chunk, several=False)

    def _kept_chunks(self, look: Look) -> Iterator[Chunk]:
        for group in () if self.unreadable else self.kept:
            yield from (chunk for chunk, _ in group.named(look.layout.periods))

    def close(self) -> None:
        """Give back what was unpacked."""
        for group in self.groups:
            for file in group.index:
                file.close()
            group.index.clear()
            group.few = None


@contextmanager
def opened(look: Look, table: Table, *, retained: bool = False) -> Iterator[Opened]:
    """A table with its index files read.

    Args:
        look: with cutoffs and holds.
        table: of the inventory.
        retained: it has not expired: every group is looked at, whatever is hidden is not.

    Raises:
        StoreError: a listing or a request failed; an index file that cannot be read is a sentence instead.
    """
    found = _listed(look, table, retained=retained)
    try:
        left = _FEW
        for group in found.groups:
            group.read(look, left)
            left -= len(group.few or ())
        yield found
    finally:
        found.close()


def _listed(look: Look, table: Table, *, retained: bool) -> Opened:
    found = Opened(table=table)
    prefix = f"{look.layout.index_path}{table.name}/"
    files: dict[str | None, list[Object]] = {}
    hidden = () if retained else look.buckets.hidden(prefix)
    for item in chain(look.buckets.objects(prefix), hidden):
        tenant, _, name = item.key.removeprefix(prefix).rpartition("/")
        if is_index_file(table, item.key.removeprefix(prefix)):
            files.setdefault(tenant or None, []).append(item)
        elif tenant and "/" not in tenant and not is_tenant(tenant) and is_index_name(table, name):
            found.strange.append(item.key)
        else:
            found.foreign.append(item.key)
    found.groups = [
        Group(table=table, tenant=tenant, files=items)
        for tenant, items in sorted(files.items(), key=lambda pair: pair[0] or "")
        if retained or tenant is None or look.cutoffs.passed(table, tenant)
    ]
    return found


def table_of(key: str, layout: Layout) -> Table | None:
    """The table to which an index file belongs; ``None`` for any other key."""
    name, _, rest = key.removeprefix(layout.index_path).partition("/")
    table = parse_table(name, layout.periods) if key.startswith(layout.index_path) else None
    return table if table is not None and is_index_file(table, rest) else None


def _chunk(reference: Reference, group: Group, name: str, *, new: bool) -> Chunk:
    """The chunk of a reference, whose day must be that of its table."""
    tenant = group.tenant or reference.tenant
    if tenant is None:
        raise UnreadableIndexError(f"index file {name} does not say whose its chunks are")
    chunk = Chunk(
        tenant=tenant,
        fingerprint=reference.fingerprint,
        start=reference.start,
        end=reference.end,
        checksum=reference.checksum,
        new=new,
    )
    if not is_bounded(chunk):
        raise UnreadableIndexError(f"index file {name} names {chunk.key!r}, which is not the key of a chunk")
    if group.table.number not in chunk.days:
        raise UnreadableIndexError(f"index file {name} names {chunk.key}, which is of another day")
    return chunk


#: references of one table that stay in memory between two looks at them: some eight megabytes
_FEW = 20_000
#: keys of a set that are kept apart, so that it is not sorted for each of them
_NEWEST = 50_000
_PARTS = 16


# --- sets of keys ----------------------------------------------------------------------------------------


class Names:
    """A set of keys that takes eight bytes for each: their hashes, in parts that are sorted when asked."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._parts = [array("q") for _ in range(_PARTS)]
        self._newest: set[int] = set()
        for name in map(hash, keys):
            self._parts[name % _PARTS].append(name)
        self._sort()

    def add(self, key: str) -> None:
        """Take one more."""
        self._newest.add(hash(key))
        if len(self._newest) >= _NEWEST:
            self._settle()

    def __contains__(self, key: object) -> bool:
        """By hash: two keys of one hash in 2**64 are taken for the same, which keeps one of them."""
        wanted = hash(key)
        if wanted in self._newest:
            return True
        part = self._parts[wanted % _PARTS]
        at = bisect_left(part, wanted)
        return at < len(part) and part[at] == wanted

    def _settle(self) -> None:
        for name in sorted(self._newest):
            self._parts[name % _PARTS].append(name)
        self._newest.clear()
        self._sort()

    def _sort(self) -> None:
        """Part by part: whole, a large set would need five times its memory meanwhile."""
        for number, part in enumerate(self._parts):
            self._parts[number] = array("q", sorted(part))


class Seen:
    """Tells chunks that several index files name apart from new ones.

    Only chunks that reach into a later table are remembered beyond their table.
    """

    def __init__(self) -> None:
        self._here: set[int] = set()
        self._later: dict[int, set[int]] = {}
        self._table = 0

    def begin(self, number: int) -> None:
        """Go on to the table of this number; tables come in their order."""
        self._table = number
        self._here.clear()
        self._later = {day: names for day, names in self._later.items() if day >= number}

    def first(self, chunk: Chunk, *, several: bool) -> bool:
        """Whether this is the first time; ``several`` if another file of the table may name it, too."""
        days = chunk.days
        if not several and len(days) == 1:
            return True
        name = hash(chunk.key)
        if name in self._here or any(name in names for names in self._later.values()):
            return False
        if several:
            self._here.add(name)
        if days[-1] > self._table:
            self._later.setdefault(days[-1], set()).add(name)
        return True


@dataclass(slots=True, kw_only=True)
class Standing:
    """What the index files of expired tables that are there may name.

    Args:
        names: of chunks, by the files that were read.
        days: whose tables were not read whole: any chunk of theirs may be named there.
    """

    names: Names = field(default_factory=Names)
    days: set[int] = field(default_factory=set)

    def may_name(self, chunk: Chunk) -> bool:
        """Whether a chunk must stay because an index file may still name it."""
        return not self.days.isdisjoint(chunk.days) or chunk.key in self.names


def standing(look: Look) -> Standing:
    """Read every expired table that is there now; after phase one these are the kept ones.

    Raises:
        StoreError: as :func:`opened`.
    """
    result = Standing()
    for table in inventory(look).expired(look):
        with opened(look, table) as contents:
            if contents.unreadable or any(group.is_bolt for group in contents.groups):
                result.days.add(table.number)
                continue
            for group in contents.groups:
                for chunk, _ in group.named(look.layout.periods):
                    result.names.add(chunk.key)
    return result


# --- what goes, table after table ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Index files that go together, and the chunks that go with them.

    Args:
        name: of the table; of the first of several.
        days: numbers of the tables.
        files: of the index.
        chunks: each once, with its size in KiB; can be walked once, before the next unit is asked for.
    """

    name: str
    days: tuple[int, ...]
    files: list[Object]
    chunks: Iterator[tuple[Chunk, int]]


def units(look: Look, found: Inventory, note: Callable[[Opened], None] = lambda _: None) -> Iterator[Unit]:
    """Everything that goes, oldest table first.

    Tables of boltdb-shipper are not read: they go together, and their chunks are found by one listing.

    Args:
        look: with cutoffs and holds.
        found: the tables.
        note: is shown every expired table.

    Raises:
        StoreError: as :func:`opened`.
    """
    seen, bolts, blocked = Seen(), dict[int, list[Object]](), found.unnamed_days
    name = ""
    for table in found.expired(look):
        with opened(look, table) as contents:
            note(contents)
            files = [file for group in contents.removable for file in group.files]
            if table.period.store == "boltdb-shipper":
                name = name or table.name
                bolts |= {table.number: files} if files else {}
                blocked |= {table.number} if contents.blind else set()
                continue
            if bolts:
                yield _bolt_unit(look, name, bolts, blocked, seen)
                bolts = {}
            seen.begin(table.number)
            if files:
                chunks = contents.condemned(look, seen)
                yield Unit(name=table.name, days=(table.number,), files=files, chunks=chunks)
            contents.reserve(look, seen)
    if bolts:
        yield _bolt_unit(look, name, bolts, blocked, seen)


def _bolt_unit(look: Look, name: str, tables: dict[int, list[Object]], blocked: set[int], seen: Seen) -> Unit:
    def chunks() -> Iterator[tuple[Chunk, int]]:
        seen.begin(max(tables))
        for chunk, size, _ in all_chunks(look.buckets, look.now, look.cutoffs.default):
            if (
                look.is_expired(chunk)
                and any(day in tables for day in chunk.days)
                and blocked.isdisjoint(chunk.days)
                and not is_held(chunk, look.holds)
                and seen.first(chunk, several=False)
            ):
                yield chunk, size // 1024

    files = [file for some in tables.values() for file in some]
    return Unit(name=name, days=tuple(tables), files=files, chunks=chunks())


# --- holds -----------------------------------------------------------------------------------------------


def is_group_held(group: Group, periods: tuple[Period, ...], holds: Iterable[Hold]) -> bool:
    """Whether a hold keeps anything that a group's index files name; of a file that is not read, its day."""
    holds = tuple(holds)
    if group.is_bolt:
        day = group.table.number * DAY_MS
        return any(_covers(hold, group.tenant, day, day + DAY_MS - 1) for hold in holds)
    return bool(holds) and any(is_held(chunk, holds) for chunk, _ in group.named(periods))


def _covers(hold: Hold, tenant: str | None, start: int, end: int) -> bool:
    """Whether a hold keeps what a tenant logged between two instants, both inclusive."""
    return (
        (hold.tenant is None or tenant is None or hold.tenant == tenant)
        and (hold.start is None or end >= milliseconds(hold.start))
        and (hold.end is None or start < milliseconds(hold.end))
    )


def is_held(chunk: Chunk, holds: tuple[Hold, ...]) -> bool:
    """Whether a hold keeps a chunk."""
    return bool(holds) and any(_covers(hold, chunk.tenant, chunk.start, chunk.end) for hold in holds)


# --- the buckets as a whole ----------------------------------------------------------------------------


def all_chunks(
    buckets: Buckets, now: datetime, before: int | None = None
) -> Iterator[tuple[Chunk, int, datetime]]:
    """Every chunk in the buckets, by listing them whole.

    Args:
        buckets: of Loki.
        now: of the listing.
        before: only chunks that end before this moment, in Unix milliseconds; most cost little then.

    Yields:
        A chunk, its size in bytes, and when it was uploaded; in no order.
    """
    now_ms = milliseconds(now)
    before = now_ms + 3 * DAY_MS if before is None else before  # later ones are none
    hidden = ([(item.key, item.size, item.modified)] for item in buckets.hidden(""))
    for some in chain(buckets.streams(), hidden):
        for key, size, modified in some:
            if may_end_before(key, before) and (chunk := parse_chunk(key, now_ms)) is not None:
                yield chunk, size, modified


def dangling(look: Look, tables: list[Table]) -> tuple[int, list[str], list[str]]:
    """References of two retained tables, the oldest and the newest complete one, whose chunks are missing.

    Returns:
        How many references were looked at, the keys that are not in the bucket, and sentences about files
        that cannot be read.
    """
    first, today = look.cutoffs.default // DAY_MS, milliseconds(look.now) // DAY_MS
    retained = [table for table in tables if first <= table.number < today]
    looked, missing, unreadable = 0, set[str](), []
    for table in {table.name: table for table in (*retained[:1], *retained[-1:])}.values():
        looker = Looker(look.buckets)
        with opened(look, table, retained=True) as contents:
            unreadable += contents.unreadable
            names = (
                chunk.key
                for group in contents.groups
                if not group.unreadable
                for chunk, _ in group.named(look.layout.periods)
            )
            for some in slices(names, 1000):
                there = looker.locate(some)
                looked += len(some)
                missing |= set(some) - {key for found in there.values() for key in found}
    return looked, sorted(missing), unreadable


def slices(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """So many at a time."""
    some: list[str] = []
    for item in items:
        some.append(item)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def oldest_of(chunks: Iterable[Chunk]) -> datetime | None:
    """The earliest start."""
    start = min((chunk.start for chunk in chunks), default=None)
    return None if start is None else instant(start)


def newest_of(chunks: Iterable[Chunk]) -> datetime | None:
    """The latest end."""
    end = max((chunk.end for chunk in chunks), default=None)
    return None if end is None else instant(end)
