"""The buckets that hold Loki's chunks and index, through boto3; the reading half cannot delete.

Sources: Amazon S3 API Reference, ListObjectsV2, DeleteObjects (per-key errors in a 200 answer),
ListObjectVersions; Loki documentation, "storage_config" (object_prefix, chunk_delimiter, several buckets).
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from luxima_retention.core.errors import RunStopped, StoreError
from luxima_retention.io.listing import Row, listing, next_page, rows
from luxima_retention.io.objects import (
    NO_KEYS,
    Access,
    blocks_of,
    bucket_client,
    is_missing_operation,
    keeps_versions,
)
from luxima_retention.stores.loki.keys import is_tenant

_A = TypeVar("_A")
_B = TypeVar("_B")
#: keys of one DeleteObjects request
BATCH = 1000
#: requests side by side, where one answer does not need the one before it
ABREAST = 8
#: how the directories of streams begin: their fingerprints are not padded
_DIGITS = "0123456789abcdef"
_LONGEST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How a request that the service puts off is waited for: the half of ``Work`` that this needs.

    Args:
        stopping: once true, nothing is waited for.
        wait: sleeps so many seconds, or less when ``stopping`` turns true.
    """

    stopping: Callable[[], bool] = lambda: False
    wait: Callable[[float], None] = time.sleep

    def pause(self, seconds: float) -> None:
        """Wait between two attempts.

        Raises:
            InterruptedWaitError: the run was told to stop.
        """
        if not self.stopping():
            self.wait(seconds)
        if self.stopping():
            raise InterruptedWaitError("the run was told to stop while the bucket's service was busy")


