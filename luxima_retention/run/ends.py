"""What the end of a run needs, opened at its start: the key, the anchors, the archive, the mirror of holds.

Nothing is deleted before all of it has answered: a run that could not be signed or archived afterwards does
not begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.evidence.archive import Archive
from luxima_retention.evidence.ledger.checkpoint import pinned_key
from luxima_retention.evidence.ledger.session import open_places
from luxima_retention.run.state import State, mirror_holds

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings


class Ends:
    """Opens what the settings name; reaches nothing yet.

    Args:
        settings: in force.
        archive: of these settings.
        deadline: of the run.

    Raises:
        ConfigurationError: a key or a place that the settings name is not there, with the setting's name.
    """

    def __init__(self, settings: Settings, archive: Archive | None, deadline: Deadline = UNLIMITED) -> None:
        self._settings = settings
        self._archive = archive
        self._deadline = deadline
        open_places(settings)
        if settings.ledger.public_key:
            pinned_key(settings.ledger.public_key)
        self._tried: set[str] = set()

    def try_out(self, state: State, archives: bool) -> None:
        """Reach what a run of one policy needs at its end, each thing once; leaves nothing behind.

        Args:
            state: holds.
            archives: whether this policy archives; the account of another may not reach the archive.

        Raises:
            StoreError: the archive or the mirror of the holds does not answer.
        """
        if "evidence" not in self._tried:
            mirror_holds(self._settings, state, self._deadline)
            self._tried.add("evidence")
        if archives and self._archive is not None and "archive" not in self._tried:
            try_archive(self._archive)
            self._tried.add("archive")


def try_archive(archive: Archive) -> None:
    """Prove that the archive could be written and read now, without leaving anything there.

    Raises:
        StoreError: it cannot.
    """
    for _ in archive.place.stored("manifests/"):
        break
    archive.place.try_writing("parts/try-writing")
