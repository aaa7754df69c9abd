"""What each store can do, behind two small Protocols.

A store knows nothing of policies' meaning, guards or ledgers. It imports neither the engine nor
another store; a test holds that line. Stores raise :class:`~luxima_retention.core.errors.StoreError`.
A listing or a query that fails is an error, never an empty answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from luxima_retention.core.plan import (
    Committed,
    Explanation,
    Finding,
    Hold,
    Identity,
    Plan,
    Request,
    Staged,
    Survey,
)


class Sink(Protocol):
    """Where a batch streams the records that it is about to destroy: an archive part."""

    #: ``csv`` (PostgreSQL's own, with header) for rows, ``jsonl`` for the rest
    format: str

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes; blocks when the archive is slower than the store."""


class Enter(Protocol):
    """Appends the entry of the staged batch where the ledger lies in the store's own database."""

    def __call__(self, connection: Any) -> None:
        """Write it on ``connection``, an open transaction that is about to commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a store needs while it acts.

    Args:
        run_id: UUID of the run; reused when a killed run is resumed.
        token: fencing token of the lease; a store that can check it does so in each batch.
        resumed: whether an earlier process worked on this run.
        holds: reads the register again; raises when it cannot be read.
        stopping: true once the run should end (SIGTERM, time budget).
        wait: sleeps so many seconds, or less when ``stopping`` turns true.
        enter: called by a batch of at least one record right before it commits, with the transaction in
            which it deleted; ``None`` where the ledger lies elsewhere.
    """

    run_id: str
    token: int
    resumed: bool
    holds: Callable[[], tuple[Hold, ...]]
    stopping: Callable[[], bool]
    wait: Callable[[float], None]
    enter: Enter | None = None


class Batch(Protocol):
    """One small unit of destruction: decided and streamed by ``stage``, made final by ``commit``.

    In SQL ``stage`` deletes inside an open transaction and ``commit`` commits it. Elsewhere ``stage``
    names the items and streams them, and ``commit`` deletes. Between the two the engine verifies the
    archive and writes the ledger. A batch of no items may be committed without harm.
    """

    def stage(self, sink: Sink | None) -> Staged:
        """Decide what goes, stream it to ``sink`` if there is one; nothing is final yet."""

    def commit(self) -> Committed:
        """Make it final. An item that could not be destroyed is a failure in the outcome."""

    def rollback(self) -> None:
        """Leave everything as it was. Safe to call at any time, also after ``commit``."""


class Surveyable(Protocol):
    """A store that can be asked."""

    def identity(self) -> Identity:
        """Which store answers, by its own word."""

    def clock(self) -> datetime:
        """The store's own clock, UTC."""

    def preflight(self, request: Request) -> tuple[Finding, ...]:
        """What would keep a run from working: rights, RLS, versions, indexes, other owners; sentences."""

    def survey(self, request: Request) -> Survey:
        """The facts, in a fresh snapshot; writes nothing, anywhere."""

    def close(self) -> None:
        """Give back connections and descriptors; may be called twice."""


@runtime_checkable
class Expirable(Surveyable, Protocol):
    """A store in which expired records can be destroyed."""

    def batches(self, plan: Plan, work: Work) -> Iterator[Batch]:
        """Walk the plan, oldest first, in batches small enough to stop between them.

        Never yields more than ``plan.items`` records in all, never one dated at or after
        ``plan.cutoff``, never one that a hold covers when the batch is staged. Ends when the plan is
        done, nothing expired is left, or ``work.stopping()``. The engine commits or rolls back each
        batch before it asks for the next.
        """

    def explain(self, item: str, request: Request) -> Explanation:
        """Why this row, object or file will go or stay; an item that is not there is ``absent``."""


@runtime_checkable
class Matching(Protocol):
    """A store that can say, at little cost, what a hold keeps."""

    def matching(self, hold: Hold) -> int:
        """How many dated records the hold keeps now, expired or not.

        Raises:
            StoreError: it cannot be counted, or the hold names no value that a record could have.
        """


@runtime_checkable
class Archivable(Expirable, Protocol):
    """A store whose batches can be archived before they are destroyed."""

    #: what its batches write to a sink: ``csv`` or ``jsonl``
    archive_format: str

    def archive_schema(self) -> tuple[tuple[str, str], ...]:
        """Name and type of each column, in the order in which batches write them; empty for ``jsonl``.

        Types as PostgreSQL's ``format_type`` writes them, so that a table can be made from them again.
        """
