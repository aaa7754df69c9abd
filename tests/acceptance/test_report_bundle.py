"""A report's bundle, checked by somebody who has only the file."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from luxima_retention.core.results import RunResult
from luxima_retention.evidence.ledger.checkpoint import Signer, seal, verify
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.report import bundle
from luxima_retention.report.bundle import Evidence, write_bundle
from luxima_retention.report.model import LedgerState, build
from luxima_retention.report.plain import as_json
from tests.ledgers import event

AT = datetime(2026, 10, 5, 8, 30, tzinfo=UTC)
START, END = datetime(2026, 9, 30, 17, tzinfo=UTC), datetime(2026, 10, 31, 17, tzinfo=UTC)
SIGNER = Signer("luxima.example/retention", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
#: no Python path, no home: what a fresh account on another machine has
BARE = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
TOP = "luxima-retention-2026-10-01-2026-11-01"


@pytest.fixture
def evidence():
    ledger = MemoryLedger()
    for number in range(20):
        body = {"run_id": f"r{number}", "target": "core.audit_log", "destroyed": number, "exit_code": 0}
        ledger.append(event("run.completed", **body), policy="audit-logs", at=AT)
    seal(ledger, [SIGNER], [], AT)
    return Evidence(ledger=ledger, anchors=(), key=SIGNER.key, signer=SIGNER)


def report(evidence):
    survey = RunResult(now=END, dry_run=True, policies=())
    found = verify(evidence.ledger, (), SIGNER.key)
    state = LedgerState(size=found.entries, root=found.root, head=found.head, signed=found.covered)
    return build(evidence.ledger.entries(), survey, START, END, None, ledger=state)


def packed(evidence, path):
    write_bundle(report(evidence), "id", evidence, path)
    return path


@pytest.fixture
def extracted(evidence, tmp_path):
    with zipfile.ZipFile(packed(evidence, tmp_path / "bundle.zip")) as file:
        file.extractall(tmp_path)
    return tmp_path / TOP


def shell(directory, *words):
    return subprocess.run(words, cwd=directory, env=BARE, capture_output=True, text=True, check=False)


def python(directory):
    """``-I``: isolated, so that nothing of this environment can be imported by name."""
    return shell(directory, sys.executable, "-I", "-S", "verify.py", "--key", str(SIGNER.key))


def test_a_stranger_verifies_every_file_and_the_ledger(extracted):
    sums = shell(extracted, "sha256sum", "-c", "SHA256SUMS")
    assert sums.returncode == 0, sums.stderr
    checked = {line.removesuffix(": OK") for line in sums.stdout.splitlines()}
    there = {path.relative_to(extracted).as_posix() for path in extracted.rglob("*") if path.is_file()}
    assert checked == there - {"SHA256SUMS", "bundle.txt"}
    assert {"report.json", "report.csv", "report.html", "report.pdf", "README.txt", "ledger.jsonl"} < checked
    verified = python(extracted)
    assert verified.returncode == 0, verified.stderr
    assert "signed     20 entries by the key you gave" in verified.stdout
    assert "190 records destroyed, 0 condemned, 20 runs, 0 refusals, 0 overrides" in verified.stdout
    assert "bound      by a signature of the same key: README.txt, report.csv, report.html" in verified.stdout


@pytest.mark.parametrize("name", ["report.json", "report.pdf", "ledger.jsonl", "README.txt"])
def test_a_changed_file_is_found(extracted, name):
    path = extracted / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert shell(extracted, "sha256sum", "-c", "--quiet", "SHA256SUMS").returncode == 1
    assert python(extracted).returncode == 6


def test_its_json_is_the_report(extracted, evidence):
    assert (extracted / "report.json").read_text() == as_json(report(evidence))


def test_the_same_ledger_and_period_give_the_same_bytes(evidence, tmp_path):
    first, second = (packed(evidence, tmp_path / name).read_bytes() for name in ("a.zip", "b.zip"))
    assert first == second


def test_nothing_is_written_outside_of_one_directory(evidence, tmp_path):
    with zipfile.ZipFile(packed(evidence, tmp_path / "bundle.zip")) as file:
        names = file.namelist()
    assert names == sorted(names)
    assert all(name.startswith(f"{TOP}/") for name in names)


def test_without_typst_there_is_no_pdf_and_the_rest_still_verifies(evidence, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "find_spec", lambda name: None)
    with zipfile.ZipFile(packed(evidence, tmp_path / "bundle.zip")) as file:
        file.extractall(tmp_path)
    assert not (tmp_path / TOP / "report.pdf").exists()
    assert python(tmp_path / TOP).returncode == 0
