"""What the ledger remembers of one target: the sums that guards and a resumed run rest on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.core.conservation import Reading
from luxima_retention.core.errors import ExitCode, StoreError
from luxima_retention.core.history import History, OpenRun
from luxima_retention.core.plan import Counters
from luxima_retention.core.protocol import ROLLED_BACK
from luxima_retention.core.results import Outcome
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence import events, history
from luxima_retention.evidence.events import BatchState
from luxima_retention.evidence.ledger.memory import MemoryLedger
from tests.ledgers import Raw

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
CUTOFF = datetime(2026, 5, 27, tzinfo=UTC)
HOUR = timedelta(hours=1)


def ledger_of(*written, policy="p") -> MemoryLedger:
    """Entries an hour apart; one of another policy, or of none, is a pair."""
    ledger = MemoryLedger()
    for number, item in enumerate(written):
        event, name = item if isinstance(item, tuple) else (item, policy)
        ledger.append(event, policy=name, at=AT + number * HOUR)
    return ledger


def read(*written) -> History:
    return history.read(ledger_of(*written), "p", "t")


def started(run="r", target="t", **fields) -> events.RunStarted:
    usual = {"cutoff": CUTOFF, "items": 100, "fingerprint": "store"}
    return events.RunStarted(run_id=run, target=target, **usual | fields)


def batch(number=1, state=BatchState.DONE, run="r", **fields) -> events.Batch:
    usual = {"target": "t", "items": 10}
    return events.Batch(run_id=run, number=number, state=state, **usual | fields)


def completed(target="t", **fields) -> events.RunCompleted:
    return events.RunCompleted(**{"run_id": "r", "target": target, "outcome": Outcome.DONE} | fields)


def reconciled(target="t", **fields) -> events.RunReconciled:
    return events.RunReconciled(run_id="r", target=target, **fields)


def approval(items, target="t") -> events.Approval:
    return events.Approval(target=target, items=items, cutoff=CUTOFF, population=1000, option="--o")


def part(name) -> Sealed:
    return Sealed(
        name=name,
        version=None,
        items=1,
        first=None,
        last=None,
        bytes=1,
        sha256="a",
        raw_bytes=1,
        raw_sha256="b",
        root="c",
        header="",
    )


def test_an_empty_ledger_tells_nothing():
    assert read() == History()


def test_a_run_that_ended_is_not_open():
    told = read(started(), batch(), completed())
    assert told == History(fingerprint="store", proved_at=AT + 2 * HOUR)


@pytest.mark.parametrize(
    ("outcome", "proved"),
    [(item, item in {"done", "nothing_to_do", "pending", "backlog"}) for item in Outcome],
)
def test_only_a_run_that_left_nothing_unexplained_proves(outcome, proved):
    told = read(started(), completed(outcome=outcome))
    assert told.proved_at == (AT + HOUR if proved else None)


def test_the_newest_proof_counts_and_a_later_failure_does_not_take_it_back():
    told = read(completed(), completed(), completed(outcome=Outcome.FAILED), reconciled())
    assert told.proved_at == AT + HOUR


def test_the_newest_store_that_passed_the_guard_counts():
    assert read(started(), completed(), started(fingerprint="other"), completed()).fingerprint == "other"


@pytest.mark.parametrize(("archives", "archived"), [((None,), False), (("a",), True), (("a", None), True)])
def test_whoever_has_archived_once_has_archived(archives, archived):
    told = read(*(event for url in archives for event in (started(archive=url), completed())))
    assert told.archived is archived


@pytest.mark.parametrize(
    ("written", "backlog"),
    [
        ((approval(50),), 50),
        ((approval(50), approval(30)), 30),
        ((approval(50), completed(destroyed=20, condemned=5)), 25),
        ((approval(50), reconciled(destroyed=20, condemned=5)), 25),
        ((approval(50), completed(destroyed=60)), 0),
        ((completed(destroyed=60), approval(50)), 50),
        ((approval(50), started(), batch(items=10, pending=5)), 35),
        ((approval(12), started(), batch(items=10, pending=5)), 0),
        ((approval(50), started(), batch(state=BatchState.INTENT)), 50),
    ],
)
def test_what_is_left_of_an_approved_backlog(written, backlog):
    assert read(*written).backlog == backlog


def test_other_targets_and_policies_tell_nothing():
    others = (started(target="u", archive="a"), approval(9, target="u"), completed(target="u"))
    foreign = ((started(archive="a"), "q"), (approval(9), "q"), (completed(), "q"))
    assert read(*others, *foreign, reconciled(target="u")) == History()
    told = read(started(), completed(target="u"), reconciled(target="u"))
    assert told.open_run is not None


def test_the_sums_of_a_run_that_was_killed():
    told = read(
        started("old"),
        batch(1, run="old", items=99),
        started(),
        batch(2, BatchState.RESULT, items=3, pending=4, part=part("two")),
        batch(1, BatchState.DONE, items=10, part=part("one")),
        batch(5, run="another", items=99, part=part("never")),
        (batch(6, items=99), "q"),
        batch(3, BatchState.INTENT, items=99, part=part("three")),
        batch(4, BatchState.INTENT, items=99),
    )
    assert told.open_run == OpenRun(
        run_id="r",
        cutoff=CUTOFF,
        planned=100,
        destroyed=13,
        condemned=4,
        batches=4,
        unknown=3,
        parts=(part("one"), part("two"), part("three")),
    )


def test_a_batch_that_was_reported_is_not_unknown():
    told = read(
        started(), batch(1, BatchState.INTENT), batch(1, BatchState.RESULT), batch(2, BatchState.DONE)
    )
    assert (told.open_run.unknown, told.open_run.batches, told.open_run.destroyed) == (None, 2, 20)


def test_the_batches_before_a_run_are_not_its_own():
    """Of the same name, as after a restart that went wrong."""
    assert read(batch(items=7), started(), batch(items=3)).open_run.destroyed == 3


def test_what_a_newer_version_wrote_is_never_taken_for_nothing():
    ledger = ledger_of(started(), Raw("run.completed", version=99))
    with pytest.raises(StoreError) as caught:
        history.read(ledger, "p", "t")
    said = "entry 2 of the ledger (run.completed) was written by a newer version of this program"
    assert caught.value.message == said
    assert caught.value.hint == "upgrade this installation to the version that wrote it"


def test_what_a_newer_version_wrote_about_something_else_matters_to_nobody():
    later = Raw("slot.missed", version=99)
    ledger = ledger_of(later, counted(), later, started(), batch(items=3), later)
    told = history.read(ledger, "p", "t")
    assert (told.open_run.destroyed, told.fingerprint) == (3, "store")
    assert history.since(ledger, "p", "t").destroyed == 3


def test_what_a_policy_said_last():
    one = events.PolicyApplied(retention_days=1, disposition="destroy", basis="", targets=("t",))
    two = events.PolicyApplied(retention_days=2, disposition="destroy", basis="", targets=("t",))
    ledger = ledger_of(one, two, (one, "q"), completed())
    assert history.applied(ledger, "p") == two
    assert history.applied(ledger, "q") == one
    assert history.applied(ledger, "none") is None


# --- since an earlier reading ---------------------------------------------------------------------------

COUNTERS = Counters(epoch="e", deleted={"1": 2}, files={"1": "f"})


def counted(target="t", at=AT, **fields) -> events.StoreCounted:
    return events.StoreCounted(target=target, read_at=at, cutoff=CUTOFF, **fields)


def since(*written):
    return history.since(ledger_of(*written), "p", "t")


def test_the_reading_is_the_newest_of_the_target():
    told = since(
        counted(held=1),
        counted(held=2, population=3, counters=COUNTERS),
        counted("u", held=9),
        (counted(held=8), "q"),
    )
    assert told.reading == Reading(at=AT, cutoff=CUTOFF, held=2, population=3, counters=COUNTERS)
    assert (told.destroyed, told.rolled_back) == (0, 0)
    assert (told.interrupted, told.condemned, told.released) == (False, False, False)
    assert since((counted(), "q"), counted("u")) is None


def test_what_runs_of_ours_did_from_then_on():
    told = since(
        batch(items=50),
        counted(),
        (batch(items=50), "q"),
        batch(1, BatchState.INTENT, items=50),
        batch(1, BatchState.RESULT, items=4),
        batch(2, items=5, pending=6),
        batch(3, items=1),
        completed(metrics={ROLLED_BACK: 3}),
        completed(),
        completed(metrics={ROLLED_BACK: 4}),
        completed(target="u", exit_code=ExitCode.INCOMPLETE, metrics={ROLLED_BACK: 50}),
    )
    assert (told.destroyed, told.condemned, told.rolled_back, told.interrupted) == (16, True, 7, False)


@pytest.mark.parametrize(("pending", "condemned"), [(0, False), (1, True)])
def test_whether_a_batch_of_ours_condemned(pending, condemned):
    assert since(counted(), batch(items=5, pending=pending)).condemned is condemned


@pytest.mark.parametrize(
    ("written", "interrupted"),
    [
        ((started(), completed()), False),
        ((started(),), True),
        ((started(), completed(), started()), True),
        ((started(target="u"),), False),
        ((completed(exit_code=ExitCode.STOPPED),), False),
        ((completed(exit_code=ExitCode.INCOMPLETE), completed()), True),
        ((reconciled(), completed()), True),
        ((events.RunResumed(run_id="r", target="t", cutoff=CUTOFF, items=1), completed()), True),
    ],
)
def test_whether_a_run_of_ours_was_interrupted(written, interrupted):
    assert since(counted(), *written).interrupted is interrupted


RELEASED = events.HoldReleased(hold_id="H")


@pytest.mark.parametrize(
    ("written", "released"),
    [
        ((counted(), RELEASED), True),
        ((counted(), (RELEASED, None)), True),
        ((counted(), (RELEASED, "q")), False),
        # before the entry of the reading, but not before the reading itself
        ((RELEASED, counted(at=AT)), True),
        ((RELEASED, counted(at=AT + timedelta(seconds=1))), False),
        # written after it with a clock that had been set back
        ((counted(at=AT + 9 * HOUR), RELEASED), True),
    ],
)
def test_whether_a_hold_of_the_policy_was_released(written, released):
    assert since(*written).released is released
