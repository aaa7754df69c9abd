"""Nothing goes but what was asked for, whoever has a hand in it; on the oldest and the newest PostgreSQL."""

from __future__ import annotations

import re
import shutil
import uuid
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from luxima_retention.config.settings import PaceSettings, TableSettings
from luxima_retention.core.errors import (
    ConfigurationError,
    GuardRefused,
    LeaseHeld,
    LeaseLost,
    ProofFailed,
    StoreError,
    TamperingFound,
)
from luxima_retention.core.plan import Hold, Level
from luxima_retention.evidence import holds as register_module
from luxima_retention.evidence.holds import PostgresRegister
from luxima_retention.evidence.ledger.postgres import PostgresLedger
from luxima_retention.run.lease import take_postgres
from luxima_retention.run.migrate import migrate
from luxima_retention.stores.table.findings import touched
from luxima_retention.stores.table.shape import TableTarget
from luxima_retention.stores.table.store import TableStore
from tests.integration import conformance
from tests.integration.test_table_store import LedgeredStore
from tests.servers.clock import Clock
from tests.servers.postgres import Database
from tests.servers.process import scratch

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
#: the 600 rows of most tests in four batches
GENTLE = PaceSettings(duty_cycle=1, max_batch_rows=150)
PLAIN = """
CREATE SCHEMA core;
CREATE TABLE core.events (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, tenant text);
CREATE INDEX ON core.events (created_at, id);
"""
PARTED = """
CREATE SCHEMA core;
CREATE TABLE core.events (id bigint, created_at timestamptz, tenant text, PRIMARY KEY (id, created_at))
    PARTITION BY RANGE (created_at);
CREATE INDEX ON core.events (created_at, id);
CREATE TABLE core.old PARTITION OF core.events FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE core.new PARTITION OF core.events FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
CREATE UNIQUE INDEX ON core.old (id);
"""
FILL = (
    "INSERT INTO core.events SELECT n, now() - n * interval '1 day', 't' || n % 3"
    " FROM generate_series(1, 600) n"
)


class Table:
    """``core.events`` with 600 rows, one a day, migrated; its job's role.

    ``own``: migrated anew, with roles that no other test has.
    """

    def __init__(
        self, database: Database, ddl: str = PLAIN, fill: str = FILL, *, own: bool = False, **settings
    ) -> None:
        self.database = database
        self.settings = TableSettings(**{"table": "core.events", "tenant_column": "tenant", **settings})
        self.target = TableTarget(policy="audit-logs", table=self.settings, floor_days=30, register=True)
        self.fill, self.ddl = fill, ddl
        if ddl in {PLAIN, PARTED} and fill == FILL and not own:
            database.prepared((Table, ddl, *sorted(settings.items())), self._prepare)
        else:
            self._prepare(database)
        self.job_role = database.role("job")
        self.job = database.dsn_of(self.job_role)

    def _prepare(self, original: Database) -> None:
        with psycopg.connect(original.dsn, autocommit=True) as owner:
            for statement in (self.ddl, self.fill):
                owner.execute(statement)
        original.login("job")
        self._migrate(original)

    def owner(self, *statements: str) -> None:
        with psycopg.connect(self.database.dsn, autocommit=True) as owner:
            for statement in statements:
                owner.execute(statement)

    def migrate(self):
        return self._migrate(self.database)

    def _migrate(self, database: Database):
        with psycopg.connect(database.dsn) as owner:
            return migrate(owner, (self.target,), job_role=database.role("job"))

    def count(self, table: str = "core.events", where: str = "true") -> int:
        return self.database.execute(f"SELECT count(*) FROM {table} WHERE {where}")[0][0]

    def findings(self):
        store = LedgeredStore(self.job, self.target, GENTLE, read_only=True)
        with closing(store):
            found = store.preflight(request(store))
        return {finding.code: finding for finding in found}

    def empty(self, *, limit: int | None = None, days: int = 90, holds: tuple[Hold, ...] = ()) -> int:
        """Carry out a plan, whatever preflight says; the rows that went."""
        store = LedgeredStore(self.job, self.target, GENTLE, read_only=False)
        try:
            _, plan = conformance.planned(Policy, store, holds, days)
            if limit is not None:
                plan = replace(plan, items=limit)
            return conformance.carry_out(store, plan, work(holds))
        finally:
            store.close()


@contextmanager
def half_done(table):
    """The batches of a store whose first one is committed; nothing more may go."""
    store = LedgeredStore(table.job, table.target, GENTLE, read_only=False)
    _, plan = conformance.planned(Policy, store)
    batches = store.batches(plan, work())
    first = next(batches)
    first.stage(None)
    first.commit()
    yield batches
    store.close()
    assert table.count() == 450


class Policy:
    policy = "audit-logs"


def work(holds: tuple[Hold, ...] = ()):
    return replace(conformance.work(1, holds), run_id=str(uuid.uuid4()))


def request(store, **more):
    return conformance.request_of(Policy, store, **more)


# --- something else would go ----------------------------------------------------------------------------

