"""What a connection of ours has, whatever server, database and role set."""

from __future__ import annotations

import pytest

from luxima_retention.core.errors import ConfigurationError
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
