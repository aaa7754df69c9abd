"""The report's figures, from the ledger's entries and a fresh survey. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from luxima_retention import __version__
from luxima_retention.core.about import About
from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import RetentionError
from luxima_retention.core.results import Outcome, RunResult
from luxima_retention.evidence.ledger import Entry
from luxima_retention.report import matrix_rows, rules
from luxima_retention.report.exceptions import found
from luxima_retention.report.settle import settled
from luxima_retention.report.texts import WIB, sentence
from luxima_retention.report.told import Told

Row = dict[str, Any]

#: what an entry that another program wrote makes of our reading
_NOT_OURS = (KeyError, TypeError, ValueError, AttributeError)


class Verdict(StrEnum):
    """The report in a word."""

    NOTHING_YET = "nothing yet"
    COMPLIANT = "compliant"
    EXCEPTIONS = "compliant with exceptions"
    NOT_COMPLIANT = "not compliant"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """What verifying the ledger showed.

    Args:
        size: entries verified; ``None`` when verification failed.
        root: RFC 6962 tree hash over them, hex.
        head: hash of the last one, hex.
        signed: entries under the newest trusted checkpoint.
        checkpoints: how many agree.
        key: the verifier key, if any is trusted.
        pinned: whether the settings pin it.
        anchors: places beyond the database's reach that were compared.
    """

    size: int | None = None
    root: str = ""
    head: str = ""
    signed: int = 0
    checkpoints: int = 0
    key: str | None = None
    pinned: bool = False
    anchors: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that repeats the verification."""
        return "luxima-retention ledger verify" + (f" --key '{self.key}'" if self.key else "")


