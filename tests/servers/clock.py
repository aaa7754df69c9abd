"""A clock of our own for servers and commands: libfaketime, whose offset stands in a file."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil
from pathlib import Path

from tests.servers.programs import faketime_library


class Clock:
    """The real clock plus what a file says; whoever runs with :attr:`variables` has it.

    Args:
        file: in a directory that the server's user can read.
        start: what it is now.
    """

    def __init__(self, file: Path, start: datetime) -> None:
        self.file = file
        self.variables = {
            "LD_PRELOAD": faketime_library(),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
        }
        self.set(start)

    def set(self, instant: datetime) -> None:
        """It is ``instant`` now."""
        new = self.file.with_suffix(".new")
        # A second early is another day where a border is.
        new.write_text(f"{ceil((instant - datetime.now(UTC)).total_seconds()):+d}s")
        new.chmod(0o644)
        new.replace(self.file)
