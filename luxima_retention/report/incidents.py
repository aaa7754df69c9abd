"""Troubles from their beginning to their end, from the ledger and from what people were told. Pure.

The ledger knows what went wrong and when it was well again; the memory of notifications knows when people
heard of it, and of troubles that kept a run from writing into the ledger at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import singledispatch

from luxima_retention.core.errors import SEVERITY, ExitCode
from luxima_retention.core.results import OUTCOMES, Outcome, checked_code
from luxima_retention.evidence import events
from luxima_retention.evidence.events import Event
from luxima_retention.evidence.ledger import Entry
from luxima_retention.tell.notify.conditions import Memory, Trouble

#: a run that has not told its end by then has none
_ABANDONED = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What went wrong, in the same words each time.

    Args:
        code: name of its text.
        detail: guards that refused, or the outcome.
    """

    code: str
    detail: str = ""


WELL = Cause(code="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one entry says of one target.

    Args:
        target: name of the store; empty for the policy as a whole.
        code: exit code; 0 where it is well.
        cause: of the trouble.
        sentence: the program's own.
        left: expired records that are still there, where that was counted.
        began: when it went wrong, where that was before it was found.
    """

    target: str
    code: ExitCode
    cause: Cause = WELL
    sentence: str = ""
    left: int | None = None
    began: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Incident:
    """One trouble of one target.

    Args:
        policy: whose; ``ledger``, ``archive`` and ``observability`` are no policies.
        target: name of the store; empty for the policy as a whole.
        cause: what went wrong first.
        code: the worst exit code of its runs.
        began: when it went wrong.
        found: when a run found it; from then on somebody could be told.
        ended: when a run found it well again; ``None`` while it is open.
        runs: that found it.
        seqs: of their entries; none where only people were told of it.
        sentence: the program's own, of the newest run.
        told: when the first message about it arrived anywhere.
        channels: where it arrived.
        items: work items about it.
        removed: whether it ended since somebody took its target out of the settings.
    """

    policy: str
    target: str
    cause: Cause
    code: ExitCode
    began: datetime
    found: datetime
    ended: datetime | None = None
    runs: int = 1
    seqs: list[int] = field(default_factory=list)
    sentence: str = ""
    told: datetime | None = None
    channels: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    removed: bool = False

    @property
    def seconds_to_tell(self) -> int | None:
        """From the run that found it to the first message that arrived."""
        return None if self.told is None else max(0, round((self.told - self.found).total_seconds()))

    @property
    def seconds_to_mend(self) -> int | None:
        """From its beginning to the run that found it well."""
        return None if self.ended is None else max(0, round((self.ended - self.began).total_seconds()))


class Incidents:
    """What the entries told so far."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Incident] = {}
        self._ended: list[Incident] = []
        self._begun: dict[str, tuple[str, events.RunStarted, datetime]] = {}
        self._left: dict[tuple[str, str], int] = {}

    def add(self, entry: Entry, event: Event) -> None:
        """The next entry, in the ledger's order."""
        policy = entry.policy or ""
        if isinstance(event, events.RunStarted):
            self._begun[event.run_id] = policy, event, entry.at
            return
        if isinstance(event, events.RunResumed | events.RunReconciled) and event.run_id in self._begun:
            began = self._begun[event.run_id][2]
            killed = Said(target=event.target, code=ExitCode.FAULT, cause=Cause(code="killed"), began=began)
            self._take(entry, policy, killed)
        if isinstance(event, events.RunCompleted | events.RunReconciled):
            self._begun.pop(event.run_id, None)
        for place, said in _said(event):
            # A slot that is no policy's is known by its own name.
            missed = isinstance(event, events.SlotMissed | events.SweepMissed)
            self._take(entry, (policy or place) if missed else (place or policy), said)

    def until(self, end: datetime) -> list[Incident]:
        """Every incident, those of runs that never ended included; oldest first.

        Args:
            end: until which entries were read.
        """
        for policy, event, at in self._begun.values():
            if end - at > _ABANDONED and (policy, event.target) not in self._open:
                self._open[policy, event.target] = Incident(
                    policy=policy,
                    target=event.target,
                    cause=Cause(code="killed"),
                    code=ExitCode.FAULT,
                    began=at,
                    found=at + _ABANDONED,
                )
        return sorted((*self._ended, *self._open.values()), key=lambda item: (item.began, item.policy))

    def _take(self, entry: Entry, policy: str, said: Said) -> None:
        key = policy, said.target
        if said.code is ExitCode.LOCKED or self._shrinks(key, said):
            return
        if said.target:
            # A run that came to its targets took place, whatever it found there.
            self._close((policy, ""), entry.at)
        if said.code is ExitCode.DONE:
            self._close(key, entry.at)
        else:
            self._trouble(entry, key, said)

    def _shrinks(self, key: tuple[str, str], said: Said) -> bool:
        """Whether a run stopped in good order, and left less than the one before: no trouble yet."""
        before = self._left.pop(key, None)
        if said.left is not None:
            self._left[key] = said.left
        if said.code is not ExitCode.STOPPED or said.left is None:
            return False
        return before is None or said.left < before

    def _close(self, key: tuple[str, str], at: datetime) -> None:
        incident = self._open.pop(key, None)
        if incident is not None:
            incident.ended = at
            self._ended.append(incident)

    def _trouble(self, entry: Entry, key: tuple[str, str], said: Said) -> None:
        incident = self._open.get(key)
        if incident is None:
            self._open[key] = Incident(
                policy=key[0],
                target=key[1],
                cause=said.cause,
                code=said.code,
                began=min(said.began or entry.at, entry.at),
                found=entry.at,
                seqs=[entry.seq],
                sentence=said.sentence,
            )
            return
        incident.runs += 1
        incident.seqs.append(entry.seq)
        incident.code = min(incident.code, said.code, key=SEVERITY.index)
        incident.sentence = said.sentence or incident.sentence


@singledispatch
def _said(event: Event) -> Iterator[tuple[str, Said]]:
    """What an entry says of targets; with it the place that it is about where that is no policy."""
    del event
    yield from ()


def _of(code: ExitCode, outcome: Outcome | None = None) -> Cause:
    if code is ExitCode.DONE:
        return WELL
    if code is ExitCode.DRIFT:
        return Cause(code="drift")
    return Cause(code="ended", detail=str(outcome or OUTCOMES[code]))


@_said.register
def _(event: events.RunCompleted) -> Iterator[tuple[str, Said]]:
    yield (
        "",
        Said(
            target=event.target,
            code=event.exit_code,
            cause=_of(event.exit_code, event.outcome),
            sentence=event.error or "",
            left=event.proof.left if event.proof else None,
        ),
    )


@_said.register
def _(event: events.RunRefused) -> Iterator[tuple[str, Said]]:
    guards = ", ".join(guard.guard for guard in event.guards if not guard.passed)
    cause = Cause(code="refused", detail=guards)
    yield "", Said(target=event.target, code=event.exit_code, cause=cause, sentence=event.error or "")


@_said.register
def _(event: events.RunChecked) -> Iterator[tuple[str, Said]]:
    code = checked_code((item.level for item in event.findings), event.unknown)
    yield "", Said(target=event.target, code=code, cause=_of(code), sentence=event.error or "")


@_said.register
def _(event: events.RunFailed) -> Iterator[tuple[str, Said]]:
    yield (
        "",
        Said(target=event.target, code=event.exit_code, cause=Cause(code="failed"), sentence=event.error),
    )


@_said.register(events.SlotMissed | events.SweepMissed)
def _(event: events.SlotMissed | events.SweepMissed) -> Iterator[tuple[str, Said]]:
    swept = isinstance(event, events.SweepMissed)
    cause = Cause(code="sweep" if swept else "missed")
    target = "sweep" if swept else ""
    yield event.slot or "", Said(target=target, code=ExitCode.INCOMPLETE, cause=cause, began=event.first)


@_said.register
def _(event: events.SweepCompleted) -> Iterator[tuple[str, Said]]:
    yield "", Said(target="sweep", code=event.exit_code, cause=_of(event.exit_code))


@_said.register
def _(event: events.ArchiveChecked) -> Iterator[tuple[str, Said]]:
    yield _served("archive-verify")
    code = ExitCode.VERIFICATION_FAILED if event.broken_count else ExitCode.INCOMPLETE
    names = ", ".join((*event.broken, *event.unknown)[:3])
    said = Said(target="verify", code=code, cause=Cause(code="archive_broken"), sentence=names)
    yield "archive", said if event.broken_count + event.unknown_count else _well("verify")


@_said.register
def _(event: events.ArchiveDrilled) -> Iterator[tuple[str, Said]]:
    yield _served("archive-drill")
    differs = Said(target="drill", code=ExitCode.VERIFICATION_FAILED, cause=Cause(code="drill"))
    yield "archive", _well("drill") if event.outcome == "same" else differs


@_said.register
def _(event: events.ObservabilityChecked) -> Iterator[tuple[str, Said]]:
    yield _served("observability-check")
    found = event.error or ", ".join((*event.differs, *event.wrong, *event.missing)[:3])
    cause = Cause(code="dashboards") if event.exit_code else WELL
    yield "observability", Said(target="check", code=event.exit_code, cause=cause, sentence=found)


@_said.register
def _(event: events.ArchiveExpired) -> Iterator[tuple[str, Said]]:
    del event
    yield _served("archive-expire")


@_said.register
def _(event: events.LedgerVerified) -> Iterator[tuple[str, Said]]:
    del event
    yield _served("ledger-verify")


@_said.register
def _(event: events.ReportSent) -> Iterator[tuple[str, Said]]:
    del event
    yield _served("report")


def _well(target: str) -> Said:
    return Said(target=target, code=ExitCode.DONE)


def _served(slot: str) -> tuple[str, Said]:
    """That a slot which is no policy's took place again, whatever it found."""
    return slot, _well("")


# --- what people were told ------------------------------------------------------------------------------


def tell(incidents: list[Incident], memory: Memory, environment: str, end: datetime) -> list[Incident]:
    """The incidents with what people were told of them, and those that the ledger knows nothing of.

    Args:
        incidents: of the ledger.
        memory: of notifications.
        environment: of the troubles in it.
        end: of the period; what was told later does not count.
    """
    found = list(incidents)
    for trouble in memory.troubles:
        place, policy, target = (*trouble.key.split(":", 2), "", "")[:3]
        if place != environment or trouble.since >= end.timestamp():
            continue
        incident = next((item for item in incidents if _same(item, policy, target, trouble)), None)
        if incident is None:
            incident = _only_told(policy, target, trouble, end)
            found.append(incident)
        _note(incident, trouble, memory, end)
    return sorted(found, key=lambda item: (item.began, item.policy, item.target))


def _same(incident: Incident, policy: str, target: str, trouble: Trouble) -> bool:
    """Whether both are about one time of one target. A run begins before its entry is written."""
    if (incident.policy, incident.target) != (policy, target):
        return False
    ended = incident.ended.timestamp() if incident.ended else float("inf")
    return trouble.since <= ended and (trouble.over is None or trouble.over >= incident.began.timestamp())


def _only_told(policy: str, target: str, trouble: Trouble, end: datetime) -> Incident:
    began = datetime.fromtimestamp(trouble.since, UTC)
    return Incident(
        policy=policy,
        target=target,
        cause=_of(ExitCode(trouble.code)),
        code=ExitCode(trouble.code),
        began=began,
        found=began,
        ended=_instant(trouble.over, end),
        runs=0,
    )


def _note(incident: Incident, trouble: Trouble, memory: Memory, end: datetime) -> None:
    arrived = {name: at for name, at in trouble.told.items() if at < end.timestamp()}
    if arrived:
        first = datetime.fromtimestamp(min(arrived.values()), UTC)
        incident.told = min(filter(None, (incident.told, first)))
        incident.channels = tuple(sorted({*incident.channels, *arrived}))
    items = _items(memory.sent.get(trouble.number, {}))
    incident.items = tuple(dict.fromkeys((*incident.items, *items)))
    if trouble.removed and incident.ended is None:
        incident.ended, incident.removed = _instant(trouble.over, end), True


def _items(sent: Mapping[str, object]) -> Iterable[str]:
    """The work items that a message made, as Plane knows them."""
    found = sent.get("plane")
    return map(str, found) if isinstance(found, list) else ()


def _instant(seconds: float | None, end: datetime) -> datetime | None:
    """An instant within the period; what took place later has not taken place yet."""
    if seconds is None or seconds >= end.timestamp():
        return None
    return datetime.fromtimestamp(seconds, UTC)
