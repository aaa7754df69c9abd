"""The step *act*: the order inside a batch, what goes back when something fails, and what is written down."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.core.errors import ArchiveError, LeaseLost, ProofFailed, StoreError
from luxima_retention.core.observer import Silent
from luxima_retention.core.plan import Committed, Count, Identity, Request, Staged, Survey, decide
from luxima_retention.core.protocol import Work
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence.events import BatchState
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.run import act
from luxima_retention.run.act import Action

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
CUTOFF = datetime(2026, 5, 27, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST, LAST = CUTOFF - 9 * DAY, CUTOFF - DAY


def sealed(number: int) -> Sealed:
    return Sealed(
        name=f"part-{number}",
        version=None,
        items=1,
        first=None,
        last=None,
        bytes=100 + number,
        sha256="a",
        raw_bytes=1,
        raw_sha256="b",
        root="c",
        header="",
    )


class World:
    """Store, archive, lease and ledger of one action; everything that happens is told in ``happened``."""

    def __init__(self, *batches: dict, planned: int = 100, archives: bool = False, shared: bool = False):
        self.happened: list[object] = []
        self.ledger = MemoryLedger()
        self.stop = False
        self.lost = False
        self.fails: str | None = None
        self.enters = True
        self.batched = batches
        self.archive_format = "jsonl"
        request = Request(policy="audit-logs", retention_days=180, cutoff=CUTOFF, now=NOW)
        identity = Identity(kind="memory", target="core.audit_log", fingerprint="memory:1")
        survey = Survey(identity=identity, store_clock=NOW, expired=planned, population=Count(value=1000))
        plan = decide(request, survey, cutoff_basis="program clock", disposition="destroy")
        work = Work(
            run_id="run-1",
            token=7,
            resumed=False,
            holds=tuple,
            stopping=lambda: self.stop,
            wait=lambda _seconds: None,
        )
        self.action = Action(
            store=self,
            plan=plan,
            work=work,
            ledger=self.ledger,
            lease=self,
            archive=self if archives else None,
            clock=lambda: NOW,
            observer=Watch(self.happened),
        )
        self.shared = shared

    # the store
    def batches(self, plan, work):
        assert (plan, work) == (self.action.plan, self.action.work)
        for values in self.batched:
            yield Batch(self, **values)

    def identity(self):
        raise AssertionError("never asked")

    clock = preflight = survey = close = explain = archive_schema = identity

    # the lease
    token = 7

    def check(self):
        self.happened.append("lease")
        if self.lost:
            raise LeaseLost("another run has it")

    def release(self):
        raise AssertionError("the engine gives it back")

    # the archive
    def writer(self, **given):
        self.happened.append(("writer", given))
        if self.fails == "writer":
            raise ArchiveError("no space")
        return Part(self, given["number"])

    @property
    def entries(self):
        return [entry.event for entry in self.ledger.all]


class Part:
    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number

    def seal(self, items, *, first, last):
        self.world.happened.append(("seal", items, first, last))
        if self.world.fails == "seal":
            raise ArchiveError("it does not read back")
        return sealed(self.number)

    def discard(self):
        self.world.happened.append("discard")


class Batch:
    def __init__(self, world: World, items: int = 5, committed: dict | None = None, **staged):
        self.world = world
        told = {"first": FIRST, "last": LAST, "size_bytes": 50, "digest": "d", "metrics": {"wal_bytes": 1}}
        self.staged = Staged(items=items, shared=world.shared, **{**told, **staged})
        self.committed = Committed(**{"items": items, "size_bytes": 40, **(committed or {})})

    def stage(self, sink):
        self.world.happened.append(("stage", sink is not None))
        if self.world.fails == "stage":
            raise StoreError("no answer")
        return self.staged

    def commit(self):
        if self.world.fails == "commit before the entry":
            raise StoreError("the connection broke")
        if self.world.shared and self.staged.items and self.world.enters:
            self.world.action.enter("the connection")
        self.world.happened.append("commit")
        if self.world.fails == "commit":
            raise StoreError("the answer is lost")
        return self.committed

    def rollback(self):
        self.world.happened.append("rollback")


class Watch(Silent):
    def __init__(self, happened) -> None:
        self.happened = happened

    def batch_done(self, policy, target, done, planned):
        self.happened.append((policy, target, done, planned))


class Timed(Silent):
    """Remembers the parts that take time."""

    def __init__(self) -> None:
        self.spans = []

    def span(self, name, policy, target):
        self.spans.append((name, policy, target))
        return nullcontext()


def test_what_takes_time_is_told_by_its_name():
    world = World({}, archives=True)
    world.action.observer = Timed()
    world.action.run()
    of = ("audit-logs", "core.audit_log")
    assert world.action.observer.spans == [
        ("archive.write", *of),
        ("ledger.append", *of),
        ("ledger.append", *of),
    ]


def states(world):
    return [entry.state for entry in world.entries]


def test_the_order_inside_a_batch():
    world = World({}, archives=True)
    world.action.run()
    writer = {"policy": "audit-logs", "run_id": "run-1", "number": 1, "form": "jsonl", "now": NOW}
    assert world.happened == [
        "lease",
        ("writer", writer),
        ("stage", True),
        ("seal", 5, FIRST, LAST),
        "commit",
        ("audit-logs", "core.audit_log", 5, 100),
    ]
    assert states(world) == [BatchState.INTENT, BatchState.RESULT]


def test_a_process_can_be_killed_at_each_place_of_a_batch(monkeypatch):
    """By these names tests and `LUXIMA_FAILPOINTS` know them."""
    for shared in (False, True):
        world = World({}, archives=True, shared=shared)
        monkeypatch.setattr(act, "failpoint", world.happened.append)
        world.action.run()
        places = ["before_seal", "before_entry", "before_commit", "after_commit"]
        told = [item for item in world.happened if isinstance(item, str) and item.startswith("act.")]
        assert told == [f"act.{place}" for place in places]
        assert world.happened.index("act.after_commit") > world.happened.index("commit")


def test_the_entries_of_a_batch_say_what_was_staged_and_what_became_of_it():
    more = {"items": 3, "pending": 1, "skipped": {"hold": 1}, "failures": ("no answer",), "metrics": {"m": 2}}
    world = World({"committed": more}, archives=True)
    world.action.run()
    intent, result = world.entries
    common = {"run_id": "run-1", "target": "core.audit_log", "number": 1, "token": 7, "digest": "d"}
    for name, value in {**common, "first": FIRST, "last": LAST}.items():
        assert getattr(intent, name) == getattr(result, name) == value
    assert (intent.items, intent.bytes, intent.part) == (5, 50, sealed(1))
    assert (intent.pending, intent.skipped, intent.failures) == (0, {}, 0)
    assert (result.items, result.bytes, result.part) == (3, 40, None)
    assert (result.pending, result.skipped, result.failures) == (1, {"hold": 1}, 1)
    assert {(entry.policy, entry.at) for entry in world.ledger.all} == {("audit-logs", NOW)}


def test_a_batch_that_shares_the_ledgers_database_has_one_entry_inside_its_transaction():
    world = World({}, shared=True, archives=True)
    inside = []
    append = world.ledger.append
    world.ledger.append = lambda event, **given: inside.append(given.pop("inside")) or append(event, **given)
    world.action.run()
    assert inside == ["the connection"]
    (done,) = world.entries
    assert (done.state, done.items, done.part) == (BatchState.DONE, 5, sealed(1))
    assert world.action.parts == [sealed(1)]


def test_an_entry_is_written_once_for_each_batch():
    world = World({}, {}, shared=True)
    world.action.run()
    assert [entry.number for entry in world.entries] == [1, 2]
    with pytest.raises(ProofFailed, match="batch 2 has its entry already, or was never staged"):
        world.action.enter("the connection")


def test_a_batch_that_is_final_without_its_entry_fails():
    world = World({}, shared=True)
    world.enters = False
    with pytest.raises(ProofFailed, match="batch 1 was made final without its entry in the ledger"):
        world.action.run()


def test_a_lost_lease_stages_nothing():
    world = World({}, archives=True)
    world.lost = True
    with pytest.raises(LeaseLost):
        world.action.run()
    assert world.happened == ["lease"]


@pytest.mark.parametrize(
    ("fails", "last"),
    [
        ("writer", ["rollback"]),
        ("stage", [("stage", True), "rollback", "discard"]),
        ("seal", [("seal", 5, FIRST, LAST), "rollback", "discard"]),
    ],
)
def test_what_fails_before_the_entry_is_taken_back_with_its_part(fails, last):
    world = World({}, archives=True)
    world.fails = fails
    with pytest.raises((ArchiveError, StoreError)):
        world.action.run()
    assert world.happened[-len(last) :] == last
    assert world.entries == []
    assert (world.action.totals.destroyed, world.action.parts) == (0, [])


def test_a_ledger_that_does_not_take_the_intent_takes_everything_back():
    world = World({}, archives=True)

    def full(_event, **_given):
        raise StoreError("the ledger is full")

    world.ledger.append = full
    with pytest.raises(StoreError):
        world.action.run()
    assert world.happened[-2:] == ["rollback", "discard"]


@pytest.mark.parametrize(
    ("fails", "shared", "discards"),
    [
        # announced, and perhaps final: the part is all that is left of the records
        ("commit", False, False),
        ("commit", True, False),
        ("commit before the entry", False, False),
        # nothing was asked to commit
        ("commit before the entry", True, True),
    ],
)
def test_the_part_of_a_commit_whose_answer_is_lost_stays(fails, shared, discards):
    world = World({}, archives=True, shared=shared)
    world.fails = fails
    with pytest.raises(StoreError):
        world.action.run()
    assert "rollback" in world.happened
    assert ("discard" in world.happened) is discards
    with pytest.raises(ProofFailed, match="has its entry already"):
        world.action.enter("the connection")


@pytest.mark.parametrize("batch", [{"items": 0}, {"archived": True}])
def test_a_batch_of_nothing_or_of_what_is_archived_leaves_no_part(batch):
    world = World(batch, archives=True)
    world.action.run()
    assert "discard" in world.happened
    assert not any(item[0] == "seal" for item in world.happened if isinstance(item, tuple))
    assert world.action.parts == []
    assert states(world) == ([] if batch.get("items") == 0 else [BatchState.INTENT, BatchState.RESULT])


def test_a_batch_of_nothing_is_not_counted():
    world = World({"items": 0, "committed": {"size_bytes": None}, "first": None, "last": None}, shared=True)
    world.action.run()
    assert (world.action.totals.batches, world.entries, world.action.totals.size_bytes) == (0, [], 0)
    assert world.happened[-2:] == ["commit", ("audit-logs", "core.audit_log", 0, 100)]


def test_what_is_not_archivable_or_has_no_archive_is_not_archived():
    world = World({})
    world.action.run()
    assert ("stage", False) in world.happened
    assert world.action.parts == []


@pytest.mark.parametrize(
    ("batch", "planned", "said"),
    [
        ({}, 5, None),
        ({}, 4, "batch 1 would make 5 records of 4 planned; it was rolled back"),
        ({"last": CUTOFF - timedelta(microseconds=1)}, 5, None),
        (
            {"last": CUTOFF},
            5,
            (
                "batch 1 holds a record of 2026-05-27T00:00:00Z, not before the cutoff 2026-05-27T00:00:00Z;"
                " it was rolled back"
            ),
        ),
        ({"last": None}, 5, None),
    ],
)
def test_a_batch_stays_within_the_plan(batch, planned, said):
    world = World(batch, planned=planned)
    if said is None:
        world.action.run()
        assert world.action.totals.items == 5
        return
    with pytest.raises(ProofFailed) as caught:
        world.action.run()
    assert caught.value.message == said
    assert world.happened[-1] == "rollback"
    assert world.entries == []


def test_condemned_records_count_for_the_plan_too():
    world = World({"committed": {"items": 1, "pending": 4}}, {}, planned=9)
    with pytest.raises(ProofFailed, match="batch 2 would make 10 records of 9 planned"):
        world.action.run()


def test_the_sums_of_a_run():
    world = World(
        {"first": FIRST, "last": FIRST + DAY, "committed": {"skipped": {"hold": 1}, "metrics": {"m": 2}}},
        {
            "items": 4,
            "first": FIRST - DAY,
            "last": LAST,
            "committed": {
                "pending": 2,
                "size_bytes": 3,
                "skipped": {"hold": 2, "changed": 1},
                "metrics": {"m": 3},
                "failures": ("one", "two"),
            },
        },
        {"items": 1, "first": None, "last": None, "size_bytes": None, "committed": {"size_bytes": None}},
        archives=True,
    )
    world.action.run()
    totals = world.action.totals
    assert (totals.destroyed, totals.condemned, totals.size_bytes, totals.batches) == (10, 2, 43, 3)
    assert (totals.first, totals.last) == (FIRST - DAY, LAST)
    assert totals.skipped == {"hold": 3, "changed": 1}
    assert totals.metrics == {"m": 5, "wal_bytes": 3, "failures": 2}
    assert totals.failures == ["one", "two"]
    assert totals.archived_bytes == 101 + 102 + 103
    assert world.action.parts == [sealed(1), sealed(2), sealed(3)]
    assert [item[2] for item in world.happened if item[0] == "audit-logs"] == [5, 11, 12]


def test_twenty_failures_are_told_and_all_are_counted():
    many = tuple(f"failure {number}" for number in range(15))
    world = World(*({"committed": {"failures": many}},) * 3)
    world.action.run()
    assert world.action.totals.failures == [*many, *many[:5]]
    assert world.action.totals.metrics["failures"] == 45


def test_no_failure_is_no_metric():
    world = World({})
    world.action.run()
    assert "failures" not in world.action.totals.metrics


def test_batches_of_a_resumed_run_are_numbered_on():
    world = World({}, archives=True)
    world.action.number = 41
    world.action.run()
    assert {entry.number for entry in world.entries} == {42}


def test_a_run_that_is_told_to_stop_rolls_back_what_it_has_not_begun():
    world = World({}, {})
    world.action.observer.batch_done = lambda *_: setattr(world, "stop", True)
    world.action.run()
    assert world.action.totals.batches == 1
    assert world.happened[-1] == "rollback"
    assert world.action.should_stop()


@pytest.fixture
def ticks(monkeypatch):
    """A clock that the test sets."""
    now = [100.0]
    monkeypatch.setattr(act.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("deadline", "batches"), [(120.0, 4), (117.0, 3), (116.9, 2), (104.0, 1)])
def test_a_batch_that_would_pass_the_deadline_is_not_begun(ticks, deadline, batches):
    """Each is expected to take as long as the longest before it: 7 s, so the fourth may end at 120."""
    durations = iter([3.0, 7.0, 3.0, 1.0])
    world = World({}, {}, {}, {})
    world.action.deadline = deadline
    world.action.observer.batch_done = lambda *_: ticks.__setitem__(0, ticks[0] + next(durations))
    world.action.run()
    assert world.action.totals.batches == batches


@pytest.mark.parametrize(
    ("now", "longest", "late"),
    [(113.0, 7.0, False), (113.5, 7.0, True), (120.0, 0.0, False), (121.0, 0.0, True)],
)
def test_the_deadline_itself_is_in_time(ticks, now, longest, late):
    world = World()
    world.action.deadline, world.action._longest, ticks[0] = 120.0, longest, now
    assert world.action.should_stop() is late
    world.action.deadline = None
    assert not world.action.should_stop()
