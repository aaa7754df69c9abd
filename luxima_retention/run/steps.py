"""The first three steps: survey, decide, guard. Nothing here changes a store, or writes to the ledger.

``run``, ``doctor`` and ``explain`` take them alike. Each returns what the next one needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from luxima_retention.core.errors import ExitCode, RetentionError, StoreError, TamperingFound
from luxima_retention.core.guards import Case, GuardResult, judge, refusals
from luxima_retention.core.history import History, OpenRun
from luxima_retention.core.plan import (
    DISPOSITIONS,
    Finding,
    Hold,
    Plan,
    Request,
    Survey,
    conservative_now,
    cutoff_at,
)
from luxima_retention.core.plan import decide as planned
from luxima_retention.core.protocol import Archivable, Surveyable

if TYPE_CHECKING:
    from luxima_retention.evidence.archive import Archive
    from luxima_retention.evidence.events import StoreCounted
    from luxima_retention.run.approvals import Mandate
    from luxima_retention.run.context import Environment, Policy
    from luxima_retention.run.planfile import Approved
    from luxima_retention.run.state import State

#: guards that refuse even when nothing would be deleted: they say that the wrong store may have been asked
ALWAYS_REFUSE = frozenset({"approval", "ledger", "holds", "held-records", "identity", "clock-skew"})
#: kinds of stores where a held record stays one record until somebody removes it; Loki's are made anew
_LASTING = frozenset({"postgresql", "directory"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """What the first step found.

    Args:
        store: that was asked.
        request: what it was asked.
        survey: what it said.
        basis: the clock that the cutoff counts from.
        memory: what the suite's own memory refuses: no ledger, no register, held records that are missing.
        counted: what the next run is to compare with; ``None`` where nothing can be compared.
    """

    store: Surveyable
    request: Request
    survey: Survey
    basis: str
    memory: tuple[GuardResult, ...]
    counted: StoreCounted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What the second step decided.

    Args:
        surveyed: that it decided from.
        history: what earlier runs tell.
        resumes: the killed run that this one goes on with.
        archive: where records go before they are destroyed; ``None`` where they go nowhere.
        unarchived: the refusal of a policy that should archive and cannot.
        plan: what may go.
        mandate: the approval that it carries out; ``None`` for none.
        approval: the verdict on an approval, carried out or not.
    """

    surveyed: Surveyed
    history: History
    resumes: OpenRun | None
    archive: Archive | None
    unarchived: tuple[GuardResult, ...]
    plan: Plan
    mandate: Mandate | None = None
    approval: tuple[GuardResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What the third step made of a plan.

    Args:
        planned: that the guards looked at.
        verdicts: what each guard said.
    """

    planned: Planned
    verdicts: tuple[GuardResult, ...]

    @property
    def plan(self) -> Plan:
        """What may go."""
        return self.planned.plan

    @property
    def survey(self) -> Survey:
        """What the store said."""
        return self.planned.surveyed.survey

    @property
    def refused(self) -> tuple[GuardResult, ...]:
        """The guards that keep a run from this plan: of a plan of no records, those that always count."""
        refused = refusals(self.verdicts)
        return refused if self.plan.items or (refused and refused[0].guard in ALWAYS_REFUSE) else ()


def survey(policy: Policy, environment: Environment, store: Surveyable, begun: int = 0) -> Surveyed:
    """Ask a store for its facts, by the earlier of both clocks and with the holds in force.

    Args:
        policy: in force.
        environment: what the run works with.
        store: that is asked.
        begun: see :class:`~luxima_retention.core.plan.Request`.

    Raises:
        StoreError: it cannot be asked.
    """
    store_now, program_now = _clocks(environment, store)
    present, basis = conservative_now(environment.now, store_now, environment.as_of)
    holds, memory = _remembered(environment, policy)
    request = Request(
        policy=policy.name,
        retention_days=policy.retention_days,
        cutoff=cutoff_at(policy.retention_days, present),
        now=environment.now,
        holds=holds,
        begun=begun,
    )
    found = store.preflight(request)
    facts = store.survey(request)
    findings = tuple(dict.fromkeys((*found, *facts.findings, *_functions(environment, facts))))
    facts = replace(facts, store_clock=store_now, program_clock=program_now, findings=findings)
    surveyed = Surveyed(store=store, request=request, survey=facts, basis=basis, memory=memory)
    return _conserved(environment, surveyed) if not memory else surveyed


def _conserved(environment: Environment, surveyed: Surveyed) -> Surveyed:
    """What is missing since the run before, and what the next one is to compare with."""
    state = environment.state
    if state is None or surveyed.survey.identity.kind not in _LASTING:
        return surveyed
    return _compared(state, environment.now, surveyed)


# Here and below: what reads the ledger is loaded where there is one.


def _compared(state: State, now: datetime, surveyed: Surveyed) -> Surveyed:
    from luxima_retention.core import conservation
    from luxima_retention.evidence import events
    from luxima_retention.evidence import history as histories

    request, facts = surveyed.request, surveyed.survey
    target, population = facts.identity.target, facts.population
    since = histories.since(state.ledger, request.policy, target)
    if facts.counters is None and not facts.held and since is None:
        return surveyed
    found = conservation.estimate(since, facts) if since else conservation.Estimate()
    fell = conservation.held_fell(since, request.cutoff, facts.held) if since else None
    told = conservation.findings(found, since, target) if since else ()
    counted = events.StoreCounted(
        target=target,
        read_at=facts.program_clock or now,
        cutoff=request.cutoff,
        held=facts.held,
        population=population.value if population and population.exact else None,
        counters=facts.counters,
        since=since.reading.at if since else None,
        deleted_externally=found.records,
        unknown=found.unknown,
    )
    return replace(
        surveyed,
        survey=replace(facts, findings=(*facts.findings, *told)),
        memory=(fell,) if fell else (),
        counted=counted,
    )


def _functions(environment: Environment, facts: Survey) -> tuple[Finding, ...]:
    """Whether the functions that would delete are those that the ledger knows."""
    state = environment.state
    if state is None or not readable(state):
        return ()
    from luxima_retention.run.functions import changed_functions

    return changed_functions(state.ledger, facts)


def decide(policy: Policy, environment: Environment, surveyed: Surveyed) -> Planned:
    """Make the plan: what a person approved where that still is the plan, else what has expired.

    Raises:
        StoreError: the store cannot be asked again, or the ledger was written by a newer version.
    """
    state, target = environment.state, surveyed.survey.identity.target
    if state is None or not readable(state):
        return _decided(policy, environment, surveyed, History())
    from luxima_retention.evidence import history as histories
    from luxima_retention.run.approvals import accepted, changed, differences, mandate_of

    history = histories.read(state.ledger, policy.name, target)
    if begun := _begun_before(surveyed, history):
        return decide(policy, environment, survey(policy, environment, surveyed.store, begun))
    mandate, told = mandate_of(policy, environment, target)
    if mandate is None:
        return replace(_decided(policy, environment, surveyed, history), approval=told)
    before = _surveyed_by(surveyed, mandate.approved.cutoff)
    made = _decided(policy, environment, before, history, mandate)
    if differs := differences(mandate, made.plan, before.survey.expired):
        # A store works from what it was asked last.
        now = surveyed if before is surveyed else _asked(surveyed, surveyed.request)
        usual = _decided(policy, environment, now, history)
        return replace(usual, approval=(changed(mandate, differs),))
    return replace(made, mandate=mandate, approval=(accepted(mandate, made.plan),))


def _begun_before(surveyed: Surveyed, history: History) -> int:
    """Batches of the killed run that this one goes on with, where a store that knew of them may know more.

    It may have been emptied by them, so that nothing is left that it could recognise.
    """
    run, request = history.open_run, surveyed.request
    if run is None or run.cutoff != request.cutoff or request.begun or not surveyed.survey.unknown:
        return 0
    return run.batches


def _surveyed_by(surveyed: Surveyed, cutoff: datetime) -> Surveyed:
    """The same store by an earlier cutoff: what has expired since waits for the next run."""
    if cutoff >= surveyed.request.cutoff:
        return surveyed
    return _asked(surveyed, replace(surveyed.request, cutoff=cutoff))


def _asked(surveyed: Surveyed, request: Request) -> Surveyed:
    facts, again = surveyed.survey, surveyed.store.survey(request)
    found = replace(
        again,
        store_clock=facts.store_clock,
        program_clock=facts.program_clock,
        findings=tuple(dict.fromkeys((*facts.findings, *again.findings))),
    )
    return replace(surveyed, request=request, survey=found)


def _decided(
    policy: Policy,
    environment: Environment,
    surveyed: Surveyed,
    history: History,
    mandate: Mandate | None = None,
) -> Planned:
    """The plan of one survey: bounded by what is left of a killed run, and by what was approved."""
    request, run = surveyed.request, history.open_run
    resumes = run if run is not None and run.cutoff == request.cutoff else None
    saved = (environment.approved or {}).get(policy.name)
    archive, unarchived = _archive_of(policy, surveyed.store, environment.archive, history)
    plan = planned(
        request,
        surveyed.survey,
        cutoff_basis=surveyed.basis,
        disposition=DISPOSITIONS[archive is not None],
        approved=mandate.left if mandate else saved.items if saved else None,
        resumed=max(0, resumes.planned - resumes.destroyed - resumes.condemned) if resumes else None,
    )
    return Planned(
        surveyed=surveyed,
        history=history,
        resumes=resumes,
        archive=archive,
        unarchived=unarchived,
        plan=plan,
    )


def guard(policy: Policy, environment: Environment, planned: Planned) -> Guarded:
    """Ask every guard. That an approval is worth nothing is told first, where it would have helped."""
    surveyed, mandate = planned.surveyed, planned.mandate
    case = Case(
        plan=planned.plan,
        survey=surveyed.survey,
        request=surveyed.request,
        history=planned.history,
        limits=mandate.limits(policy.limits, environment.now) if mandate else policy.limits,
        now=environment.now,
        as_of=environment.as_of,
    )
    verdicts = (
        *surveyed.memory,
        *planned.unarchived,
        *judge(case),
        *_approval(environment.approved, planned.plan),
    )
    told = planned.approval
    if told and not told[0].passed and told[0].guard not in ALWAYS_REFUSE and not refusals(verdicts):
        told = ()
    return Guarded(planned=planned, verdicts=(*told, *verdicts))


def examined(policy: Policy, environment: Environment, store: Surveyable) -> Guarded:
    """The three steps, one after the other.

    Raises:
        StoreError: the store or the ledger cannot be asked.
    """
    return guard(policy, environment, decide(policy, environment, survey(policy, environment, store)))


def readable(state: State) -> bool:
    """Whether the ledger can be read; that it cannot is a verdict already."""
    try:
        state.ledger.head()
    except StoreError:
        return False
    return True


def _clocks(environment: Environment, store: Surveyable) -> tuple[datetime, datetime]:
    """The store's clock and the program's, at one moment: in the middle of asking.

    The program's clock as it was when the run began tells nothing once an earlier policy has taken its
    time.
    """
    asked = environment.clock()
    told = store.clock()
    return told, asked + (environment.clock() - asked) / 2


def _remembered(environment: Environment, policy: Policy) -> tuple[tuple[Hold, ...], tuple[GuardResult, ...]]:
    """The holds in force, and what the suite's own memory refuses: no ledger, no register."""
    state = environment.state
    if state is None:
        told = StoreError(
            "nothing is destroyed without a ledger, and none is configured",
            "set database.dsn, or ledger.path on a persistent volume",
        )
        return (), (_memory("ledger", told),)
    from luxima_retention.evidence.holds import in_force

    found: list[GuardResult] = []
    holds: tuple[Hold, ...] = ()
    try:
        holds = in_force(state.register, policy.name)
    except (StoreError, TamperingFound) as error:
        found.append(_memory("holds", error))
    try:
        if not environment.dry_run:
            state.ledger.check_writable()
        elif not found:
            state.ledger.head()
    except StoreError as error:
        found.append(_memory("ledger", error))
    return holds, tuple(found)


def _memory(guard_id: str, error: RetentionError) -> GuardResult:
    changed = isinstance(error, TamperingFound)
    return GuardResult(
        guard=guard_id,
        passed=False,
        observed="changed" if changed else "not usable",
        limit="as the ledger says" if changed else "must work",
        message=error.message,
        hint=error.hint,
        code=ExitCode.VERIFICATION_FAILED if changed else ExitCode.REFUSED,
    )


def _archive_of(
    policy: Policy, store: Surveyable, archive: Archive | None, history: History
) -> tuple[Archive | None, tuple[GuardResult, ...]]:
    """Where this policy archives, and the refusal of one that should and cannot.

    A policy that archives, then destroys does not just destroy because no archive is configured: whoever
    wants that says so.
    """
    able = isinstance(store, Archivable)
    if policy.archive != "off" and able and archive is not None:
        return archive, ()
    if policy.archive == "off" or (policy.archive == "auto" and not history.archived):
        return None, ()
    why = "no archive is configured" if able else "this store cannot stream its records to one"
    key = f"policies.{policy.name}.archive"
    return None, (
        GuardResult(
            guard="archive",
            passed=False,
            observed=why,
            limit=DISPOSITIONS[True],
            message=f"{policy.name} archives before it destroys, but {why}",
            hint=("set archive.url, or " if able else "") + f"to destroy without an archive, set {key} = off",
        ),
    )


def _approval(approved: Mapping[str, Approved] | None, plan: Plan) -> tuple[GuardResult, ...]:
    """The verdict of a saved plan, if one is applied."""
    if approved is None:
        return ()
    from luxima_retention.run.planfile import beyond

    terms = approved.get(plan.policy)
    over = beyond(terms, plan) if terms else (f"the saved plan has nothing about {plan.policy}",)
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
