"""The look back at a sprint whose truth is known: a ledger and notifications that were played."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from luxima_retention.cli import cli
from luxima_retention.evidence.ledger.file import FileLedger
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.report.retrospective import Sources, look_back
from luxima_retention.report.retrospective_pages import as_html, as_json, as_pdf
from luxima_retention.report.retrospective_texts import RETROSPECTIVE, span
from luxima_retention.tell.notify.conditions import Delivery, Memory, Seen, observe
from luxima_retention.tell.notify.store import FileStore
from tests.ledgers import Raw, event

START = datetime(2026, 3, 16, tzinfo=UTC)
END = START + timedelta(days=14)
SHARE = {
    "guard": "share",
    "passed": False,
    "observed": "61.0 % (61 of 100)",
    "limit": "25.0 %",
    "override": None,
}
TARGET = "core.audit_log"


def day(number, hour=0, second=0):
    return START + timedelta(days=number, hours=hour, seconds=second)


def refused(at, *, policy="audit-logs"):
    return (
        at,
        policy,
        "run.refused",
        {"target": TARGET, "exit_code": 4, "guards": [SHARE], "error": "61 of 100"},
    )


def done(at, run_id="r", *, policy="audit-logs", target=TARGET, code=0, **more):
    outcome = "done" if not code else "verification_failed"
    said = {"run_id": run_id, "target": target, "exit_code": code, "outcome": outcome, **more}
    return at, policy, "run.completed", said


def sprint():
    """What took place, in the ledger's order."""
    yield refused(day(-20))
    yield done(day(-19))
    yield (
        day(-10),
        "audit-logs",
        "hold.placed",
        {"hold_id": "h1", "sha256": "a" * 64, "review_by": "2026-03-20T00:00:00Z"},
    )
    # A: refused on day 1 and 2, a value named, well on day 3.
    yield refused(day(1))
    yield refused(day(2))
    yield (
        day(3),
        "audit-logs",
        "approval",
        {
            "target": TARGET,
            "items": 61,
            "population": 100,
            "option": "--max-fraction 0.61",
            "cutoff": "2026-05-27T00:00:00Z",
        },
    )
    yield done(day(3, second=60))
    # B: the same again, for six hours; nobody had to name anything.
    yield refused(day(5))
    yield done(day(5, 6))
    # C: another policy failed, and got worse; it is open at the end.
    yield (
        day(6),
        "metrics",
        "run.failed",
        {"target": "http://p", "outcome": "failed", "exit_code": 3, "error": "it does not answer"},
    )
    yield done(day(8), policy="metrics", target="http://p", code=6, error="3 left")
    # D: two slots were missed; the next run of the policy ends that.
    yield (
        day(9),
        "security-events",
        "slot.missed",
        {"missed": 2, "first": "2026-03-23T00:00:00Z", "last": "2026-03-24T00:00:00Z"},
    )
    yield done(day(9, 1), policy="security-events", target="auth.events")
    # E: a run was killed, and resumed by the next one.
    yield day(10), "log-files", "run.started", {"run_id": "k", "target": "app", "items": 5}
    yield day(11), "log-files", "run.resumed", {"run_id": "k", "target": "app"}
    yield done(day(11, second=30), "k", policy="log-files", target="app")
    # F: stopped in good order while the backlog shrinks, and another run at work: no trouble.
    for number, left in enumerate((900, 500)):
        proof = {"left": left, "unexplained": 0}
        yield done(day(12, number), policy="app", target="s", code=7, proof=proof)
    yield done(day(12, 5), policy="app", target="s", code=5)
    yield done(day(12, 6), policy="app", target="s")
    # G: the weekly look at the dashboards.
    yield day(13), None, "observability.checked", {"compared": 9, "differs": ["a.yaml"], "exit_code": 8}
    # After the sprint.
    yield done(day(15), policy="metrics", target="http://p")
    yield refused(day(16))


def played(ledger):
    for at, policy, kind, said in sprint():
        ledger.append(event(kind, **said), policy=policy, at=at)
    return ledger


