"""What reads foreign input answers anything with a value or a sentence; see ``tests/fuzz``."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from tests.conftest import LONG
from tests.fuzz.mutate import mutants
from tests.fuzz.targets import check_answer, targets

#: input that once ended with a traceback; `<DEEP>` is nested beyond any reader, `<DIGITS>` a
#: number beyond what Python reads
FOUND = json.loads((Path(__file__).parents[1] / "fuzz" / "found.json").read_text())
CHANGES = 15 if LONG else 8


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    monkeypatch.setenv("LUXIMA_FUZZ_DIR", str(tmp_path))


@pytest.mark.parametrize("name", targets())
def test_good_input_is_taken(name):
    """Else every change of it would be refused at its first byte, and nothing would be tried."""
    target = targets()[name]
    taken = [seed for seed in target.seeds() if not check_answer(target, seed)]
    assert taken


@pytest.mark.parametrize("name", targets())
def test_changed_input_is_taken_or_refused(name):
    target, random = targets()[name], Random(name)  # noqa: S311 - repeatable, not secret
    for _ in range(CHANGES):
        check_answer(target, mutants(target.seeds(), random))


@pytest.mark.parametrize(("name", "text"), FOUND)
def test_what_was_found_stays_mended(name, text):
    given = text.replace("<DEEP>", "[" * 20_000).replace("<DIGITS>", "9" * 5000)
    check_answer(targets()[name], given.encode())
