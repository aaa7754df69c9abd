"""Loki's objects: one expired day of a bucket, a full sweep, and a backlog of a million."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench.measure import Cost, cost_of, peer
from bench.model import Aim, Benchmark, Figures, of, ratio, spread
from bench.postgres import run_command
from bench.proxy import Proxy, run_proxy
from luxima_retention.stores.loki.keys import DAY_MS, Chunk, milliseconds, parse_chunk
from tests.servers.loki_index import index_file
from tests.servers.s3 import S3Server, fill

_STREAMS, _BODY, _DAYS = 400, b"lines " * 40, 30
_SIZES, _EXPIRED = (20_000, 40_000, 80_000), (1_500, 3_000, 6_000)
#: chunks that one list of condemned chunks names at most
_LISTED = 10_000
_BACKLOG, _BACKLOG_DAYS, ROUND_TRIP = 1_000_000, 100, 0.03
_OURS, _SWEEP, _LIST = "ours", "ours, full sweep", "s5cmd ls, nothing more"
_PEERS = ("s5cmd", "rclone", "aws")


def chunks_of(day: int, count: int) -> Iterator[Chunk]:
    """So many chunks of one day, spread over the streams."""
    step = DAY_MS // (count // _STREAMS + 1)
    for number in range(count):
        start = day * DAY_MS + number // _STREAMS * step
        yield Chunk(
            tenant="acme",
            fingerprint=0x1000000000000000 + number % _STREAMS,
            start=start,
            end=start + 30_000,
            checksum=number + 1,
            new=True,
        )


@dataclass
class Bucket:
    """Thirty retained days with their tables, and what has expired.

    Attributes:
        server: where it is.
        name: of the bucket.
        first: number of the first day that is kept.
        port: of a proxy before the server, or the server's own.
    """

    server: S3Server
    name: str
    first: int
    port: int

    def put(self, objects: Iterator[tuple[str, bytes]]) -> None:
        """Many small objects."""
        with closing(self.server.client()) as client:
            fill(client, self.name, objects)

    def days(self, first: int, days: int, chunks: int) -> None:
        """So many chunks over so many days, each with its index table."""
        for day in range(first, first + days):
            every = list(chunks_of(day, chunks // days))
            self.put((chunk.key, _BODY) for chunk in every)
            self.put(iter([(f"index/index_{day}/acme/1-compactor-1-2-a.tsdb.gz", index_file(every))]))

    def expired(self, chunks: int, days: int = 1) -> None:
        """The days before the first that is kept."""
        self.days(self.first - days, days, chunks)

    @property
    def endpoint(self) -> str:
        """Of the server, or of the proxy before it."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def through(self, round_trip: float) -> Iterator[Proxy]:
        """Behind a proxy, which counts the requests."""
        own = self.port
        with run_proxy(own, round_trip) as proxy:
            self.port = proxy.port
            try:
                yield proxy
            finally:
                self.port = own

    def ours(self, *words: str) -> tuple[dict[str, Any], Cost]:
        """The command, with a ledger of its own."""
        with tempfile.TemporaryDirectory() as home:
            return run_command(*words, variables=self.variables(Path(home)), policy="application-logs")

    def variables(self, home: Path) -> dict[str, str]:
        """Of the command."""
        policy = {"BUCKETS": self.name, "OFFLINE": "true", "MIN_OBJECT_AGE": "0s", "MAX_FRACTION": "1"}
        return {
            **{f"LUXIMA_POLICIES__APPLICATION_LOGS__{name}": value for name, value in policy.items()},
            "LUXIMA_POLICIES__APPLICATION_LOGS__MAX_SILENCE": "off",
            "LUXIMA_LEDGER__PATH": str(home / "ledger.jsonl"),
            **s3_variables(self.server, self.endpoint),
        }


def s3_variables(server: S3Server, endpoint: str) -> dict[str, str]:
    """The connection, through an endpoint that may be a proxy."""
    return {
        "LUXIMA_S3__DEFAULT__ENDPOINT_URL": endpoint,
        "LUXIMA_S3__DEFAULT__REGION": server.region,
        "LUXIMA_S3__DEFAULT__ACCESS_KEY_ID": server.access_key,
        "LUXIMA_S3__DEFAULT__SECRET_ACCESS_KEY": server.secret_key,
    }


