"""The main job as a user meets it: exit status, what is printed, and what is left in the table."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.servers.command import TABLE, audit_log
from tests.servers.process import wait_until
from tests.servers.programs import faketime_library

EXPIRED = "SELECT count(*) FROM core.audit_log WHERE created_at < %s"


def cutoff():
    """Asked anew each time: a test run may last past midnight."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=180)


def left(database, where="true"):
    return database.execute(f"SELECT count(*) FROM core.audit_log WHERE {where}")[0][0]


def expired(database):
    return database.execute(EXPIRED, cutoff())[0][0]


def target(document):
    (policy,) = document["policies"]
    (found,) = policy["targets"]
    return found


def test_the_dry_run_counts_what_the_real_run_deletes(database):
    run = audit_log(database)
    assert run("hold", "add", "--policy", "audit-logs", "--tenant", "t3", "--reason", "case").returncode == 0
    before = expired(database)
    held = database.execute(f"{EXPIRED} AND tenant = 't3'", cutoff())[0][0]
    planned = target(run.json("run", "audit-logs", "--dry-run"))
    assert planned["outcome"] == "would_delete"
    assert (planned["plan"]["items"], planned["plan"]["held"]) == (before - held, held)
    assert left(database) == 8760

    done = target(run.json("run", "audit-logs"))
    assert done["done"]["destroyed"] == planned["plan"]["items"]
    assert done["plan"]["digest"] == planned["plan"]["digest"]
    assert expired(database) == held == left(database, f"tenant = 't3' AND created_at < '{cutoff()}'")
    assert left(database) == 8760 - done["done"]["destroyed"]
    assert done["proof"] == {**done["proof"], "left": 0, "unexplained": 0}

    again = target(run.json("run", "audit-logs"))
    assert (again["outcome"], again["done"]["destroyed"]) == ("nothing_to_do", 0)
    assert run("ledger", "verify").returncode == 0


FAILPOINTS = [
    "lease.after_take",
    "engine.after_intent",
    "table.before_delete@2",
    "table.after_delete@2",
    "act.before_seal@2",
    "archive.before_upload@2",
    "archive.during_upload@2",
    "archive.after_upload@2",
    "act.before_entry@2",
    "act.before_commit@2",
    "table.before_commit@2",
    "table.after_commit@2",
    "act.after_commit@2",
    "engine.after_act",
    "engine.after_proof",
    "archive.before_manifest",
    "ledger.before_checkpoint",
    "ledger.before_checkpoint@3",
]


@pytest.mark.parametrize("place", FAILPOINTS)
def test_killed_anywhere_and_run_again_the_end_is_the_same(database, tmp_path, place):
    """Never a row gone without its verified archive and its entry, and nothing goes twice."""
    run = audit_log(database, rows=6000)
    (tmp_path / "archive").mkdir()
    run.variables |= {
        "LUXIMA_ARCHIVE__URL": f"file://{tmp_path}/archive",
        "LUXIMA_ARCHIVE__RETENTION_DAYS": "365",
        "LUXIMA_LEDGER__KEY_FILE": str(tmp_path / "key.pem"),
        "LUXIMA_PACE__MAX_BATCH_ROWS": "400",
    }
    assert run("ledger", "keygen").returncode == 0
    assert run("hold", "add", "--tenant", "t3", "--policy", "audit-logs", "--reason", "case").returncode == 0
    going = database.execute(
        f"SELECT id FROM core.audit_log WHERE created_at < '{cutoff()}' AND tenant <> 't3'"
    )
    name, _, count = place.partition("@")
    armed = f"{name}=kill@{count or 1}"
    killed = run("run", "audit-logs", LUXIMA_FAILPOINTS=armed)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr

    rest = target(run.json("run", "audit-logs"))
    assert expired(database) == left(database, f"tenant = 't3' AND created_at < '{cutoff()}'")
    assert left(database) == 6000 - len(going)
    batches = [entry["body"] for entry in entries(run) if entry["kind"] == "batch"]
    assert sum(body["items"] for body in batches if body["state"] == "done") == len(going)
    assert rest["proof"] is None or rest["proof"]["unexplained"] == 0
    assert run("ledger", "verify").returncode == 0
    assert run("archive", "verify").returncode == 0
    archives = json.loads(run("archive", "list", "--output", "json").stdout)["archives"]
    assert sum(archive["items"] for archive in archives) == len(going)


