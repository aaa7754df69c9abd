"""Places name the connection through which they are reached; each may lie with somebody else."""

from __future__ import annotations

import pytest

from luxima_retention.config.connections import open_place
from luxima_retention.config.places import address, connection
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.evidence.archive import open_archive
from luxima_retention.evidence.ledger.checkpoint import open_anchors
from tests.configured import settings_of

S3 = {
    "default": {"endpoint_url": "http://here:9000"},
    "notary": {"endpoint_url": "http://there:9000", "access_key_id": "k", "secret_access_key": "s"},
}


@pytest.mark.parametrize(
    ("url", "through", "plain"),
    [
        ("s3://bucket/prefix", "default", "s3://bucket/prefix"),
        ("s3+notary://bucket/prefix", "notary", "s3://bucket/prefix"),
        ("s3+my-own_1://bucket", "my-own_1", "s3://bucket"),
        ("file:///var/archive", None, "file:///var/archive"),
    ],
)
def test_a_place_names_its_connection(url, through, plain):
    assert (connection(url), address(url)) == (through, plain)


@pytest.mark.parametrize("url", ["bucket", "s3:bucket", "s3+://b", "s3+A B://b", "file://host/x", "gs://b"])
@pytest.mark.parametrize("setting", ["archive.url", "report.url", "ledger.anchors"])
def test_what_is_no_place_is_refused_by_the_name_of_its_setting(setting, url):
    section, option = setting.split(".")
    value = [url] if option == "anchors" else url
    with pytest.raises(ConfigurationError, match=rf"{setting}.*must begin with s3://"):
        settings_of({section: {option: value, **({"retention_days": 1} if section == "archive" else {})}})


@pytest.mark.parametrize(
    ("sections", "setting"),
    [
        ({"archive": {"url": "s3+nobody://b", "retention_days": 1}}, "archive.url"),
        ({"report": {"url": "s3+nobody://b"}}, "report.url"),
        ({"ledger": {"anchors": ["s3://a", "s3+nobody://b"]}}, "ledger.anchors"),
        ({"policies": {"application-logs": {"s3": "nobody"}}}, "policies.application-logs.s3"),
    ],
)
def test_a_connection_that_is_not_written_is_refused(sections, setting):
    with pytest.raises(
        ConfigurationError, match=f"{setting} names 'nobody', and there is no section s3.nobody"
    ):
        settings_of({"s3": S3, **sections})


def test_anchors_may_lie_with_somebody_else_than_the_archive():
    settings = settings_of(
        {
            "s3": S3,
            "archive": {"url": "s3://archive/a", "retention_days": 9},
            "ledger": {"anchors": ["s3+notary://anchors/x", "s3://anchors/x"]},
        }
    )
    theirs, ours = open_anchors(settings)
    assert (theirs.url, ours.url) == ("s3://anchors/x", "s3://anchors/x")
    assert theirs._place._access.endpoint_url == "http://there:9000"
    assert ours._place._access.endpoint_url == "http://here:9000"
    assert open_archive(settings).place._access.endpoint_url == "http://here:9000"
    with pytest.raises(ConfigurationError, match="names the connection 'x', which does not exist"):
        open_place(settings, "s3+x://b")
