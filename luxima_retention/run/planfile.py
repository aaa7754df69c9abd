"""Plans that were saved to be approved and applied later: on their terms, or not at all.

A file holds the terms of one plan for each policy, the digest of each, and until when they may be applied.
What is applied never goes beyond it: no later cutoff, no more records, no other target.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import ConfigurationError, GuardRefused
from luxima_retention.core.foreign import json_of
from luxima_retention.core.plan import Plan, digest

#: how long a saved plan may be applied
VALID_FOR = timedelta(hours=24)
_FORM = "luxima-retention plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The terms of one policy's plan, as they were saved.

    Args:
        digest: SHA-256, hex, of the terms; the ledger's entry ``approval`` names it.
        terms: what :meth:`luxima_retention.core.plan.Plan.terms` said.
        refused: sentences of the guards that would have refused it when it was saved.
    """

    digest: str
    terms: Mapping[str, Any]
    refused: tuple[str, ...] = ()

    @property
    def policy(self) -> str:
        """The policy that the terms are for."""
        return str(self.terms["policy"])

    @property
    def cutoff(self) -> datetime:
        """The latest cutoff that may be applied."""
        return parse_iso(self.terms["cutoff"])

    @property
    def items(self) -> int:
        """The largest number of records that may go."""
        return int(self.terms["items"])


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """A file of plans.

    Args:
        created_at: when they were made.
        expires_at: from then on they may not be applied.
        plans: by policy.
    """

    created_at: datetime
    expires_at: datetime
    plans: Mapping[str, Approved]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A plan to be saved.

    Args:
        plan: that a run would carry out.
        refused: sentences of the guards that would refuse it now; whoever agrees to it sees them, and a run
            still needs the values that they ask for.
    """

    plan: Plan
    refused: tuple[str, ...] = ()


def save(path: Path, proposed: Sequence[Proposed], now: datetime) -> PlanFile:
    """Write plans to a new file, to be applied within :data:`VALID_FOR`.

    Raises:
        ConfigurationError: the file is there already, or cannot be written.
    """
    members = {
        "form": _FORM,
        "v": 1,
        "created_at": iso(now),
        "expires_at": iso(now + VALID_FOR),
        "plans": [
            {"digest": item.plan.digest, "terms": item.plan.terms(), "refused": list(item.refused)}
            for item in proposed
        ],
    }
    text = json.dumps({**members, "sha256": digest(members)}, indent=2, sort_keys=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        hint = "name a file that is not there yet, in a directory that may be written"
        raise ConfigurationError(f"the plan {path} cannot be written: {error.strerror}", hint) from error
    return _parsed(members)


def load(path: Path, now: datetime) -> PlanFile:
    """Read a file of plans that may still be applied.

    Raises:
        ConfigurationError: it cannot be read, is no file of plans, or was changed since it was saved.
        GuardRefused: it has expired, or was made in the future.
    """
    again = "save a new one with `luxima-retention run --dry-run --save-plan FILE`"
    try:
        members = json_of(path.read_bytes())
        recorded = members.pop("sha256")
        if members["form"] != _FORM or members["v"] != 1 or digest(members) != recorded:
            raise ConfigurationError(f"the plan {path} is not what was saved", again)
        found = _parsed(members)
    except OSError as error:
        raise ConfigurationError(f"the plan {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} is not a saved plan: {error!r}", again) from error
    if not found.created_at <= now < found.expires_at:
        raise GuardRefused(
            f"the plan {path} holds from {iso(found.created_at)} to {iso(found.expires_at)}, not now", again
        )
    return found


def _parsed(members: Mapping[str, Any]) -> PlanFile:
    plans = [
        Approved(digest=item["digest"], terms=item["terms"], refused=tuple(item["refused"]))
        for item in members["plans"]
    ]
    for plan in plans:
        if digest(plan.terms) != plan.digest:
            raise ValueError(f"the digest of {plan.policy} does not belong to its terms")
    return PlanFile(
        created_at=parse_iso(members["created_at"]),
        expires_at=parse_iso(members["expires_at"]),
        plans={plan.policy: plan for plan in plans},
    )


def beyond(approved: Approved, plan: Plan) -> tuple[str, ...]:
    """What ``plan`` would do beyond the approved terms, one sentence each; empty when it may be applied.

    More records than approved are no reason to refuse: the oldest ``approved.items`` go, in
    :func:`luxima_retention.core.plan.decide`. A shortfall is for the run to itemise.
    """
    terms, now = approved.terms, plan.terms()
    same = {"target": "target", "fingerprint": "store", "disposition": "disposition"}
    found = [
        f"the {name} is {now[field]}, approved was {terms[field]}"
        for field, name in same.items()
        if now[field] != terms[field]
    ]
    if plan.cutoff > approved.cutoff:
        found.append(f"the cutoff is {iso(plan.cutoff)}, approved was {terms['cutoff']}")
    if plan.retention_days < terms["retention_days"]:
        found.append(f"the period is {plan.retention_days} days, approved were {terms['retention_days']}")
    if plan.items > approved.items:
        found.append(f"{plan.items} records would go, approved were {approved.items}")
    if lifted := sorted(set(terms["holds"]) - set(plan.holds)):
        found.append(f"hold {', '.join(lifted)} was released since the plan was approved")
    return tuple(found)
