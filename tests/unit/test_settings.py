"""Settings from every source, and what is refused."""

from __future__ import annotations

import pytest

from luxima_retention.config.sources import load
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.core.redact import redacted
from luxima_retention.stores.registry import options
from tests.configured import settings_of


@pytest.fixture
def of(tmp_path, monkeypatch):
    """The settings of a file and an environment."""

    def loaded(text="", **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        path = tmp_path / "settings.toml"
        path.write_text(text)
        return load(path, options())

    return loaded


@pytest.mark.parametrize(
    ("value", "buckets"),
    [("", ()), ("a", ("a",)), ("a, b,", ("a", "b")), ("[]", ()), ('["a", "b"]', ("a", "b"))],
)
def test_a_list_is_comma_separated_or_json_in_the_environment(of, value, buckets):
    assert (
        of(LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS=value).settings.policies["application-logs"].buckets
        == buckets
    )


@pytest.mark.parametrize("name", ["a b", "a/b", "-a", "s3://a", "a" * 256])
def test_what_is_no_name_of_a_bucket_is_refused_with_its_value(of, name):
    with pytest.raises(
        ConfigurationError, match=r"application-logs\.buckets.*is not a valid bucket name"
    ) as raised:
        of(f'policies.application-logs.buckets = ["{name}"]')
    assert repr(name) in raised.value.message


def test_a_list_that_is_not_whole_is_refused(of):
    with pytest.raises(ConfigurationError, match=r"application-logs\.buckets"):
        of(LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS='["a"')


def test_the_environment_wins_over_the_file_and_says_so(of):
    loaded = of("policies.audit_logs.retention_days = 200", LUXIMA_POLICIES__AUDIT_LOGS__RETENTION_DAYS="365")
    assert loaded.settings.policies["audit-logs"].retention_days == 365
    assert loaded.origins["policies.audit-logs.retention_days"] == "environment"


@pytest.mark.parametrize(
    "text",
    [
        "policies.audit_logs.retentoin_days = 200",
        "policies.audit_logs.retention_days = 0",
        "policies.audit_logs.retention_days = -1",
        'policies.audit_logs.retention_days = ""',
        "policies.audit_logs.retention_days = 1.5",
        "[policies.audit_logs]\nretention_days = 1\nretention_days = 2",
        "[polices]",
    ],
)
def test_a_period_that_is_not_plainly_a_number_of_days_or_an_unknown_key_is_refused(of, text):
    with pytest.raises(ConfigurationError):
        of(text)


def test_an_unknown_variable_is_refused_where_it_names_a_section(of):
    with pytest.raises(ConfigurationError, match=r"(?i)retentoin_days"):
        of(LUXIMA_POLICIES__AUDIT_LOGS__RETENTOIN_DAYS="200")


def test_every_secret_of_the_settings_is_known_to_the_redactor(of):
    """Wherever it stands, also in lists and tables; a tenant's name in a header is none."""
    of(
        """
        [database]
        dsn = "postgresql://job:pass-1-word@h/d"
        [policies.security-events]
        kind = "supabase"
        tables = [{table = "a.b"}]
        url = "https://h"
        key = "sb_secret_22"
        [policies.traces]
        kind = "tempo"
        retention_days = 14
        [policies.traces.http]
        headers = {X-Scope-OrgID = "luxima", ApiKey = "k3y-33-k3y"}
        [telemetry.http.otlp]
        bearer_token = "t0ken-44"
        """
    )
    said = redacted("pass-1-word sb_secret_22 k3y-33-k3y t0ken-44 luxima a.b h")
    assert said == "*** *** *** *** luxima a.b h"


@pytest.mark.parametrize("number", ["BA-{day}", "BA-{month", "{}", "{year.real}"])
def test_a_number_of_the_minutes_names_nothing_but_year_and_month(number):
    with pytest.raises(ConfigurationError, match=r"it may hold \{year\} and \{month\} only"):
        settings_of({"report": {"minutes": {"number": number}}})