CHILDREN = {
    "cascade": "CREATE TABLE core.child (event bigint REFERENCES core.old (id) ON DELETE CASCADE)",
    "set null": "CREATE TABLE core.child (event bigint REFERENCES core.old (id) ON DELETE SET NULL)",
    "set default": "CREATE TABLE core.child"
    " (event bigint DEFAULT 9001 REFERENCES core.old (id) ON DELETE SET DEFAULT)",
}


@pytest.mark.parametrize("way", CHILDREN)
def test_a_foreign_key_to_one_partition_is_named_and_what_it_does_is_rolled_back(any_database, way):
    table = Table(any_database, PARTED, key_columns=("id", "created_at"))
    table.owner(
        CHILDREN[way],
        "INSERT INTO core.events VALUES (9001, '2020-01-01', 'kept')" if way == "set default" else "SELECT",
        "INSERT INTO core.child SELECT id FROM core.old WHERE id < 9000",
    )
    before = table.count("core.child", "event < 9000")
    found = table.findings()["foreign-key-cascades"]
    assert found.level is Level.REFUSE
    assert "core.child" in found.message
    with pytest.raises(ProofFailed, match=r"core\.child"):
        table.empty(holds=(Hold(hold_id="H", tenant="kept"),))
    assert table.count("core.child", "event < 9000") == before > 0


def test_foreign_keys_of_foreign_keys_are_named(any_database):
    table = Table(any_database)
    table.owner(
        "CREATE TABLE core.child"
        " (id bigint PRIMARY KEY, event bigint REFERENCES core.events ON DELETE CASCADE)",
        "CREATE TABLE core.grandchild (child bigint REFERENCES core.child ON DELETE CASCADE)",
        "INSERT INTO core.child SELECT id, id FROM core.events",
        "INSERT INTO core.grandchild SELECT id FROM core.child",
    )
    store = LedgeredStore(table.job, table.target, GENTLE, read_only=True)
    said = [item.message for item in store.preflight(request(store)) if item.code == "foreign-key-cascades"]
    store.close()
    assert len(said) == 2
    assert "core.grandchild (grandchild_child_fkey) by way of core.child" in " ".join(said)
    with pytest.raises(ProofFailed, match=r"core\.grandchild"):
        table.empty()
    assert (table.count(), table.count("core.grandchild")) == (600, 600)


TRIGGERS = {
    "deletes elsewhere": "DELETE FROM core.other WHERE id = OLD.id",
    "deletes more of the same": "DELETE FROM core.events WHERE id = OLD.id - 500",
    "drops a table": "DROP TABLE IF EXISTS core.unused",
}


@pytest.mark.parametrize("what", TRIGGERS)
def test_what_a_trigger_takes_besides_is_rolled_back(any_database, what):
    table = Table(any_database, PARTED, key_columns=("id", "created_at"))
    table.owner(
        "CREATE TABLE core.other AS SELECT id FROM core.events",
        "CREATE TABLE core.unused ()",
        "CREATE FUNCTION core.more() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        f" $$ BEGIN {TRIGGERS[what]}; RETURN NULL; END $$",
        "CREATE TRIGGER more AFTER DELETE ON core.old FOR EACH ROW EXECUTE FUNCTION core.more()",
    )
    assert "core.old" in table.findings()["delete-trigger"].message
    with pytest.raises(ProofFailed):
        table.empty()
    assert (table.count(), table.count("core.other"), table.count("core.unused")) == (600, 600, 0)


def test_figures_of_earlier_batches_and_of_others_are_not_taken_for_the_batchs_own(any_database):
    """The session's counters go on from batch to batch; what others delete meanwhile is not in them."""
    table = Table(any_database)
    table.owner("CREATE TABLE core.other AS SELECT id FROM core.events")
    store = LedgeredStore(table.job, table.target, GENTLE, read_only=False)
    _, plan = conformance.planned(Policy, store)
    gone = 0
    for batch in store.batches(plan, work()):
        gone += batch.stage(None).items
        table.owner(f"DELETE FROM core.other WHERE id <= {gone}")
        batch.commit()
    store.close()
    assert gone == plan.items > 400


def test_without_counters_nobody_can_tell_and_nothing_goes(any_database):
    table = Table(any_database)
    any_database.execute(f'ALTER DATABASE "{any_database.name}" SET track_counts = off')
    assert table.findings()["counts-off"].level is Level.FAILED
    with pytest.raises(StoreError, match="track_counts"):
        table.empty()
    assert table.count() == 600


def test_tables_that_come_to_inherit_after_migrate_are_refused_and_lose_nothing(any_database):
    table = Table(any_database)
    table.owner(
        "CREATE TABLE core.heir () INHERITS (core.events)",
        "INSERT INTO core.heir SELECT id + 1000, created_at, tenant FROM core.events",
    )
    with pytest.raises(ConfigurationError, match=r"core\.heir inherits"):
        table.findings()
    with pytest.raises(ProofFailed, match=r"core\.heir|rows of core\.events went"):
        table.empty()
    assert (table.count("ONLY core.events"), table.count("core.heir")) == (600, 600)


def test_a_rule_of_a_partition_is_refused(any_database):
    table = Table(any_database, PARTED, key_columns=("id", "created_at"))
    table.owner("CREATE RULE keep AS ON DELETE TO core.old DO INSTEAD NOTHING")
    assert "core.old" in table.findings()["delete-rule"].message


