"""The command without the second that Python needs to load modules: forked from a process that has them.

``run()`` of a test process starts one such process, on first use; ``Started`` is a command beside the
test, and ``program()`` one for scripts. Each command is a process of its own all the same: its arguments,
environment, working directory, streams, exit status and death by a signal are those of ``python -m
luxima_retention``. Modules of ours do not import each other in circles (``test_structure``), so that it makes
no difference in which order they are loaded.

What has to be known when Python starts (``PYTHON…``, ``LD_…``, locale, time zone) cannot be given to a fork:
``forkable()`` says so, and the caller starts Python instead; or has another process to fork from, which is
worth its while for a dozen of commands.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module, reload
from inspect import signature
from pathlib import Path
from typing import Any, NoReturn

import luxima_retention
from luxima_retention.io import failpoints, objects
from luxima_retention.stores import registry

ROOT = Path(__file__).parents[2]
#: Read by Python, its C library or the loader before the first line of ours.
_AT_START = (
    "PYTHON",
    "LD_",
    "LC_",
    "LANG",
    "TZ",
    "MALLOC_",
    "GCONV_",
    "OPENSSL_",
    "SSL_",
    "FAKETIME",
    "NO_FAKE",
)
#: Loaded by our modules where they need them.
_LIBRARIES = (
    "boto3",
    "botocore.client",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.serialization",
    "google_crc32c",
    "jinja2",
    "prometheus_client",
    "psycopg.rows",
    "requests",
    "rfc8785",
    "rich.console",
    "rich.table",
    "structlog",
    "tenacity",
    "yaml",
    "zstandard",
)
#: What a shell starts in the command's stead: it hands over all but its standard input.
_PROGRAM = """\
#!{python} -IS
import array, json, os, socket, sys
told = {{"words": ["luxima_retention", *sys.argv[1:]], "environment": dict(os.environ), "cwd": os.getcwd()}}
text = json.dumps(told).encode()
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({template!r})
    streams = socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1, 2])
    connection.sendmsg([len(text).to_bytes({number}, "big")], [streams])
    connection.sendall(text)
    status = int(b"".join(iter(lambda: connection.recv(64), b""))[{number}:])
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""
#: Parsed by botocore for each client of S3.
_MODELS = (("s3", "service-2"), ("s3", "endpoint-rule-set-1"), ("s3", "paginators-1"), ("s3", "waiters-2"))
_LARGEST = 1 << 20
#: bytes of a length or a process's number
_NUMBER = 8
_STREAMS = 3
_lock = threading.Lock()


# --- in the test's process ----------------------------------------------------------------------------


def forkable(environment: Mapping[str, str]) -> bool:
    """Whether a fork sees this environment as a new Python would."""
    return _at_start(os.environ) == _at_start(environment)


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in environment.items() if name.startswith(_AT_START)}
    # The root comes first in both; any other directory decides what is imported.
    places = found.pop("PYTHONPATH", "").split(os.pathsep)
    return found | {"PYTHONPATH": os.pathsep.join(place for place in places if place not in {"", str(ROOT)})}


