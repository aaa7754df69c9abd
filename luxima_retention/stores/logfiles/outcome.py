"""What a rotation did, in values and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from luxima_retention.core.errors import ExitCode, RetentionError, worst
from luxima_retention.core.plan import Operation

#: files and sentences that a result repeats; the rest is counted
SAID = 100
_TOLD = ("rotated", "compressed", "removed")
#: files of one ledger entry
ENTRY = 500


class Told(list[dict[str, Any]]):
    """What was done to files: the first few of them; all are counted, with their ``bytes``."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.bytes = 0

    def add(self, value: dict[str, Any]) -> None:
        """One more file."""
        self.counted(value["bytes"])
        if len(self) < SAID:
            self.append(value)

    @property
    def full(self) -> bool:
        """Whether more files are counted only."""
        return len(self) >= SAID

    def counted(self, size: int) -> None:
        """One more file of so many bytes, of which nothing else is told."""
        self.total += 1
        self.bytes += size

    def wire(self) -> dict[str, Any]:
        """For :meth:`unwire`."""
        return {"items": list(self), "total": self.total, "bytes": self.bytes}

    def unwire(self, values: dict[str, Any]) -> None:
        """Take what another process has told."""
        self[:] = values["items"]
        self.total, self.bytes = values["total"], values["bytes"]

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {"count": self.total, "items": list(self)} | ({"bytes": self.bytes} if self else {})


@dataclass(slots=True, kw_only=True)
class Rotations:
    """What became of one set; grows while the set is worked on.

    Args:
        name: of the set.
        logs: looked at.
        rotated: each log that was rotated, or would be: ``path``, ``to``, ``bytes``, ``rule``, ``sentence``.
        waiting: rule → logs that do not rotate now.
        left: sentences about names that are left alone, such as links.
        compressed: ``path``, ``bytes`` before, ``compressed_bytes``, ``sha256`` of what is stored.
        removed: rotated files that went by ``keep`` or ``max_age_days``: ``path``, ``bytes``, ``sentence``.
        unrecorded: those of ``compressed`` that stand in no ledger entry yet.
        failures: sentences, each with its hint.
        code: of the worst failure.
    """

    name: str
    logs: int = 0
    rotated: Told = field(default_factory=Told)
    waiting: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    compressed: Told = field(default_factory=Told)
    removed: Told = field(default_factory=Told)
    unrecorded: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    code: ExitCode = ExitCode.DONE

    def fail(self, error: RetentionError) -> None:
        """Something could not be done; the rest goes on."""
        self.failures.append(f"{error.message} ({error.hint})" if error.hint else error.message)
        self.code = worst((self.code, error.exit_code))

    def entry(self, *, ends: bool = False) -> dict[str, Any]:
        """The body of a ledger entry ``rotation``: checksums of what is kept, at the end what was rotated."""
        files = [
            {**file, "path": file["path"].encode("utf-8", "backslashreplace").decode()}
            for file in self.unrecorded
        ]
        self.unrecorded.clear()
        return {
            "set": self.name,
            "rotated": self.rotated.total if ends else 0,
            "bytes": self.rotated.bytes if ends else 0,
            "compressed": files,
        }

    def wire(self) -> dict[str, Any]:
        """All of it as JSON values, for :meth:`unwire`."""
        told = {name: getattr(self, name).wire() for name in _TOLD}
        plain = {name: getattr(self, name) for name in ("logs", "left", "unrecorded", "failures")}
        return {**told, **plain, "waiting": dict(self.waiting), "code": int(self.code)}

    def unwire(self, values: dict[str, Any]) -> None:
        """Take what another process has done for this set."""
        for name in _TOLD:
            getattr(self, name).unwire(values[name])
        self.logs, self.unrecorded = values["logs"], values["unrecorded"]
        self.left += values["left"]
        self.failures += values["failures"]
        self.waiting = Counter(values["waiting"])
        self.code = worst((self.code, ExitCode(values["code"])))

    def as_json(self) -> dict[str, Any]:
        """JSON values; long lists are cut and counted."""
        return {
            "set": self.name,
            "logs": self.logs,
            "rotated": self.rotated.as_json(),
            "waiting": dict(sorted(self.waiting.items())),
            "left": _counted(self.left),
            "compressed": self.compressed.as_json(),
            "removed": self.removed.as_json(),
            "failures": _counted(self.failures),
        }


def _counted(sentences: list[str]) -> dict[str, Any]:
    return {"count": len(sentences), "items": sentences[:SAID]}


def summed_up(results: Iterable[Rotations], *, dry_run: bool) -> Operation:
    """One operation of all sets."""
    sets = list(results)
    rotated = sum(item.rotated.total for item in sets)
    failures = [sentence for item in sets for sentence in item.failures]
    told = f"{'would rotate' if dry_run else 'rotated'} {rotated} of {sum(item.logs for item in sets)} logs"
    if compressed := sum(item.compressed.total for item in sets):
        told += f", {'would compress' if dry_run else 'compressed'} {compressed} files"
    if removed := sum(item.removed.total for item in sets):
        told += f", {'would remove' if dry_run else 'removed'} {removed} files by keep or max_age_days"
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        told += f"; {failures[0]}{more}"
    return Operation(
        values={"name": "rotation", "dry_run": dry_run, "sets": [item.as_json() for item in sets]},
        code=worst(item.code for item in sets),
        sentence=told,
    )
