"""Verifying a ledger of years, and writing the report about one.

``python -m bench.evidence FORM LEDGER`` writes the report about a year from a ledger, ``python -m
bench.evidence FORM`` the one with many exceptions: what the benchmark measures as a process.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.measure import cost_of, ours
from bench.model import Aim, Benchmark, Figures, of
from luxima_retention.evidence.ledger import entry, verify
from luxima_retention.evidence.ledger.bundle import export
from luxima_retention.evidence.ledger.checkpoint import Anchor, Signer
from luxima_retention.evidence.ledger.checkpoint import verify as verify_ledger
from luxima_retention.evidence.ledger.file import FileLedger
from luxima_retention.io.objects import DirectoryPlace
from luxima_retention.report.html import as_html
from luxima_retention.report.model import Report, build
from luxima_retention.report.pdf import as_pdf
from luxima_retention.report.plain import as_csv, as_json
from tests.ledgers import Raw

_ENTRIES, _EVERY, _EXCEPTIONS = 100_000, 9, 10_000
_BEGIN, _YEARS = datetime(2023, 11, 1, tzinfo=UTC), timedelta(days=1096)
_SIGNER = Signer("luxima.example/retention", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
_FORMS: dict[str, Callable[[Report], str | bytes]] = {
    "html": lambda report: as_html(report, "id"),
    "pdf": lambda report: as_pdf(report, "id"),
    "json": as_json,
    "csv": as_csv,
}


def measure_verify(figures: Figures) -> None:
    """The command, and what a third party runs."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        ledger = _filled(home, figures.size(_ENTRIES))
        anchor = Anchor(DirectoryPlace(home / "anchor"), _SIGNER.key.name)
        export(ledger, [anchor], _SIGNER.key, home / "bundle")
        variables = {
            "LUXIMA_LEDGER__PATH": str(ledger.path),
            "LUXIMA_LEDGER__ORIGIN": _SIGNER.key.name,
            "LUXIMA_LEDGER__PUBLIC_KEY": str(_SIGNER.key),
            "LUXIMA_LEDGER__ANCHORS": json.dumps([f"file://{home}/anchor"]),
        }
        script = [sys.executable, "-I", verify.__file__, "--key", str(_SIGNER.key), str(home / "bundle")]
        for _ in figures.rounds():
            figures.record("ledger verify", cost_of(ours("ledger", "verify"), variables).figures())
            figures.record("verify.py over a bundle", cost_of(script).figures())


def _filled(home: Path, entries: int) -> FileLedger:
    """A ledger with its checkpoints, each in the anchor too; written directly, which is faster."""
    ledger, tree, head = FileLedger(home / "ledger.jsonl"), verify.Tree(), None
    place = home / "anchor" / _SIGNER.key.name.replace("/", "_")
    place.mkdir(parents=True)
    checkpoints = ledger.path.with_name(f"{ledger.path.name}.checkpoints")
    with ledger.path.open("wb") as lines, checkpoints.open("w") as recorded:
        for number in range(1, entries + 1):
            seq, previous = entry.after(head)
            at = _BEGIN + _YEARS * number / entries
            event = Raw("batch", **_body(number))
            head = entry.make(event, policy="audit-logs", at=at, seq=seq, previous=previous)  # type: ignore[arg-type]
            lines.write(head.data + b"\n")
            tree.add(bytes.fromhex(head.hash))
            if number % _EVERY == 0 or number == entries:
                note = _note(number, tree, head.hash)
                peaks = [peak.hex() for peak in tree.peaks]
                recorded.write(json.dumps({"size": number, "peaks": peaks, "note": note}) + "\n")
                leaf = verify.leaf_hash(note.encode()).hex()
                (place / f"{number:012d}-{leaf[:8]}.txt").write_text(note)
    return ledger


def _note(size: int, tree: verify.Tree, head: str) -> str:
    text = f"{_SIGNER.key.name}\n{size}\n{base64.b64encode(tree.root()).decode()}\nhead {head}\n"
    return f"{text}\n{_SIGNER.line(text.encode())}"


