"""Connections to PostgreSQL, the same way for the stores, the ledger, the lease and the holds.

Nothing is set by start-up options, which poolers refuse: what a transaction needs it sets itself
(``SET LOCAL``). Statements are never prepared on the server, which poolers in transaction mode forget.
What a role or a database sets for everybody (DateStyle, isolation, encoding) must not change what we read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import (
    ConfigurationError,
    GuardRefused,
    LeaseLost,
    ProofFailed,
    RetentionError,
    StoreError,
)
from luxima_retention.io.sqlfiles import named

if TYPE_CHECKING:
    import psycopg
    from pydantic import SecretStr

    from luxima_retention.io.stoppable import StoppableConnection

#: What the batch functions raise (``sql/functions/3_batches.sql``).
LEASE_LOST = "LX001"
REFUSED = "LX002"
NOT_MIGRATED = "LX003"
#: more happened than was asked; it was rolled back
NOT_AS_ASKED = "LX004"

#: The oldest version that has what every batch needs: xid8, and what a replication slot still may keep.
OLDEST = 13

_CONNECT_SECONDS = 10
#: what libpq makes of less
_LEAST_CONNECT_SECONDS = 2
_OPTIONS = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
#: Settings of a session that change how values read; the server reports them, so looking costs nothing, and
#: poolers keep them apart for each client.
_READING = {"DateStyle": "ISO, YMD", "TimeZone": "UTC", "standard_conforming_strings": "on"}
#: PostgreSQL's instants reach from 4713 BC to 294276; Python's do not. Beyond them these stand in.
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 30, tzinfo=UTC)


def connect(
    dsn: SecretStr | str,
    *,
    purpose: str,
    read_only: bool = False,
    setting: str = "database.dsn",
    deadline: Deadline = UNLIMITED,
) -> StoppableConnection:
    """Connect; transactions begin by themselves, and are ``READ ONLY`` with ``read_only``.

    Args:
        dsn: a connection string of libpq, as key=value or as URI.
        purpose: what for, in ``application_name``: ``luxima-retention/<purpose>``.
        read_only: the server refuses every write (SQLSTATE 25006).
        setting: the option that the hint names.
        deadline: of the run: nothing is waited for much longer.

    Raises:
        RunStopped: the run should end.
        ConfigurationError: the text is not a connection string; it is not repeated, it may hold a password.
        StoreError: the server does not answer, or refuses.
    """
    import psycopg

    from luxima_retention.io.stoppable import StoppableConnection

    text = dsn if isinstance(dsn, str) else dsn.get_secret_value()
    values: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, **_OPTIONS, **_parsed(text, setting)}
    limit = math.ceil(min(deadline.remaining(), _CONNECT_SECONDS))
    values["connect_timeout"] = max(_LEAST_CONNECT_SECONDS, min(int(values["connect_timeout"]), limit))
    _check_files(values, setting)
    values |= {"application_name": f"luxima-retention/{purpose}", "client_encoding": "UTF8"}
    try:
        connection = StoppableConnection.connect(**values)
        _settle(connection)
    except psycopg.OperationalError as error:
        if not deadline.remaining():
            deadline.check(f"PostgreSQL at {_where(values)} has not answered")
        raise StoreError(
            f"no connection to PostgreSQL at {_where(values)}: {_first_line(error)}",
            f"check {setting}, and that the server lets this role in from here",
        ) from None
    _check_version(connection, setting)
    connection.prepare_threshold = None
    connection.read_only = read_only or None
    # A statement must see what was committed before it began, above all the holds, whatever the default is.
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    _read_every_instant(connection)
    connection.deadline = deadline
    return connection


def nearest(text: str) -> datetime:
    """What stands in for an instant, as PostgreSQL writes it, that Python has no value for."""
    return EARLIEST if text.startswith("-") or text.endswith("BC") else LATEST


def _check_version(connection: psycopg.Connection[Any], setting: str) -> None:
    version = connection.info.server_version // 10000
    if version < OLDEST:
        connection.close()
        raise ConfigurationError(
            f"{setting} leads to PostgreSQL {version}; the oldest that works is {OLDEST}",
            "upgrade the server",
        )


def _settle(connection: psycopg.Connection[Any]) -> None:
    """Make values read the same, whatever role and database set, and compile nothing.

    Queries of the catalogue are estimated dear and are cheap: compiling them took twenty seconds a run where
    a run takes one (PostgreSQL 15 with LLVM, 2026-11-27).
    """
    said = connection.info.parameter_status
    wrong = {name: value for name, value in _READING.items() if said(name) != value}
    connection.autocommit = True
    for name, value in {**wrong, "jit": "off"}.items():
        connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
    connection.autocommit = False


def _read_every_instant(connection: psycopg.Connection[Any]) -> None:
    """Read an instant that Python has no value for as the earliest or the latest one."""
    import psycopg
    from psycopg.types.datetime import TimestamptzLoader

    class Loader(TimestamptzLoader):
        def load(self, data: Any) -> datetime:
            try:
                return super().load(data)
            except psycopg.DataError:
                return nearest(bytes(data).decode())

    connection.adapters.register_loader("timestamptz", Loader)


def _parsed(dsn: str, setting: str) -> dict[str, Any]:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        values = conninfo_to_dict(dsn)
        [int(port) for port in str(values.get("port") or "5432").split(",") if port]
    except (psycopg.ProgrammingError, ValueError):
        # libpq quotes the text, and so the password, in its message.
        raise ConfigurationError(
            f"{setting} is not a PostgreSQL connection string",
            f"write {setting} as postgresql://role@host:5432/database or as host=… dbname=…",
        ) from None
    return values


#: parts of a connection string that name files, and the words that stand for something else there
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_NO_FILES = frozenset({"", "system"})


def _check_files(values: dict[str, Any], setting: str) -> None:
    """A certificate or key that is named has to be there: its absence is not a fault of the server."""
    for name in _FILES:
        path = str(values.get(name, ""))
        if path not in _NO_FILES and not os.access(path, os.R_OK):
            raise ConfigurationError(f"{name} of {setting} cannot be read: {path}", "mount it, or correct it")


def _where(values: dict[str, Any]) -> str:
    host = values.get("host") or values.get("hostaddr") or "the local socket"
    return f"{host}:{values.get('port') or 5432}/{values.get('dbname') or values.get('user') or ''}"


def _first_line(error: psycopg.Error) -> str:
    """What the server said, or the last of libpq's sentences, whose explanations are indented."""
    if error.diag.message_primary:
        return error.diag.message_primary
    lines = [line for line in str(error).strip().splitlines() if not line[:1].isspace()]
    return lines[-1].removesuffix(".") if lines else type(error).__name__


