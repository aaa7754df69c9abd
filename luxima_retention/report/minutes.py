"""The *berita acara pemusnahan*, the minutes of destruction, as a structure that each format lays out. Pure.

Sources: UU 8/1997 on company documents, minimum content of the minutes (place, day, date, month, year; how
it was carried out; signature and clear name of the executing officer and of the witnesses; itemised list
attached). PP 87/1999 article 10(1), the five conditions. UU 27/2022 articles 42 to 44, the end of processing
and destruction by a retention schedule. For public bodies: UU 43/2009 article 51, PP 28/2012.

Records that went into an archive are not destroyed: they were moved, and the minutes of the month in which
the archive's own period ends have the destruction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from luxima_retention import __version__
from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.report.minutes_texts import (
    CONDITIONS,
    COPIES,
    COPIES_OF,
    FACTS,
    LAW,
    METHOD,
    OUTCOMES,
    PUBLIC_CONDITIONS,
    PUBLIC_LAW,
    PUBLIC_SIGNERS,
    SIGNERS,
    TEXTS,
    UNIT,
    UNITS,
    Text,
)
from luxima_retention.report.model import Report
from luxima_retention.report.texts import WIB, number


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
    """A block to sign: the role, who has it if the settings say so, and the labels of its empty lines."""

    role: Text
    named: str
    lines: tuple[Text, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Minutes:
    """What a format lays out, in this order; ``signatures`` is empty when there is nothing to sign for.

    Args:
        warning: why these minutes must not be signed; ``None`` when they may be.
        opening: the sentences before the form.
        facts: the form.
        summary: what was destroyed or moved, by store.
        copies: what may remain of it, by policy.
        law: that the conditions stand in.
        conditions: of the law.
        remarks: how it was carried out, what is proved and what is not.
        items: the itemised list (*daftar pertelaan*), a row for each entry of the ledger.
    """

    title: Text
    warning: Text | None
    opening: tuple[Text, ...]
    facts: tuple[Fact, ...]
    summary: Table
    copies: Table
    law: Text
    conditions: tuple[Condition, ...]
    remarks: tuple[Text, ...]
    signatures: tuple[Signature, ...]
    items: Table


def minutes(report: Report) -> Minutes:
    """The minutes of everything that the report's runs destroyed or moved, and of archives that ended."""
    gone = [run for run in report.records if run["destroyed"]]
    runs = [*gone, *(_ended_run(row) for row in report.ended if row["items"])]
    return Minutes(
        title=TEXTS["title"],
        warning=_warning(report),
        opening=(_opening(report) if runs else TEXTS["nothing"],),
        facts=_facts(report, runs),
        summary=_summary(report, runs),
        copies=_copies(report, runs),
        law=PUBLIC_LAW if report.letterhead.public_body else LAW,
        conditions=_conditions(report) if runs else (),
        remarks=_remarks(report, runs),
        signatures=_signatures(report) if runs and not report.ledger_error else (),
        items=_items(runs),
    )


def _ended_run(row: Mapping[str, Any]) -> dict[str, Any]:
    """The end of an archive as a row among the runs."""
    return {
        **row,
        "target": row["manifest"],
        "destroyed": row["items"] or 0,
        "archived": 0,
        "cutoff": row["keep_until"],
    }


def _opening(report: Report) -> Text:
    place = report.letterhead.place or TEXTS["blank"].id
    return _filled(TEXTS["opening"], place=place)


def dated(instant: datetime) -> Text:
    """``Selasa, 24 November 2026 pukul 09.00 WIB (02:00 UTC)``."""
    local = instant.astimezone(WIB)
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


def _counted(text: Text, count: int) -> Text:
    return Text(id=text.id.format(count=number(count, "id")), en=text.en.format(count=number(count, "en")))


def _joined(texts: Iterable[Text]) -> Text:
    found = list(texts)
    return Text(id=" ".join(text.id for text in found), en=" ".join(text.en for text in found))


