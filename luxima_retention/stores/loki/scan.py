"""What has expired in Loki's buckets: expired index tables, the chunks that they name, and what keeps them.

The cutoff is the start of a UTC day, so it never lies inside a daily table. A chunk is referred to by the
tables of the days that it touches, and by none later than the day of its end. So chunks that end before
the cutoff are referred to by expired tables only, and nothing that is kept loses a line. What must stay
(a held chunk, an index file that cannot be read) keeps the index files that name it, and these keep
everything else that they name. A chunk that a list names, and now a table that came back, is condemned
anew with that table: its grace period begins when the last table that names it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain

from luxima_retention.core.plan import Hold
from luxima_retention.stores.loki.bucket import Buckets, Object
from luxima_retention.stores.loki.condemned import Condemned
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
    milliseconds,
    parse_chunk,
    parse_table,
)
from luxima_retention.stores.loki.tsdb_index import Reference, UnreadableIndexError
from luxima_retention.stores.loki.tsdb_index import read as read_index


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How Loki was configured to write.

    Args:
        index_path: ``index/``.
        periods: of the schema, in their order.
        tenant_days: tenants that keep longer, in days.
    """

    index_path: str
    periods: tuple[Period, ...]
    tenant_days: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Group:
    """The index files of one table that go together: one tenant's, or those that tenants share (``None``).

    Args:
        chunks: what they refer to; empty for boltdb-shipper, whose files are not read.
        unreadable: sentences about files that could not be read.
    """

    table: Table
    tenant: str | None
    files: list[Object]
    chunks: dict[str, tuple[Chunk, int]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    held: bool = False


@dataclass(slots=True, kw_only=True)
class Judged:
    """A list of condemned chunks, and what may be done about it now.

    Args:
        item: the list.
        due: chunks that may be destroyed.
        waiting: chunks whose time has not come.
        rest: what must stay on the list besides, because it is held, may still be named, or has not
            expired under the periods of today.
        fresh: those of ``rest`` that have not expired.
    """

    item: Condemned
    due: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Scan:
    """Everything that one look at the index found.

    Args:
        removable: groups that go, oldest table first.
        kept: groups that would go, were it not for a hold or an unreadable file.
        sharing: numbers of expired tables whose shared files wait for the longest period of a tenant.
        unknown: numbers of expired tables that no period named: they keep what only a listing finds.
        condemned: table name → chunks that go with it, each once.
        lists: every list, oldest first, and what may be done about it now.
        held: chunks past the cutoff that a hold keeps, directly or through its index file.
        stuck: listed chunks whose time has come, and that a kept index file may name.
        unreadable: sentences.
        foreign: keys in expired tables, and directories beside tables, that nobody knows.
        tables: numbers of all tables, in order.
    """

    removable: list[Group] = field(default_factory=list)
    kept: list[Group] = field(default_factory=list)
    sharing: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    condemned: dict[str, dict[str, tuple[Chunk, int]]] = field(default_factory=dict)
    lists: list[Judged] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)

    @property
    def index_files(self) -> int:
        """Objects of the index that go."""
        return sum(len(group.files) for group in self.removable)

    @property
    def chunks(self) -> int:
        """Chunks that are condemned now."""
        return sum(len(chunks) for chunks in self.condemned.values())

    @property
    def due(self) -> list[str]:
        """Listed chunks that may be destroyed now."""
        return [key for judged in self.lists for key in judged.due]

    @property
    def named(self) -> set[str]:
        """Every chunk that a list or an index file of an expired table names."""
        groups = {key for group in (*self.removable, *self.kept) for key in group.chunks}
        return groups.union(*(judged.item.keys for judged in self.lists))

    @property
    def blocked(self) -> set[int]:
        """Days of kept tables that were not read whole: any chunk of theirs may be named there."""
        unread = {group.table.number for group in self.kept if group.unreadable or not group.chunks}
        return unread | self.sharing


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at the index needs to know."""

    buckets: Buckets
    layout: Layout
    cutoffs: Cutoffs
    holds: tuple[Hold, ...]
    now: datetime


def scan(look: Look, lists: Iterable[Condemned]) -> Scan:
    """Look at every table, read the expired ones, and decide what goes.

    Raises:
        StoreError: a listing or a request failed; an unreadable index file is a finding instead.
    """
    found = Scan()
    for group in _groups(look, found):
        _read(look, group)
        (found.kept if group.held or group.unreadable else found.removable).append(group)
        found.unreadable += group.unreadable
    lists = list(lists)
    _condemn(found, look, {key for item in lists for key in item.keys})
    _judge_lists(found, look, lists)
    return found


def _groups(look: Look, found: Scan) -> Iterator[Group]:
    """The groups of every expired table, oldest first."""
    path, tables = look.layout.index_path, []
    for name in look.buckets.directories(path):
        table = parse_table(name, look.layout.periods)
        if table is None:
            _foreign_directory(look, name, found)
        else:
            tables.append(table)
    # A table of the day after tomorrow is nobody's yet, and would hide that nothing is written any more.
    found.tables = sorted(
        table.number for table in tables if table.number <= milliseconds(look.now) // DAY_MS + 1
    )
    for table in sorted(tables, key=lambda table: (table.number, table.name)):
        if table.number < look.cutoffs.default // DAY_MS:
            yield from _groups_of(look, table, found)


def table_of(key: str, layout: Layout) -> int | None:
    """The number of the table to which an index file belongs; ``None`` for any other key."""
    name, _, rest = key.removeprefix(layout.index_path).partition("/")
    table = parse_table(name, layout.periods) if key.startswith(layout.index_path) else None
    return table.number if table is not None and is_index_file(table, rest) else None


def _foreign_directory(look: Look, name: str, found: Scan) -> None:
    """A table that no period named may be Loki's all the same.

    A tenant that is called like the index path has streams there, by their fingerprints.
    """
    if name == "delete_requests" or is_fingerprint(name):
        return
    found.foreign.append(f"{look.layout.index_path}{name}/")
    if name[-5:].isdecimal() and int(name[-5:]) < look.cutoffs.default // DAY_MS:
        found.unknown.add(int(name[-5:]))


def _groups_of(look: Look, table: Table, found: Scan, *, retained: bool = False) -> Iterator[Group]:
    """One table: shared files go when its day has passed for every tenant, a tenant's own when for him."""
    prefix = f"{look.layout.index_path}{table.name}/"
    files: dict[str | None, list[Object]] = {}
    hidden = () if retained else look.buckets.hidden(prefix)
    for item in chain(look.buckets.objects(prefix), hidden):
        rest = item.key.removeprefix(prefix)
        if is_index_file(table, rest):
            files.setdefault(rest.rpartition("/")[0] or None, []).append(item)
        else:
            found.foreign.append(item.key)
    for_all = table.number < look.cutoffs.longest // DAY_MS
    if None in files and not for_all and not retained:
        found.sharing.add(table.number)
        return
    for tenant, items in sorted(files.items(), key=lambda pair: pair[0] or ""):
        if retained or tenant is None or table.number < look.cutoffs.of(tenant) // DAY_MS:
            yield Group(table=table, tenant=tenant, files=items)


