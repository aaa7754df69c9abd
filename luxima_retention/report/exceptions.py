"""What somebody must look at, like things told once with their number. Pure.

Texts in both languages stand under ``exception <code>``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from luxima_retention.core.results import Outcome

Row = dict[str, Any]

#: exit codes of fault, failed verification and drift: not compliant
FAILED = frozenset({1, 6, 8})


def found(
    stores: Iterable[Row],
    runs: Iterable[Row],
    resumed: Iterable[Row],
    guards: Iterable[Row],
    archives: Iterable[Row] = (),
    *,
    missing: Iterable[Row] = (),
    holds: Iterable[Row] = (),
    order: Sequence[str] = (),
) -> list[Row]:
    """Every exception: what is not compliant first, then in the order of the matrix."""
    told = (
        *_of_stores(stores),
        *_of_runs(runs),
        *_of_resumed(resumed),
        *_of_guards(guards),
        *_of_archives(archives),
        *_of_missing(missing),
        *_of_holds(holds),
    )
    places = {name: number for number, name in enumerate(order)}
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for item in told:
        key = (not item["failed"], places.get(item["policy"] or "", len(places)), *_names(item))
        groups.setdefault(key, []).append(item)
    return [_together(groups[key]) for key in sorted(groups)]


def _names(item: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return item["policy"] or "", item["code"], item["target"] or "", item["detail"]


def _together(items: list[Row]) -> Row:
    """Like things as one, with their number, and the first and last time."""
    times = sorted(item["at"] for item in items if item["at"])
    return {
        **items[0],
        "count": sum(item["count"] for item in items),
        "at": times[-1] if times else None,
        "since": times[0] if times else None,
        "seqs": [item["seq"] for item in items if item["seq"] is not None],
    }


def _one(code: str, row: Mapping[str, Any], *, detail: str = "", count: int = 1, failed: bool = False) -> Row:
    return {
        "code": code,
        "kind": row.get("kind") or "survey",
        "outcome": row.get("outcome") or code,
        "failed": failed,
        "policy": row["policy"],
        "target": row["target"] or None,
        "detail": detail,
        "count": count,
        "at": row.get("at"),
        "seq": row.get("seq"),
    }


def _of_stores(stores: Iterable[Row]) -> Iterator[Row]:
    for row in stores:
        if row["outcome"] == Outcome.NOT_CONFIGURED:
            yield _one("not-configured", row)
        elif row["exit_code"]:
            yield _one("survey", row, detail=row["sentence"], failed=row["exit_code"] in FAILED)
        elif row["outcome"] in {Outcome.WOULD_REFUSE, Outcome.NOT_YET_PROVABLE}:
            yield _one(str(row["outcome"]).replace("_", "-"), row, detail=row["sentence"])
        if row["overdue"]:
            yield _one("overdue", row, count=row["overdue"], failed=True)
        elif row["expired"] and row["overdue"] is None:
            yield _one("expired", row, count=row["expired"])


def _of_runs(runs: Iterable[Row]) -> Iterator[Row]:
    for row in runs:
        if row["kind"] == "run.refused":
            failed = row["exit_code"] in FAILED
            yield _one("refused", row, detail=", ".join(row["guards"]), failed=failed)
        elif row["kind"] == "slot.missed":
            yield _one("missed", row, count=row["missed"] or 1)
        elif row["kind"] == "sweep.missed":
            yield _one("sweep", row, count=row["missed"] or 1)
        elif row["kind"] == "run.started":
            yield _one("killed", row)
        elif row["kind"] == "run.reconciled":
            yield _one("reconciled", row)
        elif row["kind"] == "never":
            yield _one("never", row)
        if row.get("unknown_items"):
            yield _one("unknown", row, count=row["unknown_items"])
        if row["exit_code"] and row["kind"] != "run.refused":
            yield _one("ended", row, detail=row["outcome"] or "", failed=row["exit_code"] in FAILED)


def _of_resumed(resumed: Iterable[Row]) -> Iterator[Row]:
    return (_one("resumed", row) for row in resumed)


def _of_archives(archives: Iterable[Row]) -> Iterator[Row]:
    for row in archives:
        if row["kind"] == "archive.announced":
            yield _one("archive", {**row, "target": None}, detail=row["manifest"] or "")


def _of_missing(missing: Iterable[Row]) -> Iterator[Row]:
    """Deletions that were not ours: their number is an estimate, so they do not make a period fail."""
    for row in missing:
        window = f"{row['since']} to {row['at']}"
        detail = f"{window}: {row['why']}" if row["why"] else window
        yield _one(row["code"], row, detail=detail, count=row["count"])


def _of_holds(holds: Iterable[Row]) -> Iterator[Row]:
    """Holds whose review is overdue."""
    for row in holds:
        about = {
            "policy": row["policy"] or "",
            "target": None,
            "kind": "hold.placed",
            "seq": row["placed_seq"],
        }
        yield _one("hold_review", {**about, "at": row["review_by"]}, detail=row["hold_id"])


def _of_guards(guards: Iterable[Row]) -> Iterator[Row]:
    for row in guards:
        if row["kind"] == "approval" or (row["kind"] == "override" and row["guard"] != "share"):
            yield _one("approval", row, detail=row["override"] or row["guard"])
        elif row["kind"] == "floor":
            yield _one("floor", row, detail=f"{row['observed']} → {row['limit']}")
        elif row["kind"] == "retention":
            yield _one("retention", row, detail=f"{row['observed']} → {row['limit']}")