@contextmanager
def run_s3() -> Iterator[Callable[[str], Bucket]]:
    """A service; gives what makes a bucket in it."""
    # Small objects lie beside their names: filling and removing then costs a third, whoever does it.
    server = S3Server.start("-filer.saveToFilerLimit=1024")
    today = milliseconds(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0))

    def make(name: str) -> Bucket:
        with closing(server.client()) as client:
            client.create_bucket(Bucket=name)
        port = int(server.endpoint_url.rpartition(":")[2])
        return Bucket(server, name, today // DAY_MS - _DAYS, port)

    try:
        yield make
    finally:
        server.stop()


def by_peer(name: str, bucket: Bucket) -> dict[str, float]:
    """List everything, choose by the key's end, remove: as people do. Choosing is not counted."""
    program = peer(name)
    assert program is not None  # noqa: S101 - the caller has asked
    listing, parse = _lister(name, program, bucket)
    listed = cost_of(listing, peer_variables(bucket))
    now, cutoff = milliseconds(datetime.now(UTC)), bucket.first * DAY_MS
    keys = [parse(line) for line in listed.stdout.splitlines()]
    gone = [key for key in keys if (chunk := parse_chunk(key, now)) and chunk.end < cutoff]
    cost = listed
    for words, text in _removers(name, program, bucket, gone):
        cost += cost_of(words, peer_variables(bucket), text=text)
    return cost.figures() | {"objects": len(gone)}


def peer_variables(bucket: Bucket) -> dict[str, str]:
    """The connection, as each of them wants it."""
    server = bucket.server
    rclone = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ACCESS_KEY_ID": server.access_key,
        "SECRET_ACCESS_KEY": server.secret_key,
        "REGION": server.region,
        "ENDPOINT": bucket.endpoint,
    }
    return {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_REGION": server.region,
        "AWS_DEFAULT_REGION": server.region,
        "AWS_ENDPOINT_URL": bucket.endpoint,
        **{f"RCLONE_CONFIG_BENCH_{name}": value for name, value in rclone.items()},
    }


def _lister(name: str, program: str, bucket: Bucket) -> tuple[list[str], Callable[[str], str]]:
    if name == "s5cmd":
        words = [program, "--endpoint-url", bucket.endpoint, "ls", f"s3://{bucket.name}/*"]
        return words, lambda line: line.split(maxsplit=3)[3]
    if name == "rclone":
        fast = ("--fast-list", "--s3-list-version", "2", "--config", "/dev/null")
        return [program, "lsf", "-R", "--files-only", *fast, f"bench:{bucket.name}"], str
    words = [program, "s3", "ls", "--recursive", f"s3://{bucket.name}/"]
    return words, lambda line: line.split(maxsplit=3)[3]


def _removers(name: str, program: str, bucket: Bucket, keys: list[str]) -> Iterator[tuple[list[str], str]]:
    """Commands with their standard input."""
    if name == "s5cmd":
        text = "".join(f'rm "s3://{bucket.name}/{key}"\n' for key in keys)
        yield [program, "--endpoint-url", bucket.endpoint, "run"], text
    elif name == "rclone":
        fast = ("--fast-list", "--config", "/dev/null")
        words = [program, "delete", "--files-from-raw", "-", *fast, f"bench:{bucket.name}"]
        yield words, "".join(f"{key}\n" for key in keys)
    else:
        for at in range(0, len(keys), 1000):
            named = ",".join(f'{{"Key": "{key}"}}' for key in keys[at : at + 1000])
            words = [
                program,
                "s3api",
                "delete-objects",
                "--bucket",
                bucket.name,
                "--delete",
                "file:///dev/stdin",
            ]
            yield words, f'{{"Objects": [{named}], "Quiet": true}}'


def expire(bucket: Bucket, chunks: int, days: int = 1) -> dict[str, float]:
    """Ours; all of them must be gone, and the file of each day."""
    target, cost = bucket.ours()
    if (destroyed := target["done"]["destroyed"]) != chunks + days:
        raise RuntimeError(f"{destroyed} of {chunks} + {days} objects were destroyed: {target['sentence']}")
    return cost.figures() | {"objects": chunks}


def sweep(bucket: Bucket) -> dict[str, float]:
    """Every object is looked at, none has expired."""
    return bucket.ours("--sweep")[1].figures()


def only_list(bucket: Bucket) -> dict[str, float]:
    """What the sweep is compared with."""
    words, _ = _lister("s5cmd", peer("s5cmd") or "s5cmd", bucket)
    return cost_of(words, peer_variables(bucket)).figures()


def measure(figures: Figures) -> None:
    """One expired day in three buckets, three sizes of it in the largest, and what others take for it."""
    few, some, many = (figures.size(size, 6) for size in _EXPIRED)
    with run_s3() as make:
        buckets = {}
        for size in (figures.size(usual, _DAYS) for usual in _SIZES):
            buckets[size] = make(f"b{size}")
            buckets[size].days(buckets[size].first, _DAYS, size)
        largest = list(buckets.values())[-1]
        ways = _ways(figures, largest, some)
        for number in figures.rounds():
            for size, bucket in buckets.items():
                bucket.expired(some)
                figures.record(_OURS, expire(bucket, some), axis="stored", size=size)
            for count in (few, some, many):
                largest.expired(count)
                figures.record(_OURS, expire(largest, count), axis="expired", size=count)
            for case, way in ways.items():
                _one(figures, largest, case, way, some, counted=not number)