# --- whose functions they are ---------------------------------------------------------------------------


def test_functions_belong_to_a_role_with_just_the_rights_on_the_table(any_database):
    table = Table(any_database)
    owners = any_database.execute(
        "SELECT DISTINCT r.rolname, r.rolsuper, r.rolcanlogin"
        " FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner WHERE p.proname LIKE '%_core_events'"
    )
    definer = f"{table.job_role}_definer"
    assert owners == [(definer, False, False)]
    rights = any_database.execute(
        "SELECT relname, privilege_type FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE a.grantee = %s::regrole ORDER BY 1, 2",
        definer,
    )
    assert rights == [("events", "DELETE"), ("events", "SELECT"), ("journal", "SELECT"), ("target", "SELECT")]


def test_a_superuser_migrates_and_a_trigger_of_the_tables_owner_gains_nothing(any_database):
    table = Table(any_database)
    with psycopg.connect(any_database.admin_dsn) as admin:
        admin.execute("DROP SCHEMA retention CASCADE")
        admin.execute("DROP SCHEMA retention_trash CASCADE")
        admin.commit()
        migrate(admin, (table.target,), job_role=table.job_role)
    table.owner(
        "CREATE FUNCTION core.rise() RETURNS trigger LANGUAGE plpgsql AS"
        f""" $$ BEGIN ALTER ROLE "{any_database.owner}" SUPERUSER; RETURN OLD; END $$""",
        "CREATE TRIGGER rise BEFORE DELETE ON core.events FOR EACH ROW EXECUTE FUNCTION core.rise()",
    )
    with pytest.raises(StoreError, match=r"permission denied|must be"):
        table.empty()
    assert any_database.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", any_database.owner) == [
        (False,)
    ]


def test_a_schema_of_somebody_else_is_refused(any_database):
    other = any_database.login("other")
    any_database.execute(f'GRANT CREATE ON DATABASE "{any_database.name}" TO "{any_database.name}_other"')
    with psycopg.connect(other) as stranger:
        stranger.execute("CREATE SCHEMA retention")
    with pytest.raises(ConfigurationError, match=f"retention belongs to {any_database.name}_other"):
        Table(any_database, own=True)


def test_a_role_with_more_than_it_needs_is_not_taken(any_database):
    any_database.login("job_definer", attributes="CREATEDB")
    with pytest.raises(ConfigurationError, match="more rights than a role"):
        Table(any_database, own=True)


def test_a_right_that_a_trigger_lacks_is_told_with_its_grant(any_database):
    table = Table(any_database)
    table.owner(
        "CREATE TABLE core.deleted (id bigint)",
        "CREATE FUNCTION core.note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO core.deleted VALUES (OLD.id); RETURN NULL; END $$",
        "CREATE TRIGGER note AFTER DELETE ON core.events FOR EACH ROW EXECUTE FUNCTION core.note()",
    )
    hint = table.findings()["trigger-lacks-right"].hint
    assert hint == f"GRANT INSERT ON core.deleted TO {table.job_role}_definer"
    with pytest.raises(StoreError, match="permission denied"):
        table.empty()
    table.owner(f'GRANT INSERT ON core.deleted TO "{table.job_role}_definer"')
    assert "trigger-lacks-right" not in table.findings()
    assert table.empty() == table.count("core.deleted") == 510


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("INSERT INTO a.b SELECT 1 FROM c.d", {("INSERT", "a.b"), ("SELECT", "c.d")}),
        ("update only a.b set x = 1; delete from e.f", {("UPDATE", "a.b"), ("DELETE", "e.f")}),
        ("-- insert into a.b\nRAISE NOTICE 'delete from c.d'; /* update x.y set */", set()),
    ],
)
def test_what_the_text_of_a_trigger_touches(source, found):
    assert set(touched(source)) == found


# --- the job's role by itself ---------------------------------------------------------------------------


def as_job(table: Table, *statements: str, dsn: str = "") -> None:
    """Carry out statements as the job's role, or another one, in one transaction, and commit it."""
    with closing(psycopg.connect(dsn or table.job)) as job:
        for statement in statements:
            job.execute(statement)
        job.commit()


def call(token: str, run: str = "gen_random_uuid()", rows: int = 1000) -> str:
    """The batch function, called by hand."""
    return (
        f"SELECT count(*) FROM retention.prune_core_events({run}, {token},"
        f" date_trunc('day', now(), 'UTC') - interval '90 days', {rows}, '[]')"
    )


@pytest.mark.parametrize("token", ["9223372036854775807", "1", "0", "NULL"])
def test_no_token_but_the_leases_own_is_accepted(any_database, token):
    table = Table(any_database)
    take_postgres(table.job, "audit-logs").release()
    take_postgres(table.job, "audit-logs").release()
    with pytest.raises(psycopg.Error, match="is not that of the lease"):
        as_job(table, call(token))
    assert table.count() == 600
    assert table.empty() == 510


@pytest.mark.parametrize(
    "sets",
    [
        "SELECT",
        "SET CONSTRAINTS ALL DEFERRED",
        "SELECT set_config('luxima.anything', '1', true)",
    ],
)
def test_a_batch_without_its_entry_does_not_commit(any_database, sets):
    table = Table(any_database)
    with pytest.raises(psycopg.Error, match="have no entry in the ledger"):
        as_job(table, sets, call("retention.take_lease('audit-logs', 'by hand')"))
    assert table.count() == 600


