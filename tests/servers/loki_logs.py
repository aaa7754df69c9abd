"""A double of Loki's way in and of the one kind of question that an alert rule asks.

It takes JSON at ``/loki/api/v1/push`` as strictly as Loki does, and answers ``/loki/api/v1/query`` for the
share of lines that match a label of structured metadata; any other query is refused, so that a rule that
changes its form is noticed. Source: Loki's HTTP API reference, "Ingest logs" and "Query logs at a single
point in time"; limits by its reference of ``limits_config`` (a line is at most a week old and ten minutes
ahead; a stream has at least one label).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.stub import Answer, run_stub

_WEEK, _AHEAD, _SECOND = 7 * 86_400, 600, 1_000_000_000
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_COUNT = r'sum\(count_over_time\((\{[^}]*\}) \| (\w+) (=~ "[^"]*"|> \d+) \[(\d+)m\]\)\)'
_SHARE = re.compile(rf"{_COUNT} / \({_COUNT} > (\d+)\)")
_PAIR = re.compile(r'(\w+)="([^"]*)"')


@dataclass
class Line:
    """One line with its stream and its structured metadata."""

    at: int
    text: str
    stream: Mapping[str, str]
    metadata: Mapping[str, str]


@dataclass
class Logs:
    """What a Loki holds.

    Attributes:
        url: of the server.
        lines: that it took.
        refused: bodies that it did not take, each with why.
    """

    url: str = ""
    lines: list[Line] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def age(self, seconds: int) -> None:
        """Let so many seconds go by for what is there."""
        for line in self.lines:
            line.at -= seconds * _SECOND


class _Wrong(Exception):  # noqa: N818 - a client's fault, not ours
    """What was pushed or asked is not as it should be."""


@contextmanager
def run_logs() -> Iterator[Logs]:
    """A Loki without tenants."""
    logs = Logs()

    def answer(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        path = urlsplit(target).path
        try:
            if (method, path) == ("POST", "/loki/api/v1/push"):
                logs.lines += list(_pushed(headers, body))
                return Answer(204)
            if (method, path) == ("GET", "/loki/api/v1/query"):
                return _found(logs, parse_qs(urlsplit(target).query))
        except _Wrong as error:
            logs.refused.append(str(error))
            return Answer(400, str(error).encode(), {"Content-Type": "text/plain; charset=utf-8"})
        return Answer(404, b"404 page not found\n")

    with run_stub(answer) as stub:
        logs.url = stub.url
        yield logs


def _pushed(headers: Mapping[str, str], body: bytes) -> Iterator[Line]:
    if {name.lower(): value for name, value in headers.items()}.get("content-type") != "application/json":
        raise _Wrong("Content-Type is not application/json, and the body no protobuf")
    try:
        streams = json.loads(body)["streams"]
        found = [(item["stream"], item["values"]) for item in streams]
    except (ValueError, KeyError, TypeError):
        raise _Wrong("the body has no streams of labels and values") from None
    if not found:
        raise _Wrong("error at least one valid stream is required for ingestion")
    for labels, values in found:
        if not labels:
            raise _Wrong("error at least one label pair is required per stream")
        _texts(labels)
        for value in values:
            yield _line(labels, value)


def _line(labels: Mapping[str, str], value: Any) -> Line:
    if (
        not isinstance(value, list)
        or len(value) not in {2, 3}
        or not all(isinstance(x, str) for x in value[:2])
    ):
        raise _Wrong("a value is a list of a time in nanoseconds and a line, both of them texts")
    if not re.fullmatch(r"\d{19}", value[0]):
        raise _Wrong(f"{value[0]!r} is no time in nanoseconds")
    late = time.time() - int(value[0]) / _SECOND
    if not -_AHEAD <= late <= _WEEK:
        raise _Wrong(f"entry has a timestamp too {'old' if late > 0 else 'new'}")
    metadata = value[2] if len(value) == 3 else {}
    _texts(metadata)
    return Line(at=int(value[0]), text=value[1], stream=labels, metadata=metadata)


def _texts(labels: Any) -> None:
    if not isinstance(labels, dict):
        raise _Wrong("labels are an object")
    for name, value in labels.items():
        if not _LABEL.fullmatch(name) or not isinstance(value, str):
            raise _Wrong(f"the label {name!r} is not a name with a text")


def _found(logs: Logs, asked: Mapping[str, list[str]]) -> Answer:
    query = " ".join((asked.get("query") or [""])[0].split())
    match = _SHARE.fullmatch(query)
    if match is None:
        raise _Wrong(f"parse error: this Loki knows one form of query, and not {query!r}")
    now = time.time_ns()
    part, whole = (_count(logs, *match.group(*numbers), now) for numbers in ((1, 2, 3, 4), (5, 6, 7, 8)))
    result = []
    if whole > int(match[9]) and part:
        result = [{"metric": {}, "value": [now / _SECOND, repr(part / whole)]}]
    data = {"resultType": "vector", "result": result, "stats": {}}
    return Answer(200, json.dumps({"status": "success", "data": data}).encode())


def _count(logs: Logs, selector: str, label: str, matcher: str, minutes: str, now: int) -> int:
    """Lines of the streams, within the time, whose label matches. A count of nothing has no series."""
    wanted = dict(_PAIR.findall(selector))
    if not wanted:
        raise _Wrong("parse error: a selector needs a matcher that is not empty")
    begin = now - int(minutes) * 60 * _SECOND
    lines = (line for line in logs.lines if begin < line.at <= now and wanted.items() <= line.stream.items())
    return sum(_matches(line.metadata.get(label, ""), matcher) for line in lines)


def _matches(value: str, matcher: str) -> bool:
    sign, _, wanted = matcher.partition(" ")
    if sign == "=~":
        return re.fullmatch(wanted.strip('"'), value) is not None
    return value.isdecimal() and int(value) > int(wanted)
