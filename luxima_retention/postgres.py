"""Connections to PostgreSQL, the same way for the stores, the ledger, the lease and the holds.

Nothing is set by start-up options, which poolers refuse: what a transaction needs it sets itself
(``SET LOCAL``). Statements are never prepared on the server, which poolers in transaction mode forget.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from luxima_retention.errors import ConfigurationError, GuardRefused, LeaseLost, RetentionError, StoreError

if TYPE_CHECKING:
    import psycopg
    from pydantic import SecretStr

#: What the batch functions raise (``sql/templates/prune.sql``).
LEASE_LOST = "LX001"
REFUSED = "LX002"
NOT_MIGRATED = "LX003"

_CONNECT_SECONDS = 10
_OPTIONS = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


def connect(
    dsn: SecretStr | str, *, purpose: str, read_only: bool = False, setting: str = "database.dsn"
) -> psycopg.Connection[Any]:
    """Connect; transactions begin by themselves, and are ``READ ONLY`` with ``read_only``.

    Args:
        dsn: a connection string of libpq, as key=value or as URI.
        purpose: what for, in ``application_name``: ``luxima-retention/<purpose>``.
        read_only: the server refuses every write (SQLSTATE 25006).
        setting: the option that the hint names.

    Raises:
        ConfigurationError: the text is no connection string; it is not repeated, it may hold a password.
        StoreError: the server does not answer, or refuses.
    """
    import psycopg

    text = dsn if isinstance(dsn, str) else dsn.get_secret_value()
    values: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, **_OPTIONS, **_parsed(text, setting)}
    values["application_name"] = f"luxima-retention/{purpose}"
    try:
        connection = psycopg.connect(**values)
    except psycopg.OperationalError as error:
        raise StoreError(
            f"no connection to PostgreSQL at {_where(values)}: {_first_line(error)}",
            f"check {setting}, and that the server lets this role in from here",
        ) from None
    connection.prepare_threshold = None
    connection.read_only = read_only or None
    return connection


def _parsed(dsn: str, setting: str) -> dict[str, Any]:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        return conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # libpq quotes the text, and so the password, in its message.
        raise ConfigurationError(
            f"{setting} is no connection string of PostgreSQL",
            f"write {setting} as postgresql://role@host:5432/database or as host=… dbname=…",
        ) from None


def _where(values: dict[str, Any]) -> str:
    host = values.get("host") or values.get("hostaddr") or "the local socket"
    return f"{host}:{values.get('port') or 5432}/{values.get('dbname') or values.get('user') or ''}"


def _first_line(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip().rpartition("\n")[2].removesuffix(".")


@contextmanager
def errors(sentence: str) -> Iterator[None]:
    """Turn what PostgreSQL refuses inside into one of our errors: ``sentence: what it said``.

    Raises:
        LeaseLost: a batch function found another fencing token.
        GuardRefused: a batch function refused: floor, cap, missing holds.
        StoreError: anything else.
    """
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise translated(sentence, error) from error


def translated(sentence: str, error: psycopg.Error) -> RetentionError:
    """The error that stands for what PostgreSQL said, with the hint that its SQLSTATE asks for."""
    state = error.sqlstate or "08006"
    kind = {LEASE_LOST: LeaseLost, REFUSED: GuardRefused}.get(state, StoreError)
    return kind(f"{sentence}: {_first_line(error)}", error.diag.message_hint or _hints().get(state))


@cache
def _hints() -> dict[str, str]:
    migrate = "run `luxima-retention migrate` with the owner's connection"
    return {
        "08006": "check that the server runs and is reachable",
        "25006": "the server is read-only: name the primary, not a standby, and look at its free disk space",
        "3F000": migrate,
        "42501": f"{migrate}; a table under row-level security needs an owner with BYPASSRLS",
        "42704": migrate,
        "42883": migrate,
        "42P01": migrate,
        NOT_MIGRATED: migrate,
        "53100": "the server's disk is full: deleting writes WAL before it gives anything back",
        "55P03": "another session holds a lock on the table; the next run tries again",
        "57014": "raise the statement timeout of the pace settings",
    }
