"""What the engine writes down and tells, whole: entries, sentences, and who is asked in which order."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from luxima_retention.core.errors import ArchiveError, ConfigurationError, ExitCode, LeaseHeld, StoreError
from luxima_retention.core.observer import Silent
from luxima_retention.core.plan import Counters, Finding, Hold, Level
from luxima_retention.core.results import Outcome, PolicyResult, TargetResult
from luxima_retention.evidence import events
from luxima_retention.evidence.archive import Archive, Run
from luxima_retention.io.objects import DirectoryPlace
from luxima_retention.run import engine
from luxima_retention.run.approvals import settings_of
from luxima_retention.run.context import Environment
from luxima_retention.run.engine import run_policy
from luxima_retention.run.planfile import Approved
from luxima_retention.stores.memory.store import MemoryStore
from tests.unit.test_engine import (
    CUTOFF,
    DAY,
    LIMITS,
    NOW,
    POLICY,
    FakeLease,
    FakeState,
    apply,
    killed_after,
    kinds,
    only,
    records,
    said,
    store,
)

LATER = NOW + timedelta(minutes=1)
UNREAD = "records or objects could not be read or recognised, so it is not known whether they have expired"


class Told(Silent):
    """Remembers what it was told of."""

    def __init__(self) -> None:
        self.events = []

    def told(self, event, **values):
        self.events.append((event, values))


def environment(state=None, **more) -> Environment:
    return Environment(**{"now": NOW, "state": state or FakeState(), "clock": lambda: LATER} | more)


def run(subject, state=None, policy=POLICY, **more):
    return run_policy(policy, (("memory", lambda: subject),), environment(state, **more))


class Asked:
    """A store that is only asked."""

    def __init__(self, asked, **facts):
        self.identity, self.clock, self.close = asked.identity, asked.clock, asked.close
        self.preflight = asked.preflight
        self.survey = lambda request: replace(asked.survey(request), **facts)


def finding(code="c", level=Level.INFO, hint="h"):
    return Finding(code=code, level=level, message=f"{code} it is", hint=hint)


# --- entries ------------------------------------------------------------------------------------------------


def test_every_entry_is_of_the_policy_at_its_own_moment_and_told():
    state, watch = FakeState(), Told()
    named = replace(LIMITS, named={"share": "--max-fraction 1"})
    run(store(400, 1), state, replace(POLICY, limits=named), observer=watch)
    written = ["policy.applied", "approval", "run.started", "batch", "batch", "run.completed"]
    assert [entry.kind for entry in state.ledger.all] == written
    assert {entry.policy for entry in state.ledger.all} == {"audit-logs"}
    assert [entry.at for entry in state.ledger.all] == [NOW] + [LATER] * 5
    told = [kind for kind in written if kind != "batch"]
    assert watch.events == [(kind, {"policy": "audit-logs"}) for kind in told]
    assert said(state, "approval")[0].option == "--max-fraction 1"


def test_the_start_names_where_records_go_first(tmp_path, monkeypatch):
    state = FakeState()
    archive = Archive(DirectoryPlace(tmp_path), retention_days=365)
    policy = replace(POLICY, archive="required")
    monkeypatch.setattr(MemoryStore, "archive_schema", lambda _store: (("id", "bigint"),))
    result = only(run(store(400, 1), state, policy, archive=archive))
    (started,) = said(state, "run.started")
    assert (started.archive, started.run_id) == (archive.url, result.run_id)
    (completed,) = said(state, "run.completed")
    assert (completed.archive, result.archive) == (result.archive, completed.archive)
    assert completed.run_id == result.run_id
    assert set(completed.milliseconds) == {"survey", "decide", "guard", "act", "prove"}
    assert "archive.verified" in kinds(state)
    (manifest,) = archive.manifests("audit-logs")
    assert (manifest.created_at, manifest.items) == (LATER, 1)
    assert manifest.run == Run(
        policy="audit-logs",
        run_id=result.run_id,
        target="memory",
        fingerprint="memory:1",
        cutoff=CUTOFF,
        form="jsonl",
        schema=(("id", "bigint"),),
    )


def test_a_run_of_no_records_is_an_entry_with_its_verdict_and_no_proof():
    state = FakeState(Hold(hold_id="H-9", policy="audit-logs"), Hold(hold_id="H-2", tenant="a"))
    result = only(run(store(400, 1), state))
    (completed,) = said(state, "run.completed")
    assert (completed.outcome, completed.proof, completed.planned) == (Outcome.PAUSED, None, 0)
    assert result.sentence == "paused by hold H-9: 1 expired records stay"
    assert (result.outcome, result.run_id) == (Outcome.PAUSED, completed.run_id)
    assert "run.started" not in kinds(state)
    assert result.totals.destroyed == 0


def test_a_signature_comes_before_the_first_batch_and_only_where_something_is_announced():
    state, signed = FakeState(), []

    def sign():
        signed.append(kinds(state)[-1])

    run(store(400, 1), state, sign_start=sign)
    assert signed == ["run.started"]
    run(store(1), state, sign_start=sign)
    assert signed == ["run.started"]


@pytest.mark.parametrize(("archives", "given"), [(True, True), (False, False)])
def test_what_the_end_needs_is_tried_before_the_run_begins(tmp_path, archives, given):
    asked, state = [], FakeState()
    archive = Archive(DirectoryPlace(tmp_path), retention_days=365) if archives else None

    def ready(archives):
        asked.append((archives, kinds(state)))

    run(store(400, 1), state, archive=archive, ready=ready)
    assert asked == [(given, [])]


def test_a_checked_store_is_an_entry():
    state = FakeState()
    subject = store(1)
    subject.findings = (finding("one"), finding("two", Level.WARNING))
    subject.unknown = 0
    result = only(run(Asked(subject, evidence={"e": 1}), state))
    assert said(state, "run.checked") == [
        events.RunChecked(
            target="memory",
            fingerprint="memory:1",
            retention_days=180,
            cutoff=CUTOFF,
            store_clock=NOW,
            program_clock=LATER,
            oldest=NOW - DAY,
            unknown=0,
            findings=(
                events.Found(code="one", level=Level.INFO),
                events.Found(code="two", level=Level.WARNING),
            ),
            evidence={"e": 1},
            error=None,
        )
    ]
    assert (result.outcome, result.sentence, result.hint) == (Outcome.CHECKED, "two it is", "h")
    assert run(Asked(store(1)), dry_run=True).exit_code is ExitCode.DONE


@pytest.mark.parametrize(
    ("found", "unknown", "outcome", "code", "sentence"),
    [
        ((), 0, Outcome.CHECKED, 0, "asked, and nothing was found"),
        ((finding("compliant"),), 0, Outcome.COMPLIANT, 0, "compliant it is"),
        ((finding("not-yet-provable"),), 0, Outcome.NOT_YET_PROVABLE, 0, "not-yet-provable it is"),
        ((finding("not-applicable"),), 0, Outcome.NOT_APPLICABLE, 0, "not-applicable it is"),
        ((finding("a", Level.DRIFT), finding("b")), 0, Outcome.DRIFT, 8, "a it is"),
        ((finding("a", Level.FAILED), finding("b", Level.FAILED)), 1, Outcome.FAILED, 3, "b it is"),
        ((finding("compliant"), finding("b", Level.FAILED)), 0, Outcome.FAILED, 3, "b it is"),
        ((finding("a", Level.REFUSE),), 0, Outcome.REFUSED, 4, "a it is"),
        (
            (finding("a"),),
            2,
            Outcome.FAILED,
            3,
            f"2 {UNREAD}",
        ),
    ],
)
def test_what_a_check_comes_to_and_says(found, unknown, outcome, code, sentence):
    state, subject = FakeState(), store(1, findings=found, unknown=unknown)
    result = only(run(Asked(subject), state))
    assert (result.outcome, result.exit_code, result.sentence) == (outcome, code, sentence)
    assert result.hint == ("h" if found and "could not" not in sentence else result.hint)
    assert (result.hint is None) is (not found)
    assert said(state, "run.checked")[0].error == (sentence if code else None)


# --- refusals ---------------------------------------------------------------------------------------------


def test_a_refusal_says_figures_and_names_the_others():
    state = FakeState()
    policy = replace(POLICY, limits=replace(LIMITS, max_items=1, min_remaining=9))
    result = only(run(store(400, 300, 1), state, policy))
    told = "max-items: 2 records of memory would be deleted (observed 2, limit 1)"
    told += "; refused as well: min-remaining"
    assert (result.outcome, result.exit_code, result.sentence) == (Outcome.REFUSED, 4, told)
    assert result.hint == "if intended, rerun with --max-items 2"
    (refusal,) = said(state, "run.refused")
    assert (refusal.error, refusal.exit_code, refusal.items) == (told, 4, 2)
    assert {guard.guard for guard in refusal.guards if not guard.passed} == {"max-items", "min-remaining"}
    assert [item.guard for item in result.verdicts][:2] == ["identity", "clock-skew"]


@pytest.mark.parametrize(
    ("limits", "approvers", "means", "answerable"),
    [
        ({"max_items": 1}, ("rina",), True, True),
        ({"max_items": 1}, (), True, False),
        ({"max_items": 1}, ("rina",), False, False),
        ({"max_items": 1, "max_skew": timedelta(seconds=1)}, ("rina",), True, False),
        ({"max_items": 1, "named": {"max-items": "--max-items 1"}}, ("rina",), True, False),
    ],
)
def test_a_refusal_names_its_plan_where_a_person_may_answer_it(limits, approvers, means, answerable):
    state = FakeState()
    policy = replace(POLICY, limits=replace(LIMITS, **limits))
    subject = replace(store(400, 300, 1), now=lambda: LATER - timedelta(seconds=30))
    around = replace(environment(state, approvers=approvers), **({} if means else {"state": None}))
    result = only(run_policy(policy, (("memory", lambda: subject),), around))
    assert (result.exit_code, result.approve) == (4, result.plan.digest if answerable else None)
    for refusal in said(state, "run.refused"):
        assert refusal.settings == settings_of(policy)


@pytest.mark.parametrize("means", [True, False])
def test_what_the_next_run_compares_with_is_an_entry_of_a_real_run(means):
    counters = Counters(epoch="e", deleted={"1": 2}, files={"1": "f"})

    class Counting(MemoryStore):
        def survey(self, request):
            found = super().survey(request)
            lasting = replace(found.identity, kind="postgresql")
            return replace(found, identity=lasting, counters=counters)

    state, subject = FakeState(), Counting(records=records(1), now=lambda: NOW)
    around = environment(state) if means else environment(state, dry_run=True)
    run_policy(POLICY, (("memory", lambda: subject),), around)
    assert [item.counters for item in said(state, "store.counted")] == [counters] * means


def test_a_dry_run_says_which_hold_pauses_the_policy_and_nothing_of_killed_runs():
    state = FakeState(
        Hold(hold_id="H-1", policy="audit-logs"), Hold(hold_id="H-2", policy="audit-logs", tenant="t")
    )
    for around in (environment(state, dry_run=True), replace(environment(state), state=None)):
        policy = replace(POLICY, ledgerless=True)
        result = only(run_policy(policy, (("memory", lambda: store(1)),), around))
        assert "killed" not in result.sentence
    told = only(run(store(1), state, dry_run=True))
    assert (told.outcome, told.sentence) == (Outcome.PAUSED, "paused by hold H-1: 0 expired records stay")
    free = only(run(store(400, 1), FakeState(), replace(POLICY, disposition="destroy"), dry_run=True))
    assert free.sentence == "1 records would be deleted: destroy"


def test_a_dry_run_says_what_a_real_one_would_refuse():
    state = FakeState()
    policy = replace(POLICY, limits=replace(LIMITS, max_items=1))
    result = only(run(store(400, 300, 1), state, policy, dry_run=True))
    told = "a real run would refuse: max-items: 2 records of memory would be deleted (observed 2, limit 1)"
    assert (result.outcome, result.exit_code, result.sentence) == (Outcome.WOULD_REFUSE, 0, told)
    assert result.hint == "if intended, rerun with --max-items 2"
    assert not state.ledger.all
    unread = only(run(store(400, 300, 1, unknown=2), state, policy, dry_run=True))
    assert (unread.outcome, unread.exit_code) == (Outcome.FAILED, 3)
    assert unread.sentence.endswith(f"they have expired; {told}")


def test_without_a_ledger_a_policy_with_other_work_does_what_it_can():
    policy = replace(POLICY, ledgerless=True)
    nothing = replace(environment(), state=None)
    result = only(run_policy(policy, (("memory", lambda: store(1)),), nothing))
    assert (result.outcome, result.exit_code, result.verdicts) == (Outcome.NOTHING_TO_DO, 0, ())
    assert result.sentence == "nothing has expired; expiry will need a ledger, and none is configured"
    refused = only(run_policy(policy, (("memory", lambda: store(400, 1)),), nothing))
    assert refused.exit_code is ExitCode.REFUSED
    usual = only(run_policy(POLICY, (("memory", lambda: store(1)),), nothing))
    assert (usual.exit_code, usual.hint) == (
        ExitCode.REFUSED,
        "set database.dsn, or ledger.path on a persistent volume",
    )
    kept = only(run(store(1), FakeState(), policy))
    assert "expiry will need" not in kept.sentence


def test_a_dry_run_says_that_it_would_finish_a_killed_run():
    subject, state = store(*range(200, 206), 1, batch=2), FakeState(shares="memory:1")
    subject.shared = object()
    killed_after(state, subject, 1)
    (started,) = said(state, "run.started")
    result = only(run(subject, state, dry_run=True))
    assert result.sentence == (
        "4 records would be deleted: destroy; it would first finish the run of "
        f"{started.run_id}, which was killed"
    )


# --- errors -----------------------------------------------------------------------------------------------


def test_an_error_before_the_first_target_is_that_of_each_target_or_the_policys():
    state = FakeState()
    state.leased = True
    subject = store(400, 1)
    targets = (("memory", lambda: subject), ("other", lambda: subject))
    result = run_policy(POLICY, targets, environment(state))
    assert (result.outcome, result.exit_code, result.sentence) == (Outcome.LOCKED, ExitCode.LOCKED, "")
    assert result.targets == tuple(
        TargetResult(
            target=name,
            outcome=Outcome.LOCKED,
            exit_code=ExitCode.LOCKED,
            sentence="another run holds the lease of audit-logs",
        )
        for name in ("memory", "other")
    )
    assert run_policy(POLICY, (), environment(state)) == PolicyResult(
        policy="audit-logs",
        retention_days=180,
        outcome=Outcome.LOCKED,
        exit_code=ExitCode.LOCKED,
        sentence="another run holds the lease of audit-logs",
    )
    (told,) = engine.failed(POLICY, StoreError("no answer", "try again"), targets[:1]).targets
    assert (told.target, told.sentence, told.hint) == ("memory", "no answer", "try again")
    assert (result.policy, result.retention_days) == ("audit-logs", 180)
    failed = engine.failed(POLICY, StoreError("no answer", "try again"))
    assert (failed.outcome, failed.exit_code) == (Outcome.FAILED, ExitCode.INCOMPLETE)
    assert (failed.sentence, failed.hint) == ("no answer", "try again")


def test_the_lease_is_the_policys_or_that_of_its_part():
    state, names = FakeState(), []
    state.lease = lambda name: names.append(name) or FakeLease()
    run(store(1), state)
    run(store(1), state, replace(POLICY, lease="audit-logs-1-of-2"))
    run(store(1), state, dry_run=True)
    assert names == ["audit-logs", "audit-logs-1-of-2"]


def raising(error):
    def opener():
        raise error

    return opener


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (StoreError("no answer", "try"), Outcome.FAILED),
        (ConfigurationError("no such column", "name it"), Outcome.FAILED),
        (LeaseHeld("somebody else works there"), Outcome.LOCKED),
    ],
)
def test_an_error_of_a_target_is_its_result_and_an_entry_unless_somebody_else_is_at_work(error, outcome):
    state = FakeState()
    result = only(run_policy(POLICY, (("core.t", raising(error)),), environment(state)))
    assert (result.target, result.outcome, result.exit_code) == ("core.t", outcome, error.exit_code)
    assert (result.sentence, result.hint) == (error.message, error.hint)
    failures = said(state, "run.failed")
    if outcome is Outcome.LOCKED:
        assert failures == []
        return
    assert failures == [
        events.RunFailed(target="core.t", outcome=outcome, exit_code=error.exit_code, error=error.message)
    ]


def test_an_error_that_the_ledger_does_not_take_is_told():
    state, watch = FakeState(), Told()
    state.ledger.writable = False
    run_policy(POLICY, (("core.t", raising(StoreError("no answer"))),), environment(state, observer=watch))
    assert [(event, values["policy"]) for event, values in watch.events] == [
        ("ledger.unwritten", "audit-logs"),
        ("ledger.unwritten", "audit-logs"),
    ]
    assert all(values["error"] for _, values in watch.events)


def test_an_obstacle_is_an_error_with_its_hint_and_a_dry_run_tells_it_too():
    found = (finding("a"), finding("rls", Level.FAILED), finding("b", Level.FAILED))
    for dry_run in (False, True):
        result = only(run(store(400, 1, findings=found), dry_run=dry_run))
        assert (result.outcome, result.sentence, result.hint) == (Outcome.FAILED, "rls it is", "h")
        assert result.plan.items == 1
        assert [step.name for step in result.steps] == ["survey", "decide", "guard"]


def test_a_run_that_fails_in_a_batch_says_how_far_it_came(tmp_path):
    archive, state = Archive(DirectoryPlace(tmp_path), retention_days=365), FakeState()
    subject, seal = store(400, 300, 1, batch=1), archive.writer

    def writer(**given):
        if given["number"] == 2:
            raise ArchiveError("the place is full", "make room")
        return seal(**given)

    archive.writer = writer
    policy = replace(POLICY, archive="required")
    result = only(run(subject, state, policy, archive=archive))
    (completed,) = said(state, "run.completed")
    assert (completed.outcome, completed.exit_code, completed.error) == ("failed", 3, "the place is full")
    assert (completed.destroyed, completed.proof) == (1, None)
    assert (result.sentence, result.hint, result.totals.destroyed) == ("the place is full", "make room", 1)
    assert result.archive == completed.archive is not None
    assert archive.manifests("audit-logs")


def test_a_failure_that_the_ledger_does_not_take_leaves_the_run_open_and_is_told():
    state, watch = FakeState(), Told()
    subject = store(400, 300, 1, batch=1)

    def full(_target, _done, _planned):
        state.ledger.writable = False
        raise_later.append(1)

    raise_later = []
    watch.batch_done = lambda _policy, target, done, planned: full(target, done, planned)
    state.ledger.append = failing_when(state, state.ledger.append)
    result = only(run(subject, state, observer=watch))
    assert result.outcome is Outcome.FAILED
    assert ("run.left-open", {"policy": "audit-logs", "error": "the ledger is full"}) in watch.events
    assert "run.completed" not in kinds(state)


def failing_when(state, append):
    def appended(event, **given):
        if not state.ledger.writable:
            raise StoreError("the ledger is full")
        return append(event, **given)

    return appended


# --- before the first step --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "missed"),
    [(timedelta(0), 0), (timedelta(hours=1), 0), (timedelta(hours=1, seconds=1), 1)],
)
def test_a_run_serves_the_time_for_which_it_is_not_too_late(late, missed):
    daily = replace(POLICY, schedule=f"{NOW.minute} {NOW.hour} * * *")
    state = FakeState()
    run(store(1), state, daily)
    begins = NOW + DAY + late
    subject = replace(store(1), now=lambda: begins)
    environment = Environment(now=begins, state=state, clock=lambda: begins)
    run_policy(daily, (("memory", lambda: subject),), environment)
    found = said(state, "slot.missed")
    assert sum(item.missed for item in found) == missed
    assert all(entry.at == begins for entry in state.ledger.all if entry.kind == "slot.missed")


def test_what_was_missed_is_told_by_the_clock_of_the_schedule_and_from_the_last_run_on():
    """Another policy's run, and an entry about something else, are no run of this one."""
    state = FakeState()
    daily = replace(POLICY, schedule="25 14 * * *", zone=ZoneInfo("Asia/Jakarta"), disposition="destroy")
    run(store(1), state, daily)
    for days, policy in ((2, replace(daily, name="other")), (3, daily)):
        state.ledger.append(events.HoldReleased(hold_id="H"), policy="audit-logs", at=NOW + 2 * DAY)
        begins = NOW + days * DAY
        subject = replace(store(1), now=lambda begins=begins: begins)
        now = Environment(now=begins, state=state, clock=lambda begins=begins: begins)
        run_policy(policy, (("memory", lambda subject=subject: subject),), now)
    (missed,) = said(state, "slot.missed")
    time = NOW.replace(hour=7, minute=25)
    assert missed == events.SlotMissed(missed=3, since=LATER, first=time + DAY, last=time + 3 * DAY)
    applied = [entry.policy for entry in state.ledger.all if entry.kind == "policy.applied"]
    assert applied == ["audit-logs", "other"], "what a policy says is written down when it changes"
    assert said(state, "policy.applied")[0].disposition == "destroy"


