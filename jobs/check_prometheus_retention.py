"""Metrics: check that each Prometheus keeps what the policy says. Nothing is ever deleted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from luxima_retention.run.job import Job, Opening

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.run.context import Target


def _targets(settings: Settings, opening: Opening) -> tuple[Target, ...]:  # noqa: ARG001 - it only ever reads
    from luxima_retention.stores.prometheus.store import open_prometheus

    return tuple((store.url, lambda store=store: store) for store in open_prometheus(settings.prometheus))


JOB = Job(
    policy="metrics",
    targets=_targets,
    missing="prometheus.urls",
    dimensions=lambda _settings: frozenset(),
)

if __name__ == "__main__":
    from luxima_retention.cli import main

    main(["run", JOB.policy, *sys.argv[1:]])
