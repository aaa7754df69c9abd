"""Survey, decide, guard: what is asked, what bounds the plan, and what each guard is given."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from luxima_retention.core.errors import ConfigurationError, ExitCode, StoreError, TamperingFound
from luxima_retention.core.guards import GuardResult, Limits
from luxima_retention.core.plan import Count, Counters, Finding, Hold, Identity, Level, Plan, Survey
from luxima_retention.evidence import events
from luxima_retention.evidence.holds import Registered
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.run import steps
from luxima_retention.run.context import Environment, Policy
from luxima_retention.run.planfile import Approved
from tests.ledgers import event

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
CUTOFF = datetime(2026, 5, 27, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
POLICY = Policy(name="audit-logs", retention_days=180, limits=Limits(dimensions=frozenset({"tenant"})))
COUNTERS = Counters(epoch="e", deleted={"1": 5}, files={})
NOT_CONFIGURED = "nothing is destroyed without a ledger, and none is configured"


class Asked:
    """A store that can only be asked."""

    def __init__(self, at: datetime = NOW, kind: str = "postgresql", findings=(), **facts) -> None:
        self.at, self.found, self.requests = at, findings, []
        identity = Identity(kind=kind, target="core.t", fingerprint="db:1")
        self.facts = Survey(identity=identity, store_clock=NOW - 99 * DAY, **facts)

    def clock(self):
        return self.at

    def preflight(self, request):
        self.requests.append(request)
        return self.found

    def survey(self, request):
        self.requests.append(request)
        return self.facts

    def identity(self):
        return self.facts.identity

    def close(self):
        """Nothing is open."""


class Deletable(Asked):
    """A store whose records can be deleted."""

    def batches(self, plan, work):
        raise AssertionError("never")

    explain = batches


class Archived(Deletable):
    """A store whose records can be archived, too."""

    archive_format = "csv"

    def archive_schema(self):
        return ()


class Register:
    def __init__(self, *holds, error=None):
        self.found = tuple(holds)
        self.error = error

    def all(self, **_):
        if self.error:
            raise self.error
        return self.found


def state_of(*entries, holds=(), error=None):
    ledger = MemoryLedger()
    for item in entries:
        ledger.append(item, policy="audit-logs", at=NOW - DAY)
    return SimpleNamespace(ledger=ledger, register=Register(*holds, error=error))


def environment(state=None, **more) -> Environment:
    return Environment(**{"now": NOW, "clock": lambda: NOW, "state": state or state_of()} | more)


def held(hold_id="H", **fields) -> Registered:
    return Registered(hold=Hold(hold_id=hold_id, **fields))


def of(verdicts, guard) -> GuardResult:
    (found,) = (item for item in verdicts if item.guard == guard)
    return found


# --- survey ---------------------------------------------------------------------------------------------


def test_a_store_is_asked_for_what_is_in_force():
    holds = (held("H-1", policy="audit-logs"), held("H-2"), held("H-3", policy="metrics"))
    store = Asked(NOW + SECOND)
    found = steps.survey(POLICY, environment(state_of(holds=holds)), store)
    first, second = store.requests
    assert first == second == found.request
    assert (first.policy, first.retention_days, first.cutoff, first.now) == ("audit-logs", 180, CUTOFF, NOW)
    assert [hold.hold_id for hold in first.holds] == ["H-1", "H-2"]
    assert (found.store, found.basis, found.memory, found.counted) == (store, "program clock", (), None)
    assert found.survey.store_clock == NOW + SECOND
    assert found.survey.program_clock == NOW


@pytest.mark.parametrize(
    ("at", "as_of", "cutoff", "basis"),
    [
        (NOW - 2 * DAY, None, CUTOFF - 2 * DAY, "store clock"),
        (NOW + 2 * DAY, None, CUTOFF, "program clock"),
        (NOW, NOW - 9 * DAY, CUTOFF - 9 * DAY, "as-of"),
    ],
)
def test_the_cutoff_counts_from_the_earliest_clock(at, as_of, cutoff, basis):
    found = steps.survey(POLICY, environment(as_of=as_of), Asked(at))
    assert (found.request.cutoff, found.basis) == (cutoff, basis)


def test_the_programs_clock_is_read_around_the_stores():
    readings = iter([NOW + 10 * SECOND, NOW + 14 * SECOND])
    found = steps.survey(POLICY, environment(clock=lambda: next(readings)), Asked(NOW + 11 * SECOND))
    assert found.survey.program_clock == NOW + 12 * SECOND
    assert found.survey.store_clock == NOW + 11 * SECOND


def test_a_finding_is_told_once():
    one, two, three = (Finding(code=f"f{n}", level=Level.INFO, message="m") for n in range(3))
    found = steps.survey(POLICY, environment(), Asked(findings=(one, two)))
    assert found.survey.findings == (one, two)
    store = Asked(findings=(one, two))
    store.facts = replace(store.facts, findings=(two, three))
    assert steps.survey(POLICY, environment(), store).survey.findings == (one, two, three)


@pytest.mark.parametrize(
    ("recorded", "told"),
    [("abc", []), ("other", ["functions-not-in-ledger"]), (None, ["functions-not-in-ledger"])],
)
def test_functions_that_the_ledger_does_not_know_are_found(recorded, told):
    entries = [event("migrated", target="core.t", catalogue=recorded)] if recorded else []
    store = Asked(evidence={"functions_sha256": "abc"})
    found = steps.survey(POLICY, environment(state_of(*entries)), store)
    assert [item.code for item in found.survey.findings] == told


def test_without_a_ledger_nobody_asks_it_about_functions():
    store = Asked(evidence={"functions_sha256": "abc"}, held=3, counters=COUNTERS)
    found = steps.survey(POLICY, replace(environment(), state=None), store)
    assert (found.survey.findings, found.counted) == ((), None)
    broken = state_of()
    broken.ledger.writable = False
    broken.ledger.head = fails(StoreError("no connection"))
    found = steps.survey(POLICY, environment(broken), store)
    assert (found.survey.findings, found.counted) == ((), None)


def fails(error):
    def raises(*_arguments, **_named):
        raise error

    return raises


# --- what the suite's own memory refuses ----------------------------------------------------------------


def test_no_ledger_is_a_refusal():
    found = steps.survey(POLICY, replace(environment(), state=None), Asked())
    assert found.memory == (
        GuardResult(
            guard="ledger",
            passed=False,
            observed="not usable",
            limit="must work",
            message=NOT_CONFIGURED,
            hint="set database.dsn, or ledger.path on a persistent volume",
            code=ExitCode.REFUSED,
        ),
    )
    assert found.request.holds == ()


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("error", "observed", "limit", "code"),
    [
        (StoreError("no connection", "try"), "not usable", "must work", ExitCode.REFUSED),
        (
            TamperingFound("changed", "compare"),
            "changed",
            "as the ledger says",
            ExitCode.VERIFICATION_FAILED,
        ),
    ],
)
def test_a_register_that_cannot_be_used_is_a_refusal(dry_run, error, observed, limit, code):
    state = state_of(error=error)
    found = steps.survey(POLICY, environment(state, dry_run=dry_run), Asked(counters=COUNTERS, held=1))
    assert found.memory == (
        GuardResult(
            guard="holds",
            passed=False,
            observed=observed,
            limit=limit,
            message=error.message,
            hint=error.hint,
            code=code,
        ),
    )
    assert (found.request.holds, found.counted) == ((), None)


def test_a_ledger_that_cannot_be_written_refuses_a_real_run_only():
    state = state_of(holds=(held(),))
    state.ledger.check_writable = fails(StoreError("read-only"))
    found = steps.survey(POLICY, environment(state), Asked())
    assert [(item.guard, item.message) for item in found.memory] == [("ledger", "read-only")]
    assert [hold.hold_id for hold in found.request.holds] == ["H"]
    assert steps.survey(POLICY, environment(state, dry_run=True), Asked()).memory == ()


def test_a_dry_run_asks_whether_the_ledger_can_be_read():
    state = state_of()
    state.ledger.head = fails(StoreError("no connection"))
    found = steps.survey(POLICY, environment(state, dry_run=True), Asked())
    assert [(item.guard, item.message) for item in found.memory] == [("ledger", "no connection")]


def test_register_and_ledger_are_both_told():
    state = state_of(error=StoreError("no register"))
    state.ledger.check_writable = fails(StoreError("no ledger"))
    found = steps.survey(POLICY, environment(state), Asked())
    assert [item.message for item in found.memory] == ["no register", "no ledger"]


def test_whether_a_ledger_can_be_read():
    state = state_of()
    assert steps.readable(state)
    state.ledger.head = fails(StoreError("no connection"))
    assert not steps.readable(state)


# --- what is missing since the run before ---------------------------------------------------------------


def counted(**fields) -> events.StoreCounted:
    usual = {"target": "core.t", "read_at": NOW - DAY, "cutoff": CUTOFF - DAY}
    return events.StoreCounted(**usual | fields)


@pytest.mark.parametrize(
    ("kind", "facts", "counts"),
    [
        ("postgresql", {"counters": COUNTERS}, True),
        ("directory", {"held": 1}, True),
        ("postgresql", {}, False),
        ("s3", {"held": 1, "counters": COUNTERS}, False),
    ],
)
def test_what_the_next_run_is_to_compare_with(kind, facts, counts):
    found = steps.survey(POLICY, environment(), Asked(kind=kind, population=Count(value=70), **facts))
    assert (found.memory, found.survey.findings) == ((), ())
    if not counts:
        assert found.counted is None
        return
    assert found.counted == events.StoreCounted(
        target="core.t",
        read_at=NOW,
        cutoff=CUTOFF,
        held=facts.get("held", 0),
        population=70,
        counters=facts.get("counters"),
        since=None,
        deleted_externally=0,
        unknown="",
    )


def test_the_reading_is_of_the_moment_at_which_the_store_was_asked():
    readings = iter([NOW + 2 * SECOND, NOW + 4 * SECOND])
    found = steps.survey(POLICY, environment(clock=lambda: next(readings)), Asked(counters=COUNTERS))
    assert found.counted.read_at == NOW + 3 * SECOND


@pytest.mark.parametrize("population", [None, Count(value=70, exact=False)])
def test_a_population_that_was_not_counted_is_not_compared(population):
    found = steps.survey(POLICY, environment(), Asked(counters=COUNTERS, population=population))
    assert found.counted.population is None


def test_what_somebody_else_deleted_is_a_finding_and_stands_in_the_reading():
    before = counted(population=100, counters=Counters(epoch="e", deleted={"1": 0}, files={"2": "f"}))
    one = Finding(code="f", level=Level.INFO, message="m")
    store = Asked(findings=(one,), counters=COUNTERS, population=Count(value=95))
    found = steps.survey(POLICY, environment(state_of(before)), store)
    codes = [item.code for item in found.survey.findings]
    assert codes == ["f", "deleted-externally", "deletions-unknown"]
    assert "about 5 records of core.t" in found.survey.findings[1].message
    assert (found.counted.deleted_externally, found.counted.since) == (5, NOW - DAY)
    assert found.counted.unknown == "dropped or detached: 2"
    assert found.memory == ()


def test_a_store_without_counters_is_compared_with_what_was_read_before():
    found = steps.survey(POLICY, environment(state_of(counted())), Asked())
    assert found.counted.since == NOW - DAY


@pytest.mark.parametrize(("now", "refuses"), [(7, False), (6, True)])
def test_held_records_that_are_missing_refuse(now, refuses):
    found = steps.survey(POLICY, environment(state_of(counted(held=7))), Asked(held=now))
    assert [item.guard for item in found.memory] == (["held-records"] if refuses else [])
    assert found.counted.held == now


def test_held_records_of_a_later_cutoff_are_not_compared():
    """As after a period that was made longer."""
    state = state_of(counted(held=7, cutoff=CUTOFF + DAY))
    assert steps.survey(POLICY, environment(state), Asked(held=6)).memory == ()


# --- decide ---------------------------------------------------------------------------------------------


def decided(state=None, store=None, policy=POLICY, **more):
    told = environment(state, **more)
    store = store or Deletable(expired=90, population=Count(value=1000), newest=NOW)
    return steps.decide(policy, told, steps.survey(policy, told, store))


def killed(cutoff=CUTOFF, batches=((10, 5),)):
    entries = [event("run.started", run_id="r", target="core.t", items=60, fingerprint="db:1")]
    entries = [replace(entries[0], cutoff=cutoff)]
    entries += [
        event("batch", run_id="r", target="core.t", number=number, items=items, pending=pending)
        for number, (items, pending) in enumerate(batches, start=1)
    ]
    return state_of(*entries)


@pytest.mark.parametrize(
    ("cutoff", "batches", "items", "late"),
    [
        (CUTOFF, ((10, 5), (3, 0)), 42, 48),
        (CUTOFF, ((60, 0),), 0, 90),
        (CUTOFF, ((40, 40),), 0, 90),
        (CUTOFF - DAY, ((10, 5),), 90, 0),
        (CUTOFF + DAY, ((10, 5),), 90, 0),
    ],
)
def test_a_resumed_run_may_do_what_is_left_of_its_plan(cutoff, batches, items, late):
    found = decided(killed(cutoff, batches))
    assert (found.plan.items, found.plan.late) == (items, late)
    assert found.history.open_run.run_id == "r"
    assert (found.resumes == found.history.open_run) is (cutoff == CUTOFF)
    assert (found.resumes is None) is (cutoff != CUTOFF)


def approved_of(plan: Plan, **terms) -> dict[str, Approved]:
    return {plan.policy: Approved(digest=plan.digest, terms={**plan.terms(), **terms})}


def test_a_plan_is_bounded_by_what_was_approved_for_its_policy():
    plan = decided().plan
    assert plan.items == 90
    bounded = decided(approved=approved_of(plan, items=20)).plan
    assert (bounded.items, bounded.beyond) == (20, 70)
    assert decided(approved=approved_of(replace(plan, policy="metrics"), items=20)).plan.items == 90


def test_a_plan_says_what_it_was_made_from():
    found = decided(store=Deletable(NOW - DAY, expired=9))
    assert (found.plan.cutoff_basis, found.plan.disposition) == ("store clock", "destroy")
    assert (found.plan.identity.target, found.plan.policy) == ("core.t", "audit-logs")
    assert found.surveyed.survey.expired == 9


def test_another_policys_runs_in_the_same_store_tell_nothing():
    state = state_of()
    started = replace(
        event("run.started", run_id="r", target="core.t", items=60, fingerprint="db:2"), cutoff=CUTOFF
    )
    for item in (started, counted(held=99)):
        state.ledger.append(item, policy="other", at=NOW - DAY)
    found = decided(state)
    assert (found.history.fingerprint, found.history.open_run) == (None, None)
    assert (found.surveyed.counted, found.surveyed.memory) == (None, ())


def test_a_store_that_is_asked_again_keeps_its_clocks_and_all_its_findings():
    one, two = (Finding(code=code, level=Level.INFO, message="m") for code in "ab")
    store = Deletable(NOW - SECOND, findings=(one,), expired=9)
    first = steps.survey(POLICY, environment(), store)
    store.facts = replace(store.facts, expired=7, findings=(two,))
    request = replace(first.request, cutoff=CUTOFF - DAY)
    again = steps._asked(first, request)
    assert store.requests[-1] is again.request is request
    assert (again.survey.expired, again.survey.findings) == (7, (one, two))
    assert (again.survey.store_clock, again.survey.program_clock) == (NOW - SECOND, NOW)


@pytest.mark.parametrize(
    ("guard", "passed", "limits", "told"),
    [
        ("approved-plan", True, {}, True),
        # an approval that is worth nothing matters to nobody where no guard refuses
        ("approved-plan", False, {}, False),
        ("approved-plan", False, {"max_items": 1}, True),
        ("approval", False, {}, True),
    ],
)
def test_what_became_of_an_approval_is_told_first_where_it_matters(guard, passed, limits, told):
    policy = replace(POLICY, limits=replace(POLICY.limits, **limits))
    approval = GuardResult(guard=guard, passed=passed, observed="o", limit="l", message="m")
    around = environment()
    usual = steps.guard(policy, around, decided(policy=policy))
    found = steps.guard(policy, around, replace(decided(policy=policy), approval=(approval,)))
    assert found.verdicts == ((approval,) if told else ()) + usual.verdicts


def test_without_a_ledger_there_is_no_history():
    told = replace(environment(), state=None)
    found = steps.decide(POLICY, told, steps.survey(POLICY, told, Deletable(expired=9)))
    assert (found.history.open_run, found.resumes, found.plan.items) == (None, None, 9)
    state = killed()
    state.ledger.head = fails(StoreError("no connection"))
    assert decided(state).history.open_run is None


ARCHIVE = SimpleNamespace(url="file:///a")
ARCHIVES = (event("run.started", run_id="r", target="core.t", archive="file:///a"),)
ENDED = event("run.completed", run_id="r", target="core.t")
TO_DESTROY = "to destroy without an archive, set policies.audit-logs.archive = off"


@pytest.mark.parametrize(
    ("word", "store", "archive", "before", "archives", "refused"),
    [
        ("auto", Archived, ARCHIVE, False, True, None),
        ("required", Archived, ARCHIVE, True, True, None),
        ("off", Archived, ARCHIVE, True, False, None),
        ("auto", Archived, None, False, False, None),
        ("auto", Deletable, ARCHIVE, False, False, None),
        ("off", Deletable, None, True, False, None),
        ("auto", Archived, None, True, False, "no archive is configured"),
        ("required", Archived, None, False, False, "no archive is configured"),
        ("required", Deletable, ARCHIVE, False, False, "this store cannot stream its records to one"),
        ("auto", Deletable, ARCHIVE, True, False, "this store cannot stream its records to one"),
    ],
)
def test_where_records_go_before_they_are_destroyed(word, store, archive, before, archives, refused):
    state = state_of(*ARCHIVES, ENDED) if before else state_of()
    found = decided(state, store(expired=9), replace(POLICY, archive=word), archive=archive)
    assert found.archive is (ARCHIVE if archives else None)
    assert found.plan.disposition == ("archive, then destroy" if archives else "destroy")
    if refused is None:
        assert found.unarchived == ()
        return
    configured = "set archive.url, or " if store is Archived else ""
    assert found.unarchived == (
        GuardResult(
            guard="archive",
            passed=False,
            observed=refused,
            limit="archive, then destroy",
            message=f"audit-logs archives before it destroys, but {refused}",
            hint=configured + TO_DESTROY,
        ),
    )


# --- guard ----------------------------------------------------------------------------------------------


def guarded(state=None, store=None, policy=POLICY, **more):
    store = store or Deletable(expired=90, population=Count(value=1000), newest=NOW)
    return steps.examined(policy, environment(state, **more), store)


def test_every_guard_has_its_say_and_memory_comes_first():
    state = state_of(*ARCHIVES, ENDED, error=StoreError("no register"))
    found = guarded(state, approved=approved_of(decided().plan))
    names = [item.guard for item in found.verdicts]
    ordered = ["holds", "archive", "identity", "clock-skew", "share", "min-remaining", "approved-plan"]
    assert names == ordered
    assert [item.guard for item in found.refused] == ["holds", "archive"]
    assert found.survey.expired == found.plan.items == 90


def test_the_guards_are_given_history_limits_and_clocks():
    first = event("run.started", run_id="r", target="core.t", fingerprint="another")
    limits = Limits(max_silence=3 * DAY, max_skew=SECOND, max_fraction=Decimal("0.01"))
    store = Deletable(NOW + 2 * SECOND, expired=90, population=Count(value=1000), newest=NOW - 9 * DAY)
    found = guarded(state_of(first, ENDED), store, replace(POLICY, limits=limits))
    assert {item.guard for item in found.refused} == {"identity", "clock-skew", "share", "stale-source"}
    since = guarded(store=store, policy=replace(POLICY, limits=limits), as_of=NOW - 7 * DAY)
    assert of(since.verdicts, "stale-source").passed
    assert of(since.verdicts, "stale-source").observed == "2 d"
    held_by = state_of(holds=(held(subject="s"),))
    assert of(guarded(held_by).verdicts, "holds").observed == "H names subject"


@pytest.mark.parametrize(
    ("guard", "counts"),
    [
        ("approval", True),
        ("ledger", True),
        ("holds", True),
        ("held-records", True),
        ("identity", True),
        ("clock-skew", True),
        ("archive", False),
        ("approved-plan", False),
    ],
)
def test_what_refuses_a_plan_of_no_records(guard, counts):
    """Whatever tells that the wrong store, or no memory, was asked."""
    refusal = GuardResult(guard=guard, passed=False, observed="o", limit="l", message="m")
    other = replace(refusal, guard="zzz")
    passed = replace(refusal, guard="first", passed=True)
    nothing = decided(store=Deletable(expired=0))
    found = steps.Guarded(planned=nothing, verdicts=(passed, refusal, other))
    assert found.refused == ((refusal, other) if counts else ())
    something = steps.Guarded(planned=decided(), verdicts=(passed, refusal))
    assert something.refused == (refusal,)
    assert steps.Guarded(planned=nothing, verdicts=(passed,)).refused == ()


def test_a_plan_within_the_approved_terms_passes():
    plan = decided().plan
    found = of(guarded(approved=approved_of(plan)).verdicts, "approved-plan")
    told = f"90 records, digest {plan.digest[:12]}"
    assert found == GuardResult(
        guard="approved-plan",
        passed=True,
        observed=told,
        limit=told,
        message="within what was approved",
    )


def test_a_plan_beyond_the_approved_terms_is_refused():
    plan = decided().plan
    terms = approved_of(plan, fingerprint="another", disposition="archive, then destroy")
    found = of(guarded(approved=terms).verdicts, "approved-plan")
    assert not found.passed
    assert found.message == (
        "the store is db:1, approved was another;"
        " the disposition is destroy, approved was archive, then destroy"
    )
    assert found.hint == "look at what has changed, and save a new plan"


def test_a_saved_plan_that_says_nothing_of_the_policy_refuses_it():
    found = of(guarded(approved={}).verdicts, "approved-plan")
    assert (found.passed, found.limit) == (False, "nothing")
    assert found.message == "the saved plan has nothing about audit-logs"
    assert found.hint == "look at what has changed, and save a new plan"


def test_no_saved_plan_is_no_verdict():
    assert "approved-plan" not in {item.guard for item in guarded().verdicts}


def test_a_period_that_is_none_ends_the_survey():
    with pytest.raises(ConfigurationError, match="not a period"):
        steps.survey(replace(POLICY, retention_days=0), environment(), Asked())
