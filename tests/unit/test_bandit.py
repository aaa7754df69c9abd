"""What bandit finds in the code has its reason beside it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: importing subprocess, and starting a program with a list of words; see S603 in pyproject.toml
STARTING_PROGRAMS = "B404,B603"


def test_what_bandit_finds_has_its_reason_beside_it():
    """Ruff has the same rules; a line that it passes over says why, and bandit finds nothing elsewhere."""
    words = ["bandit", "--quiet", "--format", "json", "--skip", STARTING_PROGRAMS, "--recursive"]
    done = subprocess.run(
        [sys.executable, "-m", *words, "luxima_retention", "jobs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    report = json.loads(done.stdout)
    assert report["errors"] == []
    assert report["metrics"]["_totals"]["loc"] > 10_000
    found = report["results"]
    # Were bandit to find nothing at all, it would not have looked.
    assert found
    for item in found:
        line = (ROOT / item["filename"]).read_text().splitlines()[item["line_number"] - 1]
        rule = item["test_id"].replace("B", "S", 1)
        assert re.search(rf"# noqa: (\w+, )*{rule}(, \w+)* - \S", line), f"{item['filename']}: {line.strip()}"
