"""What a run tells the stack that watches: metrics to a Pushgateway, a trace to an OTLP collector.

Neither decides anything: where one cannot be reached, the run says so in a warning and ends as it would.
Sources: Prometheus documentation, "Exposition formats", Pushgateway's "API"; OpenTelemetry Protocol
specification, "OTLP/HTTP" with JSON encoding.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from luxima_retention import __version__
from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import RetentionError
from luxima_retention.core.results import PolicyResult, RunResult, TargetResult

if TYPE_CHECKING:
    from luxima_retention.config.settings import HttpSettings, TelemetrySettings
    from luxima_retention.io.http import Http

#: Seconds that all of it may take, also after SIGTERM: a run that was stopped is told of, too.
_BUDGET = 10.0
_PREFIX = "luxima_retention_"
_NANOSECONDS = 1_000_000_000
#: name → what it means; ``docs/telemetry.md`` repeats it, a test holds the two together
METRICS: Mapping[str, str] = {
    "exit_code": "Exit code that this target asked for.",
    "last_run_timestamp_seconds": "When the last run looked at this target.",
    "expired": "Expired records that the survey found.",
    "held": "Expired records that a legal hold keeps.",
    "unknown": "Records or objects that could not be read or recognised.",
    "destroyed": "Records that the last run destroyed.",
    "left": "Expired records that were left after it.",
    "pending": "Records that are condemned and wait for their date.",
    "oldest_timestamp_seconds": "Time of the oldest record.",
    "milliseconds": "Duration of a step of the run, by step.",
}


def send(settings: TelemetrySettings, result: RunResult) -> Iterator[str]:
    """Send what a run did; a sentence for each receiver that could not be reached in time."""
    deadline = UNLIMITED.within(_BUDGET)
    if settings.pushgateway_url:
        there = partial(_receiver, settings.pushgateway_url, settings.pushgateway_http, "pushgateway")
        for policy in result.policies:
            if policy.targets:
                path = f"/metrics/job/luxima_retention/policy/{policy.policy}"
                text = exposition(policy, result.now).encode()
                yield from _put(there, deadline, "PUT", path, text, "text/plain; version=0.0.4")
    if settings.otlp_url:
        import json

        there = partial(_receiver, settings.otlp_url, settings.otlp_http, "otlp")
        body = json.dumps(trace(result)).encode()
        yield from _put(there, deadline, "POST", "/v1/traces", body, "application/json")


def _receiver(url: str, settings: HttpSettings, name: str, deadline: Deadline) -> Http:
    from luxima_retention.config.endpoints import endpoint
    from luxima_retention.io.http import Http

    setting, options = f"telemetry.{name}_url", f"telemetry.{name}_http"
    return Http(endpoint(url, settings, setting=setting, options=options, proxied=True), deadline)


def _put(  # noqa: PLR0917 - where, until when, and the parts of a request in their order
    there: Callable[[Deadline], Http], deadline: Deadline, method: str, path: str, body: bytes, kind: str
) -> Iterator[str]:
    try:
        answer = there(deadline).send(method, path, body=body, headers={"Content-Type": kind})
    except RetentionError as error:
        yield error.message
        return
    if not answer.ok:
        yield f"{answer.url} answers {answer.status}"


def exposition(policy: PolicyResult, now: datetime) -> str:
    """The metrics of one policy in Prometheus' text format."""
    samples = [sample for target in policy.targets for sample in _samples(target, now)]
    lines = []
    for name, meaning in METRICS.items():
        mine = [(labels, value) for metric, labels, value in samples if metric == name]
        if mine:
            lines += [f"# HELP {_PREFIX}{name} {meaning}", f"# TYPE {_PREFIX}{name} gauge"]
            lines += [f"{_PREFIX}{name}{{{_labels(labels)}}} {value}" for labels, value in mine]
    return "\n".join(lines) + "\n"


def _samples(target: TargetResult, now: datetime) -> Iterator[tuple[str, dict[str, str], float]]:
    labels = {"target": target.target}
    survey, proof = target.survey, target.proof
    yield "exit_code", labels, int(target.exit_code)
    yield "last_run_timestamp_seconds", labels, now.timestamp()
    if survey is not None:
        yield "expired", labels, survey.expired
        yield "held", labels, survey.held
        yield "unknown", labels, max(survey.unknown, proof.unknown if proof else 0)
        left = proof.left if proof else survey.expired
        pending = proof.pending if proof else survey.pending
        oldest = proof.oldest if proof else survey.oldest
        yield "left", labels, left
        yield "pending", labels, sum(item.items for item in pending)
        if oldest is not None:
            yield "oldest_timestamp_seconds", labels, oldest.timestamp()
    if target.totals is not None:
        yield "destroyed", labels, target.totals.destroyed
    for step in target.steps:
        yield "milliseconds", {**labels, "step": step.name}, step.milliseconds


def _labels(labels: Mapping[str, str]) -> str:
    escaped = {
        name: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        for name, value in labels.items()
    }
    return ",".join(f'{name}="{value}"' for name, value in escaped.items())


def trace(result: RunResult) -> dict[str, Any]:
    """One trace: the run, below it each target with its steps, as they took place."""
    trace_id, root = secrets.token_hex(16), secrets.token_hex(8)
    start = end = _nanoseconds(result.now)
    spans = []
    for policy in result.policies:
        for target in policy.targets:
            span = secrets.token_hex(8)
            for step in target.steps:
                times = (_nanoseconds(step.began), _nanoseconds(step.ended))
                spans.append(_span(trace_id, secrets.token_hex(8), span, step.name, *times, {}))
            begun = min((_nanoseconds(step.began) for step in target.steps), default=end)
            end = max((_nanoseconds(step.ended) for step in target.steps), default=end)
            told = {
                "luxima.policy": policy.policy,
                "luxima.target": target.target,
                "luxima.outcome": str(target.outcome),
                "luxima.exit_code": int(target.exit_code),
            }
            spans.append(_span(trace_id, span, root, f"{policy.policy} {target.target}", begun, end, told))
    about = {"luxima.dry_run": result.dry_run, "luxima.exit_code": int(result.exit_code)}
    spans.append(_span(trace_id, root, "", "run", start, end, about))
    resource = {"service.name": "luxima-retention", "service.version": __version__}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [{"scope": {"name": "luxima_retention"}, "spans": spans}],
            }
        ]
    }


def _nanoseconds(instant: datetime) -> int:
    return int(instant.timestamp() * _NANOSECONDS)


def _span(  # noqa: PLR0917 - the fields of a span, in the protocol's order
    trace_id: str, span_id: str, parent: str, name: str, start: int, end: int, told: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "traceId": trace_id,
        "spanId": span_id,
        "parentSpanId": parent,
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(end),
        "attributes": _attributes(told),
        "status": {"code": 2 if told.get("luxima.exit_code") else 1},
    }


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attributes in OTLP's JSON: 64-bit integers are strings."""

    def value(item: Any) -> dict[str, Any]:
        if isinstance(item, bool):
            return {"boolValue": item}
        return {"intValue": str(item)} if isinstance(item, int) else {"stringValue": str(item)}

    return [{"key": key, "value": value(item)} for key, item in values.items()]
