"""The step *act*: batch after batch, each archived, announced, within the plan, and then made final.

The order inside one batch is what the evidence rests on: the store stages, the archive seals and reads
back, the ledger takes the entry, and only then the batch is final. Where ledger and store share a
database, the store calls back right before it commits, and deletion and entry become final together;
elsewhere an entry announces the batch and another reports it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from luxima_retention.core.clock import Clock, iso
from luxima_retention.core.errors import ProofFailed
from luxima_retention.core.observer import Observer
from luxima_retention.core.plan import Committed, Plan, Staged
from luxima_retention.core.protocol import Archivable, Batch, Expirable, Work
from luxima_retention.core.results import Totals
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence import events
from luxima_retention.evidence.archive import Archive, ArchivePart
from luxima_retention.evidence.events import BatchState
from luxima_retention.evidence.ledger import Ledger
from luxima_retention.io.failpoints import failpoint
from luxima_retention.run.lease import Lease

#: failures that a result repeats in words; the rest is counted
_SAID = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """The batch that is staged, with what was archived of it."""

    staged: Staged
    sealed: Sealed | None


@dataclass(slots=True, kw_only=True)
class Action:
    """One plan on its way to be carried out.

    Args:
        store: of the plan.
        plan: what may go, at most.
        work: what the store gets; where ledger and store share a database, its ``enter`` is :meth:`enter`.
        ledger: takes an entry for each batch.
        lease: checked before each batch.
        archive: ``None`` when nothing is archived.
        clock: the program's.
        observer: is told of each batch.
        number: of the last batch of an earlier process of the same run.
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
    observer: Observer
    number: int = 0
    deadline: float | None = None
    totals: Totals = field(default_factory=Totals)
    parts: list[Sealed] = field(default_factory=list)
    _longest: float = 0.0
    _open: _Open | None = None

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

    def enter(self, connection: Any) -> None:
        """Write the staged batch's entry on the store's connection; see :class:`~.Enter`."""
        if self._open is None:
            raise ProofFailed(f"batch {self.number} has its entry already, or was never staged")
        failpoint("act.before_entry")
        self._append(BatchState.DONE, self._open, inside=connection)
        self._open = None
        failpoint("act.before_commit")

    def _batch(self, batch: Batch) -> None:
        self.lease.check()
        self.number += 1
        part: ArchivePart | None = None
        try:
            part = self._part()
            staged = batch.stage(part)
            self._check_within(staged)
            opened = _Open(staged=staged, sealed=self._sealed(part, staged))
            self._announce(opened)
        except BaseException:
            batch.rollback()
            if part is not None:
                part.discard()
            raise
        outcome = self._commit(batch, part)
        failpoint("act.after_commit")
        self._report(opened, outcome)
        self._add(opened, outcome)

    def _announce(self, opened: _Open) -> None:
        """Write that the batch is about to go, or leave its entry to the store's transaction."""
        if opened.staged.items and opened.staged.shared:
            self._open = opened
            return
        if opened.staged.items:
            failpoint("act.before_entry")
            self._append(BatchState.INTENT, opened)
        failpoint("act.before_commit")

    def _commit(self, batch: Batch, part: ArchivePart | None) -> Committed:
        """A commit whose answer is lost may have taken effect, so its archive part stays.

        Before its entry was written nothing was asked to commit, and the part goes.
        """
        try:
            outcome = batch.commit()
        except BaseException:
            batch.rollback()
            if self._open is not None and part is not None:
                part.discard()
            self._open = None
            raise
        if self._open is not None:
            raise ProofFailed(f"batch {self.number} was made final without its entry in the ledger")
        return outcome

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
        with self._span("archive.write"):
            return part.seal(staged.items, first=staged.first, last=staged.last)

    def _report(self, opened: _Open, outcome: Committed) -> None:
        """Write what became of a batch that was only announced."""
        if opened.staged.items and not opened.staged.shared:
            self._append(BatchState.RESULT, opened, outcome)

    def _append(
        self, state: BatchState, opened: _Open, outcome: Committed | None = None, *, inside: Any = None
    ) -> None:
        staged, done = opened.staged, outcome or opened.staged
        event = events.Batch(
            run_id=self.work.run_id,
            target=self.plan.identity.target,
            number=self.number,
            state=state,
            items=done.items,
            bytes=done.size_bytes,
            first=staged.first,
            last=staged.last,
            digest=staged.digest,
            token=self.work.token,
            part=None if outcome else opened.sealed,
            pending=outcome.pending if outcome else 0,
            skipped=dict(outcome.skipped) if outcome else {},
            failures=len(outcome.failures) if outcome else 0,
        )
        with self._span("ledger.append"):
            self.ledger.append(event, policy=self.plan.policy, at=self.clock(), inside=inside)

    def _span(self, name: str) -> AbstractContextManager[None]:
        return self.observer.span(name, self.plan.policy, self.plan.identity.target)

    def _add(self, opened: _Open, outcome: Committed) -> None:
        totals, staged = self.totals, opened.staged
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
        if opened.sealed is not None:
            totals.archived_bytes += opened.sealed.bytes
            self.parts.append(opened.sealed)
        self.observer.batch_done(self.plan.policy, self.plan.identity.target, totals.items, self.plan.items)


def _sum_up(sums: dict[str, int], more: Mapping[str, int]) -> None:
    for name, value in more.items():
        sums[name] = sums.get(name, 0) + value