def entries(run):
    lines = run("ledger", "list", "--output", "json").stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_two_at_once_one_works_and_the_other_says_so(database):
    run = audit_log(database)
    slow = run.start("run", "audit-logs", LUXIMA_FAILPOINTS="table.after_delete=sleep:10@1")
    assert wait_until(lambda: locks(database) == 1)
    second = run("run", "audit-logs")
    assert second.returncode == 5, second.stdout
    assert "another run holds the lease" in second.stdout
    slow.communicate(timeout=300)
    assert slow.returncode == 0
    assert expired(database) == 0


def test_a_killed_run_blocks_nobody(database):
    run = audit_log(database)
    slow = run.start("run", "audit-logs", LUXIMA_FAILPOINTS="table.after_delete=sleep:60@1")
    assert wait_until(lambda: locks(database) == 1)
    slow.kill()
    slow.communicate(timeout=300)
    assert wait_until(lambda: locks(database) == 0)
    assert target(run.json("run", "audit-logs"))["outcome"] == "done"
    assert expired(database) == 0


def locks(database):
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1280664910 AND granted"
    return database.execute(query)[0][0]


def test_sigterm_finishes_the_batch_and_the_next_run_goes_on(database):
    run = audit_log(database)
    run.variables |= {"LUXIMA_PACE__MAX_BATCH_ROWS": "500"}
    stopped = run("run", "audit-logs", LUXIMA_FAILPOINTS="act.after_commit=term@2")
    assert stopped.returncode == 7, stopped.stdout + stopped.stderr
    assert "remain for the next run" in stopped.stdout
    backlog = expired(database)
    assert 0 < backlog < 4400
    assert target(run.json("run", "audit-logs"))["done"]["destroyed"] == backlog
    assert expired(database) == 0


def test_a_time_budget_stops_in_good_order(database):
    run = audit_log(database)
    run.variables |= {"LUXIMA_PACE__MAX_BATCH_ROWS": "100"}
    stopped = run("run", "audit-logs", "--max-runtime", "1s", LUXIMA_FAILPOINTS="act.after_commit=sleep:0.2")
    assert stopped.returncode == 7
    assert expired(database) > 0


def test_a_backlog_is_named_once_and_then_drained_by_cronjobs(database):
    run = audit_log(database, rows=17520)
    del run.variables["LUXIMA_POLICIES__AUDIT_LOGS__MAX_FRACTION"]
    run.variables |= {"LUXIMA_PACE__MAX_BATCH_ROWS": "500"}
    first = run("run", "audit-logs")
    assert first.returncode == 4
    assert "--max-fraction 0.76" in first.stdout
    assert expired(database) > 13000
    named = run("run", "audit-logs", "--max-fraction", "0.76", LUXIMA_FAILPOINTS="act.after_commit=term@3")
    assert named.returncode == 7
    remains = expired(database)
    for _ in range(3):
        again = run("run", "audit-logs", LUXIMA_FAILPOINTS="act.after_commit=term@4")
        assert again.returncode == 7, again.stdout
        assert expired(database) < remains
        remains = expired(database)
    assert run("run", "audit-logs").returncode == 0
    assert expired(database) == 0


