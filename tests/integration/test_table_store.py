"""PostgreSQL tables of many shapes: the promises of a store, and what bites before the first delete."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
import pytest

from luxima_retention.config.settings import PaceSettings, TableSettings
from luxima_retention.core.errors import ConfigurationError, StoreError
from luxima_retention.core.plan import Hold, Level
from luxima_retention.evidence.ledger.postgres import _append
from luxima_retention.run.migrate import migrate
from luxima_retention.stores.kind import TableTarget
from luxima_retention.stores.memory.store import MemoryStore, Record
from luxima_retention.stores.table import store as store_module
from luxima_retention.stores.table.sql import function_name
from luxima_retention.stores.table.store import TableStore
from tests.integration import conformance
from tests.integration.conformance import PROMISES, Item
from tests.ledgers import event
from tests.servers.postgres import PASSWORD, Database

GENTLE = PaceSettings(duty_cycle=1, max_batch_rows=37)
_LATE = "{} timestamptz DEFAULT now()"
#: name → columns, key, time column, zone, index, how a number becomes a key
SHAPES = {
    "bigint": ("id bigint PRIMARY KEY, created_at timestamptz, tenant text", "id", "", True),
    "uuid": ("id uuid PRIMARY KEY, created_at timestamptz, tenant text", "id", "", True),
    "composite": (
        "org int, id bigint, created_at timestamptz, tenant text, PRIMARY KEY (org, id)",
        "org,id",
        "",
        True,
    ),
    "no index": ("id bigint PRIMARY KEY, created_at timestamptz, tenant text", "id", "", False),
    "no zone": ("id bigint PRIMARY KEY, created_at timestamp, tenant text", "id", "Asia/Jakarta", True),
    "odd names": (
        'id bigint PRIMARY KEY, created_at timestamptz, tenant text, "Dead Column" int',
        "id",
        "",
        True,
    ),
    "our names": (
        "id char(12) PRIMARY KEY, created_at timestamptz, tenant text, edge int, first int, cursor_0 int,"
        + _LATE.format("p_cutoff"),
        "id",
        "",
        True,
    ),
    "our names, no index": (
        "id bit(64) PRIMARY KEY, created_at timestamptz, tenant text, low int, chosen int, expired int,"
        + _LATE.format("p_cutoff"),
        "id",
        "",
        False,
    ),
}


class LedgeredStore(TableStore):
    """With a lease of its own, and an entry for each batch, as the engine writes it."""

    def batches(self, plan, work):
        with psycopg.connect(self.connection.info.dsn, password=PASSWORD, autocommit=True) as lease:
            token = lease.execute("SELECT retention.take_lease(%s, 'test')", [plan.policy]).fetchone()[0]
        work = replace(work, token=token)
        for batch in super().batches(plan, work):
            batch.commit = partial(self._commit, batch, batch.commit, plan, work)
            yield batch

    def _commit(self, batch, commit, plan, work):
        items = self.journal()[0]
        if items:
            body = {"run_id": work.run_id, "target": self.name, "items": items, "token": work.token}
            said = event("batch", **body)
            _append(self.connection, said, policy=plan.policy, at=datetime.now(UTC), durable=False)
        return commit()


@dataclass(kw_only=True)
class TableHarness:
    """A table in a fresh database, migrated, with its job's role."""

    database: Database
    shape: str
    policy: str = "security-events"
    takes_undated: bool = True

    def __post_init__(self) -> None:
        columns, key, zone, indexed = SHAPES[self.shape]
        self.key = key
        self.table = TableSettings(
            table="core.Events" if self.shape == "odd names" else "core.events",
            key_columns=tuple(key.split(",")),
            time_zone=zone,
            tenant_column="tenant",
        )
        quoted = ".".join(f'"{part}"' for part in self.table.table.split("."))
        self.quoted = quoted
        self.target = TableTarget(policy=self.policy, table=self.table, floor_days=30, register=True)
        self.database.prepared(
            (TableHarness, self.shape), lambda original: self._prepare(original, columns, indexed)
        )
        self.job = self.database.dsn_of(self.database.role("job"))

    def _prepare(self, original: Database, columns: str, indexed: bool) -> None:
        with original.connect() as owner:
            owner.execute("CREATE SCHEMA core")
            owner.execute(f"CREATE TABLE {self.quoted} ({columns})")
            if indexed:
                owner.execute(f"CREATE INDEX ON {self.quoted} (created_at, {self.key})")
        original.login("job")
        self._migrate(original)

    def migrate(self):
        return self._migrate(self.database)

    def _migrate(self, database: Database):
        with psycopg.connect(database.dsn) as owner:
            return migrate(owner, (self.target,), job_role=database.role("job"))

    def fill(self, items: list[Item]) -> None:
        with psycopg.connect(self.database.dsn) as owner:
            owner.execute("SET timezone = 'Asia/Jakarta'")
            rows = [self._values(item) for item in items]
            marks = ", ".join(["%s"] * len(rows[0]))
            insert = f"INSERT INTO {self.quoted} ({self.key}, created_at, tenant) VALUES ({marks})"
            owner.cursor().executemany(insert, rows)

    def _values(self, item: Item):
        if self.shape == "composite":
            return [item.name % 3, item.name, item.at, item.tenant]
        return [self.name_of(item.name), item.at, item.tenant]

    def name_of(self, number: int) -> str:
        if self.shape == "uuid":
            return f"00000000-0000-0000-0000-{number:012d}"
        if self.shape == "our names, no index":
            return f"{number:064b}"
        return f"{number % 3},{number}" if self.shape == "composite" else str(number)

    def names(self) -> set[int]:
        last = self.key.rpartition(",")[2]
        if self.shape == "our names, no index":
            last = "id::bigint"
        rows = self.database.execute(f"SELECT {last}::text FROM {self.quoted}")
        return {int(row[0].rpartition("-")[2]) for row in rows}

    def open(self, *, read_only: bool = False) -> TableStore:
        return LedgeredStore(self.job, self.target, GENTLE, read_only=read_only)


