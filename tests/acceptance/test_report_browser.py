"""The HTML report in a real browser: on a desk, on a phone, on paper, and by axe-core."""

from __future__ import annotations

import re
from functools import cache, partial

import pytest
from axe_playwright_python.sync_playwright import Axe
from pypdf import PdfReader

from luxima_retention.report.html import as_html
from luxima_retention.report.texts import TEXTS
from tests.unit.report_states import STATES, state_of

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


#: Each test of a state, before the next state: its page is then there already.
each_state = partial(pytest.mark.parametrize, "state", scope="module")
#: What two rows of a table must share to look the same: tags, classes, and where there is any text.
ALIKE = """document.querySelectorAll('tbody').forEach(body => {
  const seen = new Set()
  for (const row of [...body.rows]) {
    const copy = row.cloneNode(true)
    for (const each of copy.querySelectorAll('*')) {
      for (const name of ['id', 'href', 'datetime', 'aria-labelledby', 'x', 'width', 'x1', 'x2'])
        each.removeAttribute(name)
      for (const node of each.childNodes) if (node.nodeType === 3 && node.data.trim()) node.data = '.'
    }
    if (seen.has(copy.outerHTML)) row.remove()
    seen.add(copy.outerHTML)
  }
})"""
APPENDIX = (
    "document.querySelectorAll('section tbody').forEach(b => [...b.rows].slice(5).forEach(r => r.remove()))"
)


@pytest.fixture(scope="module")
def tab(browser):
    """Without a network: whatever the page asked for would fail, and be told."""
    with browser.new_context(offline=True) as context:
        tab = context.new_page()
        tab.on("request", lambda request: tab.asked.append(request.url))
        yield tab


@pytest.fixture
def page(tab):
    tab.asked = []
    return tab


def shown(page, state, lang="id", size=DESK):
    """The page of a state, as it was made; loaded unless it is there."""
    page.set_viewport_size(size)
    if page.evaluate("window.shown") != f"{state} {lang}":
        page.set_content(html_of(state, lang))
        page.evaluate(f"window.shown = '{state} {lang}'")
    return page


def changed(page, script):
    """With something less in it."""
    page.evaluate(f"window.shown = ''; {script}")
    return page


@cache
def html_of(state, lang):
    return as_html(state_of(state), lang)


def complaints(page):
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]]


def bottom(page, text):
    """Where on the page an element that holds the text ends, in CSS pixels."""
    box = page.get_by_text(text, exact=False).first.bounding_box()
    return box["y"] + box["height"]


@each_state(sorted(STATES))
def test_axe_finds_nothing_to_complain_about_on_a_phone(page, state):
    """Nor does it with rows that look like one before them, of which it would look at every cell."""
    assert complaints(changed(shown(page, state, size=PHONE), ALIKE)) == []
    assert page.asked == []


@each_state(["with_exceptions", "ten_tables"])
def test_axe_finds_nothing_to_complain_about_on_a_desk(page, state):
    assert complaints(changed(shown(page, state), ALIKE)) == []
    assert page.asked == []


def test_axe_would_complain(page):
    page.set_content("<html><body><p style='color:#999'>grey</p></body></html>")
    page.evaluate("window.shown = ''")
    assert {"color-contrast", "html-has-lang"} <= {name for name, _ in complaints(page)}


@pytest.mark.parametrize("lang", ["id", "en"])
@each_state(sorted(STATES))
def test_on_a_phone_nothing_but_tables_of_the_appendix_is_wider_than_the_screen(page, state, lang):
    shown(page, state, lang, PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@each_state(["all_good", "with_exceptions", "not_compliant", "broken"])
def test_on_a_phone_verdict_oldest_record_and_first_exception_are_on_the_first_screens(page, state):
    made = state_of(state)
    shown(page, state, "en", PHONE)
    assert bottom(page, TEXTS[made.verdict]["en"]) < PHONE["height"]
    assert bottom(page, "Oldest record against its limit") < PHONE["height"]
    first = made.exceptions[0]["policy"] if made.exceptions else TEXTS["no exceptions"]["en"]
    assert bottom(page, first) < 2 * PHONE["height"]


@each_state(sorted(STATES))
def test_page_one_holds_verdict_matrix_exceptions_and_ledger_on_paper(page, state, tmp_path):
    changed(shown(page, state, "en"), APPENDIX)
    page.pdf(path=tmp_path / "printed.pdf", prefer_css_page_size=True)
    first, second = (each.extract_text() for each in PdfReader(tmp_path / "printed.pdf").pages[:2])
    made = state_of(state)
    for words in (TEXTS[made.verdict]["en"], "Exceptions", "Retention matrix", "Verify it yourself with"):
        assert words in first
    assert re.match(r"\s*Appendix", second)
