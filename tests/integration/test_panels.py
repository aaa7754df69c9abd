"""Every panel's query on a real Prometheus, in four states: kept, overdue, unknown, empty."""

from __future__ import annotations

import math
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import requests

from luxima_retention.core.errors import ExitCode
from luxima_retention.core.guards import GuardResult
from luxima_retention.core.plan import Identity, Survey
from luxima_retention.core.results import Outcome, PolicyResult, Proof, Step, TargetResult, Totals
from luxima_retention.tell import samples, telemetry
from luxima_retention.tell.families import Sample
from luxima_retention.tell.observability.dashboards import dashboard
from luxima_retention.tell.observability.lint import panels_of
from luxima_retention.tell.promise import Promise
from luxima_retention.tell.pushing import Group, push
from tests.configured import settings_of
from tests.servers.command import audit_log
from tests.servers.process import wait_until
from tests.servers.programs import find_program

ROOT = Path(__file__).parents[2]
DAY = 86400
LIMIT, ALLOWANCE = 180 * DAY, DAY + 7200
NOW = datetime.now(UTC)
BUILD = samples.Build(version="1", matrix="abc")
PROMISE = Promise(
    policy="audit-logs", targets=("core.audit_log",), limit=LIMIT, allowance=ALLOWANCE, interval=DAY
)
CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - {{job_name: pushgateway, honor_labels: true, static_configs: [{{targets: ["{pushgateway}"]}}]}}
"""


def target(oldest, expired, code=ExitCode.DONE, **more):
    survey = Survey(
        identity=Identity(kind="postgresql", target="core.audit_log", fingerprint="f"),
        store_clock=NOW,
        expired=expired,
        held=12,
        oldest=oldest,
        oldest_expired=oldest if expired else None,
        newest=NOW,
        evidence={"effective_seconds": LIMIT},
    )
    return TargetResult(target="core.audit_log", outcome=Outcome.DONE, exit_code=code, survey=survey, **more)


def policy(*targets, code=ExitCode.DONE):
    return PolicyResult(
        policy="audit-logs", retention_days=180, outcome=Outcome.DONE, exit_code=code, targets=targets
    )


def step(name, milliseconds):
    return Step(name=name, began=NOW, ended=NOW, milliseconds=milliseconds)


def states():
    """State → what a run of that state tells."""
    proof = Proof(
        left=0,
        explained={},
        unexplained=0,
        held=12,
        pending=(),
        overdue=0,
        oldest=NOW - timedelta(days=179),
    )
    share = GuardResult(
        guard="share", passed=True, observed="5.0 % (1 of 20)", limit="25.0 %", message="", used=0.2
    )
    done = replace(
        target(NOW - timedelta(days=179), 0),
        proof=proof,
        totals=Totals(destroyed=4000, size_bytes=1 << 20),
        verdicts=(share,),
        steps=(step("survey", 1500), step("act", 4000), step("prove", 500)),
    )
    much = GuardResult(
        guard="share", passed=False, observed="50.0 % (1 of 2)", limit="25.0 %", message="", used=2.0
    )
    refused = replace(target(NOW - timedelta(days=200), 100, ExitCode.REFUSED), verdicts=(much,))
    return {
        "kept": policy(done),
        "overdue": policy(refused, code=ExitCode.REFUSED),
        "unknown": policy(code=ExitCode.INCOMPLETE),
    }


@pytest.fixture(scope="module")
def retention():
    """A Prometheus with the rules, scraping a Pushgateway with a run of each state but the empty one."""
    from tests.servers.prometheus import start_prometheus, start_pushgateway

    gateway = start_pushgateway()
    rules = gateway.directory / "rules.yaml"
    text = (ROOT / "observability" / "prometheus" / "luxima-retention.rules.yaml").read_text()
    rules.write_text(text.replace("interval: 1m", "interval: 1s"))
    settings = settings_of({"telemetry": {"pushgateway_url": gateway.url}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(telemetry, "BUDGET", 60.0)
        client = telemetry.pushgateway(settings.telemetry)
    for state, result in states().items():
        key = {"environment": state, "policy": "audit-logs"}
        told = tuple(samples.of_policy(PROMISE, result, NOW, BUILD))
        ledger = [
            *samples.of_verification(
                NOW - timedelta(days=9 if state == "overdue" else 1), whole=state == "kept"
            ),
            Sample(name="ledger_entries", value=42),
            Sample(name="holds_active", value=3),
        ]
        groups = [Group(key=key, samples=told), Group(key={**key, "policy": "ledger"}, samples=tuple(ledger))]
        # Nobody has ever verified the ledger where nothing is known.
        assert push(client, groups[: 1 if state == "unknown" else 2]) == []
    server = start_prometheus(
        config=CONFIG.format(rules=rules, pushgateway=gateway.url.removeprefix("http://"))
    )
    ratio = "count(policy_target:luxima_retention_compliant:ratio30d)"
    assert wait_until(lambda: [found for _, found in asked(server, ratio)] == [3.0])
    yield server
    server.stop()
    gateway.stop()


def asked(server, expr, at=None):
    """Labels and value of each sample."""
    query = {"query": expr, **({"time": at} if at else {})}
    answer = requests.get(f"{server.url}/api/v1/query", params=query, timeout=10).json()
    assert answer["status"] == "success", answer
    return [(item["metric"], float(item["value"][1])) for item in answer["data"]["result"]]


def shown(panel, number):
    """The colour of a value, by mappings and thresholds, as Grafana picks it."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults["mappings"]:
        if mapping["type"] == "value" and str(int(number)) in mapping["options"]:
            return mapping["options"][str(int(number))]["color"]
    color = None
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or number >= step["value"]:
            color = step["color"]
    return color


