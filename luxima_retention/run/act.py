"""The step *act*: batch after batch, each archived, announced, within the plan, and then made final.

The order inside one batch is what the evidence rests on: the store stages, the archive seals and reads
back, the ledger takes the entry, and only then the batch is final. Where ledger and store share a
database, deletion and entry commit together; elsewhere an entry announces the batch and another reports it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from luxima_retention.core.clock import Clock, iso
from luxima_retention.core.errors import ProofFailed
from luxima_retention.core.plan import Committed, Plan, Staged
from luxima_retention.core.protocol import Archivable, Batch, Expirable, Work
from luxima_retention.core.results import Totals
from luxima_retention.evidence.archive import Archive, ArchivePart, Sealed
from luxima_retention.evidence.ledger import Ledger
from luxima_retention.io.failpoints import failpoint
from luxima_retention.run.lease import Lease

#: failures that a result repeats in words; the rest is counted
_SAID = 20


@dataclass(slots=True, kw_only=True)
class Action:
    """One plan on its way to be carried out.

    Args:
        store: of the plan.
        plan: what may go, at most.
        work: what the store gets.
        ledger: takes an entry for each batch.
        lease: checked before each batch.
        archive: ``None`` when nothing is archived.
        clock: the program's.
        number: of the last batch of an earlier process of the same run.
        progress: target, records done, records planned.
        deadline: of :func:`time.monotonic`; a batch that would pass it is not begun.
        totals: grows with each batch.
        parts: archive parts of the batches that are final or announced, by number.
    """

    store: Expirable
    plan: Plan
    work: Work
    ledger: Ledger
    lease: Lease
    archive: Archive | None
    clock: Clock
    number: int = 0
    progress: Callable[[str, int, int], None] = lambda *_: None
    deadline: float | None = None
    totals: Totals = field(default_factory=Totals)
    parts: list[Sealed] = field(default_factory=list)
    _longest: float = 0.0

    def run(self) -> None:
        """Work until the plan is done, nothing is left, or the run should stop.

        Raises:
            ProofFailed: the store staged more than was planned; that batch was rolled back.
            RetentionError: whatever stopped it; the open batch was rolled back.
        """
        for batch in self.store.batches(self.plan, self.work):
            if self.should_stop():
                batch.rollback()
                return
            begun = time.monotonic()
            self._batch(batch)
            self._longest = max(self._longest, time.monotonic() - begun)

    def should_stop(self) -> bool:
        """Whether the run was told to end, or another batch would pass its deadline."""
        late = self.deadline is not None and time.monotonic() + self._longest > self.deadline
        return late or self.work.stopping()

    def _batch(self, batch: Batch) -> None:
        self.lease.check()
        self.number += 1
        part: ArchivePart | None = None
        try:
            part = self._part()
            staged = batch.stage(part)
            self._check_within(staged)
            sealed = self._sealed(part, staged)
            shared = self._announce(staged, sealed)
            failpoint("act.before_commit")
        except BaseException:
            batch.rollback()
            if part is not None:
                part.discard()
            raise
        outcome = self._commit(batch)
        failpoint("act.after_commit")
        if staged.items and not shared:
            self._append("result", staged, None, outcome)
        self._add(staged, outcome, sealed)

    def _commit(self, batch: Batch) -> Committed:
        """A commit whose answer is lost may have taken effect, so its archive part stays."""
        try:
            return batch.commit()
        except BaseException:
            batch.rollback()
            raise

    def _part(self) -> ArchivePart | None:
        if self.archive is None or not isinstance(self.store, Archivable):
            return None
        return self.archive.writer(
            policy=self.plan.policy,
            run_id=self.work.run_id,
            number=self.number,
            form=self.store.archive_format,
            now=self.clock(),
        )

    def _check_within(self, staged: Staged) -> None:
        """Executed ≤ planned: neither more records nor a younger one."""
        total = self.totals.items + staged.items
        if total > self.plan.items:
            raise ProofFailed(
                f"batch {self.number} would make {total} records of {self.plan.items} planned;"
                " it was rolled back"
            )
        if staged.last is not None and staged.last >= self.plan.cutoff:
            raise ProofFailed(
                f"batch {self.number} holds a record of {iso(staged.last)}, not before the cutoff"
                f" {iso(self.plan.cutoff)}; it was rolled back"
            )

    def _sealed(self, part: ArchivePart | None, staged: Staged) -> Sealed | None:
        """The part, stored and read back; an empty batch leaves none."""
        if part is None:
            return None
        if not staged.items or staged.archived:
            part.discard()
            return None
        failpoint("act.before_seal")
        return part.seal(staged.items, first=staged.first, last=staged.last)

    def _announce(self, staged: Staged, sealed: Sealed | None) -> bool:
        """Write the batch's entry; whether it becomes final with the batch itself."""
        if not staged.items:
            return False
        failpoint("act.before_entry")
        shared = staged.connection is not None and self.ledger.shares(self.plan.identity.fingerprint)
        self._append("done" if shared else "intent", staged, sealed, None)
        return shared

    def _append(self, state: str, staged: Staged, sealed: Sealed | None, outcome: Committed | None) -> None:
        body: dict[str, Any] = {
            "run_id": self.work.run_id,
            "target": self.plan.identity.target,
            "number": self.number,
            "state": state,
            "items": staged.items if outcome is None else outcome.items,
            "bytes": staged.size_bytes if outcome is None else outcome.size_bytes,
            "first": _instant(staged.first),
            "last": _instant(staged.last),
            "digest": staged.digest,
            "token": self.work.token,
        }
        if sealed is not None:
            body["part"] = sealed.body()
        if outcome is not None:
            body |= {
                "pending": outcome.pending,
                "skipped": dict(outcome.skipped),
                "failures": len(outcome.failures),
            }
        inside = staged.connection if state == "done" else None
        self.ledger.append("batch", body, policy=self.plan.policy, at=self.clock(), inside=inside)

    def _add(self, staged: Staged, outcome: Committed, sealed: Sealed | None) -> None:
        totals = self.totals
        totals.destroyed += outcome.items
        totals.condemned += outcome.pending
        totals.size_bytes += outcome.size_bytes or 0
        totals.batches += bool(staged.items)
        totals.first = min(filter(None, (totals.first, staged.first)), default=None)
        totals.last = max(filter(None, (totals.last, staged.last)), default=None)
        totals.failures += outcome.failures[: max(0, _SAID - len(totals.failures))]
        _sum_up(totals.skipped, outcome.skipped)
        _sum_up(totals.metrics, {"failures": len(outcome.failures)} if outcome.failures else {})
        _sum_up(totals.metrics, staged.metrics)
        _sum_up(totals.metrics, outcome.metrics)
        if sealed is not None:
            totals.archived_bytes += sealed.size
            self.parts.append(sealed)
        self.progress(self.plan.identity.target, totals.items, self.plan.items)


def _sum_up(sums: dict[str, int], more: Mapping[str, int]) -> None:
    for name, value in more.items():
        sums[name] = sums.get(name, 0) + value


def _instant(instant: datetime | None) -> str | None:
    return iso(instant) if instant else None
