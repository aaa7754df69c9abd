"""What earlier runs tell about one target: the values that guards and resuming need. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from luxima_retention.core.sealed import Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run that began and never said how it ended: its process was killed.

    Args:
        run_id: UUID.
        cutoff: the one that it used; a run with the same cutoff goes on with it.
        planned: records that it was allowed to destroy.
        destroyed, condemned: what its batches say.
        batches: how many.
        unknown: number of the batch that was announced and never reported; ``None`` if each was.
        parts: the archive parts that its batches name, in their order.
    """

    run_id: str
    cutoff: datetime
    planned: int
    destroyed: int = 0
    condemned: int = 0
    batches: int = 0
    unknown: int | None = None
    parts: tuple[Sealed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What earlier runs tell about one target of a policy.

    Args:
        fingerprint: of the store that the first run saw.
        proved_at: when a run last left nothing unexplained.
        archived: whether any run archived before it destroyed.
        backlog: records of an approved backlog that are not destroyed yet.
        open_run: the run that was killed, if the newest one was.
    """

    fingerprint: str | None = None
    proved_at: datetime | None = None
    archived: bool = False
    backlog: int = 0
    open_run: OpenRun | None = None
