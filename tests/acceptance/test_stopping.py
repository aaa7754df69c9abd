"""A real run against servers that send a byte now and then: it ends when it should, with its exit code."""

from __future__ import annotations

import signal
import time
from dataclasses import replace

import pytest

from luxima_retention.core.deadline import IN_HAND
from tests.servers import hostile
from tests.servers.command import Command, audit_log
from tests.servers.hostile import run_hostile

#: Seconds that a command needs besides what it is told to take; for a loaded machine.
SLACK = 20


S3 = {
    "LUXIMA_S3__DEFAULT__ACCESS_KEY_ID": "someone",
    "LUXIMA_S3__DEFAULT__SECRET_ACCESS_KEY": "a secret of a test",
    "LUXIMA_S3__DEFAULT__REGION": "us-east-1",
}


def loki(directory, **more):
    """A Loki of which only the bucket is asked."""
    return Command(
        variables={
            "LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS": "logs",
            "LUXIMA_LEDGER__PATH": str(directory / "ledger.jsonl"),
            **S3,
            **more,
        }
    )


def timed(run, *arguments, **more):
    began = time.monotonic()
    return run(*arguments, **more), time.monotonic() - began


def wait_for(database, question, process):
    """Until the database answers with something but nothing; the process is at work meanwhile."""
    while not database.execute(question)[0][0]:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def told_to_stop(process):
    """SIGTERM: the exit code, what was said, and how many seconds the end took."""
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    out, errors = process.communicate(timeout=300)
    return process.returncode, out + errors, time.monotonic() - began


WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
STARTED = "SELECT count(*) FROM retention.ledger WHERE kind = 'run.started'"


@pytest.mark.parametrize("sender", [hostile.DRIPPING_HEAD, hostile.DRIPPING_BODY])
def test_the_time_budget_ends_a_check_of_a_dripping_prometheus(sender):
    with run_hostile(sender) as url:
        run = Command(variables={"LUXIMA_PROMETHEUS__URLS": url, "LUXIMA_PROMETHEUS__HTTP__TIMEOUT": "100"})
        done, seconds = timed(run, "run", "metrics", "--max-runtime", "2s")
    assert done.returncode == 7, done.stdout + done.stderr
    assert "time budget is used up" in done.stdout
    assert seconds < 2 + SLACK


def test_sigterm_ends_a_check_of_a_silent_prometheus():
    with run_hostile(hostile.silent) as url:
        run = Command(variables={"LUXIMA_PROMETHEUS__URLS": url, "LUXIMA_PROMETHEUS__HTTP__TIMEOUT": "100"})
        with run.start("--log-level", "info", "run", "metrics") as process:
            time.sleep(3)
            code, said, seconds = told_to_stop(process)
    assert code == 7, said
    assert seconds < SLACK


def test_a_request_s_own_limit_ends_it_and_is_no_verdict():
    with run_hostile(hostile.DRIPPING_BODY) as url:
        run = Command(variables={"LUXIMA_PROMETHEUS__URLS": url, "LUXIMA_PROMETHEUS__HTTP__TIMEOUT": "1"})
        done, seconds = timed(run, "run", "metrics")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "no whole answer within 1 s" in done.stdout
    assert seconds < 1 + SLACK


def test_receivers_of_telemetry_that_drip_get_their_budget_together(database):
    run = audit_log(database, rows=100)
    with run_hostile(hostile.DRIPPING_BODY) as url:
        variables = {"LUXIMA_TELEMETRY__PUSHGATEWAY_URL": url, "LUXIMA_TELEMETRY__OTLP_URL": url}
        began = time.monotonic()
        done = run.json("run", "audit-logs", **variables)
        seconds = time.monotonic() - began
    assert done["exit_code"] == 0
    assert done["warnings"]
    assert all("was left behind" in warning for warning in done["warnings"])
    assert seconds < 2 + SLACK


def test_a_time_budget_counts_for_postgrest_and_its_retries():
    with run_hostile(hostile.DRIPPING_HEAD) as url:
        run = Command(
            variables={
                "LUXIMA_POLICIES__SECURITY_EVENTS__KIND": "supabase",
                "LUXIMA_POLICIES__SECURITY_EVENTS__URL": url,
                "LUXIMA_POLICIES__SECURITY_EVENTS__KEY": "sb_secret_of_a_test",
                "LUXIMA_POLICIES__SECURITY_EVENTS__TABLES": "app.security_events",
                "LUXIMA_POLICIES__SECURITY_EVENTS__HTTP__TIMEOUT": "1",
            }
        )
        done, seconds = timed(run, "run", "security-events", "--dry-run", "--max-runtime", "3s")
    assert done.returncode == 7, done.stdout + done.stderr
    assert seconds < 3 + SLACK


