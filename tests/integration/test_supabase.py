"""Security events: Supabase's own table over a DSN, and tables behind PostgREST, by the same functions."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import requests

from luxima_retention.config.settings import PaceSettings, TableSettings
from luxima_retention.core.deadline import Deadline
from luxima_retention.core.errors import StoreError
from luxima_retention.core.plan import Hold, Level
from luxima_retention.io.http import Endpoint, Http
from luxima_retention.run.migrate import migrate
from luxima_retention.stores.kind import TableTarget
from luxima_retention.stores.supabase.client import Client
from luxima_retention.stores.supabase.store import PostgrestStore
from luxima_retention.stores.table.store import TableStore
from tests.integration import conformance
from tests.integration.conformance import PROMISES
from tests.servers.command import Command
from tests.servers.postgres import Database
from tests.servers.postgrest import (
    FAULTS,
    PUBLISHABLE_KEY,
    SECRET_KEY,
    Postgrest,
    every_tenth,
    jwt,
)
from tests.servers.supabase import EVENTS, Roles, make_roles, run_project

#: as Supabase Auth makes it: no index on created_at, none can be made, another owner, row-level security
AUTH = """
CREATE SCHEMA auth;
CREATE TABLE auth.audit_log_entries (
    instance_id uuid, id uuid NOT NULL PRIMARY KEY, payload json, created_at timestamptz,
    ip_address varchar(64) NOT NULL DEFAULT '');