@pytest.mark.parametrize("step", ["decide", "guard"])
def test_what_was_seen_before_an_error_is_told_with_it(monkeypatch, step):
    fails = raising(StoreError("no answer"))
    monkeypatch.setattr(engine.steps, step, lambda *_: fails())
    subject = store(400, 1)
    result = run_policy(POLICY, (("by another name", lambda: subject),), environment())
    target = only(result)
    assert (result.policy, result.retention_days) == ("audit-logs", 180)
    assert (target.target, target.survey.expired) == (subject.identity().target, 1)
    assert (target.plan is None) == (step == "decide")


def test_each_step_batch_and_entry_is_told_of_its_policy_and_target():
    told = []

    class Everything(Silent):
        def step_began(self, policy, target, name, at):
            told.append((policy, target))

        def step_ended(self, policy, target, step):
            told.append((policy, target))

        def batch_done(self, policy, target, done, planned):
            told.append((policy, target))

        def ended(self, policy, result):
            told.append((policy, result.target))

        def span(self, name, policy, target):
            told.append((policy, target))
            spans.append(name)
            return nullcontext()

    state, spans = FakeState(), []
    run(store(400, 1), state, observer=Everything())
    assert set(told) == {("audit-logs", "memory")}
    assert set(spans) == {"ledger.append"}
    told.clear()
    means = engine.Means(state=state, lease=FakeLease())
    scope = engine.Scope(policy=POLICY, environment=environment(observer=Everything()), means=means)
    scope.append(events.HoldReleased(hold_id="H"))
    assert told == [("audit-logs", "")]


