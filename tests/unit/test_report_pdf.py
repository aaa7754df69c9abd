"""The report as PDF."""

from __future__ import annotations

import json
import re
import sys
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest
import typst

from luxima_retention.clock import iso
from luxima_retention.errors import ConfigurationError
from luxima_retention.report.model import Report
from luxima_retention.report.pdf import as_pdf, document, printable
from luxima_retention.report.pdf_texts import TEXTS
from luxima_retention.report.plain import as_json

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC)
EMPTY = Report(
    start=START, end=END, surveyed=END, ledger_error=None, entries=0, stores=(), runs=(), exceptions=()
)
MARKUP = r'#panic("x") $x$ @y \ *b* _i_ `c` <label> [ ] = // /* http://x'


def run(number, target="core.audit_log", kind="run.completed"):
    at = START + timedelta(hours=20 * number)
    return {
        "seq": number + 1,
        "at": iso(at),
        "kind": kind,
        "policy": "audit-logs",
        "target": target,
        "run_id": "r",
        "outcome": "done",
        "exit_code": 0,
        "cutoff": iso(at - timedelta(days=180)),
        "planned": 7,
        "destroyed": 7 if kind == "run.completed" else 0,
        "missed": None,
        "hash": f"{number:064x}",
    }


def store(target="core.audit_log", age=181, expired=5):
    return {
        "policy": "audit-logs",
        "target": target,
        "retention_days": 180,
        "word": "would delete",
        "exit_code": 0,
        "oldest": iso(END - timedelta(days=age)),
        "expired": expired,
        "held": 0,
        "sentence": None,
    }


def report(runs=3, stores=1, name="core.audit_log"):
    made = tuple(run(number, name) for number in range(runs))
    refused = (run(runs, name, "run.refused"),)
    return replace(
        EMPTY,
        entries=runs + 1,
        stores=tuple(store(name) for _ in range(stores)),
        runs=(*made, *refused),
        exceptions=refused,
    )


def query(made, lang, what):
    """What the set document says about itself."""
    return json.loads(
        typst.query(
            (files("luxima_retention.report") / "report.typ").read_bytes(),
            what,
            font_paths=typst.Fonts(include_system_fonts=False),
            sys_inputs={"data": json.dumps(document(made, lang)), "json": as_json(made)},
        )
    )


def attached(pdf):
    """Every stream of the file, unpacked."""
    for found in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            yield zlib.decompress(found[1])
        except zlib.error:
            yield found[1]


@pytest.mark.parametrize("lang", ["id", "en"])
@pytest.mark.parametrize(
    "made",
    [
        EMPTY,
        report(),
        replace(report(), ledger_error="entry 1 was changed"),
        report(runs=400, stores=10, name="tenant_" + "x" * 113),
    ],
    ids=["first day", "exceptions", "broken", "400 runs of long names"],
)
def test_each_state_is_set_as_an_archivable_accessible_pdf_and_the_same_bytes_twice(made, lang):
    first = as_pdf(made, lang)
    assert first.startswith(b"%PDF-1.7")
    assert b"pdfaid:part>3<" in first
    assert b"pdfuaid:part" in first
    assert first == as_pdf(made, lang)


def test_the_json_is_attached_as_it_is():
    made = report()
    assert as_json(made).encode() in attached(as_pdf(made, "id"))


def test_no_name_is_taken_for_markup():
    made = report(name=MARKUP)
    as_pdf(made, "en")
    assert MARKUP in json.dumps(query(made, "en", "table"), ensure_ascii=False).replace('\\"', '"').replace(
        "\\\\", "\\"
    )


def test_a_character_that_no_font_has_or_nobody_sees_is_spelled_out():
    assert printable({"a": ["テ\u202eé\u00ad"]}) == {"a": ["\\u{30c6}\\u{202e}é\\u{ad}"]}
    every = "".join(chr(number) for number in range(0x2FF) if number != 0xA)
    assert as_pdf(report(name=every), "id")


def test_page_one_shows_the_worst_stores_and_the_newest_exceptions_and_counts_the_rest():
    runs = tuple(run(number, kind="run.refused") for number in range(8))
    stores = (*[store(f"t{number}", 10, 0) for number in range(11)], store("late"))
    told = document(replace(EMPTY, runs=runs, exceptions=runs, stores=stores), "en")
    assert [row[0] for row in told["exceptions"]["rows"]] == [
        f"{iso(START + timedelta(hours=20 * number))[:16].replace('T', ' ')}" for number in (7, 6, 5, 4, 3)
    ]
    assert told["exceptions"]["rest"] == "3 more exceptions stand in the appendix."
    assert told["matrix"]["rows"][0]["target"] == "late"
    assert told["matrix"]["rest"] == "2 more stores stand in the appendix."


def test_what_page_one_shows_never_grows_over_a_page():
    """The appendix begins with page two, whatever the names are."""
    long = report(runs=400, stores=12, name="tenant_" + "x" * 113)
    headings = query(replace(long, ledger_error="x" * 120), "id", "<appendix>")
    assert [each["value"] for each in headings] == [2]


def test_the_weeks_add_up_to_what_was_destroyed():
    made = report(runs=400)
    assert sum(week["destroyed"] for week in document(made, "id")["weeks"]) == made.as_json()["destroyed"]


def test_without_typst_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(ConfigurationError, match="Typst, which sets PDF") as raised:
        as_pdf(EMPTY, "id")
    assert "luxima-retention[pdf]" in raised.value.hint


def test_every_text_is_there_in_both_languages():
    assert all(set(text) == {"id", "en"} and all(text.values()) for text in TEXTS.values())
