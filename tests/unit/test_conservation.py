"""Deletions by others between two runs: the estimate, where nobody can tell, and held records that fell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.core.conservation import Estimate, Reading, Since, estimate, findings, held_fell
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.guards import GuardResult
from luxima_retention.core.plan import Count, Counters, Finding, Identity, Level, Survey
from luxima_retention.core.protocol import ROLLED_BACK
from luxima_retention.core.results import Outcome
from luxima_retention.evidence import events
from luxima_retention.evidence import history as histories
from luxima_retention.evidence.ledger.memory import MemoryLedger

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
CUTOFF = datetime(2026, 5, 27, tzinfo=UTC)
COUNTERS = Counters(epoch="1/", deleted={"7": 100}, files={"7": "a"})
READING = Reading(at=AT, cutoff=CUTOFF, held=50, population=1000, counters=COUNTERS)
SINCE = Since(reading=READING, destroyed=300)


def now(deleted: int = 400, population: int | None = 700, exact: bool = True, **changes) -> Survey:
    counters = replace(COUNTERS, deleted={"7": deleted})
    return Survey(
        identity=Identity(kind="postgresql", target="core.audit_log", fingerprint="x"),
        store_clock=AT,
        population=None if population is None else Count(value=population, exact=exact),
        counters=replace(counters, **changes),
    )


@pytest.mark.parametrize(
    ("since", "survey", "records", "unknown"),
    [
        (SINCE, now(), 0, ""),
        (SINCE, now(409, population=900), 9, ""),
        (SINCE, now(400, population=691), 9, ""),  # TRUNCATE and COPY back: no deletion was counted
        (SINCE, now(400, population=691, exact=False), 0, ""),
        (SINCE, now(409, population=None), 9, ""),
        (replace(SINCE, rolled_back=100), now(500), 0, ""),
        (replace(SINCE, rolled_back=100), now(509), 9, ""),
        (replace(SINCE, interrupted=True), now(409), 0, "9 more deletions"),
        (replace(SINCE, interrupted=True), now(409, population=680), 20, ""),
        (replace(SINCE, interrupted=True), now(409, population=691), 9, ""),
        (replace(SINCE, interrupted=True), now(409, population=695), 5, "9 more deletions"),
        (replace(SINCE, destroyed=0), now(100, population=1000), 0, ""),  # nothing went since
        (SINCE, now(99), 0, "fell"),
        (SINCE, now(99, population=600), 100, "fell"),
        (SINCE, now(409, epoch="2/"), 0, "reset"),
        (SINCE, now(files={"7": "b"}), 0, "TRUNCATE or rewritten: 7"),
        (SINCE, now(files={}), 0, "dropped or detached: 7"),
        (replace(SINCE, condemned=True), now(files={}), 0, ""),
        (replace(SINCE, reading=replace(READING, counters=None)), now(900), 0, ""),
    ],
)
def test_what_is_missing_and_not_ours(since, survey, records, unknown):
    found = estimate(since, survey)
    assert found.records == records
    assert unknown in found.unknown
    assert bool(unknown) == bool(found.unknown)


def test_a_new_partition_counts_from_nothing():
    survey = now(deleted=400)
    counters = Counters(epoch="1/", deleted={"7": 400, "8": 5}, files={"7": "a", "8": "b"})
    assert estimate(SINCE, replace(survey, population=None, counters=counters)) == Estimate(records=5)


def test_a_part_that_is_gone_has_no_counter_that_fell():
    counters = Counters(epoch="1/", deleted={}, files={})
    found = estimate(replace(SINCE, destroyed=0), replace(now(population=None), counters=counters))
    assert found == Estimate(unknown="dropped or detached: 7")


HINT = "ask who has the right to delete there; `docs/evidence.md` says what this estimate cannot see"


def test_the_whole_of_what_is_told():
    told = findings(Estimate(records=9, unknown="a crash"), SINCE, "core.audit_log")
    assert told == (
        Finding(
            code="deleted-externally",
            level=Level.WARNING,
            message="about 9 records of core.audit_log were deleted by somebody else"
            " since 2026-11-23 08:30 UTC",
            hint=HINT,
        ),
        Finding(
            code="deletions-unknown",
            level=Level.WARNING,
            message="whether somebody else deleted records of core.audit_log since 2026-11-23 08:30 UTC"
            " is not known: a crash",
            hint=HINT,
        ),
    )
    assert held_fell(SINCE, CUTOFF, 49) == GuardResult(
        guard="held-records",
        passed=False,
        observed="49",
        limit="50 on 2026-11-23",
        message="1 held records are gone or no longer held, and no hold was released",
        hint="find out who removed or changed them; this is written down, and the next run compares with it",
        code=ExitCode.VERIFICATION_FAILED,
    )


def test_an_estimate_is_a_warning_and_refuses_nothing():
    told = findings(Estimate(records=9, unknown="a crash"), SINCE, "core.audit_log")
    assert [(item.code, item.level) for item in told] == [
        ("deleted-externally", Level.WARNING),
        ("deletions-unknown", Level.WARNING),
    ]
    assert "about 9 records" in told[0].message
    assert findings(Estimate(), SINCE, "core.audit_log") == ()


def test_fewer_held_records_without_a_release_are_tampering():
    fell = held_fell(SINCE, CUTOFF, 49)
    assert fell is not None
    assert not fell.passed
    assert fell.code is ExitCode.VERIFICATION_FAILED
    assert held_fell(SINCE, CUTOFF, 50) is None
    assert held_fell(replace(SINCE, released=True), CUTOFF, 0) is None
    assert held_fell(SINCE, CUTOFF - timedelta(days=1), 0) is None


# --- what the ledger tells of the time since ------------------------------------------------------------


def counted(**fields) -> events.StoreCounted:
    return events.StoreCounted(target="t", read_at=AT, cutoff=CUTOFF, **fields)


def batch(**fields) -> events.Batch:
    told = {"run_id": "r", "target": "t", "number": 1, "state": events.BatchState.DONE, "items": 10}
    return events.Batch(**told | fields)


def ended(**fields) -> events.RunCompleted:
    return events.RunCompleted(**{"run_id": "r", "target": "t", "outcome": Outcome.DONE} | fields)


def since(*written: events.Event) -> Since | None:
    ledger = MemoryLedger()
    for event in written:
        ledger.append(event, policy="p", at=AT)
    return histories.since(ledger, "p", "t")


STARTED = events.RunStarted(run_id="r", target="t", cutoff=CUTOFF, items=10)


def test_the_newest_reading_and_what_ours_did_after_it():
    assert since(STARTED, batch()) is None
    told = since(
        counted(held=1), batch(items=99), counted(held=2), STARTED, batch(), batch(target="u"), ended()
    )
    assert told is not None
    assert (told.reading.held, told.destroyed, told.interrupted, told.released) == (2, 10, False, False)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ([batch(state=events.BatchState.INTENT)], {"destroyed": 0}),
        ([batch(pending=5)], {"destroyed": 15, "condemned": True}),
        ([ended(metrics={ROLLED_BACK: 7})], {"rolled_back": 7}),
        ([ended(exit_code=ExitCode.INCOMPLETE)], {"interrupted": True}),
        ([ended(exit_code=ExitCode.STOPPED)], {"interrupted": False}),
        ([STARTED], {"interrupted": True}),
        ([STARTED, events.RunReconciled(run_id="r", target="t")], {"interrupted": True}),
        ([events.HoldReleased(hold_id="H")], {"released": True}),
    ],
)
def test_what_ours_did(written, told):
    found = since(counted(), *written)
    assert found is not None
    assert {name: getattr(found, name) for name in told} == told


def test_a_release_that_was_written_before_the_reading_but_later_than_it_counts():
    """Somebody releases a hold between a run's survey and its entry."""
    found = since(events.HoldReleased(hold_id="H"), counted(held=5))
    assert found is not None
    assert found.released
