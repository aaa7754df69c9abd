"""A row in retention.alert becomes a Telegram message: migration, double of pg_net, function in Deno."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from cronsim import CronSim

from luxima_retention.core.deadline import UNLIMITED
from luxima_retention.tell.notify.channel import Later, Refused
from luxima_retention.tell.notify.conditions import Memory, Seen, observe
from luxima_retention.tell.notify.send import open_channel
from tests.configured import settings_of
from tests.servers import pg_net, telegram
from tests.servers.postgrest import SECRET_KEY
from tests.servers.supabase import make_roles, run_project

ROOT = Path(__file__).parents[2]
MIGRATION = (ROOT / "supabase/migrations/20261126000000_retention_alert.sql").read_text()
RAISING = (ROOT / "supabase/migrations/20261127000000_raise_alert.sql").read_text()
FUNCTION = ROOT / "supabase/functions/retention-alert/index.ts"
SECRET = "alert-secret-0123456789"
INSERT = """
INSERT INTO retention.alert (policy, severity, title, body, dedup_key)
VALUES ('security-events', %s, %s, %s, %s) ON CONFLICT (dedup_key) DO NOTHING
"""


@pytest.fixture
def net(database):
    database.execute(pg_net.SQL)
    return pg_net.Net(database)


@pytest.fixture
def flow(database, net, tmp_path_factory):
    """The whole way: double of pg_net, Edge Function, stand-in of PostgREST, double of Telegram."""
    roles = make_roles(database)
    database.execute(MIGRATION.replace("service_role", roles.service))
    variables = {
        "RETENTION_ALERT_SECRET": SECRET,
        "TELEGRAM_CHAT_ID": "-4001",
        "SUPABASE_SERVICE_ROLE_KEY": SECRET_KEY,
    }
    with ExitStack() as stack:
        double, url = stack.enter_context(run_project(database, roles))
        bot = stack.enter_context(telegram.run_telegram())
        variables |= {"TELEGRAM_URL": bot.url, "TELEGRAM_BOT_TOKEN": bot.token}
        variables |= {"SUPABASE_URL": url.removesuffix("/rest/v1")}
        cache = tmp_path_factory.mktemp("deno")
        function = stack.enter_context(pg_net.run_function(FUNCTION, cache, **variables))
        vault = "INSERT INTO vault.secrets VALUES ('retention_alert_url', %s), ('retention_alert_secret', %s)"
        database.execute(vault, function, SECRET)
        yield bot, function, double


def alert(database, severity="critical", title="Edge <function> fails", body="a & b", key="k1"):
    database.execute(INSERT, severity, title, body, key)


def waiting(database):
    return database.execute("SELECT count(*) FROM retention.alert WHERE delivered_at IS NULL")[0][0]


def age(database):
    """Let two minutes go by for what is there."""
    database.execute(
        "UPDATE retention.alert SET occurred_at = occurred_at - interval '2 minutes',"
        " claimed_at = claimed_at - interval '2 minutes'"
    )


def test_rows_become_messages_once_and_what_is_lost_is_sent_by_the_sweep(database, net, flow, capfd):
    bot, function, double = flow
    alert(database)
    alert(database)
    (queued,) = net.queued()
    assert queued[2] == '{"id": 1}', "neither texts nor tokens lie in the queue"
    assert bot.token not in repr(queued)
    assert net.work() == [200]
    (message,) = bot.messages.values()
    assert message["text"].startswith(
        "🔴 <b>Edge &lt;function&gt; fails</b> — security-events · production\na &amp; b"
    )
    assert waiting(database) == 0

    alert(database, key="k2", severity="info")
    net.crash()
    assert database.execute("SELECT retention.resend_alerts()") == [(0,)], "it may still be under way"
    age(database)
    assert database.execute("SELECT retention.resend_alerts()") == [(1,)]
    assert net.work() == [200]
    assert len(bot.messages) == 2
    assert database.execute("SELECT retention.resend_alerts()") == [(0,)]

    bot.next = [telegram.said(429, "Too Many Requests", retry_after=9)]
    alert(database, key="k3")
    assert net.work() == [503]
    age(database)
    database.execute("SELECT retention.resend_alerts(), retention.resend_alerts()")
    assert net.work() == [200, 200]
    assert len(bot.messages) == 3, "sent twice, delivered once"

    for headers, body, status in (
        ({"Content-Type": "application/json"}, b'{"id": 1}', 401),
        ({"X-Retention-Secret": "wrong"}, b'{"id": 1}', 401),
        ({"X-Retention-Secret": SECRET}, b'{"id": "1 OR 1"}', 400),
        ({"X-Retention-Secret": SECRET}, b"x" * 2000, 413),
        ({"X-Retention-Secret": SECRET}, b'{"id": 999}', 200),
    ):
        assert pg_net._post(function, headers, body) == status
    assert len(bot.messages) == 3
    assert double.violations == []
    captured = capfd.readouterr()
    assert bot.token not in captured.out + captured.err


def test_an_alert_is_written_even_when_it_cannot_be_sent(database, net):
    roles = make_roles(database)
    database.execute(MIGRATION.replace("service_role", roles.service))
    alert(database)
    assert net.queued() == []
    database.execute(
        "INSERT INTO vault.secrets VALUES ('retention_alert_url', 'u'), ('retention_alert_secret', 's')"
    )
    database.execute("DROP FUNCTION net.http_post")
    alert(database, key="k2")
    assert waiting(database) == 2


def test_nobody_but_the_function_may_touch_alerts(database, net):
    roles = make_roles(database)
    database.execute(MIGRATION.replace("service_role", roles.service))
    for role in (roles.anon, roles.authenticated, roles.service):
        with psycopg.connect(database.dsn_of(role)) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT * FROM retention.alert")
            connection.rollback()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT retention.resend_alerts()")


def test_pg_cron_gets_one_job_whose_command_sends_what_was_lost(database, net):
    roles = make_roles(database)
    database.execute(pg_net.CRON)
    database.execute(MIGRATION.replace("service_role", roles.service))
    ((schedule, command, name, active),) = database.execute(
        "SELECT schedule, command, jobname, active FROM cron.job"
    )
    assert (name, active) == ("retention-alert-sweep", True)
    assert times_an_hour(schedule) == 12
    database.execute(
        "INSERT INTO vault.secrets VALUES ('retention_alert_url', 'u'), ('retention_alert_secret', 's')"
    )
    alert(database)
    net.crash()
    age(database)
    # As pg_cron does: the text of the command, by itself, as the role that scheduled it.
    assert database.execute(command) == [(1,)]
    assert [body for _, _, body in net.queued()] == ['{"id": 1}']


def times_an_hour(schedule):
    start = datetime(2026, 11, 26, tzinfo=UTC)
    return sum(time <= start + timedelta(hours=1) for time in islice(CronSim(schedule, start), 60))


@pytest.fixture
def raising(database, net):
    """The DSN of a login that may raise alerts, and the settings of whoever uses it."""
    roles = make_roles(database)
    # A role is the server's, and other tests run beside this one; the database drops both at its end.
    database.login("alerter")
    alerter = f"{database.name}_alerter"
    database.execute(MIGRATION.replace("service_role", roles.service))
    database.execute(RAISING.replace("retention_alerter", alerter))
    dsn = database.login("alerts", member_of=alerter)
    return settings_of({"notify": {"alert_dsn": dsn}, "telemetry": {"environment": "staging"}}), dsn


def test_a_refused_run_becomes_a_row_once_and_its_end_another(database, raising):
    chosen, dsn = raising
    channel = open_channel(chosen, "alert", UNLIMITED.within(30))
    memory = Memory()
    facts = {
        "policy": "audit-logs",
        "target": "core.<audit>",
        "run_id": str(uuid4()),
        "sentence": "61 of 100",
    }
    seen = Seen(key="staging:audit-logs:core.<audit>", code=4, at=1_795_000_000.0, facts=facts)
    first = observe(memory, [seen])
    for _ in range(2):
        channel.send(first, {})
    over = observe(memory, [replace(seen, code=0, at=seen.at + 60)])
    channel.send(over, {})
    rows = database.execute(
        "SELECT severity, title, body, policy, environment, run_id::text FROM retention.alert ORDER BY id"
    )
    assert [row[0] for row in rows] == ["warning", "info"], "the first was sent twice"
    assert rows[0][1] == "[PERINGATAN] Retensi audit-logs (staging): Penghapusan ditolak pengaman"
    assert "61 of 100" in rows[0][2]
    assert "<b>" not in rows[0][2]
    assert rows[0][3:] == ("audit-logs", "staging", facts["run_id"])
    assert channel.test().startswith("a row in retention.alert")
    with psycopg.connect(dsn) as connection:
        for query in ("SELECT * FROM retention.alert", "DELETE FROM retention.alert"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(query)
            connection.rollback()


def test_a_database_that_is_away_is_asked_later_and_one_without_the_migration_is_not(database):
    message = observe(Memory(), [Seen(key="p:a:t", code=4, at=1.0, facts={"policy": "a"})])

    def send(dsn):
        chosen = settings_of({"notify": {"alert_dsn": dsn}})
        open_channel(chosen, "alert", UNLIMITED.within(30)).send(message, {})

    with pytest.raises(Later) as away:
        send("host=127.0.0.1 port=1 dbname=x user=x password=alert-password-0123")
    assert "alert-password" not in str(away.value)
    with pytest.raises(Refused, match="raise_alert"):
        send(database.dsn)
