"""What a run says of each target, as JSON values that texts are made of and that wait in the outbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from luxima_retention.config.cronline import times
from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.guards import refusals
from luxima_retention.core.redact import redacted, redacted_tree
from luxima_retention.core.results import Outcome, PolicyResult, RunResult, TargetResult
from luxima_retention.run.matrix import bound
from luxima_retention.tell.notify.conditions import Seen

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings

_USUAL = timedelta(days=1)
#: two weekly looks: nobody has to be woken for a dashboard before
_LONG = timedelta(days=14)


def seen_of(settings: Settings, result: RunResult) -> tuple[Seen, ...]:
    """What a real run saw; policies without a store are left out."""
    found = [item for policy in result.policies for item in _of_policy(settings, policy, result.now)]
    if result.checkpoint or result.own_code:
        facts = {"policy": "ledger", "target": "checkpoint", "sentence": redacted("; ".join(result.warnings))}
        key = f"{settings.telemetry.environment}:ledger:checkpoint"
        found.append(Seen(key=key, code=int(result.own_code), at=result.now.timestamp(), facts=facts))
    return tuple(found)


def seen_of_dashboards(settings: Settings, *, code: ExitCode, sentence: str, now: datetime) -> Seen:
    """What the weekly look at rules and dashboards saw.

    Args:
        settings: in force.
        code: how it ended.
        sentence: what it found.
        now: when.
    """
    facts = {"policy": "observability", "target": "check", "about": "dashboards"}
    return Seen(
        key=f"{settings.telemetry.environment}:observability:check",
        code=int(code),
        at=now.timestamp(),
        patience=_LONG.total_seconds(),
        facts={**facts, "sentence": redacted(sentence)},
    )


def _of_policy(settings: Settings, policy: PolicyResult, now: datetime) -> Iterator[Seen]:
    if policy.outcome is Outcome.NOT_CONFIGURED:
        return
    interval = _interval(settings, policy.policy, now)
    whole = TargetResult(
        target="",
        outcome=policy.outcome,
        exit_code=policy.exit_code,
        sentence=policy.sentence,
        hint=policy.hint,
    )
    # What concerns the policy as a whole is a key of its own, which recovers once its targets are looked at.
    own = whole if not policy.targets else _only_operation(policy, whole)
    for target in (own, *policy.targets):
        proof = target.proof
        yield Seen(
            key=f"{settings.telemetry.environment}:{policy.policy}:{target.target}",
            code=int(target.exit_code),
            at=now.timestamp(),
            left=proof.left if proof else None,
            patience=2 * interval.total_seconds(),
            facts=_facts(settings, policy, target, now),
        )


def _only_operation(policy: PolicyResult, whole: TargetResult) -> TargetResult:
    """The policy itself, judged by what was done besides its targets."""
    from dataclasses import replace

    operation = policy.operation
    if operation is None:
        return replace(whole, exit_code=ExitCode.DONE, outcome=Outcome.DONE, sentence="")
    return replace(whole, exit_code=operation.code, sentence=operation.sentence)


def _interval(settings: Settings, name: str, now: datetime) -> timedelta:
    """The time between two runs of a policy, as its schedule says."""
    policy = settings.policies.get(name)
    if policy is None or not policy.schedule:
        return _USUAL
    first, second = islice(times(policy.schedule, ZoneInfo(settings.schedule.time_zone), now), 2)
    return second - first


def _facts(settings: Settings, policy: PolicyResult, target: TargetResult, now: datetime) -> dict[str, Any]:
    survey, proof, totals = target.survey, target.proof, target.totals
    guards = [
        {
            "guard": item.guard,
            "observed": item.observed,
            "limit": item.limit,
        }
        for item in refusals(target.verdicts)
    ]
    oldest = proof.oldest if proof else survey.oldest if survey else None
    facts = {
        "policy": policy.policy,
        "target": target.target,
        "retention_days": policy.retention_days,
        "sentence": redacted(target.sentence),
        "hint": redacted(target.hint or ""),
        "run_id": target.run_id or "",
        "guards": guards,
        "approve": _to_approve(target),
        "expired": survey.expired if survey else None,
        "held": survey.held if survey else None,
        "destroyed": totals.destroyed if totals else None,
        "left": proof.left if proof else None,
        "unexplained": proof.unexplained if proof else None,
        "oldest": iso(oldest) if oldest else "",
        "breach_at": _breach(settings, policy, target),
        "began": iso(target.steps[0].began if target.steps else now),
        "ended": iso(target.steps[-1].ended if target.steps else now),
    }
    told: dict[str, Any] = redacted_tree(facts)
    return told


def _to_approve(target: TargetResult) -> dict[str, Any] | None:
    """The plan that a person may approve, with the figures that he approves."""
    plan = target.plan
    if target.approve is None or plan is None:
        return None
    return {
        "digest": target.approve,
        "items": plan.items,
        "population": plan.population.value if plan.population else None,
        "cutoff": iso(plan.cutoff),
    }


def _breach(settings: Settings, policy: PolicyResult, target: TargetResult) -> str:
    """When the oldest record that should have gone outlives what the schedule allows; known ahead."""
    oldest = target.survey.oldest_expired if target.survey else None
    config = settings.policy(policy.policy) if policy.policy in settings.policies else None
    if oldest is None or config is None or not config.options.schedule or not target.exit_code:
        return ""
    return iso(oldest + timedelta(days=policy.retention_days) + bound(config))
