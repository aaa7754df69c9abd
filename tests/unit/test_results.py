"""What a run did as values and as JSON: every member of the contract, from its own source."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from luxima_retention.core.about import About
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.guards import GuardResult
from luxima_retention.core.plan import (
    Count,
    Finding,
    Level,
    Operation,
    Pending,
    Reason,
    Slice,
    Survey,
)
from luxima_retention.core.redact import know
from luxima_retention.core.results import (
    OUTCOMES,
    Outcome,
    PolicyResult,
    Proof,
    RunResult,
    Step,
    TargetResult,
    Totals,
    checked_code,
    preceded,
    summed_up,
    to_json,
)
from tests.configured import plan_of

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


PLAN = plan_of(
    cutoff=day(1),
    disposition="destroy",
    oldest=day(2),
    newest=day(3),
    holds=("H-1",),
    reasons=(Reason(verdict="go", rule="expired", items=70, sentence="because"),),
    beyond=8,
    late=9,
)
SURVEY = Survey(
    identity=PLAN.identity,
    store_clock=day(4),
    expired=87,
    population=Count(value=101),
    held=6,
    locked=4,
    undated=2,
    future=11,
    unknown=12,
    pending=(Pending(items=13, due=day(5), reason="queries", size_bytes=14),),
    oldest=day(6),
    oldest_expired=day(7),
    newest=day(8),
    expired_bytes=Count(value=15, exact=False),
    parts=(Slice(name="p1", items=16, size_bytes=17, newest=day(9), note="cold"),),
    findings=(Finding(code="rls", level=Level.WARNING, message="said", hint="do"),),
    forecast={"batches": 18},
    evidence={"strategy": "keyset"},
)
GUARD = GuardResult(
    guard="share", passed=False, observed="1 %", limit="2 %", message="m", hint="h", override="--o"
)
TOTALS = Totals(
    destroyed=19,
    condemned=20,
    size_bytes=21,
    archived_bytes=22,
    batches=23,
    first=day(10),
    last=day(11),
    skipped={"hold": 24},
    failures=["no answer"],
    metrics={"wal_bytes": 25},
)
PROOF = Proof(
    left=26,
    explained={"stopped": 27},
    unexplained=28,
    unknown=29,
    pending=(Pending(items=30, due=day(12), reason="r"),),
    overdue=31,
    oldest=day(13),
    sentence="proved",
)
STEP = Step(name="survey", began=day(14), ended=day(15), milliseconds=32)
TARGET = TargetResult(
    target="core.audit_log",
    outcome=Outcome.FAILED,
    exit_code=ExitCode.INCOMPLETE,
    sentence="it failed",
    hint="look",
    run_id="run-1",
    resumed=True,
    plan=PLAN,
    survey=SURVEY,
    verdicts=(GUARD,),
    totals=TOTALS,
    proof=PROOF,
    archive="m.json",
    steps=(STEP,),
    approve="abc",
)
ABOUT = About(
    kind="table",
    log_type="audit logs",
    storage="PostgreSQL",
    disposition="destroy",
    basis="law",
    owner="ops",
    review_by="2027-01-01",
    schedule="1 2 * * *",
)
POLICY = PolicyResult(
    policy="audit-logs",
    retention_days=180,
    outcome=Outcome.FAILED,
    exit_code=ExitCode.INCOMPLETE,
    sentence="told",
    hint="try",
    targets=(TARGET,),
    operation=Operation(values={"rotated": 2}, code=ExitCode.USAGE, sentence="rotated"),
    about=ABOUT,
)
RUN = RunResult(
    now=AT,
    as_of=day(16),
    dry_run=True,
    policies=(POLICY,),
    warnings=("an anchor failed",),
    checkpoint={"size": 33},
)
GOLDEN_PLAN = {
    "policy": "audit-logs",
    "target": "core.audit_log",
    "fingerprint": "memory:1",
    "retention_days": 180,
    "cutoff": "2026-01-01T00:00:00Z",
    "disposition": "destroy",
    "items": 70,
    "held": 5,
    "locked": 2,
    "undated": 3,
    "future": 1,
    "holds": ["H-1"],
    "digest": PLAN.digest,
    "beyond": 8,
    "late": 9,
    "cutoff_basis": "store clock",
    "population": {"value": 100, "exact": False},
    "bytes": {"value": 7000, "exact": True},
    "oldest": "2026-01-02T00:00:00Z",
    "newest": "2026-01-03T00:00:00Z",
    "reasons": [{"verdict": "go", "rule": "expired", "items": 70, "sentence": "because"}],
}
GOLDEN_SURVEY = {
    "identity": {"kind": "memory", "target": "core.audit_log", "fingerprint": "memory:1"},
    "store_clock": "2026-01-04T00:00:00Z",
    "expired": 87,
    "population": {"value": 101, "exact": True},
    "held": 6,
    "locked": 4,
    "undated": 2,
    "future": 11,
    "unknown": 12,
    "pending": [{"items": 13, "due": "2026-01-05T00:00:00Z", "reason": "queries", "bytes": 14}],
    "oldest": "2026-01-06T00:00:00Z",
    "oldest_expired": "2026-01-07T00:00:00Z",
    "newest": "2026-01-08T00:00:00Z",
    "expired_bytes": {"value": 15, "exact": False},
    "parts": [
        {"name": "p1", "items": 16, "bytes": 17, "newest": "2026-01-09T00:00:00Z", "note": "cold"},
    ],
    "findings": [{"code": "rls", "level": "warning", "message": "said", "hint": "do"}],
    "forecast": {"batches": 18},
    "evidence": {"strategy": "keyset"},
}
GOLDEN_DONE = {
    "destroyed": 19,
    "condemned": 20,
    "bytes": 21,
    "archived_bytes": 22,
    "batches": 23,
    "first": "2026-01-10T00:00:00Z",
    "last": "2026-01-11T00:00:00Z",
    "skipped": {"hold": 24},
    "failures": ["no answer"],
    "metrics": {"wal_bytes": 25},
}
GOLDEN_PROOF = {
    "left": 26,
    "explained": {"stopped": 27},
    "unexplained": 28,
    "unknown": 29,
    "pending": [{"items": 30, "due": "2026-01-12T00:00:00Z", "reason": "r", "bytes": None}],
    "overdue": 31,
    "oldest": "2026-01-13T00:00:00Z",
    "sentence": "proved",
}
GOLDEN_TARGET = {
    "target": "core.audit_log",
    "outcome": "failed",
    "exit_code": 3,
    "sentence": "it failed",
    "hint": "look",
    "approve": "abc",
    "run_id": "run-1",
    "resumed": True,
    "plan": GOLDEN_PLAN,
    "survey": GOLDEN_SURVEY,
    "guards": [
        {
            "guard": "share",
            "passed": False,
            "observed": "1 %",
            "limit": "2 %",
            "message": "m",
            "hint": "h",
            "override": "--o",
        }
    ],
    "done": GOLDEN_DONE,
    "proof": GOLDEN_PROOF,
    "archive": "m.json",
    "steps": [
        {
            "step": "survey",
            "began": "2026-01-14T00:00:00Z",
            "ended": "2026-01-15T00:00:00Z",
            "milliseconds": 32,
        }
    ],
    "milliseconds": {"survey": 32},
}
GOLDEN_POLICY = {
    "policy": "audit-logs",
    "retention_days": 180,
    "about": {
        "kind": "table",
        "log_type": "audit logs",
        "storage": "PostgreSQL",
        "disposition": "destroy",
        "basis": "law",
        "owner": "ops",
        "review_by": "2027-01-01",
        "schedule": "1 2 * * *",
    },
    "outcome": "failed",
    "exit_code": 3,
    "sentence": "told",
    "hint": "try",
    "operation": {"rotated": 2, "exit_code": 2, "sentence": "rotated"},
    "targets": [GOLDEN_TARGET],
}


def test_the_golden_json():
    """Other programs read these names: they change on purpose only, with the version."""
    assert to_json(RUN) == {
        "version": 1,
        "now": "2026-11-23T08:30:00Z",
        "as_of": "2026-01-16T00:00:00Z",
        "dry_run": True,
        "exit_code": 3,
        "policies": [GOLDEN_POLICY],
        "checkpoint": {"size": 33},
        "warnings": ["an anchor failed"],
    }


def test_what_is_not_there_is_null():
    bare = TargetResult(target="t", outcome=Outcome.DONE)
    policy = PolicyResult(policy="p", retention_days=1, outcome=Outcome.DONE, targets=(bare,))
    told = to_json(RunResult(now=AT, dry_run=False, policies=(policy,)))
    assert (told["as_of"], told["checkpoint"], told["warnings"]) == (None, None, [])
    (said,) = told["policies"]
    assert (said["operation"], said["hint"]) == (None, None)
    absent = ("plan", "survey", "done", "proof", "archive", "hint", "run_id", "approve")
    assert [said["targets"][0][name] for name in absent] == [None] * len(absent)
    empty = replace(SURVEY, population=None, oldest=None, expired_bytes=None)
    again = to_json(replace(RUN, policies=(replace(POLICY, targets=(replace(TARGET, survey=empty),)),)))
    found = again["policies"][0]["targets"][0]["survey"]
    assert (found["population"], found["oldest"], found["expired_bytes"]) == (None, None, None)


def test_secrets_are_masked():
    know(["hunter2-hunter2"])
    assert to_json(replace(RUN, warnings=("with hunter2-hunter2",)))["warnings"] == ["with ***"]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_outcome_has_words_for_people(outcome):
    expected = "locked by another run" if outcome == "locked" else str(outcome).replace("_", " ")
    assert outcome.label == expected


def test_every_code_but_done_has_its_outcome():
    assert set(OUTCOMES) == set(ExitCode) - {ExitCode.DONE}


@pytest.mark.parametrize(
    ("levels", "unknown", "code"),
    [
        ([], 0, 0),
        ([], 1, 3),
        ([Level.INFO, Level.WARNING], 0, 0),
        ([Level.FAILED], 0, 3),
        ([Level.REFUSE], 0, 4),
        ([Level.DRIFT], 0, 8),
        ([Level.DRIFT, Level.FAILED], 2, 8),
        ([Level.FAILED, Level.DRIFT, Level.INFO], 0, 8),
        ([Level.INFO, Level.FAILED, Level.INFO], 0, 3),
        ([Level.REFUSE, Level.FAILED], 0, 3),
        ([Level.WARNING], 1, 3),
    ],
)
def test_what_a_check_comes_to(levels, unknown, code):
    assert checked_code(levels, unknown) == code


def of(outcome: Outcome, code: ExitCode = ExitCode.DONE) -> TargetResult:
    return TargetResult(target="t", outcome=outcome, exit_code=code)


BAD = of(Outcome.FAILED, ExitCode.INCOMPLETE)


@pytest.mark.parametrize(
    ("targets", "outcome", "code"),
    [
        ([], Outcome.NOTHING_TO_DO, 0),
        ([of(Outcome.NOTHING_TO_DO), BAD, of(Outcome.DONE)], Outcome.FAILED, 3),
        ([BAD, of(Outcome.REFUSED, ExitCode.REFUSED)], Outcome.FAILED, 3),
        ([of(Outcome.COMPLIANT), of(Outcome.CHECKED)], Outcome.COMPLIANT, 0),
        ([of(Outcome.NOTHING_TO_DO), of(Outcome.DECLINED)], Outcome.DECLINED, 0),
    ],
)
def test_the_worst_target_decides(targets, outcome, code):
    found = summed_up("p", 7, targets)
    assert (found.policy, found.retention_days, found.targets) == ("p", 7, tuple(targets))
    assert (found.outcome, found.exit_code) == (outcome, code)


LOUD = ["would_refuse", "would_delete", "done", "pending", "paused", "declined", "nothing_to_do"]


@pytest.mark.parametrize(
    ("louder", "other"), [(a, b) for a, b in permutations(LOUD, 2) if LOUD.index(a) < LOUD.index(b)]
)
def test_of_targets_that_went_well_the_outcome_that_says_most_stands(louder, other):
    assert summed_up("p", 7, [of(Outcome(other)), of(Outcome(louder))]).outcome == louder


@pytest.mark.parametrize(
    ("before", "outcome", "code"),
    [
        (ExitCode.DONE, Outcome.BACKLOG, ExitCode.STOPPED),
        (ExitCode.STOPPED, Outcome.BACKLOG, ExitCode.STOPPED),
        (ExitCode.INCOMPLETE, Outcome.FAILED, ExitCode.INCOMPLETE),
        (ExitCode.LOCKED, Outcome.BACKLOG, ExitCode.STOPPED),
    ],
)
def test_the_worse_of_what_came_before_and_of_the_run_decides(before, outcome, code):
    ran = PolicyResult(
        policy="p", retention_days=7, outcome=Outcome.BACKLOG, exit_code=ExitCode.STOPPED, sentence="s"
    )
    operation = Operation(values={}, code=before)
    found = preceded(ran, operation)
    assert found == replace(ran, operation=operation, outcome=outcome, exit_code=code)


def test_the_worst_policy_decides_and_a_warning_may():
    run = replace(RUN, policies=(POLICY, replace(POLICY, exit_code=ExitCode.DONE)))
    assert run.exit_code is ExitCode.INCOMPLETE
    assert replace(run, own_code=ExitCode.FAULT).exit_code is ExitCode.FAULT
    assert RunResult(now=AT, dry_run=False, policies=()).exit_code is ExitCode.DONE


@pytest.mark.parametrize(("unexplained", "overdue", "holds"), [(0, 0, True), (1, 0, False), (0, 1, False)])
def test_a_proof_holds_where_nothing_is_unexplained_or_overdue(unexplained, overdue, holds):
    assert replace(PROOF, unexplained=unexplained, overdue=overdue).holds is holds


def test_what_is_condemned_is_dealt_with_too():
    assert TOTALS.items == 39


def test_a_store_of_which_nothing_is_said_and_nothing_unknown_is_done():
    assert checked_code([]) is ExitCode.DONE
