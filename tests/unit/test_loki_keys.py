"""Loki's keys and index files: what is Loki's is read exactly, whatever is not is nobody's."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import struct
from datetime import timedelta
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxima_retention.core.errors import StoreError
from luxima_retention.stores.loki import scan
from luxima_retention.stores.loki.declared import duration
from luxima_retention.stores.loki.keys import (
    DAY_MS,
    Chunk,
    Period,
    has_new_key,
    is_index_file,
    parse_chunk,
    parse_table,
    period_of,
)
from luxima_retention.stores.loki.owner import compactor_finding
from luxima_retention.stores.loki.tsdb_index import UnreadableIndexError, read
from tests.servers.loki_index import index_file

NOW = 1_795_500_000_000
VECTORS = json.loads((Path(__file__).parents[1] / "data" / "loki" / "index-vectors.json").read_text())
OLD = Period(start=20_000, store="boltdb-shipper", new_keys=False, prefix="index_")
NEW = Period(start=20_700, store="tsdb", new_keys=True, prefix="tsdb_")
PERIODS = (OLD, NEW)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_reader_reads_what_loki_wrote(vector):
    rows = []
    for item in read([base64.b64decode(vector["gzip"])], "vector"):
        chunk = Chunk(
            tenant=item.tenant,
            fingerprint=item.fingerprint,
            start=item.start,
            end=item.end,
            checksum=item.checksum,
            new=True,
        )
        rows.append(f"{chunk.key} {item.kib} {item.entries}\n".encode())
    assert hashlib.sha256(b"".join(sorted(rows))).hexdigest() == vector["sha256"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_no_byte_that_is_read_can_be_flipped_unseen(vector):
    whole = gzip.decompress(base64.b64decode(vector["gzip"]))
    expected = list(read([gzip.compress(whole)], "whole"))
    (series_end,) = struct.unpack_from(">Q", whole, len(whole) - 76 + 16)
    protected = [*range(series_end), *range(len(whole) - 76, len(whole))]
    for at in protected:
        broken = bytearray(whole)
        broken[at] ^= 1
        try:
            assert list(read([gzip.compress(bytes(broken))], "broken")) == expected, at
        except UnreadableIndexError:
            pass
        # Only padding between series may differ unseen: it is never looked at.
        else:
            assert whole[at] == 0, at


@pytest.mark.parametrize("cut", [0, 1, 10, 40, 200])
def test_a_truncated_file_is_an_error_not_an_empty_one(cut):
    data = base64.b64decode(VECTORS[1]["gzip"])
    with pytest.raises(UnreadableIndexError):
        list(read([data[: len(data) - cut - 1]], "cut"))
    with pytest.raises(UnreadableIndexError):
        list(read([gzip.compress(gzip.decompress(data)[: -cut - 1])], "cut inside"))


@pytest.mark.parametrize("version", [0, 1, 4, 255])
def test_another_version_is_refused(version):
    whole = bytearray(gzip.decompress(base64.b64decode(VECTORS[0]["gzip"])))
    whole[4] = version
    with pytest.raises(UnreadableIndexError, match=f"version {version}"):
        list(read([gzip.compress(bytes(whole))], "other"))


def whole_of(chunks, **more):
    return bytearray(gzip.decompress(index_file(chunks, **more)))


SOME = [
    Chunk(tenant=tenant, fingerprint=7, start=NOW + n, end=NOW + n + 5, checksum=n + 1, new=True)
    for tenant in ("acme", "luxima")
    for n in range(40)
]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("shared", [True, False])
def test_what_is_written_by_the_layout_is_read_back(version, shared):
    chunks = SOME if shared else SOME[:40]
    found = list(read([index_file(chunks, version=version, shared=shared)], "own"))
    assert [(item.tenant, item.start, item.end, item.checksum) for item in found] == [
        (chunk.tenant if shared else None, chunk.start, chunk.end, chunk.checksum) for chunk in chunks
    ]


@pytest.mark.parametrize(
    "body", [b"", b"1234567", struct.pack(">Q", 7), struct.pack(">Q", 7) + b"\x00\x01", b"\xff" * 40]
)
@pytest.mark.parametrize("version", [2, 3])
def test_a_series_with_a_right_checksum_and_wrong_content_is_an_error(body, version):
    whole = whole_of(SOME, version=version)
    (at,) = struct.unpack_from(">Q", whole, len(whole) - 76 + 8)
    at += -at % 16
    series = bytes([len(body)]) + body + struct.pack(">I", google_crc32c.value(body))
    whole[at : at + len(series)] = series
    with pytest.raises(UnreadableIndexError):
        list(read([gzip.compress(bytes(whole))], "forged"))


def test_a_tenant_that_is_no_text_is_read_and_is_in_no_key():
    whole = whole_of(SOME[:1], shared=True)
    whole[whole.index(b"acme")] = 0xFF
    length, _ = struct.unpack_from(">II", whole, 5)
    struct.pack_into(">I", whole, 9 + length, google_crc32c.value(bytes(whole[9 : 9 + length])))
    (found,) = read([gzip.compress(bytes(whole))], "forged")
    assert not found.tenant.isascii()


def test_a_stream_of_two_gzip_members_is_one_file():
    whole = gzip.decompress(base64.b64decode(VECTORS[0]["gzip"]))
    parts = gzip.compress(whole[:100]) + gzip.compress(whole[100:])
    assert list(read([parts], "two")) == list(read([gzip.compress(whole)], "one"))


@given(
    st.from_regex(r"[A-Za-z0-9!_*'()-]{1,40}", fullmatch=True),
    st.integers(0, 2**64 - 1),
    st.integers(1_600_000_000_000, NOW),
    st.integers(0, 5 * DAY_MS),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_a_key_and_its_chunk_are_the_same(tenant, fingerprint, start, length, checksum, new):
    chunk = Chunk(
        tenant=tenant,
        fingerprint=fingerprint,
        start=start,
        end=min(start + length, NOW),
        checksum=checksum,
        new=new,
    )
    assert parse_chunk(chunk.key, NOW) == chunk


@pytest.mark.parametrize(
    "key",
    [
        "loki_cluster_seed.json",
        "index/index_20777/1795419844-vm-1795419844183102430.tsdb.gz",
        "index/delete_requests/delete_requests.gz",
        "rules/acme/bmFtZQ==/Z3JvdXA=",
        "acme/0dbf6f06a/1a1f68f9c6d:1a1f741ac3e:4f4fba8e",  # padded: never Loki's
        "acme/8377ef7090e17086/1a1f741ac3e:1a1f68f9c6d:4f4fba8e",  # ends before it begins
        "acme/8377ef7090e17086/1:2:4f4fba8e",  # 1970
        "acme/8377ef7090e17086/1a1f68f9c6d:fffffffffff:4f4fba8e",  # in the far future
        "acme/8377EF7090e17086/1a1f68f9c6d:1a1f741ac3e:4f4fba8e",
        "a/b/8377ef7090e17086/1a1f68f9c6d:1a1f741ac3e:4f4fba8e",
        "acme/8377ef7090e17086/1a1f68f9c6d:1a1f741ac3e:4f4fba8e/x",
        "../8377ef7090e17086/1a1f68f9c6d:1a1f741ac3e:4f4fba8e",
        "luxima-retention/loki/condemned/index_20777-x.json",
        "",
    ],
)
def test_what_is_no_chunk_is_nobodys(key):
    assert parse_chunk(key, NOW) is None


def test_tables_belong_to_the_period_that_named_them():
    assert parse_table("index_20650", PERIODS).number == 20650
    assert parse_table("tsdb_20777", PERIODS).period == NEW
    for name in ("index_20777", "tsdb_20650", "index_2077", "index_207777", "other_20650", "delete_requests"):
        assert parse_table(name, PERIODS) is None
    assert period_of(10, PERIODS) == OLD


def test_chunks_from_before_the_first_period_have_keys_of_the_old_form():
    assert not has_new_key(20_699, (NEW,))
    assert has_new_key(20_700, (NEW,))
    assert not has_new_key(20_699, PERIODS)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("1795419844-vm-1795419844183102430.tsdb.gz", True),
        ("acme/1795419961484394247-compactor-1794495018572-1794632238573-abf21b75.tsdb.gz", True),
        ("acme/1795419844-vm-1795419844183102430.tsdb.gz", False),
        ("acme/extra/1-compactor-1-2-a.tsdb.gz", False),
        ("backup.tar", False),
        ("1795419844-vm.tsdb", False),
    ],
)
def test_index_files_are_told_by_their_place_and_name(name, known):
    assert is_index_file(parse_table("tsdb_20777", PERIODS), name) is known


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("720h", 2_592_000), ("30d", 2_592_000), ("4w", 2_419_200), ("22.5s", 22.5), ("1h30m", 5400), ("0s", 0)],
)
def test_durations_as_loki_prints_them(text, seconds):
    assert duration(text) == timedelta(seconds=seconds)


def test_a_duration_that_is_none_is_an_error():
    for text in ("", "30", "d", "1x", "30d "):
        with pytest.raises(StoreError):
            duration(text)


def test_a_compactor_that_deletes_is_compared_with_the_policy():
    assert compactor_finding(timedelta(days=30), 30).code == "compliant"
    for days in (0, 14, 60):
        assert compactor_finding(timedelta(days=days), 30).code == "compactor-drift"


def test_crc32c_is_the_one_that_loki_uses():
    assert google_crc32c.value(b"123456789") == 0xE3069283


def test_a_set_of_names_knows_what_it_was_given_and_nothing_else(monkeypatch):
    monkeypatch.setattr(scan, "_NEWEST", 7)
    names = scan.Names(f"a/{number}" for number in range(5))
    for number in range(5, 60):
        assert f"a/{number}" not in names
        names.add(f"a/{number}")
        assert all(f"a/{known}" in names for known in range(number + 1))


@pytest.mark.parametrize("seed", range(5))
def test_a_set_of_names_knows_what_was_put_into_it_and_nothing_else(monkeypatch, seed):
    monkeypatch.setattr("luxima_retention.stores.loki.scan._NEWEST", 7)
    rnd = random.Random(seed)  # noqa: S311 - no secret
    keys = [f"acme/{number:x}" for number in rnd.sample(range(10_000), 300)]
    first = rnd.randrange(100)
    names = scan.Names(keys[:first])
    for number, key in enumerate(keys[first:200], first + 1):
        names.add(key)
        assert {known for known in keys if known in names} == set(keys[:number])
