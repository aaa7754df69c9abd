"""An OTLP/HTTP receiver: takes protobuf as the protocol says, and remembers the spans."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.servers.stub import Answer, run_stub

_PROTOBUF = "application/x-protobuf"


@dataclass(kw_only=True)
class Span:
    """A span as it was received; identifiers in hex, times in seconds."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    begin: float
    end: float
    error: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Collector:
    """What has arrived.

    Attributes:
        url: without ``/v1/traces``.
        headers: of each request, by lower case name.
    """

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def named(self, name: str) -> Span:
        """The one span of this name."""
        found = [span for span in self.spans if span.name == name]
        assert len(found) == 1, f"{name}: {[span.name for span in self.spans]}"
        return found[0]

    def take(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request; refused as a collector refuses it."""
        headers = {name.lower(): value for name, value in headers.items()}
        if (method, path) != ("POST", "/v1/traces") or headers["content-type"] != _PROTOBUF:
            return Answer(415)
        request = ExportTraceServiceRequest()
        request.ParseFromString(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)
        with self.lock:
            self.headers.append(headers)
            self.spans += _spans(request)
        told = ExportTraceServiceResponse().SerializeToString()
        return Answer(200, told, {"Content-Type": _PROTOBUF})


def _spans(request: Any) -> Iterator[Span]:
    for resource in request.resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    kind=span.kind,
                    begin=span.start_time_unix_nano / 1e9,
                    end=span.end_time_unix_nano / 1e9,
                    error=span.status.code == 2,
                    attributes=_attributes(span.attributes),
                    resource=about,
                )


def _attributes(found: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in found}


@contextmanager
def run_collector() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()
    with run_stub(collector.take) as stub:
        collector.url = stub.url
        yield collector
