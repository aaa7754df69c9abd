"""What the ledger tells about a period, entry by entry. Pure.

Only entries before the end of the period are read, so that a report about the past stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from luxima_retention.clock import iso, parse_iso
from luxima_retention.ledger import Entry

#: entries that tell that a run took place, or did not
_SLOTS = frozenset({"run.completed", "run.refused", "run.checked", "run.reconciled", "slot.missed"})
#: the weekly walk over a bucket, beside the daily runs of the same policy
_SWEEPS = frozenset({"sweep.completed", "sweep.missed"})
_ENDS = frozenset({"run.completed", "run.reconciled"})

Row = dict[str, Any]


class Told:
    """What the entries said so far.

    Args:
        start, end: of the period; the end is outside of it.
    """

    def __init__(self, start: datetime, end: datetime) -> None:
        self._start = start
        self._end = end
        self._open: dict[str, Row] = {}
        self._announced: dict[str, set[int]] = {}
        self._runs: list[Row] = []
        self._manifests: dict[str, Row] = {}
        self._holds: dict[str, Row] = {}
        self.count = 0
        self.begun = False
        self.last_slot: dict[str, datetime] = {}
        self.resumed: list[Row] = []
        self.guards: list[Row] = []
        self.archives: list[Row] = []
        self.skews: dict[tuple[str, str], Row] = {}
        self.evidence: dict[tuple[str, str], Row] = {}

    def add(self, entry: Entry) -> None:
        """The next entry.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: its body is not what the program writes.
        """
        self.count += 1
        if entry.at >= self._end:
            return
        body, within = entry.body, entry.at >= self._start
        if entry.kind == "run.started":
            self._begin(entry)
        elif entry.kind == "batch":
            self._batch(body)
        elif entry.kind in _SLOTS:
            self._slot(entry, within=within)
        elif entry.kind in _SWEEPS and within:
            self._runs.append(_run(entry))
        elif entry.kind.startswith("hold."):
            self._hold(entry)
        elif entry.kind.startswith("archive."):
            self._archive(entry, within=within)
        elif entry.kind == "run.resumed":
            self._resume(entry, within=within)
        if within:
            self.guards.extend(_guards(entry))
            self._skew(entry)

    def runs(self) -> Iterator[Row]:
        """The population in the ledger's order; a run that had not ended by then is one of them."""
        for row in sorted((*self._runs, *self._open.values()), key=lambda row: row["seq"]):
            manifest = self._manifests.get(row["run_id"] or "", {})
            yield {
                **row,
                "archive": manifest.get("manifest") or row["archive"],
                "archive_sha256": manifest.get("sha256"),
            }

    def holds(self) -> tuple[Row, ...]:
        """The holds that were in force at any time of the period."""
        return tuple(
            row
            for row in self._holds.values()
            if row["released"] is None or parse_iso(row["released"]) >= self._start
        )

    # --- kinds of entries -----------------------------------------------------------------------------

    def _begin(self, entry: Entry) -> None:
        self.begun = True
        row = _run(entry) | {"outcome": "not completed", "planned": _int(entry.body, "items")}
        self._open[str(entry.body["run_id"])] = row

    def _batch(self, body: Mapping[str, Any]) -> None:
        row = self._open.get(str(body["run_id"]))
        if row is None:
            return
        waiting = self._announced.setdefault(str(body["run_id"]), set())
        number = _int(body, "number")
        if body["state"] == "intent":
            waiting.add(number)
        else:
            waiting.discard(number)
            row["destroyed"] += _int(body, "items")
            row["condemned"] += _int(body, "pending")
        row["batches"] = max(row["batches"], number)
        row["unknown_batch"] = min(waiting, default=None)

    def _slot(self, entry: Entry, *, within: bool) -> None:
        if entry.policy:
            self.last_slot[entry.policy] = max(entry.at, self.last_slot.get(entry.policy, entry.at))
        self.begun = True
        started = self._open.pop(str(entry.body["run_id"]), None) if entry.kind in _ENDS else None
        row = _run(entry)
        if started is not None:
            row |= {"method": started["method"], "resumed": started["resumed"]}
        if within:
            self._runs.append(row)
        if entry.kind == "run.checked" and within:
            self.evidence[entry.policy or "", row["target"] or ""] = dict(entry.body.get("evidence") or {})

    def _resume(self, entry: Entry, *, within: bool) -> None:
        row = self._open.get(str(entry.body["run_id"]))
        if row is not None:
            row["resumed"] = True
        if within:
            self.resumed.append(_run(entry))

    def _hold(self, entry: Entry) -> None:
        body, hold_id = entry.body, str(entry.body["hold_id"])
        if entry.kind == "hold.released":
            if hold_id in self._holds:
                self._holds[hold_id] |= {"released": iso(entry.at), "released_seq": entry.seq}
            return
        self._holds[hold_id] = {
            "hold_id": hold_id,
            "policy": entry.policy,
            "names": sorted(str(name) for name in body.get("dimensions") or ()),
            "start": _instant(body, "start"),
            "end": _instant(body, "end"),
            "placed": iso(entry.at),
            "placed_seq": entry.seq,
            "released": None,
            "released_seq": None,
            "sha256": body.get("sha256"),
        }

    def _archive(self, entry: Entry, *, within: bool) -> None:
        body = entry.body
        run_id = _text(body, "run_id")
        row: Row = {
            "seq": entry.seq,
            "at": iso(entry.at),
            "kind": entry.kind,
            "policy": entry.policy,
            "run_id": run_id,
            "manifest": _text(body, "manifest") or _text(body, "orphan"),
            "sha256": _text(body, "manifest_sha256"),
            "parts": _known(body, "parts"),
            "items": _known(body, "items"),
            "bytes": _known(body, "bytes"),
            "keep_until": _instant(body, "keep_until"),
            "object_lock": _text(body, "object_lock"),
        }
        if entry.kind == "archive.verified" and run_id:
            self._manifests[run_id] = row
        if within and body.get("state") != "intent":
            self.archives.append(row)

    def _skew(self, entry: Entry) -> None:
        """The largest difference between the two clocks, and how often it was told."""
        told = _skew_of(entry)
        if told is None:
            return
        key = entry.policy or "", str(entry.body.get("target") or "")
        row = self.skews.setdefault(key, {"measured": 0, "largest": 0, "at": iso(entry.at)})
        row["measured"] += 1
        if told > row["largest"]:
            row |= {"largest": told, "at": iso(entry.at)}


