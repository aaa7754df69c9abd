"""The values that travel through the five steps, and the pure step *decide*. No I/O, no clock.

All instants are aware and UTC; sizes are bytes; counts are records of the store (rows, objects,
files). ``docs/architecture.md`` names the steps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ConfigurationError, ExitCode
from luxima_retention.core.redact import redacted

NOTHING: Mapping[str, int] = MappingProxyType({})
#: what happens at the end of the period, by whether an archive takes the records first
DISPOSITIONS: Mapping[bool, str] = MappingProxyType({True: "archive, then destroy", False: "destroy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A number of records, and whether it was counted or estimated."""

    value: int
    exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which store this is, so that a clone or a standby is not taken for it.

    Args:
        kind: ``postgresql``, ``s3``, ``prometheus``, ``directory`` or ``memory``.
        target: the name people use, for example ``core.audit_log`` or ``s3://loki-chunks``.
        fingerprint: what the store itself says it is; never a secret.
    """

    kind: str
    target: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A legal hold: what it names is kept until the hold is released.

    A field that is ``None`` does not restrict: a hold that names nothing but its policy pauses the
    policy. ``policy`` ``None`` means every policy. The range is ``[start, end)`` on the record's own time.
    ``review_by`` ends nothing: it is when somebody is to check whether the hold is still needed.
    """

    hold_id: str
    policy: str | None = None
    tenant: str | None = None
    subject: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    path: str | None = None
    reason: str = ""
    case_ref: str = ""
    placed_by: str = ""
    placed_at: datetime | None = None
    review_by: datetime | None = None

    def covers(self, policy: str) -> bool:
        """Whether this hold speaks of ``policy`` at all."""
        return self.policy is None or self.policy == policy

    def overdue(self, now: datetime) -> bool:
        """Whether its review should have taken place."""
        return self.review_by is not None and self.review_by <= now

    def pauses(self, policy: str) -> bool:
        """Whether this hold keeps everything of ``policy``."""
        return self.covers(policy) and not self.dimensions()

    def argument(self) -> dict[str, str | None]:
        """As the functions in PostgreSQL take it: an element of ``p_holds``."""
        return {
            "hold_id": self.hold_id,
            "tenant": self.tenant,
            "subject": self.subject,
            "start_at": iso(self.start) if self.start else None,
            "end_at": iso(self.end) if self.end else None,
        }

    def dimensions(self) -> frozenset[str]:
        """The names of the fields that restrict this hold: ``tenant``, ``subject``, ``range`` and so on."""
        named = {
            "tenant": self.tenant,
            "subject": self.subject,
            "range": self.start or self.end,
            "path": self.path,
        }
        return frozenset(name for name, value in named.items() if value is not None)