def test_an_entry_of_an_earlier_batch_does_not_let_another_one_pass(any_database):
    table = Table(any_database)
    assert table.empty(limit=37) == 37
    ((run, token),) = any_database.execute("SELECT run_id, token FROM retention.journal")
    with pytest.raises(psycopg.Error, match=r"37 rows of core\.events have no entry"):
        as_job(table, call(str(token), f"'{run}'", 37))
    assert table.count() == 563


def test_two_batches_of_one_transaction_are_refused(any_database):
    table = Table(any_database)
    token = "(SELECT token FROM retention.lease)"
    batches = [call(token, "'00000000-0000-0000-0000-000000000001'", 10) for _ in range(2)]
    with pytest.raises(psycopg.Error, match="takes one batch"):
        as_job(table, "SELECT retention.take_lease('audit-logs', 'x')", *batches)
    assert table.count() == 600


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE retention.lease SET token = 9223372036854775807",
        "INSERT INTO retention.lease (policy, token) VALUES ('x', 1)",
        "UPDATE retention.hold SET released_at = now(), released_by = 'x'",
        "DELETE FROM retention.hold",
        "SELECT retention.batch_end('core.events', 1, 1, 0, NULL, NULL, NULL, NULL, NULL, true)",
    ],
)
def test_the_jobs_role_may_not(any_database, statement):
    table = Table(any_database)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_job(table, statement)


# --- holds ----------------------------------------------------------------------------------------------


def place(table: Table, hold: Hold) -> None:
    ledger, register = PostgresLedger(table.job), PostgresRegister(table.job)
    register.place(replace(hold, reason="case", placed_by="test", placed_at=NOW), ledger)
    register.close()
    ledger.close()


def test_a_hold_is_placed_and_released_only_with_its_entry(any_database):
    table = Table(any_database)
    insert = (
        "INSERT INTO retention.hold (hold_id, reason, placed_by, placed_at) VALUES ('H', 'x', 'x', now())"
    )
    with pytest.raises(psycopg.Error, match=r"no entry hold\.placed"):
        as_job(table, insert)
    place(table, Hold(hold_id="H-1", tenant="t1"))
    with pytest.raises(psycopg.Error, match=r"no entry hold\.released"):
        as_job(table, "SELECT retention.release_hold('H-1', now(), 'x', 'x')")
    update = "UPDATE retention.hold SET released_at = now(), released_by = 'x'"
    with pytest.raises(psycopg.Error, match=r"no entry hold\.released"):
        as_job(table, update, dsn=any_database.admin_dsn)
    table.empty()
    assert table.count(where="tenant = 't1'") == 200


SPELLINGS = [
    ("numeric", "42", "42.0"),
    ("char(8)", "T1", "T1"),
    ("varchar(20)", "T1", "T1"),
    ("uuid", "0b0e0000-0000-0000-0000-00000000000a", "{0B0E0000-0000-0000-0000-00000000000A}"),
    ("core.label", "T1", "T1"),
    ("date", "2026-01-02", "2 January 2026"),
]


@pytest.mark.parametrize(("kind", "stored", "named"), SPELLINGS, ids=[item[0] for item in SPELLINGS])
def test_holds_compare_as_the_column_does(any_database, kind, stored, named):
    check_compared_as_the_column_does(any_database, "", kind, stored, named)


CASELESS = (
    "CREATE COLLATION core.caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
)


@pytest.mark.parametrize("any_postgres", [15], indirect=True)  # the wheels have neither extensions nor ICU
@pytest.mark.parametrize(
    ("before", "kind"), [("CREATE EXTENSION citext;", "citext"), (CASELESS, "text COLLATE core.caseless")]
)
def test_holds_compare_as_the_column_does_beyond_upper_and_lower_case(any_database, before, kind):
    check_compared_as_the_column_does(any_database, before, kind, "T1", "t1")


def check_compared_as_the_column_does(any_database, before, kind, stored, named):
    ddl = (
        f"CREATE SCHEMA core; CREATE DOMAIN core.label AS text; {before}"
        f" CREATE TABLE core.events (id bigint PRIMARY KEY, created_at timestamptz, tenant {kind});"
        " CREATE INDEX ON core.events (created_at, id);"
    )
    fill = (
        "INSERT INTO core.events SELECT n, now() - n * interval '1 day',"
        f" CASE WHEN n % 3 = 0 THEN '{stored}' END FROM generate_series(1, 600) n"
    )
    fill = fill.replace(f"'{stored}' END", f"'{stored}'::{kind.partition(' COLLATE')[0]} END")
    table = Table(any_database, ddl, fill)
    hold = Hold(hold_id="H-1", tenant=named)
    store = TableStore(table.job, table.target, GENTLE, read_only=True)
    assert store.matching(hold) == 200
    store.close()
    place(table, hold)
    table.empty()
    assert table.count(where="tenant IS NOT NULL") == 200


