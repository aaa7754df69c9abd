"""One server process: started, awaited, and ended by its pid.

A server that does not become ready in its time fails the test with the end of its log. Should the test
run itself be killed, the kernel ends the server (``setpriv --pdeathsig``).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

#: Seconds a server has to become ready; slow machines need more than the one or two it takes.
START_SECONDS = 120.0
STOP_SECONDS = 60.0
_MEMORY = "/dev/shm"  # noqa: S108 - mkdtemp makes a directory of its own in it
#: bytes that must be free there
_ROOM = 6 * 1024**3


class ServerError(RuntimeError):
    """A server did not start; the message ends with its log."""


def free_ports(count: int) -> list[int]:
    """So many TCP ports of 127.0.0.1 that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]
    finally:
        for probe in sockets:
            probe.close()


def listening(port: int) -> bool:
    """Whether something accepts connections on ``port`` of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def scratch(prefix: str) -> Path:
    """A new directory with a short path (a UNIX socket's is at most 107 bytes) that others may enter."""
    path = Path(tempfile.mkdtemp(prefix=f"lux-{prefix}-", dir=_roomy()))
    path.chmod(0o755)
    return path


def _roomy() -> str | None:
    """Memory for what servers of tests keep, where there is enough of it and nobody names a TMPDIR.

    A disk may take a quarter of a second for the three hundred files of a database.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return None
    found = os.statvfs(_MEMORY)
    runs = not found.f_flag & os.ST_NOEXEC  # programs are put there as well
    return _MEMORY if runs and found.f_bavail * found.f_frsize >= _ROOM else None


def clean_environment() -> dict[str, str]:
    """The environment of a server: nothing that steers a client or the suite."""
    dropped = ("LUXIMA_", "AWS_", "PG", "S3_", "WEED_")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def beside_python(name: str) -> str:
    """A program that a wheel has put beside the interpreter, or one on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise ServerError(f"{name} is not installed: pip install the test requirements")
    return found


def wait_until(ready: Callable[[], bool], *, seconds: float = START_SECONDS, every: float = 0.02) -> bool:
    """Ask ``ready`` again and again; whether it said yes in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


class Process:
    """A running server.

    Args:
        argv: the command.
        directory: its scratch directory; the log is ``server.log`` there.
        ready: asked until it is true.
        user: name of the user to run as; only root can name another one.
        environment: added to :func:`clean_environment`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        directory: Path,
        ready: Callable[[], bool],
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float = START_SECONDS,
    ) -> None:
        self.name = Path(argv[0]).name
        self.directory = directory
        self.log = directory / "server.log"
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [*as_user(user), *argv],
                cwd=directory,
                env=clean_environment() | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if not wait_until(lambda: self.ended or ready(), seconds=seconds) or self.ended:
            self.stop(signal.SIGKILL)
            said = self.tail()
            shutil.rmtree(directory)
            raise ServerError(f"{self.name} did not start within {seconds:.0f} s; its log:\n{said}")

    @property
    def pid(self) -> int:
        """Of the server itself: setpriv becomes it."""
        return self.popen.pid

    @property
    def ended(self) -> bool:
        return self.popen.poll() is not None

    def tail(self, lines: int = 40) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal, then by force; may be called twice."""
        if not self.ended:
            self.popen.send_signal(how)
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        self.popen.wait()


def as_user(user: str | None) -> list[str]:
    """The words before a command that end it with us and, for root, give up root's rights."""
    words = ["setpriv", "--pdeathsig", "KILL"]
    if user is not None and os.geteuid() == 0:
        words += ["--reuid", user, "--regid", "nogroup", "--clear-groups"]
    return [*words, "--"]
