"""The report as JSON and as CSV. Pure."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from luxima_retention.report.model import Report

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_json(report: Report) -> str:
    """JSON; the same report gives the same bytes."""
    return json.dumps(report.as_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def as_csv(report: Report) -> str:
    """RFC 4180: a line for each run. No cell can be taken for a formula."""
    text = io.StringIO()
    names = ("seq", "at", "kind", "policy", "target", "run_id", "outcome", "exit_code", "retention_days")
    counts = ("planned", "destroyed", "condemned", "held", "locked", "undated", "left", "missed", "batches")
    columns = (*names, "cutoff", *counts, "bytes", "first", "last", "method", "archive_sha256", "hash")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in report.runs)
    return text.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
