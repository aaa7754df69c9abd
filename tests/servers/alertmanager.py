"""Alertmanager, from Debian's package; and a Telegram that only remembers what it was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs

import requests

from tests.servers.process import Process, free_ports, scratch
from tests.servers.programs import CACHE, find_program
from tests.servers.prometheus import HttpServer
from tests.servers.stub import Answer, Stub, run_stub

#: where Debian's program looks for its own templates; as long as the one below, which is relative
_INSTALLED = b"/usr/share/prometheus/alertmanager"
_RELATIVE = b"./" * 16 + b"am"


def start_alertmanager(config: str, files: Mapping[str, str]) -> HttpServer:
    """An Alertmanager.

    Args:
        config: text of its configuration file.
        files: name → text of files beside it, such as templates.
    """
    home = scratch("alert")
    for name, text in {**files, "alertmanager.yml": config}.items():
        (home / name).write_text(text)
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    command = [
        _program(home),
        f"--config.file={home / 'alertmanager.yml'}",
        f"--storage.path={home / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    return HttpServer(
        url=url, directory=home, process=Process(command, directory=home, ready=lambda: _ready(url))
    )


def _program(home: Path) -> str:
    """The program; one that was only unpacked gets its templates by a path below its working directory."""
    program = Path(find_program("alertmanager"))
    if not program.is_relative_to(CACHE):
        return str(program)
    (home / "am").symlink_to(CACHE / "prometheus-alertmanager" / "usr/share/prometheus/alertmanager")
    assert len(_INSTALLED) == len(_RELATIVE)
    patched = home / program.name
    patched.write_bytes(program.read_bytes().replace(_INSTALLED, _RELATIVE))
    patched.chmod(0o755)
    return str(patched)


def _ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=2).ok
    except requests.RequestException:
        return False


class Telegram:
    """What a Telegram double was sent.

    Attributes:
        url: for ``api_url``.
    """

    def __init__(self, stub: Stub) -> None:
        self.url = stub.url
        self._stub = stub

    @property
    def texts(self) -> list[str]:
        """The text of each message, in order."""
        return [
            _fields(body)["text"] for _, path, _, body in self._stub.asked if path.endswith("/sendMessage")
        ]


@contextmanager
def run_telegram() -> Iterator[Telegram]:
    """A Bot API that takes messages as the real one does, and refuses HTML that it would refuse."""
    with run_stub(_answer) as stub:
        yield Telegram(stub)


def _answer(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
    fields = _fields(body)
    if not path.endswith("/sendMessage") or not 0 < len(fields.get("text", "")) <= 4096:
        return Answer(400, b'{"ok": false, "description": "Bad Request: message is empty or too long"}')
    if fields.get("parse_mode") == "HTML" and not _is_html(fields["text"]):
        return Answer(400, b'{"ok": false, "description": "Bad Request: can\'t parse entities"}')
    told = {"message_id": 1, "date": 0, "chat": {"id": int(fields["chat_id"]), "type": "supergroup"}}
    return Answer(
        200, json.dumps({"ok": True, "result": told}).encode(), {"Content-Type": "application/json"}
    )


def _fields(body: bytes) -> dict[str, str]:
    text = body.decode()
    if text.startswith("{"):
        return {name: str(value) for name, value in json.loads(text).items()}
    return {name: values[0] for name, values in parse_qs(text).items()}


def _is_html(text: str) -> bool:
    """Whether tags are those of Telegram, close in order, and nothing else holds an angle or an ampersand."""
    from html.parser import HTMLParser

    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__(convert_charrefs=False)
            self.open: list[str] = []
            self.good = True

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.good &= tag in {"b", "i", "u", "s", "code", "pre", "a"}
            self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            self.good &= bool(self.open) and self.open.pop() == tag

        def handle_data(self, data: str) -> None:
            self.good &= not {"<", "&"} & set(data)

    tags = Tags()
    tags.feed(text)
    tags.close()
    return tags.good and not tags.open
