"""Security events in another database than the ledger: announced, done, reported, whatever comes between."""

from __future__ import annotations

import json
import signal

import pytest

from tests.servers.command import Command, audit_log

EVENTS = """
CREATE SCHEMA app;
CREATE TABLE app.security_events (id bigint PRIMARY KEY, occurred_at timestamptz NOT NULL, tenant text);
CREATE INDEX ON app.security_events (occurred_at, id);
INSERT INTO app.security_events
SELECT n, now() - n * interval '3 hours', 't' || n % 5 FROM generate_series(1, 1500) n;
CREATE TABLE app.logins (id bigint PRIMARY KEY, occurred_at timestamptz NOT NULL, tenant text);
INSERT INTO app.logins SELECT n, now() - n * interval '3 hours', 't' || n % 5 FROM generate_series(1, 1500) n;
"""
EXPIRED = "SELECT count(*) FROM {} WHERE occurred_at < date_trunc('day', now(), 'UTC') - interval '90 days'"


@pytest.fixture
def both(database, postgres):
    """The database of ledger and holds, the other one of the events, and the command that knows both."""
    run = audit_log(database, rows=10)
    with postgres.database() as events:
        with events.connect() as owner:
            owner.execute(EVENTS.encode())
        tables = [
            {"table": name, "time_column": "occurred_at", "tenant_column": "tenant"}
            for name in ("app.security_events", "app.logins")
        ]
        run.variables |= {
            "LUXIMA_DATABASES__SUPABASE__DSN": events.login("job"),
            "LUXIMA_DATABASES__SUPABASE__JOB_ROLE": events.role("job"),
            "LUXIMA_POLICIES__SECURITY_EVENTS__TABLES": json.dumps(tables),
            "LUXIMA_POLICIES__SECURITY_EVENTS__MAX_FRACTION": "0.9",
            "LUXIMA_PACE__MAX_BATCH_ROWS": "200",
        }
        done = run("migrate", LUXIMA_DATABASES__SUPABASE__OWNER_DSN=events.dsn)
        assert done.returncode == 0, done.stderr
        yield run, events


def expired(events, table="app.security_events"):
    return events.execute(EXPIRED.format(table))[0][0]


def entries(run, kind):
    lines = run("ledger", "list", "--output", "json").stdout.splitlines()
    return [entry["body"] for entry in map(json.loads, lines) if entry["kind"] == kind]


def test_each_table_has_its_own_plan_and_the_ledger_knows_both_ends_of_each_batch(both):
    run, events = both
    assert (
        run("hold", "add", "--policy", "security-events", "--tenant", "t1", "--reason", "case").returncode
        == 0
    )
    document = run.json("run", "security-events")
    assert [target["outcome"] for target in document["policies"][0]["targets"]] == ["done", "done"]
    for table in ("app.security_events", "app.logins"):
        held = events.execute(f"{EXPIRED.format(table)} AND tenant = 't1'")[0][0]
        assert expired(events, table) == held > 100
    states = [body["state"] for body in entries(run, "batch")]
    assert states.count("intent") == states.count("result") == len(states) / 2 > 4
    assert run("ledger", "verify").returncode == 0


@pytest.mark.parametrize(
    "place", ["act.before_commit", "table.before_commit", "table.after_commit", "act.after_commit"]
)
def test_killed_between_intent_and_result_the_next_run_knows_what_happened(both, place):
    run, events = both
    before = expired(events)
    killed = run("run", "security-events", LUXIMA_FAILPOINTS=f"{place}=kill@2")
    assert killed.returncode == -signal.SIGKILL
    gone = before - expired(events)
    done = run.json("run", "security-events")["policies"][0]["targets"][0]
    assert (done["resumed"], done["outcome"]) == (True, "done")
    assert done["done"]["destroyed"] == before - gone
    assert expired(events) == 0
    assert expired(events, "app.logins") == 0
    assert run("ledger", "verify").returncode == 0


def test_doctor_and_dry_run_say_what_is_missing(database, postgres):
    run = audit_log(database, rows=10)
    with postgres.database() as events:
        with events.connect() as owner:
            owner.execute(EVENTS.encode())
        run.variables |= {
            "LUXIMA_DATABASES__SUPABASE__DSN": events.dsn,
            "LUXIMA_POLICIES__SECURITY_EVENTS__TABLES": json.dumps(
                [{"table": "app.logins", "time_column": "occurred_at"}]
            ),
        }
        done = run("doctor")
        assert done.returncode == 4
        assert "app.logins has no batch function yet" in done.stdout
        planned = run("run", "security-events", "--dry-run")
        assert (planned.returncode, "would refuse" in planned.stdout) == (0, True)


EVENTS_POLICY = "LUXIMA_POLICIES__SECURITY_EVENTS__"


def over_https(**values):
    given = {"KIND": "supabase", "TABLES": "app.a", **values}
    return {f"{EVENTS_POLICY}{name}": value for name, value in given.items()}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LUXIMA_DATABASES__SUPABASE__DSN": "host=x"}, "policies.security-events.tables is not set"),
        ({f"{EVENTS_POLICY}KIND": "supabase", f"{EVENTS_POLICY}URL": "https://x"}, "neither tables nor"),
        ({f"{EVENTS_POLICY}URL": "https://x"}, "url (environment) is not a setting"),
        (over_https(URL="https://x"), "key is required"),
        (over_https(URL="https://u:p@x"), "credentials"),
        (over_https(URL="https://x", KEY="k", MANAGEMENT_HTTP__BEARER_TOKEN="t"), "https://REF.supabase.co"),
        ({f"{EVENTS_POLICY}TABLES": "events"}, "schema.table"),
    ],
)
def test_settings_that_cannot_work_are_refused(variables, said):
    done = Command(variables=variables)("run", "security-events")
    assert done.returncode == 2
    assert said in done.stderr
