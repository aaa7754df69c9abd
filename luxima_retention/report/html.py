"""The report as one self-contained HTML file."""

from __future__ import annotations

from importlib.resources import files

from luxima_retention.report.model import Report
from luxima_retention.report.texts import TEXTS

_STORES = ("policy", "target", "retention_days", "oldest", "expired", "held", "word")
_RUNS = ("seq", "at", "kind", "policy", "target", "outcome", "destroyed")


def as_html(report: Report, lang: str) -> str:
    """HTML in ``lang``, ``id`` or ``en``; the same report gives the same bytes."""
    from jinja2 import Environment, StrictUndefined

    values = report.as_json()
    source = (files("luxima_retention.report") / "report.html.j2").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    tiles = [
        (name, "-" if values[name] is None else values[name]) for name in ("destroyed", "expired", "held")
    ]
    return template.render(
        r=values,
        lang=lang,
        t=lambda key: TEXTS[key][lang],
        tiles=[*tiles, ("entries", values["ledger"]["entries"])],
        tables=[
            ("matrix", _STORES, values["stores"]),
            ("exceptions", ("at", "policy", "target", "kind"), values["exceptions"]),
            ("runs", _RUNS, values["runs"]),
        ],
    )
