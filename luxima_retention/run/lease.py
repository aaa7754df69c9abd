"""One run at a time for each policy: a lock that dies with its holder, and a token that fences it off.

In PostgreSQL a session advisory lock on a connection of its own, so a killed run blocks nobody; the
token, raised by whoever takes the lease, is checked by every batch function. Beside a file ledger the
kernel's lock on a file does the same for everything that shares its volume.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import LeaseHeld, LeaseLost, StoreError
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.sqlfiles import named

if TYPE_CHECKING:
    import psycopg


class Lease(Protocol):
    """The right to work on one policy."""

    #: fencing token: greater than that of every earlier holder
    token: int

    def check(self) -> None:
        """Make sure that nobody else has taken the lease.

        Raises:
            LeaseLost: somebody has, or nobody can tell.
        """

    def release(self) -> None:
        """Give it back; may be called twice."""


def take_postgres(dsn: str, policy: str, deadline: Deadline = UNLIMITED) -> Lease:
    """The lease of a policy, from schema ``retention``; ``deadline`` is that of the run.

    Raises:
        LeaseHeld: another run has it.
        StoreError: the database cannot tell.
    """
    from luxima_retention.io.postgres import connect, errors

    connection = connect(dsn, purpose=f"lease/{policy}", deadline=deadline)
    try:
        connection.autocommit = True
        with errors(f"the lease of {policy} cannot be taken"):
            _lock(connection, dsn, policy)
            token = int(_one(connection, "take", policy, holder=_name())[0])
    except BaseException:
        _give_back(connection, policy)
        raise
    failpoint("lease.after_take")
    return _PostgresLease(connection, policy, token)


def _lock(connection: psycopg.Connection[Any], dsn: str, policy: str) -> None:
    """Lock the lease for this session."""
    if not _one(connection, "lock", policy)[0]:
        raise _held(policy, connection)
    _check_session(connection, dsn, policy)


def _check_session(connection: psycopg.Connection[Any], dsn: str, policy: str) -> None:
    """Refuse a pooler that keeps no session: it would keep the lock on a connection of its own.

    A pooler makes up the process id that the protocol tells. Whether it lends one backend to several clients
    is seen by asking over a second connection whether the lock is its own.
    """
    from luxima_retention.io.postgres import connect

    if _one(connection, "backend", policy)[0] == connection.info.backend_pid:
        return
    with connect(dsn, purpose=f"lease/{policy}") as second:
        shared = _one(second, "mine", policy)[0]
    if shared or not _one(connection, "mine", policy)[0]:
        raise StoreError(
            "database.dsn goes through a pooler in transaction mode, which keeps no session for the lease",
            "name the server itself, or a pooler in session mode",
        )


def _give_back(connection: psycopg.Connection[Any], policy: str) -> None:
    """Unlock in so many words, since a pooler may keep the backend; then close."""
    import psycopg

    try:
        if not connection.closed:
            connection.rollback()
            _one(connection, "unlock", policy)
    except (psycopg.Error, LeaseLost):
        pass  # the session is gone, and its lock with it
    connection.close()


class _PostgresLease:
    def __init__(self, connection: psycopg.Connection[Any], policy: str, token: int) -> None:
        self._connection = connection
        self._policy = policy
        self.token = token

    def check(self) -> None:
        """See :class:`Lease`."""
        import psycopg

        try:
            token = _one(self._connection, "token", self._policy)[0]
        except psycopg.Error as error:
            raise LeaseLost(
                f"the connection that holds the lease of {self._policy} is gone",
                "the next run continues where this one stopped",
            ) from error
        if token != self.token:
            raise LeaseLost(f"the lease of {self._policy} went to another run (token {token})")

    def release(self) -> None:
        """See :class:`Lease`."""
        _give_back(self._connection, self._policy)


def take_file(ledger_path: Path, policy: str, token: int) -> Lease:
    """The lease of a policy, from a lock file beside the file ledger.

    Args:
        ledger_path: of the ledger.
        policy: its name.
        token: greater than every earlier one: the ledger's length.

    Raises:
        LeaseHeld: another run has it.
        StoreError: the file cannot be made.
    """
    path = ledger_path.with_name(f"{ledger_path.name}.{policy}.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StoreError(
            f"the lock {path} cannot be opened: {error.strerror}",
            "ledger.path must lie in a directory that is there, on a volume that keeps it",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LeaseHeld(f"another run holds the lease of {policy} ({path})") from None
    failpoint("lease.after_take")
    return _FileLease(descriptor, token)


class _FileLease:
    def __init__(self, descriptor: int, token: int) -> None:
        self._descriptor: int | None = descriptor
        self.token = token

    def check(self) -> None:
        """See :class:`Lease`. The kernel keeps the lock as long as the descriptor is open."""
        if self._descriptor is None:
            raise LeaseLost("the lease was given back")

    def release(self) -> None:
        """See :class:`Lease`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _one(connection: psycopg.Connection[Any], name: str, policy: str, **values: str) -> tuple[Any, ...]:
    query = named("queries/state.sql")[name].encode()
    row = connection.execute(query, {"policy": policy, **values}).fetchone()
    if row is None:
        raise LeaseLost(f"the lease of {policy} is no longer in the database")
    return tuple(row)


def _held(policy: str, connection: psycopg.Connection[Any]) -> LeaseHeld | StoreError:
    """Who has the lock: a run of ours, or somebody who took its number."""
    query = named("queries/state.sql")["holder"].encode()
    row = connection.execute(query, {"policy": policy}).fetchone()
    if row is None:
        return LeaseHeld(f"another run holds the lease of {policy}", "wait until it has ended")
    pid, role, application, holder, since, ours = row
    session = f"process {pid}, role {role}, application {application or '(unnamed)'}"
    if not ours:
        return StoreError(
            f"the lease of {policy} is locked by a session that is not a run of luxima-retention: {session}",
            f"ask its owner to end it, or as a superuser: SELECT pg_terminate_backend({pid})",
        )
    said = f"{holder}, since {since:%Y-%m-%d %H:%M:%S %Z}; " if holder else ""
    return LeaseHeld(f"another run holds the lease of {policy} ({said}{session})", "wait until it has ended")


def _name() -> str:
    """Host and process, for whoever asks who holds a lease."""
    return f"{socket.gethostname()}/{os.getpid()}"
