"""The command ``report`` over a ledger in a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from luxima_retention.cli import cli
from luxima_retention.errors import ConfigurationError
from luxima_retention.ledger.file import FileLedger

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "ledger.jsonl"
    (tmp_path / "settings.toml").write_text(f'[ledger]\npath = "{path}"\norigin = "test"\n')
    ledger = FileLedger(path)
    for run_id in ("a", "b"):
        ledger.append("run.completed", {"run_id": run_id, "destroyed": 7}, policy="audit-logs", at=NOW)
    ledger.close()
    return tmp_path


def report(home, *more, start="2026-01-01", end="2027-01-01"):
    options = ["--config", str(home / "settings.toml"), "report", "--from", start, "--to", end]
    out = home / "out"
    CliRunner().invoke(cli, [*options, "-o", str(out), *more], catch_exceptions=False)
    return out.read_text()


def test_the_report_tells_the_runs_of_the_period_and_that_no_store_is_configured(home):
    told = json.loads(report(home))
    assert (told["verdict"], told["destroyed"], len(told["runs"])) == ("compliant with exceptions", 14, 2)


def test_csv_has_a_line_for_each_run(home):
    assert len(report(home, "--format", "csv").splitlines()) == 3


def test_a_changed_ledger_is_told_in_the_report(home):
    path = home / "ledger.jsonl"
    path.write_text(path.read_text().replace('"destroyed":7', '"destroyed":1', 1))
    told = json.loads(report(home))
    assert told["verdict"] == "not compliant"
    assert told["ledger"]["error"]


def test_html_shows_the_runs_in_english_too(home):
    page = report(home, "--format", "html", "--lang", "en")
    assert "COMPLIANT WITH EXCEPTIONS" in page
    assert page.count("<td>run.completed</td>") == 2


def test_an_empty_period_is_no_report(home):
    with pytest.raises(ConfigurationError, match="period is empty"):
        report(home, start="2026-01-01", end="2026-01-01")
