"""A larger hosted database: proposed by an alert, approved by a person, asked for once, never by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from luxima_retention.core.errors import ConfigurationError, GuardRefused, StoreError, TamperingFound
from luxima_retention.evidence.ledger.checkpoint import Signer, generate
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.evidence.ledger.verify import Approvals, parse
from luxima_retention.run import compute
from luxima_retention.run.approve import approve, withdraw
from luxima_retention.tell.notify.grafana import alerts_of
from luxima_retention.tell.notify.proposals import body
from luxima_retention.tell.notify.send import style_of
from luxima_retention.tell.notify.service import Receiver
from luxima_retention.tell.notify.texts import plain
from tests.configured import settings_of
from tests.servers.stub import Answer, run_stub
from tests.servers.telegram import run_telegram

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)
TOKEN = "sbp_throwaway_token_of_a_test"


class Project:
    """A project at Supabase, in front of its Management API."""

    def __init__(self, path):
        self.variant, self.status, self.path = "ci_small", 200, path
        self.rina = generate(path / "rina.pem", "rina.wijaya")
        self.ledger = MemoryLedger()

    def answer(self, method, path, headers, sent):
        assert (path, headers["Authorization"]) == ("/v1/projects/abc/billing/addons", f"Bearer {TOKEN}")
        if method == "PATCH":
            if self.status == 200:
                self.variant = json.loads(sent)["addon_variant"]
            return Answer(status=self.status, body=b"{}")
        addons = [{"type": "compute_instance", "variant": {"id": self.variant}}] if self.variant else []
        return Answer(body=json.dumps({"selected_addons": addons, "available_addons": []}).encode())

    def settings(self, **more):
        values = {
            "compute": {
                "project_ref": "abc",
                "largest": "ci_large",
                "http": {"bearer_token": TOKEN},
            },
            "ledger": {"approvers": [str(self.rina.key)]},
        }
        return settings_of(
            {name: {**values.get(name, {}), **more.get(name, {})} for name in {*values, *more}}
        )

    def propose(self, now=NOW, **more):
        return compute.propose(self.settings(**more), self.ledger, "alert DatabaseLatency", now)

    def approve(self, digest, now=NOW):
        return approve(self.settings(), self.ledger, digest, now, key=self.path / "rina.pem")

    def apply(self, now=NOW, **more):
        return compute.apply(self.settings(**more), self.ledger, now)

    def kinds(self):
        return [entry.kind for entry in self.ledger.all]


@pytest.fixture
def project(tmp_path, monkeypatch):
    made = Project(tmp_path)
    with run_stub(made.answer) as server:
        monkeypatch.setattr(compute, "API", server.url)
        made.asked = server.asked
        yield made


def patches(project):
    return [asked for asked in project.asked if asked[0] == "PATCH"]


def test_a_proposal_changes_nothing_and_is_made_once(project):
    made = project.propose()
    assert (made.event.before, made.event.after, made.new) == ("ci_small", "ci_medium", True)
    assert project.propose(NOW + DAY).new is False
    assert project.apply() is None
    assert project.kinds() == ["action.proposed"]
    assert not patches(project)


def test_what_a_person_approved_is_asked_for_once(project):
    made = project.propose()
    project.approve(made.event.digest)
    assert project.apply(NOW + timedelta(hours=1)) == made.event
    assert (project.variant, len(patches(project))) == ("ci_medium", 1)
    assert project.apply(NOW + timedelta(hours=2)) is None
    assert project.kinds() == ["action.proposed", "plan.approved", "action.done", "action.done"]
    found = Approvals((project.rina.key,))
    for entry in project.ledger.all:
        found.add(parse(entry.data))
    assert found.signed == {"rina.wijaya": 1}


def test_an_answer_that_is_lost_uses_the_approval_up(project):
    project.approve(project.propose().event.digest)
    project.status = 500
    with pytest.raises(StoreError, match="answers 500 to ci_medium"):
        project.apply()
    project.status = 200
    assert project.apply() is None
    assert len(patches(project)) == 1


def test_another_compute_than_the_person_saw_is_left_alone(project):
    project.approve(project.propose().event.digest)
    project.variant = "ci_xlarge"
    with pytest.raises(GuardRefused, match="the compute is ci_xlarge, and ci_small when it was approved"):
        project.apply()
    assert not patches(project)


def test_a_lower_limit_since_counts(project):
    project.approve(project.propose().event.digest)
    with pytest.raises(GuardRefused, match=r"ci_medium is larger than compute\.largest"):
        project.apply(compute={**project.settings().compute.model_dump(), "largest": "ci_small"})


@pytest.mark.parametrize(
    ("variant", "word"), [("ci_large", "compute.largest is ci_large"), ("ci_new", "nothing here knows")]
)
def test_it_never_goes_beyond_the_largest(project, variant, word):
    project.variant = variant
    with pytest.raises(GuardRefused, match=word):
        project.propose()


def test_after_a_change_nothing_is_proposed_for_a_day(project):
    project.approve(project.propose().event.digest)
    project.apply()
    with pytest.raises(GuardRefused, match="changed less than a day ago"):
        project.propose(NOW + timedelta(hours=23))
    assert project.propose(NOW + DAY).event.after == "ci_large"


def test_what_is_not_configured_or_not_there_is_told(project):
    with pytest.raises(ConfigurationError, match="no hosted database is configured"):
        compute.propose(settings_of(), project.ledger, "x", NOW)
    project.variant = ""
    with pytest.raises(StoreError, match="names no compute"):
        project.propose()


def test_stale_withdrawn_and_forged_approvals_change_nothing(project):
    digest = project.propose().event.digest
    entry = project.approve(digest)
    with pytest.raises(GuardRefused, match="ended at"):
        project.apply(NOW + DAY)
    withdraw(project.settings(), project.ledger, digest, NOW)
    with pytest.raises(GuardRefused, match="was withdrawn"):
        project.apply()
    thief = Signer("rina.wijaya", Ed25519PrivateKey.generate())
    forged = thief.line(entry.event.note.partition("\n\n")[0].encode() + b"\n")
    note = f"{entry.event.note.partition(chr(10) * 2)[0]}\n\n{forged}"
    project.ledger.append(replace(entry.event, note=note), policy=None, at=NOW)
    with pytest.raises(GuardRefused, match="signed by no key that may approve"):
        project.apply()
    project.ledger.append(replace(entry.event, by="kepala"), policy=None, at=NOW)
    with pytest.raises(TamperingFound, match="says something else"):
        project.apply()
    assert not patches(project)


def test_an_approval_of_a_plan_is_none_of_a_proposal_and_the_other_way_round(project):
    made = project.propose()
    entry = project.approve(made.event.digest)
    project.ledger.all.pop()
    project.ledger.append(entry.event, policy="audit-logs", at=NOW)
    assert project.apply() is None


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "id",
            (
                "🟠 Usulan: basis data lebih besar — supabase:abc · production\n"
                "Dari ci_small ke ci_medium. Alasan: alert DatabaseLatency\n"
                "Perubahan memulai ulang basis data dan menambah biaya. Periksa dulu kueri dan pooler.\n"
                "✍️ Jika itu benar, setujui dengan luxima-retention approve --key FILE {digest},"
                " lalu luxima-retention compute apply\n"
                "Tanpa persetujuan tidak ada yang diubah."
            ),
        ),
        (
            "en",
            (
                "🟠 Proposal: a larger database — supabase:abc · production\n"
                "From ci_small to ci_medium. Reason: alert DatabaseLatency\n"
                "The change restarts the database and costs more. Look at queries and the pooler first.\n"
                "✍️ If that is right, approve it with luxima-retention approve --key FILE {digest},"
                " then luxima-retention compute apply\n"
                "Without an approval nothing is changed."
            ),
        ),
    ],
)
def test_the_message_carries_digest_and_command(project, language, said):
    event = project.propose().event
    style = style_of(settings_of({"notify": {"language": language}}))
    assert plain(body(event, style)) == said.format(digest=event.digest)


def alert(status="firing", action="scale-database"):
    labels = {"alertname": "DatabaseLatency", "severity": "warning", "action": action}
    item = {"status": status, "labels": labels, "annotations": {"summary": "slow"}, "startsAt": "x"}
    return json.dumps({"version": "4", "status": status, "alerts": [item]}).encode()


def test_the_alert_of_a_slow_database_becomes_a_proposal_that_people_are_told_of(project, tmp_path):
    with run_telegram() as bot:
        settings = project.settings(
            ledger={"path": str(tmp_path / "ledger.jsonl")},
            notify={
                "telegram_url": bot.url,
                "telegram_token": bot.token,
                "telegram_chat": "-4001",
            },
        )
        receiver = Receiver(settings, telegram=True)
        (first,) = receiver.take(alert())
        (again,) = receiver.take(alert())
        (over,) = receiver.take(alert("resolved"))
        (other,) = receiver.take(alert(action="restart-worker"))
        texts = [text for text in map(str, bot.messages.values()) if first["proposal"] in text]
    assert (first["new"], again["new"], again["proposal"]) == (True, False, first["proposal"])
    assert "proposal" not in {**over, **other}
    assert len(texts) == 1
    assert TOKEN not in (tmp_path / "ledger.jsonl").read_text() + "".join(texts)


def test_only_a_firing_alert_asks_for_an_action():
    assert [alerts_of(alert(status))[0].action for status in ("firing", "resolved")] == ["scale-database", ""]
