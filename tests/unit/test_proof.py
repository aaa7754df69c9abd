"""Outcome, exit code and sentence follow from the figures, and from nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luxima_retention.core.errors import ExitCode
from luxima_retention.core.plan import Finding, Identity, Level, Pending, Request, Survey, decide
from luxima_retention.core.proof import concluded, foretold, idle, prove, remaining
from luxima_retention.core.results import Outcome, Proof, Totals

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
CUTOFF = datetime(2026, 5, 27, tzinfo=UTC)
REQUEST = Request(policy="audit-logs", retention_days=180, cutoff=CUTOFF, now=NOW)
IDENTITY = Identity(kind="memory", target="t", fingerprint="f")
CLEAN = "nothing expired is left"
SECOND = timedelta(seconds=1)


def survey(expired=0, **more):
    return Survey(identity=IDENTITY, store_clock=NOW, expired=expired, **more)


def planned(found, **bounds):
    return decide(REQUEST, found, cutoff_basis="program clock", disposition="destroy", **bounds)


def run(before, after, *, destroyed, stopped=False, bounds=None, **totals):
    plan = planned(before, **(bounds or {}))
    done = Totals(destroyed=destroyed, **totals)
    proof = prove(plan, before, done, after, NOW, stopped=stopped)
    return proof, concluded(proof, done)


PENDING = (Pending(items=4, due=NOW + timedelta(hours=1), reason="queries"),)
OVERDUE = (Pending(items=4, due=NOW, reason="queries"),)


@pytest.mark.parametrize(
    ("case", "outcome", "code", "said"),
    [
        ((survey(9), survey(), {"destroyed": 9}), Outcome.DONE, 0, CLEAN),
        ((survey(9), survey(held=2), {"destroyed": 9}), Outcome.DONE, 0, f"{CLEAN}, besides 2 held"),
        (
            (survey(9), survey(pending=PENDING), {"destroyed": 5, "condemned": 4}),
            *(Outcome.PENDING, 0, "5 records destroyed and 4 condemned"),
        ),
        ((survey(9), survey(3), {"destroyed": 9}), Outcome.BACKLOG, 7, "3 records arrived during the run"),
        (
            (survey(9), survey(7), {"destroyed": 2, "stopped": True}),
            *(Outcome.STOPPED, 7, "7 expired records remain for the next run"),
        ),
        (
            (survey(9), survey(7), {"destroyed": 2}),
            *(Outcome.VERIFICATION_FAILED, 6, "7 expired records are left that nothing explains"),
        ),
        (
            (survey(9), survey(pending=OVERDUE), {"destroyed": 9}),
            *(Outcome.VERIFICATION_FAILED, 6, "4 condemned records are still there past their date"),
        ),
        (
            (survey(9), survey(unknown=2), {"destroyed": 9}),
            *(Outcome.FAILED, 3, "2 records or objects could not be read or recognised"),
        ),
        (
            (survey(9), survey(7, unknown=2), {"destroyed": 2}),
            *(Outcome.VERIFICATION_FAILED, 6, "2 records or objects could not be read"),
        ),
        (
            (survey(9), survey(1), {"destroyed": 8, "skipped": {"changed": 1}}),
            *(Outcome.BACKLOG, 7, "1 records changed during the run and wait for the next run"),
        ),
        ((survey(9), survey(held=1), {"destroyed": 8, "skipped": {"hold": 1}}), Outcome.DONE, 0, CLEAN),
        (
            (survey(9), survey(5), {"destroyed": 4, "bounds": {"approved": 4}}),
            *(Outcome.DONE, 0, "5 expired records are beyond the plan that was approved"),
        ),
        (
            (survey(9), survey(5), {"destroyed": 4, "bounds": {"resumed": 4}}),
            *(Outcome.BACKLOG, 7, "5 records arrived during the run and wait for the next run"),
        ),
        (
            (survey(9), survey(6), {"destroyed": 3, "bounds": {"approved": 3, "resumed": 5}}),
            *(Outcome.BACKLOG, 7, "4 records arrived during the run and wait for the next run; 2 expired"),
        ),
        (
            (survey(9), survey(2), {"destroyed": 7, "failures": ["S3 said no"], "metrics": {"failures": 2}}),
            *(Outcome.FAILED, 3, "S3 said no (and 1 more)"),
        ),
    ],
)
def test_what_the_figures_come_to(case, outcome, code, said):
    before, after, done = case
    proof, verdict = run(before, after, **done)
    assert (verdict.outcome, verdict.exit_code) == (outcome, code)
    assert said in verdict.sentence
    assert (CLEAN in verdict.sentence) == (not (proof.left or proof.unknown or proof.overdue))


counts = st.integers(0, 9)


@settings(deadline=None)
@given(expired=counts, left=counts, destroyed=counts, unknown=counts, held=counts, stopped=st.booleans())
def test_whatever_is_left_is_told_and_only_an_approved_plan_ends_with_nought_beside_it(
    expired, left, destroyed, unknown, held, stopped
):
    before, after = survey(expired), survey(left, unknown=unknown, held=held)
    proof, verdict = run(before, after, destroyed=min(destroyed, expired), stopped=stopped)
    if left or unknown:
        assert verdict.exit_code is not ExitCode.DONE
        assert CLEAN not in verdict.sentence
    told = proof.explained
    accounted = proof.unexplained + sum(told.get(rule, 0) for rule in ("stopped", "arrived-late"))
    assert accounted == left
    assert remaining(proof) in verdict.sentence


@pytest.mark.parametrize(
    ("found", "bounds", "outcome", "code", "said"),
    [
        (survey(), {}, Outcome.NOTHING_TO_DO, 0, "nothing has expired"),
        (survey(undated=2, future=1), {}, Outcome.NOTHING_TO_DO, 0, "2 undated, 1 dated in the future"),
        (survey(unknown=3), {}, Outcome.FAILED, 3, "3 records or objects could not be read"),
        (survey(5), {"approved": 0}, Outcome.NOTHING_TO_DO, 0, "5 expired records are beyond the plan"),
        (survey(5), {"resumed": 0}, Outcome.BACKLOG, 7, "5 records arrived during the run"),
    ],
)
def test_a_plan_of_no_records_says_why(found, bounds, outcome, code, said):
    verdict = idle(planned(found, **bounds), found)
    assert (verdict.outcome, verdict.exit_code) == (outcome, code)
    assert said in verdict.sentence
    assert ("nothing has expired" in verdict.sentence) == (not found.expired and not found.unknown)


def test_a_dry_run_over_what_cannot_be_read_is_no_clean_one():
    found = survey(5, unknown=1)
    verdict = foretold(planned(found), found, (), "")
    assert (verdict.outcome, verdict.exit_code) == (Outcome.FAILED, ExitCode.INCOMPLETE)
    assert "5 records would be deleted" in verdict.sentence


@settings(deadline=None)
@given(expired=counts, approved=st.none() | counts, resumed=st.none() | counts)
def test_a_plan_is_as_large_as_its_smallest_bound_and_each_record_has_its_group(expired, approved, resumed):
    plan = planned(survey(expired), approved=approved, resumed=resumed)
    bounds = [bound for bound in (approved, resumed) if bound is not None]
    assert plan.items == min([expired, *bounds])
    assert plan.items + plan.beyond + plan.late == expired


# --- the whole of what a run says -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "done", "proof"),
    [
        # held and locked anew: only what the batches did not skip themselves, and never more than is missing
        (
            survey(9, held=1, locked=1),
            survey(0, held=4, locked=3),
            {"destroyed": 1, "skipped": {"hold": 1}},
            {"explained": {"hold": 1, "newly-held": 2, "newly-locked": 2, "gone-by-another-hand": 3}},
        ),
        (
            survey(9, locked=1),
            survey(0, locked=4),
            {"destroyed": 1, "skipped": {"locked": 1}},
            {"explained": {"locked": 1, "newly-locked": 2, "gone-by-another-hand": 5}},
        ),
        (survey(9), survey(0, locked=5), {"destroyed": 7}, {"explained": {"newly-locked": 2}}),
        (
            survey(9),
            survey(0, held=3, locked=1),
            {"destroyed": 1},
            {"explained": {"newly-held": 3, "newly-locked": 1, "gone-by-another-hand": 4}},
        ),
        # nobody deleted so many: another hand did
        (survey(9), survey(0), {"destroyed": 4}, {"explained": {"gone-by-another-hand": 5}}),
        (
            survey(9),
            survey(2),
            {"destroyed": 4},
            {"explained": {"gone-by-another-hand": 3}, "unexplained": 2, "left": 2},
        ),
        # what vanished before the batch came to it is still to be told
        (
            survey(9),
            survey(3),
            {"destroyed": 7, "skipped": {"vanished": 2}},
            {"explained": {"vanished": 2, "arrived-late": 3}, "left": 3},
        ),
        # a rule that leaves records for the next run: still expired, and no arrivals
        (
            survey(9),
            survey(3),
            {"destroyed": 7, "skipped": {"changed": 2}},
            {"explained": {"changed": 2, "arrived-late": 1}, "left": 3, "skipped": 2},
        ),
        (
            survey(9),
            survey(1),
            {"destroyed": 7, "skipped": {"changed": 2}},
            {"explained": {"changed": 2}, "left": 1, "skipped": 1},
        ),
        # what nothing explains comes first
        (
            survey(9),
            survey(5),
            {"destroyed": 2, "skipped": {"changed": 4}},
            {"explained": {"changed": 4}, "left": 5, "unexplained": 3, "skipped": 2},
        ),
        # more than was planned: no shortfall
        (survey(9), survey(0), {"destroyed": 10}, {"explained": {}}),
        # stopped: what is left waits
        (
            survey(9),
            survey(8),
            {"destroyed": 2, "stopped": True},
            {"explained": {"stopped": 7, "arrived-late": 1}, "left": 8},
        ),
        # less is left beyond the plan than before
        (
            survey(9),
            survey(2),
            {"destroyed": 4, "bounds": {"approved": 4}},
            {"explained": {"beyond-plan": 2}, "left": 2},
        ),
    ],
)
def test_where_each_record_is(before, after, done, proof):
    found, _ = run(before, after, **done)
    usual = {"left": 0, "unexplained": 0, "unknown": 0, "skipped": 0, "overdue": 0, "pending": ()}
    told = {**usual, "held": after.held, "locked": after.locked, "oldest": None, **proof}
    assert {name: getattr(found, name) for name in told} == told
    assert found.sentence == remaining(found)


def test_a_proof_tells_what_the_second_survey_found():
    due, later = Pending(items=4, due=NOW, reason="r"), Pending(items=3, due=NOW + SECOND, reason="r")
    after = survey(unknown=2, held=5, locked=6, pending=(due, later), oldest=CUTOFF)
    found, _ = run(survey(9), after, destroyed=9)
    assert (found.unknown, found.held, found.locked, found.oldest) == (2, 5, 6, CUTOFF)
    assert (found.pending, found.overdue) == ((due, later), 4)


def test_a_run_is_taken_to_have_done_its_plan_unless_it_says_that_it_stopped():
    before = survey(9)
    found = prove(planned(before), before, Totals(destroyed=2), survey(7), NOW)
    assert (found.unexplained, found.explained) == (7, {})


def proof_of(**figures):
    return Proof(**{"left": 0, "explained": {}, "unexplained": 0} | figures)


def test_what_is_left_in_a_sentence():
    everything = proof_of(
        unexplained=1,
        overdue=2,
        unknown=3,
        skipped=6,
        explained={"stopped": 4, "arrived-late": 5, "beyond-plan": 7, "hold": 99},
        held=8,
        locked=9,
        pending=(Pending(items=10, due=NOW, reason="r"), Pending(items=1, due=CUTOFF, reason="r")),
    )
    assert remaining(everything) == (
        "1 expired records are left that nothing explains;"
        " 2 condemned records are still there past their date;"
        " 3 records or objects could not be read or recognised; 4 expired records remain for the next run;"
        " 5 records arrived during the run and wait for the next run;"
        " 6 records changed during the run and wait for the next run;"
        " 7 expired records are beyond the plan that was approved,"
        " besides 8 held, 9 locked, 11 pending until 2026-11-23 08:30 UTC"
    )
    assert remaining(proof_of()) == "nothing expired is left"
    assert remaining(proof_of(locked=2)) == "nothing expired is left, besides 2 locked"


LEFT = "see `luxima-retention explain` for a record that is left"


@pytest.mark.parametrize(
    ("proof", "totals", "earlier", "verdict"),
    [
        ({}, {"destroyed": 9}, 0, (Outcome.DONE, 0, f"9 records destroyed; {CLEAN}", None)),
        ({}, {}, 0, (Outcome.DONE, 0, f"0 records destroyed; {CLEAN}", None)),
        ({}, {"condemned": 9}, 0, (Outcome.PENDING, 0, f"9 condemned; {CLEAN}", None)),
        (
            {},
            {"destroyed": 1, "condemned": 2},
            3,
            (
                *(Outcome.PENDING, 0),
                (
                    "1 records destroyed and 2 condemned (3 more by the process of this run that was killed);"
                    f" {CLEAN}"
                ),
                None,
            ),
        ),
        (
            {"unexplained": 1},
            {"failures": ["no answer"], "metrics": {"failures": 1}},
            0,
            (Outcome.FAILED, 3, f"0 records destroyed; {CLEAN}; no answer", None),
        ),
        (
            {},
            {"failures": ["no answer", "again"]},
            0,
            (Outcome.FAILED, 3, f"0 records destroyed; {CLEAN}; no answer", None),
        ),
        (
            {},
            {"failures": ["no answer"], "metrics": {"failures": 3}},
            0,
            (Outcome.FAILED, 3, f"0 records destroyed; {CLEAN}; no answer (and 2 more)", None),
        ),
        (
            {"unexplained": 1, "unknown": 1},
            {},
            0,
            (Outcome.VERIFICATION_FAILED, 6, f"0 records destroyed; {CLEAN}", LEFT),
        ),
        ({"unknown": 1, "skipped": 1}, {}, 0, (Outcome.FAILED, 3, f"0 records destroyed; {CLEAN}", None)),
        (
            {"explained": {"stopped": 1, "arrived-late": 1}},
            {},
            0,
            (
                *(Outcome.STOPPED, 7, f"0 records destroyed; {CLEAN}"),
                "the next run continues; --max-runtime gives it more time",
            ),
        ),
        (
            {"explained": {"arrived-late": 1}},
            {},
            0,
            (Outcome.BACKLOG, 7, f"0 records destroyed; {CLEAN}", "the next run takes them"),
        ),
        (
            {"skipped": 1},
            {"condemned": 1},
            0,
            (Outcome.BACKLOG, 7, f"1 condemned; {CLEAN}", "the next run takes them"),
        ),
    ],
)
def test_the_verdict_of_a_run(proof, totals, earlier, verdict):
    found = concluded(proof_of(sentence=CLEAN, **proof), Totals(**totals), earlier)
    assert (found.outcome, found.exit_code, found.sentence, found.hint) == verdict
    assert concluded(proof_of(sentence="s"), Totals()).sentence == "0 records destroyed; s"


FINDING = Finding(code="not-applicable", level=Level.INFO, message="no such table", hint="none is needed")
UNREAD = "records or objects could not be read or recognised, so it is not known whether they have expired"
LOOK = "see the findings of this target; `luxima-retention doctor` lists them too"


@pytest.mark.parametrize(
    ("found", "bounds", "paused", "verdict"),
    [
        (survey(), {}, (), (Outcome.NOTHING_TO_DO, 0, "nothing has expired", None)),
        (
            survey(held=1, locked=2, undated=3, future=4, pending=PENDING),
            {},
            (),
            (
                *(Outcome.NOTHING_TO_DO, 0),
                (
                    "nothing has expired, besides 1 held, 2 locked, 4 pending until 2026-11-23 09:30 UTC,"
                    " 3 undated, 4 dated in the future"
                ),
                None,
            ),
        ),
        (
            survey(future=1),
            {},
            (),
            (Outcome.NOTHING_TO_DO, 0, "nothing has expired, besides 1 dated in the future", None),
        ),
        (survey(unknown=3), {}, ("H",), (Outcome.FAILED, 3, f"3 {UNREAD}", LOOK)),
        (
            survey(5, held=2),
            {"resumed": 0},
            ("H-1", "H-2"),
            (Outcome.PAUSED, 0, "paused by hold H-1, H-2: 2 expired records stay", None),
        ),
        (
            survey(held=2),
            {},
            ("H-1",),
            (Outcome.PAUSED, 0, "paused by hold H-1: 2 expired records stay", None),
        ),
        (
            survey(5),
            {"resumed": 2, "approved": 0},
            (),
            (Outcome.BACKLOG, 7, "3 records arrived during the run and wait for the next run", None),
        ),
        (
            survey(5, findings=(FINDING,)),
            {"approved": 0},
            (),
            (
                *(Outcome.NOTHING_TO_DO, 0),
                "nothing to delete: 5 expired records are beyond the plan that was approved",
                None,
            ),
        ),
        (
            survey(findings=(replace(FINDING, code="other", message="x"), FINDING)),
            {},
            (),
            (Outcome.NOT_APPLICABLE, 0, "no such table", "none is needed"),
        ),
    ],
)
def test_the_verdict_of_a_plan_of_no_records(found, bounds, paused, verdict):
    told = idle(planned(found, **bounds), found, iter(paused))
    assert (told.outcome, told.exit_code, told.sentence, told.hint) == verdict
    if verdict[0] is not Outcome.BACKLOG:
        again = foretold(planned(found, **{**bounds, "resumed": None}), found, paused, "; more")
        if found.expired == 0:
            assert (again.outcome, again.exit_code, again.hint) == (verdict[0], verdict[1], verdict[3])
            assert again.sentence == verdict[2] + "; more"


@pytest.mark.parametrize(
    ("found", "bounds", "verdict"),
    [
        (survey(5), {}, (Outcome.WOULD_DELETE, 0, "5 records would be deleted: destroy; more", None)),
        (
            survey(5),
            {"resumed": 3},
            (
                *(Outcome.WOULD_DELETE, 0),
                (
                    "3 records would be deleted: destroy; more;"
                    " 2 more arrived since that run began and wait for the next one"
                ),
                None,
            ),
        ),
        (
            survey(5),
            {"resumed": 0},
            (
                *(Outcome.WOULD_DELETE, 0),
                (
                    "0 records would be deleted: destroy; more;"
                    " 5 more arrived since that run began and wait for the next one"
                ),
                None,
            ),
        ),
        (
            survey(5, unknown=2),
            {},
            (Outcome.FAILED, 3, f"2 {UNREAD}; 5 records would be deleted: destroy; more", LOOK),
        ),
        (survey(unknown=2), {}, (Outcome.FAILED, 3, f"2 {UNREAD}; more", LOOK)),
    ],
)
def test_the_verdict_of_a_dry_run(found, bounds, verdict):
    told = foretold(planned(found, **bounds), found, (), "; more")
    assert (told.outcome, told.exit_code, told.sentence, told.hint) == verdict
