"""Whether the archive still holds what the ledger says was archived. The ledger is where it begins.

An archive that is asked what it holds answers for what is left of it. So every run that the ledger names is
looked for, and what is missing or changed is told by name; one broken part does not end the search.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from luxima_retention.core.errors import ArchiveError, StoreError, TamperingFound
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence.archive.manifest import Manifest, run_of
from luxima_retention.evidence.events import (
    ArchiveChecked,
    ArchiveExpired,
    ArchiveState,
    ArchiveVerified,
    Batch,
    BatchState,
)

if TYPE_CHECKING:
    from luxima_retention.evidence.archive import Archive
    from luxima_retention.evidence.ledger import Entry, Ledger

#: manifests that an entry names; the rest is counted
_NAMED = 100


class State(StrEnum):
    """What became of an archived run."""

    WHOLE = "whole"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(slots=True, kw_only=True)
class Archived:
    """A run that the ledger says was archived.

    Args:
        run_id: UUID.
        policy: whose records.
        manifest: its name; empty while no entry names one.
        sha256: of the manifest.
        ended: whether the run has ended, so that it must have a manifest.
        parts: how many parts its batches named that became final.
        announced: batches with a part whose end no entry has told yet.
        going: whether an entry announced its destruction.
    """

    run_id: str
    policy: str
    manifest: str = ""
    sha256: str = ""
    ended: bool = False
    parts: int = 0
    announced: set[int] = field(default_factory=set)
    going: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found of one archived run.

    Args:
        run_id: of it.
        policy: whose records.
        manifest: its name; empty where there is none.
        items, size: records and bytes as stored, where its manifest tells them.
        faults: a sentence for each thing that is missing or changed.
        unseen: a sentence for each thing that could not be looked at.
    """

    run_id: str
    policy: str
    manifest: str
    items: int | None = None
    size: int | None = None
    faults: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """In a word: what is broken says more than what could not be looked at."""
        if self.faults:
            return State.BROKEN
        return State.UNKNOWN if self.unseen else State.WHOLE


def archived(ledger: Ledger) -> dict[str, Archived]:
    """Run id → what the ledger says of its archive, without those whose own retention is over.

    Raises:
        StoreError, TamperingFound: the ledger cannot be read.
    """
    runs: dict[str, Archived] = {}
    for entry in ledger.entries(kinds=_TOLD):
        _hear(runs, entry)
    return {run_id: run for run_id, run in runs.items() if run.manifest or run.parts}


_TOLD = frozenset({"batch", "run.completed", "run.reconciled", "archive.verified", "archive.expired"})


def _hear(runs: dict[str, Archived], entry: Entry) -> None:
    event = entry.event
    run_id = str(getattr(event, "run_id", "") or "")
    if not run_id:
        return
    if isinstance(event, ArchiveExpired):
        if event.state == ArchiveState.INTENT and run_id in runs:
            runs[run_id].going = True
        elif event.state == ArchiveState.RESULT:
            runs.pop(run_id, None)
        return
    run = runs.setdefault(run_id, Archived(run_id=run_id, policy=entry.policy or ""))
    if isinstance(event, ArchiveVerified):
        run.manifest, run.sha256 = event.manifest or "", event.manifest_sha256 or ""
    elif isinstance(event, Batch):
        _hear_batch(run, event)
    else:
        run.ended = True


def _hear_batch(run: Archived, batch: Batch) -> None:
    """A part counts once its batch is final: at once, or when the result follows what was announced."""
    has_part = batch.part is not None
    if batch.state == BatchState.INTENT and has_part:
        run.announced.add(batch.number)
    elif (batch.state == BatchState.DONE and has_part) or (
        batch.state == BatchState.RESULT and batch.number in run.announced
    ):
        run.announced.discard(batch.number)
        run.parts += 1


def parts_of(ledger: Ledger, run_ids: Collection[str]) -> dict[str, list[Sealed]]:
    """Run id → its parts as the entries of its batches tell them, for runs whose manifest is lost."""
    found: dict[str, list[Sealed]] = {run_id: [] for run_id in run_ids}
    announced: dict[tuple[str, int], Sealed] = {}
    for entry in ledger.entries(kinds={"batch"}) if run_ids else ():
        batch = entry.event
        if not isinstance(batch, Batch) or batch.run_id not in found:
            continue
        key = batch.run_id, batch.number
        if batch.part is not None:
            announced[key] = batch.part
        if batch.state != BatchState.INTENT and key in announced:
            found[batch.run_id].append(announced.pop(key))
    return found


