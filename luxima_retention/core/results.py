"""What a run did, as values and as the JSON of ``docs/json-contract.md``. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from luxima_retention.core.about import About
from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ExitCode, worst
from luxima_retention.core.guards import GuardResult
from luxima_retention.core.plan import Count, Finding, Level, Operation, Pending, Plan, Slice, Survey
from luxima_retention.core.redact import redacted_tree

#: version of the JSON form; raised when a member changes its meaning or goes
JSON_VERSION = 1


class Outcome(StrEnum):
    """The outcome of a policy, or of one of its targets; the same name in JSON, ledger and metrics."""

    DONE = "done"
    NOTHING_TO_DO = "nothing_to_do"
    WOULD_DELETE = "would_delete"
    WOULD_REFUSE = "would_refuse"
    PENDING = "pending"
    COMPLIANT = "compliant"
    NOT_YET_PROVABLE = "not_yet_provable"
    CHECKED = "checked"
    NOT_CONFIGURED = "not_configured"
    NOT_APPLICABLE = "not_applicable"
    DECLINED = "declined"
    PAUSED = "paused"
    REFUSED = "refused"
    FAILED = "failed"
    LOCKED = "locked"
    VERIFICATION_FAILED = "verification_failed"
    STOPPED = "stopped"
    BACKLOG = "backlog"
    DRIFT = "drift"
    FAULT = "fault"

    @property
    def label(self) -> str:
        """For people: ``verification failed``."""
        return "locked by another run" if self is Outcome.LOCKED else self.value.replace("_", " ")


#: the outcome of a policy whose exit code an error decided
OUTCOMES = {
    ExitCode.FAULT: Outcome.FAULT,
    ExitCode.USAGE: Outcome.FAILED,
    ExitCode.INCOMPLETE: Outcome.FAILED,
    ExitCode.REFUSED: Outcome.REFUSED,
    ExitCode.LOCKED: Outcome.LOCKED,
    ExitCode.VERIFICATION_FAILED: Outcome.VERIFICATION_FAILED,
    ExitCode.STOPPED: Outcome.STOPPED,
    ExitCode.DRIFT: Outcome.DRIFT,
}


def checked_code(levels: Iterable[Level], unknown: int = 0) -> ExitCode:
    """What a store that is only asked makes of the findings of these levels: drift says most."""
    found = [level.exit_code for level in levels] + [ExitCode.INCOMPLETE] * bool(unknown)
    return max(
        found,
        key=lambda code: (code is ExitCode.DRIFT, code is ExitCode.INCOMPLETE),
        default=ExitCode.DONE,
    )


@dataclass(slots=True, kw_only=True)
class Totals:
    """What the batches of one run add up to; grows while the run works.

    Args:
        destroyed, condemned: records that are gone, and those that a later run will destroy.
        skipped: rule → records of the plan that were left.
        failures: sentences.
        metrics: figures of the store by name.
    """

    destroyed: int = 0
    condemned: int = 0
    size_bytes: int = 0
    archived_bytes: int = 0
    batches: int = 0
    first: datetime | None = None
    last: datetime | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    metrics: dict[str, int] = field(default_factory=dict)

    @property
    def items(self) -> int:
        """Records of the plan that were dealt with."""
        return self.destroyed + self.condemned


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the second survey showed.

    Args:
        left: expired records that are still there.
        explained: rule → records among the planned ones, or among those left, that it accounts for.
        unexplained: records that nothing accounts for.
        unknown: records or objects that could not be read or recognised.
        skipped: expired records that a rule of the store left for the next run.
        held, locked: expired records that a hold, or the store itself, keeps.
        pending: condemned, with due dates.
        overdue: pending records past their date.
        oldest: the oldest record now.
        sentence: all of that for people.
    """

    left: int
    explained: Mapping[str, int]
    unexplained: int
    unknown: int = 0
    skipped: int = 0
    held: int = 0
    locked: int = 0
    pending: tuple[Pending, ...] = ()
    overdue: int = 0
    oldest: datetime | None = None
    sentence: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing is left that nothing explains."""
        return not self.unexplained and not self.overdue


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of the five steps of one target, as it took place.

    Args:
        name: ``survey``, ``decide``, ``guard``, ``act`` or ``prove``.
        began, ended: by the program's clock, UTC.
        milliseconds: between them, by a clock that is never set.
    """

    name: str
    began: datetime
    ended: datetime
    milliseconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """What happened to one target: a table, a bucket, a server, a set of files.

    Args:
        target: its name.
        outcome: outcome.
        exit_code: what this target asks for.
        sentence: the outcome for people.
        hint: what would change it.
        run_id: UUID of a run that deleted or would have.
        resumed: whether a killed run was finished.
        archive: the manifest's name, where one was written.
        steps: those that took place, in their order.
        approve: digest of the refused plan, where a person may approve it.
    """

    target: str
    outcome: Outcome
    exit_code: ExitCode = ExitCode.DONE
    sentence: str = ""
    hint: str | None = None
    run_id: str | None = None
    resumed: bool = False
    plan: Plan | None = None
    survey: Survey | None = None
    verdicts: tuple[GuardResult, ...] = ()
    totals: Totals | None = None
    proof: Proof | None = None
    archive: str | None = None
    steps: tuple[Step, ...] = ()
    approve: str | None = None

    @property
    def milliseconds(self) -> dict[str, int]:
        """Step → how long it took."""
        return {step.name: step.milliseconds for step in self.steps}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """What happened to one policy.

    Args:
        policy: its name.
        retention_days: in force.
        outcome: the outcome of its worst target.
        targets: in their order; none where the policy is not configured.
        sentence: for people, where no target speaks.
        hint: what would change it.
        operation: what was done besides the five steps, such as a rotation.
        about: what the policy is.
    """

    policy: str
    retention_days: int
    outcome: Outcome
    exit_code: ExitCode = ExitCode.DONE
    sentence: str = ""
    hint: str | None = None
    targets: tuple[TargetResult, ...] = ()
    operation: Operation | None = None
    about: About = field(default_factory=About)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A whole run.

    Args:
        now: the program's clock, read once.
        as_of: the instant that the user named instead.
        warnings: sentences about what does not belong to a policy, such as an anchor that failed.
        checkpoint: the signed head of the ledger: ``size``, ``root``, ``anchors``.
        own_code: what the warnings ask for.
    """

    now: datetime
    dry_run: bool
    policies: tuple[PolicyResult, ...]
    as_of: datetime | None = None
    warnings: tuple[str, ...] = ()
    checkpoint: Mapping[str, Any] | None = None
    own_code: ExitCode = ExitCode.DONE

    @property
    def exit_code(self) -> ExitCode:
        """The worst of the policies' codes."""
        return worst((self.own_code, *(policy.exit_code for policy in self.policies)))


