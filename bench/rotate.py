"""Rotation beside logrotate, on the same log lines in the same run.

    python bench/rotate.py [--mib 1024] [--repeat 3]

Both rename one log of realistic lines, make it again, and compress what it became: Debian's logrotate with
its gzip, then this suite with gzip and with zstd, which also read back what they have compressed before the
plain file goes. Each figure is the median of the wall time; memory is the largest of a run and its children.
A second part rotates many small logs.
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
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.servers.programs import find_program

_MIB = 1 << 20
_SMALL = 2000


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


def logrotate(directory: Path) -> list[str]:
    """Debian's, with gzip."""
    config = directory / "logrotate.conf"
    config.write_text(f"{directory}/*.log {{\n daily\n rotate 9\n create\n compress\n}}\n")
    config.chmod(0o644)
    return [find_program("logrotate"), "-f", "-s", str(directory / "state"), str(config)]


def ours(directory: Path, codec: str) -> list[str]:
    """This suite."""
    chosen = {"paths": [f"{directory}/*.log"], "compress": codec, "delay_compress": False, "keep": 9}
    os.environ["LUXIMA_ROTATION__SETS"] = json.dumps({"bench": chosen})
    return [sys.executable, "-m", "luxima_retention", "run", "log-files", "--rotate-now"]


def measured(command: list[str]) -> tuple[float, int]:
    """Seconds, and the largest resident size in bytes."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {status}")
    return time.perf_counter() - begun, usage.ru_maxrss * 1024


def tried(make: Callable[[Path], list[str]], fill: Callable[[Path], None], repeat: int) -> dict[str, float]:
    """Median time, memory and size of what is left, over fresh directories."""
    times, memory, size = [], 0, 0
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as home:
            directory = Path(home)
            fill(directory)
            os.sync()
            seconds, largest = measured(make(directory))
            times.append(seconds)
            memory = max(memory, largest)
            size = sum(path.stat().st_size for path in directory.glob("*.log?*"))
    return {"seconds": statistics.median(times), "memory": memory, "size": size}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        source = Path(home) / "lines"
        lines(chosen.mib, source)

        def one(directory: Path) -> None:
            shutil.copyfile(source, directory / "app.log")

        def many(directory: Path) -> None:
            with source.open("rb") as file:
                for number in range(_SMALL):
                    (directory / f"{number}.log").write_bytes(file.read(20_000))

        for title, fill, bytes_ in (
            (f"one log of {chosen.mib} MiB", one, chosen.mib * _MIB),
            (f"{_SMALL} logs of 20 kB", many, _SMALL * 20_000),
        ):
            _table(title, fill, bytes_, chosen.repeat)


def _table(title: str, fill: Callable[[Path], None], size: int, repeat: int) -> None:
    print(f"\n{title}")
    print(f"{'':18}{'MB/s':>9}{'ratio':>8}{'size MB':>9}{'memory MiB':>12}")
    base = 0.0
    for name, make in (
        ("logrotate, gzip", logrotate),
        ("ours, gzip", lambda directory: ours(directory, "gzip")),
        ("ours, zstd", lambda directory: ours(directory, "zstd")),
    ):
        found = tried(make, fill, repeat)
        base = base or found["seconds"]
        print(
            f"{name:18}{size / found['seconds'] / 1e6:9.0f}{base / found['seconds']:8.2f}"
            f"{found['size'] / 1e6:9.1f}{found['memory'] / _MIB:12.0f}"
        )


if __name__ == "__main__":
    main()
