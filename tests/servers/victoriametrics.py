"""VictoriaMetrics from Debian's package: a server that answers Prometheus' queries, and is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.servers.process import Process, free_ports, scratch
from tests.servers.programs import find_program


@contextmanager
def run_victoriametrics(*flags: str) -> Iterator[str]:
    """Its address, ``http://127.0.0.1:port``, while it runs."""
    home = scratch("vm")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [
        find_program("victoria-metrics"),
        f"-httpListenAddr=127.0.0.1:{port}",
        f"-storageDataPath={home / 'data'}",
        *flags,
    ]
    process = Process(command, directory=home, ready=lambda: _ready(url))
    try:
        yield url
    finally:
        process.stop()
        shutil.rmtree(home, ignore_errors=True)


def _ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=2).ok
    except requests.RequestException:
        return False
