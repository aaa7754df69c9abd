"""Emptying a table, and what others feel of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

from bench.model import Aim, Benchmark, Figures, ratio, spread
from bench.postgres import (
    EXPIRED,
    FREE,
    HASHED,
    RANGED,
    WINDOW,
    Beside,
    Postgres,
    acted,
    insert,
    rated,
    run_command,
    run_postgres,
    write_wal,
)

DELETE = f"DELETE FROM core.audit_log WHERE {EXPIRED}"
LOOP = f"DELETE FROM core.audit_log WHERE id IN (SELECT id FROM core.audit_log WHERE {EXPIRED} LIMIT 10000)"
_STORED, _SECONDS = 1_000_000, 4.0
_SMALLEST, _LARGEST, _FEW, _MANY = 300_000, 2_000_000, 100_000, 1_000_000
_PURE = "ours, not throttled"
_USUAL = "ours, as it comes"
_GENTLEST = {"LUXIMA_PACE__DUTY_CYCLE": "0.2", "LUXIMA_PACE__MAX_BATCH_ROWS": "1000"}
_ALONE, _EMPTY = "nothing else at work", "an empty writer of the same WAL"

Values = dict[str, float]


def statement(postgres: Postgres, name: str, words: str, *, repeat: bool = False) -> Values:
    """A DELETE by hand, once or until nothing is left."""
    with postgres.connect(name) as connection:
        begun, rows, count = time.monotonic(), 0, 1
        while count > 0:
            count = connection.execute(words).rowcount
            rows += count
            count *= repeat
        return rated(rows, time.monotonic() - begun)


def drop(postgres: Postgres, name: str) -> Values:
    """Detach and drop a whole partition, as pg_partman does."""
    with postgres.connect(name) as connection:
        rows = connection.execute("SELECT count(*) FROM core.old").fetchone()
        begun = time.monotonic()
        connection.execute("ALTER TABLE core.audit_log DETACH PARTITION core.old CONCURRENTLY")
        connection.execute("DROP TABLE core.old")
        return rated(rows[0] if rows else 0, time.monotonic() - begun)


def ours(postgres: Postgres, name: str, **variables: str) -> Values:
    """The command, and when its run began and ended."""
    found = acted(*run_command(variables=postgres.variables(name) | variables, policy="audit-logs"))
    with postgres.connect(name) as connection:
        began, ended = connection.execute(WINDOW).fetchone() or (0.0, 0.0)
        batches = connection.execute("SELECT count(*) FROM retention.ledger WHERE kind = 'batch'").fetchone()
    return found | {"began": began, "ended": ended, "batches": float(batches[0] if batches else 0)}


def measure(figures: Figures) -> None:
    """Every way on its copy of the same rows."""
    stored = figures.size(_STORED)
    with run_postgres() as postgres:
        postgres.prepare("plain", stored, stored // 2)
        postgres.prepare("bare", stored, stored // 2, indexed=False)
        postgres.prepare("hashed", stored, stored // 2, partitions=HASHED)
        postgres.prepare("ranged", stored, stored // 2, partitions=RANGED)
        delete = partial(statement, postgres, words=DELETE)
        ways: tuple[tuple[str, str, Callable[[str], Values]], ...] = (
            ("single DELETE", "plain", lambda name: delete(name=name)),
            ("DELETE … IN loop", "plain", lambda name: statement(postgres, name, LOOP, repeat=True)),
            (_PURE, "plain", lambda name: ours(postgres, name, **FREE)),
            ("no index: single DELETE", "bare", lambda name: delete(name=name)),
            ("no index: ours, not throttled", "bare", lambda name: ours(postgres, name, **FREE)),
            ("four partitions: single DELETE", "hashed", lambda name: delete(name=name)),
            ("four partitions: ours, not throttled", "hashed", lambda name: ours(postgres, name, **FREE)),
            ("DETACH and DROP of a partition", "ranged", lambda name: drop(postgres, name)),
        )
        for _ in figures.rounds():
            for case, template, way in ways:
                with postgres.copy(template) as name:
                    figures.record(case, _shown(way(name)))


def _shown(found: Values) -> Values:
    return {name: value for name, value in found.items() if name not in {"began", "ended", "batches"}}


def watched(postgres: Postgres, name: str, way: Callable[[], Values]) -> Values:
    """One way, its WAL, and what concurrent inserts felt while it was at work."""
    inserter = Beside(insert, postgres.server.conninfo(dbname=name))
    with postgres.connect(name) as connection:
        before = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        begun = time.time()
        found = {"began": begun} | way()
        found = {"ended": time.time()} | found
        after = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)::float8"
        wal = connection.execute(after, before).fetchone()
    felt = sorted(ms for at, ms in inserter.stop() if found["began"] <= at <= found["ended"])
    if len(felt) > 1:
        cuts = statistics.quantiles(felt, n=100, method="inclusive")
        found |= {"insert_p50_ms": cuts[49], "insert_p99_ms": cuts[98]}
    return found | {"wal_mib": (wal[0] if wal else 0.0) / (1 << 20)}


def felt(figures: Figures) -> None:
    """Latency of inserts beside each way; the empty writer has the pace of the throttled run before it."""
    stored = figures.size(_STORED)
    with run_postgres() as postgres:
        postgres.prepare("plain", stored, stored // 2)
        for _ in figures.rounds():
            rates: Values = {}
            for case, way in _felt_ways(postgres, figures, rates).items():
                with postgres.copy("plain") as name:
                    found = watched(postgres, name, partial(way, name))
                if case == _USUAL:
                    rates |= found
                figures.record(case, _shown(found))


def _felt_ways(postgres: Postgres, figures: Figures, rates: Values) -> dict[str, Callable[[str], Values]]:
    seconds = max(_SECONDS * min(figures.scale, 1), 0.2)

    def empty(name: str) -> Values:
        taken = rates["ended"] - rates["began"]
        size = int(rates["wal_mib"] * (1 << 20) / max(rates["batches"], 1))
        writer = Beside(write_wal, postgres.server.conninfo(dbname=name), size, rates["batches"] / taken)
        time.sleep(seconds)
        writer.stop()
        return {}

    def alone(_name: str) -> Values:
        time.sleep(seconds)
        return {}

    return {
        _ALONE: alone,
        "single DELETE": lambda name: statement(postgres, name, DELETE),
        _PURE: lambda name: ours(postgres, name, **FREE),
        _USUAL: lambda name: ours(postgres, name),
        "ours, gentlest (duty cycle 0.2, 1,000 rows)": lambda name: ours(postgres, name, **_GENTLEST),
        _EMPTY: empty,
    }


def grown(figures: Figures) -> None:
    """What a run costs by what is stored, and by what has expired."""
    few, many, largest = (figures.size(usual) for usual in (_FEW, _MANY, _LARGEST))
    tables = {
        "stored": {size: (size, few) for size in (figures.size(_SMALLEST), largest // 2, largest)},
        "expired": {size: (largest, size) for size in (few, many // 2, many)},
    }
    with run_postgres() as postgres:
        for stored, expired in {pair for sizes in tables.values() for pair in sizes.values()}:
            postgres.prepare(f"t_{stored}_{expired}", stored, expired)
        for _ in figures.rounds():
            for axis, sizes in tables.items():
                for size, (stored, expired) in sizes.items():
                    with postgres.copy(f"t_{stored}_{expired}") as name:
                        found = _shown(ours(postgres, name, **FREE))
                    found["seconds"] = found.pop("whole_s")
                    del found["rows_per_s"]
                    figures.record("ours", found, axis=axis, size=size)


_SYNCED = (
    "slow inserts wait for the disk to sync their own WAL (`IO:WALSync` in 81 of 83 samples of"
    " `pg_stat_activity` beyond 1 ms); with 128 or 256 KiB of WAL a batch instead of 512 the percentile stays"
    " at 2.0 to 2.7 ms while the deletion needs three times or twice as long"
)

BENCHMARKS = (
    Benchmark(
        name="prune",
        title="Emptying a table",
        compares="A million rows of about 240 bytes, half of them expired, 1 % of those held; PostgreSQL"
        " with fsync and synchronous commit. Rows a second are those of the statements by hand,"
        " and of the action of our run; survey and proof stand beside it.",
        measure=measure,
        minutes=3,
        headline="rows_per_s",
        reference="single DELETE",
        aims=(
            Aim(
                says="Not throttled, at least 1.3 × a single DELETE",
                measured=ratio("rows_per_s", _PURE, "single DELETE"),
                least=1.3,
            ),
            Aim(
                says="Without an index on the time, at least as fast as a single DELETE",
                measured=ratio("rows_per_s", "no index: ours, not throttled", "no index: single DELETE"),
                least=1.0,
            ),
            Aim(
                says="Partitioned, in one pass: at least 1.3 × its single DELETE",
                measured=ratio(
                    "rows_per_s", "four partitions: ours, not throttled", "four partitions: single DELETE"
                ),
                least=1.3,
            ),
        ),
    ),
    Benchmark(
        name="inserts",
        title="What concurrent inserts feel",
        compares="Another process inserts a row every 5 ms while half of a million rows goes. The empty"
        " writer deletes nothing: it writes as many bytes of WAL a second as our run, in as many"
        " commits; less than it the disk does not allow.",
        measure=felt,
        minutes=6,
        headline="insert_p99_ms",
        reference=_ALONE,
        aims=(
            Aim(
                says="Throttled, the 99th percentile of an insert at most 1.2 × that without any deletion",
                measured=ratio("insert_p99_ms", _USUAL, _ALONE),
                most=1.2,
                why=_SYNCED,
            ),
            Aim(
                says="The same, beside the empty writer of the same WAL",
                measured=ratio("insert_p99_ms", _USUAL, _EMPTY),
                most=1.2,
                why=_SYNCED,
            ),
        ),
    ),
    Benchmark(
        name="table-growth",
        title="Growth: a table",
        compares="The whole command, survey to proof, on a table of three sizes with as many expired rows"
        " each, and on the largest with three numbers of expired rows.",
        measure=grown,
        minutes=4,
        plots=("stored", "expired"),
        things="rows",
        aims=(
            Aim(
                says="Memory does not grow with what has expired: the most at most 1.1 × the least",
                measured=spread("memory_mib", "expired"),
                most=1.1,
            ),
        ),
    ),
)
