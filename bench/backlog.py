"""A backlog of years, drained by budgeted runs as CronJobs start them.

    python bench/backlog.py [--rows 20000000] [--budget 60s]

Starts a PostgreSQL of its own (fsync and synchronous commit on) and stops it. Nine of ten rows have expired.
The first run names the share that may go; those after it name nothing. Each tells what remains.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from bench.prune import SETTINGS
from tests.servers.postgres import PostgresServer, remove_copies

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "luxima_retention")
TABLE = """
CREATE SCHEMA core;
CREATE TABLE core.audit_log AS
SELECT g::bigint AS id, now() - interval '1800 days' + g * (interval '1800 days' / %(rows)s) AS created_at,
       'tenant-' || g %% 50 AS tenant, 'update'::text AS action, repeat(md5(g::text), 4) AS detail
FROM generate_series(1, %(rows)s) g;
ALTER TABLE core.audit_log ADD PRIMARY KEY (id);
CREATE INDEX ON core.audit_log (created_at, id);
"""
EXPIRED = """
SELECT count(*) FROM core.audit_log
WHERE created_at < date_trunc('day', now(), 'UTC') - interval '180 days'
"""


def main() -> None:
    """Fill, then run until nothing is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--budget", default="60s")
    options = parser.parse_args()
    server = PostgresServer.start(settings=SETTINGS)
    try:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute((TABLE % {"rows": options.rows}).encode())
            connection.execute("VACUUM ANALYZE core.audit_log")
            print(f"{_count(connection):,} of {options.rows:,} rows have expired", flush=True)
            drain(server.dsn, connection, options.budget)
    finally:
        server.stop()
        remove_copies()


def drain(dsn: str, connection: psycopg.Connection[Any], budget: str) -> None:
    """Run after run, until one has nothing left to do."""
    subprocess.run([*COMMAND, "migrate"], env=environment(dsn), check=True, capture_output=True)
    named = ("--max-fraction", "0.95")
    while True:
        begun = time.monotonic()
        code, document = run(dsn, "--max-runtime", budget, *named)
        (policy,) = document["policies"]
        (target,) = policy["targets"]
        told = {
            "exit": code,
            "seconds": round(time.monotonic() - begun, 1),
            "destroyed": (target["done"] or {}).get("destroyed"),
            "says": target["sentence"],
            "left": _count(connection),
        }
        print(json.dumps(told), flush=True)
        named = ()
        if code != 7:
            return


def environment(dsn: str) -> dict[str, str]:
    """The variables of the command with this database."""
    ours = {"DSN": dsn, "OWNER_DSN": dsn, "JOB_ROLE": "postgres"}
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        **{f"LUXIMA_DATABASE__{name}": value for name, value in ours.items()},
        "LUXIMA_POLICIES__AUDIT_LOGS__ARCHIVE": "off",
    }


def run(dsn: str, *options: str) -> tuple[int, Any]:
    """One run; its exit code and its JSON."""
    words = [*COMMAND, "run", "audit-logs", *options, "--output", "json"]
    done = subprocess.run(words, env=environment(dsn), capture_output=True, text=True, check=False)
    if done.returncode not in (0, 7):
        sys.exit(done.stdout + done.stderr)
    return done.returncode, json.loads(done.stdout)


def _count(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(EXPIRED.encode()).fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    main()
