"""Loki's object keys: strictly parsed, strictly bounded; whatever does not match is nobody's business. Pure.

Sources: Loki documentation, "Storage" and "Architecture"; observed keys of Loki 3.4 (captured buckets of the
tests). Times are Unix milliseconds; both bounds of a chunk are inclusive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

DAY_MS = 86_400_000
#: no chunk of a log system is older
_EARLIEST_MS = 1_262_304_000_000  # 2010-01-01
_LATEST_MS = 1 << 63
_TENANT = r"[A-Za-z0-9!_.*'()-]{1,150}"
_HEX = r"[0-9a-f]"
_NEW = re.compile(rf"({_TENANT})/({_HEX}{{1,16}})/({_HEX}{{1,16}}):({_HEX}{{1,16}}):({_HEX}{{1,8}})")
_OLD = re.compile(rf"({_TENANT})/({_HEX}{{1,16}}):({_HEX}{{1,16}}):({_HEX}{{1,16}}):({_HEX}{{1,8}})")
_LIKE = re.compile(rf"(/|^)({_HEX}{{1,16}}[/:])?{_HEX}{{8,16}}:{_HEX}{{8,16}}:{_HEX}{{1,8}}$")
_NUMBER = re.compile(r"[0-9]{5}")
_TSDB_SHARED = re.compile(r"[0-9]+-.+\.tsdb\.gz")
_TSDB_TENANT = re.compile(r"[0-9]+-compactor-[0-9]+-[0-9]+-[0-9a-f]{1,8}\.tsdb\.gz")
_BOLT = re.compile(r"(compactor-[0-9]+(\.r)?|.+-[0-9]+-[0-9]+|[0-9]+)\.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One chunk, by its key.

    Args:
        tenant: whose.
        fingerprint: of its stream.
        start, end: Unix milliseconds, inclusive.
        checksum: CRC-32C of the object.
        new: key form of schemas from v12 on.
    """

    tenant: str
    fingerprint: int
    start: int
    end: int
    checksum: int
    new: bool

    @property
    def key(self) -> str:
        """As Loki writes it: hexadecimal, never padded."""
        middle = "/" if self.new else ":"
        return f"{self.tenant}/{self.fingerprint:x}{middle}{self.start:x}:{self.end:x}:{self.checksum:x}"

    @property
    def days(self) -> range:
        """The numbers of the daily tables that may refer to it."""
        return range(self.start // DAY_MS, self.end // DAY_MS + 1)


def parse_chunk(key: str, now_ms: int) -> Chunk | None:
    """The chunk that a key names, or ``None`` for anything else.

    Args:
        key: without the object prefix, with colons.
        now_ms: a chunk that ends more than two days after it is none.
    """
    match = _NEW.fullmatch(key)
    new = match is not None
    match = match or _OLD.fullmatch(key)
    if match is None or match[1] in {".", ".."}:
        return None
    numbers = [int(part, 16) for part in match.groups()[1:]]
    chunk = Chunk(
        tenant=match[1],
        fingerprint=numbers[0],
        start=numbers[1],
        end=numbers[2],
        checksum=numbers[3],
        new=new,
    )
    # Padded or otherwise unusual numbers would come back as another key: not one of Loki's.
    known = _EARLIEST_MS <= chunk.start <= chunk.end <= now_ms + 2 * DAY_MS and chunk.key == key
    return chunk if known else None


def may_end_before(key: str, moment_ms: int) -> bool:
    """Whether a key, if it is a chunk's, is of one that ends before a moment: most keys of a bucket are not.

    Much cheaper than :func:`parse_chunk`, which has the last word.
    """
    parts = key.rsplit(":", 2)
    try:
        return int(parts[1], 16) < moment_ms
    except (ValueError, IndexError):
        return False


def is_bounded(chunk: Chunk) -> bool:
    """Whether a chunk that an index file names has a key that :func:`parse_chunk` would read back."""
    return is_tenant(chunk.tenant) and _EARLIEST_MS <= chunk.start <= chunk.end < _LATEST_MS


@lru_cache(maxsize=4096)
def is_tenant(name: str) -> bool:
    """Whether Loki would take this for a tenant today; older releases took other characters, too."""
    return re.fullmatch(_TENANT, name) is not None and name not in {".", ".."}


def looks_like_chunk(key: str) -> bool:
    """Whether a key ends like a chunk's, whatever its tenant is called."""
    return _LIKE.search(key) is not None


def is_fingerprint(name: str) -> bool:
    """Whether a directory is named like a stream."""
    return re.fullmatch(rf"{_HEX}{{1,16}}", name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A schema period: from one day on, until the next one begins.

    Args:
        start: number of its first day since 1970.
        store: ``tsdb`` or ``boltdb-shipper``.
        new_keys: whether chunks that start in it have keys of the new form (schema v12 and later).
        prefix: of its table names: ``index_``.
    """

    start: int
    store: str
    new_keys: bool
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A daily index table."""

    name: str
    number: int
    period: Period


def parse_table(name: str, periods: tuple[Period, ...]) -> Table | None:
    """The table of a directory below the index prefix; ``None`` when no period gave it that name."""
    for period in periods:
        rest = name.removeprefix(period.prefix)
        if name.startswith(period.prefix) and _NUMBER.fullmatch(rest):
            number = int(rest)
            if period_of(number, periods) == period:
                return Table(name=name, number=number, period=period)
    return None


def period_of(day: int, periods: tuple[Period, ...]) -> Period:
    """The period that contains a day; the first one also for days before it."""
    begun = [period for period in periods if period.start <= day]
    return max(begun, key=lambda period: period.start) if begun else periods[0]


def has_new_key(day: int, periods: tuple[Period, ...]) -> bool:
    """Whether a chunk that starts on a day has a key of the new form; before the first period none has."""
    return day >= periods[0].start and period_of(day, periods).new_keys


def is_index_file(table: Table, rest: str) -> bool:
    """Whether ``rest``, the key below the table's directory, is an index file of the table's store."""
    tenant, _, name = rest.rpartition("/")
    return (not tenant or is_tenant(tenant)) and is_index_name(table, name, own=bool(tenant))


def is_index_name(table: Table, name: str, *, own: bool = True) -> bool:
    """Whether a file of the table is called like an index file: a tenant's own, or one that tenants share."""
    if table.period.store == "boltdb-shipper":
        return _BOLT.fullmatch(name) is not None
    return (_TSDB_TENANT if own else _TSDB_SHARED).fullmatch(name) is not None


def instant(milliseconds: int) -> datetime:
    """Unix milliseconds as an aware instant, exactly."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def milliseconds(moment: datetime) -> int:
    """The inverse, floored."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