def _run(entry: Entry) -> Row:
    """One run, or one gap, of the population."""
    body = entry.body
    proof: Mapping[str, Any] = body.get("proof") or {}
    return {
        "seq": entry.seq,
        "at": iso(entry.at),
        "kind": entry.kind,
        "policy": entry.policy,
        "target": _text(body, "target"),
        "run_id": _text(body, "run_id"),
        "outcome": _text(body, "outcome"),
        "exit_code": _known(body, "exit_code"),
        "retention_days": _known(body, "retention_days"),
        "cutoff": _instant(body, "cutoff"),
        "method": _text(body, "disposition"),
        "planned": _known(body, "planned"),
        "destroyed": _int(body, "destroyed") if entry.kind != "run.resumed" else 0,
        "condemned": _int(body, "condemned") if entry.kind != "run.resumed" else 0,
        "batches": _int(body, "batches"),
        "bytes": _known(body, "bytes"),
        "first": _instant(body, "first"),
        "last": _instant(body, "last"),
        "held": _known(body, "held"),
        "locked": _known(body, "locked"),
        "undated": _known(body, "undated"),
        "left": _known(proof, "left"),
        "unexplained": _known(proof, "unexplained"),
        "archive": _text(body, "archive") if entry.kind == "run.completed" else None,
        "guards": [str(item["guard"]) for item in body.get("guards") or () if not item["passed"]],
        "resumed": False,
        "unknown_batch": _known(body, "unknown_batch"),
        "missed": _known(body, "missed"),
        "since": _instant(body, "since"),
        "hash": entry.hash,
    }


def _guards(entry: Entry) -> Iterator[Row]:
    """What a guard refused, and what somebody named to let a run go on."""
    body = entry.body
    common = {"seq": entry.seq, "at": iso(entry.at), "policy": entry.policy, "target": _text(body, "target")}
    for item in body.get("guards") or ():
        if not item["passed"] or item["override"]:
            values = {name: _text(item, name) for name in ("guard", "observed", "limit", "override")}
            yield {**common, **values, "kind": "override" if item["passed"] else "refused"}
    if entry.kind == "approval":
        of = f" / {body['population']}" if body.get("population") is not None else ""
        named = {"guard": "share", "observed": f"{_int(body, 'items')}{of}", "limit": None}
        yield {**common, **named, "override": _text(body, "option"), "kind": "approval"}
    if entry.kind == "floor.changed":
        moved = {"guard": "floor", "observed": str(body.get("from")), "limit": str(body.get("to"))}
        yield {**common, **moved, "override": None, "kind": "floor"}


def _skew_of(entry: Entry) -> int | None:
    """Seconds between the program's clock and the store's, where an entry tells them."""
    if entry.kind == "run.checked" and (store := _instant(entry.body, "store_clock")):
        return round(abs((entry.at - parse_iso(store)).total_seconds()))
    for item in entry.body.get("guards") or ():
        if item["guard"] == "clock-skew":
            return int(str(item["observed"]).removesuffix(" s"))
    return None


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return None if value is None else str(value)


def _known(body: Mapping[str, Any], name: str) -> int | None:
    """A whole number, or nothing; anything else is no entry of this program's."""
    value = body.get(name)
    if value is not None and type(value) is not int:
        raise TypeError(f"{name} is {value!r}, not a whole number")
    return value


def _int(body: Mapping[str, Any], name: str) -> int:
    return _known(body, name) or 0


def _instant(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return None if value is None else iso(parse_iso(value))
