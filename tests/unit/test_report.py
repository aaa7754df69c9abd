"""The report's model, and its plain forms."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.errors import ExitCode
from luxima_retention.ledger.memory import MemoryLedger
from luxima_retention.report.model import Verdict, build
from luxima_retention.report.plain import as_csv, as_json
from luxima_retention.results import PolicyResult, RunResult, TargetResult, Word

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=365)


def completed(code=0, target="core.audit_log"):
    return "run.completed", {"run_id": "r", "target": target, "exit_code": code, "destroyed": 7}


def report(*said, error=None, word=Word.NOTHING, code=ExitCode.DONE):
    ledger = MemoryLedger()
    for number, (kind, body) in enumerate(said):
        ledger.append(kind, body, policy="audit-logs", at=START + timedelta(hours=number))
    target = TargetResult(target="core.audit_log", word=word, exit_code=code)
    policy = PolicyResult(policy="audit-logs", retention_days=180, word=word, targets=(target,))
    survey = RunResult(now=END, dry_run=True, policies=(policy,))
    return build(ledger.entries(), survey, START, END, error)


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (report(), Verdict.NOTHING_YET),
        (report(completed()), Verdict.COMPLIANT),
        (report(completed(), word=Word.NOT_CONFIGURED), Verdict.EXCEPTIONS),
        (report(("run.refused", {"target": "t", "guards": []})), Verdict.EXCEPTIONS),
        (report(("slot.missed", {"missed": 2})), Verdict.EXCEPTIONS),
        (report(completed(code=6)), Verdict.NOT_COMPLIANT),
        (report(completed(), code=ExitCode.DRIFT), Verdict.NOT_COMPLIANT),
        (report(completed(), error="entry 1 was changed"), Verdict.NOT_COMPLIANT),
    ],
)
def test_each_state_has_its_verdict(made, verdict):
    assert made.verdict is verdict


def test_four_hundred_runs_have_the_same_figures_in_both_forms_and_the_same_bytes_twice():
    first, second = (report(*[completed()] * 400) for _ in range(2))
    told = json.loads(as_json(first))
    rows = list(csv.DictReader(io.StringIO(as_csv(first))))
    assert told["destroyed"] == sum(int(row["destroyed"]) for row in rows) == 2800
    assert (as_json(first), as_csv(first)) == (as_json(second), as_csv(second))


def test_an_entry_outside_of_the_period_is_left_out():
    ledger = MemoryLedger()
    ledger.append(*completed(), policy="audit-logs", at=END)
    made = build(ledger.entries(), RunResult(now=END, dry_run=True, policies=()), START, END, None)
    assert (made.runs, made.entries) == ((), 1)


def test_no_cell_is_a_formula():
    (row,) = csv.DictReader(io.StringIO(as_csv(report(completed(target="=1+1")))))
    assert row["target"] == "'=1+1"
