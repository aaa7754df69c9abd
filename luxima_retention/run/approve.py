"""A person approves a refused plan or a proposal, or takes that back: what the command ``approve`` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from luxima_retention.config.cronline import times
from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ExitCode, GuardRefused, TamperingFound
from luxima_retention.core.guards import OF_WHAT_GOES
from luxima_retention.evidence import approvals
from luxima_retention.evidence.approvals import LONGEST, SHORTEST, Offer, Standing
from luxima_retention.evidence.events import PlanWithdrawn, RunRefused
from luxima_retention.evidence.ledger.session import begin

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.evidence.ledger import Entry, Ledger


def approve(
    settings: Settings,
    ledger: Ledger,
    text: str,
    now: datetime,
    confirm: Callable[[tuple[str, ...]], bool] = lambda _lines: True,
    *,
    key: Path,
) -> Entry | None:
    """Sign the approval of a refused plan or a proposal, and enter it.

    Args:
        settings: with the persons who may approve.
        ledger: that the refusal stands in.
        text: the digest, or its beginning.
        now: the program's clock.
        confirm: is shown what is about to be approved, line by line.
        key: file of this person's key, PEM.

    Returns:
        The entry; ``None`` where it was not confirmed.

    Raises:
        ConfigurationError: the digest, the key or the settings cannot be used.
        GuardRefused: this person may not approve, or this cannot be approved, or not any more.
        TamperingFound: the ledger, or an approval in it, is not what was written.
        StoreError: the ledger cannot be read or written.
    """
    signer = approvals.open_approver(settings.ledger, key)
    session = begin(settings, ledger, now)
    offer = approvals.found(ledger, text)
    state = approvals.standing(ledger, offer.entry.policy, offer.event.target)
    approvals.check_open(offer, state, now)
    _check_answerable(offer)
    _check_new(settings, ledger, state, now)
    end = until(settings, offer.entry.policy, now)
    if not confirm((*described(offer), f"valid until  {iso(end)}", f"approved by  {signer.key.name}")):
        return None
    entry = ledger.append(approvals.signed(offer, signer, now, end), policy=offer.entry.policy, at=now)
    if session is not None:
        session.sign(now)
    return entry


def _check_answerable(offer: Offer) -> None:
    event = offer.event
    if not isinstance(event, RunRefused):
        return
    refused = {item.guard for item in event.guards if not item.passed} - {"approved-plan"}
    if others := sorted(refused - OF_WHAT_GOES) or (not refused and ["none of these"]):
        raise GuardRefused(
            f"entry {offer.entry.seq} was refused by {', '.join(others)}, which nobody can approve",
            "mend what the refusal says; a person approves share, max-items, stale-source and min-remaining",
        )
    if approvals.terms_of(event, offer.entry.policy or "") is None:
        raise GuardRefused(
            f"entry {offer.entry.seq} does not hold the whole plan: another version has written it",
            "run the policy again, and approve what it says then",
        )


def _check_new(settings: Settings, ledger: Ledger, state: Standing, now: datetime) -> None:
    head = ledger.head()
    keys = approvals.approver_keys(settings.ledger)
    given, fault = approvals.first_good(state, keys, now, head.at if head else now)
    if fault is not None and fault.code is ExitCode.VERIFICATION_FAILED:
        raise TamperingFound(fault.sentence, fault.hint)
    if given is not None:
        told = f"approved already by {given.event.by}, until {iso(given.event.end)} (entry {given.entry.seq})"
        raise GuardRefused(told, "the next run carries it out; `approve --withdraw` takes it back")
    if state.running:
        raise GuardRefused(f"the run {state.running} is at work on it", "wait for its end")


def withdraw(settings: Settings, ledger: Ledger, text: str, now: datetime) -> tuple[Entry, ...]:
    """Take back the approvals of a plan or proposal. Whoever may write entries may: no is never refused.

    Raises:
        ConfigurationError: the digest cannot be used.
        GuardRefused: there is nothing to take back.
        TamperingFound, StoreError: see :func:`approve`.
    """
    session = begin(settings, ledger, now)
    offer = approvals.found(ledger, text)
    state = approvals.standing(ledger, offer.entry.policy, offer.event.target)
    if state.offer is None or state.offer.digest != offer.digest or not state.given:
        raise GuardRefused(f"no approval of {offer.digest[:12]} is open", "a run may have carried it out")
    made = tuple(
        ledger.append(
            PlanWithdrawn(target=state.target, approval=item.entry.seq, digest=offer.digest),
            policy=offer.entry.policy,
            at=now,
        )
        for item in state.given
    )
    if session is not None:
        session.sign(now)
    return made


def until(settings: Settings, policy: str | None, now: datetime) -> datetime:
    """When an approval ends: after the policy's next run should have begun, a day at least, nine at most."""
    config = settings.policies.get(policy or "")
    if config is None or not config.schedule:
        return now + SHORTEST
    (following,) = islice(times(config.schedule, ZoneInfo(settings.schedule.time_zone), now), 1)
    served = following.astimezone(UTC) + settings.schedule.grace
    return min(max(now + SHORTEST, served), now + LONGEST)


def described(offer: Offer) -> Iterator[str]:
    """What is about to be approved, for people."""
    event = offer.event
    yield f"digest       {offer.digest}"
    yield f"entry        {offer.entry.seq} of {iso(offer.entry.at)}"
    if not isinstance(event, RunRefused):
        yield f"action       {event.action}: {event.target} from {event.before} to {event.after}"
        yield f"reason       {event.reason}"
        return
    of = f" of {event.population}" if event.population is not None else ""
    yield f"policy       {offer.entry.policy}, {event.target}"
    yield f"to delete    {event.items}{of} records, older than {iso(event.cutoff) if event.cutoff else '-'}"
    yield f"disposition  {event.disposition}; period {event.retention_days} days; on hold {event.held}"
    for item in event.guards:
        if not item.passed:
            yield f"refused by   {item.guard}: observed {item.observed}, limit {item.limit}"
