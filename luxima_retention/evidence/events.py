"""What the ledger's entries say: one dataclass a kind, with its version. Pure.

Entries are written from these values and read back into them, here and nowhere else. The members of an
entry's body are the fields of its dataclass, besides ``version``, that of its kind. A body of an older
version is brought to the newest one, step by step, by the ``upgrades`` of its class; a kind or a version that
this program does not know is read as :class:`Unknown`. ``docs/ledger-events.md`` is made from this module:
``python -m luxima_retention.evidence.events_page > docs/ledger-events.md``.

Bodies hold no personal data and no floats; instants are UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, TypeVar

from luxima_retention.core.errors import ExitCode
from luxima_retention.core.plan import NOTHING, Counters, Level
from luxima_retention.core.results import Outcome
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence import codec

#: brings a body without its version to the version that follows
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
_Class = TypeVar("_Class", bound="type[Event]")

#: kind → its class
TYPES: dict[str, type[Event]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What an entry says.

    Attributes:
        kind: as it stands in the entry.
        upgrades: one for each version before the newest; the version is their number plus one.
    """

    kind: ClassVar[str] = ""
    upgrades: ClassVar[tuple[Upgrade, ...]] = ()

    @classmethod
    def latest_version(cls) -> int:
        """The newest version of this kind."""
        return len(cls.upgrades) + 1

    def body(self) -> dict[str, Any]:
        """The JSON form, with its version."""
        return {"version": self.latest_version(), **codec.encode(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Event):
    """An entry that a newer version of this program has written.

    Args:
        named: its kind.
        members: its body as it stands.
    """

    named: str
    members: Mapping[str, Any]


def parse(kind: str, body: Mapping[str, Any]) -> Event:
    """The event of an entry.

    Raises:
        ValueError: the body is not what this program writes under that kind and version.
    """
    found = TYPES.get(kind)
    version = body.get("version")
    if type(version) is not int or version < 1:
        raise ValueError(f"{kind}: its version is {version!r}")
    if found is None or version > found.latest_version():
        return Unknown(named=kind, members=body)
    members = {name: value for name, value in body.items() if name != "version"}
    for upgrade in found.upgrades[version - 1 :]:
        members = upgrade(members)
    try:
        event: Event = codec.decode(found, members)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{kind}: {error}") from None
    return event


def register(found: _Class) -> _Class:
    """Make a kind known to :func:`parse`."""
    TYPES[found.kind] = found
    return found


# --- what events are made of ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What one guard said.

    Args:
        guard: its id.
        passed: whether it let the run go on.
        observed: what it saw.
        limit: what it compared with; ``off`` for a guard that is switched off.
        override: the option or setting that switched it off or widened it.
    """

    guard: str
    passed: bool
    observed: str
    limit: str
    override: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a store that is only asked has told.

    Args:
        code: constant.
        level: how much it matters.
    """

    code: str
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What the second survey found.

    Args:
        left: expired records that are still there.
        explained: rule → records that it accounts for.
        unexplained: records that nothing accounts for.
        unknown: records or objects that could not be read or recognised.
        pending: condemned records, destroyed by a later run.
        pending_until: when the last of them is due.
        overdue: condemned records past their date.
        oldest: the oldest record that is left.
    """

    left: int = 0
    explained: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    unexplained: int = 0
    unknown: int = 0
    pending: int = 0
    pending_until: datetime | None = None
    overdue: int = 0
    oldest: datetime | None = None


class BatchState(StrEnum):
    """How far a batch was when its entry was written."""

    #: it became final together with its entry
    DONE = "done"
    #: it is about to be made final
    INTENT = "intent"
    #: it was made final
    RESULT = "result"


class ArchiveState(StrEnum):
    """How far the destruction of an archive was when its entry was written."""

    INTENT = "intent"
    RESULT = "result"


class ActionState(StrEnum):
    """How far an action was when its entry was written."""

    INTENT = "intent"
    RESULT = "result"


# --- runs -----------------------------------------------------------------------------------------------


def _without_error(body: dict[str, Any]) -> dict[str, Any]:
    """Version 1 did not say why a run did not end well."""
    return {**body, "error": None}


def _refused_by_a_guard(body: dict[str, Any]) -> dict[str, Any]:
    """Version 1 did not tell why; a guard was the only reason that there was."""
    return {"exit_code": int(ExitCode.REFUSED), **body, "error": None}


def _without_settings(body: dict[str, Any]) -> dict[str, Any]:
    """Version 2 did not say under which settings it was refused, so nobody can approve it."""
    return {**body, "population": None, "newest": None, "settings": None}


def _without_approval(body: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew no approvals."""
    return {**body, "approval": None}


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A run begins: written before anything is destroyed.

    Args:
        run_id: UUID.
        target: name of the store.
        cutoff: strictly older records go.
        items: records that this run may destroy.
        policy: name of the policy.
        fingerprint: which store answered.
        retention_days: the period in force.
        disposition: ``destroy``, or ``archive, then destroy``.
        held: expired records that a hold keeps.
        locked: expired records that the store itself keeps.
        undated: records without a date.
        future: records dated in the future.
        holds: ids of the holds in force.
        digest: of the plan's terms.
        cutoff_basis: the clock that the cutoff counts from.
        population: all records, where the store knows.
        population_exact: whether they were counted.
        oldest: the oldest record.
        newest: the newest record that is not in the future.
        archive: where records are archived; null where they are not.
        program_clock: the program's clock as the store's was read.
        store_clock: the store's clock.
        guards: what each guard said; a guard that was switched off or widened names what did so.
        approval: number of the entry ``plan.approved`` that it carries out; null for none.
    """

    kind: ClassVar[str] = "run.started"
    upgrades: ClassVar[tuple[Upgrade, ...]] = (_without_approval,)
    run_id: str
    target: str
    cutoff: datetime
    items: int
    policy: str = ""
    fingerprint: str = ""
    retention_days: int | None = None
    disposition: str = ""
    held: int = 0
    locked: int = 0
    undated: int = 0
    future: int = 0
    holds: tuple[str, ...] = ()
    digest: str = ""
    cutoff_basis: str = ""
    population: int | None = None
    population_exact: bool | None = None
    oldest: datetime | None = None
    newest: datetime | None = None
    archive: str | None = None
    program_clock: datetime | None = None
    store_clock: datetime | None = None
    guards: tuple[Guard, ...] = ()
    approval: int | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed(Event):
    """A run that was killed goes on, under its own name.

    Args:
        run_id: of the run that goes on.
        target: name of the store.
        cutoff: the one that the run began with.
        items: records that it may still destroy.
        destroyed: what its batches have destroyed so far.
        condemned: what they have condemned so far.
        batches: how many there were.
        unknown_batch: number of the batch that was announced and never reported.
        guards: what each guard said.
    """

    kind: ClassVar[str] = "run.resumed"
    run_id: str
    target: str
    cutoff: datetime | None = None
    items: int = 0
    destroyed: int = 0
    condemned: int = 0
    batches: int = 0
    unknown_batch: int | None = None
    guards: tuple[Guard, ...] = ()


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RunReconciled(Event):
    """A run that was killed is closed: a new one begins with another cutoff.

    Args:
        run_id: of the run that is closed.
        target: name of the store.
        cutoff: of the run that is closed.
        planned: records that it was allowed to destroy.
        destroyed: what its batches have destroyed.
        condemned: what they have condemned.
        batches: how many there were.
        unknown_batch: number of the batch that was announced and never reported.
    """

    kind: ClassVar[str] = "run.reconciled"
    run_id: str
    target: str
    cutoff: datetime | None = None
    planned: int | None = None
    destroyed: int = 0
    condemned: int = 0
    batches: int = 0
    unknown_batch: int | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RunCompleted(Event):
    """A run has ended: the sums of all its processes, and its proof.

    Args:
        run_id: UUID.
        target: name of the store.
        outcome: as in the JSON of a run.
        exit_code: as in the JSON of a run.
        fingerprint: which store answered.
        retention_days: the period in force.
        cutoff: strictly older records went.
        planned: records that the run was allowed to destroy.
        destroyed: records that it has destroyed.
        condemned: records that a later run destroys.
        batches: how many there were.
        bytes: size of what this process destroyed, where the store measures it.
        skipped: rule → records of the plan that were left.
        failures: records or requests that failed.
        first: oldest instant that this process destroyed.
        last: newest instant that this process destroyed.
        held: expired records that a hold keeps.
        locked: expired records that the store itself keeps.
        undated: records without a date.
        future: records dated in the future.
        metrics: figures of the store by name.
        milliseconds: duration of each step.
        proof: what the second survey found; null where there was none.
        archive: name of the archive's manifest.
        error: why it did not end well, as a sentence; null where it did.
    """

    kind: ClassVar[str] = "run.completed"
    upgrades: ClassVar[tuple[Upgrade, ...]] = (_without_error,)
    run_id: str
    target: str
    outcome: Outcome
    exit_code: ExitCode = ExitCode.DONE
    fingerprint: str | None = None
    retention_days: int | None = None
    cutoff: datetime | None = None
    planned: int | None = None
    destroyed: int = 0
    condemned: int = 0
    batches: int = 0
    bytes: int = 0
    skipped: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    failures: int = 0
    first: datetime | None = None
    last: datetime | None = None
    held: int | None = None
    locked: int | None = None
    undated: int | None = None
    future: int | None = None
    metrics: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    milliseconds: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    proof: Proved | None = None
    archive: str | None = None
    error: str | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RunRefused(Event):
    """Guards kept a run from destroying anything.

    Args:
        target: name of the store.
        policy: name of the policy.
        fingerprint: which store answered.
        retention_days: the period in force.
        cutoff: strictly older records would have gone.
        disposition: ``destroy``, or ``archive, then destroy``.
        items: records that would have gone.
        held: expired records that a hold keeps.
        locked: expired records that the store itself keeps.
        undated: records without a date.
        future: records dated in the future.
        holds: ids of the holds in force.
        digest: of the plan's terms.
        guards: what each guard said.
        exit_code: 4, or 6 where evidence was changed.
        error: the refusal as a sentence.
        population: all records, where the store knows.
        newest: the newest record that is not in the future.
        settings: SHA-256 over the policy's period and limits, which must be the same when it is applied.
    """

    kind: ClassVar[str] = "run.refused"
    upgrades: ClassVar[tuple[Upgrade, ...]] = (_refused_by_a_guard, _without_settings)
    target: str
    policy: str = ""
    fingerprint: str | None = None
    retention_days: int | None = None
    cutoff: datetime | None = None
    disposition: str | None = None
    items: int | None = None
    held: int | None = None
    locked: int | None = None
    undated: int | None = None
    future: int | None = None
    holds: tuple[str, ...] = ()
    digest: str | None = None
    guards: tuple[Guard, ...] = ()
    exit_code: ExitCode = ExitCode.REFUSED
    error: str | None = None
    population: int | None = None
    newest: datetime | None = None
    settings: str | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RunChecked(Event):
    """A store that another system empties was asked whether it does.

    Args:
        target: name of the store.
        fingerprint: which store answered.
        retention_days: the period in force.
        cutoff: strictly older records should be gone.
        store_clock: the store's clock.
        program_clock: the program's clock as the store's was read.
        oldest: the oldest record.
        unknown: records or objects that could not be read or recognised.
        findings: what it told.
        evidence: small facts behind it.
        error: what is not as it should be, as a sentence; null where all is.
    """

    kind: ClassVar[str] = "run.checked"
    upgrades: ClassVar[tuple[Upgrade, ...]] = (_without_error,)
    target: str
    fingerprint: str | None = None
    retention_days: int | None = None
    cutoff: datetime | None = None
    store_clock: datetime | None = None
    program_clock: datetime | None = None
    oldest: datetime | None = None
    unknown: int = 0
    findings: tuple[Found, ...] = ()
    evidence: Mapping[str, str | int] = field(default_factory=dict)
    error: str | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed(Event):
    """A run ended before it had a plan: its store could not be surveyed. Nothing was destroyed.

    Args:
        target: name of the store.
        outcome: as in the JSON of a run.
        exit_code: as in the JSON of a run.
        error: why, as a sentence.
    """

    kind: ClassVar[str] = "run.failed"
    target: str
    outcome: Outcome
    exit_code: ExitCode
    error: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Event):
    """One batch of a run.

    Args:
        run_id: of its run.
        target: name of the store.
        number: 1, 2, 3, … within the run.
        state: ``done`` committed together with this entry; ``intent`` is about to go; ``result`` has gone.
        items: records.
        bytes: their size, where the store measures it.
        first: oldest instant among them.
        last: newest instant among them.
        digest: SHA-256 over their keys, where the store can tell.
        token: fencing token of the lease.
        part: what was archived of them.
        pending: records that were condemned and go later.
        skipped: rule → records of the plan that were left.
        failures: records or requests that failed.
    """

    kind: ClassVar[str] = "batch"
    run_id: str
    target: str
    number: int
    state: BatchState
    items: int
    bytes: int | None = None
    first: datetime | None = None
    last: datetime | None = None
    digest: str | None = None
    token: int = 0
    part: Sealed | None = None
    pending: int = 0
    skipped: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    failures: int = 0


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Approval(Event):
    """Somebody named the share of a backlog: later runs go on without a word until it is gone.

    Args:
        target: name of the store.
        items: records of the backlog.
        cutoff: strictly older records are the backlog.
        population: all records, where the store knows.
        option: what was named.
    """

    kind: ClassVar[str] = "approval"
    target: str
    items: int
    cutoff: datetime | None = None
    population: int | None = None
    option: str = ""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class PlanApproved(Event):
    """A named person approves what was refused or proposed: once, for a while, and nothing beyond it.

    Args:
        target: name of the store, or of what an action changes.
        entry: number of the entry that is approved: ``run.refused`` or ``action.proposed``.
        entry_hash: its hash, hex, which pins all that it says and all entries before it.
        digest: of the plan or proposal.
        start: valid from.
        end: valid until, outside of it.
        by: name of the person's key.
        note: what the person signed, a C2SP signed note.
    """

    kind: ClassVar[str] = "plan.approved"
    target: str
    entry: int
    entry_hash: str
    digest: str
    start: datetime
    end: datetime
    by: str
    note: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWithdrawn(Event):
    """An approval is taken back before it was carried out.

    Args:
        target: as in the approval.
        approval: number of the entry ``plan.approved``.
        digest: of the plan or proposal.
    """

    kind: ClassVar[str] = "plan.withdrawn"
    target: str
    approval: int
    digest: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ActionProposed(Event):
    """A change outside of the suite that nobody makes before a person has approved it.

    Args:
        action: what kind of change: ``supabase-compute``.
        target: what it changes.
        before: as it is.
        after: as it would be.
        reason: why, such as the alert that asked for it.
        digest: over action, target, before and after.
    """

    kind: ClassVar[str] = "action.proposed"
    action: str
    target: str
    before: str
    after: str
    reason: str
    digest: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ActionDone(Event):
    """A change that was approved was asked for.

    Args:
        target: what it changes.
        proposal: number of the entry ``action.proposed``.
        approval: number of the entry ``plan.approved``.
        state: ``intent`` before it is asked for, ``result`` once it was answered.
    """

    kind: ClassVar[str] = "action.done"
    target: str
    proposal: int
    approval: int
    state: ActionState


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyApplied(Event):
    """What a policy says from now on; written by the first run after a change.

    Args:
        retention_days: the period.
        disposition: what happens at its end.
        basis: law or contract that it rests on.
        targets: names of the stores.
    """

    kind: ClassVar[str] = "policy.applied"
    retention_days: int
    disposition: str = ""
    basis: str = ""
    targets: tuple[str, ...] = ()


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class SlotMissed(Event):
    """Runs of a policy did not take place.

    Args:
        missed: how many.
        since: the last run that there was.
        slot: name of the schedule's slot, where it is not the policy's own.
        first: the first time that was missed.
        last: the last time that was missed.
    """

    kind: ClassVar[str] = "slot.missed"
    missed: int
    since: datetime | None = None
    slot: str | None = None
    first: datetime | None = None
    last: datetime | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class SweepMissed(Event):
    """Walks over a whole bucket did not take place.

    Args:
        missed: how many.
        since: the last one that there was.
        slot: name of the schedule's slot.
        first: the first time that was missed.
        last: the last time that was missed.
    """

    kind: ClassVar[str] = "sweep.missed"
    missed: int
    since: datetime | None = None
    slot: str | None = None
    first: datetime | None = None
    last: datetime | None = None


def missed(
    kind: type[SlotMissed | SweepMissed],
    times: Sequence[datetime],
    since: datetime | None,
    slot: str | None = None,
) -> SlotMissed | SweepMissed | None:
    """The entry about scheduled times that nothing served; ``None`` where there are none.

    Args:
        kind: of the entry.
        times: oldest first.
        since: the last run that there was.
        slot: of the schedule.
    """
    if not times:
        return None
    return kind(missed=len(times), since=since, slot=slot, first=times[0], last=times[-1])


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCompleted(Event):
    """A walk over a whole bucket took place.

    Args:
        part: ``I/N`` where it was shared among several processes.
        exit_code: of the run that it was part of.
    """

    kind: ClassVar[str] = "sweep.completed"
    part: str | None = None
    exit_code: ExitCode = ExitCode.DONE


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation(Event):
    """Log files were rotated or compressed, or are about to be removed by number or age.

    Args:
        set: name of the set.
        rotated: logs that were rotated.
        bytes: their size.
        compressed: files that were compressed, each with the checksum of what is stored.
        removed: files that are about to go: written before they do.
    """

    kind: ClassVar[str] = "rotation"
    set: str
    rotated: int = 0
    bytes: int = 0
    compressed: tuple[Mapping[str, str | int | None], ...] = ()
    removed: tuple[Mapping[str, str | int | None], ...] = ()


def rotation(values: Mapping[str, Any]) -> Rotation:
    """The event of what the rotation tells about one set.

    Args:
        values: members of :class:`Rotation`; those that are left out are nought or none.

    Raises:
        ValueError: a value has no place in it.
    """
    return Rotation(**{name: codec.decode_member(Rotation, name, value) for name, value in values.items()})


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCounted(Event):
    """What a run found before it acted, for the next one to compare with; and what it found missing itself.

    Args:
        target: name of the store.
        read_at: when it was read, by the program's clock.
        cutoff: of the run.
        held: expired records that a hold keeps.
        population: all records, where they were counted exactly.
        counters: what the store counts by itself; null for one that counts nothing.
        since: when the run before had read; null for the first.
        deleted_externally: records that somebody else has deleted since, as an estimate.
        unknown: why nobody can tell, or how many more it may be.
    """

    kind: ClassVar[str] = "store.counted"
    target: str
    read_at: datetime
    cutoff: datetime
    held: int = 0
    population: int | None = None
    counters: Counters | None = None
    since: datetime | None = None
    deleted_externally: int = 0
    unknown: str = ""


# --- holds ----------------------------------------------------------------------------------------------


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPlaced(Event):
    """A legal hold is in force. The words of people stand in the register; their digest stands here.

    Args:
        hold_id: its id.
        dimensions: what it names: ``tenant``, ``subject``, ``range``, ``path``.
        start: begin of its range.
        end: end of its range, outside of it.
        review_by: when somebody is to check whether it is still needed.
        sha256: of the hold as it stands in the register.
    """

    kind: ClassVar[str] = "hold.placed"
    hold_id: str
    dimensions: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    review_by: datetime | None = None
    sha256: str = ""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased(Event):
    """A legal hold has ended.

    Args:
        hold_id: its id.
    """

    kind: ClassVar[str] = "hold.released"
    hold_id: str


# --- migrate --------------------------------------------------------------------------------------------


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class FloorChanged(Event):
    """The shortest period that a table's functions accept was changed.

    Args:
        target: name of the table.
        before: days.
        after: days.
    """

    kind: ClassVar[str] = "floor.changed"
    target: str
    before: int
    after: int


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated(Event):
    """The functions of a table were made, or made anew.

    Args:
        target: name of the table.
        policy: that empties it.
        relation: oid of the table.
        function_name: common part of its functions' names.
        floor_days: the shortest period that they accept.
        time_column: holds the time of a record.
        time_zone: of a time column without one.
        key_columns: the key of a record.
        tenant_column: that holds may name.
        subject_column: that holds may name.
        strategy: how expired records are found.
        time_kind: how the time column says when.
        skip_referenced: whether rows that foreign keys need are left.
        holds_source: ``register``, or ``parameter``.
        system_identifier: of the server.
        definition: SHA-256 of the functions' text.
        catalogue: SHA-256 of what the catalogue says of the functions, their owners, rights and triggers.
    """

    kind: ClassVar[str] = "migrated"
    target: str
    policy: str = ""
    relation: str = ""
    function_name: str = ""
    floor_days: int | None = None
    time_column: str | None = None
    time_zone: str | None = None
    time_kind: str = "instant"
    skip_referenced: bool = False
    key_columns: tuple[str, ...] = ()
    tenant_column: str | None = None
    subject_column: str | None = None
    strategy: str | None = None
    holds_source: str = ""
    system_identifier: str = ""
    definition: str = ""
    catalogue: str = ""


def migrated(facts: Mapping[str, Any]) -> Migrated:
    """The event of what ``migrate`` tells about one table.

    Args:
        facts: members of :class:`Migrated`.

    Raises:
        ValueError: a fact has no place in it.
    """
    return Migrated(**{name: codec.decode_member(Migrated, name, value) for name, value in facts.items()})


# --- archives -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OfArchive(Event):
    """What every entry about an archive names.

    Args:
        run_id: of the archived run.
        manifest: its name below the archive's URL.
        manifest_sha256: of its bytes.
        parts: how many.
        items: records.
        bytes: as stored.
        root: RFC 6962 tree hash over the parts' roots.
        keep_until: the archive's own retention, at least.
        object_lock: ``off``, ``governance`` or ``compliance``.
    """

    run_id: str | None = None
    manifest: str | None = None
    manifest_sha256: str | None = None
    parts: int | None = None
    items: int | None = None
    bytes: int | None = None
    root: str | None = None
    keep_until: datetime | None = None
    object_lock: str | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveVerified(OfArchive):
    """The archive of a run was written and read back."""

    kind: ClassVar[str] = "archive.verified"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRestored(OfArchive):
    """An archive was brought back.

    Args:
        into: the table, or ``a file``.
    """

    kind: ClassVar[str] = "archive.restored"
    into: str = ""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveExpired(OfArchive):
    """An archive, or a part that no run vouches for, is destroyed: its own retention is over.

    Args:
        state: ``intent`` before it goes, ``result`` after.
        orphan: name of the part that no run vouches for; null for an archive.
    """

    kind: ClassVar[str] = "archive.expired"
    state: ArchiveState
    orphan: str | None = None


# --- report and keys ------------------------------------------------------------------------------------


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSent(Event):
    """The report about last month went where reports go.

    Args:
        start: of its period.
        end: of its period, outside of it.
        form: ``json``, ``csv``, ``html``, ``pdf`` or ``bundle``.
        lang: language.
        url: where it is.
        sha256: of its bytes.
        verdict: what it says on page one.
        size: entries of the ledger that it tells about.
        root: RFC 6962 tree hash over them.
    """

    kind: ClassVar[str] = "report.sent"
    form: str
    start: datetime | None = None
    end: datetime | None = None
    lang: str = ""
    url: str = ""
    sha256: str | None = None
    verdict: str = ""
    size: int | None = None
    root: str | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ObservabilityChecked(Event):
    """Rules and dashboards were compared with what would be written, linted, and asked for their metrics.

    Args:
        compared: files that were compared; 0 where no directory is named.
        differs: files that are missing or not what would be written, at most 100.
        wrong: what Grafana would refuse, ignore or show wrongly, at most 100 sentences.
        asked: whether a Prometheus was asked which metrics it has.
        missing: metrics that rules or panels use and that it does not have, at most 100.
        error: why it could not be asked.
        exit_code: 0; 8 where anything of that was found; else 3 where it could not be asked.
    """

    kind: ClassVar[str] = "observability.checked"
    compared: int
    differs: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    asked: bool = False
    missing: tuple[str, ...] = ()
    error: str | None = None
    exit_code: ExitCode = ExitCode.DONE


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCreated(Event):
    """The key that signs checkpoints was made.

    Args:
        key: verifier key.
    """

    kind: ClassVar[str] = "key.created"
    key: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotated(Event):
    """Another key signs checkpoints from now on.

    Args:
        old: verifier key.
        new: verifier key.
    """

    kind: ClassVar[str] = "key.rotated"
    old: str
    new: str


# --- verifications --------------------------------------------------------------------------------------


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerVerified(Event):
    """The whole ledger was verified.

    Args:
        entries: how many.
        root: RFC 6962 tree hash over them.
        signed: entries that the newest checkpoint covers.
        checkpoints: how many.
        pinned: whether the key is pinned in the settings.
        anchors: places that were compared.
        gaps: codes of what is not proved.
    """

    kind: ClassVar[str] = "ledger.verified"
    entries: int
    root: str
    signed: int
    checkpoints: int
    pinned: bool = False
    anchors: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCheckpoint:
    """The newest checkpoint that an anchor holds.

    Args:
        url: of the anchor.
        size: entries that it covers.
        root: of these; ``None`` where it holds none.
    """

    url: str
    size: int = 0
    root: str | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRecovered(Event):
    """Somebody goes on with a ledger after a loss.

    Args:
        reason: in words.
        entries: that were kept.
        root: RFC 6962 tree hash over them.
        lost: entries that there had been, as far as anybody knows.
        anchors: what each anchor held.
        key: that signs from now on.
    """

    kind: ClassVar[str] = "ledger.recovered"
    reason: str
    entries: int
    root: str
    lost: int
    anchors: tuple[KeptCheckpoint, ...] = ()
    key: str = ""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveChecked(Event):
    """All archives were verified, from what the ledger says was archived.

    Args:
        runs: archived runs.
        whole: found and intact.
        broken: manifests or runs that are gone or changed, at most 100.
        broken_count: how many.
        unknown: manifests or runs that could not be looked at, at most 100.
        unknown_count: how many.
    """

    kind: ClassVar[str] = "archive.checked"
    runs: int
    whole: int
    broken: tuple[str, ...] = ()
    broken_count: int = 0
    unknown: tuple[str, ...] = ()
    unknown_count: int = 0


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveDrilled(Event):
    """A restore was rehearsed with a sample.

    Args:
        run_id: of the archived run.
        manifest: its name.
        part: that was restored.
        items: records.
        raw_sha256: of the restored bytes.
        into: where.
        outcome: ``same`` or ``differs``.
    """

    kind: ClassVar[str] = "archive.drilled"
    run_id: str
    manifest: str
    part: str
    items: int
    raw_sha256: str
    into: str
    outcome: str
