"""What a rotation is about to do in a directory, so that the next run can finish it.

Between the rename of a log and the moment in which its writer has reopened it, a rotation that is killed
would leave a log without a file. The journal is written before the first rename and removed once nothing
is left to be finished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields

from luxima_retention.core.errors import StoreError
from luxima_retention.stores.logfiles.safe import OWN, Attributes, Directory, told, write

_NAME = f"{OWN}.journal"
_DRAFT = f"{_NAME}.tmp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The rotation of one log.

    Args:
        log: its name.
        to: what it becomes, in the directory of rotated files.
        method: ``rename``, ``copy``, ``copytruncate`` or ``renamecopy``.
        inode: of the log before.
        mode, owner, group: of the log before.
    """

    log: str
    to: str
    method: str
    inode: int
    mode: int
    owner: int
    group: int


def _values(step: Step) -> dict[str, str | int]:
    return {field.name: getattr(step, field.name) for field in fields(step)}


class Journal:
    """The journal of a directory.

    Args:
        directory: of the logs, locked.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._steps = {step.log: step for step in self._read()}
        self._written = bool(self._steps)

    @property
    def pending(self) -> tuple[Step, ...]:
        """What is not finished."""
        return tuple(self._steps.values())

    def begin(self, steps: Iterable[Step]) -> None:
        """Announce rotations, durably.

        Raises:
            StoreError: it cannot be written.
        """
        self._steps |= {step.log: step for step in steps}
        self._write()

    def done(self, log: str) -> None:
        """Nothing is left to be done for a log."""
        self._steps.pop(log, None)

    def close(self) -> None:
        """Keep what is not finished, if anything."""
        if self._steps:
            self._write()
        elif self._written:
            self._directory.remove(_NAME)
            self._written = False

    def _write(self) -> None:
        self._directory.remove(_DRAFT)
        text = "".join(json.dumps(_values(step)) + "\n" for step in self._steps.values())
        descriptor = self._directory.make(_DRAFT, Attributes(mode=0o600))
        try:
            with told(f"{self._directory.path_of(_NAME)} cannot be written"):
                write(descriptor, text.encode())
                os.fsync(descriptor)
        except BaseException:
            self._directory.remove(_DRAFT)
            raise
        finally:
            os.close(descriptor)
        self._directory.replace(_DRAFT, _NAME)
        self._directory.sync()
        self._written = True

    def _read(self) -> list[Step]:
        try:
            with (
                self._directory.reading(_NAME) as (descriptor, _),
                told(f"{self._directory.path_of(_NAME)} cannot be read"),
            ):
                data = b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))
        except FileNotFoundError:
            return []
        try:
            return [Step(**json.loads(line)) for line in data.splitlines()]
        except (ValueError, TypeError) as error:
            path = self._directory.path_of(_NAME)
            raise StoreError(
                f"{path} is no journal of ours: {error}", "look at it, then remove it"
            ) from error
