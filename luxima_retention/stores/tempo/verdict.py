"""Whether a Tempo keeps its traces as long as the policy says. Pure: no I/O, no clock.

How Tempo finds the period of a tenant (source of 2.10.0 and 3.0.3, ``tempodb/retention.go`` and
``modules/overrides``): its own limits, else those of the tenant ``*``, else the defaults; one of them, never
two merged. Where that one names no ``block_retention``, it is the period of the process that deletes. A
tenant with ``compaction_disabled`` is passed over: nothing of it ever goes. A block goes when its newest
trace is older than the period, and its objects ``compacted_block_retention`` (one hour) later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from luxima_retention.core.plan import Finding, Level
from luxima_retention.core.promise import DAY, Mode, in_days
from luxima_retention.stores.tempo.reading import WILDCARD, Applied, Facts, Override

#: Tenants that are named one by one; of more the number is told.
_NAMED = 10


class Code(StrEnum):
    """The verdicts, for programs."""

    COMPLIANT = "compliant"
    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    ELSEWHERE = "retention-elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How long traces stay.

    Args:
        who: whose: ``every tenant``, ``tenant acme``.
        seconds: after which they go; ``None``: never.
        setting: that says so.
    """

    who: str
    seconds: float | None
    setting: str


def judge(facts: Facts, days: int, mode: Mode) -> tuple[Finding, ...]:
    """The verdicts, the worst first: of all tenants without limits of their own, and of each that differs."""
    if not facts.applied:
        return (_elsewhere(facts),)
    found = [_verdict(kept, days, mode) for kept in periods(facts)]
    drifts = [finding for finding in found if finding.level is Level.DRIFT]
    return (*_summed_up(drifts), *_compliant(facts, found, drifts, days, mode))


def periods(facts: Facts) -> Iterator[Kept]:
    """How long the traces of all, and of each tenant with limits of its own, stay."""
    own = {name: limits for name, limits in facts.tenants.items() if name != WILDCARD}
    rest = facts.tenants.get(WILDCARD, facts.defaults)
    origin = f"overrides of tenant {WILDCARD}" if WILDCARD in facts.tenants else "overrides.defaults"
    for applied in facts.applied:
        yield _kept("every other tenant" if own else "every tenant", applied, rest, origin)
        for name, limits in sorted(own.items()):
            yield _kept(f"tenant {name}", applied, limits, f"overrides of tenant {name}")


def _kept(who: str, applied: Applied, limits: Override, origin: str) -> Kept:
    if limits.disabled:
        return Kept(who=who, seconds=None, setting=f"compaction_disabled in the {origin}")
    if applied.disabled:
        return Kept(who=who, seconds=None, setting=f"{applied.service}.disabled")
    if limits.seconds:
        return Kept(who=who, seconds=limits.seconds, setting=f"block_retention in the {origin}")
    return Kept(who=who, seconds=applied.seconds, setting=applied.setting)


def _verdict(kept: Kept, days: int, mode: Mode) -> Finding:
    policy, seconds = days * DAY, kept.seconds
    says = f"{kept.setting}; the policy says {in_days(policy)}"
    hint = f"set block_retention to {days * 24}h there"
    if seconds is None:
        sentence = f"traces of {kept.who} never go, by {says} ({mode})"
        return _finding(Code.TOO_LONG if mode.ends else Code.COMPLIANT, sentence, "switch it on")
    sentence = f"traces of {kept.who} go after {in_days(seconds)}, by {says} ({mode})"
    if mode.keeps and seconds < policy:
        return _finding(Code.TOO_SHORT, sentence, hint)
    return _finding(Code.TOO_LONG if mode.ends and seconds > policy else Code.COMPLIANT, sentence, hint)


def _finding(code: Code, sentence: str, hint: str) -> Finding:
    compliant = code is Code.COMPLIANT
    return Finding(
        code=code.value,
        level=Level.INFO if compliant else Level.DRIFT,
        message=sentence,
        hint=None if compliant else hint,
    )


def _summed_up(drifts: list[Finding]) -> Iterator[Finding]:
    yield from drifts[:_NAMED]
    more = len(drifts) - _NAMED
    if more > 0:
        yield Finding(
            code="more-tenants",
            level=Level.DRIFT,
            message=f"{more} more tenants differ from the policy",
            hint="read the page /status/runtime_config of Tempo",
        )


def _compliant(
    facts: Facts, found: list[Finding], drifts: list[Finding], days: int, mode: Mode
) -> Iterator[Finding]:
    """One sentence for all that is as it should be."""
    good = [finding for finding in found if finding.level is Level.INFO]
    if not good:
        return
    if not drifts and len(good) > len(facts.applied):
        yield _finding(
            Code.COMPLIANT,
            f"the periods of every tenant, {len(facts.tenants)} with limits of their own among them, fit the"
            f" {days} days of the policy ({mode})",
            "",
        )
    else:
        yield good[0]


def _elsewhere(facts: Facts) -> Finding:
    here = ", ".join(facts.services) or "none"
    return Finding(
        code=Code.ELSEWHERE.value,
        level=Level.FAILED,
        message=f"no traces are deleted by this process of Tempo {facts.version}; its services are {here}",
        hint="name the process that runs compactor (2.x) or backend-worker (3.x) in url of the policy",
    )


def evidence(facts: Facts, findings: tuple[Finding, ...]) -> Mapping[str, str | int]:
    """The figures behind the verdicts, small enough for ledger and report."""
    shown: dict[str, str | int] = {
        "product": "Tempo",
        "version": facts.version,
        "verdict": findings[0].code,
        "storage": facts.storage,
        "tenants_with_limits": len(facts.tenants),
    }
    for applied in facts.applied:
        shown[f"{applied.setting}.seconds"] = round(applied.seconds)
    shortest = min((kept.seconds for kept in periods(facts) if kept.seconds is not None), default=None)
    if shortest is not None:
        shown["shortest_seconds"] = round(shortest)
    return shown
