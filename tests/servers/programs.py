"""Programs of Debian packages, found on any machine: on PATH, or unpacked below ``.cache/programs``.

A package is downloaded and unpacked, not installed: that needs no root, starts no daemon and leaves the
machine as it was. Only an empty package list needs root, for ``apt-get update``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.servers.process import ServerError

CACHE = Path(__file__).parents[2] / ".cache" / "programs"
#: Program → the packages that it needs beyond what every Debian has; the first one holds it.
PACKAGES = {
    "alertmanager": ("prometheus-alertmanager",),
    "amtool": ("prometheus-alertmanager",),
    "bzip2": ("bzip2",),
    "faketime": ("libfaketime",),
    "logrotate": ("logrotate", "libpopt0"),
    "pgbouncer": ("pgbouncer",),
    "prometheus": ("prometheus",),
    "promtool": ("prometheus",),
    "pushgateway": ("prometheus-pushgateway",),
    "victoria-metrics": ("victoria-metrics",),
    "xz": ("xz-utils",),
}
#: Programs whose libraries are called differently from release to release: apt names what is missing.
_ASKED = frozenset({"pgbouncer"})
#: Debian's name of a program, where it is another one.
_NAMES = {"alertmanager": "prometheus-alertmanager", "pushgateway": "prometheus-pushgateway"}


@cache
def find_program(name: str) -> str:
    """The path of a program of :data:`PACKAGES`."""
    debian = _NAMES.get(name, name)
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return shutil.which(debian, path=path) or shutil.which(name, path=path) or _unpacked(name, debian)


def faketime_library() -> str:
    """The path of ``libfaketime.so.1``, for ``LD_PRELOAD``."""
    root = CACHE / "libfaketime"
    if not root.is_dir():
        unpack(root, [*PACKAGES["faketime"]])
    (library,) = root.glob("usr/lib/*/faketime/libfaketime.so.1")
    return str(library)


def _unpacked(name: str, debian: str) -> str:
    package, *libraries = PACKAGES[name]
    root, asked = CACHE / package, name in _ASKED
    if not root.is_dir():
        unpack(root, [package, *libraries], missing=asked)
    (program,) = (path for place in ("usr/*bin", "*bin") for path in root.glob(f"{place}/{debian}"))
    return str(_with_libraries(root, program) if libraries or asked else program)


def unpack(root: Path, packages: list[str], *, missing: bool = False) -> None:
    """Into a directory of its own first, so that a test run that is killed leaves no half of it.

    ``missing``: with all that these packages need and this machine lacks.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=CACHE) as directory:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if root.is_dir():
            return
        work = Path(directory)
        _download(work, packages, missing=missing)
        for file in work.glob("*.deb"):
            _command(["dpkg-deb", "-x", str(file), str(work / "root")], work)
        (work / "root").rename(root)


def write_script(path: Path, text: str) -> Path:
    """A program at once whole, since another test process may be starting it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    Path(file.name).chmod(0o755)
    return Path(file.name).rename(path)


def _download(work: Path, packages: list[str], *, missing: bool) -> None:
    try:
        _fetch(work, packages, missing=missing)
    except ServerError:
        if os.geteuid() != 0:
            raise
        _command(["apt-get", "-q", "update"], work)
        _fetch(work, packages, missing=missing)


def _fetch(work: Path, packages: list[str], *, missing: bool) -> None:
    named = packages
    if missing:
        said = _command(["apt-get", "-s", "--no-install-recommends", "install", *packages], work)
        named = [line.split()[1] for line in said.splitlines() if line.startswith("Inst ")]
    _command(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *named], work)


def _command(command: list[str], work: Path) -> str:
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode:
        said = f"{done.stdout}{done.stderr}".strip()
        raise ServerError(f"{' '.join(command)} failed; install the package yourself:\n{said}")
    return done.stdout


def _with_libraries(root: Path, program: Path) -> Path:
    """A script that runs the program with the libraries that were unpacked beside it."""
    libraries = ":".join(map(str, root.glob("usr/lib/*-linux-gnu")))
    text = f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{program}" "$@"\n'
    return write_script(root / program.name, text)
