"""Messages for people, in Indonesian and English: what, how much against which limit, since when, what to do.

Each text is HTML of the few elements that Telegram knows; e-mail gets it as HTML and as plain text.
Source: Telegram Bot API, "HTML style" and the 4,096 characters of a message.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from luxima_retention.core.clock import parse_iso
from luxima_retention.tell.notify.conditions import Change, Message, Note, Severity
from luxima_retention.tell.notify.words import ACTIONS, LINKS, MONTHS, TITLES, WORDS, Words

#: characters of HTML: what is left after its entities are read is below Telegram's limit
LONGEST = 3500
#: of one sentence of a program
_SENTENCE = 400
_SIGNS = {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🟢"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How texts are written.

    Args:
        language: ``id`` or ``en``.
        zone: of the times that people read.
        environment: ``production``.
        links: name → address with ``{policy}``, ``{target}`` and ``{run_id}`` in it.
    """

    language: str
    zone: tzinfo
    environment: str
    links: Mapping[str, str]

    def word(self, name: str, **values: object) -> str:
        """A phrase of the language."""
        return WORDS[name][self.language].format(**values)

    def number(self, value: int) -> str:
        """``1.204`` in Indonesian, ``1,204`` in English."""
        text = f"{value:,}"
        return text.replace(",", ".") if self.language == "id" else text

    def day(self, instant: datetime) -> str:
        """``12 Mei 2026``."""
        local = instant.astimezone(self.zone)
        return f"{local.day} {MONTHS[self.language][local.month - 1]} {local.year}"

    def time(self, instant: datetime) -> str:
        """``12 Mei 2026 02.17 WIB``."""
        local = instant.astimezone(self.zone)
        clock = f"{local:%H.%M}" if self.language == "id" else f"{local:%H:%M}"
        return f"{self.day(instant)} {clock} {local.tzname()}"

    def span(self, seconds: float) -> str:
        """``2 j 14 m``; days where there are two of them."""
        minutes = max(int(seconds) // 60, 0)
        days, hours = minutes // 1440, minutes // 60
        if days > 1:
            return self.word("days", days=days)
        return (
            self.word("hours", hours=hours, minutes=minutes % 60)
            if hours
            else self.word("minutes", minutes=minutes)
        )


def subject(message: Message, style: Style) -> str:
    """The subject of an e-mail: ``[KRITIS] Retensi audit-logs (production): …``."""
    if message.digest:
        return style.word("subject_digest", environment=style.environment, count=len(message.notes))
    note = message.notes[0]
    more = f" +{len(message.notes) - 1}" if len(message.notes) > 1 else ""
    mark = style.word("mark_removed" if note.change is Change.REMOVED else f"mark_{message.severity}")
    policy = note.facts.get("policy", note.key)
    about = note.facts.get("about")
    return style.word(
        f"subject_{about}" if about else "subject",
        mark=mark,
        policy=policy,
        environment=style.environment,
        title=_title(note, style) + more,
    )


def _about(note: Note, words: Mapping[int, Words], what: str, style: Style) -> str:
    """Of the exit code, or of what is no policy's run."""
    about = note.facts.get("about")
    return style.word(f"{what}_{about}") if about else words[note.code][style.language]


def _title(note: Note, style: Style) -> str:
    if note.change.over:
        return style.word(str(note.change))
    if note.change is Change.UNSTABLE:
        return ": ".join(
            [style.word("unstable"), *([_about(note, TITLES, "title", style)] if note.code else [])]
        )
    if note.change is Change.HOURLY and not note.code:
        return style.word("steady")
    return _about(note, TITLES, "title", style)


def body(message: Message, style: Style) -> str:
    """The whole message as Telegram's HTML, cut between two targets and never inside an element."""
    parts = [_headline(message, style)] if message.digest else []
    size, cut = sum(map(len, parts)), 0
    for index, note in enumerate(message.notes):
        part = _short(note, message.at, style) if message.digest else _part(note, message, style)
        if parts and size + len(part) > LONGEST - 60:
            cut = len(message.notes) - index
            break
        parts.append(part)
        size += len(part) + 2
    if cut:
        parts.append(style.word("more", count=cut))
    return "\n\n".join(parts) if not message.digest else "\n".join(parts)


def _headline(message: Message, style: Style) -> str:
    count = len({note.facts.get("policy", note.key) for note in message.notes})
    return f"📋 <b>{style.word('digest')}</b> — " + style.word("digest_count", count=count)


def _short(note: Note, at: float, style: Style) -> str:
    sign = _SIGNS[Severity.CRITICAL if note.critical else Severity.WARNING]
    since = style.word("since", span=style.span(at - note.since))
    line = f"{sign} {_name(note)}: {_title(note, style)}, {since}"
    return "\n".join((line, *_approvable(note.facts, style)))


def _name(note: Note) -> str:
    facts = note.facts
    return _escaped(" ".join(filter(None, (facts.get("policy", note.key), facts.get("target", "")))))


def _part(note: Note, message: Message, style: Style) -> str:
    lines = [_first_line(note, style)]
    if note.change.over:
        lines.append(style.word(f"{note.change}_line", span=style.span(message.at - note.since)))
    else:
        lines += [*_details(note, message.at, style)]
    lines += [_where(note, style), _links(note, style)]
    return "\n".join(filter(None, lines))


def _first_line(note: Note, style: Style) -> str:
    if note.change.over:
        sign = "⚪" if note.change is Change.REMOVED else _SIGNS[Severity.INFO]
    else:
        sign = _SIGNS[Severity.CRITICAL if note.critical else Severity.WARNING]
    return f"{sign} <b>{_title(note, style)}</b> — {_name(note)} · {_escaped(style.environment)}"


def _details(note: Note, at: float, style: Style) -> Iterator[str]:
    facts = note.facts
    if note.change is Change.UNSTABLE:
        yield style.word("unstable_line")
    if note.change is Change.ESCALATED:
        yield style.word("escalated_line", span=style.span(at - note.since))
    if facts.get("unexplained"):
        yield style.word("unexplained", count=style.number(facts["unexplained"]))
    for guard in facts.get("guards", ()):
        yield style.word("guard", **{key: _escaped(str(value)) for key, value in guard.items()})
    if facts.get("sentence") and not facts.get("guards"):
        yield _escaped(_cut(facts["sentence"]))
    yield _figures(facts, style)
    yield _breach(facts, at, style)
    yield f"➡️ {_about(note, ACTIONS, 'action', style)}" if note.code else ""
    yield from _approvable(facts, style)
    if facts.get("hint"):
        yield f"<i>{_escaped(_cut(facts['hint']))}</i>"


def _approvable(facts: Mapping[str, Any], style: Style) -> Iterator[str]:
    """The plan that a person may approve, and the command; nothing where nobody may."""
    plan = facts.get("approve")
    if not plan:
        return
    of = style.word("of_all", count=style.number(plan["population"])) if plan["population"] else ""
    yield style.word(
        "plan",
        digest=_escaped(plan["digest"][:12]),
        items=style.number(plan["items"]),
        of=of,
        day=style.time(parse_iso(plan["cutoff"])),
    )
    yield style.word(
        "approve", command=f"<code>luxima-retention approve --key FILE {_escaped(plan['digest'])}</code>"
    )


def _figures(facts: Mapping[str, Any], style: Style) -> str:
    """``Batas 180 hari · tertua 12 Mei 2026 · dihapus 48.110``."""
    found = []
    if facts.get("retention_days"):
        found.append(style.word("limit", days=style.number(facts["retention_days"])))
    if facts.get("oldest"):
        found.append(style.word("oldest", day=style.day(parse_iso(facts["oldest"]))))
    counted = (name for name in ("expired", "destroyed", "left", "held") if facts.get(name) is not None)
    found += [style.word(name, count=style.number(facts[name])) for name in counted]
    return " · ".join(found)


def _breach(facts: Mapping[str, Any], at: float, style: Style) -> str:
    """What will happen, before it does."""
    if not facts.get("breach_at"):
        return ""
    breach = parse_iso(facts["breach_at"])
    ahead = breach.timestamp() - at
    if ahead > 0:
        return style.word("breach_in", span=style.span(ahead), time=style.time(breach))
    return style.word("breached", time=style.time(breach))


def _where(note: Note, style: Style) -> str:
    facts = note.facts
    run = f"Run {_escaped(facts['run_id'][:8])}… · " if facts.get("run_id") else ""
    code = style.word("code", code=note.code) + " · " if note.code else ""
    return f"{run}{code}{style.word('began', time=style.time(datetime.fromtimestamp(note.since, UTC)))}"


def _links(note: Note, style: Style) -> str:
    found = addresses(note, style)
    return " · ".join(
        f'<a href="{_escaped(url)}">{LINKS[name][style.language]}</a>' for name, url in found.items()
    )


def addresses(note: Note, style: Style) -> dict[str, str]:
    """Name → address of what helps with this target; without those that need a run there was not."""
    from urllib.parse import quote

    values = {name: quote(str(note.facts.get(name, "")), safe="") for name in ("policy", "target", "run_id")}
    return {
        name: re.sub(r"\{(policy|target|run_id)\}", lambda match: values[match[1]], url)
        for name, url in style.links.items()
        if values["run_id"] or "{run_id}" not in url
    }


def plain(text: str) -> str:
    """The text without its elements; links are written out."""
    text = re.sub(r'<a href="([^"]*)">([^<]*)</a>', r"\2: \1", text)
    return html.unescape(re.sub(r"<[^>]*>", "", text))


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)


def _cut(text: str) -> str:
    return text if len(text) <= _SENTENCE else text[: _SENTENCE - 1] + "…"