def test_without_a_schedule_nothing_is_missed():
    state = FakeState()
    run(store(1), state)
    later = NOW + 30 * DAY
    environment = Environment(now=later, state=state, clock=lambda: later)
    run_policy(POLICY, (("memory", lambda: store(1)),), environment)
    assert "slot.missed" not in kinds(state)


def test_what_is_written_down_first_needs_a_ledger_that_can_be_read():
    state, watch = FakeState(), Told()
    state.ledger.head = raising(StoreError("no connection"))
    run(store(1), state, observer=watch)
    assert [event for event, _ in watch.events if event == "policy.applied"] == []


def test_a_ledger_that_takes_nothing_is_told_once_and_the_guards_refuse():
    state, watch = FakeState(), Told()
    state.ledger.writable = False
    result = only(run(store(400, 1), state, observer=watch))
    assert (result.outcome, result.verdicts[0].guard) == (Outcome.REFUSED, "ledger")
    assert [event for event, _ in watch.events] == ["ledger.unwritten"]


# --- several targets, and agreeing -------------------------------------------------------------------------


def test_every_plan_is_agreed_to_before_the_first_target_loses_a_record():
    first, second, third, asked = store(400, 1), store(300, 200, 1), store(1), []

    def confirm(plans):
        asked.append([plan.items for plan in plans])
        assert len(first.records) == 2
        return True

    targets = (
        ("a", lambda: first),
        ("b", raising(StoreError("x"))),
        ("c", lambda: second),
        ("d", lambda: third),
    )
    result = run_policy(POLICY, targets, environment(confirm=confirm))
    assert asked == [[1, 2, 0]]
    outcomes = [item.outcome for item in result.targets]
    assert outcomes == [Outcome.DONE, Outcome.FAILED, Outcome.DONE, Outcome.NOTHING_TO_DO]
    assert (len(first.records), len(second.records)) == (1, 1)
    assert all(subject.closed for subject in (first, second, third))


