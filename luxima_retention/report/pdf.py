"""The report as PDF/A-3 with the JSON attached, through Typst.

Records reach the template as JSON in ``sys.inputs``, never as markup. Only fonts inside of the wheel are
used, so that the same report gives the same bytes on each machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

from luxima_retention.clock import parse_iso
from luxima_retention.errors import ConfigurationError, StoreError
from luxima_retention.report.minutes import dated, minutes
from luxima_retention.report.model import Report, Verdict
from luxima_retention.report.pdf_texts import TEXTS as OWN
from luxima_retention.report.plain import as_json
from luxima_retention.report.texts import TEXTS

#: rows that page one has room for
_STORES, _EXCEPTIONS, _WEEKS = 10, 5, 53
#: characters of a name on page one; the appendix has it whole
_NAME = 44
_TONES = {
    Verdict.NOTHING_YET: "none",
    Verdict.COMPLIANT: "good",
    Verdict.EXCEPTIONS: "warn",
    Verdict.NOT_COMPLIANT: "bad",
}
#: what the fonts of the wheel have besides, and our own texts use
_TYPOGRAPHIC = "‐–—‘’“”…≤≥→"  # noqa: RUF001
_UNPRINTABLE = re.compile(rf"[^\n\u0020-\u007e\u00a0-\u00ac\u00ae-\u017f{_TYPOGRAPHIC}]")


def as_pdf(report: Report, lang: str) -> bytes:
    """PDF in ``lang``, ``id`` or ``en``; the same report gives the same bytes.

    Raises:
        ConfigurationError: the extra ``pdf`` is not installed.
        StoreError: Typst cannot set the report.
    """
    try:
        import typst
    except ImportError as error:
        raise ConfigurationError(
            "Typst, which sets PDF, is not installed",
            "pip install 'luxima-retention[pdf]', or choose another --format",
        ) from error
    template = (files("luxima_retention.report") / "report.typ").read_bytes()
    try:
        return bytes(
            typst.compile(
                template,
                font_paths=typst.Fonts(include_system_fonts=False),
                sys_inputs={"data": json.dumps(document(report, lang)), "json": as_json(report)},
                pdf_standards=["a-3a", "ua-1"],
                timestamp=int(report.surveyed.timestamp()),
            )
        )
    except typst.TypstError as error:
        raise StoreError(f"the PDF cannot be set: {error.diagnostic}") from error


def printable(value: Any) -> Any:
    r"""The same JSON value; characters that the fonts lack, or that hide, are spelled ``\u{4e2d}``."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", value)
    if isinstance(value, Mapping):
        return {key: printable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [printable(each) for each in value]
    return value


def document(report: Report, lang: str) -> dict[str, Any]:
    """What the template lays out: every string is text, and every figure stands in the report's JSON."""
    values = report.as_json()
    told = {name: text[lang] for name, text in (*TEXTS.items(), *OWN.items())}
    start, end = (f"{instant:%Y-%m-%d %H:%M} UTC" for instant in (report.start, report.end))
    return dict(
        printable(
            {
                "lang": lang,
                "texts": told,
                "title": told["title"],
                "verdict": told[report.verdict],
                "reason": told[f"reason {report.verdict}"],
                "tone": _TONES[report.verdict],
                "broken": report.ledger_error,
                "period": f"{start} … {end}",
                "surveyed": getattr(dated(report.surveyed), lang),
                "footer": f"{told['title']}, {start} … {end}",
                "tiles": _tiles(values, told),
                "exceptions": _page_one_exceptions(values["exceptions"], told),
                "matrix": _matrix(values["stores"], report.surveyed, told),
                "weeks": _weeks(report),
                "highest": _number(max((week["destroyed"] for week in _weeks(report)), default=0)),
                "ledger": _ledger(values, told),
                "appendix": _appendix(values, told),
                "minutes": asdict(minutes(report)),
            }
        )
    )


def _number(value: int | None) -> str:
    """Thin spaces would need another font; a narrow gap of the usual kind reads alike in both languages."""
    return "-" if value is None else f"{value:,}".replace(",", "\u00a0")


def _short(name: str | None) -> str:
    """A name with its middle left out where it is too long for page one."""
    text = name or "-"
    return text if len(text) <= _NAME else f"{text[: _NAME // 2]}…{text[-_NAME // 2 + 1 :]}"


def _tiles(values: Mapping[str, Any], told: Mapping[str, str]) -> list[dict[str, str]]:
    counts = {name: values[name] for name in ("destroyed", "expired", "held")}
    counts["entries"] = values["ledger"]["entries"]
    return [{"label": told[name], "value": _number(count)} for name, count in counts.items()]


def _page_one_exceptions(rows: Sequence[Mapping[str, Any]], told: Mapping[str, str]) -> dict[str, Any]:
    """The newest, since they are what somebody must act on."""
    shown = list(reversed(rows))[:_EXCEPTIONS]
    more = len(rows) - len(shown)
    return {
        "columns": [told[name] for name in ("at", "kind", "policy", "target")],
        "rows": [
            [_minute(row["at"]), row["outcome"] or row["kind"], row["policy"] or "-", _short(row["target"])]
            for row in shown
        ],
        "more": more,
        "rest": told["more exceptions"].format(count=more),
    }


def _matrix(rows: Sequence[Mapping[str, Any]], now: datetime, told: Mapping[str, str]) -> dict[str, Any]:
    """Page one has room for ten: those with the most overdue records first, where not all fit."""
    found = list(rows)
    if len(found) > _STORES:
        found.sort(key=lambda row: (not row["exit_code"], -(row["expired"] or 0)))
    names = ("policy", "retention_days", "oldest", "age", "expired", "held", "word")
    return {
        "columns": [told[name] for name in names],
        "rows": [_store(row, now, told) for row in found[:_STORES]],
        "more": max(0, len(found) - _STORES),
        "rest": told["more stores"].format(count=len(found) - _STORES),
    }


def _store(row: Mapping[str, Any], now: datetime, told: Mapping[str, str]) -> dict[str, Any]:
    age = (now - parse_iso(row["oldest"])) / timedelta(days=1) if row["oldest"] else None
    days = row["retention_days"]
    return {
        "policy": row["policy"],
        "target": _short(row["target"]),
        "limit": days,
        "days": days,
        "age": age,
        "told": "" if age is None else told["age of"].format(age=int(age), days=days),
        "oldest": row["oldest"][:10] if row["oldest"] else "-",
        "expired": _number(row["expired"]),
        "late": bool(row["expired"]),
        "held": _number(row["held"]),
        "word": row["word"],
    }


def _weeks(report: Report) -> list[dict[str, Any]]:
    """Destroyed and refused by week, from Monday, UTC; the newest weeks of a long period."""
    if not report.runs:
        return []
    monday = _monday(report.start)
    last = _monday(max(report.start, min(report.end, report.surveyed) - timedelta(microseconds=1)))
    count = (last - monday).days // 7 + 1
    weeks: list[dict[str, Any]] = [
        {"label": f"{monday + timedelta(weeks=number):%Y-%m-%d}", "destroyed": 0, "refused": 0}
        for number in range(count)
    ]
    for run in report.runs:
        week = weeks[min(count - 1, (_monday(parse_iso(run["at"])) - monday).days // 7)]
        week["destroyed"] += run["destroyed"]
        week["refused"] += run["kind"] in {"run.refused", "slot.missed"}
    return weeks[-_WEEKS:]


def _monday(instant: datetime) -> datetime:
    day = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def _ledger(values: Mapping[str, Any], told: Mapping[str, str]) -> list[dict[str, Any]]:
    ledger = values["ledger"]
    state = told["broken"] if ledger["error"] else told["verified"]
    root = ledger.get("root")
    return [
        {
            "label": told["state"],
            "value": f"{state}. {told['entries']}: {_number(ledger['entries'])}",
            "code": False,
        },
        {"label": told["root"], "value": root or told["no root"], "code": bool(root)},
        {"label": told["verify"], "value": "luxima-retention ledger verify", "code": True},
    ]


def _minute(instant: str) -> str:
    return instant[:16].replace("T", " ")


def _appendix(values: Mapping[str, Any], told: Mapping[str, str]) -> list[dict[str, Any]]:
    stores = (
        ("policy", 14),
        ("target", 24),
        ("retention_days", 7),
        ("oldest", 16),
        ("expired", 10),
        ("held", 9),
        ("word", 12),
    )
    runs = (
        ("seq", 7),
        ("at", 16),
        ("kind", 14),
        ("policy", 14),
        ("target", 22),
        ("outcome", 12),
        ("destroyed", 11),
    )
    return [
        _table(told["matrix"], stores, values["stores"], told),
        _table(told["exceptions"], runs, values["exceptions"], told),
        _table(told["runs"], runs, values["runs"], told),
    ]


def _table(
    title: str,
    columns: Sequence[tuple[str, int]],
    rows: Iterable[Mapping[str, Any]],
    told: Mapping[str, str],
) -> dict[str, Any]:
    figures = {"seq", "retention_days", "expired", "held", "destroyed"}
    return {
        "title": title,
        "columns": [told[name] for name, _ in columns],
        "widths": [width for _, width in columns],
        "right": [number for number, (name, _) in enumerate(columns) if name in figures],
        "rows": [[_cell(row.get(name)) for name, _ in columns] for row in rows],
    }


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return _number(value) if isinstance(value, int) else str(value)
