"""Directories and buckets that take whole objects: archives and the anchors of the ledger.

Every method raises :class:`~luxima_retention.core.errors.StoreError` with the place in its sentence.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from luxima_retention import __version__
from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import ConfigurationError, StoreError
from luxima_retention.io.certificates import check_certificates
from luxima_retention.io.listing import listing, read_in_one_pass, rows
from luxima_retention.io.waiting import TooLongError, awaited

if TYPE_CHECKING:
    import boto3
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from mypy_boto3_s3 import S3Client

_BLOCK = 1024 * 1024
#: S3 takes parts of at least 5 MiB, and at most 10,000 of them
_PART = 8 * 1024 * 1024
_IN_FLIGHT = 2
#: Seconds that a request, or the next block of an answer, may take in all, however slowly it drips.
_WHOLE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object as a listing shows it: its name below the place, bytes, and when it was written."""

    name: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """S3 Object Lock for an object: ``GOVERNANCE`` or ``COMPLIANCE``, and until when (UTC)."""

    mode: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a bucket is reached; empty values leave the choice to the AWS defaults.

    ``deadline`` is that of the run: no request waits much longer.
    """

    endpoint_url: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    addressing_style: str = "auto"
    ca_file: str = ""
    deadline: Deadline = UNLIMITED


class Upload(Protocol):
    """One object on its way. It exists only once ``finish`` has returned."""

    def write(self, data: bytes) -> None:
        """Take the next bytes; blocks when the place is slower."""

    def finish(self) -> str | None:
        """Make the object visible, durably; the version where the place keeps versions."""

    def abort(self) -> None:
        """Leave nothing behind. Safe to call at any time, also after ``finish``."""


class ObjectStore(Protocol):
    """A directory or a bucket's prefix."""

    url: str

    def upload(self, name: str, lock: Lock | None = None) -> Upload:
        """Begin an object; one of the same name is replaced, or becomes an older version."""

    def read(self, name: str, version: str | None = None) -> Iterator[bytes]:
        """The object's bytes in blocks, from the place itself."""

    def stored(self, prefix: str) -> Iterator[Stored]:
        """Every object whose name begins with ``prefix``, by name."""

    def versions(self, prefix: str) -> Iterator[tuple[str, str | None]]:
        """Name and version of everything that was ever written there and still exists."""

    def delete(self, name: str) -> None:
        """Destroy the object, in all its versions; a lock that forbids it is an error."""

    def try_writing(self, name: str) -> None:
        """Prove that an object could be written now, without leaving one."""

    def hold(self, name: str, *, on: bool) -> bool:
        """Set or lift the store's own legal hold; false where the place has none."""


