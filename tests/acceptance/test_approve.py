"""A person approves through the command: with a ledger in PostgreSQL and in a file, and whoever may not."""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from subprocess import run as call

import pytest

from luxima_retention.core.clock import system_clock
from luxima_retention.evidence import codec
from luxima_retention.evidence.events import PlanApproved
from luxima_retention.evidence.ledger import open_ledger
from tests.acceptance.test_audit_logs import left, target
from tests.servers.command import Command, audit_log


class Office:
    """The machine where jobs run, and the laptop of Rina, who may approve."""

    def __init__(self, job: Command, home):
        self.job, self.home = job, home
        self.key = home / "rina.pem"
        self.public = self.made("rina.wijaya", self.key)
        job.variables = {**job.variables, "LUXIMA_LEDGER__APPROVERS": self.public}

    def approve(self, *words, **more):
        """As Rina, on her laptop, where jobs have no key."""
        kept = {key: value for key, value in self.job.variables.items() if not key.endswith("KEY_FILE")}
        return Command(variables=kept, cwd=self.job.cwd)("approve", "--key", str(self.key), *words, **more)

    def made(self, name, path):
        done = self.job("ledger", "approver", name, "--key", str(path))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def entries(self, kind):
        listed = self.job("ledger", "list", "--kind", kind, "--output", "json")
        return [json.loads(line) for line in listed.stdout.splitlines()]

    def enter(self, event, policy):
        ledger = open_ledger(
            self.job.variables.get("LUXIMA_DATABASE__DSN", ""),
            self.job.variables.get("LUXIMA_LEDGER__PATH", ""),
        )
        try:
            ledger.append(event, policy=policy, at=system_clock())
        finally:
            ledger.close()


def said(done, code, word):
    assert (done.returncode, word in done.stderr + done.stdout) == (code, True), done.stderr + done.stdout


def with_key(run, tmp_path):
    (tmp_path / "anchor").mkdir()
    more = {
        "LUXIMA_LEDGER__KEY_FILE": str(tmp_path / "key.pem"),
        "LUXIMA_LEDGER__ANCHORS": json.dumps([f"file://{tmp_path}/anchor"]),
    }
    run.variables = {**run.variables, **more}
    made = run("ledger", "keygen")
    assert made.returncode == 0, made.stderr
    run.variables = {**run.variables, "LUXIMA_LEDGER__PUBLIC_KEY": made.stdout.strip()}
    return run


def test_a_refused_backlog_in_postgresql_goes_once_a_person_signed(database, tmp_path):
    run = with_key(audit_log(database), tmp_path)
    run.variables = {**run.variables, "LUXIMA_POLICIES__AUDIT_LOGS__MAX_FRACTION": "0.3"}
    office = Office(run, tmp_path)
    first = target(run.json("run", "audit-logs", code=4))
    digest = first["approve"]
    assert digest == first["plan"]["digest"]

    said(run("approve", digest), 2, "no key is named")
    signing = run("approve", digest, "--key", run.variables["LUXIMA_LEDGER__KEY_FILE"])
    said(signing, 4, "nobody's who may approve")
    assert left(database) == 8760

    said(office.approve(digest[:12]), 0, "approved by rina.wijaya")
    killed = run("run", "audit-logs", LUXIMA_FAILPOINTS="table.after_delete=kill@2")
    assert killed.returncode < 0
    assert 0 < 8760 - left(database) < first["plan"]["items"]
    done = target(run.json("run", "audit-logs"))
    assert done["outcome"] == "done"
    assert left(database) == 8760 - first["plan"]["items"]
    (started,) = office.entries("run.started")
    (approved,) = office.entries("plan.approved")
    assert started["body"]["approval"] == approved["seq"]

    said(run("ledger", "verify"), 0, "approved   1 plans or proposals that were carried out, signed by rina")
    period = ("--from", "2026-01-01", "--to", "2999-01-01", "-o", str(tmp_path / "report.json"))
    run("report", "--format", "json", *period)
    told = json.loads((tmp_path / "report.json").read_text())
    (row,) = (item for item in told["guards"] if item["kind"] == "approval")
    assert (row["override"], row["observed"]) == ("rina.wijaya", f"plan {digest[:12]}")
    assert row["at"] == approved["at"]
    assert run("ledger", "export", str(tmp_path / "bundle")).returncode == 0
    command = [sys.executable, "verify.py", "--key", run.variables["LUXIMA_LEDGER__PUBLIC_KEY"]]
    found = call(
        [*command, "--approver", office.public],
        cwd=tmp_path / "bundle",
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "signed by rina.wijaya" in found.stdout


@pytest.fixture
def files(tmp_path):
    """Three rotated files of long ago, of which a run may remove one."""
    directory = tmp_path / "logs"
    directory.mkdir()
    (directory / "app.log").write_text("x\n")
    for year in (2020, 2021, 2022):
        old = directory / f"app.log-{year}0101"
        old.write_text("old\n")
        at = datetime(year, 1, 1, tzinfo=UTC).timestamp()
        os.utime(old, (at, at))
    young = directory / f"app.log-{datetime.now(UTC) - timedelta(days=2):%Y%m%d}"
    young.write_text("young\n")
    job = Command(
        variables={
            "LUXIMA_ROTATION__SETS": json.dumps({"api": {"paths": [f"{directory}/*.log"], "create": True}}),
            "LUXIMA_LEDGER__PATH": str(tmp_path / "ledger"),
            "LUXIMA_ROTATION__STATE_DIR": str(tmp_path / "state"),
            "LUXIMA_POLICIES__LOG_FILES__MAX_ITEMS": "1",
            "LUXIMA_POLICIES__LOG_FILES__MAX_FRACTION": "1",
        },
        cwd=tmp_path,
    )
    office = Office(job, tmp_path)
    office.old = lambda: sum(1 for path in directory.iterdir() if re.search(r"202[0-2]0101", path.name))
    return office


def test_with_a_ledger_in_a_file_root_writes_no_approval_and_a_person_does(files):
    digest = target(files.job.json("run", "log-files", code=4))["approve"]
    said(files.approve(digest), 0, "approved by rina.wijaya")
    (genuine,) = files.entries("plan.approved")
    said(files.approve(digest, "--withdraw"), 0, "withdrawn")
    body = {key: value for key, value in genuine["body"].items() if key != "version"}
    forged = codec.decode(PlanApproved, {**body, "end": "2099-01-01T00:00:00Z"})
    files.enter(forged, "log-files")
    said(files.job("run", "log-files"), 6, "says something else than what was signed")
    assert files.old() == 3
    again = target(files.job.json("run", "log-files", code=4))["approve"]
    said(files.approve(again), 0, "approved by rina.wijaya")
    assert target(files.job.json("run", "log-files"))["done"]["destroyed"] == 3
    assert files.old() == 0
