"""What somebody else deleted between two runs, estimated from what the store itself counts. Pure.

An estimate, and named so: a store counts attempts, so that batches of ours that were rolled back raise its
figures as well. It never keeps a run from its work. What it cannot see stands in ``docs/evidence.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from luxima_retention.core.errors import ExitCode
from luxima_retention.core.guards import GuardResult
from luxima_retention.core.plan import Counters, Finding, Level, Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an earlier run had read before it acted.

    Args:
        at: when, by the program's clock.
        cutoff: of that run.
        held: expired records that a hold kept.
        population: all records, where they were counted exactly.
        counters: what the store had counted; ``None`` for one that counts nothing.
    """

    at: datetime
    cutoff: datetime
    held: int = 0
    population: int | None = None
    counters: Counters | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """What the ledger tells of the time since then.

    Args:
        reading: of the earlier run.
        destroyed: records that runs of ours have destroyed or condemned.
        rolled_back: records of batches of ours that may have been counted, and are still there.
        interrupted: whether a run of ours was killed or failed: nobody knows what its last batch counted.
        condemned: whether runs of ours took whole parts away.
        released: whether a hold of the policy was released.
    """

    reading: Reading
    destroyed: int = 0
    rolled_back: int = 0
    interrupted: bool = False
    condemned: bool = False
    released: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What somebody else has deleted.

    Args:
        records: how many, about; 0 where nothing is missing, or nobody can tell.
        unknown: why nobody can tell, or how many more it may be; empty where the figures can be compared.
    """

    records: int = 0
    unknown: str = ""


def estimate(since: Since, now: Survey) -> Estimate:
    """What went since an earlier reading and was not ours."""
    before, counters = since.reading.counters, now.counters
    if before is None or counters is None:
        return Estimate()
    shrunk = _shrunk(since, now)
    if reason := _incomparable(before, counters):
        return Estimate(records=shrunk, unknown=reason)
    counted = _grown(before.deleted, counters.deleted) - since.destroyed - since.rolled_back
    if since.interrupted and counted > shrunk:
        told = f"{counted} more deletions than ours were counted, and a run of this program was interrupted"
        return Estimate(records=shrunk, unknown=told)
    return Estimate(records=max(counted, shrunk), unknown=_replaced(since, before, counters))


def _shrunk(since: Since, now: Survey) -> int:
    """How many records fewer there are than ours explain: at least so many went, whatever was added."""
    population = now.population
    if since.reading.population is None or population is None or not population.exact:
        return 0
    return max(0, since.reading.population - since.destroyed - population.value)


def _incomparable(before: Counters, counters: Counters) -> str:
    if before.epoch != counters.epoch:
        return "the server's counters were reset, or another server answers than before"
    fallen = [part for part, count in before.deleted.items() if counters.deleted.get(part, count) < count]
    return "the server's counters fell: it has crashed, or they were reset" if fallen else ""


def _grown(before: Mapping[str, int], now: Mapping[str, int]) -> int:
    return sum(count - before.get(part, 0) for part, count in now.items())


def _replaced(since: Since, before: Counters, counters: Counters) -> str:
    """That parts went or were replaced as a whole: what was in them was deleted by no DELETE."""
    gone = [] if since.condemned else sorted(before.files.keys() - counters.files.keys())
    other = sorted(part for part, name in before.files.items() if counters.files.get(part, name) != name)
    told = [
        f"dropped or detached: {', '.join(gone)}" if gone else "",
        f"emptied by TRUNCATE or rewritten: {', '.join(other)}" if other else "",
    ]
    return "; ".join(filter(None, told))


def findings(found: Estimate, since: Since, target: str) -> tuple[Finding, ...]:
    """An estimate in a sentence: a warning, never a refusal."""
    window = f"since {since.reading.at:%Y-%m-%d %H:%M} UTC"
    hint = "ask who has the right to delete there; `docs/evidence.md` says what this estimate cannot see"
    told = []
    if found.records:
        message = f"about {found.records} records of {target} were deleted by somebody else {window}"
        told.append(Finding(code="deleted-externally", level=Level.WARNING, message=message, hint=hint))
    if found.unknown:
        message = f"whether somebody else deleted records of {target} {window} is not known: {found.unknown}"
        told.append(Finding(code="deletions-unknown", level=Level.WARNING, message=message, hint=hint))
    return tuple(told)


def held_fell(since: Since, cutoff: datetime, held: int) -> GuardResult | None:
    """The refusal of a run that finds fewer held records than the one before, where nothing was released.

    Args:
        since: the earlier run.
        cutoff: of this one; an earlier one than before holds fewer records for that reason alone.
        held: expired records that a hold keeps now.
    """
    before = since.reading.held
    if held >= before or since.released or cutoff < since.reading.cutoff:
        return None
    return GuardResult(
        guard="held-records",
        passed=False,
        observed=str(held),
        limit=f"{before} on {since.reading.at:%Y-%m-%d}",
        message=f"{before - held} held records are gone or no longer held, and no hold was released",
        hint="find out who removed or changed them; this is written down, and the next run compares with it",
        code=ExitCode.VERIFICATION_FAILED,
    )