NOTHING = None
UNKNOWN = math.nan
#: panel and query → unit, then value and colour for kept, overdue and unknown; an empty store shows nothing
SHOWN = {
    ("All limits met", "A"): ("none", (2, "green"), (1, "red"), (0, "text")),
    ("Policies", "State"): ("none", (2, None), (1, None), (0, None)),
    ("Policies", "Age"): ("none", (179 * DAY, None), (200 * DAY, None), (UNKNOWN, None)),
    ("Policies", "Deadline"): (
        "none",
        (LIMIT + ALLOWANCE, None),
        (LIMIT + ALLOWANCE, None),
        (LIMIT + ALLOWANCE, None),
    ),
    ("Policies", "Breach"): ("none", (2 * DAY + 7200, None), (-19 * DAY + 7200, None), (UNKNOWN, None)),
    ("Policies", "Held"): ("none", (12, None), (12, None), (UNKNOWN, None)),
    ("State of each target", "A"): ("none", (2, "green"), (1, "red"), (0, "text")),
    ("Time within the promise, 30 days", "A"): ("percentunit", (1, "green"), (0, "red"), (0, "red")),
    ("Age of the oldest record that nothing keeps", "Age"): (
        "s",
        (179 * DAY, None),
        (200 * DAY, None),
        (UNKNOWN, None),
    ),
    ("Age of the oldest record that nothing keeps", "Deadline"): (
        "s",
        (LIMIT + ALLOWANCE, None),
        (LIMIT + ALLOWANCE, None),
        (LIMIT + ALLOWANCE, None),
    ),
    ("Since the last success", "A"): ("percentunit", (0, "green"), NOTHING, NOTHING),
    ("Records that runs destroyed", "A"): ("short", (4000, None), (0, None), (0, None)),
    ("Bytes that were freed", "A"): ("bytes", (1 << 20, None), (0, None), (0, None)),
    ("Expired records that are still there", "A"): ("short", (0, "green"), (100, "orange"), (UNKNOWN, None)),
    ("Use of the guards", "A"): ("percentunit", (0.2, "green"), (2, "red"), NOTHING),
    ("What other systems keep, against the policy", "A"): ("s", (0, "green"), (0, "green"), (UNKNOWN, None)),
    ("Ledger", "A"): ("none", (1, "green"), (0, "red"), NOTHING),
    ("Since the last verification", "A"): ("s", (DAY, "green"), (9 * DAY, "red"), NOTHING),
    ("Entries", "A"): ("short", (42, None), (42, None), NOTHING),
    ("Legal holds", "A"): ("short", (3, None), (3, None), NOTHING),
    ("Since the newest push", "A"): ("s", (0, None), (0, None), (0, None)),
}
#: one query gives several lines: of the step that took longest
SEVERAL = {("Duration by step", "A"): ("s", {"survey": 1.5, "decide": 0, "guard": 0, "act": 4, "prove": 0.5})}
PANELS = {
    (panel["title"], item["refId"]): (panel, item)
    for panel in panels_of(dashboard("luxima-retention"))
    for item in panel["targets"]
    if item["datasource"]["type"] == "prometheus"
}


def test_every_panel_of_the_retention_dashboard_is_asked():
    assert set(SHOWN) | set(SEVERAL) == set(PANELS)


def answers(server, item, environment):
    expr = item["expr"].replace("$environment", environment).replace("$policy", ".*")
    assert "$" not in expr
    return asked(server, expr)