def test_nobody_is_asked_about_nothing():
    result = run(store(1), confirm=raising(AssertionError("never")))
    assert result.outcome is Outcome.NOTHING_TO_DO


def test_what_was_not_agreed_to_says_so():
    result = only(run(store(400, 1), confirm=lambda _plans: False))
    assert result.sentence == "nothing was deleted: the plan was not agreed to"
    assert (result.run_id, result.plan.items) == (None, 1)


def test_a_stop_is_asked_for_before_each_target_is_opened_and_before_it_begins():
    answers = iter([True])
    result = only(run(store(400, 1), stopping=lambda: next(answers)))
    assert (result.outcome, result.exit_code) == (Outcome.STOPPED, ExitCode.STOPPED)
    assert result.sentence == "not begun: the run was told to stop"
    answers = iter([False, True])
    result = only(run(store(400, 1), stopping=lambda: next(answers)))
    assert (result.outcome, result.exit_code) == (Outcome.STOPPED, ExitCode.STOPPED)
    assert result.sentence == "not begun: 1 expired records remain"
    assert result.plan.items == 1


# --- what a batch is given ------------------------------------------------------------------------------


def test_the_store_is_given_what_its_batches_need():
    given = []

    class Store(type(store(1))):
        def batches(self, plan, work):
            given.append((plan, work))
            yield from super().batches(plan, work)

    state = FakeState(Hold(hold_id="H", tenant="x"), Hold(hold_id="M", policy="metrics"))
    waits = []
    result = only(
        run(Store(records=records(400, 1), now=lambda: NOW), state, wait=waits.append, stopping=lambda: False)
    )
    ((plan, work),) = given
    assert (plan, work.run_id, work.token, work.resumed) == (result.plan, result.run_id, 7, False)
    assert [hold.hold_id for hold in work.holds()] == ["H"]
    work.wait(3.0)
    assert (waits, work.stopping(), work.enter) == ([3.0], False, None)


