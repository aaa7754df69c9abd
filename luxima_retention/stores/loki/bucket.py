"""The buckets that hold Loki's chunks and index, through boto3; the reading half cannot delete.

Sources: Amazon S3 API Reference, ListObjectsV2, DeleteObjects (per-key errors in a 200 answer),
ListObjectVersions; Loki documentation, "storage_config" (object_prefix, chunk_delimiter, several buckets).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from luxima_retention.core.errors import StoreError
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.objects import Access, listing

_BLOCK = 1024 * 1024
#: keys of one DeleteObjects request
BATCH = 1000


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

    @cached_property
    def client(self) -> Any:
        """The client; made at first use."""
        from luxima_retention.io.objects import s3_client

        return s3_client(self._access)

    def clock(self) -> datetime:
        """The ``Date`` of an answer: whole seconds.

        Raises:
            StoreError: no answer, or none with a date.
        """
        with self.errors(self.names[0]):
            answer = self.client.head_bucket(Bucket=self.names[0])
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
                for item in page.get("Contents", ()):
                    yield Object(
                        bucket=bucket,
                        key=self._key(item["Key"]),
                        size=item["Size"],
                        modified=item["LastModified"],
                    )

    def hidden(self, prefix: str) -> Iterator[Object]:
        """In buckets with versions, every object whose key begins with ``prefix`` behind a delete marker."""
        for bucket in self.versioned.intersection(self.names):
            markers: set[str] = set()
            older: dict[str, Object] = {}
            for page in self._pages(bucket, prefix, "list_object_versions"):
                markers.update(item["Key"] for item in page.get("DeleteMarkers", ()) if item["IsLatest"])
                for item in page.get("Versions", ()):
                    if not item["IsLatest"]:
                        older[item["Key"]] = Object(
                            bucket=bucket,
                            key=self._key(item["Key"]),
                            size=item["Size"],
                            modified=item["LastModified"],
                            hidden=True,
                        )
            yield from (older[key] for key in sorted(markers.intersection(older)))

    def read(self, item: Object) -> Iterator[bytes]:
        """The bytes of an object."""
        with self.errors(item.key):
            body = self.client.get_object(Bucket=item.bucket, Key=self.wire(item.key))["Body"]
            yield from body.iter_chunks(_BLOCK)

    def exists(self, key: str) -> bool:
        """Whether any bucket holds this key."""
        return any(item.key == key for item in self.objects(key))

    def ask(self, name: str, bucket: str) -> dict[str, Any] | None:
        """A bucket's own configuration (``get_bucket_versioning`` and the like); ``None`` without one.

        Raises:
            StoreError: it may not be asked, or does not answer.
        """
        from botocore.exceptions import ClientError

        with self.errors(bucket):
            try:
                found: dict[str, Any] = getattr(self.client, name)(Bucket=bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] in _NONE:
                    return None
                raise
        return found

    def wire(self, key: str) -> str:
        """A key as it goes over the wire."""
        return self._prefix + (key.replace(":", self._delimiter) if self._delimiter != ":" else key)

    def close(self) -> None:
        """Give back connections."""
        if "client" in self.__dict__:
            self.client.close()

    def _key(self, wire: str) -> str:
        """Only in the name of a chunk the delimiter stands for colons."""
        key = wire.removeprefix(self._prefix)
        directory, slash, name = key.rpartition("/")
        if self._delimiter != ":" and self._chunk.fullmatch(name):
            name = name.replace(self._delimiter, ":")
        return directory + slash + name

    def _pages(
        self, bucket: str, prefix: str, kind: str = "list_objects_v2", **more: str
    ) -> Iterator[dict[str, Any]]:
        with self.errors(f"{bucket}/{prefix}"):
            yield from listing(self.client, kind, bucket, self.wire(prefix), **more)

    @cached_property
    def versioned(self) -> frozenset[str]:
        """The buckets in which a plain deletion would only hide an object."""
        answers = {name: self.ask("get_bucket_versioning", name) or {} for name in self.names}
        return frozenset(name for name, answer in answers.items() if answer.get("Status"))

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Turn what boto3 raises into a sentence."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.parsers import ResponseParserError

        try:
            yield
        except ClientError as error:
            said = error.response.get("Error", {})
            code = said.get("Code", "unknown")
            raise StoreError(
                f"the bucket refuses {what}: {code} {said.get('Message', '')}".strip(),
                _HINTS.get(
                    code, "check loki.buckets, loki.endpoint_url and the rights of loki.access_key_id"
                ),
            ) from error
        except (BotoCoreError, Boto3Error, HTTPClientError, ResponseParserError) as error:
            raise StoreError(
                f"the bucket does not answer about {what}: {type(error).__name__}", "check loki.endpoint_url"
            ) from error


_HINTS = {
    "NoSuchKey": "it was listed a moment ago: run again once Loki's compactor is done with its table",
    "SlowDown": "run again when the service is less busy",
}
_NONE = {
    "NoSuchLifecycleConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "NotImplemented",
    "NoSuchConfiguration",
}


class WritableBuckets(Buckets):
    """The same, and it deletes."""

    def delete(self, keys: Iterable[str]) -> dict[str, str]:
        """Really delete keys, in whatever bucket they are, in every version.

        Returns:
            For each key that could not be deleted, a sentence. A key that is not there is no failure.

        Raises:
            StoreError: a whole request failed.
        """
        wanted = list(dict.fromkeys(keys))
        failures: dict[str, str] = {}
        for bucket in self.names:
            for start in range(0, len(wanted), BATCH):
                failures |= self._delete(bucket, wanted[start : start + BATCH])
        return failures

    def _delete(self, bucket: str, keys: list[str]) -> dict[str, str]:
        names = {self.wire(key): key for key in keys}
        targets = (
            self._versions(bucket, keys) if bucket in self.versioned else [{"Key": wire} for wire in names]
        )
        failures: dict[str, str] = {}
        for start in range(0, len(targets), BATCH):
            failpoint("loki.before_request")
            with self.errors(f"to delete {len(targets)} objects of {bucket}"):
                answer = self.client.delete_objects(
                    Bucket=bucket, Delete={"Objects": targets[start : start + BATCH]}
                )
            failpoint("loki.after_request")
            failures |= _failures(targets[start : start + BATCH], answer, names)
        return failures

    def _versions(self, bucket: str, keys: list[str]) -> list[dict[str, str]]:
        """Every version and marker of these keys."""
        found = []
        for key in keys:
            wire = self.wire(key)
            items = [
                item
                for page in self._pages(bucket, key, "list_object_versions")
                for kind in ("Versions", "DeleteMarkers")
                for item in page.get(kind, ())
            ]
            found += [{"Key": wire, "VersionId": item["VersionId"]} for item in items if item["Key"] == wire]
        return found


def _failures(
    targets: list[dict[str, str]], answer: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, str]:
    """What an answer does not say is gone, is not: a sentence by key."""
    gone = {item.get("Key") for item in answer.get("Deleted", ())}
    found = {
        item["Key"]: f"{item['Key']}: the service does not say that it is gone"
        for item in targets
        if item["Key"] not in gone
    }
    for error in answer.get("Errors", ()):
        wire = str(error.get("Key"))
        found[wire] = f"{wire}: {error.get('Code')} {error.get('Message', '')}".strip()
    return {names.get(wire, wire): sentence for wire, sentence in found.items()}
