"""One Prometheus replica, asked over HTTP by itself.

Only GET is ever sent. A redirect is not followed, an HTML page is not read: whatever is not
Prometheus' own answer is an error, never a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import ConfigurationError, StoreError
from luxima_retention.core.plan import Finding, Identity, Level, Request, Survey
from luxima_retention.stores.prometheus import reading
from luxima_retention.stores.prometheus.verdict import Compliance, Facts, Mode, in_force, judge

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

    from luxima_retention.stores.prometheus.options import PrometheusPolicy

_T = TypeVar("_T")
#: Bytes of one answer; a scrape of a large server's own metrics is well below one MiB.
_LARGEST_ANSWER = 32 * 1024 * 1024
_LOGIN = "set prometheus.username and prometheus.password_file, or prometheus.bearer_token_file"
_OWN_METRICS = (
    "prometheus_tsdb_retention_limit_seconds",
    "prometheus_tsdb_retention_limit_bytes",
    "prometheus_tsdb_retention_limit_percentage",
    "prometheus_tsdb_size_retentions_total",
    "prometheus_tsdb_time_retentions_total",
    "prometheus_tsdb_storage_blocks_bytes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a replica is reached.

    Args:
        username: for basic authentication; with ``secret`` as its password.
        secret: reads the password or bearer token anew for each request; ``None`` sends neither.
        ca_file: certificates to trust instead of the usual ones.
        timeout: seconds to wait for a connection, and for each further byte.
    """

    username: str = ""
    secret: Callable[[], str] | None = None
    ca_file: str = ""
    timeout: float = 10.0


def open_prometheus(settings: PrometheusPolicy) -> tuple[PrometheusStore, ...]:
    """One store for each of ``urls``; none where no URL is set.

    Raises:
        ConfigurationError: a password or token file cannot be read.
    """
    secret = _secret(settings)
    if secret is not None:
        secret()
    access = Access(
        username=settings.username, secret=secret, ca_file=settings.ca_file, timeout=settings.timeout
    )
    return tuple(PrometheusStore(url, mode=Mode(settings.mode), access=access) for url in settings.urls)


def _secret(settings: PrometheusPolicy) -> Callable[[], str] | None:
    """The password, or the bearer token: from its file, which may be rotated, or from the settings."""
    value = settings.password if settings.username else settings.bearer_token
    path = settings.password_file if settings.username else settings.bearer_token_file
    if path:
        return lambda: _read(path)
    return value.get_secret_value if value is not None else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}",
            "mount the secret, or correct the setting that names it",
        ) from error


