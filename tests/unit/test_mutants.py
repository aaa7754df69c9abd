"""The list of conditions that a test must notice stays one: each text is there, once, and so is its test.

And conditions of SQL templates that are cheaper to read than to run.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from luxima_retention.io.sqlfiles import load
from luxima_retention.stores.logfiles.rules import surplus
from luxima_retention.stores.table.sql import _within
from tests.mutants import conditions, score

LISTED, EXCUSED = conditions.listed(), score.excuses()
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_there_are_enough_of_them():
    assert len(LISTED) >= 40
    assert len({(item.file, item.was, item.now) for item in LISTED}) == len(LISTED)


@pytest.mark.parametrize("condition", LISTED, ids=lambda item: item.about)
def test_a_condition_can_still_be_changed_as_it_is_listed(condition):
    assert conditions.fault(condition) is None


def test_a_condition_that_is_gone_is_told(tmp_path):
    first = LISTED[0]
    assert conditions.fault(first, tmp_path) == f"{first.file} is not there"


@pytest.mark.parametrize("excuse", EXCUSED, ids=lambda item: item.function)
def test_an_excuse_still_has_its_line_and_a_reason(excuse):
    assert score.fault(excuse) is None
    assert len(excuse.why.split()) > 3


@pytest.mark.parametrize("template", ["prune_keyset", "prune_tid_range"])
def test_every_deletion_names_every_condition(template):
    """Past the cutoff, free of holds, needed by no other table: no deletion without all three."""
    deletions = re.findall(r"DELETE FROM.*?;", load(f"templates/{template}.sql"), re.DOTALL)
    assert len(deletions) == {"prune_keyset": 2, "prune_tid_range": 4}[template]
    for deletion in deletions:
        for condition in ("{past}", "{free}", "{unreferenced}"):
            assert f"{condition}" in deletion, deletion
        bounded = ("{after}", "{upto}") if template == "prune_keyset" else ("t.ctid",)
        assert all(condition in deletion for condition in bounded), deletion
        assert " OR " not in deletion


def test_a_held_range_begins_with_its_start_and_ends_before_its_end():
    from psycopg import sql

    assert _within(sql.SQL("x")).as_string(None) == (
        "(h.start_at IS NULL OR x >= h.start_at) AND (h.end_at IS NULL OR x < h.end_at)"
    )


def test_a_file_dated_in_the_future_neither_goes_nor_counts():
    files = [SimpleNamespace(rank=rank, modified=NOW - timedelta(days=900)) for rank in (-1, 0, 1)]
    going = surplus(files, keep=1, max_age=None, now=NOW)
    assert [file.rank for file, _ in going] == [1]
    assert [file.rank for file, _ in surplus(files, keep=None, max_age=timedelta(7), now=NOW)] == [0, 1]
