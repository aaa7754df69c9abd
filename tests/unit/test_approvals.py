"""Approvals: what was refused goes once, as it was, when a named person has signed that; silence is no."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ConfigurationError, ExitCode, GuardRefused, TamperingFound
from luxima_retention.core.guards import Limits
from luxima_retention.core.observer import Silent
from luxima_retention.core.plan import Hold
from luxima_retention.core.results import Outcome, RunResult
from luxima_retention.evidence.approvals import LONGEST
from luxima_retention.evidence.events import PlanApproved, PlanWithdrawn
from luxima_retention.evidence.ledger.checkpoint import generate
from luxima_retention.evidence.ledger.verify import Approvals, TamperedError, parse
from luxima_retention.run.approve import approve, until, withdraw
from luxima_retention.run.context import Environment
from luxima_retention.run.engine import run_policy
from luxima_retention.stores.memory.store import MemoryStore, Record
from luxima_retention.tell.notify.conditions import Memory, observe
from luxima_retention.tell.notify.conditions import digest as morning
from luxima_retention.tell.notify.facts import seen_of
from luxima_retention.tell.notify.send import style_of
from luxima_retention.tell.notify.texts import body, plain
from tests.configured import settings_of
from tests.ledgers import event
from tests.unit.test_engine import DAY, NOW, POLICY, FakeState, kinds, only, said

LIMITS = Limits(dimensions=frozenset({"tenant", "range"}))
REFUSING = replace(POLICY, limits=LIMITS)
AGES = (*(400 - n for n in range(60)), *range(40))


class House:
    """A store of 100 records, 60 of them expired; a ledger; Rina, who may approve, and Budi, who may not."""

    def __init__(self, path):
        self.path, self.now, self.policy = path, NOW, REFUSING
        self.rina = generate(path / "rina.pem", "rina.wijaya")
        self.budi = generate(path / "budi.pem", "budi")
        self.state = FakeState()
        self.store = MemoryStore(
            records=[Record(key=f"r{n}", at=NOW - age * DAY) for n, age in enumerate(AGES)],
            now=lambda: self.now,
        )

    def settings(self, **ledger):
        return settings_of({"ledger": {"approvers": [str(self.rina.key)], **ledger}})

    def run(self, **options):
        environment = Environment(
            now=self.now,
            state=self.state,
            clock=lambda: self.now,
            approvers=options.pop("approvers", (self.rina.key,)),
            **options,
        )
        return only(run_policy(self.policy, (("memory", lambda: self.store),), environment))

    def digest(self):
        return said(self.state, "run.refused")[-1].digest

    def approve(self, digest=None, key="rina", **settings):
        file = self.path / f"{key}.pem"
        return approve(self.settings(**settings), self.ledger, digest or self.digest(), self.now, key=file)

    @property
    def ledger(self):
        return self.state.ledger

    def left(self):
        return len(self.store.records)


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    assert made.run().exit_code is ExitCode.REFUSED
    return made


def refused(target, *words):
    assert (target.exit_code, target.outcome) == (ExitCode.REFUSED, Outcome.REFUSED)
    for word in words:
        assert word in target.sentence, target.sentence
    return True


def test_a_refusal_names_the_plan_only_where_somebody_may_approve(house):
    assert house.run().approve == house.digest()
    assert house.run(approvers=()).approve is None
    house.policy = replace(house.policy, limits=replace(LIMITS, max_items=1, named={"max-items": "x"}))
    assert house.run().approve is None


def test_silence_is_no(house):
    house.now += DAY
    assert refused(house.run(), "share")
    assert house.left() == 100


def test_the_next_run_carries_out_exactly_the_plan_that_was_approved(house):
    approved = house.approve()
    house.now += DAY - timedelta(hours=2)
    house.store.records.append(Record(key="new", at=house.now))
    target = house.run()
    assert (target.outcome, target.totals.destroyed) == (Outcome.DONE, 60)
    (started,) = said(house.state, "run.started")
    assert started.approval == approved.seq
    assert started.digest == said(house.state, "run.refused")[-1].digest
    assert [item.override for item in started.guards if item.guard == "share"] == [
        f"approval of rina.wijaya, entry {approved.seq}"
    ]
    assert "approval" not in kinds(house.state)


def test_a_cutoff_that_has_moved_on_waits_for_the_run_after(house):
    """What expires between the refusal and the run was not in what the person saw."""
    house.store.records.append(Record(key="edge", at=NOW - 180 * DAY))
    house.run()
    house.approve()
    house.now += DAY - timedelta(hours=2)
    assert house.run().totals.destroyed == 60
    assert "edge" in {record.key for record in house.store.records}
    house.policy = replace(house.policy, limits=replace(LIMITS, max_fraction=Decimal(1)))
    assert house.run().totals.destroyed == 1


def test_it_counts_once(house):
    house.approve()
    assert house.run().outcome is Outcome.DONE
    house.store.records += [Record(key=f"again{n}", at=NOW - 300 * DAY) for n in range(60)]
    assert refused(house.run(), "share")


def test_approving_twice_is_refused(house):
    first = house.approve()
    with pytest.raises(GuardRefused, match=f"approved already by rina.wijaya, until .* .entry {first.seq}"):
        house.approve()
    assert len(said(house.state, "plan.approved")) == 1


def test_what_a_run_has_followed_cannot_be_approved_any_more(house):
    digest = house.digest()
    house.policy = replace(house.policy, limits=replace(LIMITS, max_fraction=Decimal(1)))
    assert house.run().outcome is Outcome.DONE
    with pytest.raises(GuardRefused, match="is over: a run has followed it"):
        house.approve(digest)


def test_an_older_refusal_names_the_newer_one(house):
    digest = house.digest()
    house.store.records.append(Record(key="more", at=NOW - 300 * DAY))
    house.run()
    with pytest.raises(GuardRefused, match=f"refused again as entry .*: digest {house.digest()}"):
        house.approve(digest)


# --- the world has changed ------------------------------------------------------------------------------


def grow(house):
    house.store.records.append(Record(key="more", at=NOW - 300 * DAY))


def other_store(house):
    house.store.fingerprint = "memory:2"
    house.policy = replace(house.policy, limits=replace(LIMITS, fingerprints=("memory:1", "memory:2")))


def other_period(house):
    house.policy = replace(house.policy, retention_days=170)


def longer_period(house):
    house.policy = replace(house.policy, retention_days=190)


def other_limit(house):
    house.policy = replace(house.policy, limits=replace(LIMITS, max_items=70))


def smaller_whole(house):
    """Thirty young records are gone: 60 of 70 is more than the person saw."""
    house.store.records = [record for record in house.store.records if record.at < NOW - 29.5 * DAY]


def source_stalled(house):
    house.store.records = [record for record in house.store.records if record.at < NOW - DAY / 2]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (grow, "61 records would be deleted, 60 of those that were approved are left"),
        (other_store, "a limit of the policy was changed"),
        (other_period, "the period, the archive or a limit"),
        (longer_period, "the period, the archive or a limit"),
        (other_limit, "a limit of the policy was changed"),
        (smaller_whole, "the newest record is"),
        (source_stalled, "the newest record is"),
    ],
)
def test_another_world_is_refused(house, change, word):
    house.approve()
    house.now += timedelta(hours=10)
    change(house)
    before = house.left()
    assert refused(house.run(), "approved-plan: ", word)
    assert house.left() == before
    assert said(house.state, "run.refused")[-1].guards[0].guard == "approved-plan"


def test_a_store_works_from_what_it_was_asked_last(house):
    """Where the approved plan does not hold any more, the usual one is made of a survey of its own."""
    house.approve()
    house.now += DAY - timedelta(hours=2)
    grow(house)
    asked = []

    class Noting(type(house.store)):
        __slots__ = ()

        def survey(self, request):
            asked.append(request.cutoff)
            return super().survey(request)

    house.store.__class__ = Noting
    assert refused(house.run(), "61 records would be deleted")
    assert asked == [asked[0], asked[0] - DAY, asked[0]]


@pytest.mark.parametrize("grown", [False, True])
def test_a_store_is_not_asked_again_where_the_cutoff_is_the_same(house, monkeypatch, grown):
    house.approve()
    if grown:
        grow(house)
    asked, survey = [], type(house.store).survey
    monkeypatch.setattr(
        type(house.store), "survey", lambda self, request: (asked.append(1), survey(self, request))[1]
    )
    target = house.run()
    assert len(asked) == (1 if grown else 2), "a run that is carried out proves itself by a second one"
    (verdict,) = (item for item in target.verdicts if item.guard == "approved-plan")
    assert verdict.passed is not grown


def test_the_new_refusal_is_of_the_new_plan_and_can_be_approved(house):
    house.approve()
    grow(house)
    assert refused(house.run(), "61 records")
    house.approve()
    assert house.run().totals.destroyed == 61


def test_another_store_under_the_same_name_is_refused_by_its_own_guard(house):
    house.policy = replace(
        house.policy, limits=replace(LIMITS, max_fraction=Decimal(1), fingerprints=("memory:1",))
    )
    house.store.fingerprint = "memory:2"
    house.run()
    with pytest.raises(GuardRefused, match="refused by identity, which nobody can approve"):
        house.approve()


def test_a_hold_that_was_released_since_is_another_world(house):
    house.state.register.holds.append(Hold(hold_id="H-1", tenant="t9"))
    house.run()
    house.approve()
    house.state.register.holds.clear()
    assert refused(house.run(), "hold H-1 was released since the plan was approved")


def test_a_hold_that_was_placed_since_keeps_what_it_names(house):
    house.store.records[0] = replace(house.store.records[0], tenant="t1")
    house.run()
    house.approve()
    house.state.register.holds.append(Hold(hold_id="H-1", tenant="t1"))
    assert house.run().totals.destroyed == 59


def test_what_has_become_smaller_goes_without_a_second_question(house):
    house.approve()
    del house.store.records[:10]
    assert house.run().totals.destroyed == 50


# --- time -----------------------------------------------------------------------------------------------


def test_it_lasts_until_the_next_run_and_no_longer(house):
    entry = house.approve()
    end = datetime.fromisoformat(entry.body["end"])
    assert end - NOW == timedelta(hours=24)
    house.now = end
    assert refused(house.run(), f"ended at {entry.body['end']}")


@pytest.mark.parametrize(
    ("schedule", "least", "most"),
    [
        ("5 7 * * *", DAY, DAY),
        ("5 7 * * 0", 5 * DAY, 7 * DAY),
        ("5 7 1 1 *", LONGEST, LONGEST),
        ("", DAY, DAY),
    ],
)
def test_a_weekly_policy_gets_until_its_next_run(house, schedule, least, most):
    settings = settings_of({"policies": {"audit_logs": {"schedule": schedule}}})
    assert least <= until(settings, "audit-logs", NOW) - NOW <= most


def test_a_clock_that_was_set_back_makes_nothing_valid_again(house):
    entry = house.approve()
    house.now = datetime.fromisoformat(entry.body["end"]) + DAY
    house.ledger.append(event("slot.missed", missed=1), policy="other", at=house.now)
    house.now = NOW + timedelta(hours=1)
    assert refused(house.run(), "ended at")


def test_an_approval_from_tomorrow_does_not_count_yet(house):
    house.now += timedelta(hours=5)
    house.approve()
    house.now -= timedelta(hours=5)
    assert refused(house.run(), "counts from", "this machine says")


@pytest.mark.parametrize(("shift", "word"), [(9 * DAY, "older than 8 days"), (-DAY, "this machine says")])
def test_whoever_approves_with_a_wrong_clock_or_too_late_is_refused(house, shift, word):
    house.now += shift
    with pytest.raises(GuardRefused, match=word):
        house.approve()


# --- who may --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "word"),
    [
        ({"approvers": []}, ConfigurationError, "nobody may approve"),
        ({"key": "/nowhere"}, ConfigurationError, "cannot be read"),
        ({"key": "budi"}, GuardRefused, "is nobody's who may approve"),
        ({"approvers": ["rina"]}, ConfigurationError, "not an Ed25519 verifier key"),
    ],
)
def test_whoever_may_not_approve_is_told_why(house, settings, error, word):
    with pytest.raises(error, match=word):
        house.approve(**settings)
    assert not said(house.state, "plan.approved")


def test_the_key_of_the_ledger_approves_nothing(house):
    with pytest.raises(ConfigurationError, match="who runs jobs approves nothing"):
        house.settings(public_key=str(house.rina.key))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("1a2b", "is not the digest of a plan"),
        ("audit-logs", "is not the digest of a plan"),
        ("0" * 64, "nothing with the digest"),
        ("0" * 65, "nothing with the digest"),
    ],
)
def test_a_typo_in_the_digest_is_told(house, text, word):
    with pytest.raises(ConfigurationError, match=word):
        house.approve(text)


def test_twelve_digits_in_any_case_are_enough(house):
    assert house.approve(house.digest()[:12].upper()).body["digest"] == house.digest()


def test_nothing_is_entered_that_was_not_confirmed(house):
    shown = []
    told = approve(
        house.settings(), house.ledger, house.digest(), NOW, shown.extend, key=house.path / "rina.pem"
    )
    assert told is None
    assert not said(house.state, "plan.approved")
    text = "\n".join(shown)
    for word in ("60 of 100 records", "audit-logs, memory", "share: observed 60.0 %", "rina.wijaya"):
        assert word in text


def forged(house, **changes):
    """An approval by whoever may write entries, but has no key of Rina's."""
    entry = house.approve()
    house.ledger.all.pop()
    genuine = entry.event
    return replace(genuine, **changes)


