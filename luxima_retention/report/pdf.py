"""The report as PDF/A-3 with the JSON attached, through Typst.

Records reach the template as JSON in ``sys.inputs``, never as markup. Only fonts inside of the wheel are
used, so that the same report gives the same bytes on each machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from typing import Any

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import ConfigurationError, StoreError
from luxima_retention.report import page_one
from luxima_retention.report.appendix import Annex, Cell, Kind, appendix
from luxima_retention.report.minutes import dated, minutes
from luxima_retention.report.model import Report, Verdict
from luxima_retention.report.plain import as_json, table_as_csv
from luxima_retention.report.texts import (
    LIMITS,
    TEXTS,
    WIB,
    called,
    detailed,
    happened,
    local_day,
    number,
    place,
    text,
    valued,
)

Row = Mapping[str, Any]
#: texts of the page, in its language
Told = Mapping[str, str]

#: rows that page one has room for
_STORES, _EXCEPTIONS = 8, 5
#: rows of a table that are set; a longer one is attached whole, as CSV, since Typst holds all pages in memory
_ROWS = 250
#: characters of a name and of a sentence on page one
_NAME, _SENTENCE = 36, 104
#: characters of a hash in tables where the entry's number stands beside it
_SHORT = 12
_TONES = {
    Verdict.NOTHING_YET: "none",
    Verdict.COMPLIANT: "good",
    Verdict.EXCEPTIONS: "warn",
    Verdict.NOT_COMPLIANT: "bad",
}
#: what the fonts of the wheel have besides, and our own texts use
_TYPOGRAPHIC = "‐–—‘’“”…≤≥→"  # noqa: RUF001
_GAP = "\u200b"
_LONG, _SOLID, _MARKS = re.compile(r"\S{13,}"), re.compile(r".{15,}"), re.compile(r"(?<=[-_./:=])")
_FEW = re.compile(".{1,4}")
#: stands on one line wherever it is shown whole
_HASH = re.compile("[0-9a-f]{64}")
_UNPRINTABLE = re.compile(rf"[^\n\u0020-\u007e\u00a0-\u00ac\u00ae-\u017f{_TYPOGRAPHIC}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A CSV file that goes into the PDF."""

    name: str
    description: str
    text: str


def as_pdf(report: Report, lang: str) -> bytes:
    """PDF in ``lang``, ``id`` or ``en``; the same report gives the same bytes.

    Raises:
        ConfigurationError: the extra ``pdf`` is not installed.
        StoreError: Typst cannot set the report.
    """
    return typeset("report.typ", document(report, lang), as_json(report), report.surveyed)


def typeset(template: str, values: Mapping[str, Any], figures: str, at: datetime) -> bytes:
    """PDF/A of pages of ours: ``base.typ`` and the template, beside this module.

    Args:
        template: its file.
        values: what it lays out, as JSON values.
        figures: JSON that is attached.
        at: when it was written.

    Raises:
        ConfigurationError: the extra ``pdf`` is not installed.
        StoreError: Typst cannot set it.
    """
    try:
        import typst
    except ImportError as error:
        raise ConfigurationError(
            "Typst, which sets PDF, is not installed",
            "pip install 'luxima-retention[pdf]', or choose another --format",
        ) from error
    here = files("luxima_retention.report")
    source = b"\n".join((here / name).read_bytes() for name in ("base.typ", template))
    try:
        return bytes(
            typst.compile(
                source,
                font_paths=typst.Fonts(include_system_fonts=False),
                sys_inputs={"data": json.dumps(values), "json": figures},
                pdf_standards=["a-3a", "ua-1"],
                timestamp=int(at.timestamp()),
            )
        )
    except typst.TypstError as error:
        raise StoreError(f"the PDF cannot be set: {error.diagnostic}") from error


def printable(text: str) -> str:
    r"""Characters that the fonts lack, or that hide, are spelled ``\u{4e2d}``."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def breakable(text: str) -> str:
    """Words too long for a column get places to break: behind a mark, or every few characters."""
    return _LONG.sub(_broken, text)


def _broken(word: re.Match[str]) -> str:
    if _HASH.fullmatch(word[0]):
        return word[0]
    return _GAP.join(
        _SOLID.sub(lambda solid: _GAP.join(_FEW.findall(solid[0])), part) for part in _MARKS.split(word[0])
    )


def _each(change: Callable[[str], str], value: Any) -> Any:
    """The same JSON value with every string changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _each(change, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_each(change, each) for each in value]
    return value


