"""What a sprint's look back is about: figures from the ledger and from what people were told. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

from luxima_retention import __version__
from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import RetentionError
from luxima_retention.evidence.ledger import Entry
from luxima_retention.report.incidents import Incident, Incidents, tell
from luxima_retention.report.told import Told
from luxima_retention.tell.notify.conditions import Memory

Row = dict[str, Any]

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
#: what an entry that another program wrote makes of our reading
_NOT_OURS = (KeyError, TypeError, ValueError, AttributeError)
#: kinds of rows about guards that are looked at: what refused, and what was named to go on
_GUARDS = frozenset({"refused", "override", "approval"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrospective:
    """What every form renders. Rows are JSON values; instants in them are ISO 8601, UTC.

    Args:
        start, end: of the period; the end is outside of it.
        written: the one reading of the clock.
        environment: whose notifications were looked at.
        ledger_error: why the ledger cannot be trusted; ``None`` when it was verified.
        notified: whether it is known what people were told.
        incidents: that were open at any time of the period, oldest first.
        repeats: what happened more than once, or in the period of the same length before, too.
        guards: what guards refused, what was named to go on, and what came of it.
        holds: in force at any time of the period.
        actions: what somebody has yet to do, at the end of the period.
    """

    start: datetime
    end: datetime
    written: datetime
    environment: str
    ledger_error: str | None = None
    notified: bool = True
    incidents: tuple[Row, ...] = ()
    repeats: tuple[Row, ...] = ()
    guards: tuple[Row, ...] = ()
    holds: tuple[Row, ...] = ()
    actions: tuple[Row, ...] = ()

    @property
    def summary(self) -> dict[str, int | None]:
        """The figures of page one."""
        tell_in = [row["seconds_to_tell"] for row in self.incidents if row["seconds_to_tell"] is not None]
        mended_in = [row["seconds_to_mend"] for row in self.incidents if row["seconds_to_mend"] is not None]
        return {
            "incidents": len(self.incidents),
            "open": sum(row["ended"] is None for row in self.incidents),
            "told": len(tell_in),
            "not_told": len(self.incidents) - len(tell_in),
            "median_to_tell": _median(tell_in),
            "longest_to_tell": max(tell_in, default=None),
            "median_to_mend": _median(mended_in),
            "longest_to_mend": max(mended_in, default=None),
            "repeats": len(self.repeats),
            "refusals": sum(row["times"] for row in self.guards if row["kind"] == "refused"),
            "holds": sum(row["released"] is None for row in self.holds),
            "actions": len(self.actions),
        }

    def as_json(self) -> Row:
        """JSON values."""
        return {
            "version": 1,
            "program": __version__,
            "from": iso(self.start),
            "to": iso(self.end),
            "written": iso(self.written),
            "environment": self.environment,
            "ledger_error": self.ledger_error,
            "notified": self.notified,
            "summary": self.summary,
            "incidents": list(self.incidents),
            "repeats": list(self.repeats),
            "guards": list(self.guards),
            "holds": list(self.holds),
            "actions": list(self.actions),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the figures come from.

    Args:
        entries: the ledger, whole; if reading it fails, the look back says so and holds what came before.
        size: entries that were verified; ``None`` when verification failed.
        ledger_error: why it failed.
        memory: of notifications; ``None`` where it cannot be read or nobody is told.
        environment: of the notifications.
        owners: policy → who answers for it.
    """

    entries: Iterable[Entry]
    size: int | None = None
    ledger_error: str | None = None
    memory: Memory | None = None
    environment: str = ""
    owners: Mapping[str, str] = field(default_factory=dict)


def look_back(sources: Sources, start: datetime, end: datetime, now: datetime) -> Retrospective:
    """The look back at ``start`` ≤ time < ``end``."""
    until = min(end, now)
    told, incidents = Told(_EARLIEST, until), Incidents()
    unread = _read(sources, told, incidents, until)
    every = incidents.until(until)
    if sources.memory is not None:
        every = tell(every, sources.memory, sources.environment, until)
    within = [item for item in every if item.began < end and (item.ended is None or item.ended >= start)]
    holds = tuple(
        row for row in told.holds() if row["released"] is None or parse_iso(row["released"]) >= start
    )
    overdue = {row["hold_id"] for row in told.unreviewed(until)}
    return Retrospective(
        start=start,
        end=end,
        written=now,
        environment=sources.environment,
        ledger_error=sources.ledger_error or unread,
        notified=sources.memory is not None,
        incidents=tuple(map(_row, within)),
        repeats=tuple(_repeats(every, within, start, end)),
        guards=tuple(_guards(told.guards, within, start)),
        holds=tuple(_hold(row, start, overdue) for row in holds),
        actions=tuple(_actions(within, holds, overdue, sources)),
    )


def _read(sources: Sources, told: Told, incidents: Incidents, until: datetime) -> str | None:
    """Read as far as it goes, and no further than was verified; why it stopped, if it should not have."""
    try:
        for entry in sources.entries:
            if sources.size is not None and entry.seq > sources.size:
                return None
            if entry.at < until:
                told.add(entry)
                incidents.add(entry, entry.event)
    except RetentionError as error:
        return error.message
    except _NOT_OURS as error:
        return f"entry {told.count} is not what this program writes: {type(error).__name__} {error}"
    return None


