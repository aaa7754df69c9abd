"""A webhook with a signature, and heartbeats. Sources: RFC 2104 (HMAC); Healthchecks, "Pinging API"."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from luxima_retention.config.endpoints import endpoint, reached_by
from luxima_retention.core.clock import iso
from luxima_retention.core.deadline import Deadline
from luxima_retention.core.errors import ExitCode, RetentionError
from luxima_retention.core.redact import learn, redacted, redacted_tree
from luxima_retention.core.results import PolicyResult, RunResult
from luxima_retention.io.http import PASSING, Http
from luxima_retention.tell.notify import texts
from luxima_retention.tell.notify.channel import Later, Refused, Sent, reason_of
from luxima_retention.tell.notify.conditions import Message

if TYPE_CHECKING:
    from luxima_retention.config.settings import HttpSettings, NotifySettings

TIMESTAMP, SIGNATURE = "X-Luxima-Timestamp", "X-Luxima-Signature"
#: seconds of all heartbeats of a run together
_HEARTBEAT_SECONDS = 2.0
_LONGEST_PING = 10_000


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """``sha256=`` and the HMAC of ``timestamp.body``, in hexadecimal."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class Webhook:
    """A receiver of JSON, version 1: ``docs/notify.md`` shows it."""

    name = "webhook"
    waits = False

    def __init__(self, settings: NotifySettings, style: texts.Style, deadline: Deadline) -> None:
        reached = endpoint(
            settings.webhook_url,
            reached_by(settings.http, "webhook"),
            setting="notify.webhook_url",
            options="notify.http.webhook",
            proxied=True,
        )
        self._http = Http(reached, deadline, largest=1024 * 1024)
        self._secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
        self._style = style

    def send(self, message: Message, sent: Sent) -> Any:  # noqa: ARG002 - the protocol's
        """See :class:`~luxima_retention.tell.notify.channel.Channel`."""
        told = asdict(message) | {
            "severity": str(message.severity),
            "text": texts.plain(texts.body(message, self._style)),
        }
        self._post({"version": 1, "environment": self._style.environment, "message": redacted_tree(told)})
        return True

    def test(self) -> str:
        """See :class:`~luxima_retention.tell.notify.channel.Channel`."""
        self._post({"version": 1, "environment": self._style.environment, "test": True})
        return f"accepted by {self._http.url}"

    def _post(self, value: Any) -> None:
        body, now = json.dumps(value).encode(), str(int(datetime.now(UTC).timestamp()))
        headers = {"Content-Type": "application/json"}
        if self._secret:
            headers |= {TIMESTAMP: now, SIGNATURE: signature(self._secret, now, body)}
        answer = self._http.send("POST", "", body=body, headers=headers)
        if answer.status in PASSING or answer.status >= 500:  # noqa: PLR2004 - the class "Server Error"
            raise Later(f"the webhook answers {answer.status}", answer.retry_after() or 0.0)
        if not answer.ok:
            raise Refused(f"the webhook answers {answer.status}; check notify.webhook_url")


def beat(settings: NotifySettings, result: RunResult, deadline: Deadline) -> Iterator[str]:
    """One ping for each policy that was run, never repeated; a sentence for each that did not arrive."""
    if settings.heartbeat_url is None:
        return
    limit = deadline.within(_HEARTBEAT_SECONDS)
    for policy in result.policies:
        if policy.targets or policy.exit_code:
            yield from ping(settings, policy, result, limit)


def ping(
    settings: NotifySettings, policy: PolicyResult, result: RunResult, deadline: Deadline
) -> Iterator[str]:
    """One ping; the address is the credential, so no sentence repeats it."""
    secret = settings.heartbeat_url.get_secret_value() if settings.heartbeat_url else ""
    url = secret.replace("{policy}", policy.policy).rstrip("/")
    learn(url)
    run_id = next((target.run_id for target in policy.targets if target.run_id), "")
    text = redacted(f"{iso(result.now)} {policy.policy}: {policy.outcome.label}. {policy.sentence}")
    path = f"/{_state(policy.exit_code)}" + (f"?rid={run_id}" if run_id else "")
    try:
        answer = _heart(url, reached_by(settings.http, "heartbeat"), deadline).send(
            "POST", path, body=text.encode()[:_LONGEST_PING], headers={"Content-Type": "text/plain"}
        )
    except RetentionError as error:
        yield f"the heartbeat of {policy.policy} was not sent: {reason_of(error)}"
        return
    if not answer.ok:
        yield f"the heartbeat of {policy.policy} was not accepted: status {answer.status}"


def _state(code: ExitCode) -> str:
    """What the check learns: a run that another one blocked, or that goes on later, is not a failure."""
    return "log" if code in {ExitCode.LOCKED, ExitCode.STOPPED} else str(int(code))


def _heart(url: str, settings: HttpSettings, deadline: Deadline) -> Http:
    return Http(
        endpoint(
            url, settings, setting="notify.heartbeat_url", options="notify.http.heartbeat", proxied=True
        ),
        deadline,
        largest=64 * 1024,
    )
