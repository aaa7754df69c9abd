"""What is to be told, and what was told before: the conditions of all targets as values. Pure.

A message tells a change: trouble begins, trouble gets worse, trouble ends. The same trouble again is not told
again, except once a day in a digest. A target that goes up and down is told as unstable, then hourly at most.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any

from luxima_retention.core.errors import SEVERITY, ExitCode

#: the hour of the daily digest, in ``schedule.time_zone``
DIGEST_HOUR = 8
#: changes within a day that make a target unstable
UNSTABLE = 3
_DAY, _HOUR = 86_400.0, 3_600.0
_CRITICAL = frozenset({ExitCode.FAULT, ExitCode.USAGE, ExitCode.VERIFICATION_FAILED})
#: numbers of messages that are remembered, for answers to them
_REMEMBERED = 200
#: targets of one message that are told with all that is known of them
_IN_FULL = 50
#: troubles that are remembered for looking back: a year of one or two a day
_TROUBLES = 500


class Change(StrEnum):
    """Why something is told."""

    FAILING = "failing"
    WORSE = "worse"
    #: a warning that nobody mended within two of its runs
    ESCALATED = "escalated"
    UNSTABLE = "unstable"
    HOURLY = "hourly"
    RECOVERED = "recovered"
    #: the settings no longer name the target, so no run will ever tell that it is well
    REMOVED = "removed"
    OPEN = "open"

    @property
    def over(self) -> bool:
        """Whether nobody has to do anything about it any more."""
        return self in {Change.RECOVERED, Change.REMOVED}


class Severity(StrEnum):
    """How loud a message is."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one run saw of one target.

    Args:
        key: ``production:audit-logs:core.audit_log``.
        code: exit code.
        at: seconds since 1970.
        left: expired records that are still there; ``None`` where nobody counted.
        patience: seconds after which a warning becomes critical: two of its runs.
        facts: what texts tell, as JSON values; see :mod:`luxima_retention.tell.notify.facts`.
    """

    key: str
    code: int
    at: float
    left: int | None = None
    patience: float = 2 * _DAY
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Condition:
    """One target between two runs.

    Args:
        code: exit code of the last run that counted.
        told: the worst code that was told of the present trouble; 0 for none.
        since: when the trouble began.
        left: the backlog that the last run left.
        changes: when it went up or down within the last day.
        unstable: whether it is told as such.
        untold: whether it changed since that was told.
        hourly: when that was told last.
        escalated: whether the trouble became critical by its age.
        first: the message that told of it first.
        patience: see :class:`Seen`.
        facts: of the last run.
        seen: when a run last looked at it.
    """

    code: int = 0
    told: int = 0
    since: float = 0.0
    left: int | None = None
    changes: list[float] = field(default_factory=list)
    unstable: bool = False
    untold: bool = False
    hourly: float = 0.0
    escalated: bool = False
    first: str = ""
    patience: float = 2 * _DAY
    facts: dict[str, Any] = field(default_factory=dict)
    seen: float = 0.0

    @property
    def noted(self) -> bool:
        """Whether there is something to remember; of what is well there is not."""
        return bool(self.code or self.told or self.changes or self.unstable or self.left is not None)

    @property
    def critical(self) -> bool:
        """Whether somebody should be woken."""
        return self.code != 0 and (self.escalated or self.code in _CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One change of one target.

    Args:
        change: what changed.
        key: of the target.
        code: exit code now; of a recovery the worst one that was told.
        since: when the trouble began, seconds since 1970.
        critical: whether it is.
        first: the message that told of it first; empty if this is the one.
        facts: see :class:`Seen`.
    """

    change: Change
    key: str
    code: int
    since: float
    critical: bool
    first: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one run, or one flush, has to tell.

    Args:
        number: unique.
        at: seconds since 1970.
        notes: worst first; at least one.
        digest: whether it is the daily one.
    """

    number: str
    at: float
    notes: tuple[Note, ...]
    digest: bool = False

    @property
    def severity(self) -> Severity:
        """How loud it is; a digest and a recovery are not."""
        if self.digest or all(note.change.over for note in self.notes):
            return Severity.INFO
        return Severity.CRITICAL if any(note.critical for note in self.notes) else Severity.WARNING

    @property
    def answers(self) -> str:
        """The message that it answers; empty if none."""
        return next((note.first for note in self.notes if note.first), "")


@dataclass(slots=True, kw_only=True)
class Delivery:
    """A message that one channel has not got yet.

    Args:
        channel: its name.
        message: what is sent.
        due: not before, seconds since 1970.
        attempts: that failed.
    """

    channel: str
    message: Message
    due: float = 0.0
    attempts: int = 0


@dataclass(slots=True, kw_only=True)
class Trouble:
    """One trouble from its beginning to its end, for looking back.

    Args:
        key: of the target.
        since: when it began, seconds since 1970.
        code: the worst exit code that was told of it.
        number: of the message that told it first.
        told: channel → when that message arrived there first.
        over: when a run found that it was mended, or somebody removed the target; ``None`` while it is open.
        removed: whether it is the latter.
    """

    key: str
    since: float
    code: int
    number: str
    told: dict[str, float] = field(default_factory=dict)
    over: float | None = None
    removed: bool = False


@dataclass(slots=True, kw_only=True)
class Memory:
    """All that is remembered between runs.

    Args:
        conditions: by key.
        outbox: what waits, in its order.
        sent: number of a message → channel → what the channel knows it by.
        digest: ISO day of the last digest.
        counter: number of the last message.
        troubles: those that were told, oldest first.
    """

    conditions: dict[str, Condition] = field(default_factory=dict)
    outbox: list[Delivery] = field(default_factory=list)
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    digest: str = ""
    counter: int = 0
    troubles: list[Trouble] = field(default_factory=list)

    def arrived(self, number: str, channel: str, at: float) -> None:
        """Remember when the message that told a trouble first arrived at a channel."""
        for trouble in self.troubles:
            if trouble.number == number:
                trouble.told.setdefault(channel, at)

    def number(self) -> str:
        """A number for a new message."""
        self.counter += 1
        return str(self.counter)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        kept = dict(list(self.sent.items())[-_REMEMBERED:])
        noted = {key: asdict(item) for key, item in self.conditions.items() if item.noted}
        troubles = [asdict(item) for item in self.troubles[-_TROUBLES:]]
        return {**asdict(self), "conditions": noted, "sent": kept, "troubles": troubles}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Memory:
        """The inverse of :meth:`to_json`; an empty mapping is an empty memory."""
        conditions = {key: Condition(**item) for key, item in value.get("conditions", {}).items()}
        outbox = [
            Delivery(**{**item, "message": message_of(item["message"])}) for item in value.get("outbox", ())
        ]
        return cls(
            conditions=conditions,
            outbox=outbox,
            sent=dict(value.get("sent", {})),
            digest=value.get("digest", ""),
            counter=value.get("counter", 0),
            troubles=[Trouble(**item) for item in value.get("troubles", ())],
        )


def message_of(value: Mapping[str, Any]) -> Message:
    """A message from its JSON values."""
    notes = tuple(Note(**{**note, "change": Change(note["change"])}) for note in value["notes"])
    return Message(**{**value, "notes": notes})


def _rank(code: int) -> int:
    return SEVERITY.index(ExitCode(code))


def observe(memory: Memory, seen: Sequence[Seen]) -> Message | None:
    """Take in what a run saw; the one message about it, if anything changed."""
    at = max((item.at for item in seen), default=0.0)
    notes = [note for item in seen for note in _observed(memory, item)]
    return _message(memory, [*notes, *_removed(memory, _missing(memory, seen))], at)


def forget(memory: Memory, policies: Collection[str], now: float) -> Message | None:
    """Close what belongs to none of these policies: no run will ever look at it again.

    Args:
        memory: of what was told.
        policies: names of those that are configured.
        now: seconds since 1970.
    """
    others = {item.facts.get("policy") for item in memory.conditions.values()} - set(policies)
    return _message(memory, list(_removed(memory, _unseen(memory, others, now))), now)


def _missing(memory: Memory, seen: Sequence[Seen]) -> list[str]:
    """What runs that knew the targets of a policy did not name any more."""
    looked_at = {item.facts.get("policy") for item in seen if item.facts.get("target")}
    return _unseen(memory, looked_at, max((item.at for item in seen), default=0.0))


def _unseen(memory: Memory, policies: Collection[Any], now: float) -> list[str]:
    """What no run looked at for two intervals: another machine may have targets that this one has not."""
    return [
        key
        for key, item in memory.conditions.items()
        if item.facts.get("policy") in policies and now - item.seen >= item.patience
    ]


def _removed(memory: Memory, keys: Iterable[str]) -> Iterator[Note]:
    """Forget conditions; those that were told are closed by a word, so that nobody waits for their end."""
    for key in keys:
        item = memory.conditions.pop(key)
        if item.told:
            yield Note(
                change=Change.REMOVED,
                key=key,
                code=item.told,
                since=item.since,
                critical=False,
                first=item.first,
                facts=item.facts,
            )


def _message(memory: Memory, notes: Sequence[Note], at: float, *, digest: bool = False) -> Message | None:
    if not notes:
        return None
    number = memory.number()
    for note in notes:
        condition = memory.conditions.get(note.key)
        if condition is not None and note.change is Change.RECOVERED:
            condition.first = ""
        elif condition is not None and not condition.first:
            condition.first = number
        if not digest:
            _look_back(memory, note, number, at)
    worst_first = sorted(notes, key=_loudness)
    # No text has room for more; what the others are is remembered as their conditions.
    brief = [replace(note, facts=_named(note.facts)) for note in worst_first[_IN_FULL:]]
    return Message(number=number, at=at, notes=(*worst_first[:_IN_FULL], *brief), digest=digest)


def _look_back(memory: Memory, note: Note, number: str, at: float) -> None:
    """Remember when a trouble was told first, how bad it became, and when it was over."""
    open_ones = (item for item in reversed(memory.troubles) if item.key == note.key and item.over is None)
    trouble = next(open_ones, None)
    if note.change.over:
        if trouble is not None:
            trouble.over, trouble.removed = at, note.change is Change.REMOVED
    elif trouble is not None and note.code and _rank(note.code) < _rank(trouble.code):
        trouble.code = note.code
    elif trouble is None and note.code:
        memory.troubles.append(Trouble(key=note.key, since=note.since, code=note.code, number=number))


def _named(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("policy", "target") if name in facts}


def _loudness(note: Note) -> tuple[bool, bool, int, str]:
    return note.change.over, not note.critical, _rank(note.code), note.key


def _observed(memory: Memory, seen: Seen) -> Iterator[Note]:
    """The changes that one target tells."""
    condition = memory.conditions.setdefault(seen.key, Condition())
    condition.facts, condition.patience, condition.seen = seen.facts, seen.patience, seen.at
    if seen.code == ExitCode.LOCKED or _shrinks(condition, seen):
        # Somebody else is at work, or the work goes on: nothing has changed yet.
        condition.left = seen.left if seen.code != ExitCode.LOCKED else condition.left
        return
    before, condition.code = condition.code, seen.code
    # What is well has no backlog to compare with.
    condition.left = seen.left if seen.code else None
    if bool(before) != bool(seen.code):
        condition.changes.append(seen.at)
        condition.untold = True
        if seen.code and not condition.told:
            condition.since, condition.escalated = seen.at, False
    yield from _told(seen.key, condition, seen.at)


def _shrinks(condition: Condition, seen: Seen) -> bool:
    """Whether a run that stopped in good order left less than the one before."""
    if seen.code != ExitCode.STOPPED or seen.left is None:
        return False
    return condition.left is None or seen.left < condition.left


def _told(key: str, condition: Condition, now: float) -> Iterator[Note]:
    """What is to be told now of a condition; afterwards it counts as told."""
    condition.changes = [at for at in condition.changes if now - at < _DAY]
    shaky = len(condition.changes) >= UNSTABLE
    change = _change(condition, now, shaky=shaky)
    condition.unstable = shaky
    if change is None:
        return
    if change is Change.ESCALATED:
        condition.escalated = True
    code = condition.told if change is Change.RECOVERED else condition.code
    yield Note(
        change=change,
        key=key,
        code=code,
        since=condition.since,
        critical=condition.critical,
        first=condition.first,
        facts=condition.facts,
    )
    _remember(condition, change, now)


def _change(condition: Condition, now: float, *, shaky: bool) -> Change | None:
    """What changed since it was told last."""
    failing = condition.code != 0
    worse = failing and (not condition.told or _rank(condition.code) < _rank(condition.told))
    if shaky and not condition.unstable:
        return Change.UNSTABLE
    if worse and not (shaky and condition.told and not condition.critical):
        return Change.WORSE if condition.told else Change.FAILING
    if failing and not condition.critical and now - condition.since >= condition.patience:
        return Change.ESCALATED
    if shaky:
        return Change.HOURLY if condition.untold and now - condition.hourly >= _HOUR else None
    return Change.RECOVERED if condition.told and not failing else None


def _remember(condition: Condition, change: Change, now: float) -> None:
    condition.untold = False
    condition.hourly = now
    if change is Change.RECOVERED:
        condition.told, condition.escalated = 0, False
    elif condition.code and (not condition.told or _rank(condition.code) < _rank(condition.told)):
        condition.told = condition.code


def tick(memory: Memory, now: float) -> Message | None:
    """What has to be told because time went by: warnings that grew old, targets that calmed down."""
    notes = [note for key, item in memory.conditions.items() for note in _told(key, item, now)]
    return _message(memory, notes, now)


def digest(memory: Memory, now: datetime, zone: tzinfo) -> Message | None:
    """The daily message about all that was open at its hour; ``None`` before it, or if nothing was."""
    local = now.astimezone(zone)
    if local.hour < DIGEST_HOUR or memory.digest >= local.date().isoformat():
        return None
    memory.digest = local.date().isoformat()
    morning = local.replace(hour=DIGEST_HOUR, minute=0, second=0, microsecond=0).timestamp()
    notes = [
        Note(
            change=Change.OPEN,
            key=key,
            code=item.code or item.told,
            since=item.since,
            critical=item.critical,
            first=item.first,
            facts=item.facts,
        )
        for key, item in memory.conditions.items()
        if item.told and item.since < morning
    ]
    return _message(memory, notes, now.timestamp(), digest=True)


def quiet_until(now: datetime, zone: tzinfo, hours: tuple[int, int] | None) -> datetime | None:
    """The end of the quiet hours that ``now`` lies in; ``None`` outside of them.

    Args:
        now: the present instant.
        zone: of the hours.
        hours: first and last, such as (22, 6); ``None`` knows no quiet hours.
    """
    if hours is None:
        return None
    local, (begin, end) = now.astimezone(zone), hours
    within = begin <= local.hour < end if begin < end else local.hour >= begin or local.hour < end
    if not within:
        return None
    morning = local.replace(hour=end, minute=0, second=0, microsecond=0)
    return morning if morning > local else morning + timedelta(days=1)