def test_a_resumed_run_goes_on_with_numbers_and_parts(tmp_path):
    archive = Archive(DirectoryPlace(tmp_path), retention_days=365)
    subject, state = store(*range(200, 206), 1, batch=2), FakeState(shares="memory:1")
    subject.shared = object()
    policy = replace(POLICY, archive="required")
    killed_after(state, subject, 2, policy=policy, archive=archive)
    signed = []
    result = only(run(subject, state, policy, archive=archive, sign_start=lambda: signed.append(1)))
    assert [event.number for event in said(state, "batch")] == [1, 2, 3]
    (manifest,) = archive.manifests("audit-logs")
    assert (manifest.items, manifest.run.run_id, len(signed)) == (6, result.run_id, 1)
    (resumed,) = said(state, "run.resumed")
    assert (resumed.run_id, resumed.items, resumed.destroyed) == (result.run_id, 2, 4)
    assert result.sentence == (
        "2 records destroyed (4 more by the process of this run that was killed); nothing expired is left"
    )
    assert said(state, "run.completed")[0].planned == 6


def test_a_killed_run_of_another_day_is_closed_under_its_own_name_and_cutoff(tmp_path):
    archive = Archive(DirectoryPlace(tmp_path), retention_days=365)
    subject, state = store(*range(200, 206), 1, batch=2), FakeState(shares="memory:1")
    subject.shared = object()
    policy = replace(POLICY, archive="required")
    killed_after(state, subject, 1, policy=policy, archive=archive)
    tomorrow = NOW + DAY
    subject.now = lambda: tomorrow
    environment = Environment(now=tomorrow, state=state, clock=lambda: tomorrow, archive=archive)
    result = only(run_policy(policy, (("memory", lambda: subject),), environment))
    first, second = sorted(archive.manifests("audit-logs"), key=lambda item: item.run.cutoff)
    (started, again) = said(state, "run.started")
    assert (first.run.run_id, first.run.cutoff, first.items) == (started.run_id, CUTOFF, 2)
    assert (second.run.run_id, second.run.cutoff, second.items) == (result.run_id, CUTOFF + DAY, 4)
    assert again.run_id == result.run_id != started.run_id
    assert [event.run_id for event in said(state, "run.reconciled")] == [started.run_id]
    assert not result.resumed
    before = kinds(state)
    assert before.index("run.reconciled") < before.index("run.started", before.index("run.reconciled"))


