"""The bodies of the ledger's entries about runs: what each says, in one place. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.guards import GuardResult
from luxima_retention.core.history import OpenRun
from luxima_retention.core.plan import Level, Plan, Survey
from luxima_retention.core.results import Outcome, Proof, Totals


def started(plan: Plan, run_id: str, verdicts: Iterable[GuardResult], archive: str | None) -> dict[str, Any]:
    """``run.started``: the intent, written before anything is destroyed."""
    population = plan.population
    return {
        **plan.terms(),
        "run_id": run_id,
        "digest": plan.digest,
        "cutoff_basis": plan.cutoff_basis,
        "population": population.value if population else None,
        "population_exact": population.exact if population else None,
        "oldest": _instant(plan.oldest),
        "newest": _instant(plan.newest),
        "archive": archive,
        "guards": [_guard(verdict) for verdict in verdicts],
    }


def missed(times: Sequence[datetime], since: datetime | None, slot: str = "") -> dict[str, Any] | None:
    """``slot.missed``: the scheduled times that no run served; ``None`` for none."""
    if not times:
        return None
    return {
        "missed": len(times),
        "since": _instant(since),
        "slot": slot,
        "first": iso(times[0]),
        "last": iso(times[-1]),
    }


def resumed(plan: Plan, run: OpenRun) -> dict[str, Any]:
    """``run.resumed``: a killed run goes on, with what it may still do."""
    return {
        "run_id": run.run_id,
        "target": plan.identity.target,
        "cutoff": iso(plan.cutoff),
        "items": plan.items,
        "destroyed": run.destroyed,
        "condemned": run.condemned,
        "batches": run.batches,
        "unknown_batch": run.unknown,
    }


def reconciled(plan: Plan, run: OpenRun) -> dict[str, Any]:
    """``run.reconciled``: a killed run is closed; a new one has begun with another cutoff."""
    return {
        "run_id": run.run_id,
        "target": plan.identity.target,
        "cutoff": iso(run.cutoff),
        "outcome": "reconciled",
        "planned": run.planned,
        "destroyed": run.destroyed,
        "condemned": run.condemned,
        "batches": run.batches,
        "unknown_batch": run.unknown,
    }


def approval(plan: Plan, option: str) -> dict[str, Any]:
    """``approval``: somebody named the share of a backlog; later runs go on until it is gone."""
    return {
        "target": plan.identity.target,
        "cutoff": iso(plan.cutoff),
        "items": plan.items,
        "population": plan.population.value if plan.population else None,
        "option": option,
    }


def refused(plan: Plan, verdicts: Iterable[GuardResult]) -> dict[str, Any]:
    """``run.refused``: what would have gone, and which guards kept it."""
    return {
        **plan.terms(),
        "digest": plan.digest,
        "guards": [_guard(verdict) for verdict in verdicts],
    }


def checked(survey: Survey, retention_days: int, cutoff: datetime) -> dict[str, Any]:
    """``run.checked``: what a store that is only asked has said."""
    return {
        "target": survey.identity.target,
        "fingerprint": survey.identity.fingerprint,
        "retention_days": retention_days,
        "cutoff": iso(cutoff),
        "store_clock": iso(survey.store_clock),
        "program_clock": _instant(survey.program_clock),
        "oldest": _instant(survey.oldest),
        "findings": [{"code": item.code, "level": str(item.level)} for item in survey.findings],
        "evidence": dict(survey.evidence),
    }


def checked_code(levels: Iterable[Level]) -> ExitCode:
    """What a store that is only asked makes of the findings of these levels: drift says most."""
    return max(
        (level.exit_code for level in levels),
        key=lambda code: (code is ExitCode.DRIFT, code is ExitCode.INCOMPLETE),
        default=ExitCode.DONE,
    )


def completed(
    plan: Plan,
    run_id: str,
    totals: Totals,
    proof: Proof | None,
    run: OpenRun | None,
    *,
    outcome: Outcome,
    code: ExitCode,
) -> dict[str, Any]:
    """``run.completed``: the sums of the whole run, a killed process included, and its proof."""
    body: dict[str, Any] = {
        "run_id": run_id,
        "target": plan.identity.target,
        "fingerprint": plan.identity.fingerprint,
        "retention_days": plan.retention_days,
        "cutoff": iso(plan.cutoff),
        "outcome": str(outcome),
        "exit_code": int(code),
        "planned": run.planned if run else plan.items,
        "destroyed": totals.destroyed + (run.destroyed if run else 0),
        "condemned": totals.condemned + (run.condemned if run else 0),
        "batches": totals.batches + (run.batches if run else 0),
        "bytes": totals.size_bytes,
        "skipped": dict(totals.skipped),
        "failures": totals.metrics.get("failures", 0),
        "first": _instant(totals.first),
        "last": _instant(totals.last),
        "held": plan.held,
        "locked": plan.locked,
        "undated": plan.undated,
        "future": plan.future,
        "metrics": dict(totals.metrics),
    }
    if proof is not None:
        body["proof"] = {
            "left": proof.left,
            "explained": dict(proof.explained),
            "unexplained": proof.unexplained,
            "pending": sum(item.items for item in proof.pending),
            "pending_until": _instant(max((item.due for item in proof.pending), default=None)),
            "overdue": proof.overdue,
            "oldest": _instant(proof.oldest),
        }
    return body


def kept(survey: Survey) -> str:
    """A sentence for a store from which nothing would go."""
    groups = (
        (survey.held, "held"),
        (survey.locked, "locked"),
        (sum(item.items for item in survey.pending), "pending"),
        (survey.undated, "undated"),
        (survey.future, "dated in the future"),
    )
    told = [f"{count} {word}" for count, word in groups if count]
    return "nothing has expired" + (f", besides {', '.join(told)}" if told else "")


def _guard(verdict: GuardResult) -> dict[str, Any]:
    return {
        "guard": verdict.guard,
        "passed": verdict.passed,
        "observed": verdict.observed,
        "limit": verdict.limit,
        "override": verdict.override,
    }


def _instant(instant: datetime | None) -> str | None:
    return iso(instant) if instant else None
