"""What the buckets are asked, and how often: against a service in memory that counts."""

from __future__ import annotations

import random
import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from luxima_retention.io.objects import Access
from luxima_retention.stores.loki.bucket import ABREAST, Patience
from luxima_retention.stores.loki.deleting import WritableBuckets
from luxima_retention.stores.loki.keys import DAY_MS, Chunk, may_end_before, milliseconds, parse_chunk
from luxima_retention.stores.loki.locate import Looker
from luxima_retention.stores.loki.scan import all_chunks

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
WHEN = datetime(2026, 11, 1, tzinfo=UTC)
FIRST = milliseconds(NOW) // DAY_MS - 40
CUT = milliseconds(NOW) // DAY_MS - 30


class Service:
    """One bucket of S3, as far as the client of a Loki asks it."""

    def __init__(self, keys, page=1000):
        self.keys = sorted(keys)
        self.page = page
        self.counts = Counter()
        self.lock = threading.Lock()
        self.inside = self.most = 0
        self.stop_after = None

    def get_bucket_versioning(self, Bucket):  # noqa: N803 - the names of the client's parameters
        return {}

    def list_objects_v2(
        self,
        Bucket,  # noqa: N803
        Prefix,  # noqa: N803
        MaxKeys=1000,  # noqa: N803
        StartAfter="",  # noqa: N803
        ContinuationToken="",  # noqa: N803
        Delimiter="",  # noqa: N803
    ):
        with self.lock:
            self.counts["LIST"] += 1
        after, most = ContinuationToken or StartAfter, min(self.page, MaxKeys)
        begin = max(bisect_right(self.keys, after), bisect_left(self.keys, Prefix))
        end = bisect_left(self.keys, Prefix + "\U0010ffff")
        if Delimiter:
            rest = [key[len(Prefix) :].partition("/") for key in self.keys[begin:end]]
            names = sorted({name for name, slash, _ in rest if slash})
            single = [(Prefix + name, 5, WHEN) for name, slash, _ in rest if not slash]
            return {
                "IsTruncated": len(names) + len(single) > most,
                "Rows": single[:most],
                "CommonPrefixes": [{"Prefix": f"{Prefix}{name}/"} for name in names[:most]],
                "NextContinuationToken": "more",
            }
        some = self.keys[begin : min(end, begin + most)]
        more = {"NextContinuationToken": some[-1]} if end > begin + most else {}
        return {"IsTruncated": bool(more), "Rows": [(key, 5, WHEN) for key in some], **more}

    def delete_objects(self, Bucket, Delete):  # noqa: N803
        with self.lock:
            self.counts["DELETE"] += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.meet()
        with self.lock:
            self.inside -= 1
            names = {item["Key"] for item in Delete["Objects"]}
            self.keys = [key for key in self.keys if key not in names]
        return {"Deleted": Delete["Objects"]}

    def meet(self):
        """Where a test lets requests wait for each other."""

    def close(self):
        pass


def buckets(service, **more):
    found = WritableBuckets(("logs",), more.get("prefix", ""), more.get("delimiter", ":"), Access())
    found.__dict__["client"] = service
    return found


def chunk(day, stream, number, tenant="acme"):
    start = day * DAY_MS + number * 1000
    print_of = (stream + 1) * 0x9E3779B97F4A7C15 % (1 << 64)
    return Chunk(tenant=tenant, fingerprint=print_of, start=start, end=start + 500, checksum=7, new=True)


def days_of(first, count, streams, each, tenant="acme"):
    """By day: the chunks of so many days, so many streams, so many each."""
    return [
        [chunk(day, stream, number, tenant) for stream in range(streams) for number in range(each)]
        for day in range(first, first + count)
    ]


def expires(key):
    return may_end_before(key, CUT * DAY_MS)


# --- looking for keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("soon", [None, expires])
def test_what_is_there_is_found_whatever_was_looked_for_before(seed, soon):
    rnd = random.Random(seed)  # noqa: S311 - no secret
    every = [
        item.key
        for tenant in ("a", "acme", "b")
        for day in days_of(FIRST, rnd.randrange(1, 20), rnd.randrange(1, 12), rnd.randrange(1, 9), tenant)
        for item in day
    ]
    there = {key for key in every if rnd.random() < rnd.choice([0.1, 0.9])}
    looker = Looker(
        buckets(Service([*there, "acme/readme", "index/index_1/acme/1.gz"], rnd.choice([3, 50]))), soon
    )
    asked = [key for key in every if expires(key)]
    rnd.shuffle(asked)
    for begin in range(0, len(asked), 100):
        some = asked[begin : begin + 100]
        assert set(looker.locate(some)["logs"]) == there.intersection(some)


def test_days_of_a_backlog_that_lie_side_by_side_are_listed_once():
    """Ten days of forty streams: a page shows what the batches of several days ask for."""
    days = days_of(CUT - 10, 10, 40, 25)
    service = Service([item.key for day in days for item in day], page=100)
    looker = Looker(buckets(service), expires)
    for day in days:
        found = looker.locate([item.key for item in day])
        assert len(found["logs"]) == len(day)
    least = 10 * 40 * 25 // 100
    assert service.counts["LIST"] <= least + 2 * ABREAST


