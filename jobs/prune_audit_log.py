"""Audit logs: prune ``core.audit_log`` past its period."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from luxima_retention.run.job import Job, Opening

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.core.protocol import Expirable
    from luxima_retention.run.context import Target
    from luxima_retention.stores.table.shape import TableTarget
    from luxima_retention.stores.table.store import TableStore


def _targets(settings: Settings, opening: Opening) -> tuple[Target, ...]:
    dsn = settings.database.dsn
    if dsn is None:
        return ()

    def opened() -> Expirable:
        from luxima_retention.stores.table.shape import TableTarget
        from luxima_retention.stores.table.store import TableStore

        target = TableTarget(
            policy=JOB.policy,
            table=settings.audit_log,
            floor_days=settings.policies.audit_logs.retention_days,
            register=True,
        )
        rows = TableStore(dsn.get_secret_value(), target, settings.pace, read_only=opening.read_only)
        if settings.audit_log.strategy != "partition_drop":
            return rows
        return _partitions(settings, opening, rows, target)

    return ((settings.audit_log.table, opened),)


def _partitions(settings: Settings, opening: Opening, rows: TableStore, target: TableTarget) -> Expirable:
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.stores.table.partitions import PartitionStore

    owner = settings.database.owner_dsn
    if owner is None:
        rows.close()
        raise ConfigurationError(
            "partitions can only be detached by their owner", "set database.owner_dsn, or strategy = auto"
        )
    undo = settings.audit_log.undo_window
    return PartitionStore(rows, target, owner.get_secret_value(), undo, read_only=opening.read_only)


def _dimensions(settings: Settings) -> frozenset[str]:
    table = settings.audit_log
    mapped = {"tenant": table.tenant_column, "subject": table.subject_column, "range": "always"}
    return frozenset(name for name, column in mapped.items() if column)


JOB = Job(policy="audit-logs", targets=_targets, missing="database.dsn", dimensions=_dimensions)

if __name__ == "__main__":
    from luxima_retention.cli import main

    main(["run", JOB.policy, *sys.argv[1:]])
