"""What somebody must look at, like things told once with their number. Pure.

Texts in both languages stand under ``exception <code>``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import ExitCode
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
    """Like things as one: their number, the first and last time, and the newest sentence."""
    times = sorted(item["at"] for item in items if item["at"])
    begins = sorted(item["since"] or item["at"] for item in items if item["since"] or item["at"])
    newest = max(items, key=lambda item: item["at"] or "")
    return {
        **newest,
        "count": sum(item["count"] for item in items),
        "at": times[-1] if times else None,
        "since": begins[0] if begins else None,
        "seqs": [item["seq"] for item in items if item["seq"] is not None],
    }


def _one(
    code: str,
    row: Mapping[str, Any],
    *,
    detail: str = "",
    count: int = 1,
    failed: bool = False,
    since: str | None = None,
    said: str | None = None,
) -> Row:
    """An exception.

    Args:
        code: the texts' name.
        row: what it is about.
        detail: what tells it from others of its code; like ones with one detail are told together.
        count: how many.
        failed: whether it breaks the policy.
        since: when it began, where that is not when it was told.
        said: the program's own sentence, English.
    """
    return {
        "code": code,
        "kind": row.get("kind") or "survey",
        "outcome": row.get("outcome") or code,
        "failed": failed,
        "policy": row["policy"],
        "target": row["target"] or None,
        "detail": detail,
        "said": said or "",
        "count": count,
        "at": row.get("at"),
        "since": since,
        "seq": row.get("seq"),
    }


def _of_stores(stores: Iterable[Row]) -> Iterator[Row]:
    reviewed: set[str] = set()
    for row in stores:
        if row["outcome"] == Outcome.NOT_CONFIGURED:
            yield _one("not-configured", row)
        elif row["exit_code"] == ExitCode.DRIFT:
            yield _one("drift", row, said=row["sentence"], failed=True)
        elif row["exit_code"]:
            yield _one("survey", row, said=row["sentence"], failed=row["exit_code"] in FAILED)
        elif row["outcome"] in {Outcome.WOULD_REFUSE, Outcome.NOT_YET_PROVABLE}:
            yield _one(str(row["outcome"]).replace("_", "-"), row, said=row["sentence"])
        if row["overdue"]:
            yield _one("overdue", row, count=row["overdue"], failed=True, since=_expired_since(row))
        elif row["expired"] and row["overdue"] is None:
            yield _one("expired", row, count=row["expired"], since=_expired_since(row))
        day = row["review_by"]
        if day and day < row["at"][:10] and row["policy"] not in reviewed:
            reviewed.add(row["policy"])
            yield _one("review", {**row, "target": None}, detail=day, since=f"{day}T00:00:00Z")


def _expired_since(row: Row) -> str | None:
    """When the oldest record reached the end of its period, if it is not one that something keeps."""
    if not row["oldest"] or row["held"] or row["locked"]:
        return None
    return iso(parse_iso(row["oldest"]) + timedelta(days=row["retention_days"]))


def _of_runs(runs: Iterable[Row]) -> Iterator[Row]:
    for row in runs:
        kind = row["kind"]
        if kind == "run.refused":
            failed = row["exit_code"] in FAILED
            yield _one("refused", row, detail=", ".join(row["guards"]), failed=failed, said=row["error"])
        elif kind in {"slot.missed", "sweep.missed"}:
            yield _missed("missed" if kind == "slot.missed" else "sweep", row)
        elif kind in _CODES:
            yield _one(_CODES[kind], row, said=row["error"])
        if row.get("unknown_items"):
            yield _one("unknown", row, count=row["unknown_items"])
        if row["exit_code"] and kind not in {"run.refused", "run.failed"}:
            yield _ended(row)


#: kind of a row → the exception that it is
_CODES = {
    "run.started": "killed",
    "run.reconciled": "reconciled",
    "run.failed": "failed",
    "never": "never",
}


def _missed(code: str, row: Row) -> Row:
    last = {"at": row["last_missed"] or row["at"]}
    return _one(code, {**row, **last}, count=row["missed"] or 1, since=row["first_missed"] or row["since"])


def _ended(row: Row) -> Row:
    """A run, or a check, that did not end well."""
    failed, said = row["exit_code"] in FAILED, row.get("error")
    if row["exit_code"] == ExitCode.DRIFT:
        return _one("drift", row, failed=failed, said=said)
    return _one("ended", row, detail=row["outcome"] or "", failed=failed, said=said)


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
