"""A trace of a run, by the OpenTelemetry SDK (extra ``otel``), sent while the run works.

Sources: OpenTelemetry specification, "SDK environment variables" and "Environment variables as context
propagation carriers"; semantic conventions "CLI programs" and "Database client spans".
Nothing of a record, a key or a statement's values ever stands in a span: names, counts and instants only.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luxima_retention import __version__
from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ExitCode, RetentionError
from luxima_retention.stores.registry import kind_of
from luxima_retention.tell.budget import REQUEST_SECONDS

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from luxima_retention.config.settings import Settings
    from luxima_retention.core.results import Step, TargetResult

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_CARRIER = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")
#: milliseconds between two sendings: what ended a second before a kill has been sent
_SEND_EVERY = 500
#: spans of batches of one target, after which each tenth is kept
_MOST_BATCHES = 200
_THEN_EACH = 10
#: another run was at work, or this one stopped in good order: not errors
_NO_ERRORS = frozenset({ExitCode.DONE, ExitCode.LOCKED, ExitCode.STOPPED})
_PREFIX = "luxima.retention."


def endpoint(settings: Settings, environment: Mapping[str, str]) -> str:
    """Where traces go; empty where nobody has named a collector, or ``OTEL_SDK_DISABLED`` is ``true``."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    if settings.telemetry.otlp_url:
        return f"{settings.telemetry.otlp_url.rstrip('/')}/v1/traces"
    return next((environment[name] for name in _ENDPOINTS if environment.get(name)), "")


def open_tracing(
    settings: Settings, command: str, environment: Mapping[str, str]
) -> tuple[Tracing | None, list[str]]:
    """The trace of this process, where a collector is named; a sentence where it cannot be made."""
    if not endpoint(settings, environment):
        return None, []
    try:
        return Tracing(settings, command, environment), []
    except ImportError:
        return None, ['traces need the OpenTelemetry SDK: install "luxima-retention[otel]"']
    except RetentionError as error:
        return None, [error.message]
    except Exception as error:  # noqa: BLE001 - a variable that the SDK cannot read; it decides nothing
        return None, [f"no trace is made: {type(error).__name__}, see the OTEL_ variables"]


