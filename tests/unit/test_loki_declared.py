"""What Loki says of its storage and limits, in every form that it has."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from luxima_retention.core.errors import StoreError
from luxima_retention.stores.loki.declared import (
    Limit,
    Promises,
    differences,
    limit_of,
    overrides_of,
    storage_of,
)
from tests.servers.loki import config_of, period

DAY = timedelta(days=1)


def test_a_captured_configuration_is_read():
    found = storage_of(config_of("loki-a"))
    (only,) = found.periods
    assert (found.buckets, found.object_prefix, found.chunk_delimiter) == (("loki-a",), "", ":")
    assert (only.start, only.store, only.schema_version, only.prefix) == (
        date(2026, 9, 4),
        "tsdb",
        13,
        "index_",
    )
    assert list(differences(found, {"buckets": ("loki-a",), "object_prefix": ""})) == []


def with_storage(changes, object_store="s3"):
    config = config_of("x")
    config["storage_config"] |= changes
    config["schema_config"]["configs"] = [period(object_store=object_store)]
    return storage_of(config)


@pytest.mark.parametrize(
    ("changes", "object_store", "buckets"),
    [
        ({"aws": {"bucketnames": "a,b"}}, "aws", ("a", "b")),
        ({"aws": {"bucketnames": "", "s3": "s3://key:secret@host:9000/c"}}, "s3", ("c",)),
        ({"gcs": {"bucket_name": "g"}}, "gcs", ("g",)),
        ({"cos": {"bucketnames": "k"}}, "cos", ("k",)),
        ({"alibabacloud": {"bucket": "o"}}, "alibabacloud", ("o",)),
        ({"named_stores": {"aws": {"cold": {"bucketnames": "d"}}}}, "cold", ("d",)),
        ({"named_stores": {"gcs": {"cold": {"bucket_name": "e"}}}}, "cold", ("e",)),
        ({"use_thanos_objstore": True, "object_store": {"s3": {"bucket_name": "t"}}}, "s3", ("t",)),
        (
            {
                "use_thanos_objstore": True,
                "object_store": {"named_stores": {"s3": {"cold": {"bucket_name": "u"}}}},
            },
            "cold",
            ("u",),
        ),
    ],
)
def test_buckets_are_found_in_every_client_s_section(changes, object_store, buckets):
    assert with_storage(changes, object_store).buckets == buckets


@pytest.mark.parametrize("object_store", ["azure", "swift", "filesystem", "unheard-of"])
def test_a_store_that_does_not_speak_s3_is_said(object_store):
    found = with_storage({"azure": {"container_name": "loki"}}, object_store)
    assert object_store in next(differences(found, {}))


@pytest.mark.parametrize("odd", [{"schema": "v15"}, {"prefix": ""}, {"store": "bigtable"}, {"period": "1w"}])
def test_a_period_that_is_not_supported_is_said(odd):
    config = config_of("x")
    config["schema_config"]["configs"] = [period("2026-01-01"), period("2027-01-01", **odd)]
    assert list(differences(storage_of(config), {}))


def test_thanos_clients_have_a_prefix_and_no_delimiter_of_their_own():
    found = with_storage(
        {
            "use_thanos_objstore": True,
            "object_prefix": "no",
            "aws": {"chunk_delimiter": "_"},
            "object_store": {"storage_prefix": "team", "s3": {"bucket_name": "t"}},
        }
    )
    assert (found.object_prefix, found.chunk_delimiter) == ("team", ":")


@pytest.mark.parametrize(
    "schema",
    [{}, {"configs": []}, {"configs": [{}]}, {"configs": [period(schema="thirteen")]}, {"configs": "x"}],
)
def test_a_schema_that_is_none_is_an_error(schema):
    config = config_of("x")
    config["schema_config"] = schema
    with pytest.raises(StoreError, match="does not show its schema"):
        storage_of(config)


def test_limits_are_taken_from_everybody_where_a_tenant_has_none_of_its_own():
    base = limit_of({"retention_period": "30d", "retention_stream": [{"period": "60d"}]})
    assert limit_of({}, base) == base
    assert limit_of({"retention_stream": []}, base) == Limit(period=30 * DAY)
    assert limit_of({"retention_period": "1y"}, base) == Limit(period=365 * DAY, streams=(60 * DAY,))


@pytest.mark.parametrize("page", [None, "runtime config file doesn't exist", "ready", ["x"]])
def test_a_page_without_overrides_tells_none(page):
    assert overrides_of(page, Limit(period=DAY)) is None


def test_promises_that_are_longer_are_named_in_whole_days_rounded_up():
    everybody = Limit(period=timedelta())
    tenants = {
        "year": Limit(period=365 * DAY),
        "hours": Limit(period=timedelta(hours=30 * 24 + 1)),
        "stream": Limit(period=timedelta(), streams=(90 * DAY,)),
        "short": Limit(period=7 * DAY),
        "silent": Limit(period=timedelta()),
    }
    longer = Promises(everybody=everybody, tenants=tenants).longer(30)
    assert longer == {"year": 365, "hours": 31, "stream": 90}


def test_a_tenant_whose_period_is_zero_where_others_have_one_keeps_for_ever():
    promises = Promises(everybody=Limit(period=30 * DAY), tenants={"a": Limit(period=timedelta())})
    assert promises.longer(30)["a"] > 10_000
