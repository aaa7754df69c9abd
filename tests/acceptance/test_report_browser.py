"""The HTML report in a real browser: on a desk, on a phone, on paper, and by axe-core."""

from __future__ import annotations

import re
from functools import cache

import pytest
from axe_playwright_python.sync_playwright import Axe
from pypdf import PdfReader

from luxima_retention.report.html import as_html
from luxima_retention.report.texts import TEXTS
from tests.unit.report_states import STATES, state_of

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def context(browser):
    """Without a network: whatever the page asked for would fail, and be told."""
    with browser.new_context(offline=True) as context:
        yield context


@pytest.fixture
def page(context):
    page = context.new_page()
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    page.close()


def shown(page, state, lang="id", size=DESK):
    page.set_viewport_size(size)
    page.set_content(html_of(state, lang))
    return page


@cache
def html_of(state, lang):
    return as_html(state_of(state), lang)


def shortened(page):
    """Without the rows of each table that are like those before, since axe looks at every cell."""
    page.evaluate(
        "document.querySelectorAll('tbody').forEach(b => [...b.rows].slice(5).forEach(r => r.remove()))"
    )
    return page


def complaints(page):
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response
    return [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]]


def bottom(page, text):
    """Where on the page an element that holds the text ends, in CSS pixels."""
    box = page.get_by_text(text, exact=False).first.bounding_box()
    return box["y"] + box["height"]


@pytest.mark.parametrize(
    ("state", "size"),
    [
        *(pytest.param(state, PHONE, id=f"{state}-phone") for state in sorted(STATES)),
        *(pytest.param(state, DESK, id=f"{state}-desk") for state in ("with_exceptions", "ten_tables")),
    ],
)
def test_axe_finds_nothing_to_complain_about(page, state, size):
    assert complaints(shortened(shown(page, state, size=size))) == []
    assert page.asked == []


def test_axe_would_complain(page):
    page.set_content("<html><body><p style='color:#999'>grey</p></body></html>")
    assert {"color-contrast", "html-has-lang"} <= {name for name, _ in complaints(page)}


@pytest.mark.parametrize("lang", ["id", "en"])
@pytest.mark.parametrize("state", sorted(STATES))
def test_on_a_phone_nothing_but_tables_of_the_appendix_is_wider_than_the_screen(page, state, lang):
    shown(page, state, lang, PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize("state", ["all_good", "with_exceptions", "not_compliant", "broken"])
def test_on_a_phone_verdict_oldest_record_and_first_exception_are_on_the_first_screens(page, state):
    made = state_of(state)
    shown(page, state, "en", PHONE)
    assert bottom(page, TEXTS[made.verdict]["en"]) < PHONE["height"]
    assert bottom(page, "Oldest record against its limit") < PHONE["height"]
    first = made.exceptions[0]["policy"] if made.exceptions else TEXTS["no exceptions"]["en"]
    assert bottom(page, first) < 2 * PHONE["height"]


@pytest.mark.parametrize("state", sorted(STATES))
def test_page_one_holds_verdict_matrix_exceptions_and_ledger_on_paper(page, state, tmp_path):
    shown(page, state, "en")
    page.pdf(path=tmp_path / "printed.pdf", prefer_css_page_size=True)
    first, second = (each.extract_text() for each in PdfReader(tmp_path / "printed.pdf").pages[:2])
    made = state_of(state)
    for words in (TEXTS[made.verdict]["en"], "Exceptions", "Retention matrix", "Verify it yourself with"):
        assert words in first
    assert re.match(r"\s*Appendix", second)