class Level(StrEnum):
    """How much a finding matters, and the exit code that it asks for."""

    INFO = "info"
    WARNING = "warning"
    #: the policy cannot be completed or checked
    FAILED = "failed"
    #: like a guard: nothing is deleted
    REFUSE = "refuse"
    #: another system's retention differs from the policy
    DRIFT = "drift"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a policy with such a finding."""
        return _LEVEL_CODES.get(self, ExitCode.DONE)


_LEVEL_CODES = {
    Level.FAILED: ExitCode.INCOMPLETE,
    Level.REFUSE: ExitCode.REFUSED,
    Level.DRIFT: ExitCode.DRIFT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a store noticed about itself.

    Args:
        code: constant, for programs: ``rls-filters``, ``missing-index``, ``lifecycle-too-short``.
        level: what it means for the run.
        message: one sentence with the observed value.
        hint: one sentence that names the option, command or right that would help.

    Secrets are masked in both sentences: a store's own settings may hold them.
    """

    code: str
    level: Level
    message: str
    hint: str | None = None

    def __post_init__(self) -> None:
        """Mask secrets."""
        object.__setattr__(self, "message", redacted(self.message))
        object.__setattr__(self, "hint", None if self.hint is None else redacted(self.hint))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A slice of what a survey found, for people: a partition, a tenant's day, a set of files."""

    name: str
    items: int
    size_bytes: int | None = None
    newest: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What an earlier step has condemned and a later one will destroy, no later than ``due``."""

    items: int
    due: datetime
    reason: str
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the engine asks a store about.

    Args:
        policy: its name, ``audit-logs``.
        retention_days: whole days.
        cutoff: strictly older goes; start of a UTC day.
        now: the run's one reading of the program's clock.
        holds: the active holds that cover the policy.
        begun: batches that an earlier process of the same run began here, before it was killed.
    """

    policy: str
    retention_days: int
    cutoff: datetime
    now: datetime
    holds: tuple[Hold, ...] = ()
    begun: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What a store counts by itself, whoever deletes: two readings tell what went in between.

    Args:
        epoch: another one where counting began anew: a reset, another server.
        deleted: part of the store → records deleted from it so far; grows only.
        files: part of the store → what its records lie in; another one when it was replaced as a whole.
    """

    epoch: str
    deleted: Mapping[str, int]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The facts of a store at one moment.

    Args:
        identity: which store.
        store_clock: its own clock.
        program_clock: the program's, as the store's was read; ``None`` where nobody compared them.
        expired: records past the cutoff that a run may destroy; exact.
        population: all records; ``None`` where the store has no such notion.
        held: past the cutoff, kept by a hold.
        locked: past the cutoff, kept by the store itself (Object Lock, minimum object age).
        undated: without a date; never touched.
        future: dated after the store's clock; never touched.
        unknown: records or objects that could not be read or recognised, so that nobody knows whether they
            have expired; more than none ends with exit code 3.
        pending: condemned earlier, not yet destroyed.
        oldest: the oldest dated record, expired or not.
        oldest_expired: the oldest record counted in ``expired``.
        newest: the newest record that is not in the future.
        expired_bytes: size of what is expired; an estimate unless the store says otherwise.
        parts: the same, sliced for people.
        findings: what the store noticed.
        forecast: figures for people and JSON: ``batches``, ``seconds``, ``wal_bytes``, ``reusable_bytes``.
        evidence: small facts that the ledger and the JSON repeat: query digests, versions, strategy.
        counters: what the store counts by itself; ``None`` where it counts nothing.
    """

    identity: Identity
    store_clock: datetime
    expired: int = 0
    population: Count | None = None
    held: int = 0
    locked: int = 0
    undated: int = 0
    future: int = 0
    unknown: int = 0
    pending: tuple[Pending, ...] = ()
    oldest: datetime | None = None
    oldest_expired: datetime | None = None
    newest: datetime | None = None
    expired_bytes: Count | None = None
    parts: tuple[Slice, ...] = ()
    findings: tuple[Finding, ...] = ()
    forecast: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    evidence: Mapping[str, str | int] = field(default_factory=dict)
    program_clock: datetime | None = None
    counters: Counters | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why so many records go or stay: a verdict, its rule and a sentence."""

    verdict: str
    rule: str
    items: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one run may destroy in one target; a run never goes beyond it.

    ``beyond`` are expired records beyond an approved plan; ``late`` those that arrived since the run that
    goes on made its plan. ``digest`` covers everything that decides what goes; not the forecast and not
    the parts.
    """

    policy: str
    identity: Identity
    retention_days: int
    cutoff: datetime
    cutoff_basis: str
    disposition: str
    items: int
    held: int
    locked: int
    undated: int
    future: int
    population: Count | None
    size_bytes: Count | None
    oldest: datetime | None
    newest: datetime | None
    holds: tuple[str, ...]
    reasons: tuple[Reason, ...]
    beyond: int = 0
    late: int = 0

    @property
    def digest(self) -> str:
        """SHA-256, hex, of the RFC 8785 form of :meth:`terms`."""
        return digest(self.terms())

    def terms(self) -> dict[str, Any]:
        """The JSON form of what decides: the terms on which the plan may be applied."""
        return {
            "policy": self.policy,
            "target": self.identity.target,
            "fingerprint": self.identity.fingerprint,
            "retention_days": self.retention_days,
            "cutoff": iso(self.cutoff),
            "disposition": self.disposition,
            "items": self.items,
            "held": self.held,
            "locked": self.locked,
            "undated": self.undated,
            "future": self.future,
            "holds": list(self.holds),
        }


