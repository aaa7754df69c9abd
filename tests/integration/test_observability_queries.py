"""Queries by the grammars that Grafana's own editors use."""

from __future__ import annotations

import json

from luxima_retention.config.policies import DEFAULTS
from luxima_retention.tell.observability.check import expressions
from luxima_retention.tell.observability.files import files
from luxima_retention.tell.observability.lint import panels_of
from luxima_retention.tell.observability.source import parsed
from tests.servers.grammars import errors
from tests.unit.test_observability import plain

FILES = files(tuple(DEFAULTS), "production")


def loki_queries():
    for path, text in FILES.items():
        if path.startswith("grafana/dashboards/"):
            for panel in panels_of(json.loads(text)):
                for target in panel.get("targets", []):
                    if target["datasource"]["type"] == "loki":
                        yield target["expr"]
    for group in parsed(FILES["grafana/provisioning/alerting/rules.yaml"])["groups"]:
        for rule in group["rules"]:
            if rule["data"][0]["datasourceUid"] == "luxima-loki":
                yield rule["data"][0]["model"]["expr"]


def test_every_query_is_one_for_the_grammars_of_grafana():
    tempo = next(
        source
        for source in parsed(FILES["grafana/provisioning/datasources/luxima.yaml"])["datasources"]
        if source["type"] == "tempo"
    )
    logs = tempo["jsonData"]["tracesToLogsV2"]["query"].replace("$${__trace.traceId}", "abc")
    logql = [plain(query) for query in loki_queries()] + [logs]
    assert len(logql) >= 4
    asked = {
        "promql": [plain(expr) for _, expr in expressions(FILES)],
        "logql": logql,
        "traceql": ['{ resource.service.name = "luxima-retention" && status = error }'],
    }
    assert errors(asked) == []


def test_a_wrong_query_would_be_found_with_its_place():
    wrong = {"promql": ["sum(rate(x[5m]) by (a)"], "logql": ['{a="b"} | | json'], "traceql": ["{ status = }"]}
    assert {found["language"] for found in errors(wrong)} == set(wrong)