@contextmanager
def errors(sentence: str) -> Iterator[None]:
    """Turn what PostgreSQL refuses inside into one of our errors: ``sentence: what it said``.

    Raises:
        LeaseLost: a batch function found another fencing token.
        GuardRefused: a batch function refused: floor, cap, missing holds.
        ProofFailed: more happened than was asked; it was rolled back.
        ConfigurationError: a value that was given is not a text.
        StoreError: anything else.
    """
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise translated(sentence, error) from error
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"{error.object!a} is not text in UTF-8", "correct the bytes of it"
        ) from error


def translated(sentence: str, error: psycopg.Error) -> RetentionError:
    """The error that stands for what PostgreSQL said, with the hint that its SQLSTATE asks for."""
    state = error.sqlstate or "08006"
    kinds = {LEASE_LOST: LeaseLost, REFUSED: GuardRefused, NOT_AS_ASKED: ProofFailed}
    kind = kinds.get(state, StoreError)
    return kind(f"{sentence}: {_first_line(error)}", error.diag.message_hint or _hints().get(state))


_ODD_HOLD = "a hold may name a value that its column cannot hold: `luxima-retention hold list`"


@cache
def _hints() -> dict[str, str]:
    migrate = "run `luxima-retention migrate` with the owner's connection"
    return {
        "22003": _ODD_HOLD,
        "22007": _ODD_HOLD,
        "22P02": _ODD_HOLD,
        "08006": "check that the server runs and is reachable",
        "25006": "the server is read-only: name the primary, not a standby; look at its free disk space, and"
        " whether role or database set default_transaction_read_only",
        "3F000": migrate,
        "42703": migrate,
        "42501": f"{migrate}; a table under row-level security needs an owner with BYPASSRLS",
        "42704": migrate,
        "42883": migrate,
        "42P01": migrate,
        NOT_MIGRATED: migrate,
        "53100": "the server's disk is full: deleting writes WAL before it gives anything back",
        "55P03": "another session holds a lock on the table; the next run tries again",
        "57014": "raise the statement_timeout of the role or the database; a batch is given a minute",
    }


def database_fingerprint(connection: psycopg.Connection[Any]) -> str:
    """Which database a connection speaks to: ``postgresql:<system identifier>/<database oid>``.

    The fingerprint of a table of that database is this, a slash, and the table's oid, so that a ledger knows
    whether a batch and its entry can commit together. A physical clone has the same system identifier.

    Raises:
        StoreError: the server does not tell.
    """
    with errors("the database does not say which one it is"):
        row = connection.execute(named("queries/ledger.sql")["fingerprint"].encode()).fetchone()
    if row is None:
        raise StoreError("the database does not say which one it is")
    return str(row[0])
