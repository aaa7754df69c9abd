"""Whole partitions instead of rows: taken off, kept for an undo window, then dropped. Opt-in.

The parent must be partitioned by range of its time column and have no DEFAULT partition. What cannot go as a
whole (the boundary partition, one with held rows) goes row by row, by the table's batch function. Detaching
needs ownership, so this store has a second connection, the owner's. A killed run leaves either a partition
that is still attached, one that is half detached (finalised by the next run), or one that
``retention.detached`` knows. Sources: PostgreSQL documentation, "ALTER TABLE … DETACH PARTITION", "Partition
Maintenance".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from luxima_retention.core.errors import StoreError
from luxima_retention.core.plan import (
    Committed,
    Explanation,
    Finding,
    Hold,
    Identity,
    Level,
    Pending,
    Plan,
    Request,
    Staged,
    Survey,
)
from luxima_retention.core.protocol import Batch, Sink, Work
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.postgres import connect, errors
from luxima_retention.io.sqlfiles import named
from luxima_retention.stores.kind import TableTarget
from luxima_retention.stores.table import sql as tablesql
from luxima_retention.stores.table.store import TableStore, copy_rows, holds_json

if TYPE_CHECKING:
    from psycopg import sql

#: schema and table
Name = tuple[str, str]
_UPPER = re.compile(r"TO \('([^']+)'\)$")
_REASON = "a detached partition, in its undo window"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition that is attached.

    Args:
        upper: end of its range, exclusive; ``None`` for MAXVALUE.
        pending: half detached: its rows are not seen through the parent any more.
    """

    relation: int
    name: Name
    bound: str
    upper: datetime | None
    pending: bool
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """A row of ``retention.detached``; ``name`` is where the table is now, ``None`` when it is gone."""

    relation: int
    partition: str
    bound: str
    items: int
    first: datetime | None
    last: datetime | None
    size_bytes: int
    archived: bool
    due: datetime
    complete: bool
    name: Name | None
    attached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a partition holds."""

    items: int
    first: datetime | None
    last: datetime | None
    held: int


class PartitionStore:
    """See :class:`~luxima_retention.core.protocol.Archivable`.

    Args:
        rows: the same table, row by row.
        owner_dsn: of a role that owns the partitions.
        undo: how long a detached partition is kept.
        read_only: for a dry run.
    """

    archive_format = "csv"

    def __init__(
        self, rows: TableStore, target: TableTarget, owner_dsn: str, undo: timedelta, *, read_only: bool
    ) -> None:
        self.rows = rows
        self.target = target
        self.undo = undo
        self.owner = connect(
            owner_dsn, purpose="partitions", read_only=read_only, setting="database.owner_dsn"
        )
        self.owner.autocommit = True
        with errors("the owner's connection cannot be set up"):
            self.owner.execute(_sql("patience"), {"lock_timeout": rows.patience})
        self._quoted = tablesql.identifier(target.table.table).as_string(None)

    def identity(self) -> Identity:
        """The parent."""
        return self.rows.identity()

    def clock(self) -> datetime:
        """The server's clock."""
        return self.rows.clock()

    def matching(self, hold: Hold) -> int:
        """As row by row: what is in the trash is not counted."""
        return self.rows.matching(hold)

    def explain(self, item: str, request: Request) -> Explanation:
        """As row by row; a row in the trash is absent from the table."""
        return self.rows.explain(item, request)

    def archive_schema(self) -> tuple[tuple[str, str], ...]:
        """Name and type of each column."""
        return self.rows.archive_schema()

    def close(self) -> None:
        """Close both connections; may be called twice."""
        self.rows.close()
        self.owner.close()

    def preflight(self, request: Request) -> tuple[Finding, ...]:
        """What row by row finds, and whether partitions can be taken off at all."""
        with errors(f"the partitions of {self.target.table.table} cannot be examined"):
            row = self.owner.execute(_sql("key"), {"table": self._quoted}).fetchone()
        return (*self.rows.preflight(request), *_findings(self.target, row), *self._half_detached())

    def survey(self, request: Request) -> Survey:
        """The parent's rows, and what waits in the trash: due, held, or pending."""
        survey = self.rows.survey(request)
        lost = [part for part in self.partitions() if part.pending and _whole(part, request.cutoff)]
        contents = {part.relation: self.content(part.name, request.holds) for part in lost}
        survey = replace(survey, expired=survey.expired + sum(found.items for found in contents.values()))
        for item in self.detached():
            if item.name is not None and item.complete:
                survey = self._with(survey, item, request)
        return survey

    def _with(self, survey: Survey, item: Detached, request: Request) -> Survey:
        if item.name is None or self.content(item.name, request.holds).held:
            return replace(survey, held=survey.held + item.items)
        if item.due <= request.now:
            oldest = min(filter(None, (survey.oldest_expired, item.first)), default=None)
            return replace(survey, expired=survey.expired + item.items, oldest_expired=oldest)
        waiting = Pending(items=item.items, due=item.due, reason=_REASON, size_bytes=item.size_bytes)
        return replace(survey, pending=(*survey.pending, waiting))

    def batches(self, plan: Plan, work: Work) -> Iterator[Batch]:
        """First what is due in the trash, then whole partitions, then the rest row by row."""
        self._mend()
        left = plan.items
        for item in self.detached():
            if item.name and item.complete and item.due <= self.clock() and item.items <= left:
                drop = DropBatch(self, item, work)
                yield drop
                left -= drop.items
        for part in self.partitions():
            if not _whole(part, plan.cutoff) or work.stopping():
                continue
            detach = DetachBatch(self, part, plan, work, left)
            yield detach
            left -= detach.items
        if left > 0:
            yield from self.rows.batches(replace(plan, items=left), work)

    # --- what batches need ------------------------------------------------------------------------------

    def partitions(self) -> tuple[Partition, ...]:
        """The partitions of the first level, oldest first."""
        with errors(f"the partitions of {self.target.table.table} cannot be listed"):
            rows = self.owner.execute(_sql("partitions"), {"table": self._quoted}).fetchall()
            found = [
                Partition(
                    relation=oid,
                    name=(schema, name),
                    bound=bound,
                    upper=self._instant(bound),
                    pending=pending,
                    size_bytes=size,
                )
                for oid, schema, name, bound, pending, size in rows
            ]
        return tuple(sorted(found, key=lambda part: (part.upper is None, part.upper or 0)))

    def detached(self) -> tuple[Detached, ...]:
        """What ``retention.detached`` knows of this table."""
        with errors("the list of detached partitions cannot be read"):
            rows = self.owner.execute(_sql("detached"), {"target": self.target.table.table}).fetchall()
        return tuple(
            Detached(
                **dict(zip(_DETACHED, row[:10], strict=True)),
                name=(row[11], row[12]) if row[10] else None,
                attached=row[13],
            )
            for row in rows
        )

    def content(self, name: Name, holds: tuple[Hold, ...]) -> Content:
        """Count a partition, and what holds keep in it."""
        parts = tablesql.fragments(self.rows.shape)
        statement = self._statement("count", table=_quoted(name), **parts)
        with errors(f"partition {_dotted(name)} cannot be counted"):
            row = self.owner.execute(statement, {"p_holds": holds_json(holds)}).fetchone()
        if row is None:
            raise StoreError(f"partition {_dotted(name)} was counted with no answer")
        return Content(items=row[0], first=row[1], last=row[2], held=row[3])

    def copy(self, name: Name, sink: Sink) -> None:
        """Stream a whole partition."""
        with errors(f"partition {_dotted(name)} cannot be read"):
            copy_rows(self.owner, self._statement("rows", table=_quoted(name)), {}, sink)

    def alter(self, action: str, name: Name, **more: Any) -> None:
        """Change where a partition belongs."""
        names = {
            "parent": tablesql.identifier(self.target.table.table),
            "partition": _quoted(name),
        }
        with errors(f"partition {_dotted(name)}: {action} failed"):
            self.owner.execute(self._statement(action, **names, **more))

    def note(self, action: str, **values: Any) -> None:
        """Write to ``retention.detached``."""
        with errors("the list of detached partitions cannot be written"):
            self.owner.execute(_sql(action), values)

    def put_away(self, relation: int, name: Name) -> None:
        """Move a detached table into the trash, under a name that is free there, and say that it is done."""
        from psycopg import sql

        schema, table = name
        new = f"{table.encode()[:50].decode(errors='ignore')}_{relation}"
        with self.owner.transaction():
            if schema != "retention_trash":
                self.alter("rename", name, to=sql.Identifier(new))
                self.alter("move", (schema, new))
            self.note("done", relation=relation)

    def attach_again(self, name: Name, bound: str) -> None:
        """Undo a detachment."""
        from psycopg import sql

        self.alter("attach", name, bound=sql.SQL(bound))  # the catalogue's own text

    def _mend(self) -> None:
        """Bring what a killed run left into one of two states: attached, or in the trash."""
        for part in self.partitions():
            if part.pending:
                self.alter("finalize", part.name)
                self.attach_again(part.name, part.bound)
        for item in self.detached():
            if item.name is None or (item.attached and not item.complete):
                self.note("forget", relation=item.relation)
            elif not item.complete:
                self.put_away(item.relation, item.name)

    def _half_detached(self) -> Iterator[Finding]:
        for part in self.partitions():
            if part.pending:
                yield Finding(
                    code="half-detached",
                    level=Level.WARNING,
                    message=f"partition {_dotted(part.name)} is half detached: queries do not see its rows",
                    hint="the next run finalises it",
                )

    def _instant(self, bound: str) -> datetime | None:
        """The upper end of a bound, as the server reads its own text."""
        match = _UPPER.search(bound)
        if match is None:
            return None
        zone = self.rows.shape.time.zone
        query = _sql("upper_in_zone" if zone else "upper")
        row = self.owner.execute(query, {"text": match[1], "zone": zone}).fetchone()
        return row[0] if row else None

    def _statement(self, name: str, **names: Any) -> Any:
        from psycopg import sql

        return sql.SQL(named("queries/partitions.sql")[name]).format(**names)


