"""Takes the screenshots in docs/screenshots again: ``python -m tests.screenshots``."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import typst

from luxima_retention.report.html import as_html
from luxima_retention.report.model import Report
from luxima_retention.report.pdf import document
from luxima_retention.report.plain import as_json
from tests.servers.browser import run_browser
from tests.unit.report_states import all_good, not_compliant, with_exceptions

OUT = Path(__file__).parents[1] / "docs" / "screenshots"
#: name → state, language, width and height in CSS pixels, and what is added to the page
SHOTS = {
    "report-desk": (with_exceptions, "id", 1280, 1400, ""),
    "report-phone": (not_compliant, "id", 390, 1400, ""),
    "report-grey": (not_compliant, "en", 1280, 1100, "<style>html{filter:grayscale(1)}</style>"),
}


def main() -> None:
    """Write every picture."""
    OUT.mkdir(exist_ok=True)
    with run_browser() as browser:
        for name, (state, lang, width, height, more) in SHOTS.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_content(as_html(state(), lang) + more)
            page.screenshot(path=OUT / f"{name}.png")
            page.close()
    (OUT / "report-pdf.png").write_bytes(_first_page(all_good(), "id"))


def _first_page(report: Report, lang: str) -> bytes:
    values: dict[str, Any] = document(report, lang)
    pages = typst.compile(
        (files("luxima_retention.report") / "report.typ").read_bytes(),
        format="png",
        ppi=100,
        font_paths=typst.Fonts(include_system_fonts=False),
        sys_inputs={"data": json.dumps(values), "json": as_json(report)},
    )
    return bytes(pages[0])


if __name__ == "__main__":
    main()