def digest(value: Any) -> str:
    """SHA-256, hex, of the RFC 8785 bytes of a JSON value without floats."""
    import rfc8785

    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def cutoff_at(retention_days: int, now: datetime) -> datetime:
    """The start of the UTC day ``retention_days`` ago: strictly older records have expired.

    Worked example: 180 days at 2026-11-23T08:30Z is 2026-05-27T00:00Z. A record of 2026-05-27T00:00Z
    stays; a second run on the same day finds the same cutoff and so nothing to do.

    Raises:
        ConfigurationError: the period is not a whole number of at least one day.
    """
    if retention_days < 1:
        raise ConfigurationError(
            f"retention of {retention_days} days is not a period", "set retention_days to 1 or more"
        )
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=retention_days)


def conservative_now(program: datetime, store: datetime, as_of: datetime | None) -> tuple[datetime, str]:
    """The instant that the cutoff counts from, and its name: the earliest of what is known."""
    if as_of is not None and as_of <= min(program, store):
        return as_of, "as-of"
    return (program, "program clock") if program <= store else (store, "store clock")


def decide(
    request: Request,
    survey: Survey,
    *,
    cutoff_basis: str,
    disposition: str,
    approved: int | None = None,
    resumed: int | None = None,
) -> Plan:
    """The plan for one target: pure, and the only place where expired records become a plan.

    Args:
        request: policy, period, cutoff and holds.
        survey: the facts that the same request brought.
        cutoff_basis: which clock the cutoff counts from.
        disposition: ``destroy``, ``archive, then destroy`` or ``check only``.
        approved: so many records at most, from an approved plan; the oldest.
        resumed: so many records at most, which a killed run had left of its plan.
    """
    late = 0 if resumed is None else max(0, survey.expired - resumed)
    beyond = 0 if approved is None else max(0, survey.expired - late - approved)
    items = survey.expired - late - beyond
    return Plan(
        policy=request.policy,
        identity=survey.identity,
        retention_days=request.retention_days,
        cutoff=request.cutoff,
        cutoff_basis=cutoff_basis,
        disposition=disposition,
        items=items,
        held=survey.held,
        locked=survey.locked,
        undated=survey.undated,
        future=survey.future,
        population=survey.population,
        size_bytes=survey.expired_bytes,
        oldest=survey.oldest,
        newest=survey.newest,
        holds=tuple(sorted(hold.hold_id for hold in request.holds)),
        reasons=_reasons(request, survey, (items, beyond, late), disposition),
        beyond=beyond,
        late=late,
    )


def _reasons(
    request: Request, survey: Survey, counts: tuple[int, int, int], disposition: str
) -> tuple[Reason, ...]:
    """One reason for each group of records that exists."""
    (items, beyond, late), cutoff = counts, iso(request.cutoff)
    waiting = sum(pending.items for pending in survey.pending)
    groups = (
        ("go", "expired", items, f"dated before {cutoff}: {disposition}"),
        ("stay", "beyond-plan", beyond, "expired, but beyond the plan that was approved"),
        ("stay", "arrived-late", late, "expired, but arrived after the continued run had made its plan"),
        ("stay", "unknown", survey.unknown, "could not be read or recognised: never touched"),
        ("stay", "hold", survey.held, "expired, but kept by " + _hold_names(request.holds)),
        ("stay", "locked", survey.locked, "expired, but kept by the store itself"),
        ("go", "pending", waiting, "condemned by an earlier run, waiting for its due date"),
        ("stay", "undated", survey.undated, "without a date: never touched"),
        ("stay", "future", survey.future, "dated in the future: never touched"),
    )
    return tuple(
        Reason(verdict=verdict, rule=rule, items=count, sentence=sentence)
        for verdict, rule, count, sentence in groups
        if count
    )