@pytest.mark.parametrize("reachable", [True, False])
def test_a_killed_run_that_archived_is_closed_by_a_policy_that_no_longer_does(tmp_path, reachable):
    archive = Archive(DirectoryPlace(tmp_path), retention_days=365)
    subject, state = store(*range(200, 206), 1, batch=2), FakeState(shares="memory:1")
    subject.shared = object()
    killed_after(state, subject, 1, policy=replace(POLICY, archive="required"), archive=archive)
    tomorrow = NOW + DAY
    subject.now = lambda: tomorrow
    around = Environment(
        now=tomorrow, state=state, clock=lambda: tomorrow, archive=archive if reachable else None
    )
    result = only(run_policy(replace(POLICY, archive="off"), (("memory", lambda: subject),), around))
    assert (result.outcome, result.archive) == (Outcome.DONE, None)
    assert [item.items for item in archive.manifests("audit-logs")] == [2] * reachable
    assert [event.items for event in said(state, "archive.verified")] == [2] * reachable


def test_a_run_that_is_told_to_stop_when_all_is_done_is_done():
    subject = store(400, 300, 1, batch=1)
    result = only(run(subject, stopping=lambda: len(subject.records) == 1))
    assert (result.outcome, result.sentence) == (Outcome.DONE, "2 records destroyed; nothing expired is left")