class InterruptedWaitError(RunStopped):
    """The run ends while a request waits for its next attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object as a listing shows it.

    Args:
        bucket: where it is.
        key: Loki's, without prefix and with colons.
        size: bytes.
        modified: when it was uploaded.
        hidden: whether a delete marker hides it: what it held is still in the bucket.
    """

    bucket: str
    key: str
    size: int
    modified: datetime
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A part of a bucket that is listed page after page, beside others.

    Args:
        bucket: where.
        prefix: of its keys, as they go over the wire.
        tenant: it is a whole directory of the root, not begun yet; it is divided where one page is too few.
        where: parameters of its next page.
    """

    bucket: str
    prefix: str
    tenant: bool = False
    where: Mapping[str, str] = field(default_factory=dict)


class Buckets:
    """Reads every bucket of the configuration.

    Args:
        names: of the buckets; each object lies in one of them.
        prefix: Loki's object prefix, without slashes at its ends.
        delimiter: what stands for each colon of a chunk's key.
        access: how they are reached.
        index_path: where index tables are: ``index/``.
    """

    def __init__(
        self, names: Sequence[str], prefix: str, delimiter: str, access: Access, index_path: str = "index/"
    ) -> None:
        self.names = tuple(names)
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._delimiter = delimiter
        self.index_path = self._prefix + index_path
        number = "[0-9a-f]{1,16}"
        self._chunk = re.compile(rf"{number}(?:{re.escape(delimiter)}{number}){{2,3}}")
        self._access = access
        self.patience = Patience(stopping=access.deadline.over, wait=access.deadline.wait)

    @cached_property
    def client(self) -> Any:
        """The client; made at first use."""
        with self.errors(self.names[0]):
            return bucket_client(self._access, self.names[0], attempts=1)

    def clock(self) -> datetime:
        """The ``Date`` of an answer: whole seconds.

        Raises:
            StoreError: no answer, or none with a date.
        """
        answer = self.call(self.names[0], self.client.head_bucket, Bucket=self.names[0])
        try:
            date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
            return parsedate_to_datetime(date).astimezone(UTC)
        except (KeyError, ValueError) as error:
            raise StoreError(f"bucket {self.names[0]} answers without a date") from error

    def directories(self, prefix: str) -> list[str]:
        """The names one level below ``prefix``, of all buckets; hidden ones, too."""
        found: set[str] = set()
        for bucket in self.names:
            kind = "list_object_versions" if bucket in self.versioned else "list_objects_v2"
            for page in self._pages(bucket, prefix, kind, Delimiter="/"):
                for item in page.get("CommonPrefixes", ()):
                    found.add(item["Prefix"].removeprefix(self._prefix + prefix).rstrip("/"))
        return sorted(found)

    def objects(self, prefix: str) -> Iterator[Object]:
        """Every object whose key begins with ``prefix``, bucket by bucket."""
        for bucket in self.names:
            for page in self._pages(bucket, prefix):
                yield from (self._object(bucket, *row) for row in rows(page))

    def some(self, prefix: str, *, bucket: str = "") -> Iterator[Object]:
        """The first objects whose key begins with ``prefix``: one page of each bucket, or of one."""
        for name in (bucket,) if bucket else self.names:
            page = next(iter(self._pages(name, prefix)))
            yield from (self._object(name, *row) for row in rows(page))

    def streams(self) -> Iterator[list[Row]]:
        """Every object that may be a chunk: below a directory that is named like a tenant.

        Of large tenants only what is named like their streams, so index tables are not listed. Pages come as
        they arrive, in no order; few are on their way or waiting at a time.
        """
        parts = [
            _Part(bucket=bucket, prefix=item["Prefix"], tenant=True)
            for bucket in self.names
            for page in self._pages(bucket, "", Delimiter="/")
            for item in page.get("CommonPrefixes", ())
            if is_tenant(item["Prefix"].removeprefix(self._prefix).removesuffix("/"))
        ]
        for page in _as_they_come(self._part_of, parts):
            yield [(self.key(wire), size, modified) for wire, size, modified in page]

    def _part_of(self, part: _Part) -> tuple[list[Row], list[_Part]]:
        """The next page of a part, and what is left of it."""
        kind = "list_objects_v2"
        page = self.call(
            part.bucket, self.client.list_objects_v2, Bucket=part.bucket, Prefix=part.prefix, **part.where
        )
        found, following = list(rows(page)), next_page(page, kind, part.bucket, part.prefix)
        if following is None:
            return found, []
        if part.tenant and found:
            return found, self._divided(part, found[-1][0])
        if following == part.where:
            raise StoreError(f"the listing of s3://{part.bucket}/{part.prefix} does not go on")
        return found, [replace(part, where=following)]

    def _divided(self, part: _Part, last: str) -> list[_Part]:
        """What a tenant has after the last key of its first page, in parts that are listed side by side."""
        ask = self.client.list_objects_v2
        page = self.call(part.bucket, ask, Bucket=part.bucket, Prefix=part.prefix, Delimiter="/")
        names = [
            *(item["Prefix"] for item in page.get("CommonPrefixes", ())),
            *(key for key, _, _ in rows(page)),
        ]
        heads = (
            _DIGITS if page.get("IsTruncated") else _heads([name.removeprefix(part.prefix) for name in names])
        )
        begun = last.removeprefix(part.prefix)
        return [
            _Part(
                bucket=part.bucket,
                prefix=part.prefix + head,
                where={"StartAfter": last} if begun.startswith(head) else {},
            )
            for head in heads
            if head >= begun[: len(head)]
        ]

    def hidden(self, prefix: str) -> Iterator[Object]:
        """In buckets with versions, every object whose key begins with ``prefix`` behind a delete marker."""
        for bucket in sorted(self.versioned.intersection(self.names)):
            pages = self._pages(bucket, prefix, "list_object_versions")
            for key, items in groupby(_by_key(pages), key=itemgetter("Key")):
                versions = list(items)
                older = [item for item in versions if "Size" in item and not item["IsLatest"]]
                if older and any("Size" not in item and item["IsLatest"] for item in versions):
                    yield self._object(bucket, key, older[-1]["Size"], older[-1]["LastModified"], hidden=True)

    def read(self, item: Object) -> Iterator[bytes]:
        """The bytes of an object."""
        answer = self.call(item.bucket, self.client.get_object, Bucket=item.bucket, Key=self.wire(item.key))
        with self.errors(item.bucket):
            yield from blocks_of(answer["Body"], self._access.deadline)

    def exists(self, key: str) -> bool:
        """Whether any bucket holds this key."""
        return any(item.key == key for item in self.objects(key))

    def ask(self, name: str, bucket: str) -> dict[str, Any] | None:
        """A bucket's own configuration (``get_bucket_versioning`` and the like); ``None`` without one.

        Raises:
            StoreError: it may not be asked, or does not answer.
        """
        from botocore.exceptions import ClientError

        try:
            found: dict[str, Any] = self.call(bucket, getattr(self.client, name), Bucket=bucket)
        except StoreError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and (
                is_missing_operation(cause) or cause.response["Error"]["Code"] in _NONE
            ):
                return None
            raise
        return found

    def wire(self, key: str) -> str:
        """A key as it goes over the wire."""
        return self._prefix + (key.replace(":", self._delimiter) if self._delimiter != ":" else key)

    def key(self, wire: str) -> str:
        """The other way; only in the name of a chunk the delimiter stands for colons."""
        key = wire.removeprefix(self._prefix)
        if self._delimiter == ":":
            return key
        directory, slash, name = key.rpartition("/")
        if self._chunk.fullmatch(name):
            name = name.replace(self._delimiter, ":")
        return directory + slash + name

    def area(self, wire: str) -> str:
        """What is listed in the order of its keys everywhere: a tenant, or a directory of the index."""
        rest = wire.removeprefix(self._prefix)
        directory, _, name = wire.rpartition("/")
        if wire.startswith(self.index_path) and not self._chunk.fullmatch(name):
            return directory + "/"
        return self._prefix + rest[: rest.find("/") + 1]

    def close(self) -> None:
        """Give back connections."""
        if "client" in self.__dict__:
            self.client.close()

    def _object(
        self, bucket: str, wire: str, size: int, modified: datetime, *, hidden: bool = False
    ) -> Object:
        return Object(bucket=bucket, key=self.key(wire), size=size, modified=modified, hidden=hidden)

    def _pages(
        self, bucket: str, prefix: str, kind: str = "list_objects_v2", **more: Any
    ) -> Iterator[dict[str, Any]]:
        call = partial(self.call, bucket, getattr(self.client, kind))
        yield from listing(call, kind, bucket, self.wire(prefix), **more)

    def call(self, bucket: str, call: Callable[..., Any], **parameters: Any) -> Any:
        """One request; what the service puts off is asked again, unless the run is told to stop."""
        from tenacity import Retrying, retry_if_exception, wait_random_exponential

        again = Retrying(
            retry=retry_if_exception(_will_pass),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            stop=_given_up,
            sleep=self.patience.pause,
            reraise=True,
        )
        with self.errors(bucket):
            return again(call, **parameters)

    @cached_property
    def versioned(self) -> frozenset[str]:
        """The buckets in which a plain deletion would only hide an object."""
        return frozenset(
            name for name in self.names if self.call(name, partial(keeps_versions, self.client, name))
        )

    @contextmanager
    def errors(self, bucket: str) -> Iterator[None]:
        """Turn what boto3 raises into a sentence."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
        from botocore.parsers import ResponseParserError

        try:
            yield
        except ClientError as error:
            said = error.response.get("Error", {})
            code = said.get("Code", "unknown")
            raise StoreError(
                f"cannot use bucket {bucket}: the service answers {code} {said.get('Message', '')}".strip(),
                _HINTS.get(
                    code,
                    "check the policy's buckets, and the endpoint_url and key in its section s3",
                ),
            ) from error
        except NoCredentialsError as error:
            raise StoreError(f"cannot read bucket {bucket}: no AWS credentials found", NO_KEYS) from error
        except (BotoCoreError, Boto3Error, HTTPClientError, ResponseParserError) as error:
            raise StoreError(
                f"cannot use bucket {bucket}: no usable answer ({type(error).__name__})",
                "check endpoint_url of its section s3",
            ) from error


