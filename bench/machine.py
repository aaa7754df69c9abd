"""What a figure depends on: the machine, its disk, the versions."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from bench.measure import ROOT, peer
from tests.servers.postgres import binaries
from tests.servers.process import beside_python
from tests.servers.programs import find_program

_BLOCKS, _BLOCK = 200, 8192
_LIBRARIES = ("psycopg", "boto3", "zstandard", "zlib-ng")


def facts() -> dict[str, str]:
    """About the machine, by name."""
    cores = os.cpu_count() or 0
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {
        "processor": f"{_processor()}, {cores} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{_release()}, Linux {platform.release()}",
        "disk": f"{_file_system()}; an fdatasync of 8 KiB takes {_synchronised():.2f} ms",
        "load": f"{os.getloadavg()[0]:.1f} when it began",
    }


def versions() -> dict[str, str]:
    """Of what was measured, by name."""
    found = {
        "luxima-retention": f"{version('luxima-retention')} ({_commit()})",
        "Python": platform.python_version(),
        "PostgreSQL": _output(str(binaries() / "postgres"), "--version").split()[-1],
        "SeaweedFS": _output(beside_python("weed"), "version").split()[2],
        "logrotate": _output(find_program("logrotate"), "--version").split()[1],
        "gzip": _output("gzip", "--version").split("\n")[0].split()[-1],
    }
    for name, word in (
        ("zstd", "--version"),
        ("s5cmd", "version"),
        ("rclone", "version"),
        ("aws", "--version"),
    ):
        if program := peer(name):
            found[name] = _words(_output(program, word))
    return found | {name: version(name) for name in _LIBRARIES}


def _commit() -> str:
    """The commit, and whether what is measured was changed since."""
    changed = _output("git", "status", "--porcelain", "--", "luxima_retention", "sql")
    return _output("git", "rev-parse", "--short", "HEAD") + (" and changes" if changed else "")


def _words(said: str) -> str:
    """The first word with a number in it."""
    words = said.replace(",", " ").replace("aws-cli/", "").split()
    return next((word.strip("v") for word in words if word.strip("v")[:1].isdigit()), "unknown")


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    return (done.stdout or done.stderr).strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def _release() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")


def _file_system() -> str:
    """Of temporary files, where everything is."""
    return _output("findmnt", "--noheadings", "--output", "FSTYPE", "--target", tempfile.gettempdir())


def _synchronised() -> float:
    """Milliseconds, the median."""
    taken = []
    with tempfile.NamedTemporaryFile() as file:
        for number in range(_BLOCKS):
            begun = time.perf_counter()
            os.pwrite(file.fileno(), os.urandom(_BLOCK), number * _BLOCK)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)
