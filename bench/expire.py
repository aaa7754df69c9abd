"""Expiring a day of Loki's objects: ours beside tools that list, filter and remove, on the same server.

    python bench/expire.py [--sizes 50000,100000,200000] [--expired 6400] [--s5cmd PATH] [--rclone PATH]

Starts a SeaweedFS of its own. A bucket holds thirty retained days of chunks and one expired day with its
index table; the number of expired chunks is the same at every size, so a run whose cost grows with the bucket
shows. Peers are told by their keys what has expired, as people do by hand; they know of no index.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import shutil
import struct
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

import google_crc32c

from luxima_retention.core.plan import Request, decide
from luxima_retention.core.protocol import Expirable, Work
from luxima_retention.io.objects import Access
from luxima_retention.stores.loki import open_loki
from luxima_retention.stores.loki.keys import DAY_MS, Chunk, milliseconds, parse_chunk
from luxima_retention.stores.loki.options import LokiPolicy
from tests.servers.s3 import S3Server

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
CUTOFF = datetime(2026, 10, 24, tzinfo=UTC)
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


def uvarint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def with_crc(data: bytes) -> bytes:
    """Data and its CRC-32C."""
    return data + struct.pack(">I", google_crc32c.value(data))


def index_file(chunks: list[Chunk]) -> bytes:
    """A TSDB index file, version 2, of one tenant: symbols, series, table of contents."""
    symbols = with_crc(struct.pack(">I", 2) + b"\x03app\x01b")
    data = struct.pack(">IB", 0xBAAAD700, 2) + struct.pack(">I", len(symbols) - 4) + symbols
    series = len(data)
    for fingerprint in sorted({chunk.fingerprint for chunk in chunks}):
        data += b"\0" * (-len(data) % 16)
        mine = sorted((c for c in chunks if c.fingerprint == fingerprint), key=lambda chunk: chunk.start)
        body, last = struct.pack(">Q", fingerprint) + b"\x01\x00\x01" + uvarint(len(mine)), 0
        for chunk in mine:
            body += uvarint((chunk.start - last) * 2) + uvarint(chunk.end - chunk.start) + b"\x01\x05"
            body += struct.pack(">I", chunk.checksum)
            last = chunk.end
        data += uvarint(len(body)) + with_crc(body)
    toc = struct.pack(">7Q2q", 5, series, len(data), *[len(data)] * 4, 0, 0)
    return gzip.compress(data + with_crc(toc))


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

    def ours(self, *, sweep: bool = False) -> dict[str, Any]:
        """Survey, both phases, and the proof: what a run does."""
        server = self.server
        settings = LokiPolicy(
            kind="loki",
            retention_days=30,
            buckets=(BUCKET,),
            offline=True,
            min_object_age=timedelta(0),
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
        survey = store.survey(request)
        plan = decide(request, survey, cutoff_basis="as-of", disposition="destroy")
        work = Work(
            run_id="00000000-0000-4000-8000-000000000001",
            token=1,
            resumed=False,
            holds=tuple,
            stopping=lambda: False,
            wait=time.sleep,
        )
        destroyed = 0
        for batch in store.batches(plan, work):
            batch.stage(None)
            destroyed += batch.commit().items
        left = store.survey(request).expired
        store.close()
        if left or destroyed != plan.items:
            raise SystemExit(f"{destroyed} of {plan.items} destroyed, {left} left")
        return {
            "objects": destroyed,
            "seconds": round(time.monotonic() - begun, 2),
            "cpu": round(time.process_time() - cpu, 2),
            "LIST": requests["ListObjectsV2"],
            "all requests": sum(requests.values()),
        }

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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="50000,100000,200000")
    parser.add_argument("--expired", type=int, default=6400)
    parser.add_argument("--s5cmd", default=shutil.which("s5cmd"))
    parser.add_argument("--rclone", default=shutil.which("rclone"))
    options = parser.parse_args()
    server = S3Server.start()
    try:
        bench = Bench(server, options.expired)
        for size in map(int, options.sizes.split(",")):
            bench.grow(size)
            bench.expire_again()
            print(f"{size:>7} chunks, ours      {json.dumps(bench.ours())}", flush=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        for name, (lister, remover, parse) in peers(options, server).items():
            bench.expire_again()
            print(f"{size:>7} chunks, {name:<9} {json.dumps(bench.peer(lister, remover, parse))}", flush=True)
        bench.expire_again()
        print(f"{size:>7} chunks, our sweep {json.dumps(bench.ours(sweep=True))}", flush=True)
        print(f"peak memory of ours {peak} MiB")
    finally:
        server.stop()


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