def test_a_clock_a_year_ahead_is_refused(database):
    run = audit_log(database)
    done = run("run", "audit-logs", LD_PRELOAD=faketime_library(), FAKETIME="+365d")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "clock-skew" in done.stdout
    assert left(database) == 8760


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LUXIMA_POLICIES__AUDIT_LOGS__RETENTION_DAYS", "0"),
        ("LUXIMA_POLICIES__AUDIT_LOGS__RETENTION_DAYS", ""),
        ("LUXIMA_POLICIES__AUDIT_LOGS__RETENTION_DAYS", "-1"),
        ("LUXIMA_POLICIES__AUDIT_LOGS__RETENTION", "180"),
        ("LUXIMA_POLICY__AUDIT_LOGS__RETENTION_DAYS", "180"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(database, name, value):
    run = audit_log(database)
    done = run("run", "audit-logs", **{name: value})
    assert done.returncode == 2
    assert name.split("__")[-1].lower() in done.stderr.lower()
    assert left(database) == 8760


def test_a_shorter_period_than_the_floor_is_refused_by_the_database(database):
    run = audit_log(database)
    done = run("run", "audit-logs", LUXIMA_POLICIES__AUDIT_LOGS__RETENTION_DAYS="30")
    assert done.returncode == 4, done.stdout
    assert "below-floor" in done.stdout
    assert left(database) == 8760


def test_a_table_of_nothing_but_expired_rows_is_refused_until_the_values_are_named(database):
    run = audit_log(database)
    database.execute("DELETE FROM core.audit_log WHERE created_at > %s", cutoff() - timedelta(days=10))
    rows = left(database)
    done = run("run", "audit-logs")
    assert done.returncode == 4
    for option in ("--max-fraction 1", "--max-silence", "--min-remaining 0"):
        assert option in done.stdout
    assert left(database) == rows
    named = ("--max-fraction", "1", "--max-silence", "off", "--min-remaining", "0")
    assert run("run", "audit-logs", *named).returncode == 0
    assert left(database) == 0


def test_row_level_security_that_filters_is_an_error_not_an_empty_table(database):
    run = audit_log(database)
    with database.connect() as connection:
        connection.execute("ALTER TABLE core.audit_log ENABLE ROW LEVEL SECURITY")
        connection.execute("ALTER TABLE core.audit_log FORCE ROW LEVEL SECURITY")
    done = run("run", "audit-logs")
    assert done.returncode == 3, done.stdout
    assert "row-level security" in done.stdout
    assert left(database) == 8760


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM core.audit_log",
        "DELETE FROM core.audit_log WHERE id = 1",
        "TRUNCATE core.audit_log",
        "UPDATE core.audit_log SET created_at = '2000-01-01'",
        "DROP TABLE core.audit_log",
        "UPDATE retention.target SET floor_days = 1",
        "DELETE FROM retention.target",
        "INSERT INTO retention.target SELECT * FROM retention.target",
        "UPDATE retention.journal SET done = true",
        "DELETE FROM retention.hold",
        "UPDATE retention.hold SET tenant = 'other'",
        "UPDATE retention.ledger SET kind = 'batch'",
        "DELETE FROM retention.ledger",
        "TRUNCATE retention.ledger",
        "CREATE TABLE retention.mine (id int)",
        "SELECT retention.batch_end('core.audit_log', 9, 1, 0, NULL, NULL, NULL, NULL, NULL, true)",
        "SELECT retention.prune_core_audit_log(gen_random_uuid(), 99, now() - interval '10 days', 1, '[]')",
        "ALTER FUNCTION retention.survey_core_audit_log(timestamptz, jsonb) RESET ALL",
    ],
)
def test_the_jobs_role_can_delete_no_row_and_move_no_floor_by_itself(database, statement):
    run = audit_log(database)
    with (
        psycopg.connect(run.variables["LUXIMA_DATABASE__DSN"]) as job,
        pytest.raises(psycopg.Error) as caught,
    ):
        job.execute(statement)
    assert caught.value.sqlstate in {"42501", "LX002"}
    assert left(database) == 8760
    assert database.execute("SELECT floor_days FROM retention.target") == [(180,)]


def test_an_older_token_is_fenced_off(database):
    run = audit_log(database)
    database.execute(
        "INSERT INTO retention.lease (policy, token, holder) VALUES ('audit-logs', 50, 'elsewhere')"
        " ON CONFLICT (policy) DO UPDATE SET token = 50"
    )
    call = "SELECT retention.prune_core_audit_log(gen_random_uuid(), 49, %s, 10, '[]')"
    with (
        psycopg.connect(run.variables["LUXIMA_DATABASE__DSN"]) as job,
        pytest.raises(psycopg.Error) as caught,
    ):
        job.execute(call, [cutoff()])
    assert caught.value.sqlstate == "LX001"
    assert left(database) == 8760


