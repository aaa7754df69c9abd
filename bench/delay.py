"""The same with a network between: 30 ms to the database, 30 ms to the store."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.archive import archiving
from bench.loki import ROUND_TRIP, Bucket, by_peer, expire, run_s3, s3_variables
from bench.measure import peer
from bench.model import Benchmark, Figures
from bench.postgres import FREE, Postgres, run_command, run_postgres
from bench.proxy import run_proxy

_ROWS, _STORED, _EXPIRED = 100_000, 12_000, 3_000
_DAYS = 30


@contextmanager
def _far(port: int, seconds: float) -> Iterator[int]:
    """A port; with a proxy before it where there is a delay."""
    if not seconds:
        yield port
        return
    with run_proxy(port, seconds) as proxy:
        yield proxy.port


def _table(postgres: Postgres, bucket: Bucket, seconds: float, *, archive: bool) -> dict[str, float]:
    """The command over half of a table."""
    with (
        postgres.copy("plain") as name,
        _far(postgres.server.port, seconds) as port,
        _far(bucket.port, seconds) as store,
        tempfile.TemporaryDirectory() as home,
    ):
        variables = postgres.variables(name, port) | FREE
        if archive:
            place = {"LUXIMA_ARCHIVE__URL": f"s3://{bucket.name}/archive"}
            endpoint = f"http://127.0.0.1:{store}"
            variables |= archiving(Path(home)) | place | s3_variables(bucket.server, endpoint)
        target, cost = run_command(variables=variables, policy="audit-logs")
        act = target["milliseconds"]["act"] / 1000
        return cost.figures() | {"rows_per_s": target["done"]["destroyed"] / act}


def _chunks(
    bucket: Bucket, seconds: float, way: Callable[[], dict[str, float]], chunks: int
) -> dict[str, float]:
    bucket.expired(chunks)
    with bucket.through(seconds) as proxy:
        found = way()
    return found | proxy.counts


def measure(figures: Figures) -> None:
    """Everything near, then far."""
    rows, chunks = figures.size(_ROWS), figures.size(_EXPIRED, 2)
    with run_postgres() as postgres, run_s3() as make:
        postgres.prepare("plain", rows, rows // 2)
        archive, bucket = make("archive"), make("chunks")
        bucket.days(bucket.first, _DAYS, figures.size(_STORED, _DAYS))
        ways: dict[str, Callable[[float], dict[str, float]]] = {
            "table": lambda seconds: _table(postgres, archive, seconds, archive=False),
            "table, archived in S3": lambda seconds: _table(postgres, archive, seconds, archive=True),
            "Loki, ours": lambda seconds: _chunks(bucket, seconds, lambda: expire(bucket, chunks), chunks),
        }
        if peer("s5cmd"):
            ways["Loki, s5cmd: list, choose, remove"] = lambda seconds: _chunks(
                bucket, seconds, lambda: by_peer("s5cmd", bucket), chunks
            )
        for _ in figures.rounds():
            for case, way in ways.items():
                for seconds in (0.0, ROUND_TRIP):
                    figures.record(f"{case}: {seconds * 1000:.0f} ms", way(seconds))


BENCHMARKS = (
    Benchmark(
        name="delay",
        title="With 30 ms to database and store",
        compares="The whole command, next to its servers and behind a proxy that gives every byte a round"
        " trip of 30 ms, and every new connection one more: half of 100,000 rows without and with"
        " an archive in S3, and one expired day of 3,000 chunks beside `s5cmd`. Loki's are behind"
        " the proxy without a delay, too: it counts the requests.",
        measure=measure,
        reference="0 ms",
        minutes=4,
    ),
)
