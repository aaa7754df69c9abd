"""The demo, as somebody tries it who has never seen the program."""

from __future__ import annotations

import os
from pathlib import Path

from tests.servers.command import Command
from tests.servers.programs import find_program


def test_the_demo_shows_every_step_and_leaves_nothing_running(tmp_path):
    programs = Path(find_program("prometheus")).parent
    done = Command(cwd=tmp_path)("demo", PATH=f"{programs}{os.pathsep}{os.environ['PATH']}", timeout=600)
    assert done.returncode == 0, done.stderr
    for shown in (
        "core.audit_log set up for audit-logs: keyset, floor 180 days",
        "H-demo is in force",
        "would refuse",
        "if intended, rerun with --max-fraction 0.5",
        "records destroyed; nothing expired is left, besides",
        "nothing to do",
        "expired, but kept by hold H-demo",
        "security-events app.security_events",
        "not yet provable",
        "rotated 2 of 2 logs, compressed 6 files",
        "log-files billing: 2 records destroyed; nothing expired is left",
        "the ledger is in agreement with itself, and not verified",
        'luxima_retention_last_run_outcome{environment="demo",outcome="done",policy="audit-logs"',
        "their dashboards and alerts: observability/",
        "Where to look",
    ):
        assert shown in done.stdout, shown
    home = tmp_path / "demo-output"
    assert (home / "luxima-retention.toml").exists()
    for name in ("report.html", "report.pdf", "report.zip"):
        assert f"compliant with exceptions: {home / name}" in done.stdout
    assert f"report    {home / 'report.html'}" in done.stdout
    assert "  [WARNING] Retention of audit-logs (demo): A guard refused the deletion" in done.stdout
    assert "  [RECOVERED] Retention of audit-logs (demo): Recovered" in done.stdout
    assert "COMPLIANT WITH EXCEPTIONS" in (home / "report.html").read_text()
    assert Command(cwd=tmp_path)("demo").returncode == 2
