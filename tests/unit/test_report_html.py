"""The report as HTML, in both languages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from luxima_retention.report.html import as_html
from luxima_retention.report.model import Report, Verdict
from luxima_retention.report.texts import TEXTS

START = datetime(2026, 1, 1, tzinfo=UTC)
EMPTY = Report(
    start=START, end=START, surveyed=START, ledger_error=None, entries=0, stores=(), runs=(), exceptions=()
)


def test_every_text_is_there_in_both_languages():
    assert all(set(text) == {"id", "en"} and all(text.values()) for text in TEXTS.values())
    assert set(Verdict) <= set(TEXTS)


@pytest.mark.parametrize(("lang", "verdict"), [("id", "BELUM ADA DATA"), ("en", "NOTHING YET")])
def test_the_first_day_has_its_page_in_each_language_and_the_same_bytes_twice(lang, verdict):
    assert verdict in as_html(EMPTY, lang)
    assert as_html(EMPTY, lang) == as_html(EMPTY, lang)


def test_a_broken_ledger_is_an_alert_and_what_it_says_is_no_markup():
    values = {name: getattr(EMPTY, name) for name in EMPTY.__slots__}
    page = as_html(Report(**{**values, "ledger_error": "<b>entry 1</b>"}), "en")
    assert 'role="alert"' in page
    assert "<b>" not in page
