"""Rotation beside logrotate: like beside like, on the same lines, one after the other in the same minute.

    python bench/rotate.py [--mib 1024] [--repeat 3] [--only one|small|directories]

Both rename each log of realistic lines, make it again, and compress what it became with zstd, with gzip, or
not at all: Debian's logrotate with those programs, this suite with its own codecs at the same levels. Three
cases: one large log, 10,000 small ones in one directory, 1,000 directories of one log each. Each figure is a
median; CPU is user and system time with all children; memory is the largest process of a run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.servers.programs import find_program

_MIB = 1 << 20
_SMALL, _SMALL_BYTES = 10_000, 2_000
_DIRECTORIES, _DIRECTORY_BYTES = 1_000, 20_000
_CODECS = ("zstd", "gzip", "none")
_PROGRAMS = {
    "zstd": " compress\n compresscmd /usr/bin/zstd\n compressext .zst\n compressoptions -3\n",
    "gzip": " compress\n compresscmd /usr/bin/gzip\n compressoptions -6\n",
    "none": "",
}


def lines(mib: int, path: Path) -> None:
    """Access and application lines with identifiers that do not repeat, as services write them."""
    dice = random.Random(5)
    with path.open("wb") as file:
        while file.tell() < mib * _MIB:
            file.write("".join(_line(dice) for _ in range(20_000)).encode())
        file.truncate(mib * _MIB)


def _line(dice: random.Random) -> str:
    second = dice.randrange(86_400)
    at = f"2026-11-22T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{dice.randrange(1000):03}Z"
    route = dice.choice(["/api/v1/invoices", "/api/v1/users", "/healthz", "/api/v1/reports/export"])
    trace = f"{dice.getrandbits(128):032x}"
    level = dice.choices(["info", "warn", "error"], [90, 8, 2])[0]
    return (
        f"{at} level={level} tenant=t{dice.randrange(400)} method=GET"
        f' path="{route}/{dice.randrange(10**6)}"'
        f" status={dice.choice([200, 200, 200, 404, 500])} duration_ms={dice.randrange(4000)}"
        f' trace_id={trace} msg="request completed"\n'
    )


def logrotate(home: Path, pattern: str, codec: str) -> list[str]:
    """Debian's, with the program of the codec."""
    config = home / "logrotate.conf"
    config.write_text(f"{pattern} {{\n daily\n rotate 9\n create\n{_PROGRAMS[codec]}}}\n")
    config.chmod(0o644)
    return [find_program("logrotate"), "-f", "-s", str(home / "state"), str(config)]


def ours(home: Path, pattern: str, codec: str) -> list[str]:
    """This suite."""
    chosen = {"paths": [pattern], "compress": codec, "delay_compress": False, "keep": 9, "dated": False}
    os.environ["LUXIMA_ROTATION__SETS"] = json.dumps({"bench": chosen})
    os.environ["LUXIMA_ROTATION__STATE_DIR"] = str(home / "own")
    quiet = ["--log-level", "warning"]  # as logrotate without -v, and as cron/logrotate starts it
    return [sys.executable, "-m", "luxima_retention", *quiet, "run", "log-files", "--rotate-now"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run: seconds, seconds of CPU, bytes of memory, bytes of what is left."""

    seconds: float
    cpu: float
    memory: int
    size: int


def measured(command: list[str]) -> tuple[float, float, int]:
    """Seconds, seconds of CPU, and the largest resident size in bytes."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {status}")
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def tried(make: Callable[[Path, str, str], list[str]], fill: Callable[[Path], str], codec: str) -> Figures:
    """One run over a fresh directory."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        pattern = fill(home)
        os.sync()
        seconds, cpu, memory = measured(make(home, pattern, codec))
        size = sum(path.stat().st_size for path in home.glob("logs*/**/*.log?*"))
        return Figures(seconds, cpu, memory, size)


def median(runs: list[Figures]) -> Figures:
    """Of each figure; of memory the largest."""
    return Figures(
        statistics.median(run.seconds for run in runs),
        statistics.median(run.cpu for run in runs),
        max(run.memory for run in runs),
        runs[0].size,
    )


def main() -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", choices=["one", "small", "directories"])
    parser.add_argument("--codec", choices=_CODECS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        source = Path(home) / "lines"
        lines(chosen.mib if chosen.only in {None, "one"} else 32, source)

        def one(directory: Path) -> str:
            (directory / "logs").mkdir()
            shutil.copyfile(source, directory / "logs" / "app.log")
            return f"{directory}/logs/*.log"

        def small(directory: Path) -> str:
            (directory / "logs").mkdir()
            with source.open("rb") as file:
                for number in range(_SMALL):
                    (directory / "logs" / f"{number}.log").write_bytes(file.read(_SMALL_BYTES))
            return f"{directory}/logs/*.log"

        def directories(directory: Path) -> str:
            with source.open("rb") as file:
                for number in range(_DIRECTORIES):
                    (directory / "logs" / str(number)).mkdir(parents=True)
                    path = directory / "logs" / str(number) / "app.log"
                    path.write_bytes(file.read(_DIRECTORY_BYTES))
            return f"{directory}/logs/*/*.log"

        for case, title, fill in (
            ("one", f"one log of {chosen.mib} MiB", one),
            ("small", f"{_SMALL:,} logs of {_SMALL_BYTES} bytes", small),
            (
                "directories",
                f"{_DIRECTORIES:,} directories with a log of {_DIRECTORY_BYTES} bytes",
                directories,
            ),
        ):
            if chosen.only in {None, case}:
                _table(title, fill, [chosen.codec] if chosen.codec else _CODECS, chosen.repeat)


def _table(title: str, fill: Callable[[Path], str], codecs: Sequence[str], repeat: int) -> None:
    print(f"\n{title}")
    print(f"{'':6}{'logrotate s':>12}{'CPU s':>7}{'ours s':>9}{'CPU s':>7}", end="")
    print(f"{'speed':>8}{'CPU':>7}{'size':>7}{'MiB':>6}")
    for codec in codecs:
        theirs, mine = [], []
        for _ in range(repeat):
            theirs.append(tried(logrotate, fill, codec))
            mine.append(tried(ours, fill, codec))
        one, two = median(theirs), median(mine)
        print(
            f"{codec:6}{one.seconds:12.2f}{one.cpu:7.2f}{two.seconds:9.2f}{two.cpu:7.2f}"
            f"{one.seconds / two.seconds:8.2f}"
            f"{two.cpu / one.cpu:7.2f}{two.size / max(one.size, 1):7.2f}{two.memory / _MIB:6.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
