"""A saved plan is applied on its terms, within its time, or not at all."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.core.errors import ConfigurationError, GuardRefused
from luxima_retention.core.plan import Identity, Request, Survey, decide, digest
from luxima_retention.run import planfile
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


# --- every term, and every sentence ---------------------------------------------------------------------

AGAIN = "save a new one with `luxima-retention run --dry-run --save-plan FILE`"


def test_the_golden_file(path):
    """Files of other installations are read by these names."""
    saved = save(path, [Proposed(plan=plan(), refused=("share: too many",))], NOW)
    members = json.loads(path.read_text())
    recorded = members.pop("sha256")
    assert members == {
        "form": "luxima-retention plan",
        "v": 1,
        "created_at": "2026-11-23T08:30:00Z",
        "expires_at": "2026-11-24T08:30:00Z",
        "plans": [{"digest": plan().digest, "terms": plan().terms(), "refused": ["share: too many"]}],
    }
    assert recorded == digest(members)
    assert path.read_text() == json.dumps({**members, "sha256": recorded}, indent=2, sort_keys=True) + "\n"
    assert (saved.created_at, saved.expires_at) == (NOW, NOW + VALID_FOR)
    (approved,) = saved.plans.values()
    assert (approved.policy, approved.refused) == ("audit-logs", ("share: too many",))


def test_several_policies_have_a_plan_each(path):
    other = replace(plan(items=7), policy="metrics")
    save(path, [Proposed(plan=plan()), Proposed(plan=other)], NOW)
    found = load(path, NOW).plans
    assert {name: item.items for name, item in found.items()} == {"audit-logs": 100, "metrics": 7}


def test_the_bytes_reach_the_disk_before_the_plan_counts_as_saved(path, monkeypatch):
    synced = []
    monkeypatch.setattr(planfile.os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
    save(path, [Proposed(plan=plan())], NOW)
    assert synced == [path.stat().st_size]


@pytest.mark.parametrize("member", ["form", "v"])
def test_a_file_of_another_form_is_no_plan_even_with_its_own_digest(path, member):
    save(path, [Proposed(plan=plan())], NOW)
    members = json.loads(path.read_text())
    del members["sha256"]
    members[member] = "another"
    path.write_text(json.dumps({**members, "sha256": digest(members)}))
    with pytest.raises(ConfigurationError) as caught:
        load(path, NOW)
    assert (caught.value.message, caught.value.hint) == (f"the plan {path} is not what was saved", AGAIN)


def test_a_plan_whose_digest_is_not_its_own_is_refused_even_in_a_whole_file(path):
    save(path, [Proposed(plan=plan())], NOW)
    members = json.loads(path.read_text())
    del members["sha256"]
    members["plans"][0]["terms"]["items"] = 101
    path.write_text(json.dumps({**members, "sha256": digest(members)}))
    with pytest.raises(ConfigurationError) as caught:
        load(path, NOW)
    said = ValueError("the digest of audit-logs does not belong to its terms")
    assert caught.value.message == f"{path} is not a saved plan: {said!r}"
    assert caught.value.hint == AGAIN


def test_every_error_of_a_file_names_it_and_says_what_to_do(path):
    with pytest.raises(ConfigurationError) as caught:
        load(path, NOW)
    assert caught.value.message == f"the plan {path} cannot be read: No such file or directory"
    save(path, [Proposed(plan=plan())], NOW)
    with pytest.raises(ConfigurationError) as caught:
        save(path, [Proposed(plan=plan())], NOW)
    assert caught.value.message == f"the plan {path} cannot be written: File exists"
    assert caught.value.hint == "name a file that does not exist yet, in a directory that may be written"
    with pytest.raises(GuardRefused) as caught:
        load(path, NOW + VALID_FOR)
    assert caught.value.message == (
        f"the plan {path} holds from 2026-11-23T08:30:00Z to 2026-11-24T08:30:00Z, not now"
    )
    assert caught.value.hint == AGAIN


def test_a_plan_may_be_applied_from_its_first_instant_to_its_last(path):
    save(path, [Proposed(plan=plan())], NOW)
    for age in (timedelta(), VALID_FOR - timedelta(microseconds=1)):
        assert load(path, NOW + age).created_at == NOW


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ()),
        ({"items": 101}, ("101 records would be deleted, and the approved plan has 100",)),
        ({"items": 100}, ()),
        ({"retention_days": 179}, ("the period is 179 days, approved were 180",)),
        ({"retention_days": 181}, ()),
        (
            {"cutoff": plan().cutoff + timedelta(seconds=1)},
            ("the cutoff is 2026-05-27T00:00:01Z, approved was 2026-05-27T00:00:00Z",),
        ),
        ({"cutoff": plan().cutoff - timedelta(seconds=1)}, ()),
        ({"disposition": "destroy"}, ("the disposition is destroy, approved was archive, then destroy",)),
        (
            {"identity": replace(plan().identity, target="core.other", fingerprint="x")},
            (
                "the target is core.other, approved was core.audit_log",
                "the store is x, approved was postgresql:7/5/16400",
            ),
        ),
        ({"holds": ("H-1",)}, ("hold H-2, H-3 was released since the plan was approved",)),
        ({"holds": ("H-1", "H-2", "H-3", "H-4")}, ()),
    ],
)
def test_what_is_beyond_the_terms(path, changes, said):
    held = plan(holds=("H-1", "H-2", "H-3"))
    approved = save(path, [Proposed(plan=held)], NOW).plans["audit-logs"]
    assert beyond(approved, replace(held, **changes)) == said
