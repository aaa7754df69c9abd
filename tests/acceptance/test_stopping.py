"""A real run against servers that send a byte now and then: it ends when it should, with its exit code."""

from __future__ import annotations

import signal
import time

import pytest

from tests.servers import hostile
from tests.servers.command import Command, audit_log
from tests.servers.hostile import run_hostile

#: Seconds that a command needs besides what it is told to take; for a loaded machine.
SLACK = 20


def timed(run, *arguments, **more):
    began = time.monotonic()
    return run(*arguments, **more), time.monotonic() - began


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
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            out, errors = process.communicate(timeout=300)
            seconds = time.monotonic() - began
    assert process.returncode == 7, out + errors
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
