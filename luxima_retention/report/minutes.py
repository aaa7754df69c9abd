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

from luxima_retention import __version__
from luxima_retention.core.clock import parse_iso
from luxima_retention.report.minutes_texts import CONDITIONS, FACTS, METHOD, OUTCOMES, SIGNERS, TEXTS, Text
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
        summary=_summary(runs, report.methods),
        conditions=_conditions(report) if runs else (),
        remarks=_remarks(report, runs),
        signatures=_signatures() if runs and not report.ledger_error else (),
        items=_items(runs),
    )


def dated(instant: datetime) -> Text:
    """``Selasa, 24 November 2026 pukul 09.00 WIB (02:00 UTC)``."""
    local = instant.astimezone(_WIB)
    utc = instant.astimezone(UTC)
    other = "" if utc.date() == local.date() else f"{utc:%Y-%m-%d} "
    day = _dated_day(instant)
    return Text(
        id=f"{day.id} pukul {local:%H.%M} WIB ({other}{utc:%H:%M} UTC)",
        en=f"{day.en}, {local:%H:%M} WIB ({other}{utc:%H:%M} UTC)",
    )


def _same(value: Any) -> Text:
    """A value that is spelled alike in both languages."""
    text = "-" if value is None else str(value)
    return Text(id=text, en=text)


def _filled(text: Text, **values: Any) -> Text:
    return Text(id=text.id.format(**values), en=text.en.format(**values))


def _joined(texts: Iterable[Text]) -> Text:
    found = list(texts)
    return Text(id=" ".join(text.id for text in found), en=" ".join(text.en for text in found))


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
    program = f"luxima-retention {__version__}"
    written = {
        "destroyed": _days_of(runs),
        "officer": Text(id=f"{program}, secara otomatis", en=f"{program}, automatically"),
        "period": Text(id=f"{start.id} sampai sebelum {end.id}", en=f"{start.en} until before {end.en}"),
        "drawn": dated(report.surveyed),
        "total": _figure(sum(run["destroyed"] for run in runs)),
        "entries": _figure(len(runs)),
        "ledger": TEXTS["ledger verified"] if not report.ledger_error else TEXTS["ledger broken"],
    }
    return tuple(Fact(label=label, value=written.get(name)) for name, label in FACTS.items())


def _days_of(runs: list[dict[str, Any]]) -> Text | None:
    """The first and the last day on which anything was destroyed; the itemised list has each."""
    if not runs:
        return None
    first, last = (_dated_day(parse_iso(choose(run["at"] for run in runs))) for choose in (min, max))
    if first == last:
        return first
    return Text(id=f"{first.id} sampai {last.id}", en=f"{first.en} to {last.en}")


def _dated_day(instant: datetime) -> Text:
    """``Selasa, 24 November 2026``, in Jakarta."""
    local = instant.astimezone(_WIB)
    day, month = OUTCOMES["days"][local.weekday()], OUTCOMES["months"][local.month - 1]
    return Text(
        id=f"{day.id}, {local.day} {month.id} {local.year}",
        en=f"{day.en}, {local.day} {month.en} {local.year}",
    )


def _summary(runs: Iterable[Mapping[str, Any]], methods: Mapping[str, Mapping[str, str]]) -> Table:
    stores: dict[tuple[str, str, bool], list[Mapping[str, Any]]] = {}
    for run in runs:
        key = run["policy"] or "", run["target"] or "", run["kind"] == "rotation"
        stores.setdefault(key, []).append(run)
    columns = ("policy", "target", "basis", "records", "count", "method", "archive")
    return Table(
        caption=TEXTS["summary"],
        columns=tuple(TEXTS[name] for name in columns),
        rows=tuple(
            _summed(policy, target, found, methods) for (policy, target, _), found in sorted(stores.items())
        ),
    )


def _method(told: Mapping[str, str] | None) -> Text:
    return Text(id=told["id"], en=told["en"]) if told else METHOD


def _summed(
    policy: str, target: str, runs: list[Mapping[str, Any]], methods: Mapping[str, Mapping[str, str]]
) -> tuple[Text, ...]:
    rotated = any(run["kind"] == "rotation" for run in runs)
    days = {run["retention_days"] for run in runs if run.get("retention_days")}
    told = ", ".join(str(day) for day in sorted(days, reverse=True))
    basis = TEXTS["schedule"]
    return (
        _same(policy),
        _same(target or None),
        TEXTS["rotation rule"] if rotated else _filled(basis, days=told) if told else _same(None),
        _span(runs),
        _figure(sum(run["destroyed"] for run in runs)),
        _method(methods.get(policy)),
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
    return _filled(TEXTS["archive of"], count=count, runs=len(runs))


def _day(instant: str) -> str:
    """The day in Jakarta."""
    return f"{parse_iso(instant).astimezone(_WIB):%Y-%m-%d}"


def _minute(instant: str) -> str:
    return f"{parse_iso(instant).astimezone(_WIB):%Y-%m-%d %H:%M}"


def _conditions(report: Report) -> tuple[Condition, ...]:
    held = [row["held"] for row in report.stores if row["held"] is not None]
    rotated, found = _rotated(report), []
    for name, (text, evidence) in CONDITIONS.items():
        told = _filled(evidence, held=sum(held) if held else "-")
        if name == "period":
            told = _joined((told, *rotated))
        shown = name == "period" and not report.ledger_error and not rotated
        found.append(Condition(text=text, evidence=told, shown=shown))
    return tuple(found)


def _remarks(report: Report, runs: list[dict[str, Any]]) -> tuple[Text, ...]:
    names = ("how", "residual", "proved", "limits") if runs else ("limits",)
    return (*_unknown(report), *(TEXTS[name] for name in names))


def _unknown(report: Report) -> tuple[Text, ...]:
    """That more may be gone than the list says."""
    items = sum(run.get("unknown_items") or 0 for run in report.runs)
    if not items:
        return ()
    return (_filled(TEXTS["unknown"], count=_figure(items).id),)


def _rotated(report: Report) -> tuple[Text, ...]:
    """That some files went by another rule than the policy's."""
    items = sum(run["destroyed"] for run in report.records if run["kind"] == "rotation")
    return (_filled(TEXTS["rotation"], count=_figure(items).id),) if items else ()


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
