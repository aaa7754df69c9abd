"""What a benchmark is, and the figures that it leaves in a file.

A benchmark is declared once: what it compares, how it measures, what it aims at. Its figures are JSON, and
the page is made of that JSON alone, so that one part can be measured again without the others.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: of the JSON; raised when a member changes its meaning
VERSION = 1
QUICK = 0.005


class NotMeasuredError(LookupError):
    """A figure that nobody has measured: its case failed, or its program is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case at one size.

    Attributes:
        case: the way that was measured.
        axis: what grows, ``stored`` or ``expired``; empty where nothing does.
        size: how much of it.
        runs: metric → value of each run.
    """

    case: str
    axis: str = ""
    size: int = 0
    runs: list[dict[str, float]] = field(default_factory=list)

    def values(self, metric: str) -> list[float]:
        """Of all runs that measured it."""
        return [run[metric] for run in self.runs if metric in run]

    def median(self, metric: str) -> float:
        """Of all runs; raises :class:`NotMeasuredError` where none measured it."""
        if not (values := self.values(metric)):
            raise NotMeasuredError(f"{metric} of {self.case!r} was not measured")
        return statistics.median(values)


@dataclass(kw_only=True)
class Figures:
    """What one benchmark has measured; written after each run, so that nothing is lost by a kill.

    Attributes:
        name: of the benchmark.
        path: of the JSON file.
        runs: how many runs each median is of.
        scale: part of the usual sizes.
        began: when.
        seconds: that it took, preparations included.
        machine: facts about it, by name.
        versions: of programs, by name.
        notes: what a reader should know, such as a program that was not there.
        error: why it ended early; empty if it did not.
        deadline: of the monotonic clock: no round begins that would end later.
    """

    name: str
    path: Path
    runs: int = 5
    scale: float = 1.0
    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    seconds: float = 0.0
    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    rows: list[Row] = field(default_factory=list)
    deadline: float = field(default=math.inf, compare=False)

    def rounds(self) -> Iterator[int]:
        """Numbers of rounds: at least one, and no more than time allows, which the page then tells."""
        longest = 0.0
        for number in range(self.runs):
            start = time.monotonic()
            if number and start + longest > self.deadline:
                self.note(f"{number} of {self.runs} rounds were measured: the time was up.")
                return
            yield number
            longest = max(longest, time.monotonic() - start)

    def record(self, case: str, values: Mapping[str, float], *, axis: str = "", size: int = 0) -> None:
        """Keep the figures of one run, on disk too."""
        row = self.find(case, axis, size)
        if row is None:
            row = Row(case=case, axis=axis, size=size)
            self.rows.append(row)
        row.runs.append({name: round(value, 4) for name, value in values.items()})
        self.write()
        where = f" {axis} {size:,}" if axis else ""
        told = "  ".join(f"{name} {value:,.2f}" for name, value in values.items())
        print(f"{self.name}: {case}{where}: {told}", flush=True)

    def find(self, case: str, axis: str = "", size: int = 0) -> Row | None:
        """The row of a case, or ``None``."""
        wanted = (case, axis, size)
        return next((row for row in self.rows if (row.case, row.axis, row.size) == wanted), None)

    def median(self, case: str, metric: str) -> float:
        """Of a case where nothing grows; raises :class:`NotMeasuredError`."""
        if (row := self.find(case)) is None:
            raise NotMeasuredError(f"{case!r} was not measured")
        return row.median(metric)

    def note(self, sentence: str) -> None:
        """Tell the reader, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            self.write()

    def size(self, usual: int, least: int = 1) -> int:
        """So many records or files, by the scale of this run."""
        return max(int(usual * self.scale), least)

    def write(self) -> None:
        """At once whole."""
        document = {"version": VERSION, **asdict(self)}
        del document["path"], document["deadline"]
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(document, indent=1) + "\n")
        new.replace(self.path)


def read(path: Path) -> Figures:
    """The figures of a file; ValueError where another version wrote them."""
    document: dict[str, Any] = json.loads(path.read_text())
    if (version := document.pop("version", None)) != VERSION:
        raise ValueError(f"{path} has version {version}, not {VERSION}: measure again")
    rows = [Row(**row) for row in document.pop("rows")]
    return Figures(**document, path=path, rows=rows)


Measured = Callable[[Figures], float]


def of(metric: str, case: str) -> Measured:
    """The median of a case."""
    return lambda figures: figures.median(case, metric)


def ratio(metric: str, case: str, reference: str) -> Measured:
    """The median of a case, divided by that of another one."""
    return lambda figures: figures.median(case, metric) / figures.median(reference, metric)


def spread(metric: str, axis: str) -> Measured:
    """The largest median of all sizes of an axis, divided by the smallest."""

    def measured(figures: Figures) -> float:
        medians = [row.median(metric) for row in figures.rows if row.axis == axis]
        if not medians:
            raise NotMeasuredError(f"{metric} was not measured at any size")
        return max(medians) / min(medians)

    return measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What should come out.

    Attributes:
        says: the aim in words.
        measured: the figure, of the medians.
        least: it must be at least this.
        most: it may be at most this.
        unit: of the figure.
        why: the reason where it is not met; shown only then.
    """

    says: str
    measured: Measured
    least: float | None = None
    most: float | None = None
    unit: str = "×"
    why: str = ""

    def met(self, figure: float) -> bool:
        """Whether a figure is within the bounds."""
        above = self.least is None or figure >= self.least
        return above and (self.most is None or figure <= self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A declaration.

    Attributes:
        name: on the command line, and of its files.
        title: on the page.
        compares: what with what, in sentences.
        measure: measures every case once in each of ``figures.rounds()``, so that a noisy minute hits all.
        minutes: that it may take; no round begins that would end later, and after twice as long it is ended.
        headline: the metric of the last column.
        reference: the case that the last column divides by, or what it ends with; empty has no such column.
        aims: of the issue.
        plots: what grows, by axis: ``stored``, ``expired``; in the file NAME.svg.
        things: what grows there: rows, chunks.
        usual: whether ``make bench`` runs it.
    """

    name: str
    title: str
    compares: str
    measure: Callable[[Figures], None]
    minutes: float
    headline: str = "seconds"
    reference: str = ""
    aims: tuple[Aim, ...] = ()
    plots: tuple[str, ...] = ()
    things: str = "records"
    usual: bool = True
