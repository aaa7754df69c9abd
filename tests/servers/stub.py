"""A web server of one test: answers as told, and remembers what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Asked = tuple[str, str, Mapping[str, str], bytes]


@dataclass
class Answer:
    """One answer; ``cut`` closes the connection instead of sending it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class Stub:
    """A running server.

    Attributes:
        url: ``http://127.0.0.1:port``, or ``https://localhost:port``.
        asked: method, path, headers and body of each request, in order.
    """

    url: str
    asked: list[Asked]


@contextmanager
def run_stub(
    answer: Callable[[str, str, Mapping[str, str], bytes], Answer], *, tls: ssl.SSLContext | None = None
) -> Iterator[Stub]:
    """A server that gives each request to ``answer``: method, path with query, headers, body."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.command, self.path, dict(self.headers), body))
            given = answer(*asked[-1])
            self.close_connection = True
            if given.cut:
                return
            self.send_response(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(given.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(given.body)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = do_HEAD = _serve  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            """Say nothing: what was asked is in ``asked``."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
    try:
        yield Stub(url=f"{scheme}://{host}:{server.server_address[1]}", asked=asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
