"""Audit logs: prune ``core.audit_log`` past its period."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luxima_retention.job import Job, Opening, main

if TYPE_CHECKING:
    from luxima_retention.engine import Target
    from luxima_retention.settings import Settings
    from luxima_retention.stores.table import TableStore


def _targets(settings: Settings, opening: Opening) -> tuple[Target, ...]:
    dsn = settings.database.dsn
    if dsn is None:
        return ()

    def opened() -> TableStore:
        from luxima_retention import migrate
        from luxima_retention.stores.table import TableStore

        target = migrate.Target(
            policy=JOB.policy,
            table=settings.audit_log,
            floor_days=settings.policies.audit_logs.retention_days,
            register=True,
        )
        return TableStore(dsn.get_secret_value(), target, settings.pace, read_only=opening.read_only)

    return ((settings.audit_log.table, opened),)


def _dimensions(settings: Settings) -> frozenset[str]:
    table = settings.audit_log
    mapped = {"tenant": table.tenant_column, "subject": table.subject_column, "range": "always"}
    return frozenset(name for name, column in mapped.items() if column)


JOB = Job(policy="audit-logs", targets=_targets, missing="database.dsn", dimensions=_dimensions)

if __name__ == "__main__":
    main(JOB)