class Tracing:
    """One trace: a root span of the command, and spans of what it does, with the times of what it does.

    An observer of a run: each step of a target becomes a span when it ends, each batch one below its step.

    Args:
        settings: of the whole suite.
        command: ``run``; the root span is ``luxima-retention run``.
        environment: of the process; the standard variables of OpenTelemetry count.

    Raises:
        ImportError: the SDK is not installed.
    """

    def __init__(self, settings: Settings, command: str, environment: Mapping[str, str]) -> None:
        begun = time.monotonic()
        from opentelemetry import trace

        policies = [settings.policy(name) for name in settings.policies]
        self._tables = {policy.name for policy in policies if kind_of(policy).tables(policy)}
        self._exporter = _Noted(_exporter(settings))
        self._provider = _provider(settings, self._exporter)
        self._trace = trace
        self._tracer = self._provider.get_tracer("luxima_retention", __version__)
        self._root = self._tracer.start_span(
            f"luxima-retention {command}", context=_parent(environment), attributes=_process()
        )
        self._context = trace.set_span_in_context(self._root)
        self._steps: dict[tuple[str, str], Span] = {}
        self._batches: dict[tuple[str, str], _Batches] = {}
        #: seconds that the SDK took to load: they count, too
        self.loading = time.monotonic() - begun

    # --- an observer of the run -----------------------------------------------------------------------

    def step_began(self, policy: str, target: str, name: str, at: datetime) -> None:
        """Open the span of a step."""
        told = {f"{_PREFIX}policy": policy, f"{_PREFIX}target": target}
        self._steps[policy, target] = self._tracer.start_span(
            f"{name} {policy}", context=self._context, start_time=_nanoseconds(at), attributes=told
        )
        self._batches[policy, target] = _Batches(at)

    def step_ended(self, policy: str, target: str, step: Step) -> None:
        """Close it; the store may have told the target's own name meanwhile."""
        span = self._steps.pop((policy, target), None) or self._last(policy)
        if span is not None:
            span.set_attribute(f"{_PREFIX}target", target)
            span.end(_nanoseconds(step.ended))

    def batch_done(self, policy: str, target: str, done: int, planned: int) -> None:
        """A span from the batch before to now."""
        batches, step = self._batches.get((policy, target)), self._steps.get((policy, target))
        if batches is None or step is None:
            return
        began, size = batches.next(done)
        if not batches.wanted:
            return
        name, told = self._statement(policy, target, size)
        context = self._trace.set_span_in_context(step)
        kind = self._trace.SpanKind.CLIENT if told else self._trace.SpanKind.INTERNAL
        facts = {**told, f"{_PREFIX}done": done, f"{_PREFIX}planned": planned}
        span = self._tracer.start_span(
            name,
            context=context,
            kind=kind,
            start_time=began,
            attributes={**facts, f"{_PREFIX}policy": policy},
        )
        span.end()

    def ended(self, policy: str, result: TargetResult) -> None:
        """An event of the root span with a target's key figures."""
        survey, totals = result.survey, result.totals
        told: dict[str, Any] = {
            "policy": policy,
            "target": result.target,
            "outcome": str(result.outcome),
            "exit_code": int(result.exit_code),
            "run_id": result.run_id or "",
            "destroyed": totals.destroyed if totals else 0,
        }
        if survey is not None:
            told |= {"expired": survey.expired, "held": survey.held}
        if result.plan is not None:
            told["cutoff"] = iso(result.plan.cutoff)
        self._root.add_event("target.ended", {f"{_PREFIX}{name}": value for name, value in told.items()})

    def told(self, event: str, **values: Any) -> None:
        """Events of the log are not repeated in the trace."""

    @contextmanager
    def span(self, name: str, policy: str, target: str) -> Iterator[None]:
        """See :class:`~luxima_retention.core.observer.Observer`; below the step that it is a part of."""
        batches, step = self._batches.get((policy, target)), self._steps.get((policy, target))
        if step is not None and batches is not None and not batches.next_wanted:
            yield  # of very many batches
            return
        context = self._trace.set_span_in_context(step) if step is not None else self._context
        facts = {f"{_PREFIX}policy": policy, f"{_PREFIX}target": target}
        span = self._tracer.start_span(name, context=context, attributes=facts)
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(self._trace.StatusCode.ERROR)
            raise
        finally:
            span.end()

    # --- besides ----------------------------------------------------------------------------------------

    def ids(self) -> dict[str, str]:
        """``trace_id`` (32 hex digits) and ``span_id`` (16) for log lines."""
        context = self._root.get_span_context()
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    def finish(self, code: ExitCode) -> None:
        """End the root span; success is left unset, as the conventions ask."""
        self._root.set_attribute("process.exit.code", int(code))
        self._root.set_attribute(f"{_PREFIX}outcome", code.name.lower())
        if code not in _NO_ERRORS:
            self._root.set_attribute("error.type", code.name.lower())
            self._root.set_status(self._trace.StatusCode.ERROR)
        self._root.end()

    def flush(self) -> list[str]:
        """Send what is left; a sentence if the collector did not take everything."""
        self._provider.shutdown()
        return [f"{self._exporter.said}: the trace is not whole"] if self._exporter.said else []

    def _last(self, policy: str) -> Span | None:
        """The span of a policy's step whose target has another name by now."""
        found = [key for key in self._steps if key[0] == policy]
        return self._steps.pop(found[-1]) if found else None

    def _statement(self, policy: str, target: str, size: int) -> tuple[str, dict[str, Any]]:
        """Name and attributes of a batch: a statement of a database, or just a batch."""
        if policy not in self._tables:
            return "batch", {}
        return f"DELETE {target}", {
            "db.system.name": "postgresql",
            "db.operation.name": "DELETE",
            "db.collection.name": target,
            "db.operation.batch.size": size,
        }


