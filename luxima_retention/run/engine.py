"""The five steps, in one place: survey, decide, guard, act, prove.

Nothing below this module knows their order, and nothing above it deletes. A dry run is the same walk over
stores that cannot write; it ends after the guards.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from luxima_retention.core.clock import Clock, system_clock
from luxima_retention.core.errors import (
    ExitCode,
    GuardRefused,
    LeaseLost,
    ProofFailed,
    RetentionError,
    StoreError,
)
from luxima_retention.core.guards import Case, GuardResult, Limits, judge, refusals
from luxima_retention.core.history import History, OpenRun
from luxima_retention.core.plan import (
    Finding,
    Hold,
    Level,
    Plan,
    Request,
    Survey,
    conservative_now,
    cutoff_at,
    decide,
)
from luxima_retention.core.proof import prove
from luxima_retention.core.protocol import Archivable, Expirable, Surveyable, Work
from luxima_retention.core.results import (
    OUTCOMES,
    Outcome,
    PolicyResult,
    Proof,
    TargetResult,
    Totals,
    summed_up,
)
from luxima_retention.evidence import entries
from luxima_retention.evidence import history as histories
from luxima_retention.evidence.archive import Archive, Sealed
from luxima_retention.evidence.archive import Run as ArchivedRun
from luxima_retention.evidence.holds import in_force
from luxima_retention.io.failpoints import failpoint
from luxima_retention.run.act import Action
from luxima_retention.run.planfile import Approved, beyond

if TYPE_CHECKING:
    from luxima_retention.run.lease import Lease
    from luxima_retention.run.state import State

#: The name of a target, and what opens its store.
Target = tuple[str, Callable[[], Surveyable]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy in force.

    Args:
        name: ``audit-logs``.
        retention_days: whole days.
        archive: ``auto``, ``required`` or ``off``.
        may_archive: whether ``auto`` archives once an archive is configured.
        every: how often a run is expected; ``None`` expects none.
        lease: name of its lease, where parts of its work may run side by side; empty for its own name.
        ledgerless: whether it has work that needs no ledger, so that a run may do without one until
            something has expired.
        limits: of its guards.
    """

    name: str
    retention_days: int
    archive: str = "auto"
    may_archive: bool = False
    every: timedelta | None = None
    lease: str = ""
    ledgerless: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a run works with besides its stores.

    Args:
        now: the program's clock, read once.
        dry_run: ends after the guards; nothing is written anywhere.
        as_of: an instant in the past to count from instead of now.
        state: ledger, holds, leases; ``None`` where none is configured.
        archive: ``None`` where none is configured.
        approved: policy → the terms of a saved plan; ``None`` without one.
        confirm: asked once for each policy before anything is deleted.
        stopping: true once the run should end in good order.
        deadline: of :func:`time.monotonic`; ``None`` is no limit.
        wait: sleeps so many seconds, or less when ``stopping`` turns true.
        say: structured log: event, then values.
        progress: target, records done, records planned.
        clock: the program's, for instants after ``now``.
        sign_start: signs the ledger once a run has announced itself, before anything goes.
    """

    now: datetime
    dry_run: bool = False
    as_of: datetime | None = None
    state: State | None = None
    archive: Archive | None = None
    approved: Mapping[str, Approved] | None = None
    confirm: Callable[[tuple[Plan, ...]], bool] = lambda _plans: True
    stopping: Callable[[], bool] = lambda: False
    deadline: float | None = None
    wait: Callable[[float], None] = time.sleep
    say: Callable[..., None] = lambda *_args, **_values: None
    progress: Callable[[str, int, int], None] = lambda *_: None
    clock: Clock = system_clock
    sign_start: Callable[[], None] = lambda: None


def run_policy(policy: Policy, targets: Iterable[Target], environment: Environment) -> PolicyResult:
    """Apply one policy to its targets.

    Args:
        policy: in force.
        targets: opened in turn, closed at the end.
        environment: what the run works with.

    Returns:
        The result; an error of one target is in it and does not keep the others from their turn.
    """
    try:
        with _lease(policy, environment) as lease, ExitStack() as stack:
            _record_missed(policy, environment)
            walks = [_Walk(policy, environment, lease, name) for name, _ in targets]
            for walk, (_, opener) in zip(walks, targets, strict=True):
                walk.attempt(walk.prepare, opener, stack)
            _carry_out(walks, environment)
            return summed_up(policy.name, policy.retention_days, [walk.outcome() for walk in walks])
    except RetentionError as error:
        return failed(policy, error)


def failed(policy: Policy, error: RetentionError) -> PolicyResult:
    """The result of a policy that an error ended before its first target."""
    return PolicyResult(
        policy=policy.name,
        retention_days=policy.retention_days,
        outcome=OUTCOMES[error.exit_code],
        exit_code=error.exit_code,
        sentence=error.message,
        hint=error.hint,
    )


def _carry_out(walks: list[_Walk], environment: Environment) -> None:
    """Act and prove, target after target, once somebody has agreed to all the plans."""
    ready = [walk for walk in walks if walk.result is None]
    plans = tuple(walk.facts.plan for walk in ready if walk.facts.plan is not None)
    agreed = not any(plan.items for plan in plans) or environment.confirm(plans)
    for walk in ready:
        if agreed:
            walk.attempt(walk.carry_out)
        else:
            walk.end(Outcome.DECLINED, "nothing was deleted: the plan was not agreed to")


def _record_missed(policy: Policy, environment: Environment) -> None:
    """Write the runs that did not take place since the last one; a ledger that cannot is for the guards."""
    state = environment.state
    if environment.dry_run or state is None or policy.every is None or not _readable(state):
        return
    last = state.ledger.newest(kinds=_SLOTS, policy=policy.name)
    body = entries.missed(last.at, environment.now, policy.every) if last else None
    if body:
        state.ledger.append("slot.missed", body, policy=policy.name, at=environment.now)
        environment.say("slot.missed", policy=policy.name, missed=body["missed"])


#: entries that tell that a run took place
_SLOTS = frozenset({"run.completed", "run.refused", "run.checked", "run.reconciled", "slot.missed"})


@contextmanager
def _lease(policy: Policy, environment: Environment) -> Iterator[Lease | None]:
    """The policy's lease; a dry run and a suite without state take none."""
    if environment.dry_run or environment.state is None:
        yield None
        return
    lease = environment.state.lease(policy.lease or policy.name)
    try:
        yield lease
    finally:
        lease.release()


