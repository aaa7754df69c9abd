"""What page one says, in the words of one language; HTML and PDF only lay it out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from luxima_retention.report.model import Report
from luxima_retention.report.texts import detailed, happened, local_day, number, place, text

Row = Mapping[str, Any]

#: room right of the limit in a bar, so that what is beyond it can be seen
_ROOM = 1.25
#: states of stores that add nothing to the sums, because nobody knows what is in them
_UNKNOWN = frozenset({"failed", "unknown", "not_configured"})
_NOTHING = {"destroyed": 0, "runs": 0, "missed": 0, "refused": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One of the four figures."""

    label: str
    figure: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line about the ledger; ``code`` when the value is for machines."""

    label: str
    value: str
    code: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The age of the oldest record against its limit, as shares of the whole bar's length."""

    within: float
    beyond: float
    limit: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """``share`` of the tallest week of its strip."""

    share: float
    missed: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The weeks of one policy; each strip has its own scale."""

    policy: str
    sums: str
    title: str
    weeks: tuple[Week, ...]


def why(report: Report, lang: str) -> str:
    """Why the verdict is what it is, and whether the period is over."""
    said = _why(report, lang)
    return said if report.end <= report.surveyed else f"{said} {text('not over', lang)}"


def _why(report: Report, lang: str) -> str:
    if report.ledger_error:
        return text("why broken", lang)
    failed = [item for item in report.exceptions if item["failed"]]
    counts = {"count": number(len(report.exceptions), lang), "failed": number(len(failed), lang)}
    first = f"{place(failed[0])}: {happened(failed[0], lang, detailed(failed[0], lang))}" if failed else ""
    return text(f"why {report.verdict}", lang, **counts, first=first)


def oldest(report: Report, lang: str) -> str:
    """The store whose oldest record came nearest to its limit, or furthest beyond it; empty if none did.

    Records that are older with a reason, such as a legal hold, are not what a verdict is about.
    """
    known = [row for row in report.stores if row["age_days"] is not None and row["state"] != "kept"]
    if not known:
        return ""
    row = max(known, key=lambda row: row["age_days"] / row["retention_days"])
    where = f"{row['policy']} {row['target']}"
    return text("oldest of all", lang, where=where, of=age(row, lang))


def when(item: Row, lang: str) -> str:
    """Since when an exception is there, by Jakarta's days; empty where that is not known."""
    since, at = (local_day(item[name]) if item[name] else "" for name in ("since", "at"))
    if not since:
        return ""
    if item["kind"] == "survey" and since == at:
        return text("found when", lang, at=at)
    return text("from to when" if at and at != since else "since when", lang, since=since, at=at)


def age(row: Row, lang: str) -> str:
    """``181 of 180 days``, or the limit alone where no oldest record is known."""
    limit = number(row["retention_days"], lang)
    if row["age_days"] is None:
        return text("limit days", lang, limit=limit)
    return text("of days", lang, age=number(row["age_days"], lang), limit=limit)


def bar(row: Row, lang: str) -> Bar | None:
    """``None`` where no oldest record is known."""
    days, limit = row["age_days"], row["retention_days"]
    if days is None:
        return None
    whole = max(limit * _ROOM, days)
    return Bar(
        within=min(max(days, 0), limit) / whole,
        beyond=max(0, days - limit) / whole,
        limit=limit / whole,
        title=text("bar", lang, age=number(days, lang), limit=number(limit, lang)),
    )


def tiles(report: Report, lang: str) -> Iterator[Tile]:
    """Destroyed, overdue, held, and the state of the ledger."""
    told = report.as_json()
    notes = {
        "destroyed": {"runs": sum(bool(row["destroyed"]) for row in report.runs)},
        "overdue": {"expired": told["expired"]},
        "held": {"holds": len(report.holds)},
    }
    unknown = sum(row["state"] in _UNKNOWN for row in report.stores)
    for name, counts in notes.items():
        values = {key: number(count, lang) for key, count in counts.items()}
        note = text(f"{name} note", lang, **values)
        if name == "destroyed" and report.archived:
            note += _moved(report, lang)
        if unknown and name != "destroyed":
            note += text("unknown note", lang, count=number(unknown, lang))
        yield Tile(label=text(name, lang), figure=number(told[name], lang), note=note)
    broken = report.ledger_error or report.ledger.size is None
    yield Tile(
        label=text("ledger", lang),
        figure=text("not verified" if broken else "verified", lang),
        note=text(
            "entries note",
            lang,
            entries=number(report.entries, lang),
            anchors=number(len(report.ledger.anchors), lang),
        ),
    )


def _moved(report: Report, lang: str) -> str:
    """What left its store and is kept in the archive, and until when."""
    until = max((row["kept_until"] for row in report.runs if row["kept_until"]), default=None)
    day = local_day(until) if until else text("not told", lang)
    return text("archived note", lang, count=number(report.archived, lang), day=day)


def ledger(report: Report, lang: str) -> Iterator[Line]:
    """What verifying it showed, and how to do it again."""
    state, unknown = report.ledger, text("not told", lang)
    anchors = ", ".join(state.anchors)
    lines = (
        ("entries", number(report.entries, lang), False),
        ("root", state.root or unknown, bool(state.root)),
        ("head", state.head or unknown, bool(state.head)),
        ("signed", _signed(report, lang), False),
        ("anchors", anchors or text("no anchors", lang), bool(anchors)),
        ("verify", state.command, True),
    )
    return (Line(label=text(name, lang), value=value, code=code) for name, value, code in lines)


def _signed(report: Report, lang: str) -> str:
    state = report.ledger
    if not state.key:
        return text("unsigned", lang)
    return text(
        "signed note",
        lang,
        signed=number(state.signed, lang),
        entries=number(state.size, lang),
        checkpoints=number(state.checkpoints, lang),
        pinned=text("pinned" if state.pinned else "not pinned", lang),
    )


def clashes(report: Report, lang: str) -> str:
    """How many well-known rules the matrix clashes with; empty if none."""
    count = sum(row["clash"] is True for row in report.rules)
    return text("rule note", lang, count=number(count, lang)) if count else ""


def strips(report: Report, lang: str) -> Iterator[Strip]:
    """A strip for each policy that took part in any week."""
    names = {name for week in report.weeks for name in week["policies"]}
    return (_strip(report, name, lang) for name in report.policies if name in names)


def _strip(report: Report, policy: str, lang: str) -> Strip:
    counts = [week["policies"].get(policy, _NOTHING) for week in report.weeks]
    most = max(count["destroyed"] for count in counts)
    sums = {name: number(sum(count[name] for count in counts), lang) for name in _NOTHING}
    title = {"policy": policy, "weeks": number(len(counts), lang), "most": number(most, lang)}
    return Strip(
        policy=policy,
        sums=text("activity sum", lang, **sums),
        title=text("activity image", lang, **title, **sums),
        weeks=tuple(
            Week(
                share=count["destroyed"] / most if most else 0,
                missed=count["missed"],
                refused=count["refused"],
            )
            for count in counts
        ),
    )
