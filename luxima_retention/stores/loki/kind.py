"""The kind ``loki``: chunks and index of a Loki in S3 buckets."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from luxima_retention.config.connections import s3_access, s3_ports, url_ports
from luxima_retention.config.settings import PolicyConfig
from luxima_retention.stores.kind import ExtraRun, Kind, Opening, Target

if TYPE_CHECKING:
    from luxima_retention.core.protocol import Surveyable
from luxima_retention.stores.loki.options import LokiPolicy

Policy = PolicyConfig[LokiPolicy]


def _targets(policy: Policy, opening: Opening) -> tuple[Target, ...]:
    def opened() -> Surveyable:
        from luxima_retention.stores.loki import open_loki

        return open_loki(
            policy.options,
            s3_access(policy.settings.s3_named(policy.options.s3), opening.deadline),
            clock=opening.clock,
            read_only=opening.read_only,
            sweep=opening.sweep,
            shard=opening.shard,
            deadline=opening.deadline,
            setting=policy.setting,
        )

    return ((f"s3://{','.join(policy.options.buckets)}", opened),)


def _extra_runs(policy: Policy) -> tuple[ExtraRun, ...]:
    """The weekly walk over all chunks, also those that no index names."""
    return (
        ExtraRun(
            suffix="sweep",
            schedule=policy.options.sweep_schedule,
            flags=("--sweep",),
        ),
    )


def _ports(policy: Policy) -> frozenset[int]:
    return s3_ports(policy.settings.s3_named(policy.options.s3)) | url_ports(policy.options.url)


def _storage(policy: Policy) -> str:
    return f"Loki, {', '.join(f's3://{name}' for name in policy.options.buckets) or 'no bucket'}"


KIND = Kind(
    name="loki",
    settings=LokiPolicy,
    storage=lambda policy: (
        f"Loki, {', '.join(f's3://{name}' for name in policy.options.buckets) or 'no bucket'}"
    ),
    missing=lambda policy: None if policy.options.buckets else f"{policy.setting}.buckets",
    targets=_targets,
    disposition=lambda _archives: "destroy, two phases",
    dimensions=lambda _policy: frozenset({"tenant", "range"}),
    bound=lambda policy: policy.options.grace or timedelta(days=1),
    extra_runs=_extra_runs,
    run_options=frozenset({"sweep", "shard"}),
    ports=_ports,
    method={
        "id": "Penghapusan objek S3 beserta indeksnya",
        "en": "Deletion of S3 objects and their index",
    },
    rules=("pci-history", "pci-at-hand"),
)
