"""The seed's flow with a real Prometheus and Alertmanager: an error becomes one message and one work item."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

import requests

from tests.servers import plane, telegram
from tests.servers.command import Command
from tests.servers.process import free_ports, wait_until
from tests.servers.prometheus import start_alertmanager, start_prometheus, start_pushgateway

SECRET = "grafana-secret-0123456789"
RULES = """
groups:
  - name: edge
    rules:
      - alert: EdgeFunctionErrors
        expr: edge_function_errors > 0
        labels: {severity: critical, environment: production}
        annotations: {summary: "Edge function {{ $labels.function }} fails <now>"}
"""


def alertmanager_config(port):
    return f"""
global: {{resolve_timeout: 5s}}
route: {{receiver: plane, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 3s}}
receivers:
  - name: plane
    webhook_configs:
      - url: http://127.0.0.1:{port}/grafana
        http_config: {{authorization: {{credentials: {SECRET}}}}}
"""


def prometheus_config(directory, gateway, alertmanager):
    (directory / "rules.yml").write_text(RULES)
    return f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{directory}/rules.yml"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager.url.partition("//")[2]}"]}}]}}]}}
scrape_configs:
  - job_name: edge
    honor_labels: true
    static_configs: [{{targets: ["{gateway.url.partition("//")[2]}"]}}]
"""


def push(gateway, value):
    body = f'edge_function_errors{{function="billing-webhook"}} {value}\n'
    requests.put(f"{gateway.url}/metrics/job/edge", data=body, timeout=5).raise_for_status()


def test_an_error_is_one_message_and_one_work_item_within_a_minute(tmp_path):
    (port,) = free_ports(1)
    with ExitStack() as stack:
        bot = stack.enter_context(telegram.run_telegram())
        project = stack.enter_context(plane.run_plane())
        command = Command(
            variables={
                "LUXIMA_NOTIFY__TELEGRAM_URL": bot.url,
                "LUXIMA_NOTIFY__TELEGRAM_TOKEN": bot.token,
                "LUXIMA_NOTIFY__TELEGRAM_CHAT": "-4001",
                "LUXIMA_NOTIFY__PLANE_URL": project.address,
                "LUXIMA_NOTIFY__PLANE_KEY": project.key,
                "LUXIMA_NOTIFY__GRAFANA_SECRET": SECRET,
            }
        )
        gateway = start_pushgateway()
        stack.callback(gateway.stop)
        alertmanager = start_alertmanager(alertmanager_config(port))
        stack.callback(alertmanager.stop)
        prometheus = start_prometheus(config=prometheus_config(tmp_path, gateway, alertmanager))
        stack.callback(prometheus.stop)
        push(gateway, 1)
        failed = time.monotonic()
        service = command.start("notify", "grafana-webhook", "--listen", f"127.0.0.1:{port}", "--telegram")
        assert wait_until(lambda: bool(bot.messages))
        took = time.monotonic() - failed
        assert took <= 60
        (item,) = project.items.values()
        # Alertmanager repeats it every few seconds, and also to a service that was killed in between.
        asked = len(project.calls)
        assert wait_until(lambda: len(project.calls) > asked + 3)
        service.kill()
        killed = service.communicate()
        service = command.start("notify", "grafana-webhook", "--listen", f"127.0.0.1:{port}", "--telegram")
        push(gateway, 0)
        comments = project.comments.setdefault(item["id"], [])
        assert wait_until(lambda: any("resolved" in one["external_id"] for one in comments))
        service.send_signal(signal.SIGTERM)
        ended = service.communicate(timeout=300)
        assert service.returncode == 0
    assert len(project.items) == 1
    assert item["external_id"] == (
        "grafana:EdgeFunctionErrors:environment=production,job=edge,function=billing-webhook"
    )
    events = [comment["external_id"].partition(":")[0] for comment in comments]
    assert events.count("resolved") == 1
    assert events.count("firing") <= 1
    sent = [message["text"] for message in bot.messages.values()]
    assert sent[0].startswith("🔴 <b>Edge function billing-webhook fails &lt;now&gt;</b>")
    assert sent[-1].startswith("🟢")
    # Once more at most after the restart, which forgets what it told Telegram.
    assert 2 <= len(sent) <= 3
    assert not [
        text for text in (*killed, *ended) for secret in (SECRET, bot.token, project.key) if secret in text
    ]
