"""RFC 3161: openssl as an authority stamps a run's checkpoints, and openssl verifies the stamps."""

import shutil
import subprocess
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from luxima_retention.evidence.ledger.checkpoint import create, generate, open_anchors
from luxima_retention.evidence.ledger.file import FileLedger
from luxima_retention.evidence.ledger.session import begin
from tests.configured import settings_of
from tests.ledgers import event
from tests.servers import hostile
from tests.servers.process import free_ports

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
CONFIG = """
[tsa]
default_tsa = the_tsa
[the_tsa]
serial = {home}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""


def openssl(*words, **more):
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, check=False, **more)


@pytest.fixture
def authority(tmp_path):
    """Key, certificate and configuration of an authority that signs with openssl."""
    home = tmp_path / "tsa"
    home.mkdir()
    (home / "serial").write_text("01\n")
    (home / "tsa.cnf").write_text(CONFIG.format(home=home))
    usage = ("-addext", "extendedKeyUsage=critical,timeStamping")
    words = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=throw-away", *usage)
    made = openssl(*words, "-keyout", home / "key.pem", "-out", home / "cert.pem")
    assert made.returncode == 0, made.stderr
    return home


@contextmanager
def answering(home, change=lambda reply: reply):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            (home / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            signer = ("-inkey", home / "key.pem", "-signer", home / "cert.pem")
            words = ("ts", "-reply", "-config", home / "tsa.cnf", "-queryfile", home / "query", *signer)
            reply = change(openssl(*words).stdout)
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def home(tmp_path):
    (tmp_path / "anchor").mkdir()
    settings = settings_of(
        {
            "ledger": {
                "path": str(tmp_path / "ledger.jsonl"),
                "key_file": str(tmp_path / "key.pem"),
                "anchors": [(tmp_path / "anchor").as_uri()],
            }
        }
    )
    signer = generate(tmp_path / "key.pem", settings.ledger.origin)
    create(FileLedger(tmp_path / "ledger.jsonl"), signer, open_anchors(settings), AT)
    return settings


def run(settings, tmp_path, url):
    ledger = FileLedger(tmp_path / "ledger.jsonl")
    ledger_settings = settings.ledger.model_copy(update={"timestamp_url": url})
    session = begin(settings.model_copy(update={"ledger": ledger_settings}), ledger, AT)
    ledger.append(event("batch"), policy=None, at=AT)
    return session.sign(AT)


def test_openssl_verifies_the_time_stamp_of_a_checkpoint(home, authority, tmp_path):
    with answering(authority) as url:
        assert run(home, tmp_path, url).unwitnessed == ()
        assert run(home, tmp_path, url).unwitnessed == ()
    stamped = sorted((tmp_path / "anchor").rglob("*.tsr"))
    assert len(stamped) == 2
    words = ("ts", "-verify", "-in", stamped[-1], "-CAfile", authority / "cert.pem", "-data")
    verified = openssl(*words, stamped[-1].with_suffix(".txt"))
    assert verified.returncode == 0, verified.stderr
    assert openssl(*words, stamped[0].with_suffix(".txt")).returncode != 0


def test_an_authority_that_is_away_or_stamps_something_else_is_told_and_stops_nothing(
    home, authority, tmp_path
):
    url = f"http://127.0.0.1:{free_ports(1)[0]}/"
    assert "does not answer" in run(home, tmp_path, url).unwitnessed[0]
    with answering(authority, lambda _: b"rubbish") as url:
        assert "sent no time stamp" in run(home, tmp_path, url).unwitnessed[0]
    with hostile.run_hostile(hostile.DRIPPING_BODY) as url:
        assert "gave no whole answer within 5 s" in run(home, tmp_path, url).unwitnessed[0]
    with answering(authority) as url:
        run(home, tmp_path, url)
    old = next((tmp_path / "anchor").rglob("*.tsr")).read_bytes()
    with answering(authority, lambda _: old) as url:
        assert "stamped something else" in run(home, tmp_path, url).unwitnessed[0]
    assert shutil.which("openssl")
