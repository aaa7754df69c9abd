"""Every guard at its limit: below, at, above, and each with a history that is out of the ordinary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from luxima_retention.core import guards
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.guards import Case, Limits, judge, refusals
from luxima_retention.core.history import History
from luxima_retention.core.plan import (
    Count,
    Finding,
    Hold,
    Identity,
    Level,
    Request,
    Survey,
    cutoff_at,
    decide,
)

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
NEVER, YESTERDAY = History(), History(proved_at=NOW - DAY)
OPEN = Limits(max_fraction=Decimal(1), min_remaining=0)


def case(limits=OPEN, history=NEVER, *, days=90, as_of=None, holds=(), now=NOW, **facts):
    """A survey of 100 records of which 10 have expired, with what the test changes."""
    values = {"expired": 10, "population": Count(value=100), "newest": NOW - HOUR, "store_clock": NOW}
    values |= {"oldest": NOW - 400 * DAY, **facts}
    survey = Survey(identity=Identity(kind="memory", target="t", fingerprint="here"), **values)
    request = Request(policy="p-q", retention_days=days, cutoff=cutoff_at(days, now), now=now, holds=holds)
    plan = decide(request, survey, cutoff_basis="program clock", disposition="destroy")
    return Case(
        plan=plan, survey=survey, request=request, history=history, limits=limits, now=now, as_of=as_of
    )


def refused(made):
    """The guards that refuse."""
    return {item.guard for item in refusals(judge(made))}


def asked(made):
    return {item.guard for item in judge(made)}


SHARE = Limits(min_remaining=0)


@pytest.mark.parametrize(
    ("limits", "history", "facts", "refuses"),
    [
        # a quarter, without a word
        (SHARE, NEVER, {"expired": 24}, False),
        (SHARE, NEVER, {"expired": 25}, False),
        (SHARE, NEVER, {"expired": 26}, True),
        # what the limit names, lower and higher than usual
        (Limits(max_fraction=Decimal("0.1"), min_remaining=0), NEVER, {"expired": 10}, False),
        (Limits(max_fraction=Decimal("0.1"), min_remaining=0), NEVER, {"expired": 11}, True),
        (Limits(max_fraction=Decimal("0.5"), min_remaining=0), NEVER, {"expired": 50}, False),
        (Limits(max_fraction=Decimal("0.5"), min_remaining=0), NEVER, {"expired": 51}, True),
        (Limits(max_fraction=Decimal(0), min_remaining=0), NEVER, {"expired": 1}, True),
        # a proved run: 2 d / (R + d) for the days since, never less than a quarter
        (SHARE, YESTERDAY, {"expired": 25}, False),
        (SHARE, YESTERDAY, {"expired": 26}, True),
        # 30 days ago: 2 * 31 / (90 + 31) = 51.2 %
        (SHARE, History(proved_at=NOW - 30 * DAY), {"expired": 51}, False),
        (SHARE, History(proved_at=NOW - 30 * DAY), {"expired": 52}, True),
        # proved today, of a short period: one day is 2 * 1 / (7 + 1) = 25 %
        (SHARE, History(proved_at=NOW), {"expired": 25, "days": 7}, False),
        (SHARE, History(proved_at=NOW), {"expired": 26, "days": 7}, True),
        # years ago: everything, never more
        (SHARE, History(proved_at=NOW - 1000 * DAY), {"expired": 100}, False),
        # proved in the future, as after a clock that jumped: one day
        (SHARE, History(proved_at=NOW + 10 * DAY), {"expired": 26}, True),
        # an approved backlog: that many besides the share of the population
        (SHARE, History(backlog=50), {"expired": 75}, False),
        (SHARE, History(backlog=50), {"expired": 76}, True),
        (SHARE, History(backlog=1), {"expired": 26}, False),
        (SHARE, History(backlog=1), {"expired": 27}, True),
        # more expired than counted, as where the population is an estimate
        (SHARE, NEVER, {"expired": 26, "population": Count(value=10, exact=False)}, True),
        (OPEN, NEVER, {"expired": 26, "population": Count(value=10, exact=False)}, False),
    ],
)
def test_share(limits, history, facts, refuses):
    assert refused(case(limits, history, **facts)) == ({"share"} if refuses else set())


@pytest.mark.parametrize("population", [None, Count(value=0)])
def test_share_says_nothing_where_there_is_no_population(population):
    assert "share" not in asked(case(SHARE, population=population))


@pytest.mark.parametrize(
    ("limit", "items", "refuses"), [(10, 9, False), (10, 10, False), (10, 11, True), (0, 1, True)]
)
def test_max_items(limit, items, refuses):
    limits = Limits(max_fraction=Decimal(1), min_remaining=0, max_items=limit)
    assert refused(case(limits, expired=items)) == ({"max-items"} if refuses else set())


def test_no_number_is_no_limit():
    assert "max-items" not in asked(case(OPEN))


@pytest.mark.parametrize(
    ("limit", "left", "refuses"),
    [(5, 6, False), (5, 5, False), (5, 4, True), (1, 1, False), (1, 0, True), (0, 0, False)],
)
def test_min_remaining(limit, left, refuses):
    """Of records that have all expired, so that none younger proves anything."""
    limits = Limits(max_fraction=Decimal(1), min_remaining=limit)
    facts = {"expired": 10, "population": Count(value=10 + left), "newest": NOW - 200 * DAY}
    assert refused(case(limits, **facts)) == ({"min-remaining"} if refuses else set())


@pytest.mark.parametrize(
    ("newest", "refuses"),
    [(cutoff_at(90, NOW) - SECOND, True), (cutoff_at(90, NOW), False), (None, True)],
)
def test_one_younger_record_proves_that_one_is_left(newest, refuses):
    limits = Limits(max_fraction=Decimal(1), min_remaining=1)
    facts = {"expired": 10, "population": Count(value=10), "newest": newest}
    assert ("min-remaining" in refused(case(limits, **facts))) is refuses


def test_without_a_population_only_what_is_younger_is_known():
    """A store that cannot count: one record is proved to be left; of more nothing is known."""
    one = Limits(max_fraction=Decimal(1), min_remaining=1)
    two = Limits(max_fraction=Decimal(1), min_remaining=2)
    assert "min-remaining" in asked(case(one, population=None))
    assert "min-remaining" not in refused(case(one, population=None))
    assert "min-remaining" not in asked(case(two, population=None))


QUIET = Limits(max_fraction=Decimal(1), min_remaining=0, max_silence=7 * DAY)


@pytest.mark.parametrize(
    ("newest", "as_of", "refuses"),
    [
        (NOW - 7 * DAY + SECOND, None, False),
        (NOW - 7 * DAY, None, False),
        (NOW - 7 * DAY - SECOND, None, True),
        (NOW + DAY, None, False),
        (None, None, True),
        # counted from the instant that was named, if it is earlier
        (NOW - 10 * DAY, NOW - 3 * DAY, False),
        (NOW - 11 * DAY, NOW - 3 * DAY, True),
        (NOW - 8 * DAY, NOW + 3 * DAY, True),
    ],
)
def test_stale_source(newest, as_of, refuses):
    assert refused(case(QUIET, newest=newest, as_of=as_of)) == ({"stale-source"} if refuses else set())


@pytest.mark.parametrize(
    ("skew", "refuses"),
    [
        (60 * SECOND, False),
        (-60 * SECOND, False),
        (61 * SECOND, True),
        (-61 * SECOND, True),
        (0 * SECOND, False),
    ],
)
def test_clock_skew(skew, refuses):
    assert refused(case(store_clock=NOW + skew)) == ({"clock-skew"} if refuses else set())


def test_the_clock_that_was_read_beside_the_stores_counts_and_not_the_start_of_the_run():
    later = NOW + 3 * HOUR
    assert refused(case(store_clock=later, program_clock=later)) == set()
    assert refused(case(store_clock=NOW, program_clock=later)) == {"clock-skew"}


def test_a_limit_of_the_settings_moves_the_clock_skew():
    wide = Limits(max_fraction=Decimal(1), min_remaining=0, max_skew=HOUR)
    assert refused(case(wide, store_clock=NOW + HOUR)) == set()
    assert refused(case(wide, store_clock=NOW + HOUR + SECOND)) == {"clock-skew"}


@pytest.mark.parametrize(
    ("pinned", "first", "refuses"),
    [
        ((), None, False),
        ((), "here", False),
        ((), "elsewhere", True),
        (("here",), None, False),
        (("elsewhere",), None, True),
        (("elsewhere", "here"), "elsewhere", False),
        # what is pinned wins over what the ledger saw first
        (("here",), "elsewhere", False),
        (("elsewhere",), "here", True),
    ],
)
def test_identity(pinned, first, refuses):
    limits = Limits(max_fraction=Decimal(1), min_remaining=0, fingerprints=pinned)
    assert refused(case(limits, History(fingerprint=first))) == ({"identity"} if refuses else set())


@pytest.mark.parametrize(
    ("hold", "dimensions", "refuses"),
    [
        (Hold(hold_id="H", tenant="a"), {"tenant"}, False),
        (Hold(hold_id="H", tenant="a"), set(), True),
        (Hold(hold_id="H", tenant="a", start=NOW), {"tenant"}, True),
        (Hold(hold_id="H", tenant="a", start=NOW), {"tenant", "range"}, False),
        (Hold(hold_id="H", end=NOW), {"range"}, False),
        (Hold(hold_id="H", subject="s"), {"tenant", "range"}, True),
        (Hold(hold_id="H"), set(), False),
    ],
)
def test_holds(hold, dimensions, refuses):
    limits = Limits(max_fraction=Decimal(1), min_remaining=0, dimensions=frozenset(dimensions))
    assert refused(case(limits, holds=(hold,))) == ({"holds"} if refuses else set())


@pytest.mark.parametrize("level", list(Level))
def test_only_a_finding_that_forbids_refuses(level):
    finding = Finding(code="found", level=level, message="said", hint="help")
    assert refused(case(findings=(finding,))) == ({"found"} if level is Level.REFUSE else set())


def test_a_plan_of_nothing_is_asked_only_whether_the_right_store_answered():
    everything = Limits(max_items=0, min_remaining=500, max_silence=SECOND, fingerprints=("elsewhere",))
    hold = Hold(hold_id="H", tenant="a")
    finding = Finding(code="found", level=Level.REFUSE, message="said")
    facts = {"expired": 0, "store_clock": NOW + HOUR, "holds": (hold,), "findings": (finding,)}
    assert refused(case(everything, **facts)) == {"identity", "clock-skew", "holds", "found"}


def test_each_guard_prints_what_it_saw_its_limit_and_what_would_change_it():
    named = {"share": "--max-fraction 0.01", "stale-source": "--max-silence 1d", "max-items": "--max-items 1"}
    limits = Limits(
        max_fraction=Decimal("0.01"),
        max_items=1,
        min_remaining=1000,
        max_silence=SECOND,
        fingerprints=("elsewhere",),
        named={**named, "min-remaining": "--min-remaining 1000"},
    )
    said = refusals(judge(case(limits, store_clock=NOW + HOUR, newest=NOW - 200 * DAY)))
    assert {item.guard for item in said} >= {*named, "identity", "clock-skew", "min-remaining"}
    for item in said:
        assert item.observed, item
        assert item.limit, item
        assert item.hint, item
    assert {item.guard: item.override for item in said if item.override} == limits.named


@pytest.mark.parametrize(("expired", "named"), [(26, "0.26"), (100, "1"), (99, "0.99"), (1, "0.01")])
def test_the_hint_names_a_share_that_is_enough(expired, named):
    made = case(Limits(max_fraction=Decimal(0), min_remaining=0), expired=expired)
    (share,) = (item for item in refusals(judge(made)) if item.guard == "share")
    assert share.hint is not None
    assert f"--max-fraction {named}" in share.hint
    enough = case(Limits(max_fraction=Decimal(named), min_remaining=0), expired=expired)
    assert "share" not in refused(enough)


def test_the_share_in_the_hint_is_rounded_up():
    made = case(Limits(max_fraction=Decimal(0)), expired=261, population=Count(value=1000))
    assert "--max-fraction 0.27" in one("share", made)["hint"]


# --- what each guard says, whole: a guard's figures and sentences stand in the ledger ------------------

SILENT = Limits(max_silence=7 * DAY)


def one(guard, made):
    """What a guard said, as a dictionary."""
    (found,) = (item for item in judge(made) if item.guard == guard)
    return {name: getattr(found, name) for name in found.__slots__}


def passes(guard, observed, limit, message, **more):
    members = {"guard": guard, "passed": True, "observed": observed, "limit": limit, "message": message}
    return {**members, "hint": None, "override": None, "code": ExitCode.REFUSED, "used": None, **more}


def refuses(guard, observed, limit, message, hint, **more):
    return {**passes(guard, observed, limit, message), "passed": False, "hint": hint, **more}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            case(history=NEVER),
            passes(
                "identity", "here", "seen for the first time", "t is the store as the ledger first saw it"
            ),
        ),
        (
            case(Limits(fingerprints=("here", "there"))),
            passes("identity", "here", "here, there", "t is the store pinned in the settings"),
        ),
        (
            case(history=History(fingerprint="there")),
            refuses(
                "identity",
                "here",
                "there",
                "t is not the store that is as the ledger first saw it",
                "check the connection; if the store has moved, set policies.p_q.identity",
            ),
        ),
        (
            case(store_clock=NOW + 60 * SECOND),
            passes(
                "clock-skew",
                "60 s",
                "60 s",
                "this machine says 2026-11-23T08:30:00Z, t says 2026-11-23T08:31:00Z",
                used=1.0,
            ),
        ),
        (
            case(Limits(max_skew=timedelta(), widened={"clock-skew": "w"}), store_clock=NOW - 61 * SECOND),
            refuses(
                "clock-skew",
                "61 s",
                "0 s",
                "this machine says 2026-11-23T08:30:00Z, t says 2026-11-23T08:28:59Z",
                "correct the clock that is wrong; max_clock_skew of the policy is the limit",
                override="w",
                used=2.0,
            ),
        ),
        (
            case(holds=(Hold(hold_id="H", tenant="a", subject="s"),)),
            refuses(
                "holds",
                "H names subject, tenant",
                "whole policies only",
                "hold H cannot be applied to t",
                "map the column in the settings, or place the hold by what this policy knows",
            ),
        ),
        (
            case(Limits(dimensions=frozenset({"b", "a"})), holds=(Hold(hold_id="H", tenant="a"),)),
            refuses(
                "holds",
                "H names tenant",
                "a, b",
                "hold H cannot be applied to t",
                "map the column in the settings, or place the hold by what this policy knows",
            ),
        ),
        (
            case(SHARE, History(backlog=3)),
            passes(
                "share",
                "10.0 % (10 of 100)",
                "25.0 % besides 3 that were approved",
                "10 of 100 records of t would be deleted",
                used=10 / 28,
            ),
        ),
        (
            case(Limits(named={"share": "n"}, widened={"share": "w"}), expired=26),
            refuses(
                "share",
                "26.0 % (26 of 100)",
                "25.0 %",
                "26 of 100 records of t would be deleted",
                "if intended, rerun with --max-fraction 0.26",
                override="n",
                used=26 / 25,
            ),
        ),
        (
            case(Limits(max_items=10)),
            passes("max-items", "10", "10", "10 records of t would be deleted", used=1.0),
        ),
        (
            case(Limits(max_items=9, named={"max-items": "n"})),
            refuses(
                "max-items",
                "10",
                "9",
                "10 records of t would be deleted",
                "if intended, rerun with --max-items 10",
                override="n",
                used=10 / 9,
            ),
        ),
        (
            case(SILENT, newest=NOW - 25 * HOUR),
            passes(
                "stale-source",
                "1 d",
                "7 d",
                "the newest record of t is of 2026-11-22T07:30:00Z",
                used=25 / 168,
            ),
        ),
        (
            case(Limits(max_silence=5 * HOUR, named={"stale-source": "n"}), newest=NOW - 30 * HOUR),
            refuses(
                "stale-source",
                "1 d",
                "5 h",
                "the newest record of t is of 2026-11-22T02:30:00Z",
                "check whether its producer has stopped; if that is expected, rerun with --max-silence 2d",
                override="n",
                used=6.0,
            ),
        ),
        (
            case(SILENT, newest=None),
            refuses(
                "stale-source",
                "no newest record",
                "7 d",
                "the newest record of t is unknown",
                "check whether its producer has stopped; if that is expected, rerun with --max-silence off",
            ),
        ),
        (
            case(Limits(widened={"stale-source": "w"}), newest=NOW - 2 * HOUR),
            passes(
                "stale-source",
                "2 h",
                "off",
                "the newest record of t is of 2026-11-23T06:30:00Z",
                override="w",
            ),
        ),
        (
            case(Limits(min_remaining=90)),
            passes("min-remaining", "90", "90", "90 records of t would be left", used=1.0),
        ),
        (
            case(Limits(min_remaining=91, named={"min-remaining": "n"})),
            refuses(
                "min-remaining",
                "90",
                "91",
                "90 records of t would be left",
                "if intended, rerun with --min-remaining 90",
                override="n",
                used=91 / 90,
            ),
        ),
        (
            case(findings=(Finding(code="f", level=Level.REFUSE, message="it is so", hint="do that"),)),
            refuses("f", "it is so", "must not be", "it is so", "do that"),
        ),
    ],
)
def test_the_whole_of_what_a_guard_says(made, said):
    assert one(said["guard"], made) == said


def test_a_refusal_does_not_keep_the_guards_behind_it_from_being_asked():
    made = case(Limits(max_items=1, min_remaining=200, max_silence=SECOND, fingerprints=("x",)), expired=90)
    found = [item.guard for item in judge(made)]
    assert found == ["identity", "clock-skew", "share", "max-items", "stale-source", "min-remaining"]
    both = (Hold(hold_id="A", tenant="a"), Hold(hold_id="B"), Hold(hold_id="C", path="/"))
    said = [item.observed for item in judge(case(holds=both)) if item.guard == "holds"]
    assert said == ["A names tenant", "C names path"]
    several = tuple(Finding(code=f"f{n}", level=level, message="m") for n, level in enumerate(Level))
    assert [item.guard for item in judge(case(findings=several)) if item.guard[0] == "f"] == ["f3"]


def test_a_share_of_exactly_what_the_days_explain():
    """2 d / (R + d): 62 / 121 after thirty days of ninety, to the last record of a large table."""
    history = History(proved_at=NOW - 30 * DAY)
    many = Count(value=1_210_000)
    assert refused(case(SHARE, history, expired=620_000, population=many)) == set()
    assert refused(case(SHARE, history, expired=620_001, population=many)) == {"share"}


def test_no_share_is_more_than_everything():
    made = case(SHARE, History(proved_at=NOW - 1000 * DAY))
    assert one("share", made)["limit"] == "100.0 %"


def test_a_part_of_a_record_is_not_approved_besides_a_backlog():
    """A quarter of 103 is 25.75: 25 of them, besides the one that was approved."""
    made = {"population": Count(value=103)}
    assert refused(case(SHARE, History(backlog=1), expired=26, **made)) == set()
    assert refused(case(SHARE, History(backlog=1), expired=27, **made)) == {"share"}


@pytest.mark.parametrize(
    ("guard", "limits", "facts", "expected"),
    [
        ("stale-source", Limits(min_remaining=0, max_silence=7 * DAY), {"newest": None}, None),
        ("stale-source", Limits(min_remaining=0, max_silence=2 * HOUR), {}, 0.5),
        ("max-items", Limits(min_remaining=0, max_items=0), {"expired": 5}, 2.0),
        ("max-items", Limits(min_remaining=0, max_items=40), {"expired": 10}, 0.25),
        (
            "min-remaining",
            Limits(min_remaining=1, max_fraction=Decimal(1)),
            {"expired": 100, "newest": None},
            2.0,
        ),
        ("min-remaining", Limits(min_remaining=9), {"expired": 10}, 0.1),
        ("share", SHARE, {"expired": 25}, 1.0),
        ("share", SHARE, {"expired": 50}, 2.0),
        # a quarter of ten records is two and a half
        ("share", SHARE, {"expired": 2, "population": Count(value=10)}, 0.8),
        ("clock-skew", SHARE, {"store_clock": NOW - 6 * SECOND}, 0.1),
        ("identity", SHARE, {}, None),
    ],
)
def test_each_guard_with_a_limit_says_how_much_of_it_is_used(guard, limits, facts, expected):
    (verdict,) = (item for item in judge(case(limits, **facts)) if item.guard == guard)
    assert verdict.used == (expected if expected is None else pytest.approx(expected))
    if expected is not None:
        assert verdict.passed == (verdict.used <= 1)


def test_an_approved_backlog_counts_in_the_use_of_the_share():
    history = History(proved_at=NOW - DAY, backlog=40)
    (verdict,) = (item for item in judge(case(SHARE, history, expired=65)) if item.guard == "share")
    assert (verdict.passed, verdict.used) == (True, pytest.approx(1.0))


@pytest.mark.parametrize(("share", "named"), [("0.8213", "0.83"), ("0.83", "0.83"), ("1", "1"), ("1.5", "1")])
def test_the_value_that_lets_a_share_pass_is_never_more_than_all(share, named):
    assert guards.named_share(Decimal(share)) == Decimal(named)
