"""What has expired in Loki's buckets: expired index tables, the chunks that they name, and what keeps them.

The cutoff is the start of a UTC day, so it never lies inside a daily table. A chunk is referred to by the
tables of the days that it touches, and by none later than the day of its end. So chunks that end before
the cutoff are referred to by expired tables only, and nothing that is kept loses a line. What must stay
(a held chunk, an index file that cannot be read) keeps the index files that name it, and these keep
everything else that they name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from luxima_retention.plan import Hold
from luxima_retention.stores.loki.bucket import Buckets, Object
from luxima_retention.stores.loki.condemned import Condemned
from luxima_retention.stores.loki.keys import (
    DAY_MS,
    Chunk,
    Period,
    Table,
    instant,
    is_index_file,
    milliseconds,
    parse_chunk,
    parse_table,
    period_of,
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
class Scan:
    """Everything that one look at the index found.

    Args:
        removable: groups that go, oldest table first.
        kept: groups that would go, were it not for a hold or an unreadable file.
        condemned: table name → chunks that go with it, each once.
        due: lists whose chunks may be destroyed now.
        waiting: lists whose time has not come.
        held: chunks past the cutoff that a hold keeps, directly or through its index file.
        unreadable: sentences.
        foreign: keys in expired tables, and directories beside tables, that nobody knows.
        tables: numbers of all tables, in order.
    """

    removable: list[Group] = field(default_factory=list)
    kept: list[Group] = field(default_factory=list)
    condemned: dict[str, dict[str, tuple[Chunk, int]]] = field(default_factory=dict)
    due: list[Condemned] = field(default_factory=list)
    waiting: list[Condemned] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
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
    _judge_lists(found, lists, look.now)
    _condemn(found, look, {key for item in lists for key in item.keys})
    return found


def _groups(look: Look, found: Scan) -> Iterator[Group]:
    """The groups of every expired table, oldest first."""
    path, tables = look.layout.index_path, []
    for name in look.buckets.directories(path):
        table = parse_table(name, look.layout.periods)
        if table is None:
            found.foreign += [] if name == "delete_requests" else [f"{path}{name}/"]
        else:
            tables.append(table)
    found.tables = sorted(table.number for table in tables)
    for table in sorted(tables, key=lambda table: (table.number, table.name)):
        if table.number < look.cutoffs.default // DAY_MS:
            yield from _groups_of(look, table, found)


def _groups_of(look: Look, table: Table, found: Scan, *, retained: bool = False) -> Iterator[Group]:
    """One table: shared files go when its day has passed for every tenant, a tenant's own when for him."""
    prefix = f"{look.layout.index_path}{table.name}/"
    files: dict[str | None, list[Object]] = {}
    for item in look.buckets.objects(prefix):
        rest = item.key.removeprefix(prefix)
        if is_index_file(table, rest):
            files.setdefault(rest.rpartition("/")[0] or None, []).append(item)
        else:
            found.foreign.append(item.key)
    for_all = table.number < look.cutoffs.longest // DAY_MS
    if None in files and not for_all and not retained:
        return
    for tenant, items in sorted(files.items(), key=lambda pair: pair[0] or ""):
        if retained or tenant is None or table.number < look.cutoffs.of(tenant) // DAY_MS:
            yield Group(table=table, tenant=tenant, files=items)


def _read(look: Look, group: Group) -> None:
    """Fill in what a group refers to, and whether a hold keeps any of it."""
    if group.table.period.store == "boltdb-shipper":
        day = group.table.number * DAY_MS
        group.held = any(_covers(hold, group.tenant, day, day + DAY_MS - 1) for hold in look.holds)
        return
    for item in group.files:
        try:
            for reference in read_index(look.buckets.read(item), item.key):
                chunk = _chunk(reference, group, look.layout.periods, item.key)
                group.chunks[chunk.key] = (chunk, reference.kib)
        except UnreadableIndexError as error:
            group.unreadable.append(error.message)
    group.held = any(is_held(chunk, look.holds) for chunk, _ in group.chunks.values())


