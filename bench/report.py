"""What the report about one year of five policies costs, and one with 10,000 different exceptions.

    python bench/report.py [--repeat 5]

A ledger in a file holds a year of daily runs of every policy (1,825 runs: intent, batch, archive, end).
Measured apart: verifying it, computing the model from it, rendering each form; best of the repetitions.
The survey is not part of it: it costs what the stores cost.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from luxima_retention.evidence.ledger.checkpoint import verify
from luxima_retention.evidence.ledger.file import FileLedger
from luxima_retention.report.html import as_html
from luxima_retention.report.model import Report, build
from luxima_retention.report.pdf import as_pdf
from luxima_retention.report.plain import as_csv, as_json
from tests.unit.report_states import DAY, END, TERMS, History, late, ordinary, store, survey


def main() -> None:
    """Print a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as directory:
        ledger = _written(Path(directory) / "ledger.jsonl")
        report = _model(ledger)
        print(f"{len(report.runs)} runs, {report.entries} entries, verdict {report.verdict}")
        steps: dict[str, Callable[[], Any]] = {
            "verify": lambda: _verified(ledger, report.entries),
            "model": partial(_model, ledger),
            "html": partial(as_html, report, "id"),
            "pdf": partial(as_pdf, report, "id"),
            "json": partial(as_json, report),
            "csv": partial(as_csv, report),
        }
        total = sum(_measured(name, step, repeat) for name, step in steps.items())
        crowded = _crowded()
        print(f"{len(crowded.exceptions)} exceptions")
        for name, step in (("html", as_html), ("pdf", as_pdf)):
            _measured(name, partial(step, crowded, "id"), repeat)
    print(f"{'all':8} {total:7.2f} s")


def _written(path: Path) -> FileLedger:
    """The year, written without a sync for each entry."""
    history = History()
    ordinary(history, 365, END - 365 * DAY)
    path.write_bytes(b"".join(entry.data + b"\n" for entry in history.ledger.all))
    return FileLedger(path)


def _model(ledger: FileLedger) -> Report:
    found = survey(("audit-logs", store("audit-logs", age=181, expired=48_107)))
    start = END - 365 * DAY
    return build(ledger.entries(), found, start, END, late=late("audit-logs", 0), terms=TERMS)


def _crowded() -> Report:
    """A month in which each of 10,000 stores was refused."""
    history = History()
    for number in range(10_000):
        history.refused("audit-logs", END - DAY, 7, f"tenant_{number:05}.audit_log")
    return build(history.ledger.entries(), survey(), END - 30 * DAY, END, terms=TERMS)


def _verified(ledger: FileLedger, entries: int) -> None:
    found = verify(ledger, (), None).entries
    if found != entries:
        raise SystemExit(f"{found} entries were verified, not {entries}")


def _measured(name: str, step: Callable[[], Any], repeat: int) -> float:
    """The best time, in a process of its own, and the most memory that this process had, model included."""
    told = get_context("fork").SimpleQueue()
    child = get_context("fork").Process(target=_timed, args=(step, repeat, told.put))
    child.start()
    best, length, peak = told.get()
    child.join()
    size = f"   {length:,} long" if length else ""
    print(f"{name:8} {best:7.2f} s {peak:6.0f} MiB{size}")
    return float(best)


def _timed(step: Callable[[], Any], repeat: int, tell: Callable[[tuple[float, int, float]], None]) -> None:
    times, length = [], 0
    for _ in range(repeat):
        begun = time.perf_counter()
        made = step()
        times.append(time.perf_counter() - begun)
        length = len(made) if isinstance(made, str | bytes) else 0
    tell((min(times), length, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


if __name__ == "__main__":
    main()
