"""What follows from what a Prometheus server says: every rule, every version, every mode."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxima_retention.core.errors import ExitCode
from luxima_retention.core.promise import Mode
from luxima_retention.stores.prometheus import reading
from luxima_retention.stores.prometheus.reading import Limits, Metrics
from luxima_retention.stores.prometheus.verdict import Code, Facts, in_force, judge

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
DAY = 86_400
ANSWERS = json.loads((Path(__file__).parents[1] / "data/checks/prometheus_answers.json").read_text())
EXIT = {
    Code.COMPLIANT: ExitCode.DONE,
    Code.NOT_YET: ExitCode.DONE,
    Code.TOO_SHORT: ExitCode.DRIFT,
    Code.TOO_LONG: ExitCode.DRIFT,
    Code.SIZE_BOUND: ExitCode.DRIFT,
    Code.AGENT: ExitCode.INCOMPLETE,
    Code.UNSUPPORTED: ExitCode.INCOMPLETE,
}


def facts(stated="60d", *, oldest_days=62.0, newest_days=0.0, up_days=30.0, values=None, **changed):
    """A server of which the oldest sample is so many days old; ``None`` is a server without samples."""
    samples = dict(values or {})
    if oldest_days is None:
        samples |= {"prometheus_tsdb_lowest_timestamp_seconds": 9.2e15}
    else:
        samples |= {"prometheus_tsdb_lowest_timestamp_seconds": (NOW - timedelta(oldest_days)).timestamp()}
        samples |= {"prometheus_tsdb_head_max_time_seconds": (NOW - timedelta(newest_days)).timestamp()}
    changed.setdefault("version", (2, 42, 0))
    return Facts(
        product="Prometheus",
        now=NOW,
        stated=reading.limits(stated),
        metrics=Metrics(values=samples, product="Prometheus"),
        started=NOW - timedelta(up_days),
        **changed,
    )


def constructed(answer, oldest_days):
    return facts(
        answer["stated"],
        oldest_days=oldest_days,
        values=answer["metrics"],
        version=reading.version(answer["version"]),
        file=reading.section(answer["config"], "storage", "tsdb", "retention"),
        flags={"storage.tsdb.retention.time": answer["flag_time"]},
        agent=reading.is_agent({"agent": answer.get("agent", "false")}, answer["metrics"]),
    )


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer["name"])
def test_each_version_s_answer_gets_its_verdict(answer, mode):
    # Nothing in these answers hides behind its age: what is there reaches just over 60 days.
    verdict = judge(constructed(answer, 62), 60, mode)
    assert verdict.code == answer["verdicts"][mode], verdict.sentence
    assert verdict.level.exit_code is EXIT[verdict.code]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer["name"])
def test_each_constructed_answer_names_its_source(answer):
    assert "Release notes" in answer["source"] or "Documentation" in answer["source"]


@pytest.mark.parametrize("mode", [Mode.MINIMUM, Mode.EXACT])
def test_a_young_server_is_not_yet_provable_and_says_from_when(mode):
    verdict = judge(facts(oldest_days=10), 60, mode)
    assert verdict.code is Code.NOT_YET
    assert verdict.provable_from == NOW + timedelta(days=50)
    assert "provable from 2027-01-12T08:30:00Z" in verdict.sentence
    assert verdict.level.exit_code is ExitCode.DONE


def test_a_server_without_samples_is_provable_one_period_from_now():
    verdict = judge(facts(oldest_days=None), 60, Mode.EXACT)
    assert verdict.code is Code.NOT_YET
    assert verdict.provable_from == NOW + timedelta(days=60)


def test_a_maximum_is_provable_from_the_first_day():
    assert judge(facts(oldest_days=10), 60, Mode.MAXIMUM).code is Code.COMPLIANT


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ("59d23h", Code.TOO_SHORT),
        ("60d", Code.COMPLIANT),
        ("1440h", Code.COMPLIANT),
        ("66d", Code.COMPLIANT),
        ("66d1s", Code.TOO_LONG),
    ],
)
def test_exact_leaves_room_for_one_block_of_60_days(stated, code):
    assert judge(facts(stated), 60, Mode.EXACT).code is code


def test_a_maximum_leaves_no_room_in_the_setting():
    assert judge(facts("60d1s"), 60, Mode.MAXIMUM).code is Code.TOO_LONG


@pytest.mark.parametrize(("age", "code"), [(66.2, Code.COMPLIANT), (66.3, Code.TOO_LONG)])
def test_what_is_there_may_outlive_the_period_by_one_block_and_a_few_hours(age, code):
    assert judge(facts(oldest_days=age), 60, Mode.EXACT).code is code


def test_a_server_that_stopped_storing_is_too_long_and_the_sentence_says_why():
    verdict = judge(facts(oldest_days=75, newest_days=12), 60, Mode.EXACT)
    assert verdict.code is Code.TOO_LONG
    assert "nothing was stored since 2026-11-11T08:30:00Z" in verdict.sentence


def test_a_minimum_does_not_mind_older_samples():
    assert judge(facts("10w", oldest_days=300), 60, Mode.MINIMUM).code is Code.COMPLIANT


def test_the_size_limit_has_removed_blocks():
    values = {"prometheus_tsdb_size_retentions_total": 3}
    verdict = judge(facts("60d or 10GiB", oldest_days=9, values=values), 60, Mode.EXACT)
    assert verdict.code is Code.SIZE_BOUND
    assert "has removed blocks: 9 days are left" in verdict.sentence


def test_the_size_limit_removed_blocks_beyond_the_period_only():
    values = {"prometheus_tsdb_size_retentions_total": 3}
    assert judge(facts("60d or 10GiB", values=values), 60, Mode.MINIMUM).code is Code.COMPLIANT


def test_the_size_limit_that_will_be_reached_first_is_seen_before_it_is():
    values = {
        "prometheus_tsdb_retention_limit_bytes": 10 * 2**30,
        "prometheus_tsdb_storage_blocks_bytes": 5 * 2**30,
    }
    verdict = judge(facts("60d or 10GiB", oldest_days=10, values=values), 60, Mode.EXACT)
    assert verdict.code is Code.SIZE_BOUND
    assert "at today's rate the size limit of 10GiB holds 20 days" in verdict.sentence


def test_an_ample_size_limit_leaves_a_young_server_not_yet_provable_with_a_warning():
    values = {
        "prometheus_tsdb_retention_limit_bytes": 100 * 2**30,
        "prometheus_tsdb_storage_blocks_bytes": 5 * 2**30,
    }
    verdict = judge(facts("60d or 100GiB", oldest_days=10, values=values), 60, Mode.EXACT)
    assert (verdict.code, verdict.level) == (Code.NOT_YET, "warning")
    assert "100GiB may be reached first" in verdict.sentence


def test_a_server_that_ran_longer_than_the_period_and_holds_less_has_lost_samples():
    verdict = judge(facts(oldest_days=20, up_days=100), 60, Mode.MINIMUM)
    assert verdict.code is Code.TOO_SHORT
    assert "has run for 100 days" in verdict.sentence


def test_a_limit_that_a_reload_may_have_raised_makes_a_server_merely_young():
    case = facts(oldest_days=20, up_days=100, version=(3, 11, 0), file={"time": "60d"})
    assert judge(case, 60, Mode.MINIMUM).code is Code.NOT_YET


def test_the_unit_bug_is_told_with_its_remedy():
    case = facts(version=(3, 8, 1), file={"time": "60d"})
    verdict = judge(case, 60, Mode.EXACT)
    assert verdict.code is Code.TOO_LONG
    assert "although its runtime page says 60 days" in verdict.sentence
    assert "upgrade to 3.11" in verdict.hint
    kept = judge(case, 60, Mode.MINIMUM)
    assert (kept.code, kept.level) == (Code.COMPLIANT, "warning")


@pytest.mark.parametrize("product", ["VictoriaMetrics", "Thanos", "Mimir or Cortex"])
def test_another_product_is_never_compliant(product):
    verdict = judge(Facts(product=product, now=NOW), 60, Mode.MINIMUM)
    assert verdict.code is Code.UNSUPPORTED
    assert product in verdict.sentence


def test_the_default_is_named_as_such():
    case = facts("15d", flags={"storage.tsdb.retention.time": "0s"})
    assert "the default, because no limit is set" in judge(case, 60, Mode.MINIMUM).sentence


# --- what the server writes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60d", 60 * DAY),
        ("1440h", 60 * DAY),
        ("8w4d", 60 * DAY),
        ("1y", 365 * DAY),
        ("60d12h", 60.5 * DAY),
        ("0", 0),
        ("0s", 0),
        ("1500ms", 1.5),
        ("2m", 120),
    ],
)
def test_durations_as_prometheus_reads_them(text, seconds):
    assert reading.duration(text) == seconds


@pytest.mark.parametrize("text", ["2M", "60", "60D", "1.5d", "1d1w", "", " 60d", "-1d", "d"])
def test_what_prometheus_refuses_is_refused(text):
    with pytest.raises(ValueError, match="no duration"):
        reading.duration(text)


@pytest.mark.parametrize("text", ["293y", "9" * 400 + "d"])
def test_longer_than_the_server_can_keep_is_refused(text):
    with pytest.raises(ValueError, match="longer than any duration"):
        reading.duration(text)


@given(st.lists(st.integers(0, 200), min_size=7, max_size=7))
def test_a_duration_is_the_sum_of_its_parts(counts):
    names = ("y", "w", "d", "h", "m", "s", "ms")
    text = "".join(f"{count}{unit}" for count, unit in zip(counts, names, strict=True))
    units = (365 * DAY, 7 * DAY, DAY, 3600, 60, 1, 0.001)
    expected = sum(count * unit for count, unit in zip(counts, units, strict=True))
    assert math.isclose(reading.duration(text), expected, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("15d", Limits(seconds=15 * DAY)),
        ("10w or 10GiB", Limits(seconds=70 * DAY, size="10GiB")),
        ("512MB", Limits(size="512MB")),
        ("60d or 10GiB or 80%", Limits(seconds=60 * DAY, size="10GiB or 80%")),
        ("0s", Limits()),
        ("", Limits()),
    ],
)
def test_limits_as_the_runtime_page_writes_them(text, limits):
    assert reading.limits(text) == limits


@pytest.mark.parametrize("text", ["forever", "60d and 10GiB", "60d or", "60d or ten GiB"])
def test_limits_that_cannot_be_read_are_an_error(text):
    with pytest.raises(ValueError, match="no duration"):
        reading.limits(text)


CONFIG = """\
global:
  scrape_interval: 1m
  external_labels:
    cluster: production
    replica: "a"
