"""Evidence through the command: archives that fail, ledgers that are touched, holds that reach the bucket."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from luxima_retention.core.plan import Hold
from luxima_retention.evidence.holds import PostgresRegister
from luxima_retention.evidence.ledger.postgres import PostgresLedger
from tests.acceptance.test_audit_logs import expired, left, target
from tests.servers.command import audit_log
from tests.servers.process import free_ports


def with_archive(run, url):
    run.variables |= {"LUXIMA_ARCHIVE__URL": url, "LUXIMA_ARCHIVE__RETENTION_DAYS": "365"}
    return run


def s3_archive(run, s3, bucket):
    run.variables |= {
        "LUXIMA_S3__DEFAULT__ENDPOINT_URL": s3.endpoint_url,
        "LUXIMA_S3__DEFAULT__REGION": "us-east-1",
        "LUXIMA_S3__DEFAULT__ACCESS_KEY_ID": s3.access_key,
        "LUXIMA_S3__DEFAULT__SECRET_ACCESS_KEY": s3.secret_key,
    }
    return with_archive(run, f"s3://{bucket}/retention")


def test_rows_come_back_from_s3_as_they_were(database, s3, bucket):
    run = s3_archive(audit_log(database), s3, bucket)
    with database.connect() as owner:
        owner.execute("CREATE SCHEMA scratch")
        owner.execute("CREATE TABLE scratch.before AS TABLE core.audit_log")
    done = target(run.json("run", "audit-logs"))
    restored = run(
        "archive",
        "restore",
        done["run_id"],
        "--into",
        "scratch.after",
        LUXIMA_DATABASE__OWNER_DSN=database.dsn,
    )
    assert restored.returncode == 0, restored.stderr
    lost = "(TABLE scratch.before EXCEPT TABLE core.audit_log) EXCEPT TABLE scratch.after"
    query = f"SELECT count(*) FROM ({lost}) x"
    assert database.execute(query) == [(0,)]
    assert database.execute("SELECT count(*) FROM scratch.after") == [(done["done"]["destroyed"],)]
    assert s3.secret_key not in restored.stdout + run("ledger", "list", "--output", "json").stdout


def test_an_archive_that_cannot_be_reached_deletes_nothing(database, s3):
    run = s3_archive(audit_log(database), s3, "archive")
    (port,) = free_ports(1)
    done = run("run", "audit-logs", LUXIMA_S3__DEFAULT__ENDPOINT_URL=f"http://127.0.0.1:{port}")
    assert done.returncode == 3, done.stdout
    assert left(database) == 8760


@pytest.mark.parametrize("place", ["archive.before_upload", "archive.during_upload", "archive.after_upload"])
def test_an_upload_that_fails_deletes_nothing_more(database, tmp_path, place):
    (tmp_path / "archive").mkdir()
    run = with_archive(audit_log(database), f"file://{tmp_path}/archive")
    failed = run("run", "audit-logs", LUXIMA_FAILPOINTS=f"{place}=fail@2")
    assert failed.returncode in {1, 3}
    gone = 8760 - left(database)
    archives = run.json("archive", "list")["archives"]
    recorded = [
        entry["body"]["items"]
        for entry in map(json.loads, run("ledger", "list", "--output", "json").stdout.splitlines())
        if entry["kind"] == "batch"
    ]
    assert gone == sum(recorded) < 4400
    assert run("run", "audit-logs").returncode == 0
    archives = run.json("archive", "list")["archives"]
    assert sum(archive["items"] for archive in archives) == 8760 - left(database)
    assert expired(database) == 0


def test_a_disk_that_is_full_deletes_nothing(database, tmp_path):
    """The kernel itself refuses to let a file grow beyond 4 KiB."""
    (tmp_path / "archive").mkdir()
    run = with_archive(audit_log(database), f"file://{tmp_path}/archive")
    done = subprocess.run(
        # -B: Python would leave compiled modules behind that are cut off.
        [sys.executable, "-B", "-m", "luxima_retention", "run", "audit-logs"],
        env=run.environment(),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert left(database) == 8760
    assert run.json("archive", "list")["archives"] == []


def test_a_ledger_that_was_touched_is_found(database, tmp_path):
    run = audit_log(database)
    (tmp_path / "anchor").mkdir()
    run.variables |= {
        "LUXIMA_LEDGER__KEY_FILE": str(tmp_path / "key.pem"),
        "LUXIMA_LEDGER__ANCHORS": json.dumps([f"file://{tmp_path}/anchor"]),
    }
    assert run("ledger", "keygen").returncode == 0
    assert run("run", "audit-logs").returncode == 0
    with database.connect(database.admin_dsn) as superuser:
        superuser.execute("ALTER TABLE retention.ledger DISABLE TRIGGER USER")
        superuser.execute(
            "UPDATE retention.ledger"
            " SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'items', 'Items'), 'UTF8')"
            " WHERE seq = (SELECT min(seq) FROM retention.ledger WHERE kind = 'batch')"
        )
        superuser.execute("ALTER TABLE retention.ledger ENABLE ALWAYS TRIGGER ledger_append")
    verified = run("ledger", "verify")
    assert verified.returncode == 6
    assert "was changed" in verified.stderr or "not what was written" in verified.stderr


def test_the_review_of_a_hold_is_asked_for_by_doctor(database):
    run = audit_log(database)
    add = ("hold", "add", "--policy", "audit-logs", "--reason", "case", "--id", "H-1")
    typo = run(*add, "--review-by", "2016-01-01")
    assert (typo.returncode, "is not in the future" in typo.stderr) == (2, True)
    assert run(*add, "--review-by", "2999-01-01").returncode == 0
    assert "review by 2999-01-01" in run("hold", "list").stdout
    assert "review" not in run("doctor").stdout
    ledger = PostgresLedger(run.variables["LUXIMA_DATABASE__DSN"])
    register = PostgresRegister(run.variables["LUXIMA_DATABASE__DSN"])
    at = datetime(2026, 1, 1, tzinfo=UTC)
    overdue = Hold(hold_id="H-2", tenant="t1", reason="x", placed_by="x", placed_at=at, review_by=at)
    register.place(overdue, ledger)
    register.close()
    ledger.close()
    told = run("doctor")
    assert "the review of hold H-2 is overdue since 2026-01-01" in told.stdout
    assert "H-1" not in told.stdout


def test_the_owner_cannot_change_the_ledger_by_accident(database):
    run = audit_log(database)
    assert run("run", "audit-logs").returncode == 0
    with database.connect() as owner:
        for statement in ("DELETE FROM retention.ledger", "TRUNCATE retention.ledger"):
            with pytest.raises(Exception, match="never changed or removed"):
                owner.execute(statement)


def test_holds_reach_the_bucket(database, s3, s3_client):
    bucket = f"locked-{database.name.replace('_', '-')}"
    s3_client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    run = s3_archive(audit_log(database), s3, bucket)
    run.variables |= {"LUXIMA_ARCHIVE__MIRROR_HOLDS": "true"}
    assert run("run", "audit-logs").returncode == 0
    add = run("hold", "add", "--policy", "audit-logs", "--reason", "case", "--id", "H-1")
    assert add.returncode == 0, add.stderr
    assert statuses(s3_client, bucket) == {"ON"}
    assert run("hold", "release", "H-1", "--reason", "over").returncode == 0
    assert statuses(s3_client, bucket) == {"OFF"}


def statuses(client, bucket):
    found = set()
    for item in client.list_objects_v2(Bucket=bucket)["Contents"]:
        answer = client.get_object_legal_hold(Bucket=bucket, Key=item["Key"])
        found.add(answer["LegalHold"]["Status"])
    return found


def signing(database, tmp_path):
    """A suite with key and anchor, after its first run."""
    (tmp_path / "anchor").mkdir()
    run = audit_log(database)
    run.variables |= {
        "LUXIMA_LEDGER__KEY_FILE": str(tmp_path / "key.pem"),
        "LUXIMA_LEDGER__ANCHORS": json.dumps([(tmp_path / "anchor").as_uri()]),
    }
    run.variables["LUXIMA_LEDGER__PUBLIC_KEY"] = run("ledger", "keygen").stdout.strip()
    assert run("run", "audit-logs").returncode == 0
    return run


def tampering(database, *statements):
    """What an owner may do: the triggers are his."""
    tables = ("retention.ledger", "retention.checkpoint")
    with database.connect() as owner:
        for word in ("DISABLE", "ENABLE"):
            for table in tables:
                owner.execute(f"ALTER TABLE {table} {word} TRIGGER ALL")
            for statement in statements if word == "DISABLE" else ():
                owner.execute(statement)


def test_an_owner_without_the_key_gets_no_signature(database, tmp_path):
    run = signing(database, tmp_path)
    assert run("ledger", "verify").returncode == 0
    size = database.execute("SELECT count(*) FROM retention.ledger")
    tampering(database, "CREATE TABLE kept AS TABLE retention.checkpoint", "DELETE FROM retention.checkpoint")
    shutil.move(tmp_path / "anchor", tmp_path / "away")
    (tmp_path / "anchor").mkdir()
    refused = run("run", "audit-logs")
    assert refused.returncode == 6
    assert "holds no checkpoint of this ledger" in refused.stdout
    assert run("doctor").returncode == 6
    assert database.execute("SELECT count(*) FROM retention.ledger") == size
    shutil.rmtree(tmp_path / "anchor")
    shutil.move(tmp_path / "away", tmp_path / "anchor")
    tampering(database, "INSERT INTO retention.checkpoint SELECT * FROM kept")
    assert run("run", "audit-logs").returncode == 0


def test_a_database_from_a_backup_goes_on_after_a_recovery(database, tmp_path):
    run = signing(database, tmp_path)
    kept = database.execute("SELECT min(size) FROM retention.checkpoint")[0][0]
    tampering(
        database,
        f"DELETE FROM retention.ledger WHERE seq > {kept}",
        f"DELETE FROM retention.checkpoint WHERE size > {kept}",
    )
    assert run("run", "audit-logs").returncode == 6
    recovered = run("ledger", "recover", "--reason", "the disk of db-1 died")
    assert recovered.returncode == 0, recovered.stderr
    assert run("run", "audit-logs").returncode == 0
    verified = run("ledger", "verify")
    assert verified.returncode == 0, verified.stderr
    assert "not proved a recovery gave up what" in verified.stdout
