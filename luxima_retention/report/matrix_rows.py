"""The matrix with what the survey found in each store. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.plan import Pending, Survey
from luxima_retention.core.results import Outcome, PolicyResult, RunResult, TargetResult

Row = dict[str, Any]
#: policy and target
TargetKey = tuple[str, str]


def rows(survey: RunResult, late: RunResult | None) -> Iterator[Row]:
    """A row for each store, in the order of the matrix.

    Args:
        survey: a dry run.
        late: a dry run that counted from when the records that have expired by then were due to be gone;
            only policies with expired records need to be in it.
    """
    overdue = _expired(late) if late else {}
    for policy in survey.policies:
        for target in policy.targets or (_nowhere(policy),):
            yield _row(policy, target, survey.now, overdue.get((policy.policy, target.target)))


def _nowhere(policy: PolicyResult) -> TargetResult:
    """What a policy without any store says, in the place of a store's row."""
    return TargetResult(
        target="",
        outcome=policy.outcome,
        exit_code=policy.exit_code,
        sentence=policy.sentence,
        hint=policy.hint,
    )


def _expired(late: RunResult) -> Mapping[TargetKey, int]:
    return {
        (policy.policy, target.target): target.survey.expired
        for policy in late.policies
        for target in policy.targets
        if target.survey is not None and target.plan is not None
    }


def _row(policy: PolicyResult, target: TargetResult, now: datetime, late: int | None) -> Row:
    """One row; what was not surveyed is ``None``, never nought."""
    about, survey = policy.about, target.survey
    expired = survey.expired if survey and target.plan else None
    told: Row = {
        "at": iso(now),
        "policy": policy.policy,
        "log_type": about.log_type or policy.policy,
        "storage": about.storage,
        "disposition": about.disposition,
        "basis": about.basis,
        "owner": about.owner,
        "review_by": about.review_by or None,
        "target": target.target,
        "retention_days": policy.retention_days,
        "outcome": str(target.outcome),
        "exit_code": int(target.exit_code),
        "cutoff": iso(target.plan.cutoff) if target.plan else None,
        "expired": expired,
        "overdue": _overdue(survey, expired, late, now),
        **_found(survey, now),
        "sentence": target.sentence,
        "hint": target.hint,
    }
    return {**told, "state": _state(told)}


def _found(survey: Survey | None, now: datetime) -> Row:
    """The plain facts of a survey."""
    pending = survey.pending if survey else ()
    oldest = survey.oldest if survey else None
    return {
        "oldest": iso(oldest) if oldest else None,
        "age_days": (now - oldest).days if oldest else None,
        "population": survey.population.value if survey and survey.population else None,
        "population_exact": survey.population.exact if survey and survey.population else None,
        "held": survey.held if survey else None,
        "locked": survey.locked if survey else None,
        "undated": survey.undated if survey else None,
        "future": survey.future if survey else None,
        "pending": sum(item.items for item in pending) if survey else None,
        "pending_due": iso(max(item.due for item in pending)) if pending else None,
        "skew_seconds": _skew(survey, now) if survey else None,
        "evidence": {name: str(value) for name, value in sorted(survey.evidence.items())} if survey else {},
    }


def _skew(survey: Survey, now: datetime) -> int:
    """Seconds between the two clocks, as the store was asked."""
    return round(abs((survey.store_clock - (survey.program_clock or now)).total_seconds()))


def _overdue(survey: Survey | None, expired: int | None, late: int | None, now: datetime) -> int | None:
    """Records that should be gone by now; ``None`` where that cannot be told."""
    if survey is None or expired is None:
        return None
    if expired and late is None:
        return None
    return min(expired, late or 0) + _past_due(survey.pending, now)


def _past_due(pending: tuple[Pending, ...], now: datetime) -> int:
    return sum(item.items for item in pending if item.due <= now)


def _state(row: Row) -> str:
    """The row in a word, for the bar and the table; texts stand under ``state <word>``."""
    if row["outcome"] in {Outcome.NOT_CONFIGURED, Outcome.NOT_APPLICABLE}:
        return str(row["outcome"])
    if row["exit_code"]:
        return "drift" if row["exit_code"] == ExitCode.DRIFT else "failed"
    if row["overdue"]:
        return "overdue"
    if row["expired"]:
        return "waiting" if row["overdue"] is not None else "unknown"
    if row["oldest"] is None:
        return "empty"
    return "kept" if row["age_days"] > row["retention_days"] else "within"
