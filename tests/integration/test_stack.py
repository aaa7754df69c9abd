"""The stack's own configuration, read by the servers' own programs and by our own checks: no drift."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml

from luxima_retention.config.policies import DEFAULTS
from luxima_retention.core.clock import system_clock
from tests.configured import opened_loki, s3_variables, settings_of
from tests.integration.test_loki import load
from tests.servers.command import Command
from tests.servers.programs import find_program
from tests.servers.stub import Answer, run_stub

ROOT = Path(__file__).parents[2]
STACK = ROOT / "observability" / "stack"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.test.yml").read_text())


def expanded(text):
    """As Loki expands its file: variables, and defaults after ``:-``."""
    given = COMPOSE["services"]["loki"]["environment"]
    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda found: given.get(found[1], found[2]), text)


@pytest.fixture
def loki(bucket):
    """A stand-in that answers ``/config`` with the file: no Loki can be had from a registry."""
    text = expanded((STACK / "loki.yaml").read_text())
    assert "bucketnames: loki\n" in text
    text = text.replace("bucketnames: loki\n", f"bucketnames: {bucket}\n")

    def answer(_method, path, _headers, _body):
        return Answer(200, text.encode() if path == "/config" else b"ready\n")

    with run_stub(answer) as stub:
        yield stub


def test_lokis_records_have_one_owner_and_our_check_finds_no_drift(loki, s3, s3_client, bucket, tmp_path):
    load(s3_client, bucket, "tsdb-v13-compacted")
    run = Command(
        variables={
            "LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS": bucket,
            "LUXIMA_POLICIES__APPLICATION_LOGS__URL": loki.url,
            **s3_variables(s3),
            "LUXIMA_LEDGER__PATH": str(tmp_path / "ledger"),
        }
    )
    (target,) = run.json("run", "application-logs", "--dry-run", code=None)["policies"][0]["targets"]
    codes = {finding["code"] for finding in target["survey"]["findings"]}
    owners = {"compactor-drift", "stream-retention", "old-samples", "loki-unknown", "not-offline"}
    assert codes & owners == set()
    assert "the settings differ" not in target["sentence"]
    assert loki.asked, "the check has not asked Loki"


def test_lokis_file_says_what_the_policy_and_its_periods_say():
    config = yaml.safe_load(expanded((STACK / "loki.yaml").read_text()))
    assert config["compactor"]["retention_enabled"] is False
    assert (
        config["limits_config"]["max_query_lookback"] == f"{DEFAULTS['application-logs']['retention_days']}d"
    )
    assert config["limits_config"]["max_structured_metadata_entries_count"] >= 500
    (schema,) = config["schema_config"]["configs"]
    (period,) = settings_of().policy("application-logs").options.periods
    assert (schema["from"], schema["store"], schema["schema"], schema["index"]) == (
        period.start,
        period.store,
        f"v{period.schema_version}",
        {"prefix": period.prefix, "period": "24h"},
    )
    assert isinstance(schema["from"], date)


def test_prometheus_takes_the_file_and_keeps_what_the_policy_says(prometheus_factory, tmp_path):
    (flag,) = [word for word in COMPOSE["services"]["prometheus"]["command"] if "retention" in word]
    assert flag in (STACK / "prometheus.yml").read_text()
    shutil.copytree(ROOT / "observability" / "prometheus", tmp_path / "rules")
    shutil.copy(STACK / "prometheus.yml", tmp_path)
    command = [find_program("promtool"), "check", "config", "prometheus.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 rule files" in done.stdout
    text = (STACK / "prometheus.yml").read_text().replace("rules/*", str(tmp_path / "rules" / "*"))
    server = prometheus_factory(flag, config=text)
    run = Command(
        variables={"LUXIMA_PROMETHEUS__URLS": server.url, "LUXIMA_LEDGER__PATH": str(tmp_path / "ledger")}
    )
    (target,) = run.json("run", "metrics")["policies"][0]["targets"]
    assert target["outcome"] == "not_yet_provable"
    other = prometheus_factory("--storage.tsdb.retention.time=30d", config=text)
    assert run("run", "metrics", LUXIMA_PROMETHEUS__URLS=other.url).returncode == 8


def test_every_job_that_rules_rely_on_is_scraped():
    jobs = {
        job["job_name"]: job
        for job in yaml.safe_load((STACK / "prometheus.yml").read_text())["scrape_configs"]
    }
    assert {"pushgateway", "blackbox", "grafana", "prometheus"} <= set(jobs)
    assert [name for name, job in jobs.items() if job.get("honor_labels")] == ["pushgateway"]
    (module,) = jobs["blackbox"]["params"]["module"]
    assert module in yaml.safe_load((STACK / "blackbox.yml").read_text())["modules"]


def test_alertmanager_takes_the_file_and_each_alert_has_its_way(tmp_path):
    """Debian's is older than the keys that name files of secrets; values stand in for them."""
    text = (STACK / "alertmanager.yml").read_text()
    for old, new in {
        "bot_token_file: /run/secrets/telegram-bot-token": 'bot_token: "1:a"',
        "chat_id_file: /run/secrets/telegram-chat-id": "chat_id: -100",
        "url_file: /run/secrets/actions-url": "url: http://127.0.0.1:9/",
        "url_file: /run/secrets/watchdog-url": "url: http://127.0.0.1:9/",
    }.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "alertmanager.yml").write_text(text)
    shutil.copy(ROOT / "observability" / "alertmanager" / "luxima.tmpl", tmp_path)
    amtool = find_program("amtool")
    checked = subprocess.run(
        [amtool, "check-config", "alertmanager.yml"], cwd=tmp_path, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    ways = {
        "watchdog": "watchdog",
        "email": "email",
        "actions": "actions",
        "telegram": "telegram",
    }
    for label, receiver in ways.items():
        command = [amtool, "config", "routes", "test", "--config.file=alertmanager.yml", f"receiver={label}"]
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == receiver


def tempo_says(text):
    """A stand-in that answers as a Tempo 3.0.3 did, with this file's period for everybody."""
    data = ROOT / "tests" / "data" / "tempo" / "3.0.3"
    period = yaml.safe_load(text)["backend_worker"]["compaction"]["block_retention"]

    def answer(_method, path, _headers, _body):
        page = path.removeprefix("/status/")
        said = re.sub(
            r"block_retention: \S+", f"block_retention: {period}", (data / f"{page}.txt").read_text()
        )
        return Answer(200, said.encode(), {"Content-Type": "text/plain"})

    return run_stub(answer)


@pytest.mark.parametrize(("days", "code"), [(14, 0), (30, 8)])
def test_our_check_of_tempo_finds_no_drift_at_the_period_that_the_file_says(tmp_path, days, code):
    settings = tmp_path / "luxima-retention.toml"
    with tempo_says((STACK / "tempo.yaml").read_text()) as stub:
        settings.write_text(
            f'[policies.traces]\nkind = "tempo"\nretention_days = {days}\nurl = "{stub.url}"\n'
            f'[ledger]\npath = "{tmp_path / "ledger"}"\n'
        )
        done = Command()("--config", str(settings), "run", "traces")
    assert done.returncode == code, done.stdout + done.stderr


def test_tempo_keeps_traces_as_long_as_links_in_messages_are_good():
    config = yaml.safe_load((STACK / "tempo.yaml").read_text())
    assert config["backend_worker"]["compaction"]["block_retention"] == f"{timedelta(days=14).days * 24}h"
    assert set(config) == {"server", "distributor", "storage", "backend_worker"}


def test_alloy_ships_what_links_and_dashboards_ask_for():
    """No program that reads Alloy's language can be had; its blocks must close, its names must be ours."""
    text = re.sub(r"//.*", "", (STACK / "config.alloy").read_text())
    assert text.count("{") == text.count("}")
    components = set(re.findall(r'^([\w.]+) "(\w+)" \{', text, re.MULTILINE))
    for kind, name in re.findall(r"\b((?:[a-z_]+\.)+[a-z_]+)\.(\w+)\.(?:receiver|targets|output)", text):
        assert (kind, name) in components, f"{kind}.{name} is nowhere"
    sources = (
        ROOT / "observability" / "grafana" / "provisioning" / "datasources" / "luxima.yaml"
    ).read_text()
    assert "trace_id" in text
    assert 'service_name="luxima-retention"' in sources
    assert '"service_name"' in text


def test_a_loki_whose_compactor_deletes_as_well_would_be_found(s3, bucket):
    text = expanded((STACK / "loki.yaml").read_text()).replace(
        "retention_enabled: false", "retention_enabled: true"
    )

    def answer(_method, path, _headers, _body):
        return Answer(200, text.encode() if path == "/config" else b"ready\n")

    with run_stub(answer) as stub:
        settings = settings_of(
            {
                "policies": {"application-logs": {"buckets": [bucket], "url": stub.url}},
                "s3": {
                    "default": {
                        "endpoint_url": s3.endpoint_url,
                        "region": s3.region,
                        "access_key_id": s3.access_key,
                        "secret_access_key": s3.secret_key,
                    }
                },
            }
        )
        store = opened_loki(settings, clock=system_clock, read_only=True)
        assert type(store).__name__ != "LokiStore"
        store.close()
