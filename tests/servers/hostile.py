"""A server that holds a client up: it answers byte by byte, without end, cut short, or not at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 26 Nov 2026 10:00:00 GMT\r\n"
#: Seconds between two bytes: far below a limit for each read, far above one for the whole.
PAUSE = 0.2

Sender = Callable[[socket.socket, threading.Event], None]


def drips(data: bytes, *, at_once: bytes = b"") -> Sender:
    """Sends ``at_once``, then the rest one byte after the other."""

    def send(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(at_once)
        for byte in data:
            if over.wait(PAUSE):
                return
            connection.sendall(bytes([byte]))

    return send


def says(data: bytes) -> Sender:
    """Sends it and closes."""
    return lambda connection, _over: connection.sendall(data)


def floods(block: bytes) -> Sender:
    """Sends a chunked answer that never ends, as fast as the client reads."""

    def send(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = f"{len(block):x}\r\n".encode() + block + b"\r\n"
        while not over.is_set():
            connection.sendall(chunk)

    return send


def silent(_connection: socket.socket, over: threading.Event) -> None:
    """Accepts, and says nothing."""
    over.wait()


DRIPPING_HEAD = drips(HEAD * 40)
DRIPPING_BODY = drips(b"x" * 1000, at_once=HEAD + b"Content-Length: 1000\r\n\r\n")


@contextmanager
def run_hostile(sender: Sender) -> Iterator[str]:
    """The address of a server that gives each connection to ``sender`` once it has sent something."""
    over, threads = threading.Event(), []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(64 * 1024)
            sender(connection, over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join(10)
