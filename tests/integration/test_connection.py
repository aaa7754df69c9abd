"""What a connection of ours has, whatever server, database and role set."""

from __future__ import annotations

import os
import signal

import pytest

from luxima_retention.core.deadline import Deadline
from luxima_retention.core.errors import ConfigurationError, RunStopped
from luxima_retention.io import postgres as connections
from luxima_retention.io.postgres import connect


def test_nothing_is_compiled(database):
    database.execute(f'ALTER DATABASE "{database.name}" SET jit = on')
    with connect(database.dsn, purpose="test") as connection:
        assert connection.execute("SHOW jit").fetchall() == [("off",)]


def test_a_server_that_is_too_old_is_refused_in_a_sentence(database, monkeypatch):
    monkeypatch.setattr(connections, "OLDEST", 17)
    with pytest.raises(ConfigurationError) as caught:
        connect(database.dsn, purpose="test", setting="databases.other.dsn")
    assert caught.value.message == "databases.other.dsn leads to PostgreSQL 16; the oldest that works is 17"
    monkeypatch.setattr(connections, "OLDEST", 16)
    connect(database.dsn, purpose="test").close()


@pytest.mark.parametrize("frozen", [False, True])
def test_a_statement_ends_with_the_run(database, monkeypatch, frozen):
    """Whether the server can cancel it, or not even that: then the connection is given up."""
    monkeypatch.setattr("luxima_retention.core.deadline.IN_HAND", 0.5)
    monkeypatch.setattr("luxima_retention.io.stoppable._CANCELLING", 0.5)
    stopping = []
    deadline = Deadline(stopping=lambda: bool(stopping))
    connection = connect(database.dsn, purpose="test", deadline=deadline)
    assert connection.execute("SELECT 1").fetchone() == (1,)
    backend = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
    connection.rollback()
    stopping.append(True)
    assert connection.execute("SELECT 1").fetchone() == (1,), "what is quick is done"
    connection.rollback()
    if frozen:
        os.kill(backend, signal.SIGSTOP)
    try:
        with pytest.raises(RunStopped, match="the database has not answered"), connection.transaction():
            connection.execute("SELECT pg_sleep(300)")
        assert connection.closed is frozen
    finally:
        if frozen:
            os.kill(backend, signal.SIGCONT)
        connection.close()
