"""Approvals: a named person signs what was refused or proposed; it counts once, for a while, for that alone.

What is signed names the entry that is approved by its number and hash, and so all that it says: which store,
cutoff, figures and settings. The person's key never lies where jobs run, so no job approves itself; silence
is no. Reads the ledger, and decides what an approval is worth; what it lets through is for :mod:`..run`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ConfigurationError, ExitCode, GuardRefused
from luxima_retention.core.guards import DEFAULT_SKEW
from luxima_retention.core.plan import digest
from luxima_retention.evidence import codec
from luxima_retention.evidence.events import (
    ActionDone,
    ActionProposed,
    Event,
    LedgerRecovered,
    PlanApproved,
    PlanWithdrawn,
    RunCompleted,
    RunReconciled,
    RunRefused,
    RunStarted,
)
from luxima_retention.evidence.history import known
from luxima_retention.evidence.ledger.checkpoint import Signer, library_verifies
from luxima_retention.evidence.ledger.verify import SIGNER, Key, Note, TamperedError, approval_text, open_note

if TYPE_CHECKING:
    from luxima_retention.config.settings import LedgerSettings
    from luxima_retention.evidence.ledger import Entry, Ledger

#: how long an approval counts at least, and at most: until the next run of a weekly policy
SHORTEST, LONGEST = timedelta(hours=24), timedelta(days=9)
#: age from which a refusal or proposal cannot be approved any more
TOO_OLD = timedelta(days=8)
#: characters of a digest that name it on the command line
SHORTEST_DIGEST = 12
OFFERS = frozenset({RunRefused.kind, ActionProposed.kind})
_KINDS = frozenset(
    event.kind
    for event in (
        RunRefused,
        RunStarted,
        RunCompleted,
        RunReconciled,
        PlanApproved,
        PlanWithdrawn,
        ActionProposed,
        ActionDone,
    )
)
#: ends of a run after which the next one may go on with what was approved
_UNFINISHED = frozenset({ExitCode.STOPPED, ExitCode.INCOMPLETE})
_AGAIN = "look at the newest refusal, and approve that one if it is right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What may be approved: the newest refusal of a target, or a proposal.

    Args:
        entry: as it stands in the ledger.
        event: what it says.
    """

    entry: Entry
    event: RunRefused | ActionProposed

    @property
    def digest(self) -> str:
        """Of the plan or proposal, hex."""
        return self.event.digest or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An approval as it stands in the ledger; see :func:`fault_of` for what it is worth."""

    entry: Entry
    event: PlanApproved


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an approval is worth nothing.

    Args:
        sentence: for people.
        hint: what to do.
        code: 4, or 6 where somebody forged it.
    """

    sentence: str
    hint: str = _AGAIN
    code: ExitCode = ExitCode.REFUSED


@dataclass(slots=True, kw_only=True)
class Standing:
    """What the ledger says of one target: what is open, who approved it, and how much of it went.

    Args:
        target: name of the store, or of what an action changes.
        offer: the refusal or proposal that nothing has followed yet.
        given: its approvals that were not withdrawn, oldest first.
        strays: approvals since then of something that is not open.
        withdrawn: approvals of the offer that were taken back.
        gone: records that runs under the approval have destroyed or condemned.
        running: the run that carries it out and has not ended.
        recovered: number of the newest entry ``ledger.recovered``; 0 for none.
    """

    target: str
    offer: Offer | None = None
    given: list[Given] = field(default_factory=list)
    strays: list[Given] = field(default_factory=list)
    withdrawn: list[Given] = field(default_factory=list)
    gone: int = 0
    running: str | None = None
    recovered: int = 0

    def add(self, entry: Entry, event: Event) -> None:
        """The next entry."""
        if getattr(event, "target", None) != self.target:
            return
        if isinstance(event, RunRefused | ActionProposed):
            self._open(Offer(entry=entry, event=event))
        elif isinstance(event, PlanApproved):
            fits = self.offer is not None and event.entry == self.offer.entry.seq
            (self.given if fits else self.strays).append(Given(entry=entry, event=event))
        elif isinstance(event, PlanWithdrawn):
            self.withdrawn += [item for item in self.given if item.entry.seq == event.approval]
            self.given = [item for item in self.given if item.entry.seq != event.approval]
        elif isinstance(event, RunStarted):
            self._begun(event)
        elif isinstance(event, RunCompleted | RunReconciled):
            self._ended(event)
        elif isinstance(event, ActionDone):
            self._open(None)

    def _open(self, offer: Offer | None) -> None:
        self.offer, self.given, self.strays, self.withdrawn = offer, [], [], []
        self.gone, self.running = 0, None

    def _begun(self, event: RunStarted) -> None:
        if event.approval not in {item.entry.seq for item in self.given}:
            self._open(None)
        self.running = event.run_id

    def _ended(self, event: RunCompleted | RunReconciled) -> None:
        """What was begun under an approval may go on, unless it is done or ended otherwise."""
        within = bool(self.given) and event.run_id == self.running
        if not within or (isinstance(event, RunCompleted) and event.exit_code not in _UNFINISHED):
            self._open(None)
            return
        self.gone, self.running = self.gone + event.destroyed + event.condemned, None


