"""The step *prove*, and what every outcome says: figures become outcome, exit code and sentence. Pure.

Nothing here is worded by hand beside its figures: what is left, unknown, beyond the plan, late, pending or
held is counted first, and the sentence and the exit code are made from those counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from luxima_retention.core.errors import ExitCode
from luxima_retention.core.plan import Pending, Plan, Survey
from luxima_retention.core.results import Outcome, Proof, Totals

#: rules of a batch after which the record is counted elsewhere, or nowhere, by the second survey
_COUNTED_ELSEWHERE = frozenset({"hold", "locked", "vanished"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What figures come to.

    Args:
        outcome: for programs.
        sentence: for people.
        exit_code: what it asks for.
        hint: what would change it.
    """

    outcome: Outcome
    sentence: str
    exit_code: ExitCode = ExitCode.DONE
    hint: str | None = None


def prove(
    plan: Plan, before: Survey, totals: Totals, after: Survey, now: datetime, *, stopped: bool = False
) -> Proof:
    """Whether everything that had expired is accounted for.

    Both surveys counted with the same cutoff. What lies beyond the plan was never staged, so each record of
    the first count is destroyed, condemned, skipped by a rule, newly held or locked, gone by another hand,
    or still there; what is still there and none of these is unexplained. What the second survey finds
    besides arrived while the run was at work.

    Args:
        plan: what this run was allowed to do.
        before: the survey that the plan was made from.
        totals: what the batches did.
        after: the second survey.
        now: the program's clock, to tell what is overdue.
        stopped: whether the run ended in good order before its plan did; what is left waits for the next.
    """
    shortfall = max(0, plan.items - totals.items)
    explained, missing = _shortfall(shortfall, before, totals, after)
    beyond = min(plan.beyond, after.expired)
    found = after.expired - beyond
    still = min(found, missing)
    unexplained, waiting = (0, still) if stopped else (still, 0)
    skipped = min(found - still, _left_by_rule(totals.skipped))
    late = found - still - skipped
    told = {
        "stopped": waiting,
        "gone-by-another-hand": missing - still,
        "beyond-plan": beyond,
        "arrived-late": late,
    }
    explained |= {rule: items for rule, items in told.items() if items}
    proof = Proof(
        left=after.expired,
        explained=explained,
        unexplained=unexplained,
        unknown=after.unknown,
        skipped=skipped,
        held=after.held,
        locked=after.locked,
        pending=after.pending,
        overdue=sum(pending.items for pending in after.pending if pending.due <= now),
        oldest=after.oldest,
    )
    return replace(proof, sentence=remaining(proof))


def _shortfall(shortfall: int, before: Survey, totals: Totals, after: Survey) -> tuple[dict[str, int], int]:
    """Rule → records that it keeps among ``shortfall``, and how many are left over."""
    found = {
        **totals.skipped,
        "newly-held": max(0, after.held - before.held - totals.skipped.get("hold", 0)),
        "newly-locked": max(0, after.locked - before.locked - totals.skipped.get("locked", 0)),
    }
    explained: dict[str, int] = {}
    for rule, items in found.items():
        if taken := min(items, shortfall):
            explained[rule] = taken
            shortfall -= taken
    return explained, shortfall


def _left_by_rule(skipped: Mapping[str, int]) -> int:
    """Records that a batch left by a rule, and that the second survey still counts as expired."""
    return sum(items for rule, items in skipped.items() if rule not in _COUNTED_ELSEWHERE)


def remaining(proof: Proof) -> str:
    """What is left, in a sentence; "nothing expired is left" only where nothing is."""
    explained = proof.explained
    told = (
        (proof.unexplained, "expired records are left that nothing explains"),
        (proof.overdue, "condemned records are still there past their date"),
        (proof.unknown, _UNKNOWN),
        (explained.get("stopped"), "expired records remain for the next run"),
        (explained.get("arrived-late"), "records arrived during the run and wait for the next run"),
        (proof.skipped, "records changed during the run and wait for the next run"),
        (explained.get("beyond-plan"), "expired records are beyond the plan that was approved"),
    )
    left = [f"{count} {words}" for count, words in told if count]
    kept = _kept(proof.held, proof.locked, proof.pending)
    return "; ".join(left or ["nothing expired is left"]) + (f", besides {', '.join(kept)}" if kept else "")


_UNKNOWN = "records or objects could not be read or recognised"


def concluded(proof: Proof, totals: Totals, earlier: int = 0) -> Verdict:
    """What a run and its proof come to.

    Args:
        proof: of the second survey.
        totals: of this process.
        earlier: records that a killed process of the same run had destroyed.
    """
    outcome, code = _outcome(proof, totals)
    sentence = f"{_done(totals, earlier)}; {proof.sentence}"
    if totals.failures:
        more = totals.metrics.get("failures", 0) - 1
        sentence += f"; {totals.failures[0]}" + (f" (and {more} more)" if more > 0 else "")
    return Verdict(outcome=outcome, sentence=sentence, exit_code=code, hint=_HINTS.get(outcome))


