"""A month whose truth is known: every exception, date, reason and sum of the report is that truth.

November 2026 in Jakarta, played by libfaketime over PostgreSQL and the command. Each day ten rows are
written, one a tenant; what is gone is counted in the table itself, before and after each run.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pypdf import PdfReader

from tests.servers.clock import Clock
from tests.servers.command import TABLE, Command
from tests.servers.postgres import Database, PostgresServer
from tests.servers.process import scratch
from tests.servers.prometheus import start_prometheus

DAYS, ARCHIVE_DAYS = 180, 10
#: the first day with rows; the first run finds four days of them expired
FIRST = date(2026, 5, 1)
ROWS = """
INSERT INTO core.audit_log (created_at, tenant)
SELECT %s::timestamptz + n * interval '1 hour', 't' || n FROM generate_series(0, 9) n
"""


@dataclass(kw_only=True)
class Month:
    """The play: what was done, and what the table says of it."""

    database: Database
    clock: Clock
    command: Command
    archive: Path
    written: date = FIRST
    removed: list[int] = field(default_factory=list)

    def rows(self) -> int:
        return self.database.execute("SELECT count(*) FROM core.audit_log")[0][0]

    def at(self, day: int, hour: int = 0, minute: int = 5) -> datetime:
        """Go to an instant of November, UTC; rows are written up to the day before."""
        now = datetime(2026, 11, 1, hour, minute, tzinfo=UTC) + timedelta(days=day - 1)
        self.clock.set(now)
        while self.written < now.date():
            self.database.execute(ROWS, f"{self.written}T00:00:00Z")
            self.written += timedelta(days=1)
        return now

    def run(self, day: int, code: int | None = 0, *names: str, **more: str) -> None:
        """The run of a day, at 07:05 WIB; what left the table is remembered."""
        self.at(day)
        before = self.rows()
        done = self.command("run", *(names or ("audit-logs",)), **more)
        assert code is None or done.returncode == code, done.stdout + done.stderr
        self.removed.append(before - self.rows())


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Month]:
    home = scratch("clock")  # tmp_path is not for the server's user to read
    clock = Clock(home / "now", datetime(2026, 10, 31, tzinfo=UTC))
    server = PostgresServer.start(environment=clock.variables)
    try:
        with server.database() as database:
            with database.connect() as connection:
                connection.execute(TABLE.encode())
            archive = tmp_path / "archive"
            archive.mkdir()
            variables = clock.variables | {
                "LUXIMA_DATABASE__DSN": database.login("job"),
                "LUXIMA_DATABASE__JOB_ROLE": database.role("job"),
                "LUXIMA_AUDIT_LOG__TENANT_COLUMN": "tenant",
                "LUXIMA_ARCHIVE__URL": archive.as_uri(),
                "LUXIMA_ARCHIVE__RETENTION_DAYS": str(ARCHIVE_DAYS),
                "LUXIMA_SCHEDULE__TIME_ZONE": "Asia/Jakarta",
                "LUXIMA_REPORT__MINUTES__COMPANY": "PT Contoh",
                "LUXIMA_REPORT__MINUTES__PLACE": "Jakarta",
                "LUXIMA_REPORT__MINUTES__NUMBER": "BA-{month}/{year}",
            }
            command = Command(variables=variables, cwd=tmp_path, many=True)
            done = command("migrate", LUXIMA_DATABASE__OWNER_DSN=database.dsn)
            assert done.returncode == 0, done.stdout + done.stderr
            yield Month(database=database, clock=clock, command=command, archive=archive)
    finally:
        server.stop()
        shutil.rmtree(home)


def played(month: Month) -> None:
    """What happened, day by day."""
    for day in (1, 2, 3):
        month.run(day)
    month.run(4, 4, LUXIMA_POLICIES__AUDIT_LOGS__MAX_ITEMS="1")
    away = month.archive.with_name("away")
    month.archive.rename(away)
    month.archive.write_text("no directory")
    month.run(5, 3)
    month.archive.unlink()
    away.rename(month.archive)
    month.run(6, -9, LUXIMA_FAILPOINTS="table.before_commit=kill")
    month.run(7)
    # The 8th, 9th and 10th nobody runs anything.
    month.run(11)
    # The archive of the 1st has been kept for ten days; later the hold would keep it.
    month.at(11, 2)
    assert month.command("archive", "expire").stdout.count("destroyed") == 1
    hold = ("hold", "add", "--policy", "audit-logs", "--tenant", "t3", "--reason", "case 12")
    month.at(11, 3)
    assert month.command(*hold).returncode == 0
    month.run(12)
    prometheus = start_prometheus("--storage.tsdb.retention.time=15d")
    try:
        month.run(13, 8, "metrics", LUXIMA_POLICIES__METRICS__URLS=prometheus.url)
    finally:
        prometheus.stop()
    month.run(13)


def at_seven(day: int) -> str:
    """07:05 WIB of a day in November."""
    return f"2026-11-{day:02}T00:05:00Z"


def test_the_report_is_the_truth(month: Month, tmp_path: Path) -> None:
    played(month)
    # The run of 00:05 may be an hour late; at 01:05 it would depend on seconds whether it is missed.
    month.at(31, 2)
    for name in ("report.json", "report.csv", "report.pdf"):
        done = month.command("report", "--month", "2026-11", "-o", str(tmp_path / name))
        assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "report.json").read_text())

    # Sums: what left the table, what the archive has, what left the archive.
    assert (told["removed"], told["archived"]) == (sum(month.removed),) * 2
    ended = month.removed[0]
    assert (told["archives_ended"], told["destroyed"]) == (ended, ended)
    assert told["verdict"] == "not compliant"

    exceptions = {(item["policy"], item["code"]): item for item in told["exceptions"]}
    of_audit = {code: item for (policy, code), item in exceptions.items() if policy == "audit-logs"}
    assert of_audit.keys() == {"refused", "failed", "reconciled", "missed", "overdue", "deletions_unknown"}
    # PostgreSQL counts what a killed run had deleted and rolled back.
    assert "a run of this program was interrupted" in of_audit["deletions_unknown"]["detail"]
    assert (of_audit["refused"]["detail"], of_audit["refused"]["count"]) == ("max-items", 1)
    assert "max-items" in of_audit["refused"]["said"]
    assert of_audit["refused"]["since"][:16] == at_seven(4)[:16]
    assert of_audit["failed"]["since"][:16] == at_seven(5)[:16]
    assert str(month.archive) in of_audit["failed"]["said"]
    assert of_audit["reconciled"]["since"][:16] == at_seven(7)[:16]

    # The 6th was killed and is not missed; the 8th to 10th and the 14th to 30th are.
    assert of_audit["missed"]["count"] == 3 + 17
    assert (of_audit["missed"]["since"], of_audit["missed"]["at"]) == (at_seven(8), at_seven(30))
    first, last = [row for row in told["runs"] if row["kind"] == "slot.missed"][:2]
    assert (first["missed"], first["first_missed"], first["last_missed"]) == (3, at_seven(8), at_seven(10))
    assert (last["missed"], last["first_missed"], last["last_missed"]) == (17, at_seven(14), at_seven(30))

    # Overdue is what should have gone with the run of the last day, but for the tenant on hold.
    cutoff = datetime(2026, 12, 1, tzinfo=UTC) - timedelta(days=DAYS)
    overdue = month.database.execute(
        "SELECT count(*) FROM core.audit_log WHERE created_at < %s AND tenant <> 't3'", cutoff
    )[0][0]
    assert of_audit["overdue"]["count"] == told["overdue"] == overdue > 0
    (held,) = told["holds"]
    assert (held["names"], held["placed"][:13]) == (["tenant"], "2026-11-11T03")

    # Prometheus drifted, and that is named first: it is what breaks the policy besides.
    drift = exceptions["metrics", "drift"]
    assert (drift["failed"], drift["since"][:10]) == (True, "2026-11-13")
    assert "15d" in drift["said"] or "15" in drift["said"]

    # Minutes: each run that removed rows, each archive that ended, and every hash can be searched for.
    rows = [row for row in told["runs"] if row["destroyed"]]
    gone = [row for row in told["archives"] if row["kind"] == "archive.expired"]
    assert [row["destroyed"] for row in rows] == [count for count in month.removed if count]
    assert [row["items"] for row in gone] == [ended]
    pages = PdfReader(tmp_path / "report.pdf").pages
    text = "\n".join(page.extract_text() for page in pages)
    assert {row["hash"] for row in (*rows, *gone) if row["hash"] not in text} == set()
    assert "BA-11/2026" in text
    assert "PT Contoh" in text

    listed = list(csv.DictReader(io.StringIO((tmp_path / "report.csv").read_text("utf-8-sig"))))
    assert sum(int(row["destroyed"]) for row in listed) == told["removed"]
