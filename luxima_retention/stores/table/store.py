"""A table in PostgreSQL: surveyed and emptied through the functions that ``migrate`` has made for it.

Each batch is one transaction: it deletes, moves the cursor and, where the ledger shares the database, takes
the ledger's entry. Batches wait for standbys and slots, and are sized and spaced by :mod:`.pace`.
Facts about PostgreSQL: its documentation, "Explicit Locking", "Row Security Policies", "COPY".
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import GuardRefused, RunStopped, StoreError
from luxima_retention.core.plan import (
    Committed,
    Count,
    Counters,
    Explanation,
    Finding,
    Hold,
    Identity,
    Plan,
    Request,
    Staged,
    Survey,
    explained,
)
from luxima_retention.core.protocol import ROLLED_BACK, Sink, Work
from luxima_retention.core.tablenames import function_name, key_values
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.postgres import connect, database_fingerprint, errors
from luxima_retention.io.sqlfiles import named
from luxima_retention.stores.kind import TableTarget
from luxima_retention.stores.table import pace as pacing
from luxima_retention.stores.table import shape
from luxima_retention.stores.table import sql as tablesql
from luxima_retention.stores.table.findings import (
    Known,
    Lacking,
    Referring,
    Traits,
    Trigger,
    findings,
    touched,
)
from luxima_retention.stores.table.health import health_of

if TYPE_CHECKING:
    import psycopg

    from luxima_retention.config.settings import PaceSettings

#: how long a batch waits for a lock, and may take in all
LOCK_TIMEOUT = timedelta(seconds=2)
_STATEMENT_TIMEOUT = timedelta(minutes=1)
#: bytes of WAL that each replication slot must have left before it is lost
SLOT_HEADROOM = 256 * 1024 * 1024
_ATTEMPTS = 7
#: lock timeout, statement timeout, deadlock, serialization failure: rolled back, and may be repeated
_AGAIN = frozenset({"55P03", "57014", "40P01", "40001"})
_REMAKE = "find out who changed them; `luxima-retention migrate` makes them again and records that"
_POLL_SECONDS = 1.0
#: bytes of rows that are handed to the archive at once: PostgreSQL sends each row by itself
_GATHERED = 64 * 1024
#: how long somebody who places a hold waits to be told what it keeps
_COUNTING = "30s"


class TableStore:
    """See :class:`~luxima_retention.core.protocol.Archivable`.

    Args:
        dsn: of the database, as the job's role.
        target: the table and its policy.
        pace: how gently it is emptied.
        read_only: for a dry run; the server refuses every write.
        setting: the option that holds ``dsn``, for hints.
        deadline: of the run, until it deletes: a batch and the proof have limits of their own.
    """

    archive_format = "csv"

    def __init__(
        self,
        dsn: str,
        target: TableTarget,
        pace: PaceSettings,
        *,
        read_only: bool,
        setting: str = "database.dsn",
        deadline: Deadline = UNLIMITED,
    ) -> None:
        self._target = target
        self._pace = pace
        self.name = target.table.table
        self._quoted = tablesql.identifier(self.name).as_string(None)
        self._functions = {
            name: f"retention.{name}_{function_name(self.name)}"
            for name in ("survey", "explain", "keeps", "prune")
        }
        self.connection = connect(
            dsn, purpose=target.policy, read_only=read_only, setting=setting, deadline=deadline
        )
        self._deadline = deadline
        self._token: int | None = None
        self._versions = ""
        self._stamp = ""
        self._looked = float("-inf")

    def identity(self) -> Identity:
        """The table, in the database that it names itself; a physical clone names itself the same."""
        with errors(f"{self.name} does not say which table it is"):
            relation = self._one("relation", table=self._quoted)[0]
            database = database_fingerprint(self.connection)
            self.connection.rollback()
        return Identity(kind="postgresql", target=self.name, fingerprint=f"{database}/{relation}")

    def clock(self) -> datetime:
        """The server's clock."""
        with errors("the server does not report its time"):
            now: datetime = self._one("clock")[0]
            self.connection.rollback()
        return now

    @property
    def patience(self) -> str:
        """How long a lock is waited for outside of batches: as long as a batch may take."""
        return _ms(_STATEMENT_TIMEOUT)

    def preflight(self, request: Request) -> tuple[Finding, ...]:
        """Everything that would keep a run from working or make it hurt, each in a sentence."""
        with errors(f"{self.name} cannot be examined"):
            traits = self._traits()
            health = health_of(self.connection, self._quoted, self.name)
        return (*findings(self._target, self._known, traits, request), *health)

    def survey(self, request: Request) -> Survey:
        """The facts, in one statement and so in one snapshot."""
        identity, now = self.identity(), self.clock()
        values = {"p_cutoff": request.cutoff, "p_holds": holds_json(request.holds)}
        with errors(f"{self.name} cannot be surveyed"):
            self._row("counting", lock_timeout=self.patience)
            row = self._ask("survey", lambda: tablesql.survey_query(self.shape), values)
            query = self._survey_text()
            self.connection.rollback()
        if row is None:
            raise StoreError(f"the survey of {self.name} returned no row")
        expired = int(row["expired"])
        return Survey(
            identity=identity,
            store_clock=now,
            expired=expired,
            population=Count(value=int(row["population"]), exact=bool(row["population_exact"])),
            held=int(row["held"]),
            locked=int(row["locked"]),
            undated=int(row["undated"]),
            future=int(row["future"]),
            oldest=row["oldest"],
            oldest_expired=row["oldest_expired"],
            newest=row["newest"],
            expired_bytes=Count(value=int(row["expired_bytes"]), exact=False),
            forecast={
                **pacing.forecast(expired, self._pace),
                "reusable_bytes": int(row["expired_bytes"]),
            },
            evidence={
                "strategy": self._known.strategy if self._known else "before migrate",
                "query": query,
                "query_sha256": hashlib.sha256(query.encode()).hexdigest(),
                **self._functions_evidence(),
            },
            counters=self._counters(),
        )

    def _counters(self) -> Counters:
        """What the server counts of deletions, whoever makes them."""
        with errors(f"what the server counts of {self.name} cannot be read"):
            epoch, deleted, files = self._one("counters", table=self._quoted)
            self.connection.rollback()
        return Counters(epoch=epoch, deleted=deleted or {}, files=files or {})

    def _functions_evidence(self) -> dict[str, str]:
        """The digest of what the catalogue says of our functions, to be compared with the ledger's."""
        if self._known is None:
            return {}
        with errors(f"the functions of {self.name} cannot be examined"):
            digest = self._catalogue()[0]
            self.connection.rollback()
        return {"functions_sha256": digest}

    def matching(self, hold: Hold) -> int:
        """See :class:`~luxima_retention.core.protocol.Matching`."""
        with errors(f"what hold {hold.hold_id} keeps in {self.name} cannot be counted"):
            self._row("local", lock_timeout=self.patience, statement_timeout=_COUNTING)
            row = self.connection.execute(
                self._statement("keeps"), {"p_holds": holds_json((hold,))}
            ).fetchone()
            self.connection.rollback()
        return int(row[0]) if row else 0

    def _survey_text(self) -> str:
        """The query behind the figures, with its parameters ``p_cutoff`` and ``p_holds``."""
        if not self._known:
            return str(tablesql.survey_query(self.shape).as_string(self.connection))
        function = tablesql.identifier(self._functions["survey"]).as_string(None)
        return str(self._one("survey_text", survey=f"{function}(timestamptz,jsonb)")[0])

    def batches(self, plan: Plan, work: Work) -> Iterator[TableBatch]:
        """Oldest first by the index, or page by page; the journal's cursor makes a resumed run go on.

        What others move behind the walk, or add there in place of what they deleted, is found by another
        one; a walk that deletes nothing is the last.
        """
        self.connection.deadline = UNLIMITED
        left, walked, rows = plan.items, 0, pacing.first_rows(self._pace)
        self._token = self._own_token(work)
        while left > 0 and not work.stopping():
            waited = self._throttled(work)
            if work.stopping():
                return
            batch = TableBatch(self, plan, work, min(rows, left), waited)
            yield batch
            if batch.outcome is None:
                return
            left -= batch.outcome.items
            walked += batch.outcome.items
            if batch.done:
                if not walked:
                    return
                walked = 0
            rows = pacing.next_rows(batch.taken, self._pace)
            self._rest(batch.taken, work)

    def explain(self, item: str, request: Request) -> Explanation:
        """Why one row goes or stays; ``item`` is its key, several columns as a line of CSV.

        Raises:
            ConfigurationError: ``item`` is not a key of this table.
        """
        values = {
            "p_key": key_values(self.name, self._target.table.key_columns, item),
            "p_cutoff": request.cutoff,
            "p_holds": holds_json(request.holds),
        }
        with errors(f"row {item!r} of {self.name} cannot be explained"):
            row = self._ask("explain", lambda: tablesql.explain_query(self.shape), values)
            self.connection.rollback()
        found = (row["dated"], row["held_by"]) if row else None
        return explained(item, found, request, self.clock())

    def archive_schema(self) -> tuple[tuple[str, str], ...]:
        """Name and type of each column."""
        with errors(f"the columns of {self.name} cannot be read"):
            shape.plain_path(self.connection)
            rows = self.connection.execute(_sql("columns"), {"table": self._quoted}).fetchall()
            self.connection.rollback()
        return tuple((name, kind) for name, kind in rows)

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """What has no limit of its own ends with the run: the ledger's lock, a standby that must confirm.

        A commit that a standby does not confirm is made all the same when it is cancelled.
        """
        self.connection.deadline = self._deadline
        try:
            yield
        finally:
            self.connection.deadline = UNLIMITED

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self.connection.close()

    # --- what batches need ------------------------------------------------------------------------------

    def begin(self, work: Work) -> None:
        """Begin a batch's transaction, with its limits set for it alone."""
        values = {"lock_timeout": _ms(LOCK_TIMEOUT), "statement_timeout": _ms(_STATEMENT_TIMEOUT)}
        known = self._known  # read before the transaction begins
        self.connection.rollback()
        self.connection.execute(_sql("local"), values)
        self.connection.execute(_sql("immediate"))
        self._check_functions(known)
        failpoint("table.before_delete")
        del work

    def _check_functions(self, known: Known | None) -> None:
        """Make sure that what deletes is what migrate made, and was not replaced since the run began.

        While no row of the catalogue that says so has another version than at the last comparison, there is
        nothing to compare.

        Raises:
            GuardRefused: it is another.
        """
        stamp = str(self._row_of("stamp")[0])
        if stamp == self._stamp:
            return
        digest, versions = self._catalogue()
        recorded = known.catalogue if known else ""
        if digest != recorded or (self._versions and versions != self._versions):
            raise GuardRefused(
                f"functions or rights that guard {self.name} were changed while the run was at work",
                _REMAKE,
            )
        self._versions, self._stamp = versions, stamp

    def _catalogue(self) -> tuple[str, str]:
        self._row_of("plain_names")
        digest, versions = self._row_of("catalogue", function=function_name(self.name))
        return str(digest), str(versions)

    def _row_of(self, name: str, **values: Any) -> tuple[Any, ...]:
        row = self.connection.execute(named("queries/catalogue.sql")[name].encode(), values).fetchone()
        if row is None:
            raise StoreError(f"{self.name}: the catalogue does not answer {name}")
        return tuple(row)

    def _own_token(self, work: Work) -> int:
        """The lease's token, or where the lease is in another database, one that this run registers here."""
        if self._target.register:
            return work.token
        with errors(f"the run cannot be registered at {self.name}"):
            token = self._one("register", lease=self.name, holder=f"run {work.run_id}")[0]
            self.connection.commit()
        return int(token)

    def delete(self, plan: Plan, work: Work, limit: int, sink: Sink | None) -> float:
        """Call the batch function; its rows go to ``sink`` as CSV. The seconds until it had answered."""
        values = {
            "run": work.run_id,
            "token": self._token,
            "cutoff": plan.cutoff,
            "limit": limit,
            "holds": holds_json(work.holds()),
        }
        begun = time.monotonic()
        if sink is None:
            self.connection.execute(self._statement("prune"), values)
        else:
            copy_rows(self.connection, self._statement("prune_rows"), values, sink)
        seconds = time.monotonic() - begun
        self._check_functions(self._known)
        return seconds

    def journal(self) -> tuple[int, datetime | None, datetime | None, bool]:
        """What the batch function wrote of its batch: rows, first and last instant, whether it was all."""
        items, first, last, done = self._one("journal", target=self.name)
        return int(items), first, last, bool(done)

    @property
    def repeatable(self) -> frozenset[str]:
        """SQLSTATEs after which a batch is tried again; a reference that came meanwhile is skipped then."""
        return _AGAIN | ({"23503"} if self._target.table.skip_referenced else set())

    def wal_position(self) -> str:
        """Where the server's WAL stands."""
        return str(self._one("wal")[0])

    def wal_since(self, position: str) -> int:
        """Bytes of WAL since ``position``, other sessions' included."""
        return int(self._one("wal_since", since=position)[0])

    def _throttled(self, work: Work) -> dict[str, int]:
        """Wait while a standby or a slot is in need, asked once a second; reason → milliseconds."""
        waited: dict[str, int] = {}
        if time.monotonic() < self._looked + _POLL_SECONDS:
            return waited
        while (reason := self._in_need()) and not work.stopping():
            work.wait(_POLL_SECONDS)
            waited[reason] = waited.get(reason, 0) + round(_POLL_SECONDS * 1000)
        self._looked = time.monotonic()
        return waited

    def _in_need(self) -> str | None:
        with errors("replication cannot be watched"):
            lag, (headroom, behind) = self._one("lag")[0], self._one("headroom")
            self.connection.rollback()
        if lag is not None and lag > self._pace.max_replica_lag.total_seconds():
            return "replica-lag"
        if headroom is not None and headroom < SLOT_HEADROOM:
            return "slot-headroom"
        if behind is not None and behind > self._pace.max_slot_lag_mib * 1024 * 1024:
            return "slot-lag"
        return None

    def _rest(self, taken: pacing.Taken, work: Work) -> None:
        """Pause after a batch; told by the next one."""
        reason, seconds = pacing.pause(taken, self._pace)
        if seconds > 0:
            work.wait(seconds)
            self._rested[reason] = round(seconds * 1000)

    @cached_property
    def _rested(self) -> dict[str, int]:
        return {}

    def rested(self) -> dict[str, int]:
        """Reason → milliseconds of the pause before this batch; told once."""
        told = dict(self._rested)
        self._rested.clear()
        return told

    # --- the catalogue ----------------------------------------------------------------------------------

    @cached_property
    def shape(self) -> tablesql.Shape:
        """How the table is made."""
        strategy = self._known.strategy if self._known else None
        return shape.shape_of(self.connection, self._target, strategy)

    @cached_property
    def _known(self) -> Known | None:
        """What migrate wrote about this table; ``None`` before it ran."""
        with errors(f"what migrate knows of {self.name} cannot be read"):
            there, _, digest = self._one("functions", prune=self._signature)
            row = self._row("target", target=self.name) if there else None
            self.connection.rollback()
        return replace(Known(*row), digest=digest) if row else None

    @property
    def _signature(self) -> str:
        return f"{self._functions['prune']}(uuid,bigint,timestamptz,integer,jsonb,boolean)"

    def _traits(self) -> Traits:
        names = {"table": self._quoted, "prune": self._signature, "column": self._target.table.time_column}
        row = self._row("traits", **names)
        if row is None:
            raise StoreError(f"there is no table {self.name}, or this role may not see it")
        self.connection.commit()  # a pooler may give another server connection from here on
        # A pooler makes up the process id that the protocol tells.
        pooled = row[1] != self.connection.info.backend_pid or self._one("traits", **names)[1] != row[1]
        traits = Traits(
            standby=row[0],
            pooled=pooled,
            filtered=row[2],
            may_delete=row[3],
            may_truncate=row[4],
            may_select=row[5],
            indexed=row[6],
            blind=row[7],
            version=row[8],
            may_call=bool(self._one("functions", prune=self._signature)[1]),
            counts=row[9],
            references=tuple(Referring(*item) for item in self._rows("references", names)),
            triggers=tuple(Trigger(*item) for item in self._rows("triggers", names)),
            rules=tuple(item[0] for item in self._rows("rules", names)),
            foreign=tuple(item[0] for item in self._rows("foreign", names)),
            lacking=self._lacking(names),
            digest=self.shape.digest,
            catalogue=self._catalogue()[0] if self._known else "",
        )
        self.connection.rollback()
        return traits

    def _lacking(self, names: Mapping[str, str]) -> tuple[Lacking, ...]:
        """Rights that triggers need and the functions' role lacks, as far as their text tells."""
        found = []
        for trigger, source, role in self._rows("trigger_sources", names):
            for right, table in touched(source):
                asked = {"role": role, "right": right, "table": table}
                if (row := self._row("lacks", **asked)) is not None and row[0]:
                    found.append(Lacking(trigger=trigger, right=right, table=table, role=role))
        return tuple(found)

    def _rows(self, name: str, values: Mapping[str, str]) -> list[tuple[Any, ...]]:
        return self.connection.execute(_sql(name), values).fetchall()

    def _ask(
        self, name: str, query: Callable[[], Any], values: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """One row from the table's function, or before migrate from the same text as a query."""
        from psycopg.rows import dict_row

        statement = self._statement(name) if self._known else query()
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, values).fetchone()

    def _statement(self, name: str) -> Any:
        from psycopg import sql

        names = {key: tablesql.identifier(function) for key, function in self._functions.items()}
        return sql.SQL(named("queries/table.sql")[name]).format(**names)

    def _row(self, name: str, **values: Any) -> tuple[Any, ...] | None:
        return self.connection.execute(_sql(name), values).fetchone()

    def _one(self, name: str, **values: Any) -> tuple[Any, ...]:
        row = self._row(name, **values)
        if row is None:
            raise StoreError(f"{self.name}: the database answers {name} with no row")
        return row


