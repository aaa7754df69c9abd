"""Running a command and knowing what it cost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-bench" / "bin"
#: seconds: for hangs; a benchmark as a whole has its own limit
_HANGS = 1800


class CommandError(RuntimeError):
    """A measured command failed; the message ends with what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one command.

    Attributes:
        seconds: of the wall clock.
        cpu: seconds of user and system time, with all children that were waited for.
        memory: MiB, the largest resident process.
        stdout: what it printed.
    """

    seconds: float
    cpu: float
    memory: float
    stdout: str

    def figures(self) -> dict[str, float]:
        """As they are recorded."""
        return {"seconds": self.seconds, "cpu_s": self.cpu, "memory_mib": self.memory}

    def __add__(self, other: Cost) -> Cost:
        """One after the other."""
        return Cost(
            seconds=self.seconds + other.seconds,
            cpu=self.cpu + other.cpu,
            memory=max(self.memory, other.memory),
            stdout=self.stdout + other.stdout,
        )


def cost_of(
    command: Sequence[str | Path],
    variables: Mapping[str, str] | None = None,
    *,
    text: str = "",
    codes: tuple[int, ...] = (0,),
) -> Cost:
    """Run it to its end.

    Args:
        command: words.
        variables: added to the environment, which has none of ours.
        text: its standard input.
        codes: exit statuses that are right; CommandError for others.
    """
    with tempfile.NamedTemporaryFile() as report:
        launcher = [sys.executable, "-I", "-S", str(ROOT / "bench" / "launch.py"), report.name]
        process = subprocess.Popen(
            [*launcher, *map(str, command)],
            env=clean() | dict(variables or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            stdout, stderr = process.communicate(text, timeout=_HANGS)
        finally:
            process.terminate()
            process.wait()
        if process.returncode not in codes:
            said = f"{stdout}\n{stderr}".strip()[-1500:]
            raise CommandError(f"{' '.join(map(str, command))} ended with {process.returncode}: {said}")
        seconds, cpu, memory = map(float, Path(report.name).read_text().split())
    return Cost(seconds=seconds, cpu=cpu, memory=memory, stdout=stdout)


def clean() -> dict[str, str]:
    """The environment without what steers the suite or a client."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LUXIMA_", "AWS_", "PG"))}
    return kept | {"AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(ROOT)}


def ours(*words: str) -> list[str]:
    """The installed command, quiet as timers start it."""
    return [str(Path(sys.executable).parent / "luxima-retention"), "--log-level", "warning", *words]


def peer(name: str) -> str | None:
    """A program that ``make bench`` has installed, or one on PATH."""
    return shutil.which(name, path=f"{PEERS}{os.pathsep}{os.environ.get('PATH', '')}")