@pytest.mark.parametrize("key", SHOWN, ids=" ".join)
def test_a_panel_shows_each_state_as_it_is(retention, key):
    panel, item = PANELS[key]
    unit, *expected = SHOWN[key]
    # Ages grow while other tests run between the import of this module and this one.
    passed = (datetime.now(UTC) - NOW).total_seconds()
    assert panel["fieldConfig"]["defaults"]["unit"] == unit
    assert panel["fieldConfig"]["defaults"]["noValue"]
    for environment, wanted in zip(("kept", "overdue", "unknown"), expected, strict=True):
        found = [
            number
            for labels, number in answers(retention, item, environment)
            if labels.get("policy") != "ledger"
        ]
        if wanted is NOTHING:
            assert found == [], environment
            continue
        value, color = wanted
        assert len(found) == 1, (environment, found)
        if math.isnan(value):
            assert math.isnan(found[0]), environment
        else:
            assert found[0] == pytest.approx(
                value,
                abs=300 + passed
                if (unit in {"s", "none"} and value > 1000) or value < -1000 or unit == "s"
                else 0.05,
            ), environment
        if color is not None:
            assert shown(panel, found[0]) == color, environment
    assert answers(retention, item, "empty") == []


def test_steps_are_shown_side_by_side(retention):
    ((key, (unit, seconds)),) = SEVERAL.items()
    panel, item = PANELS[key]
    assert panel["fieldConfig"]["defaults"]["unit"] == unit
    assert {labels["step"]: number for labels, number in answers(retention, item, "kept")} == seconds
    assert {number for _, number in answers(retention, item, "unknown")} == {0}
    assert answers(retention, item, "empty") == []


def test_annotations_and_tables_ask_the_ledger_as_it_is(database):
    run = audit_log(database)
    run.json("run", "audit-logs")
    board = dashboard("luxima-retention")
    (runs,) = [panel for panel in panels_of(board) if panel["title"] == "Runs in the ledger"]
    queries = [runs["targets"][0]["rawSql"]] + [
        item["target"]["rawSql"] for item in board["annotations"]["list"]
    ]
    found = []
    with psycopg.connect(database.admin_dsn) as connection:
        for query in queries:
            text = query.replace("$__timeFilter(at)", "at > now() - interval '1 hour'")
            assert "$" not in text
            found.append(connection.execute(text).fetchall())
    ((_, policy_name, kind, table, outcome, destroyed, _),) = found[0]
    assert (policy_name, kind, table, outcome) == ("audit-logs", "run.completed", "core.audit_log", "done")
    assert destroyed > 4000
    assert [len(rows) for rows in found[1:]] == [1, 0, 0]


# --- Luxima's own dashboard -------------------------------------------------------------------

STEP, SPAN = 15, 7200
END = int(time.time()) // 60 * 60 - 3600
BEGIN = END - SPAN
PRODUCT = {panel["title"]: panel for panel in panels_of(dashboard("luxima"))}


def openmetrics(kind, *series):
    """Lines of samples; a function of the seconds since the beginning gives each value."""
    yield f"# TYPE {kind[0]} {kind[1]}"
    for name, value in series:
        for second in range(0, SPAN + 1, STEP):
            yield f"{name} {value(second)} {BEGIN + second}"


def histogram(name, labels, shares):
    """Ten a second; ``shares`` of them below each bound."""
    suffix = f",{labels}" if labels else ""
    parts = [
        (f'{name}_bucket{{le="{bound}"{suffix}}}', lambda t, s=share: 10 * s * t)
        for bound, share in shares.items()
    ]
    return [*parts, (f"{name}_count{{{labels}}}", lambda t: 10 * t), (f"{name}_sum{{{labels}}}", lambda t: t)]


