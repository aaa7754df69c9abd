"""Every secret that a setting can hold, looked for in every output and every file of every command."""

from __future__ import annotations

import base64
import json
import typing

import pytest
from pydantic import BaseModel, SecretStr

from luxima_retention.cli import _status
from luxima_retention.config.settings import Settings

#: nobody is there
NOWHERE = "127.0.0.1:1"
SETTINGS = """
[audit_log]
table = "core.audit_log"
[policies.application-logs]
buckets = ["loki"]
s3 = "one"
url = "http://{nowhere}"
[policies.security-events]
tables = ["auth.audit_log_entries"]
database = "one"
[databases.one]
[prometheus]
urls = ["http://{nowhere}"]
[rotation]
state_dir = "{directory}/state"
[rotation.sets.services]
paths = ["{directory}/logs/*.log"]
method = "rename"
[s3.one]
endpoint_url = "http://{nowhere}"
[s3.default]
endpoint_url = "http://{nowhere}"
[archive]
url = "s3+one://archive/records"
retention_days = 730
[ledger]
path = "{ledger}"
[report]
url = "file://{directory}/out"
[telemetry]
pushgateway_url = "http://{nowhere}"
otlp_url = "http://{nowhere}"
[notify]
telegram_url = "http://{nowhere}"
telegram_chat = "-1001000000000"
plane_url = "http://{nowhere}/luxima/projects/00000000-0000-0000-0000-000000000000"
webhook_url = "http://{nowhere}/hook"
smtp_url = "smtp://{nowhere}"
mail_from = "luxima@example.com"
mail_to = ["dpo@example.com"]
smtp_username = "luxima"
"""
#: what every program of these can be called with, offline
COMMANDS = [
    ["matrix"],
    ["matrix", "--output", "json"],
    ["doctor"],
    ["run", "--dry-run"],
    ["run", "--dry-run", "--output", "json"],
    ["run", "--yes", "--max-fraction", "0.9"],
    ["run", "log-files", "--yes", "--output", "json"],
    ["explain", "audit-logs", "4711"],
    ["explain", "log-files", "/var/log/services/a.log"],
    ["hold", "add", "--policy", "audit-logs", "--reason", "order of a court"],
    ["hold", "list", "--output", "json"],
    ["ledger", "verify"],
    ["ledger", "export", "{out}/ledger-bundle"],
    ["archive", "list"],
    ["archive", "verify"],
    ["archive", "expire"],
    ["report", "--month", "last", "--format", "html", "-o", "{out}/report.html"],
    ["report", "--month", "last", "--format", "json", "-o", "{out}/report.json"],
    ["report", "--month", "last", "--format", "bundle"],
    ["migrate"],
    ["notify", "flush"],
    ["notify", "test"],
    ["schedule", "--print-next", "3"],
    ["manifests", "--output", "{out}/cron"],
    ["observability", "generate", "--directory", "{out}/observability"],
    ["observability", "check", "--directory", "{out}/observability"],
    ["completion", "bash"],
    ["--version"],
]


def secret_settings(model=Settings, above=()):
    """The dotted names of all settings that hold secrets; a table has each name it may, or ``one``."""

    def parts(kind):
        yield kind
        for inner in typing.get_args(kind):
            yield from parts(inner)

    for name, field in model.model_fields.items():
        kinds = list(parts(field.annotation))
        named = any(typing.get_origin(kind) is dict for kind in kinds)
        if any(kind is SecretStr for kind in kinds):
            yield ".".join((*above, name)), named
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                for key in keys(kinds) if named else [()]:
                    yield from secret_settings(kind, (*above, name, *key))


def keys(kinds):
    """The names of a table's entries: those that it may have, or ``one``."""
    (table,) = (kind for kind in kinds if typing.get_origin(kind) is dict)
    given, _ = typing.get_args(table)
    return [(key,) for key in typing.get_args(given) or ["one"]]


