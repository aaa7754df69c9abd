"""Misspelt variables are errors with the name that was meant; the company's own are left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxima_retention.config import variables
from luxima_retention.config.sources import known_paths
from luxima_retention.config.variables import OTHERS, PREFIX, distance, problems, variable
from luxima_retention.stores.registry import options

KNOWN = frozenset(known_paths(options()))


def of(*names):
    return list(problems(names, KNOWN))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LUXIMA_DATABASE_DSN", "LUXIMA_DATABASE__DSN"),
        ("LUXIMA_DATABASE___DSN", "LUXIMA_DATABASE__DSN"),
        ("LUXIMA__DATABASE__DSN", "LUXIMA_DATABASE__DSN"),
        ("LUXIMA_DATABASE__DNS", "LUXIMA_DATABASE__DSN"),
        ("LUXMIA_DATABASE__DSN", "LUXIMA_DATABASE__DSN"),
        ("LUXMIA_DATABASE_DSN", "LUXIMA_DATABASE__DSN"),
        ("LUXIM_DATABASE__DSN", "LUXIMA_DATABASE__DSN"),
        ("LUXIMADATABASE__DSN", "LUXIMA_DATABASE__DSN"),
        ("luxima_database_dsn", "LUXIMA_DATABASE__DSN"),
        ("LUXIMA_AUDIT_LOG_TENANT_COLUMN", "LUXIMA_AUDIT_LOG__TENANT_COLUMN"),
        ("LUXIMA_LEDGER_KEY_FILE", "LUXIMA_LEDGER__KEY_FILE"),
        ("LUXIMA_POLICIES_AUDIT_LOGS_RETENTION_DAYS", "LUXIMA_POLICIES__AUDIT_LOGS__RETENTION_DAYS"),
        ("LUXIMA_POLICIES_APPLICATION_LOGS_HTTP_CA_FILE", "LUXIMA_POLICIES__APPLICATION_LOGS__HTTP__CA_FILE"),
        (
            "LUXIMA_POLICIES_APPLICATION_LOGS__HTTP__CA_FILE",
            "LUXIMA_POLICIES__APPLICATION_LOGS__HTTP__CA_FILE",
        ),
        ("LUXIMA_POLICIES_APPLICATION_LOGS_BUCKETS", "LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS"),
        ("LUXMIA_POLICIES_APPLICATION_LOGS_BUCKETS", "LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS"),
        ("LUXIMA_S3_DEFAULT_ENDPOINT_URL", "LUXIMA_S3__DEFAULT__ENDPOINT_URL"),
        ("LUXIMA_S3__DEFAULT_ENDPOINT_URL", "LUXIMA_S3__DEFAULT__ENDPOINT_URL"),
        ("LUXIMA.DATABASE.DSN", "LUXIMA_DATABASE__DSN"),
        ("LUXIMA-LEDGER-ANCHORS", "LUXIMA_LEDGER__ANCHORS"),
        ("LUXIMADATABASEDSN", "LUXIMA_DATABASE__DSN"),
        ("LUXIMA_CONFG", "LUXIMA_CONFIG"),
        ("LUXIMA_SECRET_DIR", "LUXIMA_SECRETS_DIR"),
        ("LUXMIA_FAILPOINTS", "LUXIMA_FAILPOINTS"),
        ("LUXIMA_ROTATION__SETS__API__PATH", "LUXIMA_ROTATION__SETS__API__PATHS"),
        ("LUXMIA_ROTATION__SETS__API__PATHS", "LUXIMA_ROTATION__SETS__API__PATHS"),
    ],
)
def test_a_slip_of_the_pen_is_an_error_that_names_what_was_meant(name, meant):
    (problem,) = of(name)
    assert problem.name == name.upper()
    assert name.upper() in problem.message
    assert meant in problem.hint


@pytest.mark.parametrize(
    "name",
    ["LUXIMA_NOTHING__AT_ALL", "LUXIMA_DATABASE__", "LUXIMA_POLICIES__APPLICATION_LOGS__HTTP", "LUXIMA___"],
)
def test_what_is_nested_is_ours_and_has_to_be_a_setting(name):
    (problem,) = of(name)
    assert "is not a setting" in problem.message


@pytest.mark.parametrize(
    "name",
    [
        "LUXIMA_ENV",
        "LUXIMA_DATABASE",
        "LUXIMA_DATABASE_URL",
        "LUXIMA_API_KEY",
        "LUXIMA_LOKI_SERVICE_HOST",
        "LUXIMA_LOKI_PORT",
        "LUXIMA_S3_BUCKET",
        "LUXIMA_S3_PUBLIC_ENDPOINT_URL",
        "LUXIMA_AUDIT_LOG_LEVEL",
        "LUXIMA_S3_UPLOADS_REGION",
        "LUXIMA",
        "PATH",
        "DATABASE__DSN",
        "LUMEN_DATABASE",
        "",
        *OTHERS,
    ],
)
def test_the_companys_own_variables_are_left_alone(name):
    assert of(name) == []


def test_every_setting_has_its_variable_in_any_case():
    names = [variable(path).replace("*", "NAME") for path in KNOWN]
    assert of(*names) == []
    assert of(*(name.lower() for name in names)) == []
    assert {"LUXIMA_DATABASE__DSN", "LUXIMA_POLICIES__APPLICATION_LOGS__HTTP__PASSWORD"} <= set(names)


def test_a_name_that_is_set_twice_in_two_cases_is_an_error():
    (problem,) = of("LUXIMA_POLICIES__APPLICATION_LOGS__URL", "luxima_policies__application_logs__url")
    assert "LUXIMA_POLICIES__APPLICATION_LOGS__URL is set 2 times" in problem.message


def test_all_that_is_wrong_is_said_at_once():
    assert len(of("LUXIMA_DATABASE_DSN", "LUXMIA_LEDGER__PATH", "PATH", "LUXIMA_CONFIG")) == 2


@pytest.mark.parametrize(
    ("left", "right", "letters"),
    [
        ("abc", "abc", 0),
        ("abc", "abd", 1),
        ("abc", "ab", 1),
        ("abc", "xabc", 1),
        ("abc", "acb", 1),
        ("abcd", "badc", 2),
        ("abc", "xyc", 2),
        ("", "ab", 2),
    ],
)
def test_the_distance_of_two_names(left, right, letters):
    assert distance(left, right, 2) == distance(right, left, 2) == letters


@pytest.mark.parametrize(("left", "right"), [("abc", "xyz"), ("abc", "abcdef"), ("", "abc")])
def test_beyond_the_limit_it_is_only_known_to_be_more(left, right):
    assert distance(left, right, 2) > 2


@given(st.text("LUXIMA_BC", max_size=12))
def test_no_name_near_ours_is_passed_over(name):
    """The quick look by letters keeps whatever the distance would find."""
    lengths = range(len(PREFIX) - 2, len(PREFIX) + 3)
    near = name.startswith(PREFIX) or any(distance(name[:length], PREFIX, 2) <= 2 for length in lengths)
    assert variables._may_be_meant(name) is near
