"""Entries for tests: events from plain values, with what a test does not care about left to defaults."""

from __future__ import annotations

from typing import Any

from luxima_retention.evidence import codec, events
from luxima_retention.evidence.events import Event

#: what an event cannot do without, where a test does not say it
_NEEDED: dict[str, dict[str, Any]] = {
    "run.started": {"target": "t", "cutoff": "2026-05-27T00:00:00Z", "items": 0},
    "run.resumed": {"target": "t"},
    "run.reconciled": {"target": "t"},
    "run.completed": {"run_id": "r", "target": "t", "outcome": "done"},
    "run.refused": {"target": "t"},
    "run.checked": {"target": "t"},
    "batch": {"run_id": "r", "target": "t", "number": 1, "state": "done", "items": 1},
    "archive.expired": {"state": "result"},
    "report.sent": {"form": "bundle"},
    "migrated": {"target": "t"},
}


def event(kind: str, **plain: Any) -> Event:
    """The event of these JSON values."""
    found = events.TYPES[kind]
    if isinstance(proof := plain.pop("proof", None), dict):
        told = {name: codec.decode_member(events.Proved, name, value) for name, value in proof.items()}
        plain["proof"] = codec.encode(events.Proved(**told))
    members = {**_NEEDED.get(kind, {}), **plain}
    return found(**{name: codec.decode_member(found, name, value) for name, value in members.items()})


class Raw:
    """An entry as this program does not write it."""

    def __init__(self, kind: str, **body: Any) -> None:
        self.kind = kind
        self._body = body

    def body(self) -> dict[str, Any]:
        return self._body