def _hold_names(holds: tuple[Hold, ...]) -> str:
    """``hold H-1``, ``holds H-1, H-2``, at most five of them by name."""
    names = sorted(hold.hold_id for hold in holds)
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")  # noqa: PLR2004 - as said above
    return f"{'hold' if len(names) == 1 else 'holds'} {listed or '(none active)'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What preceded the five steps of a policy.

    Args:
        values: JSON, shown as ``operation``.
        code: what it asks for; the worse of it and the policy's own decides.
        sentence: for people; empty when there is nothing to tell.
    """

    values: Mapping[str, Any]
    code: ExitCode = ExitCode.DONE
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What one batch is about to make final.

    Args:
        items: records.
        size_bytes: their size, where the store knows it.
        first, last: the oldest and newest instant among them.
        digest: SHA-256, hex, over the batch's keys where the store can tell; for the ledger.
        shared: whether the deletion stands in an open transaction in which :attr:`.Work.enter` will be
            called before it commits.
        archived: whether the batch that condemned these records has archived them already.
        metrics: figures that the engine adds up by name: ``wal_bytes``, ``wait_ms.replica-lag``.
    """

    items: int
    size_bytes: int | None = None
    first: datetime | None = None
    last: datetime | None = None
    digest: str | None = None
    shared: bool = False
    archived: bool = False
    metrics: Mapping[str, int] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What one batch made final.

    Args:
        items: records destroyed.
        size_bytes: their size, where known.
        pending: records condemned now and destroyed later.
        skipped: rule → records of the plan that were left, each explained by its rule
            (``hold``, ``locked``, ``changed``, ``vanished``).
        failures: sentences, one for each record or request that failed and was not retried away.
        metrics: as in :class:`Staged`.
    """

    items: int
    size_bytes: int | None = None
    pending: int = 0
    skipped: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    failures: tuple[str, ...] = ()
    metrics: Mapping[str, int] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one record goes or stays.

    Args:
        item: as the user named it.
        verdict: ``goes``, ``stays``, ``pending`` or ``absent``.
        rule: ``expired``, ``younger``, ``hold``, ``locked``, ``undated``, ``future``, …
        sentence: for people.
        dated: the record's own time.
        due: the first instant at which a run would delete it, if any run would.
    """

    item: str
    verdict: str
    rule: str
    sentence: str
    dated: datetime | None = None
    due: datetime | None = None


def explained(
    item: str, row: tuple[datetime | None, str | None] | None, request: Request, now: datetime
) -> Explanation:
    """Why a row of a table goes or stays.

    Args:
        item: as the user named it.
        row: its own time, if it has one, and the hold that keeps it; ``None`` where there is no such row.
        request: of the run that would take it.
        now: the store's clock.
    """
    if row is None:
        return Explanation(item=item, verdict="absent", rule="absent", sentence="there is no such row")
    dated, held_by = row
    if dated is None:
        sentence = "it has no date: it is never touched"
        return Explanation(item=item, verdict="stays", rule="undated", sentence=sentence)
    verdict, rule, sentence = _of_dated(dated, held_by, request.cutoff, now)
    due = first_due(dated, request.retention_days) if rule in {"younger", "expired"} else None
    return Explanation(item=item, verdict=verdict, rule=rule, sentence=sentence, dated=dated, due=due)


def _of_dated(dated: datetime, held_by: str | None, cutoff: datetime, now: datetime) -> tuple[str, str, str]:
    """Verdict, rule and sentence of a row with a date."""
    if dated > now:
        return "stays", "future", "it is dated in the future: it is never touched"
    if dated >= cutoff:
        return "stays", "younger", f"it is not older than the cutoff {iso(cutoff)}"
    if held_by:
        return "stays", "hold", f"expired, but kept by hold {held_by}"
    return "goes", "expired", f"dated before {iso(cutoff)}"


def first_due(dated: datetime, retention_days: int) -> datetime:
    """The start of the first UTC day on which a cutoff lies behind ``dated``."""
    day = dated.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=retention_days + 1)
