"""The guards: pure functions from plan, survey and history to pass or refuse. No I/O, no clock.

Each prints what it observed and its limit, and names the option that would change it. A verdict stands in
the ledger whether it passed or not. An override names a value, never a bare force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.history import History
from luxima_retention.core.plan import Level, Plan, Request, Survey

#: guards of what goes: they have nothing to say about a plan of no records, and each takes a named value
OF_WHAT_GOES = frozenset({"share", "max-items", "stale-source", "min-remaining"})
DEFAULT_SHARE = Decimal("0.25")
DEFAULT_SKEW = timedelta(seconds=60)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a policy's guards compare with.

    Args:
        max_fraction: the part of all records that may go, 0 to 1, as this run or the settings name it;
            ``None`` names none.
        max_items: the largest number of records that may go; ``None`` does not limit.
        min_remaining: so many records must be left.
        max_silence: age of the newest record from which the producer counts as stalled; ``None`` is off.
        max_skew: between the program's clock and the store's.
        fingerprints: the stores that the settings pin; empty pins none.
        dimensions: what holds may name in this policy's stores: ``tenant``, ``range``, …
        named: guard → the option through which a value was named for this run.
        widened: guard → the setting that switches it off, or lets it pass more than by default.
    """

    max_fraction: Decimal | None = None
    max_items: int | None = None
    min_remaining: int = 1
    max_silence: timedelta | None = None
    max_skew: timedelta = DEFAULT_SKEW
    fingerprints: tuple[str, ...] = ()
    dimensions: frozenset[str] = frozenset()
    named: dict[str, str] = field(default_factory=dict)
    widened: dict[str, str] = field(default_factory=dict)

    def override(self, guard: str) -> str | None:
        """What switched a guard off or widened it: an option of this run, else a setting."""
        return self.named.get(guard) or self.widened.get(guard)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardResult:
    """What one guard said.

    Args:
        guard: its id, for programs.
        passed: whether it lets the run go on.
        observed: the value that it saw, for people.
        limit: what it compared with.
        message: a sentence; about the refusal when it refused.
        hint: the option, setting or command that would change it.
        override: the option or setting that switched it off or widened it.
        code: what its refusal asks for: 6 where evidence was changed.
        used: what it saw as a part of its limit: above 1 it refuses; ``None`` where it has no figures, or
            nobody knows them.
    """

    guard: str
    passed: bool
    observed: str
    limit: str
    message: str
    hint: str | None = None
    override: str | None = None
    code: ExitCode = ExitCode.REFUSED
    used: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything that a guard may look at.

    Args:
        now: the program's clock, read once for the run.
        as_of: the instant that the user named instead, if any.
    """

    plan: Plan
    survey: Survey
    request: Request
    history: History
    limits: Limits
    now: datetime
    as_of: datetime | None = None


def judge(case: Case) -> tuple[GuardResult, ...]:
    """Every guard's verdict, in a fixed order.

    Guards of what goes (share, number, silence, remainder) have nothing to protect in a plan of no
    records and are left out of it.
    """
    guards = _ALWAYS if not case.plan.items else (*_ALWAYS, *_OF_WHAT_GOES)
    found = (verdict for guard in guards for verdict in guard(case))
    return (*found, *_findings(case))


def refusals(verdicts: tuple[GuardResult, ...]) -> tuple[GuardResult, ...]:
    """Those that refused."""
    return tuple(verdict for verdict in verdicts if not verdict.passed)


def _identity(case: Case) -> Iterator[GuardResult]:
    """As pinned in settings, else as the ledger first saw this target."""
    found, pinned, first = case.survey.identity, case.limits.fingerprints, case.history.fingerprint
    known = pinned or ((first,) if first else ())
    passed = not known or found.fingerprint in known
    where = "pinned in the settings" if pinned else "as the ledger first saw it"
    yield GuardResult(
        guard="identity",
        passed=passed,
        observed=found.fingerprint,
        limit=", ".join(known) or "seen for the first time",
        message=f"{found.target} is {'the store' if passed else 'not the store that is'} {where}",
        hint=None
        if passed
        else f"check the connection; if the store has moved, set policies.{_key(case)}.identity",
    )


def _clock_skew(case: Case) -> Iterator[GuardResult]:
    program, store = case.survey.program_clock or case.now, case.survey.store_clock
    skew = abs(program - store)
    passed = skew <= case.limits.max_skew
    yield GuardResult(
        guard="clock-skew",
        passed=passed,
        observed=f"{skew.total_seconds():.0f} s",
        limit=f"{case.limits.max_skew.total_seconds():.0f} s",
        message=f"this machine says {iso(program)}, {case.survey.identity.target} says {iso(store)}",
        hint=None if passed else "correct the clock that is wrong; max_clock_skew of the policy is the limit",
        override=case.limits.override("clock-skew"),
        used=_used(skew.total_seconds(), case.limits.max_skew.total_seconds()),
    )


def _holds(case: Case) -> Iterator[GuardResult]:
    """A hold that names what this store cannot tell apart would silently keep nothing."""
    for hold in case.request.holds:
        if unknown := sorted(hold.dimensions() - case.limits.dimensions):
            yield GuardResult(
                guard="holds",
                passed=False,
                observed=f"{hold.hold_id} names {', '.join(unknown)}",
                limit=", ".join(sorted(case.limits.dimensions)) or "whole policies only",
                message=f"hold {hold.hold_id} cannot be applied to {case.plan.identity.target}",
                hint="map the column in the settings, or place the hold by what this policy knows",
            )


def _share(case: Case) -> Iterator[GuardResult]:
    """At most a quarter, or twice what the days since the last proved run explain, or what was named."""
    population, limits = case.plan.population, case.limits
    if population is None or not population.value:
        return
    share = Decimal(case.plan.items) / Decimal(max(population.value, case.plan.items))
    limit = limits.max_fraction if limits.max_fraction is not None else _usual_share(case)
    backlog = case.history.backlog
    allowed = backlog + int(limit * population.value)
    passed = share <= limit or case.plan.items <= allowed
    yield GuardResult(
        guard="share",
        passed=passed,
        observed=f"{_percent(share)} ({case.plan.items} of {population.value})",
        limit=_percent(limit) + (f" besides {backlog} that were approved" if backlog else ""),
        message=f"{case.plan.items} of {population.value} records of {case.plan.identity.target}"
        " would be deleted",
        hint=None if passed else f"if intended, rerun with --max-fraction {named_share(share)}",
        override=limits.override("share"),
        used=_used(case.plan.items, max(allowed, float(limit * max(population.value, case.plan.items)))),
    )


def _usual_share(case: Case) -> Decimal:
    """The share that needs no word: of a steady stream, d days of R + d expire in d days."""
    last = case.history.proved_at
    if last is None:
        return DEFAULT_SHARE
    days = max(1, (case.now - last).days + 1)
    return max(DEFAULT_SHARE, min(Decimal(1), Decimal(2 * days) / (case.plan.retention_days + days)))


def _max_items(case: Case) -> Iterator[GuardResult]:
    limit, items = case.limits.max_items, case.plan.items
    if limit is None:
        return
    yield GuardResult(
        guard="max-items",
        passed=items <= limit,
        observed=str(items),
        limit=str(limit),
        message=f"{items} records of {case.plan.identity.target} would be deleted",
        hint=None if items <= limit else f"if intended, rerun with --max-items {items}",
        override=case.limits.override("max-items"),
        used=_used(items, limit),
    )


def _silence(case: Case) -> Iterator[GuardResult]:
    """A stalled producer, or a clock that jumped: what is expired now would be all there is."""
    limit, override = case.limits.max_silence, case.limits.override("stale-source")
    if limit is None and override is None:
        return  # this policy has no such guard
    present = min(case.now, case.as_of or case.now)
    newest = case.survey.newest
    silence = None if newest is None else max(present - newest, timedelta())
    passed = limit is None or (silence is not None and silence <= limit)
    yield GuardResult(
        guard="stale-source",
        passed=passed,
        observed="no newest record" if silence is None else _age(silence),
        limit="off" if limit is None else _age(limit),
        message=f"the newest record of {case.plan.identity.target} is "
        + ("unknown" if newest is None else f"of {iso(newest)}"),
        hint=None
        if passed
        else "check whether its producer has stopped; if that is expected, rerun with --max-silence"
        + (f" {silence.days + 1}d" if silence is not None else " off"),
        override=override,
        used=None if limit is None or silence is None else _used(silence / _SECOND, limit / _SECOND),
    )


def _min_remaining(case: Case) -> Iterator[GuardResult]:
    """Something must be left; a record younger than the cutoff proves at least one."""
    population, limit = case.plan.population, case.limits.min_remaining
    younger = int(case.survey.newest is not None and case.survey.newest >= case.plan.cutoff)
    if population is None and limit > younger:
        return
    left = max(younger, (population.value if population else 0) - case.plan.items)
    yield GuardResult(
        guard="min-remaining",
        passed=left >= limit,
        observed=str(left),
        limit=str(limit),
        message=f"{left} records of {case.plan.identity.target} would be left",
        hint=None if left >= limit else f"if intended, rerun with --min-remaining {left}",
        override=case.limits.override("min-remaining"),
        # The other way round: here the limit is the least.
        used=_used(limit, left),
    )


def _findings(case: Case) -> Iterator[GuardResult]:
    """What the store itself found that forbids a deletion."""
    for finding in case.survey.findings:
        if finding.level is Level.REFUSE:
            yield GuardResult(
                guard=finding.code,
                passed=False,
                observed=finding.message,
                limit="must not be",
                message=finding.message,
                hint=finding.hint,
            )


def _used(seen: float, limit: float) -> float:
    """A part of the limit; of a limit of nought nothing is used, or twice of it."""
    return seen / limit if limit else 2.0 * bool(seen)


def _key(case: Case) -> str:
    return case.plan.policy.replace("-", "_")


def _percent(share: Decimal) -> str:
    return f"{share * 100:.1f} %"


def named_share(share: Decimal) -> Decimal:
    """The value that lets a share pass: 0.83 for 0.8213…, two digits, never below."""
    return (min(share, Decimal(1)) * 100).to_integral_value(rounding="ROUND_CEILING") / 100


def _age(age: timedelta) -> str:
    """``14 d`` or ``7 h``."""
    return f"{age.days} d" if age.days else f"{age.seconds // 3600} h"


_Guard = Callable[[Case], Iterator[GuardResult]]
_ALWAYS: tuple[_Guard, ...] = (_identity, _clock_skew, _holds)
_OF_WHAT_GOES: tuple[_Guard, ...] = (_share, _max_items, _silence, _min_remaining)
