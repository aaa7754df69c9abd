"""The metrics of the suite: names, units and meanings, and their text form. No I/O.

Sources: Prometheus documentation, "Metric and label naming" and "Exposition formats"; the kinds of values of
OpenMetrics (StateSet). All are gauges: a process that lives once has no counters that a query could use.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

PREFIX = "luxima_retention_"
#: what could not be looked at is not a number, and never the number of an earlier run
UNKNOWN = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric.

    Args:
        meaning: its help text.
        labels: besides those of its group.
    """

    meaning: str
    labels: tuple[str, ...] = ("target",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of a metric.

    Args:
        name: without the prefix.
        value: in base units: seconds, bytes, records, 0 to 1.
        labels: those of its family.
    """

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def _outcomes() -> str:
    from luxima_retention.core.errors import ExitCode

    return ", ".join(code.name.lower() for code in ExitCode)


#: what each run of anything tells: a policy, the report, an archive's expiry, the ledger's verification
RUN: Mapping[str, Family] = {
    "build_info": Family(
        meaning="Always 1; the version, and a digest of the matrix in force.", labels=("version", "matrix")
    ),
    "last_run_timestamp_seconds": Family(meaning="When the last real run began, however it ended."),
    "last_success_timestamp_seconds": Family(meaning="When the last real run began that ended with 0."),
    "last_run_exit_code": Family(meaning="Exit code of the last run, 0 to 8."),
    "last_run_outcome": Family(
        meaning=f"1 for the outcome of the last run, 0 for the others: {_outcomes()}.",
        labels=("target", "outcome"),
    ),
    "last_run_duration_seconds": Family(
        meaning="Duration of a step of the last run.", labels=("target", "step")
    ),
    "expected_interval_seconds": Family(meaning="The longest time between two scheduled runs."),
}
#: what a policy's run tells besides; not a number where the last run could not look
POLICY: Mapping[str, Family] = {
    "limit_seconds": Family(meaning="How long a record is kept."),
    "allowance_seconds": Family(
        meaning="How much longer one may live while runs are on time: rounding to a day, time between runs,"
        " the store's own delay, lateness that is allowed and the time budget of a run."
    ),
    "oldest_record_timestamp_seconds": Family(meaning="Time of the oldest record."),
    "newest_record_timestamp_seconds": Family(meaning="Time of the newest record."),
    "oldest_eligible_timestamp_seconds": Family(
        meaning="Time of the oldest record that neither a hold nor the store keeps; without one, when the run"
        " began."
    ),
    "configured_seconds": Family(meaning="How long the other system itself keeps records."),
    "expired_records": Family(meaning="Expired records that are there after the last run."),
    "held_records": Family(meaning="Expired records that a legal hold keeps."),
    "locked_records": Family(meaning="Expired records that the store itself keeps."),
    "pending_records": Family(meaning="Records that are condemned and wait for their date."),
    "overdue_records": Family(meaning="Condemned records that are there past their date."),
    "undated_records": Family(meaning="Records without a date, which are never touched."),
    "future_records": Family(meaning="Records that are dated in the future, which are never touched."),
    "unknown_records": Family(meaning="Records or objects that could not be read or recognised."),
    "last_run_destroyed_records": Family(meaning="Records that the last run destroyed."),
    "last_run_archived_records": Family(meaning="Records that the last run archived before."),
    "last_run_freed_bytes": Family(meaning="Bytes of what the last run destroyed."),
    "last_run_batches": Family(meaning="Batches of the last run."),
    "guard_used_ratio": Family(
        meaning="What a guard saw, as a part of its limit; above 1 it refuses.", labels=("target", "guard")
    ),
}
#: what each real run tells of the ledger and the hold register
LEDGER: Mapping[str, Family] = {
    "ledger_entries": Family(meaning="Entries of the ledger.", labels=()),
    "ledger_head_timestamp_seconds": Family(meaning="When its newest entry was written.", labels=()),
    "ledger_anchor_timestamp_seconds": Family(
        meaning="When an anchor last took a checkpoint; 0 if none did in the last run.", labels=()
    ),
    "holds_active": Family(meaning="Legal holds in force.", labels=()),
    "oldest_hold_timestamp_seconds": Family(meaning="When the oldest of them was placed.", labels=()),
}
#: what ``ledger verify`` tells
VERIFICATION: Mapping[str, Family] = {
    "ledger_verified": Family(meaning="1 if the ledger was whole, else 0.", labels=()),
    "ledger_verified_timestamp_seconds": Family(meaning="When that was looked at.", labels=()),
}
#: what the daemon answers at /metrics
DAEMON: Mapping[str, Family] = {
    "schedule_leading": Family(meaning="1 if this daemon starts the runs, 0 if it waits.", labels=()),
    "schedule_healthy": Family(meaning="1 if its loop is alive.", labels=()),
    "schedule_running": Family(meaning="1 for each slot whose run is at work.", labels=("slot",)),
    "schedule_last_exit_code": Family(meaning="Exit status of a slot's last run here.", labels=("slot",)),
    "schedule_last_end_timestamp_seconds": Family(meaning="When that run ended.", labels=("slot",)),
    "schedule_next_run_timestamp_seconds": Family(meaning="When the next run begins.", labels=("slot",)),
}
FAMILIES: Mapping[str, Family] = {**RUN, **POLICY, **LEDGER, **VERIFICATION, **DAEMON}


def registry(samples: Iterable[Sample], more: Mapping[str, str] | None = None) -> CollectorRegistry:
    """A registry that holds these samples and nothing of this process.

    Args:
        samples: of families of :data:`FAMILIES`.
        more: labels for each of them, where nothing else adds those of the group.
    """
    from prometheus_client import CollectorRegistry

    made = CollectorRegistry()
    made.register(_Collector(tuple(samples), dict(more or {})))
    return made


def exposition(samples: Iterable[Sample], more: Mapping[str, str] | None = None) -> bytes:
    """The samples in Prometheus' text format."""
    from prometheus_client import generate_latest

    return bytes(generate_latest(registry(samples, more)))


class _Collector:
    """Gives samples to a registry, family after family."""

    def __init__(self, samples: tuple[Sample, ...], more: dict[str, str]) -> None:
        self._samples = samples
        self._more = more

    def collect(self) -> Iterator[Metric]:
        """See :class:`prometheus_client.registry.Collector`."""
        from prometheus_client.core import Metric

        made: dict[str, Any] = {}
        for sample in self._samples:
            name = f"{PREFIX}{sample.name}"
            if name not in made:
                made[name] = Metric(name, FAMILIES[sample.name].meaning, "gauge")
            made[name].add_sample(name, {**sample.labels, **self._more}, sample.value)
        yield from made.values()
