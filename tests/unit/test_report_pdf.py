"""The report as PDF."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import sys
import zlib
from functools import cache
from importlib.resources import files

import pytest
import typst
from pypdf import PdfReader

from luxima_retention.core.errors import ConfigurationError
from luxima_retention.report.appendix import appendix
from luxima_retention.report.html import as_html
from luxima_retention.report.minutes import minutes
from luxima_retention.report.pdf import as_pdf, breakable, document, printable
from luxima_retention.report.plain import as_json
from tests.unit import report_states as states

#: in the second language as well: those whose page one is fullest or emptiest, and the longest names
EXTREME = ("first_day", "with_exceptions", "broken", "long_names")
SET = [*((state, "id") for state in sorted(states.STATES)), *((state, "en") for state in EXTREME)]
MARKUP = r'#panic("x") $x$ @y \ *b* _i_ `c` <label> [ ] = // /* http://x'


def named(name):
    """A store, a run and a refusal of this name."""
    history = states.History()
    states.ordinary(history, 3, states.END - 3 * states.DAY)
    history.run("audit-logs", states.END - states.DAY, 7, target=name)
    history.refused("audit-logs", states.END - states.DAY, 5, target=name)
    return states.made(history, states.survey(("audit-logs", states.store("audit-logs", name))))


def crowded(error=None):
    """More stores and exceptions of long names than page one has room for, and 400 runs."""
    names = [f"{states.LONG[:-2]}{number:02}" for number in range(12)]
    history = states.History()
    states.ordinary(history, 84, states.END - 84 * states.DAY)
    for name in names:
        history.refused("audit-logs", states.END - states.DAY, 5, target=name)
    stores = [("audit-logs", states.store("audit-logs", name)) for name in names[:-1]]
    late = states.store("audit-logs", names[-1], age=400, expired=5)
    return states.made(
        history,
        states.survey(*stores, ("audit-logs", late)),
        states.late("audit-logs", 5, names[-1]),
        error=error,
        start=states.END - 84 * states.DAY,
    )


@cache
def pdf_of(state, lang):
    """A state as PDF, set once."""
    return as_pdf(states.state_of(state), lang)


def without_rows(told):
    """The same page one before tables of three rows: rows behind page one change nothing on it."""
    minutes = {**told["minutes"], "items": {**told["minutes"]["items"], "rows": []}}
    parts = [{**part, "rows": part["rows"][:3]} for part in told["appendix"]]
    return {**told, "appendix": parts, "minutes": minutes}


def query(made, told, what):
    """What the set document says about itself."""
    here = files("luxima_retention.report")
    return json.loads(
        typst.query(
            b"\n".join((here / name).read_bytes() for name in ("base.typ", "report.typ")),
            what,
            font_paths=typst.Fonts(include_system_fonts=False),
            sys_inputs={"data": json.dumps(told), "json": as_json(made)},
        )
    )


def attached(pdf):
    """Every stream of the file, unpacked."""
    for found in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            yield zlib.decompress(found[1])
        except zlib.error:
            yield found[1]


@pytest.mark.parametrize(("state", "lang"), SET)
def test_each_state_is_set_as_an_archivable_accessible_pdf(state, lang):
    """Both languages go through the same template, and no text of either is missing (test_report_html.py)."""
    first = pdf_of(state, lang)
    assert first.startswith(b"%PDF-1.7")
    assert b"pdfaid:part>3<" in first
    assert b"pdfuaid:part" in first


def test_a_report_is_the_same_bytes_twice():
    assert pdf_of("with_exceptions", "id") == as_pdf(states.with_exceptions(), "id")


def test_the_json_is_attached_as_it_is():
    assert as_json(states.state_of("all_good")).encode() in attached(pdf_of("all_good", "id"))


def test_no_name_is_taken_for_markup():
    made = named(MARKUP)
    as_pdf(made, "en")
    shown = json.dumps(query(made, document(made, "en"), "table"), ensure_ascii=False)
    assert MARKUP in shown.replace('\\"', '"').replace("\\\\", "\\")


def test_a_character_that_no_font_has_or_nobody_sees_is_spelled_out():
    assert printable("テ\u202eé\u00ad") == "\\u{30c6}\\u{202e}é\\u{ad}"
    every = "".join(chr(number) for number in range(1, 0x2FF) if number != 0xA)
    assert as_pdf(named(every), "id")


def test_a_long_name_may_break_and_the_command_can_be_copied():
    assert breakable("short s3://a-bucket/x" + "y" * 15).split("\u200b")[:4] == ["short s3:", "/", "/", "a-"]
    made = states.long_names()
    assert made.ledger.command in [line["value"] for line in document(made, "en")["ledger"]]


def test_page_one_shows_the_worst_stores_and_exceptions_and_counts_the_rest():
    told = document(crowded(), "en")
    assert [row[0] for row in told["exceptions"]["rows"]] == ["breaks the policy", *["attention"] * 4]
    assert told["exceptions"]["rest"] == "There are 8 more: see Appendix A."
    assert told["matrix"]["rows"][0]["state"] == "overdue"
    assert told["matrix"]["rest"] == "8 more stores stand in the appendix."
    assert len(told["matrix"]["all"]) == 16


@pytest.mark.parametrize("lang", ["id", "en"])
def test_what_page_one_shows_never_grows_over_a_page(lang):
    """The appendix begins with page two, whatever the names are."""
    made = crowded(error="x" * 500)
    headings = query(made, without_rows(document(made, lang)), "<appendix>")
    assert [each["value"] for each in headings] == [2]


@pytest.mark.parametrize("state", sorted(states.STATES))
def test_its_figures_are_those_of_html(state):
    """Each tile, and each figure of the appendix."""
    made = states.state_of(state)
    told = document(made, "id")
    cells = set(re.findall(r">([^<]*)", as_html(made, "id")))
    assert {tile[name] for tile in told["tiles"] for name in tile} <= cells
    for part, listed in zip(told["appendix"], appendix(made, "id"), strict=True):
        assert len(part["rows"]) == min(len(listed.rows), 250)
        assert {row[place] for row in part["rows"] for place in part["right"]} <= cells


def test_without_typst_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(ConfigurationError, match="Typst, which sets PDF") as raised:
        as_pdf(states.first_day(), "id")
    assert "luxima-retention[pdf]" in raised.value.hint


def test_every_hash_of_the_minutes_is_found_in_the_text_and_nothing_else_stands_between_its_digits():
    """As readers search and copy: no character of no width, and no hash that goes over two lines."""
    made = states.state_of("all_good")
    pages = PdfReader(io.BytesIO(pdf_of("all_good", "id"))).pages
    text = "\n".join(page.extract_text() for page in pages)
    assert "\u200b" not in text
    hashes = {
        *(row[-1].id for row in minutes(made).items.rows),
        *(row["sha256"] for row in (*made.holds, *made.archives)),
        *(row["evidence"]["query_sha256"] for row in made.stores),
    }
    assert len(hashes) > 60
    assert {found for found in hashes if found not in text} == set()


def test_a_table_of_more_rows_than_are_set_is_attached_whole_and_named_with_its_sum():
    made = states.state_of("many_runs")
    attached_files = PdfReader(io.BytesIO(pdf_of("many_runs", "id"))).attachments
    (listed,) = attached_files["daftar-pertelaan.csv"]
    rows = list(csv.reader(io.StringIO(listed.decode("utf-8-sig"))))
    assert [row[-1] for row in rows[1:]] == [row[-1].id for row in minutes(made).items.rows]
    told = document(made, "id")["minutes"]
    assert len(told["items"]["rows"]) < len(rows) - 1
    assert hashlib.sha256(listed).hexdigest() in told["items note"]["en"]
    assert {"report.json", "annex-c.csv", "annex-d.csv"} <= attached_files.keys()