def told():
    """What people were told: A after 40 s, B never, C after 5 minutes; the database was down for an hour."""
    memory = Memory()

    def see(policy, target, code, at, *, after=None):
        facts = {"policy": policy, "target": target}
        key = f"production:{policy}:{target}"
        message = observe(
            memory, [Seen(key=key, code=code, at=(at - timedelta(seconds=5)).timestamp(), facts=facts)]
        )
        if message and after is not None:
            memory.arrived(message.number, "telegram", (at + timedelta(seconds=after)).timestamp())
            memory.sent[message.number] = {"plane": ["item-1"]} if policy == "metrics" else {}
        return message

    see("audit-logs", TARGET, 4, day(1), after=40)
    see("audit-logs", TARGET, 4, day(2))
    see("audit-logs", TARGET, 0, day(3, second=60))
    waiting = see("audit-logs", TARGET, 4, day(5))
    see("audit-logs", TARGET, 0, day(5, 6))
    see("metrics", "http://p", 3, day(6), after=300)
    see("metrics", "http://p", 6, day(8), after=10)
    see("ledger", "checkpoint", 3, day(4), after=15)
    see("ledger", "checkpoint", 0, day(4, 1))
    memory.outbox.append(Delivery(channel="mail", message=waiting))
    return memory


@pytest.fixture(scope="module")
def retro():
    return made()


def made(*, entries=None, memory=None, **more):
    sources = Sources(
        entries=entries or played(MemoryLedger()).entries(),
        memory=memory or told(),
        environment="production",
        owners={"metrics": "Ms Sari"},
        **more,
    )
    return look_back(sources, START, END, END + timedelta(days=3))


def found(retro, policy, target=None):
    return [row for row in retro.incidents if row["policy"] == policy and target in {None, row["target"]}]


def test_the_figures_are_those_of_the_sprint(retro):
    assert retro.summary == {
        "incidents": 7,
        "open": 2,
        "told": 3,
        "not_told": 4,
        "median_to_tell": 40,
        "longest_to_tell": 300,
        # 6 h, 26 h, 2 d 1 min, 1 d 30 s, 1 h
        "median_to_mend": 86430,
        "longest_to_mend": 2 * 86400 + 3600,
        "repeats": 1,
        "refusals": 3,
        "holds": 1,
        "actions": 4,
    }


def test_each_trouble_has_its_times(retro):
    first, second = found(retro, "audit-logs")
    assert (first["cause"], first["detail"], first["runs"], first["entries"]) == (
        "refused",
        "share",
        2,
        [4, 5],
    )
    assert (first["seconds_to_tell"], first["channels"]) == (40, ["telegram"])
    assert first["seconds_to_mend"] == 2 * 86400 + 60
    assert (second["seconds_to_tell"], second["seconds_to_mend"]) == (None, 6 * 3600)
    (worse,) = found(retro, "metrics")
    assert (worse["exit_code"], worse["ended"], worse["runs"], worse["items"]) == (6, None, 2, ["item-1"])
    assert worse["seconds_to_tell"] == 300
    (missed,) = found(retro, "security-events")
    assert (missed["began"], missed["seconds_to_mend"]) == ("2026-03-23T00:00:00Z", 2 * 86400 + 3600)
    (killed,) = found(retro, "log-files")
    assert (killed["cause"], killed["seconds_to_mend"]) == ("killed", 86400 + 30)
    (unwritten,) = found(retro, "ledger")
    assert (unwritten["entries"], unwritten["seconds_to_tell"], unwritten["seconds_to_mend"]) == (
        [],
        20,
        3600,
    )
    assert found(retro, "app") == []
    assert [row["cause"] for row in found(retro, "observability")] == ["dashboards"]


def test_what_came_back_is_counted_with_the_period_before(retro):
    (row,) = retro.repeats
    assert (row["policy"], row["detail"], row["times"], row["before"]) == ("audit-logs", "share", 2, 0)
    longer = look_back(
        Sources(entries=played(MemoryLedger()).entries()), day(4), day(4) + timedelta(days=25), day(29)
    )
    assert [(row["times"], row["before"]) for row in longer.repeats] == [(2, 2)]


def test_guards_holds_and_actions_say_what_is_left_to_do(retro):
    guards = [(row["guard"], row["kind"], row["times"], row["outcome"]) for row in retro.guards]
    assert guards == [("share", "refused", 3, "went_away"), ("share", "approval", 1, "went_on")]
    (hold,) = retro.holds
    assert (hold["hold_id"], hold["new"], hold["overdue"]) == ("h1", False, True)
    assert [(row["code"], row["policy"], row["detail"]) for row in retro.actions] == [
        ("failed", "metrics", ""),
        ("dashboards", "observability", ""),
        ("hold_review", "audit-logs", "h1"),
        ("waiting", "", "mail"),
    ]


