"""What the look back says in the words of one language; HTML and PDF only lay it out. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from luxima_retention.core.clock import iso
from luxima_retention.report.appendix import Annex, Cell, Column, Kind
from luxima_retention.report.html import rendered, shown
from luxima_retention.report.minutes import dated
from luxima_retention.report.page_one import Tile
from luxima_retention.report.pdf import breakable, printable, spoken, typeset
from luxima_retention.report.retrospective import Retrospective
from luxima_retention.report.retrospective_texts import RETROSPECTIVE, said, span
from luxima_retention.report.settle import CODES, settled
from luxima_retention.report.texts import local_day, number

Row = Mapping[str, Any]

#: of the program's own sentence in a table; the JSON has it whole
_SENTENCE = 240
#: numbers of entries of one trouble that are shown
_ENTRIES = 5
_QUESTIONS = ("question guards", "question holds", "question repeats")


def as_json(retro: Retrospective) -> str:
    """JSON; the same figures give the same bytes."""
    return json.dumps(retro.as_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def as_html(retro: Retrospective, lang: str) -> str:
    """One self-contained HTML page in ``lang``, ``id`` or ``en``."""
    return rendered(
        "retrospective.html.j2",
        {
            **_page(retro, lang),
            "t": lambda key, **values: said(key, lang, **values),
            "cell": lambda cell: shown(cell, lang),
            "parts": list(parts(retro, lang)),
        },
    )


def as_pdf(retro: Retrospective, lang: str) -> bytes:
    """PDF/A in ``lang``, with the JSON attached.

    Raises:
        ConfigurationError: the extra ``pdf`` is not installed.
        StoreError: Typst cannot set it.
    """
    page = _page(retro, lang)
    laid_out = [
        {
            "title": part.title,
            "note": part.note,
            "columns": [said(column.heading, lang) for column in part.columns],
            "widths": [column.width for column in part.columns],
            "right": [at for at, column in enumerate(part.columns) if column.numeric],
            "rows": [[spoken(cell, lang) for cell in row] for row in part.rows],
        }
        for part in parts(retro, lang)
    ]
    texts = {name: words[lang] for name, words in RETROSPECTIVE.items()}
    footer = f"{page['title']}, {local_day(iso(retro.start))} … {local_day(iso(retro.end))}"
    made = {**page, "tiles": [asdict(tile) for tile in page["tiles"]], "parts": laid_out, "footer": footer}
    # A title is one text, without places to break.
    whole = {"texts": texts, "title": page["title"]}
    return typeset("retrospective.typ", {**_each(made), **whole}, as_json(retro), retro.written)


def _each(value: Any) -> Any:
    """The same JSON value with every text as the fonts and the columns take it."""
    if isinstance(value, str):
        return breakable(printable(value))
    if isinstance(value, dict):
        return {name: _each(item) for name, item in value.items()}
    return [_each(item) for item in value] if isinstance(value, list | tuple) else value


def _page(retro: Retrospective, lang: str) -> dict[str, Any]:
    """What stands before the tables."""
    start, end, written = (getattr(dated(at), lang) for at in (retro.start, retro.end, retro.written))
    notes = ["not over yet"] * (retro.end > retro.written) + ["not notified"] * (not retro.notified)
    return {
        "lang": lang,
        "title": said("retro title", lang),
        "headline": _headline(retro, lang),
        "tone": "bad" if retro.ledger_error else "warn" if retro.summary["open"] else "good",
        "period": f"{start} {said('until', lang)} {end}",
        "written": written,
        "environment": retro.environment,
        "broken": retro.ledger_error,
        "notes": [said(note, lang) for note in notes],
        "tiles": list(tiles(retro, lang)),
        "questions": [said(name, lang) for name in _QUESTIONS],
        "program": retro.as_json()["program"],
    }


def _headline(retro: Retrospective, lang: str) -> str:
    count, still = retro.summary["incidents"], retro.summary["open"]
    name = "headline open" if still else "headline well" if count else "headline none"
    return said(name, lang, count=number(count, lang), open=number(still, lang))


def tiles(retro: Retrospective, lang: str) -> Iterator[Tile]:
    """The four figures of page one."""
    told = retro.summary
    counts = {name: number(value, lang) for name, value in told.items()}
    yield Tile(
        label=said("incidents", lang),
        figure=counts["incidents"],
        note=said("incidents note", lang, open=counts["open"], repeats=counts["repeats"]),
    )
    longest = span(told["longest_to_tell"], lang)
    untold = counts["not_told"] if retro.notified else number(None, lang)
    yield Tile(
        label=said("time to tell", lang),
        figure=span(told["median_to_tell"], lang),
        note=said("tell note", lang, longest=longest, untold=untold),
    )
    yield Tile(
        label=said("time to mend", lang),
        figure=span(told["median_to_mend"], lang),
        note=said("mend note", lang, longest=span(told["longest_to_mend"], lang)),
    )
    yield Tile(
        label=said("actions", lang),
        figure=counts["actions"],
        note=said("actions note", lang, refusals=counts["refusals"], holds=counts["holds"]),
    )


# --- tables -------------------------------------------------------------------------------------------


def parts(retro: Retrospective, lang: str) -> Iterator[Annex]:
    """Every table, in the order of its letters."""
    for name, columns in _PARTS.items():
        note = f"part {name} note"
        yield Annex(
            title=said(f"part {name}", lang),
            note=said(note, lang) if note in RETROSPECTIVE else "",
            columns=columns,
            rows=tuple(tuple(column.cell(row, lang) for column in columns) for row in getattr(retro, name)),
        )


def _where(row: Row, lang: str) -> str:
    return " ".join(filter(None, (row["policy"], row["target"]))) or number(None, lang)


def _cause(row: Row, lang: str) -> str:
    detail = str(row["detail"])
    if row["cause"] == "ended":
        detail = said(f"outcome {detail}", lang) if f"outcome {detail}" in RETROSPECTIVE else detail
    return said(f"cause {row['cause']}", lang, detail=detail)


def _what(row: Row, lang: str) -> str:
    """What is open, who is to do something about it, and what."""
    if row["code"] == "waiting":
        what = said("cause waiting", lang, count=number(row["count"], lang), detail=row["detail"])
    else:
        what = _cause({**row, "cause": row["code"]}, lang)
    code, owner = row["code"], row["owner"]
    step = settled(code, owner, lang) if code in CODES else said(f"step {code}", lang)
    items = f" (Plane: {', '.join(row['items'])})" if row["items"] else ""
    return f"{what}{items} → {step}"


def _told(row: Row, lang: str) -> str:
    if row["told"] is None:
        return said("not told", lang)
    return f"{span(row['seconds_to_tell'], lang)} ({', '.join(row['channels'])})"


def _mended(row: Row, lang: str) -> str:
    if row["ended"] is None:
        return said("still open", lang)
    return said("removed", lang) if row["removed"] else span(row["seconds_to_mend"], lang)


def _entries(row: Row, _lang: str) -> str:
    shown_ones = ", ".join(map(str, row["entries"][:_ENTRIES]))
    return shown_ones + (" …" if len(row["entries"]) > _ENTRIES else "")


def _sentence(row: Row, _lang: str) -> str:
    text = str(row["said"])
    return text if len(text) <= _SENTENCE else text[: _SENTENCE - 1] + "…"


def _guard(row: Row, lang: str) -> str:
    kind = said(f"kind {row['kind']}", lang)
    return f"{row['guard']} {kind}"


def _outcome(row: Row, lang: str) -> str:
    return said(f"outcome {row['outcome']}", lang, named=row["named"] or "-")


def _hold_state(row: Row, lang: str) -> str:
    if row["released"]:
        return said("hold released", lang, day=local_day(row["released"]))
    return said("hold overdue" if row["overdue"] else "hold new" if row["new"] else "hold in force", lang)


def _hold_where(row: Row, lang: str) -> str:
    named = ", ".join(row["names"]) or said("whole policy", lang)
    return " ".join(filter(None, (row["policy"], f"({named})")))


def _of(name: str, kind: Kind) -> Callable[[Row, str], Cell]:
    return lambda row, _lang: (kind, row[name])


def _words(say: Callable[[Row, str], str]) -> Callable[[Row, str], Cell]:
    return lambda row, lang: (Kind.TEXT, say(row, lang))


def _column(heading: str, width: int, cell: Callable[[Row, str], Cell], *, numeric: bool = False) -> Column:
    return Column(heading=heading, width=width, cell=cell, numeric=numeric)


#: member of the model → its columns
_PARTS: Mapping[str, tuple[Column, ...]] = {
    "actions": (
        _column("where", 20, _words(_where)),
        _column("since", 14, _of("since", Kind.TIME)),
        _column("what", 60, _words(_what)),
    ),
    "incidents": (
        _column("where", 16, _words(_where)),
        _column("cause", 16, _words(_cause)),
        _column("code", 5, _of("exit_code", Kind.COUNT), numeric=True),
        _column("began", 12, _of("began", Kind.TIME)),
        _column("told after", 11, _words(_told)),
        _column("mended after", 10, _words(_mended)),
        _column("runs", 6, _of("runs", Kind.COUNT), numeric=True),
        _column("entries", 9, _words(_entries)),
        _column("said", 30, _words(_sentence)),
    ),
    "repeats": (
        _column("where", 24, _words(_where)),
        _column("cause", 30, _words(_cause)),
        _column("times", 8, _of("times", Kind.COUNT), numeric=True),
        _column("before", 12, _of("before", Kind.COUNT), numeric=True),
        _column("last", 16, _of("last", Kind.TIME)),
    ),
    "guards": (
        _column("where", 20, _words(_where)),
        _column("guard", 16, _words(_guard)),
        _column("times", 6, _of("times", Kind.COUNT), numeric=True),
        _column("observed", 18, _of("observed", Kind.TEXT)),
        _column("limit", 14, _of("limit", Kind.TEXT)),
        _column("last", 14, _of("last", Kind.TIME)),
        _column("outcome", 18, _words(_outcome)),
    ),
    "holds": (
        _column("hold", 20, _of("hold_id", Kind.TEXT)),
        _column("where", 24, _words(_hold_where)),
        _column("placed", 16, _of("placed", Kind.TIME)),
        _column("review_by", 16, _of("review_by", Kind.TIME)),
        _column("state", 20, _words(_hold_state)),
    ),
}
