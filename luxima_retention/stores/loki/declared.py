"""What Loki says of its own storage and limits, and whether the settings agree. Pure, but for the reading.

Sources: Loki documentation, "Configuration" (schema_config, storage_config, named stores, limits_config) and
"HTTP API" (``/config``, ``/config/tenant/v1/limits`` since 3.6); ``/runtime_config`` as in Mimir.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from luxima_retention.core.durations import go_seconds
from luxima_retention.core.errors import StoreError

#: schemas whose keys are known
_SCHEMAS = range(9, 15)
#: longer than anything is kept, and short enough for the calendar
FOR_EVER = timedelta(days=36_500)


def duration(text: str) -> timedelta:
    """``720h``, ``30d``, ``1h30m``, ``22.5s`` as Loki prints them.

    Raises:
        StoreError: it is none.
    """
    try:
        return timedelta(seconds=go_seconds(text))
    except ValueError as error:
        raise StoreError(f"Loki prints a duration that cannot be read: {error}") from None


# --- storage ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredPeriod:
    """An entry of Loki's ``schema_config``."""

    start: date
    store: str
    schema_version: int
    prefix: str
    index_path: str
    days: float
    buckets: tuple[str, ...]

    def told(self) -> str:
        """For people."""
        return f"from {self.start}: {self.store} v{self.schema_version} {self.prefix!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Where and how Loki writes.

    Args:
        periods: in their order.
        object_prefix: without slashes at its ends.
        chunk_delimiter: what stands for colons.
        elsewhere: object stores of periods whose buckets are not known here.
    """

    periods: tuple[DeclaredPeriod, ...]
    object_prefix: str
    chunk_delimiter: str
    elsewhere: tuple[str, ...] = ()

    @property
    def buckets(self) -> tuple[str, ...]:
        """Of all periods."""
        return tuple(dict.fromkeys(name for period in self.periods for name in period.buckets))


def storage_of(config: Mapping[str, Any]) -> Declared:
    """Read ``/config``.

    Raises:
        StoreError: it is not Loki's, or in a form that is not known here.
    """
    try:
        storage = config.get("storage_config") or {}
        thanos = bool(storage.get("use_thanos_objstore"))
        elsewhere: list[str] = []
        periods = tuple(
            _period(item, storage, thanos, elsewhere) for item in config["schema_config"]["configs"]
        )
        prefix = (
            (storage.get("object_store") or {}).get("storage_prefix")
            if thanos
            else storage.get("object_prefix")
        )
        aws = storage.get("aws") or {}
        return Declared(
            periods=(periods[0], *periods[1:]),  # an empty schema is none
            object_prefix=str(prefix or "").strip("/"),
            chunk_delimiter=":" if thanos else str(aws.get("chunk_delimiter") or ":"),
            elsewhere=tuple(elsewhere),
        )
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(
            f"Loki's /config does not tell its schema in a form that is known here: {error!r}",
            "check that url is Loki's own address",
        ) from error


def _period(
    item: Mapping[str, Any], storage: Mapping[str, Any], thanos: bool, elsewhere: list[str]
) -> DeclaredPeriod:
    index = item.get("index") or {}
    kind = str(item["object_store"])
    buckets = _buckets_of(kind, storage, thanos)
    if not buckets:
        elsewhere.append(kind)
    path = index.get("path_prefix", "index/")
    return DeclaredPeriod(
        start=date.fromisoformat(str(item["from"])[:10]),
        store=str(item["store"]),
        schema_version=int(str(item["schema"]).removeprefix("v")),
        prefix=str(index.get("prefix", "")),
        index_path=str(path),
        days=duration(str(index.get("period", "0s"))) / timedelta(days=1),
        buckets=buckets,
    )


def _buckets_of(kind: str, storage: Mapping[str, Any], thanos: bool) -> tuple[str, ...]:
    """The buckets of an object store that speaks S3: by its kind, or by the name of a named store."""
    kinds = {"s3": "aws"}.get(kind, kind)
    if thanos:
        return _thanos_buckets(kind, storage.get("object_store") or {})
    for family, stores in (storage.get("named_stores") or {}).items():
        if isinstance(stores, Mapping) and kind in stores:
            return _names(family, stores[kind] or {})
    return _names(kinds, storage.get(kinds) or {})


def _names(family: str, store: Mapping[str, Any]) -> tuple[str, ...]:
    if family == "aws":
        names = str(store.get("bucketnames") or "") or _bucket_of_url(str(store.get("s3") or ""))
        return tuple(filter(None, names.split(",")))
    member = {"gcs": "bucket_name", "cos": "bucketnames", "alibabacloud": "bucket", "bos": "bucket_name"}.get(
        family
    )
    return tuple(filter(None, str(store.get(member) or "").split(","))) if member else ()


def _bucket_of_url(url: str) -> str:
    """``s3://key:secret@host/bucket``; ``s3://region/bucket``."""
    return url.partition("://")[2].partition("/")[2]


def _thanos_buckets(kind: str, store: Mapping[str, Any]) -> tuple[str, ...]:
    family = {"aws": "s3"}.get(kind, kind)
    for members in (store.get("named_stores") or {}).values():
        if isinstance(members, Mapping) and kind in members:
            return _one((members[kind] or {}).get("bucket_name") or (members[kind] or {}).get("bucket"))
    found = store.get(family) or {}
    return _one(found.get("bucket_name") or found.get("bucket")) if family in _SPEAK_S3 else ()


