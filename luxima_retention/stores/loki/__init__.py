"""Loki's objects in S3, expired without hurting Loki."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luxima_retention.core.deadline import UNLIMITED, Deadline

if TYPE_CHECKING:
    from luxima_retention.config.settings import LokiSettings
    from luxima_retention.core.clock import Clock
    from luxima_retention.core.protocol import Surveyable
    from luxima_retention.stores.loki.owner import Loki
    from luxima_retention.stores.loki.scan import Layout
    from luxima_retention.stores.loki.store import Rules


def open_loki(
    settings: LokiSettings,
    *,
    clock: Clock,
    read_only: bool,
    sweep: bool = False,
    shard: tuple[int, int] | None = None,
    deadline: Deadline = UNLIMITED,
) -> Surveyable:
    """The store of these settings; a mere check where Loki's own compactor deletes.

    Raises:
        StoreError: Loki's configuration cannot be read.
        ConfigurationError: ``loki.state_url`` names no place, or a file of ``loki.http`` cannot be read.
    """
    from luxima_retention.io.objects import Access, open_objects
    from luxima_retention.stores.loki.bucket import Buckets, WritableBuckets
    from luxima_retention.stores.loki.owner import CompactorStore, findings
    from luxima_retention.stores.loki.store import LokiStore

    key, secret = settings.access_key_id, settings.secret_access_key
    access = Access(
        endpoint_url=settings.endpoint_url,
        region=settings.region,
        access_key_id=key.get_secret_value() if key else "",
        secret_access_key=secret.get_secret_value() if secret else "",
    )
    kind = Buckets if read_only else WritableBuckets
    buckets = kind(
        settings.buckets, settings.object_prefix, settings.chunk_delimiter, access, settings.index_path
    )
    loki = _loki(settings, deadline) if settings.url else None
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


def _loki(settings: LokiSettings, deadline: Deadline) -> Loki:
    from luxima_retention.config.endpoints import endpoint
    from luxima_retention.io.http import Http
    from luxima_retention.stores.loki.owner import Loki

    return Loki(
        Http(endpoint(settings.url, settings.http, setting="loki.url", options="loki.http"), deadline)
    )


def _state_url(settings: LokiSettings) -> str:
    """Below none of Loki's prefixes, and another place for each Loki that shares the bucket."""
    prefix = settings.object_prefix.strip("/")
    return f"s3://{settings.buckets[0]}/luxima-retention/loki" + (f"/{prefix}" if prefix else "")


def _layout(settings: LokiSettings) -> Layout:
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


def _rules(settings: LokiSettings, loki: Loki | None, *, sweep: bool, shard: tuple[int, int] | None) -> Rules:
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
