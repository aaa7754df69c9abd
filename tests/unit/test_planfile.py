"""A saved plan is applied on its terms, within its time, or not at all."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.core.errors import ConfigurationError, GuardRefused
from luxima_retention.core.plan import Identity, Request, Survey, decide
from luxima_retention.run.planfile import VALID_FOR, Proposed, beyond, load, save

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


def plan(items=100, days=180, fingerprint="postgresql:7/5/16400", holds=()):
    request = Request(
        policy="audit-logs",
        retention_days=days,
        cutoff=datetime(2026, 11, 23, tzinfo=UTC) - timedelta(days=days),
        now=NOW,
    )
    identity = Identity(kind="postgresql", target="core.audit_log", fingerprint=fingerprint)
    survey = Survey(identity=identity, store_clock=NOW, expired=items)
    made = decide(request, survey, cutoff_basis="program clock", disposition="archive, then destroy")
    return replace(made, holds=tuple(holds))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plan.json"


def test_a_saved_plan_is_read_back_with_its_digest(path):
    saved = save(path, [Proposed(plan=plan())], NOW)
    found = load(path, NOW)
    assert found == saved
    approved = found.plans["audit-logs"]
    assert (approved.digest, approved.items, approved.cutoff) == (plan().digest, 100, plan().cutoff)
    assert beyond(approved, plan()) == ()


@pytest.mark.parametrize("age", [timedelta(microseconds=-1), VALID_FOR, VALID_FOR + timedelta(days=1)])
def test_a_plan_holds_for_its_time_only(path, age):
    save(path, [Proposed(plan=plan())], NOW)
    with pytest.raises(GuardRefused, match=r"holds from .* not now") as caught:
        load(path, NOW + age)
    assert "--save-plan" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new"),
    [('"items": 100', '"items": 101'), ("T08:30:00Z", "T09:30:00Z"), ('"v": 1', '"v": 2'), ("core", "cora")],
)
def test_a_plan_that_was_changed_is_refused(path, old, new):
    save(path, [Proposed(plan=plan())], NOW)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ConfigurationError, match="is not what was saved"):
        load(path, NOW)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 1}', "\xff"])
def test_what_is_no_plan_is_refused(path, content):
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="is not a saved plan"):
        load(path, NOW)


def test_a_file_that_is_not_there_or_there_already_is_a_sentence(path):
    with pytest.raises(ConfigurationError, match="No such file"):
        load(path, NOW)
    save(path, [Proposed(plan=plan())], NOW)
    with pytest.raises(ConfigurationError, match="File exists"):
        save(path, [Proposed(plan=plan())], NOW)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (plan(items=101), "101 records would be deleted, and the approved plan has 100"),
        (plan(days=179), "the cutoff is 2026-05-28T00:00:00Z, approved was 2026-05-27T00:00:00Z"),
        (plan(days=179), "the period is 179 days, approved were 180"),
        (plan(fingerprint="postgresql:8/5/16400"), "the store is postgresql:8/5/16400"),
    ],
)
def test_what_goes_beyond_the_terms_is_told(path, now, said):
    approved = save(path, [Proposed(plan=plan())], NOW).plans["audit-logs"]
    assert any(said in sentence for sentence in beyond(approved, now))


def test_less_than_approved_may_go_and_a_released_hold_may_not_be_used(path):
    approved = save(path, [Proposed(plan=plan(holds=["H-1", "H-2"]))], NOW).plans["audit-logs"]
    assert beyond(approved, plan(items=99, days=181, holds=["H-1", "H-2", "H-3"])) == ()
    assert beyond(approved, plan(holds=["H-2"])) == ("hold H-1 was released since the plan was approved",)


def test_the_file_is_for_people_to_read(path):
    save(path, [Proposed(plan=plan())], NOW)
    terms = json.loads(path.read_text())["plans"][0]["terms"]
    assert terms["target"] == "core.audit_log"
