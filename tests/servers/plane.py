"""A strict double of Plane's work items, as its community edition 1.3 answers.

There is no server of it to be had here. It looks for external ids before it inserts, without a unique index;
says 500 where a pair of source and id stands twice; hides archived items from GET although POST sees them;
and takes HTML through a parser that refuses an empty text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.stub import Answer, run_stub

WORKSPACE, PROJECT = "luxima", "0b6f8d2e-6f4e-4a0f-9b1d-2f1f5f2a7c11"
STATES = [
    {"id": f"state-{group}", "name": group, "group": group, "sequence": 1000.0 * number}
    for number, group in enumerate(("backlog", "unstarted", "started", "completed", "cancelled"))
]


@dataclass
class Project:
    """One project.

    Attributes:
        url: of the server.
        key: that it accepts.
        items: by id; ``archived`` ones are hidden from GET.
        comments: by item.
        links: by item.
        next: answers to give instead of the next ones, each once; ``None`` lets one pass.
        lose: give this answer to the next POST of an item after it took effect: its answer is lost.
        calls: method and path of all requests.
    """

    url: str = ""
    key: str = "plane_api_strict_double_0123456789abcdef"
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    comments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    links: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    next: list[Answer | None] = field(default_factory=list)
    lose: Answer | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)

    def add(self, external_id: str, **more: Any) -> dict[str, Any]:
        """An item that somebody made; twins are possible, as there."""
        number = len(self.items) + 1
        item = {
            "id": f"00000000-0000-4000-8000-{number:012d}",
            "sequence_id": number,
            "external_id": external_id,
            "external_source": "luxima-retention",
            "state": "state-backlog",
            "created_at": f"2026-11-26T10:{number:02d}:00Z",
            "archived": False,
            **more,
        }
        self.items[item["id"]] = item
        return item

    @property
    def address(self) -> str:
        """The project as the browser shows it."""
        return f"{self.url}/{WORKSPACE}/projects/{PROJECT}/issues"

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:  # noqa: PLR0911
        """One request."""
        self.calls.append((method, path))
        if {name.lower(): value for name, value in headers.items()}.get("x-api-key") != self.key:
            return _told(401, {"error": "Given API token is not valid"})
        instead = self.next.pop(0) if self.next else None
        if instead is not None:
            return instead
        parts = urlsplit(path)
        base = f"/api/v1/workspaces/{WORKSPACE}/projects/{PROJECT}"
        if not parts.path.startswith(base):
            return _told(404, {"detail": "Not found."})
        rest, query = parts.path.removeprefix(base), parse_qs(parts.query)
        asked = json.loads(body) if body else {}
        if rest == "/states/" and method == "GET":
            return _told(200, {"results": STATES})
        if rest == "/work-items/":
            return self._create(asked) if method == "POST" else self._list(query)
        match = re.fullmatch(r"/work-items/([0-9a-f-]{36})/(comments/|links/)?", rest)
        if match is None:
            return _told(404, {"detail": "Not found."})
        return self._one(method, match[1], match[2] or "", asked)

    def _create(self, asked: dict[str, Any]) -> Answer:
        if not 0 < len(asked.get("name", "")) <= 255 or len(asked.get("external_id", "")) > 255:
            return _told(400, {"name": ["Ensure this field has no more than 255 characters."]})
        text = asked.get("description_html", "<p></p>")
        if not text or not re.search(r"<[a-z]", text) or "<script" in text:
            return _told(400, {"error": "Invalid HTML passed"})
        if asked.get("priority", "none") not in {"urgent", "high", "medium", "low", "none"}:
            return _told(400, {"priority": ["not a valid choice"]})
        pair = (asked.get("external_id"), asked.get("external_source"))
        for item in self.items.values():
            if (item["external_id"], item["external_source"]) == pair:
                return _told(
                    409, {"error": "Issue with the same external id already exists", "id": item["id"]}
                )
        item = self.add(**{key: value for key, value in asked.items() if key != "labels"})
        if self.lose is not None:
            lost, self.lose = self.lose, None
            return lost
        return _told(201, item)

    def _list(self, query: dict[str, list[str]]) -> Answer:
        shown = [item for item in self.items.values() if not item["archived"]]
        if "external_id" not in query:
            return _told(200, {"results": shown, "next_page_results": False, "next_cursor": ""})
        pair = (query["external_id"][0], query["external_source"][0])
        found = [item for item in shown if (item["external_id"], item["external_source"]) == pair]
        if len(found) > 1:
            return _told(500, {"error": "Something went wrong please try again later"})
        return (
            _told(200, found[0]) if found else _told(404, {"error": "The requested resource does not exist."})
        )

    def _one(self, method: str, number: str, part: str, asked: dict[str, Any]) -> Answer:
        item = self.items.get(number)
        if item is None or item["archived"]:
            return _told(404, {"error": "The required object does not exist."})
        if part == "comments/" and method == "POST":
            return _added(self.comments.setdefault(number, []), asked, "external_id")
        if part == "links/" and method == "POST":
            return _added(self.links.setdefault(number, []), asked, "url")
        if method == "PATCH" and not part:
            if "state" in asked and asked["state"] not in {state["id"] for state in STATES}:
                return _told(400, {"error": "State is not valid please pass a valid state_id"})
            item.update(asked)
        return _told(200, item)


def _added(there: list[dict[str, Any]], asked: dict[str, Any], unique: str) -> Answer:
    if any(one.get(unique) == asked.get(unique) for one in there):
        return _told(409, {"error": "already exists"})
    there.append(asked)
    return _told(201, {"id": len(there), **asked})


def _told(status: int, value: Any) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


@contextmanager
def run_plane() -> Iterator[Project]:
    """The double until the block ends."""
    project = Project()
    with run_stub(project.answer) as stub:
        project.url = stub.url
        yield project