def signed_by_budi(house):
    return house.approve(key="budi", approvers=[str(house.budi.key)]).event


@pytest.mark.parametrize(
    ("changes", "code", "word"),
    [
        ({"end": NOW + 8 * DAY}, 6, "says something else than what was signed"),
        ({"digest": "0" * 64}, 6, "says something else than what was signed"),
        ({"by": "kepala"}, 6, "says something else than what was signed"),
        ({"note": "approved, honestly"}, 6, "is forged"),
        ({"note": None}, 6, "does not verify"),
    ],
)
def test_a_forged_approval_is_told_and_nothing_goes(house, changes, code, word):
    made = forged(house)
    if changes.get("note", "") is None:
        changes = {"note": made.note[:-10] + "AAAAAAAA=\n"}
    house.ledger.append(replace(made, **changes), policy="audit-logs", at=NOW)
    target = house.run()
    assert (int(target.exit_code), house.left()) == (code, 100)
    assert word in target.sentence


def test_a_forged_approval_is_told_where_nothing_would_go_and_beside_a_true_one(house):
    house.ledger.append(replace(forged(house), by="kepala"), policy="audit-logs", at=NOW)
    with pytest.raises(TamperingFound, match="something else"):
        house.approve()
    house.store.records = house.store.records[60:]
    assert house.run().exit_code is ExitCode.VERIFICATION_FAILED


