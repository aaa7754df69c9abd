"""What the end of a run needs, opened at its start: the key, the anchors, the archive, the mirror of holds.

Nothing is deleted before all of it has answered: a run that could not be signed or archived afterwards does
not begin.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from luxima_retention.core.errors import TamperingFound
from luxima_retention.evidence.archive import Archive
from luxima_retention.evidence.ledger.checkpoint import (
    Anchor,
    Sealed,
    Signer,
    open_anchors,
    open_signer,
    seal,
)
from luxima_retention.run.state import State, mirror_holds

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.evidence.ledger import Ledger


class Ends:
    """Opens what the settings name; reaches nothing yet.

    Args:
        settings: in force.
        archive: of these settings.

    Raises:
        ConfigurationError: a key or a place that the settings name is not there, with the setting's name.
    """

    def __init__(self, settings: Settings, archive: Archive | None) -> None:
        self._settings = settings
        self._archive = archive
        self.signer: Signer | None = open_signer(settings.ledger)
        self.anchors: tuple[Anchor, ...] = open_anchors(settings)
        self._tried: set[str] = set()

    def try_out(self, state: State, archives: bool) -> None:
        """Reach what a run of one policy needs at its end, each thing once; leaves nothing behind.

        Args:
            state: ledger and holds.
            archives: whether this policy archives; the account of another may not reach the archive.

        Raises:
            StoreError: an anchor, the archive or the mirror of the holds does not answer.
            TamperingFound: an anchor is ahead of the ledger.
        """
        if "evidence" not in self._tried:
            for anchor in self.anchors:
                anchored(anchor, state.ledger)
            mirror_holds(self._settings, state)
            self._tried.add("evidence")
        if archives and self._archive is not None and "archive" not in self._tried:
            try_archive(self._archive)
            self._tried.add("archive")

    def seal(self, ledger: Ledger, now: datetime) -> Sealed | None:
        """Sign the ledger's head and copy it to the anchors; ``None`` without a key."""
        return seal(ledger, [self.signer], self.anchors, now) if self.signer else None


def anchored(anchor: Anchor, ledger: Ledger) -> int:
    """How many checkpoints an anchor holds; it must not have seen more entries than the ledger has now.

    Raises:
        StoreError: it cannot be listed.
        TamperingFound: it is ahead of the ledger.
    """
    try:
        count, size = anchor.reach()
    except ValueError as error:
        raise TamperingFound(
            f"anchor {anchor.url} holds something that is not a checkpoint: {error}"
        ) from None
    head = ledger.head()
    entries = head.seq if head else 0
    if size > entries:
        raise TamperingFound(
            f"anchor {anchor.url} covers {size} entries, and the ledger has {entries}",
            "the ledger was cut off, or is another one: compare it with ledger.anchors and with its backups",
        )
    return count


def try_archive(archive: Archive) -> None:
    """Prove that the archive could be written and read now, without leaving anything there.

    Raises:
        StoreError: it cannot.
    """
    for _ in archive.place.stored("manifests/"):
        break
    archive.place.try_writing("parts/try-writing")