@pytest.fixture(params=SHAPES)
def harness(request, database):
    return TableHarness(database=database, shape=request.param)


@pytest.fixture
def plain(database):
    return TableHarness(database=database, shape="bigint")


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_table_keeps_every_promise(harness, promise):
    if "no index" in harness.shape and promise is conformance.the_oldest_go_first:
        # A pass over pages takes them in the order of the pages; it never takes a younger one, though.
        promise = conformance.exactly_what_has_expired_goes
    promise(harness)


#: what tells servers apart: the walk by the index, the pass over pages, and what a rollback gives back
_ESSENTIAL = [
    *(("bigint", promise) for promise in PROMISES),
    ("no index", conformance.exactly_what_has_expired_goes),
    ("no index", conformance.what_is_rolled_back_is_as_it_was),
]


@pytest.mark.parametrize("any_postgres", [15, 18], indirect=True)
@pytest.mark.parametrize(("shape", "promise"), _ESSENTIAL, ids=lambda item: getattr(item, "__name__", item))
def test_a_table_keeps_its_promises_on_other_servers(any_database, shape, promise):
    promise(TableHarness(database=any_database, shape=shape))


def test_held_rows_stay(harness):
    hold = Hold(hold_id="H-1", policy=harness.policy, tenant="acme")
    conformance.held_records_stay(harness, hold, lambda item: item.tenant == "acme")


class Part:
    """An archive's part: what a batch streams before it deletes."""

    format = "csv"

    def __init__(self):
        self.rows = []

    def write(self, data):
        self.rows += bytes(data).decode().splitlines()


