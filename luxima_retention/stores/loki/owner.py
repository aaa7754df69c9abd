"""Who deletes from Loki's buckets besides us: its own compactor, lifecycle rules; what Loki says of itself.

Sources: Loki documentation, "HTTP API" (``/config``, ``/ready``, ``/config/tenant/v1/limits``) and "Log
retention"; Amazon S3 API Reference, GetBucketLifecycleConfiguration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from luxima_retention.core.clock import iso
from luxima_retention.core.errors import StoreError
from luxima_retention.core.foreign import yaml_of
from luxima_retention.core.plan import Finding, Hold, Identity, Level, Request, Survey
from luxima_retention.stores.loki.bucket import Buckets
from luxima_retention.stores.loki.declared import (
    Declared,
    Limit,
    Promises,
    duration,
    limit_of,
    overrides_of,
    storage_of,
)
from luxima_retention.stores.loki.keys import instant, is_tenant, milliseconds
from luxima_retention.stores.loki.residents import no_index, residents, told
from luxima_retention.stores.loki.scan import Cutoffs, Layout, Look, all_chunks, inventory

if TYPE_CHECKING:
    from luxima_retention.io.http import Http

_LEAST_GRACE = timedelta(hours=2)
_SLACK = timedelta(minutes=5)
#: what a compactor that is well may take besides its own intervals
_COMPACTOR_SLACK = timedelta(hours=1)
_SHOWN = 5


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
            loaded = self._parsed("/config", self._http.get("/config").text)
            if not isinstance(loaded, dict) or not all(
                isinstance(loaded.get(name), dict) for name in ("compactor", "limits_config")
            ):
                raise StoreError(
                    f"{self.url}/config is not Loki's configuration", "check the url of the policy"
                )
            self._config = loaded
        return self._config

    def clock(self) -> datetime:
        """The ``Date`` of an answer."""
        return self._http.get("/ready").date()

    def deletes(self) -> bool:
        """Whether its compactor applies retention."""
        return bool(self.config()["compactor"].get("retention_enabled"))

    def storage(self) -> Declared:
        """Where and how it writes, by its own word.

        Raises:
            StoreError: it does not tell, or in a form that is not known here.
        """
        return storage_of(self.config())

    def everybody(self) -> Limit:
        """``limits_config``: for tenants without overrides."""
        return limit_of(self.config()["limits_config"])

    def promises(self, tenants: Callable[[], Iterable[str]]) -> Promises:
        """Every limit; overrides are asked for by the ways that Lokis of several ages have.

        Args:
            tenants: who may have overrides; asked only where Loki does not list them by itself.

        Raises:
            StoreError: Loki does not answer, or with something else.
        """
        base = self.everybody()
        found = overrides_of(self._yaml("/runtime_config"), base)
        if found is None:
            found = self._by_tenant(tenants(), base)
        if found is not None:
            return Promises(everybody=base, tenants=found)
        file = self._overrides_file()
        untold = f"Loki reads overrides from {file}, and does not tell them" if file else ""
        return Promises(everybody=base, untold=untold)

    def _by_tenant(self, tenants: Iterable[str], base: Limit) -> dict[str, Limit] | None:
        """What the endpoint of Loki 3.6 and later tells each tenant; ``None`` where there is none."""
        found: dict[str, Limit] = {}
        for tenant in tenants:
            limits = self._yaml("/config/tenant/v1/limits", tenant)
            if not isinstance(limits, Mapping) or "retention_period" not in limits:
                return None
            found[tenant] = limit_of(limits, base)
        return found or None

    def _overrides_file(self) -> str:
        config = self.config()
        runtime = (config.get("runtime_config") or {}).get("file")
        return str(runtime or config["limits_config"].get("per_tenant_override_config") or "")

    def delays(self) -> timedelta:
        """How long its compactor may take for what has expired."""
        compactor = self.config()["compactor"]
        compaction = duration(str(compactor.get("compaction_interval", "10m")))
        applying = duration(str(compactor.get("apply_retention_interval", "0s"))) or compaction
        sweeping = duration(str(compactor.get("retention_delete_delay", "2h")))
        return 2 * (compaction + applying) + sweeping + _COMPACTOR_SLACK

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

    def _yaml(self, path: str, tenant: str = "") -> object:
        """A page as YAML; ``None`` where there is no such page."""
        headers = {"X-Scope-OrgID": tenant} if tenant else {}
        answer = self._http.repeated(lambda: self._http.send("GET", path, headers=headers))
        if answer.status == 404:  # noqa: PLR2004 - not found
            return None
        if answer.status != 200:  # noqa: PLR2004 - fine
            raise StoreError(
                f"{self.url}{path} answers {answer.status}", f"check {self._http.endpoint.setting}"
            )
        return self._parsed(path, answer.text)

    def _parsed(self, path: str, text: str) -> object:
        try:
            loaded: object = yaml_of(text)
        except ValueError as error:
            hint = f"check {self._http.endpoint.setting}"
            raise StoreError(f"{self.url}{path} cannot be read: {error}", hint) from error
        return loaded


class CompactorStore:
    """Buckets that Loki's own compactor empties; :class:`~luxima_retention.core.protocol.Surveyable` only.

    Args:
        loki: whose compactor it is.
        buckets: that it should empty.
        layout: how Loki writes.
        promises: its limits.
        check: raises where the settings contradict Loki.
    """

    def __init__(
        self,
        loki: Loki,
        buckets: Buckets,
        layout: Layout,
        promises: Promises,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._loki = loki
        self._buckets = buckets
        self._layout = layout
        self._promises = promises
        self._check = check

    def identity(self) -> Identity:
        """Loki's address."""
        return Identity(kind="loki", target=self._loki.url, fingerprint=self._loki.url)

    def clock(self) -> datetime:
        """Loki's clock."""
        return self._loki.clock()

    def preflight(self, request: Request) -> tuple[Finding, ...]:
        """What the bucket's own rules say."""
        self._check()
        return tuple(lifecycle_findings(self._buckets, request.retention_days))

    def survey(self, request: Request) -> Survey:
        """Whether the compactor's limits are the policy's, and whether it keeps to them: a whole listing."""
        present = _present(request)
        unknown, left_alone = self._unknown(present, request)
        seen, late, oldest = self._late(present)
        period = self._promises.everybody.period
        return Survey(
            identity=self.identity(),
            store_clock=self.clock(),
            unknown=unknown,
            oldest=oldest,
            findings=(
                *_hold_findings(request.holds),
                *left_alone,
                *_owner_findings(self._promises, request.retention_days),
                *([_behind(late, oldest, self._loki.delays())] if late and oldest else ()),
                *([_compliant(request.retention_days, seen)] if not late and not unknown else ()),
            ),
            evidence={
                "owner": "compactor",
                "retention_seconds": int(period.total_seconds()),
                "chunks": seen,
                "chunks_late": late,
            },
        )

    def close(self) -> None:
        """Give back connections."""
        self._buckets.close()

    def _late(self, present: datetime) -> tuple[int, int, datetime | None]:
        """How many chunks there are, how many should be gone, and the end of the oldest."""
        now_ms = milliseconds(present)
        delays = milliseconds(instant(0) + self._loki.delays())
        limits: dict[str, int] = {}
        seen = late = 0
        oldest: int | None = None
        for chunk, _, _ in all_chunks(self._buckets, present):
            if chunk.tenant not in limits:
                longest = self._promises.of(chunk.tenant).longest()
                limits[chunk.tenant] = now_ms - delays - milliseconds(instant(0) + longest)
            seen += 1
            late += chunk.end < limits[chunk.tenant]
            oldest = chunk.end if oldest is None else min(oldest, chunk.end)
        return seen, late, None if oldest is None else instant(oldest)

    def _unknown(self, present: datetime, request: Request) -> tuple[int, list[Finding]]:
        """Objects that Loki's compactor does not look after, or that are not recognised."""
        look = Look(
            buckets=self._buckets,
            layout=self._layout,
            cutoffs=Cutoffs(request.cutoff, request.retention_days, {}),
            holds=(),
            now=present,
        )
        tables = inventory(look)
        path = self._layout.index_path
        found = residents(self._buckets, path, milliseconds(present), recognised=bool(tables.tables))
        if not tables.tables:
            return max(1, found.seen), [no_index(self._buckets, found, path, tables.unnamed)]
        telling = list(told(found, Level.FAILED))
        if tables.unnamed:
            telling.append(
                Finding(
                    code="unknown-tables",
                    level=Level.FAILED,
                    message=f"{len(tables.unnamed)} index tables have names that no period gave them, and"
                    f" that Loki's compactor leaves alone: {', '.join(tables.unnamed[:_SHOWN])}",
                    hint="give Loki's schema_config the prefix that these tables were written with",
                )
            )
        return found.unknown + len(tables.unnamed), telling


