"""Measures verification: three years of five daily policies, 100,000 entries under 11,000 checkpoints.

python bench/verify.py [DIRECTORY]
"""

from __future__ import annotations

import base64
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from luxima_retention.evidence.ledger import entry, verify
from luxima_retention.evidence.ledger.bundle import export
from luxima_retention.evidence.ledger.checkpoint import Anchor, Signer
from luxima_retention.evidence.ledger.checkpoint import verify as verify_ledger
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.io.objects import DirectoryPlace
from tests.ledgers import Raw

ENTRIES, EVERY = 100_000, 9
BEGIN, YEARS = datetime(2023, 11, 1, tzinfo=UTC), timedelta(days=1096)
SIGNER = Signer("luxima.example/retention", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))


def main() -> None:
    """Build both, verify both, print the times."""
    with tempfile.TemporaryDirectory() as home:
        directory = Path(sys.argv[1] if len(sys.argv) > 1 else home)
        anchor = Anchor(DirectoryPlace(directory / "anchor"), SIGNER.key.name)
        ledger = filled(directory / "anchor")
        print(f"{ENTRIES:,} entries, {len(ledger.recorded):,} checkpoints in ledger and anchor")
        begun, cpu = time.perf_counter(), time.process_time()
        found = verify_ledger(ledger, [anchor], SIGNER.key)
        cpu = time.process_time() - cpu
        said = f"{cpu:.1f} s of CPU, {found.signatures:,} signatures"
        print(f"ledger verify  {time.perf_counter() - begun:6.1f} s, {said}")
        export(ledger, [anchor], SIGNER.key, directory / "bundle")
        begun = time.perf_counter()
        command = [sys.executable, "-I", verify.__file__, "--key", str(SIGNER.key), directory / "bundle"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime
        print(f"verify.py      {time.perf_counter() - begun:6.1f} s, {cpu:.1f} s of CPU")


def filled(anchor: Path) -> MemoryLedger:
    """The ledger, with each checkpoint in the anchor too; written directly, which is faster."""
    ledger, tree, head = MemoryLedger(), verify.Tree(), None
    place = anchor / "luxima.example_retention"
    place.mkdir(parents=True)
    for number in range(1, ENTRIES + 1):
        seq, previous = entry.after(head)
        at = BEGIN + YEARS * number / ENTRIES
        head = entry.make(
            Raw("batch", **body(number)), policy="audit-logs", at=at, seq=seq, previous=previous
        )
        ledger.all.append(head)
        tree.add(bytes.fromhex(head.hash))
        if number % EVERY == 0 or number == ENTRIES:
            root = base64.b64encode(tree.root()).decode()
            text = f"{SIGNER.key.name}\n{number}\n{root}\nhead {head.hash}\n"
            note = f"{text}\n{SIGNER.line(text.encode())}"
            ledger.record(note, tree)
            (place / f"{number:012d}-{verify.leaf_hash(note.encode()).hex()[:8]}.txt").write_text(note)
    return ledger


def body(number: int) -> dict[str, object]:
    """As large as the entry of an archived batch."""
    part = {"name": f"parts/audit-logs/{number}.csv.zst", "sha256": "ab" * 32, "root": "cd" * 32}
    return {"run_id": f"r{number // 3}", "state": "done", "number": 1, "items": 100, "part": part}


if __name__ == "__main__":
    main()
