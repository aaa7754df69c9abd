"""``python -m tests.mutants [conditions [FILE…] | modules [PATTERN…] | again | score]``: try them all.

``conditions`` tries the hand-kept list, ``modules`` the mutants that mutmut makes of the pure modules and of
the engine's, ``again`` those of them that were not noticed last time, ``score`` only tells the last results.
Without a word: everything. Exit code 1 says that something was neither noticed nor excused.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.mutants.conditions import ROOT, listed, survivors
from tests.mutants.score import told

#: lower than anybody else's work
_NICE = 10


def modules(arguments: list[str]) -> None:
    """Make the mutants, and run the tests over them."""
    subprocess.run(
        [sys.executable, "tests/mutants/generate.py"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    command = [sys.executable, "-B", "-m", "tests.mutants.session", "results.json", *arguments]
    subprocess.run(command, cwd=ROOT / "mutants", check=False)


def main(word: str = "", *rest: str) -> int:
    """See the module."""
    os.nice(_NICE)
    alive = 0
    if word in {"", "conditions"}:
        conditions = [item for item in listed() if not rest or any(part in item.file for part in rest)]
        alive = len(survivors(conditions))
        print(f"conditions: {len(conditions)}, noticed {len(conditions) - alive}")
    if word in {"", "modules"}:
        modules([*rest] or ["*"])
    if word == "again":
        modules(["--alive"])
    return int(bool(alive or (word != "conditions" and told())))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
