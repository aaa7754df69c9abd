"""What a run did, as samples. Pure: no I/O, no clock.

Every family is told on every run, zeros too: a Pushgateway keeps what is left out, and an old value would
then speak for a new run. Only the time of the last success stays as it is when there was none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from luxima_retention.core.errors import ExitCode
from luxima_retention.core.results import Outcome, PolicyResult, TargetResult
from luxima_retention.tell.families import UNKNOWN, Sample
from luxima_retention.tell.promise import Promise

_STEPS = ("survey", "decide", "guard", "act", "prove")
#: guards that compare with a limit of their own
_MEASURED = ("share", "max-items", "stale-source", "min-remaining", "clock-skew")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Which program told, by which matrix.

    Args:
        version: of the suite.
        matrix: digest of the matrix in force.
    """

    version: str
    matrix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run of something, for the families that all runs tell.

    Args:
        target: what was worked on.
        began: when.
        code: how it ended.
        succeeded: whether that counts as a success of the whole policy.
        seconds: step → duration.
        interval: seconds between two scheduled runs at most.
    """

    target: str
    began: datetime
    code: ExitCode
    succeeded: bool
    seconds: Mapping[str, float]
    interval: float


def of_policy(
    promise: Promise, result: PolicyResult, began: datetime, build: Build, *, whole: bool = True
) -> Iterator[Sample]:
    """The samples of one policy's run; each of its targets speaks, whether or not it was reached.

    ``whole`` is false for a part of a sharded run: what it saw of the store is a part, and would be the
    oldest news by the time of the next one, so it tells how it ended and what it did.
    """
    # Somebody who declined the plan has not applied the policy.
    succeeded = result.exit_code is ExitCode.DONE and result.outcome is not Outcome.DECLINED
    yield _build(build)
    for target, found in _targets(promise, result):
        seconds = {step: found.milliseconds.get(step, 0) / 1000 for step in _STEPS}
        yield from of_run(
            Ran(
                target=target,
                began=began,
                code=found.exit_code,
                succeeded=succeeded,
                seconds=seconds,
                interval=promise.interval,
            )
        )
        facts = _facts(promise, found, began) if whole else _did(found)
        for name, value in facts.items():
            yield Sample(name=name, value=value, labels={"target": target})
        yield from _guards(target, found)


def of_command(ran: Ran, build: Build) -> Iterator[Sample]:
    """The samples of a command that is not a policy's run: the report, an archive's expiry."""
    yield _build(build)
    yield from of_run(ran)


def of_run(ran: Ran) -> Iterator[Sample]:
    """What every run tells."""
    labels = {"target": ran.target}
    yield Sample(name="last_run_timestamp_seconds", value=ran.began.timestamp(), labels=labels)
    if ran.succeeded:
        yield Sample(name="last_success_timestamp_seconds", value=ran.began.timestamp(), labels=labels)
    yield Sample(name="last_run_exit_code", value=int(ran.code), labels=labels)
    for code in ExitCode:
        named = {**labels, "outcome": code.name.lower()}
        yield Sample(name="last_run_outcome", value=int(code is ran.code), labels=named)
    for step, seconds in ran.seconds.items():
        yield Sample(name="last_run_duration_seconds", value=seconds, labels={**labels, "step": step})
    yield Sample(name="expected_interval_seconds", value=ran.interval, labels=labels)


def of_verification(at: datetime, *, whole: bool) -> Iterator[Sample]:
    """What ``ledger verify`` found."""
    yield Sample(name="ledger_verified", value=int(whole))
    yield Sample(name="ledger_verified_timestamp_seconds", value=at.timestamp())


def of_daemon(health: Mapping[str, Any]) -> Iterator[Sample]:
    """What the daemon's health page tells, as samples."""
    yield Sample(name="schedule_leading", value=int(health["role"] == "leader"))
    yield Sample(name="schedule_healthy", value=int(health["healthy"]))
    for slot in health["running"]:
        yield Sample(name="schedule_running", value=1, labels={"slot": slot})
    for slot, ended in health["ended"].items():
        at = datetime.fromisoformat(ended["at"]).timestamp()
        yield Sample(name="schedule_last_exit_code", value=ended["exit_code"], labels={"slot": slot})
        yield Sample(name="schedule_last_end_timestamp_seconds", value=at, labels={"slot": slot})
    if following := health["next"]:
        at = datetime.fromisoformat(following["at"]).timestamp()
        labels = {"slot": following["slot"]}
        yield Sample(name="schedule_next_run_timestamp_seconds", value=at, labels=labels)


