"""The report as HTML, in both languages and in every state."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from functools import cache
from html.parser import HTMLParser

import pytest

from luxima_retention.report.appendix import spans
from luxima_retention.report.exceptions import found
from luxima_retention.report.html import as_html
from luxima_retention.report.matrix_rows import rows
from luxima_retention.report.model import Verdict
from luxima_retention.report.plain import as_json
from luxima_retention.report.rules import RULES
from luxima_retention.report.texts import LIMITS, TEXTS
from tests.unit.report_states import (
    LONG,
    STATES,
    History,
    made,
    state_of,
    store,
    survey,
)

VOID = {"meta", "br", "rect", "line", "path", "circle", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """The tags of a page, checked for balance, and what each heading, caption and cell says."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.headings, self.text = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    def named(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(params=sorted(STATES))
def named(request):
    return request.param


@pytest.fixture
def state(named):
    return state_of(named)


@pytest.fixture(params=["id", "en"])
def lang(request):
    return request.param


@pytest.fixture
def text(named, lang):
    return html_of(named, lang)


@pytest.fixture
def page(named, lang):
    return page_of(named, lang)


@cache
def html_of(name, lang):
    return as_html(state_of(name), lang)


@cache
def page_of(name, lang):
    """Read once for all tests."""
    return Page(html_of(name, lang))


def test_every_text_is_there_in_both_languages_and_translated():
    for name, text in TEXTS.items():
        assert set(text) == {"id", "en"}, name
        assert all(text.values()), name
        assert text["id"] != text["en"], name
        assert len({tuple(sorted(re.findall(r"{\w+}", text[lang]))) for lang in text}) == 1, name
    assert all(limit["id"] != limit["en"] for limit in LIMITS)
    assert set(Verdict) <= set(TEXTS)
    assert {f"rule {rule.name}" for rule in RULES} <= set(TEXTS)


def test_the_page_is_well_formed_and_the_same_bytes_twice(state, lang, text, page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert text == as_html(state, lang)
    assert page.named("html") == [{"lang": lang}]


def test_nothing_is_loaded_and_nothing_runs(text, page):
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    assert not [
        name for _, attrs in page.tags for name in attrs if name in {"src", "href"} or name[:2] == "on"
    ]
    assert "@import" not in text


def test_it_can_be_read_by_ear(page):
    """Headings in order, captions, headings of rows and columns, names of images and regions."""
    assert page.headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert len(page.named("table")) == len(page.named("caption"))
    assert {attrs.get("scope") for attrs in page.named("th")} <= {"col", "row"}
    regions = [attrs for _, attrs in page.tags if attrs.get("role") == "region"]
    assert all(attrs["tabindex"] == "0" for attrs in regions)
    assert len({attrs["aria-label"] for attrs in regions}) == len(regions)
    for image in page.named("svg"):
        assert image.get("aria-hidden") == "true" or image["aria-labelledby"] in page.ids


def test_page_one_names_verdict_oldest_record_and_exceptions(state, lang, text):
    first = text[: text.index('<section class="apart wide">')]
    assert TEXTS[state.verdict][lang] in first
    assert all(row["oldest"] in first for row in state.stores if row["oldest"])
    assert first.count('<span class="weight">') == min(8, len(state.exceptions))
    assert state.ledger.command.split(" --key")[0] in first
    assert state.ledger.root in first


@pytest.mark.parametrize("lang", ["id"])
def test_figures_are_those_of_the_json(state, lang, page):
    told = json.loads(as_json(state))
    text = "".join(page.text)
    for name in ("destroyed", "overdue", "held"):
        figure = "-" if told[name] is None else f"{told[name]:,}".replace(",", ".")
        assert re.search(rf"{TEXTS[name][lang]}\s*{re.escape(figure)}(?![.\d])", text), name


def test_a_broken_ledger_is_an_alert_before_anything_else_and_what_it_says_is_no_markup():
    page = as_html(replace(state_of("all_good"), ledger_error="<b>entry 1</b>"), "en")
    assert page.index('role="alert"') < page.index("NOT COMPLIANT", page.index("<main>"))
    assert "&lt;b&gt;entry 1" in page
    assert "<b>" not in page


def test_a_name_is_shown_whole_and_is_no_markup():
    assert len(LONG) == 120
    page = html_of("long_names", "id")
    assert LONG in page
    assert "<b>" not in page


def test_times_are_shown_in_both_zones():
    told = '<span>2026-11-01 02:17 WIB</span> <span class="utc">(10-31 19:17 UTC)</span>'
    assert told in html_of("all_good", "id")


def test_what_somebody_destroyed_can_be_signed_for_at_the_end():
    page = html_of("all_good", "id")
    assert page.index("<h2>Lampiran</h2>") < page.index("<h2>Berita Acara Pemusnahan</h2>")


def test_a_sentence_of_the_program_is_marked_as_english():
    assert '<q lang="en">a real run would refuse' in html_of("first_day", "id")


def test_every_state_of_a_store_and_every_exception_has_its_words():
    for row in rows(survey(("audit-logs", store("audit-logs", age=200, expired=7))), None):
        assert f"state {row['state']}" in TEXTS
    told = found(rows(survey(unset=("metrics",)), None), (), (), ())
    assert [item["code"] for item in told] == ["not-configured"]


def test_neighbouring_entries_are_told_together():
    assert spans([9, 3, 7, 8]) == "3, 7-9"
    assert spans([]) == ""


def test_a_period_that_is_not_over_says_so():
    made = state_of("all_good")
    said = {lang: TEXTS["not over"][lang] for lang in ("id", "en")}
    for lang, sentence in said.items():
        assert sentence not in html_of("all_good", lang)
        assert sentence in as_html(replace(made, surveyed=made.end - timedelta(seconds=1)), lang)


def test_a_name_cannot_hide_or_turn_what_stands_beside_it():
    turned = store("audit-logs", "core.\u202eaudit\u200b", age=200, expired=5)
    page = as_html(made(History(), survey(("audit-logs", turned))), "id")
    assert "core.\\u{202e}audit\\u{200b}" in page
    assert not re.search("[\u200b\u202e]", page)


def test_a_sum_says_of_how_many_stores_nothing_is_known():
    assert "2 stores not known" in html_of("not_configured", "en")
    assert "stores not known" not in html_of("all_good", "en")
