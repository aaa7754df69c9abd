"""What a connection of ours has, whatever server, database and role set."""

from __future__ import annotations

from luxima_retention.io.postgres import connect


def test_nothing_is_compiled(database):
    database.execute(f'ALTER DATABASE "{database.name}" SET jit = on')
    with connect(database.dsn, purpose="test") as connection:
        assert connection.execute("SHOW jit").fetchall() == [("off",)]
