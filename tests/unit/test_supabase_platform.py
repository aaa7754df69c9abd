"""What the platform keeps, as findings: pure rules, and the Management API as a stand-in answers it."""

import json
from datetime import UTC, datetime

import pytest

from luxima_retention.core.deadline import Deadline
from luxima_retention.core.errors import ExitCode, StoreError
from luxima_retention.core.plan import Request, cutoff_at
from luxima_retention.io.http import Endpoint, Http
from luxima_retention.stores.supabase.platform import (
    PLAN_LOG_DAYS,
    SupabasePlatform,
    audit_finding,
    plan_finding,
)
from tests.servers.stub import Answer, run_stub

TOKEN = "sbp_throwaway_token_of_a_test"
NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
REQUEST = Request(policy="security-events", retention_days=90, cutoff=cutoff_at(90, NOW), now=NOW)
TABLES = ("app.security_events", "auth.audit_log_entries")


@pytest.mark.parametrize(
    ("plan", "days", "code", "sentence"),
    [
        ("pro", 90, "plan-keeps-less", "plan pro keeps 7 days; the policy says 90"),
        ("free", 90, "plan-keeps-less", "plan free keeps 1 day; the policy says 90"),
        ("team", 28, "plan-keeps-enough", "plan team keeps 28 days"),
        ("enterprise", 90, "plan-keeps-enough", "plan enterprise keeps 90 days"),
        ("platform", 90, "plan-unknown", "'platform'"),
    ],
)
def test_a_plan_s_retention_beside_the_policy(plan, days, code, sentence):
    finding = plan_finding(plan, days)
    assert finding.code == code
    assert sentence in finding.message
    assert finding.level.exit_code is ExitCode.DONE


@pytest.mark.parametrize("plan", PLAN_LOG_DAYS)
def test_no_plan_is_said_to_keep_more_than_it_does(plan):
    kept = PLAN_LOG_DAYS[plan]
    assert plan_finding(plan, kept).code == "plan-keeps-enough"
    assert plan_finding(plan, kept + 1).code == "plan-keeps-less"


def test_an_empty_table_with_its_copy_switched_off_is_not_applicable():
    assert audit_finding(disabled=True, empty=True).code == "not-applicable"
    assert audit_finding(disabled=True, empty=False).code == "audit-log-off"
    # An empty table that is fed is merely empty: its own survey speaks for it.
    assert audit_finding(disabled=False, empty=True) is None


def project(*, plan="pro", disabled=False, empty=True, **replaced):
    """A Management API with one project; answers by the end of their path can be replaced."""
    answers = {
        "abc": {"id": "abc", "organization_slug": "luxima"},
        "luxima": {"id": "luxima", "plan": plan},
        "auth": {"audit_log_disable_postgres": disabled},
        "read-only": [{"empty": empty}],
    } | replaced

    def answer(_method, path, headers, _body):
        given = answers[path.rpartition("/")[2]]
        if callable(given):
            given = given()
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return Answer(401)
        if isinstance(given, Answer):
            return given
        return Answer(body=json.dumps(given).encode(), headers={"Content-Type": "application/json"})

    return run_stub(answer)


def platform(url, *, token=TOKEN, wait=lambda _seconds: None, tables=TABLES):
    there = Endpoint(url=url, setting="s", options="supabase.management_http", bearer_token=lambda: token)
    return SupabasePlatform("abc", Http(there, Deadline(sleep=wait)), tables=tables)


def test_plan_and_switch_are_read_and_nothing_is_changed():
    with project(disabled=True) as stub:
        survey = platform(stub.url).survey(REQUEST)
    assert [finding.code for finding in survey.findings] == ["plan-keeps-less", "not-applicable"]
    assert survey.expired == 0
    assert survey.evidence == {"plan": "pro", "plan_log_days": 7, "audit_log_disable_postgres": "true"}
    written = {(method, path) for method, path, *_ in stub.asked if method != "GET"}
    assert written == {("POST", "/v1/projects/abc/database/query/read-only")}


def test_the_audit_table_is_not_asked_about_when_it_is_fed():
    with project() as stub:
        survey = platform(stub.url).survey(REQUEST)
    assert [finding.code for finding in survey.findings] == ["plan-keeps-less"]
    assert {method for method, *_ in stub.asked} == {"GET"}


def test_the_switch_is_not_asked_about_when_the_table_is_not_trimmed():
    with project(disabled=True) as stub:
        platform(stub.url, tables=("app.security_events",)).survey(REQUEST)
    assert not any("config/auth" in path for _, path, *_ in stub.asked)


def test_a_blocked_token_waits_as_long_as_it_is_told():
    answers = iter([Answer(429, headers={"Retry-After": "7"}), Answer(429), {"plan": "team"}])
    waited = []
    with project(luxima=lambda: next(answers)) as stub:
        survey = platform(stub.url, wait=waited.append).survey(REQUEST)
    assert waited == [7.0, 60.0]
    assert survey.evidence["plan"] == "team"


@pytest.mark.parametrize(
    ("replaced", "sentence"),
    [
        ({"abc": Answer(404)}, "answers 404"),
        ({"abc": Answer(429)}, "answers 429"),
        ({"abc": {}}, "does not name the organization"),
        ({"abc": []}, "does not answer as the Management API"),
        ({"luxima": Answer(body=b"<html>")}, "does not answer with JSON"),
        ({"luxima": Answer(302, headers={"Location": "https://elsewhere.example"})}, "answers 302"),
        ({"auth": Answer(200, cut=True)}, "cannot be reached"),
        ({"read-only": []}, "does not say whether"),
        ({"read-only": [{"empty": "yes"}]}, "does not say whether"),
    ],
)
def test_what_cannot_be_read_is_an_error_and_no_finding(replaced, sentence):
    with project(disabled=True, **replaced) as stub, pytest.raises(StoreError, match=sentence):
        platform(stub.url).survey(REQUEST)


def test_a_wrong_token_is_refused_without_being_shown():
    with project() as stub, pytest.raises(StoreError, match="answers 401") as caught:
        platform(stub.url, token="sbp_wrong_token").preflight(REQUEST)
    assert "sbp_wrong" not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.exit_code is ExitCode.INCOMPLETE


def test_identity_and_clock():
    with project() as stub:
        store = platform(stub.url)
        assert store.identity().target == "supabase:abc"
        assert abs((store.clock() - datetime.now(UTC)).total_seconds()) < 5
        store.close()
        store.close()
