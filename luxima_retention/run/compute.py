"""A larger compute for a hosted Supabase database: proposed, approved by a person, asked for once.

Changing the compute restarts the database and costs money, so nothing here does it by itself. Sources:
Supabase's Management API, "billing/addons" (GET lists the variants, PATCH applies one; PATCH needs the
permission ``infra_add_ons_write``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from luxima_retention.config.endpoints import endpoint
from luxima_retention.core.deadline import UNLIMITED
from luxima_retention.core.errors import (
    ConfigurationError,
    ExitCode,
    GuardRefused,
    StoreError,
    TamperingFound,
)
from luxima_retention.core.plan import digest
from luxima_retention.core.redact import redacted
from luxima_retention.evidence import approvals
from luxima_retention.evidence.events import ActionDone, ActionProposed, ActionState
from luxima_retention.evidence.ledger.session import begin
from luxima_retention.io.http import Http
from luxima_retention.stores.supabase.options import API

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.evidence.approvals import Given, Offer
    from luxima_retention.evidence.ledger import Entry, Ledger

ACTION = "supabase-compute"
#: from small to large; one step at a time
LADDER = (
    *("ci_micro", "ci_small", "ci_medium", "ci_large", "ci_xlarge", "ci_2xlarge", "ci_4xlarge"),
    *("ci_8xlarge", "ci_12xlarge", "ci_16xlarge"),
)
#: no new proposal after one that was carried out
COOLDOWN = timedelta(days=1)
#: seconds that the Management API may take
_SECONDS = 20.0
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What was proposed.

    Args:
        entry: as it stands in the ledger.
        event: what it says.
        new: whether it was not open before.
    """

    entry: Entry
    event: ActionProposed
    new: bool