def test_a_key_that_may_not_approve_is_no_key(house):
    signed_by_budi(house)
    assert refused(house.run(), "is signed by no key that may approve")
    assert house.left() == 100


def test_an_approval_of_another_policy_or_target_is_worth_nothing(house):
    genuine = house.approve().event
    house.run()
    grown = [Record(key=f"x{n}", at=NOW - 300 * DAY) for n in range(60)]
    house.store.records += grown
    house.policy = replace(house.policy, name="security-events")
    house.run()
    house.ledger.append(genuine, policy="security-events", at=NOW)
    assert refused(house.run(), "which was carried out or followed by another run")
    entry = house.ledger.newest(kinds={"run.refused"})
    house.ledger.append(replace(genuine, entry=entry.seq), policy="security-events", at=NOW)
    assert house.run().exit_code is ExitCode.VERIFICATION_FAILED
    assert house.left() == 100


def test_an_approval_that_was_used_and_is_entered_again_is_worth_nothing(house):
    entry = house.approve()
    assert house.run().totals.destroyed == 60
    house.store.records += [Record(key=f"x{n}", at=NOW - 300 * DAY) for n in range(60)]
    house.ledger.append(entry.event, policy="audit-logs", at=NOW)
    assert refused(house.run(), f"is for entry {entry.event.entry}, which was carried out")
    assert house.left() == 100


