"""How long a person waits for the command."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.measure import cost_of, ours
from bench.model import Aim, Benchmark, Figures, of
from bench.postgres import run_postgres

_ROWS, _TIMES = 1_000, 3
_HELP, _MATRIX, _DRY = "--help", "matrix", "run audit-logs --dry-run"


def measure(figures: Figures) -> None:
    """Several starts for each run, since one takes so little; the first one of all warms the caches."""
    with run_postgres() as postgres, tempfile.TemporaryDirectory() as home:
        postgres.prepare("small", _ROWS, _ROWS // 2)
        variables = postgres.variables("small")
        commands = {
            "python -c pass": ([sys.executable, "-c", "pass"], {}),
            _HELP: (ours("--help"), {}),
            _MATRIX: (ours("matrix"), {}),
            _DRY: (ours("run", "audit-logs", "--dry-run"), variables),
            "ledger list": (
                ours("ledger", "list"),
                {"LUXIMA_LEDGER__PATH": str(Path(home) / "ledger.jsonl")},
            ),
        }
        for words, more in commands.values():
            cost_of(words, more)
        for _ in figures.rounds():
            for case, (words, more) in [*commands.items()] * _TIMES:
                cost = cost_of(words, more)
                took = {"milliseconds": cost.seconds * 1000, "cpu_s": cost.cpu, "memory_mib": cost.memory}
                figures.record(case, took)


def _aim(case: str, most: float) -> Aim:
    return Aim(
        says=f"`{case}` in at most {most:g} ms",
        measured=of("milliseconds", case),
        most=most,
        unit="ms",
        why="by `-X importtime`, reading the policies' settings with pydantic is 92 ms of it, psycopg 62 ms",
    )


BENCHMARKS = (
    Benchmark(
        name="start",
        title="Starting the command",
        compares="The installed command, caches warm, three times in each run; the dry run counts a table"
        " of 1,000 rows. `python -c pass` is what nothing at all takes.",
        measure=measure,
        minutes=1.5,
        headline="milliseconds",
        aims=(_aim(_HELP, 60), _aim(_MATRIX, 250), _aim(_DRY, 400)),
    ),
)