def document(report: Report, lang: str) -> dict[str, Any]:
    """What the template lays out: every string is text, and every figure stands in the report's JSON."""
    told = {name: words[lang] for name, words in TEXTS.items()}
    start, end = (getattr(dated(instant), lang) for instant in (report.start, report.end))
    parts = [_laid_out(part, lang) for part in appendix(report, lang)]
    listed, list_file = _minutes(report)
    made: dict[str, Any] = {
        "lang": lang,
        "texts": told,
        "title": told["title"],
        "verdict": told[report.verdict],
        "reason": [
            _cut(page_one.why(report, lang), 2 * _SENTENCE),
            _cut(page_one.oldest(report, lang), _SENTENCE),
        ],
        "tone": _TONES[report.verdict],
        "broken": report.ledger_error and _cut(report.ledger_error, 2 * _SENTENCE),
        "period": f"{start} {told['until']} {end}",
        "surveyed": getattr(dated(report.surveyed), lang),
        "footer": f"{told['title']}, {_minute(iso(report.start))} … {_minute(iso(report.end))}",
        "tiles": [asdict(tile) for tile in page_one.tiles(report, lang)],
        "exceptions": _exceptions(report, told, lang),
        "matrix": _matrix(report, told, lang),
        "strips": [asdict(strip) for strip in page_one.strips(report, lang)],
        "weeks": [week["monday"] for week in report.weeks],
        "ledger": [_line(line) for line in page_one.ledger(report, lang)],
        "clashes": page_one.clashes(report, lang),
        "appendix": [part for part, _ in parts],
        "limits": [limit[lang] for limit in LIMITS],
        "minutes": listed,
    }
    # What is copied from the lines that name a command must be what stands there.
    found = {name: _each(printable if name == "ledger" else _set, value) for name, value in made.items()}
    found["minutes"]["remarks"] = _each(printable, made["minutes"]["remarks"])
    files = [file for _, file in parts if file]
    return {**found, "files": [asdict(file) for file in (*files, *((list_file,) if list_file else ()))]}


def _one_form(value: Any) -> Any:
    """The minutes speak both languages at once: a figure stands there in one form only."""
    if isinstance(value, dict):
        if value.keys() == {"id", "en"} and value["en"].replace(",", ".") == value["id"]:
            return {"id": value["id"], "en": value["id"]}
        return {key: _one_form(each) for key, each in value.items()}
    return [_one_form(each) for each in value] if isinstance(value, list | tuple) else value


def _set(text: str) -> str:
    return breakable(printable(text))


def _line(line: page_one.Line) -> dict[str, Any]:
    return {**asdict(line), "value": _cut(line.value, 2 * _SENTENCE)}


def _cut(words: str, most: int) -> str:
    """With the middle left out where it is too long for page one; the appendix has it whole."""
    return words if len(words) <= most else f"{words[: most // 2]}…{words[-most // 2 + 1 :]}"


def _exceptions(report: Report, told: Told, lang: str) -> dict[str, Any]:
    """Those that break the policy come first in the model."""
    shown = report.exceptions[:_EXCEPTIONS]
    more = len(report.exceptions) - len(shown)
    return {
        "rows": [
            [told["breaks" if item["failed"] else "attention"], _sentence(item, lang)] for item in shown
        ],
        "rest": told["more exceptions"].format(count=number(more, lang)) if more else "",
    }


def _sentence(item: Row, lang: str) -> str:
    told, when = happened(item, lang, detailed(item, lang)), page_one.when(item, lang)
    where = _cut(place(item), _NAME) + (f" ({when})" if when else "")
    return f"{where}: {_cut(told, _SENTENCE - len(when))}"


def _matrix(report: Report, told: Told, lang: str) -> dict[str, Any]:
    """Page one has room for so many stores: the worst, where not all fit."""
    found = list(report.stores)
    if len(found) > _STORES:
        found.sort(key=lambda row: (not row["exit_code"], -(row["overdue"] or 0), -(row["expired"] or 0)))
    names = ("policy", "oldest", "age", "expired", "overdue", "held", "state")
    more = len(found) - _STORES
    return {
        "columns": [told[name] for name in names],
        "rows": [_store(row, told, lang) for row in found[:_STORES]],
        "rest": told["more stores"].format(count=number(more, lang)) if more > 0 else "",
        "all": [_store(row, told, lang, whole=True) for row in report.stores],
    }


