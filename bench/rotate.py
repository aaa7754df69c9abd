"""Rotation beside logrotate: the same lines, the same codec."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.measure import cost_of, ours, peer
from bench.model import Aim, Benchmark, Figures, ratio
from tests.servers.programs import find_program

_MIB = 1 << 20
_LARGE_MIB, _SMALL, _SMALL_BYTES, _DIRECTORIES, _DIRECTORY_BYTES = 512, 2_000, 2_000, 1_000, 20_000
_LEVELS = {"zstd": "-3", "gzip": "-6"}
_CODECS = ("zstd", "gzip", "none")
_KINDS = ("large", "small", "directories")
_THEIRS, _OURS = "logrotate", "ours"
Fill = Callable[[Path, Path], str]


def write_lines(path: Path, size: int) -> None:
    """Access and application lines with identifiers that do not repeat, as services write them."""
    dice = random.Random(5)
    with path.open("wb") as file:
        while file.tell() < size:
            file.write("".join(_line(dice) for _ in range(20_000)).encode())
        file.truncate(size)


def _line(dice: random.Random) -> str:
    second = dice.randrange(86_400)
    at = f"2026-11-22T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{dice.randrange(1000):03}Z"
    route = dice.choice(["/api/v1/invoices", "/api/v1/users", "/healthz", "/api/v1/reports/export"])
    level = dice.choices(["info", "warn", "error"], [90, 8, 2])[0]
    return (
        f'{at} level={level} tenant=t{dice.randrange(400)} method=GET path="{route}/{dice.randrange(10**6)}"'
        f" status={dice.choice([200, 200, 200, 404, 500])} duration_ms={dice.randrange(4000)}"
        f' trace_id={dice.getrandbits(128):032x} msg="request completed"\n'
    )


def logrotate(home: Path, pattern: str, codec: str) -> tuple[list[str], dict[str, str]]:
    """Debian's, with the program of the codec."""
    config = home / "logrotate.conf"
    options = ""
    if codec in _LEVELS:
        options = (
            f" compress\n compresscmd {peer(codec)}\n compressext .{'zst' if codec == 'zstd' else 'gz'}\n"
            f" compressoptions {_LEVELS[codec]}\n"
        )
    config.write_text(f"{pattern} {{\n daily\n rotate 9\n create\n{options}}}\n")
    config.chmod(0o644)
    return [find_program("logrotate"), "-f", "-s", str(home / "state"), str(config)], {}


def rotation(home: Path, pattern: str, codec: str) -> tuple[list[str], dict[str, str]]:
    """This suite, at the same level."""
    chosen = {"paths": [pattern], "compress": codec, "delay_compress": False, "keep": 9, "dated": False}
    variables = {
        "LUXIMA_ROTATION__SETS": json.dumps({"bench": chosen}),
        "LUXIMA_ROTATION__STATE_DIR": str(home / "own"),
    }
    return ours("run", "log-files", "--rotate-now"), variables


def tried(
    way: Callable[..., tuple[list[str], dict[str, str]]], fill: Fill, lines: Path, codec: str
) -> dict[str, float]:
    """One run over a fresh directory."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        pattern = fill(home, lines)
        os.sync()
        words, variables = way(home, pattern, codec)
        cost = cost_of(words, variables)
        size = sum(path.stat().st_size for path in home.glob("logs/**/*.log?*"))
        return cost.figures() | {"result_mib": size / _MIB}


def _large(home: Path, lines: Path) -> str:
    (home / "logs").mkdir()
    shutil.copyfile(lines, home / "logs" / "app.log")
    return f"{home}/logs/*.log"


def _small(count: int) -> Fill:
    def fill(home: Path, lines: Path) -> str:
        (home / "logs").mkdir()
        with lines.open("rb") as file:
            for number in range(count):
                (home / "logs" / f"{number}.log").write_bytes(file.read(_SMALL_BYTES))
        return f"{home}/logs/*.log"

    return fill


def _directories(count: int) -> Fill:
    def fill(home: Path, lines: Path) -> str:
        with lines.open("rb") as file:
            for number in range(count):
                (home / "logs" / str(number)).mkdir(parents=True)
                (home / "logs" / str(number) / "app.log").write_bytes(file.read(_DIRECTORY_BYTES))
        return f"{home}/logs/*/*.log"

    return fill


def measure(figures: Figures) -> None:
    """Three cases, three codecs; theirs, then ours."""
    kinds: dict[str, Fill] = {
        "large": _large,
        "small": _small(figures.size(_SMALL)),
        "directories": _directories(figures.size(_DIRECTORIES)),
    }
    with tempfile.TemporaryDirectory() as home:
        lines = Path(home) / "lines"
        write_lines(lines, figures.size(_LARGE_MIB * _MIB))
        for _ in figures.rounds():
            for kind, fill in kinds.items():
                for codec in _CODECS:
                    for who, way in ((_THEIRS, logrotate), (_OURS, rotation)):
                        figures.record(f"{kind}, {codec}: {who}", tried(way, fill, lines, codec))


_START = "a run of ours that only renames one log takes 0.28 s, nearly all of it Python's start"


def _fast(kind: str, codec: str, most: float = 1.0, why: str = "") -> Aim:
    return Aim(
        says=f"{kind}, {codec}: at most {most:g} × logrotate's time",
        measured=ratio("seconds", f"{kind}, {codec}: {_OURS}", f"{kind}, {codec}: {_THEIRS}"),
        most=most,
        why=why,
    )


def _cheap(kind: str, codec: str) -> Aim:
    return Aim(
        says=f"{kind}, {codec}: at most 1.2 × its CPU",
        measured=ratio("cpu_s", f"{kind}, {codec}: {_OURS}", f"{kind}, {codec}: {_THEIRS}"),
        most=1.2,
        why=_START,
    )


BENCHMARKS = (
    Benchmark(
        name="rotate",
        title="Rotating log files",
        compares="Debian's logrotate with zstd -3, with gzip -6 and without compression; ours with its own"
        f" codecs at the same levels. One log of {_LARGE_MIB} MiB, {_SMALL:,} of 2 kB in one directory,"
        f" {_DIRECTORIES:,} directories with one of 20 kB each. CPU counts all children; memory is the"
        " largest process. A large log that is not compressed is only renamed, which has no aim. Small ones"
        " that are not compressed are renamed, too, so that the disk decides: for the 2,000 logrotate took"
        " 0.35 s on one day and 1.05 s on another; of our time 0.28 s is the start.",
        measure=measure,
        reference=_THEIRS,
        minutes=5,
        aims=(
            *(_fast(kind, codec, why=_START) for kind in _KINDS for codec in _LEVELS),
            *(_cheap(kind, codec) for kind in _KINDS for codec in _LEVELS),
            *(_fast(kind, "none", 2.0, _START) for kind in ("small", "directories")),
            Aim(
                says="In less than 64 MiB",
                measured=lambda figures: max(
                    figures.median(f"{kind}, {codec}: {_OURS}", "memory_mib")
                    for kind in _KINDS
                    for codec in _CODECS
                ),
                most=64,
                unit="MiB",
            ),
        ),
    ),
)
