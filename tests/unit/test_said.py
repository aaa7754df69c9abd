"""Plans, verdicts and results as events: every member from its own source, none swapped or lost."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.core.errors import ExitCode, StoreError
from luxima_retention.core.guards import GuardResult
from luxima_retention.core.history import OpenRun
from luxima_retention.core.plan import Count, Pending, Survey
from luxima_retention.core.proof import Verdict
from luxima_retention.core.results import Outcome, Proof, Totals
from luxima_retention.evidence import events
from luxima_retention.run import said
from tests.configured import plan_of

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = plan_of(
    cutoff=AT - 180 * DAY,
    disposition="archive, then destroy",
    oldest=AT - 400 * DAY,
    newest=AT - DAY,
    holds=("H-1", "H-2"),
    reasons=(),
)
SURVEY = Survey(identity=PLAN.identity, store_clock=AT, program_clock=AT + timedelta(seconds=2))
GUARD = GuardResult(guard="share", passed=True, observed="1 %", limit="25 %", message="m", override="--o")
VERDICTS = (GUARD,)
TOLD = (events.Guard(guard="share", passed=True, observed="1 %", limit="25 %", override="--o"),)
RUN = OpenRun(
    run_id="run-1",
    cutoff=AT - 181 * DAY,
    planned=60,
    destroyed=11,
    condemned=12,
    batches=3,
    unknown=4,
)
OF_THE_PLAN = {
    "target": "core.audit_log",
    "cutoff": PLAN.cutoff,
    "fingerprint": "memory:1",
    "retention_days": 180,
    "held": 5,
    "locked": 2,
    "undated": 3,
    "future": 1,
}


def members(event) -> dict[str, object]:
    return {item.name: getattr(event, item.name) for item in fields(event)}


def test_a_run_begins():
    made = said.started(PLAN, SURVEY, "run-2", VERDICTS, archive="file:///a", approved=9)
    assert members(made) == OF_THE_PLAN | {
        "run_id": "run-2",
        "items": 70,
        "policy": "audit-logs",
        "disposition": "archive, then destroy",
        "holds": ("H-1", "H-2"),
        "digest": PLAN.digest,
        "cutoff_basis": "store clock",
        "population": 100,
        "population_exact": False,
        "oldest": PLAN.oldest,
        "newest": PLAN.newest,
        "archive": "file:///a",
        "program_clock": SURVEY.program_clock,
        "store_clock": AT,
        "guards": TOLD,
        "approval": 9,
    }
    unknown = said.started(replace(PLAN, population=None), SURVEY, "run-2", (), archive=None, approved=None)
    assert (unknown.population, unknown.population_exact) == (None, None)
    assert (unknown.archive, unknown.approval) == (None, None)


def test_a_killed_run_goes_on():
    assert said.resumed(PLAN, RUN, VERDICTS) == events.RunResumed(
        run_id="run-1",
        target="core.audit_log",
        cutoff=PLAN.cutoff,
        items=70,
        destroyed=11,
        condemned=12,
        batches=3,
        unknown_batch=4,
        guards=TOLD,
    )


def test_a_killed_run_is_closed():
    assert said.reconciled(PLAN, RUN) == events.RunReconciled(
        run_id="run-1",
        target="core.audit_log",
        cutoff=RUN.cutoff,
        planned=60,
        destroyed=11,
        condemned=12,
        batches=3,
        unknown_batch=4,
    )


@pytest.mark.parametrize(("population", "told"), [(Count(value=100), 100), (None, None)])
def test_somebody_named_a_share(population, told):
    made = said.approval(replace(PLAN, population=population), "--max-fraction 1")
    assert made == events.Approval(
        target="core.audit_log",
        items=70,
        cutoff=PLAN.cutoff,
        population=told,
        option="--max-fraction 1",
    )


def test_a_refusal():
    made = said.refused(PLAN, VERDICTS, "share: too many", ExitCode.VERIFICATION_FAILED, "settings-1")
    assert members(made) == OF_THE_PLAN | {
        "policy": "audit-logs",
        "disposition": "archive, then destroy",
        "items": 70,
        "holds": ("H-1", "H-2"),
        "digest": PLAN.digest,
        "guards": TOLD,
        "exit_code": ExitCode.VERIFICATION_FAILED,
        "error": "share: too many",
        "population": 100,
        "newest": PLAN.newest,
        "settings": "settings-1",
    }
    unknown = said.refused(replace(PLAN, population=None), (), "e", ExitCode.REFUSED, "s")
    assert unknown.population is None


def test_an_error_before_there_was_a_plan():
    assert said.failed("t", StoreError("no answer"), Outcome.FAILED) == events.RunFailed(
        target="t", outcome=Outcome.FAILED, exit_code=ExitCode.INCOMPLETE, error="no answer"
    )


TOTALS = Totals(
    destroyed=40,
    condemned=8,
    size_bytes=900,
    batches=6,
    first=AT - 300 * DAY,
    last=AT - 200 * DAY,
    skipped={"changed": 2},
    metrics={"failures": 9, "wal_bytes": 5},
)
PROOF = Proof(
    left=7,
    explained={"hold": 1},
    unexplained=6,
    unknown=2,
    pending=(
        Pending(items=4, due=AT, reason="r"),
        Pending(items=5, due=AT + DAY, reason="r"),
    ),
    overdue=4,
    oldest=AT - 90 * DAY,
)
ENDED = Verdict(outcome=Outcome.FAILED, sentence="it failed", exit_code=ExitCode.INCOMPLETE)


def test_a_run_ends_with_the_sums_of_all_its_processes():
    made = said.completed(
        PLAN, "run-1", ENDED, TOTALS, proof=PROOF, run=RUN, archive="a/m.json", milliseconds={"act": 12}
    )
    assert members(made) == OF_THE_PLAN | {
        "run_id": "run-1",
        "outcome": Outcome.FAILED,
        "exit_code": ExitCode.INCOMPLETE,
        "planned": 60,
        "destroyed": 51,
        "condemned": 20,
        "batches": 9,
        "bytes": 900,
        "skipped": {"changed": 2},
        "failures": 9,
        "first": TOTALS.first,
        "last": TOTALS.last,
        "metrics": {"failures": 9, "wal_bytes": 5},
        "milliseconds": {"act": 12},
        "proof": events.Proved(
            left=7,
            explained={"hold": 1},
            unexplained=6,
            unknown=2,
            pending=9,
            pending_until=AT + DAY,
            overdue=4,
            oldest=PROOF.oldest,
        ),
        "archive": "a/m.json",
        "error": "it failed",
    }


def test_a_run_of_one_process_that_ends_well():
    well = Verdict(outcome=Outcome.DONE, sentence="done")
    made = said.completed(PLAN, "run-2", well, Totals(destroyed=70, batches=1), milliseconds={})
    assert (made.planned, made.destroyed, made.condemned, made.batches, made.failures) == (70, 70, 0, 1, 0)
    assert (made.proof, made.archive, made.error) == (None, None, None)
    clean = said.completed(
        PLAN, "r", well, Totals(), proof=Proof(left=0, explained={}, unexplained=0), milliseconds={}
    )
    assert (clean.proof.pending, clean.proof.pending_until) == (0, None)