def _present(request: Request) -> datetime:
    """Now, or the day of ``--as-of``."""
    day = request.cutoff + timedelta(days=request.retention_days)
    return request.now if request.now < day + timedelta(days=1) else day


def _compliant(policy_days: int, chunks: int) -> Finding:
    return Finding(
        code="compliant",
        level=Level.INFO,
        message=f"Loki's own compactor deletes after {policy_days} days, as the policy says, and none of"
        f" {chunks} chunks is older than its limit and delays allow",
    )


def _behind(late: int, oldest: datetime, delays: timedelta) -> Finding:
    hours = delays / timedelta(hours=1)
    return Finding(
        code="compactor-behind",
        level=Level.DRIFT,
        message=f"{late} chunks are older than Loki's limit and {hours:.1f} h of delays allow; the oldest"
        f" ended {iso(oldest)}",
        hint="look at the compactor's log and marker files; what no index names any more it never finds:"
        " switch its retention off once, and run with --sweep",
    )


def _hold_findings(holds: Iterable[Hold]) -> Iterator[Finding]:
    names = ", ".join(sorted(hold.hold_id for hold in holds)[:_SHOWN])
    if names:
        yield Finding(
            code="holds-not-kept",
            level=Level.FAILED,
            message=f"hold {names} cannot be kept: Loki's own compactor deletes, and knows no holds",
            hint="switch compactor.retention_enabled off, so that this suite deletes and keeps what is held",
        )


