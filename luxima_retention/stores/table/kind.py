"""The kind ``table``: rows of tables in PostgreSQL, over a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luxima_retention.config.connections import dsn_ports
from luxima_retention.config.settings import PolicyConfig, TableSettings
from luxima_retention.core.plan import DISPOSITIONS
from luxima_retention.stores.kind import Kind, Opening, TableTarget, Target, dimensions_of

if TYPE_CHECKING:
    from luxima_retention.core.protocol import Expirable
    from luxima_retention.stores.table.store import TableStore
from luxima_retention.stores.table.options import TablePolicy

Policy = PolicyConfig[TablePolicy]


def _connection(policy: Policy) -> str:
    """The section of the policy's connection, for people."""
    return f"databases.{policy.options.database}" if policy.options.database else "database"


def _missing(policy: Policy) -> str | None:
    if policy.settings.database_named(policy.options.database).dsn is None:
        return f"{_connection(policy)}.dsn"
    return None if policy.options.tables else f"{policy.setting}.tables"


def _storage(policy: Policy) -> str:
    names = ", ".join(table.table for table in policy.options.tables) or "no table"
    place = f" in {policy.options.database}" if policy.options.database else ""
    return f"PostgreSQL{place}, {names}"


def _tables(policy: Policy) -> tuple[TableTarget, ...]:
    return tuple(_target(policy, table) for table in policy.options.tables)


def _target(policy: Policy, table: TableSettings) -> TableTarget:
    return TableTarget(
        policy=policy.name,
        table=table,
        floor_days=policy.options.retention_days,
        # Ledger and holds lie in section database.
        register=not policy.options.database,
    )


def _targets(policy: Policy, opening: Opening) -> tuple[Target, ...]:
    return tuple(
        (table.table, lambda table=table: _open(policy, opening, table)) for table in policy.options.tables
    )


def _open(policy: Policy, opening: Opening, table: TableSettings) -> Expirable:
    from luxima_retention.stores.table.store import TableStore

    dsn = policy.settings.database_named(policy.options.database).dsn
    rows = TableStore(
        dsn.get_secret_value() if dsn else "",
        _target(policy, table),
        policy.settings.pace,
        read_only=opening.read_only,
        setting=f"{_connection(policy)}.dsn",
        deadline=opening.deadline,
    )
    return _partitions(policy, opening, rows, table) if table.strategy == "partition_drop" else rows


def _partitions(policy: Policy, opening: Opening, rows: TableStore, table: TableSettings) -> Expirable:
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.stores.table.partitions import PartitionStore

    owner = policy.settings.database_named(policy.options.database).owner_dsn
    if owner is None or policy.options.database:
        rows.close()
        raise ConfigurationError(
            "partitions can only be detached by their owner, in the database of the ledger"
            if policy.options.database
            else "partitions can only be detached by their owner",
            "set database.owner_dsn, or strategy = auto",
        )
    target = _target(policy, table)
    return PartitionStore(
        rows, target, owner.get_secret_value(), table.undo_window, read_only=opening.read_only
    )


KIND = Kind(
    name="table",
    settings=TablePolicy,
    storage=_storage,
    missing=_missing,
    targets=_targets,
    disposition=DISPOSITIONS.__getitem__,
    dimensions=lambda policy: dimensions_of(policy.options.tables),
    archives=True,
    database=lambda policy: policy.options.database,
    tables=_tables,
    ports=lambda policy: dsn_ports(policy.settings.database_named(policy.options.database).dsn),
    method={
        "id": "Penghapusan baris atau partisi basis data, bertahap",
        "en": "Deletion of database rows or partitions, in batches",
    },
    rules=("pci-history", "pci-at-hand", "pmse-trade", "pmse-money", "cnil-logs"),
)