def copy_rows(
    connection: psycopg.Connection[Any], statement: Any, values: Mapping[str, Any], sink: Sink
) -> None:
    """Stream a COPY, many rows at once; its header is held back, so that no rows give no bytes."""
    with connection.cursor() as cursor, cursor.copy(statement, values or None) as copy:
        rows = iter(copy)
        gathered = bytearray(next(rows, b""))
        header = len(gathered)
        for row in rows:
            gathered += row
            if len(gathered) >= _GATHERED:
                sink.write(bytes(gathered))
                gathered, header = bytearray(), 0
    if len(gathered) > header:
        sink.write(bytes(gathered))


class TableBatch:
    """One transaction; see :class:`~luxima_retention.core.protocol.Batch`.

    Attributes:
        limit: rows that it may take; halved by each attempt that ran into a timeout.
        outcome: after ``commit``.
        done: whether nothing expired was left behind it.
        taken: what it took, for the pace of the next one; after ``commit``.
    """

    def __init__(
        self, store: TableStore, plan: Plan, work: Work, limit: int, waited: Mapping[str, int]
    ) -> None:
        self._store = store
        self._plan = plan
        self._work = work
        self._waited = dict(waited)
        self.limit = limit
        self.outcome: Committed | None = None
        self.done = False
        self.taken = pacing.Taken(limit=limit, items=0, deleting=0.0, commit=0.0, wal_bytes=0)
        self._items = 0
        self._way = 0.0
        self._rolled_back = 0
        self._open = False

    def stage(self, sink: Sink | None) -> Staged:
        """Delete inside the transaction that ``commit`` ends.

        Raises:
            LeaseLost: another run has the lease.
            GuardRefused: the function refused: floor, holds.
            StoreError: PostgreSQL refused, or timeouts did not end.
        """
        position, seconds = self._deleted(sink)
        failpoint("table.after_delete")
        with errors(f"the journal of {self._store.name} cannot be read"):
            self._items, first, last, self.done = self._store.journal()
            wal_bytes = self._store.wal_since(position)
        self.taken = pacing.Taken(
            limit=self.limit, items=self._items, deleting=seconds, commit=0.0, wal_bytes=wal_bytes
        )
        waits = {**self._waited, **self._store.rested()}
        return Staged(
            items=self._items,
            first=first if self._items else None,
            last=last if self._items else None,
            shared=self._work.enter is not None,
            metrics={
                "wal_bytes": wal_bytes,
                **({ROLLED_BACK: self._rolled_back} if self._rolled_back else {}),
                **{f"wait_ms.{reason}": value for reason, value in waits.items()},
            },
        )

    def commit(self) -> Committed:
        """Make deletion, cursor and the ledger's entry beside them final."""
        with self._store.stoppable():
            if self._work.enter is not None and self._items:
                self._work.enter(self._store.connection)
            with errors(f"batch of {self._store.name}: the commit failed, what it did is not known"):
                failpoint("table.before_commit")
                begun = time.monotonic()
                self._store.connection.commit()
        self._open = False
        failpoint("table.after_commit")
        self.taken = replace(self.taken, commit=max(time.monotonic() - begun - self._way, 0.0))
        self.outcome = Committed(items=self._items)
        return self.outcome

    def rollback(self) -> None:
        """Leave everything as it was."""
        if self._open and not self._store.connection.closed:
            self._store.connection.rollback()
        self._open = False

    def _deleted(self, sink: Sink | None) -> tuple[str, float]:
        """Delete, as often as timeouts ask for it; the WAL position before, and the server's seconds."""
        import psycopg

        for attempt in range(1, _ATTEMPTS + 1):
            self._open = True
            try:
                with errors(f"a batch of {self._store.name} failed"):
                    self._store.begin(self._work)
                    begun = time.monotonic()
                    position = self._store.wal_position()
                    self._way = time.monotonic() - begun  # there and back: the answer itself takes no time
                    seconds = self._store.delete(self._plan, self._work, self.limit, sink)
            except StoreError as error:
                cause = error.__cause__
                self.rollback()
                again = isinstance(cause, psycopg.Error) and cause.sqlstate in self._store.repeatable
                if not again or attempt == _ATTEMPTS:
                    raise
                if self._work.stopping():
                    raise RunStopped(
                        f"{error.message}; it was rolled back, and the run should end",
                        "the next run tries again",
                    ) from error
                self._back_off(attempt)
            else:
                return position, max(seconds - self._way, 0.0)
        raise StoreError(f"a batch of {self._store.name} failed {_ATTEMPTS} times")

    def _back_off(self, attempt: int) -> None:
        """Half as many rows after a growing pause; the jitter keeps two sessions out of step."""
        self._rolled_back += self.limit
        self.limit = max(1, self.limit // 2)
        seconds = min(30.0, 0.2 * 2**attempt) * (0.5 + random.random() / 2)  # noqa: S311 - no secret
        self._work.wait(seconds)
        self._waited["timeout"] = self._waited.get("timeout", 0) + round(seconds * 1000)


def _sql(name: str) -> bytes:
    return named("queries/table.sql")[name].encode()


def _ms(duration: timedelta) -> str:
    return f"{round(duration.total_seconds() * 1000)}ms"


def holds_json(holds: tuple[Hold, ...]) -> str:
    """Holds as the functions take them."""
    return json.dumps([hold.argument() for hold in holds])