def test_before_migrate_the_dry_run_counts_and_says_what_is_missing(database):
    with database.connect() as connection:
        connection.execute(TABLE.encode())
        connection.execute("INSERT INTO core.audit_log (created_at) SELECT now() - n * interval '1 day'"
                           " FROM generate_series(1, 400) n")  # fmt: skip
    from tests.servers.command import Command

    run = Command(variables={"LUXIMA_DATABASE__DSN": database.dsn})
    found = target(run.json("run", "audit-logs", "--dry-run"))
    assert found["outcome"] == "would_refuse"
    assert found["survey"]["expired"] == expired(database) > 200
    assert "not-migrated" in {guard["guard"] for guard in found["guards"]}
    assert run("run", "audit-logs").returncode == 3
    assert left(database) == 400


def test_migrate_changes_nothing_the_second_time_and_the_floor_only_rises_by_itself(database):
    run = audit_log(database)
    owner = {"LUXIMA_DATABASE__OWNER_DSN": database.dsn}
    assert run("migrate", **owner).stdout == "everything is in place\n"
    shorter = {**owner, "LUXIMA_POLICIES__AUDIT_LOGS__RETENTION_DAYS": "90"}
    assert "stays at 180" in run("migrate", **shorter).stdout
    assert database.execute("SELECT floor_days FROM retention.target") == [(180,)]
    assert run("migrate", "--lower-floor", **shorter).returncode == 0
    assert database.execute("SELECT floor_days FROM retention.target") == [(90,)]
    changed = [entry["body"] for entry in entries(run) if entry["kind"] == "floor.changed"]
    assert changed == [{"before": 180, "after": 90, "target": "core.audit_log", "version": 1}]


def test_explain_names_the_rule_and_the_date(database):
    run = audit_log(database)
    run("hold", "add", "--policy", "audit-logs", "--tenant", "t0", "--reason", "case")
    goes = run.json("explain", "audit-logs", "8751")
    assert (goes["verdict"], goes["rule"]) == ("goes", "expired")
    assert run.json("explain", "audit-logs", "8750")["rule"] == "hold"
    younger = run.json("explain", "audit-logs", "1")
    assert younger["rule"] == "younger"
    due = datetime.fromisoformat(younger["due"])
    assert timedelta(days=180) < due - datetime.fromisoformat(younger["dated"]) <= timedelta(days=181)
    assert run("explain", "audit-logs", "999999").returncode == 3


def test_a_composite_key_is_explained_by_all_its_values_and_a_comma_needs_quotes(database):
    table = TABLE.replace("PRIMARY KEY", "UNIQUE").replace(
        "tenant text", "tenant text, PRIMARY KEY (tenant, id)"
    )
    run = audit_log(database, rows=10, table=table)
    database.execute("UPDATE core.audit_log SET tenant = 'a,' || tenant")
    run.variables = {**run.variables, "LUXIMA_AUDIT_LOG__KEY_COLUMNS": "tenant,id"}
    assert run("migrate", LUXIMA_DATABASE__OWNER_DSN=database.dsn).returncode == 0
    assert run.json("explain", "audit-logs", '"a,t3",3')["rule"] == "younger"
    done = run("explain", "audit-logs", "a,t3,3")
    assert done.returncode == 2
    assert "its columns are tenant, id" in done.stderr


ROLE_SETTINGS = (
    "datestyle = 'German'",
    "timezone = 'America/New_York'",
    "standard_conforming_strings = off",
    "client_encoding = 'LATIN1'",
    "default_transaction_isolation = 'serializable'",
    "search_path = 'nowhere'",
    "quote_all_identifiers = on",
)


def test_what_a_role_sets_for_everybody_changes_no_figure(database):
    run = audit_log(database, rows=0, own=True)
    database.execute("ALTER TABLE core.audit_log ALTER tenant TYPE uuid USING NULL")
    database.execute(
        "INSERT INTO core.audit_log (created_at, tenant) SELECT now() - interval '1 year',"
        " ('00000000-0000-0000-0000-00000000000' || to_hex(10 + n % 2))::uuid FROM generate_series(1, 100) n"
    )
    for setting in ROLE_SETTINGS:
        for role in (database.role("job"), database.owner):
            database.execute(f'ALTER ROLE "{role}" SET {setting}')
    assert run("migrate", LUXIMA_DATABASE__OWNER_DSN=database.dsn).returncode == 0
    spelled = "{0000000000000000000000000000000A}"
    done = run("hold", "add", "--policy", "audit-logs", "--tenant", spelled, "--reason", "case")
    assert done.returncode == 0, done.stderr
    more = {
        "LUXIMA_POLICIES__AUDIT_LOGS__MIN_REMAINING": "0",
        "LUXIMA_POLICIES__AUDIT_LOGS__MAX_SILENCE": "999d",
    }
    done = target(run.json("run", "audit-logs", "--max-fraction", "1", **more))
    assert (done["done"]["destroyed"], done["plan"]["held"], left(database)) == (50, 50, 50)
    assert run("ledger", "verify").returncode == 0


