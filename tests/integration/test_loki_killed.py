"""Runs over random buckets that are killed, once or twice: the one that goes on comes to the same end."""

from __future__ import annotations

import random
from datetime import timedelta
from unittest.mock import patch

import pytest

from luxima_retention.core.results import Outcome
from luxima_retention.io import failpoints
from luxima_retention.run.engine import Environment, run_policy
from luxima_retention.stores.loki.keys import DAY_MS, milliseconds
from tests.configured import loki_settings, opened_loki
from tests.conftest import LONG, OUTSIDE
from tests.integration.test_loki_random import POLICY, START, filled
from tests.servers.s3 import keys_of
from tests.unit.test_engine import FakeState

CUTOFF_MS = (milliseconds(START) // DAY_MS - 30) * DAY_MS
PLACES = (
    "act.before_commit",
    "act.after_commit",
    "loki.before_list",
    "loki.after_list",
    "loki.after_request",
    "loki.after_table",
    "loki.after_chunks",
    "loki.after_list_is_gone",
    "engine.after_act",
)
#: ``make long`` tries 200 of them
SEEDS = range(int(OUTSIDE["LUXIMA_TEST_SEEDS"])) if LONG else (0, 6, 12, 28, 53)


@pytest.fixture
def small_requests():
    """So that a list is destroyed by several."""
    with patch("luxima_retention.stores.loki.deleting.BATCH", 3):
        yield


@pytest.mark.usefixtures("small_requests")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_run_comes_to_the_same_end(s3, s3_client, bucket, seed):
    rnd = random.Random(seed)  # noqa: S311 - no secret
    chunks, files = filled(rnd, s3_client, bucket)
    before, state, offline = keys_of(s3_client, bucket), FakeState(), rnd.random() < 0.6
    settings = loki_settings(s3, bucket, min_object_age="0s", offline=offline)

    def ran(now):
        environment = Environment(now=now, state=state, clock=lambda: now)
        opened = lambda: opened_loki(settings, clock=lambda: now, read_only=False)  # noqa: E731
        (target,) = run_policy(POLICY, (("loki", opened),), environment).targets
        return target

    killed = 0
    for _ in range(rnd.choice([1, 1, 2])):
        place, count = rnd.choice(PLACES), rnd.randrange(1, 5)
        with (
            patch.dict(failpoints._armed, {place: ("fail", count)}, clear=True),
            patch.dict(failpoints._passed, clear=True),
        ):
            try:
                ran(START)
            except failpoints.FailpointHit:
                killed += 1
    planned = next((entry.event.items for entry in state.ledger.all if entry.kind == "run.started"), 0)
    target = ran(START)
    told = f"{killed} kills, {place}@{count}: {target.sentence}"
    assert int(target.exit_code) == 0, told
    assert target.outcome in {Outcome.DONE, Outcome.PENDING, Outcome.NOTHING_TO_DO}, told
    assert "arrived" not in target.sentence, told
    end = next((entry.event for entry in reversed(state.ledger.all) if entry.kind == "run.completed"), None)
    assert end is None or end.destroyed + end.condemned <= planned, told
    if not offline:
        ran(START + timedelta(hours=15))
    gone = {key for key, item in chunks.items() if item.end < CUTOFF_MS}
    tables = {key for key in files if int(key.split("/")[1][-5:]) < CUTOFF_MS // DAY_MS}
    assert before - keys_of(s3_client, bucket) == gone | tables, told
    assert not [key for key in keys_of(s3_client, bucket) if key.startswith("luxima-retention/")], told