def _read(look: Look, group: Group) -> None:
    """Fill in what a group refers to, and whether a hold keeps any of it."""
    if group.table.period.store == "boltdb-shipper":
        group.held = is_group_held(group, look.holds)
        return
    for item in group.files:
        if item.hidden:
            continue  # no reader of Loki sees it
        try:
            for reference in read_index(look.buckets.read(item), item.key):
                chunk = _chunk(reference, group, look.layout.periods, item.key)
                group.chunks[chunk.key] = (chunk, reference.kib)
        except UnreadableIndexError as error:
            group.unreadable.append(error.message)
    group.held = is_group_held(group, look.holds)


def _chunk(reference: Reference, group: Group, periods: tuple[Period, ...], name: str) -> Chunk:
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
        new=has_new_key(reference.start // DAY_MS, periods),
    )
    if not is_bounded(chunk):
        raise UnreadableIndexError(f"index file {name} names {chunk.key!r}, which is no key of a chunk")
    if group.table.number not in chunk.days:
        raise UnreadableIndexError(f"index file {name} names {chunk.key}, which is of another day")
    return chunk


def is_group_held(group: Group, holds: Iterable[Hold]) -> bool:
    """Whether a hold keeps anything that a group's index files name; of a file that is not read, its day."""
    if group.table.period.store == "boltdb-shipper":
        day = group.table.number * DAY_MS
        return any(_covers(hold, group.tenant, day, day + DAY_MS - 1) for hold in holds)
    return any(is_held(chunk, holds) for chunk, _ in group.chunks.values())


def _covers(hold: Hold, tenant: str | None, start: int, end: int) -> bool:
    """Whether a hold keeps what a tenant logged between two instants, both inclusive."""
    return (
        (hold.tenant is None or tenant is None or hold.tenant == tenant)
        and (hold.start is None or end >= milliseconds(hold.start))
        and (hold.end is None or start < milliseconds(hold.end))
    )


def is_held(chunk: Chunk, holds: Iterable[Hold]) -> bool:
    """Whether a hold keeps a chunk."""
    return any(_covers(hold, chunk.tenant, chunk.start, chunk.end) for hold in holds)