def open_objects(url: str, access: Access | None = None) -> ObjectStore:
    """The place that ``url`` names: ``file:///directory`` or ``s3://bucket/prefix``.

    Raises:
        ConfigurationError: the URL names neither.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path not in {"", "/"}:
        return DirectoryPlace(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return BucketPlace(parts.netloc, parts.path.strip("/"), access or Access())
    raise ConfigurationError(f"{url!r} is not a valid place", "write file:///directory or s3://bucket/prefix")


def put(place: ObjectStore, name: str, data: bytes, lock: Lock | None = None) -> str | None:
    """Write a small object; the version where the place keeps versions."""
    upload = place.upload(name, lock)
    try:
        upload.write(data)
        return upload.finish()
    except BaseException:
        upload.abort()
        raise


class DirectoryPlace:
    """A directory. It must be there: an unmounted volume is not an empty place."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = directory.as_uri()

    def upload(self, name: str, lock: Lock | None = None) -> Upload:
        """See :class:`ObjectStore`."""
        if lock is not None:
            raise ConfigurationError(f"{self.url} has no Object Lock", "set it to off, or use an s3:// place")
        with self._errors():
            return _FileUpload(self._path(name))

    def read(self, name: str, version: str | None = None) -> Iterator[bytes]:  # noqa: ARG002 - it keeps none
        """See :class:`ObjectStore`."""
        with self._errors(), self._path(name).open("rb") as file:
            while block := file.read(_BLOCK):
                yield block

    def stored(self, prefix: str) -> Iterator[Stored]:
        """See :class:`ObjectStore`."""
        with self._errors():
            for path in _walk(self.directory / prefix.rpartition("/")[0]):
                if path.relative_to(self.directory).as_posix().startswith(prefix):
                    yield self._stored(path)

    def versions(self, prefix: str) -> Iterator[tuple[str, str | None]]:
        """See :class:`ObjectStore`."""
        return ((stored.name, None) for stored in self.stored(prefix))

    def delete(self, name: str) -> None:
        """See :class:`ObjectStore`."""
        with self._errors():
            path = self._path(name)
            path.unlink(missing_ok=True)
            _sync_directory(path.parent)

    def try_writing(self, name: str) -> None:
        """See :class:`ObjectStore`."""
        self.upload(name).abort()

    def hold(self, name: str, *, on: bool) -> bool:  # noqa: ARG002 - a directory knows no holds
        """See :class:`ObjectStore`."""
        return False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with _file_errors(self.url):
            if not self.directory.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "it is not there, or no directory")
            yield

    def _path(self, name: str) -> Path:
        if ".." in Path(name).parts:
            raise StoreError(f"{name!r} leaves {self.url}")
        return self.directory / name

    def _stored(self, path: Path) -> Stored:
        facts = path.stat()
        return Stored(
            name=path.relative_to(self.directory).as_posix(),
            size=facts.st_size,
            modified=datetime.fromtimestamp(facts.st_mtime, UTC),
        )


