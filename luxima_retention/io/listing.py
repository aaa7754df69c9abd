"""Listings of S3 buckets: their pages to the end, and their objects read in one pass.

botocore parses a listing into a tree, twice, and then into a dict for each object: most of what a listing
costs. Pages of the shape that services write are read by three searches instead, and only what is left of
such a page goes to botocore; a page of any other shape goes there whole. A test holds both ways against each
other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_plus

from luxima_retention.core.errors import StoreError

#: key, bytes, and when it was uploaded
Row = tuple[str, int, datetime]

_BEGIN, _END, _BETWEEN = "<Contents>", "</Contents>", "</Contents><Contents>"
_KEY = re.compile(r"<Key>([^<&]*)</Key>")
_SIZE = re.compile(r"<Size>([0-9]+)</Size>")
_MODIFIED = re.compile(r"<LastModified>([0-9T:.-]+Z)</LastModified>")
_BY_URL = "<EncodingType>url</EncodingType>"


def listing(
    call: Callable[..., Any], kind: str, bucket: str, prefix: str, **more: Any
) -> Iterator[dict[str, Any]]:
    """The pages of a listing.

    Args:
        call: asks for one page: the client's method of that kind.
        kind: ``list_objects_v2`` or ``list_object_versions``.
        bucket: of the objects.
        prefix: of their keys.
        more: further parameters of the first request.

    Raises:
        StoreError: a page is none, or breaks off: what is missing must not look like an empty bucket.
    """
    where: dict[str, Any] = {}
    while True:
        page = call(Bucket=bucket, Prefix=prefix, **more, **where)
        following = next_page(page, kind, bucket, prefix)
        if following is not None and following == where:
            raise _broken(bucket, prefix)
        yield page
        if following is None:
            return
        where = following


def next_page(page: Mapping[str, Any], kind: str, bucket: str, prefix: str) -> dict[str, Any] | None:
    """Parameters of the page after this one; ``None`` after the last.

    Raises:
        StoreError: as :func:`listing`.
    """
    following = {name: page[told] for name, told in _FOLLOWING[kind].items() if page.get(told)}
    if "IsTruncated" not in page or (page["IsTruncated"] and not following):
        raise _broken(bucket, prefix)
    return following if page["IsTruncated"] else None


def _broken(bucket: str, prefix: str) -> StoreError:
    return StoreError(
        f"the listing of s3://{bucket}/{prefix} is not whole: a page without an end or a next one",
        "look at what answers at the endpoint: a proxy may be in the way",
    )


#: parameter of the next request → where the page before tells it
_FOLLOWING = {
    "list_objects_v2": {"ContinuationToken": "NextContinuationToken"},
    "list_object_versions": {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"},
}


def rows(page: Mapping[str, Any]) -> Iterable[Row]:
    """The objects of a page of ``list_objects_v2``, in its order."""
    found: list[Row] | None = page.get("Rows")
    if found is not None:
        return found
    return ((item["Key"], item["Size"], item["LastModified"]) for item in page.get("Contents", ()))


def read_in_one_pass(client: Any) -> None:
    """From now on, pages of ``client.list_objects_v2`` have ``Rows`` in place of ``Contents`` where they can.

    The name with the wildcard is what comes before botocore's own look at the body, which is a whole parse.
    """
    client.meta.events.register_first("before-parse.*.ListObjectsV2", _take_rows)


def _take_rows(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict["status_code"] != HTTPStatus.OK:
        return
    taken = take_rows(response_dict["body"])
    if taken is not None:
        customized_response_dict["Rows"], response_dict["body"] = taken


def take_rows(body: bytes) -> tuple[list[Row], bytes] | None:
    """The objects of a listing's XML, and the rest of it; ``None`` where its shape is not the usual one.

    In XML without comments, sections and instructions a ``<`` begins a tag and nothing else. So where
    ``Contents`` follow each other without a gap, and each of the three elements is there as often as they
    are, nothing is missed.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    first, last = text.find(_BEGIN), text.rfind(_END) + len(_END)
    middle, rest = text[first:last], text[: max(first, 0)] + text[last:]
    # XML reads a carriage return as a newline.
    if first < 0 or not middle or any(sign in middle for sign in "!?\r") or _BEGIN[:-1] in rest:
        return None
    count = middle.count(_BETWEEN) + 1
    keys, sizes, dates = _KEY.findall(middle), _SIZE.findall(middle), _MODIFIED.findall(middle)
    if _BY_URL in rest:
        keys = _decoded(keys)
    if not len(keys) == len(sizes) == len(dates) == count:
        return None
    try:
        instants = map(datetime.fromisoformat, dates)
        return list(zip(keys, map(int, sizes), instants, strict=True)), rest.encode()
    except ValueError:
        return None


def _decoded(keys: list[str]) -> list[str]:
    """Of keys that are encoded as in a URL; most of Loki's have nothing encoded but their colons."""
    text = "\n".join(keys).replace("%3A", ":")
    return [unquote_plus(key) for key in keys] if "%" in text or "+" in text else text.split("\n")