CREATE INDEX audit_logs_instance_id_idx ON auth.audit_log_entries (instance_id);
ALTER TABLE auth.audit_log_entries ENABLE ROW LEVEL SECURITY;
"""
ENTRIES = TableSettings(table="auth.audit_log_entries")
GENTLE = PaceSettings(duty_cycle=1, max_batch_rows=37)


@dataclass(kw_only=True)
class AuthHarness:
    """``auth.audit_log_entries``, owned by another role than the one that runs migrate."""

    database: Database
    policy: str = "security-events"
    takes_undated: bool = True

    def __post_init__(self) -> None:
        self.admin = self.database.login("admin")
        self.postgres = self.database.login("postgres", attributes="BYPASSRLS CREATEROLE")
        self.job = self.database.login("job")
        name = self.database.name
        self.database.execute(f'GRANT CREATE ON DATABASE "{name}" TO "{name}_admin", "{name}_postgres"')
        with psycopg.connect(self.admin) as admin:
            admin.execute(AUTH)
            admin.execute(f'GRANT USAGE ON SCHEMA auth TO "{name}_postgres" WITH GRANT OPTION')
            rights = "SELECT, INSERT, DELETE, TRIGGER, REFERENCES"
            admin.execute(f'GRANT {rights} ON auth.audit_log_entries TO "{name}_postgres" WITH GRANT OPTION')
        self.target = TableTarget(policy=self.policy, table=ENTRIES, floor_days=30, register=False)
        with psycopg.connect(self.postgres) as owner:
            migrate(owner, (self.target,), job_role=f"{name}_job")

    def fill(self, items):
        with psycopg.connect(self.admin) as admin:
            admin.cursor().executemany(
                "INSERT INTO auth.audit_log_entries (instance_id, id, payload, created_at)"
                " VALUES (gen_random_uuid(), %s, '{}', %s)",
                [(name_of(item.name), item.at) for item in items],
            )

    def names(self):
        rows = self.database.execute("SELECT id::text FROM auth.audit_log_entries")
        return {int(row[0][-12:]) for row in rows}

    def open(self, *, read_only=False):
        return TableStore(self.job, self.target, GENTLE, read_only=read_only)


def name_of(number):
    return f"00000000-0000-0000-0000-{number:012d}"


@pytest.fixture
def auth(database):
    return AuthHarness(database=database)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_supabases_own_table_keeps_every_promise(auth, promise):
    promise(auth if promise is not conformance.the_oldest_go_first else InOrder(auth))


class InOrder:
    """One pass over pages takes the oldest first where they were written in order."""

    def __init__(self, auth):
        self._auth = auth
        self.policy, self.takes_undated = auth.policy, auth.takes_undated
        self.names, self.open = auth.names, auth.open

    def fill(self, items):
        self._auth.fill(sorted(items, key=lambda item: item.at))


def test_a_held_range_of_supabases_own_table_stays(auth):
    start = datetime.now(UTC) - timedelta(days=150)
    hold = Hold(hold_id="H-2", start=start, end=start + timedelta(days=30))
    conformance.held_records_stay(auth, hold, lambda item: start <= item.at < start + timedelta(days=30))


# --- PostgREST ------------------------------------------------------------------------------------------


def reached(url):
    return Http(Endpoint(url=url, setting="supabase.url", options="supabase.http"))


@dataclass(kw_only=True)
class RestHarness:
    """``app.security_events`` behind the strict stand-in."""

    database: Database
    roles: Roles
    url: str
    double: Postgrest
    key: str = SECRET_KEY
    policy: str = "security-events"
    takes_undated: bool = False

    def fill(self, items):
        with psycopg.connect(self.database.dsn) as owner:
            owner.cursor().executemany(
                "INSERT INTO app.security_events (id, occurred_at, kind) VALUES (%s, %s, 'login')",
                [(name_of(item.name), item.at) for item in items],
            )

    def names(self):
        return {
            int(row[0][-12:]) for row in self.database.execute("SELECT id::text FROM app.security_events")
        }

    def open(self, *, read_only=False):
        client = Client(reached(self.url), lambda: self.key, Deadline(sleep=lambda _seconds: None))
        return PostgrestStore(client, "app.security_events")


def set_up(database, roles):
    with database.connect() as owner:
        owner.execute(EVENTS)
    table = TableSettings(table="app.security_events", time_column="occurred_at")
    target = TableTarget(
        policy="security-events", table=table, floor_days=30, register=False, rest_role=roles.service
    )
    database.login("job")
    with psycopg.connect(database.dsn) as owner:
        migrate(owner, (target,), job_role=database.role("job"))


@pytest.fixture
def rest(database):
    roles = make_roles(database)
    set_up(database, roles)
    with run_project(database, roles) as (double, url):
        yield RestHarness(database=database, roles=roles, url=f"{url}/rest/v1", double=double)
        assert double.violations == []


#: one call commits by itself: there is nothing to roll back, and a staged batch is only an upper bound
REST_PROMISES = [
    promise for promise in PROMISES if promise is not conformance.what_is_rolled_back_is_as_it_was
]


@pytest.mark.parametrize("promise", REST_PROMISES, ids=lambda promise: promise.__name__)
def test_a_table_behind_postgrest_keeps_every_promise(rest, promise, monkeypatch):
    monkeypatch.setattr(conformance, "carry_out", carry_out_over_rest)
    promise(rest)


def carry_out_over_rest(store, plan, doing):
    total = 0
    for batch in store.batches(plan, doing):
        assert batch.stage(None).items <= plan.items - total
        total += batch.commit().items
    return total


def test_a_held_range_behind_postgrest_stays(rest, monkeypatch):
    monkeypatch.setattr(conformance, "carry_out", carry_out_over_rest)
    start = datetime.now(UTC) - timedelta(days=150)
    hold = Hold(hold_id="H-2", start=start, end=start + timedelta(days=30))
    conformance.held_records_stay(rest, hold, lambda item: start <= item.at < start + timedelta(days=30))


def test_every_row_behind_postgrest_explains_itself(rest):
    conformance.every_record_explains_itself(rest, name_of)


@pytest.mark.parametrize("fault", [*FAULTS, "every tenth"])
def test_lost_answers_and_refusals_delete_exactly_what_was_planned(rest, fault, monkeypatch):
    monkeypatch.setattr("luxima_retention.stores.supabase.store.FIRST_BATCH", 100)
    monkeypatch.setattr("luxima_retention.stores.supabase.store.LARGEST_BATCH", 100)
    items = conformance.some(1500)
    rest.fill(items)
    store = rest.open()
    _, plan = conformance.planned(rest, store)
    rest.double.faults = (
        every_tenth if fault == "every tenth" else lambda number: fault if number % 4 == 0 else None
    )
    assert carry_out_over_rest(store, plan, conformance.work()) == plan.items
    assert rest.double.injected
    assert rest.names() == conformance.expected(items, plan.cutoff)
    trims = [arguments["p_batch"] for name, arguments in rest.double.calls if name.startswith("trim_")]
    assert sorted(set(trims)) == list(range(1, max(trims) + 1))


def test_the_legacy_key_works_in_its_own_header(rest):
    rest.key = jwt(rest.roles.service)
    rest.fill(conformance.some(50))
    store = rest.open()
    _, plan = conformance.planned(rest, store)
    assert carry_out_over_rest(store, plan, conformance.work()) == plan.items > 0


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (PUBLISHABLE_KEY, "permission denied"),
        ("sb_secret_wrong", "Invalid API key"),
        ("not.a.jwt", "JWS"),
        (jwt("service_role", secret=b"another-secret-of-at-least-32-bytes"), "JWSInvalidSignature"),
        (jwt("service_role", expires=1.0), "JWT expired"),
    ],
)
def test_a_key_that_may_not_is_an_error_with_its_sentence(rest, key, said):
    rest.key = key
    with pytest.raises(StoreError, match=said) as caught:
        rest.open().identity()
    assert key not in f"{caught.value.message}{caught.value.hint}"


def test_both_transports_name_the_same_store(rest):
    table = TableSettings(table="app.security_events", time_column="occurred_at")
    target = TableTarget(policy="security-events", table=table, floor_days=30, register=False)
    direct = TableStore(rest.database.dsn, target, GENTLE, read_only=True)
    assert rest.open().identity().fingerprint == direct.identity().fingerprint
    direct.close()


def test_the_keys_role_reaches_the_functions_and_nothing_else(rest):
    rest.fill(conformance.some(20))
    headers = {"apikey": SECRET_KEY, "Content-Profile": "retention_api", "Accept-Profile": "retention_api"}
    for method, path in (
        ("GET", "security_events"),
        ("DELETE", "security_events?occurred_at=lt.2030-01-01"),
        ("POST", "rpc/prune_app_security_events"),
        ("POST", "rpc/batch_end"),
    ):
        answer = requests.request(method, f"{rest.url}/{path}", headers=headers, json={}, timeout=10)
        assert answer.status_code >= 400, (method, path, answer.text)
    assert len(rest.names()) == 20


def test_the_floor_holds_over_https_too(rest):
    rest.fill(conformance.some(50))
    store = rest.open()
    _, plan = conformance.planned(rest, store)
    younger = replace(plan, cutoff=datetime.now(UTC) - timedelta(days=5))
    with pytest.raises(StoreError, match="younger than the floor"):
        carry_out_over_rest(store, younger, conformance.work())
    assert len(rest.names()) == 50


def test_an_archive_needs_the_other_transport(rest):
    client = Client(reached(rest.url), lambda: SECRET_KEY)
    store = PostgrestStore(client, "app.security_events", archives=True)
    found = store.preflight(conformance.request_of(rest, store))
    assert [(item.code, item.level) for item in found if item.level is Level.REFUSE] == [
        ("archive-needs-dsn", Level.REFUSE)
    ]


#: what a client might do, and what it would have done in earnest: the stand-in must refuse each
WRONG_CLIENTS = [
    ("DELETE", "app/security_events?occurred_at=lt.2030-01-01&limit=10&order=id", {}, "every match would go"),
    ("DELETE", "security_events?occurred_at=lt.2030-01-01&limit=10", {}, "every match would go"),
    ("DELETE", "security_events", {}, "WHERE clause"),
    ("DELETE", "security_events?id=eq.1", {"Prefer": "tx=rollback"}, "commits"),
    ("DELETE", "security_events?id=eq.1", {"Prefer": "max-affected=1"}, "limits nothing"),
    ("POST", "rpc/trim_app_security_events", {"Prefer": "tx=rollback"}, "commits"),
    ("POST", "rpc/trim_app_security_events", {"Authorization": f"Bearer {SECRET_KEY}"}, "no JWT"),
    ("POST", "rpc/trim_app_security_events", {"User-Agent": "Mozilla/5.0"}, "browser"),
    ("POST", "rpc/trim_app_security_events", {"apikey": ""}, "No API key"),
    ("POST", "rpc/trim_app_security_events", {"Content-Profile": "secret"}, "Invalid schema"),
    ("POST", "rpc/trim_app_security_events", {"Prefer": "handling=strict, wrong=1"}, "Invalid preferences"),
    ("PUT", "rpc/trim_app_security_events", {}, "Only GET, HEAD and POST"),
    ("POST", "rpc/no_such_function", {}, "Could not find the function"),
]


@pytest.mark.parametrize(("method", "path", "headers", "said"), WRONG_CLIENTS)
def test_the_stand_in_refuses_every_wrong_client(database, method, path, headers, said):
    roles = make_roles(database)
    set_up(database, roles)
    given = {"apikey": SECRET_KEY, "Content-Profile": "retention_api", **headers}
    with run_project(database, roles) as (_, url):
        answer = requests.request(method, f"{url}/rest/v1/{path}", headers=given, json={}, timeout=10)
    assert answer.status_code >= 400
    assert said in answer.text


def test_a_real_run_over_https_with_its_ledger_elsewhere(rest, postgres, tmp_path):
    """The command itself: intent and result for each call, in a file ledger."""
    items = conformance.some(300)
    rest.fill(items)
    run = Command(
        variables={
            "LUXIMA_LEDGER__PATH": str(tmp_path / "ledger.jsonl"),
            "LUXIMA_POLICIES__SECURITY_EVENTS__KIND": "supabase",
            "LUXIMA_POLICIES__SECURITY_EVENTS__URL": rest.url,
            "LUXIMA_POLICIES__SECURITY_EVENTS__KEY": SECRET_KEY,
            "LUXIMA_POLICIES__SECURITY_EVENTS__TABLES": json.dumps(
                [{"table": "app.security_events", "time_column": "occurred_at"}]
            ),
            "LUXIMA_POLICIES__SECURITY_EVENTS__MAX_FRACTION": "1",
        }
    )
    planned = run.json("run", "security-events", "--dry-run")["policies"][0]["targets"][0]
    done = run.json("run", "security-events")["policies"][0]["targets"][0]
    assert done["done"]["destroyed"] == planned["plan"]["items"] > 50
    assert rest.names() == conformance.expected(items, datetime.fromisoformat(done["plan"]["cutoff"]))
    assert run("ledger", "verify").returncode == 0
    listed = run("ledger", "list").stdout
    assert "state=intent" in listed
    assert "state=result" in listed
    assert SECRET_KEY not in listed + (tmp_path / "ledger.jsonl").read_text()
