"""The weekly look at rules and dashboards: compared, linted, asked, entered, told on change."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from luxima_retention.cli import cli
from luxima_retention.evidence.ledger.file import FileLedger
from luxima_retention.tell.observability.check import used
from luxima_retention.tell.observability.files import files
from tests.servers.stub import Answer, run_stub

SETTINGS = """
[ledger]
path = "{home}/ledger.jsonl"
origin = "test"
[telemetry]
textfile_directory = "{home}/textfiles"
[notify]
webhook_url = "{hook}"
quiet_hours = ""
[observability]
directory = "{home}/grafana"
[policies.metrics]
urls = ["{prometheus}"]
http = {{ username = "reader", password = "prometheus-password-0123" }}
"""
NAMES = sorted(used(files((), "production")))


@pytest.fixture
def stack(tmp_path):
    """A home, what the webhook was told, the names that the Prometheus has, and what it was asked."""
    (tmp_path / "textfiles").mkdir()
    names = list(NAMES)

    def prometheus(method, path, headers, body):
        del method, headers, body
        if not names:
            return Answer(status=503, body=b"starting")
        assert path == "/api/v1/label/__name__/values"
        return Answer(body=json.dumps({"status": "success", "data": names}).encode())

    with run_stub(lambda *_: Answer()) as hook, run_stub(prometheus) as server:
        text = SETTINGS.format(home=tmp_path, hook=hook.url, prometheus=server.url)
        (tmp_path / "settings.toml").write_text(text)
        yield tmp_path, hook, names, server


def run(home, *words):
    options = ["--config", str(home / "settings.toml"), "observability"]
    result = CliRunner().invoke(cli, [*options, *words], catch_exceptions=False)
    assert "prometheus-password" not in result.output
    return result


def entries(home):
    ledger = FileLedger(home / "ledger.jsonl")
    found = [entry.event for entry in ledger.entries() if entry.kind == "observability.checked"]
    ledger.close()
    return found


def told(hook):
    return [[note["change"] for note in json.loads(body)["message"]["notes"]] for *_, body in hook.asked]


def code_told(home):
    (line,) = (
        line
        for line in (home / "textfiles").glob("*observability*").__next__().read_text().splitlines()
        if line.startswith("luxima_retention_last_run_exit_code{")
    )
    return float(line.rpartition(" ")[2])


def test_the_weekly_check_enters_and_tells_what_changed(stack):
    home, hook, names, server = stack
    assert run(home, "check", "--record").exit_code == 8
    assert run(home, "check", "--record").exit_code == 8
    assert told(hook) == [["failing"]], "the same again is not told again"
    assert code_told(home) == 8
    assert "Dasbor atau aturan alert tidak sesuai" in hook.asked[0][3].decode()
    run(home, "generate", "--directory", str(home / "grafana"))
    done = run(home, "check", "--record", "--output", "json")
    assert (done.exit_code, code_told(home)) == (0, 0)
    assert json.loads(done.stdout)["differs"] == []
    assert told(hook) == [["failing"], ["recovered"]]
    names.remove("luxima_retention_limit_seconds")
    assert "exported by luxima-retention itself" in run(home, "check", "--record").output
    names.clear()
    assert run(home, "check", "--record").exit_code == 3
    first, _, well, lacking, unasked = entries(home)
    assert first.compared == len(first.differs) == len(files((), "production"))
    assert (well.compared, well.differs, well.asked, int(well.exit_code)) == (first.compared, (), True, 0)
    assert (lacking.missing, int(lacking.exit_code)) == (("luxima_retention_limit_seconds",), 8)
    assert (unasked.error, int(unasked.exit_code)) == (
        f"{server.url} answers 503, and no names of metrics",
        3,
    )
    assert all(headers["Authorization"].startswith("Basic ") for _, _, headers, _ in server.asked)


@pytest.fixture
def other():
    """A second Prometheus, which knows what is in the list."""
    names = []
    answer = lambda *_: Answer(body=json.dumps({"data": names}).encode())  # noqa: E731
    with run_stub(answer) as server:
        yield server, names


def asked(home, *servers):
    """What a look says that asks these servers, the settings' and others."""
    text = (home / "settings.toml").read_text()
    urls = json.dumps([server.url for server in servers])
    lines = [f"urls = {urls}" if line.startswith("urls = ") else line for line in text.splitlines()]
    (home / "settings.toml").write_text("\n".join(lines))
    run(home, "generate", "--directory", str(home / "grafana"))
    return run(home, "check")


def test_what_one_of_several_servers_has_is_not_missing(stack, other):
    home, _, names, server = stack
    second, more = other
    more.append(names.pop())
    more.append(names.pop())
    done = asked(home, server, second)
    assert (done.exit_code, done.stdout) == (0, "all well\n")
    lacking = more.pop()
    done = asked(home, server, second)
    assert done.exit_code == 8
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [f"missing  {lacking}"]


def test_a_server_that_is_away_matters_where_something_is_missing(stack, other):
    home, _, names, server = stack
    second, more = other
    more += names
    lacking = names.pop()
    assert asked(home, server, second).exit_code == 0
    names.clear()
    assert asked(home, server, second).exit_code == 0
    more.remove(lacking)
    done = asked(home, server, second)
    assert (done.exit_code, done.stdout) == (
        3,
        f"unknown  {server.url} answers 503, and no names of metrics\n",
    )


def test_credentials_go_to_no_server_but_those_of_the_policies(stack, other):
    home, _, _, server = stack
    second, _ = other
    run(home, "check", "--prometheus", second.url)
    run(home, "check", "--prometheus", f"{server.url}/")
    assert [("Authorization" in headers) for _, _, headers, _ in second.asked] == [False]
    assert [("Authorization" in headers) for _, _, headers, _ in server.asked] == [True]


def test_without_record_nothing_is_entered_or_told(stack):
    home, hook, _, _ = stack
    assert run(home, "check").exit_code == 8
    assert not (home / "ledger.jsonl").exists() or entries(home) == []
    assert hook.asked == []