def _row(item: Incident) -> Row:
    return {
        "policy": item.policy,
        "target": item.target,
        "cause": item.cause.code,
        "detail": item.cause.detail,
        "exit_code": int(item.code),
        "began": iso(item.began),
        "found": iso(item.found),
        "told": iso(item.told) if item.told else None,
        "channels": list(item.channels),
        "ended": iso(item.ended) if item.ended else None,
        "removed": item.removed,
        "seconds_to_tell": item.seconds_to_tell,
        "seconds_to_mend": item.seconds_to_mend,
        "runs": item.runs,
        "entries": item.seqs,
        "items": list(item.items),
        "said": item.sentence,
    }


def _repeats(
    every: Sequence[Incident], within: Sequence[Incident], start: datetime, end: datetime
) -> Iterator[Row]:
    """What came back: within the period, or from the one of the same length before it."""
    earlier = start - (end - start)
    before = Counter(_names(item) for item in every if earlier <= item.began < start)
    now = Counter(_names(item) for item in within if item.began >= start)
    lasts = {_names(item): item for item in within}
    for names in sorted(now):
        if now[names] > 1 or before[names]:
            policy, target, code, detail = names
            yield {
                "policy": policy,
                "target": target,
                "cause": code,
                "detail": detail,
                "times": now[names],
                "before": before[names],
                "last": iso(lasts[names].began),
            }


def _names(item: Incident) -> tuple[str, str, str, str]:
    return item.policy, item.target, item.cause.code, item.cause.detail


def _guards(rows: Sequence[Row], within: Sequence[Incident], start: datetime) -> Iterator[Row]:
    """Like things as one, in the order in which they began."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["kind"] in _GUARDS and parse_iso(row["at"]) >= start:
            groups.setdefault((row["policy"], row["target"], row["guard"], row["kind"]), []).append(row)
    for (policy, target, guard, kind), found in groups.items():
        last = found[-1]
        yield {
            "policy": policy or "",
            "target": target or "",
            "guard": guard or "",
            "kind": kind,
            "times": len(found),
            "first": found[0]["at"],
            "last": last["at"],
            "observed": last["observed"],
            "limit": last["limit"],
            "named": last["override"],
            "outcome": _outcome(last, rows, within) if kind == "refused" else "went_on",
        }


def _outcome(refusal: Row, rows: Sequence[Row], within: Sequence[Incident]) -> str:
    """What came of a refusal: somebody named a value, its cause went away, or it still refuses."""
    named = any(
        row["kind"] in {"override", "approval"}
        and (row["policy"], row["guard"]) == (refusal["policy"], refusal["guard"])
        and row["seq"] > refusal["seq"]
        for row in rows
    )
    if named:
        return "named"
    still = any(refusal["seq"] in item.seqs and item.ended is None for item in within)
    return "refuses" if still else "went_away"


def _hold(row: Row, start: datetime, overdue: set[str]) -> Row:
    return {
        "hold_id": row["hold_id"],
        "policy": row["policy"] or "",
        "names": row["names"],
        "placed": row["placed"],
        "new": parse_iso(row["placed"]) >= start,
        "released": row["released"],
        "review_by": row["review_by"],
        "overdue": row["hold_id"] in overdue,
    }


def _actions(
    within: Sequence[Incident], holds: Sequence[Row], overdue: set[str], sources: Sources
) -> Iterator[Row]:
    """What is open: troubles, reviews of holds, messages that nobody took."""
    for item in within:
        if item.ended is None:
            yield {
                **_action(item.policy, item.target, item.cause.code, sources.owners),
                "since": iso(item.began),
                "detail": item.cause.detail,
                "items": list(item.items),
            }
    for row in holds:
        if row["hold_id"] in overdue:
            yield {
                **_action(row["policy"] or "", "", "hold_review", sources.owners),
                "since": row["review_by"],
                "detail": row["hold_id"],
            }
    for channel, times in sorted(_waiting(sources.memory).items()):
        made = _action("", "", "waiting", sources.owners)
        since = iso(datetime.fromtimestamp(min(times), UTC))
        yield {**made, "since": since, "detail": channel, "count": len(times)}


def _waiting(memory: Memory | None) -> dict[str, list[float]]:
    """Channel → when the messages were made that it has not got yet."""
    found: dict[str, list[float]] = {}
    for item in memory.outbox if memory else ():
        found.setdefault(item.channel, []).append(item.message.at)
    return found


def _action(policy: str, target: str, code: str, owners: Mapping[str, str]) -> Row:
    return {
        "policy": policy,
        "target": target,
        "code": code,
        "detail": "",
        "owner": owners.get(policy, ""),
        "since": None,
        "items": [],
        "count": 1,
    }


def _median(values: Sequence[int]) -> int | None:
    return round(median(values)) if values else None
