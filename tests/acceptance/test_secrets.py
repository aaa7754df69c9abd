"""No secret is printed by the command, whatever is wrong with the settings that hold it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from luxima_retention.cli import _status
from tests.servers.command import Command
from tests.servers.process import free_ports

PARTS = ("TOPSECRET", "pa#ss", "pa%23ss", "hunter2", "OTHERSECRET")
DSNS = [
    "postgresql://job:hunter2@TOPSECRET/pa#ss@127.0.0.1:{port}/luxima",
    "postgresql://job:TOPSECRET@127.0.0.1:{port}/luxima",
    "postgresql://job:TOPSECRET%2Fpa%23ss@127.0.0.1:{port}/luxima",
    "postgresql://job:TOPSECRET/x@127.0.0.1:{port}/luxima",
    "postgresql://job:TOPSECRET?x@127.0.0.1:{port}/luxima",
    "postgresql://job:TOP@SECRET#TOPSECRET@127.0.0.1:{port}/luxima",
    "postgresql://job@127.0.0.1:{port}/luxima?password=TOPSECRET",
    "postgresql://job:TOPSECRET@127.0.0.1:port/luxima",
    "postgresql://job:TOPSECRET@[::1/luxima",
    "postgresql://job:TOPSECRET@127.0.0.1:{port}/luxima?sslmode=TOPSECRET",
    "postgres//job:TOPSECRET@127.0.0.1/luxima",
    "host=127.0.0.1 port={port} user=job password=TOPSECRET dbname=luxima",
    "host=127.0.0.1 port={port} password='TOPSECRET pa#ss' dbname=luxima",
    "host=127.0.0.1 port={port} password=TOPSECRET pa#ss dbname=luxima",
    "host=127.0.0.1 port={port} password='TOPSECRET dbname=luxima",
    "host=127.0.0.1 port=TOPSECRET password=TOPSECRET dbname=luxima",
    "host=TOPSECRET.invalid password=TOPSECRET dbname=luxima",
    "host=127.0.0.1 port={port} password=TOPSECRET sslrootcert=/nowhere/ca.pem sslmode=verify-full",
    "TOPSECRET",
]


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch, capfd):
    """The command in this process: a process of its own would take most of the time of so many cases."""

    def called(*arguments, **variables):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            code = _status(list(arguments))
        out, err = capfd.readouterr()
        return Done(int(code), out, err)

    return called


BUCKET = {"LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS": "b"}


def shown(done):
    return [part for part in PARTS if part in done.stdout + done.stderr]


@pytest.mark.parametrize("dsn", DSNS)
def test_a_connection_string_is_never_shown(run, dsn):
    (port,) = free_ports(1)
    variables = {"LUXIMA_DATABASE__DSN": dsn.format(port=port), "PGPASSWORD": "OTHERSECRET"}
    for arguments in (
        ("--log-level", "debug", "run", "audit-logs", "--dry-run", "--output", "json"),
        ("doctor",),
    ):
        done = run(*arguments, **variables)
        assert done.returncode in {2, 3}, done.stderr
        assert shown(done) == [], arguments
        assert "unexpected fault" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("LUXIMA_POLICIES__APPLICATION_LOGS__URL", "application-logs.url"),
        ("LUXIMA_S3__DEFAULT__ENDPOINT_URL", "s3.default.endpoint_url"),
        ("LUXIMA_PROMETHEUS__URLS", "policies.metrics.urls"),
        ("LUXIMA_TELEMETRY__PUSHGATEWAY_URL", "telemetry.pushgateway_url"),
        ("LUXIMA_TELEMETRY__OTLP_URL", "telemetry.otlp_url"),
    ],
)
@pytest.mark.parametrize(
    "value", ["https://key:TOPSECRET@host", "https://TOPSECRET@host/x", "key:TOPSECRET/pa#ss@host:9000"]
)
def test_credentials_in_any_address_are_refused_unseen(run, name, setting, value):
    done = run("matrix", **{name: value})
    assert done.returncode == 2
    assert setting in done.stderr
    assert shown(done) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LUXIMA_ARCHIVE__URL", "https://key:TOPSECRET@host/archive"),
        ("LUXIMA_LEDGER__ANCHORS", "https://key:TOPSECRET@host/anchor"),
        ("LUXIMA_REPORT__URL", "ftp://key:TOPSECRET@host/report"),
    ],
)
def test_credentials_in_any_place_are_masked(run, name, value):
    done = run("matrix", **{name: value, "LUXIMA_ARCHIVE__RETENTION_DAYS": "3"})
    assert done.returncode == 2
    assert "***@host" in done.stderr
    assert shown(done) == []


def test_a_webhook_with_a_token_in_its_path_is_never_shown(run, tmp_path):
    (port,) = free_ports(1)
    (tmp_path / "api.log").write_text("2020-01-01T00:00:00Z old\n")
    hooks = [{"url": f"http://127.0.0.1:{port}/TOPSECRET"}]
    sets = {"api": {"paths": [f"{tmp_path}/api.log"], "after": hooks, "first_run": "rotate"}}
    variables = {
        "LUXIMA_ROTATION__SETS": json.dumps(sets),
        "LUXIMA_LEDGER__PATH": str(tmp_path / "ledger"),
    }
    done = run("run", "log-files", "--rotate-now", "--output", "json", **variables)
    assert "the request failed" in done.stdout, done.stderr
    assert shown(done) == []
    assert b"TOPSECRET" not in (tmp_path / "ledger").read_bytes()


def test_a_bucket_s_secret_key_is_never_shown(run):
    (port,) = free_ports(1)
    variables = {
        "LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS": "loki",
        "LUXIMA_S3__DEFAULT__ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "LUXIMA_S3__DEFAULT__REGION": "us-east-1",
        "LUXIMA_S3__DEFAULT__ACCESS_KEY_ID": "TOPSECRET",
        "LUXIMA_S3__DEFAULT__SECRET_ACCESS_KEY": "hunter2/hunter2",
    }
    done = run("run", "application-logs", "--dry-run", "--output", "json", **variables)
    assert done.returncode == 3
    assert shown(done) == []


def test_a_mark_before_the_text_of_a_file_is_no_part_of_it(run, tmp_path):
    """Some editors write one, and end lines with two characters."""
    (port,) = free_ports(1)
    dsn = f"host=127.0.0.1 port={port} dbname=x user=x password=TOPSECRET\r\n"
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "database__dsn").write_text(dsn, encoding="utf-8-sig", newline="")
    (tmp_path / "settings.toml").write_text("[pace]\r\nduty_cycle = 0.3\r\n", encoding="utf-8-sig")
    where = {"LUXIMA_SECRETS_DIR": str(secrets), "LUXIMA_CONFIG": str(tmp_path / "settings.toml")}
    done = run("run", "audit-logs", "--dry-run", **where)
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"no connection to PostgreSQL at 127.0.0.1:{port}/x" in done.stdout
    assert shown(done) == []


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LUXIMA_DATABASE_DSN": "x"}, "LUXIMA_DATABASE__DSN"),
        ({"LUXMIA_DATABASE__DSN": "x"}, "LUXIMA_DATABASE__DSN"),
        ({"LUXIMA_SECRETS_DIR": "/nowhere"}, "LUXIMA_SECRETS_DIR"),
        ({"LUXIMA_CONFIG": "/nowhere"}, "LUXIMA_CONFIG"),
        ({"LUXIMA_CONFIG": "/"}, "LUXIMA_CONFIG"),
        ({"LUXIMA_S3__DEFAULT__ENDPOINT_URL": "localhost:9000"}, "s3.default.endpoint_url"),
        ({"LUXIMA_PROMETHEUS__URLS": "localhost:9090"}, "metrics.urls"),
        ({"LUXIMA_PROMETHEUS__URLS": "http://x:99999"}, "metrics.urls"),
        ({"LUXIMA_PROMETHEUS__HTTP__HEADERS": "{"}, "metrics.http.headers"),
        ({"LUXIMA_POLICIES__APPLICATION_LOGS__PERIODS": "["}, "application-logs.periods"),
        (
            {"LUXIMA_POLICIES__APPLICATION_LOGS__URL": "http://x\udcff"},
            "LUXIMA_POLICIES__APPLICATION_LOGS__URL",
        ),
        ({"LUXIMA_DATABASE__DSN": "host=h sslrootcert=/nowhere"}, "sslrootcert of database.dsn"),
        ({"LUXIMA_DATABASE__DSN": "postgresql://r@h:port/d"}, "database.dsn is not a PostgreSQL"),
        ({**BUCKET, "LUXIMA_S3__DEFAULT__CA_FILE": "/nowhere"}, "ca_file of its section s3"),
        ({**BUCKET, "LUXIMA_S3__DEFAULT__CA_FILE": "/etc/hostname"}, "ca_file of its section s3"),
        ({**BUCKET, "LUXIMA_S3__DEFAULT__REGION": "no region"}, "'no region' is not a region"),
        (
            {"LUXIMA_PROMETHEUS__URLS": "http://x", "LUXIMA_PROMETHEUS__HTTP__CA_FILE": "/nowhere"},
            "metrics.http.ca_file",
        ),
    ],
)
def test_a_wrong_setting_ends_with_2_and_its_name(run, variables, said):
    done = run("run", "--dry-run", **variables)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    assert "unexpected fault" not in done.stdout + done.stderr


def test_secret_files_of_another_encoding_and_the_settings_file_of_one_are_named(run, tmp_path):
    (tmp_path / "database__dsn").write_bytes(b"host=h password=\xe9")
    done = run("matrix", LUXIMA_SECRETS_DIR=str(tmp_path))
    assert (done.returncode, "database__dsn is not text in UTF-8" in done.stderr) == (2, True)
    (tmp_path / "database__dsn").write_text("host=h password=TOPSECRET", encoding="utf-16")
    done = run("matrix", LUXIMA_SECRETS_DIR=str(tmp_path))
    assert (done.returncode, "database__dsn is not text in UTF-8" in done.stderr) == (2, True)
    assert shown(done) == []
    (tmp_path / "settings.toml").write_bytes(b"# caf\xe9\n")
    done = run("matrix", LUXIMA_CONFIG=str(tmp_path / "settings.toml"))
    assert (done.returncode, "settings.toml is not text in UTF-8" in done.stderr) == (2, True)


@pytest.mark.parametrize("value", ["file:///a", "file:///a,file:///b", '["file:///a"]'])
def test_anchors_are_written_as_documented(run, value):
    done = run("matrix", LUXIMA_LEDGER__ANCHORS=value)
    assert done.returncode == 0, done.stderr


def test_the_installed_command_does_not_show_one_either():
    """As somebody runs it, with the traceback of the debug level."""
    variables = {"LUXIMA_DATABASE__DSN": DSNS[2].format(port=1), "PGPASSWORD": "OTHERSECRET"}
    done = Command(variables=variables)("--log-level", "debug", "run", "audit-logs", "--dry-run")
    assert done.returncode == 3
    assert shown(done) == []
