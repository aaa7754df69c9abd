"""Plans, verdicts and results as the ledger's events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from luxima_retention.core.errors import ExitCode, RetentionError
from luxima_retention.core.guards import GuardResult
from luxima_retention.core.history import OpenRun
from luxima_retention.core.plan import Plan, Survey
from luxima_retention.core.proof import Verdict
from luxima_retention.core.results import Outcome, Proof, Totals
from luxima_retention.evidence import events


def guards(verdicts: Iterable[GuardResult]) -> tuple[events.Guard, ...]:
    """What each guard said."""
    return tuple(
        events.Guard(
            guard=item.guard,
            passed=item.passed,
            observed=item.observed,
            limit=item.limit,
            override=item.override,
        )
        for item in verdicts
    )


def started(
    plan: Plan,
    survey: Survey,
    run_id: str,
    verdicts: Iterable[GuardResult],
    *,
    archive: str | None,
    approved: int | None,
) -> events.RunStarted:
    """A run begins: the intent, written before anything is destroyed."""
    population = plan.population
    return events.RunStarted(
        run_id=run_id,
        target=plan.identity.target,
        cutoff=plan.cutoff,
        items=plan.items,
        policy=plan.policy,
        fingerprint=plan.identity.fingerprint,
        retention_days=plan.retention_days,
        disposition=plan.disposition,
        held=plan.held,
        locked=plan.locked,
        undated=plan.undated,
        future=plan.future,
        holds=plan.holds,
        digest=plan.digest,
        cutoff_basis=plan.cutoff_basis,
        population=population.value if population else None,
        population_exact=population.exact if population else None,
        oldest=plan.oldest,
        newest=plan.newest,
        archive=archive,
        program_clock=survey.program_clock,
        store_clock=survey.store_clock,
        guards=guards(verdicts),
        approval=approved,
    )


def resumed(plan: Plan, run: OpenRun, verdicts: Iterable[GuardResult]) -> events.RunResumed:
    """A killed run goes on, with what it may still do."""
    return events.RunResumed(
        run_id=run.run_id,
        target=plan.identity.target,
        cutoff=plan.cutoff,
        items=plan.items,
        destroyed=run.destroyed,
        condemned=run.condemned,
        batches=run.batches,
        unknown_batch=run.unknown,
        guards=guards(verdicts),
    )


def reconciled(plan: Plan, run: OpenRun) -> events.RunReconciled:
    """A killed run is closed; a new one has another cutoff."""
    return events.RunReconciled(
        run_id=run.run_id,
        target=plan.identity.target,
        cutoff=run.cutoff,
        planned=run.planned,
        destroyed=run.destroyed,
        condemned=run.condemned,
        batches=run.batches,
        unknown_batch=run.unknown,
    )


def approval(plan: Plan, option: str) -> events.Approval:
    """Somebody named the share of a backlog."""
    return events.Approval(
        target=plan.identity.target,
        items=plan.items,
        cutoff=plan.cutoff,
        population=plan.population.value if plan.population else None,
        option=option,
    )


def refused(
    plan: Plan, verdicts: Iterable[GuardResult], told: str, code: ExitCode, settings: str
) -> events.RunRefused:
    """What would have gone, which guards kept it, and that as a sentence; under which settings."""
    return events.RunRefused(
        target=plan.identity.target,
        policy=plan.policy,
        fingerprint=plan.identity.fingerprint,
        retention_days=plan.retention_days,
        cutoff=plan.cutoff,
        disposition=plan.disposition,
        items=plan.items,
        held=plan.held,
        locked=plan.locked,
        undated=plan.undated,
        future=plan.future,
        holds=plan.holds,
        digest=plan.digest,
        guards=guards(verdicts),
        exit_code=code,
        error=told,
        population=plan.population.value if plan.population else None,
        newest=plan.newest,
        settings=settings,
    )


def failed(target: str, error: RetentionError, outcome: Outcome) -> events.RunFailed:
    """A run that an error ended before it had a plan."""
    return events.RunFailed(target=target, outcome=outcome, exit_code=error.exit_code, error=error.message)


def completed(
    plan: Plan,
    run_id: str,
    verdict: Verdict,
    totals: Totals,
    *,
    proof: Proof | None = None,
    run: OpenRun | None = None,
    archive: str | None = None,
    milliseconds: Mapping[str, int],
) -> events.RunCompleted:
    """The sums of the whole run, a killed process included, and its proof."""
    return events.RunCompleted(
        run_id=run_id,
        target=plan.identity.target,
        outcome=verdict.outcome,
        exit_code=verdict.exit_code,
        fingerprint=plan.identity.fingerprint,
        retention_days=plan.retention_days,
        cutoff=plan.cutoff,
        planned=run.planned if run else plan.items,
        destroyed=totals.destroyed + (run.destroyed if run else 0),
        condemned=totals.condemned + (run.condemned if run else 0),
        batches=totals.batches + (run.batches if run else 0),
        bytes=totals.size_bytes,
        skipped=dict(totals.skipped),
        failures=totals.metrics.get("failures", 0),
        first=totals.first,
        last=totals.last,
        held=plan.held,
        locked=plan.locked,
        undated=plan.undated,
        future=plan.future,
        metrics=dict(totals.metrics),
        milliseconds=dict(milliseconds),
        proof=_proved(proof) if proof else None,
        archive=archive,
        error=verdict.sentence if verdict.exit_code else None,
    )


def _proved(proof: Proof) -> events.Proved:
    return events.Proved(
        left=proof.left,
        explained=dict(proof.explained),
        unexplained=proof.unexplained,
        unknown=proof.unknown,
        pending=sum(item.items for item in proof.pending),
        pending_until=max((item.due for item in proof.pending), default=None),
        overdue=proof.overdue,
        oldest=proof.oldest,
    )
