"""A backlog of years in a table, drained by budgeted runs as CronJobs start them."""

from __future__ import annotations

import json
from typing import Any

from bench.measure import cost_of, ours
from bench.model import Aim, Benchmark, Figures, of
from bench.postgres import EXPIRED, Postgres, run_postgres

_ROWS, _BUDGET = 1_500_000, 5.0
#: runs: for a backlog that does not get smaller
_MOST = 100
_STOPPED = 7


def drained(postgres: Postgres, name: str, budget: float) -> dict[str, float]:
    """Run after run until one has nothing left to do: how many, how long in all, and the longest."""
    taken: list[float] = []
    memory = cpu = rows = 0.0
    code = _STOPPED
    while code == _STOPPED and len(taken) < _MOST:
        words = ours("run", "audit-logs", "--yes", "--max-runtime", f"{budget:g}s", "--output", "json")
        cost = cost_of(words, postgres.variables(name), codes=(0, _STOPPED))
        document: dict[str, Any] = json.loads(cost.stdout)
        done = document["policies"][0]["targets"][0]["done"]
        code, rows = document["exit_code"], rows + (done or {"destroyed": 0})["destroyed"]
        taken.append(cost.seconds)
        memory, cpu = max(memory, cost.memory), cpu + cost.cpu
    return {
        "seconds": sum(taken),
        "rows_per_s": rows / sum(taken),
        "command_runs": len(taken),
        "longest_s": max(taken),
        "cpu_s": cpu,
        "memory_mib": memory,
    }


def measure(figures: Figures) -> None:
    """Nine of ten rows have expired."""
    rows = figures.size(_ROWS)
    with run_postgres() as postgres:
        postgres.prepare("plain", rows, rows * 9 // 10)
        for _ in figures.rounds():
            with postgres.copy("plain") as name:
                found = drained(postgres, name, _BUDGET)
                with postgres.connect(name) as connection:
                    left = connection.execute(
                        f"SELECT count(*) FROM core.audit_log WHERE {EXPIRED}"
                    ).fetchone()
            figures.record("ours, as it comes", found | {"left": left[0] if left else rows})


BENCHMARKS = (
    Benchmark(
        name="drain",
        title="A backlog in a table",
        compares="Nine of ten rows of a million and a half have expired; runs with a budget of 5 s"
        " (`--max-runtime`) at the pace that settings have by default follow each other until one"
        " has nothing left to do.",
        measure=measure,
        minutes=4,
        aims=(Aim(says="Nothing is left", measured=of("left", "ours, as it comes"), most=0, unit="rows"),),
    ),
)