def test_what_is_remembered_of_a_very_large_backlog_is_bounded(monkeypatch):
    monkeypatch.setattr("luxima_retention.stores.loki.locate._MOST", 16_000)
    days = days_of(CUT - 40, 40, 40, 25)
    service = Service([item.key for day in days for item in day])
    looker = Looker(buckets(service), expires)
    for day in days[:3]:
        assert len(looker.locate([item.key for item in day])["logs"]) == len(day)
    kept = sum(len(page.hashes) for page in looker._memory["logs"].shown)
    assert 8_000 <= kept <= 16_000


def test_one_day_among_retained_ones_costs_a_small_page_for_each_stream():
    days = days_of(CUT - 1, 20, 30, 25)
    service = Service([item.key for day in days for item in day])
    found = Looker(buckets(service), expires).locate([item.key for item in days[0]])
    assert len(found["logs"]) == 750
    assert service.counts["LIST"] <= 30 + 2 * ABREAST


# --- deleting --------------------------------------------------------------------------------------------


def test_whole_requests_are_on_their_way_side_by_side_and_none_is_asked_twice():
    keys = [item.key for item in days_of(CUT - 1, 1, 400, 25)[0]]
    service = Service(keys)
    together = threading.Barrier(2, timeout=30)
    # The first is alone: it finds out whether the service takes several at once.
    service.meet = lambda: together.wait() if 2 <= service.counts["DELETE"] <= 3 else None
    done = buckets(service).delete(keys)
    assert (done.gone, service.keys) == (set(keys), [])
    assert service.counts["DELETE"] == 10
    assert 2 <= service.most <= 4


def test_what_was_not_asked_when_the_run_is_told_to_stop_is_left():
    keys = [item.key for item in days_of(CUT - 1, 1, 400, 25)[0]]
    service = Service(keys)
    there = buckets(service)
    there.patience = Patience(stopping=lambda: service.counts["DELETE"] >= 3, wait=lambda _: None)
    done = there.delete(keys)
    assert done.gone | done.left == set(keys)
    assert not done.gone & done.left
    assert set(service.keys) == done.left
    assert 3000 <= len(done.gone) <= 6000


def test_a_request_that_fails_is_told_after_those_on_their_way():
    keys = [item.key for item in days_of(CUT - 1, 1, 400, 25)[0]]
    service = Service(keys)

    def broken():
        if service.counts["DELETE"] == 2:
            raise ValueError("no answer")

    service.meet = broken
    with pytest.raises(ValueError, match="no answer"):
        buckets(service).delete(keys)


# --- the buckets as a whole ------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [7, 40, 1000])
@pytest.mark.parametrize("names", [{}, {"prefix": "loki", "delimiter": "_"}])
@pytest.mark.parametrize("new", [True, False])
def test_every_chunk_of_every_tenant_is_listed_once(page, names, new):
    every = [
        replace(item, new=new)
        for tenant in ("a", "index", "b")
        for day in days_of(FIRST, 3, 30, 2, tenant)
        for item in day
    ]
    every += [replace(item, fingerprint=item.fingerprint & 0xFF) for item in every]
    others = ["index/index_1/a/1.gz", "rules/a/b", "a//x", "//", "seed.json", "a/zz/1:2:3"]
    there = buckets(Service([]), **names)
    there.client.keys = sorted(there.wire(key) for key in [*(item.key for item in every), *others])
    there.client.page = page
    found = [item for item, _, _ in all_chunks(there, NOW)]
    assert sorted(item.key for item in found) == sorted(item.key for item in every)


def test_the_streams_of_a_tenant_are_listed_side_by_side_however_their_names_begin():
    """Forty streams whose fingerprints differ in their last digits only."""
    every = [
        replace(item, fingerprint=0x1000000000000000 + number // 50)
        for number, item in enumerate(days_of(FIRST, 1, 2000, 1)[0])
    ]
    service = Service([item.key for item in every], page=50)
    inside, four, ask = [], threading.Event(), service.list_objects_v2

    def together(**asked):
        if asked["Prefix"].startswith("acme/1"):
            inside.append(asked)
            if len(inside) >= 4:
                four.set()
            assert four.wait(timeout=30)
            inside.remove(asked)
        return ask(**asked)

    service.list_objects_v2 = together
    assert len(list(all_chunks(buckets(service), NOW))) == 2000


def test_only_chunks_that_may_have_expired_are_looked_at_closer():
    every = [item for day in days_of(CUT - 2, 4, 5, 2) for item in day]
    found = [
        item for item, _, _ in all_chunks(buckets(Service([item.key for item in every])), NOW, CUT * DAY_MS)
    ]
    assert {item.end for item in found} == {item.end for item in every if item.end < CUT * DAY_MS}


def test_the_quick_look_at_a_key_never_misses_a_chunk_that_ends_before():
    moment, now_ms = CUT * DAY_MS, milliseconds(NOW)
    odd = ["", ":", "a:b:c", "a/1:2", "a/1/2:3:4:5:6", "a/1/zz:1:1", "é/1/2:3:4"]
    keys = [*odd, *(item.key for day in days_of(CUT - 2, 4, 3, 2) for item in day)]
    old = {key for key in keys if (item := parse_chunk(key, now_ms)) is not None and item.end < moment}
    assert old <= {key for key in keys if may_end_before(key, moment)}
    assert not [
        key for key in keys if may_end_before(key, moment) and parse_chunk(key, now_ms) and key not in old
    ]
