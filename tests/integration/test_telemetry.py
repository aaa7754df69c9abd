"""Metrics of real runs at a real Pushgateway and in files, judged by promtool; receivers that misbehave."""

from __future__ import annotations

import math
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from luxima_retention.core.errors import ExitCode
from luxima_retention.tell.families import FAMILIES, LEDGER, POLICY, PREFIX, RUN
from tests.servers.command import PATIENT, Command, audit_log
from tests.servers.process import free_ports
from tests.servers.programs import find_program
from tests.servers.stub import Answer, run_stub

#: what one run may take longer because of telemetry; the budget, and a slow machine's share
BUDGET = 2.0
SLACK = 1.5


def scrape(pushgateway):
    """Name without prefix and labels → value, of everything that the suite has pushed."""
    text = requests.get(f"{pushgateway.url}/metrics", timeout=5).text
    return {
        (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(PREFIX)
    }


def value(samples, name, **labels):
    """The value of the one sample with these labels, among others."""
    found = [number for (key, had), number in samples.items() if key == name and labels.items() <= set(had)]
    assert len(found) == 1, f"{name} {labels}: {found}"
    return found[0]


def outcome(samples, policy="audit-logs"):
    chosen = [
        dict(labels)["outcome"]
        for (name, labels), number in samples.items()
        if name == "last_run_outcome" and dict(labels)["policy"] == policy and number == 1
    ]
    assert len(chosen) == 1
    return chosen[0]


def lint(text):
    """What ``promtool check metrics`` says; nothing where all is well."""
    done = subprocess.run(
        [find_program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False
    )
    return (done.returncode, (done.stdout + done.stderr).decode())


@pytest.fixture
def run(database, pushgateway):
    command = audit_log(database)
    command.module = PATIENT
    command.variables |= {"LUXIMA_TELEMETRY__PUSHGATEWAY_URL": pushgateway.url}
    return command


def test_a_dry_run_tells_nothing_and_a_real_one_every_family(run, pushgateway):
    assert run("run", "audit-logs", "--dry-run").returncode == 0
    assert scrape(pushgateway) == {}
    before = time.time()
    done = run.json("run", "audit-logs")
    assert done["warnings"] == []
    found = scrape(pushgateway)
    told = {name for name, labels in found if dict(labels)["policy"] == "audit-logs"}
    assert told == set(RUN) | set(POLICY)
    assert {name for name, labels in found if dict(labels)["policy"] == "ledger"} == (
        set(RUN) | set(LEDGER)
    ) - {"last_run_duration_seconds"}
    assert {dict(labels)["environment"] for _, labels in found} == {"production"}
    destroyed = done["policies"][0]["targets"][0]["done"]["destroyed"]
    assert value(found, "last_run_destroyed_records", target="core.audit_log") == destroyed > 4000
    assert value(found, "last_success_timestamp_seconds", policy="audit-logs") >= before - 1
    assert value(found, "limit_seconds") == 180 * 86400
    # 07:05 WIB each day: 1 day and 5 minutes, an hour of grace, 50 minutes of work.
    assert value(found, "allowance_seconds") == 86400 + 300 + 3600 + 3000
    assert value(found, "expected_interval_seconds", policy="audit-logs") == 86400
    assert value(found, "expired_records") == 0
    oldest = value(found, "oldest_eligible_timestamp_seconds")
    assert 0 <= oldest - (before // 86400 - 180) * 86400 < 3700  # one row each hour
    assert value(found, "last_run_duration_seconds", step="act", policy="audit-logs") > 0
    assert 0.4 < value(found, "guard_used_ratio", guard="share") < 1
    assert value(found, "ledger_entries") > 3


def test_the_text_that_a_run_pushes_is_clean_for_promtool(database):
    run = audit_log(database, rows=100)
    run.module = PATIENT
    with run_stub(lambda *_: Answer(202)) as stub:
        run.json("run", "audit-logs", LUXIMA_TELEMETRY__PUSHGATEWAY_URL=stub.url)
    assert {method for method, *_ in stub.asked} == {"POST"}
    paths = {path for _, path, _, _ in stub.asked}
    assert paths == {
        "/metrics/job/luxima_retention/environment/production/policy/audit-logs",
        "/metrics/job/luxima_retention/environment/production/policy/ledger",
    }
    for *_, body in stub.asked:
        assert lint(body) == (0, "")
    assert lint(b"# TYPE luxima_retention_milliseconds gauge\nluxima_retention_milliseconds 1\n")[0] == 3


def test_a_database_that_is_down_is_told_and_the_last_success_stays(run, pushgateway):
    run.json("run", "audit-logs")
    success = value(scrape(pushgateway), "last_success_timestamp_seconds", policy="audit-logs")
    (port,) = free_ports(1)
    down = f"postgresql://nobody@127.0.0.1:{port}/none"
    assert run("run", "audit-logs", LUXIMA_DATABASE__DSN=down).returncode == 3
    found = scrape(pushgateway)
    assert outcome(found) == "incomplete"
    assert value(found, "last_run_exit_code", policy="audit-logs") == 3
    assert value(found, "last_success_timestamp_seconds", policy="audit-logs") == success
    assert math.isnan(value(found, "oldest_eligible_timestamp_seconds"))
    assert value(found, "last_run_destroyed_records") == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "code"),
    [
        (["--max-fraction", "0.01"], {}, ExitCode.REFUSED),
        (["--max-runtime", "1s"], {"LUXIMA_PACE__MAX_BATCH_ROWS": "1"}, ExitCode.STOPPED),
        (
            [],
            {"LUXIMA_ARCHIVE__URL": "file:///dev/null/x", "LUXIMA_ARCHIVE__RETENTION_DAYS": "9"},
            ExitCode.INCOMPLETE,
        ),
    ],
)
def test_each_end_is_the_one_outcome_that_is_1(run, pushgateway, arguments, variables, code):
    assert run("run", "audit-logs", *arguments, **variables).returncode == code
    found = scrape(pushgateway)
    assert outcome(found) == code.name.lower()
    assert not [
        name
        for name, labels in found
        if name.startswith("last_success") and ("policy", "audit-logs") in labels
    ]
    rest = sum(
        number
        for (name, labels), number in found.items()
        if name == "last_run_outcome" and ("policy", "audit-logs") in labels
    )
    assert rest == 1


def test_what_is_only_checked_tells_what_the_other_system_keeps(prometheus_factory, pushgateway, tmp_path):
    server = prometheus_factory("--storage.tsdb.retention.time=15d")
    run = Command(
        variables={
            "LUXIMA_PROMETHEUS__URLS": server.url,
            "LUXIMA_TELEMETRY__PUSHGATEWAY_URL": pushgateway.url,
            "LUXIMA_LEDGER__PATH": str(tmp_path / "ledger.jsonl"),
        },
        module=PATIENT,
    )
    assert run("run", "metrics").returncode == ExitCode.DRIFT
    found = scrape(pushgateway)
    assert outcome(found, "metrics") == "drift"
    assert value(found, "configured_seconds", policy="metrics") == 15 * 86400
    assert value(found, "limit_seconds") == 60 * 86400


def test_verification_report_and_expiry_tell_how_they_ended(run, pushgateway, tmp_path):
    run.json("run", "audit-logs")
    assert run("ledger", "verify").returncode == 0
    found = scrape(pushgateway)
    assert value(found, "ledger_verified") == 1
    assert value(found, "ledger_entries") > 0, "verification must not push out what the run told"
    assert run("report", "--month", "last", "-o", str(tmp_path / "r.json")).returncode == 0
    assert run("report", "--month", "last", "-o", "/dev/null/r.json").returncode != 0
    found = scrape(pushgateway)
    assert outcome(found, "report") != "done"
    assert value(found, "last_success_timestamp_seconds", policy="report") > 0
    archive = {"LUXIMA_ARCHIVE__URL": f"file://{tmp_path}", "LUXIMA_ARCHIVE__RETENTION_DAYS": "9"}
    assert run("archive", "expire", **archive).returncode == 0
    assert outcome(scrape(pushgateway), "archive-expire") == "done"


def test_a_ledger_that_was_touched_is_told(run, pushgateway, database):
    run.json("run", "audit-logs")
    database.execute("ALTER TABLE retention.ledger DISABLE TRIGGER ALL")
    database.execute("DELETE FROM retention.ledger WHERE seq = 2")
    assert run("ledger", "verify").returncode == 6
    assert value(scrape(pushgateway), "ledger_verified") == 0


def test_files_hold_the_same_and_keep_the_last_success(database, tmp_path):
    run = audit_log(database)
    run.module = PATIENT
    run.variables |= {"LUXIMA_TELEMETRY__TEXTFILE_DIRECTORY": str(tmp_path)}
    run.json("run", "audit-logs")
    path = tmp_path / "luxima_retention_audit-logs.prom"
    first = path.read_bytes()
    assert lint(first) == (0, "")
    (success,) = [line for line in first.decode().splitlines() if line.startswith(f"{PREFIX}last_success")]
    assert 'environment="production",policy="audit-logs"' in success
    (port,) = free_ports(1)
    assert run("run", "audit-logs", LUXIMA_DATABASE__DSN=f"postgresql://x@127.0.0.1:{port}/x").returncode == 3
    second = path.read_text()
    assert success in second.splitlines()
    assert 'outcome="incomplete",policy="audit-logs",target="core.audit_log"} 1.0' in second
    assert {item.name for item in tmp_path.iterdir()} == {path.name, "luxima_retention_ledger.prom"}
    gone = run.json("run", "audit-logs", LUXIMA_TELEMETRY__TEXTFILE_DIRECTORY="/dev/null/none")
    assert "cannot be written" in " ".join(gone["warnings"])


@contextmanager
def receiver(behaviour):
    """A TCP server whose connections go to ``behaviour``; gives its URL."""
    server = socket.create_server(("127.0.0.1", 0))
    stop, threads = threading.Event(), []

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=behaviour, args=(connection, stop)))
            threads[-1].start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        stop.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for other in threads:
            other.join()


