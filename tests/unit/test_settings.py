"""Settings from every source, and what is refused."""

from __future__ import annotations

import tomllib

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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("policies = 3", "policies must be a table"),
        ('[policies."a b"]\nkind = "table"\nretention_days = 1', "'a b' is not a valid name of a policy"),
        ('[policies."../x"]\nkind = "table"\nretention_days = 1', "'../x' is not a valid name of a policy"),
        ('[policies.""]\nkind = "table"\nretention_days = 1', "'' is not a valid name of a policy"),
        (
            '[policies.ledger]\nkind = "table"\nretention_days = 1',
            "'ledger' stands for a job of the suite's own",
        ),
        ('[policies.x]\nkind = ["table"]\nretention_days = 1', "policies.x: ['table'] is not a kind"),
        ('[policies.x]\nkind = "table"', "policies.x.retention_days: is required"),
        (
            "[policies.metrics]\nretention_days = 99999999999",
            "metrics.retention_days (the test): must be less than",
        ),
        ("[policies.metrics]\nretention_days = true", "True is not a whole number of days"),
        ('[policies.metrics]\nmax_silence = "99999999999999999d"', "metrics.max_silence (the test): '9999"),
        (
            '[policies.metrics]\nmax_clock_skew = "off"',
            "metrics.max_clock_skew (the test): must be a duration",
        ),
        ('[policies.metrics]\nmax_fraction = "half"', "metrics.max_fraction (the test): must be a number"),
        ('[policies.metrics]\nreview_by = "soon"', "'soon' is not a day: write 2026-11-03"),
        ("[databse]", "databse is not a setting"),
        ("[guards]\nmax_fraction = 0.1", "guards is not a setting"),
        ("[s3]\nregion = 1", "s3.region (the test): must be a table"),
        ('[archive]\nurl = "s3://b"', "archive: retention_days is required with url"),
        ("[ledger]\nwitness_quorum = 2", "ledger: witness_quorum is 2, but witnesses names 0"),
        ('[ledger]\nwitnesses = [{ url = "https://w" }]', "ledger.witnesses.key: is required"),
        ('[telemetry]\nenvironment = "a b"', "telemetry.environment (the test): it must be letters, digits"),
        (
            "[telemetry.http.pushgatway]\ntimeout = 5",
            "telemetry.http.pushgatway is not a setting: write 'pushg",
        ),
        ('[notify]\nquiet_hours = "22:00-06:00"', "it must be two hours of the day, such as 22-6"),
        ('[notify]\nmail_to = ["nobody"]', "notify.mail_to (the test): it must be an e-mail address"),
        ('[notify]\nplane_url = "https://plane.example"\nplane_key = "k"', "/WORKSPACE/projects/UUID"),
        (
            '[schedule.jobs]\nledger-verfy = "1 1 * * *"',
            "schedule.jobs.ledger-verfy is not a setting: write ",
        ),
        ('[schedule.jobs]\nreport = "monthly"', "schedule.jobs.report (the test): 'monthly' has 1 fields"),
        ('[schedule]\nlisten = "8086"', "'8086' is not HOST:PORT"),
        ("[schedule]\nmax_runtime = 50", "schedule.max_runtime (the test): 50 is not a duration"),
        ("[report.copies]\ntape = 5", "report.copies.tape is not a setting: write 'replicas', 'wal'"),
        ('[rotation.sets.x]\npaths = ["a.log"]', "paths names 'a.log': it must begin with /"),
        ('[prometheus.http]\ntimeout = "30s"', "http.timeout (the test): must be a number"),
        ('[prometheus.http]\npassword_file = "/x"', "http.password_file (the test) is not a setting"),
    ],
)
def test_a_slip_of_the_pen_is_refused_by_the_name_of_its_setting(text, said):
    with pytest.raises(ConfigurationError) as caught:
        settings_of(tomllib.loads(text))
    assert said in caught.value.message


def test_times_of_jobs_are_changed_one_by_one():
    jobs = settings_of({"schedule": {"jobs": {"archive_drill": "", "report": "1 2 3 * *"}}}).schedule.jobs
    assert (jobs["archive-drill"], jobs["report"], jobs["ledger-verify"]) == ("", "1 2 3 * *", "13 8 * * *")
