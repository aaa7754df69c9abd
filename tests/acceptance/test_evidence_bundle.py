"""A bundle, verified by somebody who has never seen the program: only the commands that it documents."""

import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from luxima_retention.core.errors import ConfigurationError
from luxima_retention.evidence.ledger.bundle import export
from luxima_retention.evidence.ledger.checkpoint import Anchor, Signer, seal
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.io.objects import DirectoryPlace
from tests.ledgers import Raw, event

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
SIGNER = Signer("luxima.example/retention", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
#: no Python path, no home: what a fresh account on another machine has
BARE = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def ledger_of(count):
    ledger = MemoryLedger()
    for number in range(count):
        ledger.append(Raw("batch", number=number, note='a "b" \\ é\n%s'), policy="audit-logs", at=AT)
    return ledger


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "anchor").mkdir()
    anchor = Anchor(DirectoryPlace(tmp_path / "anchor"), SIGNER.key.name)
    ledger = ledger_of(20)
    seal(ledger, [SIGNER], [anchor], AT)
    for number in range(20, 40):
        ledger.append(event("batch", number=number), policy=None, at=AT)
    seal(ledger, [SIGNER], [anchor], AT)
    export(ledger, [anchor], SIGNER.key, tmp_path / "bundle", SIGNER)
    return tmp_path / "bundle"


def documented_script(bundle):
    """The indented commands of part 2 of VERIFY.txt, as they stand."""
    part = (bundle / "VERIFY.txt").read_text().split("\n2. ")[1]
    commands = re.findall(r"^ {4}(.*)$", part, re.MULTILINE)
    return "set -e\n" + "\n".join(commands)


def shell(bundle, tmp_path):
    script = documented_script(bundle).replace("/tmp/", f"{tmp_path}/")  # noqa: S108 - what the document says
    return subprocess.run(
        ["sh", "-c", script], cwd=bundle, env=BARE, capture_output=True, text=True, check=False
    )


def python(bundle, *arguments):
    """``-I``: isolated, so that nothing of this environment can be imported by name."""
    command = [sys.executable, "-I", "-S", "verify.py", *arguments, "."]
    return subprocess.run(command, cwd=bundle, env=BARE, capture_output=True, text=True, check=False)


def resum(bundle):
    """What somebody would do who changes a bundle: make the sums fit again."""
    own = {"SHA256SUMS", "bundle.txt"}
    names = sorted(path.relative_to(bundle) for path in bundle.rglob("*") if path.name not in own)
    files = [str(name) for name in names if (bundle / name).is_file()]
    sums = subprocess.run(["sha256sum", *files], cwd=bundle, capture_output=True, text=True, check=True)
    (bundle / "SHA256SUMS").write_text(sums.stdout)


def change(bundle, what):
    path = bundle / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    if what == "flipped":
        lines[6] = lines[6].replace(b'"number":6', b'"number":7')
    elif what == "last flipped":
        lines[-1] = lines[-1].replace(b'"number":39', b'"number":38')
    elif what == "dropped":
        del lines[6]
    elif what == "doubled":
        lines.insert(6, lines[6])
    elif what == "swapped":
        lines[6], lines[7] = lines[7], lines[6]
    else:
        del lines[30:]
    path.write_bytes(b"".join(lines))