@pytest.mark.parametrize(("tenant", "said"), [("", "is empty"), ("\udcff", "not text in UTF-8")])
def test_a_hold_on_nobody_is_refused(database, tenant, said):
    run = audit_log(database, rows=1)
    done = run("hold", "add", "--policy", "audit-logs", "--tenant", tenant, "--reason", "case")
    assert done.returncode == 2
    assert said in done.stderr


def test_a_hold_by_what_is_not_mapped_is_refused_when_it_is_placed(database):
    run = audit_log(database)
    done = run("hold", "add", "--policy", "audit-logs", "--subject", "user-1", "--reason", "case")
    assert done.returncode == 2
    assert "subject" in done.stderr
    assert json.loads(run("hold", "list", "--output", "json").stdout)["holds"] == []


def test_a_hold_that_is_released_deletes_nothing_by_itself(database):
    run = audit_log(database)
    run("hold", "add", "--policy", "audit-logs", "--reason", "case", "--id", "H-1")
    paused = run("run", "audit-logs")
    assert (paused.returncode, "paused by hold H-1" in paused.stdout) == (0, True)
    assert run("hold", "release", "H-1", "--reason", "over").returncode == 0
    assert left(database) == 8760
    assert run("hold", "release", "H-1", "--reason", "over").returncode == 2
    assert run("run", "audit-logs").returncode == 0
    assert expired(database) == 0


def test_a_saved_plan_is_applied_on_its_terms(database, tmp_path):
    run = audit_log(database)
    plan = tmp_path / "plan.json"
    assert run("run", "audit-logs", "--dry-run", "--save-plan", str(plan)).returncode == 0
    database.execute("INSERT INTO core.audit_log (created_at) VALUES (now() - interval '300 days')")
    before = expired(database)
    done = target(run.json("run", "--plan", str(plan)))
    assert done["done"]["destroyed"] == before - 1
    assert done["proof"]["explained"] == {"beyond-plan": 1}
    text = plan.read_text().replace('"items": ', '"items": 1')
    plan.write_text(text)
    assert run("run", "--plan", str(plan)).returncode == 2


def test_results_go_to_stdout_and_logs_to_stderr_without_secrets(database):
    run = audit_log(database)
    done = run("run", "audit-logs", "--output", "json")
    json.loads(done.stdout)
    for line in done.stderr.splitlines():
        assert json.loads(line)["event"]
    bad = run("run", "audit-logs", LUXIMA_DATABASE__DSN="postgresql://u:hunter2@127.0.0.1:1/x")
    assert bad.returncode == 3
    assert "hunter2" not in bad.stdout + bad.stderr


def test_doctor_reaches_everything_and_changes_nothing(database):
    run = audit_log(database)
    done = run("doctor", "--output", "json")
    assert done.returncode == 0, done.stdout
    subjects = {check["subject"] for check in json.loads(done.stdout)["checks"]}
    assert {"ledger", "holds", "audit-logs core.audit_log"} <= subjects
    assert left(database) == 8760


def test_without_anything_configured_nothing_begins():
    from tests.servers.command import Command

    done = Command()("run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no policy is configured" in done.stderr


def test_placing_a_hold_tells_how_many_records_it_keeps_and_warns_at_none(database):
    run = audit_log(database)
    place = ("hold", "add", "--policy", "audit-logs", "--reason", "case", "--tenant")
    told = run(*place, "t3")
    assert "core.audit_log: keeps 876 records now" in told.stdout
    assert "warning" not in told.stderr
    misspelt = run(*place, "T3")
    assert misspelt.returncode == 0
    assert "keeps no record now" in misspelt.stderr