def summed_up(
    policy: str,
    retention_days: int,
    targets: Iterable[TargetResult],
) -> PolicyResult:
    """The policy's result from its targets': the worst exit code, and the outcome that goes with it."""
    found = tuple(targets)
    code = worst(target.exit_code for target in found)
    deciding = [target for target in found if target.exit_code is code]
    words = [target.outcome for target in deciding]
    outcome = next(
        (outcome for outcome in _LOUDEST if outcome in words), words[0] if words else Outcome.NOTHING_TO_DO
    )
    return PolicyResult(
        policy=policy,
        retention_days=retention_days,
        outcome=outcome,
        exit_code=code,
        targets=found,
    )


def preceded(result: PolicyResult, operation: Operation) -> PolicyResult:
    """A policy's result with the operation that came before it; the worse code decides, with its outcome."""
    code = worst((result.exit_code, operation.code))
    outcome = result.outcome if code is result.exit_code else OUTCOMES[code]
    return replace(result, operation=operation, exit_code=code, outcome=outcome)


#: among targets of one exit code, the outcome that says most
_LOUDEST = (
    Outcome.WOULD_REFUSE,
    Outcome.WOULD_DELETE,
    Outcome.DONE,
    Outcome.PENDING,
    Outcome.PAUSED,
    Outcome.DECLINED,
)


def to_json(result: RunResult) -> dict[str, Any]:
    """The run as JSON values, version :data:`JSON_VERSION`; without secrets."""
    told: dict[str, Any] = redacted_tree(_run(result))
    return told


def _run(result: RunResult) -> dict[str, Any]:
    return {
        "version": JSON_VERSION,
        "now": iso(result.now),
        "as_of": _instant(result.as_of),
        "dry_run": result.dry_run,
        "exit_code": int(result.exit_code),
        "policies": [_policy(policy) for policy in result.policies],
        "checkpoint": dict(result.checkpoint) if result.checkpoint else None,
        "warnings": list(result.warnings),
    }


def _policy(policy: PolicyResult) -> dict[str, Any]:
    return {
        "policy": policy.policy,
        "retention_days": policy.retention_days,
        "about": _about(policy.about),
        "outcome": str(policy.outcome),
        "exit_code": int(policy.exit_code),
        "sentence": policy.sentence,
        "hint": policy.hint,
        "operation": _operation(policy.operation) if policy.operation else None,
        "targets": [_target(target) for target in policy.targets],
    }


def _about(about: About) -> dict[str, Any]:
    return {
        "kind": about.kind,
        "log_type": about.log_type,
        "storage": about.storage,
        "disposition": about.disposition,
        "basis": about.basis,
        "owner": about.owner,
        "review_by": about.review_by,
        "schedule": about.schedule,
    }


