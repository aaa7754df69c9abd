"""What a rotation did, in values and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from luxima_retention.errors import ExitCode, RetentionError, worst
from luxima_retention.plan import Operation

#: files and sentences that a result repeats; the rest is counted
SAID = 100
#: files of one ledger entry
_ENTRY = 500


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
        failures: sentences, each with its hint.
        code: of the worst failure.
    """

    name: str
    logs: int = 0
    rotated: list[dict[str, Any]] = field(default_factory=list)
    waiting: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    compressed: list[dict[str, Any]] = field(default_factory=list)
    removed: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    code: ExitCode = ExitCode.DONE

    def fail(self, error: RetentionError) -> None:
        """Something could not be done; the rest goes on."""
        self.failures.append(f"{error.message} ({error.hint})" if error.hint else error.message)
        self.code = worst((self.code, error.exit_code))

    def bodies(self) -> Iterator[dict[str, Any]]:
        """The bodies of ledger entries ``rotation``: what was rotated, and checksums of what is kept."""
        if not self.rotated and not self.compressed:
            return
        files = [
            {**file, "path": file["path"].encode("utf-8", "backslashreplace").decode()}
            for file in self.compressed
        ]
        for start in range(0, max(1, len(files)), _ENTRY):
            yield {
                "set": self.name,
                "rotated": 0 if start else len(self.rotated),
                "bytes": 0 if start else sum(file["bytes"] for file in self.rotated),
                "compressed": files[start : start + _ENTRY],
            }

    def as_json(self) -> dict[str, Any]:
        """JSON values; long lists are cut and counted."""
        return {
            "set": self.name,
            "logs": self.logs,
            "rotated": _counted(self.rotated),
            "waiting": dict(sorted(self.waiting.items())),
            "left": _counted(self.left),
            "compressed": _counted(self.compressed),
            "removed": _counted(self.removed),
            "failures": _counted(self.failures),
        }


def _counted(values: list[Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"count": len(values), "items": values[:SAID]}
    if values and isinstance(values[0], dict):
        told["bytes"] = sum(value["bytes"] for value in values)
    return told


def summed_up(results: Iterable[Rotations], *, dry_run: bool) -> Operation:
    """One operation of all sets."""
    sets = list(results)
    rotated = sum(len(item.rotated) for item in sets)
    failures = [sentence for item in sets for sentence in item.failures]
    told = f"{'would rotate' if dry_run else 'rotated'} {rotated} of {sum(item.logs for item in sets)} logs"
    if compressed := sum(len(item.compressed) for item in sets):
        told += f", {'would compress' if dry_run else 'compressed'} {compressed} files"
    if removed := sum(len(item.removed) for item in sets):
        told += f", {'would remove' if dry_run else 'removed'} {removed} files by keep or max_age_days"
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        told += f"; {failures[0]}{more}"
    return Operation(
        values={"name": "rotation", "dry_run": dry_run, "sets": [item.as_json() for item in sets]},
        code=worst(item.code for item in sets),
        sentence=told,
    )
