"""Work items in Plane, one for each trouble. Source: Plane 1.3 (community edition), REST API of work items.

Plane looks for a pair of external source and id before it inserts, without a unique index: two senders, or
one whose answer was lost, may make twins. They are found, and the younger ones closed with a link.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from luxima_retention.config.endpoints import endpoint, reached_by
from luxima_retention.core.deadline import Deadline
from luxima_retention.core.errors import RetentionError
from luxima_retention.core.redact import learn, redacted
from luxima_retention.io.http import Answer, Http
from luxima_retention.tell.notify import texts
from luxima_retention.tell.notify.channel import Later, Refused, Sent, reason_of
from luxima_retention.tell.notify.conditions import Message, Note

if TYPE_CHECKING:
    from luxima_retention.config.settings import NotifySettings

SOURCE = "luxima-retention"
_CREATED, _BAD, _MISSING, _CONFLICT, _TOO_MANY, _FAULT = 201, 400, 404, 409, 429, 500
#: seconds to wait after a 429 that does not say how long: limits count by the minute
_BLOCKED = 60.0
_LONGEST_NAME = 255
#: items of one message at most, the worst first: each takes a few of the 60 requests of a minute
_AT_ONCE = 10
_SUFFIXES = 5
_PAGES, _PER_PAGE = 20, 100
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One trouble, as Plane is told of it.

    Args:
        external_id: stable: the same for each message about this trouble.
        name: the item's.
        text: HTML of paragraphs, lists, links.
        priority: ``urgent``, ``high``, ``medium``, ``low`` or ``none``.
        event: stable name of this message, so that it becomes one comment however often it is sent.
        resolved: whether the trouble is over.
        links: label → address.
    """

    external_id: str
    name: str
    text: str
    priority: str
    event: str
    resolved: bool = False
    links: Mapping[str, str] = field(default_factory=dict)


