"""The promises of an Expirable store, tried on any store through a small harness.

A room imports :func:`promises` and calls each with its own :class:`Harness`; the table says which store it
is, how records get into it, and what is left in it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from luxima_retention.core.plan import Hold, Plan, Request, Survey, cutoff_at, decide
from luxima_retention.core.protocol import Expirable, Work

DAY = timedelta(days=1)
RETENTION = 90
RUN = "00000000-0000-4000-8000-{:012d}"


@dataclass(frozen=True, kw_only=True)
class Item:
    """A record to be put into a store: its name, its age and whose it is."""

    name: int
    at: datetime | None
    tenant: str = "acme"


class Harness(Protocol):
    """One kind of store."""

    #: instants are kept to this precision
    policy: str
    #: whether records without a date can be stored at all
    takes_undated: bool

    def fill(self, items: list[Item]) -> None:
        """Store these records, in this order, beside what is there."""

    def names(self) -> set[int]:
        """The records that are left."""

    def open(self, *, read_only: bool = False) -> Expirable:
        """The store; every call opens another."""


def now_of(store: Expirable) -> datetime:
    return store.clock()


def request_of(
    harness: Harness, store: Expirable, holds: tuple[Hold, ...] = (), days: int = RETENTION
) -> Request:
    now = store.clock()
    return Request(
        policy=harness.policy, retention_days=days, cutoff=cutoff_at(days, now), now=now, holds=holds
    )


def planned(
    harness: Harness, store: Expirable, holds: tuple[Hold, ...] = (), days: int = RETENTION
) -> tuple[Survey, Plan]:
    request = request_of(harness, store, holds, days)
    survey = store.survey(request)
    return survey, decide(request, survey, cutoff_basis="store clock", disposition="destroy")


def work(number: int = 1, holds: tuple[Hold, ...] = (), stopping: Callable[[], bool] = lambda: False) -> Work:
    return Work(
        run_id=RUN.format(number),
        token=number,
        resumed=False,
        holds=lambda: holds,
        stopping=stopping,
        wait=lambda seconds: time.sleep(min(seconds, 0.05)),
    )


def carry_out(store: Expirable, plan: Plan, doing: Work) -> int:
    """Walk the plan as the engine does; the records that went."""
    total = 0
    for batch in store.batches(plan, doing):
        staged = batch.stage(None)
        total += staged.items
        assert total <= plan.items
        assert staged.last is None or staged.last < plan.cutoff
        outcome = batch.commit()
        assert outcome.items == staged.items
        assert not outcome.failures
    return total


def some(count: int = 400, *, seed: int = 1) -> list[Item]:
    """Records of all ages, in no order: many just beside the cutoff."""
    dice = random.Random(seed)  # noqa: S311 - a test
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    ages = [dice.choice([dice.uniform(0, 200), dice.uniform(89, 91)]) for _ in range(count)]
    return [
        Item(name=number, at=today - age * DAY, tenant=dice.choice(["acme", "globex"]))
        for number, age in enumerate(ages, start=1)
    ]


def expected(items: list[Item], cutoff: datetime) -> set[int]:
    return {item.name for item in items if item.at is None or item.at >= cutoff}


def exactly_what_has_expired_goes(harness: Harness) -> None:
    """Plan and deletion select the same set; the cutoff is strict; a second run finds nothing."""
    items = some()
    store = harness.open()
    edge = request_of(harness, store).cutoff
    items += [Item(name=9001, at=edge), Item(name=9002, at=edge - timedelta(milliseconds=1))]
    harness.fill(items)
    survey, plan = planned(harness, store)
    keep = expected(items, plan.cutoff)
    assert survey.expired == len(items) - len(keep)
    assert carry_out(store, plan, work(1)) == plan.items
    assert harness.names() == keep
    after, again = planned(harness, store)
    assert (after.expired, again.items) == (0, 0)
    assert carry_out(store, replace(again, items=5), work(2)) == 0
    assert harness.names() == keep
    store.close()


def a_survey_changes_nothing(harness: Harness) -> None:
    """The read-only store counts the same as the other."""
    items = some()
    harness.fill(items)
    reader, writer = harness.open(read_only=True), harness.open()
    assert planned(harness, reader)[1].terms() == planned(harness, writer)[1].terms()
    assert harness.names() == {item.name for item in items}
    reader.close()
    writer.close()


def held_records_stay(harness: Harness, hold: Hold, held: Callable[[Item], bool]) -> None:
    """A hold only shrinks the set, and is honoured by the batch even if the plan did not know it."""
    items = some()
    harness.fill(items)
    store = harness.open()
    free, _ = planned(harness, store)
    survey, plan = planned(harness, store, (hold,))
    kept = {item.name for item in items if held(item)}
    old = {item.name for item in items} - expected(items, plan.cutoff)
    assert survey.held == len(old & kept) > 0
    assert survey.expired == free.expired - survey.held
    unaware = replace(plan, items=free.expired)
    carry_out(store, unaware, work(1, (hold,)))
    assert harness.names() == expected(items, plan.cutoff) | kept
    store.close()


def a_longer_period_never_removes_more(harness: Harness) -> None:
    """Periods nest."""
    harness.fill(some())
    store = harness.open(read_only=True)
    counts = [planned(harness, store, days=days)[0].expired for days in (30, 60, 89, 90, 91, 150, 300)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0
    store.close()


def the_oldest_go_first(harness: Harness) -> None:
    """A plan of fewer records takes the oldest: what is left is younger than all that went."""
    items = some()
    harness.fill(items)
    store = harness.open()
    _, plan = planned(harness, store)
    carry_out(store, replace(plan, items=50), work(1))
    left = harness.names()
    assert len(items) - len(left) == 50
    gone = [item.at for item in items if item.name not in left and item.at]
    stayed = [item.at for item in items if item.name in left and item.at]
    assert max(gone) <= min(stayed)
    store.close()


def undated_and_future_records_are_never_touched(harness: Harness) -> None:
    """They are counted instead."""
    items = some(50)
    odd = [Item(name=7001, at=datetime.now(UTC) + 30 * DAY)]
    odd += [Item(name=7002, at=None)] if harness.takes_undated else []
    harness.fill(items + odd)
    store = harness.open()
    survey, plan = planned(harness, store)
    assert (survey.future, survey.undated) == (1, int(harness.takes_undated))
    carry_out(store, plan, work(1))
    assert {item.name for item in odd} <= harness.names()
    store.close()


def what_is_rolled_back_is_as_it_was(harness: Harness) -> None:
    """A staged batch that is rolled back leaves everything, and the next one takes it."""
    items = some(100)
    harness.fill(items)
    store = harness.open()
    _, plan = planned(harness, store)
    batch = next(iter(store.batches(plan, work(1))))
    assert batch.stage(None).items > 0
    batch.rollback()
    batch.rollback()
    assert harness.names() == {item.name for item in items}
    assert carry_out(store, plan, work(1)) == plan.items
    store.close()


def a_run_that_is_told_to_stop_stops(harness: Harness) -> None:
    """No batch is begun once the end was asked for."""
    items = some(100)
    harness.fill(items)
    store = harness.open()
    _, plan = planned(harness, store)
    assert carry_out(store, plan, work(1, stopping=lambda: True)) == 0
    assert harness.names() == {item.name for item in items}
    store.close()


def every_record_explains_itself(harness: Harness, name_of: Callable[[int], str]) -> None:
    """``explain`` agrees with what a run does."""
    items = some(60)
    harness.fill(items)
    store = harness.open()
    request = request_of(harness, store)
    keep = expected(items, request.cutoff)
    for item in items:
        found = store.explain(name_of(item.name), request)
        assert found.verdict == ("stays" if item.name in keep else "goes"), item
        assert found.dated is not None
    assert store.explain(name_of(424242), request).verdict == "absent"
    store.close()


PROMISES: tuple[Callable[[Harness], None], ...] = (
    exactly_what_has_expired_goes,
    a_survey_changes_nothing,
    a_longer_period_never_removes_more,
    the_oldest_go_first,
    undated_and_future_records_are_never_touched,
    what_is_rolled_back_is_as_it_was,
    a_run_that_is_told_to_stop_stops,
)
