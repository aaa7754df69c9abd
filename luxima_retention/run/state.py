"""Where the suite keeps what it must not forget: ledger, hold register and leases, from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.evidence.ledger import Ledger, open_ledger
from luxima_retention.run.lease import Lease, take_file, take_postgres

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.evidence.holds import Register


class State:
    """The ledger with its register and its leases; opened at first use, closed once.

    Args:
        dsn: ``database.dsn``, or empty.
        path: ``ledger.path``, used without ``dsn`` only.
        deadline: of the run.

    Raises:
        ConfigurationError: neither is set.
    """

    def __init__(self, dsn: str, path: str, deadline: Deadline = UNLIMITED) -> None:
        from luxima_retention.evidence.holds import FileRegister, PostgresRegister

        self._dsn = dsn
        self._path = Path(path)
        self._deadline = deadline
        self.ledger: Ledger = open_ledger(dsn, path, deadline)
        self.register: Register = (
            PostgresRegister(dsn, deadline)
            if dsn
            else FileRegister(self._path.with_name(self._path.name + ".holds.json"), self.ledger)
        )

    def lease(self, policy: str) -> Lease:
        """The lease of a policy.

        Raises:
            LeaseHeld: another run has it.
            StoreError: it cannot be told.
        """
        if self._dsn:
            return take_postgres(self._dsn, policy, self._deadline)
        head = self.ledger.head()
        return take_file(self._path, policy, (head.seq if head else 0) + 1)

    def close(self) -> None:
        """Close what was opened."""
        self.register.close()
        self.ledger.close()


def mirror_holds(settings: Settings, state: State, deadline: Deadline = UNLIMITED) -> int:
    """Set the archive's own legal holds as the register says, where ``archive.mirror_holds`` asks for it.

    Returns:
        How many archived objects are held there.

    Raises:
        StoreError, ArchiveError: the register or the archive cannot be used.
    """
    from luxima_retention.evidence.archive import open_archive
    from luxima_retention.evidence.holds import in_force

    archive = open_archive(settings, deadline) if settings.archive.mirror_holds else None
    return archive.mirror(in_force(state.register)) if archive else 0


def open_state(settings: Settings, deadline: Deadline = UNLIMITED) -> State | None:
    """The state of these settings; ``None`` where they name neither database nor ledger file."""
    if not settings.keeps_state:
        return None
    dsn = settings.database.dsn
    return State(dsn.get_secret_value() if dsn else "", settings.ledger.path, deadline)