def run(
    module: str, arguments: Sequence[str], *, environment: Mapping[str, str], cwd: Path | None, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; as :func:`subprocess.run` with its output, as text, and no input.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed.
    """
    out, err = os.pipe(), os.pipe()
    connection, pid = _ask([module, *arguments], environment, cwd, (out[1], err[1]))
    with connection:
        for _, written in (out, err):
            os.close(written)
        read = _read(pid, (connection.fileno(), out[0], err[0]), timeout)
    status, *streams = (b"".join(parts) for parts in read.values())
    words = [sys.executable, "-m", module, *arguments]
    if not status:
        raise subprocess.TimeoutExpired(words, timeout, *streams)
    return subprocess.CompletedProcess(words, int(status), *map(_text, streams))


class Started(subprocess.Popen[str]):
    """The command beside the test; as :class:`subprocess.Popen` with its output, as text, and no input."""

    def __init__(
        self, module: str, arguments: Sequence[str], *, environment: Mapping[str, str], cwd: Path | None
    ) -> None:
        self._asked = [module, *arguments], environment, cwd
        self._waiting = threading.Lock()
        super().__init__(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _execute_child(self, *given: Any) -> None:
        """Where a Popen forks: the process is the template's child, which tells of its end."""
        pipes = [*signature(super()._execute_child).bind(*given).arguments.items()]  # type: ignore[misc]
        ends = {name: end for name, end in pipes if name.startswith(("p2c", "c2p", "err"))}
        self._connection, self.pid = _ask(*self._asked, (ends["c2pwrite"], ends["errwrite"]))
        self._child_created = True
        self._close_pipe_fds(*ends.values())  # type: ignore[attr-defined]

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        self._ended(0)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if not self._ended(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def _ended(self, seconds: float | None) -> bool:
        """Whether it ends in so many seconds; without a number, whenever that is."""
        with self._waiting:
            if self.returncode is None and select.select([self._connection], [], [], seconds)[0]:
                with self._connection:
                    self.returncode = int(self._connection.recv(64))
            return self.returncode is not None


def _ask(
    words: Sequence[str], environment: Mapping[str, str], cwd: Path | None, streams: tuple[int, int]
) -> tuple[socket.socket, int]:
    """Have it forked: where its exit status will come from, and its process."""
    text = json.dumps(
        {"words": words, "environment": dict(environment), "cwd": str(cwd or Path.cwd())}
    ).encode()
    connection = _connected(environment)
    socket.send_fds(connection, [len(text).to_bytes(_NUMBER, "big")], streams)
    connection.sendall(text)
    return connection, int.from_bytes(_exactly(connection, _NUMBER), "big")


def program(path: Path, environment: Mapping[str, str]) -> Path:
    """Write a program that is the command, for a script with this environment that closes no stream."""
    if not forkable(environment):
        return starter(path)
    with _lock:
        template = _template(os.getpid(), frozenset(_at_start(environment).items()))
    return _executable(path, _PROGRAM.format(python=sys.executable, template=template, number=_NUMBER))


def starter(path: Path) -> Path:
    """The same by starting Python."""
    return _executable(path, f'#!/bin/sh\nexec "{sys.executable}" -m luxima_retention "$@"\n')


def _executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def _text(written: bytes) -> str:
    """As a pipe that is read as text."""
    return written.decode().replace("\r\n", "\n").replace("\r", "\n")


def _read(pid: int, descriptors: tuple[int, int, int], timeout: float) -> dict[int, list[bytes]]:
    """All that comes, until all are at their end; at the timeout the command is killed."""
    read: dict[int, list[bytes]] = {each: [] for each in descriptors}
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for each in descriptors:
            selector.register(each, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                os.kill(pid, signal.SIGKILL)
                break
            for key, _ in ready:
                if part := os.read(key.fd, _LARGEST):
                    read[key.fd].append(part)
                else:
                    selector.unregister(key.fd)
    for pipe in descriptors[1:]:
        os.close(pipe)
    return read


def _connected(environment: Mapping[str, str]) -> socket.socket:
    with _lock:
        path = _template(os.getpid(), frozenset(_at_start(environment).items()))
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


@cache
def _template(_process: int, at_start: frozenset[tuple[str, str]]) -> str:
    """Start the process that forks, which ends with this one, however that ends; where it is asked."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_AT_START)}
    home = tempfile.TemporaryDirectory(prefix="lux-fork-")
    path = f"{home.name}/s"
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, path],
        cwd=ROOT,
        env=environment | dict(at_start),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()

    def end() -> None:
        process.stdin.close()
        process.wait()
        home.cleanup()

    atexit.register(end)
    return path


# --- in the process that forks ------------------------------------------------------------------------


class _Template:
    """Takes requests, forks, and tells of each child's end."""

    def __init__(self, path: str) -> None:
        self.asked = socket.socket(socket.AF_UNIX)
        self.asked.bind(path)
        self.asked.listen(64)
        self.ended, wakes = socket.socketpair()
        for end in (self.ended, wakes):
            end.setblocking(False)
        self.wakes = wakes
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self.children: dict[int, socket.socket] = {}
        self.selector = selectors.DefaultSelector()
        for ready in (self.asked, self.ended, sys.stdin.buffer):
            self.selector.register(ready, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until the test's process is gone."""
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.asked:
                    self._fork()
                elif key.fileobj is self.ended:
                    self._reap()
                else:
                    return

    def _fork(self) -> None:
        connection, _ = self.asked.accept()
        head, streams, _, _ = socket.recv_fds(connection, _NUMBER, _STREAMS - 1)
        told = json.loads(_exactly(connection, int.from_bytes(head, "big")))
        pid = os.fork()
        if pid == 0:
            self._become(told, streams, connection)
        for stream in streams:
            os.close(stream)
        self.children[pid] = connection
        connection.sendall(pid.to_bytes(_NUMBER, "big"))

    def _reap(self) -> None:
        self.ended.recv(_LARGEST)
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            # Whoever asked may have waited long enough.
            with self.children.pop(pid) as connection, suppress(OSError):
                connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())

    def _become(self, told: Any, streams: list[int], connection: socket.socket) -> NoReturn:
        """The command; never returns."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (self.asked, self.ended, self.wakes, connection, *self.children.values()):
                each.detach()
            _wear(told, streams)
            sys.exit(_main(*told["words"]))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:  # noqa: BLE001 - told as Python does
            sys.excepthook(*sys.exc_info())
            code = 1
        _leave(code)


def _wear(told: Any, streams: list[int]) -> None:
    """Take the streams, the environment and the directory of the command; nothing else stays open."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, stream in enumerate((nothing, *streams)):
        os.dup2(stream, number)
    os.closerange(_STREAMS, 256)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    os.environ.clear()
    os.environ.update(told["environment"])
    os.chdir(told["cwd"])
    # It reads its variable when it is loaded.
    reload(failpoints)


def _main(module: str, *arguments: str) -> None:
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _leave(code: int) -> NoReturn:
    """As Python ends: threads, what is registered, then the streams."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120
    os._exit(code)


def _exactly(connection: socket.socket, size: int) -> bytes:
    told = b""
    while len(told) < size:
        more = connection.recv(size - len(told))
        assert more, "the test's process is gone"
        told += more
    return told


def _load() -> None:
    ours = [found.name for found in pkgutil.walk_packages(luxima_retention.__path__, "luxima_retention.")]
    for name in (*_LIBRARIES, *ours):
        if not name.endswith("__main__"):
            import_module(name)
    registry.kinds()
    loader = objects._session()._session.get_component("data_loader")
    for service, kind in _MODELS:
        loader.load_service_model(service, kind)
    for name in ("endpoints", "partitions", "sdk-default-configuration"):
        loader.load_data(name)


def main() -> None:
    _load()
    gc.freeze()  # else the first collection copies every page
    template = _Template(sys.argv[1])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    template.serve()


if __name__ == "__main__":
    main()
