"""A PostgreSQL that keeps what it says, prepared tables, and the processes beside a deletion."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from bench.measure import Cost, cost_of, ours
from tests.servers.postgres import PostgresServer, remove_copies

SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "wal_level": "replica",
}
CUTOFF = "(date_trunc('day', now(), 'UTC') - interval '180 days')"
EXPIRED = f"created_at < {CUTOFF} AND tenant <> 'held'"
TABLE = """
CREATE SCHEMA core;
CREATE SEQUENCE core.numbers START 1000000000;
CREATE TABLE core.audit_log (
    id bigint NOT NULL DEFAULT nextval('core.numbers'), created_at timestamptz NOT NULL, tenant text,
    actor text, action text, detail text) {partitions};
"""
HASHED = "PARTITION BY HASH (id)"
RANGED = "PARTITION BY RANGE (created_at)"
PARTS = "CREATE TABLE core.part_{n} PARTITION OF core.audit_log FOR VALUES WITH (MODULUS 4, REMAINDER {n});"
RANGES = f"""
DO $$
DECLARE part text := 'CREATE TABLE core.%s PARTITION OF core.audit_log FOR VALUES FROM (%s) TO (%s)';
DECLARE edge text := quote_literal({CUTOFF});
BEGIN
  EXECUTE format(part, 'old', 'MINVALUE', edge);
  EXECUTE format(part, 'new', edge, 'MAXVALUE');
END $$;
"""
# About 240 bytes each, in the order of their time; 1 % of them held.
ROWS = f"""
INSERT INTO core.audit_log
SELECT g, CASE WHEN g <= {{expired}}
               THEN {CUTOFF} - interval '180 days' * (({{expired}} + 1 - g)::float8 / {{expired}})
               ELSE {CUTOFF} + (now() - {CUTOFF}) * ((g - {{expired}})::float8 / ({{stored}} - {{expired}}))
          END,
       CASE WHEN g % 100 = 0 THEN 'held' ELSE 'tenant-' || g % 50 END,
       'user-' || g % 1000, 'update', repeat(md5(g::text), 4)
FROM generate_series(1, {{stored}}) g;
"""
KEYS = "ALTER TABLE core.audit_log ADD PRIMARY KEY ({key});"
INDEX = "CREATE INDEX ON core.audit_log (created_at, id);"
WINDOW = """
SELECT extract(epoch FROM min(at))::float8, extract(epoch FROM max(at))::float8
FROM retention.ledger WHERE kind IN ('run.started', 'run.completed')
"""
FREE = {"LUXIMA_PACE__DUTY_CYCLE": "1"}


class Postgres:
    """One server; each run works on a copy of a prepared database."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server

    def prepare(
        self, name: str, stored: int, expired: int, *, indexed: bool = True, partitions: str = ""
    ) -> None:
        """A database with a table of so many rows, migrated, with a hold; a template of copies."""
        self.server.execute(f"CREATE DATABASE {name}")
        with self.connect(name) as connection:
            connection.execute(TABLE.format(partitions=partitions))
            if partitions == HASHED:
                connection.execute("".join(PARTS.format(n=number) for number in range(4)))
            if partitions == RANGED:
                connection.execute(RANGES)
            connection.execute(ROWS.format(stored=stored, expired=expired))
            connection.execute(KEYS.format(key="created_at, id" if partitions == RANGED else "id"))
            if indexed:
                connection.execute(INDEX)
            connection.execute("VACUUM (ANALYZE) core.audit_log")
        if partitions != RANGED:
            variables = self.variables(name)
            cost_of(ours("migrate"), variables)
            hold = ("hold", "add", "--policy", "audit-logs", "--tenant", "held", "--reason", "bench")
            cost_of(ours(*hold), variables)

    @contextmanager
    def copy(self, template: str) -> Iterator[str]:
        """The name of a database that is the template's copy, written to the disk; dropped afterwards."""
        name = f"{template}_copy"
        # Copied as files: the caches of server and disk are then the same for each way.
        self.server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield name
        finally:
            self.server.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def connect(self, name: str) -> psycopg.Connection[Any]:
        """As superuser, in autocommit."""
        return psycopg.connect(self.server.conninfo(dbname=name), autocommit=True)

    def variables(self, name: str, port: int | None = None) -> dict[str, str]:
        """Of the command: this database, through a proxy's port if one is given."""
        dsn = self.server.conninfo(dbname=name, port=str(port or self.server.port))
        return {
            "LUXIMA_DATABASE__DSN": dsn,
            "LUXIMA_DATABASE__OWNER_DSN": dsn,
            "LUXIMA_DATABASE__JOB_ROLE": "postgres",
            "LUXIMA_AUDIT_LOG__TENANT_COLUMN": "tenant",
            "LUXIMA_POLICIES__AUDIT_LOGS__ARCHIVE": "off",
            "LUXIMA_POLICIES__AUDIT_LOGS__MAX_FRACTION": "0.95",
        }


