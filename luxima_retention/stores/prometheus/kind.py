"""The kind ``prometheus``: each server is asked whether it keeps what the policy says; nothing is deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from luxima_retention.config.connections import url_ports
from luxima_retention.config.settings import PolicyConfig
from luxima_retention.stores.kind import Kind, Opening, Target
from luxima_retention.stores.prometheus.options import PrometheusPolicy

if TYPE_CHECKING:
    from luxima_retention.io.http import Endpoint

Policy = PolicyConfig[PrometheusPolicy]


def _targets(policy: Policy, opening: Opening) -> tuple[Target, ...]:
    from luxima_retention.stores.prometheus.store import open_prometheus

    stores = open_prometheus(policy.options, opening.deadline, policy.setting)
    return tuple((store.url, lambda store=store: store) for store in stores)


def _metrics(policy: Policy) -> tuple[Endpoint, ...]:
    from luxima_retention.stores.prometheus.store import endpoints

    return endpoints(policy.options, policy.setting)


#: blocks are cut every two hours; the largest one spans a tenth of the retention, 31 days at most
_HEAD = timedelta(hours=3)
_LARGEST_BLOCK = timedelta(days=31)
#: nothing is promised of what is older
_WITHOUT_END = timedelta(days=36_500)


def _bound(policy: Policy) -> timedelta:
    """A block goes once all of it has expired (Prometheus documentation, "Storage")."""
    if policy.options.mode == "minimum":
        return _WITHOUT_END
    return min(timedelta(days=policy.options.retention_days) / 10, _LARGEST_BLOCK) + _HEAD


KIND = Kind(
    name="prometheus",
    settings=PrometheusPolicy,
    storage=lambda policy: f"Prometheus, {', '.join(policy.options.urls) or 'no server'}",
    missing=lambda policy: None if policy.options.urls else f"{policy.setting}.urls",
    targets=_targets,
    disposition=lambda _archives: "check only",
    bound=_bound,
    checks_only=True,
    ports=lambda policy: url_ports(*policy.options.urls),
    metrics=_metrics,
    method={"id": "Tidak ada pemusnahan: hanya diperiksa", "en": "No destruction: checked only"},
)
