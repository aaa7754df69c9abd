"""Security events: trim Supabase's tables past their period, over a DSN or over HTTPS."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from luxima_retention.run.job import Job, Opening

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings, TableSettings
    from luxima_retention.core.protocol import Surveyable
    from luxima_retention.run.engine import Target


def _targets(settings: Settings, opening: Opening) -> tuple[Target, ...]:
    supabase = settings.supabase
    platform: tuple[Target, ...] = ()
    if supabase.project_ref:
        platform = ((f"supabase:{supabase.project_ref}", lambda: _platform(settings, opening)),)
    if not (supabase.dsn or supabase.url):
        return platform
    return (*((table.table, _opener(settings, opening, table)) for table in supabase.tables), *platform)


def _opener(settings: Settings, opening: Opening, table: TableSettings) -> Callable[[], Surveyable]:
    if settings.supabase.dsn is None:
        return lambda: _over_https(settings, opening, table)
    return lambda: _over_dsn(settings, opening, table)


def _over_dsn(settings: Settings, opening: Opening, table: TableSettings) -> Surveyable:
    from luxima_retention.stores.table.shape import TableTarget
    from luxima_retention.stores.table.store import TableStore

    dsn = settings.supabase.dsn
    days = settings.policies.security_events.retention_days
    target = TableTarget(policy=JOB.policy, table=table, floor_days=days, register=False)
    return TableStore(
        dsn.get_secret_value() if dsn else "",
        target,
        settings.pace,
        read_only=opening.read_only,
        setting="supabase.dsn",
    )


def _over_https(settings: Settings, opening: Opening, table: TableSettings) -> Surveyable:
    from luxima_retention.config.endpoints import endpoint
    from luxima_retention.io.http import Http
    from luxima_retention.stores.supabase.client import Client
    from luxima_retention.stores.supabase.store import PostgrestStore

    supabase = settings.supabase
    key = supabase.key.get_secret_value() if supabase.key else ""
    there = endpoint(
        supabase.url, supabase.http, setting="supabase.url", options="supabase.http", proxied=True
    )
    client = Client(Http(there, opening.deadline), lambda: key, opening.deadline)
    return PostgrestStore(client, table.table, key_columns=table.key_columns, archives=opening.archives)


def _platform(settings: Settings, opening: Opening) -> Surveyable:
    from luxima_retention.config.endpoints import endpoint
    from luxima_retention.io.http import Http
    from luxima_retention.stores.supabase.platform import API, SupabasePlatform

    supabase, options = settings.supabase, "supabase.management_http"
    there = endpoint(API, supabase.management_http, setting=options, options=options, proxied=True)
    names = tuple(table.table for table in supabase.tables)
    return SupabasePlatform(supabase.project_ref, Http(there, opening.deadline), tables=names)


def _dimensions(settings: Settings) -> frozenset[str]:
    """What every table can tell apart."""
    tables = settings.supabase.tables
    mapped = {
        "tenant": all(table.tenant_column for table in tables),
        "subject": all(table.subject_column for table in tables),
        "range": True,
    }
    return frozenset(name for name, known in mapped.items() if known)


JOB = Job(
    policy="security-events",
    targets=_targets,
    missing="supabase.dsn (or supabase.url) and supabase.tables",
    dimensions=_dimensions,
)

if __name__ == "__main__":
    from luxima_retention.cli import main

    main(["run", JOB.policy, *sys.argv[1:]])