def _operation(operation: Operation) -> dict[str, Any]:
    told = {"exit_code": int(operation.code), "sentence": operation.sentence}
    return {**operation.values, **told}


def _target(target: TargetResult) -> dict[str, Any]:
    return {
        "target": target.target,
        "outcome": str(target.outcome),
        "exit_code": int(target.exit_code),
        "sentence": target.sentence,
        "hint": target.hint,
        "approve": target.approve,
        "run_id": target.run_id,
        "resumed": target.resumed,
        "plan": None if target.plan is None else plan_json(target.plan),
        "survey": None if target.survey is None else survey_json(target.survey),
        "guards": [_verdict(verdict) for verdict in target.verdicts],
        "done": None if target.totals is None else totals_json(target.totals),
        "proof": None if target.proof is None else proof_json(target.proof),
        "archive": target.archive,
        "steps": [_step(step) for step in target.steps],
        "milliseconds": target.milliseconds,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "step": step.name,
        "began": iso(step.began),
        "ended": iso(step.ended),
        "milliseconds": step.milliseconds,
    }


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan: its terms, its digest, and a sentence for each reason."""
    return {
        **plan.terms(),
        "digest": plan.digest,
        "beyond": plan.beyond,
        "late": plan.late,
        "cutoff_basis": plan.cutoff_basis,
        "population": _count(plan.population),
        "bytes": _count(plan.size_bytes),
        "oldest": _instant(plan.oldest),
        "newest": _instant(plan.newest),
        "reasons": [
            {"verdict": item.verdict, "rule": item.rule, "items": item.items, "sentence": item.sentence}
            for item in plan.reasons
        ],
    }


def survey_json(survey: Survey) -> dict[str, Any]:
    """A survey's facts."""
    identity = survey.identity
    return {
        "identity": {
            "kind": identity.kind,
            "target": identity.target,
            "fingerprint": identity.fingerprint,
        },
        "store_clock": iso(survey.store_clock),
        "expired": survey.expired,
        "population": _count(survey.population),
        "held": survey.held,
        "locked": survey.locked,
        "undated": survey.undated,
        "future": survey.future,
        "unknown": survey.unknown,
        "pending": [_pending(pending) for pending in survey.pending],
        "oldest": _instant(survey.oldest),
        "oldest_expired": _instant(survey.oldest_expired),
        "newest": _instant(survey.newest),
        "expired_bytes": _count(survey.expired_bytes),
        "parts": [_part(part) for part in survey.parts],
        "findings": [finding_json(finding) for finding in survey.findings],
        "forecast": dict(survey.forecast),
        "evidence": dict(survey.evidence),
    }


def totals_json(totals: Totals) -> dict[str, Any]:
    """What the batches added up to."""
    return {
        "destroyed": totals.destroyed,
        "condemned": totals.condemned,
        "bytes": totals.size_bytes,
        "archived_bytes": totals.archived_bytes,
        "batches": totals.batches,
        "first": _instant(totals.first),
        "last": _instant(totals.last),
        "skipped": dict(totals.skipped),
        "failures": list(totals.failures),
        "metrics": dict(totals.metrics),
    }


def proof_json(proof: Proof) -> dict[str, Any]:
    """What the second survey showed."""
    return {
        "left": proof.left,
        "explained": dict(proof.explained),
        "unexplained": proof.unexplained,
        "unknown": proof.unknown,
        "pending": [_pending(pending) for pending in proof.pending],
        "overdue": proof.overdue,
        "oldest": _instant(proof.oldest),
        "sentence": proof.sentence,
    }


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding."""
    return {
        "code": finding.code,
        "level": str(finding.level),
        "message": finding.message,
        "hint": finding.hint,
    }


def _verdict(verdict: GuardResult) -> dict[str, Any]:
    return {
        "guard": verdict.guard,
        "passed": verdict.passed,
        "observed": verdict.observed,
        "limit": verdict.limit,
        "message": verdict.message,
        "hint": verdict.hint,
        "override": verdict.override,
    }


def _pending(pending: Pending) -> dict[str, Any]:
    return {
        "items": pending.items,
        "due": iso(pending.due),
        "reason": pending.reason,
        "bytes": pending.size_bytes,
    }


def _part(part: Slice) -> dict[str, Any]:
    return {
        "name": part.name,
        "items": part.items,
        "bytes": part.size_bytes,
        "newest": _instant(part.newest),
        "note": part.note,
    }


def _count(count: Count | None) -> dict[str, Any] | None:
    return None if count is None else {"value": count.value, "exact": count.exact}


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else iso(instant)
