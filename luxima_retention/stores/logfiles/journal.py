"""What a rotation is about to do with the logs of a set, so that the next run can finish it.

Between the rename of a log and the moment in which its writer has reopened it, a rotation that is killed
would leave a log without a file. Each set has its own journal, in the folder of our own: lines that are
added before the first rename and as the work goes on, and removed once nothing is left to be finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from luxima_retention.core.errors import StoreError
from luxima_retention.core.foreign import json_of
from luxima_retention.stores.logfiles.folder import Folder
from luxima_retention.stores.logfiles.system import told, write

_METHODS = frozenset({"rename", "copy", "copytruncate", "renamecopy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The rotation of one log.

    Args:
        directory: device and inode of the directory of the log.
        store: the same of the directory of rotated files.
        path: of the log, for people.
        log: its name.
        to: what it becomes, in the directory of rotated files.
        method: ``rename``, ``copy``, ``copytruncate`` or ``renamecopy``.
        device, inode: of the log before.
        mode, owner, group: of the log before.
        copied: inode of the copy, once it is whole; 0 before that; negative once the log was cut.
    """

    directory: tuple[int, int]
    store: tuple[int, int]
    path: str
    log: str
    to: str
    method: str
    device: int
    inode: int
    mode: int
    owner: int
    group: int
    copied: int = 0

    def __post_init__(self) -> None:
        """Refuse what no rotation writes.

        Raises:
            ValueError: a name that is a path, or another method.
        """
        numbers = (*self.directory, *self.store, self.device, self.inode, self.mode, self.owner, self.group)
        if len(numbers) != _NUMBERS or not all(type(item) is int for item in (*numbers, self.copied)):
            raise ValueError("a number of the file system is not one")
        if not isinstance(self.path, str):
            raise TypeError(f"{self.path!r} is not a path")
        for name in (self.log, self.to):
            if not name or "/" in name or "\0" in name or name in {".", ".."}:
                raise ValueError(f"{name!r} is not a name in a directory")
        if self.method not in _METHODS:
            raise ValueError(f"{self.method!r} is not a method of rotation")

    @property
    def key(self) -> str:
        """Of the log among those of a set."""
        return "{}:{}:{}".format(*self.directory, self.log)

    def as_json(self) -> dict[str, Any]:
        """JSON values; :func:`step_of` takes them."""
        return {name: getattr(self, name) for name in _FIELDS}

    def is_log(self, status: os.stat_result) -> bool:
        """Whether that is the log as it was before."""
        found = (status.st_dev, status.st_ino, status.st_uid)
        return found == (self.device, self.inode, self.owner)


#: in a step: two directories of two each, then five of the log
_NUMBERS = 9
_FIELDS = tuple(field.name for field in fields(Step))


def step_of(values: dict[str, Any]) -> Step:
    """A step from JSON values.

    Raises:
        ValueError, TypeError: they are none.
    """
    pairs = {key: tuple(values[key]) for key in ("directory", "store")}
    return Step(**{**values, **pairs})


def name_of(set_name: str, paths: Iterable[str]) -> str:
    """The name of a set's journal: of another configuration's set of the same name it is another one."""
    digest = hashlib.sha256("\n".join((set_name, *paths)).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', set_name)[:80]}-{digest[:12]}.journal"


class Journal:
    """The journal of a set, which is locked.

    Args:
        folder: of our own.
        name: of the file.

    Raises:
        StoreError: it cannot be read, or no rotation has written it.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self._name = name
        self._file: int | None = None
        self._steps: dict[str, Step] = {}
        self._read()

    @property
    def pending(self) -> tuple[Step, ...]:
        """What is not finished."""
        return tuple(self._steps.values())

    def begin(self, steps: Iterable[Step]) -> None:
        """Announce rotations, durably.

        Raises:
            StoreError: it cannot be written.
        """
        begun = tuple(steps)
        self._append((step.as_json() for step in begun), durably=True)
        self._steps |= {step.key: step for step in begun}

    def copied(self, key: str, inode: int) -> None:
        """A copy is whole, but has not got its name; durably."""
        self._append([{"copied": inode, "key": key}], durably=True)
        self._steps[key] = replace(self._steps[key], copied=inode)

    def done(self, key: str) -> None:
        """Nothing is left to be done for a log; forgotten by a crash, it is done once more."""
        if self._steps.pop(key, None) is not None:
            self._append([{"done": key}], durably=False)

    def close(self) -> None:
        """Remove it if everything is finished."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            if not self._steps:
                self._folder.remove(self._name)

    def _append(self, lines: Iterable[dict[str, Any]], *, durably: bool) -> None:
        with told(f"{self._folder.path_of(self._name)} cannot be written"):
            if self._file is None:
                self._file = self._folder.open_file(self._name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
                self._folder.sync()
            write(self._file, "".join(json.dumps(line) + "\n" for line in lines).encode())
            if durably:
                os.fdatasync(self._file)

    def _read(self) -> None:
        try:
            self._file = self._folder.open_file(self._name, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return
        path = self._folder.path_of(self._name)
        with told(f"{path} cannot be read"):
            data = b"".join(iter(lambda: os.read(self._file or 0, 1 << 20), b""))
            whole = data.rfind(b"\n") + 1
            os.ftruncate(self._file, whole)  # of a line that was being written nothing has been done
        try:
            for line in data[:whole].splitlines():
                self._take(json_of(line))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            os.close(self._file)
            said = f"{path} is not a journal of this program: {error}"
            raise StoreError(said, "look at it, then remove it") from error

    def _take(self, line: dict[str, Any]) -> None:
        if "done" in line:
            self._steps.pop(line["done"], None)
        elif "key" in line:
            self._steps[line["key"]] = replace(self._steps[line["key"]], copied=int(line["copied"]))
        else:
            step = step_of(line)
            self._steps[step.key] = step
