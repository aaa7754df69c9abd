"""The files of ``observability/``: as generated, whole for Grafana's own model, nothing ignored."""

from __future__ import annotations

import copy
import json
import re
import warnings
from pathlib import Path

import promql_parser
import pytest
import yaml

from luxima_retention.config.policies import DEFAULTS
from luxima_retention.tell.families import FAMILIES, PREFIX
from luxima_retention.tell.observability.check import expressions, metrics_of, origin, used
from luxima_retention.tell.observability.dashboards import DASHBOARDS, panel_ids, panels
from luxima_retention.tell.observability.files import all_rules, files
from luxima_retention.tell.observability.lint import lint, panels_of
from luxima_retention.tell.observability.source import assumed, parsed
from tests.clusters import combined, kustomize, of_kind, selects

ROOT = Path(__file__).parents[2]
FILES = files(tuple(DEFAULTS), "production")
RULES = all_rules(tuple(DEFAULTS), "production")
ALERTS = [alert for group in RULES for alert in group.alerts]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
BOARDS = {name: json.loads(FILES[f"grafana/dashboards/{name}.json"]) for name in DASHBOARDS}
_VARIABLES = {"$__rate_interval": "5m", "$__auto": "5m", "$environment": ".*", "$policy": ".*", "$job": ".*"}


def plain(query):
    """A query without Grafana's variables."""
    for name, value in _VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


@pytest.mark.parametrize("path", FILES)
def test_what_is_committed_is_what_the_generator_makes(path):
    assert (ROOT / "observability" / path).read_text() == FILES[path], (
        "run: luxima-retention observability generate"
    )


def test_nothing_else_stands_among_the_generated_files():
    there = {
        str(path.relative_to(ROOT / "observability"))
        for part in ("alertmanager", "grafana", "kubernetes", "prometheus")
        for path in (ROOT / "observability" / part).rglob("*.*")
    }
    assert there | {"kustomization.yaml"} == set(FILES)


def test_operators_in_a_cluster_take_the_same_rules_and_dashboards():
    """The rules are those that promtool reads, and each dashboard is its very file."""
    made = kustomize(ROOT / "observability")
    assert {item["metadata"]["namespace"] for item in made} == {"monitoring"}
    rules = of_kind("PrometheusRule", made)
    assert {name: item["spec"] for name, item in rules.items()} == {
        group.name: parsed(FILES[f"prometheus/{group.name}.rules.yaml"]) for group in RULES
    }
    boards = of_kind("ConfigMap", made)
    assert {name: item["data"] for name, item in boards.items()} == {
        f"{name}-dashboard": {f"{name}.json": FILES[f"grafana/dashboards/{name}.json"]} for name in DASHBOARDS
    }
    # What kubectl notes of them on the client's side has a limit of its own.
    assert all(len(json.dumps(item)) < 262_144 for item in made)
    labels = {item["kind"]: item["metadata"]["labels"] for item in made}
    assert labels["ConfigMap"] == {"grafana_dashboard": "1"}
    assert labels["PrometheusRule"] == labels["PodMonitor"] == {"release": "kube-prometheus-stack"}


def test_the_monitor_finds_the_daemon_and_its_port(tmp_path):
    (monitor,) = of_kind("PodMonitor", kustomize(ROOT / "observability")).values()
    daemon = combined(tmp_path, "base", ("daemon",))
    (deployment,) = of_kind("Deployment", daemon).values()
    (policy,) = (item for name, item in of_kind("NetworkPolicy", daemon).items() if name == "schedule")
    template = deployment["spec"]["template"]
    (run,) = template["spec"]["containers"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert monitor["spec"]["namespaceSelector"]["matchNames"] == [deployment["metadata"]["namespace"]]
    assert selects(monitor["spec"]["selector"], template["metadata"]["labels"])
    assert [port["containerPort"] for port in run["ports"] if port["name"] == endpoint["port"]] == [8086]
    # Whoever asks is let in.
    (rule,) = policy["spec"]["ingress"]
    assert rule["ports"] == [{"port": 8086, "protocol": "TCP"}]
    assert rule["from"][0]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": monitor["metadata"]["namespace"]
    }


def test_the_linter_finds_nothing():
    assert lint(FILES) == []


def lost(given, kept, path=""):
    """What Grafana's own model does not know: it is gone once the model has read and written it."""
    if isinstance(given, dict):
        for key, value in given.items():
            if key in (kept if isinstance(kept, dict) else {}):
                yield from lost(value, kept[key], f"{path}/{key}")
            elif value not in (None, False, "", [], {}):
                yield f"{path}/{key}"
    elif isinstance(given, list):
        for number, value in enumerate(given):
            yield from lost(value, kept[number], f"{path}[{number}]")
    elif given != kept:
        yield f"{path}: {given!r} became {kept!r}"


