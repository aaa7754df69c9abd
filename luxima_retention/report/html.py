"""The report as one self-contained HTML file: no script, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from luxima_retention.clock import parse_iso
from luxima_retention.matrix import BY_NAME
from luxima_retention.report.minutes import dated, minutes
from luxima_retention.report.model import Report
from luxima_retention.report.texts import LIMITS, TEXTS, number

Row = Mapping[str, Any]

_WIB = ZoneInfo("Asia/Jakarta")
#: exceptions told on page one; the rest stands in the appendix
_TOLD = 8
#: room right of the limit in a bar, so that what is beyond it can be seen
_ROOM = 1.25
#: characters of a hash in tables where the entry's number stands beside it
_SHORT = 12
#: exceptions whose detail is a sentence of the program, which speaks English
_QUOTED = frozenset({"survey", "would-refuse", "not-yet-provable"})
_SYMBOLS = {
    "within": "✓",
    "waiting": "…",
    "overdue": "✗",
    "unknown": "?",
    "kept": "✓",
    "empty": "○",
    "failed": "✗",
    "not configured": "!",
    "not applicable": "○",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its heading, what stands in the cell of a row, and whether that is a number."""

    label: str
    cell: Callable[[Row], Any]
    numeric: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A caption, columns, rows; the first cell of a row is its heading."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]