def _owner_findings(promises: Promises, policy_days: int) -> Iterator[Finding]:
    """The verdict about the limits of all, of single streams and of single tenants."""
    policy = timedelta(days=policy_days)
    everybody = promises.everybody
    others = sorted({item for item in everybody.streams if item != policy})
    if others:
        says = ", ".join(_days(item) for item in others)
        yield Finding(
            code="compactor-drift",
            level=Level.DRIFT,
            message=f"Loki's compactor keeps some streams {says} days; the policy says {policy_days}",
            hint="drop limits_config.retention_stream, or give it the policy's period",
        )
    drifting = {
        tenant: limit
        for tenant, limit in promises.tenants.items()
        if limit != everybody and {limit.period, *limit.streams} != {policy}
    }
    if drifting:
        says = ", ".join(f"{tenant} {_kept(limit)}" for tenant, limit in sorted(drifting.items())[:_SHOWN])
        yield Finding(
            code="compactor-drift",
            level=Level.DRIFT,
            message=f"Loki's compactor keeps {len(drifting)} tenants otherwise than the policy's"
            f" {policy_days} days: {says}",
            hint="change the tenants' overrides in Loki, or the policy",
        )
    if promises.untold:
        yield Finding(
            code="limits-untold",
            level=Level.FAILED,
            message=f"{promises.untold}: whether tenants are kept otherwise is not known",
            hint=_UNTOLD_HINT,
        )
    if everybody.period != policy:
        yield compactor_finding(everybody.period, policy_days)


def _kept(limit: Limit) -> str:
    longest = limit.longest()
    return "for ever" if not limit.period else f"up to {_days(longest)} days"


def _days(period: timedelta) -> str:
    return f"{period / timedelta(days=1):g}"


_UNTOLD_HINT = "Loki 3.6 and later tell a tenant's limits; else name tenants that keep longer in tenant_days"


def compactor_finding(period: timedelta, policy_days: int) -> Finding:
    """The verdict about a compactor that deletes. Pure."""
    if period == timedelta(days=policy_days):
        return _compliant(policy_days, 0)
    says = "keeps for ever" if not period else f"deletes after {_days(period)} days"
    return Finding(
        code="compactor-drift",
        level=Level.DRIFT,
        message=f"Loki's compactor {says}; the policy says {policy_days}",
        hint="set limits_config.retention_period, or switch compactor.retention_enabled off",
    )