def _ways(figures: Figures, bucket: Bucket, chunks: int) -> dict[str, Callable[[], dict[str, float]]]:
    found: dict[str, Callable[[], dict[str, float]]] = {_OURS: partial(expire, bucket, chunks)}
    for name in _PEERS:
        if peer(name):
            found[f"{name}: list, choose, remove"] = partial(by_peer, name, bucket)
        else:
            figures.note(f"{name} is not installed: `make bench` installs it.")
    found[_SWEEP] = partial(sweep, bucket)
    if peer("s5cmd"):
        found[_LIST] = partial(only_list, bucket)
    return found


def _one(
    figures: Figures,
    bucket: Bucket,
    case: str,
    way: Callable[[], dict[str, float]],
    chunks: int,
    *,
    counted: bool,
) -> None:
    """One way; in the first round once more through a proxy that counts its requests."""
    for proxied in (False, True) if counted else (False,):
        if case not in {_SWEEP, _LIST}:
            bucket.expired(chunks)
        if proxied:
            with bucket.through(0) as proxy:
                way()
            figures.record(case, proxy.counts)
        else:
            figures.record(case, way())
        _clear(bucket, case)


def _clear(bucket: Bucket, case: str) -> None:
    """The table of the expired day, which peers know nothing of."""
    if case.endswith("remove"):
        with closing(bucket.server.client()) as client:
            key = f"index/index_{bucket.first - 1}/acme/1-compactor-1-2-a.tsdb.gz"
            client.delete_object(Bucket=bucket.name, Key=key)


def least(chunks: int, days: int) -> int:
    """The fewest requests that do it, everything listed and removed a thousand at a time.

    Chunks are looked for before they go, so that only what was there counts; for each table its file is
    read and removed, for each list of condemned chunks it is written, read and removed.
    """
    lists = days * math.ceil(chunks / days / _LISTED)
    return 2 * math.ceil(chunks / 1000) + 2 * days + 3 * lists


def backlog(figures: Figures) -> None:
    """Months that nobody has expired, with a network between."""
    days = min(_BACKLOG_DAYS, figures.size(_BACKLOG_DAYS * 20))
    chunks = figures.size(_BACKLOG, days) // days * days
    figures.runs = 1
    with run_s3() as make:
        bucket = make("backlog")
        bucket.days(bucket.first, 1, _STREAMS)
        bucket.expired(chunks, days)
        with bucket.through(ROUND_TRIP) as proxy:
            found = expire(bucket, chunks, days)
        figures.record(_OURS, found | proxy.counts | {"least_requests": least(chunks, days)})


_TWICE = (
    "the command lists the bucket twice, for the survey and for the proof, and 0.4 s of its CPU is"
    " the start of Python and botocore; one listing alone takes 4.0 to 4.7 µs of CPU a key,"
    " `s5cmd ls` 18 to 19"
)

BENCHMARKS = (
    Benchmark(
        name="expire",
        title="Expiring a day of Loki's objects",
        compares="A bucket of SeaweedFS with thirty retained days of chunks, and one day that has expired;"
        " ours is the whole command with both phases and the proof. The others know of no index:"
        " they list everything, somebody chooses by the key's end (not counted), they remove; what"
        " they remove is still named by the index. Requests were counted by a proxy in a run of"
        " their own.",
        measure=measure,
        minutes=5,
        reference=_OURS,
        plots=("stored", "expired"),
        things="chunks",
        aims=(
            Aim(
                says="A full sweep takes no longer than `s5cmd ls`",
                measured=ratio("seconds", _SWEEP, _LIST),
                most=1.0,
                why=_TWICE,
            ),
            Aim(
                says="A full sweep needs a quarter of the CPU of `s5cmd ls`",
                measured=ratio("cpu_s", _SWEEP, _LIST),
                most=0.25,
                why=_TWICE,
            ),
            Aim(
                says="Memory does not grow with what has expired: the most at most 1.1 × the least",
                measured=spread("memory_mib", "expired"),
                most=1.1,
                why="83 MiB for 1,500 chunks and 92 for 6,000; a million chunks need 129",
            ),
        ),
    ),
    Benchmark(
        name="backlog",
        title="A million expired chunks, 30 ms away",
        compares="A hundred days of ten thousand chunks each, all of them there, and a proxy that gives"
        " each request a round trip of 30 ms. Measured once. The least is 1,000 chunks for each"
        " request that lists or removes, and for each day its table and its list, once each.",
        measure=backlog,
        minutes=30,
        usual=False,
        aims=(
            Aim(says="In under 10 minutes", measured=of("seconds", _OURS), most=600, unit="s"),
            Aim(says="In at most 256 MiB", measured=of("memory_mib", _OURS), most=256, unit="MiB"),
            Aim(
                says="Requests within 2 % of the least",
                measured=lambda figures: (
                    figures.median(_OURS, "requests") / figures.median(_OURS, "least_requests")
                ),
                most=1.02,
                why="463 requests more, 355 of them LIST: about five for each of the hundred days; which ones"
                " was not looked into",
            ),
        ),
    ),
)
