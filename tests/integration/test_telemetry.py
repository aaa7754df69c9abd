"""Metrics at a real Pushgateway, a trace at a collector, and a run that ends the same without either."""

from __future__ import annotations

import json
from pathlib import Path

import requests

from luxima_retention.tell.telemetry import METRICS
from tests.servers.command import audit_log
from tests.servers.process import free_ports
from tests.servers.stub import Answer, run_stub


def test_the_metrics_of_a_run_are_at_the_pushgateway(database, pushgateway):
    run = audit_log(database)
    run.variables |= {"LUXIMA_TELEMETRY__PUSHGATEWAY_URL": pushgateway.url}
    assert run("run", "audit-logs", "--dry-run").returncode == 0
    assert "luxima_retention" not in requests.get(f"{pushgateway.url}/metrics", timeout=5).text
    done = run.json("run", "audit-logs")
    assert done["warnings"] == []
    text = requests.get(f"{pushgateway.url}/metrics", timeout=5).text
    destroyed = done["policies"][0]["targets"][0]["done"]["destroyed"]
    line = next(line for line in text.splitlines() if line.startswith("luxima_retention_destroyed{"))
    assert 'policy="audit-logs"' in line
    assert 'target="core.audit_log"' in line
    assert float(line.split()[-1]) == destroyed > 4000
    for name in METRICS:
        assert f"luxima_retention_{name}{{" in text


def test_the_trace_of_a_run_is_what_a_collector_takes(database):
    run = audit_log(database, rows=100)
    with run_stub(lambda *_: Answer(200, b"{}", {"Content-Type": "application/json"})) as stub:
        run.json("run", "audit-logs", LUXIMA_TELEMETRY__OTLP_URL=stub.url)
        ((method, path, headers, body),) = stub.asked
    assert (method, path, headers["Content-Type"]) == ("POST", "/v1/traces", "application/json")
    (spans,) = [scope["spans"] for scope in json.loads(body)["resourceSpans"][0]["scopeSpans"]]
    assert {span["name"] for span in spans} >= {"run", "audit-logs core.audit_log", "survey"}
    assert len({span["traceId"] for span in spans}) == 1
    ids = {span["spanId"] for span in spans}
    assert all(span["parentSpanId"] in ids | {""} for span in spans)
    assert all(int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) for span in spans)


def test_a_receiver_that_is_away_is_a_warning_and_nothing_more(database):
    run = audit_log(database)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    done = run.json(
        "run", "audit-logs", LUXIMA_TELEMETRY__PUSHGATEWAY_URL=url, LUXIMA_TELEMETRY__OTLP_URL=url
    )
    assert done["exit_code"] == 0
    assert len(done["warnings"]) == 2


def test_every_metric_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text()
    for name, meaning in METRICS.items():
        assert f"| `luxima_retention_{name}` | {meaning.removesuffix(', by step.')}" in page
