"""Sets of log files for tests: made from settings as a user writes them, rotated at any instant."""

from __future__ import annotations

import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from luxima_retention.stores.logfiles.options import LogFilesPolicy
from luxima_retention.stores.logfiles.outcome import Rotations
from luxima_retention.stores.logfiles.rotate import rotate
from luxima_retention.stores.logfiles.sets import LogSet, log_sets
from luxima_retention.stores.logfiles.terms import Terms

#: journals, locks and state of this process's sets, unless a test names another directory
STATE = tempfile.TemporaryDirectory(prefix="luxima-state-")
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)  # a Sunday
WEEK = timedelta(days=7)


def sets(*chosen: dict[str, Any], **rotation: Any) -> tuple[LogSet, ...]:
    """Sets named a, b, …, each from its settings."""
    named = {chr(ord("a") + index): values for index, values in enumerate(chosen)}
    return log_sets(
        LogFilesPolicy(
            kind="logfiles",
            retention_days=30,
            sets=named,
            **{"time_zone": "UTC", "state_dir": STATE.name, **rotation},
        )
    )


def turned(
    path: Path | str,
    *,
    now: datetime = NOW,
    force: bool = True,
    rotation: dict[str, Any] | None = None,
    **chosen: Any,
) -> Rotations:
    """One rotation of one set; ``force`` unless told otherwise."""
    terms = {
        name: chosen.pop(name)
        for name in ("read_only", "holds", "removes", "record", "stopping")
        if name in chosen
    }
    made = sets({"paths": [str(path)], **chosen}, **(rotation or {}))
    (result,) = rotate(made, Terms(**{"now": now, "force": force, "read_only": False, **terms}))
    return result


def tree(directory: Path) -> dict[str, bytes]:
    """What is in a directory but our own files, compressed ones as what they hold."""
    return {
        path.name: _content(path)
        for path in sorted(directory.iterdir())
        if path.is_file() and not path.name.startswith(".luxima")
    }


def _content(path: Path) -> bytes:
    if path.suffix == ".zst":
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    if path.suffix == ".gz":
        return subprocess.run(["gzip", "-dc", path], capture_output=True, check=True).stdout
    return path.read_bytes()
