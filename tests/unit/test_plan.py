"""The step *decide*: cutoff, clocks, what goes and why; with a golden plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxima_retention.core.errors import ConfigurationError
from luxima_retention.core.plan import (
    Count,
    Finding,
    Hold,
    Identity,
    Level,
    Pending,
    Request,
    Survey,
    conservative_now,
    cutoff_at,
    decide,
    explained,
)
from luxima_retention.core.redact import know

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("days", "now", "cutoff"),
    [
        (180, NOW, datetime(2026, 5, 27, tzinfo=UTC)),
        (1, NOW, datetime(2026, 11, 22, tzinfo=UTC)),
        (1, datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)),
        (1, datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)),
        (366, datetime(2025, 3, 1, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_the_cutoff_is_the_start_of_a_utc_day(days, now, cutoff):
    assert cutoff_at(days, now) == cutoff


@pytest.mark.parametrize("days", [0, -1])
def test_no_period_is_refused(days):
    with pytest.raises(ConfigurationError, match="not a period"):
        cutoff_at(days, NOW)


@given(st.integers(1, 4000), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - made aware
def test_a_longer_period_never_has_a_later_cutoff_and_a_day_has_one(days, moment):
    now = moment.replace(tzinfo=UTC)
    assert cutoff_at(days + 1, now) == cutoff_at(days, now) - DAY
    assert timedelta(days=days) <= now - cutoff_at(days, now) < timedelta(days=days + 1)


@pytest.mark.parametrize(
    ("program", "store", "as_of", "expected"),
    [
        (0, 0, None, (0, "program clock")),
        (0, 1, None, (0, "program clock")),
        (1, 0, None, (0, "store clock")),
        (5, 6, 4, (4, "as-of")),
        (5, 6, 5, (5, "as-of")),
        # an instant that is later than a clock would delete more: the earlier clock counts
        (5, 9, 6, (5, "program clock")),
        (9, 5, 6, (5, "store clock")),
    ],
)
def test_the_earliest_of_what_is_known_counts(program, store, as_of, expected):
    at = [NOW + number * DAY for number in range(10)]
    found = conservative_now(at[program], at[store], None if as_of is None else at[as_of])
    assert found == (at[expected[0]], expected[1])


HOLDS = (Hold(hold_id="H-2", tenant="t3"), Hold(hold_id="H-1", subject="s"))
REQUEST = Request(policy="audit-logs", retention_days=180, cutoff=cutoff_at(180, NOW), now=NOW, holds=HOLDS)
SURVEY = Survey(
    identity=Identity(kind="postgresql", target="core.audit_log", fingerprint="postgresql:1:2"),
    store_clock=NOW,
    expired=70,
    population=Count(value=100),
    held=5,
    locked=2,
    undated=3,
    future=1,
    pending=(Pending(items=4, due=NOW, reason="condemned"),),
    oldest=NOW - 400 * DAY,
    newest=NOW,
)


def made(request=REQUEST, survey=SURVEY, **more):
    values = {"cutoff_basis": "program clock", "disposition": "archive, then destroy", **more}
    return decide(request, survey, **values)


def test_the_golden_plan():
    """Terms and digest are what saved plans and ledgers of others hold: they change on purpose only."""
    assert made().terms() == {
        "policy": "audit-logs",
        "target": "core.audit_log",
        "fingerprint": "postgresql:1:2",
        "retention_days": 180,
        "cutoff": "2026-05-27T00:00:00Z",
        "disposition": "archive, then destroy",
        "items": 70,
        "held": 5,
        "locked": 2,
        "undated": 3,
        "future": 1,
        "holds": ["H-1", "H-2"],
    }
    assert made().digest == GOLDEN


GOLDEN = "7b531f36346180f97170f4551e097415fa08a1dafb41a22d2ed2656805458f47"


@pytest.mark.parametrize(("limit", "items"), [(None, 70), (0, 0), (69, 69), (70, 70), (71, 70)])
def test_a_plan_is_never_more_than_what_expired_or_was_approved(limit, items):
    assert made(approved=limit).items == items


def test_every_record_that_stays_or_goes_has_its_reason():
    reasons = {reason.rule: (reason.verdict, reason.items) for reason in made(approved=60).reasons}
    assert reasons == {
        "expired": ("go", 60),
        "beyond-plan": ("stay", 10),
        "hold": ("stay", 5),
        "locked": ("stay", 2),
        "pending": ("go", 4),
        "undated": ("stay", 3),
        "future": ("stay", 1),
    }


def test_a_group_of_nothing_has_no_reason():
    nothing = replace(SURVEY, expired=0, held=0, locked=0, undated=0, future=0, pending=())
    assert made(survey=nothing).reasons == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"expired": 71},
        {"held": 6},
        {"locked": 3},
        {"undated": 4},
        {"future": 2},
        {"identity": Identity(kind="postgresql", target="core.audit_log", fingerprint="another")},
        {"identity": Identity(kind="postgresql", target="core.other", fingerprint="postgresql:1:2")},
    ],
)
def test_the_digest_covers_what_decides(changed):
    assert made(survey=replace(SURVEY, **changed)).digest != made().digest


def test_the_digest_does_not_cover_what_is_only_told():
    told = replace(SURVEY, population=None, oldest=None, newest=None, forecast={"batches": 1}, pending=())
    assert made(survey=told).digest == made().digest


@pytest.mark.parametrize(
    ("hold", "dimensions"),
    [
        (Hold(hold_id="H"), set()),
        (Hold(hold_id="H", tenant="t"), {"tenant"}),
        (Hold(hold_id="H", subject="s", start=NOW), {"subject", "range"}),
        (Hold(hold_id="H", end=NOW), {"range"}),
        (Hold(hold_id="H", path="/a"), {"path"}),
    ],
)
def test_what_a_hold_names(hold, dimensions):
    assert hold.dimensions() == dimensions
    assert hold.pauses("audit-logs") is (not dimensions)
    assert replace(hold, policy="audit-logs").covers("audit-logs")
    assert not replace(hold, policy="metrics").covers("audit-logs")
    assert replace(hold, policy="audit-logs").pauses("audit-logs") is (not dimensions)
    assert not replace(hold, policy="metrics").pauses("audit-logs")


def test_an_instant_of_another_zone_is_told_in_utc():
    jakarta = Request(
        policy="p",
        retention_days=1,
        cutoff=datetime(2026, 1, 1, 7, tzinfo=timezone(7 * timedelta(hours=1))),
        now=NOW,
    )
    assert made(jakarta).terms()["cutoff"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("review_by", "overdue"), [(None, False), (NOW + SECOND, False), (NOW, True), (NOW - SECOND, True)]
)
def test_the_review_of_a_hold_is_overdue_from_its_instant_on(review_by, overdue):
    assert Hold(hold_id="H", review_by=review_by).overdue(NOW) is overdue


def test_the_whole_of_a_plan_and_its_reasons():
    """Nine groups of records, each with its sentence; what arrived late is none that was approved."""
    survey = replace(SURVEY, unknown=6, expired_bytes=Count(value=7), oldest=NOW - 400 * DAY)
    plan = made(survey=survey, approved=40, resumed=60)
    assert (plan.items, plan.beyond, plan.late) == (40, 20, 10)
    figures = (plan.held, plan.locked, plan.undated, plan.future, plan.population, plan.size_bytes)
    assert figures == (5, 2, 3, 1, Count(value=100), Count(value=7))
    assert (plan.policy, plan.identity, plan.cutoff_basis) == ("audit-logs", survey.identity, "program clock")
    assert (plan.oldest, plan.newest, plan.holds) == (NOW - 400 * DAY, NOW, ("H-1", "H-2"))
    assert [(item.verdict, item.rule, item.items, item.sentence) for item in plan.reasons] == [
        ("go", "expired", 40, "dated before 2026-05-27T00:00:00Z: archive, then destroy"),
        ("stay", "beyond-plan", 20, "expired, but beyond the plan that was approved"),
        ("stay", "arrived-late", 10, "expired, but arrived after the continued run had made its plan"),
        ("stay", "unknown", 6, "could not be read or recognised: never touched"),
        ("stay", "hold", 5, "expired, but kept by holds H-1, H-2"),
        ("stay", "locked", 2, "expired, but kept by the store itself"),
        ("go", "pending", 4, "condemned by an earlier run, waiting for its due date"),
        ("stay", "undated", 3, "without a date: never touched"),
        ("stay", "future", 1, "dated in the future: never touched"),
    ]


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "holds (none active)"),
        (1, "hold H-0"),
        (2, "holds H-0, H-1"),
        (5, "holds H-0, H-1, H-2, H-3, H-4"),
        (6, "holds H-0, H-1, H-2, H-3, H-4 and 1 more"),
        (8, "holds H-0, H-1, H-2, H-3, H-4 and 3 more"),
    ],
)
def test_at_most_five_holds_are_named(count, told):
    holds = tuple(Hold(hold_id=f"H-{number}") for number in reversed(range(count)))
    reasons = {item.rule: item.sentence for item in made(replace(REQUEST, holds=holds)).reasons}
    assert reasons["hold"] == f"expired, but kept by {told}"


@pytest.mark.parametrize(
    ("expired", "approved", "resumed", "counts"),
    [
        (9, None, 10, (9, 0, 0)),
        (9, None, 9, (9, 0, 0)),
        (9, None, 8, (8, 0, 1)),
        (9, 10, None, (9, 0, 0)),
        (9, 0, None, (0, 9, 0)),
        (9, 3, 5, (3, 2, 4)),
        (9, 7, 5, (5, 0, 4)),
    ],
)
def test_the_bounds_of_a_plan(expired, approved, resumed, counts):
    plan = made(survey=replace(SURVEY, expired=expired), approved=approved, resumed=resumed)
    assert (plan.items, plan.beyond, plan.late) == counts


def test_a_finding_loses_the_secrets_in_its_sentences():
    know(["hunter2-hunter2"])
    found = Finding(code="c", level=Level.INFO, message="with hunter2-hunter2", hint="hide hunter2-hunter2")
    assert (found.message, found.hint) == ("with ***", "hide ***")
    assert Finding(code="c", level=Level.INFO, message="m").hint is None


@pytest.mark.parametrize(
    ("level", "code"), [("info", 0), ("warning", 0), ("failed", 3), ("refuse", 4), ("drift", 8)]
)
def test_each_level_asks_for_its_exit_code(level, code):
    assert Level(level).exit_code == code


def test_a_period_that_is_none_says_what_to_set():
    with pytest.raises(ConfigurationError) as caught:
        cutoff_at(0, NOW)
    assert caught.value.message == "retention of 0 days is not a period"
    assert caught.value.hint == "set retention_days to 1 or more"


@pytest.mark.parametrize(
    ("row", "verdict", "rule", "sentence", "due"),
    [
        (None, "absent", "absent", "there is no such row", None),
        ((None, None), "stays", "undated", "it has no date: it is never touched", None),
        ((None, "H-1"), "stays", "undated", "it has no date: it is never touched", None),
        ((NOW + SECOND, "H-1"), "stays", "future", "it is dated in the future: it is never touched", None),
        ((NOW, "H-1"), "stays", "younger", "it is not older than the cutoff 2026-05-27T00:00:00Z", 181),
        (
            (REQUEST.cutoff, None),
            "stays",
            "younger",
            "it is not older than the cutoff 2026-05-27T00:00:00Z",
            1,
        ),
        ((REQUEST.cutoff - SECOND, "H-1"), "stays", "hold", "expired, but kept by hold H-1", None),
        ((REQUEST.cutoff - SECOND, None), "goes", "expired", "dated before 2026-05-27T00:00:00Z", 0),
    ],
)
def test_a_row_says_why_it_goes_or_stays(row, verdict, rule, sentence, due):
    found = explained("7", row, REQUEST, NOW)
    assert (found.item, found.verdict, found.rule, found.sentence) == ("7", verdict, rule, sentence)
    assert found.dated == (row[0] if row else None)
    assert found.due == (None if due is None else cutoff_at(180, NOW) + (180 + due) * DAY)


@given(age=st.integers(0, 400 * 86400))
def test_a_row_is_due_on_the_first_day_whose_cutoff_lies_behind_it(age):
    dated = NOW - timedelta(seconds=age, microseconds=1)
    due = explained("7", (dated, None), REQUEST, NOW).due
    assert cutoff_at(180, due) > dated >= cutoff_at(180, due - SECOND)
    assert due == cutoff_at(1, due) + DAY, "the start of a day"


def test_a_hold_is_told_to_postgresql():
    hold = Hold(hold_id="H-1", tenant="t", subject="s", start=NOW, end=NOW + DAY)
    assert hold.argument() == {
        "hold_id": "H-1",
        "tenant": "t",
        "subject": "s",
        "start_at": "2026-11-23T08:30:00Z",
        "end_at": "2026-11-24T08:30:00Z",
    }
    assert Hold(hold_id="H-2").argument() == {"hold_id": "H-2"} | dict.fromkeys(
        ("tenant", "subject", "start_at", "end_at")
    )