_DETACHED = (
    "relation",
    "partition",
    "bound",
    "items",
    "first",
    "last",
    "size_bytes",
    "archived",
    "due",
    "complete",
)


class DetachBatch:
    """One partition: archived, taken off its table, put into the trash."""

    def __init__(self, store: PartitionStore, part: Partition, plan: Plan, work: Work, left: int) -> None:
        self._store = store
        self._part = part
        self._plan = plan
        self._work = work
        self._left = left
        self._content = Content(items=0, first=None, last=None, held=0)
        self._archived = False
        self.items = 0

    def stage(self, sink: Sink | None) -> Staged:
        """Count and copy it; nothing when it holds what must stay, or more than the plan has left."""
        found = self._store.content(self._part.name, self._work.holds())
        if found.held or found.items > self._left:
            return Staged(items=0)
        self._content = found
        if sink is not None and found.items:
            self._store.copy(self._part.name, sink)
            self._archived = True
        return Staged(items=found.items, size_bytes=self._part.size_bytes, first=found.first, last=found.last)

    def commit(self) -> Committed:
        """Take it off. If rows or holds came meanwhile, it is attached again and nothing is condemned."""
        found, store, part = self._content, self._store, self._part
        if not found.items:
            return Committed(items=0)
        store.note(
            "announce",
            relation=part.relation,
            target=self._plan.identity.target,
            partition=_dotted(part.name),
            bound=part.bound,
            items=found.items,
            first=found.first,
            last=found.last,
            size=part.size_bytes,
            archived=self._archived,
            run_id=self._work.run_id,
            due=store.clock() + store.undo,
        )
        failpoint("partitions.before_detach")
        store.alter("detach", part.name)
        failpoint("partitions.after_detach")
        now = store.content(part.name, self._work.holds())
        if now.items != found.items or now.held:
            store.attach_again(part.name, part.bound)
            store.note("forget", relation=part.relation)
            return Committed(items=0, skipped={"hold" if now.held else "changed": found.items})
        store.put_away(part.relation, part.name)
        failpoint("partitions.after_trash")
        self.items = found.items
        return Committed(items=0, pending=found.items, size_bytes=part.size_bytes)

    def rollback(self) -> None:
        """Before ``commit`` nothing has happened."""


