"""Messages over real SMTP with TLS, and over strict doubles of Telegram, Plane and a webhook."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.cli.demo_mail import server_context
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.guards import GuardResult
from luxima_retention.core.results import Outcome, PolicyResult, RunResult, TargetResult
from luxima_retention.tell.notify import hooks, send
from luxima_retention.tell.notify.conditions import Memory, Seen, observe
from luxima_retention.tell.notify.texts import body, plain, subject
from tests.configured import settings_of
from tests.conftest import LONG
from tests.servers import hostile, plane, telegram
from tests.servers.smtp import run_smtp
from tests.servers.stub import Answer, run_stub

NIGHT = datetime(2026, 11, 26, 17, 0, tzinfo=UTC)
NOON = datetime(2026, 11, 26, 5, 0, tzinfo=UTC)


@pytest.fixture
def bot():
    with telegram.run_telegram() as chats:
        yield chats


@pytest.fixture
def project():
    with plane.run_plane() as made:
        yield made


def told_by(path, **notify):
    return settings_of({"ledger": {"path": str(path / "ledger.jsonl")}, "notify": notify})


def of_bot(chats, **more):
    return {
        "telegram_url": chats.url,
        "telegram_token": chats.token,
        "telegram_chat": "-4001",
        **more,
    }


def of_mail(mailbox, certificate=None, **more):
    return {
        "smtp_url": f"smtp://localhost:{mailbox.port}",
        "mail_from": "retention@luxima.example",
        **({"smtp_ca_file": str(certificate)} if certificate else {}),
        **more,
    }


def of_plane(project, **more):
    return {
        "plane_url": project.address,
        "plane_key": project.key,
        **more,
    }


def result_of(code, now=NOON, sentence="a guard saw more than <it> may & refused", **more):
    target = TargetResult(
        target="core.audit_log", outcome=Outcome.DONE, exit_code=ExitCode(code), sentence=sentence, **more
    )
    policy = PolicyResult(
        policy="audit-logs",
        retention_days=180,
        outcome=Outcome.DONE,
        exit_code=ExitCode(code),
        targets=(target,),
    )
    return RunResult(now=now, dry_run=False, policies=(policy,))


def run(settings, code, now=NOON, **more):
    return list(send.after_run(settings, result_of(code, now, **more), clock=lambda: now))


def texts(chats):
    return [message["text"] for message in chats.messages.values()]


def test_a_refused_run_is_told_once_and_its_end_answers_and_marks_the_first_message(bot, tmp_path):
    settings = told_by(tmp_path, **of_bot(bot))
    refused = GuardResult(
        guard="share", passed=False, observed="61 %", limit="30 %", message="", hint="--max-fraction 0.65"
    )
    assert run(settings, 4, verdicts=(refused,)) == []
    assert run(settings, 4, NOON + timedelta(days=1)) == []
    assert run(settings, 0, NOON + timedelta(days=2)) == []
    first, over = bot.messages.values()
    assert "Penghapusan ditolak pengaman" in first["text"]
    assert "61 %" in first["text"]
    assert "batas 30 %" in first["text"]
    assert "more than" not in first["text"], "the guard's figures say it already"
    assert first["disable_notification"] is False
    assert over["reply_parameters"]["message_id"] == 101
    assert over["disable_notification"] is True
    assert "Pulih" in over["text"]
    assert "2 hari" in over["text"]
    assert bot.edits == [101]
    assert "Pulih" in first["text"] or "Pulih" in bot.messages[101]["text"]


@pytest.mark.parametrize(
    ("at", "code", "silent"), [(NIGHT, 4, True), (NOON, 4, False), (NIGHT, 6, False), (NOON, 6, False)]
)
def test_at_night_a_phone_rings_for_what_is_critical_alone(bot, tmp_path, at, code, silent):
    assert run(told_by(tmp_path, **of_bot(bot)), code, at) == []
    (message,) = bot.messages.values()
    assert message["disable_notification"] is silent


def test_a_rate_limit_is_waited_for_or_left_to_the_next_flush(bot, tmp_path):
    settings = told_by(tmp_path, **of_bot(bot))
    bot.next = [telegram.said(429, "Too Many Requests: retry after 1", retry_after=1)]
    assert run(settings, 4) == []
    assert len(bot.messages) == 1
    bot.next = [telegram.said(429, "Too Many Requests: retry after 40", retry_after=40)]
    (warning,) = run(settings, 6)
    assert "40 s" in warning
    assert len(bot.messages) == 1
    at = NOON + timedelta(seconds=20)
    assert send.flush(settings, lambda: at).sent == 0
    told = send.flush(settings, lambda: NOON + timedelta(seconds=41))
    assert told.sent >= 1
    assert "tidak terbukti" in bot.messages[102]["text"]


def test_a_message_that_telegram_cannot_parse_is_sent_without_elements(bot, tmp_path):
    bot.next = [telegram.said(400, "Bad Request: can't parse entities: Unsupported start tag")]
    assert run(told_by(tmp_path, **of_bot(bot)), 4) == []
    (message,) = bot.messages.values()
    assert "parse_mode" not in message
    assert "<b>" not in message["text"]
    assert "<it> may & refused" in message["text"]


def test_a_chat_that_became_a_supergroup_is_followed(bot, tmp_path):
    bot.chats = {"-1009"}
    bot.next = [telegram.said(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1009)]
    assert run(told_by(tmp_path, **of_bot(bot)), 4) == [
        "the chat became a supergroup: set notify.telegram_chat to -1009"
    ]
    assert [message["chat_id"] for message in bot.messages.values()] == ["-1009"]


def test_a_bot_that_was_kicked_is_told_and_others_get_the_message(bot, project, tmp_path):
    bot.next = [telegram.said(403, "Forbidden: bot was kicked from the group chat")]
    (warning,) = run(told_by(tmp_path, **of_bot(bot), **of_plane(project)), 6)
    assert "403" in warning
    assert bot.token not in warning
    assert len(project.items) == 1
    assert send.flush(told_by(tmp_path, **of_bot(bot)), lambda: NOON).waiting == 0, "it is not sent again"


def test_sixty_policies_are_one_message_that_telegram_takes(bot):
    from luxima_retention.core.deadline import UNLIMITED
    from luxima_retention.tell.notify.telegram import Telegram

    settings = settings_of({"notify": of_bot(bot)})
    seen = [
        Seen(
            key=f"production:p{number}:t",
            code=4,
            at=NOON.timestamp(),
            facts={"policy": f"policy-{number}", "target": "😀<&>" * 9, "sentence": "😀&<" * 200},
        )
        for number in range(60)
    ]
    message = observe(Memory(), seen)
    Telegram(settings.notify, send.style_of(settings), UNLIMITED).send(message, {})
    (sent,) = bot.messages.values()
    assert sent["parse_mode"] == "HTML", "not the plain form after a refusal"
    assert re.search(r"\+ \d+ lagi$", sent["text"])


@pytest.mark.parametrize("sender", [hostile.silent, hostile.DRIPPING_HEAD, hostile.DRIPPING_BODY])
def test_dead_receivers_cost_ten_seconds_at_most_and_nothing_is_lost(sender, tmp_path, bot):
    with hostile.run_hostile(sender) as url:
        dead = {
            **of_bot(bot, telegram_url=url),
            "webhook_url": url,
            "heartbeat_url": url + "/secret-slug-0123",
            "plane_url": f"{url}/luxima/projects/{plane.PROJECT}",
            "plane_key": "plane_api_0123456789",
            "smtp_url": url.replace("http", "smtp"),
            "mail_from": "retention@luxima.example",
            "mail_to": ["dev@luxima.example"],
        }
        began = time.monotonic()
        warnings = run(told_by(tmp_path, **dead), 6)
        took = time.monotonic() - began
    assert took <= 11
    assert warnings
    assert not any(bot.token in warning or "secret-slug" in warning for warning in warnings)
    told = send.flush(told_by(tmp_path, **of_bot(bot)), lambda: NOON)
    assert "tidak terbukti" in texts(bot)[0]
    assert told.sent >= 1


def test_a_connection_that_breaks_is_tried_again_by_the_next_flush(tmp_path, bot):
    with run_stub(lambda *_: Answer(cut=True)) as stub:
        (warning,) = run(told_by(tmp_path, **of_bot(bot, telegram_url=stub.url)), 4)
        assert "Telegram cannot be reached" in warning
    assert send.flush(told_by(tmp_path, **of_bot(bot)), lambda: NOON).sent == 1
    assert send.flush(told_by(tmp_path, **of_bot(bot)), lambda: NOON).sent == 0


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_mail_goes_over_tls_with_a_login_and_forms_a_thread(scheme, tmp_path):
    from aiosmtpd.smtp import AuthResult

    context, certificate = server_context(tmp_path)
    logins = []

    def login(_server, _session, _envelope, mechanism, data):
        logins.append((mechanism, data.login, data.password))
        return AuthResult(success=True)

    options = {"authenticator": login}
    if scheme == "smtp":
        options |= {"tls_context": context, "require_starttls": True, "auth_required": True}
    else:
        # Its own check counts STARTTLS only; the whole connection is inside of TLS.
        options |= {"ssl_context": context, "auth_require_tls": False}
    with run_smtp(**options) as mailbox:
        settings = told_by(
            tmp_path,
            smtp_url=f"{scheme}://localhost:{mailbox.port}",
            smtp_username="retention",
            smtp_password="mail-password-0123456789",
            smtp_ca_file=str(certificate),
            mail_from="retention@luxima.example",
            mail_to=["dev@luxima.example", "ops@luxima.example"],
        )
        assert run(settings, 6) == []
        assert run(settings, 0, NOON + timedelta(hours=2, minutes=14)) == []
    first, over = mailbox.messages
    assert logins[0][1:] == (b"retention", b"mail-password-0123456789")
    assert first["Subject"].startswith("[KRITIS] Retensi audit-logs (production): Retensi tidak terbukti")
    assert first["Auto-Submitted"] == "auto-generated"
    assert over["In-Reply-To"] == over["References"] == first["Message-ID"]
    assert "2 j 14 m" in over.get_body(("plain",)).get_content()
    assert mailbox.recipients[0] == ["dev@luxima.example", "ops@luxima.example"]
    assert not any("mail-password" in str(message) for message in mailbox.messages)


def test_a_mail_server_without_tls_gets_nothing(tmp_path):
    with run_smtp() as mailbox:
        settings = told_by(tmp_path, **of_mail(mailbox, mail_to=["dev@luxima.example"]))
        (warning,) = run(settings, 6)
    assert "STARTTLS" in warning
    assert mailbox.messages == []


def test_a_mail_server_that_nobody_trusts_gets_nothing_until_its_certificate_is_mended(tmp_path):
    context, certificate = server_context(tmp_path)
    with run_smtp(tls_context=context) as mailbox:
        options = of_mail(mailbox, mail_to="dev@luxima.example", quiet_hours="")
        (warning,) = run(told_by(tmp_path, **options), 4)
        assert "a certificate that is not trusted; set notify.smtp_ca_file" in warning
        assert mailbox.messages == []
        trusting = told_by(tmp_path, **options, smtp_ca_file=str(certificate))
        flushed = send.flush(trusting, lambda: NOON)
        assert (flushed.sent, flushed.waiting) == (1, 0)
        assert len(mailbox.messages) == 1


def test_at_night_warnings_make_no_sound_and_mail_waits_for_the_morning(bot, tmp_path):
    context, certificate = server_context(tmp_path)
    with run_smtp(tls_context=context) as mailbox:
        settings = told_by(
            tmp_path,
            **of_bot(bot),
            **of_mail(mailbox, certificate, mail_to=["dev@luxima.example"]),
        )
        assert run(settings, 4, NIGHT) == []
        assert len(bot.messages) == 1
        assert mailbox.messages == []
        assert send.flush(settings, lambda: NIGHT + timedelta(hours=5)).waiting == 1
        assert send.flush(settings, lambda: NIGHT + timedelta(hours=6, minutes=1)).sent == 1
        assert len(mailbox.messages) == 1
        assert run(settings, 6, NIGHT) == []
        assert len(mailbox.messages) == 2, "critical ones go at once"


def test_one_work_item_however_often_it_repeats(project, tmp_path):
    settings = told_by(
        tmp_path, **of_plane(project), links={"runbook": "https://wiki.luxima.example/{policy}"}
    )
    for day in range(6):
        assert run(settings, 6 if day % 2 == 0 else 0, NOON + timedelta(days=2 * day)) == []
    (item,) = project.items.values()
    assert item["external_id"] == "production:audit-logs:core.audit_log"
    assert item["priority"] == "urgent"
    assert len(project.comments[item["id"]]) == 5
    assert project.links[item["id"]] == [
        {"title": "runbook", "url": "https://wiki.luxima.example/audit-logs"}
    ]


def test_a_completed_item_is_opened_again_and_a_cancelled_one_is_not(project, tmp_path):
    settings = told_by(tmp_path, **of_plane(project))
    item = project.add("production:audit-logs:core.audit_log", state="state-completed")
    run(settings, 6)
    assert item["state"] == "state-unstarted"
    item["state"] = "state-cancelled"
    run(settings, 0, NOON + timedelta(days=1))
    run(settings, 6, NOON + timedelta(days=2))
    assert item["state"] == "state-cancelled"
    assert len(project.comments[item["id"]]) == 3


def test_an_archived_item_keeps_its_id_so_another_one_is_made(project, tmp_path):
    project.add("production:audit-logs:core.audit_log", archived=True)
    assert run(told_by(tmp_path, **of_plane(project)), 6) == []
    assert [item["external_id"] for item in project.items.values()] == [
        "production:audit-logs:core.audit_log",
        "production:audit-logs:core.audit_log-2",
    ]


def test_a_lost_answer_makes_no_second_item(project, tmp_path):
    project.lose = Answer(cut=True)
    settings = told_by(tmp_path, **of_plane(project))
    (warning,) = run(settings, 6)
    assert "Plane cannot be reached" in warning
    assert send.flush(settings, lambda: NOON).sent == 1
    assert len(project.items) == 1


def test_twins_are_closed_with_a_link(project, tmp_path):
    first = project.add("production:audit-logs:core.audit_log")
    twin = project.add("production:audit-logs:core.audit_log")
    assert run(told_by(tmp_path, **of_plane(project)), 6) == []
    assert twin["state"] == "state-cancelled"
    assert first["id"] in project.comments[twin["id"]][0]["comment_html"]
    assert len(project.comments[first["id"]]) == 1
    assert first["state"] == "state-backlog"


def test_plane_that_counts_requests_is_asked_later(project, tmp_path):
    settings = told_by(tmp_path, **of_plane(project))
    project.next = [Answer(429)]
    assert "429" in run(settings, 6)[0]
    assert send.flush(settings, lambda: NOON + timedelta(seconds=59)).sent == 0
    assert send.flush(settings, lambda: NOON + timedelta(seconds=61)).sent == 1
    assert len(project.items) == 1


def test_a_redirect_gets_no_key(project, tmp_path):
    with run_stub(lambda *_: Answer(200)) as other:
        project.next = [Answer(302, headers={"Location": other.url})]
        (warning,) = run(told_by(tmp_path, **of_plane(project)), 6)
    assert "302" in warning
    assert other.asked == []


def test_the_webhook_is_signed_and_heartbeats_carry_the_exit_code(tmp_path):
    with run_stub(lambda *_: Answer(200)) as stub:
        settings = told_by(
            tmp_path,
            webhook_url=stub.url + "/hook",
            webhook_secret="webhook-secret-0123456789",
            heartbeat_url=stub.url + "/ping-key-0123456789/{policy}",
        )
        assert run(settings, 6) == []
        assert run(settings, 7, NOON + timedelta(days=1)) == []
    hook = next(asked for asked in stub.asked if asked[1] == "/hook")
    stamp = hook[2][hooks.TIMESTAMP]
    assert hook[2][hooks.SIGNATURE] == hooks.signature("webhook-secret-0123456789", stamp, hook[3])
    assert json.loads(hook[3])["message"]["severity"] == "critical"
    pings = [asked[1] for asked in stub.asked if "ping-key" in asked[1]]
    assert pings == ["/ping-key-0123456789/audit-logs/6", "/ping-key-0123456789/audit-logs/log"]


def test_without_a_ledger_every_trouble_is_told(bot):
    settings = settings_of({"notify": of_bot(bot)})
    run(settings, 4)
    run(settings, 4)
    run(settings, 0)
    assert len(bot.messages) == 2


def test_messages_read_well_in_both_languages(tmp_path):
    seen = Seen(
        key="production:audit-logs:core.audit_log",
        code=6,
        at=NOON.timestamp(),
        facts={
            "policy": "audit-logs",
            "target": "core.audit_log",
            "retention_days": 180,
            "unexplained": 1204,
            "destroyed": 48110,
            "held": 12,
            "oldest": "2026-05-12T00:00:00Z",
            "run_id": "6f1c2d33-0000-4000-8000-000000000000",
            "breach_at": "2026-11-26T19:00:00Z",
        },
    )
    message = observe(Memory(), [seen])
    links = {"runbook": "https://wiki.luxima.example/{policy}?run={run_id}"}
    found = {}
    for language in ("id", "en"):
        settings = settings_of({"notify": {"language": language, "links": links}})
        found[language] = plain(body(message, send.style_of(settings)))
        assert subject(message, send.style_of(settings))
    assert found["id"] == (
        "🔴 Retensi tidak terbukti — audit-logs core.audit_log · production\n"
        "1.204 catatan kedaluwarsa masih ada tanpa penjelasan.\n"
        "Batas 180 hari · tertua 12 Mei 2026 · dihapus 48.110 · ditahan (hold) 12\n"
        "⏳ Batas terlampaui dalam 14 j 0 m (27 November 2026 02.00 WIB) jika tidak diperbaiki.\n"
        "➡️ Jangan jalankan ulang. Ikuti runbook.\n"
        "Run 6f1c2d33… · kode 6 · sejak 26 November 2026 12.00 WIB\n"
        "Runbook: https://wiki.luxima.example/audit-logs?run=6f1c2d33-0000-4000-8000-000000000000"
    )
    assert found["en"] == (
        "🔴 Retention not proven — audit-logs core.audit_log · production\n"
        "1,204 expired records are still there and nothing explains them.\n"
        "Limit 180 days · oldest 12 May 2026 · destroyed 48,110 · on hold 12\n"
        "⏳ The limit will be exceeded in 14 h 0 min (27 November 2026 02:00 WIB) unless this is fixed.\n"
        "➡️ Do not run again. Follow the runbook.\n"
        "Run 6f1c2d33… · code 6 · since 26 November 2026 12:00 WIB\n"
        "Runbook: https://wiki.luxima.example/audit-logs?run=6f1c2d33-0000-4000-8000-000000000000"
    )


@pytest.mark.parametrize(("more", "attached"), [(0, True), (1, False)])
def test_a_report_goes_by_mail_within_its_limit_and_is_one_line_in_telegram(bot, tmp_path, more, attached):
    from luxima_retention.tell.notify.reports import Written, send_report

    file = tmp_path / "report-2026-10.pdf"
    file.write_bytes(b"%PDF-1.7 ".ljust(10 * 1024 * 1024 + more, b"\0"))
    context, certificate = server_context(tmp_path)
    with run_smtp(tls_context=context) as mailbox:
        settings = told_by(
            tmp_path,
            **of_bot(bot),
            **of_mail(mailbox, certificate, report_to=["auditor@luxima.example"]),
        )
        written = Written(period="2026-10", verdict="compliant", where="s3://reports/2026-10.zip", file=file)
        assert list(send_report(settings, written)) == []
    (mail,) = mailbox.messages
    names = [part.get_filename() for part in mail.iter_attachments()]
    assert names == (["report-2026-10.pdf"] if attached else [])
    assert ("s3://reports" in mail.get_body(("plain",)).get_content()) is not attached
    (line,) = texts(bot)
    assert line == "📄 Laporan retensi 2026-10: compliant. s3://reports/2026-10.zip"


#: ten times as many in the long run
OUTCOMES = 1200 if LONG else 120


def test_of_many_random_outcomes_none_is_lost_and_only_lost_answers_are_told_twice(bot, tmp_path):
    """Each change is with people within a minute in 99 of 100 runs where the receiver takes it."""
    from random import Random

    from luxima_retention.tell.notify.store import open_store

    chance, at, lost, took = Random(20), NOON, 0, []  # noqa: S311 - outcomes, no secrets
    settings = told_by(tmp_path, **of_bot(bot))
    faults = (telegram.said(429, "Too Many Requests", retry_after=60), Answer(cut=True), Answer(500))
    for _ in range(OUTCOMES):
        at += timedelta(hours=chance.choice((1, 6, 12, 24)))
        fault = chance.random()
        if fault < 0.1:
            bot.next = [chance.choice(faults)]
        bot.lose = 0.1 <= fault < 0.15
        before, began = len(bot.messages), time.monotonic()
        run(settings, chance.choice((0, 0, 0, 3, 4, 6, 8)), at)
        if len(bot.messages) > before and fault >= 0.15:
            took.append(time.monotonic() - began)
        lost += 0.1 <= fault < 0.15 and not bot.lose
        bot.next, bot.lose = [], False
        told = send.flush(settings, lambda at=at: at + timedelta(minutes=5))
        assert told.waiting == 0
    memory, inbox = open_store(settings).load()
    assert inbox == []
    assert len(bot.messages) == memory.counter + lost
    assert memory.counter > OUTCOMES / 5
    assert sorted(took)[int(len(took) * 0.99)] < 60
