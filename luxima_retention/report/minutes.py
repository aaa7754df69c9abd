"""The *berita acara pemusnahan*, the minutes of destruction, as a structure that each format lays out. Pure.

Sources: UU 8/1997 on company documents, minimum content of the minutes (place, day, date, month, year; how
it was carried out; signature and clear name of the executing officer and of the witnesses; itemised list
attached). PP 87/1999 article 10(1), the five conditions. UU 27/2022 articles 42 to 44, the end of processing
and destruction by a retention schedule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from luxima_retention.clock import parse_iso
from luxima_retention.report.minutes_texts import CONDITIONS, FACTS, METHODS, SIGNERS, TEXTS, WORDS, Text
from luxima_retention.report.model import Report

_WIB = ZoneInfo("Asia/Jakarta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line of the form; ``value`` is ``None`` where somebody fills it in by hand."""

    label: Text
    value: Text | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One of the five conditions.

    Args:
        text: the condition.
        evidence: what the program found, or who must say it.
        shown: whether the program shows it; else the box stays empty for the signers.
    """

    text: Text
    evidence: Text
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A caption, its columns, and rows of as many cells."""

    caption: Text
    columns: tuple[Text, ...]
    rows: tuple[tuple[Text, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A block to sign: the role, and the labels of its empty lines."""

    role: Text
    lines: tuple[Text, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Minutes:
    """What a format lays out, in this order; ``signatures`` is empty when there is nothing to sign for.

    Args:
        warning: why these minutes must not be signed; ``None`` when they may be.
        opening: the sentences before the form.
        facts: the form.
        summary: what was destroyed, by store.
        conditions: PP 87/1999 article 10(1).
        remarks: how it was carried out, what is proved and what is not.
        items: the itemised list (*daftar pertelaan*), a row for each entry of the ledger.
    """

    title: Text
    warning: Text | None
    opening: tuple[Text, ...]
    facts: tuple[Fact, ...]
    summary: Table
    conditions: tuple[Condition, ...]
    remarks: tuple[Text, ...]
    signatures: tuple[Signature, ...]
    items: Table


def minutes(report: Report) -> Minutes:
    """The minutes of everything that the report's runs destroyed."""
    runs = [run for run in report.records if run["destroyed"]]
    return Minutes(
        title=TEXTS["title"],
        warning=_warning(report),
        opening=(TEXTS["opening"] if runs else TEXTS["nothing"],),
        facts=_facts(report, runs),
        summary=_summary(runs),
        conditions=_conditions(report) if runs else (),
        remarks=_remarks(runs),
        signatures=_signatures() if runs and not report.ledger_error else (),
        items=_items(runs),
    )


def dated(instant: datetime) -> Text:
    """``Selasa, 24 November 2026 pukul 09.00 WIB (02:00 UTC)``."""
    local = instant.astimezone(_WIB)
    utc = instant.astimezone(UTC)
    other = "" if utc.date() == local.date() else f"{utc:%Y-%m-%d} "
    days, months = WORDS["days"], WORDS["months"]
    return Text(
        id=f"{days[local.weekday()].id}, {local.day} {months[local.month - 1].id} {local.year}"
        f" pukul {local:%H.%M} WIB ({other}{utc:%H:%M} UTC)",
        en=f"{days[local.weekday()].en}, {local.day} {months[local.month - 1].en} {local.year},"
        f" {local:%H:%M} WIB ({other}{utc:%H:%M} UTC)",
    )


def _same(value: Any) -> Text:
    """A value that is spelled alike in both languages."""
    text = "-" if value is None else str(value)
    return Text(id=text, en=text)


def _figure(count: int) -> Text:
    """``1 234 567``: read alike in both languages."""
    return _same(f"{count:,}".replace(",", "\u00a0"))


def _warning(report: Report) -> Text | None:
    if not report.ledger_error:
        return None
    text = TEXTS["broken"]
    return Text(id=f"{text.id} {report.ledger_error}", en=f"{text.en} {report.ledger_error}")


def _facts(report: Report, runs: list[dict[str, Any]]) -> tuple[Fact, ...]:
    start, end = dated(report.start), dated(report.end)
    written = {
        "period": Text(id=f"{start.id} sampai sebelum {end.id}", en=f"{start.en} until before {end.en}"),
        "drawn": dated(report.surveyed),
        "total": _figure(sum(run["destroyed"] for run in runs)),
        "entries": _figure(len(runs)),
        "ledger": TEXTS["ledger verified"] if not report.ledger_error else TEXTS["ledger broken"],
    }
    return tuple(Fact(label=label, value=written.get(name)) for name, label in FACTS.items())


def _summary(runs: Iterable[Mapping[str, Any]]) -> Table:
    stores: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        stores.setdefault((run["policy"] or "", run["target"] or ""), []).append(run)
    columns = ("policy", "target", "basis", "records", "count", "method", "archive")
    return Table(
        caption=TEXTS["summary"],
        columns=tuple(TEXTS[name] for name in columns),
        rows=tuple(_summed(policy, target, found) for (policy, target), found in sorted(stores.items())),
    )


def _summed(policy: str, target: str, runs: list[Mapping[str, Any]]) -> tuple[Text, ...]:
    days = {run["retention_days"] for run in runs if run.get("retention_days")}
    told = ", ".join(str(day) for day in sorted(days, reverse=True))
    basis = TEXTS["schedule"]
    return (
        _same(policy),
        _same(target or None),
        Text(id=basis.id.format(days=told), en=basis.en.format(days=told)) if told else _same(None),
        _span(runs),
        _figure(sum(run["destroyed"] for run in runs)),
        METHODS.get(policy, METHODS[""]),
        _archive(runs),
    )


def _span(runs: Iterable[Mapping[str, Any]]) -> Text:
    """The period of the records; where a store does not tell it, at least the cutoff."""
    found = list(runs)
    first = min((run["first"] for run in found if run.get("first")), default=None)
    last = max((run["last"] for run in found if run.get("last")), default=None)
    if first and last:
        return _same(f"{_day(first)} … {_day(last)}")
    cutoff = max((run["cutoff"] for run in found if run.get("cutoff")), default=None)
    if not cutoff:
        return _same(None)
    before = TEXTS["before"]
    return Text(id=f"{before.id} {_day(cutoff)}", en=f"{before.en} {_day(cutoff)}")


def _archive(runs: list[Mapping[str, Any]]) -> Text:
    count = sum(bool(run.get("archive_sha256")) for run in runs)
    if not count:
        return TEXTS["archive none"]
    text, told = TEXTS["archive of"], {"count": count, "runs": len(runs)}
    return Text(id=text.id.format(**told), en=text.en.format(**told))


def _day(instant: str) -> str:
    """The day in Jakarta."""
    return f"{parse_iso(instant).astimezone(_WIB):%Y-%m-%d}"


def _minute(instant: str) -> str:
    return f"{parse_iso(instant).astimezone(_WIB):%Y-%m-%d %H:%M}"


def _conditions(report: Report) -> tuple[Condition, ...]:
    held = [row["held"] for row in report.stores if row["held"] is not None]
    found = []
    for name, (text, evidence) in CONDITIONS.items():
        told = evidence
        if name == "case":
            count = str(sum(held)) if held else "-"
            told = Text(id=evidence.id.format(held=count), en=evidence.en.format(held=count))
        shown = name == "period" and not report.ledger_error
        found.append(Condition(text=text, evidence=told, shown=shown))
    return tuple(found)


def _remarks(runs: list[dict[str, Any]]) -> tuple[Text, ...]:
    names = ("how", "residual", "proved", "limits") if runs else ("limits",)
    return tuple(TEXTS[name] for name in names)


def _signatures() -> tuple[Signature, ...]:
    lines = tuple(TEXTS[name] for name in ("name", "position", "signature", "place and date"))
    return tuple(Signature(role=role, lines=lines) for role in SIGNERS)


def _items(runs: Iterable[Mapping[str, Any]]) -> Table:
    columns = ("seq", "at", "policy", "target", "records", "cutoff", "count", "hash")
    return Table(
        caption=TEXTS["items"],
        columns=tuple(TEXTS[name] for name in columns),
        rows=tuple(_item(run) for run in runs),
    )


def _item(run: Mapping[str, Any]) -> tuple[Text, ...]:
    return (
        _same(run["seq"]),
        _same(_minute(run["at"])),
        _same(run["policy"]),
        _same(run["target"]),
        _span([run]) if run.get("first") else _same(None),
        _same(_minute(run["cutoff"]) if run.get("cutoff") else None),
        _same(run["destroyed"]),
        _same(run["hash"]),
    )
