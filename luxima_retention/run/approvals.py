"""What an approval lets a run do: exactly the plan that was refused, or nothing more than usual.

An approval names the values that the guards asked for, and binds the run to the cutoff and the figures that
the person saw. Whatever has grown, changed or become less sure since makes it worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.guards import OF_WHAT_GOES, GuardResult, Limits, named_share
from luxima_retention.core.plan import Plan, digest
from luxima_retention.evidence import approvals
from luxima_retention.evidence.approvals import Fault, Given, Offer
from luxima_retention.evidence.events import RunRefused
from luxima_retention.run.planfile import Approved, beyond

if TYPE_CHECKING:
    from datetime import timedelta

    from luxima_retention.run.context import Environment, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """An approval that counts, for one target.

    Args:
        approved: the terms of the plan that was refused.
        refusal: the entry of that refusal.
        seq: number of the entry ``plan.approved``.
        by: name of the person's key.
        left: records that may still go under it.
    """

    approved: Approved
    refusal: RunRefused
    seq: int
    by: str
    left: int

    @property
    def name(self) -> str:
        """How it is told."""
        return f"approval of {self.by}, entry {self.seq}"

    def limits(self, limits: Limits, now: datetime) -> Limits:
        """The limits with the values that the guards asked for, of the guards that had refused."""
        asked = {item.guard: item.observed for item in self.refusal.guards if not item.passed}
        told, silence = self.refusal, limits.max_silence
        if "stale-source" in asked:
            silence = max(silence, now - told.newest) if silence and told.newest else None
        return replace(
            limits,
            max_fraction=_share(told) if "share" in asked else limits.max_fraction,
            max_items=told.items if "max-items" in asked else limits.max_items,
            min_remaining=int(asked["min-remaining"]) if "min-remaining" in asked else limits.min_remaining,
            max_silence=silence,
            named=dict.fromkeys(asked, self.name),
        )


def _share(told: RunRefused) -> Decimal | None:
    if not told.population:
        return None
    return named_share(Decimal(told.items or 0) / Decimal(max(told.population, told.items or 0)))


def settings_of(policy: Policy) -> str:
    """SHA-256, hex, over what an approval takes for granted: period, archive and limits of a policy."""
    limits = policy.limits
    seconds = [_seconds(limits.max_silence), _seconds(limits.max_skew)]
    texts = [str(value) for value in (limits.max_fraction, limits.max_items)]
    return digest(
        {
            "policy": [policy.name, policy.retention_days, policy.disposition, policy.archive, policy.lease],
            "limits": [*texts, str(limits.min_remaining), *seconds],
            "stores": [sorted(limits.fingerprints), sorted(limits.dimensions)],
        }
    )


def _seconds(duration: timedelta | None) -> str:
    return "off" if duration is None else str(int(duration.total_seconds()))


def approvable(policy: Policy, verdicts: tuple[GuardResult, ...]) -> bool:
    """Whether all that refused a run can be answered by a person, as a named value could."""
    refused = {item.guard for item in verdicts if not item.passed} - {"approved-plan"}
    return not policy.limits.named and not policy.lease and bool(refused) and refused <= OF_WHAT_GOES


def mandate_of(
    policy: Policy, environment: Environment, target: str
) -> tuple[Mandate | None, tuple[GuardResult, ...]]:
    """The approval that this run may carry out; and the verdict where there is one that it may not.

    A run that names values, counts from another instant, applies a saved plan or is a part of one looks at
    none.

    Raises:
        StoreError: the ledger cannot be read, or a newer version has written to it.
    """
    state = environment.state
    other = policy.limits.named or policy.lease or environment.as_of or environment.approved is not None
    if state is None or other:
        return None, ()
    told = approvals.standing(state.ledger, policy.name, target)
    head = state.ledger.head()
    at = head.at if head else environment.now
    given, fault = approvals.first_good(told, environment.approvers, environment.now, at)
    if fault is not None:
        return None, (refusal(fault),)
    if given is None or told.offer is None:
        return None, ()
    return _mandate(policy, told.offer, given, told.gone)


def _mandate(
    policy: Policy, offer: Offer, given: Given, gone: int
) -> tuple[Mandate | None, tuple[GuardResult, ...]]:
    event = offer.event
    terms = approvals.terms_of(event, policy.name) if isinstance(event, RunRefused) else None
    if terms is None or not isinstance(event, RunRefused):
        told = f"entry {offer.entry.seq} does not hold the plan that {given.event.by} approved"
        return None, (refusal(Fault(sentence=told)),)
    found = Mandate(
        approved=Approved(digest=offer.digest, terms=terms),
        refusal=event,
        seq=given.entry.seq,
        by=given.event.by,
        left=(event.items or 0) - gone,
    )
    if event.settings != settings_of(policy):
        return None, (changed(found, ("the period, the archive or a limit of the policy was changed",)),)
    return found, ()


def differences(mandate: Mandate, plan: Plan, expired: int) -> tuple[str, ...]:
    """What the world has become since, one sentence each; empty where the plan is the one that was approved.

    Args:
        mandate: the approval.
        plan: that would be carried out by the approved cutoff.
        expired: records that have expired by that cutoff.
    """
    return (*beyond(mandate.approved, plan), *_grown(mandate, plan, expired))


def _grown(mandate: Mandate, plan: Plan, expired: int) -> Iterator[str]:
    told = mandate.refusal
    if expired > mandate.left:
        yield f"{expired} records would be deleted, {mandate.left} of those that were approved are left"
    if plan.cutoff < mandate.approved.cutoff:
        yield f"the cutoff is {iso(plan.cutoff)}, approved was {iso(mandate.approved.cutoff)}"
    if told.newest and (plan.newest is None or plan.newest < told.newest):
        newest = iso(plan.newest) if plan.newest else "gone"
        yield f"the newest record is {newest}, and was {iso(told.newest)}"


def changed(mandate: Mandate, sentences: tuple[str, ...]) -> GuardResult:
    """The verdict on an approval of another world."""
    told = f"the {mandate.name}, is not for this: {'; '.join(sentences)}"
    return refusal(Fault(sentence=told))


def refusal(fault: Fault) -> GuardResult:
    """The verdict on an approval that is worth nothing."""
    forged = fault.code is ExitCode.VERIFICATION_FAILED
    return GuardResult(
        guard="approval" if forged else "approved-plan",
        passed=False,
        observed="forged" if forged else "no valid approval",
        limit="signed by a person of ledger.approvers, for this plan",
        message=fault.sentence,
        hint=fault.hint,
        code=fault.code,
    )


def accepted(mandate: Mandate, plan: Plan) -> GuardResult:
    """The verdict on an approval that is carried out."""
    return GuardResult(
        guard="approved-plan",
        passed=True,
        observed=f"{plan.items} records, digest {plan.digest[:12]}",
        limit=f"{mandate.left} records, digest {mandate.approved.digest[:12]}",
        message=f"within what {mandate.by} approved (entry {mandate.seq})",
    )
