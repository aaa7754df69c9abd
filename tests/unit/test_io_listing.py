"""Listings read in one pass: what botocore's parser finds, or nothing, so that it is asked."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import given
from hypothesis import strategies as some

from luxima_retention import __version__
from luxima_retention.io.listing import rows, take_rows
from luxima_retention.io.objects import Access, s3_client

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>logs</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
)
TAIL = "<CommonPrefixes><Prefix>acme%2F</Prefix></CommonPrefixes></ListBucketResult>"
WHEN = "2026-11-27T09:58:01.250Z"


def page(keys, *, by_url=True, gap="", owner=""):
    def contents(key):
        name = quote_plus(key, safe="/") if by_url else escape(key)
        return (
            f"<Contents><Key>{name}</Key><ETag>&#34;a&#34;</ETag><Size>{len(key)}</Size>{owner}"
            f"<LastModified>{WHEN}</LastModified></Contents>"
        )

    encoding = "<EncodingType>url</EncodingType>" if by_url else ""
    return (HEAD + encoding + gap.join(map(contents, keys)) + TAIL).encode()


class _Raw(io.BytesIO):
    def stream(self, **_):
        yield self.read()


def asked(body, requests=None):
    """The page as the client gives it; what it sends is added to ``requests``."""
    access = Access(
        endpoint_url="http://127.0.0.1:9", region="us-east-1", access_key_id="a", secret_access_key="b"
    )
    client = s3_client(access)
    given = AWSResponse("http://127.0.0.1:9", 200, {"content-type": "application/xml"}, _Raw(body))
    sent = [] if requests is None else requests
    client._endpoint.http_session.send = lambda request: (sent.append(request), given)[1]
    try:
        return client.list_objects_v2(Bucket="logs")
    finally:
        client.close()


def test_the_access_log_of_a_service_says_who_asked():
    requests = []
    asked(page(["a"]), requests)
    named = requests[0].headers["User-Agent"].decode()
    assert named.split()[0] == f"luxima-retention/{__version__}"


@pytest.fixture(scope="module")
def slowly():
    """What botocore's own parser makes of a page."""
    from botocore.parsers import create_parser
    from botocore.session import get_session

    shape = get_session().get_service_model("s3").operation_model("ListObjectsV2").output_shape
    parser = create_parser("rest-xml")

    def read(body):
        found = parser.parse({"body": body, "headers": {}, "status_code": 200}, shape)
        return [(item["Key"], item["Size"], item["LastModified"]) for item in found.get("Contents", ())]

    return read


_TEXT = some.text(some.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
_KEYS = some.lists(some.one_of(_TEXT, some.sampled_from(["a//b", "/x", "a/1:2:3", "+ %3A&<>'\"", "%", "é:"])))


@given(_KEYS, some.booleans())
def test_a_page_is_read_as_botocore_reads_it_or_left_to_it(slowly, keys, by_url):
    body = page(keys, by_url=by_url)
    taken = take_rows(body)
    if taken is None:
        assert not keys or (not by_url and any(set("&<>!?") & set(key) for key in keys))
        return
    names = [key for key, _, _ in taken[0]]
    assert names == keys
    told = [key for key, _, _ in slowly(body)]
    assert told == ([quote_plus(key, safe="/") for key in keys] if by_url else keys)
    assert [row[1:] for row in taken[0]] == [row[1:] for row in slowly(body)]
    assert slowly(taken[1]) == []


@pytest.mark.parametrize(
    "body",
    [
        page(["a", "b"], gap="\n"),
        page(["a"]).replace(b"<Key>", b"<!-- <Key>x</Key> --><Key>"),
        page(["a"]).replace(b"<Key>a</Key>", b"<Key><![CDATA[a]]></Key>"),
        page(["a", "b"]).replace(b"<Size>1</Size>", b"", 1),
        page(["a"]).replace(b"<Contents>", b"<Contents a='1'>"),
        page(["a", "b"]).replace(b"<Contents>", b"<Contents a='1'>", 1),
        page(["a"]).replace(WHEN.encode(), b"yesterday"),
        page(["a"]).replace(WHEN.encode(), b"2026-13-45T99:00:00Z"),
        page(["a&b"], by_url=False),
        page(["a\rb"], by_url=False),
        page(["a"]).decode().encode("utf-16"),
        page([]),
        b"<html>sign in</html>",
        b"",
    ],
)
def test_a_page_of_another_shape_is_left_to_botocore(body):
    assert take_rows(body) is None


def test_the_client_gives_rows_and_what_else_the_page_says():
    keys = ["acme//1:2:3", "acme/x y", "/"]
    found = asked(page(keys, owner="<Owner><ID>a</ID></Owner>"))
    assert "Contents" not in found, "the page was parsed as a tree after all"
    assert list(rows(found)) == [
        (key, len(key), datetime(2026, 11, 27, 9, 58, 1, 250000, tzinfo=UTC)) for key in keys
    ]
    assert (found["IsTruncated"], found["CommonPrefixes"]) == (False, [{"Prefix": "acme/"}])


def test_rows_of_a_page_that_is_left_to_botocore_are_the_same():
    keys = ["acme//1:2:3", "acme/x y"]
    found = asked(page(keys, gap="\n"))
    assert "Rows" not in found
    assert list(rows(found)) == list(rows(asked(page(keys))))


def test_botocore_parses_no_object_of_a_page_that_was_read(monkeypatch):
    """Not even to look for an error inside it, which costs as much as the listing."""
    from botocore import handlers

    seen = []
    look = handlers._looks_like_special_case_error
    monkeypatch.setattr(
        handlers,
        "_looks_like_special_case_error",
        lambda status, body: seen.append(body) or look(status, body),
    )
    asked(page(["a", "b"]))
    assert len(seen) == 1
    assert b"<Key>" not in seen[0]
