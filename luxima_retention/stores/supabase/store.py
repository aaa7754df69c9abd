"""One table behind PostgREST: survey by a STABLE function, batches by the one that deletes.

PostgREST commits each call by itself, so a batch is decided and final in one request: ``stage`` only
plans, ``commit`` calls. An answer that is lost leaves open whether the batch took effect; the journal of
the database, which the batch itself writes, is asked before anything is repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import StoreError
from luxima_retention.core.plan import (
    Committed,
    Count,
    Explanation,
    Finding,
    Identity,
    Level,
    Plan,
    Request,
    Staged,
    Survey,
    explained,
)
from luxima_retention.core.protocol import Sink, Work
from luxima_retention.core.tablenames import function_name, key_values
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.postgres import nearest
from luxima_retention.stores.supabase.client import Answer, Client, Kind, pause_of

#: Rows of a batch; the function itself refuses more than the largest.
FIRST_BATCH = 1000
SMALLEST_BATCH = 100
LARGEST_BATCH = 5000
#: Seconds that a batch aims for; the API's statement timeout is 8 s.
_AIM_SECONDS = 1.5
_ATTEMPTS = 8
_NO_ARCHIVE = "an archive needs the rows themselves, which PostgREST does not stream"
_USE_DSN = "set databases.supabase.dsn, or archive = off for this policy"


class PostgrestStore:
    """See :class:`~luxima_retention.core.protocol.Expirable`.

    Args:
        client: of the project's PostgREST.
        table: with its schema: ``app.security_events``.
        archives: whether the policy archives before it destroys, which this transport cannot.
        clock: seconds of a clock that only goes forward, to size batches by time.
    """

    def __init__(
        self,
        client: Client,
        table: str,
        *,
        key_columns: tuple[str, ...] = ("id",),
        archives: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._table = table
        self._key_columns = key_columns
        self._name = function_name(table)
        self._archives = archives
        self._monotonic = clock

    def identity(self) -> Identity:
        """The table, in the cluster that the database names."""
        return self._identity_of(self._state())

    def clock(self) -> datetime:
        """The database's clock."""
        return parse_iso(str(self._state()["store_clock"]))

    def preflight(self, request: Request) -> tuple[Finding, ...]:
        """Whether the functions are there and may be called; what this transport cannot do."""
        state = self._state()
        found = []
        if state["policy"] != request.policy:
            message = f"{self._table} was set up for policy {state['policy']}, not for {request.policy}"
            found.append(_refuse("other-policy", message, "run migrate again with the settings in force"))
        if state["floor_days"] > request.retention_days:
            message = f"the database keeps {self._table} for at least {state['floor_days']} days"
            found.append(_refuse("below-floor", message, "lower the floor with migrate, as the owner"))
        if self._archives:
            found.append(_refuse("archive-needs-dsn", f"{self._table}: {_NO_ARCHIVE}", _USE_DSN))
        return tuple(found)

    def survey(self, request: Request) -> Survey:
        """The facts, from a function that PostgREST runs read-only."""
        state = self._state()
        arguments = {"p_cutoff": iso(request.cutoff), "p_holds": [hold.argument() for hold in request.holds]}
        row = self._client.ask(f"preview_{self._name}", arguments)
        if row is None:
            raise StoreError(f"preview_{self._name} returned no row", "run migrate again")
        return Survey(
            identity=self._identity_of(state),
            store_clock=parse_iso(str(state["store_clock"])),
            expired=int(row["expired"]),
            population=Count(value=int(row["population"]), exact=bool(row["population_exact"])),
            held=int(row["held"]),
            undated=int(row["undated"]),
            future=int(row["future"]),
            oldest=_instant(row["oldest"]),
            oldest_expired=_instant(row["oldest_expired"]),
            newest=_instant(row["newest"]),
            expired_bytes=_estimate(row["expired_bytes"]),
            evidence={"transport": "postgrest", "floor_days": int(state["floor_days"])},
        )

    def batches(self, plan: Plan, work: Work) -> Iterator[PostgrestBatch]:
        """Oldest first, until the plan or the expired rows end; the batches of a resumed run count on.

        As over a DSN, another walk looks for what others moved or added behind the one that is over.
        """
        sizes, walked = Sizes(self._monotonic), 0
        number, left = self._begin(plan, work)
        while left > 0 and not work.stopping():
            batch = PostgrestBatch(self, plan, work, number=number, sizes=sizes, left=left)
            yield batch
            if batch.outcome is None:
                return
            walked += batch.outcome.items
            if batch.done:
                if not walked:
                    return
                walked = 0
            number, left = number + 1, left - batch.outcome.items

    def explain(self, item: str, request: Request) -> Explanation:
        """Why one row goes or stays; ``item`` is its key, several columns as a line of CSV.

        Raises:
            ConfigurationError: ``item`` is not a key of this table.
        """
        arguments = {
            "p_key": key_values(self._table, self._key_columns, item),
            "p_cutoff": iso(request.cutoff),
            "p_holds": [hold.argument() for hold in request.holds],
        }
        row = self._client.ask(f"explain_{self._name}", arguments)
        found = (_instant(row["dated"]), row["held_by"]) if row else None
        return explained(item, found, request, self.clock())

    def close(self) -> None:
        """Nothing is kept open."""

    # --- what batches need ------------------------------------------------------------------------------

    def call(self, plan: Plan, work: Work, number: int, limit: int) -> Answer:
        """One request that deletes up to ``limit`` rows as batch ``number`` of the run."""
        return self._client.call(
            f"trim_{self._name}",
            {
                "p_run": work.run_id,
                "p_token": work.token,
                "p_batch": number,
                "p_cutoff": iso(plan.cutoff),
                "p_limit": limit,
                "p_holds": [hold.argument() for hold in work.holds()],
            },
            finish=True,
        )

    def settled(self, work: Work, number: int) -> Mapping[str, Any] | None:
        """What the journal says of batch ``number``: its row when it took effect, ``None`` when not.

        Raises:
            StoreError: another run has written there meanwhile, so this one cannot know.
        """
        # The call may still be at work: the first question waits for its end, the second one sees it.
        self._state(settle=True, finish=True)
        row = self._state(finish=True)
        batches = int(row["batches"] or 0) if row["run_id"] == work.run_id else 0
        if batches == number:
            return {
                "items": row["batch_items"],
                "first_at": row["batch_first"],
                "last_at": row["batch_last"],
            } | {"done": row["done"]}
        if batches == number - 1:
            return None
        raise StoreError(
            f"the journal of {self._table} is at batch {batches} of run {row['run_id']}, not at {number}",
            "another run is at work on this table: see who has the lease",
        )

    def pause(self, answer: Answer, attempt: int, work: Work) -> None:
        """Wait before the next attempt, not longer than the run may last."""
        work.wait(pause_of(answer, attempt))

    def failed(self, answer: Answer) -> StoreError:
        """The error that ends the attempts."""
        return self._client.error(f"trim_{self._name}", answer)

    def _begin(self, plan: Plan, work: Work) -> tuple[int, int]:
        """Number of the next batch, and how many records of the plan are left."""
        if not work.resumed:
            return 1, plan.items
        row = self._state()
        if row["run_id"] != work.run_id:
            return 1, plan.items
        return int(row["batches"]) + 1, plan.items

    def _state(self, *, settle: bool = False, finish: bool = False) -> Mapping[str, Any]:
        row = self._client.ask(f"state_{self._name}", {"p_settle": settle}, finish=finish)
        if row is None:
            raise StoreError(
                f"{self._table} is not set up for retention in this database",
                "run migrate with owner_dsn of its section databases.<name> and the policy's rest_role set",
            )
        return row

    def _identity_of(self, state: Mapping[str, Any]) -> Identity:
        system, database = state["system_identifier"], state["database"]
        fingerprint = f"postgresql:{system}/{database}/{state['relation']}"
        return Identity(kind="postgresql", target=self._table, fingerprint=fingerprint)