class Plane:
    """A project in Plane."""

    name = "plane"
    waits = False

    def __init__(self, settings: NotifySettings, style: texts.Style, deadline: Deadline) -> None:
        server, path = settings.plane or ("", "")
        key = settings.plane_key.get_secret_value() if settings.plane_key else ""
        learn(key)
        reached = endpoint(
            server,
            reached_by(settings.http, "plane"),
            setting="notify.plane_url",
            options="notify.http.plane",
            proxied=True,
        )
        self._http = Http(reached, deadline, largest=8 * 1024 * 1024)
        self._key = key
        self._base = path
        self._style = style

    def send(self, message: Message, sent: Sent) -> Any:  # noqa: ARG002 - the protocol's
        """See :class:`~luxima_retention.tell.notify.channel.Channel`."""
        found = [self.report(incident) for incident in _incidents(message, self._style)]
        return [item for item in found if item]

    def test(self) -> str:
        """See :class:`~luxima_retention.tell.notify.channel.Channel`. Makes one item, always the same."""
        style = self._style
        made = Incident(
            external_id=f"{style.environment}:test",
            name=style.word("test_subject", environment=style.environment),
            text=_paragraphs(style.word("test", environment=style.environment)),
            priority="none",
            event="test",
        )
        return f"work item {self.report(made)}"

    def report(self, incident: Incident) -> str:
        """Make the item, or comment on it; its id, empty where a trouble ended that never became an item.

        Raises:
            Later, Refused: see :class:`~luxima_retention.tell.notify.channel.Channel`.
        """
        item = self._find(incident.external_id)
        if item is None:
            return "" if incident.resolved else self._create(incident)
        self._update(item, incident)
        return str(item["id"])

    def _create(self, incident: Incident) -> str:
        """A new item; under another id where an archived or draft one keeps the first."""
        for number in range(1, _SUFFIXES + 1):
            external = incident.external_id + (f"-{number}" if number > 1 else "")
            answer = self._post_item(incident, external)
            if answer.status == _CREATED:
                item = answer.json()
                self._link(item, incident)
                self._merge_twins(external, str(item["id"]))
                return str(item["id"])
            if answer.status != _CONFLICT:
                raise _refused(answer)
            there = self._ask("GET", f"/work-items/{answer.json().get('id')}/")
            if there.ok:
                self._update(there.json(), incident)
                return str(there.json()["id"])
            if there.status != _MISSING:
                raise _refused(there)
        raise Refused(f"Plane keeps {_SUFFIXES} archived items with the id {incident.external_id}")

    def _post_item(self, incident: Incident, external: str) -> Answer:
        body = {
            "name": incident.name[:_LONGEST_NAME],
            "description_html": incident.text,
            "priority": incident.priority,
            "external_source": SOURCE,
            "external_id": external,
        }
        answer = self._ask("POST", "/work-items/", body)
        if answer.status == _BAD and "HTML" in answer.text:
            plain = f"<p>{html.escape(texts.plain(incident.text))}</p>"
            answer = self._ask("POST", "/work-items/", {**body, "description_html": plain})
        return answer

    def _find(self, external: str) -> Item | None:
        """The item of this id, or of the id with a suffix where the first one is archived."""
        query = urlencode({"external_id": external, "external_source": SOURCE})
        answer = self._ask("GET", f"/work-items/?{query}")
        if answer.status == _MISSING:
            return None
        if answer.status == _FAULT:
            return self._merge_twins(external)
        if not answer.ok:
            raise _refused(answer)
        found = answer.json()
        return found if isinstance(found, dict) and "id" in found else None

    def _merge_twins(self, external: str, mine: str = "") -> Item | None:
        """Keep the oldest item of an id; close the others, with a link to it, under ids of their own."""
        if (
            mine
            and self._ask(
                "GET", f"/work-items/?{urlencode({'external_id': external, 'external_source': SOURCE})}"
            ).status
            != _FAULT
        ):
            return None
        found = sorted(
            self._all(external), key=lambda item: (str(item.get("created_at", "")), str(item["id"]))
        )
        if not found:
            raise Later("Plane answers 500, and no duplicate of the item was found")
        first, *twins = found
        for twin in twins:
            self._close_twin(twin, first, external)
        return first

    def _all(self, external: str) -> Iterator[Item]:
        cursor = f"{_PER_PAGE}:0:0"
        for _ in range(_PAGES):
            answer = self._ask("GET", f"/work-items/?{urlencode({'per_page': _PER_PAGE, 'cursor': cursor})}")
            if not answer.ok:
                raise _refused(answer)
            page = answer.json()
            for item in page.get("results", ()):
                if (item.get("external_id"), item.get("external_source")) == (external, SOURCE):
                    yield item
            if not page.get("next_page_results"):
                return
            cursor = page["next_cursor"]

    def _close_twin(self, twin: Item, first: Item, external: str) -> None:
        """Comment, then close: after the second step nobody finds it again."""
        text = f"<p>The same trouble as work item {html.escape(str(first['id']))}, made twice.</p>"
        self._comment(twin, text, f"twin-{twin['id']}")
        changed: dict[str, Any] = {"external_id": f"{external}#twin-{twin['id']}"[:_LONGEST_NAME]}
        if closed := self._state("cancelled", "completed"):
            changed["state"] = closed
        self._patch(twin, changed)

    def _update(self, item: Item, incident: Incident) -> None:
        """Comment once for each message; open a completed item again; leave a cancelled one closed."""
        group = self._group(item)
        reopened = (
            self._state("unstarted", "backlog") if group == "completed" and not incident.resolved else ""
        )
        if reopened:
            self._patch(item, {"state": reopened})
        self._comment(item, incident.text, incident.event)

    def _comment(self, item: Item, text: str, event: str) -> None:
        body = {"comment_html": text, "external_source": SOURCE, "external_id": event[:_LONGEST_NAME]}
        answer = self._ask("POST", f"/work-items/{item['id']}/comments/", body)
        if not answer.ok and answer.status != _CONFLICT:
            raise _refused(answer)

    def _link(self, item: Item, incident: Incident) -> None:
        for title, url in incident.links.items():
            answer = self._ask("POST", f"/work-items/{item['id']}/links/", {"title": title, "url": url})
            if not answer.ok and answer.status not in {_BAD, _CONFLICT}:
                raise _refused(answer)

    def _patch(self, item: Item, changed: Mapping[str, Any]) -> None:
        answer = self._ask("PATCH", f"/work-items/{item['id']}/", changed)
        if not answer.ok:
            raise _refused(answer)

    def _states(self) -> Sequence[Item]:
        answer = self._ask("GET", "/states/")
        if not answer.ok:
            raise _refused(answer)
        found = answer.json()
        results = found.get("results", ()) if isinstance(found, dict) else found
        return sorted(results, key=lambda state: float(state.get("sequence") or 0))

    def _group(self, item: Item) -> str:
        return next((str(one["group"]) for one in self._states() if one["id"] == item.get("state")), "")

    def _state(self, *groups: str) -> str:
        """The first state of the first of these groups that has one."""
        states = self._states()
        return next((str(one["id"]) for group in groups for one in states if one["group"] == group), "")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        headers = {"X-Api-Key": self._key, "Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body).encode()
        try:
            answer = self._http.send(method, self._base + path, body=sent, headers=headers)
        except RetentionError as error:
            raise Later(f"Plane cannot be reached: {reason_of(error)}") from None
        if answer.status == _TOO_MANY:
            raise Later("Plane answers 429", answer.retry_after() or _BLOCKED)
        if answer.status > _FAULT:
            raise Later(f"Plane answers {answer.status}")
        return answer


def _refused(answer: Answer) -> RetentionError:
    if answer.status >= _FAULT:
        return Later(f"Plane answers {answer.status}")
    said = redacted(answer.text[:200])
    return Refused(f"Plane answers {answer.status}: {said}; check notify.plane_key and notify.plane_url")


def _incidents(message: Message, style: texts.Style) -> Iterator[Incident]:
    """The items that a message makes or comments on: of critical troubles, and of troubles that are over."""
    told = [note for note in message.notes if note.critical or note.change.over]
    for note in told[:_AT_ONCE]:
        yield _incident(note, message, style)


def _incident(note: Note, message: Message, style: texts.Style) -> Incident:
    alone = Message(number=message.number, at=message.at, notes=(note,))
    return Incident(
        external_id=note.key[:_LONGEST_NAME],
        name=texts.subject(alone, style),
        text=_paragraphs(texts.body(alone, style)),
        priority="urgent",
        event=f"{message.number}:{int(message.at)}:{note.change}",
        resolved=note.change.over,
        links=texts.addresses(note, style),
    )


def _paragraphs(text: str) -> str:
    """Telegram's HTML as Plane takes it: a paragraph a line, and bold as strong."""
    lines = (
        text.replace("<b>", "<strong>").replace("</b>", "</strong>").replace("<i>", "").replace("</i>", "")
    )
    return "".join(f"<p>{line}</p>" for line in lines.splitlines() if line.strip())
