"""The daemon with a real database: restarted, killed, twice at once, stopped in the middle of a run."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from luxima_retention.evidence.ledger import open_ledger
from luxima_retention.run import schedule
from tests.configured import settings_of
from tests.ledgers import event
from tests.servers.command import Command, audit_log
from tests.servers.process import free_ports, wait_until
from tests.servers.programs import faketime_library


class Running:
    """A daemon under test, and what it says on stderr."""

    def __init__(self, command, **variables):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        quiet = {
            "LUXIMA_SCHEDULE__JOBS__LEDGER_VERIFY": "",
            "LUXIMA_SCHEDULE__LISTEN": f"127.0.0.1:{self.port}",
        }
        given = {**quiet, **variables}
        self.process = command.start("--log-level", "info", "schedule", **given)
        self.lines = []
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            # What runs print is theirs; a pipe that nobody empties would stop them.
            threading.Thread(target=self.process.stdout.read, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def said(self, event):
        found = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [item for item in found if item["event"] == event]

    def expect(self, event):
        wait_until(lambda: self.said(event) or self.process.poll() is not None)
        assert self.said(event), "".join(self.lines)
        return self.said(event)[0]

    def health(self, path="healthz"):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=60) as answer:
            return json.loads(answer.read())

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        for reader in self._readers:
            reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@pytest.fixture
def start():
    with ExitStack() as stack:

        def begin(command, **variables):
            daemon = Running(command, **variables)
            stack.callback(lambda: daemon.process.returncode is None and daemon.stop(signal.SIGKILL))
            return daemon

        yield begin


@pytest.fixture
def command(database):
    # Times in a ledger never go back, and these tests begin with entries of the past.
    return audit_log(database, ago=timedelta(days=500))


def ledger_of(command):
    return closing(open_ledger(command.variables["LUXIMA_DATABASE__DSN"], ""))


def last_served(command, ago):
    """The ledger says that the policy was last served so long ago."""
    at = datetime.now(UTC) - ago
    with ledger_of(command) as ledger:
        ledger.append(event("slot.missed", missed=1), policy="audit-logs", at=at)


def kinds(command):
    with ledger_of(command) as ledger:
        return [entry.kind for entry in ledger.entries(policy="audit-logs")]


def test_what_became_due_while_nothing_ran_is_run_at_the_start(command, start):
    last_served(command, timedelta(minutes=5))
    daemon = start(command, LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="* * * * *")
    ended = daemon.expect("run.ended")
    assert (ended["slot"], ended["exit_code"]) == ("audit-logs", 0)
    assert "run.completed" in kinds(command)
    assert wait_until(lambda: not daemon.health()["running"])
    health = daemon.health()
    assert (health["role"], health["healthy"], health["next"]["slot"]) == ("leader", True, "audit-logs")
    assert health["ended"]["audit-logs"]["exit_code"] == 0
    assert daemon.stop() == 0


def test_what_is_too_late_is_recorded_and_waits_for_its_time(command, start):
    last_served(command, timedelta(days=3))
    hours_ago = datetime.now(UTC) - timedelta(hours=3)
    times = {
        "LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE": f"{hours_ago.minute} {hours_ago.hour} * * *",
        "LUXIMA_SCHEDULE__TIME_ZONE": "UTC",
    }
    first = start(command, **times)
    assert first.expect("slot.missed")["missed"] == 3
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    with ledger_of(command) as ledger:
        newest = ledger.newest(kinds={"slot.missed"}, policy="audit-logs")
    assert newest.body["missed"] == 3
    assert datetime.fromisoformat(newest.body["last"]) - datetime.fromisoformat(
        newest.body["first"]
    ) == timedelta(days=2)
    assert newest.body["last"].startswith(f"{hours_ago:%Y-%m-%dT%H:%M}")

    second = start(command, **times)
    second.expect("schedule.leader")
    assert wait_until(lambda: second.health()["role"] == "leader"), "".join(second.lines)
    assert second.stop() == 0
    assert second.said("slot.missed") == []
    assert kinds(command).count("slot.missed") == 2
    assert "run.started" not in kinds(command)


def test_a_sweep_that_was_missed_is_told_from_the_daily_runs(command, start):
    now = datetime.now(UTC)
    with ledger_of(command) as ledger:
        body = {"part": None, "exit_code": 0}
        ledger.append(event("sweep.completed", **body), policy="application-logs", at=now - timedelta(days=3))
        ledger.append(
            event("slot.missed", missed=1), policy="application-logs", at=now - timedelta(minutes=1)
        )
    hours_ago = now - timedelta(hours=3)
    daemon = start(
        command,
        LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="",
        LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS="loki",
        LUXIMA_POLICIES__APPLICATION_LOGS__SCHEDULE="",
        LUXIMA_POLICIES__APPLICATION_LOGS__SWEEP_SCHEDULE=f"{hours_ago.minute} {hours_ago.hour} * * *",
        LUXIMA_SCHEDULE__TIME_ZONE="UTC",
    )
    missed = daemon.expect("slot.missed")
    assert (missed["slot"], missed["missed"]) == ("application-logs-sweep", 3)
    assert daemon.stop() == 0
    with ledger_of(command) as ledger:
        found = [entry.kind for entry in ledger.entries(policy="application-logs")]
    assert found == ["sweep.completed", "slot.missed", "sweep.missed"]


def test_sweeps_that_were_missed_are_told_even_if_one_is_made_up_for(command, start):
    now = datetime.now(UTC)
    with ledger_of(command) as ledger:
        body = {"part": None, "exit_code": 0}
        ledger.append(
            event("sweep.completed", **body), policy="application-logs", at=now - timedelta(minutes=5)
        )
    daemon = start(
        command,
        LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="",
        LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS="loki",
        LUXIMA_POLICIES__APPLICATION_LOGS__SCHEDULE="",
        LUXIMA_POLICIES__APPLICATION_LOGS__SWEEP_SCHEDULE="* * * * *",
    )
    assert daemon.expect("run.begun")["slot"] == "application-logs-sweep"
    assert daemon.stop() == 0
    with ledger_of(command) as ledger:
        missed = ledger.newest(kinds={"sweep.missed"}, policy="application-logs")
    # One more where a minute began meanwhile.
    assert missed.body["missed"] in {4, 5}


def test_old_archives_end_when_a_daemon_begins_to_lead(command, start, tmp_path):
    """Late by weeks or by nobody's fault, it does no harm: each archive has its own date."""
    with ledger_of(command) as ledger:
        ledger.append(
            event("archive.expired"), policy="audit-logs", at=datetime.now(UTC) - timedelta(days=30)
        )
    daemon = start(
        command,
        LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="",
        LUXIMA_ARCHIVE__URL=tmp_path.as_uri(),
        LUXIMA_ARCHIVE__RETENTION_DAYS="730",
    )
    ended = daemon.expect("run.ended")
    assert (ended["slot"], ended["exit_code"]) == ("archive-expire", 0)
    assert daemon.stop() == 0