def _one(name: Any) -> tuple[str, ...]:
    return (str(name),) if name else ()


_SPEAK_S3 = frozenset({"s3", "gcs", "cos", "oss", "bos", "alibabacloud"})


# --- limits ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How long Loki keeps what one tenant, or anybody else, writes.

    Args:
        period: ``retention_period``; zero says nothing, or keeps for ever, see :meth:`longest`.
        streams: periods of ``retention_stream``.
    """

    period: timedelta
    streams: tuple[timedelta, ...] = ()

    def longest(self) -> timedelta:
        """The longest of them; zero is for ever."""
        return max((item or FOR_EVER for item in (self.period, *self.streams)), default=FOR_EVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """Every limit of a Loki.

    Args:
        everybody: of tenants without overrides.
        tenants: overrides.
        untold: why overrides, that may exist, are not known; empty where they are.
    """

    everybody: Limit
    tenants: Mapping[str, Limit] = field(default_factory=dict)
    untold: str = ""

    def of(self, tenant: str) -> Limit:
        """What applies to a tenant."""
        return self.tenants.get(tenant, self.everybody)

    def longer(self, retention_days: int) -> dict[str, int]:
        """Tenants to whom more than so many days are promised, and how many.

        A period of zero that Loki's default has as well says nothing: nobody has asked for it.
        """
        found: dict[str, int] = {}
        for tenant, limit in self.tenants.items():
            named = [*limit.streams]
            if limit.period != self.everybody.period or limit.period:
                named.append(limit.period)
            longest = max((item or FOR_EVER for item in named), default=timedelta())
            if longest > timedelta(days=retention_days):
                found[tenant] = -(-longest // timedelta(days=1))
        return found


def limit_of(limits: Mapping[str, Any], base: Limit | None = None) -> Limit:
    """A tenant's or the general limits, in the form that all of Loki's pages have.

    Args:
        limits: what is told; what is missing is as in ``base``.
        base: of everybody.

    Raises:
        StoreError: a duration is none, or the limits are in another form.
    """
    base = base or Limit(period=timedelta())
    try:
        period, rules = limits.get("retention_period"), limits.get("retention_stream")
        streams = [str(rule["period"]) for rule in rules] if rules is not None else None
    except (LookupError, TypeError, AttributeError) as error:
        raise StoreError(f"Loki tells limits in a form that is not known here: {error!r}") from error
    return Limit(
        period=duration(str(period)) if period is not None else base.period,
        streams=tuple(map(duration, streams)) if streams is not None else base.streams,
    )


def overrides_of(loaded: object, base: Limit) -> dict[str, Limit] | None:
    """The overrides that ``/runtime_config`` tells; ``None`` where it tells none."""
    if not isinstance(loaded, Mapping):
        return None
    found = loaded.get("overrides") or {}
    if not isinstance(found, Mapping):
        raise StoreError("Loki tells overrides in a form that is not known here")
    return {str(tenant): limit_of(limits, base) for tenant, limits in found.items() if limits}


# --- the settings ----------------------------------------------------------------------------------------


def differences(declared: Declared, stated: Mapping[str, Any]) -> Iterator[str]:
    """Where settings that were given contradict Loki, in words.

    Args:
        declared: by Loki.
        stated: name of a setting → its value, for those that were given: ``buckets``, ``object_prefix``,
            ``chunk_delimiter``, ``index_path``, ``periods`` (as sentences).
    """
    if declared.elsewhere:
        stores = ", ".join(sorted(set(declared.elsewhere)))
        yield f"Loki keeps periods in {stores}, whose buckets are not known here"
    paths = {period.index_path for period in declared.periods}
    odd = [period for period in declared.periods if period.days != 1]
    if odd:
        yield f"Loki's index tables from {odd[0].start} are of {odd[0].days:g} days; only 1 is supported"
    unknown = sorted({period.store for period in declared.periods} - {"tsdb", "boltdb-shipper"})
    if unknown:
        yield f"Loki's index is in {', '.join(unknown)}; only tsdb and boltdb-shipper are supported"
    versions = sorted({period.schema_version for period in declared.periods} - set(_SCHEMAS))
    if versions:
        yield f"Loki's schema v{versions[-1]} is not known here; known are v{_SCHEMAS[0]} to v{_SCHEMAS[-1]}"
    if not all(period.prefix for period in declared.periods):
        yield "a period of Loki's has no index prefix; that is not supported"
    if len(paths) > 1:
        yield f"Loki's periods have several path_prefix ({', '.join(sorted(paths))}); only one is supported"
    told = {
        "buckets": tuple(sorted(declared.buckets)),
        "object_prefix": declared.object_prefix,
        "chunk_delimiter": declared.chunk_delimiter,
        "index_path": declared.periods[0].index_path,
        "periods": tuple(period.told() for period in declared.periods),
    }
    for name, value in told.items():
        if name in stated and stated[name] != value and not (name == "buckets" and declared.elsewhere):
            yield f"loki.{name} is {_words(stated[name])}, but Loki says {_words(value)}"


def _words(value: object) -> str:
    return (
        ", ".join(map(str, value))
        if isinstance(value, Iterable) and not isinstance(value, str)
        else repr(value)
    )
