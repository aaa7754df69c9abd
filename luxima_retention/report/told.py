"""What the ledger tells about a period, entry by entry. Pure.

Only entries before the end of the period are read, so that a report about the past stays what it was.
A record counts in the period in which its batch was written: a run that passes the end of a period counts
in both, with what it destroyed in each, so that reports of neighbouring periods add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.plan import Level
from luxima_retention.core.results import OUTCOMES, Outcome
from luxima_retention.evidence.entries import checked_code
from luxima_retention.evidence.ledger import Entry

#: entries that tell that a run took place, or did not
_SLOTS = frozenset({"run.completed", "run.refused", "run.checked", "run.reconciled", "slot.missed"})
#: the weekly walk over a bucket, beside the daily runs of the same policy
_SWEEPS = frozenset({"sweep.completed", "sweep.missed"})
_ARCHIVES = frozenset({"archive.verified", "archive.restored", "archive.expired"})
_ENDS = frozenset({"run.completed", "run.reconciled"})

#: what changed how the program works, besides floors
_CHANGES = frozenset({"migrated", "policy.applied", "key.created", "key.rotated"})

Row = dict[str, Any]


#: what an entry about an end does not say, and the one about the start did
_OF_START = ("method", "resumed", "digest", "passed", "holds", "unknown_batch")


@dataclass(slots=True, kw_only=True)
class _Open:
    """A run that has begun: its row, and what its batches said.

    Args:
        row: of the population.
        earlier: destroyed and condemned before the period.
        waiting: batches that were announced and not reported yet, each with its records.
    """

    row: Row
    earlier: tuple[int, int] = (0, 0)
    waiting: dict[int, int] = field(default_factory=dict)

    def batch(self, body: Mapping[str, Any], *, within: bool) -> None:
        """The next batch."""
        number, row = _int(body, "number"), self.row
        row["batches"] = max(row["batches"], number)
        if body["state"] == "intent":
            self.waiting[number] = _int(body, "items")
        else:
            self.waiting.pop(number, None)
            self._add(body, within=within)
        row["unknown_batch"] = min(self.waiting, default=None)

    def _add(self, body: Mapping[str, Any], *, within: bool) -> None:
        row, (destroyed, condemned) = self.row, (_int(body, "items"), _int(body, "pending"))
        if not within:
            self.earlier = (self.earlier[0] + destroyed, self.earlier[1] + condemned)
            return
        row["destroyed"] += destroyed
        row["condemned"] += condemned
        if (size := _known(body, "bytes")) is not None:
            row["bytes"] = (row["bytes"] or 0) + size
        row["first"] = min(filter(None, (row["first"], _instant(body, "first"))), default=None)
        row["last"] = max(filter(None, (row["last"], _instant(body, "last"))), default=None)

    def ended(self, end: Row) -> Row:
        """The row of its end; what only the batches tell is theirs.

        An end tells bytes and times of its own process alone, so that those of a run of several processes,
        or of several periods, are the batches'.
        """
        row, (destroyed, condemned) = self.row, self.earlier
        told = {name: row[name] for name in _OF_START}
        if row["resumed"] or destroyed or condemned or end["kind"] == "run.reconciled":
            told |= {name: row[name] for name in ("bytes", "first", "last")}
        return {
            **end,
            **told,
            "unknown_items": self._unknown(end["destroyed"] + end["condemned"]),
            "retention_days": end["retention_days"] or row["retention_days"],
            "fingerprint": end["fingerprint"] or row["fingerprint"],
            "destroyed": end["destroyed"] - destroyed,
            "condemned": end["condemned"] - condemned,
            "earlier": destroyed + condemned or None,
        }

    def left_open(self) -> Row:
        """The row of a run that had not ended."""
        earlier, row = sum(self.earlier), self.row
        unknown = self._unknown(earlier + row["destroyed"] + row["condemned"])
        return {**row, "earlier": earlier or None, "unknown_items": unknown}

    def _unknown(self, known: int) -> int | None:
        """Records that may have gone besides those that are known to: as announced, and within the plan."""
        return min(sum(self.waiting.values()), max(0, self.row["planned"] - known)) or None


class Told:
    """What the entries said so far.

    Args:
        start, end: of the period; the end is outside of it.
    """

    def __init__(self, start: datetime, end: datetime) -> None:
        self._start = start
        self._end = end
        self._open: dict[str, _Open] = {}
        self._runs: list[Row] = []
        self._manifests: dict[str, Row] = {}
        self._holds: dict[str, Row] = {}
        self._days: dict[str, int] = {}
        self._going: dict[str | None, Row] = {}
        self.count = 0
        self.begun = False
        self.last_slot: dict[str, datetime] = {}
        self.last_of: dict[tuple[str, str], datetime] = {}
        self.resumed: list[Row] = []
        self.guards: list[Row] = []
        self._archives: list[Row] = []
        self.skews: dict[tuple[str, str], Row] = {}
        self._of_kind: dict[str, Callable[[Entry, bool], None]] = {
            "run.started": self._begin,
            "run.resumed": self._resume,
            "batch": self._batch,
            "rotation": self._rotation,
            "hold.placed": self._place,
            "hold.released": self._release,
            **dict.fromkeys(_SLOTS, self._slot),
            **dict.fromkeys(_SWEEPS, self._sweep),
            **dict.fromkeys(_ARCHIVES, self._archive),
        }

    def add(self, entry: Entry) -> None:
        """The next entry.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: its body is not what the program writes.
        """
        self.count += 1
        if entry.at >= self._end:
            return
        within = entry.at >= self._start
        if entry.kind in self._of_kind:
            self._of_kind[entry.kind](entry, within)
        changed = tuple(self._changed_days(entry))
        if within:
            self.guards.extend((*_guards(entry), *changed))
            self._skew(entry)

    def runs(self) -> Iterator[Row]:
        """The population in the ledger's order; a run that had not ended by then is one of them."""
        still = (run.left_open() for run in self._open.values())
        for row in sorted((*self._runs, *still), key=lambda row: row["seq"]):
            manifest = self._manifests.get(row["run_id"] or "", {})
            yield {
                **row,
                "archive": manifest.get("manifest") or row["archive"],
                "archive_sha256": manifest.get("sha256"),
            }

    def archives(self) -> tuple[Row, ...]:
        """Archives written, restored and destroyed, and those whose destruction was announced and no more."""
        return (*self._archives, *self._going.values())

    def holds(self) -> tuple[Row, ...]:
        """The holds that were in force at any time of the period."""
        return tuple(
            row
            for row in self._holds.values()
            if row["released"] is None or parse_iso(row["released"]) >= self._start
        )

    # --- kinds of entries -----------------------------------------------------------------------------

    def _begin(self, entry: Entry, _within: bool) -> None:
        self.begun = True
        row = _run(entry) | {"outcome": "not completed", "planned": _int(entry.body, "items")}
        self._open[str(entry.body["run_id"])] = _Open(row=row)

    def _batch(self, entry: Entry, within: bool) -> None:
        run = self._open.get(str(entry.body["run_id"]))
        if run is not None:
            run.batch(entry.body, within=within)

    def _sweep(self, entry: Entry, within: bool) -> None:
        if within:
            self._runs.append(_run(entry))

    def _rotation(self, entry: Entry, within: bool) -> None:
        if within:
            self._runs.extend(_rotated(entry))

    def _slot(self, entry: Entry, within: bool) -> None:
        row = _run(entry)
        self._served(entry, row["target"])
        self.begun = True
        started = self._open.pop(str(entry.body["run_id"]), None) if entry.kind in _ENDS else None
        if within:
            self._runs.append(started.ended(row) if started is not None else row)

    def _served(self, entry: Entry, target: str | None) -> None:
        """When a policy, and a target of it, last had its turn or was said to have missed it."""
        policy = entry.policy or ""
        self.last_slot[policy] = max(entry.at, self.last_slot.get(policy, entry.at))
        known = [place for place in self.last_of if place[0] == policy]
        for place in known if target is None else [(policy, target)]:
            self.last_of[place] = max(entry.at, self.last_of.get(place, entry.at))

    def _resume(self, entry: Entry, within: bool) -> None:
        run = self._open.get(str(entry.body["run_id"]))
        if run is not None:
            run.row["resumed"] = True
        if within:
            self.resumed.append(_run(entry))

    def _changed_days(self, entry: Entry) -> Iterator[Row]:
        """That a policy keeps its records for another time than when it last ran."""
        days, policy = _known(entry.body, "retention_days"), entry.policy or ""
        if days is None:
            return
        before = self._days.get(policy)
        self._days[policy] = days
        if before not in (None, days):
            yield _change(entry, "retention", f"{before} d", f"{days} d") | {"guard": "retention"}

    def _release(self, entry: Entry, _within: bool) -> None:
        hold_id = str(entry.body["hold_id"])
        if hold_id in self._holds:
            self._holds[hold_id] |= {"released": iso(entry.at), "released_seq": entry.seq}

    def _place(self, entry: Entry, _within: bool) -> None:
        body, hold_id = entry.body, str(entry.body["hold_id"])
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

    def _archive(self, entry: Entry, within: bool) -> None:
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
            "root": _text(body, "root"),
            "keep_until": _instant(body, "keep_until"),
            "object_lock": _text(body, "object_lock"),
        }
        if entry.kind == "archive.verified" and run_id:
            self._manifests[run_id] = row
        if body.get("state") == "intent":
            self._going[row["manifest"]] = row | {"kind": "archive.announced"}
            return
        if entry.kind == "archive.expired":
            self._going.pop(row["manifest"], None)
        if within:
            self._archives.append(row)

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
    outcome, code = _outcome(entry)
    return {
        "seq": entry.seq,
        "at": iso(entry.at),
        "kind": entry.kind,
        "policy": entry.policy,
        "target": _text(body, "target"),
        "fingerprint": _text(body, "fingerprint"),
        "run_id": _text(body, "run_id"),
        "outcome": outcome,
        "exit_code": code,
        "retention_days": _known(body, "retention_days"),
        "cutoff": _instant(body, "cutoff"),
        "method": _text(body, "disposition"),
        "digest": _text(body, "digest"),
        "archive": _text(body, "archive") if entry.kind == "run.completed" else None,
        **_sums(entry),
        **_proved(body.get("proof") or {}),
        **_judged(body.get("guards") or ()),
        "holds": [str(hold) for hold in body.get("holds") or ()],
        "resumed": False,
        "missed": _known(body, "missed"),
        "since": _instant(body, "since"),
        "hash": entry.hash,
    }