@dataclass(slots=True, kw_only=True)
class _Facts:
    """What is known of a target so far."""

    survey: Survey | None = None
    plan: Plan | None = None
    verdicts: tuple[GuardResult, ...] = ()
    run_id: str | None = None
    resumed: bool = False
    totals: Totals | None = None
    proof: Proof | None = None
    archive: str | None = None
    milliseconds: dict[str, int] = field(default_factory=dict)


class _Walk:
    """One target on its way through the five steps."""

    store: Surveyable
    request: Request

    def __init__(self, policy: Policy, environment: Environment, lease: Lease | None, target: str) -> None:
        self.policy = policy
        self.environment = environment
        self.lease = lease
        self.target = target
        self.facts = _Facts()
        self.result: TargetResult | None = None
        self.history = History()
        self.archive: Archive | None = None
        self.archive_verdicts: tuple[GuardResult, ...] = ()

    # --- outcomes -----------------------------------------------------------------------------------

    def attempt(self, step: Callable[..., None], *arguments: Any) -> None:
        """Take a step; an error ends this target with its sentence, hint and exit code."""
        try:
            step(*arguments)
        except RetentionError as error:
            self.environment.say("target.ended", target=self.target, error=error.message)
            self.end(OUTCOMES[error.exit_code], error.message, error.exit_code, error.hint)

    def end(
        self, outcome: Outcome, sentence: str, code: ExitCode = ExitCode.DONE, hint: str | None = None
    ) -> None:
        """Set the outcome, with everything that is known."""
        facts = self.facts
        self.result = TargetResult(
            target=facts.survey.identity.target if facts.survey else self.target,
            outcome=outcome,
            exit_code=code,
            sentence=sentence,
            hint=hint,
            run_id=facts.run_id,
            resumed=facts.resumed,
            plan=facts.plan,
            survey=facts.survey,
            verdicts=facts.verdicts,
            totals=facts.totals,
            proof=facts.proof,
            archive=facts.archive,
            milliseconds=facts.milliseconds,
        )

    def outcome(self) -> TargetResult:
        """The outcome, which every step but the last may leave open."""
        if self.result is None:
            raise ProofFailed(f"{self.target} has no outcome")
        return self.result

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Measure a step."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.facts.milliseconds[step] = round((time.monotonic() - begun) * 1000)

    # --- survey, decide, guard ----------------------------------------------------------------------

    def prepare(self, opener: Callable[[], Surveyable], stack: ExitStack) -> None:
        """The first three steps; sets the outcome of a target on which nothing will act."""
        if self.environment.stopping():
            self.end(Outcome.STOPPED, "not begun: the run was told to stop", ExitCode.STOPPED)
            return
        self.store = opener()
        stack.callback(self.store.close)
        with self.timed("survey"):
            survey, basis, remembered = self._survey()
        if not isinstance(self.store, Expirable):
            self._checked(survey)
            return
        self._decide(survey, basis)
        self._guard(survey, remembered)
        self._settle(survey)

    def _survey(self) -> tuple[Survey, str, tuple[GuardResult, ...]]:
        """The facts, the clock that the cutoff counts from, and what the suite's memory refused."""
        store_now, program_now = self._clocks()
        present, basis = conservative_now(self.environment.now, store_now, self.environment.as_of)
        holds, refused = _remembered(self.environment, self.policy)
        self.request = Request(
            policy=self.policy.name,
            retention_days=self.policy.retention_days,
            cutoff=cutoff_at(self.policy.retention_days, present),
            now=self.environment.now,
            holds=holds,
        )
        found = self.store.preflight(self.request)
        survey = self.store.survey(self.request)
        findings = _unique((*found, *survey.findings))
        survey = replace(survey, store_clock=store_now, program_clock=program_now, findings=findings)
        self.facts.survey = survey
        self.environment.say(
            "surveyed", policy=self.policy.name, target=survey.identity.target, expired=survey.expired
        )
        return survey, basis, refused

    def _clocks(self) -> tuple[datetime, datetime]:
        """The store's clock and the program's, at one moment: in the middle of asking.

        The program's clock as it was when the run began tells nothing once an earlier policy has taken its
        time.
        """
        asked = self.environment.clock()
        told = self.store.clock()
        return told, asked + (self.environment.clock() - asked) / 2

    def _decide(self, survey: Survey, basis: str) -> None:
        """The plan: bounded by what is left of a killed run, and by what was approved."""
        state, target = self.environment.state, survey.identity.target
        if state is not None and _readable(state):
            self.history = histories.read(state.ledger, self.policy.name, target)
        run = self._resumable()
        approved = (self.environment.approved or {}).get(self.policy.name)
        bounds = [approved.items] if approved else []
        bounds += [max(0, run.planned - run.destroyed - run.condemned)] if run else []
        archives, self.archive_verdicts = _archive_of(
            self.policy, self.store, self.environment.archive, self.history
        )
        self.archive = self.environment.archive if archives else None
        self.facts.plan = decide(
            self.request,
            survey,
            cutoff_basis=basis,
            disposition="archive, then destroy" if archives else "destroy",
            max_items=min(bounds, default=None),
        )

    def _resumable(self) -> OpenRun | None:
        run = self.history.open_run
        return run if run is not None and run.cutoff == self.request.cutoff else None

    def _guard(self, survey: Survey, remembered: tuple[GuardResult, ...]) -> None:
        plan = self.plan
        case = Case(
            plan=plan,
            survey=survey,
            request=self.request,
            history=self.history,
            limits=self.policy.limits,
            now=self.environment.now,
            as_of=self.environment.as_of,
        )
        self.facts.verdicts = (
            *remembered,
            *self.archive_verdicts,
            *judge(case),
            *_approval(self.environment.approved, plan),
        )

    @property
    def plan(self) -> Plan:
        """The plan, which the steps after *decide* have."""
        if self.facts.plan is None:
            raise ProofFailed(f"{self.target} has no plan")
        return self.facts.plan

    def _settle(self, survey: Survey) -> None:
        """End a target that nothing will act on: a dry run, a refusal, an obstacle."""
        plan, refused = self.plan, refusals(self.facts.verdicts)
        obstacle = _worst(survey.findings, Level.FAILED)
        if obstacle is not None:
            raise StoreError(obstacle.message, obstacle.hint)
        if self.environment.state is None and self.policy.ledgerless and not survey.expired:
            self.facts.verdicts = ()
            self._nothing(survey, "; expiry will need a ledger, and none is configured")
        elif refused and (plan.items or refused[0].guard in _ALWAYS_REFUSE):
            self._refuse(refused)
        elif self.environment.dry_run:
            self._foretell(survey)
        elif self.environment.stopping():
            self.end(Outcome.STOPPED, f"not begun: {plan.items} expired records remain", ExitCode.STOPPED)

    def _refuse(self, refused: tuple[GuardResult, ...]) -> None:
        first = refused[0]
        sentence = f"{first.guard}: {first.message} (observed {first.observed}, limit {first.limit})"
        if len(refused) > 1:
            sentence += f"; refused as well: {', '.join(verdict.guard for verdict in refused[1:])}"
        if self.environment.dry_run:
            self.end(Outcome.WOULD_REFUSE, f"a real run would refuse: {sentence}", hint=first.hint)
            return
        self.end(Outcome.REFUSED, sentence, ExitCode.REFUSED, first.hint)
        state = self.environment.state
        if state is not None and first.guard != "ledger":
            self._append("run.refused", entries.refused(self.plan, self.facts.verdicts))

    def _foretell(self, survey: Survey) -> None:
        plan, run = self.plan, self.history.open_run
        also = f"; it would first finish the run of {run.run_id}, which was killed" if run else ""
        if plan.items:
            self.end(Outcome.WOULD_DELETE, f"{plan.items} records would go: {plan.disposition}{also}")
        else:
            self._nothing(survey, also)

    def _nothing(self, survey: Survey, also: str = "") -> None:
        """The outcome of a plan of no records, with what keeps those that have expired."""
        pauses = [hold.hold_id for hold in self.request.holds if hold.pauses(self.policy.name)]
        if pauses:
            self.end(
                Outcome.PAUSED, f"paused by hold {', '.join(pauses)}: {survey.held} expired records stay"
            )
        elif found := next((item for item in survey.findings if item.code == "not-applicable"), None):
            self.end(Outcome.NOT_APPLICABLE, found.message, hint=found.hint)
        else:
            self.end(Outcome.NOTHING_TO_DO, entries.kept(survey) + also)

    def _checked(self, survey: Survey) -> None:
        """The outcome of a store that is only asked: its worst finding, or its last."""
        if not self.environment.dry_run and self.environment.state is not None:
            body = entries.checked(survey, self.policy.retention_days, self.request.cutoff)
            self._append("run.checked", body)
        code = entries.checked_code(item.level for item in survey.findings)
        told = [item for item in survey.findings if item.level.exit_code is code]
        chosen = told[-1] if told else None
        outcome = OUTCOMES.get(code) or _CHECKED.get(str(chosen.code) if chosen else "", Outcome.CHECKED)
        sentence = chosen.message if chosen else "asked, and nothing was found"
        self.end(outcome, sentence, code, chosen.hint if chosen else None)

    # --- act, prove ---------------------------------------------------------------------------------

    def carry_out(self) -> None:
        """The last two steps, between the entries that announce and report the run."""
        state, store = self.environment.state, self.store
        if state is None or self.lease is None or not isinstance(store, Expirable):
            raise GuardRefused("nothing is destroyed without a ledger", "set database.dsn or ledger.path")
        run = self._begin(state)
        if not self.plan.items and run is None:
            self._finish_nothing()
            return
        action = self._action(state, self.lease, store, run)
        try:
            with self.timed("act"):
                action.run()
            failpoint("engine.after_act")
        except LeaseLost:
            raise  # whoever holds the lease now speaks for this run
        except RetentionError as error:
            self._abandon(action, run, error)
            raise
        self._prove(action, run)

    def _begin(self, state: State) -> OpenRun | None:
        """Announce the run, or that a killed one goes on; reconcile one that cannot."""
        state.ledger.check_writable()
        run = self._resumable()
        if run is None and self.history.open_run is not None:
            self._reconcile(self.history.open_run)
        self.facts.run_id = run.run_id if run else str(uuid.uuid4())
        self.facts.resumed = run is not None
        self.facts.totals = Totals()
        if run is not None:
            self._append("run.resumed", entries.resumed(self.plan, run))
            self.environment.sign_start()
        elif self.plan.items:
            if self.policy.limits.named.get("share"):
                self._append("approval", entries.approval(self.plan, self.policy.limits.named["share"]))
            archive = self.archive.url if self.archive else None
            self._append(
                "run.started",
                entries.started(self.plan, self.facts.run_id, self.facts.verdicts, archive),
            )
            self.environment.sign_start()
        failpoint("engine.after_intent")
        return run

    def _reconcile(self, run: OpenRun) -> None:
        """Close a killed run of another cutoff: what its batches said is what it did."""
        parts = [Sealed.from_body(part) for part in run.parts]
        self._manifest(run.run_id, run.cutoff, parts)
        self._append("run.reconciled", entries.reconciled(self.plan, run))

    def _action(self, state: State, lease: Lease, store: Expirable, run: OpenRun | None) -> Action:
        environment = self.environment
        work = Work(
            run_id=str(self.facts.run_id),
            token=lease.token,
            resumed=run is not None,
            holds=lambda: in_force(state.register, self.policy.name),
            stopping=environment.stopping,
            wait=environment.wait,
        )
        return Action(
            store=store,
            plan=self.plan,
            work=work,
            ledger=state.ledger,
            lease=lease,
            archive=self.archive,
            clock=environment.clock,
            number=run.batches if run else 0,
            progress=environment.progress,
            deadline=environment.deadline,
            totals=self.facts.totals or Totals(),
            parts=[Sealed.from_body(part) for part in run.parts] if run else [],
        )

    def _prove(self, action: Action, run: OpenRun | None) -> None:
        """Survey again, and let what is left decide the outcome."""
        before, now = self.facts.survey, self.environment.clock()
        if before is None:
            raise ProofFailed(f"{self.target} was never surveyed")
        holds = in_force(self._state.register, self.policy.name)
        with self.timed("prove"):
            after = self.store.survey(replace(self.request, holds=holds))
        failpoint("engine.after_proof")
        stopped = action.should_stop() and action.totals.items < self.plan.items
        proof = prove(self.plan, before, action.totals, after, now, stopped=stopped)
        self.facts.proof = proof
        self.facts.archive = self._manifest(str(self.facts.run_id), self.plan.cutoff, action.parts)
        outcome, sentence, code = _verdict(action.totals, proof)
        self._complete(action, run, outcome, code)
        self.end(outcome, sentence, code, _HINTS.get(code))

    def _abandon(self, action: Action, run: OpenRun | None, reason: RetentionError) -> None:
        """A run that an error ended says so in the ledger, if the ledger still takes it."""
        try:
            self.facts.archive = self._manifest(str(self.facts.run_id), self.plan.cutoff, action.parts)
            self._complete(action, run, OUTCOMES[reason.exit_code], reason.exit_code)
        except RetentionError as error:
            self.environment.say("run.left-open", target=self.target, error=error.message)

    def _complete(self, action: Action, run: OpenRun | None, outcome: Outcome, code: ExitCode) -> None:
        facts = self.facts
        body = entries.completed(
            self.plan, str(facts.run_id), action.totals, facts.proof, run, outcome=outcome, code=code
        )
        self._append("run.completed", {**body, "archive": facts.archive, "milliseconds": facts.milliseconds})

    def _finish_nothing(self) -> None:
        """A run of no records is an entry too."""
        survey = self.facts.survey
        if survey is None:
            raise ProofFailed(f"{self.target} was never surveyed")
        self._nothing(survey)
        body = entries.completed(
            self.plan,
            str(self.facts.run_id),
            Totals(),
            None,
            None,
            outcome=Outcome.NOTHING_TO_DO,
            code=ExitCode.DONE,
        )
        self._append("run.completed", {**body, "held": survey.held, "archive": None})

    def _manifest(self, run_id: str, cutoff: datetime, parts: list[Sealed]) -> str | None:
        """Write the archive's manifest over these parts, and the entry that names it."""
        archive = self.archive or self.environment.archive
        if not parts or archive is None or not isinstance(self.store, Archivable):
            return None
        plan = self.plan
        described = ArchivedRun(
            policy=plan.policy,
            run_id=run_id,
            target=plan.identity.target,
            fingerprint=plan.identity.fingerprint,
            cutoff=cutoff,
            form=self.store.archive_format,
            schema=self.store.archive_schema(),
        )
        manifest = archive.complete(described, parts, self.environment.clock())
        self._append("archive.verified", manifest.body())
        return manifest.name

    @property
    def _state(self) -> State:
        if self.environment.state is None:
            raise GuardRefused("nothing is destroyed without a ledger", "set database.dsn or ledger.path")
        return self.environment.state

    def _append(self, kind: str, body: Mapping[str, Any]) -> None:
        at = self.environment.clock()
        self._state.ledger.append(kind, body, policy=self.policy.name, at=at)
        self.environment.say(kind, policy=self.policy.name, target=self.target)


