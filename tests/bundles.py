"""A report's bundle with something of everything in it, and what an editor of bundles would do to it.

Two verifiers that share no line, ``verify.py`` and ``second_verifier.mjs``, accept one and refuse the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from luxima_retention.evidence.ledger import verify as verify_module
from luxima_retention.evidence.ledger.bundle import write_sums
from luxima_retention.evidence.ledger.checkpoint import Signer, seal, verify
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.evidence.ledger.verify import Key
from luxima_retention.report.bundle import Evidence, stem, write_bundle
from luxima_retention.report.model import LedgerState
from tests.ledgers import Raw
from tests.unit import report_states as states

SIGNER = Signer("luxima.example/retention", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
THIEF = Signer(SIGNER.key.name, Ed25519PrivateKey.from_private_bytes(b"\2" * 32))

#: the verifier key of a witness that has cosigned nothing
WITNESS = str(Key("witness.example/w1", SIGNER.key.public, verify_module.WITNESS))


def history() -> states.History:
    """Twenty days: runs, refusals, a hold placed and released, an approval, a gap, a killed run."""
    made = states.History()
    made.say("key.created", states.START - 2 * states.DAY, None, key=str(SIGNER.key))
    hold = {"hold_id": "H-1", "dimensions": ["tenant"], "sha256": states.digest("hold")}
    made.say("hold.placed", states.START - states.DAY, "audit-logs", **hold)
    states.ordinary(made, 8)
    made.refused("security-events", states.START + 9 * states.DAY, 80_331)
    approval = {"target": "public.security_events", "items": 80_331, "population": 131_000}
    made.say(
        "approval", states.START + 10 * states.DAY, "security-events", **approval, option="--max-fraction 0.7"
    )
    made.say("hold.released", states.START + 11 * states.DAY, "audit-logs", hold_id="H-1")
    gap = {"missed": 3, "since": states.iso(states.START + 8 * states.DAY)}
    made.say("slot.missed", states.START + 11 * states.DAY, "log-files", **gap)
    made.killed("application-logs", states.START + 12 * states.DAY, 17_000)
    states.ordinary(made, 7, states.START + 13 * states.DAY)
    return made


def sealed(made: states.History, signer: Signer = SIGNER, every: int = 20) -> MemoryLedger:
    """The history's ledger with a checkpoint after each ``every`` entries, and one at its end."""
    ledger, entries = MemoryLedger(), made.ledger.all
    for item in entries:
        ledger.append(Raw(item.kind, **item.body), policy=item.policy, at=item.at)
        if item.seq % every == 0 or item.seq == len(entries):
            seal(ledger, [signer], (), item.at)
    return ledger


def build(home: Path, signer: Signer = SIGNER, made: states.History | None = None) -> Path:
    """The bundle, unpacked."""
    made = made or history()
    ledger = sealed(made, signer)
    found = verify(ledger, (), signer.key)
    state = LedgerState(
        size=found.entries, root=found.root, head=found.head, signed=found.covered, pinned=True
    )
    report = replace(states.made(made, states.survey(), state=state), surveyed=states.NOW)
    evidence = Evidence(ledger=ledger, anchors=(), key=signer.key, signer=signer)
    write_bundle(report, "id", evidence, home / "bundle.zip")
    with zipfile.ZipFile(home / "bundle.zip") as packed:
        packed.extractall(home)
    return home / stem(report)


# --- What somebody does to it. Each attack ends with sums that fit again, as an editor would leave them


def _report(bundle: Path, change: Callable[[dict], None]) -> None:
    path = bundle / "report.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def _lines(bundle: Path, change: Callable[[list[bytes]], None]) -> None:
    path = bundle / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))


def _newest(bundle: Path) -> Path:
    return max((bundle / "checkpoints").iterdir())


def _total(bundle: Path) -> None:
    _report(bundle, lambda value: value.update(destroyed=value["destroyed"] - 1))


def _run(bundle: Path) -> None:
    def change(value: dict) -> None:
        row = next(row for row in value["runs"] if row["destroyed"])
        value["destroyed"] -= row["destroyed"]
        row["destroyed"] = 0

    _report(bundle, change)


def _refusal(bundle: Path) -> None:
    def change(value: dict) -> None:
        value["runs"] = [row for row in value["runs"] if row["kind"] != "run.refused"]

    _report(bundle, change)


def _override(bundle: Path) -> None:
    _report(bundle, lambda value: value.update(guards=[]))


def _hold(bundle: Path) -> None:
    _report(bundle, lambda value: value.update(holds=[]))


def _missed(bundle: Path) -> None:
    def change(value: dict) -> None:
        for row in value["runs"]:
            row["missed"] = None
        value["missed"] = 0

    _report(bundle, change)


def _html(bundle: Path) -> None:
    path = bundle / "report.html"
    path.write_text(path.read_text().replace("1", "2", 1))


def _nan(bundle: Path) -> None:
    path = bundle / "report.json"
    path.write_text(
        path.read_text().replace('"overdue": null', '"overdue": NaN', 1).replace("null", "NaN", 1)
    )


def _doubled_in_report(bundle: Path) -> None:
    path = bundle / "report.json"
    path.write_text(path.read_text().replace("{", '{"destroyed": 0, ', 1))


