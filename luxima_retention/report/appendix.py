"""The tables behind page one, declared once for every format that shows them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from luxima_retention.report.controls import CONTROLS
from luxima_retention.report.model import Report
from luxima_retention.report.texts import TEXTS, local_day, text

Row = Mapping[str, Any]


class Kind(StrEnum):
    """What a cell holds; every kind but EXCEPTION may hold ``None``."""

    #: words
    TEXT = "text"
    #: an integer
    COUNT = "count"
    #: an instant, ISO 8601
    TIME = "time"
    #: two instants
    SPAN = "span"
    #: a hash of which the beginning is enough, since it stands elsewhere whole
    SHORT = "short"
    #: a hash, whole, on a line of its own so that it can be searched for
    HASH = "hash"
    #: names and their values, words or integers
    PAIRS = "pairs"
    #: an exception, as in the report's JSON
    EXCEPTION = "exception"


#: kind and value
Cell = tuple[Kind, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column.

    Args:
        heading: key of its text.
        width: among the others of its table.
        cell: what stands in a row, in one language.
        numeric: whether figures stand in it.
    """

    heading: str
    width: int
    cell: Callable[[Row, str], Cell]
    numeric: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Annex:
    """A table with its title in one language; ``note`` may be empty."""

    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def caption(self) -> str:
        """The title without its letter."""
        return self.title.partition(". ")[2]


def appendix(report: Report, lang: str) -> Iterator[Annex]:
    """Every table, in the order of its letters."""
    for name, (columns, rows) in _PARTS.items():
        note = f"{name[2:]} note"
        yield Annex(
            title=text(name, lang),
            note=text(note, lang) if note in TEXTS else "",
            columns=columns,
            rows=tuple(tuple(column.cell(row, lang) for column in columns) for row in rows(report)),
        )


def _member(kind: Kind, name: str, width: int, heading: str = "") -> Column:
    """A member of the row as it is."""
    return Column(
        heading=heading or name,
        width=width,
        cell=lambda row, _: (kind, row[name]),
        numeric=kind is Kind.COUNT,
    )


def _text(name: str, width: int, heading: str = "") -> Column:
    return _member(Kind.TEXT, name, width, heading)


def _count(name: str, width: int, heading: str = "") -> Column:
    return _member(Kind.COUNT, name, width, heading)


def _time(name: str, width: int, heading: str = "") -> Column:
    return _member(Kind.TIME, name, width, heading)


def _said(heading: str, width: int, say: Callable[[Row, str], str]) -> Column:
    """Words that are made from the row."""
    return Column(heading=heading, width=width, cell=lambda row, lang: (Kind.TEXT, say(row, lang)))


def _weight(row: Row, lang: str) -> str:
    return text("breaks" if row["failed"] else "attention", lang)


def _kind(row: Row, lang: str) -> str:
    resumed = row.get("resumed") and row["outcome"] != "not completed"
    return text("kind resumed" if resumed else f"kind {row['kind']}", lang)


def _outcome(row: Row, lang: str) -> str:
    return text(f"outcome {row['outcome']}", lang) if row["outcome"] else ""


def _method(row: Row, lang: str) -> str:
    """What happened to the records: the machine's word stands in the report's JSON."""
    if row["kind"] == "rotation":
        return text("method rotation", lang)
    return text("method archived" if row["archived"] else "method destroyed", lang)


def _balance(row: Row, _: str) -> Cell:
    """What became of the plan, and what the second survey found; names have texts of their own."""
    names = ("bytes", "held", "locked", "failures", "left", "unexplained")
    gone = row["destroyed"] + row["condemned"] + (row["earlier"] or 0)
    told = {"planned": row["planned"] if row["planned"] != gone else None}
    told |= {name: row[name] for name in names} | row["explained"]
    told |= {name: local_day(row[name]) for name in ("oldest_left", "gone_by") if row[name]}
    told["plan"] = (row["digest"] or "")[:12] or None
    return Kind.PAIRS, {name: value for name, value in told.items() if value not in (None, 0)}


def _evidence(row: Row, _: str) -> Cell:
    """What the store says besides; the text of a query is long, and stands in the report's JSON."""
    return Kind.PAIRS, {
        name: value for name, value in row["evidence"].items() if not name.startswith("query")
    }


def _names(row: Row, lang: str) -> str:
    return ", ".join(row["names"]) or text("everything", lang)


def _rule(row: Row, lang: str) -> str:
    return text(f"rule {row['rule']}", lang)


def _compared(row: Row, lang: str) -> str:
    return text({True: "clash", False: "no clash", None: "no number"}[row["clash"]], lang)


def _released(row: Row, lang: str) -> Cell:
    if row["released"]:
        return Kind.TIME, row["released"]
    return Kind.TEXT, text("in force", lang)


