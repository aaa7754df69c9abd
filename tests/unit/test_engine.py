"""The five steps over the memory twin: every outcome, its exit code and what the ledger says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from luxima_retention.core.errors import ArchiveError, ExitCode, LeaseHeld, StoreError
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

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)
CUTOFF = datetime(2026, 5, 27, tzinfo=UTC)
LIMITS = Limits(share=Decimal(1), dimensions=frozenset({"tenant", "range"}))
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
    tight = replace(POLICY, limits=replace(LIMITS, share=Decimal("0.25")))
    refused = apply(subject, state, tight)
    assert refused.exit_code is ExitCode.REFUSED
    assert "--max-fraction 0.75" in only(refused).hint
    named = replace(
        LIMITS, share=Decimal("0.25"), max_fraction=Decimal("0.75"), named={"share": "--max-fraction 0.75"}
    )
    done = apply(subject, state, replace(POLICY, limits=named))
    assert done.exit_code is ExitCode.DONE
    assert kinds(state) == ["run.refused", "approval", "run.started", "batch", "batch", "run.completed"]


def test_an_approved_backlog_is_drained_by_later_runs_without_a_word():
    subject, state = store(*range(200, 300), 1, batch=10), FakeState()
    named = replace(
        LIMITS, share=Decimal("0.25"), max_fraction=Decimal(1), named={"share": "--max-fraction 1"}
    )
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
    tight = replace(POLICY, limits=replace(LIMITS, share=Decimal("0.25")))
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


def test_a_store_that_cannot_be_reached_is_no_empty_store():
    def fails():
        raise StoreError("no connection to PostgreSQL")

    good = store(400, 1)
    environment = Environment(now=NOW, state=FakeState(), clock=lambda: NOW)
    result = run_policy(POLICY, (("bad", fails), ("good", lambda: good)), environment)
    assert result.exit_code is ExitCode.INCOMPLETE
    assert [target.outcome for target in result.targets] == [Outcome.FAILED, Outcome.DONE]
    assert len(good.records) == 1


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
    result = apply(subject, state, replace(POLICY, may_archive=True), archive=archive)
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
    result = apply(subject, policy=replace(POLICY, may_archive=True), archive=archive)
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, ExitCode.INCOMPLETE)
    assert len(subject.records) == 2


def test_a_policy_that_has_archived_does_not_go_on_without(tmp_path):
    archive = Archive(DirectoryPlace(tmp_path), retention_days=365)
    subject, state = store(400, 300, 1), FakeState()
    policy = replace(POLICY, may_archive=True)
    apply(subject, state, policy, archive=archive)
    subject.records += records(500)
    refused = apply(subject, state, policy)
    assert refused.exit_code is ExitCode.REFUSED
    assert "policies.audit_logs.archive = off" in only(refused).hint
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
    daily = replace(POLICY, every=DAY)
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