def _figure(count: int, unit: Text | None = None) -> Text:
    """``1.234.567 baris``, and ``1,234,567 rows``."""
    told = Text(id=number(count, "id"), en=number(count, "en"))
    return Text(id=f"{told.id} {unit.id}", en=f"{told.en} {unit.en}") if unit else told


def _unit(report: Report, run: Mapping[str, Any]) -> Text:
    """What one record of a run is."""
    if run["kind"] == "rotation":
        return UNITS["logfiles"]
    known = report.about.get(run["policy"] or "")
    return UNITS.get(known.kind, UNIT) if known else UNIT


def _warning(report: Report) -> Text | None:
    if not report.ledger_error:
        return None
    text = TEXTS["broken"]
    return Text(id=f"{text.id} {report.ledger_error}", en=f"{text.en} {report.ledger_error}")


def _facts(report: Report, runs: list[dict[str, Any]]) -> tuple[Fact, ...]:
    start, end = dated(report.start), dated(report.end)
    program = f"luxima-retention {__version__}"
    head = report.letterhead
    written = {
        **{name: _same(getattr(head, name)) for name in _OF_HEAD if getattr(head, name)},
        **({"retention schedule": _same(head.schedule)} if head.schedule else {}),
        "destroyed": _days_of(runs),
        "officer": Text(id=f"{program}, secara otomatis", en=f"{program}, automatically"),
        "period": Text(id=f"{start.id} sampai sebelum {end.id}", en=f"{start.en} until before {end.en}"),
        "drawn": dated(report.surveyed),
        "total": _figure(sum(run["destroyed"] - run["archived"] for run in runs), UNIT),
        "moved": _figure(sum(run["archived"] for run in runs), UNIT),
        "entries": _figure(len(runs)),
        "ledger": TEXTS["ledger verified"] if not report.ledger_error else TEXTS["ledger broken"],
    }
    return tuple(Fact(label=label, value=written.get(name)) for name, label in FACTS.items())


_OF_HEAD = ("company", "controller", "place", "number")


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
    local = instant.astimezone(WIB)
    day, month = OUTCOMES["days"][local.weekday()], OUTCOMES["months"][local.month - 1]
    return Text(
        id=f"{day.id}, {local.day} {month.id} {local.year}",
        en=f"{day.en}, {local.day} {month.en} {local.year}",
    )


def _summary(report: Report, runs: Iterable[Mapping[str, Any]]) -> Table:
    stores: dict[tuple[str, str, str, bool], list[Mapping[str, Any]]] = {}
    for run in runs:
        target = run["target"] or ""
        of_archive = run["kind"] == "archive.expired"
        key = run["policy"] or "", "" if of_archive else target, run["kind"], bool(run["archived"])
        simple = (key[0], key[1], "run" if key[2].startswith("run.") else key[2], key[3])
        stores.setdefault(simple, []).append(run)
    columns = ("policy", "target", "basis", "records", "count", "what", "method")
    return Table(
        caption=TEXTS["summary"],
        columns=tuple(TEXTS[name] for name in columns),
        rows=tuple(_summed(report, key[0], key[1], found) for key, found in sorted(stores.items())),
    )


def _summed(report: Report, policy: str, target: str, runs: list[Mapping[str, Any]]) -> tuple[Text, ...]:
    known = report.about.get(policy)
    method = known.method if known else None
    return (
        _same(policy),
        _same(target) if target else TEXTS["archive"],
        _basis(runs, known.basis if known else ""),
        _span(runs),
        _figure(sum(run["destroyed"] for run in runs), _unit(report, runs[0])),
        _what(runs),
        Text(id=method["id"], en=method["en"]) if method else METHOD,
    )


