"""Runs benchmarks one after the other, each in a process of its own that is ended after its time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType

from bench import machine
from bench.measure import ROOT
from bench.model import Benchmark, Figures, read

#: seconds that it has to stop its servers
_STOPPING = 30


class EndedError(BaseException):
    """SIGTERM: servers are stopped on the way out."""


def run(benchmark: Benchmark, path: Path, *, runs: int, scale: float) -> Figures:
    """Measure one in its own process; whatever happens to it, its figures say so."""
    # Short, because of UNIX sockets; open, because PostgreSQL does not run as root.
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    scratch.chmod(0o755)
    path.parent.mkdir(parents=True, exist_ok=True)
    words = ["--inside", str(path), "--runs", str(runs), "--size", str(scale), benchmark.name]
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-m", "bench", *words],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(scratch)},
        start_new_session=True,
    )
    said = ""
    try:
        code = process.wait(2 * benchmark.minutes * 60)
        said = f"its process ended with {code}" if code else ""
    except subprocess.TimeoutExpired:
        said = f"it was ended after {2 * benchmark.minutes:g} minutes"
    finally:
        _end(process)
        shutil.rmtree(scratch, ignore_errors=True)
    return _told(benchmark, path, said)


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it has started and not stopped."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOPPING)
        except subprocess.TimeoutExpired:
            process.kill()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # nothing of it is left
    finally:
        process.wait()


def _told(benchmark: Benchmark, path: Path, said: str) -> Figures:
    figures = read(path) if path.exists() else Figures(name=benchmark.name, path=path)
    if said and (not figures.error or "minutes" in said):
        figures.error = said
        figures.write()
    return figures


def measure(benchmark: Benchmark, path: Path, *, runs: int, scale: float) -> bool:
    """Inside the process: whether it came to its end."""
    path.unlink(missing_ok=True)
    figures = Figures(name=benchmark.name, path=path, runs=runs, scale=scale)
    begun = time.monotonic()
    figures.deadline = begun + benchmark.minutes * 60
    try:
        figures.machine, figures.versions = machine.facts(), machine.versions()
        benchmark.measure(figures)
    except EndedError:
        figures.error = "it was ended"
    except Exception as error:  # noqa: BLE001 - whatever it is, the page tells it, and the others go on
        traceback.print_exc()
        figures.error = f"{type(error).__name__}: {error}".strip()
    figures.seconds = round(time.monotonic() - begun, 1)
    figures.write()
    return not figures.error


def ended(_number: int, _frame: FrameType | None) -> None:
    """Of SIGTERM."""
    raise EndedError
