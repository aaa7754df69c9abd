"""From every setting and flag to the limit that it moves: nothing may be accepted and then ignored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from luxima_retention.run.context import Environment
from luxima_retention.run.runner import Options, archives, opening_of, policy_of
from tests.configured import settings_of

HERE = Environment(now=datetime(2026, 11, 23, tzinfo=UTC))


def policy(options=None, *, name="audit-logs", **sections):
    """The policy that the engine gets."""
    return policy_of(settings_of(sections).policy(name), options or Options())


def of(name="audit-logs", **options):
    return {"policies": {name: options}}


@pytest.mark.parametrize(
    ("sections", "limit", "value"),
    [
        (of(max_clock_skew="5m"), "max_skew", timedelta(minutes=5)),
        (of(max_fraction="0.5"), "max_fraction", Decimal("0.5")),
        (of(max_items=7), "max_items", 7),
        (of(min_remaining=9), "min_remaining", 9),
        (of(max_silence="3d"), "max_silence", timedelta(days=3)),
        (of(max_silence="off"), "max_silence", None),
        (of(identity=["a", "b"]), "fingerprints", ("a", "b")),
        (of(tables=[{"table": "a.b", "tenant_column": "t"}]), "dimensions", frozenset({"tenant", "range"})),
        ({"audit_log": {"subject_column": "s"}}, "dimensions", frozenset({"subject", "range"})),
    ],
)
def test_a_setting_moves_its_limit_and_no_other(sections, limit, value):
    usual, moved = policy().limits, policy(**sections).limits
    told = (name for name in moved.__slots__ if name != "widened")
    names = [name for name in told if getattr(moved, name) != getattr(usual, name)]
    assert names == [limit]
    assert getattr(moved, limit) == value


@pytest.mark.parametrize(
    ("options", "limit", "value", "guard"),
    [
        (Options(max_fraction=Decimal("0.9")), "max_fraction", Decimal("0.9"), "share"),
        (Options(max_items=3), "max_items", 3, "max-items"),
        (Options(max_items=0), "max_items", 0, "max-items"),
        (Options(min_remaining=0), "min_remaining", 0, "min-remaining"),
        (Options(max_silence=timedelta(days=90)), "max_silence", timedelta(days=90), "stale-source"),
        (Options(max_silence="off"), "max_silence", None, "stale-source"),
    ],
)
def test_a_flag_wins_over_the_setting_and_is_named(options, limit, value, guard):
    written = of(max_fraction="0.5", max_items=5, min_remaining=5, max_silence="5d")
    limits = policy(options, **written).limits
    assert getattr(limits, limit) == value
    assert list(limits.named) == [guard]
    assert policy(**written).limits.named == {}


@pytest.mark.parametrize(
    ("options", "member", "value"),
    [
        ({"retention_days": 7}, "retention_days", 7),
        ({"archive": "required"}, "archive", "required"),
        ({"archive": "off"}, "archive", "off"),
        ({"schedule": "1 2 * * *"}, "schedule", "1 2 * * *"),
    ],
)
def test_an_option_reaches_the_engine(options, member, value):
    assert getattr(policy(**of(**options)), member) == value


def test_a_shard_has_a_lease_of_its_own_and_tells_nothing_of_missed_runs():
    part = policy(Options(shard=(1, 4)), name="application-logs")
    assert (part.lease, part.schedule) == ("application-logs-1-of-4", "")


@pytest.mark.parametrize(
    ("archive", "url", "name", "expected"),
    [
        ("auto", "file:///a", "audit-logs", True),
        ("auto", "", "audit-logs", False),
        ("off", "file:///a", "audit-logs", False),
        ("required", "file:///a", "audit-logs", True),
        ("auto", "file:///a", "application-logs", False),
        ("auto", "file:///a", "log-files", False),
    ],
)
def test_what_is_archived(archive, url, name, expected):
    sections = {**of(name, archive=archive), "archive": {"url": url, "retention_days": 9} if url else {}}
    config = settings_of(sections).policy(name)
    assert archives(config) is expected
    assert opening_of(config, Options(), HERE).archives is expected


@pytest.mark.parametrize(
    ("options", "member", "value"),
    [
        (Options(dry_run=True), "read_only", True),
        (Options(), "read_only", False),
        (Options(sweep=True), "sweep", True),
        (Options(shard=(2, 3)), "shard", (2, 3)),
        (Options(rotate_now=True), "rotate_now", True),
    ],
)
def test_a_flag_reaches_the_stores(options, member, value):
    opening = opening_of(settings_of().policy("audit-logs"), options, HERE)
    assert getattr(opening, member) == value