def test_a_look_back_at_the_past_stays_what_it_was():
    later = played(MemoryLedger())
    later.append(event("run.completed", target="http://p"), policy="metrics", at=day(20))
    memory = told()
    facts = {"policy": "metrics", "target": "http://p"}
    observe(memory, [Seen(key="production:metrics:http://p", code=0, at=day(20).timestamp(), facts=facts)])
    assert as_json(made(entries=later.entries(), memory=memory)) == as_json(made())


def test_without_memory_and_with_a_broken_ledger_it_says_so():
    ledger = played(MemoryLedger())
    ledger.append(Raw("run.completed", run_id=7), policy="audit-logs", at=day(13, 1))
    retro = look_back(Sources(entries=ledger.entries()), START, END, END)
    assert not retro.notified
    assert retro.ledger_error
    assert RETROSPECTIVE["not notified"]["en"] in as_html(retro, "en")
    assert len(retro.incidents) == 6, "what came before is told"


@pytest.mark.parametrize("lang", ["id", "en"])
def test_the_page_says_all_of_it_in_its_language_and_escapes_what_others_wrote(lang):
    ledger = played(MemoryLedger())
    error = "<b>it</b> & more"
    failed = {"target": "s", "outcome": "failed", "exit_code": 3, "error": error}
    ledger.append(event("run.failed", **failed), policy="<i>x</i>", at=day(13, 2))
    page = as_html(made(entries=ledger.entries()), lang)
    assert "<b>it</b>" not in page
    assert "&lt;b&gt;it&lt;/b&gt; &amp; more" in page
    for key in ("retro title", "part incidents", "part actions", "question guards", "still open", "not told"):
        assert RETROSPECTIVE[key][lang] in page
    assert "{" not in page.partition("</style>")[2]


def test_an_empty_sprint_has_a_page_too():
    retro = look_back(Sources(entries=(), memory=Memory()), START, END, END)
    assert retro.summary["incidents"] == 0
    assert RETROSPECTIVE["headline none"]["id"] in as_html(retro, "id")


@pytest.mark.parametrize("lang", ["id", "en"])
def test_the_pdf_has_the_same_figures_attached(retro, lang):
    from io import BytesIO

    from pypdf import PdfReader

    pdf = PdfReader(BytesIO(as_pdf(retro, lang)))
    text = "\n".join(page.extract_text() for page in pdf.pages)
    assert RETROSPECTIVE["part repeats"][lang] in text
    assert span(2 * 86400 + 60, lang) in text
    assert json.loads(pdf.attachments["retrospective.json"][0]) == retro.as_json()


def test_every_text_is_there_in_both_languages_with_the_same_values():
    from string import Formatter

    for key, words in RETROSPECTIVE.items():
        names = [{name for _, name, _, _ in Formatter().parse(words[lang]) if name} for lang in ("id", "en")]
        assert names[0] == names[1], key


def test_the_command_writes_each_form_and_changes_nothing(tmp_path):
    path = tmp_path / "ledger.jsonl"
    (tmp_path / "settings.toml").write_text(
        f'[ledger]\npath = "{path}"\norigin = "test"\n[notify]\nwebhook_url = "http://127.0.0.1:1/"\n'
    )
    played(FileLedger(path)).close()
    FileStore(path).save(told())
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    options = ["--config", str(tmp_path / "settings.toml"), "report", "retrospective"]
    period = ["--from", "2026-03-16T00:00Z", "--to", "2026-03-30T00:00Z"]
    out = tmp_path / "out"
    out.mkdir()
    for name in ("a.json", "a.html", "a.pdf"):
        result = CliRunner().invoke(cli, [*options, *period, "-o", str(out / name)], catch_exceptions=False)
        assert "7 troubles, 2 open, 4 actions" in result.output
    assert json.loads((out / "a.json").read_text())["summary"]["median_to_tell"] == 40
    assert (out / "a.html").read_text().startswith("<!doctype html>")
    assert (out / "a.pdf").read_bytes().startswith(b"%PDF")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before
