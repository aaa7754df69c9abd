"""The wheel as the image runs it: PID 1, another user than root, nothing to write to."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import venv
from contextlib import closing
from pathlib import Path

import pytest

from luxima_retention.evidence.ledger import open_ledger
from tests.servers.command import ROOT, audit_log
from tests.servers.process import wait_until

UID = 65532


def as_pid_one(*command):
    """The words that run a command as PID 1 of a namespace, and as a user without rights."""
    if os.geteuid() == 0:
        user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"]
        return ["unshare", "--fork", "--pid", "--kill-child", *user, *command]
    return ["unshare", "--user", "--map-current-user", "--fork", "--pid", "--kill-child", *command]


@pytest.fixture(scope="module")
def installed():
    """An empty environment with the wheel in it; what it depends on is lent by the one of the tests."""
    directory = Path(tempfile.mkdtemp(prefix="luxima-pid-one-"))
    directory.chmod(0o755)
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", build, str(directory)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    venv.create(directory / "venv", with_pip=False)
    python = directory / "venv" / "bin" / "python"
    wheel = directory / made.stdout.split()[-1]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            wheel,
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (site,) = directory.glob("venv/lib/python3*/site-packages")
    # Read after the environment's own packages; a .pth file in there, as of an editable install, is not.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def read_only(installed):
    """A working directory that nobody but root may write to."""
    directory = installed / "work"
    directory.mkdir(mode=0o555)
    yield directory
    assert list(directory.iterdir()) == []
    directory.rmdir()


class Container:
    """The command as the entry point of a container would run it."""

    def __init__(self, installed, directory, variables):
        self.bin = installed / "venv" / "bin"
        self.directory = directory
        archive = {"LUXIMA_POLICIES__AUDIT_LOGS__ARCHIVE": "off"}
        self.variables = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **archive, **variables}

    def start(self, *command):
        return subprocess.Popen(
            as_pid_one(*map(str, command)),
            cwd=self.directory,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def inner_of(process):
    """PID, as we see it, of the process that is 1 in there, once it runs the program."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    assert wait_until(lambda: children.read_text().strip() != "")
    inner = int(children.read_text().split()[0])
    status = Path(f"/proc/{inner}/status").read_text().splitlines()
    (numbers,) = [line.split()[1:] for line in status if line.startswith("NSpid:")]
    assert numbers[-1] == "1"
    return inner


def test_the_harness_gives_what_it_promises(installed, read_only):
    code = (
        "import os, luxima_retention as package;"
        "print(os.getpid(), os.getuid(), os.access('.', os.W_OK), package.__file__)"
    )
    container = Container(installed, read_only, {})
    out, err = container.start(container.bin / "python", "-P", "-c", code).communicate(timeout=300)
    pid, uid, writable, file = out.split() or [err]
    assert (pid, writable) == ("1", "False")
    assert uid != "0"
    assert Path(file).is_relative_to(installed)


def test_sigterm_to_pid_one_ends_the_run_within_one_batch(database, installed, read_only):
    command = audit_log(database)
    container = Container(
        installed,
        read_only,
        {
            **command.variables,
            "LUXIMA_PACE__MAX_BATCH_ROWS": "50",
            "LUXIMA_FAILPOINTS": "table.before_delete=sleep:0.5",
        },
    )
    process = container.start(container.bin / "luxima-retention", "run", "audit-logs", "--output", "json")
    with closing(open_ledger(command.variables["LUXIMA_DATABASE__DSN"], "")) as ledger:

        def batches():
            return sum(1 for _ in ledger.entries(kinds={"batch"}))

        assert wait_until(lambda: batches() > 0 or process.poll() is not None)
        before = batches()
        assert process.poll() is None, process.communicate(timeout=300)
        os.kill(inner_of(process), signal.SIGTERM)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 7, out + err
        assert before <= batches() <= before + 1
        completed = ledger.newest(kinds={"run.completed"}, policy="audit-logs")
    left = database.execute("SELECT count(*) FROM core.audit_log")[0][0]
    assert completed.body["outcome"] == "stopped"
    assert left == 8760 - completed.body["destroyed"]

    again = Container(installed, read_only, dict(command.variables))
    done = again.start(again.bin / "luxima-retention", "run", "audit-logs")
    out, err = done.communicate(timeout=300)
    assert done.returncode == 0, out + err


def test_the_daemon_as_pid_one_ends_with_sigterm(database, installed, read_only):
    command = audit_log(database, rows=10)
    container = Container(
        installed, read_only, {**command.variables, "LUXIMA_SCHEDULE__LISTEN": "127.0.0.1:0"}
    )
    process = container.start(container.bin / "luxima-retention", "schedule")
    said = []
    for line in process.stderr:
        said.append(line)
        if "schedule.leader" in line:
            break
    os.kill(inner_of(process), signal.SIGTERM)
    process.communicate(timeout=300)
    assert process.returncode == 0, said


def test_a_report_as_pid_one_ends_with_sigterm_whatever_it_waits_for(
    database, installed, read_only, tmp_path
):
    command = audit_log(database, rows=10)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.settimeout(60)
        port = silent.getsockname()[1]
        container = Container(
            installed, read_only, {**command.variables, "LUXIMA_PROMETHEUS__URLS": f"http://127.0.0.1:{port}"}
        )
        process = container.start(
            *(container.bin / "luxima-retention", "report", "--month", "last", "-o", "/dev/stdout")
        )
        asked, _ = silent.accept()
        with asked:
            os.kill(inner_of(process), signal.SIGTERM)
            out, err = process.communicate(timeout=300)
    assert process.returncode == 7, out + err
    assert "stopped by SIGTERM" in err
