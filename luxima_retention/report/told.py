"""What the ledger tells about a period, entry by entry. Pure.

Only entries before the end of the period are read, so that a report about the past stays what it was.
A record counts in the period in which its batch was written: a run that passes the end of a period counts
in both, with what it destroyed in each, so that reports of neighbouring periods add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import singledispatch
from typing import Any

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.results import OUTCOMES, Outcome, checked_code
from luxima_retention.evidence import events
from luxima_retention.evidence.events import BatchState, Event
from luxima_retention.evidence.ledger import Entry

#: what tells that a run ended, or did not take place
Slot = events.RunCompleted | events.RunRefused | events.RunChecked | events.RunReconciled | events.SlotMissed
#: what tells about a run, or a gap, in a row of its own
Telling = (
    events.RunStarted
    | events.RunResumed
    | events.RunFailed
    | Slot
    | events.SweepCompleted
    | events.SweepMissed
)
#: what tells the period in force
_WITH_DAYS = (
    events.RunStarted,
    events.RunCompleted,
    events.RunRefused,
    events.RunChecked,
    events.PolicyApplied,
)

Row = dict[str, Any]


#: what an entry about an end does not say, and the one about the start did
_OF_START = ("method", "resumed", "digest", "passed", "holds", "unknown_batch")
#: every row of the population, before its entry says more
_EMPTY: Row = {
    **dict.fromkeys(("target", "fingerprint", "run_id", "outcome", "exit_code", "retention_days", "cutoff")),
    **dict.fromkeys(("method", "digest", "archive", "planned")),
    **dict.fromkeys(("destroyed", "condemned"), 0),
    **dict.fromkeys(("earlier", "rotated", "unknown_items")),
    "batches": 0,
    "bytes": 0,
    **dict.fromkeys(("first", "last", "held", "locked", "undated", "failures", "unknown_batch")),
    **dict.fromkeys(("left", "unexplained", "oldest_left", "gone_by", "missed", "since")),
    **dict.fromkeys(("first_missed", "last_missed", "error", "kept_until")),
    "archived": 0,
    "resumed": False,
}


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

    def batch(self, batch: events.Batch, *, within: bool) -> None:
        """The next batch."""
        row = self.row
        row["batches"] = max(row["batches"], batch.number)
        if batch.state is BatchState.INTENT:
            self.waiting[batch.number] = batch.items
        else:
            self.waiting.pop(batch.number, None)
            self._add(batch, within=within)
        row["unknown_batch"] = min(self.waiting, default=None)

    def _add(self, batch: events.Batch, *, within: bool) -> None:
        row = self.row
        if not within:
            self.earlier = (self.earlier[0] + batch.items, self.earlier[1] + batch.pending)
            return
        row["destroyed"] += batch.items
        row["archived"] += batch.items if batch.part else 0
        row["condemned"] += batch.pending
        if batch.bytes is not None:
            row["bytes"] = (row["bytes"] or 0) + batch.bytes
        row["first"] = min(filter(None, (row["first"], _instant(batch.first))), default=None)
        row["last"] = max(filter(None, (row["last"], _instant(batch.last))), default=None)

    def ended(self, end: Row) -> Row:
        """The row of its end; what only the batches tell is theirs.

        An end tells bytes and times of its own process alone, so that those of a run of several processes,
        or of several periods, are the batches'.
        """
        row, (destroyed, condemned) = self.row, self.earlier
        told = {name: row[name] for name in (*_OF_START, "archived")}
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
        self._applied: dict[str, str] = {}
        self._going: dict[str | None, Row] = {}
        self.count = 0
        self.begun = False
        self.last_slot: dict[str, datetime] = {}
        self.last_of: dict[tuple[str, str], datetime] = {}
        self.resumed: list[Row] = []
        self.guards: list[Row] = []
        self._archives: list[Row] = []
        self.skews: dict[tuple[str, str], Row] = {}
        self.missing: list[Row] = []

    def add(self, entry: Entry) -> None:
        """The next entry.

        Raises:
            TamperingFound: its body is not what the program writes.
        """
        self.count += 1
        if entry.at >= self._end:
            return
        within, event = entry.at >= self._start, entry.event
        self._tell(entry, event, within=within)
        changed = tuple(self._changed(entry, event))
        if within:
            self.guards.extend((*_guards(entry, event), *changed))
            self._skew(entry, event)
            self.missing.extend(_missing(entry, event))

    def runs(self) -> Iterator[Row]:
        """The population in the ledger's order; a run that had not ended by then is one of them."""
        still = (run.left_open() for run in self._open.values())
        for row in sorted((*self._runs, *still), key=lambda row: row["seq"]):
            manifest = self._manifests.get(row["run_id"] or "", {})
            yield {
                **row,
                "archive": manifest.get("manifest") or row["archive"],
                "archive_sha256": manifest.get("sha256"),
                # A manifest is written over all that the run has destroyed.
                "archived": row["destroyed"] if manifest else row["archived"],
                "kept_until": manifest.get("keep_until"),
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

    def unreviewed(self, now: datetime) -> tuple[Row, ...]:
        """The holds in force whose review should have taken place."""
        return tuple(
            row
            for row in self._holds.values()
            if row["released"] is None and row["review_by"] and parse_iso(row["review_by"]) <= now
        )

    # --- kinds of entries -----------------------------------------------------------------------------

    def _tell(self, entry: Entry, event: Event, *, within: bool) -> None:
        if isinstance(event, events.RunStarted):
            self._begin(entry, event)
        elif isinstance(event, events.RunResumed):
            self._resume(entry, event, within=within)
        elif isinstance(event, events.Batch):
            if run := self._open.get(event.run_id):
                run.batch(event, within=within)
        elif isinstance(event, Slot):
            self._slot(entry, event, within=within)
        elif isinstance(event, events.RunFailed):
            self._fail(entry, event, within=within)
        elif isinstance(event, events.HoldPlaced | events.HoldReleased):
            self._hold(entry, event)
        elif isinstance(event, events.OfArchive):
            self._archive(entry, event, within=within)
        elif within:
            self._runs.extend(_alone(entry, event))

    def _hold(self, entry: Entry, event: events.HoldPlaced | events.HoldReleased) -> None:
        if isinstance(event, events.HoldPlaced):
            self._holds[event.hold_id] = _placed(entry, event)
        elif event.hold_id in self._holds:
            self._holds[event.hold_id] |= {"released": iso(entry.at), "released_seq": entry.seq}

    def _begin(self, entry: Entry, event: events.RunStarted) -> None:
        self.begun = True
        row = _run(entry, event)
        self._served(entry, row["target"])
        self._open[event.run_id] = _Open(row=row)

    def _fail(self, entry: Entry, event: events.RunFailed, *, within: bool) -> None:
        """A run without a plan: it took place, and so was not missed."""
        self.begun = True
        self._served(entry, event.target)
        if within:
            self._runs.append(_run(entry, event))

    def _resume(self, entry: Entry, event: events.RunResumed, *, within: bool) -> None:
        run = self._open.get(event.run_id)
        if run is not None:
            run.row["resumed"] = True
        self._served(entry, event.target)
        if within:
            self.resumed.append(_run(entry, event))

    def _slot(self, entry: Entry, event: Slot, *, within: bool) -> None:
        row = _run(entry, event)
        self._served(entry, row["target"])
        self.begun = True
        started = None
        if isinstance(event, events.RunCompleted | events.RunReconciled):
            started = self._open.pop(event.run_id, None)
        if within:
            self._runs.append(started.ended(row) if started is not None else row)

    def _served(self, entry: Entry, target: str | None) -> None:
        """When a policy, and a target of it, last had its turn or was said to have missed it."""
        policy = entry.policy or ""
        self.last_slot[policy] = max(entry.at, self.last_slot.get(policy, entry.at))
        known = [place for place in self.last_of if place[0] == policy]
        for place in known if target is None else [(policy, target)]:
            self.last_of[place] = max(entry.at, self.last_of.get(place, entry.at))

    def _changed(self, entry: Entry, event: Event) -> Iterator[Row]:
        """That a policy keeps its records for another time, or on other terms, than before."""
        policy = entry.policy or ""
        if isinstance(event, _WITH_DAYS) and event.retention_days is not None:
            before, days = self._days.get(policy), event.retention_days
            self._days[policy] = days
            if before not in {None, days}:
                yield _change(entry, "retention", f"{before} d", f"{days} d") | {"guard": "retention"}
        if isinstance(event, events.PolicyApplied):
            terms = _terms(event)
            yield _change(entry, event.kind, self._applied.get(policy), terms)
            self._applied[policy] = terms

    def _archive(self, entry: Entry, event: events.OfArchive, *, within: bool) -> None:
        row = _archived(entry, event)
        if isinstance(event, events.ArchiveVerified) and event.run_id:
            self._manifests[event.run_id] = row
        if isinstance(event, events.ArchiveExpired):
            if event.state is events.ArchiveState.INTENT:
                self._going[row["manifest"]] = row | {"kind": "archive.announced"}
                return
            self._going.pop(row["manifest"], None)
        if within:
            self._archives.append(row)

    def _skew(self, entry: Entry, event: Event) -> None:
        """The largest difference between the two clocks, and how often it was told."""
        told = _skew_of(entry, event)
        if told is None:
            return
        key = entry.policy or "", str(getattr(event, "target", None) or "")
        row = self.skews.setdefault(key, {"measured": 0, "largest": 0, "at": iso(entry.at)})
        row["measured"] += 1
        if told > row["largest"]:
            row |= {"largest": told, "at": iso(entry.at)}


def _run(entry: Entry, event: Telling) -> Row:
    """One run, or one gap, of the population."""
    said = _said(event)
    return {
        **_about(entry),
        **_EMPTY,
        **_proved(None),
        **_judged(()),
        "holds": [],
        **said,
        "bytes": said.get("bytes") or (None if said.get("destroyed") else 0),
        "hash": entry.hash,
    }


def _about(entry: Entry) -> Row:
    return {"seq": entry.seq, "at": iso(entry.at), "kind": entry.kind, "policy": entry.policy}


@singledispatch
def _said(event: Event) -> Row:
    """What this kind of entry says besides its kind."""
    raise TypeError(f"{event.kind} stands for no run")


@_said.register(events.SlotMissed | events.SweepMissed)
def _(event: events.SlotMissed | events.SweepMissed) -> Row:
    return {
        "missed": event.missed,
        "since": _instant(event.since),
        "first_missed": _instant(event.first),
        "last_missed": _instant(event.last),
    }


@_said.register
def _(event: events.RunFailed) -> Row:
    told = {"outcome": str(event.outcome), "exit_code": int(event.exit_code), "error": event.error}
    return {"target": event.target, **told}


@_said.register
def _(event: events.SweepCompleted) -> Row:
    return {"exit_code": int(event.exit_code)}


@_said.register
def _(event: events.RunStarted) -> Row:
    return {**_judged_plan(event), "run_id": event.run_id, "outcome": "not completed"}


@_said.register
def _(event: events.RunRefused) -> Row:
    ended = {
        "outcome": str(OUTCOMES[event.exit_code]),
        "exit_code": int(event.exit_code),
        "error": event.error,
    }
    return {**_judged_plan(event), **ended}


@_said.register
def _(event: events.RunResumed) -> Row:
    names = {"target": event.target, "run_id": event.run_id, "batches": event.batches}
    return {**names, "cutoff": _instant(event.cutoff), "unknown_batch": event.unknown_batch}


@_said.register
def _(event: events.RunReconciled) -> Row:
    return {**_ended(event), "outcome": "reconciled", "unknown_batch": event.unknown_batch}


def _judged_plan(event: events.RunStarted | events.RunRefused) -> Row:
    """A plan, and what the guards said of it."""
    return {
        "target": event.target,
        "fingerprint": event.fingerprint or None,
        "retention_days": event.retention_days,
        "cutoff": _instant(event.cutoff),
        "method": event.disposition or None,
        "digest": event.digest or None,
        "planned": event.items,
        "held": event.held,
        "locked": event.locked,
        "undated": event.undated,
        **_judged(event.guards),
        "holds": list(event.holds),
    }


@_said.register
def _(event: events.RunChecked) -> Row:
    code = checked_code((item.level for item in event.findings), event.unknown)
    return {
        "target": event.target,
        "fingerprint": event.fingerprint,
        "outcome": str(OUTCOMES.get(code, Outcome.CHECKED)),
        "exit_code": int(code),
        "error": event.error,
        "retention_days": event.retention_days,
        "cutoff": _instant(event.cutoff),
    }


@_said.register
def _(event: events.RunCompleted) -> Row:
    return {
        **_ended(event),
        "fingerprint": event.fingerprint,
        "outcome": str(event.outcome),
        "exit_code": int(event.exit_code),
        "error": event.error,
        "retention_days": event.retention_days,
        "archive": event.archive,
        "bytes": event.bytes,
        "first": _instant(event.first),
        "last": _instant(event.last),
        "held": event.held,
        "locked": event.locked,
        "undated": event.undated,
        "failures": event.failures,
        **_proved(event.proof),
    }


def _ended(event: events.RunCompleted | events.RunReconciled) -> Row:
    """What went, by the word of its end."""
    return {
        "run_id": event.run_id,
        "target": event.target,
        "cutoff": _instant(event.cutoff),
        "planned": event.planned,
        "destroyed": event.destroyed,
        "condemned": event.condemned,
        "batches": event.batches,
    }


def _proved(proof: events.Proved | None) -> Row:
    """What the second survey found."""
    return {
        "left": proof.left if proof else None,
        "unexplained": proof.unexplained if proof else None,
        "explained": dict(proof.explained) if proof else {},
        "oldest_left": _instant(proof.oldest) if proof else None,
        "gone_by": _instant(proof.pending_until) if proof else None,
    }


def _judged(guards: Iterable[events.Guard]) -> Row:
    """The guards that refused, by name, and what the others observed, against their limits."""
    found = tuple(guards)
    return {
        "guards": [item.guard for item in found if not item.passed],
        "passed": {item.guard: f"{item.observed} / {item.limit}" for item in found if item.passed},
    }


def _alone(entry: Entry, event: Event) -> Iterator[Row]:
    """A row of an entry that stands for itself: a sweep, a rotation."""
    if isinstance(event, events.SweepCompleted | events.SweepMissed):
        yield _run(entry, event)
    elif isinstance(event, events.Rotation):
        yield from _rotated(entry, event)


def _rotated(entry: Entry, event: events.Rotation) -> Iterator[Row]:
    """Logs that were rotated, or rotated files that went by number or age and not by the policy.

    The entry about the latter is written before they go.
    """
    removed = event.removed
    if not event.rotated and not removed:
        return  # goes on with the checksums of the entry before it
    yield {
        **_about(entry),
        **_EMPTY,
        **_proved(None),
        **_judged(()),
        "holds": [],
        "target": event.set,
        "outcome": "removed" if removed else "rotated",
        "method": "keep, max_age_days" if removed else None,
        "rotated": event.rotated or None,
        "destroyed": len(removed),
        "bytes": sum(_size(file.get("bytes")) for file in removed) if removed else event.bytes,
        "hash": entry.hash,
    }


def _size(value: str | int | None) -> int:
    return value if isinstance(value, int) else 0


def _placed(entry: Entry, event: events.HoldPlaced) -> Row:
    return {
        "hold_id": event.hold_id,
        "policy": entry.policy,
        "names": sorted(event.dimensions),
        "start": _instant(event.start),
        "end": _instant(event.end),
        "review_by": _instant(event.review_by),
        "placed": iso(entry.at),
        "placed_seq": entry.seq,
        "released": None,
        "released_seq": None,
        "sha256": event.sha256 or None,
    }


def _missing(entry: Entry, event: Event) -> Iterator[Row]:
    """What a run found gone that no run of ours had destroyed, and since when."""
    if not isinstance(event, events.StoreCounted) or event.since is None:
        return
    row = {**_about(entry), "target": event.target, "since": iso(event.since)}
    if event.deleted_externally:
        yield {**row, "code": "deleted_externally", "count": event.deleted_externally, "why": ""}
    if event.unknown:
        yield {**row, "code": "deletions_unknown", "count": 1, "why": event.unknown}


def _archived(entry: Entry, event: events.OfArchive) -> Row:
    orphan = event.orphan if isinstance(event, events.ArchiveExpired) else None
    return {
        **_about(entry),
        "run_id": event.run_id,
        "manifest": event.manifest or orphan,
        "sha256": event.manifest_sha256,
        "parts": event.parts,
        "items": event.items,
        "bytes": event.bytes,
        "root": event.root,
        "keep_until": _instant(event.keep_until),
        "object_lock": event.object_lock,
        "hash": entry.hash,
    }


def _guards(entry: Entry, event: Event) -> Iterator[Row]:
    """What a guard refused, what somebody named or set to let a run go on, and what was changed."""
    common = {"seq": entry.seq, "at": iso(entry.at), "policy": entry.policy}
    for item in _guards_of(event):
        if not item.passed or item.override:
            told = {"target": getattr(event, "target", None), "guard": item.guard, "observed": item.observed}
            kind = "override" if item.passed else "refused"
            yield {**common, **told, "limit": item.limit, "override": item.override, "kind": kind}
    if isinstance(event, events.Approval):
        of = f" / {event.population}" if event.population is not None else ""
        named = {"guard": "share", "observed": f"{event.items}{of}", "limit": None}
        yield {**common, "target": event.target, **named, "override": event.option, "kind": "approval"}
    elif isinstance(event, events.PlanApproved):
        named = {"guard": "approved-plan", "observed": f"plan {event.digest[:12]}", "limit": iso(event.end)}
        yield {**common, "target": event.target, **named, "override": event.by, "kind": "approval"}
    elif isinstance(event, events.FloorChanged):
        yield _change(entry, "floor", str(event.before), str(event.after), event.target)
    elif isinstance(event, events.KeyRotated):
        yield _change(entry, event.kind, event.old, event.new)
    elif isinstance(event, events.KeyCreated):
        yield _change(entry, event.kind, None, event.key)
    elif isinstance(event, events.Migrated):
        yield _change(entry, event.kind, None, _set_up(event), event.target)


def _guards_of(event: Event) -> tuple[events.Guard, ...]:
    if isinstance(event, events.RunStarted | events.RunResumed | events.RunRefused):
        return event.guards
    return ()


def _change(entry: Entry, kind: str, before: str | None, after: str | None, target: str | None = None) -> Row:
    """That something is not what it was."""
    where = {"policy": entry.policy, "target": target}
    told = {"guard": "floor" if kind == "floor" else None, "observed": before, "limit": after}
    return {"seq": entry.seq, "at": iso(entry.at), **where, **told, "override": None, "kind": kind}


def _terms(event: events.PolicyApplied) -> str:
    """What a policy says."""
    told = (f"{event.retention_days} d", event.disposition, event.basis, ", ".join(event.targets))
    return "; ".join(filter(None, told))


def _set_up(event: events.Migrated) -> str | None:
    """What ``migrate`` made of a table."""
    facts = {
        "strategy": event.strategy,
        "floor_days": event.floor_days,
        "time_column": event.time_column,
    }
    return "; ".join(f"{name} {value}" for name, value in facts.items() if value) or None


def _skew_of(entry: Entry, event: Event) -> int | None:
    """Seconds between the program's clock and the store's, where an entry tells them."""
    if isinstance(event, events.RunChecked) and event.store_clock:
        difference: timedelta = (event.program_clock or entry.at) - event.store_clock
        return round(abs(difference.total_seconds()))
    for item in _guards_of(event):
        if item.guard == "clock-skew":
            return int(item.observed.removesuffix(" s"))
    return None


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else iso(instant)