def test_a_withdrawn_approval_is_worth_nothing(house):
    entry = house.approve()
    (gone,) = withdraw(house.settings(), house.ledger, house.digest(), NOW)
    assert gone.event == PlanWithdrawn(target="memory", approval=entry.seq, digest=house.digest())
    assert refused(house.run(), f"the approval of rina.wijaya (entry {entry.seq}) was withdrawn")
    with pytest.raises(GuardRefused, match="no approval of"):
        withdraw(house.settings(), house.ledger, house.digest(), NOW)


def test_it_can_be_approved_again_after_it_was_withdrawn(house):
    house.approve()
    withdraw(house.settings(), house.ledger, house.digest(), NOW)
    house.approve()
    assert house.run().totals.destroyed == 60


def test_a_recovered_ledger_has_forgotten_what_was_used(house):
    house.approve()
    recovered = event("ledger.recovered", reason="backup", entries=3, root="", lost=9)
    house.ledger.append(recovered, policy=None, at=NOW)
    assert refused(house.run(), "before the ledger was recovered")
    assert house.left() == 100


def test_what_was_refused_before_a_recovery_cannot_be_approved(house):
    recovered = event("ledger.recovered", reason="backup", entries=3, root="", lost=9)
    house.ledger.append(recovered, policy=None, at=NOW)
    with pytest.raises(GuardRefused, match="older than the recovery"):
        house.approve()


