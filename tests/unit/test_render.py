"""What a terminal of 80 columns shows: names are folded, a figure never is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from luxima_retention.cli import render
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.plan import Identity, Request, Survey, decide
from luxima_retention.core.results import Outcome, PolicyResult, RunResult, TargetResult, Totals

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