def test_a_hold_that_is_no_value_of_the_column_stops_the_policy(any_database):
    ddl = PLAIN.replace("tenant text", "tenant bigint")
    table = Table(any_database, ddl, FILL.replace("'t' || n % 3", "n % 3"))
    place(table, Hold(hold_id="H-1", tenant="T-42"))
    with pytest.raises(StoreError, match="invalid input syntax") as caught:
        table.empty(holds=(Hold(hold_id="H-1", tenant="T-42"),))
    assert "hold list" in caught.value.hint
    assert table.count() == 600


def test_holds_by_a_path_into_json(any_database):
    ddl = PLAIN.replace("tenant text", "payload json")
    fill = FILL.replace("'t' || n % 3", "json_build_object('actor', json_build_object('id', 'u' || n % 3))")
    table = Table(any_database, ddl, fill, tenant_column="", subject_column="payload->'actor'->>'id'")
    place(table, Hold(hold_id="H-1", subject="U1"))
    table.empty()
    assert table.count(where="payload->'actor'->>'id' = 'u1'") == 200
    with pytest.raises(ValueError, match="neither a column nor a path"):
        TableSettings(table="core.events", subject_column="payload->>actor; DROP TABLE x")


@pytest.mark.parametrize("kind", ["json", "jsonb"])
@pytest.mark.parametrize(
    ("stored", "named"),
    [("1", "1.0"), ("1.0", "1"), ("1", "1e0"), ("-12.50", "-12.5"), ("1E3", "1000"), ('"7"', "7.0")],
)
def test_a_number_in_json_is_held_by_its_value(any_database, kind, stored, named):
    ddl = PLAIN.replace("tenant text", f"payload {kind}")
    value = f"""('{{"id": ' || CASE WHEN n % 3 = 0 THEN '{stored}' ELSE '77' END || '}}')::{kind}"""
    fill = FILL.replace("'t' || n % 3", value)
    table = Table(any_database, ddl, fill, tenant_column="", subject_column="payload->>'id'")
    hold = Hold(hold_id="H-1", subject=named)
    store = TableStore(table.job, table.target, GENTLE, read_only=True)
    assert store.matching(hold) == 200
    store.close()
    place(table, hold)
    table.empty()
    assert table.count(where="payload->>'id' <> '77'") == 200


def test_what_is_no_number_in_json_is_compared_as_text(any_database):
    """Not even what has the beginning of one, or more digits than a number may have."""
    ddl = PLAIN.replace("tenant text", "payload json")
    odd = ["007", "1e9999", "1" * 2000, "1.", "+1", "Nan", "0x10", ""]
    listed = ", ".join(f"'{item}'" for item in odd)
    value = f"json_build_object('id', (ARRAY[{listed}])[1 + n % {len(odd)}])"
    fill = FILL.replace("'t' || n % 3", value)
    table = Table(any_database, ddl, fill, tenant_column="", subject_column="payload->>'id'")
    store = TableStore(table.job, table.target, GENTLE, read_only=True)
    found = [store.matching(Hold(hold_id="H-1", subject=item)) for item in (*odd[:-1], "7", "1", "16")]
    store.close()
    assert found == [75] * 7 + [0] * 3


def test_thousands_of_holds_are_joined_not_compared_one_by_one(any_database):
    table = Table(
        any_database, fill=FILL.replace("600", "20000").replace("1 day", "1 hour").replace("% 3", "% 5000")
    )
    many = tuple(
        Hold(hold_id=f"H-{n}", tenant=f"t{n}", start=NOW - 400 * DAY, end=NOW - 100 * DAY)
        for n in range(2310)
    )
    store = LedgeredStore(table.job, table.target, GENTLE, read_only=True)
    survey, _ = conformance.planned(Policy, store, many)
    assert survey.held == table.count(
        where=f"substr(tenant, 2)::int < 2310 AND created_at < '{NOW - 100 * DAY}'"
        f" AND created_at >= '{NOW - 400 * DAY}'"
    )
    query = str(survey.evidence["query"])
    store.close()
    any_database.execute("ANALYZE core.events")
    text = re.sub(r'"survey_\w+"\."p_cutoff"', "now()", query)
    text = re.sub(r'"survey_\w+"\."p_holds"', "'[]'::jsonb", text)
    with psycopg.connect(any_database.admin_dsn) as admin:
        admin.execute("SET enable_nestloop = off")
        plan = "\n".join(row[0] for row in admin.execute("EXPLAIN " + text.replace("%", "%%")))
    assert "Hash" in plan
    assert "Anti Join" in plan


def test_holds_that_have_not_changed_are_compared_with_the_ledger_once(any_database, monkeypatch):
    """Each batch reads them, and comparing thousands takes long. What changes is always compared."""
    table = Table(any_database)
    for number in range(3):
        place(table, Hold(hold_id=f"H-{number}", tenant=f"t{number}"))
    compared = []
    usual = register_module.placed
    monkeypatch.setattr(register_module, "placed", lambda hold: compared.append(hold) or usual(hold))
    register = PostgresRegister(table.job)
    first = register.all()
    assert (len(first), len(compared)) == (3, 3)
    assert register.all() == first
    assert len(compared) == 3
    place(table, Hold(hold_id="H-3", tenant="t0"))
    compared.clear()
    assert (len(register.all()), len(compared)) == (4, 4)
    with psycopg.connect(any_database.admin_dsn, autocommit=True) as admin:
        admin.execute("ALTER TABLE retention.hold DISABLE TRIGGER ALL")
        admin.execute("UPDATE retention.hold SET tenant = 'tx' WHERE hold_id = 'H-1'")
    for _ in range(2):
        with pytest.raises(TamperingFound, match="shows hold H-1 otherwise"):
            register.all()
    register.close()