@contextmanager
def run_postgres() -> Iterator[Postgres]:
    """A server with fsync and synchronous commit; ends with the block."""
    server = PostgresServer.start(settings=SETTINGS)
    try:
        yield Postgres(server)
    finally:
        server.stop()
        remove_copies()


def run_command(*words: str, variables: dict[str, str], policy: str) -> tuple[dict[str, Any], Cost]:
    """``run`` of one policy, which must end with 0: its target in the JSON, and what the process cost."""
    cost = cost_of(ours("run", policy, "--yes", "--output", "json", *words), variables)
    (target,) = json.loads(cost.stdout)["policies"][0]["targets"]
    return target, cost


def rated(rows: int, seconds: float) -> dict[str, float]:
    """Seconds, and rows a second."""
    return {"seconds": seconds, "rows_per_s": rows / max(seconds, 0.001)}


def acted(target: dict[str, Any], cost: Cost) -> dict[str, float]:
    """Rows a second of the action, as of a statement; the rest of the run beside it."""
    spent = target["milliseconds"]
    return rated(target["done"]["destroyed"], spent["act"] / 1000) | {
        "survey_s": spent["survey"] / 1000,
        "prove_s": spent["prove"] / 1000,
        "whole_s": cost.seconds,
        "cpu_s": cost.cpu,
        "memory_mib": cost.memory,
    }


class Beside:
    """A process at work beside the deletion, until it is stopped."""

    def __init__(self, work: Any, *arguments: Any) -> None:
        context = multiprocessing.get_context("fork")
        self._stop, self._told = context.Event(), context.SimpleQueue()
        self._process = context.Process(target=work, args=(*arguments, self._stop, self._told), daemon=True)
        self._process.start()

    def stop(self) -> list[tuple[float, float]]:
        """End it; what it has told. RuntimeError where it ended by itself, which its own words explain."""
        self._stop.set()
        while self._told.empty():
            if not self._process.is_alive():
                raise RuntimeError(f"the process beside ended with {self._process.exitcode}")
            time.sleep(0.01)
        told: list[tuple[float, float]] = self._told.get()
        self._process.join()
        return told


def insert(dsn: str, stop: Any, told: Any) -> None:
    """A row every 5 ms; when each insert began (seconds since 1970), and the milliseconds that it took."""
    row = "INSERT INTO core.audit_log (created_at, tenant, actor, action, detail)"
    row += " VALUES (now(), 't', 'a', 'b', 'c')"
    samples = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not stop.is_set():
            now, begun = time.time(), time.perf_counter()
            connection.execute(row)
            samples.append((now, (time.perf_counter() - begun) * 1000))
            time.sleep(0.005)
    told.put(samples)


def write_wal(dsn: str, size: int, a_second: float, stop: Any, told: Any) -> None:
    """Transactions that only write so many bytes of WAL, so many a second."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        due = time.perf_counter()
        while not stop.is_set():
            connection.execute(
                "SELECT pg_logical_emit_message(true, 'bench', repeat('x', %s))", [size], prepare=True
            )
            due += 1 / a_second
            time.sleep(max(due - time.perf_counter(), 0))
    told.put([])
