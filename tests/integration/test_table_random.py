"""Runs that are killed at random while holds are placed and rows come: the sums are equal in the end.

``LUXIMA_TEST_SEEDS`` says how many seeds are tried; a few by default, 200 in the long run.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from luxima_retention.config.settings import PaceSettings
from luxima_retention.core.plan import Hold
from luxima_retention.io import failpoints
from luxima_retention.stores.table import partitions
from luxima_retention.stores.table.partitions import PartitionStore
from tests.conftest import OUTSIDE
from tests.integration import conformance
from tests.integration.test_table_guards import PARTED, PLAIN, Policy, Table, place, work
from tests.integration.test_table_store import LedgeredStore

SEEDS = range(int(OUTSIDE.get("LUXIMA_TEST_SEEDS", "3")))
ROWS = (
    "INSERT INTO core.events SELECT n, now() - n * interval '6 hours', 't' || n % 7"
    " FROM generate_series(1, 1200) n"
)
EXPIRED = "created_at < date_trunc('day', now(), 'UTC') - interval '90 days'"


#: runs that are disturbed; the ones after them have to finish
_DISTURBED = 8


class Killed(Exception):  # noqa: N818 - the event, not the class, is the error
    """The process ended here."""


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_runs_holds_and_others_leave_equal_sums(database, seed):
    dice = random.Random(seed)  # noqa: S311 - a test
    parted, indexed = dice.random() < 0.3, dice.random() < 0.7
    ddl = PARTED if parted else PLAIN
    if not (parted or indexed):
        ddl = ddl.replace("CREATE INDEX ON core.events (created_at, id);", "")
    table = Table(database, ddl, ROWS, key_columns=("id", "created_at") if parted else ("id",))
    pace = PaceSettings(duty_cycle=1, max_batch_rows=dice.choice([20, 60, 150]))
    begun, others, held = table.count(), 0, {}
    young = table.count(where=f"NOT {EXPIRED}")
    for number in range(24):
        killed, change = carry_out(table, pace, dice, held, disturbed=number < _DISTURBED)
        others += change
        if not killed and not left(table, held):
            break
    assert not left(table, held), "24 runs were not enough"
    entries = database.execute(
        "SELECT convert_from(entry, 'UTF8')::jsonb->'body'->>'items' FROM retention.ledger"
        " WHERE kind = 'batch'"
    )
    gone = sum(int(row[0]) for row in entries)
    assert table.count() == begun + others - gone
    for tenant, before in held.items():
        assert table.count(where=f"tenant = '{tenant}' AND id <= 1200") == before, tenant
    assert table.count(where=f"NOT {EXPIRED}") == young


def left(table, held) -> int:
    tenants = ", ".join(f"'{tenant}'" for tenant in held) or "''"
    return table.count(where=f"{EXPIRED} AND tenant NOT IN ({tenants})")


def carry_out(table, pace, dice, held, *, disturbed):
    """One run, which may be killed between any two steps; whether it was, and how many rows others added."""
    store = LedgeredStore(table.job, table.target, pace, read_only=False)
    others = 0
    try:
        _, plan = conformance.planned(Policy, store)
        doing = replace(work(), run_id=str(uuid.uuid4()))
        for batch in store.batches(plan, doing):
            if not disturbed:
                batch.stage(None)
                batch.commit()
                continue
            may_be_killed(dice)
            if dice.random() < 0.15 and len(held) < 3:
                tenant = f"t{dice.randrange(7)}"
                if tenant not in held:
                    place(table, Hold(hold_id=f"H-{tenant}", policy="audit-logs", tenant=tenant))
                    held[tenant] = table.count(where=f"tenant = '{tenant}' AND id <= 1200")
            if dice.random() < 0.2:
                others += 5
                start = 10_000 + dice.randrange(10**9)
                table.owner(
                    f"INSERT INTO core.events SELECT {start} + n, now() - interval '200 days', 'late'"
                    " FROM generate_series(1, 5) n"
                )
            batch.stage(None)
            may_be_killed(dice)
            batch.commit()
            may_be_killed(dice)
    except Killed:
        return True, others
    finally:
        store.connection.close()
    return False, others


def may_be_killed(dice) -> None:
    if dice.random() < 0.04:
        raise Killed


@pytest.mark.parametrize("seed", SEEDS)
def test_partitions_that_are_killed_anywhere_end_detached_or_dropped_once(database, seed, monkeypatch):
    dice = random.Random(seed)  # noqa: S311 - a test
    table = Table(database, monthly(), ROWS, key_columns=("id", "created_at"), strategy="partition_drop")
    before, expired = table.count(), table.count(where=EXPIRED)

    def fail(_name: str) -> None:
        if dice.random() < 0.2:
            raise Killed

    monkeypatch.setattr(partitions, "failpoint", fail)
    for _ in range(60):
        if empty_partitions(table) and not table.count(where=EXPIRED) and not in_trash(database):
            break
        database.execute("UPDATE retention.detached SET due_at = now() - interval '1 hour'")
    monkeypatch.setattr(partitions, "failpoint", failpoints.failpoint)
    assert table.count() == before - expired
    assert in_trash(database) == 0
    assert database.execute("SELECT count(*) FROM retention.detached") == [(0,)]


def monthly() -> str:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    edges = [today + timedelta(days=2 - 30 * number) for number in range(12)]
    parts = "".join(
        f"CREATE TABLE core.p{number} PARTITION OF core.events FOR VALUES FROM ('{low.isoformat()}')"
        f" TO ('{high.isoformat()}');"
        for number, (high, low) in enumerate(pairwise(edges))
    )
    return PARTED.partition("CREATE TABLE core.old")[0] + parts


def in_trash(database) -> int:
    return database.execute(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'retention_trash'::regnamespace AND relkind = 'r'"
    )[0][0]


def empty_partitions(table) -> bool:
    """One run; whether it came to its end."""
    pace = PaceSettings(duty_cycle=1)
    rows = LedgeredStore(table.job, table.target, pace, read_only=False)
    store = PartitionStore(rows, table.target, table.database.dsn, timedelta(days=7), read_only=False)
    try:
        _, plan = conformance.planned(Policy, store)
        for batch in store.batches(plan, work()):
            batch.stage(None)
            batch.commit()
    except Killed:
        return False
    finally:
        rows.connection.close()
        store.owner.close()
    return True
