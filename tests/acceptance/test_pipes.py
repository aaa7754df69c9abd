"""What happens when whoever reads our output leaves."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.servers.command import Command


def into_a_closed_pipe(arguments, variables):
    """The exit status and stderr of a command whose reader is gone before it writes."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "luxima_retention", *arguments],
        env=Command(variables=variables).environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=300,
    )
    os.close(write)
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [["matrix"], ["matrix", "--output", "json"], ["completion", "bash"]])
def test_a_reader_that_leaves_is_no_fault(arguments):
    assert into_a_closed_pipe(arguments, {}) == (0, "")


def test_a_run_keeps_its_exit_code(tmp_path):
    variables = {"LUXIMA_LEDGER__PATH": str(tmp_path / "l"), "LUXIMA_PROMETHEUS__URLS": "http://127.0.0.1:9"}
    code, _ = into_a_closed_pipe(["run", "metrics", "--dry-run"], variables)
    assert code == 3
