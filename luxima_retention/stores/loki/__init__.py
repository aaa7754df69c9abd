"""Loki's objects in S3, expired without hurting Loki."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luxima_retention.core.deadline import UNLIMITED, Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from luxima_retention.core.clock import Clock
    from luxima_retention.core.protocol import Surveyable
    from luxima_retention.io.objects import Access
    from luxima_retention.stores.loki.declared import Declared, Promises
    from luxima_retention.stores.loki.options import LokiPolicy
    from luxima_retention.stores.loki.owner import Loki
    from luxima_retention.stores.loki.scan import Layout
    from luxima_retention.stores.loki.store import Rules


def open_loki(
    settings: LokiPolicy,
    access: Access,
    *,
    clock: Clock,
    read_only: bool,
    sweep: bool = False,
    shard: tuple[int, int] | None = None,
    deadline: Deadline = UNLIMITED,
    setting: str = "policies.application-logs",
) -> Surveyable:
    """The store of these settings; a mere check where Loki's own compactor deletes.

    What Loki tells of its storage and limits fills in what the settings do not say; where they say something
    else, the store refuses at its first question.

    Raises:
        StoreError: Loki's configuration cannot be read.
        ConfigurationError: the CA file of ``http`` cannot be read.
    """
    from luxima_retention.io.objects import open_objects
    from luxima_retention.stores.loki.bucket import Buckets
    from luxima_retention.stores.loki.deleting import WritableBuckets
    from luxima_retention.stores.loki.owner import CompactorStore, findings, tenants_in
    from luxima_retention.stores.loki.store import LokiStore

    loki = _loki(settings, deadline, setting) if settings.url else None
    declared = loki.storage() if loki is not None and not settings.offline else None
    merged, check = _agreed(settings, declared)
    kind = Buckets if read_only else WritableBuckets
    buckets = kind(merged.buckets, merged.object_prefix, merged.chunk_delimiter, access, merged.index_path)
    promises = None
    if loki is not None and declared is not None:
        promises = loki.promises(lambda: tenants_in(buckets, merged.index_path))
    layout = _layout(merged, promises)
    if loki is not None and promises is not None and loki.deletes():
        return CompactorStore(loki, buckets, layout, promises, check=check)
    return LokiStore(
        buckets,
        open_objects(_state_url(merged), access),
        layout,
        _rules(settings, loki, sweep=sweep, shard=shard),
        clock=clock,
        check=check,
        findings=lambda request: tuple(
            findings(
                loki,
                buckets,
                offline=settings.offline,
                retention_days=request.retention_days,
                promises=promises,
                tenant_days=settings.tenant_days if "tenant_days" in settings.model_fields_set else None,
            )
        ),
    )


def _loki(settings: LokiPolicy, deadline: Deadline, setting: str) -> Loki:
    from luxima_retention.config.endpoints import endpoint
    from luxima_retention.io.http import Http
    from luxima_retention.stores.loki.owner import Loki

    there = endpoint(settings.url, settings.http, setting=f"{setting}.url", options=f"{setting}.http")
    return Loki(Http(there, deadline))


def _agreed(settings: LokiPolicy, declared: Declared | None) -> tuple[LokiPolicy, Callable[[], None]]:
    """The settings with what Loki declares in place of defaults, and what raises where the two differ."""
    if declared is None:
        return settings, lambda: None
    from luxima_retention.core.errors import GuardRefused
    from luxima_retention.stores.loki.declared import differences

    named = settings.model_fields_set
    values = {
        "buckets": tuple(sorted(settings.buckets)),
        "object_prefix": settings.object_prefix.strip("/"),
        "chunk_delimiter": settings.chunk_delimiter,
        "index_path": settings.index_path,
        "periods": tuple(
            f"from {item.start}: {item.store} v{item.schema_version} {item.prefix!r}"
            for item in settings.periods
        ),
    }
    stated = {name: value for name, value in values.items() if name in named}
    found = list(differences(declared, stated))

    def check() -> None:
        if found:
            raise GuardRefused(
                f"the settings differ from Loki's own: {'; '.join(found)}",
                "correct the setting, or leave it out: with url it is read from Loki",
            )

    return (settings, check) if found else (_filled(settings, declared), check)


def _filled(settings: LokiPolicy, declared: Declared) -> LokiPolicy:
    from luxima_retention.stores.loki.options import LokiPeriodSettings

    periods = tuple(
        LokiPeriodSettings(
            start=item.start, store=item.store, schema_version=item.schema_version, prefix=item.prefix
        )
        for item in declared.periods
    )
    return settings.model_copy(
        update={
            "object_prefix": declared.object_prefix,
            "chunk_delimiter": declared.chunk_delimiter,
            "index_path": declared.periods[0].index_path,
            "periods": periods,
        }
    )


def _state_url(settings: LokiPolicy) -> str:
    """Where condemned chunks are listed: below none of Loki's prefixes, one for each Loki there."""
    prefix = settings.object_prefix.strip("/")
    return f"s3://{settings.buckets[0]}/luxima-retention/loki" + (f"/{prefix}" if prefix else "")


def _layout(settings: LokiPolicy, promises: Promises | None) -> Layout:
    from datetime import date

    from luxima_retention.stores.loki.keys import Period
    from luxima_retention.stores.loki.scan import Layout

    epoch = date(1970, 1, 1)
    periods = tuple(
        Period(
            start=(period.start - epoch).days,
            store=period.store,
            new_keys=period.schema_version >= 12,  # noqa: PLR2004 - the schema that changed the keys
            prefix=period.prefix,
        )
        for period in settings.periods
    )
    kept = dict(settings.tenant_days)
    for tenant, days in (promises.longer(0) if promises else {}).items():
        kept[tenant] = max(days, kept.get(tenant, 0))
    return Layout(index_path=settings.index_path, periods=periods, tenant_days=kept)


def _rules(settings: LokiPolicy, loki: Loki | None, *, sweep: bool, shard: tuple[int, int] | None) -> Rules:
    from datetime import timedelta

    from luxima_retention.stores.loki.store import Rules

    asked = loki.grace() if loki is not None and not settings.offline else timedelta(hours=2)
    return Rules(
        grace=settings.grace or asked,
        min_object_age=settings.min_object_age,
        offline=settings.offline,
        sweep=sweep,
        shard=shard,
    )