@pytest.mark.parametrize("shape", ["bigint", "no index"])
def test_held_rows_are_neither_archived_nor_deleted(database, shape):
    harness = TableHarness(database=database, shape=shape)
    items = conformance.some(100)
    harness.fill(items)
    hold = Hold(hold_id="H-1", policy=harness.policy, tenant="acme")
    store, part = harness.open(), Part()
    _, plan = conformance.planned(harness, store)
    for batch in store.batches(plan, conformance.work(1, (hold,))):
        batch.stage(part)
        batch.commit()
    store.close()
    gone = {item.name for item in items} - conformance.expected(items, plan.cutoff)
    free = {item.name for item in items if item.tenant != "acme"}
    assert harness.names() == {item.name for item in items} - (gone & free)
    assert len(gone & free) == len([row for row in part.rows if row.endswith(",globex")]) > 0
    assert not [row for row in part.rows if "acme" in row]


def test_rows_of_a_held_range_stay(harness):
    start = datetime.now(UTC) - timedelta(days=150)
    hold = Hold(hold_id="H-2", start=start, end=start + timedelta(days=30))
    conformance.held_records_stay(
        harness, hold, lambda item: item.at is not None and start <= item.at < start + timedelta(days=30)
    )


def test_the_survey_names_the_query_behind_its_figures(harness):
    """As the database holds it: run by hand with its parameters, it counts the same."""
    harness.fill(conformance.some(60))
    store = harness.open(read_only=True)
    request = conformance.request_of(harness, store)
    found = store.survey(request)
    store.close()
    query = str(found.evidence["query"])
    assert found.evidence["query_sha256"] == hashlib.sha256(query.encode()).hexdigest()
    cutoff = f"'{request.cutoff.isoformat()}'::timestamptz"
    counted = re.sub(r'"survey_\w+"\."p_cutoff"', cutoff, query)
    counted = re.sub(r'"survey_\w+"\."p_holds"', "'[]'::jsonb", counted)
    assert harness.database.execute(counted)[0][0] == found.expired > 0


def test_every_row_explains_itself(harness):
    conformance.every_record_explains_itself(harness, harness.name_of)


class MemoryHarness:
    policy = "audit-logs"
    takes_undated = True

    def __init__(self) -> None:
        self.records: list[Record] = []

    def fill(self, items):
        self.records += [Record(key=str(item.name), at=item.at, tenant=item.tenant) for item in items]

    def names(self):
        return {int(record.key) for record in self.records}

    def open(self, *, read_only=False):
        return MemoryStore(records=self.records, now=lambda: datetime.now(UTC), batch=37)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_the_twin_keeps_every_promise(promise):
    promise(MemoryHarness())


# --- what bites -----------------------------------------------------------------------------------------


def findings(harness, **changed):
    store = harness.open(read_only=True)
    found = store.preflight(conformance.request_of(harness, store, **changed))
    store.close()
    return {finding.code: finding for finding in found}


def test_a_table_as_it_should_be_has_no_finding(plain):
    assert set(findings(plain)) <= {"floor-behind"}


def test_triggers_and_references_are_named(plain):
    with plain.database.connect() as owner:
        owner.execute(
            "CREATE FUNCTION core.noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'"
        )
        owner.execute(
            "CREATE TRIGGER relog AFTER DELETE ON core.events FOR EACH ROW EXECUTE FUNCTION core.noop()"
        )
        owner.execute("CREATE TABLE core.child (event bigint REFERENCES core.events)")
        owner.execute("CREATE TABLE core.eager (event bigint REFERENCES core.events ON DELETE CASCADE)")
    found = findings(plain)
    assert "relog" in found["delete-trigger"].message
    assert "core.child" in found["foreign-key-unindexed"].message
    assert found["foreign-key-cascades"].level is Level.REFUSE


