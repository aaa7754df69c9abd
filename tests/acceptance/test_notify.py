"""Runs that tell people, as a user starts them: exit codes, memory in PostgreSQL, time, and no secrets."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from luxima_retention.cli.demo_mail import server_context
from tests.servers import hostile, plane, telegram
from tests.servers.command import audit_log
from tests.servers.smtp import run_smtp


@pytest.fixture
def bot():
    with telegram.run_telegram() as chats:
        yield chats


def told_by(bot, **more):
    return {
        "LUXIMA_NOTIFY__TELEGRAM_URL": bot.url,
        "LUXIMA_NOTIFY__TELEGRAM_TOKEN": bot.token,
        "LUXIMA_NOTIFY__TELEGRAM_CHAT": "-4001",
        **more,
    }


def test_a_refused_run_is_told_once_and_its_end_too_and_no_secret_is_anywhere(database, bot, tmp_path):
    context, certificate = server_context(tmp_path)
    run = audit_log(database)
    with plane.run_plane() as project, run_smtp(tls_context=context) as mailbox:
        variables = told_by(
            bot,
            LUXIMA_NOTIFY__SMTP_URL=f"smtp://localhost:{mailbox.port}",
            LUXIMA_NOTIFY__SMTP_CA_FILE=str(certificate),
            LUXIMA_NOTIFY__MAIL_FROM="retention@luxima.example",
            LUXIMA_NOTIFY__MAIL_TO="dev@luxima.example",
            LUXIMA_NOTIFY__QUIET_HOURS="",
            LUXIMA_NOTIFY__PLANE_URL=project.address,
            LUXIMA_NOTIFY__PLANE_KEY=project.key,
        )
        outputs = [run("run", "audit-logs", "--max-items", "1", **variables) for _ in range(2)]
        assert [done.returncode for done in outputs] == [4, 4]
        dry = run("run", "audit-logs", "--dry-run", "--max-items", "1", **variables)
        outputs += [dry, run("run", "audit-logs", **variables), run("notify", "flush", **variables)]
        assert [done.returncode for done in outputs[3:]] == [0, 0], outputs[3].stderr
        outputs.append(run("notify", "test", **variables))
        assert outputs[-1].returncode == 0, outputs[-1].stdout
        assert [line.split(":")[0] for line in outputs[-1].stdout.splitlines()] == [
            "telegram",
            "mail",
            "plane",
        ]
    first, over, test = bot.messages.values()
    assert "Penghapusan ditolak pengaman" in first["text"]
    assert "max-items" in first["text"]
    assert "Pulih" in over["text"]
    assert "Uji coba" in test["text"]
    assert len(mailbox.messages) == 3
    assert mailbox.messages[1]["In-Reply-To"] == mailbox.messages[0]["Message-ID"]
    assert [item["external_id"] for item in project.items.values()] == ["production:test"]
    kept = database.execute("SELECT memory::text FROM retention.notify_memory")
    assert database.execute("SELECT count(*) FROM retention.notify_inbox") == [(0,)]
    ledger = database.execute("SELECT l::text FROM retention.ledger l")
    everything = [done.stdout + done.stderr for done in outputs] + [repr(kept), repr(ledger)]
    everything += [message.as_string() for message in mailbox.messages] + [repr(bot.messages)]
    for secret in (bot.token, bot.token.partition(":")[2], project.key):
        assert not [text for text in everything if secret in text]


def test_dead_receivers_cost_twelve_seconds_at_most_and_no_exit_code(database):
    run = audit_log(database, rows=100)
    began = time.monotonic()
    assert run("run", "audit-logs", "--max-items", "0").returncode == 0
    usual = time.monotonic() - began
    with hostile.run_hostile(hostile.silent) as url:
        variables = {
            "LUXIMA_TELEMETRY__OTLP_URL": url,
            "LUXIMA_TELEMETRY__HTTP__OTLP__TIMEOUT": "2",
            "LUXIMA_NOTIFY__TELEGRAM_URL": url,
            "LUXIMA_NOTIFY__TELEGRAM_TOKEN": "7100000000:AAE-of-this-test-0123456789",
            "LUXIMA_NOTIFY__TELEGRAM_CHAT": "-4001",
            "LUXIMA_NOTIFY__HEARTBEAT_URL": f"{url}/ping-key-0123456789",
        }
        # A column that is not there makes this run fail: there is something to tell.
        began = time.monotonic()
        done = run("run", "audit-logs", LUXIMA_AUDIT_LOG__TIME_COLUMN="no_such_column", **variables)
        took = time.monotonic() - began
    bare = run("run", "audit-logs", LUXIMA_AUDIT_LOG__TIME_COLUMN="no_such_column")
    assert done.returncode == bare.returncode != 0
    assert took <= usual + 12, f"{took:.1f} s instead of {usual:.1f} s"
    assert "ping-key" not in done.stdout + done.stderr
    assert "AAE-of-this" not in done.stdout + done.stderr


def test_without_its_database_a_run_tells_without_memory(database, bot):
    run = audit_log(database, rows=10)
    variables = told_by(bot, LUXIMA_DATABASE__DSN="host=127.0.0.1 port=1 dbname=gone user=nobody")
    done = run("run", "audit-logs", **variables)
    assert done.returncode != 0
    assert len(bot.messages) == 1, done.stderr
    assert run("notify", "flush", **variables).returncode == 3


def test_runs_side_by_side_tell_each_trouble_once(database, bot):
    run = audit_log(database)
    variables = told_by(bot)
    with ThreadPoolExecutor(3) as pool:
        done = list(
            pool.map(lambda _: run("run", "audit-logs", "--max-items", "1", **variables).returncode, range(3))
        )
    assert set(done) <= {4, 5}
    run("notify", "flush", **variables)
    assert len(bot.messages) == 1