# --- rows that others need ------------------------------------------------------------------------------


def test_rows_that_others_need_are_left_and_counted_where_that_is_asked(any_database):
    ddl = PLAIN + "CREATE TABLE core.child (event bigint REFERENCES core.events ON DELETE RESTRICT);"
    table = Table(any_database, ddl, skip_referenced=True)
    table.owner(
        "INSERT INTO core.child SELECT id FROM core.events WHERE id % 10 = 0",
        "CREATE INDEX ON core.child (event)",
    )
    store = LedgeredStore(table.job, table.target, GENTLE, read_only=True)
    survey, _ = conformance.planned(Policy, store)
    found = {item.code: item for item in store.preflight(request(store))}
    store.close()
    assert (survey.locked, survey.held) == (51, 0)
    assert found["foreign-key"].level is Level.INFO
    assert table.empty() == survey.expired == 510 - survey.locked
    assert table.count("core.child") == 60


def test_rows_that_rows_of_the_same_table_need_are_left_until_those_are_gone(any_database):
    """Each third row answers one that is a day older, and each third one itself, which nobody else needs."""
    ddl = PLAIN + "ALTER TABLE core.events ADD answers bigint REFERENCES core.events;"
    fill = FILL.replace("n % 3 FROM", "n % 3, CASE n % 3 WHEN 0 THEN n WHEN 1 THEN n + 1 END FROM")
    table = Table(any_database, ddl + " CREATE INDEX ON core.events (answers);", fill, skip_referenced=True)
    store = LedgeredStore(table.job, table.target, GENTLE, read_only=True)
    survey, _ = conformance.planned(Policy, store)
    store.close()
    assert (survey.locked, survey.expired) == (170, 340)
    assert table.empty() == 340
    assert table.empty() == 170
    assert table.count() == 90


# --- functions that were changed ------------------------------------------------------------------------

