"""From every setting and flag to the limit that it moves: nothing may be accepted and then ignored."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from luxima_retention.cli import cli
from luxima_retention.core.guards import Limits
from luxima_retention.run import runner
from luxima_retention.run.context import Environment
from luxima_retention.run.matrix import archives
from luxima_retention.run.runner import Options, opening_of, policy_of
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


# --- nothing is left out ----------------------------------------------------------------------------------


class Reached(Exception):  # noqa: N818 - not an error: what the command was called for
    """The run that a command line asks for."""


@pytest.mark.parametrize(
    ("arguments", "member", "value"),
    [
        (["audit-logs", "metrics"], "policies", ("audit-logs", "metrics")),
        (["--dry-run"], "dry_run", True),
        (["--as-of", "2026-01-02T00:00:00Z"], "as_of", datetime(2026, 1, 2, tzinfo=UTC)),
        (["--dry-run", "--save-plan", "new.json"], "save_plan", Path("new.json")),
        (["--plan", __file__], "plan", Path(__file__)),
        (["--max-items", "0"], "max_items", 0),
        (["--max-fraction", "0.25"], "max_fraction", Decimal("0.25")),
        (["--min-remaining", "0"], "min_remaining", 0),
        (["--max-silence", "9d"], "max_silence", timedelta(days=9)),
        (["--max-silence", "off"], "max_silence", "off"),
        (["--max-runtime", "90s"], "max_runtime", timedelta(seconds=90)),
        (["--sweep"], "sweep", True),
        (["--shard", "2/3", "--sweep"], "shard", (2, 3)),
        (["--rotate-now"], "rotate_now", True),
    ],
)
def test_each_flag_of_run_is_what_the_run_is_asked_for(monkeypatch, arguments, member, value):
    def reached(_settings, options, _hooks):
        raise Reached(options)

    monkeypatch.setattr(runner, "run", reached)
    monkeypatch.setattr(runner, "check_named", lambda _settings, _options: None)
    found = CliRunner().invoke(cli, ["run", *arguments]).exception
    assert isinstance(found, Reached), found
    (options,) = found.args
    assert getattr(options, member) == value
    other = {"dry_run"} if member == "save_plan" else {"sweep"} if member == "shard" else set()
    moved = {item.name for item in fields(Options) if getattr(options, item.name) != item.default}
    assert moved == {member} | other


def test_every_option_of_a_run_has_its_flag():
    """Whoever adds a member of Options adds its line above."""
    names = {mark.args[1][index][1] for mark in MARKS for index in range(len(mark.args[1]))}
    assert {item.name for item in fields(Options)} <= names


def test_every_limit_is_moved_by_a_setting():
    names = {case[1] for case in SETTINGS.args[1]}
    told = {"named", "widened"}
    assert {item.name for item in fields(Limits)} - told == names


MARKS = test_each_flag_of_run_is_what_the_run_is_asked_for.pytestmark
(SETTINGS,) = test_a_setting_moves_its_limit_and_no_other.pytestmark


@pytest.mark.parametrize(
    ("sections", "widened"),
    [
        ({}, {}),
        (of(max_fraction="0.26"), {"share": "policies.audit-logs.max_fraction = 0.26"}),
        (of(max_fraction="0.1"), {"share": "policies.audit-logs.max_fraction = 0.1"}),
        (of(max_clock_skew="60s"), {}),
        (of(max_clock_skew="61s"), {"clock-skew": "policies.audit-logs.max_clock_skew = 61s"}),
        (of(min_remaining=1), {}),
        (of(min_remaining=0), {"min-remaining": "policies.audit-logs.min_remaining = 0"}),
        (of(max_silence="off"), {"stale-source": "policies.audit-logs.max_silence = off"}),
        (of(max_silence="365d"), {"stale-source": "policies.audit-logs.max_silence = 365d"}),
        (of(max_silence="1h"), {}),
    ],
)
def test_a_setting_that_lets_more_pass_is_named_in_the_entry_of_each_run(sections, widened):
    assert policy(**sections).limits.widened == widened


def test_how_late_a_run_may_be_and_in_which_zone():
    made = policy(schedule={"grace": "2h", "time_zone": "Asia/Jakarta"})
    assert (made.grace, str(made.zone)) == (timedelta(hours=2), "Asia/Jakarta")


def test_a_value_that_is_named_is_told_as_it_was_typed():
    options = Options(max_fraction=Decimal("0.9"), max_items=0, min_remaining=0, max_silence="off")
    assert policy(options).limits.named == {
        "share": "--max-fraction 0.9",
        "max-items": "--max-items 0",
        "min-remaining": "--min-remaining 0",
        "stale-source": "--max-silence off",
    }
