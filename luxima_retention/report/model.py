"""The report's figures, from the ledger's entries and a fresh survey. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from luxima_retention.clock import iso
from luxima_retention.ledger import Entry
from luxima_retention.results import PolicyResult, RunResult, TargetResult

_RUNS = frozenset({"run.completed", "run.refused", "run.checked", "run.reconciled", "slot.missed"})
_EXCEPTIONS = frozenset({"run.refused", "run.reconciled", "slot.missed", "approval"})


class Verdict(StrEnum):
    """The report in a word."""

    NOTHING_YET = "nothing yet"
    COMPLIANT = "compliant"
    EXCEPTIONS = "compliant with exceptions"
    NOT_COMPLIANT = "not compliant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What every format renders.

    Args:
        start, end: of the period; the end is outside of it.
        ledger_error: why the ledger cannot be trusted; ``None`` when it was verified.
        entries: of the ledger as a whole.
        stores: the matrix, a row for each store surveyed.
        runs: the population, missed slots included.
        exceptions: those of the runs, and of the approvals, that somebody must look at.
    """

    start: datetime
    end: datetime
    surveyed: datetime
    ledger_error: str | None
    entries: int
    stores: tuple[dict[str, Any], ...]
    runs: tuple[dict[str, Any], ...]
    exceptions: tuple[dict[str, Any], ...]

    @property
    def verdict(self) -> Verdict:
        """The worst that was found."""
        if self.ledger_error or any(_failed(row) for row in (*self.runs, *self.stores)):
            return Verdict.NOT_COMPLIANT
        if not self.runs:
            return Verdict.NOTHING_YET
        if self.exceptions or any(_open(row) for row in self.stores):
            return Verdict.EXCEPTIONS
        return Verdict.COMPLIANT

    def as_json(self) -> dict[str, Any]:
        """JSON values; the counts are those of the four tiles."""
        return {
            "version": 1,
            "from": iso(self.start),
            "to": iso(self.end),
            "surveyed": iso(self.surveyed),
            "verdict": str(self.verdict),
            "destroyed": sum(row["destroyed"] for row in self.runs),
            "expired": _known(self.stores, "expired"),
            "held": _known(self.stores, "held"),
            "ledger": {"entries": self.entries, "error": self.ledger_error},
            "stores": list(self.stores),
            "runs": list(self.runs),
            "exceptions": list(self.exceptions),
        }


def _known(stores: Iterable[Mapping[str, Any]], name: str) -> int | None:
    """The sum over the stores that were surveyed; ``None`` when none was, which is not nought."""
    values = [row[name] for row in stores if row[name] is not None]
    return sum(values) if values else None


def build(
    entries: Iterable[Entry], survey: RunResult, start: datetime, end: datetime, ledger_error: str | None
) -> Report:
    """The report about ``start`` ≤ entry < ``end``; ``survey`` is a dry run."""
    runs, exceptions, count = [], [], 0
    for entry in entries:
        count += 1
        if not start <= entry.at < end:
            continue
        if entry.kind in _RUNS:
            runs.append(_run(entry))
        if entry.kind in _EXCEPTIONS or entry.body.get("exit_code"):
            exceptions.append(_run(entry))
    return Report(
        start=start,
        end=end,
        surveyed=survey.now,
        ledger_error=ledger_error,
        entries=count,
        stores=tuple(row for policy in survey.policies for row in _stores(policy)),
        runs=tuple(runs),
        exceptions=tuple(exceptions),
    )


def _run(entry: Entry) -> dict[str, Any]:
    body = entry.body
    return {
        "seq": entry.seq,
        "at": iso(entry.at),
        "kind": entry.kind,
        "policy": entry.policy,
        "target": body.get("target"),
        "run_id": body.get("run_id"),
        "outcome": body.get("outcome"),
        "exit_code": body.get("exit_code"),
        "cutoff": body.get("cutoff"),
        "planned": body.get("planned"),
        "destroyed": body.get("destroyed", 0),
        "missed": body.get("missed"),
        "hash": entry.hash,
    }


def _stores(policy: PolicyResult) -> list[dict[str, Any]]:
    targets = policy.targets or (
        TargetResult(target="", word=policy.word, exit_code=policy.exit_code, sentence=policy.sentence),
    )
    return [_store(policy, target) for target in targets]


def _store(policy: PolicyResult, target: TargetResult) -> dict[str, Any]:
    """One row; what was not surveyed is ``None``, never nought."""
    found = target.survey or target.plan
    return {
        "policy": policy.policy,
        "target": target.target,
        "retention_days": policy.retention_days,
        "word": str(target.word),
        "exit_code": int(target.exit_code),
        "oldest": iso(found.oldest) if found and found.oldest else None,
        "expired": target.plan.items if target.plan else None,
        "held": found.held if found else None,
        "sentence": target.sentence,
    }


def _open(row: dict[str, Any]) -> bool:
    """Not surveyed, not configured, or with expired records that are still there."""
    return bool(row["exit_code"] or row["expired"] or row["word"] == "not configured")


def _failed(row: dict[str, Any]) -> bool:
    """Fault, unproven or drift: exit codes 1, 6 and 8."""
    return row["exit_code"] in {1, 6, 8}