def _build(build: Build) -> Sample:
    return Sample(name="build_info", value=1, labels={"version": build.version, "matrix": build.matrix})


def _targets(promise: Promise, result: PolicyResult) -> Iterable[tuple[str, TargetResult]]:
    """Every target of the policy by its declared name; one that was not reached has the policy's outcome."""
    if len(result.targets) == len(promise.targets):
        return zip(promise.targets, result.targets, strict=True)
    if result.targets:
        return [(found.target, found) for found in result.targets]
    return [
        (name, TargetResult(target=name, outcome=result.outcome, exit_code=result.exit_code))
        for name in promise.targets
    ]


def _facts(promise: Promise, found: TargetResult, began: datetime) -> dict[str, float]:
    return {
        "limit_seconds": promise.limit,
        "allowance_seconds": promise.allowance,
        "oldest_eligible_timestamp_seconds": oldest_eligible(promise, found, began),
        **_of_survey(found, began),
        **_did(found),
    }


def _did(found: TargetResult) -> dict[str, float]:
    """What the run itself did."""
    totals = found.totals
    destroyed = totals.destroyed if totals else 0
    archives = found.plan is not None and found.plan.disposition.startswith("archive")
    return {
        "last_run_destroyed_records": destroyed,
        "last_run_archived_records": destroyed if archives else 0,
        "last_run_freed_bytes": totals.size_bytes if totals else 0,
        "last_run_batches": totals.batches if totals else 0,
    }


#: what a survey tells, and a failed one does not
_SURVEYED = (
    "oldest_record_timestamp_seconds",
    "newest_record_timestamp_seconds",
    "configured_seconds",
    "expired_records",
    "held_records",
    "locked_records",
    "pending_records",
    "overdue_records",
    "undated_records",
    "future_records",
    "unknown_records",
)


def _of_survey(found: TargetResult, began: datetime) -> dict[str, float]:
    """The facts of the newest survey: the proof's, where there is one."""
    survey, proof = found.survey, found.proof
    if survey is None:
        return dict.fromkeys(_SURVEYED, UNKNOWN)
    pending = proof.pending if proof else survey.pending
    late = sum(item.items for item in pending if item.due <= began)
    configured = survey.evidence.get("effective_seconds")
    values = (
        _instant(proof.oldest if proof else survey.oldest),
        _instant(survey.newest),
        UNKNOWN if configured is None else float(configured),
        proof.left if proof else survey.expired,
        proof.held if proof else survey.held,
        proof.locked if proof else survey.locked,
        sum(item.items for item in pending),
        proof.overdue if proof else late,
        survey.undated,
        survey.future,
        proof.unknown if proof else survey.unknown,
    )
    return dict(zip(_SURVEYED, values, strict=True))


def oldest_eligible(promise: Promise, found: TargetResult, began: datetime) -> float:
    """When the oldest record was written that nothing keeps: no hold, no lock, no date that it waits for.

    Records go oldest first, so what a run that stopped has left is younger than what it destroyed. Without
    an expired record it lies at the cutoff or after it, whatever older ones are held.
    """
    survey, proof, totals = found.survey, found.proof, found.totals
    if survey is None:
        return UNKNOWN
    oldest = proof.oldest if proof else survey.oldest
    left = proof.left or proof.overdue if proof else survey.expired
    if left:
        stopped = proof is not None and not proof.unexplained and proof.explained.get("stopped") == left
        reached = totals.last if totals and stopped else None
        return _instant(reached or survey.oldest_expired or oldest)
    if proof.unknown if proof else survey.unknown:
        return UNKNOWN  # it may be among what could not be read
    if oldest is None:
        return began.timestamp() if found.exit_code is ExitCode.DONE else UNKNOWN
    if found.plan is None:
        return oldest.timestamp()
    cutoff = max(found.plan.cutoff, began - timedelta(seconds=promise.limit + 2 * 86400))
    return max(oldest, cutoff).timestamp()


def _guards(target: str, found: TargetResult) -> Iterator[Sample]:
    """The use of each guard with a limit; one that had nothing to judge has used nothing."""
    verdicts = {verdict.guard: verdict.used for verdict in found.verdicts}
    for guard in _MEASURED:
        used = verdicts.get(guard, 0.0)
        labels = {"target": target, "guard": guard}
        yield Sample(name="guard_used_ratio", value=UNKNOWN if used is None else used, labels=labels)


def _instant(instant: datetime | None) -> float:
    return instant.timestamp() if instant else UNKNOWN
