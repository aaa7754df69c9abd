"""A policy as data: what every kind has in common, the seed's five, and their short forms.

Source of the seed's periods: Luxima's observability document, "Log Retention Policy" and, for the weekly
rotation, "Maintenance SOP" item 3.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field

from luxima_retention.config.values import CronExpression, Days, Fraction, Section, as_day, listed
from luxima_retention.core.durations import parse_duration


class PolicySettings(Section):
    """``policies.<name>``: how long, where, and what must be true before anything is deleted."""

    kind: str = Field(description="What the records are kept in; each kind has options of its own, below.")
    retention_days: Days = Field(description="Whole days that a record is kept; strictly older ones expire.")
    log_type: str = Field("", description="What the records are, for people; empty takes the policy's name.")
    basis: str = Field("", description="Why this period: law, contract or decision; shown to auditors.")
    owner: str = Field("", description="Who answers for this policy.")
    review_by: Annotated[date | None, BeforeValidator(as_day)] = Field(
        None, description="Day by which somebody reviews this policy; the report says when it has passed."
    )
    schedule: CronExpression = Field(
        "55 7 * * *",
        description="When it runs, as a cron expression in schedule.time_zone; empty never starts it. Runs"
        " that did not take place are computed from it.",
    )
    archive: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Whether records are archived before they are destroyed; auto does so where an archive"
        " is configured and the kind can; required refuses to destroy without one.",
    )
    max_silence: Annotated[timedelta | None, BeforeValidator(parse_duration)] = Field(
        None,
        description="Age of the newest record from which its source counts as stale (guard stale-source);"
        " off switches it off.",
    )
    min_remaining: int = Field(
        1, ge=0, description="Records that must be left after a run (guard min-remaining)."
    )
    max_items: int | None = Field(
        None, ge=0, description="Records that one run may destroy at most (guard max-items)."
    )
    max_fraction: Fraction | None = Field(
        None,
        description="Part of all records, 0 to 1, that one run may destroy (guard share); by default 0.25,"
        " or more where the days since the last proved run explain it.",
    )
    max_clock_skew: Annotated[timedelta, BeforeValidator(parse_duration)] = Field(
        timedelta(minutes=1),
        description="Difference between this machine's clock and the store's at most (guard clock-skew).",
    )
    identity: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        (), description="Fingerprints of the stores that may be touched, as doctor prints them; pins them."
    )


Options = TypeVar("Options", bound=PolicySettings)


def policy_name(key: str) -> str:
    """``audit_logs`` and ``AUDIT-LOGS`` are ``audit-logs``."""
    return key.lower().replace("_", "-")


_SEED = "Luxima's log retention policy"

#: the seed's policies, as a settings file would write them
DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "application-logs": {
            "kind": "loki",
            "retention_days": 30,
            "log_type": "Application Logs",
            "basis": _SEED,
            "schedule": "25 7 * * *",
            "max_silence": "2d",
        },
        "security-events": {
            "kind": "table",
            "retention_days": 90,
            "log_type": "Security Events",
            "basis": _SEED,
            "schedule": "15 7 * * *",
            "max_silence": "14d",
            "archive": "required",
            "database": "supabase",
        },
        "audit-logs": {
            "kind": "table",
            "retention_days": 180,
            "log_type": "Audit Logs",
            "basis": _SEED,
            "schedule": "5 7 * * *",
            "max_silence": "7d",
            "archive": "required",
            "tables": [{"table": "core.audit_log"}],
        },
        "metrics": {
            "kind": "prometheus",
            "retention_days": 60,
            "log_type": "Metrics",
            "basis": _SEED,
            "schedule": "35 7 * * *",
        },
        "log-files": {
            "kind": "logfiles",
            "retention_days": 30,
            "log_type": "Log files of services",
            "basis": _SEED,
            "schedule": "2 7 * * *",
            "min_remaining": 0,
        },
    }
)

#: section → the place below ``policies`` that it is a short form of
SHORT_FORMS: Mapping[str, tuple[str | int, ...]] = MappingProxyType(
    {
        "audit_log": ("audit-logs", "tables", 0),
        "prometheus": ("metrics",),
        "rotation": ("log-files",),
    }
)