def read_and_written(board):
    """By the models of Grafana's own SDK, which warns that there is a newer form; files take this one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.cog.plugins import register_default_plugins
        from grafana_foundation_sdk.models.dashboard import Dashboard

        register_default_plugins()
        return json.loads(JSONEncoder(sort_keys=False, indent=1).encode(Dashboard.from_json(board)))


@pytest.mark.parametrize("name", BOARDS)
def test_grafanas_own_model_keeps_every_key_of_a_dashboard(name):
    assert list(lost(BOARDS[name], read_and_written(BOARDS[name]))) == []


def test_a_key_that_grafana_does_not_know_would_be_found():
    board = copy.deepcopy(BOARDS["luxima"])
    board["panels"][1]["titel"] = "misspelt"
    board["panels"][1]["options"]["legnd"] = {"a": 1}
    found = list(lost(board, read_and_written(board)))
    assert found == ["/panels[1]/options/legnd", "/panels[1]/titel"] or "/panels[1]/titel" in found


def test_every_promql_expression_parses_and_names_known_metrics():
    found = list(expressions(FILES))
    assert len(found) > 60
    for user, expr in found:
        promql_parser.parse(plain(expr))
        for name in metrics_of(expr):
            assert origin(name), f"{user} uses {name}, which nobody is known to export"
    with pytest.raises(ValueError, match="unclosed"):
        promql_parser.parse("sum(rate(x[5m])")


def test_recording_rules_are_made_before_they_are_used():
    for group in RULES:
        made = set()
        for name, expr in group.records.items():
            assert {metric for metric in metrics_of(expr) if ":" in metric} <= made, name
            made.add(name)
        for alert in group.alerts:
            assert {metric for metric in metrics_of(alert.value) if ":" in metric} <= made


def test_every_family_that_alerts_use_is_one_that_runs_tell():
    ours = {name.removeprefix(PREFIX) for name in used(FILES) if name.startswith(PREFIX)}
    assert ours <= set(FAMILIES)
    assert len(ours) > 15


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}{alert.suffix}")
def test_every_alert_has_its_place_in_the_runbook_and_on_a_dashboard(alert):
    section = re.search(rf"^## {alert.runbook}\n(.*?)(?=^## |\Z)", RUNBOOK, re.DOTALL | re.MULTILINE)
    assert section, f"docs/runbook.md has no section {alert.runbook}"
    parts = ("Meaning", "Impact", "Diagnosis", "Mitigation", "What must not be done")
    assert [word for word in parts if f"**{word}.**" not in section[1]] == []
    assert alert.name in section[1]
    assert set(alert.summary) == {"id", "en"}
    assert alert.severity in {"critical", "warning", "info", "none"}


def test_every_link_to_the_runbook_has_its_anchor():
    anchors = set(re.findall(r"^## ([\w-]+)$", RUNBOOK, re.MULTILINE))
    for text in FILES.values():
        assert set(re.findall(r"runbooks/luxima-retention#([\w-]+)", text)) <= anchors


def test_grafana_and_prometheus_have_the_same_alerts():
    groups = parsed(FILES["grafana/provisioning/alerting/rules.yaml"])["groups"]
    theirs = {rule["title"].split()[0] for group in groups for rule in group["rules"]}
    ours = {
        rule["alert"]
        for group in RULES
        for part in parsed(FILES[f"prometheus/{group.name}.rules.yaml"])["groups"]
        for rule in part["rules"]
        if "alert" in rule
    }
    assert theirs == ours
    numbers = [
        (rule["title"].split()[0], rule["data"][1]["model"]["conditions"][0]["evaluator"]["params"][0])
        for group in groups
        for rule in group["rules"]
    ]
    text = "".join(FILES[f"prometheus/{group.name}.rules.yaml"] for group in RULES)
    for name, threshold in numbers:
        expr = re.search(rf"alert: {name}\n +expr: (.*?)\n +(?:for|labels|keep)", text, re.DOTALL)
        assert " ".join(expr[1].split()).strip("'\"").endswith(f" {threshold:g}")


def test_the_seeds_panels_and_alerts_are_there():
    titles = {panel["title"] for panel in panels("luxima")}
    assert titles >= {
        "API Response Time (p95)",
        "Edge Function Error Rate",
        "Supabase DB Query Latency",
        "Tenant Signup Trend",
        "Plugin Install Success Rate",
        "Billing Job Queue Status",
    }
    told = {alert.name: (alert.op, alert.threshold, alert.receiver, alert.action) for alert in ALERTS}
    assert told["ApiErrorRate"] == ("gt", 0.02, "telegram", "")
    assert told["DatabaseLatency"] == ("gt", 0.3, "actions", "scale-database")
    assert told["EdgeFunctionTimeouts"] == ("gt", 0.05, "actions", "restart-worker")
    assert told["Uptime"] == ("lt", 0.995, "email", "")
    points = parsed(FILES["grafana/provisioning/alerting/contact-points.yaml"])["contactPoints"]
    (mail,) = [point for point in points if point["name"] == "luxima-email"]
    assert mail["receivers"][0]["settings"]["addresses"] == "devops@luxima.id"


def test_histograms_that_have_a_threshold_have_a_bucket_there():
    for metric in assumed()["metrics"].values():
        if metric["type"] == "histogram":
            assert 0.3 in metric["buckets"]
            assert metric["buckets"] == sorted(metric["buckets"])


def test_a_panel_has_a_unit_and_a_word_for_no_value():
    for name, board in BOARDS.items():
        ids = panel_ids(name)
        assert {panel["id"] for panel in panels_of(board)} == set(ids.values())


# --- the linter itself: one mistake each ------------------------------------------------------


def rules_with(change):
    """The files with one rule changed; JSON is YAML, and quickly written."""
    path = "grafana/provisioning/alerting/rules.yaml"
    found = parsed(FILES[path])
    change(found["groups"][0]["rules"][0], found)
    return {**FILES, path: json.dumps(found, ensure_ascii=False)}


MISTAKES = {
    "misspelt": (lambda rule, _: rule.update(executionErrorState="OK"), "nobody reads: executionErrorState"),
    "receiver": (
        lambda rule, _: rule["notification_settings"].update(receiver="luxima-telegran"),
        "Grafana would not start",
    ),
    "dollar": (
        lambda rule, _: rule["labels"].update(x="{{ $labels.target }}"),
        "expands from the environment",
    ),
    "number": (lambda rule, _: rule["labels"].update(x=5), "put it in quotes"),
    "uid": (lambda rule, _: rule.update(uid="a" * 41), "40 letters"),
    "twice": (lambda rule, file: rule.update(uid=file["groups"][0]["rules"][1]["uid"]), "stands twice"),
    "for": (lambda rule, _: rule.update({"for": "5 min"}), "is not a duration"),
    "panel": (lambda rule, _: rule.update(panelId=99), "there is no panel 99"),
    "condition": (lambda rule, _: rule.update(condition="C"), "none of its queries"),
    "source": (lambda rule, _: rule["data"][0].update(datasourceUid="prom"), "not a data source"),
    "states": (lambda rule, _: rule.pop("noDataState"), "noDataState must be one of"),
    "interval": (lambda _, file: file["groups"][0].update(interval="15s"), "multiple of 10 s"),
    "policies": (lambda _, file: file.update(policies=[]), "nobody reads: policies"),
    "group_by": (
        lambda rule, _: rule["notification_settings"].update(group_by=["policy"]),
        "alertname and grafana_folder",
    ),
    "runbook": (lambda rule, _: rule["annotations"].pop("runbook_url"), "runbook_url is missing"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_linter_sees_a_mistake_in_a_rule(name):
    change, sentence = MISTAKES[name]
    found = lint(rules_with(change))
    assert found
    assert any(sentence in said for said in found), found


def board_with(change):
    path = "grafana/dashboards/luxima.json"
    board = json.loads(FILES[path])
    change(board["panels"][1], board)
    return {**FILES, path: json.dumps(board)}


PANELS = {
    "overlap": (lambda panel, board: panel["gridPos"].update(board["panels"][2]["gridPos"]), "overlap"),
    "wide": (lambda panel, _: panel["gridPos"].update(x=20, w=12), "24 columns"),
    "unit": (lambda panel, _: panel["fieldConfig"]["defaults"].pop("unit"), "no unit"),
    "description": (lambda panel, _: panel.update(description=""), "no description"),
    "id": (lambda panel, board: panel.update(id=board["panels"][2]["id"]), "stands twice"),
    "link": (lambda panel, _: panel.update(links=[]), "no link to a runbook"),
    "counter": (lambda panel, _: panel["targets"][0].update(expr="sum(x_total)"), "only rate or increase"),
    "interval": (lambda panel, _: panel["targets"][0].update(expr="rate(x_total[1m])"), "$__rate_interval"),
    "source": (lambda panel, _: panel["targets"][0]["datasource"].update(uid="x"), "not a data source"),
    "editable": (lambda _, board: board.update(editable=True), "the file is the truth"),
}


@pytest.mark.parametrize("name", PANELS)
def test_the_linter_sees_a_mistake_in_a_dashboard(name):
    change, sentence = PANELS[name]
    found = lint(board_with(change))
    assert any(sentence in said for said in found), found


def test_the_linter_sees_keys_that_stand_twice_and_contact_points_with_two_receivers_or_a_token():
    path = "grafana/provisioning/alerting/contact-points.yaml"
    assert "stands twice" in lint({**FILES, path: FILES[path] + "apiVersion: 1\n"})[0]
    points = yaml.safe_load(FILES[path])
    receiver = points["contactPoints"][0]["receivers"][0]
    receiver["settings"]["bottoken"] = "1:secret"
    points["contactPoints"][0]["receivers"].append(dict(receiver, uid="other"))
    found = " ".join(lint({**FILES, path: yaml.safe_dump(points)}))
    assert "2 receivers" in found
    assert "name a variable that holds it" in found
    assert "secret" not in found
