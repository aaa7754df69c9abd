"""The check of Prometheus through the command: verdict, exit status, entry in the ledger."""

from __future__ import annotations

import json

import pytest

from tests.servers.command import Command
from tests.servers.process import free_ports

TIME = "--storage.tsdb.retention.time="


@pytest.mark.parametrize(
    ("flags", "code", "outcome"),
    [
        ([f"{TIME}60d"], 0, "not_yet_provable"),
        ([f"{TIME}1440h"], 0, "not_yet_provable"),
        ([f"{TIME}8w4d"], 0, "not_yet_provable"),
        ([f"{TIME}15d"], 8, "drift"),
        ([f"{TIME}70d"], 8, "drift"),
        ([], 8, "drift"),
        (["--storage.tsdb.retention.size=1GB"], 8, "drift"),
        ([f"{TIME}60d", "--storage.tsdb.retention.size=1GB"], 0, "not_yet_provable"),
    ],
)
def test_each_limit_has_its_verdict(prometheus_factory, tmp_path, flags, code, outcome):
    server = prometheus_factory(*flags)
    run = Command(
        variables={
            "LUXIMA_PROMETHEUS__URLS": server.url,
            "LUXIMA_LEDGER__PATH": str(tmp_path / "ledger.jsonl"),
        }
    )
    document = run.json("run", "metrics", code=code)
    (target,) = document["policies"][0]["targets"]
    assert target["outcome"] == outcome
    assert target["sentence"]
    entry = json.loads(run("ledger", "list", "--output", "json").stdout.splitlines()[-1])
    assert (entry["kind"], entry["body"]["target"]) == ("run.checked", server.url)
    assert run("doctor").returncode == code


def test_replicas_are_asked_one_by_one_and_one_that_is_away_is_never_compliant(prometheus_factory):
    server, (port,) = prometheus_factory(f"{TIME}60d"), free_ports(1)
    run = Command(variables={"LUXIMA_PROMETHEUS__URLS": f"{server.url},http://127.0.0.1:{port}"})
    document = run.json("run", "metrics", code=3)
    outcomes = [target["outcome"] for target in document["policies"][0]["targets"]]
    assert outcomes == ["not_yet_provable", "failed"]


def test_explain_and_holds_have_nothing_to_say_about_what_is_only_checked():
    run = Command(variables={"LUXIMA_PROMETHEUS__URLS": "http://127.0.0.1:1"})
    done = run("explain", "metrics", "up")
    assert done.returncode in {2, 3}
    assert done.stderr