def standing(ledger: Ledger, policy: str | None, target: str) -> Standing:
    """What the ledger says of approvals of one target.

    Args:
        ledger: that is read.
        policy: of the run; ``None`` for actions.
        target: as the entries name it.

    Raises:
        StoreError: the ledger cannot be read, or a newer version has written to it.
    """
    found, recovered = Standing(target=target), ledger.newest(kinds={LedgerRecovered.kind})
    found.recovered = recovered.seq if recovered else 0
    for entry in ledger.entries(kinds=_KINDS, policy=policy):
        if entry.policy == policy:
            found.add(entry, known(entry))
    return found


def approver_keys(settings: LedgerSettings) -> tuple[Key, ...]:
    """The keys of the persons who may approve.

    Raises:
        ConfigurationError: one of them is none.
    """
    try:
        keys = tuple(Key.parse(text) for text in settings.approvers)
    except ValueError as error:
        raise ConfigurationError(
            f"ledger.approvers: {error}", "name what `luxima-retention ledger approver` printed"
        ) from error
    if wrong := [key for key in keys if key.kind != SIGNER]:
        raise ConfigurationError(f"ledger.approvers names {wrong[0]}, which is the key of a witness")
    return keys


def open_approver(settings: LedgerSettings, file: Path) -> Signer:
    """The key of whoever is about to approve, in this file, under the name that the settings give it.

    Raises:
        ConfigurationError: it cannot be used, or nobody may approve.
        GuardRefused: it is nobody's who may approve.
    """
    keys = approver_keys(settings)
    if not keys:
        raise ConfigurationError("nobody may approve", "set ledger.approvers, see `ledger approver`")
    mine = Signer.load(file, "approver")
    name = next((key.name for key in keys if key.public == mine.key.public), None)
    if name is None:
        raise GuardRefused(
            f"the key {file} is nobody's who may approve",
            "have its verifier key added to ledger.approvers by whoever deploys the settings",
        )
    return Signer(name, mine.private)


def signed(offer: Offer, signer: Signer, start: datetime, end: datetime) -> PlanApproved:
    """The approval of an offer by this person, from ``start`` until ``end``."""
    event = PlanApproved(
        target=offer.event.target,
        entry=offer.entry.seq,
        entry_hash=offer.entry.hash,
        digest=offer.digest,
        start=start,
        end=end,
        by=signer.key.name,
        note="",
    )
    text = approval_text(codec.encode(event))
    return replace(event, note=f"{text}\n{signer.line(text.encode())}")


def fault_of(
    given: Given, state: Standing, keys: Sequence[Key], now: datetime, head: datetime
) -> Fault | None:
    """Why an approval is worth nothing now; ``None`` where it counts.

    Args:
        given: the approval.
        state: of its target.
        keys: of the persons who may approve.
        now: the program's clock.
        head: the time of the ledger's newest entry: a clock that was set back makes nothing younger.
    """
    who = f"the approval of {given.event.by} (entry {given.entry.seq})"
    return (
        _forged(given, state, keys, who) or _lost(given, state, who) or _untimely(given.event, now, head, who)
    )


def _forged(given: Given, state: Standing, keys: Sequence[Key], who: str) -> Fault | None:
    event, forged = given.event, ExitCode.VERIFICATION_FAILED
    hint = "find out who wrote it: `luxima-retention ledger list --kind plan.approved`"
    try:
        text, signatures = open_note(event.note)
        note = Note(text.encode(), signatures, who)
        signer = next((key for key in keys if note.names(key)), None)
        if text != approval_text(codec.encode(event)) or (signer and signer.name != event.by):
            return Fault(sentence=f"{who} says something else than what was signed", hint=hint, code=forged)
        if signer is None:
            hint = "the key must stand in ledger.approvers; approve with one that does"
            return Fault(sentence=f"{who} is signed by no key that may approve", hint=hint)
        note.signed_at(signer, library_verifies)
    except (ValueError, TamperedError) as error:
        return Fault(sentence=f"{who} is forged: {error}", hint=hint, code=forged)
    offer = state.offer
    if offer is None or offer.entry.seq != event.entry:
        return None
    if (offer.entry.hash, offer.digest) != (event.entry_hash, event.digest):
        told = f"{who} was signed for another entry than what stands as {event.entry}"
        return Fault(sentence=told, hint=hint, code=forged)
    return None