def test_the_end_of_a_run_is_an_entry_with_its_proof_and_its_places_have_names(monkeypatch):
    passed, state = [], FakeState()
    monkeypatch.setattr(engine, "failpoint", passed.append)
    result = only(run(store(400, 1), state))
    assert passed == ["engine.after_intent", "engine.after_act", "engine.after_proof"]
    (completed,) = said(state, "run.completed")
    assert (completed.proof.left, result.proof.left) == (0, 0)


def test_holds_of_other_policies_are_asked_about_nowhere():
    asked = []

    class Asking(MemoryStore):
        def survey(self, request):
            asked.append([hold.hold_id for hold in request.holds])
            return super().survey(request)

    ours, theirs = Hold(hold_id="H-1", policy="audit-logs", tenant="t"), Hold(hold_id="H-2", policy="other")
    run(Asking(records=records(400, 1), now=lambda: NOW), FakeState(ours, theirs))
    assert asked == [["H-1"], ["H-1"]]


def test_the_end_of_a_run_is_judged_by_the_clock_of_its_end():
    """What was condemned is overdue once its date has passed."""
    from luxima_retention.core.plan import Pending

    readings = []

    class Store(type(store(1))):
        def survey(self, request):
            found = super().survey(request)
            readings.append(request)
            due = NOW + timedelta(seconds=30)
            return replace(found, pending=(Pending(items=3, due=due, reason="r"),))

    subject = Store(records=records(400, 1), now=lambda: NOW)
    result = only(run(subject))
    assert (result.outcome, result.proof.overdue) == (Outcome.VERIFICATION_FAILED, 3)
    assert [request.cutoff for request in readings] == [CUTOFF, CUTOFF]
    in_time = only(run(Store(records=records(400, 1), now=lambda: NOW), clock=lambda: NOW))
    assert in_time.outcome is Outcome.DONE


