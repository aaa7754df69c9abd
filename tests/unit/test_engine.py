"""The five steps over the memory twin: every outcome, its exit code and what the ledger says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luxima_retention.core.errors import (
    ArchiveError,
    ConfigurationError,
    ExitCode,
    LeaseHeld,
    LeaseLost,
    StoreError,
    TamperingFound,
)
from luxima_retention.core.guards import Limits
from luxima_retention.core.observer import Silent
from luxima_retention.core.plan import Finding, Hold, Level
from luxima_retention.core.results import Outcome
from luxima_retention.evidence import history as histories
from luxima_retention.evidence.archive import Archive
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.io.objects import DirectoryPlace
from luxima_retention.run.context import Environment, Policy
from luxima_retention.run.engine import run_policy
from luxima_retention.run.planfile import Approved
from luxima_retention.stores.memory.store import MemoryStore, Record
from tests.ledgers import event

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)
CUTOFF = datetime(2026, 5, 27, tzinfo=UTC)
LIMITS = Limits(max_fraction=Decimal(1), dimensions=frozenset({"tenant", "range"}))
POLICY = Policy(name="audit-logs", retention_days=180, limits=LIMITS)


class FakeLease:
    token = 7

    def check(self) -> None:
        pass

    def release(self) -> None:
        pass


class FakeRegister:
    def __init__(self, *holds: Hold) -> None:
        self.holds = list(holds)
        self.error: Exception | None = None

    def all(self, **_):
        from luxima_retention.evidence.holds import Registered

        if self.error:
            raise self.error
        return tuple(Registered(hold=hold) for hold in self.holds)


class FakeState:
    def __init__(self, *holds: Hold, shares: str | None = None) -> None:
        self.ledger = MemoryLedger(shares)
        self.register = FakeRegister(*holds)
        self.leased = False

    def lease(self, policy: str) -> FakeLease:
        if self.leased:
            raise LeaseHeld(f"another run holds the lease of {policy}")
        return FakeLease()


def records(*days: int, **fields) -> list[Record]:
    """One record for each age in days."""
    return [Record(key=f"r{number}", at=NOW - age * DAY, **fields) for number, age in enumerate(days)]


def store(*days: int, **options) -> MemoryStore:
    return MemoryStore(records=records(*days), now=lambda: NOW, **options)


class Watch(Silent):
    """Calls a function after each batch."""

    def __init__(self, after_batch) -> None:
        self.batch_done = lambda _policy, target, done, planned: after_batch(target, done, planned)


def apply(subject, state=None, policy=POLICY, **options):
    state = state or FakeState()
    if "progress" in options:
        options["observer"] = Watch(options.pop("progress"))
    environment = Environment(now=NOW, state=state, clock=lambda: NOW, **options)
    return run_policy(policy, (("memory", lambda: subject),), environment)


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_register_that_is_not_what_the_ledger_says_is_written_down_and_nothing_goes(dry_run):
    state, subject = FakeState(), store(200, 199, 10)
    state.register.error = TamperingFound("the hold register does not agree with the ledger")
    target = only(apply(subject, state, dry_run=dry_run))
    assert target.exit_code is ExitCode.VERIFICATION_FAILED
    assert "does not agree" in target.sentence
    assert len(subject.records) == 3
    assert kinds(state) == ([] if dry_run else ["run.refused"])
    assert dry_run or said(state, "run.refused")[0].exit_code == ExitCode.VERIFICATION_FAILED


def only(result):
    (target,) = result.targets
    return target


def kinds(state) -> list[str]:
    """What the ledger says of runs, in its order."""
    return [entry.kind for entry in state.ledger.all if entry.kind != "policy.applied"]


def said(state, kind):
    return [entry.event for entry in state.ledger.all if entry.kind == kind]


def test_what_is_older_than_the_cutoff_goes_and_the_rest_stays():
    subject, state = store(400, 200, 181, 180, 179, 1), FakeState()
    result = apply(subject, state)
    assert (result.outcome, result.exit_code) == (Outcome.DONE, ExitCode.DONE)
    assert sorted(record.key for record in subject.records) == ["r3", "r4", "r5"]
    assert only(result).totals.destroyed == 3
    assert kinds(state) == ["run.started", "batch", "batch", "run.completed"]
    assert state.ledger.all[-1].body["destroyed"] == 3


def test_the_boundary_is_strict():
    subject = MemoryStore(
        records=[Record(key="at", at=CUTOFF), Record(key="before", at=CUTOFF - timedelta(microseconds=1))],
        now=lambda: NOW,
    )
    apply(subject, policy=replace(POLICY, limits=replace(LIMITS, max_silence=None)))
    assert [record.key for record in subject.records] == ["at"]


def test_a_second_run_on_the_same_day_deletes_nothing():
    subject, state = store(400, 200, 1), FakeState()
    apply(subject, state)
    result = apply(subject, state)
    assert (result.outcome, result.exit_code) == (Outcome.NOTHING_TO_DO, ExitCode.DONE)
    assert only(result).totals.destroyed == 0
    assert kinds(state)[-1] == "run.completed"


def test_a_dry_run_writes_nothing_anywhere():
    subject, state = store(400, 200, 1), FakeState()
    result = apply(subject, state, dry_run=True)
    assert (result.outcome, result.exit_code) == (Outcome.WOULD_DELETE, ExitCode.DONE)
    assert only(result).plan.items == 2
    assert len(subject.records) == 3
    assert not state.ledger.all


def test_without_a_ledger_nothing_is_destroyed():
    subject = store(400, 1)
    result = run_policy(POLICY, (("memory", lambda: subject),), Environment(now=NOW, clock=lambda: NOW))
    assert (result.outcome, result.exit_code) == (Outcome.REFUSED, ExitCode.REFUSED)
    assert "ledger" in only(result).sentence
    assert "database.dsn" in only(result).hint
    assert len(subject.records) == 2


def test_a_ledger_that_cannot_be_written_refuses():
    subject, state = store(400, 1), FakeState()
    state.ledger.writable = False
    result = apply(subject, state)
    assert result.exit_code is ExitCode.REFUSED
    assert len(subject.records) == 2


def test_a_register_that_cannot_be_read_refuses():
    subject, state = store(400, 1), FakeState()
    state.register.error = StoreError("the hold register cannot be read")
    result = apply(subject, state)
    assert result.exit_code is ExitCode.REFUSED
    assert len(subject.records) == 2
    assert kinds(state) == ["run.refused"]


def test_held_records_stay_and_are_counted():
    hold = Hold(hold_id="H-1", policy="audit-logs", tenant="acme")
    subject = MemoryStore(
        records=[*records(400, 300, 1), Record(key="held", at=NOW - 500 * DAY, tenant="acme")],
        now=lambda: NOW,
    )
    result = apply(subject, FakeState(hold))
    assert result.exit_code is ExitCode.DONE
    assert {record.key for record in subject.records} == {"r2", "held"}
    assert only(result).plan.held == 1


def test_a_hold_on_the_policy_pauses_it():
    subject = store(400, 1)
    result = apply(subject, FakeState(Hold(hold_id="H-9", policy="audit-logs")))
    assert (result.outcome, result.exit_code) == (Outcome.PAUSED, ExitCode.DONE)
    assert "H-9" in only(result).sentence
    assert len(subject.records) == 2


def test_a_hold_by_what_the_store_does_not_know_refuses():
    subject = store(400, 1)
    result = apply(subject, FakeState(Hold(hold_id="H-2", subject="user-1")))
    assert result.exit_code is ExitCode.REFUSED
    assert "subject" in only(result).sentence
    assert len(subject.records) == 2


def test_a_hold_placed_during_the_run_counts_from_the_next_batch_on():
    subject, state = store(*range(200, 210), 1, batch=2), FakeState()

    def place(_target, done, _planned):
        if done == 4:
            state.register.holds.append(Hold(hold_id="H-3", policy="audit-logs"))

    result = apply(subject, state, progress=place)
    assert result.exit_code is ExitCode.DONE
    assert only(result).totals.destroyed == 4
    assert only(result).proof.explained == {"newly-held": 6}


def test_a_share_beyond_the_limit_is_refused_until_its_value_is_named():
    subject, state = store(400, 300, 200, 1), FakeState()
    tight = replace(POLICY, limits=replace(LIMITS, max_fraction=None))
    refused = apply(subject, state, tight)
    assert refused.exit_code is ExitCode.REFUSED
    assert "--max-fraction 0.75" in only(refused).hint
    named = replace(LIMITS, max_fraction=Decimal("0.75"), named={"share": "--max-fraction 0.75"})
    done = apply(subject, state, replace(POLICY, limits=named))
    assert done.exit_code is ExitCode.DONE
    assert kinds(state) == ["run.refused", "approval", "run.started", "batch", "batch", "run.completed"]


def test_an_approved_backlog_is_drained_by_later_runs_without_a_word():
    subject, state = store(*range(200, 300), 1, batch=10), FakeState()
    named = replace(LIMITS, max_fraction=Decimal(1), named={"share": "--max-fraction 1"})
    stop: list[bool] = []
    first = apply(
        subject,
        state,
        replace(POLICY, limits=named),
        stopping=lambda: bool(stop),
        progress=lambda _target, done, _planned: stop.append(True) if done >= 50 else None,
    )
    assert (first.outcome, first.exit_code) == (Outcome.STOPPED, ExitCode.STOPPED)
    assert only(first).proof.explained == {"stopped": 50}
    assert histories.read(state.ledger, "audit-logs", "memory").backlog == 50
    tight = replace(POLICY, limits=replace(LIMITS, max_fraction=None))
    second = apply(subject, state, tight)
    assert (second.outcome, second.exit_code) == (Outcome.DONE, ExitCode.DONE)
    assert len(subject.records) == 1


def test_more_items_than_named_are_refused():
    subject = store(400, 300, 1)
    result = apply(subject, policy=replace(POLICY, limits=replace(LIMITS, max_items=1)))
    assert result.exit_code is ExitCode.REFUSED
    assert "--max-items 2" in only(result).hint


def test_a_store_of_nothing_but_expired_records_is_refused_until_the_value_is_named():
    subject = store(400, 300)
    result = apply(subject, policy=replace(POLICY, limits=replace(LIMITS, max_silence=7 * DAY)))
    assert result.exit_code is ExitCode.REFUSED
    assert {verdict.guard for verdict in only(result).verdicts if not verdict.passed} == {
        "stale-source",
        "min-remaining",
    }
    named = replace(LIMITS, min_remaining=0, max_silence=None)
    assert apply(subject, policy=replace(POLICY, limits=named)).exit_code is ExitCode.DONE
    assert not subject.records


@pytest.mark.parametrize("ahead", [365 * DAY, -365 * DAY])
def test_a_clock_a_year_off_is_refused(ahead):
    subject = MemoryStore(records=records(400, 1), now=lambda: NOW + ahead)
    result = apply(subject)
    assert result.exit_code is ExitCode.REFUSED
    assert "clock-skew" in only(result).sentence
    assert len(subject.records) == 2


def test_another_store_under_the_same_name_is_refused():
    state = FakeState()
    apply(store(400, 1), state)
    clone = store(400, 1, fingerprint="memory:2")
    result = apply(clone, state)
    assert result.exit_code is ExitCode.REFUSED
    assert "identity" in only(result).sentence
    pinned = replace(POLICY, limits=replace(LIMITS, fingerprints=("memory:2",)))
    assert apply(clone, state, pinned).exit_code is ExitCode.DONE


def test_a_second_run_beside_the_first_says_who_works():
    state = FakeState()
    state.leased = True
    result = apply(store(400, 1), state)
    assert (result.outcome, result.exit_code) == (Outcome.LOCKED, ExitCode.LOCKED)
    assert (only(result).target, only(result).outcome) == ("memory", Outcome.LOCKED)


def test_a_store_that_cannot_be_reached_is_no_empty_store():
    def fails():
        raise StoreError("no connection to PostgreSQL")

    good = store(400, 1)
    environment = Environment(now=NOW, state=FakeState(), clock=lambda: NOW)
    result = run_policy(POLICY, (("bad", fails), ("good", lambda: good)), environment)
    assert result.exit_code is ExitCode.INCOMPLETE
    assert [target.outcome for target in result.targets] == [Outcome.FAILED, Outcome.DONE]
    assert len(good.records) == 1


def test_a_run_that_fails_before_its_plan_says_why_in_the_ledger():
    def fails():
        raise StoreError("no connection to PostgreSQL")

    state = FakeState()
    environment = Environment(now=NOW, state=state, clock=lambda: NOW)
    run_policy(POLICY, (("core.audit_log", fails),), environment)
    (failure,) = (entry.event for entry in state.ledger.all if entry.kind == "run.failed")
    assert (failure.target, failure.error) == ("core.audit_log", "no connection to PostgreSQL")
    assert failure.exit_code is ExitCode.INCOMPLETE


def test_a_run_that_was_killed_or_failed_is_not_missed():
    state = FakeState()
    daily = replace(POLICY, schedule=f"{NOW.minute} {NOW.hour} * * *")
    apply(store(400, 1), state, daily)
    begun = event("run.started", run_id="killed", target="memory")
    state.ledger.append(begun, policy=daily.name, at=NOW + DAY)
    failure = event("run.failed", target="memory", outcome="failed", exit_code=3, error="refused")
    state.ledger.append(failure, policy=daily.name, at=NOW + 2 * DAY)
    later = NOW + 3 * DAY
    environment = Environment(now=later, state=state, clock=lambda: later)
    run_policy(daily, (("memory", lambda: store(400, 1)),), environment)
    assert "slot.missed" not in kinds(state)


def test_a_refusal_stands_in_the_ledger_as_a_sentence():
    state = FakeState()
    result = apply(store(400, 1), state, replace(POLICY, limits=replace(POLICY.limits, max_items=0)))
    (refusal,) = (entry.event for entry in state.ledger.all if entry.kind == "run.refused")
    assert refusal.error == only(result).sentence
    assert "max-items" in refusal.error


def test_an_obstacle_that_preflight_finds_ends_the_target_before_the_first_delete():
    finding = Finding(code="rls", level=Level.FAILED, message="row-level security filters core.audit_log")
    subject = store(400, 1, findings=(finding,))
    result = apply(subject)
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, ExitCode.INCOMPLETE)
    assert len(subject.records) == 2


def test_a_finding_that_refuses_is_a_guard():
    finding = Finding(code="compactor-owns", level=Level.REFUSE, message="Loki's compactor deletes here")
    result = apply(store(400, 1, findings=(finding,)))
    assert result.exit_code is ExitCode.REFUSED
    assert "compactor-owns" in only(result).sentence


def test_a_store_that_stages_more_than_planned_is_rolled_back():
    class Greedy(MemoryStore):
        def batches(self, plan, work):
            self.records += records(300)
            yield from MemoryStore.batches(self, replace(plan, items=plan.items + 1), work)

    subject, state = Greedy(records=records(400, 200, 1), now=lambda: NOW), FakeState()
    result = apply(subject, state)
    assert (result.outcome, result.exit_code) == (Outcome.VERIFICATION_FAILED, ExitCode.VERIFICATION_FAILED)
    assert len(subject.records) == 4
    said = state.ledger.all[-1].body
    assert (said["outcome"], said["exit_code"]) == ("verification_failed", 6)


def test_what_is_left_without_a_reason_fails_the_proof():
    class Lazy(MemoryStore):
        def batches(self, plan, work):
            yield from MemoryStore.batches(self, replace(plan, items=1), work)

    result = apply(Lazy(records=records(400, 200, 1), now=lambda: NOW))
    assert (result.outcome, result.exit_code) == (Outcome.VERIFICATION_FAILED, ExitCode.VERIFICATION_FAILED)
    assert only(result).proof.unexplained == 1


def test_records_that_arrive_during_the_run_are_explained():
    subject = store(400, 200, 1)
    late = Record(key="late", at=NOW - 300 * DAY)
    result = apply(subject, progress=lambda *_: subject.records.append(late))
    assert (result.outcome, result.exit_code) == (Outcome.BACKLOG, ExitCode.STOPPED)
    assert only(result).proof.explained == {"arrived-late": 1}
    told = only(result).sentence
    assert "1 records arrived during the run and wait for the next run" in told
    assert "nothing expired is left" not in told


def test_a_killed_run_goes_on_under_its_own_name():
    subject, state = store(*range(200, 210), 1, batch=4), FakeState(shares="memory:1")
    subject.shared = object()

    class Killed(BaseException):
        pass

    def kill(_target, done, _planned):
        if done == 8:
            raise Killed

    with pytest.raises(Killed):
        apply(subject, state, progress=kill)
    open_run = histories.read(state.ledger, "audit-logs", "memory").open_run
    assert (open_run.destroyed, open_run.batches) == (8, 2)
    result = apply(subject, state)
    assert only(result).resumed
    assert only(result).run_id == open_run.run_id
    assert [record.key for record in subject.records] == ["r10"]
    assert state.ledger.all[-1].body["destroyed"] == 10
    assert histories.read(state.ledger, "audit-logs", "memory").open_run is None


def test_a_killed_run_of_another_day_is_reconciled():
    subject, state = store(*range(200, 210), 1, batch=4), FakeState(shares="memory:1")
    subject.shared = object()

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with pytest.raises(Killed):
        apply(subject, state, progress=kill)
    tomorrow = NOW + DAY
    subject.now = lambda: tomorrow
    environment = Environment(now=tomorrow, state=state, clock=lambda: tomorrow)
    result = run_policy(POLICY, (("memory", lambda: subject),), environment)
    assert result.exit_code is ExitCode.DONE
    assert "run.reconciled" in kinds(state)
    reconciled = next(entry.body for entry in state.ledger.all if entry.kind == "run.reconciled")
    assert reconciled["destroyed"] == 4


def test_records_are_archived_before_they_go(tmp_path):
    archive = Archive(DirectoryPlace(tmp_path), retention_days=365)
    subject, state = store(*range(200, 205), 1, batch=2), FakeState()
    result = apply(subject, state, replace(POLICY, archive="required"), archive=archive)
    assert result.exit_code is ExitCode.DONE
    (manifest,) = archive.manifests("audit-logs")
    assert manifest.items == 5
    assert only(result).archive == manifest.name
    assert only(result).plan.disposition == "archive, then destroy"
    archive.verify(manifest)


def test_a_failed_archive_deletes_nothing(tmp_path):
    archive = Archive(DirectoryPlace(tmp_path), retention_days=365)

    def broken(**_):
        raise ArchiveError("the place is full")

    archive.writer = broken
    subject = store(400, 1)
    result = apply(subject, policy=replace(POLICY, archive="required"), archive=archive)
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, ExitCode.INCOMPLETE)
    assert len(subject.records) == 2
    assert list(archive.manifests("audit-logs")) == []


def test_a_policy_that_has_archived_does_not_go_on_without(tmp_path):
    archive = Archive(DirectoryPlace(tmp_path), retention_days=365)
    subject, state = store(400, 300, 1), FakeState()
    policy = replace(POLICY, archive="required")
    apply(subject, state, policy, archive=archive)
    subject.records += records(500)
    refused = apply(subject, state, policy)
    assert refused.exit_code is ExitCode.REFUSED
    assert "policies.audit-logs.archive = off" in only(refused).hint
    assert apply(subject, state, replace(policy, archive="off")).exit_code is ExitCode.DONE


def test_a_required_archive_that_is_not_configured_refuses():
    result = apply(store(400, 1), policy=replace(POLICY, archive="required"))
    assert result.exit_code is ExitCode.REFUSED


def test_a_plan_that_was_approved_bounds_the_run():
    subject = store(400, 300, 1)
    plan = only(apply(subject, dry_run=True)).plan
    approved = {"audit-logs": Approved(digest=plan.digest, terms=plan.terms())}
    subject.records.append(Record(key="new", at=NOW - 200 * DAY))
    result = apply(subject, approved=approved)
    assert result.exit_code is ExitCode.DONE
    assert only(result).totals.destroyed == 2
    assert only(result).proof.explained == {"beyond-plan": 1}


def test_a_plan_of_another_store_is_refused():
    plan = only(apply(store(400, 1), dry_run=True)).plan
    approved = {"audit-logs": Approved(digest=plan.digest, terms=plan.terms())}
    result = apply(store(400, 1, fingerprint="memory:2"), approved=approved)
    assert result.exit_code is ExitCode.REFUSED
    assert "approved-plan" in only(result).sentence


def test_a_plan_that_nobody_agrees_to_deletes_nothing():
    subject, state = store(400, 1), FakeState()
    result = apply(subject, state, confirm=lambda _plans: False)
    assert (result.outcome, result.exit_code) == (Outcome.DECLINED, ExitCode.DONE)
    assert len(subject.records) == 2
    assert not kinds(state)


def test_a_run_that_is_told_to_stop_before_it_begins_stops():
    result = apply(store(400, 1), stopping=lambda: True)
    assert (result.outcome, result.exit_code) == (Outcome.STOPPED, ExitCode.STOPPED)


def test_undated_and_future_records_are_counted_and_never_touched():
    subject = store(400, 1)
    subject.records += [Record(key="undated", at=None), Record(key="future", at=NOW + DAY)]
    result = apply(subject)
    assert {record.key for record in subject.records} == {"r1", "undated", "future"}
    assert (only(result).plan.undated, only(result).plan.future) == (1, 1)


def test_as_of_counts_from_the_past():
    subject = store(400, 200, 1)
    result = apply(subject, as_of=NOW - 100 * DAY)
    assert only(result).plan.cutoff_basis == "as-of"
    assert len(subject.records) == 2


def test_the_stores_are_closed_whatever_happens():
    subject = store(400, 1)
    apply(subject)
    assert subject.closed


def test_runs_that_did_not_take_place_are_entries():
    subject, state = store(400, 1), FakeState()
    daily = replace(POLICY, schedule=f"{NOW.minute} {NOW.hour} * * *")
    apply(subject, state, daily)
    assert "slot.missed" not in kinds(state)
    for days, missed in ((1, 0), (5, 3), (5, 3)):
        later = NOW + days * DAY
        subject.now = lambda later=later: later
        environment = Environment(now=later, state=state, clock=lambda later=later: later)
        run_policy(daily, (("memory", lambda: subject),), environment)
        found = [entry.body["missed"] for entry in state.ledger.all if entry.kind == "slot.missed"]
        assert sum(found) == missed


def test_the_time_that_an_earlier_policy_took_is_no_difference_between_the_clocks():
    """The run began three hours ago; both clocks have gone on."""
    later = NOW + timedelta(hours=3)
    subject = MemoryStore(records=records(400, 1), now=lambda: later)
    environment = Environment(now=NOW, state=FakeState(), clock=lambda: later)
    result = run_policy(POLICY, (("memory", lambda: subject),), environment)
    assert (result.outcome, result.exit_code) == (Outcome.DONE, ExitCode.DONE)
    (skew,) = (item for item in only(result).verdicts if item.guard == "clock-skew")
    assert skew.observed == "0 s"


def killed_after(state, subject, batches, **options):
    """A run of which so many batches were final when its process was killed."""

    class Killed(BaseException):
        pass

    done = []

    def kill(*_):
        done.append(1)
        if len(done) == batches:
            raise Killed

    with pytest.raises(Killed):
        apply(subject, state, progress=kill, **options)


@pytest.mark.parametrize("batches", [1, 3])
def test_what_arrived_while_a_run_was_dead_waits_for_the_next_one_and_is_told(batches):
    """Whether the killed process had finished its plan or not."""
    subject, state = store(*range(200, 212), 1, batch=4), FakeState(shares="memory:1")
    subject.shared = object()
    killed_after(state, subject, batches)
    subject.records += [Record(key=f"late{n}", at=NOW - (300 + n) * DAY) for n in range(30)]
    result = apply(subject, state)
    assert (result.outcome, result.exit_code) == (Outcome.BACKLOG, ExitCode.STOPPED)
    told = only(result)
    assert "30 records arrived during the run and wait for the next run" in told.sentence
    assert "nothing expired is left" not in told.sentence
    assert "approved" not in told.sentence + "".join(reason.sentence for reason in told.plan.reasons)
    assert len(subject.records) == 31
    (completed,) = said(state, "run.completed")
    assert (completed.destroyed, completed.outcome, completed.exit_code) == (12, Outcome.BACKLOG, 7)
    assert apply(subject, state).exit_code is ExitCode.DONE
    assert len(subject.records) == 1


def test_a_dry_run_beside_a_killed_run_does_not_say_that_nothing_has_expired():
    subject, state = store(*range(200, 204), 1, batch=4), FakeState(shares="memory:1")
    subject.shared = object()
    killed_after(state, subject, 1)
    subject.records += records(400)
    result = apply(subject, state, dry_run=True)
    assert (result.outcome, result.exit_code) == (Outcome.WOULD_DELETE, ExitCode.DONE)
    assert "1 more arrived since that run began" in only(result).sentence


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("days", [(1,), (400, 1)])
def test_what_could_not_be_read_is_never_clean(dry_run, days):
    subject, state = store(*days, unknown=3), FakeState()
    result = apply(subject, state, dry_run=dry_run)
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, ExitCode.INCOMPLETE)
    assert "3 records or objects could not be read or recognised" in only(result).sentence
    assert "nothing has expired" not in only(result).sentence
    if not dry_run:
        assert said(state, "run.completed")[-1].exit_code is ExitCode.INCOMPLETE


def test_a_store_that_is_only_asked_and_could_not_read_everything_fails():
    class Asked:
        def __init__(self, asked):
            self.identity, self.clock, self.close = asked.identity, asked.clock, asked.close
            self.preflight, self.survey = asked.preflight, asked.survey

    state = FakeState()
    result = apply(Asked(store(1, unknown=2)), state)
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, ExitCode.INCOMPLETE)
    assert said(state, "run.checked")[0].unknown == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreError("the archive does not answer"), 3), (ConfigurationError("ledger.key_file is not there"), 2)],
)
def test_nothing_is_begun_when_what_its_end_needs_is_not_there(error, code):
    def ready(_archives):
        raise error

    subject, state = store(400, 1), FakeState()
    result = apply(subject, state, ready=ready)
    assert (result.exit_code, only(result).sentence) == (code, error.message)
    assert len(subject.records) == 2
    assert kinds(state) == ["run.failed"]
    assert said(state, "run.failed")[0].target == "memory"


def test_what_the_end_needs_is_not_asked_for_when_nothing_would_go():
    def ready(_archives):
        raise StoreError("never asked")

    assert apply(store(1), ready=ready).exit_code is ExitCode.DONE


def test_a_policy_that_archives_first_destroys_without_an_archive_only_when_it_says_so():
    subject, state = store(400, 1), FakeState()
    policy = replace(POLICY, archive="required")
    refused = apply(subject, state, policy)
    assert refused.exit_code is ExitCode.REFUSED
    assert "policies.audit-logs.archive = off" in only(refused).hint
    assert len(subject.records) == 2
    assert apply(subject, state, replace(policy, archive="off")).exit_code is ExitCode.DONE


def test_what_a_policy_says_is_written_down_when_it_changes_and_only_then():
    state, first = FakeState(), replace(POLICY, disposition="destroy", basis="SNI 27001")
    for policy in (first, first, replace(first, retention_days=200), replace(first, basis="UU PDP"), first):
        apply(store(1), state, policy)
    assert [(event.retention_days, event.basis) for event in said(state, "policy.applied")] == [
        (180, "SNI 27001"),
        (200, "SNI 27001"),
        (180, "UU PDP"),
        (180, "SNI 27001"),
    ]
    assert said(state, "policy.applied")[0].targets == ("memory",)


def test_a_guard_that_is_switched_off_stands_in_the_entry_of_the_run():
    state = FakeState()
    widened = {
        "stale-source": "policies.audit_logs.max_silence = off",
        "clock-skew": "policies.x.skew = 1h",
    }
    limits = replace(LIMITS, widened=widened, named={"min-remaining": "--min-remaining 0"})
    apply(store(400, 1), state, replace(POLICY, limits=limits))
    (started,) = said(state, "run.started")
    found = {guard.guard: (guard.passed, guard.limit, guard.override) for guard in started.guards}
    assert found["stale-source"] == (True, "off", "policies.audit_logs.max_silence = off")
    assert found["clock-skew"][2] == "policies.x.skew = 1h"
    assert found["min-remaining"][2] == "--min-remaining 0"


def test_a_lost_lease_ends_the_run_before_the_next_batch():
    subject, state = store(*range(200, 206), 1, batch=2), FakeState()
    lease = FakeLease()

    def check():
        if len(subject.records) < 6:
            raise LeaseLost("another run has the lease")

    lease.check = check
    state.lease = lambda _policy: lease
    result = apply(subject, state)
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, ExitCode.INCOMPLETE)
    assert len(subject.records) == 5
    assert "run.completed" not in kinds(state)


@pytest.mark.parametrize("fails", [False, True])
def test_the_lease_is_given_back_whatever_happens(fails):
    def opened():
        if fails:
            raise KeyboardInterrupt
        return store(400, 1)

    state, lease, given_back = FakeState(), FakeLease(), []
    lease.release = lambda: given_back.append(1)
    state.lease = lambda _policy: lease
    environment = Environment(now=NOW, state=state, clock=lambda: NOW)
    try:
        run_policy(POLICY, (("memory", opened),), environment)
    except KeyboardInterrupt:
        assert fails
    assert given_back == [1]


def test_a_batch_that_is_final_without_its_entry_fails_the_run():
    class Forgetful(MemoryStore):
        def batches(self, plan, work):
            for batch in MemoryStore.batches(self, plan, work):
                batch._work = replace(work, enter=None)
                yield batch

    subject, state = Forgetful(records=records(400, 1), now=lambda: NOW), FakeState(shares="memory:1")
    subject.shared = object()
    result = apply(subject, state)
    assert (result.outcome, result.exit_code) == (Outcome.VERIFICATION_FAILED, ExitCode.VERIFICATION_FAILED)
    assert "without its entry" in only(result).sentence


def test_a_ledger_that_fails_inside_the_batch_takes_deletion_and_archive_back(tmp_path):
    archive = Archive(DirectoryPlace(tmp_path), retention_days=365)
    subject, state = store(400, 1), FakeState(shares="memory:1")
    subject.shared = object()
    append = state.ledger.append

    def broken(event, **options):
        if event.kind == "batch":
            raise StoreError("the ledger is full")
        return append(event, **options)

    state.ledger.append = broken
    result = apply(subject, state, replace(POLICY, archive="required"), archive=archive)
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, ExitCode.INCOMPLETE)
    assert len(subject.records) == 2
    assert not list(archive.orphans())


def test_an_observer_is_told_of_every_step_batch_and_outcome():
    told = []

    class Everything(Silent):
        def step_began(self, policy, target, name, at):
            told.append(f"{name} begins")

        def step_ended(self, policy, target, step):
            assert step.began <= step.ended
            told.append(f"{step.name} ends")

        def batch_done(self, policy, target, done, planned):
            told.append((done, planned))

        def ended(self, policy, result):
            told.append(str(result.outcome))

    result = apply(store(400, 300, 1, batch=1), observer=Everything())
    steps = [f"{name} {what}" for name in ("survey", "decide", "guard") for what in ("begins", "ends")]
    assert told == [*steps, "act begins", (1, 2), (2, 2), "act ends", "prove begins", "prove ends", "done"]
    assert [step.name for step in only(result).steps] == ["survey", "decide", "guard", "act", "prove"]


ages = st.lists(st.integers(0, 500), max_size=25)


@st.composite
def tables(draw):
    """Records of any age, some of a tenant that is held, some locked."""
    found = [
        Record(
            key=f"r{number}",
            at=NOW - age * DAY - timedelta(seconds=number),
            tenant=draw(st.sampled_from(["acme", "other"])),
            locked=draw(st.booleans()) and draw(st.booleans()),
        )
        for number, age in enumerate(draw(ages))
    ]
    return [*found, Record(key="young", at=NOW)]


HELD = Hold(hold_id="H-1", policy="audit-logs", tenant="acme")


def swept(found, days=180, state=None, held=False, batch=3):
    subject = MemoryStore(records=list(found), now=lambda: NOW, batch=batch)
    state = state or (FakeState(HELD) if held else FakeState())
    result = apply(subject, state, replace(POLICY, retention_days=days))
    return subject, state, result


@settings(deadline=None)
@given(found=tables(), held=st.booleans(), batch=st.integers(1, 7))
def test_a_younger_record_never_goes_while_an_older_one_stays_unless_it_is_kept(found, held, batch):
    subject, _, result = swept(found, held=held, batch=batch)
    assert result.exit_code is ExitCode.DONE
    kept = {record.key for record in subject.records}
    gone = [record.at for record in found if record.key not in kept]
    free = [
        record.at
        for record in subject.records
        if not record.locked and not (held and record.tenant == "acme")
    ]
    assert not gone or not free or max(gone) < min(free)


@settings(deadline=None)
@given(found=tables(), days=st.integers(1, 400), longer=st.integers(0, 200), held=st.booleans())
def test_a_longer_period_and_another_hold_never_remove_more(found, days, longer, held):
    short, _, _ = swept(found, days)
    long, _, _ = swept(found, days + longer, held=held)
    assert {record.key for record in short.records} <= {record.key for record in long.records}


@settings(deadline=None)
@given(found=tables(), held=st.booleans())
def test_a_second_run_deletes_nothing_and_the_plan_is_what_went(found, held):
    subject, state, first = swept(found, held=held)
    left = list(subject.records)
    assert only(first).plan.items == len(found) - len(left)
    second = apply(subject, state)
    assert subject.records == left
    assert (second.exit_code, only(second).totals.destroyed) == (ExitCode.DONE, 0)


@settings(deadline=None)
@given(found=tables(), cut=st.integers(1, 6), batch=st.integers(1, 4))
def test_a_run_that_is_killed_anywhere_ends_with_the_same_records_and_sums(found, cut, batch):
    whole, _, _ = swept(found, batch=batch)
    subject, state = (
        MemoryStore(records=list(found), now=lambda: NOW, batch=batch),
        FakeState(shares="memory:1"),
    )
    subject.shared = object()

    class Killed(BaseException):
        pass

    def kill(_target, done, _planned):
        if done >= cut * batch:
            raise Killed

    try:
        apply(subject, state, progress=kill)
    except Killed:
        apply(subject, state)
    assert subject.records == whole.records
    destroyed = sum(event.destroyed for event in said(state, "run.completed"))
    assert destroyed == len(found) - len(subject.records)