#: with a database that does not answer, and with a ledger in a file, where more of each command is done
CASES = [("password", True), ("bearer_token", False)]
#: an address may hold a token only where the setting is a secret
FORMS = {
    "database.dsn": "postgresql://role:{core}@127.0.0.1:1/luxima",
    "database.owner_dsn": "postgresql://owner:{core}@127.0.0.1:1/luxima",
    "databases.one.dsn": "host=127.0.0.1 port=1 user=role password='{core} #' dbname=postgres",
    "databases.one.owner_dsn": "host=127.0.0.1 port=1 user=owner password={core}",
    "notify.alert_dsn": "postgresql://alerter:{core}@127.0.0.1:1/postgres",
    "notify.telegram_token": "7100000000:{core}{core}",
    "notify.heartbeat_url": "http://127.0.0.1:1/ping/{core}",
}


def cores():
    """Setting → letters that stand nowhere else."""
    for number, (name, _) in enumerate(secret_settings()):
        yield name, f"Zq7{number:02d}Xw9Kd{number:02d}Vb4Lm"


CORES = dict(cores())
TABLES = {name for name, named in secret_settings() if named}


def secrets(authentication, *, database):
    """Secret files, by name; of password and token a section takes one."""
    other = {"password": ".bearer_token", "bearer_token": ".password"}[authentication]
    for name, core in CORES.items():
        if (name.endswith(other) and "http." in name) or (not database and name.startswith("database")):
            continue
        value = FORMS.get(name, "{core}").format(core=core)
        yield name.replace(".", "__"), json.dumps({"X-Api-Key": value}) if name in TABLES else value


def usernames(authentication):
    """The user of each password, in the settings file: it is no secret."""
    for name in CORES if authentication == "password" else ():
        section, _, option = name.rpartition(".")
        if option == "password" and "http" in section:
            yield f'[{section}]\nusername = "luxima"\n'


def forms(core):
    """A secret as it stands, and in Base64 at each of the places that it can have there."""
    yield core
    for before in range(3):
        code = base64.b64encode(b"x" * before + core.encode()).decode()
        # The first and the last letters hang on what stands beside it.
        yield code[4:-4]


def leaked(text):
    return sorted({name for name, core in CORES.items() for form in forms(core) if form in text})


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """The command with every secret that there is, in this process: one of its own would take minutes."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "service.log").write_text("works\n")
    (tmp_path / "out").mkdir()

    def prepared(authentication, *, database):
        directory = tmp_path / "secrets"
        directory.mkdir()
        for name, value in secrets(authentication, database=database):
            (directory / name).write_text(value)
        ledger = "" if database else tmp_path / "out" / "ledger"
        file = tmp_path / "luxima-retention.toml"
        text = SETTINGS.format(nowhere=NOWHERE, directory=tmp_path, ledger=ledger)
        file.write_text(text + "".join(usernames(authentication)))
        monkeypatch.setenv("LUXIMA_SECRETS_DIR", str(directory))
        monkeypatch.setenv("LUXIMA_CONFIG", str(file))
        monkeypatch.chdir(tmp_path / "out")

    return prepared


def test_every_setting_that_is_a_secret_is_looked_for():
    assert len(CORES) >= 25
    assert set(FORMS) <= set(CORES)
    given = {name for kind, database in CASES for name, _ in secrets(kind, database=database)}
    assert {name.replace(".", "__") for name in CORES} <= given


@pytest.mark.parametrize(("authentication", "database"), CASES)
def test_no_output_of_any_command_holds_a_secret(suite, tmp_path, capfd, authentication, database):
    suite(authentication, database=database)
    ends, silent = {}, []
    for words in COMMANDS:
        arguments = [word.format(out=tmp_path / "out") for word in words]
        level = [] if words == ["--version"] else ["--log-level", "debug"]
        ends[" ".join(words)] = int(_status([*level, *arguments]))
        out, err = capfd.readouterr()
        assert leaked(out + err) == [], words
        if not out + err:
            silent.append(words)
    # A fault would be told, and no usage is wrong but that of what is not configured.
    assert 1 not in ends.values(), ends
    assert {ends[name] for name in ("matrix", "manifests --output {out}/cron", "--version")} == {0}, ends
    assert len(silent) <= 2, silent
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert written
    for path in written:
        assert leaked(path.read_bytes().decode("latin-1")) == [], path


def test_the_search_would_find_one_in_each_form():
    name, core = next(iter(CORES.items()))
    assert leaked(f"a {core} b") == [name]
    for user in ("", "a", "ab", "abc"):
        assert leaked(base64.b64encode(f"{user}:{core}".encode()).decode()) == [name]
