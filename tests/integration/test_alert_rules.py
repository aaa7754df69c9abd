"""Each alert fires and resolves, and its neighbours stay silent: by promtool, on days written out."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field

import pytest
import yaml

from luxima_retention.core.errors import ExitCode
from luxima_retention.tell.observability.files import all_rules, files
from tests.servers.programs import find_program

DAY = 86400
LIMIT, ALLOWANCE = 2 * DAY, DAY + 6900
DAYS = 6
#: Minutes between two samples, and between two evaluations: every instant below is one of theirs.
STEP = 10
SAMPLES = 24 * 60 // STEP
WHO = 'environment="production", policy="audit-logs", target="core.audit_log"'
PUSHED = 'job="luxima_retention", environment="production", policy="audit-logs"'
LEDGER = 'environment="production", policy="ledger"'
P = "luxima_retention_"


def daily(values):
    """One value for each day, held until the next."""
    return " ".join(f"{value}+0x{SAMPLES - 1}" for value in values)


def always(value):
    return daily([value] * DAYS)


def stepped(name, **days):
    """The days' own numbers as timestamps, with some of them replaced: ``d1=0`` keeps day 0's on day 1."""
    chosen = {int(day[1:]): value for day, value in days.items()}
    return f"{P}{name}{{{WHO}}}", daily([chosen.get(day, day) * DAY for day in range(DAYS)])


def outcome(word, *days):
    """``done`` but on these days."""
    named = {code.name.lower() for code in ExitCode}
    assert word in named
    for name in sorted(named):
        usual, then = int(name == "done"), int(name == word)
        values = [then if day in days else usual for day in range(DAYS)]
        yield f'{P}last_run_outcome{{{WHO}, outcome="{name}"}}', daily(values)


def kept(**days):
    """The oldest eligible record: of the cutoff of each day's run, or of another day's."""
    chosen = {int(day[1:]): value for day, value in days.items()}
    values = [(chosen.get(day, day)) * DAY - LIMIT for day in range(DAYS)]
    return f"{P}oldest_eligible_timestamp_seconds{{{WHO}}}", daily(values)


#: Nothing of it names an installation: all that share a Prometheus share these.
SHARED = {
    'up{job="pushgateway"}': always(1),
    'kube_cronjob_spec_suspend{namespace="luxima-retention", cronjob="audit-logs"}': always(0),
    'kube_cronjob_schedule_invalid{namespace="luxima-retention", cronjob="audit-logs"}': always(0),
    'grafana_alerting_rule_evaluation_failures_total{job="grafana"}': always(0),
}
HEALTHY = {
    **dict(outcome("done")),
    **dict([stepped("last_run_timestamp_seconds"), stepped("last_success_timestamp_seconds"), kept()]),
    f"{P}expected_interval_seconds{{{WHO}}}": always(DAY),
    f"{P}limit_seconds{{{WHO}}}": always(LIMIT),
    f"{P}allowance_seconds{{{WHO}}}": always(ALLOWANCE),
    f"{P}last_run_destroyed_records{{{WHO}}}": always(100),
    f'{P}guard_used_ratio{{{WHO}, guard="share"}}': always(0.1),
    f"{P}ledger_entries{{{LEDGER}}}": always(10),
    f"{P}ledger_verified{{{LEDGER}}}": always(1),
    f"{P}ledger_verified_timestamp_seconds{{{LEDGER}}}": daily([day * DAY for day in range(DAYS)]),
    f"{P}oldest_hold_timestamp_seconds{{{LEDGER}}}": always(0),
    f"push_time_seconds{{{PUSHED}}}": daily([day * DAY for day in range(DAYS)]),
    f"push_failure_time_seconds{{{PUSHED}}}": always(0),
}


@dataclass
class Case:
    """What differs from a healthy installation, and the alerts at some times."""

    changed: dict = field(default_factory=dict)
    gone: tuple = ()
    at: dict = field(default_factory=dict)


def on(series, value, *days, usual):
    return {series: daily([value if day in days else usual for day in range(DAYS)])}


def name_of(part):
    (found,) = [series for series in [*HEALTHY, *SHARED] if part in series]
    return found


ALL_IS_WELL = Case(at={"1d": "", "1d23h50m": "", "2d12h": "", "5d": ""})
#: Of one installation each; what happens begins on day 1.
CASES = {
    "all is well": ALL_IS_WELL,
    "overdue": Case(
        dict([kept(d1=0, d2=0)]),
        at={"1d2h": "", "1d2h20m": "RetentionOverdue", "2d": "RetentionOverdue", "3d20m": ""},
    ),
    "a breach is near": Case(
        dict([kept(d1=0), stepped("last_success_timestamp_seconds", d1=0), *outcome("stopped", 1)]),
        at={"1d10m": "", "1d20m": "RetentionBreachSoon", "2d20m": ""},
    ),
    "unproven": Case(dict(outcome("verification_failed", 1)), at={"1d": "RetentionUnproven", "2d": ""}),
    "the ledger is broken": Case(
        on(name_of("ledger_verified{"), 0, 1, usual=1), at={"1d": "RetentionLedgerBroken", "2d": ""}
    ),
    "the ledger is not verified": Case(
        {name_of("ledger_verified_timestamp"): daily([-7 * DAY] * 3 + [3 * DAY] * 3)},
        at={"1d50m": "", "1d2h": "RetentionLedgerUnverified", "3d": ""},
    ),
    "stale": Case(
        dict(
            [
                stepped("last_run_timestamp_seconds", d1=0, d2=0, d3=0, d4=0),
                stepped("last_success_timestamp_seconds", d1=0, d2=0, d3=0, d4=0),
            ]
        ),
        at={"2d10m": "", "2d20m": "RetentionStale", "4d20m": "RetentionStale RetentionStaleLong", "5d": ""},
    ),
    "failing": Case(
        dict([stepped("last_success_timestamp_seconds", d1=0), *outcome("incomplete", 1)]),
        at={"1d1h": "", "1d1h20m": "RetentionFailing", "2d": ""},
    ),
    # On each day's last hours the deadline of the day before is near; the next run's own resolves that.
    "failing from the first run on": Case(
        dict(outcome("fault", *range(DAYS))),
        gone=("last_success",),
        at={
            "20m": "RetentionFailing",
            "3d23h50m": "RetentionFailing RetentionBreachSoon",
            "4d": "RetentionFailing",
        },
    ),
    "refused": Case(
        dict([stepped("last_success_timestamp_seconds", d1=0, d2=0), *outcome("refused", 1, 2)]),
        at={
            "1d": "RetentionRefused",
            "2d20m": "RetentionRefused RetentionRefusedLong RetentionStale",
            "3d": "",
        },
    ),
    "drift": Case(dict(outcome("drift", 1)), at={"1d": "", "1d10m": "RetentionDrift", "2d": ""}),
    "a guard is near": Case(
        on(name_of("guard_used"), 0.9, 1, usual=0.1),
        at={"1d50m": "", "1d1h": "RetentionGuardNear", "2d": ""},
    ),
    "unusual": Case(on(name_of("destroyed"), 2000, 1, usual=100), at={"1d": "RetentionUnusual", "2d": ""}),
    "few records are never unusual": Case(on(name_of("destroyed"), 900, 1, usual=1), at={"1d": ""}),
    "an old hold": Case(
        {name_of("oldest_hold"): daily([-400 * DAY] * 2 + [0] * 4)},
        at={"23h50m": "", "1d": "RetentionHoldOld", "2d": ""},
    ),
    "no hold": Case({name_of("oldest_hold"): always("NaN")}, at={"1d10m": ""}),
    "the gateway refuses": Case(
        on(name_of("push_failure"), 9 * DAY, 1, usual=0),
        at={"1d20m": "", "1d30m": "RetentionPushFailing", "2d": ""},
    ),
    # The last run could not look: the newest figure of before counts, so what was overdue stays so.
    "overdue and then unknown": Case(
        {kept()[0]: daily([-LIMIT] * 2 + ["NaN"] * 4)},
        at={"1d3h": "RetentionOverdue", "3d": "RetentionOverdue"},
    ),
}
#: What no installation's name is on, one thing after the other.
OF_ALL = Case(
    {
        **on(name_of("up{"), 0, 1, usual=1),
        **on(name_of("schedule_invalid"), 1, 2, usual=0),
        name_of("evaluation_failures"): f"0+0x{3 * SAMPLES - 1} 0+1x{SAMPLES - 1} {SAMPLES}+0x{2 * SAMPLES}",
        **on(name_of("suspend"), 1, 2, 3, 4, usual=0),
    },
    at={
        "1d20m": "",
        "1d30m": "RetentionPushgatewayDown",
        "2d": "",
        "2d10m": "RetentionCronJobInvalid",
        "3d": "",
        "3d30m": "AlertRulesFailing",
        "4d30m": "RetentionCronJobSuspended",
        "5d": "",
    },
)
NOTHING_TOLD = Case(
    gone=(P + "last_", P + "o", P + "limit", P + "allow"), at={"50m": "", "1h10m": "RetentionAbsent"}
)


def check_by_promtool(directory, made, interval, *installations):
    """Check with promtool.

    Each of ``installations``: its series, and what is asked of its rules, whose last instant ends it.
    """
    for path, text in made.items():
        (directory / path.replace("/", "-")).write_text(text)
    test = {
        "rule_files": [path.replace("/", "-") for path in made],
        "evaluation_interval": interval,
        "tests": [
            {
                "interval": interval,
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                **asked,
            }
            for series, asked in installations
        ],
    }
    (directory / "test.yaml").write_text(yaml.dump(test, width=100000, Dumper=yaml.CSafeDumper))
    done = subprocess.run(
        [find_program("promtool"), "test", "rules", "test.yaml"],
        cwd=directory,
        # The other processors have work of their own, and so has this one: memory is collected later.
        env={**os.environ, "GOMAXPROCS": "1", "GOGC": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def firing(at, among=""):
    """At each time exactly these alerts fire, besides the watchdog."""
    chosen = f'alertstate="firing", alertname!="Watchdog"{among}'
    return [
        {
            "expr": f"count by (alertname) (ALERTS{{{chosen}}})",
            "eval_time": time,
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names.split()],
        }
        for time, names in at.items()
    ]


def rule_files(policies, which):
    made = files(policies, "production")
    return {path: text for path, text in made.items() if path == f"prometheus/{which}.rules.yaml"}


def series_of(case, environment="production"):
    """All series of an installation in this case."""
    return {
        key.replace('"production"', f'"{environment}"'): values
        for key, values in (HEALTHY | case.changed).items()
        if not key.startswith(tuple(case.gone))
        and not any(part in key for part in case.gone if not part.startswith(P))
    }


def check_suite(directory, *installations, step=STEP):
    """Each of them: its series, and the expressions that are asked."""
    made = rule_files(("audit-logs",), "luxima-retention")
    asked = [(series, {"promql_expr_test": expressions}) for series, expressions in installations]
    check_by_promtool(directory, made, f"{step}m", *asked)


def together(cases):
    """Installations of one Prometheus, which tells the environment in which something failed."""
    series, asked = {}, []
    for name, case in cases.items():
        environment = "production" if case is ALL_IS_WELL else name
        series |= series_of(case, environment)
        asked += firing(case.at, f', environment="{environment}"')
    return series, asked


def test_the_suites_alerts_fire_and_resolve_alone(tmp_path):
    """What ends soon is asked of a Prometheus that ends soon: each day costs as much as all installations."""
    soon = {name: case for name, case in CASES.items() if not any(at >= "2d3" for at in case.at)}
    series, asked = together({name: case for name, case in CASES.items() if name not in soon})
    late = series | SHARED | OF_ALL.changed, [*asked, *firing(OF_ALL.at, ', environment=""')]
    check_suite(tmp_path, together(soon), late)


def test_an_installation_that_never_told_anything_is_noticed(tmp_path):
    check_suite(tmp_path, (series_of(NOTHING_TOLD) | SHARED, firing(NOTHING_TOLD.at)))


def test_a_ledger_that_was_never_verified_is_noticed(tmp_path):
    """By the hour, as long as the alert waits."""
    for_days = f"1+0x{9 * 24}"
    series = {f"{P}ledger_entries{{{LEDGER}}}": for_days, f"{P}last_run_timestamp_seconds{{{WHO}}}": for_days}
    check_suite(tmp_path, (series, firing({"8d": "", "8d2h": "RetentionLedgerUnverified"})), step=60)


def test_every_alert_has_a_case_in_which_it_fires():
    cases = [*CASES.values(), OF_ALL, NOTHING_TOLD, *PRODUCT.values()]
    fired = {name for case in cases for names in case.at.values() for name in names.split()}
    defined = {alert.name for group in all_rules(("audit-logs",), "production") for alert in group.alerts}
    assert fired == defined - {"Watchdog"}


def test_the_watchdog_always_fires(tmp_path):
    made = rule_files(("audit-logs",), "luxima-retention")
    asked = [
        {
            "expr": 'count(ALERTS{alertname="Watchdog"})',
            "eval_time": "5m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
    ]
    check_by_promtool(tmp_path, made, "5m", ({}, {"promql_expr_test": asked}))


def test_an_alert_says_what_happened_and_where_to_read_on(tmp_path):
    series = HEALTHY | CASES["overdue"].changed
    expected = {
        "exp_labels": {
            "environment": "production",
            "policy": "audit-logs",
            "target": "core.audit_log",
            "severity": "critical",
            "team": "devops",
            "service": "luxima-retention",
            "receiver": "telegram",
        },
        "exp_annotations": {
            "summary": "audit-logs: records of core.audit_log are kept longer than promised",
            "summary_id": "audit-logs: catatan core.audit_log disimpan lebih lama dari yang dijanjikan",
            "runbook_url": "https://docs.luxima.id/runbooks/luxima-retention#overdue",
            "dashboard_url": "https://grafana.luxima.id/d/luxima-retention",
        },
    }
    asked = [{"eval_time": "1d2h20m", "alertname": "RetentionOverdue", "exp_alerts": [expected]}]
    made = rule_files(("audit-logs",), "luxima-retention")
    check_by_promtool(tmp_path, made, f"{STEP}m", (series, {"alert_rule_test": asked}))


# --- Luxima's own -----------------------------------------------------------------------------

MINUTES = 26 * 60


def rates(*parts):
    """A counter by its growth each minute over so many minutes."""
    level, told = 0, []
    for growth, minutes in parts:
        told.append(f"{level}+{growth}x{minutes - 1}")
        level += growth * minutes
    return " ".join(told)


def probes(*parts):
    return " ".join(f"{value}+0x{minutes - 1}" for value, minutes in parts)


def histogram(name, labels, slow):
    """60 queries a minute of 110 ms; ``slow`` of them, from the second hour to the third, of 400 ms."""
    buckets = {"0.1": 0, "0.2": 60 - slow, "0.3": 60 - slow, "0.5": 60, "+Inf": 60}
    for bound, growth in buckets.items():
        usual = 0 if bound == "0.1" else 60
        yield f'{name}_bucket{{{labels}, le="{bound}"}}', rates((usual, 60), (growth, 60), (usual, 120))
    yield f"{name}_count{{{labels}}}", rates((60, 240))


API = 'http_server_request_duration_seconds_count{job="api", http_response_status_code="%s"}'
EDGE = 'luxima_edge_responses_total{function_id="f", status="%s"}'
DB = ("db_client_operation_duration_seconds", 'db_system_name="postgresql", db_namespace="luxima"')
PROBE = 'probe_success{job="blackbox", instance="https://api.luxima.id"}'
GOOD = {
    API % 200: rates((60, MINUTES)),
    API % 500: rates((0, MINUTES)),
    EDGE % 200: rates((60, MINUTES)),
    EDGE % 546: rates((0, MINUTES)),
    PROBE: probes((1, MINUTES)),
    **dict(histogram(*DB, 0)),
}
PRODUCT = {
    "all is well, at 110 ms": Case(at={"1h": "", "2h": "", "3h": "", "7h": ""}),
    "errors": Case(
        {API % 500: rates((0, 60), (3, 60), (0, 120))}, at={"1h2m": "", "1h30m": "ApiErrorRate", "2h30m": ""}
    ),
    "one error in a quiet night": Case(
        {API % 200: rates((1, 240)), API % 500: rates((0, 60), (1, 60), (0, 120))}, at={"1h30m": ""}
    ),
    "slow queries": Case(
        dict(histogram(*DB, 6)), at={"1h5m": "", "1h30m": "DatabaseLatency DatabaseSlowShare", "2h30m": ""}
    ),
    "few slow queries": Case(dict(histogram(*DB, 2)), at={"1h30m": ""}),
    "timeouts": Case(
        {EDGE % 546: rates((0, 60), (6, 60), (0, 120))},
        at={"1h5m": "", "1h30m": "EdgeFunctionTimeouts", "2h30m": ""},
    ),
    "one timeout of two calls": Case(
        {EDGE % 200: rates((0.1, 240)), EDGE % 546: rates((0, 60), (0.1, 60), (0, 120))}, at={"1h30m": ""}
    ),
    "an outage of long ago": Case(
        {PROBE: probes((1, 60), (0, 10), (1, MINUTES - 70))}, at={"59m": "", "8h": "Uptime"}
    ),
    "an outage": Case(
        {PROBE: probes((1, 1200), (0, 12), (1, MINUTES - 1212))},
        at={"20h3m": "", "20h11m": "Uptime UptimeBurningFast", "20h50m": "Uptime"},
    ),
    "every twentieth probe fails": Case(
        {PROBE: probes((1, 360), *([(0, 1), (1, 19)] * 30))},
        at={"5h": "", "15h50m": "Uptime UptimeBurningSlowly"},
    ),
}


@pytest.mark.parametrize("name", PRODUCT)
def test_luximas_alerts_fire_and_resolve_alone(tmp_path, name):
    case = PRODUCT[name]
    check_by_promtool(
        tmp_path,
        rule_files((), "luxima"),
        "1m",
        (GOOD | case.changed, {"promql_expr_test": firing(case.at)}),
    )
