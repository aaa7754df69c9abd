"""Runs, Pushgateway, Prometheus, Alertmanager: all real; alerts fire at people's doubles, and resolve."""

from __future__ import annotations

import re
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.servers.alertmanager import run_telegram, start_alertmanager
from tests.servers.command import PATIENT, audit_log
from tests.servers.process import wait_until
from tests.servers.stub import Answer, run_stub

ROOT = Path(__file__).parents[2]
STACK = ROOT / "observability" / "stack"
RULES = ROOT / "observability" / "prometheus"
#: the rules as they are, only looked at each second
CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
scrape_configs:
  - {{job_name: pushgateway, honor_labels: true, static_configs: [{{targets: ["{pushgateway}"]}}]}}
"""


@pytest.fixture
def people(smtp):
    """The stack's Alertmanager, with doubles for everybody it tells; it waits a second, not minutes."""
    with ExitStack() as stack:
        telegram = stack.enter_context(run_telegram())
        hook = stack.enter_context(run_stub(lambda *_: Answer(200)))
        config = (STACK / "alertmanager.yml").read_text()
        for old, new in {
            "bot_token_file: /run/secrets/telegram-bot-token": f'bot_token: "1:a"\n{" " * 8}api_url: '
            + telegram.url,
            "chat_id_file: /run/secrets/telegram-chat-id": "chat_id: -100",
            "url_file: /run/secrets/actions-url": f"url: {hook.url}/actions",
            "url_file: /run/secrets/watchdog-url": f"url: {hook.url}/watchdog",
            "mail:1025": f"{smtp.host}:{smtp.port}",
            "group_wait: 30s": "group_wait: 1s",
            "group_interval: 5m": "group_interval: 1s",
        }.items():
            assert old in config
            config = config.replace(old, new)
        message = (ROOT / "observability" / "alertmanager" / "luxima.tmpl").read_text()
        server = start_alertmanager(config, {"luxima.tmpl": message})
        stack.callback(server.stop)
        yield server, telegram, hook


def told(telegram, *words):
    """Whether one message holds all of these words."""
    return any(all(word in text for word in words) for text in telegram.texts)


def test_three_alerts_of_real_runs_fire_and_resolve(
    database, pushgateway, prometheus_factory, people, tmp_path
):
    alertmanager, telegram, hook = people
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        (RULES / "luxima-retention.rules.yaml").read_text().replace("interval: 1m", "interval: 1s")
    )
    prometheus_factory(
        # What fires before the Alertmanager is known is sent again, by default after a minute.
        "--rules.alert.resend-delay=1s",
        config=CONFIG.format(
            rules=rules,
            alertmanager=alertmanager.url.removeprefix("http://"),
            pushgateway=pushgateway.url.removeprefix("http://"),
        ),
    )
    run = audit_log(database)
    run.variables |= {"LUXIMA_TELEMETRY__PUSHGATEWAY_URL": pushgateway.url}
    run.module = PATIENT

    assert run("run", "audit-logs", "--max-fraction", "0.01").returncode == 4
    refused = "audit-logs: penghapusan di core.audit_log ditolak pengaman"
    assert wait_until(lambda: told(telegram, "MASALAH", refused))
    assert wait_until(lambda: any(path == "/watchdog" for _, path, _, _ in hook.asked))

    # A trigger that keeps a row whatever is deleted: nothing in the plan explains what is left.
    database.execute(
        "CREATE FUNCTION core.keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        "CREATE TRIGGER keeps BEFORE DELETE ON core.audit_log FOR EACH ROW WHEN (OLD.id = 8700)"
        " EXECUTE FUNCTION core.keeps()"
    )
    assert run("run", "audit-logs").returncode == 6
    unproven = "audit-logs: retensi core.audit_log tidak terbukti; jangan jalankan ulang"
    assert wait_until(lambda: told(telegram, "MASALAH", unproven))
    assert wait_until(lambda: told(telegram, "PULIH", refused))

    database.execute("DROP TRIGGER keeps ON core.audit_log")
    assert run("run", "audit-logs").returncode == 0
    assert wait_until(lambda: told(telegram, "PULIH", unproven))

    assert run("ledger", "verify").returncode == 0
    database.execute("CREATE TABLE public.kept AS SELECT * FROM retention.ledger WHERE seq = 2")
    database.execute("ALTER TABLE retention.ledger DISABLE TRIGGER ALL")
    database.execute("DELETE FROM retention.ledger WHERE seq = 2")
    assert run("ledger", "verify").returncode == 6
    broken = "ledger production tidak sama dengan yang ditulis"
    assert wait_until(lambda: told(telegram, "MASALAH", broken))
    database.execute("INSERT INTO retention.ledger SELECT * FROM public.kept")
    assert run("ledger", "verify").returncode == 0
    assert wait_until(lambda: told(telegram, "PULIH", broken))
    assert all(re.search(r"runbooks/luxima-retention#[a-z-]+\"", text) for text in telegram.texts)


def alert(alertmanager, receiver, *, ends=None, **annotations):
    now = datetime.now(UTC)
    body = {
        "labels": {"alertname": "Test", "receiver": receiver, "severity": "warning"},
        "annotations": {"summary": "a < b & c", "runbook_url": "https://x/#y", **annotations},
        "startsAt": (now - timedelta(minutes=1)).isoformat(),
        **({"endsAt": ends.isoformat()} if ends else {}),
    }
    requests.post(f"{alertmanager.url}/api/v2/alerts", json=[body], timeout=5).raise_for_status()


def test_everybody_is_told_by_their_own_way_and_of_the_end(people, smtp):
    alertmanager, telegram, hook = people
    for receiver in ("telegram", "email", "actions"):
        alert(alertmanager, receiver)
    assert wait_until(lambda: told(telegram, "MASALAH", "a &lt; b &amp; c"))
    assert wait_until(lambda: bool(smtp.messages))
    assert wait_until(lambda: any(path == "/actions" for _, path, _, _ in hook.asked))
    assert "devops@luxima.id" in str(smtp.messages[0]["To"])
    for receiver in ("telegram", "email", "actions"):
        alert(alertmanager, receiver, ends=datetime.now(UTC))
    assert wait_until(lambda: told(telegram, "PULIH"))
    assert wait_until(lambda: len(smtp.messages) > 1)
    assert wait_until(lambda: sum(path == "/actions" for _, path, _, _ in hook.asked) > 1)


def test_very_many_alerts_with_very_long_names_are_one_message_that_telegram_takes(people):
    alertmanager, telegram, _ = people
    now = datetime.now(UTC).isoformat()
    alerts = [
        {
            "labels": {"alertname": "Many", "policy": "p", "receiver": "telegram", "n": str(number)},
            "annotations": {"summary": f"{number} " + "<&é🔥" * 400, "runbook_url": "https://x/" + "y" * 80},
            "startsAt": now,
        }
        for number in range(60)
    ]
    requests.post(f"{alertmanager.url}/api/v2/alerts", json=alerts, timeout=5).raise_for_status()
    assert wait_until(lambda: told(telegram, "dan lainnya"))
    assert all(len(text) <= 4096 for text in telegram.texts)
