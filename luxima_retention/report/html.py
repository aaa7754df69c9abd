"""The report as one self-contained HTML file: no script, nothing loaded from anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from luxima_retention.core.clock import parse_iso
from luxima_retention.report import page_one
from luxima_retention.report.appendix import Cell, Kind, appendix
from luxima_retention.report.minutes import dated, minutes
from luxima_retention.report.model import Report
from luxima_retention.report.texts import LIMITS, TEXTS, WIB, called, detailed, number, place, text, valued

if TYPE_CHECKING:
    from jinja2 import Template

Row = Mapping[str, Any]

#: exceptions told on page one; the rest stands in the appendix
_TOLD = 8
#: characters of a hash in tables where the entry's number stands beside it
_SHORT = 12
#: heights in a strip of weeks: the tallest bar, and the least of what is not nought
_TALL, _LOW = 36, 2
_QUOTE, _WORD = Markup('<q lang="en">{}</q>'), Markup('<code lang="en">{}</code>')
#: characters of a name that hide, or turn the direction of what stands beside them: they are spelled out
_HIDDEN = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_SYMBOLS = {
    "within": "✓",
    "waiting": "…",
    "overdue": "✗",
    "unknown": "?",
    "kept": "✓",
    "empty": "○",
    "failed": "✗",
    "drift": "✗",
    "not_configured": "!",
    "not_applicable": "○",
}


def as_html(report: Report, lang: str) -> str:
    """HTML in ``lang``, ``id`` or ``en``; the same report gives the same bytes."""
    return rendered("report.html.j2", _values(report, lang))


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """A page of ours: the template beside this module, with the one style sheet in it."""
    style = Markup(_read("report.css"))  # noqa: S704 - a file of ours
    page = _compiled(template).render({**values, "style": style})
    return _HIDDEN.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", page)


@cache
def _compiled(template: str) -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_read(template))


def _read(name: str) -> str:
    return (files("luxima_retention.report") / name).read_text(encoding="utf-8")


def _values(report: Report, lang: str) -> dict[str, Any]:
    """What the template names."""
    return {
        "lang": lang,
        "t": lambda key, **values: text(key, lang, **values),
        "say": lambda words: getattr(words, lang),
        "number": lambda value: number(value, lang),
        "r": report.as_json(),
        "verdict": str(report.verdict),
        "why": page_one.why(report, lang),
        "oldest": page_one.oldest(report, lang),
        "start": getattr(dated(report.start), lang),
        "end": getattr(dated(report.end), lang),
        "surveyed": getattr(dated(report.surveyed), lang),
        "tiles": list(page_one.tiles(report, lang)),
        "told": [_exception(item, lang) for item in report.exceptions[:_TOLD]],
        "more": max(0, len(report.exceptions) - _TOLD),
        "clashes": page_one.clashes(report, lang),
        "stores": [_store(row, lang) for row in report.stores],
        "strips": [_strip(strip) for strip in page_one.strips(report, lang)],
        "ledger": list(page_one.ledger(report, lang)),
        "appendix": list(appendix(report, lang)),
        "cell": lambda cell: shown(cell, lang),
        "limits": [limit[lang] for limit in LIMITS],
        "minutes": minutes(report),
    }


# --- page one -----------------------------------------------------------------------------------------


def _exception(item: Row, lang: str) -> dict[str, Any]:
    return {
        "failed": item["failed"],
        "weight": text("breaks" if item["failed"] else "attention", lang),
        "where": place(item),
        "what": _happened(item, lang),
        "when": page_one.when(item, lang),
        "settle": item["settle"][lang],
    }


def _happened(item: Row, lang: str) -> Markup:
    """What an exception says; what is the program's own is marked as English, whatever the page speaks."""
    detail: Any = detailed(item, lang)
    if detail == item["detail"] and detail:
        detail = _WORD.format(detail)
    told = escape(TEXTS[f"exception {item['code']}"][lang])
    happened = told.format(count=number(item["count"], lang), detail=detail)
    if not item["said"]:
        return happened
    return Markup("{} {}: {}").format(happened, text("message", lang), _QUOTE.format(item["said"]))


def _store(row: Row, lang: str) -> dict[str, Any]:
    others = [
        f"{text(name, lang)} {number(row[name], lang)}"
        for name in ("locked", "undated", "future")
        if row[name]
    ]
    due = row["pending_due"] if row["pending"] else None
    return {
        **{name: row[name] for name in ("log_type", "policy", "state")},
        "target": row["target"] or row["storage"],
        "oldest": _when(row["oldest"]),
        "bar": _bar(row, lang),
        "age": page_one.age(row, lang),
        "counts": [(name, number(row[name], lang)) for name in ("expired", "overdue", "held")],
        "pending": number(row["pending"], lang),
        "due": text("due", lang, when="").strip() if due else "",
        "due_when": _when(due),
        "others": ", ".join(others) or number(None if row["locked"] is None else 0, lang),
        "symbol": _SYMBOLS[row["state"]],
        "word": text(f"state {row['state']}", lang),
    }


def _bar(row: Row, lang: str) -> dict[str, str] | None:
    """Widths in per cent."""
    found = page_one.bar(row, lang)
    if found is None:
        return None
    shares = {name: getattr(found, name) for name in ("within", "beyond", "limit")}
    return {"title": found.title, **{name: f"{100 * share:.2f}" for name, share in shares.items()}}


def _strip(strip: page_one.Strip) -> dict[str, Any]:
    step = 100 / len(strip.weeks)
    return {
        **{name: getattr(strip, name) for name in ("policy", "sums", "title")},
        "bars": [
            {
                "x": f"{at * step + step * 0.1:.2f}",
                "width": f"{step * 0.8:.2f}",
                "height": max(_LOW, round(_TALL * week.share)) if week.share else 0,
                "missed": week.missed,
                "refused": week.refused,
            }
            for at, week in enumerate(strip.weeks)
        ],
    }


# --- cells --------------------------------------------------------------------------------------------


def shown(cell: Cell, lang: str) -> Any:
    """A cell of a table."""
    kind, value = cell
    if value in (None, "", {}, (None, None)):
        return number(None, lang)
    if kind is Kind.EXCEPTION:
        return _happened(value, lang)
    if kind is Kind.COUNT:
        return number(value, lang)
    if kind is Kind.PAIRS:
        return _pairs(value, lang)
    return _FORMS[kind](value)


def _when(instant: str | None) -> Any:
    """``2026-11-24 09:00 WIB (02:00 UTC)``; the other day is named where it is another."""
    if instant is None:
        return number(None, "en")
    local, utc = (parse_iso(instant).astimezone(zone) for zone in (WIB, UTC))
    day = "" if utc.date() == local.date() else f"{utc:%m-%d} "
    return Markup(
        '<time datetime="{}"><span>{} WIB</span> <span class="utc">({}{} UTC)</span></time>'
    ).format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{local:%Y-%m-%d %H:%M}", day, f"{utc:%H:%M}")


def _span(instants: tuple[str | None, str | None]) -> Markup:
    return Markup("{} … {}").format(*map(_when, instants))


def _pairs(values: Mapping[str, str | int], lang: str) -> Markup:
    pairs = (
        Markup("{} = <code>{}</code>").format(called(name, lang), valued(value, lang))
        for name, value in values.items()
    )
    return Markup("; ").join(pairs)


_FORMS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: lambda value: value,
    Kind.TIME: _when,
    Kind.SPAN: _span,
    Kind.SHORT: lambda value: Markup('<code class="short">{}…</code>').format(value[:_SHORT]),
    Kind.HASH: Markup("<code>{}</code>").format,
}
