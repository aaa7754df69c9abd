"""Services like S3 that lack something: the real server behind a proxy that answers for them.

What each lacks is in ``docs/loki.md``. The proxy signs anew what it passes on, so that it may change host,
path and headers as the real service would.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.servers.s3 import S3Server
from tests.servers.stub import Answer, Stub, run_stub


@dataclass(kw_only=True)
class Asked:
    """What a service was asked, by operation, and what it may answer itself.

    Args:
        counts: operation → how often.
    """

    counts: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str) -> int:
        """One more of an operation; how many that makes."""
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + 1
            return self.counts[name]


#: operation, headers, body, number of this operation → an answer of its own, or none
Quirk = Callable[[str, Mapping[str, str], bytes, int], Answer | None]


def error(status: int, code: str) -> Answer:
    """An error as S3 words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


def operation(method: str, target: str) -> str:
    """The name of an operation, as far as these services tell them apart."""
    parts = urlsplit(target)
    query = {item.partition("=")[0] for item in parts.query.split("&")}
    inside = "/" in parts.path.strip("/")
    named = {"versioning": "GetBucketVersioning", "delete": "DeleteObjects", "versions": "ListObjectVersions"}
    for word, name in named.items():
        if word in query and (word != "delete" or method == "POST"):
            return name
    return {
        ("GET", True): "GetObject",
        ("GET", False): "ListObjects",
        ("PUT", True): "PutObject",
        ("DELETE", True): "DeleteObject",
        ("HEAD", False): "HeadBucket",
    }.get((method, inside), method)


def without(*missing: str, status: int = 501, code: str = "NotImplemented") -> Quirk:
    """A service that does not have some operations."""
    return lambda name, _, __, ___: error(status, code) if name in missing else None


def wants_md5(name: str, headers: Mapping[str, str], body: bytes, _: int) -> Answer | None:
    """DeleteObjects with Content-MD5 and without the checksums that came later."""
    if name != "DeleteObjects":
        return None
    lower = {key.lower(): value for key, value in headers.items()}
    if lower.get("content-md5") != base64.b64encode(hashlib.md5(body).digest()).decode():  # noqa: S324
        return error(400, "InvalidRequest")
    return error(400, "InvalidArgument") if any("checksum" in key for key in lower) else None


def slow(every: int) -> Quirk:
    """Every so many requests of an operation are put off."""
    return lambda _, __, ___, number: error(503, "SlowDown") if number % every == 0 else None


@contextmanager
def service(server: S3Server, quirk: Quirk, asked: Asked | None = None) -> Iterator[Stub]:
    """The real service, but for what ``quirk`` answers itself."""
    known = asked or Asked()

    def answer(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        name = operation(method, target)
        own = quirk(name, headers, body, known.count(name))
        return own if own is not None else passed_on(server, method, target, headers, body)

    with run_stub(answer) as stub:
        yield stub


@contextmanager
def by_host_name(server: S3Server, suffix: str, code: str) -> Iterator[Stub]:
    """A service that has buckets as host names only; reached as a proxy, since nobody resolves the names."""

    def answer(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        host = re.sub(r":[0-9]+$", "", parts.netloc)
        if host == suffix:
            return error(403, code)
        bucket = host.removesuffix(f".{suffix}")
        query = f"?{parts.query}" if parts.query else ""
        return passed_on(server, method, f"/{bucket}{parts.path}{query}", headers, body)

    with run_stub(answer) as stub:
        yield stub


def passed_on(server: S3Server, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """The real server's answer, to a request that is signed anew."""
    keep = {"content-md5", "content-type", "range"}
    kept = {name: value for name, value in headers.items() if name.lower() in keep}
    kept["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    request = AWSRequest(method=method, url=f"{server.endpoint_url}{target}", headers=kept, data=body)
    S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3", server.region).add_auth(request)
    given = requests.request(
        method, request.url, headers=dict(request.headers), data=body, timeout=30, stream=True
    )
    names = ("Content-Type", "ETag", "Date", "Last-Modified")
    told = {name: given.headers[name] for name in names if name in given.headers}
    return Answer(given.status_code, given.raw.read(), told)