class _Batches:
    """How far the batches of a step are."""

    def __init__(self, began: datetime) -> None:
        self._end = _nanoseconds(began)
        self._done = 0
        self._number = 0

    def next(self, done: int) -> tuple[int, int]:
        """Begin of the batch that has just ended, and its records."""
        began, size = self._end, done - self._done
        self._end, self._done, self._number = time.time_ns(), done, self._number + 1
        return began, size

    @property
    def wanted(self) -> bool:
        """Whether the batch that has just ended gets a span of its own."""
        return _wanted(self._number)

    @property
    def next_wanted(self) -> bool:
        """Whether the batch that is at work will get one."""
        return _wanted(self._number + 1)


def _wanted(number: int) -> bool:
    return number <= _MOST_BATCHES or number % _THEN_EACH == 0


class _Noted:
    """An exporter that remembers that the collector did not take something.

    Args:
        exporter: of the SDK.
    """

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self.said = ""

    def export(self, spans: Any) -> Any:
        """See :class:`opentelemetry.sdk.trace.export.SpanExporter`."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self.said = f"{self._exporter._endpoint} did not accept spans"  # noqa: SLF001 - it has no other name
        return result

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """See :class:`opentelemetry.sdk.trace.export.SpanExporter`."""
        return bool(self._exporter.force_flush(timeout_millis))

    def shutdown(self) -> None:
        """See :class:`opentelemetry.sdk.trace.export.SpanExporter`."""
        self._exporter.shutdown()


def _exporter(settings: Settings) -> Any:
    """OTLP over HTTP with protobuf; the standard variables say what the settings do not."""
    import logging

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    from luxima_retention.config.standard import OpenTelemetry

    # It prints tracebacks of a collector that is away; the result has a warning instead.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    timeout = None if OpenTelemetry().timeout else REQUEST_SECONDS
    return OTLPSpanExporter(timeout=timeout, **_reached(settings))


def _reached(settings: Settings) -> dict[str, Any]:
    """Address, credentials and CA of the settings; without an address the standard variables say them."""
    from luxima_retention.config.endpoints import endpoint as endpoint_of
    from luxima_retention.config.endpoints import reached_by

    url, options = settings.telemetry.otlp_url, reached_by(settings.telemetry.http, "otlp")
    if not url:
        return {}
    place = endpoint_of(url, options, setting="telemetry.otlp_url", options="telemetry.http.otlp")
    sent = {
        name: value for name, value in place.sent().items() if name not in {"User-Agent", "Accept-Encoding"}
    }
    # What is not given stays with the standard variables.
    given = {"headers": sent, "certificate_file": options.ca_file}
    found = {name: value for name, value in given.items() if value}
    return {"endpoint": f"{url.rstrip('/')}/v1/traces", **found}


def _provider(settings: Settings, exporter: Any) -> Any:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from luxima_retention.config.standard import OpenTelemetry

    said = OpenTelemetry()
    own = {"service.version": __version__, "deployment.environment.name": settings.telemetry.environment}
    # Resource.create lets the attributes that it is given win over the environment's; a name is a default.
    if said.service_name is None and "service.name=" not in said.resource_attributes:
        own["service.name"] = "luxima-retention"
    provider = TracerProvider(
        resource=Resource.create(own),
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_span_attribute_length=1024),
    )
    every = None if said.send_every else _SEND_EVERY
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=every))
    return provider


def _parent(environment: Mapping[str, str]) -> Any:
    """The context that the environment names; one that is malformed begins a new trace."""
    from opentelemetry.propagate import extract

    return extract({name.lower(): environment[name] for name in _CARRIER if name in environment})


def _process() -> dict[str, str | int]:
    return {
        "process.executable.name": Path(sys.argv[0]).name or "luxima-retention",
        "process.pid": os.getpid(),
    }


def _nanoseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000_000) * 1000
