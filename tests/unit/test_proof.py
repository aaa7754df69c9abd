"""Outcome, exit code and sentence follow from the figures, and from nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luxima_retention.core.errors import ExitCode
from luxima_retention.core.plan import Identity, Pending, Request, Survey, decide
from luxima_retention.core.proof import concluded, foretold, idle, prove, remaining
from luxima_retention.core.results import Outcome, Totals

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
CUTOFF = datetime(2026, 5, 27, tzinfo=UTC)
REQUEST = Request(policy="audit-logs", retention_days=180, cutoff=CUTOFF, now=NOW)
IDENTITY = Identity(kind="memory", target="t", fingerprint="f")
CLEAN = "nothing expired is left"


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
