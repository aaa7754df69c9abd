"""The policies and the seed's matrix: values only.

Source of the periods: Luxima's observability document, "Log Retention Policy" and, for the weekly
rotation, "Maintenance SOP" item 3.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDefault:
    """What a policy is before anybody configures it.

    Args:
        name: as on the command line; ``policies.<name with underscores>`` in files and environment.
        log_type: the seed's name of what is kept.
        retention_days: whole days.
        storage: the seed's name of where it is kept.
        job: module that runs this policy alone.
        disposition: what happens at the end of the period.
        max_silence_days: a newest record older than this means a stalled producer; ``None`` is off.
        min_remaining: so many records must be left after a run.
        may_archive: whether ``archive = auto`` means this policy once an archive is configured.
    """

    name: str
    log_type: str
    retention_days: int
    storage: str
    job: str
    disposition: str
    max_silence_days: int | None
    min_remaining: int
    may_archive: bool

    @property
    def key(self) -> str:
        """The name in settings: ``audit_logs``."""
        return self.name.replace("-", "_")


MATRIX = (
    PolicyDefault(
        name="application-logs",
        log_type="Application Logs",
        retention_days=30,
        storage="Loki (S3 backend)",
        job="jobs.expire_loki_objects",
        disposition="destroy, two phases",
        max_silence_days=2,
        min_remaining=1,
        may_archive=False,
    ),
    PolicyDefault(
        name="security-events",
        log_type="Security Events",
        retention_days=90,
        storage="Supabase Log Storage",
        job="jobs.trim_security_events",
        disposition="archive, then destroy",
        max_silence_days=14,
        min_remaining=1,
        may_archive=True,
    ),
    PolicyDefault(
        name="audit-logs",
        log_type="Audit Logs",
        retention_days=180,
        storage="PostgreSQL core.audit_log",
        job="jobs.prune_audit_log",
        disposition="archive, then destroy",
        max_silence_days=7,
        min_remaining=1,
        may_archive=True,
    ),
    PolicyDefault(
        name="metrics",
        log_type="Metrics",
        retention_days=60,
        storage="Prometheus TSDB",
        job="jobs.check_prometheus_retention",
        disposition="check only",
        max_silence_days=None,
        min_remaining=0,
        may_archive=False,
    ),
    PolicyDefault(
        name="log-files",
        log_type="Log files of services",
        retention_days=30,
        storage="directories, rotated weekly",
        job="jobs.rotate_logs",
        disposition="rotate, compress, expire",
        max_silence_days=None,
        min_remaining=0,
        may_archive=False,
    ),
)

BY_NAME = {policy.name: policy for policy in MATRIX}
BY_KEY = {policy.key: policy for policy in MATRIX}
