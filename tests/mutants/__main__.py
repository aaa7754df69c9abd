"""``python -m tests.mutants [conditions [PART…] | modules [MODULE…] | again [MODULE…] | score]``.

``conditions`` tries the hand-kept list, or what has a part in its file or test, ``modules`` the mutants that
mutmut makes of the pure modules and of the engine's, ``again`` those of them that were not noticed last time,
``score`` only tells the last results. Without a word: everything. Exit code 1 says that something was neither
noticed nor excused.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.mutants.conditions import ROOT, listed, survivors
from tests.mutants.score import told

#: lower than anybody else's work
_NICE = 10


def modules(chosen: list[str], *more: str) -> None:
    """Make the mutants, and run the tests of each module over its own."""
    os.nice(_NICE)
    generate = [sys.executable, "tests/mutants/generate.py"]
    subprocess.run(generate, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    source = ROOT / "mutants/luxima_retention"
    for path in sorted(source.rglob("*.py.meta")):
        module = str(path.relative_to(source)).removesuffix(".py.meta")
        if not chosen or module in chosen:
            command = [sys.executable, "-B", "-m", "tests.mutants.session", "results.json", module, *more]
            subprocess.run(command, cwd=ROOT / "mutants", check=False)


def main(word: str = "", *rest: str) -> int:
    """See the module."""
    alive = 0
    if word in {"", "conditions"}:
        conditions = [
            item for item in listed() if not rest or any(part in f"{item.file} {item.test}" for part in rest)
        ]
        alive = len(survivors(conditions))
        print(f"conditions: {len(conditions)}, noticed {len(conditions) - alive}")
    if word in {"", "modules"}:
        modules([*rest])
    if word == "again":
        modules([*rest], "--again")
    return int(bool(alive or (word != "conditions" and told())))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
