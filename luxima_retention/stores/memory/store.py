"""The twin that ships: a store of records in memory, with every trait that the engine must cope with.

It is the first subject of the conformance suite and the store of the engine's unit tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from luxima_retention.core.clock import iso
from luxima_retention.core.plan import (
    Committed,
    Count,
    Explanation,
    Finding,
    Hold,
    Identity,
    Plan,
    Request,
    Staged,
    Survey,
)
from luxima_retention.core.protocol import Sink, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record: its key, its time (``None`` is undated), and what holds may name."""

    key: str
    at: datetime | None
    tenant: str | None = None
    subject: str | None = None
    locked: bool = False


@dataclass(slots=True, kw_only=True)
class MemoryStore:
    """See :class:`~luxima_retention.core.protocol.Archivable`.

    Args:
        records: what is stored, in any order.
        now: the store's own clock.
        name: of its target.
        fingerprint: what it says it is.
        batch: records of one batch.
        findings: what preflight says.
        unknown: records that it cannot read.
        shared: stands for the transaction of a batch; ``None`` where the ledger cannot share it.
    """

    records: list[Record]
    now: Callable[[], datetime]
    name: str = "memory"
    fingerprint: str = "memory:1"
    batch: int = 100
    findings: tuple[Finding, ...] = ()
    unknown: int = 0
    shared: object = None
    archive_format: str = "jsonl"
    closed: bool = field(default=False, init=False)

    def identity(self) -> Identity:
        """Its name and fingerprint."""
        return Identity(kind="memory", target=self.name, fingerprint=self.fingerprint)

    def clock(self) -> datetime:
        """The clock that it was given."""
        return self.now()

    def preflight(self, request: Request) -> tuple[Finding, ...]:  # noqa: ARG002 - a twin has no rights
        """The findings that it was given."""
        return self.findings

    def survey(self, request: Request) -> Survey:
        """Count everything."""
        now = self.clock()
        past = [item for item in self.records if item.at is not None and item.at < request.cutoff]
        kept = [item for item in past if held(item, request.holds, request.policy)]
        locked = [item for item in past if item.locked and item not in kept]
        expired = sorted(_times(set(past) - set(kept) - set(locked)))
        present = sorted(at for at in _times(self.records) if at <= now)
        return Survey(
            identity=self.identity(),
            store_clock=now,
            expired=len(expired),
            population=Count(value=len(self.records)),
            held=len(kept),
            locked=len(locked),
            undated=sum(item.at is None for item in self.records),
            future=sum(at > now for at in _times(self.records)),
            unknown=self.unknown,
            oldest=present[0] if present else None,
            oldest_expired=expired[0] if expired else None,
            newest=present[-1] if present else None,
        )

    def batches(self, plan: Plan, work: Work) -> Iterator[MemoryBatch]:
        """Oldest first; each batch reads the holds again."""
        left = plan.items
        while left > 0 and not work.stopping():
            batch = MemoryBatch(self, plan, work, min(left, self.batch))
            yield batch
            if not batch.items:
                return
            left -= len(batch.items)

    def explain(self, item: str, request: Request) -> Explanation:
        """By key."""
        found = next((record for record in self.records if record.key == item), None)
        if found is None:
            return Explanation(item=item, verdict="absent", rule="absent", sentence=f"there is no {item}")
        verdict, rule, sentence = _explained(found, request, self.clock())
        due = None if found.at is None else found.at + timedelta(days=request.retention_days + 1)
        return Explanation(item=item, verdict=verdict, rule=rule, sentence=sentence, dated=found.at, due=due)

    def archive_schema(self) -> tuple[tuple[str, str], ...]:
        """JSON lines have none."""
        return ()

    def close(self) -> None:
        """Nothing to give back."""
        self.closed = True


class MemoryBatch:
    """See :class:`~luxima_retention.core.protocol.Batch`."""

    def __init__(self, store: MemoryStore, plan: Plan, work: Work, limit: int) -> None:
        self._store = store
        self._plan = plan
        self._work = work
        self._holds = work.holds()
        self._shared = store.shared is not None and work.enter is not None
        self._limit = limit
        self.items: list[Record] = []

    def stage(self, sink: Sink | None) -> Staged:
        """Choose the oldest that may go, and write them to the sink."""
        may_go = (record for record in self._store.records if self._expired(record))
        self.items = sorted(may_go, key=lambda record: (str(record.at), record.key))[: self._limit]
        if sink is not None:
            for record in self.items:
                sink.write(json.dumps({"key": record.key, "at": str(record.at)}).encode() + b"\n")
        times = sorted(_times(self.items))
        return Staged(
            items=len(self.items),
            first=times[0] if times else None,
            last=times[-1] if times else None,
            shared=self._shared,
        )

    def commit(self) -> Committed:
        """Forget them."""
        if self._shared and self._work.enter is not None and self.items:
            self._work.enter(self._store.shared)
        going = set(self.items)
        self._store.records[:] = [record for record in self._store.records if record not in going]
        return Committed(items=len(going))

    def rollback(self) -> None:
        """Nothing is gone before ``commit``."""

    def _expired(self, record: Record) -> bool:
        if record.at is None or record.at >= self._plan.cutoff or record.locked:
            return False
        return not held(record, self._holds, self._plan.policy)


def held(record: Record, holds: Iterable[Hold], policy: str) -> bool:
    """Whether a hold of this policy keeps the record."""
    return any(hold.covers(policy) and _matches(hold, record) for hold in holds)


def _matches(hold: Hold, record: Record) -> bool:
    """Every field that the hold names must agree."""
    in_range = record.at is not None and (
        (hold.start is None or record.at >= hold.start) and (hold.end is None or record.at < hold.end)
    )
    return (
        (hold.tenant is None or hold.tenant == record.tenant)
        and (hold.subject is None or hold.subject == record.subject)
        and (hold.key_prefix is None or record.key.startswith(hold.key_prefix))
        and ((hold.start is None and hold.end is None) or in_range)
    )


def _times(records: Iterable[Record]) -> list[datetime]:
    return [record.at for record in records if record.at is not None]


def _explained(record: Record, request: Request, now: datetime) -> tuple[str, str, str]:
    if record.at is None:
        return "stays", "undated", f"{record.key} has no date: it is never touched"
    if record.at > now:
        return "stays", "future", f"{record.key} is dated in the future: it is never touched"
    if record.at >= request.cutoff:
        return "stays", "younger", f"{record.key} is not older than {iso(request.cutoff)}"
    if held(record, request.holds, request.policy):
        return "stays", "hold", f"{record.key} has expired and is kept by a hold"
    if record.locked:
        return "stays", "locked", f"{record.key} has expired and is kept by the store itself"
    return "goes", "expired", f"{record.key} is older than {iso(request.cutoff)}"