def test_a_run_stops_at_its_deadline():
    result = only(run(store(400, 300, 1, batch=1), deadline=0.0))
    assert (result.outcome, result.exit_code) == (Outcome.STOPPED, ExitCode.STOPPED)
    assert result.sentence == "not begun: the time budget is used up"
    asked = []
    told = {"stopping": lambda: bool(asked), "observer": Counting(asked)}
    result = only(run(store(400, 300, 200, 1, batch=1), **told))
    assert (result.outcome, result.proof.explained) == (Outcome.STOPPED, {"stopped": 2})
    asked.clear()
    done = only(run(store(400, 300, 1, batch=1), stopping=lambda: len(asked) > 1, observer=Counting(asked)))
    assert (done.outcome, done.totals.destroyed) == (Outcome.DONE, 2)


class Counting(Silent):
    """Counts batches."""

    def __init__(self, batches) -> None:
        self.batches = batches

    def batch_done(self, policy, target, done, planned):
        self.batches.append(done)


def test_a_saved_plan_goes_into_guards_and_plan():
    subject = store(400, 300, 1)
    plan = only(apply(subject, dry_run=True)).plan
    terms = {**plan.terms(), "items": 1}
    approved = {"audit-logs": Approved(digest=plan.digest, terms=terms)}
    result = only(run(subject, approved=approved))
    assert (result.totals.destroyed, result.proof.explained) == (1, {"beyond-plan": 1})


def test_nothing_is_destroyed_without_means():
    scope = engine.Scope(policy=POLICY, environment=SimpleNamespace(), means=None)
    with pytest.raises(engine.GuardRefused) as caught:
        scope.needed()
    assert caught.value.message == "nothing is destroyed without a ledger"
    assert caught.value.hint == "set database.dsn or ledger.path"
