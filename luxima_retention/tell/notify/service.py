"""The small HTTP service that takes alerts: each becomes one work item, however often it is sent.

The sender repeats what was not answered with success, so an alert is answered with 200 once it is in Plane
and, where that is asked for, in Telegram; with 503 while they do not take it.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from luxima_retention.core.clock import system_clock
from luxima_retention.core.deadline import UNLIMITED
from luxima_retention.core.errors import ConfigurationError, GuardRefused, RetentionError
from luxima_retention.run import compute
from luxima_retention.run.state import open_state
from luxima_retention.tell.notify import proposals
from luxima_retention.tell.notify.channel import Refused
from luxima_retention.tell.notify.grafana import (
    LARGEST,
    Alert,
    NotSigned,
    NotUnderstood,
    alerts_of,
    check_signature,
)
from luxima_retention.tell.notify.plane import Plane
from luxima_retention.tell.notify.send import BUDGET, style_of
from luxima_retention.tell.notify.telegram import Telegram

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings

#: label ``action`` of alerts about a slow database
_SCALE = "scale-database"
#: seconds that a sender may be silent, and that a request may take to arrive
_READ_SECONDS = 10.0
#: seconds of one connection in all: whoever sends its headers byte by byte is cut off, too
_REQUEST_SECONDS = 30.0
#: requests at a time; others are told to come again
_AT_ONCE = 16
#: messages that are remembered as sent
_REMEMBERED = 10_000
_PATH = "/grafana"


class Receiver:
    """Takes alerts, one request after the other: two at a time would make twins.

    Args:
        settings: with ``notify.plane_url``, or with ``notify.telegram_token``.
        telegram: whether to tell Telegram, too.

    Raises:
        ConfigurationError: there is nobody to tell.
    """

    def __init__(self, settings: Settings, *, telegram: bool = False) -> None:
        notify = settings.notify
        if telegram and not notify.telegram_token:
            raise ConfigurationError("no bot of Telegram is configured", "set notify.telegram_token")
        if not notify.plane_url and not telegram:
            raise ConfigurationError(
                "no receiver of alerts is configured", "set notify.plane_url, or add --telegram"
            )
        self._settings, self._telegram = settings, telegram
        self._lock = threading.Lock()
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()

    def take(self, body: bytes) -> list[dict[str, Any]]:
        """Tell what a body says.

        Returns:
            For each alert its stable id and the work item.

        Raises:
            NotUnderstood: it is not a body of alerts.
            RetentionError: a receiver does not take it now.
        """
        alerts = alerts_of(body)
        with self._lock:
            deadline = UNLIMITED.within(BUDGET)
            notify, style = self._settings.notify, style_of(self._settings)
            plane = Plane(notify, style, deadline) if notify.plane_url else None
            telegram = Telegram(notify, style, deadline) if self._telegram else None
            return [self._tell(alert, plane, telegram) for alert in alerts]

    def _tell(self, alert: Alert, plane: Plane | None, telegram: Telegram | None) -> dict[str, Any]:
        incident = alert.incident
        item = plane.report(incident) if plane else ""
        event = (incident.external_id, incident.event)
        if telegram is not None and event not in self._told:
            telegram.say(alert.text)
            self._told[event] = None
            while len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
        told = {"external_id": incident.external_id, "item": item, "resolved": incident.resolved}
        return {**told, **self._proposed(alert)}

    def _proposed(self, alert: Alert) -> dict[str, Any]:
        """The proposal of a larger hosted database, where the alert asks for it and one is configured."""
        settings = self._settings
        if alert.action != _SCALE or not settings.compute.project_ref:
            return {}
        state = open_state(settings)
        if state is None:
            return {"proposal": "no ledger is configured"}
        try:
            reason = f"alert {alert.incident.name}"
            made = compute.propose(settings, state.ledger, reason, system_clock())
        except GuardRefused as refused:
            return {"proposal": refused.message}
        finally:
            state.close()
        warnings = list(proposals.tell(settings, made.event)) if made.new else []
        return {"proposal": made.event.digest, "new": made.new, "warnings": warnings}


def answer(receiver: Receiver, secret: str, headers: Any, body: bytes, now: float) -> tuple[int, Any]:
    """Status and JSON value for one request."""
    try:
        check_signature(secret, headers, body, now)
        return 200, {"items": receiver.take(body)}
    except NotSigned as error:
        return 401, {"error": error.message}
    except NotUnderstood as error:
        return 400, {"error": error.message}
    except Refused as error:
        return 502, {"error": error.message}
    except RetentionError as error:
        return 503, {"error": error.message}


@contextmanager
def serving(
    settings: Settings, address: tuple[str, int], say: Callable[..., None], *, telegram: bool = False
) -> Iterator[str]:
    """Serve at host and port until the block ends, port 0 takes a free one; gives the URL.

    Raises:
        ConfigurationError: there is no secret, nobody to tell, or the address cannot be used.
    """
    secret = settings.notify.grafana_secret
    if secret is None:
        raise ConfigurationError("without a secret anybody could send alerts", "set notify.grafana_secret")
    receiver = Receiver(settings, telegram=telegram)
    try:
        server = _Server(address, receiver, secret.get_secret_value(), say)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"{address[0]}:{address[1]} cannot be used: {error}",
            "name another with --listen",
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{address[0]}:{server.server_address[1]}{_PATH}"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    """Listens, and gives each request to the receiver."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], receiver: Receiver, secret: str, say: Callable[..., None]
    ) -> None:
        self.room = threading.BoundedSemaphore(_AT_ONCE)
        self.say = say
        self._receiver = receiver
        self._secret = secret
        super().__init__(address, _Handler)

    def answered(self, headers: Any, body: bytes) -> tuple[int, Any]:
        """Status and JSON value for one request."""
        return answer(self._receiver, self._secret, headers, body, time.time())


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Server
    timeout = _READ_SECONDS

    def setup(self) -> None:
        """Give the connection an end."""
        super().setup()
        self._end = threading.Timer(_REQUEST_SECONDS, self._cut)
        self._end.daemon = True
        self._end.start()

    def finish(self) -> None:
        """Close it in good order."""
        self._end.cancel()
        with suppress(OSError):
            super().finish()

    def _cut(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        """Tell that it is alive."""
        found = self.path == "/healthz"
        self._answer(200 if found else 404, {"healthy": True} if found else {"error": "not found"})

    def do_POST(self) -> None:
        """Take alerts."""
        if not self.server.room.acquire(blocking=False):
            self._answer(503, {"error": "too many requests at a time"})
            return
        try:
            self._take()
        finally:
            self.server.room.release()

    def _take(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != _PATH:
            self._answer(404, {"error": f"alerts go to {_PATH}"})
        elif not length.isdecimal():
            self._answer(411, {"error": "the request does not say how long it is"})
        elif int(length) > LARGEST:
            self._answer(413, {"error": f"the body is larger than {LARGEST} bytes"})
        else:
            body = self._read(int(length))
            status, value = self.server.answered(self.headers, body)
            self.server.say("grafana.answered", status=status, reason=value.get("error"))
            self._answer(status, value)

    def _read(self, length: int) -> bytes:
        """The body, within a limit in all: a sender that drips is as good as one that is silent."""
        ends, data = time.monotonic() + _READ_SECONDS, b""
        while len(data) < length and time.monotonic() < ends:
            block = self.rfile.read1(min(length - len(data), 65536))
            if not block:
                break
            data += block
        return data

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.close_connection = True
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: what was answered is in the log."""