# --- runs that do not end at once -----------------------------------------------------------------------


def test_a_run_that_stopped_goes_on_with_what_is_left_and_not_beyond(house):
    house.store.batch = 25
    entry = house.approve()
    stop = iter([False] * 6)
    target = house.run(stopping=lambda: next(stop, True))
    assert (target.outcome, house.left()) == (Outcome.STOPPED, 100 - target.totals.destroyed)
    gone = target.totals.destroyed
    assert 0 < gone < 60
    house.now += timedelta(hours=1)
    assert house.run().totals.destroyed == 60 - gone
    assert [item.approval for item in said(house.state, "run.started")] == [entry.seq, entry.seq]
    house.store.records += [Record(key=f"x{n}", at=NOW - 300 * DAY) for n in range(60)]
    assert refused(house.run(), "share")


def test_what_arrives_after_a_run_that_stopped_was_not_approved(house):
    house.store.batch = 25
    house.approve()
    stop = iter([False] * 4)
    house.run(stopping=lambda: next(stop, True))
    grow(house)
    assert refused(house.run(), "of those that were approved are left")


class Killed(BaseException):
    pass


def test_a_run_that_was_killed_goes_on_under_its_approval_the_next_day(house):
    house.store.batch = 25
    house.approve()
    seen = []

    def die(*_):
        seen.append(1)
        if len(seen) == 2:
            raise Killed

    watch = SimpleNamespace(batch_done=die)
    with pytest.raises(Killed):
        house.run(observer=_Dying(watch.batch_done))
    gone = 100 - house.left()
    assert 0 < gone < 60
    house.now += DAY - timedelta(hours=2)
    target = house.run()
    assert (target.outcome, target.totals.destroyed) == (Outcome.DONE, 60 - gone)
    assert len(said(house.state, "run.started")) == len(said(house.state, "run.resumed")) == 1