def _store(row: Row, told: Told, lang: str, *, whole: bool = False) -> dict[str, Any]:
    bar, target = page_one.bar(row, lang), row["target"] or row["storage"]
    return {
        "policy": row["policy"],
        "target": target if whole else _cut(target, _NAME),
        "bar": asdict(bar) if bar else None,
        "age": page_one.age(row, lang),
        "oldest": local_day(row["oldest"]) if row["oldest"] else "-",
        **{name: number(row[name], lang) for name in ("expired", "overdue", "held")},
        "late": bool(row["overdue"]),
        "state": told[f"state {row['state']}"],
    }


def _laid_out(part: Annex, lang: str) -> tuple[dict[str, Any], Attached | None]:
    """A table, and the file that has all of it where not all of it is set."""
    rows = [[spoken(cell, lang) for cell in row] for row in part.rows]
    columns = [text(column.heading, lang) for column in part.columns]
    file = _attached(f"annex-{part.title[0].lower()}.csv", part.caption, columns, rows)
    laid_out = {
        "title": part.title,
        "note": " ".join(filter(None, (part.note, _told_of(file, len(rows), lang)))),
        "columns": columns,
        "widths": [column.width for column in part.columns],
        "hashes": [at for at, column in enumerate(part.columns) if not column.width],
        "right": [at for at, column in enumerate(part.columns) if column.numeric],
        "rows": rows[:_ROWS],
    }
    return laid_out, file


def _minutes(report: Report) -> tuple[dict[str, Any], Attached | None]:
    """The minutes, and the file that has the itemised list where not all of it is set."""
    made = minutes(report)
    listed = _one_form(asdict(made))
    rows = listed["items"]["rows"]
    columns = [f"{column.id} / {column.en}" for column in made.items.columns]
    words = [[cell["id"] for cell in row] for row in rows] if len(rows) > _ROWS else []
    file = _attached("daftar-pertelaan.csv", made.items.caption.id, columns, words)
    listed["items"] |= {"rows": rows[:_ROWS]}
    listed["items note"] = {lang: _told_of(file, len(rows), lang) for lang in ("id", "en")}
    return listed, file


def _attached(name: str, description: str, columns: list[str], rows: list[list[str]]) -> Attached | None:
    """The whole table as CSV; ``None`` where all of it is set."""
    if len(rows) <= _ROWS:
        return None
    return Attached(name=name, description=description, text=table_as_csv(columns, rows))


def _told_of(file: Attached | None, count: int, lang: str) -> str:
    """That not all of a table is set, where all of it is, and the SHA-256 of that file."""
    if file is None:
        return ""
    told = {"shown": number(_ROWS, lang), "count": number(count, lang), "file": file.name}
    return text("attached rows", lang, **told, sha256=sha256(file.text.encode()).hexdigest())


def spoken(cell: Cell, lang: str) -> str:
    """A cell of a table, as words."""
    kind, value = cell
    if value in (None, "", {}, (None, None)):
        return number(None, lang)
    if kind is Kind.EXCEPTION:
        said = f" {text('message', lang)}: {value['said']}" if value["said"] else ""
        return happened(value, lang, detailed(value, lang)) + said
    if kind is Kind.COUNT:
        return number(value, lang)
    if kind is Kind.PAIRS:
        return "; ".join(f"{called(name, lang)} = {valued(each, lang)}" for name, each in value.items())
    return _FORMS[kind](value)


def _minute(instant: str | None) -> str:
    """``2026-11-24 09:00 (02:00Z)``: WIB, and UTC beside it with its day where that is another."""
    if not instant:
        return "-"
    local, utc = (parse_iso(instant).astimezone(zone) for zone in (WIB, UTC))
    day = "" if utc.date() == local.date() else f"{utc:%m-%d} "
    return f"{local:%Y-%m-%d %H:%M} ({day}{utc:%H:%M}Z)"


_FORMS: Mapping[Kind, Callable[[Any], str]] = {
    Kind.TEXT: str,
    Kind.TIME: _minute,
    Kind.SPAN: lambda instants: " … ".join(map(_minute, instants)),
    Kind.HASH: str,
    Kind.SHORT: lambda value: f"{value[:_SHORT]}…",
}