scrape_configs:
- job_name: other
  storage:
    tsdb:
      retention:
        time: 1d
storage:
  exemplars:
    max_exemplars: 100000
  tsdb:
    out_of_order_time_window: 30m
    retention:
      time: 8w4d
      size: 0B
"""


def test_the_configuration_is_read_by_its_path():
    assert reading.section(CONFIG, "storage", "tsdb", "retention") == {"time": "8w4d", "size": "0B"}
    assert reading.section(CONFIG, "global", "external_labels") == {"cluster": "production", "replica": "a"}
    assert reading.section(CONFIG, "storage", "tsdb") == {"out_of_order_time_window": "30m"}
    assert reading.section("", "storage", "tsdb", "retention") == {}


def test_metrics_without_labels_are_kept_and_the_server_tells_who_it_is():
    text = (
        "# HELP prometheus_build_info x\n"
        'prometheus_build_info{branch="a b",version="2.42.0"} 1\n'
        "prometheus_tsdb_lowest_timestamp_seconds 9.223372036854776e+15\n"
        'http_requests_total{code="200"} 7\n'
        "up 1 1700000000000\n"
        "broken\n"
    )
    read = reading.metrics(text.splitlines())
    assert read.product == "Prometheus"
    assert read.values == {"prometheus_tsdb_lowest_timestamp_seconds": 9.223372036854776e15, "up": 1.0}
    assert read.instant("prometheus_tsdb_lowest_timestamp_seconds") is None


def test_victoriametrics_own_flag_is_found():
    read = reading.metrics(
        ['vm_app_version{version=""} 1', 'flag{name="retentionPeriod", value="60d", is_set="true"} 1']
    )
    assert (read.product, read.retention_period) == ("VictoriaMetrics", "60d")


@pytest.mark.parametrize("exported", [5184000, 5184000.4])
def test_an_export_that_agrees_changes_nothing(exported):
    case = facts(values={"prometheus_tsdb_retention_limit_seconds": exported})
    assert in_force(case) == Limits(seconds=60 * DAY)


def test_an_export_of_zero_beside_a_stated_time_means_that_nothing_expires():
    case = facts(values={"prometheus_tsdb_retention_limit_seconds": 0})
    assert in_force(case) == Limits()


@given(
    limit=st.integers(1, 400),
    oldest=st.one_of(st.none(), st.floats(0, 500)),
    size=st.sampled_from(["", " or 10GiB", " or 80%"]),
    days=st.integers(1, 300),
)
def test_exact_is_never_kinder_than_minimum(limit, oldest, size, days):
    case = facts(f"{limit}d{size}", oldest_days=oldest)
    if judge(case, days, Mode.MINIMUM).level == "drift":
        assert judge(case, days, Mode.EXACT).level == "drift"


@given(limit=st.integers(1, 400), oldest=st.floats(0, 500), days=st.integers(1, 300))
def test_compliant_with_a_minimum_means_that_nothing_younger_can_have_gone(limit, oldest, days):
    if judge(facts(f"{limit}d", oldest_days=oldest), days, Mode.MINIMUM).code is Code.COMPLIANT:
        assert limit >= days
        assert oldest >= days - 1e-6
