"""The step *prove*: compares what a second survey found with what was planned and done. Pure."""

from __future__ import annotations

from datetime import datetime

from luxima_retention.core.plan import Plan, Survey
from luxima_retention.core.results import Proof, Totals


def prove(
    plan: Plan, before: Survey, totals: Totals, after: Survey, now: datetime, *, stopped: bool = False
) -> Proof:
    """Whether everything that had expired is accounted for.

    Both surveys counted with the same cutoff. What went beyond ``plan.items`` was never staged, so each
    record of the first count is destroyed, condemned, skipped by a rule, newly held or locked, gone by
    another hand, or still there; what is still there and none of these is unexplained.

    Args:
        plan: what this run was allowed to do.
        before: the survey that the plan was made from.
        totals: what the batches did.
        after: the second survey.
        now: the program's clock, to tell what is overdue.
        stopped: whether the run ended in good order before its plan did; what is left waits for the next.
    """
    beyond = max(0, before.expired - plan.items)
    shortfall = max(0, plan.items - totals.items)
    explained, missing = _shortfall(shortfall, before, totals, after)
    left = max(0, after.expired - beyond)
    if not shortfall:
        # Everything that was counted is dealt with, so what is found now came after the first count.
        explained |= {"arrived-late": left} if left else {}
        unexplained = 0
    else:
        unexplained = min(left, missing)
        if stopped and unexplained:
            explained["stopped"], missing, unexplained = unexplained, missing - unexplained, 0
        if gone := missing - unexplained:
            explained["gone-by-another-hand"] = gone
    explained |= {"beyond-plan": beyond} if beyond else {}
    overdue = sum(pending.items for pending in after.pending if pending.due <= now)
    return Proof(
        left=after.expired,
        explained=explained,
        unexplained=unexplained,
        pending=after.pending,
        overdue=overdue,
        oldest=after.oldest,
        sentence=_sentence(after, unexplained, overdue, explained.get("stopped", 0)),
    )


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


def _sentence(after: Survey, unexplained: int, overdue: int, waiting_for_next: int) -> str:
    if unexplained:
        return f"{unexplained} expired records are left that nothing explains"
    if overdue:
        return f"{overdue} condemned records are still there past their date"
    if waiting_for_next:
        return f"{waiting_for_next} expired records remain for the next run"
    kept = [f"{count} {word}" for count, word in ((after.held, "held"), (after.locked, "locked")) if count]
    waiting = sum(pending.items for pending in after.pending)
    kept += [f"{waiting} pending until {after.pending[0].due:%Y-%m-%d %H:%M} UTC"] if waiting else []
    return "nothing expired is left" + (", besides " + ", ".join(kept) if kept else "")