def _heads(names: Iterable[str]) -> list[str]:
    """How the names of streams begin, in as many ways at least as requests go side by side, if there are."""
    streams = [name for name in names if name[:1] and name[0] in _DIGITS]
    ways = (sorted({name[:length] for name in streams}) for length in range(1, _LONGEST + 1))
    return next(
        (heads for heads in ways if len(heads) >= ABREAST), sorted({name[:_LONGEST] for name in streams})
    )


def side_by_side(ask: Callable[[_A], _B], items: Iterable[_A]) -> Iterator[_B]:
    """The answers in the order of the items; few are on their way or waiting at a time."""
    asked: deque[Future[_B]] = deque()
    with ThreadPoolExecutor(ABREAST) as pool:
        for item in items:
            asked.append(pool.submit(ask, item))
            if len(asked) == ABREAST:
                yield asked.popleft().result()
        while asked:
            yield asked.popleft().result()


def _as_they_come(
    ask: Callable[[_Part], tuple[list[Row], list[_Part]]], parts: Iterable[_Part]
) -> Iterator[list[Row]]:
    """The pages of several parts, as they come.

    Args:
        ask: for a page; it also tells what is left of the part.
        parts: to begin with.
    """
    left, asked = deque(parts), set[Future[tuple[list[Row], list[_Part]]]]()
    with ThreadPoolExecutor(ABREAST) as pool:
        while left or asked:
            while left and len(asked) < ABREAST:
                asked.add(pool.submit(ask, left.popleft()))
            done, asked = wait(asked, return_when=FIRST_COMPLETED)
            answers = [future.result() for future in done]
            for _, rest in answers:
                left.extendleft(reversed(rest))  # parts that have begun come to their end before others begin
            while left and len(asked) < ABREAST:
                asked.add(pool.submit(ask, left.popleft()))
            for page, _ in answers:
                yield page


def _by_key(pages: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Versions and markers in the order of their keys; a page tells them apart."""
    for page in pages:
        yield from merge(page.get("Versions", ()), page.get("DeleteMarkers", ()), key=itemgetter("Key"))


def _will_pass(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    from botocore.exceptions import ClientError, HTTPClientError

    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = error.response.get("Error", {}).get("Code")
        return status in _LATER_STATUS or code in _LATER_CODES
    return isinstance(error, HTTPClientError)


def _given_up(state: Any) -> bool:
    """Ten attempts while the service answers, which is a minute at most; four while nobody does."""
    from botocore.exceptions import ClientError

    answered = isinstance(state.outcome.exception(), ClientError)
    return bool(state.attempt_number >= (10 if answered else 4))


_LATER_STATUS = frozenset({429, 500, 502, 503, 504})
_LATER_CODES = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling"})
_HINTS = {
    "NoSuchKey": "it was listed a moment ago: run again once Loki's compactor is done with its table",
    "SlowDown": "run again when the service is less busy",
    "NoSuchBucket": "correct the policy's buckets: the endpoint of its section s3 has no bucket of this name",
    "AccessDenied": "give the key of its section s3 the rights of docs/loki.md",
}
_NONE = {
    "NoSuchLifecycleConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "NoSuchConfiguration",
}
