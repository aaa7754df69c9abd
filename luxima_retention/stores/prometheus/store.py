"""One Prometheus replica, asked over HTTP by itself.

Only GET is ever sent. A redirect is not followed, an HTML page is not read: whatever is not
Prometheus' own answer is an error, never a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import StoreError
from luxima_retention.core.plan import Finding, Identity, Level, Request, Survey
from luxima_retention.core.promise import Mode
from luxima_retention.stores.prometheus import reading
from luxima_retention.stores.prometheus.verdict import Compliance, Facts, in_force, judge

if TYPE_CHECKING:
    from luxima_retention.io.http import Answer, Endpoint, Http
    from luxima_retention.stores.prometheus.options import PrometheusPolicy

_T = TypeVar("_T")
_OWN_METRICS = (
    "prometheus_tsdb_retention_limit_seconds",
    "prometheus_tsdb_retention_limit_bytes",
    "prometheus_tsdb_retention_limit_percentage",
    "prometheus_tsdb_size_retentions_total",
    "prometheus_tsdb_time_retentions_total",
    "prometheus_tsdb_storage_blocks_bytes",
)


def open_prometheus(
    settings: PrometheusPolicy, deadline: Deadline = UNLIMITED, setting: str = "policies.metrics"
) -> tuple[PrometheusStore, ...]:
    """One store for each of ``urls``; none where no URL is set.

    Raises:
        ConfigurationError: a file that ``http`` names cannot be read.
    """
    from luxima_retention.io.http import Http

    reached = endpoints(settings, setting)
    return tuple(PrometheusStore(Http(one, deadline), mode=Mode(settings.mode)) for one in reached)


def endpoints(settings: PrometheusPolicy, setting: str) -> tuple[Endpoint, ...]:
    """How each of ``urls`` is reached; raises as :func:`open_prometheus`."""
    from luxima_retention.config.endpoints import endpoint

    return tuple(
        endpoint(url, settings.http, setting=f"{setting}.urls", options=f"{setting}.http")
        for url in settings.urls
    )


class PrometheusStore:
    """A server of which only the retention is checked; see :mod:`.verdict` for what follows from what.

    Args:
        http: to the replica itself, with its path prefix if it has one.
        mode: what the policy's period promises.
    """

    def __init__(self, http: Http, *, mode: Mode = Mode.EXACT) -> None:
        self.url = http.url
        self._http = http
        self._mode = mode

    def identity(self) -> Identity:
        """Address and external labels; a TSDB has no identifier of its own."""
        labels = reading.section(self._config(), "global", "external_labels")
        named = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        return Identity(kind="prometheus", target=self.url, fingerprint=named or "no external labels")

    def clock(self) -> datetime:
        """The ``Date`` of an answer: whole seconds.

        Raises:
            StoreError: the server cannot be reached, or sends no date.
        """
        return self._http.get("/api/v1/status/buildinfo").date()

    def preflight(self, request: Request) -> tuple[Finding, ...]:  # noqa: ARG002 - nothing depends on the policy
        """Whether the replica can be told from another one; whether it answers at all."""
        if self.identity().fingerprint != "no external labels":
            return ()
        return (
            Finding(
                code="no-external-labels",
                level=Level.INFO,
                message=f"{self.url} has no external labels: it cannot be distinguished from another replica",
                hint="set global.external_labels, with cluster and replica, in its configuration file",
            ),
        )

    def survey(self, request: Request) -> Survey:
        """What the server says and holds, with the verdict as its finding; never anything expired."""
        facts, said = self._facts()
        verdict = judge(facts, request.retention_days, self._mode)
        return Survey(
            identity=self._identity_of(facts),
            store_clock=facts.now,
            oldest=facts.oldest,
            newest=facts.newest,
            findings=(self._finding(verdict),),
            evidence=_evidence(facts, verdict, said),
        )

    def close(self) -> None:
        """Nothing is kept open."""

    def _identity_of(self, facts: Facts) -> Identity:
        """An agent has a configuration, too; what is no Prometheus has none that could be trusted."""
        if facts.product != "Prometheus":
            return Identity(kind="prometheus", target=self.url, fingerprint=facts.product)
        return self.identity()

    def _finding(self, verdict: Compliance) -> Finding:
        return Finding(
            code=verdict.code,
            level=verdict.level,
            message=f"{self.url}: {verdict.sentence}",
            hint=verdict.hint,
        )

    def _facts(self) -> tuple[Facts, str]:
        """What the verdict needs, and ``storageRetention`` as it was written."""
        build, now = self._build()
        metrics = self._metrics()
        product = build.get("application") or metrics.product
        if product is None:
            raise StoreError(f"{self.url}/metrics does not say which server it is", _DIRECT)
        if product != "Prometheus":
            return Facts(product=product, now=now, metrics=metrics), ""
        flags = {str(name): str(value) for name, value in self._status("flags").items()}
        runtime = self._status("runtimeinfo")
        said = str(runtime.get("storageRetention", ""))
        agent = reading.is_agent(flags, metrics.values)
        facts = Facts(
            product=product,
            now=now,
            agent=agent,
            version=self._parsed(reading.version, str(build.get("version", ""))),
            stated=self._stated(said, metrics, agent=agent),
            file=reading.section(self._config(), "storage", "tsdb", "retention"),
            flags=flags,
            metrics=metrics,
            started=self._parsed(parse_iso, str(runtime.get("startTime", ""))),
        )
        return facts, said

    def _stated(self, said: str, metrics: reading.Metrics, *, agent: bool) -> reading.Limits:
        """The limits of the runtime page; an empty one is believed only where the storage says so, too."""
        if not said and not agent and "prometheus_tsdb_retention_limit_seconds" not in metrics.values:
            raise StoreError(f"{self.url} has no retention in /api/v1/status/runtimeinfo", _DIRECT)
        return self._parsed(reading.limits, said)

    def _parsed(self, parse: Callable[[str], _T], text: str) -> _T:
        try:
            return parse(text)
        except ValueError as error:
            raise StoreError(f"{self.url} gives an answer that cannot be read: {error}", _DIRECT) from error

    def _build(self) -> tuple[Mapping[str, Any], datetime]:
        answer = self._http.get("/api/v1/status/buildinfo")
        return _data(answer), answer.date()

    def _status(self, name: str) -> Mapping[str, Any]:
        return _data(self._http.get(f"/api/v1/status/{name}"))

    def _config(self) -> str:
        return str(self._status("config").get("yaml", ""))

    def _metrics(self) -> reading.Metrics:
        answer = self._http.get("/metrics")
        _refuse_page(answer)
        return reading.metrics(answer.text.splitlines())


_DIRECT = "set prometheus.urls to the address of each Prometheus server itself, with its path prefix"


def _data(answer: Answer) -> Mapping[str, Any]:
    """The ``data`` of an answer of the HTTP API."""
    _refuse_page(answer)
    body = answer.json()
    if not isinstance(body, dict) or body.get("status") != "success":
        raise StoreError(f"{answer.url} does not answer as Prometheus does", _DIRECT)
    data = body.get("data")
    if not isinstance(data, dict):
        raise StoreError(f"{answer.url} answers without data", _DIRECT)
    return data


def _refuse_page(answer: Answer) -> None:
    if "html" in answer.headers.get("Content-Type", "").lower():
        raise StoreError(f"{answer.url} answers with an HTML page, as a proxy or a login does", _DIRECT)


def _evidence(facts: Facts, verdict: Compliance, said: str) -> Mapping[str, str | int]:
    """The figures behind a verdict, small enough for ledger and report."""
    limit = in_force(facts)
    shown: dict[str, str | int | None] = {
        "product": facts.product,
        "version": ".".join(map(str, facts.version)) if any(facts.version) else None,
        "verdict": verdict.code.value,
        "runtimeinfo.storageRetention": said,
        "flag.retention.time": facts.flags.get("storage.tsdb.retention.time"),
        "flag.retention.size": facts.flags.get("storage.tsdb.retention.size"),
        **{f"config.retention.{name}": value for name, value in facts.file.items()},
        **{name: _figure(facts.metrics.values.get(name)) for name in _OWN_METRICS},
        "effective_seconds": None if limit.seconds is None else round(limit.seconds),
        "effective_size": limit.size,
        "started": _instant(facts.started),
        "oldest_sample": _instant(facts.oldest),
        "provable_from": _instant(verdict.provable_from),
        "victoriametrics.retentionPeriod": facts.metrics.retention_period,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _figure(value: float | None) -> int | str | None:
    """A whole number where it fits JSON's, else its text."""
    if value is None:
        return None
    return int(value) if abs(value) < 2**53 and value.is_integer() else str(value)


def _instant(value: datetime | None) -> str | None:
    return iso(value) if value is not None else None
