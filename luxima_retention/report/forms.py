"""Writes a report in the form that was asked for, to a file or to a place."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from luxima_retention.errors import StoreError
from luxima_retention.places import Access, open_place
from luxima_retention.report.bundle import Evidence, stem, write_bundle
from luxima_retention.report.html import as_html
from luxima_retention.report.model import Report
from luxima_retention.report.plain import as_csv, as_json

#: each form, and how the name of its file ends
FORMS = {"json": ".json", "csv": ".csv", "html": ".html", "pdf": ".pdf", "bundle": ".zip"}


def write(report: Report, form: str, lang: str, evidence: Evidence, path: Path) -> None:
    """Write the file ``path``.

    Args:
        report: what every form renders.
        form: one of :data:`FORMS`.
        lang: ``id`` or ``en``; JSON and CSV have none.
        evidence: for the bundle.
        path: replaced if it is there.

    Raises:
        ConfigurationError: the extra ``pdf`` is not installed.
        StoreError: the file cannot be written.
    """
    if form == "bundle":
        write_bundle(report, lang, evidence, path)
        return
    try:
        path.write_bytes(_rendered(report, form, lang))
    except OSError as error:
        raise StoreError(f"the report {path} cannot be written: {error.strerror}") from error


def send(report: Report, form: str, lang: str, evidence: Evidence, *, url: str, access: Access) -> str:
    """Write the report to the place ``url``; its address there.

    The name tells the period, so that the report of another month replaces nothing.

    Raises:
        ConfigurationError: ``url`` names no place, or the extra ``pdf`` is not installed.
        StoreError: the place does not take it.
    """
    place = open_place(url, access)
    name = stem(report) + FORMS[form]
    with TemporaryDirectory(prefix="luxima-report-") as home:
        path = Path(home) / name
        write(report, form, lang, evidence, path)
        upload = place.upload(name)
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    upload.write(block)
            upload.finish()
        except BaseException:
            upload.abort()
            raise
    return f"{place.url.rstrip('/')}/{name}"


def _rendered(report: Report, form: str, lang: str) -> bytes:
    if form == "pdf":
        from luxima_retention.report.pdf import as_pdf

        return as_pdf(report, lang)
    if form == "html":
        return as_html(report, lang).encode()
    return {"json": as_json, "csv": as_csv}[form](report).encode()
