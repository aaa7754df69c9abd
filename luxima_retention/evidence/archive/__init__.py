"""Where records go before they are destroyed, and how they come back.

Below ``archive.url`` lie ``parts/<policy>/<run>/<batch>-<random>.<format>.zst``, one for each batch, and
``manifests/<policy>/<cutoff>-<run>.json``, one for each run. A part that no manifest and no entry of the
ledger names is an orphan of a run that was killed: it counts for nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from luxima_retention.config.connections import open_place
from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import ArchiveError, StoreError, TamperingFound
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence import events
from luxima_retention.evidence.archive.manifest import Manifest, Run, build, read, run_of
from luxima_retention.evidence.archive.part import ArchivePart, blocks, check
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.objects import Lock, ObjectStore, Stored, put

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.core.plan import Hold

__all__ = [
    "Archive",
    "ArchivePart",
    "Expired",
    "Manifest",
    "Run",
    "blocks",
    "check",
    "open_archive",
]


def open_archive(settings: Settings, deadline: Deadline = UNLIMITED) -> Archive | None:
    """The archive of these settings; ``None`` when ``archive.url`` is empty.

    Args:
        settings: in force.
        deadline: of the run.

    Raises:
        ConfigurationError: the URL is not a place.
    """
    archive = settings.archive
    if not archive.url or archive.retention_days is None:
        return None
    return Archive(
        open_place(settings, archive.url, deadline),
        retention_days=archive.retention_days,
        object_lock=archive.object_lock,
        mirror_holds=archive.mirror_holds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """An archive whose own retention is over, or an orphan of the same age.

    Args:
        policy: whose records it holds.
        manifest: ``None`` for an orphan.
        names: every object that goes, the manifest last.
        size: their bytes.
    """

    policy: str
    manifest: Manifest | None
    names: tuple[str, ...]
    size: int

    def event(self, state: events.ArchiveState) -> events.ArchiveExpired:
        """What the ledger says before and after it is destroyed."""
        if self.manifest is not None:
            return self.manifest.expired(state)
        return events.ArchiveExpired(state=state, orphan=self.names[0], bytes=self.size)


class Archive:
    """The archives of all policies.

    Args:
        place: where they are.
        retention_days: how long an archive is kept after it was written.
        object_lock: ``off``, ``governance`` or ``compliance``.
        mirror_holds: whether holds are set in the bucket too.
    """

    def __init__(
        self, place: ObjectStore, *, retention_days: int, object_lock: str = "off", mirror_holds: bool = False
    ) -> None:
        self.place = place
        self.url = place.url
        self.retention_days = retention_days
        self.object_lock = object_lock
        self.mirror_holds = mirror_holds

    def writer(self, *, policy: str, run_id: str, number: int, form: str, now: datetime) -> ArchivePart:
        """Begin the part of one batch.

        Args:
            policy: its name.
            run_id: UUID of the run.
            number: of the batch in its run.
            form: the store's ``archive_format``.
            now: the program's clock; an Object Lock counts from it.

        Raises:
            ArchiveError: the place cannot be written.
        """
        name = f"parts/{policy}/{run_id}/{number:06d}-{uuid.uuid4().hex[:8]}.{form}.zst"
        return ArchivePart(self.place, name, form, self._lock(now))

    def complete(self, run: Run, parts: Sequence[Sealed], now: datetime) -> Manifest:
        """Write the manifest of a run over the parts that the ledger's batches name, and read it back.

        Writing it again, after a run was resumed, replaces it.

        Raises:
            ArchiveError: it could not be written, or did not come back as it was written.
        """
        manifest = build(
            run, parts, created_at=now, keep_until=self.keep_until(now), object_lock=self.object_lock
        )
        failpoint("archive.before_manifest")
        try:
            put(self.place, manifest.name, manifest.data, self._lock(now))
            back = b"".join(self.place.read(manifest.name))
        except StoreError as error:
            raise ArchiveError(f"the manifest could not be written: {error.message}", error.hint) from error
        if back != manifest.data:
            raise ArchiveError(f"{manifest.name} did not come back as it was written")
        return manifest

    def keep_until(self, now: datetime) -> datetime:
        """Until when an archive that is written now is kept at least."""
        return now + timedelta(days=self.retention_days)

    def manifests(self, policy: str | None = None) -> Iterator[Manifest]:
        """Every archived run, by policy and cutoff.

        Raises:
            TamperingFound: an object among them is not a manifest.
        """
        for stored in self.place.stored(f"manifests/{policy}/" if policy else "manifests/"):
            yield self.manifest(stored.name)

    def manifest(self, name: str) -> Manifest:
        """One archived run by the name of its manifest."""
        data = b"".join(self.place.read(name))
        try:
            return read(data)
        except (ValueError, KeyError, TypeError) as error:
            raise TamperingFound(f"{self.url}/{name} is not a manifest: {error}") from error

    def find(self, wanted: str) -> Manifest:
        """The archived run whose run id begins with ``wanted``, or whose manifest has that name.

        Raises:
            ArchiveError: none or more than one.
        """
        found = [name for name in self.names() if name == wanted or run_of(name).startswith(wanted)]
        if len(found) != 1:
            raise ArchiveError(
                f"{len(found) or 'no'} archives match {wanted!r}",
                "see `luxima-retention archive list`",
            )
        return self.manifest(found[0])

    def orphans(self, policy: str | None = None) -> Iterator[Stored]:
        """Parts that no manifest names: of a run that was killed, or that is still at work."""
        named = {part.name for manifest in self.manifests(policy) for part in manifest.parts}
        for stored in self.place.stored(f"parts/{policy}/" if policy else "parts/"):
            if stored.name not in named:
                yield stored

    def names(self) -> Iterator[str]:
        """The names of all manifests, by policy and cutoff."""
        return (stored.name for stored in self.place.stored("manifests/"))

    def verify(self, manifest: Manifest) -> None:
        """Read every part of an archived run, decode it, and hash each record again.

        Raises:
            TamperingFound: a part is missing, or is not what the manifest says.
            ArchiveError: a part cannot be read.
        """
        faults, unseen = self.broken(manifest.run.policy, manifest.run.run_id, manifest.parts)
        if faults:
            raise TamperingFound(faults[0])
        if unseen:
            raise ArchiveError(unseen[0])

    def broken(
        self, policy: str, run_id: str, parts: Iterable[Sealed]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Read every part of a run to its end, whatever was found in the one before.

        Returns:
            A sentence for each part that is missing or changed, and for each that could not be read.

        Raises:
            StoreError: the place cannot be listed.
        """
        faults: list[str] = []
        unseen: list[str] = []
        there = {stored.name for stored in self.place.stored(f"parts/{policy}/{run_id}/")}
        for part in parts:
            if part.name not in there:
                faults.append(f"archive part {part.name} is missing from {self.url}")
                continue
            try:
                check(self.place, part, "csv" if part.header else "jsonl")
            except ArchiveError as error:
                (unseen if self.is_unreachable(error) else faults).append(error.message)
        return tuple(faults), tuple(unseen)

    @staticmethod
    def is_unreachable(error: ArchiveError) -> bool:
        """Whether a part could not be looked at: that says nothing about what it holds."""
        return isinstance(error.__cause__, StoreError)

    def expired(self, now: datetime, holds: Iterable[Hold] = ()) -> Iterator[Expired]:
        """The archives whose retention is over, without those of a policy that a hold speaks of.

        An archive is kept until the later of what its manifest says and what the settings say now. A
        hold keeps all archives of its policy: records are not looked up inside of them.
        """
        held = list(holds)
        named: set[str] = set()
        for manifest in self.manifests():
            named.update(part.name for part in manifest.parts)
            if any(hold.covers(manifest.run.policy) for hold in held):
                continue
            if max(manifest.keep_until, manifest.created_at + timedelta(days=self.retention_days)) <= now:
                yield Expired(
                    policy=manifest.run.policy,
                    manifest=manifest,
                    names=manifest.names,
                    size=manifest.size,
                )
        yield from self._expired_orphans(now, named, held)

    def destroy(self, expired: Expired) -> None:
        """Destroy an expired archive; its manifest goes last, so that a repeated run finds it again."""
        for name in expired.names:
            self.place.delete(name)

    def mirror(self, holds: Iterable[Hold]) -> int:
        """Set the bucket's legal hold on the archives that holds speak of, and lift it from the others.

        Returns:
            How many objects are held now; always 0 in a place that knows no holds.
        """
        active = list(holds)
        count = 0
        for manifest in self.manifests():
            on = any(hold.covers(manifest.run.policy) for hold in active)
            for name in manifest.names:
                count += self.place.hold(name, on=on) and on
        return count

    def _expired_orphans(self, now: datetime, named: set[str], holds: list[Hold]) -> Iterator[Expired]:
        for stored in self.place.stored("parts/"):
            old = stored.modified + timedelta(days=self.retention_days) <= now
            policy = stored.name.split("/")[1]
            held = any(hold.covers(policy) for hold in holds)
            if old and not held and stored.name not in named:
                yield Expired(policy=policy, manifest=None, names=(stored.name,), size=stored.size)

    def _lock(self, now: datetime) -> Lock | None:
        if self.object_lock == "off":
            return None
        return Lock(mode=self.object_lock.upper(), until=self.keep_until(now))
