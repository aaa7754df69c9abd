"""The report's model, and its plain forms."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.core.errors import ExitCode
from luxima_retention.core.plan import Pending
from luxima_retention.core.results import Outcome, PolicyResult, RunResult, TargetResult
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.report.model import LedgerState, Verdict, build
from luxima_retention.report.plain import as_csv, as_json
from luxima_retention.report.rules import compared
from luxima_retention.stores.registry import kinds
from tests.ledgers import Raw, event
from tests.unit import report_states as states

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=365)


def completed(code=0, target="core.audit_log"):
    return "run.completed", {"run_id": "r", "target": target, "exit_code": code, "destroyed": 7}


def report(*said, error=None, outcome=Outcome.NOTHING_TO_DO, code=ExitCode.DONE):
    ledger = MemoryLedger()
    for number, (kind, body) in enumerate(said):
        ledger.append(event(kind, **body), policy="audit-logs", at=START + timedelta(hours=number))
    target = TargetResult(target="core.audit_log", outcome=outcome, exit_code=code)
    policy = PolicyResult(policy="audit-logs", retention_days=180, outcome=outcome, targets=(target,))
    survey = RunResult(now=END, dry_run=True, policies=(policy,))
    return build(ledger.entries(), survey, START, END, error)


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (report(), Verdict.NOTHING_YET),
        (report(completed()), Verdict.COMPLIANT),
        (report(completed(), outcome=Outcome.NOT_CONFIGURED), Verdict.EXCEPTIONS),
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
    kind, body = completed()
    ledger.append(event(kind, **body), policy="audit-logs", at=END)
    made = build(ledger.entries(), RunResult(now=END, dry_run=True, policies=()), START, END, None)
    assert (made.runs, made.entries) == ((), 1)


def test_no_cell_is_a_formula():
    (row,) = csv.DictReader(io.StringIO(as_csv(report(completed(target="=1+1")))))
    assert row["target"] == "'=1+1"


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        ("first_day", Verdict.NOTHING_YET),
        ("all_good", Verdict.COMPLIANT),
        ("with_exceptions", Verdict.EXCEPTIONS),
        ("not_compliant", Verdict.NOT_COMPLIANT),
        ("not_configured", Verdict.EXCEPTIONS),
        ("broken", Verdict.NOT_COMPLIANT),
        ("many_runs", Verdict.EXCEPTIONS),
        ("long_names", Verdict.EXCEPTIONS),
        ("ten_tables", Verdict.COMPLIANT),
    ],
)
def test_each_state_of_the_suite_has_its_verdict(state, verdict):
    assert states.state_of(state).verdict is verdict


@pytest.mark.parametrize("state", states.STATES)
def test_json_and_csv_agree_and_are_the_same_bytes_twice(state):
    made = states.state_of(state)
    told, rows = (
        json.loads(as_json(made)),
        list(csv.DictReader(io.StringIO(as_csv(made).removeprefix("\ufeff")))),
    )
    for name in ("destroyed", "archived", "condemned", "missed"):
        assert (
            told["removed" if name == "destroyed" else name]
            == sum(int(row[name] or 0) for row in rows)
            == sum(row[name] or 0 for row in told["runs"])
        )
    again = states.STATES[state]()
    assert (as_json(made), as_csv(made)) == (as_json(again), as_csv(again))


@pytest.mark.parametrize("state", states.STATES)
def test_the_weeks_add_up(state):
    told = states.state_of(state).as_json()
    assert sum(week["destroyed"] for week in told["weeks"]) == told["removed"]
    assert sum(week["missed"] for week in told["weeks"]) == told["missed"]
    for week in told["weeks"]:
        assert week["runs"] == sum(counts["runs"] for counts in week["policies"].values())


def test_records_that_have_expired_today_are_in_order_until_their_run_was_due():
    policy, names = "audit-logs", ("expired", "overdue", "state")
    found = states.survey((policy, states.store(policy, age=181, expired=9)))
    for late, told in (
        (None, (9, None, "unknown")),
        (states.late(policy, 0), (9, 0, "waiting")),
        (states.late(policy, 4), (9, 4, "overdue")),
    ):
        history = states.History()
        states.ordinary(history)
        made = states.made(history, found, late)
        row = next(row for row in made.stores if row["policy"] == policy)
        assert tuple(row[name] for name in names) == told
        assert [item["code"] for item in made.exceptions] == {
            None: ["expired"],
            0: [],
            4: ["overdue"],
        }[told[1]]


def test_what_was_condemned_and_not_destroyed_by_its_day_is_overdue():
    waits = Pending(items=5, due=states.NOW, reason="grace")
    history = states.History()
    states.ordinary(history)
    found = states.survey(("application-logs", states.store("application-logs", pending=(waits,))))
    made = states.made(history, found)
    assert (made.stores[0]["overdue"], made.verdict) == (5, Verdict.NOT_COMPLIANT)


def test_a_run_that_never_ended_is_in_the_population_with_what_its_batches_destroyed():
    history = states.History()
    run_id = history.killed("audit-logs", states.START, 9)
    made = states.made(history, states.survey())
    (row,) = (row for row in made.runs if row["kind"] == "run.started")
    assert (row["run_id"], row["planned"], row["destroyed"], row["unknown_batch"]) == (run_id, 9, 3, 2)
    assert "killed" in {item["code"] for item in made.exceptions}


def test_a_killed_run_that_was_finished_is_one_run_and_still_an_exception():
    history = states.History()
    run_id = history.killed("audit-logs", states.START, 9)
    history.say("run.resumed", states.START, "audit-logs", run_id=run_id, target="core.audit_log")
    history.say("run.completed", states.START, "audit-logs", run_id=run_id, destroyed=9, exit_code=0)
    made = states.made(history, states.survey())
    (row,) = (row for row in made.runs if row["run_id"] == run_id)
    assert (row["destroyed"], row["resumed"]) == (9, True)
    assert "resumed" in {item["code"] for item in made.exceptions}


def test_runs_that_no_entry_tells_are_missed_but_not_of_a_policy_without_store():
    history = states.History()
    states.ordinary(history, 20)
    made = states.made(history, states.survey(unset=("metrics",)))
    missed = {row["policy"]: row["missed"] for row in made.runs if row["kind"] == "slot.missed"}
    assert missed == dict.fromkeys(("application-logs", "security-events", "audit-logs", "log-files"), 10)


def test_a_policy_that_has_never_run_is_an_exception_once_others_have():
    history = states.History()
    history.checked(states.END - states.DAY / 2)
    made = states.made(history, states.survey())
    assert [item["policy"] for item in made.exceptions if item["code"] == "never"] == [
        *("application-logs", "security-events", "audit-logs", "log-files")
    ]


def test_what_happens_later_changes_nothing_in_the_past():
    def past(*, later):
        history = states.History()
        states.ordinary(history)
        if later:
            history.run("audit-logs", states.END, 5)
            history.say("hold.placed", states.END, None, hold_id="H", dimensions=[], sha256="")
        told = states.made(history, states.survey()).as_json()
        return {name: value for name, value in told.items() if name != "ledger"}

    assert past(later=True) == past(later=False)


def test_entries_that_were_not_verified_yet_are_not_read():
    history = states.History()
    states.ordinary(history, 3)
    state = replace(history.state(), size=7)
    assert states.made(history, states.survey(), state=state).entries == 7


def test_an_entry_that_is_not_ours_ends_the_reading_with_its_number():
    history = states.History()
    history.run("audit-logs", states.START, 0)
    said = Raw("run.completed", version=1, run_id="x", destroyed="many")
    history.ledger.append(said, policy="audit-logs", at=states.START)
    history.run("audit-logs", states.START, 0)
    made = states.made(history, states.survey())
    assert made.ledger_error.startswith("entry 2 is not what this program writes")
    assert (made.verdict, len([row for row in made.runs if row["seq"]])) == (Verdict.NOT_COMPLIANT, 1)


def test_a_hold_is_told_while_it_was_in_force():
    history = states.History()
    for name, released in (("A", states.START - states.DAY), ("B", states.START), ("C", None)):
        placed = states.START - 2 * states.DAY
        history.say("hold.placed", placed, None, hold_id=name, dimensions=[], sha256=name)
        if released:
            history.say("hold.released", released, None, hold_id=name)
    made = states.made(history, states.survey())
    assert [(row["hold_id"], bool(row["released"])) for row in made.holds] == [("B", True), ("C", False)]


def test_an_override_is_an_exception_and_a_named_guard():
    history = states.History()
    guard = {"guard": "min-remaining", "passed": True, "observed": "0", "limit": "0"}
    body = {"run_id": "r", "target": "t", "items": 5, "guards": [{**guard, "override": "--min-remaining 0"}]}
    history.say("run.started", states.START, "audit-logs", **body)
    made = states.made(history, states.survey())
    assert [(row["guard"], row["kind"], row["override"]) for row in made.guards] == [
        ("min-remaining", "override", "--min-remaining 0")
    ]
    assert "approval" in {item["code"] for item in made.exceptions}


RULES_OF_TABLES = kinds()["table"].rules


def test_rules_clash_only_where_the_days_do():
    told = {
        (row["rule"], row["policy"]): row["clash"]
        for row in compared({"audit-logs": (180, RULES_OF_TABLES), "metrics": (1, ())}, {})
    }
    assert told["pci-history", "audit-logs"] is True
    assert told["pci-at-hand", "audit-logs"] is False
    assert told["pdp-end", None] is None
    assert {policy for _, policy in told} == {"audit-logs", None}
    archived = compared({"audit-logs": (180, RULES_OF_TABLES)}, {"audit-logs": 185})
    assert {row["rule"]: row["clash"] for row in archived}["pci-history"] is False


def test_the_skew_is_the_largest_that_the_ledger_tells():
    history = states.History()
    for seconds in (1, 7, 2):
        guard = {"guard": "clock-skew", "passed": True, "observed": f"{seconds} s"}
        guard |= {"limit": "60 s", "override": None}
        body = {"run_id": str(seconds), "target": "core.audit_log", "items": 1, "guards": [guard]}
        history.say("run.started", states.START, "audit-logs", **body)
    (row,) = (row for row in states.made(history, states.survey()).clocks if row["measured"])
    assert (row["measured"], row["largest"], row["survey"]) == (3, 7, 1)


def test_the_command_names_the_key():
    assert LedgerState().command == "luxima-retention ledger verify"
    assert LedgerState(key="o+1+k").command == "luxima-retention ledger verify --key 'o+1+k'"


def test_a_sweep_that_was_missed_is_an_exception_and_no_daily_run():
    history = states.History()
    states.ordinary(history)
    history.say("slot.missed", states.END - states.DAY, "application-logs", missed=1, since=None)
    *others, last = history.ledger.all
    history.ledger.all = [*others, replace(last, kind="sweep.missed")]
    made = states.made(history, states.survey())
    assert [item["code"] for item in made.exceptions] == ["sweep"]
    assert made.runs[-1]["kind"] == "sweep.missed"
