"""How many rows a batch takes and how long the next one waits: each bound, and both sides of it."""

from __future__ import annotations

import pytest

from luxima_retention.config.settings import PaceSettings
from luxima_retention.stores.table.pace import Taken, first_rows, forecast, next_rows, pause

MIB = 1024 * 1024
#: bytes of WAL that a batch may write when batches pause
FLUSH = 512 * 1024


def taken(**values: float) -> Taken:
    """A batch of 1000 rows that took 35 ms and 1 ms to commit, and wrote no WAL that was seen."""
    given = {"limit": 1000, "items": 1000, "deleting": 0.035, "commit": 0.001, "wal_bytes": 0} | values
    return Taken(**given)


def settings(**values: float) -> PaceSettings:
    return PaceSettings(**{"max_batch_rows": 50_000, "duty_cycle": 0.25} | values)


FREE = {"duty_cycle": 1.0}


@pytest.mark.parametrize(("most", "rows"), [(50_000, 1000), (1000, 1000), (37, 37)])
def test_the_first_batch_is_small_and_never_above_the_setting(most, rows):
    assert first_rows(settings(max_batch_rows=most)) == rows


@pytest.mark.parametrize(
    ("deleting", "rows"),
    [(0.035, 1000), (0.070, 500), (0.0175, 2000), (0.010, 3500), (0.005, 4000), (0.350, 250), (0.0, 4000)],
)
def test_rows_follow_the_time_that_they_took_and_change_fourfold_at_most(deleting, rows):
    assert next_rows(taken(deleting=deleting), settings()) == rows


@pytest.mark.parametrize(("deleting", "rows"), [(0.5, 1000), (0.25, 2000), (1.0, 500), (0.035, 4000)])
def test_rows_that_need_not_pause_may_take_half_a_second(deleting, rows):
    assert next_rows(taken(deleting=deleting), settings(**FREE)) == rows


@pytest.mark.parametrize(
    ("wal", "rows"),
    [
        (FLUSH, 1000),
        (FLUSH * 2, 500),
        (FLUSH // 2, 2000),
        (FLUSH * 100, 250),
        (FLUSH // 100, 3500),
        (0, 3500),
    ],
)
def test_rows_are_bounded_by_the_wal_that_their_commit_writes(wal, rows):
    assert next_rows(taken(deleting=0.010, wal_bytes=wal), settings()) == rows


def test_the_tighter_bound_of_time_and_wal_counts():
    assert next_rows(taken(deleting=0.070, wal_bytes=FLUSH // 2), settings()) == 500
    assert next_rows(taken(deleting=0.0175, wal_bytes=FLUSH * 2), settings()) == 500


def test_wal_is_counted_by_the_rows_that_went_and_not_by_the_limit():
    """Held rows stay and write none: the next batch may meet none of them."""
    assert next_rows(taken(limit=1000, items=500, deleting=0.010, wal_bytes=FLUSH), settings()) == 500
    assert next_rows(taken(items=0, deleting=0.010, wal_bytes=FLUSH), settings()) == 3500


def test_wal_does_not_bound_a_batch_that_need_not_pause():
    assert next_rows(taken(deleting=0.25, wal_bytes=FLUSH * 100), settings(**FREE)) == 2000


@pytest.mark.parametrize(
    ("limit", "most", "rows"), [(120, 50_000, 100), (100, 50_000, 100), (40, 50_000, 100), (40, 37, 37)]
)
def test_rows_do_not_fall_below_a_hundred_unless_the_setting_does(limit, most, rows):
    slow = taken(limit=limit, items=limit, deleting=10.0)
    assert next_rows(slow, settings(max_batch_rows=most)) == rows


def test_rows_do_not_rise_above_the_setting():
    assert next_rows(taken(deleting=0.0175), settings(max_batch_rows=1999)) == 1999
    assert next_rows(taken(deleting=0.0175), settings(max_batch_rows=2001)) == 2000


def test_a_batch_that_never_pauses_has_no_pause():
    assert pause(taken(commit=1.0), settings(**FREE))[1] == 0


@pytest.mark.parametrize(
    ("commit", "seconds"), [(0.001, 0.009), (0.010, 0.090), (0.5, 4.5), (0.6, 5.0), (9.0, 5.0)]
)
def test_the_pause_is_a_multiple_of_the_commit_and_bounded(commit, seconds):
    reason, waited = pause(taken(deleting=0.0, commit=commit), settings(duty_cycle=0.999))
    assert waited == pytest.approx(seconds)
    assert reason == "commit-latency"


@pytest.mark.parametrize(("duty", "seconds"), [(0.5, 0.040), (0.25, 0.120), (0.2, 0.160)])
def test_the_pause_leaves_the_rest_of_the_time_to_others(duty, seconds):
    reason, waited = pause(taken(deleting=0.039, commit=0.001), settings(duty_cycle=duty))
    assert waited == pytest.approx(seconds)
    assert reason == "duty-cycle"


@pytest.mark.parametrize(("deleting", "reason"), [(0.0031, "duty-cycle"), (0.0027, "commit-latency")])
def test_the_longer_of_two_pauses_counts_and_is_named(deleting, reason):
    assert pause(taken(deleting=deleting, commit=0.001), settings(duty_cycle=0.3))[0] == reason


@pytest.mark.parametrize(("mib", "seconds"), [(1, 59.0), (60, 0.0), (59, 60 / 59 - 1), (61, 0.0)])
def test_the_budget_of_wal_is_of_a_minute_and_counts_the_time_of_the_batch(mib, seconds):
    batch = taken(deleting=0.9, commit=0.1, wal_bytes=MIB)
    waited = pause(batch, settings(max_wal_mib_per_minute=mib, **FREE))
    assert waited[1] == pytest.approx(seconds)
    assert waited[0] == "wal-budget" if seconds else waited[1] == 0


def test_a_forecast_counts_batches_pauses_and_wal():
    assert forecast(0, settings()) == {"batches": 0, "seconds": 0, "wal_bytes": 0}
    assert forecast(1, settings())["batches"] == 1
    gentle, free = forecast(10**6, settings()), forecast(10**6, settings(**FREE))
    assert (gentle["batches"], free["batches"]) == (-(-(10**6) // (FLUSH // 350)), 20)
    assert gentle["wal_bytes"] == free["wal_bytes"] == 350 * 10**6
    assert (gentle["seconds"], free["seconds"]) == (16, 3)
    assert forecast(10**6, settings(max_batch_rows=100))["batches"] == 10**4
    budget = settings(max_wal_mib_per_minute=10, **FREE)
    assert forecast(10**6, budget)["seconds"] == round(350 * 10**6 * 60 / (10 * MIB))