class _Dying:
    def __new__(cls, batch_done):
        from luxima_retention.core.observer import Silent

        made = Silent()
        made.batch_done = batch_done
        return made


def test_nobody_approves_what_a_run_is_at_work_on(house):
    entry = house.approve()
    house.ledger.append(
        event("run.started", run_id="r1", target="memory", items=60, approval=entry.seq),
        policy="audit-logs",
        at=NOW,
    )
    withdraw(house.settings(), house.ledger, house.digest(), NOW)
    with pytest.raises(GuardRefused, match="the run r1 is at work on it"):
        house.approve()


def test_whoever_names_a_value_himself_needs_no_approval_and_uses_none_up(house):
    house.approve()
    named = replace(LIMITS, max_fraction=Decimal("0.7"), named={"share": "--max-fraction 0.7"})
    house.policy = replace(house.policy, limits=named)
    assert house.run().totals.destroyed == 60
    (started,) = said(house.state, "run.started")
    assert started.approval is None


def test_a_dry_run_shows_what_would_go_and_uses_nothing_up(house):
    house.approve()
    assert house.run(dry_run=True).outcome is Outcome.WOULD_DELETE
    assert house.run().totals.destroyed == 60


def test_silence_of_the_source_and_a_small_rest_can_be_approved_too(house):
    limits = replace(LIMITS, max_silence=DAY, min_remaining=50, max_items=10)
    house.policy = replace(house.policy, limits=limits)
    house.store.records = [record for record in house.store.records if record.at < NOW - 2 * DAY]
    house.run()
    assert {item.guard for item in said(house.state, "run.refused")[-1].guards if not item.passed} == {
        "share",
        "max-items",
        "stale-source",
        "min-remaining",
    }
    house.approve()
    house.now += DAY - timedelta(hours=2)
    assert house.run().totals.destroyed == 60


# --- what verifiers say ---------------------------------------------------------------------------------


def followed(house, *keys):
    found = Approvals(keys)
    for entry in house.ledger.all:
        found.add(parse(entry.data))
    return found


def test_verifiers_know_who_approved_what_was_carried_out(house):
    house.approve()
    house.run()
    assert followed(house, house.rina.key).signed == {"rina.wijaya": 1}
    assert (followed(house).unknown, followed(house, house.budi.key).unknown) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"by": "kepala", "end": NOW + 8 * DAY}, "is not about what its entry says"),
        ({"entry_hash": "0" * 64}, "approves something else than what stands as"),
        ({"target": "other"}, "approves something else than what stands as"),
        ({"note": "none"}, "is not a signed note"),
    ],
)
def test_verifiers_find_a_run_without_its_approval(house, changes, word):
    made = house.ledger.append(replace(forged(house), **changes), policy="audit-logs", at=NOW)
    started = event("run.started", run_id="r1", target="memory", items=60, approval=made.seq)
    house.ledger.append(started, policy="audit-logs", at=NOW)
    with pytest.raises(TamperedError, match=word):
        followed(house, house.rina.key)


def test_verifiers_find_what_went_beyond_an_approval(house):
    seq = house.approve().seq
    for run in ("r1", "r2"):
        started = event("run.started", run_id=run, target="memory", items=60, approval=seq)
        house.ledger.append(started, policy="audit-logs", at=NOW)
        ended = event("run.completed", run_id=run, target="memory", outcome="stopped", destroyed=40)
        house.ledger.append(ended, policy="audit-logs", at=NOW)
    with pytest.raises(TamperedError, match="more went than entry"):
        followed(house, house.rina.key)


