"""The five steps, in one place: survey, decide, guard, act, prove.

Nothing below this module knows their order, and nothing above it deletes. A dry run is the same walk over
stores that cannot write; it ends after the guards. Each step returns what the next one needs.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from luxima_retention.config.cronline import passed
from luxima_retention.core.errors import (
    ExitCode,
    GuardRefused,
    LeaseLost,
    RetentionError,
    StoreError,
    worst,
)
from luxima_retention.core.history import OpenRun
from luxima_retention.core.plan import Finding, Level, Plan, Survey
from luxima_retention.core.proof import Verdict, concluded, foretold, idle, prove, unreadable
from luxima_retention.core.protocol import Archivable, Enter, Expirable, Surveyable, Work
from luxima_retention.core.results import (
    OUTCOMES,
    Outcome,
    PolicyResult,
    Proof,
    TargetResult,
    Totals,
    checked_code,
    summed_up,
)
from luxima_retention.core.sealed import Sealed
from luxima_retention.io.failpoints import failpoint
from luxima_retention.run import steps
from luxima_retention.run.context import Environment, Policy
from luxima_retention.run.known import Known
from luxima_retention.run.steps import Guarded, Surveyed
from luxima_retention.stores.kind import Target

if TYPE_CHECKING:
    from luxima_retention.evidence import events
    from luxima_retention.evidence.archive import Archive
    from luxima_retention.evidence.events import Event
    from luxima_retention.run.act import Action
    from luxima_retention.run.lease import Lease
    from luxima_retention.run.state import State

# What speaks with the ledger is loaded where there is one: a run that only rotates is over before.

_Next = TypeVar("_Next")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a real run has besides its environment: where it is written down, and that nobody else works."""

    state: State
    lease: Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A policy's run.

    Args:
        policy: in force.
        environment: what the run works with.
        means: ``None`` for a dry run, and without a ledger.
    """

    policy: Policy
    environment: Environment
    means: Means | None

    def append(self, event: Event) -> None:
        """Write an entry.

        Raises:
            GuardRefused: there is no ledger.
            StoreError: it does not take the entry.
        """
        at, observer, name = self.environment.clock(), self.environment.observer, self.policy.name
        with observer.span("ledger.append", name, str(getattr(event, "target", None) or "")):
            self.needed().state.ledger.append(event, policy=name, at=at)
        observer.told(event.kind, policy=name)

    def needed(self) -> Means:
        """What nothing is destroyed without."""
        if self.means is None:
            raise GuardRefused("nothing is destroyed without a ledger", "set database.dsn or ledger.path")
        return self.means


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that the ledger knows of.

    Args:
        guarded: what it may do.
        store: where.
        run_id: UUID.
        resumes: the killed run that it goes on with.
    """

    guarded: Guarded
    store: Expirable
    run_id: str
    resumes: OpenRun | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """What the fourth step did.

    Args:
        begun: the run.
        totals: what its batches add up to.
        parts: what was archived.
        stopped: whether it was told to end, or came near its deadline.
    """

    begun: Begun
    totals: Totals
    parts: tuple[Sealed, ...]
    stopped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What the fifth step found.

    Args:
        proof: of the second survey.
        verdict: what both come to.
    """

    proof: Proof
    verdict: Verdict


def run_policy(policy: Policy, targets: Iterable[Target], environment: Environment) -> PolicyResult:
    """Apply one policy to its targets.

    Args:
        policy: in force.
        targets: opened in turn, closed at the end.
        environment: what the run works with.

    Returns:
        The result; an error of one target is in it and does not keep the others from their turn.
    """
    named = tuple(targets)
    try:
        with _means(policy, environment) as means, ExitStack() as stack:
            scope = Scope(policy=policy, environment=environment, means=means)
            _write_down(scope, tuple(name for name, _ in named))
            return summed_up(policy.name, policy.retention_days, _results(scope, named, stack))
    except RetentionError as error:
        return failed(policy, error, named)


def failed(policy: Policy, error: RetentionError, targets: Iterable[Target] = ()) -> PolicyResult:
    """The result of a policy that an error ended before its first target: each has the same end."""
    verdict = _of_error(error)
    found = tuple(
        TargetResult(
            target=name,
            outcome=verdict.outcome,
            exit_code=verdict.exit_code,
            sentence=verdict.sentence,
            hint=verdict.hint,
        )
        for name, _ in targets
    )
    if found:
        return summed_up(policy.name, policy.retention_days, found)
    return PolicyResult(
        policy=policy.name,
        retention_days=policy.retention_days,
        outcome=OUTCOMES[error.exit_code],
        exit_code=error.exit_code,
        sentence=error.message,
        hint=error.hint,
    )


def _results(scope: Scope, targets: Iterable[Target], stack: ExitStack) -> list[TargetResult]:
    """Prepare every target, have the plans agreed to, then act and prove, target after target."""
    prepared: list[tuple[Known, Guarded | TargetResult]] = []
    for name, opener in targets:
        known = Known(scope.policy.name, name, scope.environment.observer, scope.environment.clock)
        prepared.append((known, _attempt(known, _prepared, scope, known, name, opener, stack)))
    plans = tuple(item.plan for _, item in prepared if isinstance(item, Guarded))
    agreed = not any(plan.items for plan in plans) or scope.environment.confirm(plans)
    done = _carry_out if agreed else _declined
    return [
        _attempt(known, done, scope, known, item) if isinstance(item, Guarded) else item
        for known, item in prepared
    ]


def _attempt(
    known: Known, step: Callable[..., _Next | TargetResult], *arguments: object
) -> _Next | TargetResult:
    """Take a step; an error ends this target with its sentence, hint and exit code."""
    try:
        return step(*arguments)
    except RetentionError as error:
        return known.ended(_of_error(error))


def _of_error(error: RetentionError) -> Verdict:
    return Verdict(
        outcome=OUTCOMES[error.exit_code],
        sentence=error.message,
        exit_code=error.exit_code,
        hint=error.hint,
    )


def _declined(_scope: Scope, known: Known, _guarded: Guarded) -> TargetResult:
    told = "nothing was deleted: the plan was not agreed to"
    return known.ended(Verdict(outcome=Outcome.DECLINED, sentence=told))


@contextmanager
def _means(policy: Policy, environment: Environment) -> Iterator[Means | None]:
    """State and lease; a dry run and a suite without state take none."""
    if environment.dry_run or environment.state is None:
        yield None
        return
    lease = environment.state.lease(policy.lease or policy.name)
    try:
        yield Means(state=environment.state, lease=lease)
    finally:
        lease.release()


# --- what is written down before the first step ---------------------------------------------------------


def _write_down(scope: Scope, targets: tuple[str, ...]) -> None:
    """Runs that did not take place, and what the policy says now; a ledger that cannot is for the guards."""
    if scope.means is None or not steps.readable(scope.means.state):
        return
    from luxima_retention.evidence import history as histories

    ledger, policy, now = scope.means.state.ledger, scope.policy, scope.environment.now
    applied = _applied(policy, targets)
    last = ledger.newest(kinds=_slots(), policy=policy.name) if policy.schedule else None
    missed = _missed(policy, last.at, now) if last else None
    changed = applied if histories.applied(ledger, policy.name) != applied else None
    try:
        for event in filter(None, (missed, changed)):
            ledger.append(event, policy=policy.name, at=now)
            scope.environment.observer.told(event.kind, policy=policy.name)
    except StoreError as error:
        scope.environment.observer.told("ledger.unwritten", policy=policy.name, error=error.message)


def _slots() -> frozenset[str]:
    """Entries that tell that a run took place, however it ended, or that it is known to have been missed."""
    from luxima_retention.evidence import events

    ends = (events.RunFailed, events.RunCompleted, events.RunRefused, events.RunReconciled)
    others = (events.RunStarted, events.RunChecked, events.SlotMissed)
    return frozenset(event.kind for event in (*ends, *others))


def _missed(policy: Policy, last: datetime, now: datetime) -> events.SlotMissed | events.SweepMissed | None:
    """The scheduled times since the last run that nothing served."""
    from luxima_retention.evidence import events

    due = list(passed(policy.schedule, policy.zone, last, now))
    # This run serves the newest one, if it is not too late for it.
    served = due and now - due[-1] <= policy.grace
    return events.missed(events.SlotMissed, due[:-1] if served else due, last)


def _applied(policy: Policy, targets: tuple[str, ...]) -> events.PolicyApplied:
    from luxima_retention.evidence import events

    return events.PolicyApplied(
        retention_days=policy.retention_days,
        disposition=policy.disposition,
        basis=policy.basis,
        targets=targets,
    )


# --- survey, decide, guard ------------------------------------------------------------------------------


def _prepared(
    scope: Scope, known: Known, name: str, opener: Callable[[], Surveyable], stack: ExitStack
) -> Guarded | TargetResult:
    with _failure_told(scope, name):
        return _prepare(scope, known, opener, stack)


@contextmanager
def _failure_told(scope: Scope, target: str) -> Iterator[None]:
    """That an error ends a run before it has begun stands in the ledger, if that still takes it."""
    try:
        yield
    except RetentionError as error:
        if scope.means is not None and error.exit_code is not ExitCode.LOCKED:
            from luxima_retention.run import said

            _write_failure(scope, said.failed(target, error, OUTCOMES[error.exit_code]))
        raise


def _write_failure(scope: Scope, event: events.RunFailed) -> None:
    try:
        scope.append(event)
    except RetentionError as error:
        scope.environment.observer.told("ledger.unwritten", policy=scope.policy.name, error=error.message)


def _prepare(
    scope: Scope, known: Known, opener: Callable[[], Surveyable], stack: ExitStack
) -> Guarded | TargetResult:
    """The first three steps; the result of a target on which nothing will act."""
    policy, environment = scope.policy, scope.environment
    if environment.end.over():
        late = not environment.end.remaining()
        told = f"not begun: {'the time budget is used up' if late else 'the run was told to stop'}"
        return known.ended(Verdict(outcome=Outcome.STOPPED, sentence=told, exit_code=ExitCode.STOPPED))
    store = opener()
    stack.callback(store.close)
    with known.step("survey"):
        surveyed = steps.survey(policy, environment, store)
    known.learn(target=surveyed.survey.identity.target, survey=surveyed.survey)
    if not isinstance(store, Expirable):
        return _checked(scope, known, surveyed)
    with known.step("decide"):
        planned = steps.decide(policy, environment, surveyed)
    known.learn(plan=planned.plan)
    with known.step("guard"):
        guarded = steps.guard(policy, environment, planned)
    known.learn(verdicts=guarded.verdicts)
    if scope.means is not None and surveyed.counted is not None:
        scope.append(surveyed.counted)
    return _settled(scope, known, guarded)


def _settled(scope: Scope, known: Known, guarded: Guarded) -> Guarded | TargetResult:
    """End a target that nothing will act on: an obstacle, a refusal, a dry run."""
    environment, plan, survey = scope.environment, guarded.plan, guarded.survey
    if obstacle := _first(survey.findings, Level.FAILED):
        raise StoreError(obstacle.message, obstacle.hint)
    if environment.state is None and scope.policy.ledgerless and not survey.expired:
        known.learn(verdicts=())
        also = "; expiry will need a ledger, and none is configured"
        return known.ended(foretold(plan, survey, (), also))
    if guarded.refused:
        return _refused(scope, known, guarded)
    if environment.dry_run:
        run = guarded.planned.history.open_run
        also = f"; it would first finish the run of {run.run_id}, which was killed" if run else ""
        return known.ended(foretold(plan, survey, _pauses(scope, guarded), also))
    if environment.end.over():
        told = f"not begun: {plan.items} expired records remain"
        return known.ended(Verdict(outcome=Outcome.STOPPED, sentence=told, exit_code=ExitCode.STOPPED))
    return guarded


def _refused(scope: Scope, known: Known, guarded: Guarded) -> TargetResult:
    first, *others = guarded.refused
    code = worst(verdict.code for verdict in guarded.refused)
    told = f"{first.guard}: {first.message} (observed {first.observed}, limit {first.limit})"
    if others:
        told += f"; refused as well: {', '.join(verdict.guard for verdict in others)}"
    if scope.environment.dry_run:
        if guarded.survey.unknown:
            return known.ended(unreadable(guarded.survey, f"; a real run would refuse: {told}"))
        sentence = f"a real run would refuse: {told}"
        asked = ExitCode.DONE if code is ExitCode.REFUSED else code
        return known.ended(
            Verdict(outcome=Outcome.WOULD_REFUSE, sentence=sentence, exit_code=asked, hint=first.hint)
        )
    if scope.means is not None and first.guard != "ledger":
        from luxima_retention.run import approvals, said

        settings = approvals.settings_of(scope.policy)
        scope.append(said.refused(guarded.plan, guarded.verdicts, told, code, settings))
    if _may_be_approved(scope, guarded):
        known.learn(approve=guarded.plan.digest)
    return known.ended(Verdict(outcome=OUTCOMES[code], sentence=told, exit_code=code, hint=first.hint))


def _may_be_approved(scope: Scope, guarded: Guarded) -> bool:
    """Whether a person may let this plan pass: it is in the ledger, and somebody may."""
    if scope.means is None or not scope.environment.approvers:
        return False
    from luxima_retention.run import approvals

    return approvals.approvable(scope.policy, guarded.verdicts)


def _checked(scope: Scope, known: Known, surveyed: Surveyed) -> TargetResult:
    """The result of a store that is only asked: its worst finding, or its last."""
    verdict = _check_verdict(surveyed.survey)
    if scope.means is not None:
        scope.append(_check_entry(scope.policy, surveyed, verdict))
    return known.ended(verdict)


def _check_verdict(survey: Survey) -> Verdict:
    code = checked_code((item.level for item in survey.findings), survey.unknown)
    told = [item for item in survey.findings if item.level.exit_code is code]
    if survey.unknown and not told:
        return unreadable(survey)
    chosen = told[-1] if told else None
    outcome = OUTCOMES.get(code) or _CHECKED.get(chosen.code if chosen else "", Outcome.CHECKED)
    sentence = chosen.message if chosen else "asked, and nothing was found"
    hint = chosen.hint if chosen else None
    return Verdict(outcome=outcome, sentence=sentence, exit_code=code, hint=hint)


_CHECKED = {
    "compliant": Outcome.COMPLIANT,
    "not-yet-provable": Outcome.NOT_YET_PROVABLE,
    "not-applicable": Outcome.NOT_APPLICABLE,
}


def _check_entry(policy: Policy, surveyed: Surveyed, verdict: Verdict) -> events.RunChecked:
    from luxima_retention.evidence import events

    survey = surveyed.survey
    return events.RunChecked(
        target=survey.identity.target,
        fingerprint=survey.identity.fingerprint,
        retention_days=policy.retention_days,
        cutoff=surveyed.request.cutoff,
        store_clock=survey.store_clock,
        program_clock=survey.program_clock,
        oldest=survey.oldest,
        unknown=survey.unknown,
        findings=tuple(events.Found(code=item.code, level=item.level) for item in survey.findings),
        evidence=dict(survey.evidence),
        error=verdict.sentence if verdict.exit_code else None,
    )


def _pauses(scope: Scope, guarded: Guarded) -> tuple[str, ...]:
    """The holds that keep the whole policy."""
    holds = guarded.planned.surveyed.request.holds
    return tuple(hold.hold_id for hold in holds if hold.pauses(scope.policy.name))


def _first(findings: Iterable[Finding], level: Level) -> Finding | None:
    return next((finding for finding in findings if finding.level is level), None)


# --- act, prove -----------------------------------------------------------------------------------------


def _carry_out(scope: Scope, known: Known, guarded: Guarded) -> TargetResult:
    """The last two steps, between the entries that announce and report the run."""
    with _failure_told(scope, guarded.plan.identity.target):
        begun = _begin(scope, known, guarded)
    if not guarded.plan.items and begun.resumes is None:
        return _idle(scope, known, begun)
    acted = _act(scope, known, begun)
    proved = _prove(scope, known, acted)
    manifest = _manifest(scope, begun, acted.parts)
    known.learn(archive=manifest)
    _complete(scope, known, begun, acted.totals, proved.verdict, proof=proved.proof, archive=manifest)
    return known.ended(proved.verdict)


def _begin(scope: Scope, known: Known, guarded: Guarded) -> Begun:
    """Announce the run, or that a killed one goes on; reconcile one that cannot.

    Raises:
        RetentionError: something that the end of the run needs is not there; nothing was begun.
    """
    plan, planned, store = guarded.plan, guarded.planned, guarded.planned.surveyed.store
    if not isinstance(store, Expirable):
        raise StoreError(f"nothing can be destroyed in {plan.identity.target}")
    scope.needed().state.ledger.check_writable()
    if plan.items:
        scope.environment.ready(planned.archive is not None)
    resumes = planned.resumes
    begun = Begun(
        guarded=guarded,
        store=store,
        run_id=resumes.run_id if resumes else str(uuid.uuid4()),
        resumes=resumes,
    )
    known.learn(run_id=begun.run_id, resumed=resumes is not None, totals=Totals())
    if resumes is None and planned.history.open_run is not None:
        _reconcile(scope, begun, planned.history.open_run)
    announced = tuple(_announcement(scope.policy, begun))
    for event in announced:
        scope.append(event)
    if announced:
        scope.environment.sign_start()
    failpoint("engine.after_intent")
    return begun


def _announcement(policy: Policy, begun: Begun) -> Iterator[Event]:
    """What is written before the first batch."""
    from luxima_retention.run import said

    guarded, plan = begun.guarded, begun.guarded.plan
    if begun.resumes is not None:
        yield said.resumed(plan, begun.resumes, guarded.verdicts)
    elif plan.items:
        if option := policy.limits.named.get("share"):
            yield said.approval(plan, option)
        archive = guarded.planned.archive
        url = archive.url if archive else None
        mandate = guarded.planned.mandate
        seq = mandate.seq if mandate else None
        yield said.started(plan, guarded.survey, begun.run_id, guarded.verdicts, archive=url, approved=seq)


def _reconcile(scope: Scope, begun: Begun, run: OpenRun) -> None:
    """Close a killed run of another cutoff: what its batches said is what it did."""
    from luxima_retention.run import said

    killed = replace(begun, run_id=run.run_id)
    _manifest(scope, killed, run.parts, cutoff=run.cutoff)
    scope.append(said.reconciled(begun.guarded.plan, run))


def _act(scope: Scope, known: Known, begun: Begun) -> Acted:
    """Batch after batch; an error says in the ledger how far the run came."""
    action = _action(scope, begun)
    known.learn(totals=action.totals)
    try:
        with known.step("act"):
            action.run()
        failpoint("engine.after_act")
    except LeaseLost:
        raise  # whoever holds the lease now speaks for this run
    except RetentionError as error:
        _abandon(scope, known, begun, action, error)
        raise
    return Acted(
        begun=begun,
        totals=action.totals,
        parts=tuple(action.parts),
        stopped=action.should_stop(),
    )


def _work(scope: Scope, begun: Begun) -> Work:
    from luxima_retention.evidence.holds import in_force

    means, end = scope.needed(), scope.environment.end
    return Work(
        run_id=begun.run_id,
        token=means.lease.token,
        resumed=begun.resumes is not None,
        holds=lambda: in_force(means.state.register, scope.policy.name),
        stopping=end.over,
        wait=end.wait,
    )


def _action(scope: Scope, begun: Begun) -> Action:
    from luxima_retention.run.act import Action

    environment, means, run = scope.environment, scope.needed(), begun.resumes
    plan, ledger, work = begun.guarded.plan, means.state.ledger, _work(scope, begun)
    action = Action(
        store=begun.store,
        plan=plan,
        work=work,
        ledger=ledger,
        lease=means.lease,
        archive=begun.guarded.planned.archive,
        clock=environment.clock,
        observer=environment.observer,
        number=run.batches if run else 0,
        deadline=environment.deadline,
        parts=list(run.parts) if run else [],
    )
    if ledger.shares(plan.identity.fingerprint):
        enter: Enter = action.enter
        action.work = replace(work, enter=enter)
    return action


def _prove(scope: Scope, known: Known, acted: Acted) -> Proved:
    """Survey again, and let what is left decide the outcome."""
    from luxima_retention.evidence.holds import in_force

    begun, surveyed = acted.begun, acted.begun.guarded.planned.surveyed
    plan, now = begun.guarded.plan, scope.environment.clock()
    holds = in_force(scope.needed().state.register, scope.policy.name)
    with known.step("prove"):
        after = begun.store.survey(replace(surveyed.request, holds=holds))
    failpoint("engine.after_proof")
    proof = prove(plan, surveyed.survey, acted.totals, after, now, stopped=acted.stopped)
    known.learn(proof=proof)
    earlier = begun.resumes.destroyed if begun.resumes else 0
    return Proved(proof=proof, verdict=concluded(proof, acted.totals, earlier))


def _idle(scope: Scope, known: Known, begun: Begun) -> TargetResult:
    """A run of no records is an entry too."""
    guarded = begun.guarded
    verdict = idle(guarded.plan, guarded.survey, _pauses(scope, guarded))
    _complete(scope, known, begun, Totals(), verdict)
    return known.ended(verdict)


def _abandon(scope: Scope, known: Known, begun: Begun, action: Action, error: RetentionError) -> None:
    """A run that an error ended says so in the ledger, if the ledger still takes it."""
    try:
        manifest = _manifest(scope, begun, tuple(action.parts))
        known.learn(archive=manifest)
        _complete(scope, known, begun, action.totals, _of_error(error), archive=manifest)
    except RetentionError as another:
        scope.environment.observer.told("run.left-open", policy=scope.policy.name, error=another.message)


def _complete(
    scope: Scope,
    known: Known,
    begun: Begun,
    totals: Totals,
    verdict: Verdict,
    *,
    proof: Proof | None = None,
    archive: str | None = None,
) -> None:
    """Write how the run ended."""
    from luxima_retention.run import said

    event = said.completed(
        begun.guarded.plan,
        begun.run_id,
        verdict,
        totals,
        proof=proof,
        run=begun.resumes,
        archive=archive,
        milliseconds=known.milliseconds,
    )
    scope.append(event)


def _manifest(
    scope: Scope, begun: Begun, parts: tuple[Sealed, ...], cutoff: datetime | None = None
) -> str | None:
    """Write the archive's manifest over these parts, and the entry that names it."""
    archive: Archive | None = begun.guarded.planned.archive or scope.environment.archive
    if not parts or archive is None or not isinstance(begun.store, Archivable):
        return None
    from luxima_retention.evidence.archive import Run as ArchivedRun

    plan: Plan = begun.guarded.plan
    described = ArchivedRun(
        policy=plan.policy,
        run_id=begun.run_id,
        target=plan.identity.target,
        fingerprint=plan.identity.fingerprint,
        cutoff=cutoff or plan.cutoff,
        form=begun.store.archive_format,
        schema=begun.store.archive_schema(),
    )
    manifest = archive.complete(described, parts, scope.environment.clock())
    scope.append(manifest.verified())
    return manifest.name
