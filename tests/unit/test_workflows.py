"""The workflow that runs on each push: what it calls, and what a linter of workflows says of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "quality.yml"


def test_each_push_and_pull_request_runs_the_command_of_the_readme():
    told = yaml.load(WORKFLOW.read_text(), yaml.BaseLoader)  # noqa: S506 - the loader without types
    assert {"push", "pull_request"} <= set(told["on"])
    runs = [step["run"] for job in told["jobs"].values() for step in job["steps"] if "run" in step]
    assert runs == [".ci/run"]
    assert told["permissions"] == {}


def test_zizmor_finds_nothing():
    zizmor = Path(sys.executable).parent / "zizmor"
    command = [zizmor, "--offline", "--no-progress", "--persona=pedantic", str(WORKFLOW)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
