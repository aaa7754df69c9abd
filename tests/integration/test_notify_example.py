"""The seed's example: edge function error → Loki → Grafana's alert → Telegram, and a work item in Plane.

Loki and Grafana are doubles: Loki's answers the one query that the shipped rule asks, and the test stands
for Grafana, which asks it, compares with the rule's threshold, and sends a body of its webhook, signed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
import yaml

from luxima_retention.tell.notify import grafana, service
from tests.configured import settings_of
from tests.servers import loki_logs, pg_net, plane, telegram

ROOT = Path(__file__).parents[2]
RULES = ROOT / "observability/grafana/provisioning/alerting/rules.yaml"
FUNCTION = ROOT / "tests/data/edge/billing-webhook.ts"
SECRET = "grafana-secret-0123456789"


@pytest.fixture
def logs():
    with loki_logs.run_logs() as made:
        yield made


def shipped_rule():
    """The alert of the seed's document, as Grafana reads it."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    (rule,) = (rule for group in groups for rule in group["rules"] if rule["title"] == "EdgeFunctionTimeouts")
    return rule


def value_of(rule, logs):
    """What Grafana's Loki data source makes of the rule's query; ``None`` without a series."""
    query = next(item["model"] for item in rule["data"] if item["refId"] == "A")
    assert query["queryType"] == "instant"
    answer = requests.get(f"{logs.url}/loki/api/v1/query", {"query": query["expr"]}, timeout=10)
    assert answer.status_code == 200, answer.text
    result = answer.json()["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def fires(rule, value):
    """As Grafana's threshold expression; no data is well where the rule says so."""
    condition = next(item["model"] for item in rule["data"] if item["refId"] == rule["condition"])
    (evaluator,) = (one["evaluator"] for one in condition["conditions"])
    assert (evaluator["type"], rule["noDataState"]) == ("gt", "OK")
    return value is not None and value > evaluator["params"][0]


def notified(address, rule, value, status):
    """Grafana's webhook, version 1, signed."""
    alert = {
        "status": status,
        "labels": {"alertname": rule["title"], "grafana_folder": "Luxima", **rule["labels"]},
        "annotations": rule["annotations"],
        "startsAt": "2026-11-26T10:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "values": {"A": value, "B": 1} if status == "firing" else None,
        "generatorURL": f"https://grafana.luxima.example/alerting/grafana/{rule['uid']}/view?orgId=1",
        "fingerprint": "c6eadffa33fcdf37",
        "dashboardURL": "https://grafana.luxima.example/d/luxima",
        "panelURL": f"https://grafana.luxima.example/d/luxima?viewPanel={rule['panelId']}",
    }
    body = {"receiver": "luxima-actions", "status": status, "orgId": 1, "alerts": [alert], "version": "1"}
    data = json.dumps({**body, "groupKey": "{}:{}", "truncatedAlerts": 0}).encode()
    stamp = str(int(time.time()))
    digest = hmac.new(SECRET.encode(), stamp.encode() + b":" + data, hashlib.sha256).hexdigest()
    headers = {grafana.SIGNATURE: digest, grafana.TIMESTAMP: stamp, "Content-Type": "application/json"}
    return requests.post(address, data=data, headers=headers, timeout=30).status_code


def test_an_error_of_an_edge_function_becomes_a_message_and_a_work_item(logs, tmp_path, capfd):
    rule = shipped_rule()
    with ExitStack() as stack:
        bot = stack.enter_context(telegram.run_telegram())
        project = stack.enter_context(plane.run_plane())
        told = {
            "telegram_url": bot.url,
            "telegram_token": bot.token,
            "telegram_chat": "-4001",
            "plane_url": project.address,
            "plane_key": project.key,
            "grafana_secret": SECRET,
        }
        settings = settings_of({"notify": told})
        address = stack.enter_context(
            service.serving(settings, ("127.0.0.1", 0), lambda *_, **__: None, telegram=True)
        )
        function = stack.enter_context(pg_net.run_function(FUNCTION, tmp_path, LOKI_URL=logs.url))
        for _ in range(30):
            assert pg_net._post(function, {}, b"{}") == 200
        assert not fires(rule, value_of(rule, logs))
        began = time.monotonic()
        for _ in range(3):
            assert pg_net._post(function, {}, b'{"slow": true}') == 504
        value = value_of(rule, logs)
        assert fires(rule, value)
        assert value == pytest.approx(3 / len(logs.lines))
        # Grafana repeats what it is not sure of.
        assert [notified(address, rule, value, "firing") for _ in range(3)] == [200, 200, 200]
        assert time.monotonic() - began <= 60, "from failure to message"
        # Ten minutes later nobody calls it any more.
        logs.age(601)
        assert not fires(rule, value_of(rule, logs))
        assert notified(address, rule, None, "resolved") == 200
    assert logs.refused == []
    assert "the payment partner did not answer" in logs.lines[-1].text
    (item,) = project.items.values()
    assert item["external_id"] == "grafana:lux-edge-function-timeouts:service=luxima"
    assert item["priority"] == "high"
    sent = [message["text"] for message in bot.messages.values()]
    assert sent[0].startswith(f"🟠 <b>{rule['annotations']['summary']}</b>")
    assert '<a href="https://grafana.luxima.example/d/luxima">Dashboard</a>' in sent[0]
    assert f'<a href="{rule["annotations"]["runbook_url"]}">Runbook</a>' in sent[0]
    assert [text[0] for text in sent] == ["🟠", "🟢"], "once, however often it was repeated"
    captured = capfd.readouterr()
    assert not [
        secret for secret in (SECRET, bot.token, project.key) if secret in captured.out + captured.err
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"streams": []}, "at least one valid stream"),
        ({"streams": [{"stream": {}, "values": []}]}, "at least one label pair"),
        ({"streams": [{"stream": {"a-b": "c"}, "values": []}]}, "not a name with a text"),
        ({"streams": [{"stream": {"a": "b"}, "values": [[1, "x"]]}]}, "both of them texts"),
        ({"streams": [{"stream": {"a": "b"}, "values": [["1760000000", "x"]]}]}, "no time in nanoseconds"),
        ({"streams": [{"stream": {"a": "b"}, "values": [["1000000000000000000", "x"]]}]}, "too old"),
        ({"streams": [{"stream": {"a": "b"}, "values": [["NOW", "x", {"n": 1}]]}]}, "not a name with a text"),
    ],
)
def test_the_double_takes_what_loki_takes_and_nothing_else(logs, body, why):
    text = json.dumps(body).replace("NOW", str(time.time_ns()))
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{logs.url}/loki/api/v1/push", data=text, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert why in answer.text
    assert logs.lines == []


def test_the_double_knows_one_form_of_query(logs):
    for query in ('{a="b"}', 'sum(count_over_time({a="b"}[5m]))', "1"):
        answer = requests.get(f"{logs.url}/loki/api/v1/query", {"query": query}, timeout=10)
        assert answer.status_code == 400
