"""Each line of docs/threat-model.md names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
LINES = [
    line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| who", "|--"))
]
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


def test_each_line_names_a_test():
    assert len(LINES) >= 30
    assert [line for line in LINES if not re.search(r"`tests/[\w/]+\.py", line)] == []


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_the_test_is_there(file, name):
    tree = ast.parse((ROOT / file).read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in names if name else any(found.startswith("test_") for found in names)