class Sizes:
    """How many rows the next batch takes: as many as its time allows."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.rows = FIRST_BATCH

    def measured(self, call: Callable[[], Answer]) -> Answer:
        """Call, and size the next batch by how long this one took."""
        began = self._clock()
        answer = call()
        if answer.kind is Kind.DONE:
            factor = min(max(_AIM_SECONDS / max(self._clock() - began, 0.001), 0.5), 2.0)
            self._set(int(self.rows * factor))
        elif answer.kind is Kind.SLOW:
            self._set(self.rows // 2)
        return answer

    def _set(self, rows: int) -> None:
        self.rows = min(max(rows, SMALLEST_BATCH), LARGEST_BATCH)


class PostgrestBatch:
    """One call; see :class:`~luxima_retention.core.protocol.Batch`.

    Attributes:
        outcome: after ``commit``; ``None`` before, and after ``rollback``.
        done: whether nothing expired was left behind it.
    """

    def __init__(
        self, store: PostgrestStore, plan: Plan, work: Work, *, number: int, sizes: Sizes, left: int
    ) -> None:
        self._store = store
        self._plan = plan
        self._work = work
        self._number = number
        self._sizes = sizes
        self._left = left
        self.outcome: Committed | None = None
        self.done = False

    def stage(self, sink: Sink | None) -> Staged:
        """What the call will take at most; which rows they are, only the call itself decides.

        Raises:
            StoreError: an archive was asked for.
        """
        if sink is not None:
            raise StoreError(_NO_ARCHIVE, _USE_DSN)
        return Staged(items=min(self._sizes.rows, self._left))

    def commit(self) -> Committed:
        """Call, as often as needed to know that the batch took effect once."""
        failpoint("postgrest.before_call")
        row = self._decided()
        failpoint("postgrest.after_call")
        self.done = row is None or bool(row["done"])
        self.outcome = Committed(items=int(row["items"]) if row is not None else 0)
        return self.outcome

    def rollback(self) -> None:
        """Nothing is open between calls; what ``commit`` made final stays so."""

    def _decided(self) -> Mapping[str, Any] | None:
        """The batch's own row; ``None`` when the run should end and nothing took effect."""
        answer = Answer(kind=Kind.BUSY)
        for attempt in range(_ATTEMPTS):
            answer = self._sizes.measured(self._call)
            if answer.kind is Kind.DONE and answer.rows:
                return answer.rows[0]
            if answer.kind is Kind.REFUSED:
                break
            if answer.kind is not Kind.SLOW:
                self._store.pause(answer, attempt, self._work)
            if answer.kind in {Kind.UNKNOWN, Kind.DONE}:
                row = self._store.settled(self._work, self._number)
                if row is not None:
                    return row
            if self._work.stopping():
                return None
        raise self._store.failed(answer)

    def _call(self) -> Answer:
        limit = min(self._sizes.rows, self._left)
        return self._store.call(self._plan, self._work, self._number, limit)


def _refuse(code: str, message: str, hint: str) -> Finding:
    return Finding(code=code, level=Level.REFUSE, message=message, hint=hint)


def _instant(value: Any) -> datetime | None:
    """An instant as PostgREST writes it; one that Python has no value for, as the nearest that it has."""
    if value is None:
        return None
    try:
        return parse_iso(str(value))
    except ValueError:
        return nearest(str(value))


def _estimate(value: Any) -> Count | None:
    return Count(value=int(value), exact=False) if value is not None else None