def test_a_run_may_not_name_an_entry_that_is_no_approval(house):
    started = event("run.started", run_id="r1", target="memory", items=60, approval=1)
    house.ledger.append(started, policy="audit-logs", at=NOW)
    with pytest.raises(TamperedError, match="which is no approval"):
        followed(house)


def test_every_member_of_an_approval_is_signed_or_compared(house):
    """Nothing in the entry can be changed without being found."""
    genuine = house.approve().event
    house.ledger.all.pop()
    other = {"start": NOW - DAY, "end": NOW + 2 * DAY, "entry": 1, "target": "other"}
    for field in dataclasses.fields(PlanApproved):
        value = other.get(field.name, "0" * 64)
        house.ledger.append(replace(genuine, **{field.name: value}), policy="audit-logs", at=NOW)
        target = house.run()
        assert target.exit_code in {ExitCode.VERIFICATION_FAILED, ExitCode.REFUSED}, (field.name, iso(NOW))
        assert house.left() == 100
        del house.ledger.all[-2:]


# --- what people are told -------------------------------------------------------------------------------

TOLD = {
    "id": (
        "🟠 Penghapusan ditolak pengaman — audit-logs memory · production\n"
        "Pengaman share melihat 60.0 % (60 of 100); batas 25.0 %.\n"
        "Batas 180 hari · tertua 19 Oktober 2025 · kedaluwarsa 60 · ditahan (hold) 0\n"
        "⏳ Batas terlampaui sejak 18 April 2026 15.35 WIB.\n"
        "➡️ Tidak ada yang dihapus. Periksa rencananya dengan --dry-run sebelum menaikkan batas.\n"
        "📄 Rencana {short}…: 60 dari 100 catatan dari sebelum 27 Mei 2026 07.00 WIB akan dihapus.\n"
        "✍️ Jika itu benar, setujui dengan luxima-retention approve --key FILE {digest}\n"
        "Tanpa persetujuan tidak ada yang dihapus.\n"
        "if intended, rerun with --max-fraction 0.6\n"
        "kode 4 · sejak 23 November 2026 15.30 WIB"
    ),
    "en": (
        "🟠 A guard refused the deletion — audit-logs memory · production\n"
        "The guard share saw 60.0 % (60 of 100); its limit is 25.0 %.\n"
        "Limit 180 days · oldest 19 October 2025 · expired 60 · on hold 0\n"
        "⏳ The limit is exceeded since 18 April 2026 15:35 WIB.\n"
        "➡️ Nothing was destroyed. Look at the plan with --dry-run before you raise the limit.\n"
        "📄 Plan {short}…: 60 of 100 records from before 27 May 2026 07:00 WIB would be destroyed.\n"
        "✍️ If that is right, approve it with luxima-retention approve --key FILE {digest}\n"
        "Without an approval nothing is destroyed.\n"
        "if intended, rerun with --max-fraction 0.6\n"
        "code 4 · since 23 November 2026 15:30 WIB"
    ),
}


@pytest.mark.parametrize("language", ["id", "en"])
def test_the_message_of_a_refusal_carries_plan_figures_and_command(house, language):
    settings = settings_of({"notify": {"language": language}})
    environment = Environment(
        now=NOW, state=house.state, clock=lambda: NOW, approvers=(house.rina.key,), observer=Silent()
    )
    policy = run_policy(house.policy, (("memory", lambda: house.store),), environment)
    seen = seen_of(settings, RunResult(now=NOW, dry_run=False, policies=(policy,)))
    memory = Memory()
    message, style = observe(memory, seen), style_of(settings)
    digest = house.digest()
    assert plain(body(message, style)) == TOLD[language].format(short=digest[:12], digest=digest)
    assert f"<code>luxima-retention approve --key FILE {digest}</code>" in body(message, style)
    daily = morning(memory, NOW + DAY, style.zone)
    assert f"luxima-retention approve --key FILE {digest}" in body(daily, style)
