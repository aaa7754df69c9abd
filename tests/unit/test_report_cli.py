"""The command ``report`` over a ledger in a file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from luxima_retention.cli import cli
from luxima_retention.core.errors import ConfigurationError, StoreError
from luxima_retention.evidence.ledger.file import FileLedger
from luxima_retention.report.period import month_of
from tests.ledgers import Raw, event

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "ledger.jsonl"
    (tmp_path / "settings.toml").write_text(f'[ledger]\npath = "{path}"\norigin = "test"\n')
    ledger = FileLedger(path)
    for run_id in ("a", "b"):
        ledger.append(event("run.completed", run_id=run_id, destroyed=7), policy="audit-logs", at=NOW)
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


def appended(home, data):
    """A further line of the ledger, whatever it is."""
    with (home / "ledger.jsonl").open("ab") as file:
        file.write(data + b"\n")


def anchored(home, url):
    with (home / "settings.toml").open("a") as file:
        file.write(f'anchors = ["{url}"]\n')


def ill(home, _ledger):
    path = home / "ledger.jsonl"
    path.write_text(path.read_text().replace('"destroyed":7', '"destroyed":1', 1))


def foreign(_home, ledger):
    said = Raw("run.completed", version=1, run_id="c", destroyed="many")
    ledger.append(said, policy="audit-logs", at=NOW)


@pytest.mark.parametrize("form", ["json", "html", "csv"])
@pytest.mark.parametrize(
    ("accident", "code", "sentence"),
    [
        (ill, 6, "entry 1"),
        (foreign, 6, "entry 3 is not what this program writes"),
        (lambda home, _: appended(home, b"nonsense"), 6, "entry 3 is not"),
        (lambda home, _: appended(home, b"[]"), 6, "entry 3 is not"),
        (lambda home, _: anchored(home, "file:///nowhere/at/all"), 3, "/nowhere/at/all"),
    ],
)
def test_a_broken_ledger_is_a_report_that_says_so_and_an_exit_code(home, form, accident, code, sentence):
    accident(home, FileLedger(home / "ledger.jsonl"))
    options = ["--config", str(home / "settings.toml"), "report", "--month", "2026-06", "--format", form]
    done = CliRunner().invoke(cli, [*options, "-o", str(home / "out")])
    assert (done.exit_code, done.output.startswith("not compliant")) == (code, True), done.output
    assert sentence in done.stderr
    assert form == "csv" or sentence in (home / "out").read_text()


def test_a_second_survey_counts_what_should_have_gone_by_now(home):
    logs = home / "logs"
    logs.mkdir()
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for days in (500, 31, 3):
        path = logs / f"app.log-{today - timedelta(days=days):%Y%m%d}"
        path.write_text("x\n")
        os.utime(path, ((today - timedelta(days=days)).timestamp(),) * 2)
    with (home / "settings.toml").open("a") as file:
        # A run is due once a year, so what expired since the first of January waits for the next one.
        file.write(f'[rotation]\nschedule = "0 0 1 1 *"\n[rotation.sets.app]\npaths = ["{logs}/*.log"]\n')
    told = json.loads(report(home))
    row = told["stores"][-1]
    assert (row["target"], row["expired"], row["overdue"]) == ("app", 2, 1)
    assert told["verdict"] == "not compliant"


def test_html_shows_the_runs_in_english_too(home):
    page = report(home, "--format", "html", "--lang", "en")
    assert "COMPLIANT WITH EXCEPTIONS" in page
    assert page.count("<td>completed</td>") == 2


def test_a_pdf_is_written_as_it_is(home):
    options = ["--config", str(home / "settings.toml"), "report", "--month", "2026-06", "--format", "pdf"]
    CliRunner().invoke(cli, [*options, "-o", str(home / "out.pdf")], catch_exceptions=False)
    assert (home / "out.pdf").read_bytes().startswith(b"%PDF")


def test_a_place_gets_a_file_named_after_the_period(home):
    (home / "reports").mkdir()
    options = ["--config", str(home / "settings.toml"), "report", "--month", "2026-06"]
    done = CliRunner().invoke(cli, [*options, "-o", f"file://{home}/reports"], catch_exceptions=False)
    name = "luxima-retention-2026-06-01-2026-07-01.json"
    assert done.output.strip().endswith(f"file://{home}/reports/{name}")
    assert len(json.loads((home / "reports" / name).read_text())["runs"]) == 2


def test_without_a_file_the_report_goes_where_the_settings_say(home):
    (home / "reports").mkdir()
    with (home / "settings.toml").open("a") as file:
        file.write(f'[report]\nurl = "file://{home}/reports"\n')
    options = ["--config", str(home / "settings.toml"), "report", "--month", "last", "--format", "bundle"]
    CliRunner().invoke(cli, options, catch_exceptions=False)
    assert [path.suffix for path in (home / "reports").iterdir()] == [".zip"]


def sent(home, *options):
    """Entries about reports that were sent, after one more report to ``report.url``."""
    if not (home / "reports").exists():
        (home / "reports").mkdir()
        with (home / "settings.toml").open("a") as file:
            file.write(f'[report]\nurl = "file://{home}/reports"\n')
    done = CliRunner().invoke(cli, ["--config", str(home / "settings.toml"), "report", *options])
    ledger = FileLedger(home / "ledger.jsonl")
    try:
        return done.exit_code, list(ledger.entries(kinds={"report.sent"}))
    finally:
        ledger.close()


def test_the_bundle_about_last_month_that_was_sent_is_an_entry(home):
    code, (entry,) = sent(home, "--month", "last", "--format", "bundle")
    (file,) = (home / "reports").iterdir()
    start, end = month_of("last", datetime.now(UTC), "Asia/Jakarta")
    assert (code, entry.policy) == (0, None)
    assert entry.body["url"] == f"file://{home}/reports/{file.name}"
    assert entry.body["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert [datetime.fromisoformat(entry.body[name]) for name in ("start", "end")] == [start, end]
    assert (entry.body["size"], len(entry.body["root"])) == (2, 64)
    assert entry.body["verdict"] == "compliant with exceptions"


@pytest.mark.parametrize(
    "options",
    [
        ("--month", "last", "--format", "html"),
        ("--month", "2026-06", "--format", "bundle"),
        ("--month", "last", "--format", "bundle", "-o", "elsewhere.zip"),
    ],
)
def test_any_other_report_writes_nothing_into_the_ledger(home, options, monkeypatch):
    monkeypatch.chdir(home)
    assert sent(home, *options) == (0, [])


def test_a_report_about_a_ledger_that_cannot_be_trusted_is_still_due(home):
    path = home / "ledger.jsonl"
    path.write_text(path.read_text().replace('"destroyed":7', '"destroyed":1', 1))
    assert sent(home, "--month", "last", "--format", "bundle") == (6, [])
    assert list((home / "reports").iterdir())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--month", "last"], "no destination of the report"),
        (["--month", "2026-6", "-o", "x"], "is not a month"),
        (["--month", "last", "--to", "2026-01-01", "-o", "x"], "period is not clear"),
        (["--from", "2026-01-01", "-o", "x"], "period is not clear"),
        (["-o", "x"], "period is not clear"),
    ],
)
def test_a_period_or_a_place_that_is_not_clear_is_no_report(home, words, sentence):
    options = ["--config", str(home / "settings.toml"), "report"]
    with pytest.raises(ConfigurationError, match=sentence):
        CliRunner().invoke(cli, [*options, *words], catch_exceptions=False)


@pytest.mark.parametrize(
    ("name", "now", "start", "end"),
    [
        ("2026-10", "2030-01-01T00:00", "2026-09-30T17:00", "2026-10-31T17:00"),
        ("2026-12", "2030-01-01T00:00", "2026-11-30T17:00", "2026-12-31T17:00"),
        ("last", "2026-11-01T00:00", "2026-09-30T17:00", "2026-10-31T17:00"),
        # In Jakarta January has begun.
        ("last", "2025-12-31T17:00", "2025-11-30T17:00", "2025-12-31T17:00"),
        ("last", "2025-12-31T16:59", "2025-10-31T17:00", "2025-11-30T17:00"),
    ],
)
def test_a_month_is_jakartas(name, now, start, end):
    instants = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (now, start, end))
    now, start, end = instants
    assert month_of(name, now, "Asia/Jakarta") == (start, end)


def test_an_empty_period_is_no_report(home):
    with pytest.raises(ConfigurationError, match="period is empty"):
        report(home, start="2026-01-01", end="2026-01-01")


@pytest.mark.parametrize("form", ["json", "bundle"])
def test_a_report_that_cannot_be_written_whole_leaves_the_one_that_is_there(home, form):
    """A limit on the size of files, as a full disk sets it."""
    out = home / "out"
    out.write_text("the last one")
    code = "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))\n"
    code += "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "from luxima_retention.cli import main\nmain()\n"
    options = ["--config", str(home / "settings.toml"), "report", "--month", "2026-06", "--format", form]
    # -B: Python would leave compiled modules behind that are cut off (source: CPython's _write_atomic).
    words = [sys.executable, "-B", "-c", code, *options, "-o", str(out)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 3, done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert out.read_text() == "the last one"
    assert {path.name for path in home.iterdir()} == {"ledger.jsonl", "settings.toml", "out"}


@pytest.mark.parametrize(
    ("name", "sentence"), [("nowhere/out", "No such file or directory"), ("folder", "Is a directory")]
)
def test_a_place_that_is_no_file_is_told_in_a_sentence(home, name, sentence):
    (home / "folder").mkdir()
    options = ["--config", str(home / "settings.toml"), "report", "--month", "2026-06"]
    with pytest.raises(StoreError, match=f"{name} cannot be written: {sentence}"):
        CliRunner().invoke(cli, [*options, "-o", str(home / name)], catch_exceptions=False)


def test_a_link_stays_a_link_and_a_file_keeps_its_mode(home):
    (home / "kept").write_text("old")
    (home / "kept").chmod(0o640)
    (home / "out").symlink_to("kept")
    json.loads(report(home))
    assert ((home / "out").is_symlink(), (home / "kept").stat().st_mode & 0o777) == (True, 0o640)


def test_a_new_file_can_be_read_as_the_mask_says(home):
    before = os.umask(0o027)
    try:
        report(home)
    finally:
        os.umask(before)
    assert (home / "out").stat().st_mode & 0o777 == 0o640


def test_a_period_that_has_not_begun_is_no_report(home):
    with pytest.raises(ConfigurationError, match=r"begins at 2100-01-01T00:00:00Z, in the future"):
        report(home, start="2100-01-01", end="2101-01-01")


def test_a_report_goes_through_a_pipe_too(home):
    words = ["--config", str(home / "settings.toml"), "report", "--month", "2026-06", "-o", "/dev/stdout"]
    words = [sys.executable, "-m", "luxima_retention", *words]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    told, _ = json.JSONDecoder().raw_decode(done.stdout)
    assert told["destroyed"] == 14


def test_a_bucket_that_cannot_be_reached_is_told_with_the_address_of_the_file(home, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(home / "none"))
    options = [
        "--config",
        str(home / "settings.toml"),
        "report",
        "--month",
        "2026-06",
        "-o",
        "s3://b/deep/er",
    ]
    with pytest.raises(StoreError, match=r"^s3://b/deep/er/luxima-retention-2026-06-01-2026-07-01\.json: "):
        CliRunner().invoke(cli, options, catch_exceptions=False)


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("r.html", b"<!doctype html>"),
        ("r.CSV", b"\xef\xbb\xbfseq,at"),
        ("r.zip", b"PK"),
        ("r.txt", b"{"),
        ("r", b"{"),
    ],
)
def test_the_ending_of_the_file_names_the_form(home, name, begins):
    options = ["--config", str(home / "settings.toml"), "report", "--month", "2026-06"]
    CliRunner().invoke(cli, [*options, "-o", str(home / name)], catch_exceptions=False)
    assert (home / name).read_bytes().startswith(begins)


def test_a_format_that_is_named_wins_over_the_ending(home):
    options = ["--config", str(home / "settings.toml"), "report", "--month", "2026-06", "--format", "csv"]
    CliRunner().invoke(cli, [*options, "-o", str(home / "out.html")], catch_exceptions=False)
    assert (home / "out.html").read_text(encoding="utf-8-sig").startswith("seq,at")