def silent(connection, stop):
    stop.wait(60)
    connection.close()


def drips(connection, stop):
    """One header every fifth of a second, without end: no limit for a single read ever ends it."""
    with connection, suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not stop.wait(0.2):
            connection.sendall(b"X: y\r\n")


def resets(connection, _stop):
    connection.close()


def refuses(connection, _stop):
    with connection, suppress(OSError):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("behaviour", [silent, drips, resets, refuses])
def test_no_receiver_costs_more_than_the_budget_or_changes_the_end(database, behaviour):
    run = audit_log(database, rows=100)

    def told_to(url):
        begun = time.monotonic()
        to = {"LUXIMA_TELEMETRY__PUSHGATEWAY_URL": url, "LUXIMA_TELEMETRY__OTLP_URL": url}
        return run.json("run", "audit-logs", **to), time.monotonic() - begun

    with run_stub(lambda *_: Answer(202)) as good:
        usual, usual_seconds = told_to(good.url)
    with receiver(behaviour) as url:
        done, seconds = told_to(url)
    assert (usual["exit_code"], usual["warnings"], done["exit_code"]) == (0, [], 0)
    assert len(done["warnings"]) >= 2
    assert seconds < usual_seconds + BUDGET + max(SLACK, usual_seconds / 2)


def test_a_receiver_that_is_away_is_one_warning_each(database):
    run = audit_log(database, rows=100)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    done = run.json(
        "run", "audit-logs", LUXIMA_TELEMETRY__PUSHGATEWAY_URL=url, LUXIMA_TELEMETRY__OTLP_URL=url
    )
    assert (done["exit_code"], len(done["warnings"])) == (0, 2)


