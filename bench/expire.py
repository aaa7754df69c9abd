"""Expiring a day of Loki's objects: ours beside tools that list, filter and remove, on the same server.

    python bench/expire.py [--sizes 50000,100000,200000] [--expired 6400] [--s5cmd PATH] [--rclone PATH]
    python bench/expire.py --backlog 1000000 [--days 100] [--present 20]

Starts a SeaweedFS of its own. A bucket holds thirty retained days of chunks and one expired day with its
index table; the number of expired chunks is the same at every size, so a run whose cost grows with the bucket
shows. Peers are told by their keys what has expired, as people do by hand; they know of no index.

With ``--backlog``, so many expired chunks are named by the tables of so many days, and one of ``--present``
of them is there; a process of its own expires them, and must stay below 256 MiB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from luxima_retention.core.plan import Request, decide
from luxima_retention.core.protocol import Expirable, Work
from luxima_retention.io.objects import Access
from luxima_retention.stores.loki import open_loki
from luxima_retention.stores.loki.keys import DAY_MS, Chunk, milliseconds, parse_chunk
from luxima_retention.stores.loki.options import LokiPolicy
from tests.servers.loki_index import index_file
from tests.servers.s3 import S3Server

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
CUTOFF = datetime(2026, 10, 24, tzinfo=UTC)
LIMIT_MIB = 256
BUCKET, STREAMS, BODY = "bench", 400, b"lines " * 40


def chunks_of(day: int, count: int) -> Iterator[Chunk]:
    """So many chunks of one day, spread over the streams."""
    for number in range(count):
        start = day * DAY_MS + (number // STREAMS) * (DAY_MS // (count // STREAMS + 1))
        yield Chunk(
            tenant="acme",
            fingerprint=0x1000000000000000 + number % STREAMS,
            start=start,
            end=start + 60_000,
            checksum=number + 1,
            new=True,
        )


class Bench:
    """One server, one bucket."""

    def __init__(self, server: S3Server, expired: int) -> None:
        self.server = server
        self.client = server.client()
        self.client.create_bucket(Bucket=BUCKET)
        self.first = milliseconds(CUTOFF) // DAY_MS
        self.gone = list(chunks_of(self.first - 1, expired))
        self.retained = 0

    def put(self, keys: list[str]) -> None:
        """Upload many small objects."""
        with ThreadPoolExecutor(12) as pool:
            for _ in pool.map(lambda key: self.client.put_object(Bucket=BUCKET, Key=key, Body=BODY), keys):
                pass

    def grow(self, size: int) -> None:
        """Retained chunks up to ``size``, thirty days of them."""
        more = (size - self.retained) // 30
        for day in range(30):
            offset = self.retained // 30
            every = list(chunks_of(self.first + day, offset + more))[offset:]
            self.put([chunk.key for chunk in every])
        self.retained += more * 30

    def expire_again(self) -> None:
        """The expired day and its table, as they were."""
        self.put([chunk.key for chunk in self.gone])
        name = f"index/index_{self.first - 1}/acme/1-compactor-1-2-a.tsdb.gz"
        self.client.put_object(Bucket=BUCKET, Key=name, Body=index_file(self.gone))

    def backlog(self, count: int, days: int, share: int) -> int:
        """Tables of so many days; how many of their chunks are there."""
        put = 0
        for day in range(self.first - days, self.first):
            chunks = list(chunks_of(day, count // days))
            there = [chunk.key for chunk in chunks[::share]]
            self.put(there)
            put += len(there)
            name = f"index/index_{day}/acme/1-compactor-1-2-a.tsdb.gz"
            self.client.put_object(Bucket=BUCKET, Key=name, Body=index_file(chunks))
        return put

    def peer(self, lister: list[str], remover: list[str], parse: Any) -> dict[str, Any]:
        """List everything, filter by the key's end, remove: as people do."""
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {
            **{name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"},
            "AWS_ACCESS_KEY_ID": self.server.access_key,
            "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
            "AWS_REGION": self.server.region,
            "RCLONE_CONFIG_BENCH_TYPE": "s3",
            "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
            "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": self.server.access_key,
            "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": self.server.secret_key,
            "RCLONE_CONFIG_BENCH_REGION": self.server.region,
            "RCLONE_CONFIG_BENCH_ENDPOINT": self.server.endpoint_url,
        }
        listed = subprocess.run(lister, env=environment, capture_output=True, text=True, check=True)
        keys = [parse(line) for line in listed.stdout.splitlines()]
        going = [
            key
            for key in keys
            if (chunk := parse_chunk(key, milliseconds(NOW))) and chunk.end < milliseconds(CUTOFF)
        ]
        text = "".join(f"{key}\n" for key in going)
        if "run" in remover:
            text = "".join(f'rm "s3://{BUCKET}/{key}"\n' for key in going)
        subprocess.run(remover, env=environment, input=text, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {
            "objects": len(going),
            "seconds": round(time.monotonic() - begun, 2),
            "cpu": round(cpu, 2),
            "LIST": -(-len(keys) // 1000),
        }


def ours(server: S3Server, *, sweep: bool = False, absent: int = 0) -> dict[str, Any]:
    """Survey, both phases, and the proof: what a run does."""
    settings = LokiPolicy(
        kind="loki", retention_days=30, buckets=(BUCKET,), offline=True, min_object_age=timedelta(0)
    )
    access = Access(
        endpoint_url=server.endpoint_url,
        region=server.region,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
    )
    begun, cpu = time.monotonic(), time.process_time()
    store = open_loki(settings, access, clock=lambda: NOW, read_only=False, sweep=sweep)
    if not isinstance(store, Expirable):
        raise SystemExit("the store only checks")
    requests: Counter[str] = Counter()
    store.buckets.client.meta.events.register(  # type: ignore[attr-defined]  # a bench looks inside
        "before-call.s3", lambda model, **_: requests.update([model.name])
    )
    request = Request(policy="application-logs", retention_days=30, cutoff=CUTOFF, now=NOW)
    plan = decide(request, store.survey(request), cutoff_basis="as-of", disposition="destroy")
    work = Work(
        run_id="00000000-0000-4000-8000-000000000001",
        token=1,
        resumed=False,
        holds=tuple,
        stopping=lambda: False,
        wait=time.sleep,
    )
    destroyed, first = 0, 0.0
    for batch in store.batches(plan, work):
        batch.stage(None)
        destroyed += batch.commit().items
        first = first or time.monotonic() - begun
    left = store.survey(request).expired
    store.close()
    if left or destroyed != plan.items - absent:
        raise SystemExit(f"{destroyed} of {plan.items} destroyed, {left} left")
    return {
        "objects": destroyed,
        "seconds": round(time.monotonic() - begun, 2),
        "first deletion": round(first, 2),
        "cpu": round(time.process_time() - cpu, 2),
        "LIST": requests["ListObjectsV2"],
        "all requests": sum(requests.values()),
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def in_a_process_of_its_own(endpoint: str, absent: int) -> dict[str, Any]:
    """What :func:`ours` measures, without what this process has in memory."""
    command = [sys.executable, __file__, "--endpoint", endpoint, "--absent", str(absent)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise SystemExit(told.stderr)
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="50000,100000,200000")
    parser.add_argument("--expired", type=int, default=6400)
    parser.add_argument("--s5cmd", default=shutil.which("s5cmd"))
    parser.add_argument("--rclone", default=shutil.which("rclone"))
    parser.add_argument("--backlog", type=int, default=0)
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--present", type=int, default=20)
    parser.add_argument("--endpoint", help=argparse.SUPPRESS)
    parser.add_argument("--absent", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.endpoint:
        print(json.dumps(ours(S3Server(endpoint_url=options.endpoint), absent=options.absent)))
        return
    server = S3Server.start()
    try:
        if options.backlog:
            measure_backlog(options, server)
        else:
            measure_days(options, server)
    finally:
        server.stop()


def measure_backlog(options: argparse.Namespace, server: S3Server) -> None:
    """Years that nobody has expired."""
    put = Bench(server, 0).backlog(options.backlog, options.days, options.present)
    found = in_a_process_of_its_own(server.endpoint_url, options.backlog // options.days * options.days - put)
    print(f"{options.backlog} chunks of {options.days} days, {put} of them there: {json.dumps(found)}")
    if found["peak MiB"] > LIMIT_MIB:
        raise SystemExit(f"more than {LIMIT_MIB} MiB")


def measure_days(options: argparse.Namespace, server: S3Server) -> None:
    """One expired day in buckets of several sizes, and what others take for it."""
    bench = Bench(server, options.expired)
    for size in map(int, options.sizes.split(",")):
        bench.grow(size)
        bench.expire_again()
        print(f"{size:>7} chunks, ours      {json.dumps(ours(server))}", flush=True)
    for name, (lister, remover, parse) in peers(options, server).items():
        bench.expire_again()
        print(f"{size:>7} chunks, {name:<9} {json.dumps(bench.peer(lister, remover, parse))}", flush=True)
    bench.expire_again()
    print(f"{size:>7} chunks, our sweep {json.dumps(ours(server, sweep=True))}", flush=True)


def peers(options: argparse.Namespace, server: S3Server) -> dict[str, tuple[list[str], list[str], Any]]:
    """The tools that are installed, each with how it lists and how it removes."""
    found: dict[str, tuple[list[str], list[str], Any]] = {}
    if options.s5cmd:
        base = [options.s5cmd, "--endpoint-url", server.endpoint_url]
        found["s5cmd"] = (
            [*base, "ls", f"s3://{BUCKET}/*"],
            [*base, "run"],
            lambda line: line.split(maxsplit=3)[3],
        )
    if options.rclone:
        remote = f"bench:{BUCKET}"
        fast = ["--fast-list", "--config", "/dev/null"]
        found["rclone"] = (
            [options.rclone, "lsf", "-R", "--files-only", *fast, remote],
            [options.rclone, "delete", "--files-from-raw", "-", *fast, remote],
            str,
        )
    return found


if __name__ == "__main__":
    main()
