"""pgbouncer of Debian's package in front of one PostgreSQL, in session or transaction mode."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.servers.postgres import PASSWORD, SERVER_USER
from tests.servers.process import Process, free_ports, listening, scratch
from tests.servers.programs import find_program


@contextmanager
def run_pgbouncer(dsn: str, mode: str) -> Iterator[str]:
    """A pooler in front of a server; its connection string for the role of ``dsn``.

    Args:
        dsn: of a role that logs in by the throw-away password.
        mode: ``session`` or ``transaction``.
    """
    there = conninfo_to_dict(dsn)
    home = scratch("pool")
    (port,) = free_ports(1)
    users = home / "users.txt"
    users.write_text(f'"{there["user"]}" "{PASSWORD}"\n')
    config = home / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n{there['dbname']} = host={there['host']} port={there['port']}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = {mode}\ndefault_pool_size = 5\n"
    )
    if os.geteuid() == 0:
        for path in (home, users, config):
            shutil.chown(path, SERVER_USER, "nogroup")
    # It will not run as root.
    pooler = Process(
        [find_program("pgbouncer"), str(config)],
        directory=home,
        user=SERVER_USER,
        ready=lambda: listening(port),
    )
    try:
        yield make_conninfo(dsn, host="127.0.0.1", port=port)
    finally:
        pooler.stop()
        shutil.rmtree(home)
