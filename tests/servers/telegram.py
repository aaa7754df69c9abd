"""A strict double of Telegram's Bot API: sendMessage and editMessageText of one bot.

There is no server of it to be had. What it refuses is what the "Bot API" documents: elements other than the
few of "HTML style", an unescaped ``<`` or ``&``, elements that are not closed, more than 4,096 characters
after entities, an empty text, an answer to a message that is not there, an unknown chat, a wrong token.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.servers.stub import Answer, run_stub

_ALLOWED = {"b", "strong", "i", "em", "u", "s", "code", "pre", "a", "blockquote"}
_ELEMENT = re.compile(r"<(/?)([a-z]+)((?: [a-z-]+=\"[^\"<>]*\")*)>")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);")


@dataclass
class Chats:
    """The bot.

    Attributes:
        url: of the server.
        token: of the bot.
        chats: the numbers of the chats that it is in.
        messages: by number, as they are shown now: what was sent, with ``chat_id``, ``text`` and so on.
        edits: numbers of messages that were edited.
        next: answers to give instead of the next ones, each once.
        lose: whether the next message arrives and its answer is lost.
        calls: bodies of all requests.
    """

    url: str = ""
    token: str = "7100000000:AAE-strict-double-of-a-bot-0123456789"
    chats: set[str] = field(default_factory=lambda: {"-4001"})
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    edits: list[int] = field(default_factory=list)
    next: list[Answer] = field(default_factory=list)
    lose: bool = False
    calls: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request."""
        match = re.fullmatch(r"/bot([^/]+)/(\w+)", path)
        if method != "POST" or match is None:
            return said(404, "Not Found")
        if match[1] != self.token:
            return said(401, "Unauthorized")
        kind = {name.lower(): value for name, value in headers.items()}.get("content-type", "")
        if not kind.startswith("application/json"):
            return said(400, "Bad Request: message text is empty")
        asked = json.loads(body)
        self.calls.append({"method": match[2], **asked})
        if self.next:
            return self.next.pop(0)
        handlers = {"sendMessage": self._send, "editMessageText": self._edit}
        return handlers[match[2]](asked) if match[2] in handlers else said(404, "Not Found")

    def _send(self, asked: dict[str, Any]) -> Answer:
        if refused := self._refused(asked):
            return refused
        reply = asked.get("reply_parameters")
        if (
            reply
            and reply["message_id"] not in self.messages
            and not reply.get("allow_sending_without_reply")
        ):
            return said(400, "Bad Request: message to be replied not found")
        number = len(self.messages) + 101
        self.messages[number] = asked
        lost, self.lose = self.lose, False
        return Answer(cut=True) if lost else _result(number)

    def _edit(self, asked: dict[str, Any]) -> Answer:
        if refused := self._refused(asked):
            return refused
        number = asked.get("message_id")
        if number not in self.messages:
            return said(400, "Bad Request: message to edit not found")
        if self.messages[number]["text"] == asked["text"]:
            return said(400, "Bad Request: message is not modified")
        self.messages[number] = {**self.messages[number], "text": asked["text"]}
        self.edits.append(number)
        return _result(number)

    def _refused(self, asked: dict[str, Any]) -> Answer | None:
        if str(asked.get("chat_id")) not in self.chats:
            return said(400, "Bad Request: chat not found")
        if not str(asked.get("text", "")).strip():
            return said(400, "Bad Request: message text is empty")
        shown = asked["text"]
        if asked.get("parse_mode") == "HTML":
            if problem := parse_problem(shown):
                return said(400, f"Bad Request: can't parse entities: {problem}")
            shown = html.unescape(_ELEMENT.sub("", shown))
        if len(shown.encode("utf-16-le")) // 2 > 4096:
            return said(400, "Bad Request: message is too long")
        return None


def parse_problem(text: str) -> str:
    """What Telegram would not parse; empty if it is well."""
    open_elements = []
    for closing, name, _ in _ELEMENT.findall(text):
        if name not in _ALLOWED:
            return f"Unsupported start tag {name!r}"
        if not closing:
            open_elements.append(name)
        elif not open_elements or open_elements.pop() != name:
            return f"Unmatched end tag {name!r}"
    if open_elements:
        return f"Can't find end tag corresponding to start tag {open_elements[-1]!r}"
    rest = _ENTITY.sub("", _ELEMENT.sub("", text))
    return "Unsupported start tag" if "<" in rest or "&" in rest else ""


def said(status: int, description: str, **parameters: Any) -> Answer:
    """An error as Telegram tells it."""
    body: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    if parameters:
        body["parameters"] = parameters
    return Answer(status, json.dumps(body).encode())


def _result(number: int) -> Answer:
    return Answer(200, json.dumps({"ok": True, "result": {"message_id": number}}).encode())


@contextmanager
def run_telegram() -> Iterator[Chats]:
    """The double until the block ends."""
    chats = Chats()
    with run_stub(chats.answer) as stub:
        chats.url = stub.url
        yield chats
