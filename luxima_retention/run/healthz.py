"""``/healthz`` of the daemon: 200 while it is alive, 503 when it is stuck, and what it tells about itself.

``/metrics`` beside it tells the same to Prometheus.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from luxima_retention.core.errors import ConfigurationError

#: whether the daemon is alive, and what it tells
Health = Callable[[], tuple[bool, Mapping[str, Any]]]
#: the same in Prometheus' text format
Metrics = Callable[[Mapping[str, Any]], bytes]


@contextmanager
def answering(host: str, port: int, health: Health, metrics: Metrics) -> Iterator[str]:
    """Answer GET and HEAD inside the block; gives the address.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    try:
        server = ThreadingHTTPServer((host, port), _handler(health, metrics))
    except OSError as error:
        raise ConfigurationError(
            f"the health address {host}:{port} cannot be used: {error.strerror}",
            "set schedule.listen to another host:port",
        ) from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/healthz"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(health: Health, metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        #: seconds for a request to be told
        timeout = 10

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self.wfile.write(self._answer())

        def _answer(self) -> bytes:
            """Send the head; gives the body."""
            healthy, told = health()
            # Probes and balancers add queries of their own.
            path = urlsplit(self.path).path
            if path == "/metrics":
                status, kind, data = 200, "text/plain; version=0.0.4; charset=utf-8", metrics(told)
            else:
                status = (200 if healthy else 503) if path == "/healthz" else 404
                kind, data = "application/json", json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            return data

        def log_message(self, *_arguments: object) -> None:
            """Probes come every few seconds; nobody reads them."""

    return Handler
