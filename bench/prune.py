"""Emptying a table: ours beside what people do by hand, on the same rows in the same run.

    python bench/prune.py [--rows 4000000] [--no-inserts]

Starts a PostgreSQL of its own (fsync and synchronous commit on) and stops it. Half of the rows have
expired, 1 % of those are held. Every way works on a fresh copy of the same table, while another process
inserts a row every 5 ms; its latency is told as p50 and p99.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from tests.servers.postgres import PostgresServer, remove_copies

ROOT = Path(__file__).parents[1]
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
BASE = """
CREATE TABLE base AS
SELECT g::bigint AS id, now() - interval '360 days' + g * (interval '360 days' / %(rows)s) AS created_at,
       CASE WHEN g %% 100 = 0 THEN 'held' ELSE 'tenant-' || g %% 50 END AS tenant,
       'user-' || g %% 1000 AS actor, 'update'::text AS action, repeat(md5(g::text), 4) AS detail
FROM generate_series(1, %(rows)s) g
"""
EXPIRED = "created_at < date_trunc('day', now(), 'UTC') - interval '180 days' AND tenant <> 'held'"
LOOP = f"DELETE FROM core.audit_log WHERE id IN (SELECT id FROM core.audit_log WHERE {EXPIRED} LIMIT 10000)"


class Bench:
    """One server, one set of rows."""

    def __init__(self, server: PostgresServer, rows: int, *, inserts: bool) -> None:
        self.server = server
        self.inserts = inserts
        self.connection = psycopg.connect(server.dsn, autocommit=True)
        self.connection.execute(BASE % {"rows": rows})
        self.connection.execute("CREATE SCHEMA core")
        self.results: dict[str, dict[str, Any]] = {}

    def fresh(self, *, indexed: bool = True) -> None:
        """The same rows again, in a table of their own."""
        # With its memory: the identity guard would refuse another table under the same name.
        self.connection.execute("DROP SCHEMA IF EXISTS retention CASCADE")
        self.connection.execute("DROP TABLE IF EXISTS core.audit_log CASCADE")
        self.connection.execute("CREATE TABLE core.audit_log AS TABLE base")
        self.connection.execute("ALTER TABLE core.audit_log ADD PRIMARY KEY (id)")
        if indexed:
            self.connection.execute("CREATE INDEX ON core.audit_log (created_at, id)")
        self.connection.execute("CREATE SEQUENCE IF NOT EXISTS core.numbers START 1000000000")
        self.connection.execute("ALTER TABLE core.audit_log ALTER id SET DEFAULT nextval('core.numbers')")
        self.connection.execute("VACUUM ANALYZE core.audit_log")
        self.connection.execute("CHECKPOINT")

    def measure(self, name: str, work: Callable[[], dict[str, Any]]) -> None:
        """Run one way: its rows a second, its WAL, and what concurrent inserts felt."""
        inserter = Inserter(self.server.dsn) if self.inserts else None
        before = self.connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        found = work()
        after = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)::bigint"
        wal = self.connection.execute(after, before).fetchone()
        samples = inserter.stop() if inserter else []
        start, end = found.pop("window", (0.0, float("inf")))
        latencies = [latency for at, latency in samples if start <= at <= end]
        found |= {"wal_mib": int(wal[0]) >> 20 if wal else 0}
        if latencies:
            cuts = statistics.quantiles(latencies, n=100)
            found |= {"insert_p50_ms": round(cuts[49], 2), "insert_p99_ms": round(cuts[98], 2)}
        self.results[name] = found
        print(f"{name:<22} {json.dumps(found)}", flush=True)

    def statement(self, statement: str, *, repeat: bool = False) -> dict[str, Any]:
        """A DELETE by hand, once or until nothing is left."""
        begun, rows = time.monotonic(), 0
        while True:
            count = self.connection.execute(statement).rowcount
            rows += max(count, 0)
            if not repeat or count <= 0:
                break
        return rated(rows, time.monotonic() - begun)

    def ours(self, **variables: str) -> dict[str, Any]:
        """The command itself; parts from its own JSON."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LUXIMA_DATABASE__DSN": self.server.dsn,
            "LUXIMA_DATABASE__OWNER_DSN": self.server.dsn,
            "LUXIMA_AUDIT_LOG__TENANT_COLUMN": "tenant",
            "LUXIMA_POLICIES__AUDIT_LOGS__ARCHIVE": "off",
            "LUXIMA_POLICIES__AUDIT_LOGS__MAX_FRACTION": "0.9",
            **variables,
        }
        command = [sys.executable, "-m", "luxima_retention", "--log-level", "warning"]
        subprocess.run([*command, "migrate"], env=environment, check=True, capture_output=True)
        add = ["hold", "add", "--policy", "audit-logs", "--tenant", "held", "--reason", "bench"]
        subprocess.run([*command, *add], env=environment, check=True, capture_output=True)
        run = [*command, "run", "audit-logs", "--yes", "--output", "json"]
        done = subprocess.run(run, env=environment, check=False, capture_output=True, text=True)
        (target,) = json.loads(done.stdout)["policies"][0]["targets"]
        if done.returncode:
            raise SystemExit(f"{target['sentence']}\n{done.stderr}")
        spent = target["milliseconds"]
        found = rated(target["done"]["destroyed"], spent["act"] / 1000)
        waits = {name: ms for name, ms in target["done"]["metrics"].items() if name.startswith("wait_ms")}
        window = self.connection.execute(
            "SELECT extract(epoch FROM min(at))::float8, extract(epoch FROM max(at))::float8"
            " FROM retention.ledger WHERE kind IN ('run.started', 'run.completed')"
        ).fetchone()
        return (
            found
            | {"window": window}
            | {"survey_s": spent["survey"] / 1000, "prove_s": spent["prove"] / 1000, **waits}
        )

    def idle(self, seconds: float) -> dict[str, Any]:
        """What inserts feel when nobody deletes."""
        time.sleep(seconds)
        return {}


