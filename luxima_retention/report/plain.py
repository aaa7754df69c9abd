"""The report as JSON and as CSV. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from typing import Any

from luxima_retention.core.clock import parse_iso
from luxima_retention.report.model import Report
from luxima_retention.report.texts import WIB

#: what begins a formula, also in full width, behind blanks, and behind what other countries' spreadsheets
#: take for the end of a cell
_FORMULA = re.compile(r"(^|[;\t\r\n])(\s*)([=+\-@\uff1d\uff0b\uff0d\uff20])")
#: some spreadsheets drop these at the beginning of a cell
_BLANK = ("\t", "\r", "\n")


def as_json(report: Report) -> str:
    """JSON; the same report gives the same bytes."""
    return json.dumps(report.as_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


#: how the cells of a line are separated: Excel with Indonesian settings expects a semicolon
DIALECTS = {"comma": ",", "semicolon": ";"}
#: without it, Excel takes UTF-8 for an older encoding
_BOM = "\ufeff"
_TIMES = ("cutoff", "first", "last", "oldest_left", "gone_by", "kept_until", "first_missed", "last_missed")


def as_csv(report: Report, dialect: str = "comma") -> str:
    """RFC 4180 with a byte order mark: a line for each run. No cell can be taken for a formula.

    Times are WIB in the form that spreadsheets take for times, ``2026-11-24 09:00:00``; that of the entry
    stands there in UTC too.

    Args:
        report: whose runs are told.
        dialect: one of :data:`DIALECTS`.
    """
    names = (
        "seq",
        "at_wib",
        "at_utc",
        "kind",
        "policy",
        "target",
        "run_id",
        "outcome",
        "exit_code",
        "retention_days",
        "error",
    )
    counts = (
        "planned",
        "destroyed",
        "archived",
        "condemned",
        "earlier",
        "held",
        "locked",
        "undated",
        "failures",
        "left",
    )
    proof = ("unexplained", "unknown_items", "missed", "batches", "bytes")
    marks = ("method", "digest", "fingerprint", "archive_sha256", "hash")
    columns = (*names, *counts, *proof, *(f"{name}_wib" for name in _TIMES), *marks)
    rows = ([told.get(name) for name in columns] for told in map(_timed, report.runs))
    return table_as_csv(columns, rows, dialect)


def table_as_csv(columns: Iterable[str], rows: Iterable[Iterable[Any]], dialect: str = "comma") -> str:
    """A table as CSV with a byte order mark; no cell can be taken for a formula."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=DIALECTS[dialect])
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return _BOM + text.getvalue()


def _timed(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with its times as a spreadsheet takes them."""
    local = {f"{name}_wib": _time(row.get(name), WIB) for name in ("at", *_TIMES)}
    return {**row, **local, "at_utc": _time(row["at"], UTC)}


def _time(instant: str | None, zone: tzinfo) -> str | None:
    return f"{parse_iso(instant).astimezone(zone):%Y-%m-%d %H:%M:%S}" if instant else None


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    safe = _FORMULA.sub(r"\1'\2\3", text)
    return f"'{safe}" if safe.startswith(_BLANK) else safe