class Compute:
    """A project's compute, as the Management API shows it.

    Raises:
        ConfigurationError: the settings name no project.
    """

    def __init__(self, settings: Settings) -> None:
        compute = settings.compute
        if not compute.project_ref or not compute.largest:
            raise ConfigurationError(
                "no hosted database is configured", "set compute.project_ref and compute.largest"
            )
        there = endpoint(API, compute.http, setting="compute.http", options="compute.http", proxied=True)
        self._http = Http(there, UNLIMITED.within(_SECONDS))
        self._path = f"/v1/projects/{compute.project_ref}/billing/addons"

    def now(self) -> str:
        """The variant that is in force.

        Raises:
            StoreError: the platform cannot be asked, or names none.
        """
        answer = self._http.repeated(partial(self._http.send, "GET", self._path))
        if not answer.ok:
            raise StoreError(f"{answer.url} answers {answer.status}", "see compute.http.bearer_token")
        found = answer.json()
        chosen = found.get("selected_addons") if isinstance(found, dict) else None
        for item in chosen if isinstance(chosen, list) else ():
            variant = item.get("variant") if isinstance(item, dict) else None
            if isinstance(variant, dict) and item.get("type") == "compute_instance":
                return str(variant.get("id"))
        raise StoreError(f"{answer.url} names no compute", "choose one in the dashboard first")

    def change(self, variant: str) -> None:
        """Ask for another variant, once: never repeated, as each time restarts the database.

        Raises:
            StoreError: it was not accepted, or nobody knows.
        """
        body = json.dumps({"addon_type": "compute_instance", "addon_variant": variant}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._http.send("PATCH", self._path, body=body, headers=headers)
        if not answer.ok:
            raise StoreError(
                f"{answer.url} answers {answer.status} to {variant}",
                "look at the project's dashboard before anything else is tried",
            )


def target_of(settings: Settings) -> str:
    """What the entries name."""
    return f"supabase:{settings.compute.project_ref}"


def propose(settings: Settings, ledger: Ledger, reason: str, now: datetime) -> Proposal:
    """Enter the proposal of the next larger variant; one that is open already is found again.

    Raises:
        ConfigurationError: no project is configured.
        GuardRefused: it is as large as may be, or was changed less than a day ago.
        StoreError: the platform or the ledger cannot be asked.
        TamperingFound: the ledger is not the one that was signed.
    """
    before = Compute(settings).now()
    target, after = target_of(settings), _next(settings, before)
    session = begin(settings, ledger, now)
    state = approvals.standing(ledger, None, target)
    if state.offer is not None and _open(state.offer, before, after, now):
        event = state.offer.event
        if isinstance(event, ActionProposed):
            return Proposal(entry=state.offer.entry, event=event, new=False)
    _cool(ledger, now)
    facts = {"action": ACTION, "target": target, "before": before, "after": after}
    told = redacted(" ".join(reason.split()))[:_LONGEST_REASON]
    event = ActionProposed(**facts, reason=told, digest=digest(facts))
    entry = ledger.append(event, policy=None, at=now)
    if session is not None:
        session.sign(now)
    return Proposal(entry=entry, event=event, new=True)


def _open(offer: Offer, before: str, after: str, now: datetime) -> bool:
    event = offer.event
    same = isinstance(event, ActionProposed) and (event.before, event.after) == (before, after)
    return same and now - offer.entry.at <= approvals.TOO_OLD


def _next(settings: Settings, before: str) -> str:
    largest = settings.compute.largest
    if before not in LADDER:
        raise GuardRefused(f"{before} is a compute that nothing here knows", "change it in the dashboard")
    index = LADDER.index(before) + 1
    if index > LADDER.index(largest):
        raise GuardRefused(
            f"the compute is {before}, and compute.largest is {largest}", "mend the query first"
        )
    return LADDER[index]


def _cool(ledger: Ledger, now: datetime) -> None:
    done = ledger.newest(kinds={ActionDone.kind})
    if done is not None and now - done.at < COOLDOWN:
        raise GuardRefused(
            f"the compute was changed less than a day ago (entry {done.seq})", "look what that has brought"
        )


def apply(settings: Settings, ledger: Ledger, now: datetime) -> ActionProposed | None:
    """Carry out the proposal that a person approved, once; ``None`` where nothing is approved.

    Raises:
        ConfigurationError: no project is configured.
        GuardRefused: the approval is worth nothing, or the compute is not the one that was seen.
        TamperingFound: the approval is forged, or the ledger is not the one that was signed.
        StoreError: the platform or the ledger cannot be asked.
    """
    compute, keys = Compute(settings), approvals.approver_keys(settings.ledger)
    session = begin(settings, ledger, now)
    state = approvals.standing(ledger, None, target_of(settings))
    head = ledger.head()
    given, fault = approvals.first_good(state, keys, now, head.at if head else now)
    if fault is not None:
        kind = TamperingFound if fault.code is ExitCode.VERIFICATION_FAILED else GuardRefused
        raise kind(fault.sentence, fault.hint)
    offer = state.offer
    if given is None or offer is None or not isinstance(offer.event, ActionProposed):
        return None
    _check_same(settings, offer.event, compute.now())
    _enter(ledger, offer, given, ActionState.INTENT, now)
    if session is not None:
        session.sign(now)
    compute.change(offer.event.after)
    _enter(ledger, offer, given, ActionState.RESULT, now)
    if session is not None:
        session.sign(now)
    return offer.event


def _check_same(settings: Settings, event: ActionProposed, found: str) -> None:
    if found != event.before:
        raise GuardRefused(
            f"the compute is {found}, and {event.before} when it was approved", "propose it again"
        )
    if event.after not in LADDER[: LADDER.index(settings.compute.largest) + 1]:
        raise GuardRefused(f"{event.after} is larger than compute.largest", "propose it again")


def _enter(ledger: Ledger, offer: Offer, given: Given, state: ActionState, now: datetime) -> None:
    event = ActionDone(
        target=offer.event.target, proposal=offer.entry.seq, approval=given.entry.seq, state=state
    )
    ledger.append(event, policy=None, at=now)


def described(event: ActionProposed) -> Mapping[str, Any]:
    """The facts of a proposal, for JSON."""
    return {
        name: getattr(event, name) for name in ("action", "target", "before", "after", "reason", "digest")
    }