def test_of_two_daemons_one_leads_and_the_other_takes_over_when_it_is_killed(command, start):
    first = start(command, LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="0 0 1 1 *")
    first.expect("schedule.leader")
    second = start(command, LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="0 0 1 1 *")
    second.expect("schedule.standby")
    assert second.health()["role"] == "standby"
    assert second.said("schedule.leader") == []
    first.stop(signal.SIGKILL)
    second.expect("schedule.leader")
    assert second.stop() == 0


def test_stopping_the_daemon_ends_its_run_within_a_batch(command, start):
    last_served(command, timedelta(minutes=5))
    daemon = start(
        command,
        LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="* * * * *",
        LUXIMA_PACE__MAX_BATCH_ROWS="50",
        LUXIMA_FAILPOINTS="table.before_delete=sleep:0.5",
    )
    daemon.expect("run.begun")
    assert wait_until(lambda: "batch" in kinds(command)), "".join(daemon.lines)
    assert daemon.stop() == 0
    assert daemon.said("run.ended")[0]["exit_code"] == 7
    with ledger_of(command) as ledger:
        completed = ledger.newest(kinds={"run.completed"}, policy="audit-logs")
    assert completed.body["outcome"] == "stopped"


def test_a_lost_connection_is_a_lost_lead_and_the_daemon_comes_back(command, database, start):
    daemon = start(command, LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="0 0 1 1 *")
    daemon.expect("schedule.leader")
    ended = database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert ended
    daemon.expect("schedule.standby")
    assert wait_until(lambda: len(daemon.said("schedule.leader")) == 2), "".join(daemon.lines)
    assert daemon.stop() == 0