CHANGES = {
    "text": None,
    "settings": "ALTER FUNCTION retention.batch_begin SET search_path = core, pg_catalog",
    "rights": "GRANT EXECUTE ON FUNCTION retention.batch_end TO PUBLIC",
    "trigger off": "ALTER TABLE retention.hold DISABLE TRIGGER hold_is_history",
    "trigger not always": "ALTER TABLE retention.journal ENABLE TRIGGER batch_has_entry",
    "overload": "CREATE FUNCTION retention.batch_begin(text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "column right": "GRANT UPDATE (released_at) ON retention.hold TO PUBLIC",
    "row security": "ALTER TABLE retention.hold ENABLE ROW LEVEL SECURITY",
    "rule": "CREATE RULE silent AS ON INSERT TO retention.hold DO INSTEAD NOTHING",
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_guards_a_deletion_and_was_changed_refuses_until_migrate_made_it_again(any_database, change):
    table = Table(any_database)
    statement = CHANGES[change]
    if statement is None:
        ((text,),) = any_database.execute("SELECT pg_get_functiondef('retention.prune_core_events'::regproc)")
        statement = text.replace(
            "ROW_COUNT;", "ROW_COUNT; DELETE FROM core.events t WHERE t.tenant = 't1';", 1
        )
    any_database.execute(statement)
    assert table.findings()["functions-changed"].level is Level.REFUSE
    with pytest.raises(GuardRefused, match="changed"):
        table.empty()
    assert table.count() == 600


#: seen by the versions of catalogue rows alone, since nothing is compared while those are the same
MEANWHILE = {name: statement for name, statement in CHANGES.items() if statement} | {
    "same text": None,
    "schema": "GRANT CREATE ON SCHEMA retention TO PUBLIC",
    "table": "GRANT DELETE ON retention.hold TO PUBLIC",
    "role": "DO $$ BEGIN EXECUTE format('ALTER ROLE %s CREATEDB', (SELECT proowner::regrole FROM pg_proc"
    " WHERE oid = 'retention.prune_core_events'::regproc)); END $$",
}


@pytest.mark.parametrize("change", MEANWHILE)
def test_whatever_guards_a_deletion_and_is_changed_between_two_batches_stops_the_run(any_database, change):
    table = Table(any_database, own=change == "role")
    with half_done(table) as batches:
        statement = MEANWHILE[change]
        if statement is None:
            ((statement,),) = any_database.execute(
                "SELECT pg_get_functiondef('retention.prune_core_events'::regproc)"
            )
        any_database.execute(statement)
        with pytest.raises(GuardRefused, match="changed"):
            next(batches).stage(None)


def test_a_catalogue_row_with_another_version_and_the_same_meaning_stops_nothing(any_database):
    table = Table(any_database)
    store = LedgeredStore(table.job, table.target, GENTLE, read_only=False)
    _, plan = conformance.planned(Policy, store)
    batches = store.batches(plan, work())
    for _ in range(2):
        batch = next(batches)
        batch.stage(None)
        batch.commit()
        any_database.execute("ALTER TABLE retention.hold ALTER COLUMN tenant SET STATISTICS 50")
    assert next(batches).stage(None).items == GENTLE.max_batch_rows
    store.close()


# --- the lease ------------------------------------------------------------------------------------------


def test_whoever_has_the_lock_is_named_and_is_a_run_of_ours_or_not(any_database):
    table = Table(any_database)
    held = take_postgres(table.job, "audit-logs")
    with pytest.raises(LeaseHeld, match=rf"process \d+, role {table.job_role}"):
        take_postgres(table.job, "audit-logs")
    held.release()
    other = any_database.login("other")
    with psycopg.connect(other, application_name="luxima-retention/lease/x", autocommit=True) as stranger:
        stranger.execute("SELECT pg_advisory_lock(1280664910, hashtext('audit-logs'))")
        with pytest.raises(
            StoreError,
            match=rf"not a run of luxima-retention: process \d+, role {any_database.role('other')}",
        ):
            take_postgres(table.job, "audit-logs")
    take_postgres(table.job, "audit-logs").release()


def test_a_run_whose_lease_went_to_another_deletes_nothing_more(any_database):
    table = Table(any_database)
    with half_done(table) as batches:
        take_postgres(table.job, "audit-logs").release()
        with pytest.raises(LeaseLost):
            next(batches).stage(None)


def test_a_lease_that_went_to_another_says_so(any_database):
    table = Table(any_database)
    lease = take_postgres(table.job, "audit-logs")
    lease.check()
    with psycopg.connect(table.job, autocommit=True) as other:
        other.execute("SELECT retention.take_lease('audit-logs', 'test')")
    with pytest.raises(LeaseLost, match=rf"went to another run \(token {lease.token + 1}\)"):
        lease.check()
    lease.release()


# --- the server around it -------------------------------------------------------------------------------


def test_what_a_dba_asks_first_is_told(any_database):
    table = Table(any_database)
    table.owner(
        "ALTER TABLE core.events SET (autovacuum_enabled = false)",
        "CREATE SCHEMA partman",
        "CREATE TABLE partman.part_config (parent_table text, retention text)",
        "INSERT INTO partman.part_config VALUES ('core.events', '60 days'), ('core.other', '1 day')",
        "CREATE SCHEMA cron",
        "CREATE TABLE cron.job (jobid bigint, command text)",
        "INSERT INTO cron.job VALUES (1, 'DELETE FROM core.events WHERE true'),"
        " (2, 'DELETE FROM core.events_old')",
        f'GRANT USAGE ON SCHEMA cron TO "{table.job_role}"',
        f'GRANT SELECT ON cron.job TO "{table.job_role}"',
    )
    found = table.findings()
    assert "autovacuum-off" in found
    assert "partman.part_config" in found["other-owner-not-visible"].message
    assert "pg_cron runs: DELETE FROM core.events WHERE true" in found["other-owner"].message


def test_what_keeps_dead_rows_is_told_by_its_name(postgres_factory):
    """A transaction, a prepared one and the rows themselves, an hour and more later by the server's clock."""
    home = scratch("dba")
    clock = Clock(home / "now", NOW)
    server = postgres_factory(environment=clock.variables, settings={"max_prepared_transactions": "2"})
    with server.database() as database:
        table = Table(database, fill=FILL.replace("600", "30000").replace("1 day", "1 hour"))
        server.execute(f'GRANT pg_monitor TO "{table.job_role}"')
        assert not {"old-transaction", "prepared-transaction", "dead-rows"} & table.findings().keys()
        table.owner("ALTER TABLE core.events SET (autovacuum_enabled = false)")
        with database.connect(autocommit=False) as old, database.connect(autocommit=False) as prepared:
            old.execute("SELECT pg_current_xact_id()")
            prepared.execute("CREATE TABLE core.other (n int)")
            prepared.execute("PREPARE TRANSACTION 'forgotten'")
            table.owner("DELETE FROM core.events WHERE id > 15000", "SELECT pg_stat_clear_snapshot()")
            clock.set(NOW + timedelta(minutes=150))
            found = table.findings()
            pid = old.info.backend_pid
            old.rollback()
        database.execute("ROLLBACK PREPARED 'forgotten'")
    shutil.rmtree(home)
    assert f"process {pid} of role" in found["old-transaction"].message
    assert "open for 2 h" in found["old-transaction"].message
    assert "prepared transaction 'forgotten'" in found["prepared-transaction"].message
    assert found["dead-rows"].message == "core.events holds 15000 dead rows beside 15000"
    assert "VACUUM core.events" in str(found["dead-rows"].hint)


def test_timescaledb_as_another_owner_is_told(database):
    """Its views as they are documented; the extension itself is in no package that the tests have."""
    table = Table(database)
    table.owner(
        "CREATE SCHEMA timescaledb_information",
        "CREATE TABLE timescaledb_information.jobs"
        " (job_id int, proc_name text, hypertable_schema text, hypertable_name text, config jsonb)",
        "CREATE TABLE timescaledb_information.continuous_aggregates"
        " (hypertable_schema text, hypertable_name text, view_schema text, view_name text)",
        f'GRANT USAGE ON SCHEMA timescaledb_information TO "{table.job_role}"',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA timescaledb_information TO "{table.job_role}"',
    )
    assert "other-owner" not in table.findings()
    jobs = (
        "INSERT INTO timescaledb_information.jobs VALUES (1000, 'policy_retention', 'core', 'events', '{}')"
    )
    table.owner(jobs.replace("{}", '{"drop_after": "60 days"}'))
    assert "TimescaleDB drops chunks: 60 days" in table.findings()["other-owner"].message
    table.owner(
        "DELETE FROM timescaledb_information.jobs",
        "INSERT INTO timescaledb_information.continuous_aggregates"
        " VALUES ('core', 'events', 'core', 'daily')",
    )
    assert "keeps copies in core.daily" in table.findings()["other-owner"].message


def test_a_job_of_pg_partman_that_this_role_may_read_is_told(database):
    table = Table(database)
    table.owner(
        "CREATE SCHEMA partman",
        "CREATE TABLE partman.part_config (parent_table text, retention text)",
        "INSERT INTO partman.part_config VALUES ('core.events', '60 days'), ('core.other', '1 day')",
        f'GRANT USAGE ON SCHEMA partman TO "{table.job_role}"',
        f'GRANT SELECT ON partman.part_config TO "{table.job_role}"',
    )
    assert "pg_partman keeps 60 days" in table.findings()["other-owner"].message


def test_a_publication_that_would_refuse_the_deletion_is_told(any_database):
    ddl = PLAIN.replace("bigint PRIMARY KEY", "bigint NOT NULL UNIQUE")
    table = Table(any_database, ddl)
    any_database.execute("CREATE PUBLICATION everything FOR TABLE core.events")
    assert table.findings()["no-replica-identity"].level is Level.FAILED


def test_a_slot_without_a_limit_is_watched_by_its_lag(any_database):
    table = Table(any_database)
    any_database.execute("SELECT pg_create_physical_replication_slot('endless', true)")
    try:
        table.owner("CREATE TABLE core.noise AS SELECT repeat('x', 1000) FROM generate_series(1, 3000)")
        pace = GENTLE.model_copy(update={"max_slot_lag_mib": 1})
        store = LedgeredStore(table.job, table.target, pace, read_only=False)
        _, plan = conformance.planned(Policy, store)
        polls = []
        doing = replace(work(), wait=polls.append, stopping=lambda: len(polls) >= 2)
        assert list(store.batches(plan, doing)) == []
        store.close()
    finally:
        any_database.execute("SELECT pg_drop_replication_slot('endless')")
    assert len(polls) == 2


# --- columns that say when in other ways ----------------------------------------------------------------

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(milliseconds: int, number: int) -> str:
    value = (milliseconds << 80) | number
    return "".join(ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(26)))