def as_html(report: Report, lang: str) -> str:
    """HTML in ``lang``, ``id`` or ``en``; the same report gives the same bytes."""
    from jinja2 import Environment, StrictUndefined

    source = (files("luxima_retention.report") / "report.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source).render(_Page(report, lang).values())


class _Page:
    """The report in the words of one language.

    Args:
        report: what is told.
        lang: ``id`` or ``en``.
    """

    def __init__(self, report: Report, lang: str) -> None:
        self.report = report
        self.lang = lang
        self.json = report.as_json()

    def values(self) -> dict[str, Any]:
        """What the template names."""
        return {
            "lang": self.lang,
            "t": self.text,
            "r": self.json,
            "verdict": str(self.report.verdict),
            "why": self._why(),
            "oldest": self._oldest(),
            "start": getattr(dated(self.report.start), self.lang),
            "end": getattr(dated(self.report.end), self.lang),
            "surveyed": getattr(dated(self.report.surveyed), self.lang),
            "tiles": self._tiles(),
            "told": [self._exception(item) for item in self.report.exceptions[:_TOLD]],
            "more": max(0, len(self.report.exceptions) - _TOLD),
            "stores": [self._store(row, place) for place, row in enumerate(self.report.stores)],
            "weeks": self._weeks(),
            "ledger": self._ledger(),
            "clashes": sum(row["clash"] is True for row in self.report.rules),
            "appendix": self._appendix(),
            "limits": [limit[self.lang] for limit in LIMITS],
            "minutes": minutes(self.report),
            "say": lambda text: getattr(text, self.lang),
            "number": self.number,
        }

    # --- words ----------------------------------------------------------------------------------------

    def text(self, key: str, **values: Any) -> str:
        """A text of :data:`TEXTS`."""
        found = TEXTS[key][self.lang]
        return found.format(**values) if values else found

    def number(self, value: int | None) -> str:
        """In the language's own form."""
        return number(value, self.lang)

    def when(self, instant: str | None) -> Any:
        """An instant in both zones."""
        if instant is None:
            return number(None, self.lang)
        return _when(parse_iso(instant))

    # --- page one ---------------------------------------------------------------------------------------

    def _why(self) -> str:
        items = self.report.exceptions
        if self.report.ledger_error:
            return self.text("why broken")
        counts = {
            "count": self.number(len(items)),
            "failed": self.number(sum(bool(item.get("failed")) for item in items)),
        }
        return self.text(f"why {self.report.verdict}", **counts)

    def _oldest(self) -> str | None:
        """The store whose oldest record has come nearest to its limit, or furthest beyond it."""
        known = [row for row in self.report.stores if row["age_days"] is not None]
        if not known:
            return None
        row = max(known, key=lambda row: row["age_days"] / row["retention_days"])
        of = self.text("of days", age=self.number(row["age_days"]), limit=self.number(row["retention_days"]))
        return self.text("oldest of all", where=f"{row['policy']} {row['target']}", of=of)

    def _tiles(self) -> list[tuple[str, str, str]]:
        told, say = self.json, self.number
        runs = sum(row["kind"].startswith("run.") for row in self.report.runs)
        whole = "not verified" if self.report.ledger_error or told["ledger"]["size"] is None else "verified"
        notes = {"entries": say(self.report.entries), "anchors": say(len(self.report.ledger.anchors))}
        return [
            ("destroyed", say(told["destroyed"]), self.text("destroyed note", runs=say(runs))),
            ("overdue", say(told["overdue"]), self.text("overdue note", expired=say(told["expired"]))),
            ("held", say(told["held"]), self.text("held note", holds=say(len(self.report.holds)))),
            ("ledger", self.text(whole), self.text("entries note", **notes)),
        ]

    def _exception(self, item: Row) -> dict[str, Any]:
        detail: Any = item["detail"]
        if item["code"] in _QUOTED:
            detail = Markup('<q lang="en">{}</q>').format(detail)
        elif detail:
            detail = Markup('<code lang="en">{}</code>').format(detail)
        told = escape(TEXTS[f"exception {item['code']}"][self.lang])
        return {
            "failed": item["failed"],
            "weight": self.text("breaks" if item["failed"] else "attention"),
            "where": " ".join(filter(None, (item["policy"], item["target"]))),
            "what": told.format(count=self.number(item["count"]), detail=detail),
        }

    def _store(self, row: Row, place: int) -> dict[str, Any]:
        say, due = self.number, row["pending_due"]
        others = [
            f"{self.text(name)} {say(row[name])}" for name in ("locked", "undated", "future") if row[name]
        ]
        return {
            "log_type": row["log_type"],
            "policy": row["policy"],
            "target": row["target"] or row["storage"],
            "oldest": self.when(row["oldest"]),
            "limit": self.text("limit days", limit=row["retention_days"]),
            "bar": self._bar(row, place),
            "counts": [(name, say(row[name])) for name in ("expired", "overdue", "held")],
            "pending": say(row["pending"]),
            "due": self.text("due", when="").strip() if due and row["pending"] else "",
            "due_when": self.when(due) if due and row["pending"] else "",
            "others": ", ".join(others) or say(None if row["locked"] is None else 0),
            "state": row["state"],
            "symbol": _SYMBOLS[row["state"]],
            "word": self.text(f"state {row['state']}"),
        }

    def _bar(self, row: Row, place: int) -> dict[str, Any] | None:
        """Widths in per cent; ``None`` where no oldest record is known."""
        age, limit = row["age_days"], row["retention_days"]
        if age is None:
            return None
        whole = max(limit * _ROOM, age)
        return {
            "name": f"bar-{place}",
            "title": self.text("bar", age=self.number(age), limit=self.number(limit)),
            "within": f"{100 * min(max(age, 0), limit) / whole:.2f}",
            "beyond": f"{100 * max(0, age - limit) / whole:.2f}",
            "limit": f"{100 * limit / whole:.2f}",
            "told": self.text("of days", age=self.number(age), limit=self.number(limit)),
        }

    def _weeks(self) -> list[dict[str, Any]]:
        """A strip for each policy that took part, each with its own scale."""
        weeks = self.report.weeks
        names = {name for week in weeks for name in week["policies"]}
        order = [name for name in BY_NAME if name in names]
        return [self._strip(name, place) for place, name in enumerate(order)]

    def _strip(self, policy: str, place: int) -> dict[str, Any]:
        nothing = {"destroyed": 0, "runs": 0, "missed": 0, "refused": 0}
        counts = [week["policies"].get(policy, nothing) for week in self.report.weeks]
        most = max(count["destroyed"] for count in counts)
        sums = {name: self.number(sum(count[name] for count in counts)) for name in nothing}
        step = 100 / len(counts)
        return {
            "name": f"weeks-{place}",
            "policy": policy,
            "sums": self.text("activity sum", **sums),
            "title": self.text(
                "activity image", policy=policy, weeks=len(counts), most=self.number(most), **sums
            ),
            "bars": [
                {
                    "x": f"{number * step + step * 0.1:.2f}",
                    "width": f"{step * 0.8:.2f}",
                    # What is not nought can be seen, however small.
                    "height": max(2, round(36 * count["destroyed"] / most)) if count["destroyed"] else 0,
                    "missed": count["missed"],
                    "refused": count["refused"],
                }
                for number, count in enumerate(counts)
            ],
        }

    def _ledger(self) -> list[tuple[str, Any, bool]]:
        """Label, value, and whether the value is for machines."""
        state, told = self.report.ledger, self.number
        signed = self.text("unsigned")
        if state.key:
            pinned = self.text("pinned" if state.pinned else "not pinned")
            values = {"signed": told(state.signed), "entries": told(state.size), "pinned": pinned}
            signed = self.text("signed note", checkpoints=told(state.checkpoints), **values)
        return [
            (self.text("entries"), told(self.report.entries), False),
            (self.text("root"), state.root or self.text("not told"), bool(state.root)),
            (self.text("head"), state.head or self.text("not told"), bool(state.head)),
            (self.text("signed"), signed, False),
            (self.text("anchors"), ", ".join(state.anchors) or self.text("no anchors"), bool(state.anchors)),
            (self.text("verify"), state.command, True),
        ]

    # --- appendix ---------------------------------------------------------------------------------------

    def _appendix(self) -> list[tuple[str, str | None, list[Table]]]:
        """Heading, a sentence, tables."""
        report = self.report
        return [
            ("a exceptions", None, [self._table("exceptions", self._of_exceptions(), report.exceptions)]),
            ("b weeks", None, [self._table("activity", self._of_weeks(), self._by_week())]),
            ("c runs", "runs note", [self._table("runs", self._of_runs(), report.runs)]),
            ("d records", None, [self._table("d records", self._of_records(), report.records)]),
            ("e guards", None, [self._table("e guards", self._of_guards(), report.guards)]),
            ("f holds", None, [self._table("f holds", self._of_holds(), report.holds)]),
            ("g archives", None, [self._table("g archives", self._of_archives(), report.archives)]),
            ("h clocks", None, [self._table("h clocks", self._of_clocks(), report.clocks)]),
            ("i queries", None, [self._table("i queries", self._of_queries(), report.queries)]),
            ("j rules", "rules note", [self._table("j rules", self._of_rules(), report.rules)]),
        ]

    def _table(self, caption: str, columns: Sequence[Column], rows: Sequence[Row]) -> Table:
        told = self.text(caption).partition(". ")
        return Table(caption=told[2] or told[0], columns=columns, rows=rows)

    def _plain(self, name: str, label: str | None = None) -> Column:
        return Column(label=self.text(label or name), cell=lambda row: _dash(row[name]))

    def _count(self, name: str, label: str | None = None) -> Column:
        return Column(label=self.text(label or name), cell=lambda row: self.number(row[name]), numeric=True)

    def _time(self, name: str, label: str | None = None) -> Column:
        return Column(label=self.text(label or name), cell=lambda row: self.when(row[name]))

    def _code(self, name: str, label: str | None = None, size: int | None = None) -> Column:
        return Column(label=self.text(label or name), cell=lambda row: _code(row[name], size))

    def _kind(self) -> Column:
        return Column(label=self.text("kind"), cell=self._kind_of)

    def _kind_of(self, row: Row) -> str:
        return self.text(
            "kind resumed"
            if row.get("resumed") and row["outcome"] != "not completed"
            else f"kind {row['kind']}"
        )

    def _where(self) -> tuple[Column, Column]:
        return self._plain("policy"), self._plain("target")

    def _of_exceptions(self) -> tuple[Column, ...]:
        return (
            Column(label=self.text("weight"), cell=lambda row: self._exception(row)["weight"]),
            *self._where(),
            Column(label=self.text("exception"), cell=lambda row: self._exception(row)["what"]),
            self._time("since", "first seen"),
            self._time("at", "last seen"),
            Column(label=self.text("seqs"), cell=lambda row: _spans(row["seqs"])),
        )

    def _of_weeks(self) -> tuple[Column, ...]:
        counts = ("destroyed", "runs", "missed", "refused")
        return (
            Column(label=self.text("week"), cell=lambda row: f"{row['week']} ({row['monday']})"),
            self._plain("policy"),
            *(self._count(name) for name in counts),
        )

    def _by_week(self) -> list[Row]:
        """A row for each policy of each week."""
        return [
            {"week": week["week"], "monday": week["monday"], "policy": policy, **week["policies"][policy]}
            for week in self.report.weeks
            for policy in BY_NAME
            if policy in week["policies"]
        ]

    def _of_runs(self) -> tuple[Column, ...]:
        return (
            self._plain("seq"),
            self._time("at"),
            self._kind(),
            *self._where(),
            self._plain("outcome"),
            self._time("cutoff"),
            *(self._count(name) for name in ("planned", "destroyed", "held", "left", "missed")),
            self._code("hash", size=_SHORT),
        )

    def _of_records(self) -> tuple[Column, ...]:
        return (
            self._plain("seq"),
            self._time("at"),
            *self._where(),
            self._plain("method"),
            self._time("cutoff"),
            self._count("destroyed"),
            self._count("condemned", "pending"),
            Column(
                label=self.text("span"),
                cell=lambda row: Markup("{} … {}").format(self.when(row["first"]), self.when(row["last"])),
            ),
            self._code("archive_sha256", "archive"),
            self._code("hash"),
        )

    def _of_guards(self) -> tuple[Column, ...]:
        names = ("guard", "observed", "limit", "override")
        return (self._plain("seq"), self._time("at"), self._kind(), *self._where(), *map(self._plain, names))

    def _of_holds(self) -> tuple[Column, ...]:
        return (
            self._plain("hold_id", "hold"),
            self._plain("policy"),
            Column(
                label=self.text("names"),
                cell=lambda row: ", ".join(row["names"]) or self.text("everything"),
            ),
            self._time("placed"),
            Column(
                label=self.text("released"),
                cell=lambda row: self.when(row["released"]) if row["released"] else self.text("in force"),
            ),
            self._code("sha256", "hash"),
        )

    def _of_archives(self) -> tuple[Column, ...]:
        return (
            self._plain("seq"),
            self._time("at"),
            self._kind(),
            self._plain("manifest"),
            self._count("parts"),
            self._count("items", "count"),
            self._count("bytes"),
            self._code("sha256", "archive"),
            self._time("keep_until"),
        )

    def _of_clocks(self) -> tuple[Column, ...]:
        return (
            *self._where(),
            self._count("measured"),
            self._count("largest"),
            self._time("at"),
            self._count("survey", "survey skew"),
        )

    def _of_queries(self) -> tuple[Column, ...]:
        counts = ("population", "expired", "held", "locked", "undated", "future", "pending")
        return (
            *self._where(),
            self._count("retention_days"),
            self._time("cutoff"),
            *(self._count(name) for name in counts),
            Column(label=self.text("evidence"), cell=lambda row: _evidence(row["evidence"])),
        )

    def _of_rules(self) -> tuple[Column, ...]:
        words = {True: "clash", False: "no clash", None: "no number"}
        return (
            self._plain("cites"),
            Column(label=self.text("rule"), cell=lambda row: self.text(f"rule {row['rule']}")),
            self._plain("policy"),
            self._count("asks_days", "asks"),
            self._count("kept_days", "kept days"),
            Column(label=self.text("compared"), cell=lambda row: self.text(words[row["clash"]])),
        )


def _dash(value: Any) -> Any:
    return number(None, "en") if value is None or value == "" else value


def _when(instant: datetime) -> Markup:
    """``2026-11-24 09:00 WIB (02:00 UTC)``; the other day is named where it is another."""
    local, utc = instant.astimezone(_WIB), instant.astimezone(UTC)
    day = "" if utc.date() == local.date() else f"{utc:%m-%d} "
    return Markup(
        '<time datetime="{}"><span>{} WIB</span> <span class="utc">({}{} UTC)</span></time>'
    ).format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{local:%Y-%m-%d %H:%M}", day, f"{utc:%H:%M}")


def _code(value: str | None, size: int | None) -> Any:
    if not value:
        return _dash(None)
    if size is None:
        return Markup("<code>{}</code>").format(value)
    return Markup('<code class="short">{}…</code>').format(value[:size])


def _evidence(values: Mapping[str, str]) -> Any:
    if not values:
        return _dash(None)
    return Markup("; ").join(
        Markup("{} = <code>{}</code>").format(name, value) for name, value in values.items()
    )


def _spans(seqs: Iterable[int]) -> str:
    """``3, 7-9``: neighbours together."""
    spans: list[list[int]] = []
    for seq in sorted(seqs):
        if spans and seq == spans[-1][1] + 1:
            spans[-1][1] = seq
        else:
            spans.append([seq, seq])
    told = (str(first) if first == last else f"{first}-{last}" for first, last in spans)
    return ", ".join(told) or _dash(None)