@pytest.mark.parametrize("sender", [hostile.DRIPPING_HEAD, hostile.DRIPPING_BODY, hostile.silent])
def test_the_time_budget_counts_for_a_bucket(sender, tmp_path):
    with run_hostile(sender) as url:
        run = loki(tmp_path, LUXIMA_S3__DEFAULT__ENDPOINT_URL=url)
        done, seconds = timed(run, "run", "application-logs", "--max-runtime", "2s")
    assert done.returncode == 7, done.stdout + done.stderr
    assert seconds < 2 + IN_HAND + SLACK


def test_the_time_budget_counts_for_loki_itself(tmp_path):
    with run_hostile(hostile.DRIPPING_BODY) as url:
        run = loki(
            tmp_path,
            LUXIMA_S3__DEFAULT__ENDPOINT_URL=url,
            LUXIMA_POLICIES__APPLICATION_LOGS__URL=url,
            LUXIMA_POLICIES__APPLICATION_LOGS__HTTP__TIMEOUT="100",
        )
        done, seconds = timed(run, "run", "application-logs", "--max-runtime", "2s")
    assert done.returncode == 7, done.stdout + done.stderr
    assert seconds < 2 + SLACK


def test_the_time_budget_counts_for_tempo(tmp_path):
    (tmp_path / "luxima-retention.toml").write_text(
        '[policies.traces]\nkind = "tempo"\nretention_days = 14\nhttp = { timeout = 100 }\n'
    )
    with run_hostile(hostile.DRIPPING_HEAD) as url:
        run = Command(variables={"LUXIMA_POLICIES__TRACES__URL": url}, cwd=tmp_path)
        done, seconds = timed(run, "run", "traces", "--max-runtime", "2s")
    assert done.returncode == 7, done.stdout + done.stderr
    assert seconds < 2 + SLACK


def left(database):
    return database.execute("SELECT count(*) FROM core.audit_log")[0][0]


@pytest.mark.parametrize("sender", [hostile.DRIPPING_HEAD, hostile.silent])
def test_the_time_budget_counts_for_the_archive_and_nothing_goes(database, sender):
    run = audit_log(database)
    with run_hostile(sender) as url:
        more = {"LUXIMA_ARCHIVE__URL": "s3://archive/x", "LUXIMA_ARCHIVE__RETENTION_DAYS": "400"}
        more |= {"LUXIMA_S3__DEFAULT__ENDPOINT_URL": url, **S3}
        done, seconds = timed(run, "run", "audit-logs", "--max-runtime", "2s", **more)
    assert done.returncode == 7, done.stdout + done.stderr
    assert seconds < 2 + IN_HAND + SLACK
    assert left(database) == 8760


@pytest.mark.parametrize(
    "lock",
    [
        "LOCK TABLE core.audit_log IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE retention.ledger IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE retention.hold IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE retention.lease IN ACCESS EXCLUSIVE MODE",
        "SELECT pg_advisory_xact_lock(1280664909, 1)",  # the ledger's head
    ],
    ids=["table", "ledger", "holds", "lease", "head"],
)
def test_the_time_budget_counts_for_every_lock(database, lock):
    run = audit_log(database)
    with database.connect(autocommit=False) as somebody:
        somebody.execute(lock)
        done, seconds = timed(run, "run", "audit-logs", "--max-runtime", "2s")
        somebody.rollback()
    assert done.returncode == 7, done.stdout + done.stderr
    assert seconds < 2 + IN_HAND + SLACK
    assert left(database) == 8760
    assert run("run", "audit-logs").returncode == 0


def test_sigterm_ends_a_run_that_waits_for_a_lock(database):
    run = audit_log(database)
    with database.connect(autocommit=False) as somebody:
        somebody.execute("LOCK TABLE core.audit_log IN ACCESS EXCLUSIVE MODE")
        with run.start("run", "audit-logs") as process:
            wait_for(database, WAITING, process)
            code, said, seconds = told_to_stop(process)
    assert code == 7, said
    assert seconds < IN_HAND + SLACK
    assert left(database) == 8760