def uuid7(milliseconds: int, number: int) -> str:
    return str(uuid.UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | number))


KINDS = {
    "epoch_seconds": ("integer", lambda ms, _: ms // 1000),
    "epoch_milliseconds": ("bigint", lambda ms, _: ms),
    "epoch_microseconds": ("numeric", lambda ms, _: ms * 1000),
    "uuid_v7": ("uuid", uuid7),
    "ulid": ("text", ulid),
}


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_says_when_in_another_way(any_database, kind, indexed):
    column, value = KINDS[kind]
    ddl = f"CREATE SCHEMA core; CREATE TABLE core.events (id bigint PRIMARY KEY, at {column}, tenant text);"
    ddl += " CREATE INDEX ON core.events (at, id);" if indexed else ""
    table = Table(any_database, ddl, "SELECT", time_column="at", time_kind=kind)
    today = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    edge = round((today - 90 * DAY).timestamp() * 1000)
    moments = {number: edge - number * 86_400_000 for number in range(-85, 200)}
    moments |= {1001: edge - 1000, 1002: edge, 1003: round((NOW + 30 * DAY).timestamp() * 1000)}
    with psycopg.connect(any_database.dsn) as owner:
        owner.cursor().executemany(
            "INSERT INTO core.events VALUES (%s, %s, 't')",
            [(number, value(ms, number + 100)) for number, ms in moments.items()],
        )
        odd = {"uuid_v7": str(uuid.UUID(int=4 << 76)), "ulid": "01ARZ3NDEKTSV4RRFFQ69G5FAu"}.get(kind, 0)
        owner.execute("INSERT INTO core.events VALUES (2001, %s, 't'), (2002, NULL, 't')", [odd])
    store = LedgeredStore(table.job, table.target, GENTLE, read_only=True)
    survey, _ = conformance.planned(Policy, store)
    assert (survey.expired, survey.future) == (200, 1)
    assert survey.undated >= 1
    assert store.explain("1002", request(store)).rule == "younger"
    assert store.explain("2001", request(store)).rule == "undated"
    assert abs((store.explain("5", request(store)).dated - (today - 95 * DAY)).total_seconds()) < 1
    store.close()
    assert table.empty() == 200
    left = {row[0] for row in any_database.execute("SELECT id FROM core.events")}
    assert left == {number for number, ms in moments.items() if ms >= edge} | {2001, 2002}
