"""What the ledger tells of a period, against what the batches did."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.results import Outcome
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.report import page_one
from luxima_retention.report.minutes import minutes
from luxima_retention.report.model import Verdict
from luxima_retention.report.plain import as_csv
from luxima_retention.report.settle import CODES, settled
from luxima_retention.report.texts import TEXTS
from luxima_retention.report.told import Told
from tests.ledgers import event
from tests.unit import report_states as states
from tests.unit.report_states import DAY, END, START, TARGETS

AUDIT = "audit-logs"


def told(ledger, start=START, end=END):
    found = Told(start, end)
    for entry in ledger.entries():
        found.add(entry)
    return found


def batch(history, at, run_id, number, items, state="done", **more):
    body = {"run_id": run_id, "target": TARGETS[AUDIT], "number": number, "state": state, "items": items}
    history.say("batch", at, AUDIT, **body, **more)


def spread(history, at, sizes, step):
    """A run whose batches come so far apart; its end."""
    run_id = history._begun(AUDIT, at, sum(sizes), "")
    for number, size in enumerate(sizes, 1):
        batch(history, at + number * step, run_id, number, size, bytes=10 * size)
    end = at + (len(sizes) + 1) * step
    done = {"run_id": run_id, "target": TARGETS[AUDIT], "destroyed": sum(sizes), "planned": sum(sizes)}
    history.say("run.completed", end, AUDIT, **done, outcome="done", exit_code=0)
    return end


@settings(deadline=None)
@given(
    runs=st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=4), max_size=4),
    minutes_apart=st.integers(1, 50),
    cuts=st.lists(st.integers(0, 900), max_size=3),
)
def test_reports_of_neighbouring_periods_add_up_to_what_the_batches_did(runs, minutes_apart, cuts):
    history, at = states.History(), START
    for sizes in runs:
        at = spread(history, at, sizes, timedelta(minutes=minutes_apart))
    edges = [START - DAY, *(START + timedelta(minutes=cut) for cut in sorted(set(cuts))), END]
    sums = [sum(row["destroyed"] for row in told(history.ledger, *edge).runs()) for edge in pairwise(edges)]
    assert sum(sums) == sum(map(sum, runs))


def test_a_run_over_the_end_of_the_period_shows_in_both_with_what_it_did_there():
    history = states.History()
    spread(history, END - timedelta(minutes=2), [5, 7], timedelta(minutes=1, seconds=30))
    (before,), (after,) = (list(told(history.ledger, *p).runs()) for p in ((START, END), (END, END + DAY)))
    assert (before["kind"], before["destroyed"], before["bytes"], before["earlier"]) == (
        *("run.started", 5, 50),
        None,
    )
    assert (after["kind"], after["destroyed"], after["bytes"], after["earlier"]) == (
        *("run.completed", 7, 70),
        5,
    )


def test_a_run_that_never_ended_is_open_later_too_and_destroyed_nothing_there():
    history = states.History()
    history.killed(AUDIT, START, 9)
    (row,) = told(history.ledger, END, END + DAY).runs()
    assert (row["kind"], row["destroyed"], row["earlier"], row["unknown_items"]) == ("run.started", 0, 3, 3)


@pytest.mark.parametrize("end", ["run.completed", "run.reconciled"])
def test_times_and_bytes_of_a_run_of_two_processes_are_those_of_both(end):
    history = states.History()
    run_id = history._begun(AUDIT, START, 9, "")
    first, last = iso(START - 300 * DAY), iso(START - 200 * DAY)
    batch(history, START, run_id, 1, 4, bytes=40, first=first, last=first)
    if end == "run.completed":
        history.say("run.resumed", START, AUDIT, run_id=run_id, target=TARGETS[AUDIT])
        batch(history, START, run_id, 2, 5, bytes=50, first=last, last=last)
    own = {"first": last, "last": last, "bytes": 50} if end == "run.completed" else {}
    destroyed = 9 if end == "run.completed" else 4
    history.say(end, START, AUDIT, run_id=run_id, target=TARGETS[AUDIT], destroyed=destroyed, **own)
    (row,) = told(history.ledger).runs()
    assert (row["first"], row["bytes"], row["destroyed"]) == (first, 10 * destroyed, destroyed)
    assert row["last"] == (last if end == "run.completed" else first)


def test_a_batch_that_was_announced_and_never_reported_is_an_exception_with_its_records():
    history = states.History()
    run_id = history.killed(AUDIT, START, 9)
    history.say("run.reconciled", START, AUDIT, run_id=run_id, target=TARGETS[AUDIT], destroyed=3)
    made = states.made(history, states.survey())
    assert [item["count"] for item in made.exceptions if item["code"] == "unknown"] == [3]
    assert "hingga 3 catatan" in next(
        item["sentence"]["id"] for item in made.exceptions if item["code"] == "unknown"
    )
    assert minutes(made).remarks[0].en.startswith("Count not certain: of up to 3 more records")


def test_a_batch_without_a_result_leaves_nothing_unknown_once_all_that_was_planned_is_known_to_be_gone():
    history = states.History()
    run_id = history.killed(AUDIT, START, 9)
    history.say("run.resumed", START, AUDIT, run_id=run_id, target=TARGETS[AUDIT])
    history.say("run.completed", START, AUDIT, run_id=run_id, target=TARGETS[AUDIT], destroyed=9)
    (row,) = told(history.ledger).runs()
    assert (row["unknown_batch"], row["unknown_items"]) == (2, None)


@pytest.mark.parametrize(
    ("level", "code", "word", "verdict"),
    [
        ("drift", 8, "drift", Verdict.NOT_COMPLIANT),
        ("failed", 3, "failed", Verdict.EXCEPTIONS),
        ("warning", 0, "checked", Verdict.COMPLIANT),
    ],
)
def test_a_check_counts_as_what_it_found_and_not_as_what_the_survey_finds_later(level, code, word, verdict):
    history = states.History()
    states.ordinary(history)
    at, checked = START + 9 * DAY, {"target": TARGETS["metrics"], "store_clock": iso(START + 9 * DAY)}
    history.say("run.checked", at, "metrics", **checked, findings=[{"code": "x", "level": level}])
    made = states.made(history, states.survey())
    row = made.runs[-1]
    assert (row["exit_code"], row["outcome"], made.verdict) == (code, word, verdict)


def test_a_refused_run_says_what_would_have_gone_and_its_exit_code_and_is_one_exception():
    history = states.History()
    states.ordinary(history)
    history.refused(AUDIT, START + DAY, 77)
    made = states.made(history, states.survey())
    row = made.runs[-1]
    assert (row["planned"], row["outcome"], row["exit_code"]) == (77, "refused", 4)
    assert [item["code"] for item in made.exceptions] == ["refused"]


def test_another_retention_than_before_is_a_change_and_an_exception():
    history = states.History()
    states.ordinary(history, 29)
    history.run(AUDIT, END - DAY / 2, 0, retention_days=30)
    made = states.made(history, states.survey())
    assert [(row["kind"], row["observed"], row["limit"]) for row in made.guards] == [
        ("retention", "180 d", "30 d")
    ]
    assert "180 d → 30 d" in {item["detail"] for item in made.exceptions}


def test_keys_and_set_up_tables_are_changes_and_no_exceptions():
    history = states.History()
    states.ordinary(history)
    history.say("key.rotated", START + DAY, None, old="a", new="b")
    history.say("migrated", START + DAY, AUDIT, target="core.audit_log", strategy="keyset", floor_days=180)
    made = states.made(history, states.survey())
    assert [(row["kind"], row["observed"], row["limit"]) for row in made.guards] == [
        ("key.rotated", "a", "b"),
        ("migrated", None, "strategy keyset; floor_days 180"),
    ]
    assert made.verdict is Verdict.COMPLIANT


def test_a_table_that_never_had_its_turn_is_told_beside_one_that_had():
    history = states.History()
    states.ordinary(history)
    stores = [(AUDIT, states.store(AUDIT, name)) for name in ("core.audit_log", "core.other")]
    made = states.made(history, states.survey(*stores))
    assert [(item["code"], item["target"]) for item in made.exceptions] == [("never", "core.other")]
    history.run(AUDIT, END - 5 * DAY, 0, target="core.other")
    made = states.made(history, states.survey(*stores))
    assert [(item["code"], item["target"], item["count"]) for item in made.exceptions] == [
        ("missed", "core.other", 4)
    ]


@pytest.mark.parametrize("written", [True, False])
def test_only_what_was_missed_within_the_period_counts(written):
    history = states.History()
    for policy in TARGETS:
        history.run(policy, START - 10 * DAY, 0)
    last, at = iso(START - 10 * DAY), START + 10 * DAY
    if written:
        history.say("slot.missed", at, AUDIT, missed=19, since=last)
        history.run(AUDIT, at, 0)
    made = states.made(history, states.survey())
    missed = sum(row["missed"] for row in made.runs if row["missed"] and row["policy"] == AUDIT)
    assert missed in ((29, 30) if not written else (28, 29, 30))
    (counts,) = {tuple(sorted(week)) for week in made.weeks}
    assert "missed" in counts
    assert max(week["policies"].get(AUDIT, {"missed": 0})["missed"] for week in made.weeks) <= 8


def test_files_that_go_by_the_rule_of_rotation_are_destroyed_and_told_as_such():
    history = states.History()
    states.ordinary(history)
    history.say("rotation", START + DAY, "log-files", set="app", rotated=2, bytes=9, compressed=[])
    removed = [{"path": f"/var/log/a.{n}", "bytes": 5, "sentence": "keep"} for n in range(3)]
    history.say("rotation", START + DAY, "log-files", set="app", removed=removed)
    history.say("rotation", START + DAY, "log-files", set="app", rotated=0, bytes=0, compressed=[])
    made = states.made(history, states.survey())
    rotated, gone = (row for row in made.runs if row["kind"] == "rotation")
    assert (rotated["outcome"], rotated["rotated"], rotated["destroyed"]) == ("rotated", 2, 0)
    assert (gone["outcome"], gone["target"], gone["destroyed"], gone["bytes"]) == ("removed", "app", 3, 15)
    said = minutes(made)
    (row,) = (row for row in said.summary.rows if row[1].id == "app")
    assert (row[2].en, row[4].id) == ("Rule of log rotation (keep, max_age_days)", "3 berkas")
    assert (said.conditions[0].shown, "3 rotated log files" in said.conditions[0].evidence.en) == (
        False,
        True,
    )


def test_the_balance_of_a_run_is_told_with_what_its_guards_observed():
    ledger = MemoryLedger()
    guards = [{"guard": "share", "passed": True, "observed": "3 %", "limit": "25 %", "override": None}]
    body = {"run_id": "r", "target": "t", "items": 9, "guards": guards, "holds": ["H"], "digest": "d" * 64}
    ledger.append(event("run.started", **body), policy=AUDIT, at=START)
    proof = {"left": 2, "explained": {"newly-held": 2}, "unexplained": 0, "oldest": iso(START - 180 * DAY)}
    body = {"run_id": "r", "target": "t", "planned": 9, "destroyed": 7, "fingerprint": "f", "proof": proof}
    ledger.append(event("run.completed", **body), policy=AUDIT, at=START)
    (row,) = told(ledger).runs()
    names = ("passed", "holds", "digest", "fingerprint", "explained", "oldest_left")
    assert tuple(row[name] for name in names) == (
        *({"share": "3 % / 25 %"}, ["H"], "d" * 64, "f", {"newly-held": 2}),
        iso(START - 180 * DAY),
    )


def test_what_a_store_does_not_measure_is_not_nought_bytes():
    history = states.History()
    history.run(AUDIT, START, 5, bytes=0)
    (row,) = told(history.ledger).runs()
    assert row["bytes"] is None


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        (" \u00a0=1+1", "' \u00a0=1+1"),
        ("\t=1+1", "'\t=1+1"),
        ("\rx", "'\rx"),
        ("\uff1d1", "'\uff1d1"),
        ("\uff0b1", "'\uff0b1"),
        ("a;=1+1", "a;'=1+1"),
        ("a\n@x", "a\n'@x"),
        ("core.audit-log", "core.audit-log"),
    ],
)
def test_no_cell_can_be_taken_for_a_formula_wherever_a_spreadsheet_ends_it(name, cell):
    history = states.History()
    history.run(AUDIT, START, 0, target=name)
    made = states.made(history, states.survey())
    rows = csv.DictReader(io.StringIO(as_csv(made), newline=""))
    assert next(rows)["target"] == cell


def test_the_skew_of_a_check_is_that_of_both_clocks_at_once_and_not_how_long_it_took():
    history, at = states.History(), START + DAY
    clocks = {"store_clock": iso(at - timedelta(seconds=2)), "program_clock": iso(at)}
    took = at + timedelta(minutes=9)
    history.say("run.checked", took, "metrics", target=TARGETS["metrics"], **clocks)
    (row,) = (row for row in states.made(history, states.survey()).clocks if row["measured"])
    assert row["largest"] == 2


@pytest.mark.parametrize("states_of_it", [("intent",), ("intent", "result")])
def test_an_archive_whose_destruction_was_announced_and_no_more_is_an_exception(states_of_it):
    history = states.History()
    states.ordinary(history)
    for state in states_of_it:
        body = {"manifest": "m.json", "parts": 1, "items": 5, "state": state}
        history.say("archive.expired", START + DAY, AUDIT, **body)
    made = states.made(history, states.survey())
    whole = len(states_of_it) == 2
    assert made.archives[-1]["kind"] == ("archive.expired" if whole else "archive.announced")
    assert [(item["code"], item["detail"]) for item in made.exceptions] == (
        [] if whole else [("archive", "m.json")]
    )


def test_a_guard_that_a_setting_switches_off_is_told_once_with_the_number_of_its_runs():
    history = states.History()
    states.ordinary(history)
    setting = "policies.audit_logs.max_silence = off"
    for day in (3, 4):
        guard = {"guard": "stale-source", "passed": True, "observed": "20 d", "limit": "off"}
        guard["override"] = setting
        at, run_id = START + day * DAY, f"r{day}"
        body = {"run_id": run_id, "target": TARGETS[AUDIT], "items": 5, "guards": [guard]}
        history.say("run.started", at, AUDIT, **body)
        done = {"run_id": run_id, "target": TARGETS[AUDIT], "destroyed": 5, "planned": 5}
        history.say("run.completed", at, AUDIT, **done)
    made = states.made(history, states.survey())
    assert [(item["code"], item["detail"], item["count"]) for item in made.exceptions] == [
        ("approval", setting, 2)
    ]
    assert {row["override"] for row in made.guards} == {setting}


def test_what_a_policy_says_anew_is_a_change_that_names_both():
    history = states.History()
    states.ordinary(history)
    for day, days in ((1, 180), (2, 200)):
        terms = {
            "retention_days": days,
            "disposition": "destroy",
            "basis": "SOP",
            "targets": ["core.audit_log"],
        }
        history.say("policy.applied", END - timedelta(hours=5 - day), AUDIT, **terms)
    made = states.made(history, states.survey())
    assert [(row["kind"], row["observed"], row["limit"]) for row in made.guards] == [
        ("policy.applied", None, "180 d; destroy; SOP; core.audit_log"),
        ("retention", "180 d", "200 d"),
        ("policy.applied", "180 d; destroy; SOP; core.audit_log", "200 d; destroy; SOP; core.audit_log"),
    ]


def test_what_somebody_else_deleted_is_an_exception_with_number_and_window():
    history = states.History()
    since, at = START - DAY, START + DAY
    body = {"target": TARGETS[AUDIT], "read_at": iso(at), "cutoff": iso(START), "since": iso(since)}
    history.say("store.counted", at, AUDIT, **body, deleted_externally=475)
    history.say("store.counted", at, AUDIT, **body, unknown="it has crashed")
    history.say("store.counted", at, AUDIT, **body)
    made = states.made(history, states.survey())
    found = {item["code"]: item for item in made.exceptions}
    missing, unknown = found["deleted_externally"], found["deletions_unknown"]
    assert (missing["count"], missing["detail"]) == (475, f"{iso(since)} to {iso(at)}")
    assert "it has crashed" in unknown["detail"]
    assert not missing["failed"]
    assert not unknown["failed"]


def test_an_overdue_review_is_an_exception_until_the_hold_is_released():
    history = states.History()
    for name, review in (("A", START + DAY), ("B", END + DAY), ("C", START + DAY)):
        history.say("hold.placed", START, None, hold_id=name, review_by=iso(review), sha256=name)
    history.say("hold.released", START + DAY, None, hold_id="C")
    made = states.made(history, states.survey())
    reviews = [item["detail"] for item in made.exceptions if item["code"] == "hold_review"]
    assert reviews == ["A"]


def test_a_run_that_found_evidence_changed_makes_the_period_fail():
    history = states.History()
    guard = {"guard": "holds", "passed": False, "observed": "changed", "limit": "as the ledger says"}
    guard["override"] = None
    history.say("run.refused", START, AUDIT, target=TARGETS[AUDIT], guards=[guard], exit_code=6)
    made = states.made(history, states.survey())
    (refused,) = [item for item in made.exceptions if item["code"] == "refused"]
    assert (refused["failed"], refused["detail"]) == (True, "holds")
    assert made.verdict is Verdict.NOT_COMPLIANT


def only(made, code):
    (item,) = (item for item in made.exceptions if item["code"] == code)
    return item


def test_drift_and_not_the_table_that_a_hold_keeps_old_is_what_the_verdict_names():
    history = states.History()
    states.ordinary(history)
    told = "http://prometheus:9090: keeps samples for 15 days, and the policy asks for 60"
    found = [{"code": "too-short", "level": "drift"}]
    body = {"target": TARGETS["metrics"], "findings": found, "error": told}
    history.say("run.checked", END - 2 * DAY, "metrics", **body)
    held = states.store(AUDIT, age=400, held=312)
    made = states.made(history, states.survey((AUDIT, held)))
    assert made.verdict is Verdict.NOT_COMPLIANT
    assert made.exceptions[0]["code"] == "drift"
    reason = page_one.why(made, "en")
    assert "The first: metrics http://prometheus:9090: the store did not keep to the policy" in reason
    assert made.exceptions[0]["count"] == 1
    assert AUDIT not in reason + page_one.oldest(made, "en")
    assert told in made.exceptions[0]["sentence"]["id"]


def test_a_store_that_the_survey_finds_adrift_was_surveyed_and_breaks_the_policy():
    history = states.History()
    states.ordinary(history)
    found = states.store("metrics", outcome=Outcome.DRIFT, exit_code=ExitCode.DRIFT, sentence="keeps 15 days")
    made = states.made(history, states.survey(("metrics", found)))
    drift = only(made, "drift")
    assert (drift["failed"], drift["said"]) == (True, "keeps 15 days")
    assert [row["state"] for row in made.stores if row["policy"] == "metrics"] == ["drift"]


def test_a_run_that_failed_carries_its_error_and_is_not_missed_as_well():
    history = states.History()
    states.ordinary(history, 29)
    at = START + 29 * DAY + timedelta(hours=2, minutes=57)
    why = {"outcome": "failed", "exit_code": 3, "error": "core.audit_log: connection refused"}
    history.say("run.failed", at, AUDIT, target=TARGETS[AUDIT], **why)
    made = states.made(history, states.survey())
    failed = only(made, "failed")
    assert (failed["count"], failed["since"], failed["said"]) == (1, iso(at), why["error"])
    assert why["error"] in failed["sentence"]["en"]
    assert failed["settle"]["en"].startswith("Operations: remove the cause")
    assert not [item for item in made.exceptions if item["code"] == "missed" and item["policy"] == AUDIT]


def test_a_killed_run_is_not_also_missed():
    history = states.History()
    states.ordinary(history, 29)
    at = START + 29 * DAY + timedelta(hours=2, minutes=57)
    history.killed(AUDIT, at, 9)
    made = states.made(history, states.survey())
    assert {item["code"] for item in made.exceptions if item["policy"] == AUDIT} == {"killed", "unknown"}
    assert only(made, "killed")["since"] == iso(at)


def test_missed_runs_are_told_with_their_dates():
    history = states.History()
    states.ordinary(history, 30, but=frozenset({10, 11, 12}))
    times = [START + day * DAY + timedelta(hours=2, minutes=57) for day in (10, 12)]
    body = {"missed": 3, "since": iso(START + 9 * DAY), "first": iso(times[0]), "last": iso(times[1])}
    history.say("slot.missed", START + 13 * DAY, AUDIT, **body)
    made = states.made(history, states.survey())
    missed = only(made, "missed")
    assert (missed["count"], missed["since"], missed["at"]) == (3, iso(times[0]), iso(times[1]))
    assert page_one.when(missed, "id") == "2026-11-11 sampai 2026-11-13"


def test_runs_that_are_missing_at_the_end_have_the_dates_of_their_schedule():
    history = states.History()
    states.ordinary(history, 27)
    made = states.made(history, states.survey())
    missed = [item for item in made.exceptions if item["code"] == "missed"]
    assert len(missed) == len(TARGETS)
    assert {page_one.when(item, "en") for item in missed} == {"2026-11-28 to 2026-11-30"}


def test_every_exception_says_who_may_settle_it_and_how():
    told_of = {name.removeprefix("exception ") for name in TEXTS if name.startswith("exception ")}
    assert told_of <= CODES
    for state in states.STATES:
        for item in states.state_of(state).exceptions:
            assert all(": " in item["settle"][lang] for lang in ("id", "en"))


def test_the_owner_whom_the_settings_name_is_asked_about_their_policy():
    assert settled("refused", "Sari", "en").startswith("Owner of the policy (Sari): check the figures")
    assert settled("missed", "Sari", "en").startswith("Operations: check the schedule")


def test_a_policy_whose_day_of_review_has_passed_is_an_exception():
    about = replace(states.ABOUT[AUDIT], review_by="2026-11-01", owner="Sari")
    found = states.survey()
    policies = tuple(
        replace(policy, about=about) if policy.policy == AUDIT else policy for policy in found.policies
    )
    history = states.History()
    states.ordinary(history)
    review = only(states.made(history, replace(found, policies=policies)), "review")
    assert (review["detail"], review["failed"]) == ("2026-11-01", False)
    assert "(Sari)" in review["settle"]["id"]


@pytest.mark.parametrize(("dialect", "mark"), [("comma", ","), ("semicolon", ";")])
def test_the_csv_opens_in_columns_with_times(dialect, mark):
    made = states.state_of("with_exceptions")
    text = as_csv(made, dialect)
    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), delimiter=mark))
    assert len(rows) == len(made.runs)
    assert (rows[0]["at_wib"], rows[0]["at_utc"]) == ("2026-11-01 02:17:42", "2026-10-31 19:17:42")