#: the scheduled times after one instant, up to another
Slots = Callable[[datetime, datetime], Sequence[datetime]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """What the settings say for the minutes; what is empty is filled in by hand.

    Args:
        company: whose records they are.
        controller: of personal data.
        place: where the systems stand.
        number: of the minutes.
        schedule: number and date of the retention schedule.
        officials: who signs, in the order of the blocks: ``Name, position``.
        public_body: whether the law on public archives applies, and not that on company documents.
        copies: kind of copy → days after which it is gone, as the settings state.
    """

    company: str = ""
    controller: str = ""
    place: str = ""
    number: str = ""
    schedule: str = ""
    officials: tuple[str, ...] = ()
    public_body: bool = False
    copies: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the settings say about times, and for the minutes.

    Args:
        slots: policy → the scheduled times of its runs after one instant, up to another.
        archived: policy → days that its archive is kept; policies without one are not in it.
        letterhead: for the minutes.
    """

    slots: Mapping[str, Slots] = field(default_factory=dict)
    archived: Mapping[str, int] = field(default_factory=dict)
    letterhead: Letterhead = field(default_factory=Letterhead)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What every format renders. Rows are JSON values; instants in them are ISO 8601, UTC.

    Args:
        start, end: of the period; the end is outside of it.
        surveyed: when; the one reading of the clock.
        ledger_error: why the ledger cannot be trusted; ``None`` when it was verified.
        entries: of the ledger as a whole, as far as it could be read.
        stores: the matrix, a row for each store surveyed; see :mod:`.matrix_rows`.
        runs: the population, missed slots and runs that never ended included; see :mod:`.told`.
        exceptions: what somebody must look at; see :mod:`.exceptions`.
        begun: whether any run stands in the ledger before the end of the period.
        ledger: what its verification showed.
        weeks: ISO weeks (WIB) of the period: ``destroyed``, ``runs``, ``missed`` and ``refused``, as a whole
            and by policy.
        guards: what guards refused, and what somebody named to let a run go on.
        holds: those in force at any time of the period.
        archives: written, restored and expired.
        clocks: the largest skew for each store.
        rules: each well-known rule against the matrix; see :mod:`.rules`.
        about: policy → what it is; in the order of the matrix.
        letterhead: what the settings say for the minutes.
    """

    start: datetime
    end: datetime
    surveyed: datetime
    ledger_error: str | None
    entries: int
    stores: tuple[Row, ...]
    runs: tuple[Row, ...]
    exceptions: tuple[Row, ...]
    begun: bool = False
    ledger: LedgerState = field(default_factory=LedgerState)
    weeks: tuple[Row, ...] = ()
    guards: tuple[Row, ...] = ()
    holds: tuple[Row, ...] = ()
    archives: tuple[Row, ...] = ()
    clocks: tuple[Row, ...] = ()
    rules: tuple[Row, ...] = ()
    about: Mapping[str, About] = field(default_factory=dict)
    letterhead: Letterhead = field(default_factory=Letterhead)

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies in the order of the matrix, then those that only the ledger knows."""
        return tuple(dict.fromkeys((*self.about, *(row["policy"] or "" for row in self.runs))))

    @property
    def verdict(self) -> Verdict:
        """The worst that was found. Before the first run there is nothing to judge but the ledger."""
        if self.ledger_error:
            return Verdict.NOT_COMPLIANT
        if not self.begun and not self.runs:
            return Verdict.NOTHING_YET
        if any(item.get("failed") for item in self.exceptions):
            return Verdict.NOT_COMPLIANT
        return Verdict.EXCEPTIONS if self.exceptions else Verdict.COMPLIANT

    @property
    def records(self) -> tuple[Row, ...]:
        """The destruction records: runs that destroyed, archived or condemned anything."""
        return tuple(row for row in self.runs if row["destroyed"] or row.get("condemned"))

    @property
    def ended(self) -> tuple[Row, ...]:
        """Archives that were destroyed, since their own retention was over."""
        return tuple(row for row in self.archives if row["kind"] == "archive.expired")

    @property
    def gone(self) -> int:
        """Records that are gone for good: destroyed without an archive, or with their archive."""
        return sum(int(row["destroyed"] - row["archived"]) for row in self.runs) + self.archives_ended

    @property
    def archives_ended(self) -> int:
        """Records of the archives that were destroyed."""
        return sum(row["items"] or 0 for row in self.ended)

    @property
    def archived(self) -> int:
        """Records that were moved to the archive, and are kept there."""
        return sum(row["archived"] for row in self.runs)

    @property
    def queries(self) -> tuple[Row, ...]:
        """The parameters of each survey, and what it counted."""
        names = ("policy", "target", "retention_days", "cutoff", "evidence")
        counts = ("population", "expired", "held", "locked", "undated", "future", "pending")
        return tuple({name: row.get(name) for name in (*names, *counts)} for row in self.stores)

    def as_json(self) -> dict[str, Any]:
        """JSON values; the counts are those of the four tiles."""
        return {
            "version": 1,
            "program": __version__,
            "from": iso(self.start),
            "to": iso(self.end),
            "surveyed": iso(self.surveyed),
            "verdict": str(self.verdict),
            "destroyed": self.gone,
            "archived": self.archived,
            "archives_ended": self.archives_ended,
            "removed": sum(row["destroyed"] for row in self.runs),
            "condemned": sum(row.get("condemned") or 0 for row in self.runs),
            "expired": _sum(self.stores, "expired"),
            "overdue": _sum(self.stores, "overdue"),
            "held": _sum(self.stores, "held"),
            "missed": sum(row["missed"] or 0 for row in self.runs),
            "ledger": self._ledger(),
            "stores": list(self.stores),
            "runs": list(self.runs),
            "exceptions": list(self.exceptions),
            "weeks": list(self.weeks),
            "guards": list(self.guards),
            "holds": list(self.holds),
            "archives": list(self.archives),
            "clocks": list(self.clocks),
            "queries": list(self.queries),
            "rules": list(self.rules),
        }

    def _ledger(self) -> Row:
        state = self.ledger
        told: Row = {name: getattr(state, name) for name in state.__slots__}
        told |= {"anchors": list(state.anchors), "command": state.command}
        return {"entries": self.entries, "error": self.ledger_error, **told}


def _sentenced(item: Row, owner: str, *, begun: bool) -> Row:
    """With its sentences; before the first run a backlog is work to do, and breaks nothing yet."""
    told = {lang: sentence(item, lang) for lang in ("id", "en")}
    settle = {lang: settled(item["code"], owner, lang) for lang in ("id", "en")}
    return {**item, "failed": item["failed"] and begun, "sentence": told, "settle": settle}


def _sum(stores: Iterable[Row], name: str) -> int | None:
    """The sum over the stores that were surveyed; ``None`` when none was, which is not nought."""
    values = [row[name] for row in stores if row.get(name) is not None]
    return sum(values) if values else None


def build(
    entries: Iterable[Entry],
    survey: RunResult,
    start: datetime,
    end: datetime,
    ledger_error: str | None = None,
    *,
    ledger: LedgerState | None = None,
    late: RunResult | None = None,
    terms: Terms | None = None,
) -> Report:
    """The report about ``start`` ≤ entry < ``end``.

    Args:
        entries: the ledger, whole; if reading it fails, the report says so and holds what came before.
        survey: a dry run.
        start: of the period.
        end: of the period; outside of it.
        ledger_error: why verification failed, if it did.
        ledger: what verification showed.
        late: see :func:`.matrix_rows.rows`.
        terms: of the settings.
    """
    ledger, terms = ledger or LedgerState(), terms or Terms()
    told = Told(start, end)
    unread = _read(entries, told, ledger.size)
    stores = tuple(matrix_rows.rows(survey, late))
    until = min(end, survey.now)
    population = (*told.runs(), *_silent(stores, told, terms, until))
    runs = tuple(filter(None, (_within(row, start) for row in population)))
    return Report(
        start=start,
        end=end,
        surveyed=survey.now,
        ledger_error=ledger_error or unread,
        entries=told.count,
        stores=stores,
        runs=runs,
        exceptions=tuple(_exceptions(survey, stores, runs, told, until)),
        begun=told.begun,
        ledger=ledger,
        weeks=tuple(_weeks(runs, start, until)),
        guards=tuple(told.guards),
        holds=told.holds(),
        archives=told.archives(),
        clocks=tuple(_clocks(stores, told)),
        rules=tuple(rules.compared(_concerned(survey), terms.archived)),
        about={policy.policy: policy.about for policy in survey.policies},
        letterhead=terms.letterhead,
    )


def _exceptions(
    survey: RunResult, stores: tuple[Row, ...], runs: tuple[Row, ...], told: Told, until: datetime
) -> Iterator[Row]:
    """What somebody has to look at, worst first, with its sentences."""
    owners = {policy.policy: policy.about.owner for policy in survey.policies}
    rows = found(
        stores,
        runs,
        told.resumed,
        told.guards,
        told.archives(),
        missing=told.missing,
        holds=told.unreviewed(until),
        order=tuple(owners),
    )
    for item in rows:
        yield _sentenced(item, owners.get(item["policy"] or "", ""), begun=told.begun)


def _concerned(survey: RunResult) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Policy → its period, and the rules that may concern it."""
    return {policy.policy: (policy.retention_days, policy.about.rules) for policy in survey.policies}


def _read(entries: Iterable[Entry], told: Told, size: int | None) -> str | None:
    """Read as far as it goes, and no further than was verified; why it stopped, if it should not have."""
    try:
        for entry in entries:
            if size is not None and entry.seq > size:
                return None
            told.add(entry)
    except RetentionError as error:
        return error.message
    except _NOT_OURS as error:
        return f"entry {told.count} is not what this program writes: {type(error).__name__} {error}"
    return None


def _silent(stores: Iterable[Row], told: Told, terms: Terms, until: datetime) -> Iterator[Row]:
    """What no entry tells: policies that never ran, and runs that were due since the last one."""
    targets: dict[str, list[str]] = {}
    for row in stores:
        if row["outcome"] not in {Outcome.NOT_CONFIGURED, Outcome.NOT_APPLICABLE}:
            answered = [row["target"]] if row["skew_seconds"] is not None else []
            targets[row["policy"]] = targets.get(row["policy"], []) + answered
    for policy in targets if told.begun else ():
        slots = terms.slots.get(policy, _none)
        whole = _gap(policy, None, told.last_slot.get(policy), slots, until)
        lasts = ((target, told.last_of.get((policy, target))) for target in targets[policy])
        of_targets = (_gap(policy, target, last, slots, until) for target, last in lasts)
        yield from filter(None, of_targets if whole is None else (whole,))


def _gap(policy: str, target: str | None, last: datetime | None, slots: Slots, until: datetime) -> Row | None:
    """The runs that were due since the last one; ``None`` where none was."""
    row = dict.fromkeys(_RUN) | _NO_RUN | {"at": iso(until), "policy": policy, "target": target}
    if last is None:
        return row | {"kind": "never"}
    due = slots(last, until)
    if not due:
        return None
    times = {"first_missed": iso(due[0]), "last_missed": iso(due[-1])}
    return row | {"kind": "slot.missed", "missed": len(due), "since": iso(last), **times}


def _none(_after: datetime, _until: datetime) -> Sequence[datetime]:
    return ()


def _within(row: Row, start: datetime) -> Row | None:
    """A gap that began before the period, with what of it lies within; every other row as it is."""
    if not row["missed"] or not row["since"] or parse_iso(row["since"]) >= start:
        return row
    within = [slot for slot in _slots(row) if slot >= start]
    if not within:
        return None
    first = row["first_missed"] and iso(within[0])
    return row | {"missed": len(within), "since": iso(start), "first_missed": first}


def _slots(row: Row) -> Iterator[datetime]:
    """When the runs of a gap should have been: between the first and the last that are known, evenly.

    An entry of an older program knows neither: then they are spread over the time that the gap lasted.
    """
    at, count = parse_iso(row["at"]), row["missed"] or 0
    if row.get("first_missed") and row.get("last_missed"):
        first, last = parse_iso(row["first_missed"]), parse_iso(row["last_missed"])
        yield from (first + (last - first) * number / max(1, count - 1) for number in range(count))
        return
    since = parse_iso(row["since"]) if row["since"] else at
    yield from (since + (at - since) * number / (count + 1) for number in range(1, count + 1))


#: members of every row of the population
_RUN = (
    *("seq", "at", "kind", "policy", "target", "run_id", "outcome", "exit_code", "retention_days", "cutoff"),
    *("fingerprint", "method", "digest", "planned", "destroyed", "condemned", "earlier", "batches", "bytes"),
    *("first", "last", "held", "locked", "undated", "failures", "left", "unexplained", "explained"),
    *("oldest_left", "gone_by", "archive", "archive_sha256", "guards", "passed", "holds", "resumed"),
    *("rotated", "unknown_batch", "unknown_items", "missed", "since", "hash"),
    *("first_missed", "last_missed", "error", "archived", "kept_until"),
)
#: what they hold where no entry stands for the row
_NO_RUN: Row = {
    **dict.fromkeys(("destroyed", "condemned", "batches", "archived"), 0),
    **{name: {} for name in ("passed", "explained")},
    **{name: [] for name in ("guards", "holds")},
    "resumed": False,
}


def _weeks(runs: Iterable[Row], start: datetime, until: datetime) -> Iterator[Row]:
    """Every ISO week of Jakarta that the period touches, empty ones included."""
    weeks: dict[date, Row] = {}
    start, until = start.astimezone(WIB), until.astimezone(WIB)
    monday = start.date() - timedelta(days=start.weekday())
    while monday <= until.date() and (monday < until.date() or until.time() != until.min.time()):
        year, number, _ = monday.isocalendar()
        named = {"week": f"{year}-W{number:02}", "monday": monday.isoformat(), "policies": {}}
        weeks[monday] = named | dict.fromkeys(_COUNTED, 0)
        monday += timedelta(days=7)
    first = min(weeks, default=monday)
    for row in runs:
        for day, counts in _days(row):
            if week := weeks.get(max(first, day - timedelta(days=day.weekday()))):
                policy = week["policies"].setdefault(row["policy"] or "", dict.fromkeys(_COUNTED, 0))
                for name, count in counts.items():
                    week[name] += count
                    policy[name] += count
    yield from weeks.values()


_COUNTED = ("destroyed", "runs", "missed", "refused")


def _days(row: Row) -> Iterator[tuple[date, Row]]:
    """The days that a row counts on: a run on its own, a gap spread over the time that it lasted."""
    yield (
        parse_iso(row["at"]).astimezone(WIB).date(),
        {
            "destroyed": row["destroyed"],
            "runs": int(row["kind"].startswith("run.")),
            "refused": int(row["kind"] == "run.refused"),
        },
    )
    for slot in _slots(row):
        yield slot.astimezone(WIB).date(), {"missed": 1}


def _clocks(stores: Iterable[Row], told: Told) -> Iterator[Row]:
    """What the ledger's runs and this survey tell about each store's clock."""
    surveyed = {(row["policy"], row["target"]): row["skew_seconds"] for row in stores}
    for policy, target in sorted({*surveyed, *told.skews}):
        skew = told.skews.get((policy, target), {"measured": 0, "largest": None, "at": None})
        if target:
            yield {"policy": policy, "target": target, **skew, "survey": surveyed.get((policy, target))}