def _doubled_in_entry(bundle: Path) -> None:
    def change(lines: list[bytes]) -> None:
        lines[-1] = lines[-1].replace(b'"body":{', b'"body":{"run_id":"x",', 1)

    _lines(bundle, change)


def _float(bundle: Path) -> None:
    def change(lines: list[bytes]) -> None:
        lines[-1] = lines[-1].replace(b'"exit_code":0', b'"exit_code":0.0', 1)

    _lines(bundle, change)


def _flipped(bundle: Path) -> None:
    def change(lines: list[bytes]) -> None:
        lines[4] = (
            lines[4].replace(b'"destroyed":', b'"destroyed":1', 1).replace(b'"items":', b'"items":1', 1)
        )

    _lines(bundle, change)


def _dropped(bundle: Path) -> None:
    _lines(bundle, lambda lines: lines.pop(6))


def _tail(bundle: Path) -> None:
    """Everything after the last checkpoint but one goes, and that checkpoint with it."""
    _newest(bundle).unlink()
    size = int(_newest(bundle).name.split("-")[0])
    _lines(bundle, lambda lines: lines.__delitem__(slice(size, None)))


def _forged(bundle: Path) -> None:
    """An entry that follows the last one as it should, but that nobody signed."""

    def change(lines: list[bytes]) -> None:
        last = json.loads(lines[-1])
        entry = {**last, "kind": "approval", "body": {}, "seq": last["seq"] + 1}
        entry["previous"] = hashlib.sha256(b"\0" + lines[-1][:-1]).hexdigest()
        lines.append(json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n")

    _lines(bundle, change)


def _empty(bundle: Path) -> None:
    for path in (bundle / "checkpoints").iterdir():
        path.unlink()
    (bundle / "ledger.jsonl").write_bytes(b"")


def _signature(bundle: Path) -> None:
    path = _newest(bundle)
    text, _, line = path.read_text().rpartition(" ")
    path.write_text(f"{text} {line[:20]}{'A' if line[20] != 'A' else 'B'}{line[21:]}")


def _unbound(bundle: Path) -> None:
    _html(bundle)
    (bundle / "bundle.txt").unlink()


def _added(bundle: Path) -> None:
    (bundle / "extra.txt").write_text("not signed for")


#: attacks after which the sums are made to fit
EDITED = {
    "total changed": _total,
    "run's figure changed": _run,
    "refusal left out": _refusal,
    "override left out": _override,
    "hold left out": _hold,
    "missed runs left out": _missed,
    "HTML changed": _html,
    "NaN in the report": _nan,
    "doubled key in the report": _doubled_in_report,
    "doubled key in an entry": _doubled_in_entry,
    "float in an entry": _float,
    "entry changed": _flipped,
    "entry dropped": _dropped,
    "tail cut off": _tail,
    "forged entry at the end": _forged,
    "empty ledger": _empty,
    "signature changed": _signature,
    "binding removed": _unbound,
    "file added": _added,
}
#: of these, what a thief of the key can sign again is still refused
SIGNED_AGAIN = (
    "total changed",
    "run's figure changed",
    "refusal left out",
    "override left out",
    "hold left out",
    "missed runs left out",
    "NaN in the report",
    "doubled key in the report",
    "doubled key in an entry",
    "float in an entry",
    "entry changed",
    "entry dropped",
    "tail cut off",
    "forged entry at the end",
    "empty ledger",
)


def edit(bundle: Path, name: str, signer: Signer | None = None) -> None:
    """Carry out one of :data:`EDITED`; with a signer, the bundle is signed again."""
    EDITED[name](bundle)
    binding = bundle / "bundle.txt"
    kept = binding.read_bytes() if binding.exists() else None
    write_sums(bundle, signer)
    if signer is None and kept is not None:
        binding.write_bytes(kept)


def _names(bundle: Path, name: str) -> None:
    with (bundle / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  {name}\n")


def _link(bundle: Path) -> None:
    (bundle / "report.csv").unlink()
    (bundle / "report.csv").symlink_to("/etc/passwd")


def _linked_folder(bundle: Path) -> None:
    (bundle / "checkpoints").rename(bundle.parent / "elsewhere")
    (bundle / "checkpoints").symlink_to(bundle.parent / "elsewhere")


def _device(bundle: Path) -> None:
    (bundle / "report.csv").unlink()
    os.mkfifo(bundle / "report.csv")


def _huge(bundle: Path) -> None:
    with (bundle / "report.json").open("r+b") as file:
        file.truncate(300 << 20)


def _huge_note(bundle: Path) -> None:
    with _newest(bundle).open("r+b") as file:
        file.truncate(1 << 20)


#: attacks on the reader's machine; what the sentence about each must say
HOSTILE = {
    "absolute name": (lambda bundle: _names(bundle, "/etc/passwd"), "is not the name of a file inside"),
    "device": (lambda bundle: _names(bundle, "/dev/zero"), "is not the name of a file inside"),
    "name above": (lambda bundle: _names(bundle, "../bundle.zip"), "is not the name of a file inside"),
    "link": (_link, "is a link"),
    "linked folder": (_linked_folder, "link"),
    "pipe": (_device, "is not a file"),
    "huge file": (_huge, "more than"),
    "huge checkpoint": (_huge_note, "more than"),
}
