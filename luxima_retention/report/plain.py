"""The report as JSON and as CSV. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

from luxima_retention.report.model import Report

#: what begins a formula, also in full width, behind blanks, and behind what other countries' spreadsheets
#: take for the end of a cell
_FORMULA = re.compile(r"(^|[;\t\r\n])(\s*)([=+\-@\uff1d\uff0b\uff0d\uff20])")
#: some spreadsheets drop these at the beginning of a cell
_BLANK = ("\t", "\r", "\n")


def as_json(report: Report) -> str:
    """JSON; the same report gives the same bytes."""
    return json.dumps(report.as_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def as_csv(report: Report) -> str:
    """RFC 4180: a line for each run. No cell can be taken for a formula."""
    text = io.StringIO()
    names = ("seq", "at", "kind", "policy", "target", "run_id", "outcome", "exit_code", "retention_days")
    counts = ("planned", "destroyed", "condemned", "earlier", "held", "locked", "undated", "failures", "left")
    proof = ("unexplained", "oldest_left", "gone_by", "unknown_items", "missed", "batches", "bytes")
    marks = ("method", "digest", "fingerprint", "archive_sha256", "hash")
    columns = (*names, "cutoff", *counts, *proof, "first", "last", *marks)
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in report.runs)
    return text.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    safe = _FORMULA.sub(r"\1'\2\3", text)
    return f"'{safe}" if safe.startswith(_BLANK) else safe
