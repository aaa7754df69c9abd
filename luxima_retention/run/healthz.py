"""``/healthz`` of the daemon: 200 while it is alive, 503 when it is stuck, and what it tells about itself."""

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


@contextmanager
def answering(host: str, port: int, health: Health) -> Iterator[str]:
    """Answer GET and HEAD inside the block; gives the address.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    try:
        server = ThreadingHTTPServer((host, port), _handler(health))
    except OSError as error:
        raise ConfigurationError(
            f"the health address {host}:{port} cannot be used: {error.strerror}",
            "name another in schedule.health_host and schedule.health_port",
        ) from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/healthz"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
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
            data = json.dumps(told).encode()
            # Probes and balancers add queries of their own.
            known = urlsplit(self.path).path == "/healthz"
            self.send_response((200 if healthy else 503) if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            return data

        def log_message(self, *_arguments: object) -> None:
            """Probes come every few seconds; nobody reads them."""

    return Handler