class DropBatch:
    """One table in the trash whose undo window is over."""

    def __init__(self, store: PartitionStore, item: Detached, work: Work) -> None:
        self._store = store
        self._item = item
        self._work = work
        self._ready = False
        self.items = 0

    def stage(self, sink: Sink | None) -> Staged:
        """Check whether it is still what was put there, and free of holds; archive it if nobody has.

        Raises:
            StoreError: somebody has added rows to it, or taken some: those were never archived or told.
        """
        item = self._item
        found = self._store.content(_there(item), self._work.holds())
        if found.items != item.items:
            raise StoreError(
                f"{_dotted(_there(item))} holds {found.items} rows where {item.items} were put away",
                "find out who changed it; bring it back to what it was, or attach it to its table again",
            )
        if found.held:
            return Staged(items=0)
        self._ready = True
        if sink is not None and not item.archived:
            self._store.copy(_there(item), sink)
        return Staged(
            items=found.items,
            size_bytes=item.size_bytes,
            first=found.first,
            last=found.last,
            archived=item.archived,
        )

    def commit(self) -> Committed:
        """Drop it."""
        if not self._ready:
            return Committed(items=0)
        failpoint("partitions.before_drop")
        self._store.alter("drop", _there(self._item))
        self._store.note("forget", relation=self._item.relation)
        self.items = self._item.items
        return Committed(items=self._item.items, size_bytes=self._item.size_bytes)

    def rollback(self) -> None:
        """Before ``commit`` nothing has happened."""


def _quoted(name: Name) -> sql.Identifier:
    from psycopg import sql

    return sql.Identifier(*name)


def _dotted(name: Name) -> str:
    return ".".join(name)


def _there(item: Detached) -> Name:
    """Where a detached table is.

    Raises:
        StoreError: it is gone.
    """
    if item.name is None:
        raise StoreError(f"detached partition {item.partition} is gone")
    return item.name


def _whole(part: Partition, cutoff: datetime) -> bool:
    """Whether everything that a partition may hold is strictly older than the cutoff."""
    return part.upper is not None and part.upper <= cutoff


def _findings(target: TableTarget, row: tuple[Any, ...] | None) -> Iterator[Finding]:
    name, column = target.table.table, target.table.time_column
    if row is None or row[0].replace('"', "") != f"RANGE ({column})":
        yield Finding(
            code="not-partitioned",
            level=Level.FAILED,
            message=f"{name} is not partitioned by range of {column}",
            hint="set strategy = auto",
        )
    elif row[1]:
        yield Finding(
            code="default-partition",
            level=Level.FAILED,
            message=f"{name} has a DEFAULT partition, beside which none can be detached concurrently",
            hint="move its rows into partitions and drop it, or set strategy = auto",
        )


def _sql(name: str) -> bytes:
    return named("queries/partitions.sql")[name].encode()
