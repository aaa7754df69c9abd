"""Writes a report in the form that was asked for, to a file or to a place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import TYPE_CHECKING

from luxima_retention.core.errors import StoreError
from luxima_retention.evidence.events import ReportSent
from luxima_retention.report.bundle import Evidence, stem, write_bundle
from luxima_retention.report.html import as_html
from luxima_retention.report.model import Report
from luxima_retention.report.plain import as_csv, as_json
from luxima_retention.report.retrospective import Retrospective

if TYPE_CHECKING:
    from luxima_retention.io.objects import ObjectStore

#: each form, and how the name of its file ends
FORMS = {"json": ".json", "csv": ".csv", "html": ".html", "pdf": ".pdf", "bundle": ".zip"}


def form_of(target: str) -> str:
    """The form that the ending of a file's name stands for; ``json`` for any other, and for a place."""
    return next((form for form, ending in FORMS.items() if target.lower().endswith(ending)), "json")


def write(report: Report, form: str, lang: str, evidence: Evidence, path: Path) -> None:
    """Write the file ``path``.

    Args:
        report: what every form renders.
        form: one of :data:`FORMS`.
        lang: ``id`` or ``en``; JSON and CSV have none.
        evidence: for the bundle; its dialect is that of the CSV too.
        path: replaced if it is there, once the new one is whole; what is not a file, such as a pipe, is
            written to as it is.

    Raises:
        ConfigurationError: the extra ``pdf`` is not installed.
        StoreError: the file cannot be written.
    """
    try:
        with _whole(path) as draft:
            if form == "bundle":
                write_bundle(report, lang, evidence, draft)
            else:
                draft.write_bytes(_rendered(report, form, lang, evidence.csv_dialect))
    except OSError as error:
        raise StoreError(f"the report {path} cannot be written: {error.strerror}") from error


def write_retrospective(made: Retrospective, form: str, lang: str, path: Path) -> None:
    """Write the look back as ``json``, ``html`` or ``pdf``. Raises as :func:`write`."""
    from luxima_retention.report import retrospective_pages as pages

    forms = {"json": lambda: pages.as_json(made).encode(), "pdf": lambda: pages.as_pdf(made, lang)}
    try:
        with _whole(path) as draft:
            draft.write_bytes(forms.get(form, lambda: pages.as_html(made, lang).encode())())
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its place at the end; it is gone if anything fails."""
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:100]}.", delete=False) as file:
        draft = Path(file.name)
    try:
        yield draft
        draft.chmod(path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask())
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _umask() -> int:
    """The mask of new files, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Where a report went; the SHA-256 of its bytes where that was a place and no file."""

    where: str
    sha256: str | None = None


def send(report: Report, form: str, lang: str, evidence: Evidence, place: ObjectStore) -> Sent:
    """Write the report to a place.

    The name tells the period, so that the report of another month replaces nothing.

    Raises:
        ConfigurationError: the extra ``pdf`` is not installed.
        StoreError: the place does not take it.
    """
    digest = sha256()
    name = stem(report) + FORMS[form]
    with TemporaryDirectory(prefix="luxima-report-") as home:
        path = Path(home) / name
        write(report, form, lang, evidence, path)
        upload = place.upload(name)
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
                    upload.write(block)
            upload.finish()
        except BaseException:
            upload.abort()
            raise
    return Sent(where=f"{place.url.rstrip('/')}/{name}", sha256=digest.hexdigest())


def entry_of(report: Report, form: str, lang: str, sent: Sent) -> ReportSent:
    """What the ledger says of a report that was sent, with the size and root of the ledger behind it."""
    return ReportSent(
        start=report.start,
        end=report.end,
        form=form,
        lang=lang,
        url=sent.where,
        sha256=sent.sha256,
        verdict=str(report.verdict),
        size=report.ledger.size,
        root=report.ledger.root or None,
    )


def _rendered(report: Report, form: str, lang: str, dialect: str) -> bytes:
    if form == "pdf":
        from luxima_retention.report.pdf import as_pdf

        return as_pdf(report, lang)
    if form == "html":
        return as_html(report, lang).encode()
    if form == "csv":
        return as_csv(report, dialect).encode()
    return as_json(report).encode()
