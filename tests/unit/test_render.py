"""What a terminal of 80 columns shows: names are folded, a figure never is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console
from rich.text import Text

from luxima_retention.cli import hold as holds
from luxima_retention.cli import ledger, render
from luxima_retention.cli.common import fitted, folded
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.plan import Hold, Identity, Request, Survey, decide
from luxima_retention.core.results import Outcome, PolicyResult, RunResult, TargetResult, Totals
from luxima_retention.evidence.holds import Registered, Release

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
EXPIRED, HELD, DESTROYED = 987_654_321, 123_456_789, 864_197_532
LONG = "billing_of_the_whole_company.webhook_log_of_every_partner_since_2019"


def target(name, outcome=Outcome.VERIFICATION_FAILED):
    request = Request(policy="p", retention_days=180, cutoff=datetime(2026, 5, 27, tzinfo=UTC), now=NOW)
    survey = Survey(
        identity=Identity(kind="postgresql", target=name, fingerprint="f"),
        store_clock=NOW + timedelta(seconds=1),
        expired=EXPIRED,
        held=HELD,
    )
    plan = decide(request, survey, cutoff_basis="program clock", disposition="destroy")
    totals = Totals(destroyed=DESTROYED)
    return TargetResult(target=name, outcome=outcome, plan=plan, survey=survey, totals=totals)


@pytest.fixture
def shown(monkeypatch):
    """What a run looks like on a terminal of 80 columns."""
    out = StringIO()
    monkeypatch.setattr(render, "console", lambda **_: Console(file=out, width=80, highlight=False))

    def run(*policies):
        render.render_run(RunResult(now=NOW, dry_run=False, policies=policies))
        return out.getvalue()

    return run


@pytest.mark.parametrize("name", ["core.audit_log", LONG])
@pytest.mark.parametrize("outcome", list(Outcome))
def test_no_figure_and_no_name_is_cut_at_80_columns(shown, name, outcome):
    policy = PolicyResult(
        policy="application-logs-of-billing",
        retention_days=3650,
        outcome=outcome,
        targets=(target(name, outcome),),
    )
    text = shown(policy, PolicyResult(policy="metrics", retention_days=60, outcome=Outcome.NOT_CONFIGURED))
    table = text[: text.index("\n\n")]
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for figure in (EXPIRED, HELD, DESTROYED):
        assert f" {figure} " in table
    assert outcome.label in table
    names = table.splitlines()[1].index("expired") - len("987654321") + len("expired")
    assert name in "".join(line[:names].strip() for line in table.splitlines()[2:])
    assert "2026-05-27 00:00 UTC (07:00 WIB)" in text


def test_a_policy_without_targets_has_its_outcome_and_a_code(shown):
    text = shown(
        PolicyResult(
            policy="metrics",
            retention_days=60,
            outcome=Outcome.FAILED,
            exit_code=ExitCode.INCOMPLETE,
            sentence="no",
        )
    )
    assert "metrics, 60 d" in text
    assert Outcome.FAILED.label in text
    assert "exit 3" in text


def test_what_does_not_fit_stands_below_what_it_belongs_to():
    out = StringIO()
    terminal = Console(file=out, width=30, highlight=False, force_terminal=True, no_color=True)
    render._fold(terminal, Text("\naudit-logs core.audit_log: 12 records destroyed"))
    render._fold(terminal, Text("  hint: if intended, rerun with --max-items 2"))
    assert out.getvalue().splitlines() == [
        "",
        "audit-logs core.audit_log:",
        "  12 records destroyed",
        "  hint: if intended, rerun",
        "    with --max-items 2",
    ]
    file = StringIO()
    render._fold(Console(file=file, width=300, highlight=False), Text("  " + "word " * 40))
    assert file.getvalue().rstrip() == "  " + " ".join(["word"] * 40)


@pytest.mark.parametrize(
    ("line", "further", "shown"),
    [
        ("short", "  ", "short"),
        (
            "        hint: run it again with more",
            "        ",
            "        hint: run\n        it again\n        with more",
        ),
        ("    12  2026  a digest that is long", "  ", "    12  2026  a\n  digest that is\n  long"),
        ("root 0123456789abcdef0123456789abcdef x", "  ", "root\n  0123456789abcdef0123456789abcdef\n  x"),
        ("one two-three-four-five six", "  ", "one\n  two-three-four-five\n  six"),
        ("", "  ", ""),
    ],
)
def test_a_line_is_folded_between_words_and_a_digest_never(line, further, shown):
    assert folded(line, further, 18) == shown


def test_a_pipe_gets_each_line_as_it_is(capsys):
    line = "word " * 60
    assert fitted(line) == fitted(line, err=True) == line
    capsys.readouterr()


def test_the_facts_of_an_entry_show_where_they_end():
    body = {"disposition": "archive, then destroy", "items": 3, "basis": "", "parts": [1], "target": "core.x"}
    assert list(ledger._facts(body)) == [
        'disposition="archive, then destroy"',
        "items=3",
        'basis=""',
        "target=core.x",
    ]


def test_a_hold_is_told_in_a_block():
    hold = Hold(hold_id="H-1", policy="p", tenant="t", reason="tax audit", placed_by="rina", placed_at=NOW)
    told = Registered(hold=hold, released=Release(at=NOW, by="budi", reason="over"))
    assert list(holds._lines(told)) == [
        "H-1",
        "  keeps     p, tenant t",
        "  reason    tax audit",
        "  placed    2026-11-23T08:30:00Z by rina",
        "  released  2026-11-23T08:30:00Z by budi",
    ]
    (_, keeps, case) = holds._lines(
        Registered(hold=Hold(hold_id="H-2", policy="p", case_ref="C-1", reason="r"))
    )
    assert (keeps, case) == ("  keeps     p (paused)", "  case      C-1: r")