def nightly(directory, schedule):
    """Log files at these times, by a clock that a test sets; and a file ledger."""
    (directory / "logs").mkdir()
    log = directory / "logs" / "service.log"
    log.write_text("works\n")
    written = datetime(2026, 1, 20, tzinfo=UTC).timestamp()
    os.utime(log, (written, written))
    paths = {"services": {"paths": [f"{directory}/logs/*.log"], "method": "rename"}}
    return {
        "LUXIMA_LEDGER__PATH": str(directory / "ledger"),
        "LUXIMA_ROTATION__SETS": json.dumps(paths),
        "LUXIMA_POLICIES__LOG_FILES__SCHEDULE": schedule,
        "LUXIMA_SCHEDULE__TIME_ZONE": "UTC",
        "LD_PRELOAD": faketime_library(),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "TZ": "UTC",
    }


class Clock:
    """The daemon's clock, set while it runs."""

    def __init__(self, directory):
        self.file = directory / "clock"
        # Read once a second: libfaketime reads its file without a lock, and a thread that asks for the time
        # while another one reads may be told the real one.
        self.variables = {"FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_CACHE_DURATION": "1"}

    def set(self, *fields):
        seconds = int((datetime(*fields, tzinfo=UTC) - datetime.now(UTC)).total_seconds())
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}s")
        new.replace(self.file)


def test_the_clock_passes_midnight_and_the_end_of_a_month(tmp_path, start):
    clock = Clock(tmp_path)
    clock.set(2026, 1, 31, 23)
    command = Command(variables=nightly(tmp_path, "0 0 1 * *"), cwd=tmp_path)
    daemon = start(command, **clock.variables)
    daemon.expect("schedule.leader")
    clock.set(2026, 1, 31, 23, 59, 50)
    begun = daemon.expect("run.begun")
    assert begun["slot"] == "log-files"
    assert begun["timestamp"].startswith("2026-02-01T00:0")
    assert daemon.expect("run.ended")["exit_code"] == 0
    assert daemon.stop() == 0


def test_a_machine_that_slept_over_midnight_runs_what_became_due(tmp_path, start):
    """Its clock jumps when it wakes, but what the daemon waited by stood still."""
    clock = Clock(tmp_path)
    clock.set(2026, 1, 31, 12)
    command = Command(variables=nightly(tmp_path, "0 0 1 * *"), cwd=tmp_path)
    daemon = start(command, **clock.variables)
    assert daemon.expect("schedule.leader")["timestamp"].startswith("2026-01-31T12:00")
    assert daemon.health()["next"]["at"] == "2026-02-01T00:00:00Z"
    clock.set(2026, 2, 1, 0, 5)
    begun = daemon.expect("run.begun")
    assert (begun["slot"], begun["timestamp"][:15]) == ("log-files", "2026-02-01T00:0")
    assert daemon.expect("run.ended")["exit_code"] == 0
    assert daemon.stop() == 0


