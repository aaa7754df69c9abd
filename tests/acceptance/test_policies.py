"""Policies are data: a sixth one, another database and another bucket, by settings alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.configured import s3_variables
from tests.servers.command import Command

SIXTH = """
[policies.billing-webhooks]
kind = "table"
retention_days = 45
log_type = "Billing webhooks"
tables = [{ table = "billing.webhook_log", time_column = "received_at" }]
schedule = "41 2 * * *"
basis = "Contract with payment partners, clause 7"
owner = "finance@luxima.id"
review_by = 2027-06-30
max_fraction = 0.9
"""
TABLE = """
CREATE SCHEMA billing;
CREATE TABLE billing.webhook_log (id bigint PRIMARY KEY, received_at timestamptz NOT NULL, body text);
CREATE INDEX ON billing.webhook_log (received_at, id);
INSERT INTO billing.webhook_log SELECT n, now() - n * interval '1 day', 'x' FROM generate_series(0, 99) n;
"""


@pytest.fixture
def sixth(database, tmp_path):
    """The command of a suite that has the sixth policy in its settings file, and its database."""
    with database.connect() as connection:
        connection.execute(TABLE.encode())
    file = tmp_path / "luxima-retention.toml"
    file.write_text(SIXTH)
    job = database.login("job")
    variables = {
        "LUXIMA_CONFIG": str(file),
        "LUXIMA_DATABASE__DSN": job,
        "LUXIMA_DATABASE__JOB_ROLE": database.role("job"),
        # The seed's table is not here.
        "LUXIMA_POLICIES__AUDIT_LOGS__TABLES": "",
        "LUXIMA_PACE__DUTY_CYCLE": "1",
    }
    command = Command(variables=variables)
    done = command("migrate", LUXIMA_DATABASE__OWNER_DSN=database.dsn)
    assert "billing.webhook_log set up for billing-webhooks: keyset, floor 45 days" in done.stdout, (
        done.stderr
    )
    return command, database


def rows(database):
    return database.execute("SELECT count(*) FROM billing.webhook_log")[0][0]


def test_a_sixth_policy_is_migrated_shown_run_explained_held_scheduled_and_reported(sixth, tmp_path):
    command, database = sixth
    matrix = command("matrix").stdout
    assert "billing-webhooks: Billing webhooks, 45 days" in matrix
    assert "Contract with payment partners, clause 7" in matrix
    assert "destroy; no archive is configured" in matrix
    assert "finance@luxima.id, review by 2027-06-30" in matrix

    done = command(
        *("hold", "add", "--policy", "billing_webhooks", "--from", "2020-01-01", "--reason", "dispute")
    )
    assert done.returncode == 0, done.stderr
    planned = command.json("run", "billing-webhooks", "--dry-run")["policies"][0]
    assert planned["about"]["basis"] == "Contract with payment partners, clause 7"
    assert planned["targets"][0]["survey"]["held"] == 54
    (hold,) = command.json("hold", "list")["holds"]
    assert command("hold", "release", hold["hold_id"], "--reason", "settled").returncode == 0

    why = command.json("explain", "billing_webhooks", "99")
    assert (why["verdict"], why["rule"]) == ("goes", "expired")
    ran = command.json("run", "billing-webhooks")["policies"][0]["targets"][0]
    assert (ran["done"]["destroyed"], rows(database)) == (54, 46)
    assert command.json("run")["exit_code"] == 0

    period = ("--from", f"{datetime.now(UTC).year}-01-01", "--to", f"{datetime.now(UTC).year + 1}-01-01")
    # Of the next three runs of all slots one or two are this one's, by the time of the day.
    coming = command.json("schedule", "--print-next", "3")["runs"]
    assert {run["local"][11:16] for run in coming if run["slot"] == "billing-webhooks"} == {"02:41"}
    file = tmp_path / "report.json"
    told = command("report", *period, "-o", str(file))
    assert told.returncode == 0, told.stderr
    report = json.loads(file.read_text())
    (store,) = (row for row in report["stores"] if row["policy"] == "billing-webhooks")
    assert (store["log_type"], store["basis"]) == (
        "Billing webhooks",
        "Contract with payment partners, clause 7",
    )
    assert command("report", *period, "--lang", "en", "-o", str(tmp_path / "report.html")).returncode == 0
    page = (tmp_path / "report.html").read_text()
    assert "billing-webhooks" in page
    assert "Deletion of database rows or partitions, in batches" in page


def test_a_policy_that_only_the_environment_names_is_refused(sixth):
    command, _ = sixth
    done = command("matrix", LUXIMA_POLICIES__BILLING_WEBHOKS__RETENTION_DAYS="9")
    assert done.returncode == 2
    assert "there is no policy billing-webhoks" in done.stderr


def test_a_second_loki_at_another_endpoint(s3, s3_client, bucket, tmp_path):
    """Two policies of one kind, each with its own connection."""
    file = tmp_path / "luxima-retention.toml"
    file.write_text(
        f"""
        [policies.edge-logs]
        kind = "loki"
        retention_days = 14
        buckets = ["{bucket}"]
        s3 = "edge"
        [s3.default]
        endpoint_url = "http://127.0.0.1:9"
        """
    )
    variables = {
        "LUXIMA_CONFIG": str(file),
        "LUXIMA_LEDGER__PATH": str(tmp_path / "ledger"),
        **s3_variables(s3, "edge"),
    }
    s3_client.put_object(Bucket=bucket, Key="elsewhere", Body=b"x")
    found = Command(variables=variables).json("run", "edge-logs", "--dry-run", code=None)["policies"][0]
    assert found["targets"][0]["target"] == f"s3://{bucket}"
    assert found["retention_days"] == 14


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[policies.x]\nretention_days = 1", "policies.x: it has no kind"),
        ('[policies.x]\nkind = "tabel"\nretention_days = 1', "'tabel' is not a kind"),
        ('[policies.x]\nkind = "table"', "policies.x.retention_days"),
        (
            '[policies.x]\nkind = "table"\nretention_days = 1\ndatabase = "other"',
            "no section databases.other",
        ),
        ('[policies.x]\nkind = "loki"\nretention_days = 1\ns3 = "other"', "no section s3.other"),
        ('[policies.audit_logs]\n[policies."audit-logs"]', "is set twice"),
        ('[policies.x]\nkind = "loki"\nretention_days = 1\nurls = ["http://x"]', "policies.x.urls"),
        ("[prometheus]\nurls = []\n[policies.metrics]\nurls = []", "keep one of them"),
    ],
)
def test_a_policy_that_is_not_whole_is_refused_with_its_name(tmp_path, text, said):
    file = tmp_path / "luxima-retention.toml"
    file.write_text(text)
    done = Command(variables={"LUXIMA_CONFIG": str(file)})("matrix")
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