def _walk(top: Path) -> Iterator[Path]:
    """Every finished file below ``top``, by name; a directory that cannot be listed is an error."""
    if not top.exists():
        return
    for entry in sorted(os.scandir(top), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(".partial"):
            yield Path(entry.path)


class _FileUpload:
    """Writes beside the final name, syncs, then moves it there: the name never holds half an object."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
        self._file: BinaryIO = self._partial.open("xb", buffering=0)
        self._finished = False

    def write(self, data: bytes) -> None:
        with _file_errors(str(self._path)):
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]

    def finish(self) -> str | None:
        with _file_errors(str(self._path)):
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self._path)
            self._finished = True
            _sync_directory(self._path.parent)
        return None

    def abort(self) -> None:
        self._file.close()
        with suppress(FileNotFoundError):
            self._partial.unlink()
        if self._finished:
            self._path.unlink(missing_ok=True)


@contextmanager
def _file_errors(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{where} cannot be used: {error.strerror or error}",
            "check that the volume is mounted, the directory's rights and its free space",
        ) from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BucketPlace:
    """A prefix of an S3 bucket. Bypassing a governance lock is never asked for."""

    def __init__(self, bucket: str, prefix: str, access: Access) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.url = f"s3://{bucket}/{prefix}"
        self._access = access
        self._made: S3Client | None = None

    @property
    def client(self) -> S3Client:
        """The S3 client, made at first use."""
        if self._made is None:
            with self.errors(""):
                self._made = bucket_client(self._access, self.bucket)
        return self._made

    @cached_property
    def _keeps_versions(self) -> bool:
        """Asked once for all deletions of a run."""
        return keeps_versions(self.client, self.bucket)

    def upload(self, name: str, lock: Lock | None = None) -> Upload:
        """See :class:`ObjectStore`."""
        return _BucketUpload(self, self.prefix + name, lock)

    def read(self, name: str, version: str | None = None) -> Iterator[bytes]:
        """See :class:`ObjectStore`."""
        which: dict[str, Any] = {"VersionId": version} if version else {}
        with self.errors(name):
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + name, **which)
            yield from blocks_of(answer["Body"], self._access.deadline)

    def stored(self, prefix: str) -> Iterator[Stored]:
        """See :class:`ObjectStore`."""
        with self.errors(prefix):
            for page in listing(
                self.client.list_objects_v2, "list_objects_v2", self.bucket, self.prefix + prefix
            ):
                for key, size, modified in rows(page):
                    yield Stored(
                        name=key.removeprefix(self.prefix), size=size, modified=modified.astimezone(UTC)
                    )

    def delete(self, name: str) -> None:
        """See :class:`ObjectStore`."""
        key = self.prefix + name
        with self.errors(name):
            if not self._keeps_versions:
                self.client.delete_object(Bucket=self.bucket, Key=key)
                return
            for item in self._versions(key):
                if item["Key"] == key:
                    self.client.delete_object(Bucket=self.bucket, Key=key, VersionId=item["VersionId"])

    def versions(self, prefix: str) -> Iterator[tuple[str, str | None]]:
        """See :class:`ObjectStore`."""
        with self.errors(prefix):
            if not self._keeps_versions:
                yield from ((stored.name, None) for stored in self.stored(prefix))
                return
            for item in self._versions(self.prefix + prefix, markers=False):
                yield item["Key"].removeprefix(self.prefix), item["VersionId"]

    def try_writing(self, name: str) -> None:
        """See :class:`ObjectStore`; begins an upload of several parts and gives it up."""
        where: dict[str, Any] = {"Bucket": self.bucket, "Key": self.prefix + name}
        with self.errors(name):
            begun = self.client.create_multipart_upload(**where)
            self.client.abort_multipart_upload(**where, UploadId=begun["UploadId"])

    def hold(self, name: str, *, on: bool) -> bool:
        """See :class:`ObjectStore`."""
        with self.errors(name):
            self.client.put_object_legal_hold(
                Bucket=self.bucket, Key=self.prefix + name, LegalHold={"Status": "ON" if on else "OFF"}
            )
        return True

    def _versions(self, prefix: str, *, markers: bool = True) -> list[Any]:
        """Every version of the keys that begin like this, and the markers that hide some."""
        return [
            item
            for page in listing(self.client.list_object_versions, "list_object_versions", self.bucket, prefix)
            for item in (*page.get("Versions", ()), *(page.get("DeleteMarkers", ()) if markers else ()))
        ]

    @contextmanager
    def errors(self, name: str) -> Iterator[None]:
        """Turn what the S3 client raises into our sentence; ``name`` with or without the prefix."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
        from botocore.parsers import ResponseParserError

        where = f"s3://{self.bucket}/{self.prefix}{name.removeprefix(self.prefix)}"
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown error")
            raise StoreError(f"{where}: S3 answered {code}", _HINTS.get(code)) from error
        except NoCredentialsError as error:
            raise StoreError(f"{where}: no AWS credentials found", NO_KEYS) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise StoreError(f"{where}: {error}", "check the endpoint and its credentials") from error


_HINTS = {
    "AccessDenied": "the key needs PutObject, GetObject, ListBucket; a locked object stays until its date",
    "NoSuchBucket": "create the bucket, with Object Lock where that is configured",
    "InvalidRequest": "Object Lock must have been enabled when the bucket was made",
}


class _BucketUpload:
    """One request for a small object, a multipart upload with few parts in flight for a larger one."""

    def __init__(self, place: BucketPlace, key: str, lock: Lock | None) -> None:
        self._place = place
        self._name = key.removeprefix(place.prefix)
        self._where: dict[str, Any] = {"Bucket": place.bucket, "Key": key}
        self._lock: dict[str, Any] = (
            {"ObjectLockMode": lock.mode, "ObjectLockRetainUntilDate": lock.until} if lock else {}
        )
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._running: deque[Future[dict[str, Any]]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._version: str | None = None
        self._finished = False

    def write(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _PART:
            self._send(bytes(self._buffer[:_PART]))
            del self._buffer[:_PART]

    def finish(self) -> str | None:
        with self._place.errors(self._name):
            self._version = self._put() if self._upload_id is None else self._complete()
        self._finished = True
        self._shut()
        return self._version

    def abort(self) -> None:
        self._shut()
        with self._place.errors(self._name):
            if self._finished:
                which: dict[str, Any] = {"VersionId": self._version} if self._version else {}
                self._place.client.delete_object(**self._where, **which)
            elif self._upload_id is not None:
                self._place.client.abort_multipart_upload(**self._where, UploadId=self._upload_id)
                self._upload_id = None

    def _put(self) -> str | None:
        body = bytes(self._buffer)
        answer = self._place.client.put_object(**self._where, **self._lock, Body=body, ContentMD5=_md5(body))
        return answer.get("VersionId")

    def _send(self, data: bytes) -> None:
        """Start uploading one part; waits when enough are on their way."""
        with self._place.errors(self._name):
            if self._pool is None:
                answer = self._place.client.create_multipart_upload(**self._where, **self._lock)
                self._upload_id = answer["UploadId"]
                self._pool = ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix="archive-upload")
            number = len(self._parts) + len(self._running) + 1
            self._running.append(self._pool.submit(self._part, number, data))
            if len(self._running) > _IN_FLIGHT:
                self._parts.append(self._running.popleft().result())

    def _part(self, number: int, data: bytes) -> dict[str, Any]:
        answer = self._place.client.upload_part(
            **self._where, UploadId=self._upload_id or "", PartNumber=number, Body=data, ContentMD5=_md5(data)
        )
        return {"ETag": answer["ETag"], "PartNumber": number}

    def _complete(self) -> str | None:
        if self._buffer:
            self._send(bytes(self._buffer))
        while self._running:
            self._parts.append(self._running.popleft().result())
        parts: Any = {"Parts": self._parts}
        answer = self._place.client.complete_multipart_upload(
            **self._where, UploadId=self._upload_id or "", MultipartUpload=parts
        )
        return answer.get("VersionId")

    def _shut(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _md5(data: bytes) -> str:
    """What a bucket with Object Lock wants to see with each request."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


@cache
def _session() -> boto3.Session:
    """Like boto3's own, but with a parser of instants that takes a quarter of a listing's time, not most."""
    import boto3
    from botocore.session import get_session

    core = get_session()
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_instant)
    return boto3.Session(botocore_session=core)


def _instant(value: Any) -> datetime:
    """``2026-11-25T21:47:14.123Z`` as listings write it; other forms as botocore reads them."""
    from botocore.utils import parse_timestamp

    if isinstance(value, str) and value.endswith("Z"):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    found: datetime = parse_timestamp(value)
    return found


def s3_client(access: Access, *, attempts: int = 5, virtual: bool = False) -> S3Client:
    """A client of S3, or of a service like it, with bounded waits.

    Args:
        access: how it is reached.
        attempts: requests in all before an error is told; 1 for callers that retry by themselves.
        virtual: the bucket's name goes into the host name, also where an endpoint is given.

    Raises:
        ConfigurationError: the region or the CA file is not valid.
    """
    from botocore.config import Config
    from botocore.exceptions import InvalidRegionError

    if access.ca_file:
        check_certificates(access.ca_file, "correct ca_file of its section s3")
    config = Config(
        # Seen in the service's access log; botocore's own costs a tenth of each request.
        user_agent=f"luxima-retention/{__version__}",
        connect_timeout=10,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": attempts},
        # Not every S3 service knows the newer checksums; what is written is read back and hashed anyway.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "virtual" if virtual else _addressing(access)},
    )
    try:
        client = _session().client(
            "s3",
            endpoint_url=access.endpoint_url or None,
            region_name=access.region or None,
            aws_access_key_id=access.access_key_id or None,
            aws_secret_access_key=access.secret_access_key or None,
            verify=access.ca_file or None,
            config=config,
        )
    except InvalidRegionError:
        raise ConfigurationError(
            f"{access.region!r} is not a region", "correct region in its section s3"
        ) from None
    client.meta.events.register("before-call.s3.DeleteObjects", _with_md5)
    sender: Any = _Sender(client, access.deadline)  # an answer of a handler is taken for the service's
    client.meta.events.register("before-send.s3", sender)
    read_in_one_pass(client)
    return client


class _Sender:
    """Sends in botocore's place: its limits are for each byte, and it knows nothing of a run's end."""

    def __init__(self, client: Any, deadline: Deadline) -> None:
        self._session = client._endpoint.http_session  # noqa: SLF001 - with the settings of the client
        self._deadline = deadline

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        from botocore.exceptions import ReadTimeoutError

        url = str(request.url).partition("?")[0]
        if b"attempt=1" not in _bytes(request.headers.get("amz-sdk-request", b"")):
            self._deadline.check(f"{url} was busy")
        try:
            answer: AWSResponse = awaited(
                lambda: self._session.send(request),
                seconds=_WHOLE,
                deadline=self._deadline,
                unfinished=f"{url} has not answered",
            )
        except TooLongError as error:
            raise ReadTimeoutError(endpoint_url=url) from error
        return answer


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def blocks_of(body: Any, deadline: Deadline) -> Iterator[bytes]:
    """The blocks of an answer's body, each within its time.

    Raises:
        RunStopped: the run should end.
        ReadTimeoutError: it drips.
    """
    from botocore.exceptions import ReadTimeoutError

    chunks = body.iter_chunks(_BLOCK)
    while True:
        try:
            block: bytes | None = awaited(
                lambda: next(chunks, None),
                seconds=_WHOLE,
                deadline=deadline,
                unfinished="an object was not read to its end",
            )
        except TooLongError as error:
            raise ReadTimeoutError(endpoint_url="the service") from error
        if block is None:
            return
        yield block


def _addressing(access: Access) -> Any:
    """Services of one's own seldom have a name for each bucket."""
    by_itself = access.addressing_style == "auto" and access.endpoint_url
    return "path" if by_itself else access.addressing_style


def bucket_client(access: Access, bucket: str, *, attempts: int = 5) -> S3Client:
    """A client that reaches a bucket by path, or by host name where its service insists on that.

    One request finds out, where an endpoint is given: services of the second kind refuse the first way.
    """
    from botocore.exceptions import ClientError

    client = s3_client(access, attempts=attempts)
    if not access.endpoint_url or access.addressing_style != "auto":
        return client
    try:
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except ClientError as error:
        if _code(error) in _VIRTUAL_ONLY:
            client.close()
            return s3_client(access, attempts=attempts, virtual=True)
    return client


def keeps_versions(client: Any, bucket: str) -> bool:
    """Whether a plain deletion would only hide an object; some services without versions cannot tell.

    Raises:
        ClientError: it may not be asked.
    """
    from botocore.exceptions import ClientError

    try:
        return bool(client.get_bucket_versioning(Bucket=bucket).get("Status"))
    except ClientError as error:
        if is_missing_operation(error):
            return False
        raise


def is_missing_operation(error: Any) -> bool:
    """Whether a service answers that it does not have an operation at all."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status in {405, 501} or _code(error) in _NO_OPERATION


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _with_md5(params: dict[str, Any], **_: Any) -> None:
    """DeleteObjects with Content-MD5, which every service takes, instead of a newer checksum."""
    body = params["body"]
    params["headers"]["Content-MD5"] = _md5(body if isinstance(body, bytes) else body.encode())
    checksum = params["context"].get("checksum", {})
    checksum.pop("request_algorithm", None)
    params["headers"].pop("x-amz-sdk-checksum-algorithm", None)


#: what people can do about missing credentials
NO_KEYS = "set access_key_id and secret_access_key, or give the process an AWS role or profile"
#: Alibaba Cloud OSS, Tencent COS
_VIRTUAL_ONLY = frozenset({"SecondLevelDomainForbidden", "PathStyleDomainForbidden"})
_NO_OPERATION = frozenset({"NotImplemented", "MethodNotAllowed", "UnsupportedOperation", "NotSupported"})