def test_a_clock_that_was_wrong_for_a_while_and_is_set_back_skips_no_time(tmp_path, start):
    """A scheduler that had gone on to the times of that future would wait for them."""
    clock = Clock(tmp_path)
    clock.set(2026, 1, 31, 12)
    command = Command(variables=nightly(tmp_path, "0 0 * * *"), cwd=tmp_path)
    daemon = start(command, **clock.variables)
    daemon.expect("schedule.leader")
    clock.set(2036, 5, 5, 12)
    daemon.expect("slot.skipped")
    assert wait_until(lambda: daemon.health()["next"]["at"].startswith("2036-05-06"))
    clock.set(2026, 1, 31, 23, 59, 50)
    assert daemon.expect("schedule.clock_set_back")["planned"].startswith("2036-05-06")
    begun = daemon.expect("run.begun")
    assert begun["timestamp"].startswith("2026-02-01T00:0")
    assert daemon.expect("run.ended")["exit_code"] == 0
    assert daemon.stop() == 0


def test_health_answers_a_head_and_a_query(command, start):
    daemon = start(command, LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="0 0 1 1 *")
    daemon.expect("schedule.leader")
    assert daemon.health("healthz?probe=1")["healthy"] is True
    address = f"http://127.0.0.1:{daemon.port}/healthz"
    with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=60) as answer:
        assert (answer.status, answer.read()) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 2
    with pytest.raises(urllib.error.HTTPError, match="404"):
        daemon.health("other")
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "luxima_retention_schedule_leading 1.0" in text.splitlines()
    assert 'luxima_retention_schedule_next_run_timestamp_seconds{slot="audit-logs"}' in text
    assert daemon.stop() == 0


HANGING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'idle in transaction' AND now() - xact_start > interval '0.5 s'
"""


def test_a_run_that_hangs_holds_up_neither_the_end_nor_the_health_page(command, database, start):
    last_served(command, timedelta(minutes=5))
    daemon = start(
        command,
        LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="* * * * *",
        LUXIMA_SCHEDULE__SHUTDOWN="4s",
        # Long after any limit of this test; a signal ends it only between batches.
        LUXIMA_FAILPOINTS="table.before_delete=sleep:600",
    )
    begun = daemon.expect("run.begun")
    # Before its first batch it would still hear the signal.
    assert wait_until(lambda: database.execute(HANGING)[0][0]), "".join(daemon.lines)
    assert "run.started" in kinds(command)
    assert daemon.health()["running"] == ["audit-logs"]
    daemon.process.send_signal(signal.SIGTERM)
    assert wait_until(lambda: daemon.health()["role"] == "stopping")
    assert daemon.health()["healthy"] is True
    assert daemon.process.wait(60) == 0
    assert daemon.stop() == 0
    assert daemon.said("run.killed")[0]["slot"] == "audit-logs"
    assert daemon.said("run.ended")[0]["exit_code"] == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(begun["pid"], 0)


#: fails three times, then sends what is due
_REPORT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from luxima_retention.evidence.ledger import open_ledger
from luxima_retention.run import schedule
from tests.ledgers import event

attempts = Path(sys.argv[1])
with attempts.open("a") as file:
    file.write("attempt\\n")
if len(attempts.read_text().splitlines()) < 4:
    sys.exit(3)
open_ledger("", sys.argv[2]).append(event("report.sent"), policy=None, at=datetime.now(UTC))
"""


def test_a_report_that_failed_is_tried_again_until_it_is_sent_and_then_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(schedule, "_RETRY", 0.2)
    monkeypatch.setattr(schedule, "_TICK", 0.05)
    path, attempts = str(tmp_path / "ledger"), tmp_path / "attempts"
    with closing(open_ledger("", path)) as ledger:
        ledger.append(event("report.sent"), policy=None, at=datetime.now(UTC) - timedelta(days=32))
    settings = settings_of(
        {
            "ledger": {"path": path},
            "report": {"url": tmp_path.as_uri()},
            "schedule": {"listen": "127.0.0.1:0", "jobs": {"report": "0 0 1 * *", "ledger-verify": ""}},
        }
    )
    stop, said = threading.Event(), []
    hooks = schedule.Hooks(
        command=[sys.executable, "-c", _REPORT, str(attempts), path],
        stopping=stop.is_set,
        wait=stop.wait,
        say=lambda event, **values: said.append((event, values)),
    )
    daemon = threading.Thread(target=schedule.Daemon(settings, hooks).serve, daemon=True)
    daemon.start()

    def codes():
        return [values["exit_code"] for event, values in said if event == "run.ended"]

    assert wait_until(lambda: len(codes()) == 4), said
    # Longer than the wait before the next attempt would be.
    stop.wait(0.2 * 2**4)
    stop.set()
    daemon.join(30)
    assert not daemon.is_alive()
    assert codes() == [3, 3, 3, 0]