def test_a_row_that_another_table_refers_to_ends_the_batch_and_nothing_goes(plain):
    plain.fill(conformance.some(50))
    with plain.database.connect() as owner:
        owner.execute("CREATE TABLE core.child (event bigint REFERENCES core.events)")
        owner.execute("INSERT INTO core.child SELECT id FROM core.events ORDER BY created_at LIMIT 1")
    store = plain.open()
    _, plan = conformance.planned(plain, store)
    with pytest.raises(StoreError, match="foreign key"):
        conformance.carry_out(store, plan, conformance.work())
    store.close()
    assert len(plain.names()) == 50


def test_more_rights_than_needed_are_named(plain):
    with plain.database.connect() as owner:
        owner.execute(f"GRANT DELETE ON core.events TO {plain.database.role('job')}")
    assert "DELETE" in findings(plain)["excess-rights"].message


def test_an_index_that_is_gone_is_named_and_migrate_changes_the_strategy(plain):
    with plain.database.connect() as owner:
        owner.execute("DROP INDEX core.events_created_at_id_idx")
    assert findings(plain)["missing-index"].level is Level.FAILED
    plain.migrate()
    assert findings(plain)["no-index"].level is Level.INFO
    conformance.exactly_what_has_expired_goes(plain)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER id TYPE text",
        "ALTER created_at TYPE timestamp",
        "ALTER created_at TYPE date USING created_at::date",
    ],
)
def test_columns_that_changed_since_migrate_refuse_until_it_ran(plain, change):
    plain.target = replace(plain.target, table=plain.table.model_copy(update={"time_zone": "UTC"}))
    with plain.database.connect() as owner:
        owner.execute(f"ALTER TABLE core.events {change}")
    assert findings(plain)["other-columns"].level is Level.REFUSE
    plain.migrate()
    assert "other-columns" not in findings(plain)


def test_a_rule_that_rewrites_deletions_refuses(plain):
    with plain.database.connect() as owner:
        owner.execute("CREATE RULE keep AS ON DELETE TO core.events DO INSTEAD NOTHING")
    assert findings(plain)["delete-rule"].level is Level.REFUSE


def test_tables_that_inherit_refuse(plain):
    with plain.database.connect() as owner:
        owner.execute("CREATE TABLE core.child () INHERITS (core.events)")
    with pytest.raises(ConfigurationError, match=r"core\.child inherits"):
        plain.migrate()


ODD = ("-infinity", "infinity", "0044-03-15 BC", "20000-01-01", None)


@pytest.mark.parametrize("indexed", [True, False])
def test_instants_beyond_the_calendar_are_dates_and_infinity_is_none(plain, indexed):
    plain.fill(conformance.some(30))
    with plain.database.connect() as owner:
        if not indexed:
            owner.execute("DROP INDEX core.events_created_at_id_idx")
        for number, at in enumerate(ODD, start=9001):
            owner.execute("INSERT INTO core.events (id, created_at) VALUES (%s, %s)", [number, at])
    plain.migrate()
    store = plain.open()
    survey, plan = conformance.planned(plain, store)
    request = conformance.request_of(plain, store)
    rules = [store.explain(str(number), request).rule for number in range(9001, 9006)]
    assert rules == ["undated", "future", "expired", "future", "undated"]
    assert (survey.future, survey.oldest.year) == (2, 1)
    assert conformance.carry_out(store, plan, conformance.work()) == plan.items
    store.close()
    assert plain.names() & set(range(9001, 9006)) == {9001, 9002, 9004, 9005}


def test_local_times_that_a_change_of_clocks_left_out_are_walked_like_others(database):
    harness = TableHarness(database=database, shape="no zone")
    harness.target = replace(
        harness.target, table=harness.table.model_copy(update={"time_zone": "America/New_York"})
    )
    harness.migrate()
    with database.connect() as owner:
        owner.execute(
            "INSERT INTO core.events (id, created_at) "
            "SELECT n, timestamp '2024-03-10 01:30' + n * interval '30 s' FROM generate_series(1, 240) n"
        )
    store = harness.open()
    _, plan = conformance.planned(harness, store)
    assert conformance.carry_out(store, plan, conformance.work()) == plan.items == 240
    store.close()


