"""A real pooler in front of PostgreSQL: what keeps no session is refused, and leaves no lock behind."""

from __future__ import annotations

import pytest

from luxima_retention.core.errors import StoreError
from luxima_retention.run.lease import take_postgres
from tests.integration.test_table_guards import Table, request
from tests.integration.test_table_store import GENTLE, LedgeredStore
from tests.servers.pgbouncer import run_pgbouncer


def locks(database):
    return database.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")[0][0]


def test_a_pooler_in_transaction_mode_is_refused_and_keeps_no_lock(database):
    table = Table(database)
    with run_pgbouncer(table.job, "transaction") as pooled:
        with pytest.raises(StoreError, match="pooler in transaction mode, which keeps no session"):
            take_postgres(pooled, "audit-logs")
        assert locks(database) == 0
        store = LedgeredStore(pooled, table.target, GENTLE, read_only=True)
        found = {finding.code for finding in store.preflight(request(store))}
        assert store.survey(request(store)).expired == 510
        store.close()
        assert "pooler" in found
    take_postgres(table.job, "audit-logs").release()
    assert table.count() == 600


def test_a_pooler_in_session_mode_keeps_the_lease_as_long_as_it_is_held(database):
    table = Table(database)
    with run_pgbouncer(table.job, "session") as pooled:
        lease = take_postgres(pooled, "audit-logs")
        lease.check()
        assert locks(database) == 1
        lease.release()
        assert locks(database) == 0
