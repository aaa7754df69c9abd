"""Alerts of Grafana and Alertmanager become work items: recorded bodies, signatures, limits."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from luxima_retention.tell.notify import grafana, service
from tests.configured import settings_of
from tests.servers import plane, telegram
from tests.servers.command import Command

SECRET = "grafana-secret-0123456789"
HERE = ("127.0.0.1", 0)


def firing(**more):
    """One alert as Grafana 12 writes it."""
    return {
        "status": "firing",
        "labels": {
            "alertname": "Edge function errors",
            "grafana_folder": "Luxima",
            "function": "billing-webhook",
            "severity": "critical",
            "pod": "edge-7d9f",
        },
        "annotations": {"summary": "Edge function fails: <500> & more", "description": "a < b"},
        "startsAt": "2026-11-26T10:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "values": None,
        "generatorURL": "https://grafana.luxima.example/alerting/grafana/rule-1/view?orgId=1",
        "fingerprint": "c6eadffa33fcdf37",
        "silenceURL": "https://grafana.luxima.example/alerting/silence/new",
        "dashboardURL": "https://grafana.luxima.example/d/edge",
        **more,
    }


def of_grafana(*alerts, **more):
    return {
        "receiver": "luxima",
        "status": "firing",
        "orgId": 1,
        "alerts": list(alerts),
        "groupLabels": {"alertname": "Edge function errors"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "https://grafana.luxima.example/",
        "version": "1",
        "groupKey": '{}:{alertname="Edge function errors"}',
        "truncatedAlerts": 0,
        "title": "[FIRING:1]",
        "state": "alerting",
        "message": "",
        **more,
    }


def of_alertmanager(**more):
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "luxima",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "RetentionOverdue", "policy": "audit-logs", "severity": "warning"},
                "annotations": {"summary": "Retention is overdue"},
                "startsAt": "2026-11-26T10:00:00.123456789Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus:9090/graph",
                "fingerprint": "0123456789abcdef",
            }
        ],
        **more,
    }


@pytest.fixture
def project():
    with plane.run_plane() as made:
        yield made


def settings_for(project, **more):
    return settings_of(
        {
            "notify": {
                "plane_url": project.address,
                "plane_key": project.key,
                "grafana_secret": SECRET,
                **more,
            }
        }
    )


def signed(body, at=None):
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(SECRET.encode(), stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {grafana.SIGNATURE: digest, grafana.TIMESTAMP: stamp}


def post(url, body, headers):
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=20) as got:  # noqa: S310 - ours
            return got.status, json.loads(got.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_same_alert_is_one_item_over_a_signed_request(project):
    body = json.dumps(of_grafana(firing())).encode()
    over = json.dumps(of_grafana(firing(status="resolved"), status="resolved")).encode()
    told = []
    with service.serving(
        settings_for(project), ("127.0.0.1", 0), lambda event, **more: told.append((event, more))
    ) as url:
        assert post(url, body, signed(body))[0] == 200
        assert post(url, body, signed(body))[0] == 200
        edited = json.dumps(of_grafana(firing(fingerprint="ffff"))).encode()
        assert post(url, edited, signed(edited))[0] == 200
        assert post(url, over, signed(over))[0] == 200
        assert post(url, over, signed(over))[0] == 200
    (item,) = project.items.values()
    assert item["external_id"] == "grafana:rule-1:function=billing-webhook"
    assert item["priority"] == "urgent"
    assert item["name"] == "Edge function fails: <500> & more"
    assert "&lt;500&gt; &amp; more" in item["description_html"]
    events = [comment["external_id"] for comment in project.comments[item["id"]]]
    assert events == ["firing:2026-11-26T10:00:00Z", "resolved:2026-11-26T10:00:00Z"]
    assert {link["title"] for link in project.links[item["id"]]} == {"Rule", "Dashboard", "Silence"}
    assert SECRET not in repr(told)


def test_what_is_not_signed_or_signed_long_ago_makes_nothing(project):
    body = json.dumps(of_grafana(firing())).encode()
    with service.serving(settings_for(project), HERE, lambda *_, **__: None) as url:
        assert post(url, body, {})[0] == 401
        assert post(url, body, signed(b"another"))[0] == 401
        assert post(url, body, signed(body, time.time() - 301))[0] == 401
        assert post(url, body, signed(body, time.time() + 301))[0] == 401
        assert post(url, body, {**signed(body), grafana.TIMESTAMP: str(int(time.time()) + 1)})[0] == 401
        assert post(url, body, {"Authorization": "Bearer wrong"})[0] == 401
        assert post(url, body, {"Authorization": f"Bearer {SECRET}"})[0] == 200, "as Alertmanager sends it"
    assert len(project.items) == 1


def test_sizes_and_forms_are_limited(project):
    with service.serving(settings_for(project), HERE, lambda *_, **__: None) as url:
        large = b" " * (grafana.LARGEST + 1)
        try:
            status = post(url, large, signed(large))[0]
        except OSError:
            status = 413  # closed while we were still sending
        assert status == 413
        for value in (b"", b"{", b"[]", b'{"version":"1"}', b'{"version":"9","alerts":[]}', b"[" * 5000):
            assert post(url, value, signed(value))[0] == 400, value
        assert post(url.replace("/grafana", "/other"), b"{}", {})[0] == 404
    assert project.items == {}


def test_alertmanager_truncated_bodies_and_errors_of_the_source(project):
    alert = firing(labels={"alertname": "DatasourceError", "rulename": "r"}, annotations=None, values={})
    for body in (of_alertmanager(truncatedAlerts=7), of_grafana(alert)):
        service.Receiver(settings_for(project)).take(json.dumps(body).encode())
    names = sorted(item["external_id"].split(":")[1] for item in project.items.values())
    assert names == ["RetentionOverdue", "more", "rule-1"]


def test_very_many_alerts_are_twenty_items_and_one_for_the_rest():
    alerts = [firing(labels={"alertname": "a", "function": f"f{number}"}) for number in range(2000)]
    found = grafana.alerts_of(json.dumps(of_grafana(*alerts)).encode())
    assert len(found) == grafana.MOST + 1
    assert found[-1].text == f"+ {2000 - grafana.MOST} alerts"


def test_a_receiver_that_fails_makes_the_sender_repeat(project):
    body = json.dumps(of_grafana(firing())).encode()
    project.next = [plane.Answer(429)]
    with service.serving(settings_for(project), HERE, lambda *_, **__: None) as url:
        assert post(url, body, signed(body))[0] == 503
        assert post(url, body, signed(body))[0] == 200
    assert len(project.items) == 1


def test_telegram_is_told_once_where_that_is_asked_for(project):
    with telegram.run_telegram() as bot:
        settings = settings_for(
            project,
            telegram_url=bot.url,
            telegram_token=bot.token,
            telegram_chat="-4001",
        )
        receiver = service.Receiver(settings, telegram=True)
        body = json.dumps(of_grafana(firing())).encode()
        receiver.take(body)
        receiver.take(body)
        (message,) = bot.messages.values()
    assert message["text"].startswith("🔴 <b>Edge function fails: &lt;500&gt; &amp; more</b>")
    assert message["parse_mode"] == "HTML"


def test_a_sender_that_drips_its_headers_is_cut_off(project, monkeypatch):
    monkeypatch.setattr(service, "_REQUEST_SECONDS", 0.5)
    with service.serving(settings_for(project), HERE, lambda *_, **__: None) as url:
        host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"POST /grafana HTTP/1.1\r\nX-Slow: ")
            began = time.monotonic()
            assert connection.recv(100) == b""
            assert time.monotonic() - began < 5


def test_a_body_on_stdin_needs_no_signature(project):
    variables = {
        "LUXIMA_NOTIFY__PLANE_URL": project.address,
        "LUXIMA_NOTIFY__PLANE_KEY": project.key,
    }
    command = [sys.executable, "-m", "luxima_retention", "notify", "grafana-webhook"]
    for body, code in ((json.dumps(of_grafana(firing())).encode(), 0), (b"{}", 2)):
        done = subprocess.run(
            command,
            input=body,
            env=Command(variables=variables).environment(),
            capture_output=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == code, done.stderr
    assert len(project.items) == 1
