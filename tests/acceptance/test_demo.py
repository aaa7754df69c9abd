"""The demo, as somebody tries it who has never seen the program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.servers.command import Command
from tests.servers.process import scratch, wait_until
from tests.servers.programs import find_program

ROOT = Path(__file__).parents[2]
KILLED = """
import os, signal
from luxima_retention.cli import demo_servers as demo
with demo.database(print), demo.prometheus() as prometheus, demo.loki_bucket(print) as bucket:
    assert prometheus and bucket
    os.kill(os.getpid(), signal.SIGKILL)
"""


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


def test_a_demo_that_is_killed_leaves_no_server_and_no_directory():
    programs = Path(find_program("prometheus")).parent
    home = scratch("demo")
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TMPDIR": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert wait_until(lambda: not [*home.glob("luxima-demo-*"), *commands_with(str(home))])
    shutil.rmtree(home)


def commands_with(text: str) -> list[str]:
    """Command lines of running processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text())
        except OSError:
            continue  # it has just ended
    return [words for words in found if text in words]
