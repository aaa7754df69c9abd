"""The score: mutants by module, how many were noticed, and how many ``excused.toml`` excuses, with why."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NOTICED = frozenset({"killed", "timeout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuse:
    """Why a mutant that no test notices is none that a test should notice.

    Args:
        function: with its module: ``core.guards._share``.
        was: the line that the mutant changes, without blanks at its ends.
        now: the line that it makes of it.
        why: in a sentence.
    """

    function: str
    was: str
    now: str
    why: str


def excuses(root: Path = ROOT) -> tuple[Excuse, ...]:
    """Every excuse."""
    text = (root / "tests/mutants/excused.toml").read_text(encoding="utf-8")
    return tuple(Excuse(**item) for item in tomllib.loads(text).get("excused", []))


def fault(excuse: Excuse, root: Path = ROOT) -> str | None:
    """Why an excuse excuses nothing; ``None`` if its line still stands in its module."""
    module = excuse.function.rpartition(".")[0]
    while module and not (path := root / "luxima_retention" / (module.replace(".", "/") + ".py")).is_file():
        module = module.rpartition(".")[0]
    if not module:
        return f"there is no module of {excuse.function}"
    lines = {line.strip() for line in path.read_text(encoding="utf-8").splitlines()}
    return None if excuse.was in lines else f"{excuse.was!r} stands nowhere in {excuse.function}"


def change(name: str) -> tuple[str, str, str]:
    """Function, line before and line after of a mutant that was generated."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    module, _, mangled = name.rpartition(".")
    diff = get_diff_for_mutant(name, path=Path(module.replace(".", "/") + ".py")).splitlines()[2:]
    was = " ".join(line[1:].strip() for line in diff if line.startswith("-"))
    now = " ".join(line[1:].strip() for line in diff if line.startswith("+"))
    function = mangled.rpartition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    return f"{module.removeprefix('luxima_retention.')}.{function}", was, now


def _by_module(results: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    names = [name.rpartition(".")[0] for name in results]
    for module in sorted(set(names)):
        yield module, {name: said for name, said in results.items() if name.rpartition(".")[0] == module}


def told(root: Path = ROOT) -> int:
    """Print the score of the last results, and every mutant that is neither noticed nor excused.

    Returns:
        How many of those there are.
    """
    results = json.loads((root / "mutants/results.json").read_text(encoding="utf-8"))
    reasons = {(item.function, item.was, item.now) for item in excuses(root)}
    print("| module | mutants | noticed | excused | alive | score |", "|---|---|---|---|---|---|", sep="\n")
    sums, left = [0, 0, 0, 0], []
    for module, found in _by_module(results):
        quiet = [name for name, said in found.items() if said not in _NOTICED]
        changes = {name: change(name) for name in quiet}
        alive = [name for name in quiet if changes[name] not in reasons]
        row = [len(found), len(found) - len(quiet), len(quiet) - len(alive), len(alive)]
        sums = [one + other for one, other in zip(sums, row, strict=True)]
        print(_row(module.removeprefix("luxima_retention."), row))
        left += [(name, found[name], changes[name]) for name in alive]
    print(_row("all", sums))
    for name, said, (function, was, now) in left:
        print(f"\n{said}: {name}\n  function = {function!r}\n  was = {was!r}\n  now = {now!r}")
    return len(left)


def _row(name: str, row: list[int]) -> str:
    mutants, noticed, excused, _ = row
    share = 100 * noticed / (mutants - excused) if mutants > excused else 100
    return f"| {name} | {' | '.join(map(str, row))} | {share:.1f} % |"
