"""What is told: the oldest record that nothing keeps, outcomes, guards, names, promises. No I/O but files."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from luxima_retention.core.durations import spelled
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.guards import Case, Limits, judge
from luxima_retention.core.history import History
from luxima_retention.core.plan import Count, Identity, Pending, Request, Survey, cutoff_at, decide
from luxima_retention.core.results import Outcome, PolicyResult, Proof, RunResult, TargetResult, Totals
from luxima_retention.run.matrix import bound
from luxima_retention.tell import samples, telemetry
from luxima_retention.tell.budget import within
from luxima_retention.tell.families import FAMILIES, PREFIX, Sample, exposition
from luxima_retention.tell.promise import Promise, matrix_digest, promise
from luxima_retention.tell.telemetry import Telemetry, daemon_metrics
from tests.configured import settings_of

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 26, 0, 5, tzinfo=UTC)
CUTOFF = cutoff_at(180, NOW)
DAY = timedelta(days=1)
PROMISE = Promise(policy="p", targets=("t",), limit=180 * 86400, allowance=93300, interval=86400)
BUILD = samples.Build(version="1", matrix="m")


def survey(**facts):
    identity = Identity(kind="memory", target="t", fingerprint="f")
    return Survey(**{"identity": identity, "store_clock": NOW, "newest": NOW, **facts})


def plan_of(found):
    request = Request(policy="p", retention_days=180, cutoff=CUTOFF, now=NOW)
    return decide(request, found, cutoff_basis="program clock", disposition="archive, then destroy")


def result(found=None, *, code=ExitCode.DONE, planned=True, **more):
    plan = plan_of(found) if found is not None and planned else None
    return TargetResult(target="t", outcome=Outcome.DONE, exit_code=code, survey=found, plan=plan, **more)


def proof(**facts):
    usual = {"left": 0, "explained": {}, "unexplained": 0, "pending": (), "overdue": 0, "oldest": None}
    return Proof(**{**usual, **facts})


OLD, YOUNG = CUTOFF - 20 * DAY, CUTOFF + 3 * DAY
ELIGIBLE = {
    "nothing was looked at": (result(), None),
    "an empty store": (result(survey(newest=None)), NOW),
    "only young ones": (result(survey(oldest=YOUNG)), YOUNG),
    "older ones are on hold": (result(survey(oldest=OLD, held=5)), CUTOFF),
    "expired ones that a guard keeps": (
        result(survey(oldest=OLD - DAY, held=1, expired=3, oldest_expired=OLD)),
        OLD,
    ),
    "all went": (
        result(
            survey(oldest=OLD, expired=3, oldest_expired=OLD),
            totals=Totals(destroyed=3, last=CUTOFF - DAY),
            proof=proof(oldest=YOUNG),
        ),
        YOUNG,
    ),
    "all went but the held": (
        result(
            survey(oldest=OLD, expired=3, held=1, oldest_expired=OLD),
            totals=Totals(destroyed=3),
            proof=proof(oldest=OLD),
        ),
        CUTOFF,
    ),
    "stopped halfway": (
        result(
            survey(oldest=OLD, expired=9, oldest_expired=OLD),
            totals=Totals(destroyed=3, last=CUTOFF - 9 * DAY),
            proof=proof(left=6, explained={"stopped": 6}, oldest=CUTOFF - 8 * DAY),
        ),
        CUTOFF - 9 * DAY,
    ),
    "one that nothing explains": (
        result(
            survey(oldest=OLD, expired=9, oldest_expired=OLD),
            totals=Totals(destroyed=8, last=CUTOFF - DAY),
            proof=proof(left=1, unexplained=1, oldest=OLD),
        ),
        OLD,
    ),
    "condemned within its date": (
        result(survey(oldest=OLD, pending=(Pending(items=3, due=NOW + DAY, reason="x"),))),
        CUTOFF,
    ),
    "condemned past its date": (
        result(survey(oldest=OLD), totals=Totals(), proof=proof(overdue=2, oldest=OLD)),
        OLD,
    ),
    "objects that could not be read": (result(survey(oldest=YOUNG, unknown=2)), None),
    "only checked": (result(survey(oldest=OLD), planned=False), OLD),
    "checked, and it could not tell": (result(survey(), planned=False, code=ExitCode.INCOMPLETE), None),
}


@pytest.mark.parametrize("name", ELIGIBLE)
def test_the_oldest_record_that_nothing_keeps(name):
    found, expected = ELIGIBLE[name]
    told = samples.oldest_eligible(PROMISE, found, NOW)
    assert math.isnan(told) if expected is None else told == expected.timestamp()


def told(policy_result):
    return list(samples.of_policy(PROMISE, policy_result, NOW, BUILD))


def policy(*targets, code=ExitCode.DONE, outcome=Outcome.DONE):
    return PolicyResult(policy="p", retention_days=180, outcome=outcome, exit_code=code, targets=targets)


@pytest.mark.parametrize("code", ExitCode)
def test_one_outcome_is_1_and_only_a_success_tells_its_time(code):
    found = told(policy(result(survey(), code=code), code=code))
    assert [
        sample.labels["outcome"] for sample in found if sample.name == "last_run_outcome" and sample.value
    ] == [code.name.lower()]
    assert any(sample.name == "last_success_timestamp_seconds" for sample in found) == (code is ExitCode.DONE)


def test_a_plan_that_somebody_declined_is_no_success():
    found = told(policy(result(survey()), outcome=Outcome.DECLINED))
    assert not [sample for sample in found if sample.name.startswith("last_success")]


def test_every_family_is_told_whatever_was_looked_at():
    whole = {sample.name for sample in told(policy(result(survey(oldest=YOUNG))))}
    nothing = {sample.name for sample in told(policy(code=ExitCode.INCOMPLETE))}
    assert whole - nothing == {"last_success_timestamp_seconds"}
    assert nothing <= whole


def test_a_part_of_a_sharded_run_tells_what_it_did_and_not_what_the_store_holds():
    part = list(samples.of_policy(PROMISE, policy(result(survey())), NOW, BUILD, whole=False))
    names = {sample.name for sample in part}
    assert {"last_run_outcome", "last_run_destroyed_records", "guard_used_ratio"} <= names
    assert not names & {
        "oldest_eligible_timestamp_seconds",
        "expired_records",
        "held_records",
        "limit_seconds",
    }


def test_one_target_of_two_that_failed_keeps_the_policy_from_a_success():
    two = Promise(policy="p", targets=("a", "b"), limit=1, allowance=1, interval=1)
    both = policy(result(survey()), result(code=ExitCode.INCOMPLETE), code=ExitCode.INCOMPLETE)
    found = list(samples.of_policy(two, both, NOW, BUILD))
    assert {sample.labels["target"] for sample in found if "target" in sample.labels} == {"a", "b"}
    assert not [sample for sample in found if sample.name.startswith("last_success")]


def test_the_use_of_each_guard_is_what_it_saw_of_its_limit():
    """By verdicts as the guards give them."""
    found = survey(
        expired=10, population=Count(value=100), oldest=OLD, oldest_expired=OLD, newest=NOW - 2 * DAY
    )
    limits = Limits(max_items=40, min_remaining=9, max_silence=8 * DAY, max_skew=timedelta(seconds=60))
    found = Survey(
        **{
            **{name: getattr(found, name) for name in found.__slots__},
            "program_clock": NOW + timedelta(seconds=6),
        }
    )
    request = Request(policy="p", retention_days=180, cutoff=CUTOFF, now=NOW)
    case = Case(plan=plan_of(found), survey=found, request=request, history=History(), limits=limits, now=NOW)
    target = result(found, verdicts=judge(case))
    used = {
        sample.labels["guard"]: sample.value
        for sample in told(policy(target))
        if sample.name == "guard_used_ratio"
    }
    assert used == pytest.approx(
        {"share": 0.4, "max-items": 0.25, "stale-source": 0.25, "min-remaining": 0.1, "clock-skew": 0.1}
    )


def test_names_have_base_units_and_labels_of_their_family():
    for name, family in FAMILIES.items():
        assert re.fullmatch(r"[a-z_]+", name)
        assert not name.endswith("_total")
        assert family.meaning.endswith(".")
    for sample in told(policy(result(survey()))):
        assert set(sample.labels) == set(FAMILIES[sample.name].labels)


def test_labels_are_escaped_and_families_stand_together():
    odd = 'a"b\\c\nd'
    text = exposition(
        [
            Sample(name="limit_seconds", value=1, labels={"target": odd}),
            Sample(name="ledger_entries", value=2),
        ]
    ).decode()
    (found,) = [
        item for item in text_string_to_metric_families(text) if item.name == f"{PREFIX}limit_seconds"
    ]
    assert found.samples[0].labels == {"target": odd}


def test_the_daemon_tells_its_own_state_and_what_its_runs_have_written(tmp_path):
    health = {
        "role": "leader",
        "healthy": True,
        "running": ["audit-logs"],
        "ended": {"metrics": {"exit_code": 8, "at": "2026-11-26T00:35:00Z", "seconds": 2}},
        "next": {"slot": "audit-logs", "at": "2026-11-27T00:05:00Z"},
    }
    labels = {"environment": "e", "policy": "p"}
    file = exposition([Sample(name="limit_seconds", value=7, labels={"target": "t"})], labels)
    (tmp_path / "luxima_retention_p.prom").write_bytes(file)
    (tmp_path / "luxima_retention_torn.prom").write_text("nonsense {")
    text = daemon_metrics(str(tmp_path), health).decode()
    lines = text.splitlines()
    assert f"{PREFIX}schedule_leading 1.0" in lines
    assert f'{PREFIX}schedule_last_exit_code{{slot="metrics"}} 8.0' in lines
    assert f'{PREFIX}limit_seconds{{environment="e",policy="p",target="t"}} 7.0' in lines
    assert text.count("# TYPE") == len(set(re.findall(r"# TYPE (\S+)", text)))


def read(path):
    """Name and labels → value."""
    return {
        (sample.name.removeprefix(PREFIX), sample.labels.get("outcome")): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


def test_a_checkpoint_that_fails_is_told_of_the_ledger_and_of_no_policy(tmp_path, monkeypatch):
    monkeypatch.setattr(telemetry, "BUDGET", 60.0)
    settings = settings_of(
        {
            "telemetry": {"textfile_directory": str(tmp_path)},
            "database": {"dsn": "postgresql://u@127.0.0.1/d"},
            "ledger": {"path": str(tmp_path / "ledger")},
        }
    )
    fine = PolicyResult(policy="audit-logs", retention_days=180, outcome=Outcome.DONE)
    ran = RunResult(now=NOW, dry_run=False, policies=(fine,), own_code=ExitCode.INCOMPLETE)
    assert list(Telemetry(settings).run(ran)) == []
    policies, ledger = (read(tmp_path / f"luxima_retention_{name}.prom") for name in ("audit-logs", "ledger"))
    assert (policies["last_run_outcome", "done"], ledger["last_run_outcome", "incomplete"]) == (1, 1)
    assert ledger["ledger_anchor_timestamp_seconds", None] == 0
    anchored = replace(ran, own_code=ExitCode.DONE, checkpoint={"anchors": ["file:///anchor"]})
    assert list(Telemetry(settings).run(anchored)) == []
    ledger = read(tmp_path / "luxima_retention_ledger.prom")
    assert ledger["ledger_anchor_timestamp_seconds", None] == NOW.timestamp()
    assert math.isnan(ledger["ledger_entries", None]), "a ledger that cannot be read has no number of entries"


def test_all_receivers_together_have_one_budget():
    begun = time.monotonic()
    said = list(
        within(
            {
                "slow": lambda: time.sleep(5) or [],
                "slower": lambda: time.sleep(6) or [],
                "good": list,
                "wrong": lambda: 1 / 0,
                "refusing": lambda: ["it refuses"],
            },
            seconds=0.3,
        )
    )
    assert time.monotonic() - begun < 1.5
    assert said == [
        "slow took longer than 0.3 s and was left behind",
        "slower took longer than 0.3 s and was left behind",
        "telemetry failed: ZeroDivisionError",
        "it refuses",
    ]


def spoken(duration):
    """``1 d 5 min``."""
    days, rest = divmod(int(duration.total_seconds()) // 60, 1440)
    hours, minutes = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def test_the_bounds_in_the_docs_are_those_of_the_default_schedule():
    settings = settings_of({"policies": {"metrics": {"urls": ["http://p:9090"]}}})
    page = (ROOT / "docs" / "observability.md").read_text()
    for name in settings.policies:
        assert spoken(bound(settings.policy(name))) in page, name


def test_a_promise_comes_from_the_settings_and_changes_with_them():
    settings = settings_of({"schedule": {"grace": "2h", "max_runtime": "1h"}})
    config = settings.policy("audit-logs")
    found = promise(config)
    assert found.targets == ("core.audit_log",)
    assert found.allowance == (bound(config) + timedelta(hours=3)).total_seconds()
    assert spelled(timedelta(seconds=found.interval)) == "1d"
    off = settings_of({"policies": {"audit-logs": {"schedule": ""}}})
    assert math.isnan(promise(off.policy("audit-logs")).allowance)
    assert matrix_digest(settings) == matrix_digest(settings_of())
    assert matrix_digest(settings) != matrix_digest(off)
