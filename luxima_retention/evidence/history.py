"""What the ledger remembers of one target: the values that guards and resuming need. Reads, never writes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from luxima_retention.core.clock import parse_iso
from luxima_retention.core.history import History, OpenRun

if TYPE_CHECKING:
    from luxima_retention.evidence.ledger import Entry, Ledger

_RUNS = frozenset({"run.started", "run.completed", "run.reconciled", "approval"})
#: outcomes of a run that left nothing unexplained
PROVED = frozenset({"done", "nothing_to_do", "pending"})


def read(ledger: Ledger, policy: str, target: str) -> History:
    """Everything that the ledger says about ``target``, oldest entry first.

    Raises:
        StoreError: the ledger cannot be read.
    """
    told = _Told()
    for entry in ledger.entries(kinds=_RUNS, policy=policy):
        if entry.body.get("target") == target:
            told.add(entry)
    open_run = None if told.started is None else _open_run(ledger, policy, told.started)
    running = open_run.destroyed + open_run.condemned if open_run else 0
    return History(
        fingerprint=told.fingerprint,
        proved_at=told.proved_at,
        archived=told.archived,
        backlog=max(0, told.backlog - running),
        open_run=open_run,
    )


class _Told:
    """What the entries said so far."""

    def __init__(self) -> None:
        self.fingerprint: str | None = None
        self.proved_at: datetime | None = None
        self.archived = False
        self.backlog = 0
        self.started: Entry | None = None

    def add(self, entry: Entry) -> None:
        """The next entry. A run begins only after its store's identity passed the guard."""
        body = entry.body
        if entry.kind == "run.started":
            self.started = entry
            self.fingerprint = body["fingerprint"]
            self.archived = self.archived or bool(body["archive"])
        elif entry.kind == "approval":
            self.backlog = int(body["items"])
        else:
            self.started = None
            self.backlog = max(0, self.backlog - int(body["destroyed"]) - int(body["condemned"]))
            self.proved_at = entry.at if body["outcome"] in PROVED else self.proved_at


def _open_run(ledger: Ledger, policy: str, started: Entry) -> OpenRun:
    """The run of this entry, with the sums of its batches."""
    run_id = started.body["run_id"]
    destroyed = condemned = batches = 0
    announced: set[int] = set()
    parts: dict[int, dict[str, Any]] = {}
    for entry in ledger.entries(after=started.seq, kinds={"batch"}, policy=policy):
        body = entry.body
        if body["run_id"] != run_id:
            continue
        number = int(body["number"])
        batches = max(batches, number)
        if body["state"] == "intent":
            announced.add(number)
        else:
            announced.discard(number)
            destroyed += int(body["items"])
            condemned += int(body.get("pending", 0))
        if body.get("part"):
            parts[number] = body["part"]
    return OpenRun(
        run_id=run_id,
        cutoff=parse_iso(started.body["cutoff"]),
        planned=int(started.body["items"]),
        destroyed=destroyed,
        condemned=condemned,
        batches=batches,
        unknown=min(announced, default=None),
        parts=tuple(parts[number] for number in sorted(parts)),
    )
