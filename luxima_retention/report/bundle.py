"""The report in every form with the ledger that it was computed from, as one deterministic ZIP file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from luxima_retention.core.errors import StoreError
from luxima_retention.evidence.ledger import Ledger
from luxima_retention.evidence.ledger.bundle import export, write_sums
from luxima_retention.evidence.ledger.checkpoint import Anchor, Signer
from luxima_retention.evidence.ledger.verify import Key
from luxima_retention.report.html import as_html
from luxima_retention.report.model import Report
from luxima_retention.report.plain import as_csv, as_json

_WIB = ZoneInfo("Asia/Jakarta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What proves the report's figures.

    Args:
        ledger: all of it goes into the bundle, since a chain is verified from its beginning.
        anchors: whose checkpoints go in too.
        key: the verifier key; ``None`` where nothing is signed.
        signer: the ledger's own key, which binds every form to the ledger; ``None`` where nothing is signed.
        csv_dialect: of the report's CSV; see :data:`.plain.DIALECTS`.
    """

    ledger: Ledger
    anchors: Iterable[Anchor]
    key: Key | None
    signer: Signer | None = None
    csv_dialect: str = "comma"


def stem(report: Report) -> str:
    """The name of the period, by Jakarta's days: ``luxima-retention-2026-10-01-2026-11-01``."""
    start, end = (instant.astimezone(_WIB) for instant in (report.start, report.end))
    return f"luxima-retention-{start:%Y-%m-%d}-{end:%Y-%m-%d}"


def write_bundle(report: Report, lang: str, evidence: Evidence, path: Path) -> None:
    """Write the bundle; the same report and ledger give the same bytes.

    The ZIP is not compressed, so that its bytes do not depend on a version of zlib. Without the extra
    ``pdf`` it has no PDF.

    Raises:
        StoreError: the file or a temporary directory cannot be written, or the ledger not be read.
    """
    if evidence.signer and report.ledger.size and report.ledger.signed < report.ledger.size:
        raise StoreError(
            f"entries {report.ledger.signed + 1} to {report.ledger.size} of the report are not signed",
            "run it again; `luxima-retention doctor` says what keeps the ledger from being signed",
        )
    try:
        with TemporaryDirectory(prefix="luxima-report-") as home:
            directory = Path(home) / stem(report)
            export(evidence.ledger, evidence.anchors, evidence.key, directory)
            for name, data in _forms(report, lang, evidence.csv_dialect).items():
                (directory / name).write_bytes(data)
            write_sums(directory, evidence.signer)
            _pack(directory, path, report.surveyed.astimezone(UTC).timetuple()[:6])
    except OSError as error:
        raise StoreError(f"the bundle cannot be written: {error.strerror}") from error


def _forms(report: Report, lang: str, dialect: str) -> dict[str, bytes]:
    forms = {
        "README.txt": (files("luxima_retention.report") / "README.txt").read_bytes(),
        "report.json": as_json(report).encode(),
        "report.csv": as_csv(report, dialect).encode(),
        "report.html": as_html(report, lang).encode(),
    }
    if find_spec("typst"):
        from luxima_retention.report.pdf import as_pdf

        forms["report.pdf"] = as_pdf(report, lang)
    return forms


def _pack(directory: Path, path: Path, at: tuple[int, ...]) -> None:
    """Sorted, all of one time and mode, below one directory."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for file in sorted(file for file in directory.rglob("*") if file.is_file()):
            name = f"{directory.name}/{file.relative_to(directory).as_posix()}"
            entry = zipfile.ZipInfo(name, (at[0], at[1], at[2], at[3], at[4], at[5]))
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            entry.file_size = file.stat().st_size
            with file.open("rb") as source, packed.open(entry, "w") as target:
                while block := source.read(1 << 20):
                    target.write(block)
