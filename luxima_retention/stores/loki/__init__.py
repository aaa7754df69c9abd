"""Loki's objects in S3, expired without hurting Loki."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luxima_retention.core.deadline import UNLIMITED, Deadline

if TYPE_CHECKING:
    from luxima_retention.core.clock import Clock
    from luxima_retention.core.protocol import Surveyable
    from luxima_retention.io.objects import Access
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

    Raises:
        StoreError: Loki's configuration cannot be read.
        ConfigurationError: ``state_url`` is not a place, or a file of ``http`` cannot be read.
    """
    from luxima_retention.io.objects import open_objects
    from luxima_retention.stores.loki.bucket import Buckets, WritableBuckets
    from luxima_retention.stores.loki.owner import CompactorStore, findings
    from luxima_retention.stores.loki.store import LokiStore

    kind = Buckets if read_only else WritableBuckets
    buckets = kind(
        settings.buckets, settings.object_prefix, settings.chunk_delimiter, access, settings.index_path
    )
    loki = _loki(settings, deadline, setting) if settings.url else None
    if loki is not None and not settings.offline and loki.deletes():
        return CompactorStore(loki, buckets)
    return LokiStore(
        buckets,
        open_objects(settings.state_url or _state_url(settings), access),
        _layout(settings),
        _rules(settings, loki, sweep=sweep, shard=shard),
        clock=clock,
        findings=lambda request: tuple(
            findings(loki, buckets, offline=settings.offline, retention_days=request.retention_days)
        ),
    )


def _loki(settings: LokiPolicy, deadline: Deadline, setting: str) -> Loki:
    from luxima_retention.config.endpoints import endpoint
    from luxima_retention.io.http import Http
    from luxima_retention.stores.loki.owner import Loki

    return Loki(
        Http(
            endpoint(settings.url, settings.http, setting=f"{setting}.url", options=f"{setting}.http"),
            deadline,
        )
    )


def _state_url(settings: LokiPolicy) -> str:
    """Below none of Loki's prefixes, and another place for each Loki that shares the bucket."""
    prefix = settings.object_prefix.strip("/")
    return f"s3://{settings.buckets[0]}/luxima-retention/loki" + (f"/{prefix}" if prefix else "")


def _layout(settings: LokiPolicy) -> Layout:
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
    return Layout(index_path=settings.index_path, periods=periods, tenant_days=settings.tenant_days)


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