def test_each_attempt_waits_twice_as_long_as_the_one_before_and_six_hours_at_most():
    waits = [schedule.retry_after(failures) for failures in range(1, 100)]
    assert waits[:4] == [600, 1200, 2400, 4800]
    assert all(later - sooner >= 0 for sooner, later in pairwise(waits))
    assert waits[-1] == 6 * 3600


def report_sent(command, ago):
    """The ledger says that the monthly report was last sent so long ago."""
    with ledger_of(command) as ledger:
        ledger.append(event("report.sent", form="bundle"), policy=None, at=datetime.now(UTC) - ago)


def test_a_report_that_is_a_fortnight_late_is_sent_once_and_a_restart_remembers_it(command, start, tmp_path):
    fortnight_ago = datetime.now(UTC) - timedelta(days=14)
    report_sent(command, timedelta(days=40))
    times = {
        "LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE": "",
        "LUXIMA_SCHEDULE__JOBS__REPORT": f"0 0 {min(fortnight_ago.day, 28)} * *",
        "LUXIMA_SCHEDULE__TIME_ZONE": "UTC",
        "LUXIMA_REPORT__URL": tmp_path.as_uri(),
    }
    first = start(command, **times)
    ended = first.expect("run.ended")
    assert (ended["slot"], ended["exit_code"]) == ("report", 0), "".join(first.lines)
    assert first.stop() == 0
    (sent,) = tmp_path.iterdir()
    assert sent.suffix == ".zip"
    with ledger_of(command) as ledger:
        entry = ledger.newest(kinds={"report.sent"})
    assert entry.body["url"] == f"{tmp_path.as_uri()}/{sent.name}"
    assert datetime.now(UTC) - entry.at < timedelta(minutes=5)

    second = start(command, **times)
    second.expect("schedule.leader")
    assert wait_until(lambda: second.health()["role"] == "leader")
    assert second.stop() == 0
    assert second.said("run.begun") == []


def test_without_a_place_for_it_no_report_is_due(command, start):
    report_sent(command, timedelta(days=400))
    daemon = start(command, LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="0 0 1 1 *")
    assert daemon.expect("schedule.started")["slots"] == ["audit-logs"]
    daemon.expect("schedule.leader")
    assert daemon.stop() == 0
    assert daemon.said("run.begun") == []


def test_a_daemon_that_cannot_reach_its_ledger_says_why(command, start):
    port = free_ports(1)[0]
    daemon = start(
        command,
        LUXIMA_POLICIES__AUDIT_LOGS__SCHEDULE="0 0 1 1 *",
        LUXIMA_DATABASE__DSN=f"postgresql://role@127.0.0.1:{port}/nowhere",
    )
    assert "no connection" in daemon.expect("schedule.waiting")["reason"]
    health = daemon.health()
    assert (health["role"], health["reason"]) == ("waiting", daemon.said("schedule.waiting")[0]["reason"])
    assert daemon.stop() == 0


def test_a_health_address_in_use_is_refused_by_name(command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = command("schedule", LUXIMA_SCHEDULE__LISTEN=f"127.0.0.1:{port}")
    assert done.returncode == 2
    assert f"127.0.0.1:{port} cannot be used" in done.stderr
    assert "schedule.listen" in done.stderr