#: guards that refuse even when nothing would go: they tell that the wrong store may have been asked
_ALWAYS_REFUSE = frozenset({"ledger", "holds", "identity", "clock-skew"})
_CHECKED = {
    "compliant": Outcome.COMPLIANT,
    "not-yet-provable": Outcome.NOT_YET_PROVABLE,
    "not-applicable": Outcome.NOT_APPLICABLE,
}
_HINTS = {
    ExitCode.VERIFICATION_FAILED: "see `luxima-retention explain` for a record that is left",
    ExitCode.STOPPED: "the next run goes on; --max-runtime gives it more time",
}


def _remembered(environment: Environment, policy: Policy) -> tuple[tuple[Hold, ...], tuple[GuardResult, ...]]:
    """The holds in force, and what the suite's own memory refuses: no ledger, no register."""
    state = environment.state
    if state is None:
        sentence = "nothing is destroyed without a ledger, and none is configured"
        return (), (_memory("ledger", sentence, "set database.dsn, or ledger.path on a persistent volume"),)
    found: list[GuardResult] = []
    holds: tuple[Hold, ...] = ()
    try:
        holds = in_force(state.register, policy.name)
    except StoreError as error:
        found.append(_memory("holds", error.message, error.hint))
    try:
        if not environment.dry_run:
            state.ledger.check_writable()
        elif not found:
            state.ledger.head()
    except StoreError as error:
        found.append(_memory("ledger", error.message, error.hint))
    return holds, tuple(found)


