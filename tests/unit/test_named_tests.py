"""Each line of the pages that promise something by a test names one that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import sources

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / "docs" / name).read_text() for name in ("threat-model.md", "reliability.md")}
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
NAMED = sorted({found for text in PAGES.values() for found in _TEST.findall(text)})


@pytest.mark.parametrize("name", PAGES)
def test_each_line_names_a_test(name):
    lines = [line for line in PAGES[name].splitlines() if line.startswith("| ")]
    promised = [line for line in lines if not line.startswith(("| who |", "| fault |"))]
    assert len(promised) >= 30
    assert [line for line in promised if not _TEST.search(line)] == []


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_test_is_there(file, name):
    names = {node.name for node in sources.functions(ROOT / file)}
    assert name in names if name else any(found.startswith("test_") for found in names)
