"""Who deletes from Loki's buckets besides us: its own compactor, lifecycle rules; what Loki says of itself.

Sources: Loki documentation, "HTTP API" (``/config``, ``/ready``), "Log retention"; Amazon S3 API Reference,
GetBucketLifecycleConfiguration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from luxima_retention.core.errors import StoreError
from luxima_retention.core.plan import Finding, Identity, Level, Request, Survey
from luxima_retention.stores.loki.bucket import Buckets

if TYPE_CHECKING:
    from luxima_retention.io.http import Http

_LEAST_GRACE = timedelta(hours=2)
_SLACK = timedelta(minutes=5)
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhdwy])")


def duration(text: str) -> timedelta:
    """``720h``, ``30d``, ``1h30m``, ``22.5s`` as Loki prints them.

    Raises:
        StoreError: it is none.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise StoreError(f"Loki prints a duration as {text!r}, which is none")
    return sum((float(number) * _UNITS[unit] for number, unit in parts), timedelta())


class Loki:
    """The HTTP side of Loki.

    Args:
        http: to its address.
    """

    def __init__(self, http: Http) -> None:
        self.url = http.url
        self._http = http
        self._config: Mapping[str, Any] | None = None

    def answers(self) -> bool:
        """Whether anything is there at all; only an address where nobody listens, or no name, is nobody.

        An answer that is late or broken is one of somebody who may read the buckets.
        """
        from luxima_retention.io.http import HttpError

        try:
            self._http.send("GET", "/ready")
        except StoreError as error:
            return not isinstance(error, HttpError) or error.reached
        return True

    def config(self) -> Mapping[str, Any]:
        """``/config``, parsed; asked once.

        Raises:
            StoreError: Loki does not answer, or with something else.
        """
        if self._config is None:
            import yaml

            try:
                loaded = yaml.safe_load(self._http.get("/config").text)
            except yaml.YAMLError as error:
                raise StoreError(f"{self.url}/config is not YAML") from error
            if not isinstance(loaded, dict) or not all(
                isinstance(loaded.get(name), dict) for name in ("compactor", "limits_config")
            ):
                raise StoreError(f"{self.url}/config is not Loki's configuration", "check loki.url")
            self._config = loaded
        return self._config

    def clock(self) -> datetime:
        """The ``Date`` of an answer."""
        return self._http.get("/ready").date()

    def deletes(self) -> bool:
        """Whether its compactor applies retention."""
        return bool(self.config()["compactor"].get("retention_enabled"))

    def period(self) -> timedelta:
        """``limits_config.retention_period``; zero keeps for ever."""
        return duration(str(self.config()["limits_config"].get("retention_period", "0s")))

    def stream_periods(self) -> list[timedelta]:
        """``limits_config.retention_stream``: periods of single streams."""
        rules = self.config()["limits_config"].get("retention_stream") or ()
        return [duration(str(rule["period"])) for rule in rules]

    def grace(self) -> timedelta:
        """How long a reader may still know of an index table that is gone."""
        config = self.config()
        storage = config.get("storage_config") or {}
        resync = max(
            duration(str((storage.get(name) or {}).get("resync_interval", "5m")))
            for name in ("tsdb_shipper", "boltdb_shipper")
        )
        cache = duration(str(storage.get("index_cache_validity", "5m")))
        querying = duration(str((config.get("limits_config") or {}).get("query_timeout", "1m")))
        return max(_LEAST_GRACE, 3 * resync + cache + querying + _SLACK)


class CompactorStore:
    """A bucket that Loki's own compactor empties; :class:`~luxima_retention.core.protocol.Surveyable` only.

    Args:
        loki: whose compactor it is.
        buckets: for their lifecycle rules.
    """

    def __init__(self, loki: Loki, buckets: Buckets) -> None:
        self._loki = loki
        self._buckets = buckets

    def identity(self) -> Identity:
        """Loki's address."""
        return Identity(kind="loki", target=self._loki.url, fingerprint=self._loki.url)

    def clock(self) -> datetime:
        """Loki's clock."""
        return self._loki.clock()

    def preflight(self, request: Request) -> tuple[Finding, ...]:
        """What the bucket's own rules say."""
        return tuple(lifecycle_findings(self._buckets, request.retention_days))

    def survey(self, request: Request) -> Survey:
        """Whether the compactor's period is the policy's."""
        period = self._loki.period()
        return Survey(
            identity=self.identity(),
            store_clock=self.clock(),
            findings=tuple(_owner_findings(period, self._loki.stream_periods(), request.retention_days)),
            evidence={"owner": "compactor", "retention_seconds": int(period.total_seconds())},
        )

    def close(self) -> None:
        """Give back connections."""
        self._buckets.close()


def _owner_findings(period: timedelta, streams: list[timedelta], policy_days: int) -> Iterator[Finding]:
    """The verdict about the period of all, and about those of single streams."""
    others = sorted({item for item in streams if item != timedelta(days=policy_days)})
    if others:
        says = ", ".join(f"{item.total_seconds() / 86400:g}" for item in others)
        yield Finding(
            code="compactor-drift",
            level=Level.DRIFT,
            message=f"Loki's compactor keeps some streams {says} days; the policy says {policy_days}",
            hint="drop limits_config.retention_stream, or give it the policy's period",
        )
    yield compactor_finding(period, policy_days)