def _chunk(reference: Reference, group: Group, periods: tuple[Period, ...], name: str) -> Chunk:
    """The chunk of a reference, whose day must be that of its table."""
    tenant = reference.tenant or group.tenant
    if tenant is None:
        raise UnreadableIndexError(f"index file {name} does not say whose its chunks are")
    chunk = Chunk(
        tenant=tenant,
        fingerprint=reference.fingerprint,
        start=reference.start,
        end=reference.end,
        checksum=reference.checksum,
        new=period_of(reference.start // DAY_MS, periods).new_keys,
    )
    if group.table.number not in chunk.days:
        raise UnreadableIndexError(f"index file {name} names {chunk.key}, which is of another day")
    return chunk


def _covers(hold: Hold, tenant: str | None, start: int, end: int) -> bool:
    """Whether a hold keeps what a tenant logged between two instants, both inclusive."""
    return (
        (hold.tenant is None or tenant is None or hold.tenant == tenant)
        and (hold.key_prefix is None)
        and (hold.start is None or end >= milliseconds(hold.start))
        and (hold.end is None or start < milliseconds(hold.end))
    )


def is_held(chunk: Chunk, holds: Iterable[Hold]) -> bool:
    """Whether a hold keeps a chunk."""
    return any(_covers(hold, chunk.tenant, chunk.start, chunk.end) for hold in holds)


def _judge_lists(found: Scan, lists: Iterable[Condemned], now: datetime) -> None:
    """A list is due once its time has come and no expired table that it may be named by has come back."""
    back = min((group.table.number for group in found.removable), default=None)
    for item in lists:
        returned = back is not None and back < item.day
        (found.waiting if item.due > now or returned else found.due).append(item)


def _condemn(found: Scan, look: Look, listed: set[str]) -> None:
    """Name the chunks that go with the removable tables, each with the first of them."""
    stays = {key for group in found.kept for key in group.chunks}
    blocked = blocked_days(found)
    found.held = {
        key
        for group in found.kept
        if group.held
        for key, (chunk, _) in group.chunks.items()
        if chunk.end < look.cutoffs.of(chunk.tenant)
    }
    taken = stays | listed

    def free(chunk: Chunk) -> bool:
        past = chunk.end < look.cutoffs.of(chunk.tenant)
        return past and chunk.key not in taken and not blocked.intersection(chunk.days)

    for group in found.removable:
        going = {key: pair for key, pair in group.chunks.items() if free(pair[0])}
        found.condemned.setdefault(group.table.name, {}).update(going)
        taken |= going.keys()
    bolts = [group for group in found.removable if group.table.period.store == "boltdb-shipper"]
    if bolts:
        listing = all_chunks(look.buckets, look.now)
        found.condemned[bolts[-1].table.name].update(
            {
                chunk.key: (chunk, size // 1024)
                for chunk, size in listing
                if free(chunk) and not is_held(chunk, look.holds)
            }
        )


def dangling(look: Look, found: Scan) -> tuple[int, list[str]]:
    """References of two retained tables, the oldest and the newest complete one, whose chunks are missing.

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
        named |= group.chunks.keys()
    streams = {key[: key.rfind("/") + 1] for key in named}
    present = {item.key for stream in sorted(streams) for item in look.buckets.objects(stream)}
    return len(named), sorted(named - present)


def blocked_days(found: Scan) -> set[int]:
    """Days whose kept tables were not read whole: any chunk of theirs may be named there."""
    return {group.table.number for group in found.kept if group.unreadable or not group.chunks}


def all_chunks(buckets: Buckets, now: datetime) -> Iterator[tuple[Chunk, int]]:
    """Every chunk in the buckets, by listing them whole, with its size in bytes."""
    for item in buckets.objects(""):
        chunk = parse_chunk(item.key, milliseconds(now))
        if chunk is not None:
            yield chunk, item.size


def oldest_of(chunks: Iterable[Chunk]) -> datetime | None:
    """The earliest start."""
    start = min((chunk.start for chunk in chunks), default=None)
    return None if start is None else instant(start)


def newest_of(chunks: Iterable[Chunk]) -> datetime | None:
    """The latest end."""
    end = max((chunk.end for chunk in chunks), default=None)
    return None if end is None else instant(end)
