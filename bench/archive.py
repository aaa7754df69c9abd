"""Archive before delete, against what people do by hand, on the same rows in the same run.

    python bench/archive.py [--dsn "host=… user=… dbname=…"] [--rows 1000000] [--batch 50000] [--repeat 3]

The database must be empty enough to make a schema ``bench_archive`` in it. Three ways to get rid of the
same rows, each on a fresh copy of the table:

* ``bare``: one DELETE, nothing archived: the bound.
* ``pipe``: ``COPY … TO STDOUT`` through ``zstd -3`` into a file, then one DELETE: nothing is verified.
* ``archive``: batches of ``COPY (DELETE … RETURNING *)`` into an archive part that is compressed, hashed,
  stored, read back and verified before its batch commits.

Afterwards the archive is verified in full, restored into another table, and compared with the original.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from luxima_retention.evidence.archive import Archive, Manifest, Run
from luxima_retention.evidence.archive.restore import restore_table
from luxima_retention.io.objects import DirectoryPlace

COLUMNS = (("id", "bigint"), ("at", "timestamp with time zone"), ("actor", "text"), ("action", "text"),
           ("entity", "text"), ("address", "inet"), ("detail", "jsonb"))  # fmt: skip
MAKE = """
CREATE TABLE bench_archive.original AS
SELECT g::bigint AS id, now() - interval '1 year' AS at, 'user-' || g %% 1000 AS actor,
       'update'::text AS action,
       'invoice-' || g AS entity, '10.0.0.1'::inet + g %% 65000 AS address,
       jsonb_build_object('from', g, 'to', g + 1, 'reason', repeat(md5(g::text), 3)) AS detail
FROM generate_series(1, %(rows)s) g
"""


class Bench:
    """The table, and the ways to empty a copy of it."""

    def __init__(self, dsn: str, rows: int, batch: int, directory: Path) -> None:
        self.dsn, self.rows, self.batch, self.directory = dsn, rows, batch, directory
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.connection.execute("SET synchronous_commit = off")
        self.connection.execute("DROP SCHEMA IF EXISTS bench_archive CASCADE")
        self.connection.execute("CREATE SCHEMA bench_archive")
        self.connection.execute(MAKE, {"rows": rows})
        self.manifest: Manifest | None = None

    def fresh(self) -> None:
        """A copy of the table, indexed, analysed and written out."""
        run = self.connection.execute
        run("DROP TABLE IF EXISTS bench_archive.copy")
        run("CREATE TABLE bench_archive.copy AS SELECT * FROM bench_archive.original")
        run("ALTER TABLE bench_archive.copy ADD PRIMARY KEY (id)")
        run("VACUUM ANALYZE bench_archive.copy")

    def bare(self) -> None:
        """One DELETE."""
        self.connection.execute("DELETE FROM bench_archive.copy")

    def pipe(self) -> None:
        """A copy through zstd, then one DELETE."""
        copy = "COPY bench_archive.copy TO STDOUT WITH (FORMAT csv, HEADER true)"
        target = self.directory / "pipe.csv.zst"
        zstd = subprocess.Popen(["zstd", "-q", "-3", "-f", "-o", target], stdin=subprocess.PIPE)
        assert zstd.stdin is not None  # noqa: S101 - said above
        with self.connection.cursor().copy(copy) as rows:
            for row in rows:
                zstd.stdin.write(row)
        zstd.stdin.close()
        zstd.wait()
        self.bare()

    def archive(self) -> None:
        """Batches, each archived, read back and verified before it commits."""
        archive = self.opened()
        now, run_id, parts = datetime.now(UTC), str(uuid.uuid4()), []
        for number, low in enumerate(range(0, self.rows, self.batch), start=1):
            part = archive.writer(policy="audit-logs", run_id=run_id, number=number, form="csv", now=now)
            with self.connection.transaction():
                self.delete_into(part.write, low)
                parts.append(part.seal(min(self.batch, self.rows - low)))
        run = Run(
            policy="audit-logs",
            run_id=run_id,
            target="bench_archive.copy",
            fingerprint="bench",
            cutoff=now,
            form="csv",
            schema=COLUMNS,
        )
        self.manifest = archive.complete(run, parts, now)

    def delete_into(self, write: Callable[[Any], None], low: int) -> None:
        """Delete one batch and stream it."""
        statement = (
            f"COPY (DELETE FROM bench_archive.copy WHERE id > {low} AND id <= {low + self.batch} RETURNING *)"
            " TO STDOUT WITH (FORMAT csv, HEADER true)"
        )
        with self.connection.cursor().copy(statement) as rows:
            for row in rows:
                write(row)

    def opened(self) -> Archive:
        """The archive in the directory of this run."""
        return Archive(DirectoryPlace(self.directory), retention_days=400)

    def restored(self) -> None:
        """The whole archive, in another table."""
        assert self.manifest is not None  # noqa: S101 - archive() ran before
        restore_table(self.opened(), self.manifest, self.connection, "bench_archive.restored")

    def differences(self) -> int:
        """Rows that are not the same to the last byte."""
        row = self.connection.execute(
            "SELECT count(*) FROM bench_archive.original o FULL JOIN bench_archive.restored r USING (id)"
            " WHERE record_send(o) IS DISTINCT FROM record_send(r)"
        ).fetchone()
        return int(row[0]) if row else -1


def timed(step: Callable[[], None]) -> float:
    """Seconds of wall clock."""
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def measure(bench: Bench, repeat: int) -> dict[str, float]:
    """Median seconds of each way, interleaved so that a noisy minute hits all of them."""
    taken: dict[str, list[float]] = {"bare": [], "pipe": [], "archive": []}
    for _ in range(repeat):
        for name, seconds in taken.items():
            bench.fresh()
            seconds.append(timed(getattr(bench, name)))
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dsn", help="an empty database; a server of its own without it")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=50_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if options.dsn:
        compare(options)
        return
    from tests.servers.postgres import PostgresServer, remove_copies

    server = PostgresServer.start(
        settings={"fsync": "on", "synchronous_commit": "on", "shared_buffers": "1GB"}
    )
    try:
        options.dsn = server.dsn
        compare(options)
    finally:
        server.stop()
        remove_copies()


def compare(options: argparse.Namespace) -> None:
    """Measure every way in one database."""
    directory = Path(tempfile.mkdtemp(prefix="bench-archive-"))
    bench = Bench(options.dsn, options.rows, options.batch, directory)
    for name, seconds in (taken := measure(bench, options.repeat)).items():
        print(f"{name:8} {options.rows / seconds:>12,.0f} rows/s   {taken['bare'] / seconds:.2f} of bare")
    print(f"archive against pipe: {taken['pipe'] / taken['archive']:.2f}")
    manifest = bench.manifest
    assert manifest is not None  # noqa: S101 - measure() archived
    print(f"verify   {options.rows / timed(lambda: bench.opened().verify(manifest)):>12,.0f} rows/s")
    print(f"restore  {options.rows / timed(bench.restored):>12,.0f} rows/s")
    print(f"rows that came back different: {bench.differences()}")
    print(f"{manifest.size:,} bytes of {sum(part.raw_bytes for part in manifest.parts):,}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    bench.connection.execute("DROP SCHEMA bench_archive CASCADE")
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