def _outcome(proof: Proof, totals: Totals) -> tuple[Outcome, ExitCode]:
    """The worst of what the figures say decides."""
    if totals.failures:
        return Outcome.FAILED, ExitCode.INCOMPLETE
    if not proof.holds:
        return Outcome.VERIFICATION_FAILED, ExitCode.VERIFICATION_FAILED
    if proof.unknown:
        return Outcome.FAILED, ExitCode.INCOMPLETE
    if proof.explained.get("stopped"):
        return Outcome.STOPPED, ExitCode.STOPPED
    if proof.explained.get("arrived-late") or proof.skipped:
        return Outcome.BACKLOG, ExitCode.STOPPED
    return (Outcome.PENDING if totals.condemned else Outcome.DONE), ExitCode.DONE


_HINTS = {
    Outcome.VERIFICATION_FAILED: "see `luxima-retention explain` for a record that is left",
    Outcome.STOPPED: "the next run continues; --max-runtime gives it more time",
    Outcome.BACKLOG: "the next run takes them",
}


def _done(totals: Totals, earlier: int) -> str:
    told = [f"{totals.destroyed} records destroyed"] if totals.destroyed or not totals.condemned else []
    told += [f"{totals.condemned} condemned"] if totals.condemned else []
    before = f" ({earlier} more by the process of this run that was killed)" if earlier else ""
    return " and ".join(told) + before


def idle(plan: Plan, survey: Survey, paused_by: Iterable[str] = ()) -> Verdict:
    """What a plan of no records comes to, by what keeps those that have expired.

    Args:
        plan: of no records.
        survey: that it was made from.
        paused_by: ids of the holds that keep the whole policy.
    """
    pauses = tuple(paused_by)
    found = next((item for item in survey.findings if item.code == "not-applicable"), None)
    if survey.unknown:
        return unreadable(survey)
    if pauses:
        names = ", ".join(pauses)
        told = f"paused by hold {names}: {survey.held} expired records stay"
        return Verdict(outcome=Outcome.PAUSED, sentence=told)
    if plan.late:
        told = f"{plan.late} records arrived during the run and wait for the next run"
        return Verdict(outcome=Outcome.BACKLOG, sentence=told, exit_code=ExitCode.STOPPED)
    if plan.beyond:
        told = f"nothing to delete: {plan.beyond} expired records are beyond the plan that was approved"
        return Verdict(outcome=Outcome.NOTHING_TO_DO, sentence=told)
    if found is not None:
        return Verdict(outcome=Outcome.NOT_APPLICABLE, sentence=found.message, hint=found.hint)
    kept = _kept(survey.held, survey.locked, survey.pending)
    kept += [f"{survey.undated} undated"] if survey.undated else []
    kept += [f"{survey.future} dated in the future"] if survey.future else []
    told = "nothing has expired" + (f", besides {', '.join(kept)}" if kept else "")
    return Verdict(outcome=Outcome.NOTHING_TO_DO, sentence=told)


def unreadable(survey: Survey, also: str = "") -> Verdict:
    """What a survey comes to that could not read or recognise everything."""
    return Verdict(
        outcome=Outcome.FAILED,
        sentence=f"{survey.unknown} {_UNKNOWN}, so it is not known whether they have expired{also}",
        exit_code=ExitCode.INCOMPLETE,
        hint="see the findings of this target; `luxima-retention doctor` lists them too",
    )


def foretold(plan: Plan, survey: Survey, paused_by: Iterable[str], also: str) -> Verdict:
    """What a dry run comes to whose guards all pass.

    Args:
        plan: of any number of records.
        survey: that it was made from.
        paused_by: ids of the holds that keep the whole policy.
        also: what a real run would do besides; begins with ``; ``.
    """
    would = f"{plan.items} records would be deleted: {plan.disposition}"
    if survey.unknown:
        return unreadable(survey, f"; {would}{also}" if plan.items else also)
    if plan.items or plan.late:
        later = f"; {plan.late} more arrived since that run began and wait for the next one"
        return Verdict(outcome=Outcome.WOULD_DELETE, sentence=would + also + (later if plan.late else ""))
    verdict = idle(plan, survey, paused_by)
    return replace(verdict, sentence=verdict.sentence + also)


def _kept(held: int, locked: int, pending: tuple[Pending, ...]) -> list[str]:
    kept = [f"{count} {word}" for count, word in ((held, "held"), (locked, "locked")) if count]
    if waiting := sum(item.items for item in pending):
        until = max(item.due for item in pending)
        kept.append(f"{waiting} pending until {until:%Y-%m-%d %H:%M} UTC")
    return kept
