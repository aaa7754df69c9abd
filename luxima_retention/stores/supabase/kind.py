"""The kind ``supabase``: tables behind PostgREST, and what the platform keeps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from luxima_retention.config.connections import url_ports
from luxima_retention.config.settings import PolicyConfig, TableSettings
from luxima_retention.core.plan import DISPOSITIONS
from luxima_retention.stores.kind import Kind, Opening, TableTarget, Target, dimensions_of

if TYPE_CHECKING:
    from luxima_retention.core.protocol import Surveyable
from luxima_retention.stores.supabase.options import API, SupabasePolicy

Policy = PolicyConfig[SupabasePolicy]


def _missing(policy: Policy) -> str | None:
    return None if policy.options.url else f"{policy.setting}.url"


def _storage(policy: Policy) -> str:
    return f"Supabase, {', '.join(table.table for table in policy.options.tables) or 'the platform'}"


def _tables(policy: Policy) -> tuple[TableTarget, ...]:
    return tuple(
        TableTarget(
            policy=policy.name,
            table=table,
            floor_days=policy.options.retention_days,
            register=False,
            rest_role=policy.options.rest_role,
        )
        for table in policy.options.tables
    )


def _targets(policy: Policy, opening: Opening) -> tuple[Target, ...]:
    tables = policy.options.tables if policy.options.url else ()
    found: list[Target] = [(table.table, partial(_over_https, policy, opening, table)) for table in tables]
    if policy.options.project:
        found.append((f"supabase:{policy.options.project}", partial(_platform, policy, opening)))
    return tuple(found)


def _over_https(policy: Policy, opening: Opening, table: TableSettings) -> Surveyable:
    from luxima_retention.config.endpoints import endpoint
    from luxima_retention.io.http import Http
    from luxima_retention.stores.supabase.client import Client
    from luxima_retention.stores.supabase.store import PostgrestStore

    options, name = policy.options, policy.setting
    key = options.key.get_secret_value() if options.key else ""
    there = endpoint(options.url, options.http, setting=f"{name}.url", options=f"{name}.http", proxied=True)
    client = Client(Http(there, opening.deadline), lambda: key, opening.deadline)
    return PostgrestStore(client, table.table, key_columns=table.key_columns, archives=opening.archives)


def _platform(policy: Policy, opening: Opening) -> Surveyable:
    from luxima_retention.config.endpoints import endpoint
    from luxima_retention.io.http import Http
    from luxima_retention.stores.supabase.platform import SupabasePlatform

    name = f"{policy.setting}.management_http"
    there = endpoint(API, policy.options.management_http, setting=name, options=name, proxied=True)
    names = tuple(table.table for table in policy.options.tables)
    return SupabasePlatform(policy.options.project, Http(there, opening.deadline), tables=names)


KIND = Kind(
    name="supabase",
    settings=SupabasePolicy,
    storage=_storage,
    missing=_missing,
    targets=_targets,
    disposition=DISPOSITIONS.__getitem__,
    dimensions=lambda policy: dimensions_of(policy.options.tables),
    archives=True,
    database=lambda policy: policy.options.database if policy.options.tables else None,
    tables=_tables,
    ports=lambda policy: url_ports(policy.options.url, API if policy.options.project else ""),
    method={
        "id": "Penghapusan baris basis data, bertahap",
        "en": "Deletion of database rows, in batches",
    },
    rules=("pci-history", "pci-at-hand", "pmse-trade", "pmse-money", "cnil-logs"),
)
