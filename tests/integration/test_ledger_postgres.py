"""The ledger in PostgreSQL: a role with INSERT can only append the next entry."""

import threading
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql

from luxima_retention.core.errors import StoreError, TamperingFound
from luxima_retention.evidence.ledger import verify_chain
from luxima_retention.evidence.ledger.entry import make
from luxima_retention.evidence.ledger.postgres import PostgresLedger, database_fingerprint
from luxima_retention.io import sqlfiles
from tests.ledgers import event

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


@pytest.fixture
def job(database):
    """The DSN of a role with the grants of the job, on a ledger that was just made."""
    dsn = database.login()
    role = psycopg.conninfo.conninfo_to_dict(dsn)["user"]
    with database.connect() as owner:
        owner.execute(sqlfiles.load("migrations/0001_retention.sql"))
        owner.execute(sqlfiles.load("migrations/0002_ledger.sql"))
        owner.execute(sqlfiles.load("functions/1_ledger.sql"))
        grants = sql.SQL(sqlfiles.load("templates/ledger_grants.sql"))
        owner.execute(grants.format(role=sql.Identifier(role)))
    return dsn


@pytest.fixture
def ledger(job):
    ledger = PostgresLedger(job)
    yield ledger
    ledger.close()


def append(ledger, number, policy="audit-logs", kind="batch", inside=None):
    said = event(kind, number=number, run_id="é") if kind == "batch" else event(kind)
    return ledger.append(said, policy=policy, at=AT, inside=inside)


def test_entries_come_back_as_they_were_written(ledger):
    written = [append(ledger, 1), append(ledger, 2, policy="log-files"), append(ledger, 3, None, "migrated")]
    assert list(ledger.entries()) == written
    assert list(ledger.entries(after=2)) == written[2:]
    assert list(ledger.entries(kinds={"batch"}, policy="log-files")) == [written[1]]
    assert ledger.newest(policy="audit-logs") == written[0]
    assert ledger.newest(kinds=["run.completed"]) is None
    assert ledger.head() == written[2]


def test_an_empty_ledger_has_no_head_and_is_writable(ledger):
    assert ledger.head() is None
    ledger.check_writable()
    assert ledger.head() is None


def test_a_long_ledger_is_read_page_by_page(ledger, job):
    with psycopg.connect(job) as connection:
        for number in range(4500):
            append(ledger, number, inside=connection)
    assert verify_chain(ledger.entries()).seq == 4500


def test_appenders_at_once_leave_one_chain_without_gaps(ledger, job):
    def work():
        own = PostgresLedger(job)
        for number in range(40):
            append(own, number)
        own.close()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify_chain(ledger.entries()).seq == 200


def test_an_entry_inside_a_transaction_goes_with_it(ledger, job):
    with psycopg.connect(job) as connection:
        append(ledger, 1, inside=connection)
        assert ledger.head() is None
        connection.rollback()
        append(ledger, 2, inside=connection)
    assert [item.body["number"] for item in ledger.entries()] == [2]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE retention.ledger SET kind = 'batch'",
        "DELETE FROM retention.ledger",
        "TRUNCATE retention.ledger",
        "UPDATE retention.checkpoint SET note = ''",
        "TRUNCATE retention.checkpoint",
    ],
)
def test_nothing_is_changed_or_removed_by_the_job_nor_by_the_owner(ledger, job, database, statement):
    append(ledger, 1)
    with psycopg.connect(job) as connection:
        connection.execute(
            "INSERT INTO retention.checkpoint (size, root, peaks, note) VALUES (1, 'x', 'x', '')"
        )
    with psycopg.connect(job) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)
    with database.connect() as owner, pytest.raises(psycopg.errors.RestrictViolation):
        owner.execute(statement)


def test_triggers_hold_against_replica_mode(ledger, database):
    append(ledger, 1)
    with psycopg.connect(database.admin_dsn) as admin:
        admin.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.RestrictViolation):
            admin.execute("DELETE FROM retention.ledger")


@pytest.mark.parametrize(
    ("seq", "previous"),
    [(3, None), (1, None), (2, "00" * 32)],
    ids=["gap", "double", "wrong previous"],
)
def test_an_entry_out_of_place_is_refused_by_the_database(ledger, job, seq, previous):
    head = append(ledger, 1)
    made = make(event("batch"), policy=None, at=AT, seq=seq, previous=previous or head.hash)
    row = (made.seq, made.data, bytes.fromhex(made.hash), bytes.fromhex(made.previous))
    insert = "INSERT INTO retention.ledger (seq, entry, hash, previous) VALUES (%s, %s, %s, %s)"
    with (
        psycopg.connect(job) as connection,
        pytest.raises(
            psycopg.errors.IntegrityConstraintViolation, match=f"entry {seq} does not follow entry 1"
        ),
    ):
        connection.execute(insert, row)


def test_a_row_whose_bytes_were_changed_behind_the_triggers_is_found(ledger, database):
    append(ledger, 1)
    append(ledger, 2)
    with psycopg.connect(database.admin_dsn) as admin:
        admin.execute("ALTER TABLE retention.ledger DISABLE TRIGGER ledger_is_history")
        admin.execute(
            "UPDATE retention.ledger SET entry = convert_to(replace(convert_from(entry, 'UTF8'), "
            "'\"number\":1', '\"number\":9'), 'UTF8') WHERE seq = 1"
        )
    with pytest.raises(TamperingFound, match="entry 1 of the ledger was changed"):
        list(ledger.entries())


def test_a_chain_that_lost_its_beginning_is_found(ledger, database):
    for number in range(3):
        append(ledger, number)
    with psycopg.connect(database.admin_dsn) as admin:
        admin.execute("ALTER TABLE retention.ledger DISABLE TRIGGER ledger_is_history")
        admin.execute("DELETE FROM retention.ledger WHERE seq = 1")
    with pytest.raises(TamperingFound, match="entry 2 stands where entry 1 should be"):
        verify_chain(ledger.entries())


def test_the_ledger_knows_which_stores_lie_in_its_database(ledger, job):
    with psycopg.connect(job) as connection:
        own = database_fingerprint(connection)
    assert own.startswith("postgresql:")
    assert ledger.shares(f"{own}/16400")
    assert not ledger.shares(own + "1/16400")
    assert not ledger.shares("postgresql:1/2/3")


def test_a_database_without_the_schema_says_migrate(database):
    ledger = PostgresLedger(database.dsn)
    with pytest.raises(StoreError, match="does not exist") as caught:
        ledger.check_writable()
    assert "migrate" in caught.value.hint
    ledger.close()


def test_a_role_without_grants_says_migrate(job, database):
    ledger = PostgresLedger(database.login("other"))
    with pytest.raises(StoreError, match="permission denied") as caught:
        ledger.check_writable()
    assert "grants" in caught.value.hint
    ledger.close()


def test_a_server_that_does_not_answer_is_a_store_error_without_the_password():
    ledger = PostgresLedger("host=127.0.0.1 port=1 user=job password=secret-word")
    with pytest.raises(StoreError, match="no connection to PostgreSQL") as caught:
        ledger.head()
    assert "secret-word" not in str(caught.value)


def test_a_connection_that_broke_is_made_again(ledger, database):
    append(ledger, 1)
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreError):
        ledger.head()
    assert ledger.head().seq == 1
