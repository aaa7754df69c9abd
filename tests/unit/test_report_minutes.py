"""The minutes of destruction: what UU 8/1997 and PP 87/1999 ask for, in both languages."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime

import pytest

from luxima_retention.core.about import About
from luxima_retention.core.results import RunResult
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.report.minutes import dated, minutes
from luxima_retention.report.minutes_texts import FACTS, Text
from luxima_retention.report.model import Letterhead, build
from tests.ledgers import event

START = datetime(2025, 12, 31, 17, tzinfo=UTC)
END = datetime(2026, 1, 31, 17, tzinfo=UTC)


def report(*destroyed):
    ledger = MemoryLedger()
    for number in destroyed:
        body = {"run_id": "r", "target": "core.audit_log", "destroyed": number}
        body["cutoff"] = "2025-07-04T18:00:00Z"
        ledger.append(
            event("run.completed", **body), policy="audit-logs", at=datetime(2026, 1, 5, 19, tzinfo=UTC)
        )
    survey = RunResult(now=END, dry_run=True, policies=())
    return build(ledger.entries(), survey, START, END, None)


def texts(value):
    """Every text below a value."""
    if isinstance(value, Text):
        return [value]
    if isinstance(value, tuple):
        return [text for each in value for text in texts(each)]
    if is_dataclass(value):
        return [text for field in fields(value) for text in texts(getattr(value, field.name))]
    return []


def test_a_run_that_destroyed_is_a_row_of_the_list_with_its_entry_and_one_that_did_not_is_none():
    made = report(7, 0, 5)
    listed = minutes(made).items.rows
    assert [(row[0].id, row[7].id, row[8].id) for row in listed] == [
        (str(run["seq"]), str(run["destroyed"]), run["hash"]) for run in (made.runs[0], made.runs[2])
    ]


def test_the_day_of_a_destruction_is_jakartas():
    made = minutes(report(7))
    assert [row[1].id for row in made.items.rows] == ["2026-01-06 02:00"]
    assert [row[3].id for row in made.summary.rows] == ["sebelum 2025-07-05"]


def test_period_of_the_records_schedule_and_archive_are_those_of_the_ledger():
    made = report(7, 5)
    known = {"first": "2025-01-01T20:00:00Z", "last": "2025-07-03T00:00:00Z", "retention_days": 180}
    moved = {"archived": 7, "kept_until": "2027-01-05T19:00:00Z"}
    runs = (made.runs[0] | known | moved, made.runs[1] | known)
    gone, kept = minutes(replace(made, runs=runs)).summary.rows
    assert [cell.en for cell in gone[2:4]] == ["Retention schedule: 180 days", "2025-01-02 … 2025-07-03"]
    assert (gone[4].en, gone[5].en) == ("5 records", "Destroyed")
    assert (kept[4].en, kept[5].en) == ("7 records", "Moved to the archive, kept until 2027-01-06")
    listed = minutes(replace(made, runs=runs)).items.rows
    assert [cells[4].en for cells in listed] == [gone[3].en] * 2
    assert [cells[6].id for cells in listed] == ["Ke arsip sampai 2027-01-06", "Dimusnahkan"]


def test_the_list_adds_up_to_the_total():
    made = minutes(report(7, 5))
    total = next(fact.value for fact in made.facts if fact.label.en == "Destroyed")
    assert total.id == "12 catatan"
    assert sum(int(row[7].id) for row in made.items.rows) == 12
    assert [row[4].id for row in made.summary.rows] == ["12 catatan"]


def test_the_end_of_an_archive_is_a_destruction_of_its_own():
    ledger = MemoryLedger()
    at = datetime(2026, 1, 5, 19, tzinfo=UTC)
    body = {"manifest": "audit-logs/2025/x.manifest.json", "items": 41, "keep_until": "2026-01-05T00:00:00Z"}
    for state in ("intent", "result"):
        ledger.append(event("archive.expired", **body, state=state), policy="audit-logs", at=at)
    made = build(ledger.entries(), RunResult(now=END, dry_run=True, policies=()), START, END, None)
    assert (made.gone, made.archived, made.as_json()["archives_ended"]) == (41, 0, 41)
    (row,) = minutes(made).items.rows
    assert (row[3].id, row[6].en, row[7].id, row[8].id) == (
        *("audit-logs/2025/x.manifest.json", "Archive destroyed", "41"),
        made.archives[0]["hash"],
    )


def test_what_the_settings_say_stands_in_the_minutes_and_the_rest_is_left_to_the_pen():
    head = Letterhead(
        company="PT Contoh",
        place="Jakarta",
        number="BA-01/2026",
        schedule="SK 3/2025, 2 Mei 2025",
        officials=("Sari (kepala infrastruktur)",),
        copies={"backups": 35},
    )
    made = minutes(
        replace(report(7), letterhead=head, about={"audit-logs": About(kind="table", basis="SK 3")})
    )
    told = {fact.label.en: fact.value.id for fact in made.facts if fact.value}
    assert (told["Company or body"], told["Number"]) == ("PT Contoh", "BA-01/2026")
    assert told["Retention schedule (number and date)"] == "SK 3/2025, 2 Mei 2025"
    assert "bertempat di Jakarta" in made.opening[0].id
    assert made.opening[0].id.startswith("Pada hari ini")
    assert [block.named for block in made.signatures[:2]] == ["Sari (kepala infrastruktur)", ""]
    assert "Nama jelas" not in {line.id for line in made.signatures[0].lines}
    assert [(row[1].en, row[2].en) for row in made.copies.rows] == [
        ("Replicas", "not examined"),
        ("WAL and recovery window (PITR)", "not examined"),
        ("Backups", "2026-02-10 (as the settings state; not examined)"),
    ]
    assert made.summary.rows[0][2].id == "SK 3"
    assert made.summary.rows[0][4].id == "7 baris"


def test_a_public_body_signs_by_the_law_on_archives():
    made = minutes(replace(report(7), letterhead=Letterhead(public_body=True)))
    assert made.law.id == "UU 43/2009 pasal 51 dan PP 28/2012"
    assert [condition.shown for condition in made.conditions] == [False, True, False, False]
    assert [block.role.id for block in made.signatures] == [
        "Pimpinan unit kearsipan",
        "Pimpinan unit pengolah",
        "Saksi dari unit hukum",
        "Saksi dari unit pengawasan internal",
    ]


def test_place_day_and_company_are_left_to_be_written_by_hand():
    empty = {fact.label for fact in minutes(report(7)).facts if fact.value is None}
    assert empty == {
        FACTS[name] for name in ("number", "company", "controller", "place", "retention schedule", "approval")
    }


def test_officer_witnesses_legal_and_supervisory_unit_sign_with_clear_name():
    made = minutes(report(7)).signatures
    assert [block.role.id for block in made] == [
        "Pejabat yang melaksanakan pemusnahan",
        "Saksi 1",
        "Saksi 2",
        "Unit hukum",
        "Unit pengawasan",
        "Penanggung jawab (pimpinan perusahaan)",
    ]
    assert all({"Nama jelas", "Tanda tangan"} <= {line.id for line in block.lines} for block in made)


def test_of_the_five_conditions_only_the_ended_period_is_shown_by_the_program():
    assert [condition.shown for condition in minutes(report(7)).conditions] == [True] + [False] * 4


def test_nothing_destroyed_is_nothing_to_sign():
    made = minutes(report(0))
    assert made.opening[0].id.startswith("Nihil")
    assert (made.signatures, made.conditions, made.items.rows) == ((), (), ())


def test_a_broken_ledger_must_not_be_signed_for():
    made = minutes(replace(report(7), ledger_error="entry 1 was changed"))
    assert made.signatures == ()
    assert made.warning.en.endswith("entry 1 was changed")
    assert not any(condition.shown for condition in made.conditions)


@pytest.mark.parametrize("made", [minutes(report()), minutes(report(7))])
def test_every_text_is_there_in_both_languages(made):
    found = texts(made)
    assert len(found) > 15
    assert all(text.id and text.en for text in found)


def test_a_day_is_written_out_in_both_zones():
    assert dated(datetime(2026, 11, 24, 2, tzinfo=UTC)).id == (
        "Selasa, 24 November 2026 pukul 09.00 WIB (02:00 UTC)"
    )
    assert dated(END).en == "Sunday, 1 February 2026, 00:00 WIB (2026-01-31 17:00 UTC)"