def findings(
    loki: Loki | None,
    buckets: Buckets,
    *,
    offline: bool,
    retention_days: int,
    promises: Promises | None = None,
    tenant_days: Mapping[str, int] | None = None,
) -> Iterator[Finding]:
    """What stands against a deletion, or should be known.

    Args:
        loki: if its address is known.
        buckets: of it.
        offline: whether it is said that no Loki reads them.
        retention_days: of the policy.
        promises: Loki's limits, where they were read.
        tenant_days: tenants that keep longer by the settings; ``None`` where these say nothing about tenants.
    """
    if offline and loki is not None and loki.answers():
        yield Finding(
            code="not-offline",
            level=Level.REFUSE,
            message=f"offline is set, but {loki.url} answers",
            hint="set offline = false: readers need a grace period between index and chunks",
        )
    if not offline and loki is None:
        yield Finding(
            code="loki-unknown",
            level=Level.WARNING,
            message="the policy has no url: whether Loki's compactor deletes here as well is not known",
            hint="set url, or offline = true where no Loki reads these buckets",
        )
    if loki is not None and not offline:
        yield from _old_samples(loki, retention_days)
    if promises is not None:
        yield from _promised(promises, retention_days)
        yield from _promised_to_tenants(promises, retention_days, tenant_days)
    yield from lifecycle_findings(buckets, retention_days)


def _promised(promises: Promises, retention_days: int) -> Iterator[Finding]:
    """What Loki promises to everybody."""
    policy, everybody = timedelta(days=retention_days), promises.everybody
    longest = max(everybody.streams, default=timedelta())
    if longest > policy:
        yield Finding(
            code="stream-retention",
            level=Level.REFUSE,
            message=f"Loki keeps some streams {_days(longest)} days, the policy {retention_days}",
            hint="give the whole tenant the longer period (an override in Loki), or drop retention_stream",
        )
    if everybody.period and everybody.period != policy:
        yield Finding(
            code="retention-differs",
            level=Level.REFUSE,
            message=f"Loki's limits_config.retention_period is {_days(everybody.period)} days, the policy"
            f" says {retention_days}",
            hint="make them the same, or set Loki's to 0s where its compactor does not delete",
        )


def _promised_to_tenants(
    promises: Promises, retention_days: int, tenant_days: Mapping[str, int] | None
) -> Iterator[Finding]:
    """What Loki promises to single tenants: it is kept, and told where the settings do not say so."""
    stated = tenant_days or {}
    longer = promises.longer(retention_days)
    short = {tenant: days for tenant, days in longer.items() if stated.get(tenant, days) < days}
    if short:
        tenant, days = min(short.items())
        yield Finding(
            code="tenant-days-differ",
            level=Level.REFUSE,
            message=f"tenant_days keeps {tenant} {stated[tenant]} days, but Loki promises {days}",
            hint="make tenant_days and Loki's overrides the same",
        )
    silent = {tenant: days for tenant, days in sorted(longer.items()) if tenant not in stated}
    if silent:
        says = ", ".join(f"{tenant} {days} days" for tenant, days in list(silent.items())[:_SHOWN])
        yield Finding(
            code="tenant-keeps-longer",
            level=Level.DRIFT,
            message=f"Loki promises {len(silent)} tenants more than the policy's {retention_days} days, and"
            f" that is kept: {says}",
            hint="name them in tenant_days where that is right, or change their overrides in Loki",
        )
    if promises.untold:
        yield Finding(
            code="limits-untold",
            level=Level.REFUSE if tenant_days is None else Level.WARNING,
            message=f"{promises.untold}: whether a tenant is promised more is not known",
            hint=_UNTOLD_HINT,
        )


def _old_samples(loki: Loki, retention_days: int) -> Iterator[Finding]:
    """Data that may still arrive in expired tables."""
    limits = loki.config()["limits_config"]
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


def tenants_in(buckets: Buckets, index_path: str) -> list[str]:
    """Directories at the root of the buckets that may be tenants'."""
    return [
        name for name in buckets.directories("") if is_tenant(name) and not index_path.startswith(f"{name}/")
    ]