def test_the_documented_shell_commands_verify_a_bundle(bundle, tmp_path):
    done = shell(bundle, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Signature Verified Successfully" in done.stdout
    assert "VERIFIED: 40 entries" in done.stdout
    key, pem = done.stdout.splitlines()[1:3]
    assert key == pem


def test_python_alone_verifies_a_bundle(bundle):
    done = python(bundle, "--key", str(SIGNER.key))
    assert (done.returncode, done.stderr) == (0, "")
    assert "VERIFIED: 7 files, 40 entries, up to 2026-11-23T08:30:00Z" in done.stdout
    assert "signed     40 entries by the key you gave" in done.stdout
    assert "2 checkpoints agree" in done.stdout


def test_without_a_key_of_its_reader_nothing_is_called_verified(bundle):
    done = python(bundle)
    assert done.returncode == 3
    assert done.stdout.startswith("NOT VERIFIED, only found to agree with itself")
    (bundle / "key.txt").unlink()
    (bundle / "bundle.txt").unlink()
    resum(bundle)
    done = python(bundle)
    assert (done.returncode, "by nobody" in done.stdout) == (3, True)


@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("flipped", "entry 8 does not follow entry 7"),
        ("last flipped", "one of the entries 21 to 40 was changed"),
        ("dropped", "entry 8 stands where entry 7 should be"),
        ("doubled", "entry 7 stands where entry 8 should be"),
        ("swapped", "entry 8 stands where entry 7 should be"),
        ("cut", "entries 31 to 40 are missing"),
    ],
)
def test_a_changed_bundle_names_the_place_in_python_and_fails_in_the_shell(bundle, tmp_path, what, place):
    change(bundle, what)
    assert "ledger.jsonl is not the file" in python(bundle).stderr
    assert shell(bundle, tmp_path).returncode != 0
    resum(bundle)
    done = python(bundle, "--key", str(SIGNER.key))
    assert done.returncode == 6
    assert place in done.stderr
    again = shell(bundle, tmp_path)
    assert again.returncode != 0
    assert "VERIFIED" not in again.stdout


def test_a_bundle_made_by_another_key_fails_against_the_pinned_one(bundle):
    other = Signer(SIGNER.key.name, Ed25519PrivateKey.from_private_bytes(b"\2" * 32))
    done = python(bundle, "--key", str(other.key))
    assert (done.returncode, "no checkpoint is signed by the key" in done.stderr) == (6, True)


def test_a_rewritten_bundle_fails_against_a_checkpoint_that_was_kept(tmp_path, bundle):
    kept = tmp_path / "kept.txt"
    kept.write_text(min((bundle / "checkpoints").iterdir()).read_text())
    forged = ledger_of(45)
    seal(forged, [SIGNER], (), AT)
    export(forged, (), SIGNER.key, tmp_path / "forged")
    assert python(tmp_path / "forged", "--key", str(SIGNER.key)).returncode == 0
    done = python(tmp_path / "forged", "--key", str(SIGNER.key), "--checkpoint", str(kept))
    assert done.returncode == 0, "the first twenty entries are the same"
    rewritten = MemoryLedger()
    for number in range(45):
        rewritten.append(event("batch", number=number), policy="audit-logs", at=AT)
    seal(rewritten, [SIGNER], (), AT)
    export(rewritten, (), SIGNER.key, tmp_path / "rewritten")
    done = python(tmp_path / "rewritten", "--key", str(SIGNER.key), "--checkpoint", str(kept))
    assert done.returncode == 6
    assert "covers 20 entries with another root: one of the entries 1 to 20" in done.stderr


def test_the_same_ledger_gives_the_same_bundle(tmp_path):
    ledger = ledger_of(5)
    seal(ledger, [SIGNER], (), AT)
    export(ledger, (), SIGNER.key, tmp_path / "one")
    export(ledger, (), SIGNER.key, tmp_path / "two")
    assert (tmp_path / "one/SHA256SUMS").read_text() == (tmp_path / "two/SHA256SUMS").read_text()
    with pytest.raises(ConfigurationError, match="is not empty"):
        export(ledger, (), SIGNER.key, tmp_path / "one")


def test_usage_and_what_is_not_there_are_told_apart(bundle, tmp_path):
    assert python(bundle, "--key", "nonsense").returncode == 2
    (bundle / "verify.py").rename(tmp_path / "verify.py")
    done = subprocess.run(
        [sys.executable, "-I", tmp_path / "verify.py", tmp_path / "nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "NOT VERIFIED" in done.stderr) == (6, True)
