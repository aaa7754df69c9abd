"""Messages to a Telegram chat. Source: Telegram Bot API, "sendMessage", "ResponseParameters"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from luxima_retention.config.endpoints import endpoint, reached_by
from luxima_retention.core.clock import Clock, system_clock
from luxima_retention.core.deadline import Deadline
from luxima_retention.core.errors import RetentionError
from luxima_retention.core.redact import learn, redacted
from luxima_retention.io.http import Answer, Http
from luxima_retention.tell.notify import texts
from luxima_retention.tell.notify.channel import Later, Refused, Sent, reason_of
from luxima_retention.tell.notify.conditions import Change, Message, Severity, quiet_until

if TYPE_CHECKING:
    from luxima_retention.config.settings import NotifySettings

_OK, _BAD, _UNAUTHORIZED, _FORBIDDEN, _MISSING, _TOO_MANY = 200, 400, 401, 403, 404, 429
#: requests for one message at most: migrated, without elements, and after waiting
_ATTEMPTS = 4
#: Telegram's own limit is 4,096, in UTF-16 units, of which an emoji takes two
_LONGEST_PLAIN = 2000


class Telegram:
    """A bot in a chat.

    Args:
        settings: of ``notify``.
        style: of the texts.
        deadline: of all attempts.
        clock: tells whether it is night.
    """

    name = "telegram"
    waits = False

    def __init__(
        self, settings: NotifySettings, style: texts.Style, deadline: Deadline, clock: Clock = system_clock
    ) -> None:
        token = settings.telegram_token.get_secret_value() if settings.telegram_token else ""
        learn(token)
        reached = endpoint(
            f"{settings.telegram_url.rstrip('/')}/bot{token}",
            reached_by(settings.http, "telegram"),
            setting="notify.telegram_url",
            options="notify.http.telegram",
            proxied=True,
        )
        self._http = Http(reached, deadline, largest=1024 * 1024)
        self._chat = settings.telegram_chat
        self._quiet = settings.quiet
        self._style = style
        self._deadline = deadline
        self._clock = clock
        #: a sentence where somebody should change a setting
        self.hint = ""

    def send(self, message: Message, sent: Sent) -> Any:
        """See :class:`~luxima_retention.tell.notify.channel.Channel`."""
        text = texts.body(message, self._style)
        before = sent.get(message.answers)
        options: dict[str, Any] = {"disable_notification": self._silent(message)}
        if before:
            # allow_sending_without_reply: somebody may have deleted what this answers.
            options["reply_parameters"] = {
                "message_id": before["id"],
                "allow_sending_without_reply": True,
            }
        number = self._call("sendMessage", text, options)["message_id"]
        if before and all(note.change is Change.RECOVERED for note in message.notes):
            self._mark(before, message)
        return {"id": number, "text": text}

    def test(self) -> str:
        """See :class:`~luxima_retention.tell.notify.channel.Channel`."""
        text = self._style.word("test", environment=self._style.environment)
        return f"message {self._call('sendMessage', text, {})['message_id']} in chat {self._chat}"

    def say(self, text: str) -> None:
        """Send one line of HTML. Raises as :meth:`send`."""
        self._call("sendMessage", text, {})

    def _silent(self, message: Message) -> bool:
        """Phones ring for trouble; for warnings not at night."""
        if message.severity is Severity.INFO:
            return True
        quiet = quiet_until(self._clock(), self._style.zone, self._quiet)
        return quiet is not None and message.severity is not Severity.CRITICAL

    def _mark(self, before: Mapping[str, Any], message: Message) -> None:
        """Write below the first message that it is over; the answer to it has been sent anyway."""
        from contextlib import suppress

        over = self._style.word("mended", time=self._style.time(datetime.fromtimestamp(message.at, UTC)))
        with suppress(RetentionError):
            self._call("editMessageText", f"{before['text']}\n\n{over}", {"message_id": before["id"]})

    def _call(self, method: str, text: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask until it is accepted, or it is known that it will not be."""
        body: dict[str, Any] = {
            "text": text,
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
            **options,
        }
        for _ in range(_ATTEMPTS):
            answer = self._ask(method, {**body, "chat_id": self._chat})
            said = _said(answer)
            if answer.status == _OK and said.get("ok"):
                result = said.get("result")
                return result if isinstance(result, dict) else {}
            body = self._next(answer, said, body)
        raise Later(f"Telegram did not accept the message after {_ATTEMPTS} attempts")

    def _ask(self, method: str, body: Mapping[str, Any]) -> Answer:
        try:
            return self._http.send(
                "POST",
                f"/{method}",
                body=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
            )
        except RetentionError as error:
            # The address holds the token, so it is not repeated, and neither is the cause.
            raise Later(f"Telegram cannot be reached: {reason_of(error)}") from None

    def _next(self, answer: Answer, said: Mapping[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        """The body of the next attempt, after waiting where that was asked for."""
        more, why = said.get("parameters") or {}, redacted(str(said.get("description", "")))
        if more.get("migrate_to_chat_id"):
            self._chat = str(more["migrate_to_chat_id"])
            self.hint = f"the chat became a supergroup: set notify.telegram_chat to {self._chat}"
            return body
        if answer.status == _TOO_MANY:
            seconds = float(more.get("retry_after") or answer.retry_after() or 1)
            if seconds >= self._deadline.remaining() - 1:
                raise Later(f"Telegram asks to wait for {seconds:g} s", seconds)
            self._deadline.wait(seconds)
            return body
        if answer.status == _BAD and "parse_mode" in body:
            text = texts.plain(body["text"])[:_LONGEST_PLAIN]
            return {key: value for key, value in body.items() if key != "parse_mode"} | {"text": text}
        if answer.status in {_BAD, _UNAUTHORIZED, _FORBIDDEN, _MISSING}:
            raise Refused(
                f"Telegram answers {answer.status}: {why}",
                "check notify.telegram_token and notify.telegram_chat",
            )
        raise Later(f"Telegram answers {answer.status}: {why}")


def _said(answer: Answer) -> Mapping[str, Any]:
    try:
        said = answer.json()
    except RetentionError:
        return {}
    return said if isinstance(said, dict) else {}
