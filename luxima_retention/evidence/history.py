"""What the ledger remembers of one target: the values that guards and resuming need. Reads, never writes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from luxima_retention.core.conservation import Reading, Since
from luxima_retention.core.errors import ExitCode, StoreError
from luxima_retention.core.history import History, OpenRun
from luxima_retention.core.protocol import ROLLED_BACK
from luxima_retention.core.results import Outcome
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence.events import (
    Approval,
    Batch,
    BatchState,
    Event,
    HoldReleased,
    PolicyApplied,
    RunCompleted,
    RunReconciled,
    RunResumed,
    RunStarted,
    StoreCounted,
    Unknown,
)

if TYPE_CHECKING:
    from luxima_retention.evidence.ledger import Entry, Ledger

_RUNS = frozenset({RunStarted.kind, RunCompleted.kind, RunReconciled.kind, Approval.kind})
_OURS = frozenset(event.kind for event in (Batch, RunStarted, RunResumed, RunCompleted, RunReconciled))
#: ends of a run after which no batch of it can have been rolled back without a word
_ORDERLY = frozenset({ExitCode.DONE, ExitCode.STOPPED})
#: outcomes of a run that left nothing unexplained
PROVED = frozenset({Outcome.DONE, Outcome.NOTHING_TO_DO, Outcome.PENDING, Outcome.BACKLOG})


def read(ledger: Ledger, policy: str, target: str) -> History:
    """Everything that the ledger says about ``target``, oldest entry first.

    Raises:
        StoreError: the ledger cannot be read, or a newer version has written to it.
    """
    told = _Told(target)
    for entry in ledger.entries(kinds=_RUNS, policy=policy):
        told.add(entry, known(entry))
    open_run = _open_run(ledger, policy, *told.started) if told.started else None
    running = open_run.destroyed + open_run.condemned if open_run else 0
    return History(
        fingerprint=told.fingerprint,
        proved_at=told.proved_at,
        archived=told.archived,
        backlog=max(0, told.backlog - running),
        open_run=open_run,
    )


def applied(ledger: Ledger, policy: str) -> PolicyApplied | None:
    """What the policy said when a run last wrote it down.

    Raises:
        StoreError: the ledger cannot be read, or a newer version has written to it.
    """
    entry = ledger.newest(kinds={PolicyApplied.kind}, policy=policy)
    event = known(entry) if entry else None
    return event if isinstance(event, PolicyApplied) else None


def since(ledger: Ledger, policy: str, target: str) -> Since | None:
    """What the newest run has read before it acted, and what runs of ours have done from then on.

    Raises:
        StoreError: the ledger cannot be read, or a newer version has written to it.
    """
    seq, counted = 0, None
    for entry in ledger.entries(kinds={StoreCounted.kind}, policy=policy):
        event = known(entry)
        if isinstance(event, StoreCounted) and event.target == target:
            seq, counted = entry.seq, event
    if counted is None:
        return None
    ours = _Ours(target)
    for entry in ledger.entries(after=seq, kinds=_OURS, policy=policy):
        ours.add(known(entry))
    return Since(
        reading=Reading(
            at=counted.read_at,
            cutoff=counted.cutoff,
            held=counted.held,
            population=counted.population,
            counters=counted.counters,
        ),
        destroyed=ours.destroyed,
        rolled_back=ours.rolled_back,
        interrupted=ours.interrupted or ours.open,
        condemned=ours.condemned,
        released=any(
            entry.policy in {None, policy} and (entry.seq > seq or entry.at >= counted.read_at)
            for entry in ledger.entries(kinds={HoldReleased.kind})
        ),
    )


class _Ours:
    """What runs of ours did in one target, entry after entry."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.destroyed = 0
        self.rolled_back = 0
        self.interrupted = False
        self.condemned = False
        self.open = False

    def add(self, event: Event) -> None:
        """The next entry."""
        if getattr(event, "target", None) != self._target:
            return
        if isinstance(event, Batch) and event.state is not BatchState.INTENT:
            self.destroyed += event.items + event.pending
            self.condemned = self.condemned or event.pending > 0
        elif isinstance(event, RunCompleted):
            self.open = False
            self.rolled_back += event.metrics.get(ROLLED_BACK, 0)
            self.interrupted = self.interrupted or event.exit_code not in _ORDERLY
        elif isinstance(event, RunStarted):
            self.open = True
        elif isinstance(event, RunResumed | RunReconciled):
            self.interrupted = True


def known(entry: Entry) -> Event:
    """What an entry says; what cannot be read is never taken for nothing.

    Raises:
        StoreError: a newer version has written it.
        TamperingFound: no version has.
    """
    event = entry.event
    if isinstance(event, Unknown):
        raise StoreError(
            f"entry {entry.seq} of the ledger ({entry.kind}) was written by a newer version of this program",
            "upgrade this installation to the version that wrote it",
        )
    return event


class _Told:
    """What the entries said so far about one target."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.fingerprint: str | None = None
        self.proved_at: datetime | None = None
        self.archived = False
        self.backlog = 0
        self.started: tuple[int, RunStarted] | None = None

    def add(self, entry: Entry, event: Event) -> None:
        """The next entry. A run begins only after its store's identity passed the guard."""
        if isinstance(event, RunStarted) and event.target == self._target:
            self.started = entry.seq, event
            self.fingerprint = event.fingerprint
            self.archived = self.archived or bool(event.archive)
        elif isinstance(event, Approval) and event.target == self._target:
            self.backlog = event.items
        elif isinstance(event, RunCompleted | RunReconciled) and event.target == self._target:
            self.started = None
            self.backlog = max(0, self.backlog - event.destroyed - event.condemned)
            if isinstance(event, RunCompleted) and event.outcome in PROVED:
                self.proved_at = entry.at


def _open_run(ledger: Ledger, policy: str, seq: int, started: RunStarted) -> OpenRun:
    """The run that this entry began, with the sums of its batches."""
    destroyed = condemned = batches = 0
    announced: set[int] = set()
    parts: dict[int, Sealed] = {}
    for entry in ledger.entries(after=seq, kinds={Batch.kind}, policy=policy):
        batch = known(entry)
        if not isinstance(batch, Batch) or batch.run_id != started.run_id:
            continue
        batches = max(batches, batch.number)
        if batch.state is BatchState.INTENT:
            announced.add(batch.number)
        else:
            announced.discard(batch.number)
            destroyed += batch.items
            condemned += batch.pending
        if batch.part is not None:
            parts[batch.number] = batch.part
    return OpenRun(
        run_id=started.run_id,
        cutoff=started.cutoff,
        planned=started.items,
        destroyed=destroyed,
        condemned=condemned,
        batches=batches,
        unknown=min(announced, default=None),
        parts=tuple(parts[number] for number in sorted(parts)),
    )
