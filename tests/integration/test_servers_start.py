"""The servers that other tests rely on do what they promise."""

import os
import smtplib
import subprocess
import sys
from email.message import EmailMessage

import psycopg
import pytest
import requests
from botocore.exceptions import ClientError

from tests.servers import forked
from tests.servers.programs import find_program
from tests.servers.s3 import READER_ACCESS_KEY, READER_SECRET_KEY


def test_a_database_belongs_to_its_owner(database):
    assert database.connect().execute("SELECT current_user, current_database()").fetchall() == [
        (database.owner, database.name)
    ]


def test_a_login_needs_its_password(database):
    dsn = database.login("reader")
    assert database.connect(dsn).execute("SELECT current_user").fetchone() == (f"{database.name}_reader",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(database.dsn_of(f"{database.name}_reader", "wrong"))


def test_a_login_has_no_rights_of_its_own(database):
    database.connect().execute("CREATE TABLE secret (n int)")
    job = database.connect(database.login())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        job.execute("SELECT * FROM secret")


def test_roles_and_databases_are_gone_afterwards(postgres):
    with postgres.database() as database:
        database.login("one")
        database.connect().execute("CREATE TABLE records (n int)")
        made = database.connect().execute("CREATE ROLE " + database.name + "_by_owner").statusmessage
        assert made == "CREATE ROLE"
    assert postgres.execute("SELECT datname FROM pg_database WHERE datname = %s", database.name) == []
    left = postgres.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE %s", database.name + "%")
    postgres.execute(f"DROP ROLE {database.name}_by_owner")
    assert left == [(f"{database.name}_by_owner",)]


def test_a_standby_replays_what_its_primary_writes(postgres_factory):
    primary = postgres_factory()
    standby = primary.standby()
    try:
        primary.execute("CREATE TABLE t (n int)")
        assert standby.execute("SELECT pg_is_in_recovery()") == [(True,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            standby.execute("CREATE TABLE u (n int)")
    finally:
        standby.stop()


def test_a_cluster_of_version_18_starts(postgres_factory):
    server = postgres_factory(version=18, settings={"work_mem": "2MB"})
    assert server.execute("SHOW server_version_num")[0][0].startswith("18")
    assert server.execute("SHOW work_mem") == [("2MB",)]


def test_s3_keeps_what_it_is_given(s3_client, bucket):
    s3_client.put_object(Bucket=bucket, Key="a/b", Body=b"text")
    assert s3_client.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"text"


def test_s3_refuses_a_reader_that_writes(s3, s3_client, bucket):
    reader = s3.client(READER_ACCESS_KEY, READER_SECRET_KEY)
    s3_client.put_object(Bucket=bucket, Key="a", Body=b"text")
    assert reader.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.put_object(Bucket=bucket, Key="b", Body=b"text")
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.delete_object(Bucket=bucket, Key="a")
    reader.close()


def test_prometheus_takes_flags_and_configuration(prometheus_factory):
    server = prometheus_factory(
        "--storage.tsdb.retention.time=60d", config="global: {scrape_interval: 17s}\n"
    )
    flags = requests.get(f"{server.url}/api/v1/status/flags", timeout=5).json()["data"]
    config = requests.get(f"{server.url}/api/v1/status/config", timeout=5).json()["data"]["yaml"]
    assert flags["storage.tsdb.retention.time"] == "60d"
    assert "scrape_interval: 17s" in config


def test_pushgateway_keeps_what_is_pushed(pushgateway):
    url = f"{pushgateway.url}/metrics/job/retention"
    assert requests.put(url, data="luxima_runs 3\n", timeout=5).ok
    assert (
        'luxima_runs{instance="",job="retention"} 3'
        in requests.get(f"{pushgateway.url}/metrics", timeout=5).text
    )


def test_smtp_keeps_and_refuses_mail(smtp):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "Grüße"
    message.set_content("text")
    with smtplib.SMTP(smtp.host, smtp.port, timeout=60) as client:
        client.send_message(message)
        smtp.refuse = "451 try again"
        with pytest.raises(smtplib.SMTPDataError, match="451"):
            client.send_message(message)
    assert [mail["Subject"] for mail in smtp.messages] == ["Grüße"]
    assert smtp.recipients == [["b@example.org"]]


@pytest.mark.parametrize(("name", "option"), [("promtool", "--version"), ("logrotate", "--version")])
def test_programs_are_found(name, option):
    done = subprocess.run([find_program(name), option], capture_output=True, text=True, check=True)
    assert name in done.stdout + done.stderr


@pytest.mark.parametrize("words", [["--version"], ["matrix"], ["no-such-command"], ["run", "metrics"]])
def test_a_forked_command_is_as_one_that_python_starts(tmp_path, words):
    environment = dict(os.environ) | {"PYTHONPATH": str(forked.ROOT), "LUXIMA_LOG_LEVEL": "error"}
    forks = forked.run("luxima_retention", words, environment=environment, cwd=tmp_path, timeout=60)
    done = subprocess.run(
        [sys.executable, "-m", "luxima_retention", *words],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    told = [(each.returncode, each.stdout, each.stderr) for each in (forks, done)]
    assert told[0] == told[1]


def test_a_forked_command_that_takes_too_long_is_killed(tmp_path):
    environment = dict(os.environ) | {"PYTHONPATH": str(forked.ROOT)}
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run("luxima_retention", ["matrix"], environment=environment, cwd=tmp_path, timeout=0)


@pytest.mark.parametrize("name", ["LD_PRELOAD", "TZ", "PYTHONWARNINGS", "LC_ALL"])
def test_what_python_reads_when_it_starts_is_not_given_to_a_fork(name):
    assert forked.forkable(os.environ | {"LUXIMA_LEDGER__PATH": "/x"})
    assert not forked.forkable(os.environ | {name: "x"})
