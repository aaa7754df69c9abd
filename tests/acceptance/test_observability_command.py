"""``luxima-retention observability``: files written, checked, held against a Prometheus; a group gone."""

from __future__ import annotations

import requests

from tests.servers.command import PATIENT, ROOT, Command, audit_log
from tests.servers.process import wait_until


def test_files_are_written_for_the_configured_policies_and_checked(tmp_path):
    run = Command(
        cwd=tmp_path,
        variables={
            "LUXIMA_DATABASE__DSN": "postgresql://x@127.0.0.1/x",
            "LUXIMA_TELEMETRY__ENVIRONMENT": "staging",
        },
    )
    assert run("observability", "check").returncode == 8
    written = run("observability", "generate").stdout.split()
    assert "observability/prometheus/luxima-retention.rules.yaml" in written
    done = run("observability", "check")
    assert (done.returncode, done.stdout) == (0, "all well\n")
    text = (tmp_path / "observability/prometheus/luxima-retention.rules.yaml").read_text()
    assert 'environment="staging", policy="audit-logs"' in text
    assert 'policy="metrics"' not in text, "a policy without a store must not be missed"
    board = tmp_path / "observability/grafana/dashboards/luxima.json"
    board.write_text(board.read_text().replace('"editable": false', '"editable": true'))
    changed = run("observability", "check")
    assert changed.returncode == 8
    assert (
        "differs  grafana/dashboards/luxima.json: run `luxima-retention observability generate`"
        in changed.stdout
    )


def test_the_committed_files_are_those_of_the_default_matrix():
    assert Command(cwd=ROOT)("observability", "check").stdout == "all well\n"


def test_it_says_what_nobody_exports(prometheus_factory):
    config = (
        "scrape_configs: [{job_name: prometheus, scrape_interval: 1s, static_configs: [{targets: ['%s']}]}]\n"
    )
    first = prometheus_factory()
    server = prometheus_factory(config=config % first.url.removeprefix("http://"))
    names = f"{server.url}/api/v1/label/__name__/values"
    assert wait_until(lambda: "up" in requests.get(names, timeout=5).json()["data"])
    run = Command(cwd=ROOT)
    told = run.json("observability", "check", "--prometheus", server.url, code=8)
    missing = {item["name"]: item for item in told["missing"]}
    assert "up" not in missing
    assert missing["luxima_billing_jobs"]["exported_by"].startswith("each replica of the billing workers")
    assert missing["luxima_retention_limit_seconds"]["exported_by"] == "luxima-retention itself"
    assert "panel Billing Job Queue Status" in missing["luxima_billing_jobs"]["used_by"]
    assert run("observability", "check", "--prometheus", "http://127.0.0.1:1").returncode == 3


def test_a_policy_that_is_gone_is_forgotten(database, pushgateway):
    run = audit_log(database, rows=100)
    run.variables |= {"LUXIMA_TELEMETRY__PUSHGATEWAY_URL": pushgateway.url}
    run.module = PATIENT
    run.json("run", "audit-logs")

    def groups():
        found = requests.get(f"{pushgateway.url}/api/v1/metrics", timeout=5).json()["data"]
        return {group["labels"]["policy"] for group in found}

    assert groups() == {"audit-logs", "ledger"}
    assert run("observability", "forget", "audit-logs").returncode == 0
    assert groups() == {"ledger"}
    done = run(
        "observability", "forget", "audit-logs", LUXIMA_TELEMETRY__PUSHGATEWAY_URL="http://127.0.0.1:1"
    )
    assert done.returncode == 3