def _sums(entry: Entry) -> Row:
    """What went, and what did not."""
    body = entry.body
    counts = ("held", "locked", "undated", "failures", "unknown_batch")
    went = {name: _int(body, name) for name in ("destroyed", "condemned")}
    return {
        "planned": _known(body, "items" if entry.kind == "run.refused" else "planned"),
        **(went if entry.kind != "run.resumed" else dict.fromkeys(went, 0)),
        "earlier": None,
        "rotated": None,
        "unknown_items": None,
        "batches": _int(body, "batches"),
        "bytes": _known(body, "bytes") or (None if went["destroyed"] else 0),
        "first": _instant(body, "first"),
        "last": _instant(body, "last"),
        **{name: _known(body, name) for name in counts},
    }


def _proved(proof: Mapping[str, Any]) -> Row:
    """What the second survey found."""
    return {
        "left": _known(proof, "left"),
        "unexplained": _known(proof, "unexplained"),
        "explained": {str(name): _int(proof["explained"], name) for name in proof.get("explained") or ()},
        "oldest_left": _instant(proof, "oldest"),
        "gone_by": _instant(proof, "pending_until"),
    }


def _judged(guards: Iterable[Mapping[str, Any]]) -> Row:
    """The guards that refused, by name, and what the others observed, against their limits."""
    found = list(guards)
    passed = (item for item in found if item["passed"])
    return {
        "guards": [str(item["guard"]) for item in found if not item["passed"]],
        "passed": {
            str(item["guard"]): f"{_text(item, 'observed')} / {_text(item, 'limit')}" for item in passed
        },
    }


