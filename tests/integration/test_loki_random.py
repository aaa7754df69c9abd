"""Random buckets and days: whatever comes back meanwhile, no index ever names a chunk that we removed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.core.guards import Limits
from luxima_retention.run.engine import Environment, Policy, run_policy
from luxima_retention.stores.loki.keys import DAY_MS, Chunk, milliseconds
from tests.configured import loki_settings, opened_loki
from tests.conftest import LONG, OUTSIDE
from tests.servers.loki_index import index_file
from tests.servers.s3 import fill, keys_of
from tests.unit.test_engine import FakeState

START = datetime(2026, 11, 1, 8, tzinfo=UTC)
LONGER = 3  # days that tenant b keeps more than the policy
POLICY = Policy(
    name="application-logs",
    retention_days=30,
    limits=Limits(max_fraction=1, max_silence=None, max_skew=timedelta(days=36500), min_remaining=0),
)

#: ``make long`` tries 200 of them
SEEDS = range(int(OUTSIDE["LUXIMA_TEST_SEEDS"])) if LONG else (1, 4)


def some_chunks(rnd):
    """Of three tenants, on ten days around the cutoff; some span several days."""
    first = milliseconds(START) // DAY_MS - 36
    for day in range(first, first + 10):
        for tenant in "abc":
            for _ in range(rnd.randrange(3)):
                start = day * DAY_MS + rnd.randrange(DAY_MS)
                yield Chunk(
                    tenant=tenant,
                    fingerprint=rnd.choice([1, 2, 0xABC]),
                    start=start,
                    end=start + rnd.choice([0, 1000, 3_600_000, DAY_MS, 3 * DAY_MS]),
                    checksum=rnd.randrange(1, 2**32),
                    new=True,
                )


def some_index(rnd, chunks):
    """Key of each index file → chunks and body; each chunk in a shared file, its tenant's, or both."""
    files = {}
    for day in sorted({day for item in chunks for day in item.days}):
        here = [item for item in chunks if day in item.days]
        shared = [item for item in here if rnd.random() < 0.3]
        own = [item for item in here if item not in shared or rnd.random() < 0.3]
        if shared:
            body = index_file(shared, shared=True)
            files[f"index/index_{day}/1-ingester-0-{rnd.randrange(99)}.tsdb.gz"] = (shared, body)
        for tenant in {item.tenant for item in own}:
            mine = [item for item in own if item.tenant == tenant]
            body = index_file(mine, version=rnd.choice([2, 3]))
            files[f"index/index_{day}/{tenant}/1-compactor-1-2-a.tsdb.gz"] = (mine, body)
    return files


def filled(rnd, client, bucket):
    """Put them into a bucket; chunks by key, and of each index file its chunks and body."""
    chunks = {item.key: item for item in some_chunks(rnd)}
    files = some_index(rnd, list(chunks.values()))
    fill(client, bucket, [*((key, b"lines") for key in chunks), *((key, files[key][1]) for key in files)])
    return chunks, files


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_may_still_be_named_goes(s3, s3_client, bucket, seed):
    rnd = random.Random(seed)  # noqa: S311 - no secret
    chunks, files = filled(rnd, s3_client, bucket)
    longer = {"b": 30 + LONGER} if seed % 2 else {}
    settings = loki_settings(s3, bucket, tenant_days=longer, min_object_age="0s")

    state, now, seen = FakeState(), START, {}
    for _ in range(6):
        for key in rnd.sample(sorted(files), 2) if rnd.random() < 0.5 else ():
            s3_client.put_object(Bucket=bucket, Key=key, Body=files[key][1] if rnd.random() < 0.8 else b"x")
        before = keys_of(s3_client, bucket)
        seen |= {item.key: now for key in before & files.keys() for item in files[key][0]}
        sweep, moment = rnd.random() < 0.3, now
        opened = lambda: opened_loki(settings, clock=lambda: moment, read_only=False, sweep=sweep)  # noqa: B023, E731
        environment = Environment(now=now, state=state, clock=lambda: moment)  # noqa: B023 - used in this turn
        result = run_policy(POLICY, (("loki", opened),), environment)
        assert int(result.exit_code) in {0, 3}, result.targets[0].sentence
        after = keys_of(s3_client, bucket)
        cutoff = (milliseconds(now) // DAY_MS - 30) * DAY_MS
        for item in (chunks[key] for key in (before - after) & chunks.keys()):
            assert item.end < cutoff - (LONGER * DAY_MS if item.tenant in longer else 0)
            assert now - seen.get(item.key, START - timedelta(days=9)) >= timedelta(hours=2)
        named = {item.key for key in after & files.keys() for item in files[key][0]}
        assert not named & (before - after)
        now += timedelta(hours=rnd.choice([1, 3, 24, 25]))