def _basis(runs: Iterable[Mapping[str, Any]], basis: str) -> Text:
    """What the destruction rests on: the matrix's basis, and the period in force."""
    found = list(runs)
    if found[0]["kind"] == "rotation":
        return TEXTS["rotation rule"]
    if found[0]["kind"] == "archive.expired":
        return TEXTS["archive period"]
    days = {run["retention_days"] for run in found if run.get("retention_days")}
    told = ", ".join(str(day) for day in sorted(days, reverse=True))
    named = (_same(basis),) if basis else ()
    parts = (*named, *((_filled(TEXTS["schedule"], days=told),) if told else ()))
    if not parts:
        return _same(None)
    return Text(id="; ".join(part.id for part in parts), en="; ".join(part.en for part in parts))


def _what(runs: Iterable[Mapping[str, Any]], moved: str = "moved") -> Text:
    """Destroyed, moved to the archive, or destroyed with its archive."""
    found = list(runs)
    if found[0]["kind"] == "archive.expired":
        return TEXTS["ended"]
    if not any(run["archived"] for run in found):
        return TEXTS["gone"]
    until = max((run["kept_until"] for run in found if run.get("kept_until")), default=None)
    return _filled(TEXTS[moved], day=_day(until)) if until else TEXTS["moved undated"]


def _copies(report: Report, runs: Iterable[Mapping[str, Any]]) -> Table:
    """For each policy that lost records: its kinds of copies, each with the day by which it is gone."""
    last: dict[str, str] = {}
    for run in runs:
        policy = run["policy"] or ""
        last[policy] = max(run["at"], last.get(policy, run["at"]))
    rows = [
        (_same(policy), COPIES[name], _copy(report, name, last[policy]))
        for policy, about in report.about.items()
        if policy in last
        for name in COPIES_OF.get(about.kind, tuple(COPIES))
    ]
    columns = tuple(TEXTS[name] for name in ("policy", "copy", "copy gone"))
    return Table(caption=TEXTS["copies"], columns=columns, rows=tuple(rows))


def _copy(report: Report, name: str, last: str) -> Text:
    days = report.letterhead.copies.get(name)
    if days is None:
        return TEXTS["copy unknown"]
    return _filled(TEXTS["copy stated"], day=_day(iso(parse_iso(last) + timedelta(days=days))))


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


def _day(instant: str) -> str:
    """The day in Jakarta."""
    return f"{parse_iso(instant).astimezone(WIB):%Y-%m-%d}"


def _minute(instant: str) -> str:
    return f"{parse_iso(instant).astimezone(WIB):%Y-%m-%d %H:%M}"


def _conditions(report: Report) -> tuple[Condition, ...]:
    held = [row["held"] for row in report.stores if row["held"] is not None]
    rotated, found = _rotated(report), []
    conditions = PUBLIC_CONDITIONS if report.letterhead.public_body else CONDITIONS
    for name, (text, evidence) in conditions.items():
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
    return (_counted(TEXTS["unknown"], items),)


def _rotated(report: Report) -> tuple[Text, ...]:
    """That some files went by another rule than the policy's."""
    items = sum(run["destroyed"] for run in report.records if run["kind"] == "rotation")
    return (_counted(TEXTS["rotation"], items),) if items else ()


def _signatures(report: Report) -> tuple[Signature, ...]:
    """A block for each role; names that the settings give stand in it."""
    lines = tuple(TEXTS[name] for name in ("name", "position", "signature", "place and date"))
    roles = PUBLIC_SIGNERS if report.letterhead.public_body else SIGNERS
    named = (*report.letterhead.officials, *("",) * len(roles))
    return tuple(
        Signature(role=role, named=name, lines=lines[2:] if name else lines)
        for role, name in zip(roles, named, strict=False)
    )


def _items(runs: Iterable[Mapping[str, Any]]) -> Table:
    columns = ("seq", "at", "policy", "target", "records", "cutoff", "what", "count", "hash")
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
        _what([run], "moved item"),
        _figure(run["destroyed"]),
        _same(run["hash"]),
    )