def _condemn(found: Scan, look: Look, listed: set[str]) -> None:
    """Name the chunks that go with the removable tables, each with the first of them."""
    taken = {key for group in found.kept for key in group.chunks}
    blocked = found.blocked
    found.held = {
        key
        for group in found.kept
        if group.held
        for key, (chunk, _) in group.chunks.items()
        if chunk.end < look.cutoffs.of(chunk.tenant)
    }

    def free(chunk: Chunk) -> bool:
        past = chunk.end < look.cutoffs.of(chunk.tenant)
        return past and chunk.key not in taken and blocked.isdisjoint(chunk.days)

    for group in found.removable:
        going = {key: pair for key, pair in group.chunks.items() if free(pair[0])}
        found.condemned.setdefault(group.table.name, {}).update(going)
        taken |= going.keys()
    bolts = [group.table for group in found.removable if group.table.period.store == "boltdb-shipper"]
    if bolts:
        days = {table.number for table in bolts}
        found.condemned[bolts[-1].name].update(
            (chunk.key, (chunk, size // 1024))
            for chunk, size, _ in all_chunks(look.buckets, look.now)
            if free(chunk)
            and not is_held(chunk, look.holds)
            and found.unknown.isdisjoint(chunk.days)
            and (chunk.key not in listed or not days.isdisjoint(chunk.days))
        )


def _judge_lists(found: Scan, look: Look, lists: list[Condemned]) -> None:
    """What of the lists is due: each chunk counts with the latest list that names it."""
    again = {key for going in found.condemned.values() for key in going}
    named = {key for group in found.kept for key in group.chunks}
    blocked, now = found.blocked, milliseconds(look.now)
    latest = {key: item for item in sorted(lists, key=lambda item: item.due) for key in item.keys}

    def may_be_named(chunk: Chunk) -> bool:
        return chunk.key in named or not blocked.isdisjoint(chunk.days)

    for item in lists:
        judged = Judged(item=item)
        found.lists.append(judged)
        for key in item.keys:
            chunk = parse_chunk(key, now)
            if chunk is not None and latest[key] is item and key not in again:
                _judge(judged, chunk, found, look, may_be_named)
    found.stuck -= found.held


def _judge(
    judged: Judged, chunk: Chunk, found: Scan, look: Look, may_be_named: Callable[[Chunk], bool]
) -> None:
    """Sort one chunk of a list."""
    if chunk.end >= look.cutoffs.of(chunk.tenant):
        judged.rest.append(chunk.key)
        judged.fresh.append(chunk.key)
    elif is_held(chunk, look.holds):
        judged.rest.append(chunk.key)
        found.held.add(chunk.key)
    elif judged.item.due > look.now:
        judged.waiting.append(chunk.key)
    elif may_be_named(chunk):
        judged.rest.append(chunk.key)
        found.stuck.add(chunk.key)
    else:
        judged.due.append(chunk.key)


def dangling(look: Look, found: Scan) -> tuple[int, list[str]]:
    """References of two retained tables, the oldest and the newest complete one, whose chunks are missing.

    A file of theirs that cannot be read is added to what was found unreadable.

    Returns:
        How many references were looked at, and the keys that are not in the bucket.
    """
    first = look.cutoffs.default // DAY_MS
    today = milliseconds(look.now) // DAY_MS
    retained = [number for number in found.tables if first <= number < today]
    groups = (
        group
        for name in look.buckets.directories(look.layout.index_path)
        if (table := parse_table(name, look.layout.periods))
        and table.number in {*retained[:1], *retained[-1:]}
        for group in _groups_of(look, table, Scan(), retained=True)
    )
    named: set[str] = set()
    for group in groups:
        _read(look, group)
        found.unreadable += group.unreadable
        named |= group.chunks.keys()
    streams = {key[: key.rfind("/") + 1] for key in named}
    present = {item.key for stream in sorted(streams) for item in look.buckets.objects(stream)}
    return len(named), sorted(named - present)


def all_chunks(buckets: Buckets, now: datetime) -> Iterator[tuple[Chunk, int, datetime]]:
    """Every chunk in the buckets, by listing them whole: its size in bytes, and when it was uploaded."""
    for item in chain(buckets.objects(""), buckets.hidden("")):
        chunk = parse_chunk(item.key, milliseconds(now))
        if chunk is not None:
            yield chunk, item.size, item.modified


def oldest_of(chunks: Iterable[Chunk]) -> datetime | None:
    """The earliest start."""
    start = min((chunk.start for chunk in chunks), default=None)
    return None if start is None else instant(start)


def newest_of(chunks: Iterable[Chunk]) -> datetime | None:
    """The latest end."""
    end = max((chunk.end for chunk in chunks), default=None)
    return None if end is None else instant(end)
