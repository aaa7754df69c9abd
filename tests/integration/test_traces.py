"""Traces at a receiver that decodes OTLP: parents, real times, exit codes, and what a kill leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from tests.servers.collector import run_collector
from tests.servers.command import PATIENT, ROOT, Command, audit_log
from tests.servers.process import free_ports, wait_until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def collector():
    with run_collector() as collector:
        yield collector


@pytest.fixture
def run(database):
    """Few rows, and as much time for telling as a busy machine needs."""
    command = audit_log(database, rows=4400)
    command.module = PATIENT
    return command


def test_a_run_is_one_trace_below_its_caller(run, collector, tmp_path):
    (tmp_path / "archive").mkdir()
    done = run(
        "run",
        "audit-logs",
        LUXIMA_TELEMETRY__OTLP_URL=collector.url,
        TRACEPARENT=TRACEPARENT,
        TRACESTATE="a=b",
        LUXIMA_POLICIES__AUDIT_LOGS__ARCHIVE="required",
        LUXIMA_ARCHIVE__URL=f"file://{tmp_path}/archive",
        LUXIMA_ARCHIVE__RETENTION_DAYS="730",
    )
    assert done.returncode == 0, done.stderr
    root = collector.named("luxima-retention run")
    assert (root.trace_id, root.parent_id) == (TRACE, PARENT)
    assert root.attributes["process.exit.code"] == 0
    assert root.attributes["process.pid"] > 1
    assert not root.error
    assert "error.type" not in root.attributes
    assert root.resource["service.name"] == "luxima-retention"
    assert root.resource["deployment.environment.name"] == "production"
    steps = [collector.named(f"{step} audit-logs") for step in ("survey", "decide", "guard", "act", "prove")]
    assert {step.parent_id for step in steps} == {root.span_id}
    assert all(one.end <= other.begin + 0.001 for one, other in pairwise(steps))
    assert all(root.begin <= step.begin <= step.end <= root.end for step in steps)
    assert {step.attributes["luxima.retention.target"] for step in steps} == {"core.audit_log"}
    batches = [span for span in collector.spans if span.name == "DELETE core.audit_log"]
    assert {span.parent_id for span in batches} == {steps[3].span_id}
    assert sum(span.attributes["db.operation.batch.size"] for span in batches) > 40
    written, appended = (
        [span for span in collector.spans if span.name == name] for name in ("archive.write", "ledger.append")
    )
    assert len(written) == len(batches)
    assert {span.parent_id for span in written} == {steps[3].span_id}
    # An entry for each batch, below its step; those of start, manifest and end.
    assert sum(span.parent_id == steps[3].span_id for span in appended) >= len(batches)
    assert len(appended) > len(batches)
    for batch, part in zip(batches, written, strict=True):
        assert batch.begin - 0.001 <= part.begin <= part.end <= batch.end + 0.001
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {"run.started", "step.ended", "target.ended", "run.finished"} <= {line["event"] for line in lines}
    assert {line["trace_id"] for line in lines} == {TRACE}
    assert {line["span_id"] for line in lines} == {root.span_id}
    assert len({line["invocation"] for line in lines}) == 1
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"]) for line in lines)


def test_the_last_line_of_the_log_holds_every_key_figure(run):
    done = run("run", "audit-logs")
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["event"], last["level"], last["exit_code"], last["outcome"]) == (
        "run.finished",
        "info",
        0,
        "done",
    )
    (target,) = last["targets"]
    assert (target["policy"], target["target"], target["left"]) == ("audit-logs", "core.audit_log", 0)
    assert target["destroyed"] == last["destroyed"] > 40
    assert re.fullmatch(r"[0-9a-f-]{36}", target["run_id"])
    (port,) = free_ports(1)
    failed = run("run", "audit-logs", LUXIMA_DATABASE__DSN=f"postgresql://x@127.0.0.1:{port}/x")
    last = json.loads([line for line in failed.stderr.splitlines() if line.startswith("{")][-1])
    assert (last["event"], last["exit_code"]) == ("run.finished", failed.returncode == 3 and 3)


def test_an_end_that_is_an_error_is_one_in_the_trace_and_a_refused_parent_is_none(run, collector):
    variables = {"LUXIMA_TELEMETRY__OTLP_URL": collector.url, "TRACEPARENT": "00-zz-1"}
    assert run("run", "audit-logs", "--max-fraction", "0.001", **variables).returncode == 4
    root = collector.named("luxima-retention run")
    assert (root.error, root.attributes["error.type"], root.attributes["process.exit.code"]) == (
        True,
        "refused",
        4,
    )
    assert root.parent_id == ""


def test_the_standard_variables_count(run, collector):
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-scope-orgid=luxima",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_SERVICE_NAME": "retention",
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=pod-1",
    }
    assert run.json("run", "audit-logs", **variables)["warnings"] == []
    (headers, *_) = collector.headers
    assert headers["x-scope-orgid"] == "luxima"
    root = collector.named("luxima-retention run")
    assert (root.resource["service.name"], root.resource["k8s.pod.name"]) == ("retention", "pod-1")
    count = len(collector.spans)
    run.json("run", "audit-logs", OTEL_SDK_DISABLED="true", **variables)
    run.json("run", "audit-logs", "--dry-run", **variables)
    assert len(collector.spans) == count


def test_credentials_of_the_settings_reach_the_collector_and_nobody_else(run, collector, tmp_path):
    variables = {
        "LUXIMA_TELEMETRY__OTLP_URL": collector.url,
        "LUXIMA_TELEMETRY__HTTP__OTLP__BEARER_TOKEN": "s3cret-token",
        "LUXIMA_TELEMETRY__HTTP__OTLP__HEADERS": '{"X-Scope-OrgID": "luxima"}',
    }
    done = run("run", "audit-logs", **variables)
    assert done.returncode == 0
    assert collector.headers[0]["authorization"] == "Bearer s3cret-token"
    assert collector.headers[0]["x-scope-orgid"] == "luxima"
    assert "s3cret-token" not in done.stdout + done.stderr
    nowhere = {"LUXIMA_TELEMETRY__HTTP__OTLP__CA_FILE": str(tmp_path / "ca.pem")}
    gone = run.json("run", "audit-logs", **variables, **nowhere)
    assert gone["exit_code"] == 0
    assert "ca.pem cannot be read" in " ".join(gone["warnings"])


def test_a_run_without_the_sdk_says_so_and_ends_as_it_would(run, collector, tmp_path):
    (tmp_path / "opentelemetry.py").write_text("raise ImportError")
    done = run.json(
        "run", "audit-logs", LUXIMA_TELEMETRY__OTLP_URL=collector.url, PYTHONPATH=f"{tmp_path}:{ROOT}"
    )
    assert done["exit_code"] == 0
    assert "luxima-retention[otel]" in done["warnings"][0]


#: the observer as the engine calls it, with steps that take their time
_STEPS = """
import os, sys, time
from datetime import UTC, datetime
from types import SimpleNamespace
from luxima_retention.core.errors import ExitCode
from luxima_retention.tell.traces import open_tracing
from tests.configured import settings_of