def _memory(guard: str, sentence: str, hint: str | None) -> GuardResult:
    return GuardResult(
        guard=guard, passed=False, observed="not usable", limit="must work", message=sentence, hint=hint
    )


def _readable(state: State) -> bool:
    """Whether the ledger can be read; that it cannot is a verdict already."""
    try:
        state.ledger.head()
    except StoreError:
        return False
    return True


def _archive_of(
    policy: Policy, store: Surveyable, archive: Archive | None, history: History
) -> tuple[bool, tuple[GuardResult, ...]]:
    """Whether this policy archives, and the refusal of one that should and cannot."""
    able = isinstance(store, Archivable)
    wanted = policy.archive == "required" or (policy.archive == "auto" and policy.may_archive)
    if policy.archive == "off" or (wanted and able and archive is not None):
        return policy.archive != "off", ()
    key = f"policies.{policy.name.replace('-', '_')}.archive"
    if policy.archive == "required":
        why = "no archive is configured" if able else "this store cannot stream its records to one"
    elif history.archived and wanted:
        why = "it has archived before, and no archive is configured now"
    else:
        return False, ()
    return False, (
        GuardResult(
            guard="archive",
            passed=False,
            observed=why,
            limit="archive, then destroy",
            message=f"{policy.name} archives before it destroys, but {why}",
            hint=f"set archive.url, or {key} = off",
        ),
    )


