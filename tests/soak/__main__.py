"""Play nights and print the worst of each: `python -m tests.soak --days 30 --seed 7`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import repeat
from pathlib import Path
from random import Random

from tests.soak.faults import drawn
from tests.soak.world import play, world


def main() -> int:
    """Exit with 1 when anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random = Random(given.seed)  # noqa: S311 - repeatable, not secret
    with tempfile.TemporaryDirectory() as directory, world(Path(directory)) as found:
        play(found, given.days, (drawn(random) for _ in repeat(None)))
    print(f"{given.days} nights, seed {given.seed}")
    print("faults: " + ", ".join(f"{name} {count}" for name, count in sorted(found.faults.items())))
    print("runs ended with: " + ", ".join(f"{code}: {count}" for code, count in sorted(found.codes.items())))
    print(f"most days that anything due was left after a night: {found.overdue_days}")
    print("\n".join(found.problems) or "nothing young or held was gone, nothing due was left")
    return int(bool(found.problems))


if __name__ == "__main__":
    sys.exit(main())