def compactor_finding(period: timedelta, policy_days: int) -> Finding:
    """The verdict about a compactor that deletes. Pure."""
    if period == timedelta(days=policy_days):
        return Finding(
            code="compliant",
            level=Level.INFO,
            message=f"Loki's own compactor deletes after {policy_days} days, as the policy says",
        )
    says = "keeps for ever" if not period else f"deletes after {period.total_seconds() / 86400:g} days"
    return Finding(
        code="compactor-drift",
        level=Level.DRIFT,
        message=f"Loki's compactor {says}; the policy says {policy_days}",
        hint="set limits_config.retention_period, or switch compactor.retention_enabled off",
    )


def findings(loki: Loki | None, buckets: Buckets, *, offline: bool, retention_days: int) -> Iterator[Finding]:
    """What stands against a deletion, or should be known."""
    if offline and loki is not None and loki.answers():
        yield Finding(
            code="not-offline",
            level=Level.REFUSE,
            message=f"loki.offline is set, but {loki.url} answers",
            hint="set loki.offline = false: readers need a grace period between index and chunks",
        )
    if not offline and loki is None:
        yield Finding(
            code="loki-unknown",
            level=Level.WARNING,
            message="loki.url is not set: whether Loki's compactor deletes here as well is not known",
            hint="set loki.url, or loki.offline = true where no Loki reads these buckets",
        )
    if loki is not None and not offline:
        yield from _limits(loki, retention_days)
    yield from lifecycle_findings(buckets, retention_days)


def _limits(loki: Loki, retention_days: int) -> Iterator[Finding]:
    """Per-stream periods, and data that may still arrive in expired tables."""
    limits = loki.config()["limits_config"]
    longest = max(loki.stream_periods(), default=None)
    if longest is not None and longest > timedelta(days=retention_days):
        yield Finding(
            code="stream-retention",
            level=Level.REFUSE,
            message=f"Loki keeps some streams {longest.days} days, the policy {retention_days}",
            hint="give the whole tenant the longer period (loki.tenant_days), or drop retention_stream",
        )
    oldest = duration(str(limits.get("reject_old_samples_max_age", "1w")))
    any_age = not limits.get("reject_old_samples", True)
    if any_age or oldest >= timedelta(days=retention_days - 1):
        accepts = "any age" if any_age else f"up to {oldest.days} days"
        yield Finding(
            code="old-samples",
            level=Level.WARNING,
            message=f"Loki accepts samples of {accepts}: expired tables may be written again at any time",
            hint="set limits_config.reject_old_samples, and reject_old_samples_max_age below the policy",
        )


def lifecycle_findings(buckets: Buckets, retention_days: int) -> Iterator[Finding]:
    """What the buckets' own rules would do to Loki; they are never written by us."""
    for name in buckets.names:
        try:
            answer = buckets.ask("get_bucket_lifecycle_configuration", name)
        except StoreError as error:
            yield Finding(
                code="lifecycle-unknown",
                level=Level.WARNING,
                message=f"whether lifecycle rules of {name} delete as well is not known: {error.message}",
                hint="grant s3:GetLifecycleConfiguration",
            )
            continue
        for rule in (answer or {}).get("Rules", ()):
            if rule.get("Status") == "Enabled":
                yield from _rule(buckets, name, rule, retention_days)


def _rule(buckets: Buckets, bucket: str, rule: Mapping[str, Any], retention_days: int) -> Iterator[Finding]:
    """A rule that deletes, or that moves chunks to where Loki cannot read them."""
    wanted = rule.get("Filter") or {}
    prefix = str((wanted.get("And") or wanted).get("Prefix", rule.get("Prefix")) or "")
    expiration = rule.get("Expiration") or {}
    when = expiration.get("Days", expiration.get("Date"))
    archives = [item for item in rule.get("Transitions") or () if "GLACIER" in str(item.get("StorageClass"))]
    if archives:
        yield Finding(
            code="lifecycle-archives",
            level=Level.WARNING,
            message=f"a lifecycle rule of {bucket} moves {prefix or 'everything'} to"
            f" {archives[0]['StorageClass']}, where Loki cannot read it",
            hint="let chunks stay in a class that is read at once",
        )
    if when is None:
        return
    says = f"after {when} days" if isinstance(when, int) else f"on {when:%Y-%m-%d}"
    own = [buckets.wire(name) for name in _OWN] + [buckets.index_path]
    if any(name.startswith(prefix) or prefix.startswith(name) for name in own):
        what = f"what begins with {prefix}" if prefix else "every object, index, rules and seed included,"
        yield Finding(
            code="lifecycle-too-wide",
            level=Level.WARNING,
            message=f"a lifecycle rule of {bucket} expires {what} {says}: index or seed go by their own age",
            hint="limit it to tenants' prefixes, longer than the policy and its grace",
        )
    elif not isinstance(when, int) or when <= retention_days + 2:
        yield Finding(
            code="lifecycle-too-short",
            level=Level.WARNING,
            message=f"a lifecycle rule of {bucket} expires {prefix} {says}, before its index goes",
            hint=f"make it longer than {retention_days + 2} days: chunks must go after their index",
        )


#: what Loki never writes anew, besides its index
_OWN = ("loki_cluster_seed.json", "rules/")
