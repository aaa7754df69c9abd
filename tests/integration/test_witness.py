"""A witness over HTTP, as C2SP tlog-witness has it, and runs that ask it for cosignatures."""

import base64
import hashlib
import http.client
import shutil
import threading
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from luxima_retention.core.errors import ConfigurationError, StoreError, TamperingFound
from luxima_retention.evidence.ledger import trust
from luxima_retention.evidence.ledger.bundle import export
from luxima_retention.evidence.ledger.checkpoint import (
    Signer,
    create,
    generate,
    library_verifies,
    open_anchors,
    seal,
    tree_at,
    verify,
)
from luxima_retention.evidence.ledger.file import FileLedger
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.evidence.ledger.session import begin
from luxima_retention.evidence.ledger.verify import WITNESS, Key, Tree
from luxima_retention.evidence.ledger.verify import main as verify_main
from luxima_retention.evidence.witness.proof import consistency_proof
from luxima_retention.evidence.witness.service import Cosigner, Witness, bound
from tests.configured import settings_of
from tests.ledgers import Raw, event
from tests.servers import hostile
from tests.servers.process import free_ports

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
ORIGIN = "luxima-retention"
LOG = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
COSIGNER = Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"\7" * 32))


@contextmanager
def serving(directory, *logs, cosigner=COSIGNER, port=0):
    """A witness of these ledgers, answering on loopback; its port."""
    directory.mkdir(exist_ok=True)
    known = {key.name: (key,) for key in logs}
    server = bound(Witness(cosigner, known, directory, library_verifies, lambda: AT), "127.0.0.1", port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(port, body, path="/add-checkpoint", method="POST"):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers["Content-Type"]


@pytest.fixture
def ledger():
    """Twenty entries, and the checkpoints over the first five and over all of them."""
    ledger = MemoryLedger()
    for number in range(1, 21):
        ledger.append(event("batch", number=number), policy="audit-logs", at=AT)
        if number in {5, 20}:
            seal(ledger, [LOG], (), AT)
    return ledger


def request(ledger, old, note, proof=None):
    if proof is None:
        leaves = [bytes.fromhex(item.hash) for item in ledger.all[old : int(note.split("\n")[1])]]
        proof = consistency_proof(tree_at(ledger, old) if old else Tree(), leaves)
    lines = [f"old {old}", *(base64.b64encode(item).decode() for item in proof), "", note]
    return "\n".join(lines).encode()


def test_checkpoints_are_cosigned_one_after_the_other_and_the_newest_is_served(ledger, tmp_path):
    five, twenty = ledger.recorded
    with serving(tmp_path / "state", LOG.key) as port:
        status, line, _ = ask(port, request(ledger, 0, five))
        assert status == 200
        status, line, _ = ask(port, request(ledger, 5, twenty))
        assert status == 200
        _, served, _ = ask(port, None, f"/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint", "GET")
        assert served == twenty + line
        assert ask(port, None, f"/{hashlib.sha256(b'x').hexdigest()}/checkpoint", "GET")[0] == 404
    text = twenty.partition("\n\n")[0] + "\n"
    said = base64.b64decode(line.split(" ")[2])
    key_id = hashlib.sha256(b"witness.example/w1\n\x04" + COSIGNER.key.public).digest()[:4]
    assert (said[:4], int.from_bytes(said[4:12], "big")) == (key_id, int(AT.timestamp()))
    message = f"cosignature/v1\ntime {int(AT.timestamp())}\n{text}".encode()
    assert library_verifies(COSIGNER.key.public, message, said[12:])


def test_each_refusal_has_the_status_of_the_specification(ledger, tmp_path):
    five, twenty = ledger.recorded
    unknown = Signer("another", Ed25519PrivateKey.from_private_bytes(b"\3" * 32))
    thief = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\4" * 32))
    text = twenty.partition("\n\n")[0] + "\n"
    bad = f"{text}\n{LOG.line(b'something else')}"
    other = MemoryLedger()
    for number in range(30):
        other.append(event("batch", number=number), policy=None, at=AT)
    seal(other, [LOG], (), AT)
    with serving(tmp_path / "state", LOG.key) as port:
        assert ask(port, request(ledger, 0, five))[0] == 200
        assert ask(port, b"nonsense")[0] == 400
        assert ask(port, request(ledger, 5, twenty).replace(b"old 5", b"old 05"))[0] == 400
        assert ask(port, request(ledger, 5, twenty, [bytes(32)] * 64))[0] == 400
        assert ask(port, request(ledger, 21, twenty, []))[0] == 400
        assert (
            ask(port, request(ledger, 5, text.replace(ORIGIN, "another") + "\n" + unknown.line(b"")))[0]
            == 404
        )
        assert ask(port, request(ledger, 5, f"{text}\n{thief.line(text.encode())}"))[0] == 403
        assert ask(port, request(ledger, 5, bad))[0] == 403
        assert ask(port, request(ledger, 0, twenty)) == (409, "5\n", "text/x.tlog.size")
        assert ask(port, request(ledger, 5, twenty, [bytes(32)]))[0] == 422
        assert ask(port, request(ledger, 5, twenty, []))[0] == 422
        assert ask(port, request(other, 5, other.recorded[0]))[0] == 422
        assert ask(port, request(ledger, 5, five, []))[0] == 200
        assert ask(port, b"x" * 70_000)[0] == 413
        assert ask(port, b"", "/elsewhere")[0] == 404
        assert ask(port, request(ledger, 5, twenty))[0] == 200


def test_its_memory_outlives_it_and_a_broken_memory_cosigns_nothing(ledger, tmp_path):
    five, twenty = ledger.recorded
    with serving(tmp_path / "state", LOG.key) as port:
        assert ask(port, request(ledger, 0, twenty))[0] == 200
    with serving(tmp_path / "state", LOG.key) as port:
        assert ask(port, request(ledger, 0, five))[:2] == (409, "20\n")
        (path,) = (tmp_path / "state").glob("*.txt")
        path.write_text("rubbish")
        assert ask(port, request(ledger, 20, twenty, []))[0] == 500


# --- Runs


@pytest.fixture
def home(tmp_path):
    (tmp_path / "anchor").mkdir()
    ledger = FileLedger(tmp_path / "ledger.jsonl")
    signer = generate(tmp_path / "key.pem", ORIGIN)
    settings = settings_of(
        {
            "ledger": {
                "path": str(ledger.path),
                "key_file": str(tmp_path / "key.pem"),
                "public_key": str(signer.key),
                "anchors": [(tmp_path / "anchor").as_uri()],
            }
        }
    )
    create(ledger, signer, open_anchors(settings), AT)
    return settings


def with_witnesses(home, *ports, quorum=None):
    witnesses = [{"url": f"http://127.0.0.1:{port}", "key": str(COSIGNER.key)} for port in ports]
    more = {"witnesses": witnesses, "witness_quorum": quorum}
    return settings_of({"ledger": {**home.ledger.model_dump(mode="json", exclude_defaults=True), **more}})


def run(settings):
    ledger = FileLedger(Path(settings.ledger.path))
    session = begin(settings, ledger, AT)
    ledger.append(event("batch"), policy=None, at=AT)
    session.sign_start(AT)
    ledger.append(event("batch"), policy=None, at=AT)
    return session.sign(AT)


def found(settings):
    ledger = FileLedger(Path(settings.ledger.path))
    key = Key.parse(settings.ledger.public_key)
    verdict = verify(ledger, open_anchors(settings), key, (), trust.witness_keys(settings.ledger))
    return verdict, [gap.code for gap in trust.gaps(settings.ledger, verdict)]


def test_a_run_has_its_start_and_its_end_cosigned(home, tmp_path):
    with serving(tmp_path / "state", Key.parse(home.ledger.public_key)) as port:
        settings = with_witnesses(home, port)
        assert run(settings).unwitnessed == ()
        assert run(settings).unwitnessed == ()
    verdict, gaps = found(settings)
    assert verdict.witnessed == {COSIGNER.key.name: (5, int(AT.timestamp()))}
    assert gaps == []
    export(FileLedger(tmp_path / "ledger.jsonl"), open_anchors(settings), verdict.key, tmp_path / "bundle")
    arguments = [
        "--key",
        settings.ledger.public_key,
        "--witness",
        str(COSIGNER.key),
        str(tmp_path / "bundle"),
    ]
    assert verify_main(arguments) == 0
    stranger = str(Cosigner("witness.example/w2", Ed25519PrivateKey.from_private_bytes(b"\5" * 32)).key)
    assert verify_main([*arguments[:2], "--witness", stranger, arguments[-1]]) == 6


def test_a_witness_that_is_away_stops_no_run_and_is_told(home, tmp_path):
    port = free_ports(1)[0]
    settings = with_witnesses(home, port)
    made = run(settings)
    assert "does not answer" in made.unwitnessed[0]
    assert found(settings)[1] == ["quorum-missing"]
    with serving(tmp_path / "state", Key.parse(home.ledger.public_key), port=port):
        assert run(settings).unwitnessed == ()
    assert found(settings)[1] == []
    assert run(with_witnesses(home, port, free_ports(1)[0], quorum=1)).unwitnessed != ()
    with serving(tmp_path / "state", Key.parse(home.ledger.public_key), port=port):
        assert run(with_witnesses(home, port, free_ports(1)[0], quorum=1)).unwitnessed == ()


@pytest.mark.parametrize("sender", [hostile.DRIPPING_HEAD, hostile.DRIPPING_BODY, hostile.silent])
def test_a_witness_that_drips_is_away(home, sender):
    with hostile.run_hostile(sender) as url:
        settings = with_witnesses(home, int(url.rpartition(":")[2]))
        begun = time.monotonic()
        made = run(settings)
        seconds = time.monotonic() - begun
    assert "does not answer: gave no whole answer within 5 s" in made.unwitnessed[0]
    assert seconds < 3 * 5 + 20


def test_ledger_and_every_anchor_rolled_back_is_seen_by_the_witness(home, tmp_path):
    copy = tmp_path.parent / f"{tmp_path.name}-backup"
    with serving(tmp_path.parent / f"{tmp_path.name}-state", Key.parse(home.ledger.public_key)) as port:
        settings = with_witnesses(home, port)
        run(settings)
        shutil.copytree(tmp_path, copy)
        run(settings)
        for name in ("ledger.jsonl", "ledger.jsonl.checkpoints"):
            shutil.copy(copy / name, tmp_path / name)
        shutil.rmtree(tmp_path / "anchor")
        shutil.copytree(copy / "anchor", tmp_path / "anchor")
        with pytest.raises(TamperingFound, match="a witness has seen 5 entries, and the ledger has 3"):
            begin(settings, FileLedger(tmp_path / "ledger.jsonl"), AT)
        assert len(list(FileLedger(tmp_path / "ledger.jsonl").entries())) == 3


def test_a_ledger_rewritten_with_the_stolen_key_is_not_what_the_witness_saw(home, tmp_path):
    with serving(tmp_path / "state", Key.parse(home.ledger.public_key)) as port:
        settings = with_witnesses(home, port)
        run(settings)
        entries = list(FileLedger(tmp_path / "ledger.jsonl").entries())
        for name in ("ledger.jsonl", "ledger.jsonl.checkpoints"):
            (tmp_path / name).unlink()
        shutil.rmtree(tmp_path / "anchor")
        (tmp_path / "anchor").mkdir()
        forged = FileLedger(tmp_path / "ledger.jsonl")
        for item in entries:
            forged.append(Raw(item.kind, forged=True), policy=item.policy, at=item.at)
        signer = Signer.load(tmp_path / "key.pem", ORIGIN)
        forged.append(event("batch"), policy=None, at=AT)
        seal(forged, [signer], open_anchors(settings), AT)
        with pytest.raises(TamperingFound, match="saw another ledger"):
            begin(settings, forged, AT)


def test_a_witness_that_signs_with_another_key_is_none(home, tmp_path):
    other = Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"\6" * 32))
    with serving(tmp_path / "state", Key.parse(home.ledger.public_key), cosigner=other) as port:
        assert "did not sign with the key" in run(with_witnesses(home, port)).unwitnessed[0]


def test_keys_of_the_wrong_sort_and_addresses_that_are_taken_are_sentences(home, tmp_path):
    wrong = with_witnesses(home, 1)
    object.__setattr__(wrong.ledger.witnesses[0], "key", home.ledger.public_key)
    with pytest.raises(ConfigurationError, match="is the key of a ledger"):
        begin(wrong, FileLedger(tmp_path / "ledger.jsonl"), AT)
    with serving(tmp_path / "state", LOG.key) as port, pytest.raises(StoreError, match="cannot listen"):
        bound(Witness(COSIGNER, {}, tmp_path, library_verifies, lambda: AT), "127.0.0.1", port)
    assert COSIGNER.key.kind == WITNESS
