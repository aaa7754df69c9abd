"""What a run needs at its end is tried before its first deletion, and doctor says what a run would meet."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from tests.servers.command import Command

OLD = datetime.now(UTC) - timedelta(days=60)


@pytest.fixture
def suite(tmp_path):
    """A set with one rotated file that has expired and one that has not, a ledger in a file, no database."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for name, at in (("app.log", datetime.now(UTC)), (f"app.log-{OLD:%Y%m%d}", OLD)):
        (logs / name).write_text("line\n")
        os.utime(logs / name, (at.timestamp(), at.timestamp()))
    sets = {"api": {"paths": [f"{logs}/*.log"], "create": True}}
    return Command(
        variables={
            "LUXIMA_ROTATION__SETS": json.dumps(sets),
            "LUXIMA_LEDGER__PATH": str(tmp_path / "ledger"),
            "LUXIMA_POLICIES__LOG_FILES__MAX_FRACTION": "1",
        },
        cwd=tmp_path,
    )


def old(suite):
    """What is left of the file that has expired; rotation may have compressed it."""
    return list((suite.cwd / "logs").glob(f"app.log-{OLD:%Y%m%d}*"))


def kinds(suite):
    lines = suite("ledger", "list", "--output", "json").stdout.splitlines()
    return [json.loads(line)["kind"] for line in lines]


def checks(suite, code, **variables):
    return suite.json("doctor", code=code, **variables)["checks"]


def test_a_key_that_is_not_there_ends_the_run_before_it_begins(suite):
    done = suite("run", "log-files", LUXIMA_LEDGER__KEY_FILE="/nowhere/key.pem")
    assert done.returncode == 2
    assert "/nowhere/key.pem" in done.stderr
    assert "ledger.key_file" in done.stderr
    assert len(old(suite)) == 1
    assert kinds(suite) == []


@pytest.mark.parametrize(
    "variables",
    [
        {"LUXIMA_LEDGER__PUBLIC_KEY": "rubbish"},
        {"LUXIMA_LEDGER__APPROVERS": "rubbish"},
        {"LUXIMA_LEDGER__KEY_FILE": "garbage"},
        {"LUXIMA_LEDGER__KEY_FILE": "."},
    ],
)
def test_a_key_that_is_none_ends_the_run_before_it_begins(suite, variables):
    (suite.cwd / "garbage").write_bytes(b"\xff\xfe\x00 no key")
    (suite.cwd / "garbage").chmod(0o600)
    done = suite("run", "log-files", **variables)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "ledger." in done.stderr
    assert len(old(suite)) == 1
    assert kinds(suite) == []


@pytest.mark.parametrize(
    "variables",
    [
        {
            "LUXIMA_ARCHIVE__URL": "file:///nowhere/at/all",
            "LUXIMA_ARCHIVE__RETENTION_DAYS": "365",
            "LUXIMA_POLICIES__LOG_FILES__ARCHIVE": "required",
        },
        {"LUXIMA_LEDGER__ANCHORS": '["file:///nowhere/at/all"]'},
    ],
)
def test_an_archive_or_an_anchor_that_does_not_answer_keeps_the_run_from_beginning(suite, variables):
    (policy,) = suite.json("run", "log-files", code=3, **variables)["policies"]
    (target,) = policy["targets"]
    assert (target["target"], target["outcome"], target["exit_code"]) == ("api", "failed", 3)
    assert "/nowhere/at/all" in target["sentence"]
    assert (policy["outcome"], policy["exit_code"]) == ("failed", 3)
    assert len(old(suite)) == 1
    assert not {"run.started", "batch"} & set(kinds(suite))


def test_an_anchor_that_is_ahead_of_the_ledger_is_told_by_doctor_and_stops_a_run(suite, tmp_path):
    anchor = tmp_path / "anchor"
    (anchor / "luxima-retention").mkdir(parents=True)
    (anchor / "luxima-retention" / "000000000999-abcd1234.txt").write_text("whatever")
    variables = {"LUXIMA_LEDGER__ANCHORS": json.dumps([anchor.as_uri()])}
    told = [check["message"] for check in checks(suite, 6, **variables)]
    assert any("covers 999 entries, and the ledger has 0" in message for message in told)
    assert suite("run", "log-files", **variables).returncode == 6
    assert len(old(suite)) == 1


def test_doctor_is_content_with_a_suite_in_order(suite):
    found = checks(suite, 0)
    assert {check["level"] for check in found} <= {"info", "warning"}
    assert any("asked, identity directory:" in check["message"] for check in found)


@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        (
            {"LUXIMA_POLICIES__LOG_FILES__IDENTITY": '["directory:elsewhere"]'},
            4,
            "not the store that is pinned",
        ),
        ({"LUXIMA_POLICIES__LOG_FILES__ARCHIVE": "required"}, 4, "but no archive is configured"),
        ({"LUXIMA_POLICIES__LOG_FILES__MAX_ITEMS": "0"}, 0, "a run would refuse: max-items"),
        ({"LUXIMA_LEDGER__KEY_FILE": "/nowhere/key.pem"}, 2, "/nowhere/key.pem cannot be read"),
        (
            {"LUXIMA_ARCHIVE__URL": "file:///nowhere/at/all", "LUXIMA_ARCHIVE__RETENTION_DAYS": "9"},
            *(3, "/nowhere/at/all"),
        ),
        (
            {
                "LUXIMA_ARCHIVE__URL": "s3://bucket/prefix",
                "LUXIMA_ARCHIVE__RETENTION_DAYS": "9",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            *(3, "no AWS credentials found"),
        ),
    ],
)
def test_doctor_says_what_a_run_would_meet(suite, variables, code, said):
    found = checks(suite, code, **variables)
    assert any(said in check["message"] for check in found), found
    assert len(old(suite)) == 1


def test_a_plan_that_a_guard_refuses_is_saved_with_the_refusal_and_applied_once_its_value_is_named(suite):
    plan = suite.cwd / "plan.json"
    suite.variables = {**suite.variables, "LUXIMA_POLICIES__LOG_FILES__MAX_ITEMS": "0"}
    done = suite("run", "log-files", "--dry-run", "--save-plan", str(plan))
    assert (done.returncode, "would refuse" in done.stdout) == (0, True)
    (saved,) = json.loads(plan.read_text())["plans"]
    assert saved["terms"]["items"] == 1
    assert "1 records" in saved["refused"][0]
    assert suite("run", "--plan", str(plan)).returncode == 4
    assert suite("run", "--plan", str(plan), "--max-items", "1").returncode == 0
    assert not old(suite)


def test_explain_says_which_guard_would_keep_a_run_from_a_record_that_goes(suite):
    path = str(old(suite)[0])
    free = suite.json("explain", "log-files", path)
    kept = suite.json("explain", "log-files", path, LUXIMA_POLICIES__LOG_FILES__IDENTITY='["directory:x"]')
    assert (free["verdict"], free["refused"]) == ("goes", [])
    assert (kept["verdict"], kept["refused"][0].split(":")[0]) == ("goes", "identity")
