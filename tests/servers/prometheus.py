"""Prometheus and its companions Alertmanager and Pushgateway, from Debian's packages."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.servers.process import Process, free_ports, scratch
from tests.servers.programs import find_program

NO_SCRAPES = "global: {scrape_interval: 1h}\n"


@dataclass(kw_only=True)
class HttpServer:
    """A server that answers over HTTP.

    Attributes:
        url: ``http://127.0.0.1:port``, without a slash at the end.
        directory: its scratch directory; Prometheus keeps its blocks in ``data`` there.
    """

    url: str
    directory: Path
    process: Process

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it; its directory goes too. May be called twice."""
        self.process.stop(how)
        shutil.rmtree(self.directory, ignore_errors=True)


def start_prometheus(
    *flags: str, config: str = NO_SCRAPES, data: Path | None = None, port: int | None = None
) -> HttpServer:
    """A Prometheus.

    Args:
        flags: added to the command: ``--storage.tsdb.retention.time=60d``, ``--web.enable-lifecycle``.
        config: text of its configuration file, ``prometheus.yml`` in its directory.
        data: a TSDB that exists already; an empty one otherwise.
        port: free if not given; name it where the configuration must know it.
    """
    home = scratch("prom")
    (home / "prometheus.yml").write_text(config)
    storage = data or home / "data"
    return _start(
        "prometheus",
        home,
        port,
        f"--config.file={home / 'prometheus.yml'}",
        f"--storage.tsdb.path={storage}",
        *flags,
    )


def start_pushgateway(*flags: str) -> HttpServer:
    """A Pushgateway that keeps what it is given in memory."""
    return _start("pushgateway", scratch("push"), None, *flags)


#: where Debian's Alertmanager looks for its templates, which stand beside it where it was only unpacked
_TEMPLATES = b"/usr/share/prometheus/alertmanager"


def start_alertmanager(config: str) -> HttpServer:
    """An Alertmanager alone; ``config`` is the text of its configuration file."""
    home = scratch("alert")
    (home / "alertmanager.yml").write_text(config)
    return _start(
        _with_templates(Path(find_program("alertmanager")), home),
        home,
        None,
        f"--config.file={home / 'alertmanager.yml'}",
        f"--storage.path={home / 'data'}",
        "--cluster.listen-address=",
    )


def _with_templates(program: Path, home: Path) -> str:
    """The program, or a copy in ``home`` that finds its templates there: their path is built into it."""
    if Path(_TEMPLATES.decode()).is_dir():
        return "alertmanager"
    shutil.copytree(program.parents[2] / _TEMPLATES.decode().lstrip("/"), home, dirs_exist_ok=True)
    copy = home / program.name
    there = str(home).encode().ljust(len(_TEMPLATES), b"/")
    assert len(there) == len(_TEMPLATES), "the scratch directory has too long a name"
    copy.write_bytes(program.read_bytes().replace(_TEMPLATES, there))
    copy.chmod(0o755)
    return str(copy)


def _start(program: str, home: Path, port: int | None, *flags: str) -> HttpServer:
    port = port or free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    found = program if "/" in program else find_program(program)
    command: Sequence[str] = [found, f"--web.listen-address=127.0.0.1:{port}", *flags]
    process = Process(command, directory=home, ready=lambda: _ready(url))
    return HttpServer(url=url, directory=home, process=process)


def _ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=2).ok
    except requests.RequestException:
        return False