class Inserter:
    """A process that inserts a row every 5 ms and keeps each latency."""

    def __init__(self, dsn: str) -> None:
        self._stop = multiprocessing.Event()
        self._queue: Any = multiprocessing.Queue()
        self._process = multiprocessing.Process(target=_insert, args=(dsn, self._stop, self._queue))
        self._process.start()

    def stop(self) -> list[tuple[float, float]]:
        """End it; when each insert began (seconds since 1970), and the milliseconds that it took."""
        self._stop.set()
        samples: list[tuple[float, float]] = self._queue.get(timeout=60)
        self._process.join()
        return samples


def _insert(dsn: str, stop: Any, queue: Any) -> None:
    row = "INSERT INTO core.audit_log (created_at, tenant, actor, action, detail)"
    row += " VALUES (now(), 't', 'a', 'b', 'c')"
    samples = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not stop.is_set():
            now, begun = time.time(), time.perf_counter()
            connection.execute(row)
            samples.append((now, (time.perf_counter() - begun) * 1000))
            time.sleep(0.005)
    queue.put(samples)


def rated(rows: int, seconds: float) -> dict[str, Any]:
    """Rows, seconds and rows a second."""
    return {"rows": rows, "seconds": round(seconds, 2), "rows_per_s": round(rows / max(seconds, 0.001))}


def partition(bench: Bench) -> dict[str, Any]:
    """Detach and drop: the bound that rows cannot reach."""
    bench.connection.execute("DROP TABLE core.audit_log CASCADE")
    bench.connection.execute("CREATE TABLE core.audit_log (LIKE base) PARTITION BY RANGE (created_at)")
    edge = bench.connection.execute("SELECT date_trunc('day', now(), 'UTC') - interval '180 days'").fetchone()
    half = edge[0] if edge else None
    for name, start, end in (("old", "MINVALUE", f"'{half}'"), ("new", f"'{half}'", "MAXVALUE")):
        bench.connection.execute(
            f"CREATE TABLE core.{name} PARTITION OF core.audit_log FOR VALUES FROM ({start}) TO ({end})"
        )
    bench.connection.execute("INSERT INTO core.audit_log TABLE base")
    rows = bench.connection.execute("SELECT count(*) FROM core.old").fetchone()
    bench.connection.execute("CHECKPOINT")
    begun = time.monotonic()
    bench.connection.execute("ALTER TABLE core.audit_log DETACH PARTITION core.old CONCURRENTLY")
    bench.connection.execute("DROP TABLE core.old")
    return rated(int(rows[0]) if rows else 0, time.monotonic() - begun)


def main() -> None:
    """Measure every way and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--no-inserts", action="store_true")
    arguments = parser.parse_args()
    server = PostgresServer.start(settings=SETTINGS)
    try:
        bench = Bench(server, arguments.rows, inserts=not arguments.no_inserts)
        delete = f"DELETE FROM core.audit_log WHERE {EXPIRED}"
        free = {"LUXIMA_PACE__DUTY_CYCLE": "1", "LUXIMA_PACE__MAX_BATCH_ROWS": "50000"}
        gentlest = {"LUXIMA_PACE__DUTY_CYCLE": "0.2", "LUXIMA_PACE__MAX_BATCH_ROWS": "1000"}
        bench.fresh()
        bench.measure("idle", lambda: bench.idle(5))
        bench.measure("single DELETE", lambda: bench.statement(delete))
        bench.fresh()
        bench.measure("DELETE … IN loop", lambda: bench.statement(LOOP, repeat=True))
        bench.fresh()
        bench.measure("ours, unthrottled", lambda: bench.ours(**free))
        bench.fresh()
        bench.measure("ours, throttled", bench.ours)
        bench.fresh()
        bench.measure("ours, 1000 at 0.2", lambda: bench.ours(**gentlest))
        bench.fresh(indexed=False)
        bench.measure("no index: DELETE", lambda: bench.statement(delete))
        bench.fresh(indexed=False)
        bench.measure("no index: ours", lambda: bench.ours(**free))
        bench.inserts = False
        bench.measure("drop partition", lambda: partition(bench))
        report(bench.results)
    finally:
        server.stop()
        remove_copies()


def report(results: dict[str, dict[str, Any]]) -> None:
    """The ratios that decide."""
    rate = {name: found["rows_per_s"] for name, found in results.items() if "rows_per_s" in found}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(f"\nunthrottled / single DELETE   {rate['ours, unthrottled'] / rate['single DELETE']:.2f}")
    print(f"unthrottled / IN loop         {rate['ours, unthrottled'] / rate['DELETE … IN loop']:.2f}")
    print(f"no index / its single DELETE  {rate['no index: ours'] / rate['no index: DELETE']:.2f}")
    if "insert_p99_ms" in results["idle"]:
        idle = results["idle"]["insert_p99_ms"]
        for name in ("single DELETE", "ours, throttled", "ours, 1000 at 0.2"):
            print(f"p99 of inserts, {name:<17} {results[name]['insert_p99_ms'] / idle:.2f} times idle")
    print(f"peak memory of any client     {peak} MiB")


if __name__ == "__main__":
    main()