def test_a_flag_that_is_wrong_tells_nothing_of_the_policy(run, pushgateway):
    run.json("run", "audit-logs")
    before = scrape(pushgateway)
    assert run("run", "audit-logs", "--as-of", "2199-01-01").returncode == 2
    assert str(scrape(pushgateway)) == str(before)


def test_what_a_pushgateway_refuses_is_told_in_its_own_words(run, pushgateway):
    name = f"{PREFIX}limit_seconds"
    text = f"# TYPE {name} counter\n{name} 1\n"
    requests.post(f"{pushgateway.url}/metrics/job/other", data=text, timeout=5).raise_for_status()
    done = run.json("run", "audit-logs")
    assert "answers 400: " in done["warnings"][0]
    assert "limit_seconds" in done["warnings"][0]


def test_credentials_go_to_the_pushgateway_and_nowhere_else(database):
    run = audit_log(database, rows=10)
    run.module = PATIENT
    with run_stub(lambda *_: Answer(401)) as stub:
        done = run(
            "run",
            "audit-logs",
            LUXIMA_TELEMETRY__PUSHGATEWAY_URL=stub.url,
            LUXIMA_TELEMETRY__HTTP__PUSHGATEWAY__USERNAME="u",
            LUXIMA_TELEMETRY__HTTP__PUSHGATEWAY__PASSWORD="s3cret-word",
        )
    assert done.returncode == 0
    assert {headers["Authorization"] for _, _, headers, _ in stub.asked} == {"Basic dTpzM2NyZXQtd29yZA=="}
    assert "answers 401" in done.stdout
    assert "s3cret-word" not in done.stdout + done.stderr


def test_every_metric_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text()
    for name, family in FAMILIES.items():
        assert f"| `{PREFIX}{name}` | {family.meaning} |" in page