def _lost(given: Given, state: Standing, who: str) -> Fault | None:
    if given.entry.seq < state.recovered:
        told = f"{who} was given before the ledger was recovered (entry {state.recovered}): it may be used up"
        return Fault(sentence=told)
    if state.offer is None or state.offer.entry.seq != given.event.entry:
        told = f"{who} is for entry {given.event.entry}, which was carried out or followed by another run"
        return Fault(sentence=told)
    return None


def _untimely(event: PlanApproved, now: datetime, head: datetime, who: str) -> Fault | None:
    if event.end - event.start > LONGEST:
        return Fault(sentence=f"{who} would count for longer than {LONGEST.days} days")
    if now < event.start - DEFAULT_SKEW:
        told = f"{who} counts from {iso(event.start)}, and this machine says {iso(now)}"
        return Fault(sentence=told, hint="correct the clock that is wrong")
    if max(now, head) >= event.end:
        return Fault(sentence=f"{who} ended at {iso(event.end)}")
    return None


def terms_of(event: RunRefused, policy: str) -> dict[str, Any] | None:
    """The terms of a plan that was refused; ``None`` where the entry does not hold all of them."""
    told = codec.encode(event)
    names = ("target", "fingerprint", "retention_days", "cutoff", "disposition", "items")
    counts = ("held", "locked", "undated", "future", "holds")
    terms = {"policy": policy, **{name: told[name] for name in (*names, *counts)}}
    return terms if event.settings and digest(terms) == event.digest else None


def found(ledger: Ledger, text: str) -> Offer:
    """The newest refusal or proposal of this digest.

    Args:
        ledger: that is read.
        text: the digest, or its first :data:`SHORTEST_DIGEST` characters or more.

    Raises:
        ConfigurationError: it is no digest, or that of nothing, or of two things.
        StoreError: the ledger cannot be read.
    """
    wanted = text.strip().lower()
    if len(wanted) < SHORTEST_DIGEST or not set(wanted) <= set("0123456789abcdef"):
        raise ConfigurationError(
            f"{text!r} is not the digest of a plan",
            f"copy it from the message, {SHORTEST_DIGEST} digits at least",
        )
    offers = [offer for offer in _offers(ledger) if offer.digest.startswith(wanted)]
    if len({offer.digest for offer in offers}) > 1:
        raise ConfigurationError(f"{text} is the beginning of several digests", "give all 64 digits")
    if not offers:
        raise ConfigurationError(
            f"nothing with the digest {text} was refused or proposed",
            "copy it from the message; `luxima-retention ledger list --kind run.refused` lists them",
        )
    return offers[-1]


def _offers(ledger: Ledger) -> Iterator[Offer]:
    for entry in ledger.entries(kinds=OFFERS):
        event = known(entry)
        if isinstance(event, RunRefused | ActionProposed) and event.digest:
            yield Offer(entry=entry, event=event)


def check_open(offer: Offer, state: Standing, now: datetime) -> None:
    """Make sure that an offer can still be approved.

    Raises:
        GuardRefused: it cannot.
    """
    number = offer.entry.seq
    if state.offer is None or state.offer.entry.seq != number:
        newer = state.offer
        told = (
            f"entry {number} was refused again as entry {newer.entry.seq}: digest {newer.digest}"
            if newer
            else f"entry {number} is over: a run has followed it, or what was proposed was done"
        )
        raise GuardRefused(told, _AGAIN)
    if number < state.recovered:
        raise GuardRefused(f"entry {number} is older than the recovery of the ledger", "run the policy again")
    if now < offer.entry.at - DEFAULT_SKEW:
        told = f"entry {number} is of {iso(offer.entry.at)}, and this machine says {iso(now)}"
        raise GuardRefused(told, "correct the clock that is wrong")
    if now - offer.entry.at > TOO_OLD:
        told = f"entry {number} is of {iso(offer.entry.at)}, older than {TOO_OLD.days} days"
        raise GuardRefused(told, "run the policy again, and approve what it says then")


def first_good(
    state: Standing, keys: Sequence[Key], now: datetime, head: datetime
) -> tuple[Given | None, Fault | None]:
    """The first approval that counts; else the first fault there is. A forged one is always told."""
    judged = [(item, fault_of(item, state, keys, now, head)) for item in (*state.given, *state.strays)]
    good = next((item for item, fault in judged if fault is None), None)
    faults = [fault for _, fault in judged if fault is not None]
    forged = next((fault for fault in faults if fault.code is ExitCode.VERIFICATION_FAILED), None)
    if good is not None:
        return good, forged
    faults += [_withdrawn(item) for item in state.withdrawn]
    return None, forged or next(iter(faults), None)


def _withdrawn(given: Given) -> Fault:
    return Fault(sentence=f"the approval of {given.event.by} (entry {given.entry.seq}) was withdrawn")