settings = settings_of({"telemetry": {"otlp_url": sys.argv[1]}})
tracing, warnings = open_tracing(settings, "run", os.environ)
assert not warnings

def step(name, seconds, batches=0):
    began = datetime.now(UTC)
    tracing.step_began("audit-logs", "core.audit_log", name, began)
    for number in range(batches):
        time.sleep(seconds / batches)
        tracing.batch_done("audit-logs", "core.audit_log", 10 * (number + 1), 10 * batches)
    time.sleep(0 if batches else seconds)
    ended = SimpleNamespace(name=name, began=began, ended=datetime.now(UTC))
    tracing.step_ended("audit-logs", "core.audit_log", ended)

step("survey", 0.3)
step("act", 0.4, batches=int(sys.argv[2]))
with tracing.span("ledger.append", "audit-logs", "core.audit_log"):
    pass
print("done", flush=True)
if sys.argv[3] == "hang":
    time.sleep(60)
tracing.finish(ExitCode.DONE)
print(tracing.flush())
"""


def steps(url, batches, end):
    return subprocess.Popen(
        [sys.executable, "-c", _STEPS, url, str(batches), end],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_steps_and_batches_have_the_times_at_which_they_took_place(collector):
    child = steps(collector.url, 4, "end")
    said, _ = child.communicate(timeout=300)
    assert said.split("\n")[:2] == ["done", "[]"]
    root, survey, act = (
        collector.named(name) for name in ("luxima-retention run", "survey audit-logs", "act audit-logs")
    )
    assert survey.parent_id == act.parent_id == root.span_id
    assert 0.3 <= survey.end - survey.begin < act.begin - survey.begin + 0.2
    assert survey.end <= act.begin + 0.01
    assert act.end - act.begin >= 0.4
    batches = [span for span in collector.spans if span.name == "DELETE core.audit_log"]
    assert len(batches) == 4
    assert {span.parent_id for span in batches} == {act.span_id}
    assert {span.kind for span in batches} == {3}
    assert {span.attributes["db.operation.batch.size"] for span in batches} == {10}
    assert batches[0].attributes["db.system.name"] == "postgresql"
    assert all(0.08 < span.end - span.begin < 0.5 for span in batches)
    assert collector.named("ledger.append").parent_id == root.span_id


def test_of_very_many_batches_each_tenth_is_kept(collector):
    child = steps(collector.url, 500, "end")
    child.communicate(timeout=300)
    batches = [span for span in collector.spans if span.name == "DELETE core.audit_log"]
    assert len(batches) == 200 + 30


def test_what_ended_before_a_kill_has_been_sent(collector):
    child = steps(collector.url, 4, "hang")
    assert child.stdout.readline() == "done\n"
    assert wait_until(lambda: any(span.name == "ledger.append" for span in collector.spans))
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=300)
    assert {span.name for span in collector.spans} == {
        "survey audit-logs",
        "act audit-logs",
        "DELETE core.audit_log",
        "ledger.append",
    }


def test_nothing_is_sent_where_no_collector_is_named(tmp_path):
    run = Command(variables={"LUXIMA_LEDGER__PATH": str(tmp_path / "l")})
    code = (
        "import sys; from tests.configured import settings_of;"
        "from luxima_retention.tell.traces import open_tracing;"
        "assert open_tracing(settings_of(), 'run', {}) == (None, []);"
        "print(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=run.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