def test_a_database_that_accepts_and_says_nothing_is_waited_for_as_long_as_there_is_time():
    with run_hostile(hostile.silent) as url:
        host, port = url.removeprefix("http://").split(":")
        run = Command(
            variables={"LUXIMA_DATABASE__DSN": f"host={host} port={port} dbname=x user=x sslmode=disable"}
        )
        done, seconds = timed(run, "run", "audit-logs", "--max-runtime", "2s")
    assert done.returncode == 7, done.stdout + done.stderr
    assert seconds < 2 + SLACK


@pytest.fixture
def behind(postgres_factory):
    """A database whose standby replays nothing any more, and a run that would wait for it."""
    server = postgres_factory()
    with server.database() as database:
        run = audit_log(database, own=True)
        server.execute(f"GRANT pg_monitor TO {database.role('job')}")
        standby = server.standby()
        standby.execute("SELECT pg_wal_replay_pause()")
        database.execute("CREATE TABLE core.noise AS SELECT 1")
        lag = "SELECT max(replay_lag) > interval '1 second' FROM pg_stat_replication"
        deadline = time.monotonic() + 60
        while not server.execute(lag)[0][0]:
            assert time.monotonic() < deadline
            database.execute("INSERT INTO core.noise VALUES (1)")
            time.sleep(0.2)
        yield database, replace(run, variables={**run.variables, "LUXIMA_PACE__MAX_REPLICA_LAG": "1s"})
        standby.stop()


def test_the_time_budget_counts_for_a_standby_that_stays_behind(behind):
    database, run = behind
    done, seconds = timed(run, "run", "audit-logs", "--max-runtime", "3s")
    assert done.returncode == 7, done.stdout + done.stderr
    assert seconds < 3 + SLACK
    assert left(database) == 8760


def test_sigterm_ends_the_wait_for_a_standby(behind):
    database, run = behind
    with run.start("run", "audit-logs") as process:
        wait_for(database, STARTED, process)
        code, said, seconds = told_to_stop(process)
    assert code == 7, said
    assert seconds < SLACK
    assert left(database) == 8760


@pytest.mark.parametrize("how", ["budget", "SIGTERM"])
def test_a_batch_that_waits_for_rows_of_somebody_else_ends_with_the_run(database, how):
    run = audit_log(database)
    with database.connect(autocommit=False) as somebody:
        somebody.execute("SELECT count(*) FROM (SELECT FROM core.audit_log WHERE id > 8000 FOR UPDATE) x")
        if how == "budget":
            done, seconds = timed(run, "run", "audit-logs", "--max-runtime", "3s")
            code, said = done.returncode, done.stdout + done.stderr
        else:
            with run.start("run", "audit-logs") as process:
                wait_for(database, WAITING, process)
                code, said, seconds = told_to_stop(process)
        somebody.rollback()
    assert code == 7, said
    assert seconds < 3 + IN_HAND + SLACK
    assert left(database) == 8760
    assert run("run", "audit-logs").returncode == 0


@pytest.mark.parametrize("what", ["a standby that must confirm", "the ledger's head"])
def test_sigterm_ends_a_batch_that_cannot_commit(postgres_factory, what):
    """Nothing is lost or doubled: a commit that nobody confirmed has its entry, and the next run goes on."""
    server = postgres_factory(settings={"synchronous_commit": "on"})
    with server.database() as database:
        run = audit_log(database)
        # Small batches: the one at work must not be the last.
        waiting = {"LUXIMA_FAILPOINTS": "act.before_entry=sleep:4", "LUXIMA_PACE__MAX_BATCH_ROWS": "1000"}
        with (
            run.start("run", "audit-logs", **waiting) as process,
            database.connect(autocommit=False) as other,
        ):
            wait_for(database, STARTED, process)
            if what == "the ledger's head":
                other.execute("SELECT pg_advisory_xact_lock(1280664909, 1)")
            else:
                server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
                server.execute("SELECT pg_reload_conf()")
            time.sleep(4)
            code, said, seconds = told_to_stop(process)
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")
        assert code == 7, said
        assert seconds < 6 * IN_HAND + SLACK  # some entries of its end wait as well
        assert run("run", "audit-logs").returncode == 0
        items = "(convert_from(entry, 'UTF8')::jsonb -> 'body' ->> 'items')::bigint"
        gone = database.execute(f"SELECT sum({items}) FROM retention.ledger WHERE kind = 'batch'")[0][0]
        assert gone + left(database) == 8760
