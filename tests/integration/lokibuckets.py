"""A small bucket of Loki's, written by the test itself, and the command that expires it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from luxima_retention.stores.loki.keys import DAY_MS, Chunk, milliseconds
from tests.configured import s3_variables
from tests.servers.command import Command
from tests.servers.loki_index import index_file
from tests.servers.s3 import keys_of

AS_OF = "2026-11-23T08:30:00Z"
#: number of the first table that is kept
CUT = milliseconds(datetime(2026, 10, 24, tzinfo=UTC)) // DAY_MS


def chunk(day, hour=1.0, *, tenant="acme", hours=1.0, checksum=0xABC, new=True):
    start = day * DAY_MS + int(hour * 3_600_000)
    end = start + int(hours * 3_600_000)
    return Chunk(tenant=tenant, fingerprint=0x1234, start=start, end=end, checksum=checksum, new=new)


OLD = chunk(CUT - 1)
ACROSS = chunk(CUT - 1, 23, hours=2)
YOUNG = chunk(CUT, 5)


@dataclass(kw_only=True)
class Bucket:
    """Loki's bucket, and the command that expires it; online until told otherwise."""

    name: str
    client: object
    command: Command
    prefix: str = ""
    delimiter: str = ":"
    index: str = "index/"
    chunks: list = field(default_factory=list)

    def put(self, key, body=b"x"):
        self.client.put_object(Bucket=self.name, Key=self.prefix + key, Body=body)

    def add(self, *chunks):
        for item in chunks:
            self.put(self.wire(item), b"lines")

    def wire(self, item):
        return item.key.replace(":", self.delimiter)

    def table(self, day, tenant, chunks, *, prefix="index_", name="1-compactor-1-2-a", version=3, **more):
        directory = f"{self.index}{prefix}{day}/" + (f"{tenant}/" if tenant else "")
        body = index_file(chunks, version=version, shared=tenant is None, **more)
        self.put(f"{directory}{name}.tsdb.gz", body)

    def usual(self):
        """One expired table, one retained, and a chunk that both name."""
        self.add(OLD, ACROSS, YOUNG)
        self.table(CUT - 1, "acme", [OLD, ACROSS], version=2)
        self.table(CUT, "acme", [ACROSS, YOUNG])

    def present(self):
        found = keys_of(self.client, self.name)
        return {key.removeprefix(self.prefix) for key in found if "/condemned/" not in key}

    def lists(self):
        return sorted(key for key in keys_of(self.client, self.name) if "/condemned/" in key)

    def rewrite(self, change):
        """Change each list of condemned chunks."""
        for key in self.lists():
            body = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
            members = json.loads(body)
            change(members)
            self.client.put_object(Bucket=self.name, Key=key, Body=json.dumps(members).encode())

    def wait(self):
        """As if every grace period of today had passed."""
        self.rewrite(lambda members: members.update(due="2026-01-01T00:00:00Z"))

    def run(self, *arguments, code=0, **more):
        document = self.command.json(
            "run", "application-logs", "--as-of", AS_OF, *arguments, code=code, **more
        )
        return document["policies"][0]["targets"][0]

    def offline(self, *arguments, **more):
        return self.run(*arguments, LUXIMA_POLICIES__APPLICATION_LOGS__OFFLINE="true", **more)


def codes(target):
    return {finding["code"] for finding in target["survey"]["findings"]}


def open_bucket(s3, client, bucket, directory):
    """A bucket that is empty still."""
    command = Command(
        variables={
            "LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS": bucket,
            **s3_variables(s3),
            "LUXIMA_POLICIES__APPLICATION_LOGS__MIN_OBJECT_AGE": "0s",
            "LUXIMA_LEDGER__PATH": str(directory / "ledger.jsonl"),
            "LUXIMA_POLICIES__APPLICATION_LOGS__MAX_FRACTION": "1",
            "LUXIMA_POLICIES__APPLICATION_LOGS__MAX_SILENCE": "off",
            "LUXIMA_POLICIES__APPLICATION_LOGS__MIN_REMAINING": "0",
        }
    )
    return Bucket(name=bucket, client=client, command=command)