def test_a_key_of_a_type_outside_pg_catalog_is_found_by_its_schema(database):
    with database.connect() as owner:
        owner.execute("CREATE SCHEMA core")
        owner.execute("CREATE DOMAIN core.number AS bigint CHECK (VALUE > 0)")
        owner.execute("CREATE TABLE core.events (id core.number PRIMARY KEY, created_at timestamptz)")
        owner.execute("CREATE INDEX ON core.events (created_at, id)")
        owner.execute(
            "INSERT INTO core.events SELECT n, now() - interval '1 year' FROM generate_series(1, 100) n"
        )
    target = TableTarget(
        policy="audit-logs", table=TableSettings(table="core.events"), floor_days=30, register=True
    )
    job = database.login("job")
    with psycopg.connect(database.dsn) as owner:
        owner.execute("SET search_path = core")
        owner.commit()
        assert "keyset" in migrate(owner, (target,), job_role=database.role("job"))[-2].sentence
    store = TableStore(job, target, GENTLE, read_only=False)
    assert store.shape.key == (("id", "core.number"),)
    store.close()


@pytest.mark.parametrize("indexed", [True, False])
def test_rows_that_a_trigger_keeps_end_the_walk(plain, indexed):
    plain.fill(conformance.some(400))
    with plain.database.connect() as owner:
        if not indexed:
            owner.execute("DROP INDEX core.events_created_at_id_idx")
        owner.execute(
            "CREATE FUNCTION core.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        )
        owner.execute(
            "CREATE TRIGGER keep BEFORE DELETE ON core.events FOR EACH ROW EXECUTE FUNCTION core.keep()"
        )
    plain.migrate()
    store = plain.open()
    _, plan = conformance.planned(plain, store)
    gone = conformance.carry_out(store, plan, conformance.work())
    store.close()
    assert plan.items > gone == 0
    assert len(plain.names()) == 400


def test_what_others_put_behind_the_walk_in_place_of_what_they_deleted_goes_too(plain):
    plain.fill(conformance.some(200))
    store = plain.open()
    _, plan = conformance.planned(plain, store)
    batches = store.batches(plan, conformance.work())
    first = next(batches)
    first.stage(None)
    done = first.commit().items
    with plain.database.connect() as owner:
        owner.execute(
            "UPDATE core.events SET created_at = '2001-01-01'"
            " WHERE id IN (SELECT id FROM core.events WHERE created_at < %s ORDER BY 1 DESC LIMIT 5)",
            [plan.cutoff],
        )
    for batch in batches:
        batch.stage(None)
        done += batch.commit().items
    store.close()
    assert done == plan.items
    assert plain.database.execute("SELECT count(*) FROM core.events WHERE created_at < %s", plan.cutoff) == [
        (0,)
    ]


def test_tables_of_similar_names_have_functions_of_their_own():
    names = ["core.events", "core.Events", "a.b_c", "a_b.c", "x." + "y" * 63, "x." + "y" * 62]
    functions = [function_name(name) for name in names]
    assert len(set(functions)) == len(names)
    assert functions[0] == "core_events"
    assert max(map(len, functions)) <= 55


def test_settings_that_changed_since_migrate_refuse(plain):
    plain.target = replace(plain.target, table=plain.table.model_copy(update={"tenant_column": ""}))
    assert findings(plain)["other-settings"].level is Level.REFUSE


def test_a_table_that_was_dropped_and_made_again_is_set_up_again(plain):
    with plain.database.connect() as owner:
        owner.execute("DROP TABLE core.events CASCADE")
        owner.execute("CREATE TABLE core.events (id bigint PRIMARY KEY, created_at timestamptz, tenant text)")
    assert findings(plain)["not-migrated"].level is Level.REFUSE
    plain.migrate()
    conformance.exactly_what_has_expired_goes(plain)


def test_a_standby_is_refused_before_anything_else(postgres_factory):
    primary = postgres_factory()
    with primary.database() as database:
        harness = TableHarness(database=database, shape="bigint")
        standby = primary.standby()
        try:
            dsn = standby.conninfo(dbname=database.name)
            assert primary.execute("SELECT pg_current_wal_lsn()")
            store = TableStore(dsn, harness.target, GENTLE, read_only=True)
            found = store.preflight(conformance.request_of(harness, store))
            assert found[0].code == "standby"
            store.close()
        finally:
            standby.stop()


def test_a_lock_that_somebody_holds_is_waited_for_with_smaller_batches(plain, monkeypatch):
    plain.fill(conformance.some(80))
    monkeypatch.setattr(store_module, "LOCK_TIMEOUT", timedelta(milliseconds=50))
    store = LedgeredStore(plain.job, plain.target, GENTLE, read_only=False)
    _, plan = conformance.planned(plain, store)
    blocker = plain.database.connect(autocommit=False)
    blocker.execute("SELECT FROM core.events ORDER BY created_at LIMIT 1 FOR UPDATE")
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            blocker.rollback()

    doing = replace(conformance.work(), wait=wait)
    batches = store.batches(plan, doing)
    staged = next(batches).stage(None)
    assert len(waits) == 2
    assert staged.metrics["wait_ms.timeout"] > 0
    assert 0 < staged.items <= 37 // 4
    store.close()


def test_a_lock_that_nobody_gives_up_ends_the_run_with_a_sentence(plain, monkeypatch):
    plain.fill(conformance.some(80))
    monkeypatch.setattr(store_module, "LOCK_TIMEOUT", timedelta(milliseconds=10))
    store = LedgeredStore(plain.job, plain.target, GENTLE, read_only=False)
    _, plan = conformance.planned(plain, store)
    blocker = plain.database.connect(autocommit=False)
    blocker.execute("LOCK TABLE core.events")
    with pytest.raises(StoreError, match="lock timeout") as caught:
        next(store.batches(plan, replace(conformance.work(), wait=lambda _: None))).stage(None)
    assert "next run" in caught.value.hint
    blocker.rollback()
    store.close()
    assert len(plain.names()) == 80


def test_the_wal_budget_and_the_duty_cycle_make_pauses_that_are_told(plain):
    plain.fill(conformance.some(200))
    pace = PaceSettings(duty_cycle=0.1, max_batch_rows=20, max_wal_mib_per_minute=1)
    store = LedgeredStore(plain.job, plain.target, pace, read_only=False)
    _, plan = conformance.planned(plain, store)
    told: dict[str, int] = {}
    for batch in store.batches(plan, replace(conformance.work(), wait=lambda _: None)):
        for name, value in batch.stage(None).metrics.items():
            told[name] = told.get(name, 0) + value
        batch.commit()
    assert told["wal_bytes"] > 0
    assert told.get("wait_ms.duty-cycle", 0) + told.get("wait_ms.wal-budget", 0) > 0
    store.close()


def test_a_slot_that_runs_out_of_room_is_waited_for(postgres_factory, monkeypatch):
    monkeypatch.setattr(store_module, "SLOT_HEADROOM", 4 * 1024**3)
    server = postgres_factory(settings={"max_slot_wal_keep_size": "64MB"})
    with server.database() as database:
        harness = TableHarness(database=database, shape="bigint")
        harness.fill(conformance.some(50))
        database.execute("SELECT pg_create_physical_replication_slot('slow', true)")
        store = LedgeredStore(harness.job, harness.target, GENTLE, read_only=False)
        _, plan = conformance.planned(harness, store)
        polls = []
        doing = replace(conformance.work(), wait=polls.append, stopping=lambda: len(polls) >= 3)
        assert list(store.batches(plan, doing)) == []
        assert len(polls) == 3
        store.close()
        database.execute("SELECT pg_drop_replication_slot('slow')")
        assert len(harness.names()) == 50


def test_a_killed_connection_goes_on_at_the_journals_cursor(plain):
    plain.fill(conformance.some(200))
    store = plain.open()
    _, plan = conformance.planned(plain, store)
    batches = store.batches(plan, conformance.work(7))
    for _ in range(2):
        batch = next(batches)
        batch.stage(None)
        batch.commit()
    next(batches).stage(None)
    store.close()
    gone = 200 - len(plain.names())
    assert gone == 74
    again = plain.open()
    resumed = replace(conformance.work(7), resumed=True)
    assert conformance.carry_out(again, replace(plan, items=plan.items - gone), resumed) == plan.items - gone
    journal = plain.database.execute("SELECT items, done FROM retention.journal")
    assert journal[0][0] == plan.items
    again.close()


def test_a_run_with_another_cutoff_under_the_same_name_is_refused(plain):
    plain.fill(conformance.some(50))
    store = plain.open()
    _, plan = conformance.planned(plain, store)
    conformance.carry_out(store, replace(plan, items=5), conformance.work(3))
    other = replace(plan, cutoff=plan.cutoff - timedelta(days=5))
    with pytest.raises(Exception, match="has the cutoff"):
        next(store.batches(other, conformance.work(3))).stage(None)
    store.close()


# --- what migrate refuses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "settings", "said"),
    [
        ("id bigint PRIMARY KEY, created_at timestamp", {}, "no time zone"),
        ("id bigint PRIMARY KEY, created_at date", {}, "no time zone"),
        ("id bigint PRIMARY KEY, created_at text", {}, "not an instant"),
        ("id bigint PRIMARY KEY, at timestamptz", {}, "no column created_at"),
        ("number bigint PRIMARY KEY, created_at timestamptz", {}, "no column id"),
        ("id bigint PRIMARY KEY, created_at timestamptz", {"tenant_column": "org"}, "no column org"),
        ("id bigint PRIMARY KEY, created_at timestamptz", {"strategy": "keyset"}, "no index"),
        ("id bigint UNIQUE, created_at timestamptz UNIQUE", {"strategy": "keyset"}, "may be NULL"),
        (
            "id bigint NOT NULL, created_at timestamptz UNIQUE, other int UNIQUE",
            {"key_columns": ("id",)},
            None,
        ),
    ],
)
def test_migrate_refuses_what_cannot_be_emptied_safely(database, columns, settings, said):
    with database.connect() as owner:
        owner.execute("CREATE SCHEMA core")
        owner.execute(f"CREATE TABLE core.events ({columns})")
    table = TableSettings(table="core.events", **settings)
    target = TableTarget(policy="security-events", table=table, floor_days=90, register=True)
    database.login("job")
    with psycopg.connect(database.dsn) as owner:
        if said is None:
            assert migrate(owner, (target,), job_role=database.role("job"))
            return
        with pytest.raises(ConfigurationError, match=said):
            migrate(owner, (target,), job_role=database.role("job"))
    assert database.execute("SELECT to_regclass('retention.target')") == [(None,)]


def test_a_view_and_a_missing_table_are_refused(database):
    with database.connect() as owner:
        owner.execute("CREATE SCHEMA core")
        owner.execute("CREATE VIEW core.events AS SELECT 1::bigint AS id, now() AS created_at")
    database.login("job")
    for name, said in (("core.events", "is not a table"), ("core.missing", "there is no table")):
        target = TableTarget(
            policy="audit-logs", table=TableSettings(table=name), floor_days=90, register=True
        )
        with psycopg.connect(database.dsn) as owner, pytest.raises(ConfigurationError, match=said):
            migrate(owner, (target,), job_role=database.role("job"))


@pytest.mark.parametrize("name", ["events", "core.events; DROP TABLE x", 'core."x"', "a.b.c", "core."])
def test_a_name_that_is_no_table_is_refused_by_the_settings(name):
    with pytest.raises(ValueError, match=r"schema\.table"):
        TableSettings(table=name)