def _approval(approved: Mapping[str, Approved] | None, plan: Plan) -> tuple[GuardResult, ...]:
    """The verdict of a saved plan, if one is applied."""
    if approved is None:
        return ()
    terms = approved.get(plan.policy)
    over = beyond(terms, plan) if terms else (f"the saved plan says nothing of {plan.policy}",)
    return (
        GuardResult(
            guard="approved-plan",
            passed=not over,
            observed=f"{plan.items} records, digest {plan.digest[:12]}",
            limit=f"{terms.items} records, digest {terms.digest[:12]}" if terms else "nothing",
            message="; ".join(over) or "within what was approved",
            hint="look at what has changed, and save a new plan" if over else None,
        ),
    )


def _verdict(totals: Totals, proof: Proof) -> tuple[Outcome, str, ExitCode]:
    """What the second survey makes of the run."""
    done = f"{totals.destroyed} records destroyed" if totals.destroyed or not totals.condemned else ""
    waiting = f"{totals.condemned} condemned" if totals.condemned else ""
    sentence = f"{' and '.join(filter(None, (done, waiting)))}; {proof.sentence}"
    if totals.failures:
        more = totals.metrics.get("failures", 0) - 1
        others = f" (and {more} more)" if more else ""
        return Outcome.FAILED, f"{sentence}; {totals.failures[0]}{others}", ExitCode.INCOMPLETE
    if not proof.holds:
        return Outcome.VERIFICATION_FAILED, sentence, ExitCode.VERIFICATION_FAILED
    if proof.explained.get("stopped"):
        return Outcome.STOPPED, sentence, ExitCode.STOPPED
    return Outcome.PENDING if totals.condemned else Outcome.DONE, sentence, ExitCode.DONE


def _worst(findings: Iterable[Finding], level: Level) -> Finding | None:
    return next((finding for finding in findings if finding.level is level), None)


def _unique(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys(findings))