def spans(seqs: Iterable[int]) -> str:
    """``3, 7-9``: neighbours together; empty for none."""
    found: list[list[int]] = []
    for seq in sorted(seqs):
        if found and seq == found[-1][1] + 1:
            found[-1][1] = seq
        else:
            found.append([seq, seq])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def _by_week(report: Report) -> Iterator[Row]:
    """A row for each policy of each week."""
    for week in report.weeks:
        for policy in report.policies:
            if counts := week["policies"].get(policy):
                yield {"week": f"{week['week']} ({week['monday']})", "policy": policy, **counts}


_SEQ = _text("seq", 6)
_AT = _time("at", 15)
_WHERE = (_text("policy", 14), _text("target", 24))
#: the columns of each table, and its rows
_PARTS: Mapping[str, tuple[tuple[Column, ...], Callable[[Report], Iterable[Row]]]] = {
    "a exceptions": (
        (
            _said("weight", 12, _weight),
            *_WHERE,
            Column(heading="exception", width=50, cell=lambda row, _: (Kind.EXCEPTION, row)),
            _time("since", 15, "first seen"),
            _time("at", 15, "last seen"),
            _said("settle", 36, lambda row, lang: row["settle"][lang]),
            _said("seqs", 12, lambda row, _: spans(row["seqs"])),
        ),
        lambda report: report.exceptions,
    ),
    "b weeks": (
        (
            _text("week", 24),
            _text("policy", 24),
            _count("destroyed", 14, "removed"),
            *(_count(name, 14) for name in ("runs", "missed", "refused")),
        ),
        _by_week,
    ),
    "c runs": (
        (
            _SEQ,
            _AT,
            _said("kind", 14, _kind),
            *_WHERE,
            _said("outcome", 12, _outcome),
            _time("cutoff", 15),
            _count("planned", 12),
            _count("destroyed", 12, "removed"),
            *(_count(name, 9) for name in ("held", "left", "missed")),
            _member(Kind.SHORT, "hash", 14),
        ),
        lambda report: report.runs,
    ),
    "d records": (
        (
            _SEQ,
            _AT,
            *_WHERE,
            _said("method", 12, _method),
            _time("cutoff", 15),
            _count("destroyed", 13, "removed"),
            _count("condemned", 14, "pending"),
            Column(heading="span", width=26, cell=lambda row, _: (Kind.SPAN, (row["first"], row["last"]))),
            Column(heading="balance", width=30, cell=_balance),
            _member(Kind.SHORT, "archive_sha256", 14, "archive"),
            _member(Kind.SHORT, "hash", 14),
        ),
        lambda report: report.records,
    ),
    "e guards": (
        (
            _SEQ,
            _AT,
            _said("kind", 16, _kind),
            *_WHERE,
            *(_text(name, 14) for name in ("guard", "observed")),
            _text("limit", 14, "limit or after"),
            _text("override", 14),
        ),
        lambda report: report.guards,
    ),
    "f holds": (
        (
            _text("hold_id", 16, "hold"),
            _text("policy", 14),
            _said("names", 20, _names),
            Column(heading="range", width=28, cell=lambda row, _: (Kind.SPAN, (row["start"], row["end"]))),
            _time("placed", 15),
            Column(heading="released", width=15, cell=_released),
            _member(Kind.HASH, "sha256", 0, "hash"),
        ),
        lambda report: report.holds,
    ),
    "g archives": (
        (
            _SEQ,
            _AT,
            _said("kind", 16, _kind),
            _text("manifest", 36),
            _count("parts", 8),
            _count("items", 11, "count"),
            _count("bytes", 13),
            _member(Kind.HASH, "sha256", 0, "archive"),
            _time("keep_until", 15),
        ),
        lambda report: report.archives,
    ),
    "h clocks": (
        (
            *_WHERE,
            _count("measured", 14),
            _count("largest", 14),
            _time("at", 15),
            _count("survey", 14, "survey skew"),
        ),
        lambda report: report.clocks,
    ),
    "i queries": (
        (
            *_WHERE,
            _count("retention_days", 8),
            _time("cutoff", 15),
            _count("population", 13),
            *(_count(name, 11) for name in ("expired", "held", "locked", "undated", "future", "pending")),
            Column(heading="evidence", width=36, cell=_evidence),
            Column(
                heading="query", width=0, cell=lambda row, _: (Kind.HASH, row["evidence"].get("query_sha256"))
            ),
        ),
        lambda report: report.queries,
    ),
    "j rules": (
        (
            _text("cites", 22),
            _said("rule", 56, _rule),
            _text("policy", 16),
            _count("asks_days", 11, "asks"),
            _count("kept_days", 13, "kept days"),
            _said("compared", 16, _compared),
        ),
        lambda report: report.rules,
    ),
    "k controls": (
        (
            Column(heading="cites", width=22, cell=lambda row, _: (Kind.TEXT, row["control"].cites)),
            _said("control asks", 50, lambda row, lang: row["control"].asks[lang]),
            _said("control found", 50, lambda row, lang: row["control"].found[lang]),
        ),
        lambda _: [{"control": control} for control in CONTROLS],
    ),
}