class PrometheusStore:
    """A server of which only the retention is checked; see :mod:`.verdict` for what follows from what.

    Args:
        url: of the replica itself, with its path prefix if it has one; never a secret in it.
        mode: what the policy's period promises.
        access: credentials, certificates and timeout.
    """

    def __init__(self, url: str, *, mode: Mode = Mode.EXACT, access: Access | None = None) -> None:
        self.url = url.rstrip("/")
        self._mode = mode
        self._access = access or Access()
        self._opened: Session | None = None

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
        with self._get("/api/v1/status/buildinfo") as answer:
            return self._date(answer)

    def preflight(self, request: Request) -> tuple[Finding, ...]:  # noqa: ARG002 - nothing depends on the policy
        """Whether the replica can be told from another one; whether it answers at all."""
        if self.identity().fingerprint != "no external labels":
            return ()
        return (
            Finding(
                code="no-external-labels",
                level=Level.INFO,
                message=f"{self.url} has no external labels: it cannot be told from another replica",
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
        """Close the connections; may be called twice."""
        if self._opened is not None:
            self._opened.close()

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
            raise StoreError(f"{self.url}/metrics names no server that is known", _DIRECT)
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
            raise StoreError(f"{self.url} names no retention in /api/v1/status/runtimeinfo", _DIRECT)
        return self._parsed(reading.limits, said)

    def _parsed(self, parse: Callable[[str], _T], text: str) -> _T:
        try:
            return parse(text)
        except ValueError as error:
            raise StoreError(f"{self.url} gives an answer that cannot be read: {error}", _DIRECT) from error

    def _build(self) -> tuple[Mapping[str, Any], datetime]:
        with self._get("/api/v1/status/buildinfo") as answer:
            return self._data(answer), self._date(answer)

    def _status(self, name: str) -> Mapping[str, Any]:
        with self._get(f"/api/v1/status/{name}") as answer:
            return self._data(answer)

    def _config(self) -> str:
        return str(self._status("config").get("yaml", ""))

    def _metrics(self) -> reading.Metrics:
        with self._get("/metrics") as answer:
            self._refuse_page(answer)
            return reading.metrics(self._text(answer).splitlines())

    def _data(self, answer: Response) -> Mapping[str, Any]:
        """The ``data`` of an answer of the HTTP API."""
        import json

        self._refuse_page(answer)
        try:
            body = json.loads(self._text(answer))
        except ValueError as error:
            raise StoreError(f"{answer.url} does not answer with JSON", _DIRECT) from error
        if not isinstance(body, dict) or body.get("status") != "success":
            raise StoreError(f"{answer.url} does not answer as Prometheus does", _DIRECT)
        data = body.get("data")
        if not isinstance(data, dict):
            raise StoreError(f"{answer.url} answers without data", _DIRECT)
        return data

    def _refuse_page(self, answer: Response) -> None:
        if "html" in answer.headers.get("Content-Type", "").lower():
            raise StoreError(f"{answer.url} answers with an HTML page, as a proxy or a login does", _DIRECT)

    def _text(self, answer: Response) -> str:
        """The body, up to a size that no honest answer has."""
        body = bytearray()
        for block in answer.iter_content(64 * 1024):
            body += block
            if len(body) > _LARGEST_ANSWER:
                raise StoreError(f"{answer.url} answers with more than {_LARGEST_ANSWER} bytes", _DIRECT)
        return body.decode("utf-8", "replace")

    def _date(self, answer: Response) -> datetime:
        try:
            return parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
        except (KeyError, ValueError) as error:
            raise StoreError(f"{answer.url} answers without a date", _DIRECT) from error

    @contextmanager
    def _get(self, path: str) -> Iterator[Response]:
        """One answer of status 200, and nothing else."""
        import requests

        url = self.url + path
        try:
            with self._session().get(
                url, timeout=self._access.timeout, allow_redirects=False, stream=True
            ) as answer:
                self._refuse_status(answer, url)
                yield answer
        except requests.exceptions.SSLError as error:
            raise StoreError(
                f"{url} has a certificate that is not trusted", "set prometheus.ca_file to the CA's file"
            ) from error
        except requests.RequestException as error:
            raise StoreError(
                f"{url} cannot be reached: {_cause(error)}",
                "check prometheus.urls, the network policy and the timeout",
            ) from error

    def _refuse_status(self, answer: Response, url: str) -> None:
        status = answer.status_code
        if status in {401, 403}:
            raise StoreError(f"{url} answers {status}: it wants other credentials", _LOGIN)
        if answer.is_redirect:
            raise StoreError(f"{url} redirects to another address, which is not followed", _DIRECT)
        if status != 200:  # noqa: PLR2004 - OK
            raise StoreError(f"{url} answers {status}", _DIRECT)

    def _session(self) -> Session:
        """Without the environment's proxies and ``.netrc``: the replica itself has to answer."""
        import requests

        if self._opened is None:
            self._opened = requests.Session()
            self._opened.trust_env = False
            self._opened.headers["User-Agent"] = "luxima-retention"
            self._opened.auth = self._authorize
            if self._access.ca_file:
                self._opened.verify = self._access.ca_file
        return self._opened

    def _authorize(self, request: PreparedRequest) -> PreparedRequest:
        from requests.auth import HTTPBasicAuth

        access = self._access
        if access.username:
            HTTPBasicAuth(access.username, access.secret() if access.secret else "")(request)
        elif access.secret is not None:
            request.headers["Authorization"] = f"Bearer {access.secret()}"
        return request


_DIRECT = "set prometheus.urls to the address of each Prometheus server itself, with its path prefix"


def _cause(error: BaseException) -> str:
    """The innermost reason, which names no credentials."""
    from requests import ConnectionError as Unreachable
    from requests import Timeout

    if isinstance(error, Timeout):
        return "no answer in time"
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "the connection failed" if isinstance(error, Unreachable) else type(error).__name__


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
    if value is None or (value == int(value) and abs(value) < 2**53):
        return None if value is None else int(value)
    return str(value)


def _instant(value: datetime | None) -> str | None:
    return iso(value) if value is not None else None