def _outcome(entry: Entry) -> tuple[str | None, int | None]:
    """In a word, and the exit code: an entry that names neither says what they were all the same."""
    if entry.kind == "run.refused":
        return str(Outcome.REFUSED), int(ExitCode.REFUSED)
    if entry.kind == "run.checked":
        code = checked_code(Level(item["level"]) for item in entry.body.get("findings") or ())
        return str(OUTCOMES.get(code, Outcome.CHECKED)), int(code)
    return _text(entry.body, "outcome"), _known(entry.body, "exit_code")


def _rotated(entry: Entry) -> Iterator[Row]:
    """Logs that were rotated, or rotated files that went by number or age and not by the policy.

    The entry about the latter is written before they go.
    """
    body = entry.body
    rotated, removed = _int(body, "rotated"), body.get("removed") or ()
    if not rotated and not removed:
        return  # goes on with the checksums of the entry before it
    yield _run(entry) | {
        "target": _text(body, "set"),
        "outcome": "removed" if removed else "rotated",
        "method": "keep, max_age_days" if removed else None,
        "rotated": rotated or None,
        "destroyed": len(removed),
        "bytes": sum(_int(file, "bytes") for file in removed) if removed else _known(body, "bytes"),
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
        yield _change(entry, "floor", str(body.get("from")), str(body.get("to")))
    if entry.kind in _CHANGES:
        before, after = (_text(body, "old"), _text(body, "new") or _text(body, "key") or _set_up(body))
        yield _change(entry, entry.kind, before, after)


def _change(entry: Entry, kind: str, before: str | None, after: str | None) -> Row:
    """That something is not what it was."""
    where = {"policy": entry.policy, "target": _text(entry.body, "target")}
    told = {"guard": "floor" if kind == "floor" else None, "observed": before, "limit": after}
    return {"seq": entry.seq, "at": iso(entry.at), **where, **told, "override": None, "kind": kind}


def _set_up(body: Mapping[str, Any]) -> str | None:
    """What ``migrate`` made of a table."""
    names = ("strategy", "floor_days", "time_column", "job_role")
    return "; ".join(f"{name} {body[name]}" for name in names if body.get(name)) or None


def _skew_of(entry: Entry) -> int | None:
    """Seconds between the program's clock and the store's, where an entry tells them."""
    if entry.kind == "run.checked" and (store := _instant(entry.body, "store_clock")):
        program = parse_iso(_instant(entry.body, "program_clock") or iso(entry.at))
        return round(abs((program - parse_iso(store)).total_seconds()))
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