def state(slow, failed, down):
    """Lines of two hours: healthy, or slow, failing and partly down."""
    fast = {"0.1": 0, "0.2": 1, "0.3": 1, "0.5": 1, "1.0": 1, "+Inf": 1}
    late = {"0.1": 0, "0.2": 0.9, "0.3": 0.9, "0.5": 0.9, "1.0": 1, "+Inf": 1}
    shares = late if slow else fast
    yield from openmetrics(
        ("http_server_request_duration_seconds", "histogram"),
        *histogram("http_server_request_duration_seconds", 'job="api"', shares),
    )
    yield from openmetrics(
        ("db_client_operation_duration_seconds", "histogram"),
        *histogram(
            "db_client_operation_duration_seconds",
            'db_system_name="postgresql",db_namespace="luxima"',
            shares,
        ),
    )
    installs = ("luxima_plugin_installs", "counter")
    yield from openmetrics(
        installs,
        ('luxima_plugin_installs_total{result="success"}', lambda t: (1 - failed) * t),
        ('luxima_plugin_installs_total{result="failure"}', lambda t: failed * t),
    )
    jobs = [
        (f'luxima_billing_jobs{{queue="billing",state="pending",instance="{number}"}}', lambda t: 7)
        for number in range(3)
    ]
    yield from openmetrics(("luxima_billing_jobs", "gauge"), *jobs)
    waits = 3600 if slow else 60
    yield from openmetrics(
        ("luxima_billing_oldest_pending_timestamp_seconds", "gauge"),
        ('luxima_billing_oldest_pending_timestamp_seconds{queue="billing"}', lambda t: BEGIN + t - waits),
    )
    yield from openmetrics(
        ("probe_success", "gauge"), ('probe_success{job="blackbox"}', lambda t: int(t >= down))
    )
    yield "# EOF"


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """State → a Prometheus with two hours of it; the empty one has none."""
    from tests.servers.prometheus import start_prometheus

    servers = {}
    for name, arguments in {"kept": (False, 0.0, 0), "overdue": (True, 0.3, 720), "empty": None}.items():
        home = tmp_path_factory.mktemp(name)
        if arguments is not None:
            (home / "text").write_text("\n".join(state(*arguments)) + "\n")
            command = [find_program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "text", "data"]
            subprocess.run(command, cwd=home, check=True, capture_output=True)
        servers[name] = start_prometheus("--storage.tsdb.retention.time=60d", data=home / "data")
    yield servers
    for server in servers.values():
        server.stop()


#: panel and query → unit, then value and colour for kept and overdue
PRODUCT_SHOWN = {
    ("API Response Time (p95)", "P95"): ("s", (0.195, "green"), (0.75, "orange")),
    ("API Response Time (p95)", "P50"): ("s", (0.15, "green"), (0.156, "green")),
    ("API Response Time (p95)", "P99"): ("s", (0.199, "green"), (0.95, "orange")),
    ("Supabase DB Query Latency", "A"): ("s", (0.195, "green"), (0.75, "red")),
    ("Uptime, 30 days", "A"): ("percentunit", (1, "green"), (0.9, "red")),
    ("Part of it that was measured", "A"): ("percentunit", (481 / 43200, "red"), (481 / 43200, "red")),
    ("Plugin Install Success Rate", "A"): ("percentunit", (1, "green"), (0.7, "red")),
    ("Billing Job Queue Status", "Jobs"): ("short", (7, "green"), (7, "green")),
    ("Billing Job Queue Status", "Oldest"): ("short", (60, "green"), (3600, "green")),
}
#: over thirty days and over one day, what was measured an hour ago still counts
LONG = {"Uptime, 30 days", "Part of it that was measured", "Plugin Install Success Rate"}


def test_every_panel_of_luximas_dashboard_is_asked():
    found = {
        (panel["title"], item["refId"])
        for panel in PRODUCT.values()
        for item in panel["targets"]
        if item["datasource"]["type"] == "prometheus"
    }
    assert found == set(PRODUCT_SHOWN)


@pytest.mark.parametrize("key", PRODUCT_SHOWN, ids=" ".join)
def test_a_panel_of_luxima_shows_each_state_as_it_is(product, key):
    title, ref = key
    panel, (unit, *expected) = PRODUCT[title], PRODUCT_SHOWN[key]
    (item,) = [item for item in panel["targets"] if item["refId"] == ref]
    expr = item["expr"].replace("$__rate_interval", "5m").replace("$job", ".*")
    assert panel["fieldConfig"]["defaults"]["unit"] == unit
    for name, (value, color) in zip(("kept", "overdue"), expected, strict=True):
        ((_, found),) = asked(product[name], expr, END)
        assert found == pytest.approx(value, rel=0.02), name
        assert shown(panel, found) == color, name
    # Unknown: the exporter has been away for an hour.
    assert bool(asked(product["kept"], expr, END + 3600)) == (title in LONG)
    assert asked(product["empty"], expr, END) == []


def test_signups_are_counted_by_the_day_in_jakarta(database):
    database.execute("CREATE SCHEMA core; CREATE TABLE core.tenants (created_at timestamptz NOT NULL)")
    database.execute(
        "INSERT INTO core.tenants VALUES ('2026-11-01 16:59Z'), ('2026-11-01 17:00Z'), ('2026-11-02 16:00Z')"
    )
    query = PRODUCT["Tenant Signup Trend"]["targets"][0]["rawSql"]
    text = query.replace("$__timeFilter(created_at)", "created_at > '2026-10-01'")
    found = database.execute(text)
    assert [(day.astimezone(UTC).isoformat(), count) for day, count in found] == [
        ("2026-10-31T17:00:00+00:00", 1),
        ("2026-11-01T17:00:00+00:00", 2),
    ]