def _body(number: int) -> dict[str, object]:
    """As large as the entry of an archived batch."""
    part = {"name": f"parts/audit-logs/{number}.csv.zst", "sha256": "ab" * 32, "root": "cd" * 32}
    return {"run_id": f"r{number // 3}", "state": "done", "number": 1, "items": 100, "part": part}


def measure_report(figures: Figures) -> None:
    """Every form, each in a process of its own: from the ledger to the bytes."""
    with tempfile.TemporaryDirectory() as home:
        ledger = Path(home) / "ledger.jsonl"
        _year(ledger, figures.size(365, 31))
        for _ in figures.rounds():
            for form in _FORMS:
                _written(figures, form, f"a year as {form}", str(ledger))
            for form in ("html", "pdf"):
                crowd = figures.size(_EXCEPTIONS)
                _written(figures, form, f"many exceptions as {form}", str(crowd))


def _written(figures: Figures, form: str, case: str, source: str) -> None:
    cost = cost_of([sys.executable, "-m", "bench.evidence", form, source])
    figures.record(case, cost.figures() | {"result_mib": int(cost.stdout) / (1 << 20)})


def _year(path: Path, days: int) -> None:
    """Runs of every policy each day, written without a sync for each entry."""
    from tests.unit.report_states import DAY, END, History, ordinary

    history = History()
    ordinary(history, days, END - days * DAY)
    path.write_bytes(b"".join(item.data + b"\n" for item in history.ledger.all))


def _model(path: Path) -> Report:
    """Verified and computed; the survey costs what the stores cost, and is no part of it."""
    from tests.unit.report_states import DAY, END, TERMS, late, store, survey

    ledger = FileLedger(path)
    verify_ledger(ledger, (), None)
    found = survey(("audit-logs", store("audit-logs", age=181, expired=48_107)))
    return build(ledger.entries(), found, END - 365 * DAY, END, late=late("audit-logs", 0), terms=TERMS)


def _crowded(exceptions: int) -> Report:
    """A month in which each of so many stores was refused."""
    from tests.unit.report_states import DAY, END, TERMS, History, late, survey

    history = History()
    for number in range(exceptions):
        history.refused("audit-logs", END - DAY, 7, f"tenant_{number:05}.audit_log")
    entries = history.ledger.entries()
    return build(entries, survey(), END - 30 * DAY, END, late=late("audit-logs", 0), terms=TERMS)


def main(form: str, source: str) -> None:
    """Write one form, and print how long it is."""
    report = _crowded(int(source)) if source.isdecimal() else _model(Path(source))
    made = _FORMS[form](report)
    print(len(made.encode() if isinstance(made, str) else made))


BENCHMARKS = (
    Benchmark(
        name="report",
        title="The report about a year",
        compares="A ledger of 1,825 daily runs of five policies, from the file to the finished form, the"
        " start of the process included; and a month with 10,000 different exceptions.",
        measure=measure_report,
        minutes=2,
        aims=(
            Aim(
                says="A year as PDF in at most 10 s",
                measured=of("seconds", "a year as pdf"),
                most=10,
                unit="s",
            ),
            Aim(
                says="A year as PDF in at most 512 MiB",
                measured=of("memory_mib", "a year as pdf"),
                most=512,
                unit="MiB",
            ),
            Aim(
                says="A year as HTML in at most 512 MiB",
                measured=of("memory_mib", "a year as html"),
                most=512,
                unit="MiB",
            ),
        ),
    ),
    Benchmark(
        name="verify",
        title="Verifying a ledger",
        compares="Three years of five daily policies: 100,000 entries under 11,000 checkpoints, each in an"
        " anchor too. The command checks every signature; `verify.py` is what a third party runs"
        " over the bundle, with nothing but Python.",
        measure=measure_verify,
        minutes=1.5,
    ),
)

if __name__ == "__main__":
    main(*sys.argv[1:])