def audit(archive: Archive, ledger: Ledger, wanted: tuple[str, ...] = ()) -> Iterator[Found]:
    """Look for every archived run that the ledger names, then for manifests that it does not name.

    Args:
        archive: read in full, in flat memory.
        ledger: where it begins.
        wanted: run ids, or beginnings of them; none means all.

    Raises:
        ArchiveError: nothing begins with one of ``wanted``.
        StoreError: the ledger, or the archive's listing, cannot be read.
    """
    runs = archived(ledger)
    there = set(archive.names())
    strangers = sorted(there - {run.manifest for run in runs.values()})
    for prefix in wanted:
        if not any(run_id.startswith(prefix) for run_id in (*runs, *map(run_of, strangers))):
            raise ArchiveError(f"no archive matches {prefix!r}", "see `luxima-retention archive list`")
    asked = [run for run in runs.values() if not wanted or run.run_id.startswith(wanted)]
    lost = parts_of(ledger, {run.run_id for run in asked if run.manifest not in there})
    for run in asked:
        search = _Search(archive=archive, ledger=ledger, run=run, parts=lost.get(run.run_id))
        yield search.found()
    for name in strangers:
        if not wanted or run_of(name).startswith(wanted):
            yield _stranger(archive, name, runs)


def _stranger(archive: Archive, name: str, runs: dict[str, Archived]) -> Found:
    """A manifest that no entry names: somebody put it there, or the ledger lost its entry.

    Beside a run that is still at work it is the manifest whose entry comes next.
    """
    run_id, policy = run_of(name), name.split("/")[1]
    run = runs.get(run_id)
    if run is not None and not run.ended:
        return Found(
            run_id=run_id, policy=policy, manifest=name, unseen=(f"{name} belongs to a run at work",)
        )
    said = f"{archive.url}/{name} is not a manifest that was written: the ledger does not know it"
    return Found(run_id=run_id, policy=policy, manifest=name, faults=(said,))


@dataclass(slots=True, kw_only=True)
class _Search:
    """The search for one archived run."""

    archive: Archive
    ledger: Ledger
    run: Archived
    parts: list[Sealed] | None  # as the batches tell them, where the manifest is not there
    faults: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    def found(self) -> Found:
        manifest = self._manifest()
        if not self.run.going:
            parts = manifest.parts if manifest else self._parts()
            faults, unseen = self.archive.broken(self.run.policy, self.run.run_id, parts)
            self.faults += faults
            self.unseen += unseen
        return Found(
            run_id=self.run.run_id,
            policy=self.run.policy,
            manifest=self.run.manifest,
            items=manifest.items if manifest else None,
            size=manifest.size if manifest else None,
            faults=tuple(self.faults),
            unseen=tuple(self.unseen),
        )

    def _manifest(self) -> Manifest | None:
        """The manifest, if it is there and is the one that the ledger names."""
        run, url = self.run, self.archive.url
        if run.going:
            self.unseen.append(f"the destruction of run {run.run_id} was announced and never reported")
        elif not run.manifest:
            if run.ended:
                self.faults.append(
                    f"run {run.run_id} archived {run.parts} parts, but no entry names a manifest"
                )
        elif self.parts is not None:
            self.faults.append(f"the manifest {run.manifest} of run {run.run_id} is missing from {url}")
        else:
            return self._read()
        return None

    def _read(self) -> Manifest | None:
        name = self.run.manifest
        try:
            manifest = self.archive.manifest(name)
        except TamperingFound as error:
            self.faults.append(error.message)
        except StoreError as error:
            self.unseen.append(error.message)
        else:
            if manifest.sha256 == self.run.sha256:
                return manifest
            said = "is not the manifest that was written: the ledger names another one"
            self.faults.append(f"{self.archive.url}/{name} {said}")
        return None

    def _parts(self) -> list[Sealed]:
        """The parts as the batches' entries tell them, where no manifest does."""
        if self.parts is None:
            self.parts = parts_of(self.ledger, {self.run.run_id})[self.run.run_id]
        return self.parts


def checked(found: list[Found]) -> ArchiveChecked:
    """The entry ``archive.checked``: what a verification of the whole archive found."""
    broken = [item.manifest or item.run_id for item in found if item.state is State.BROKEN]
    unknown = [item.manifest or item.run_id for item in found if item.state is State.UNKNOWN]
    return ArchiveChecked(
        runs=len(found),
        whole=len(found) - len(broken) - len(unknown),
        broken=tuple(broken[:_NAMED]),
        broken_count=len(broken),
        unknown=tuple(unknown[:_NAMED]),
        unknown_count=len(unknown),
    )
