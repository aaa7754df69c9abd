"""Metrics: check that each Prometheus keeps what the policy says. Nothing is ever deleted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from luxima_retention.run.job import Job, Opening

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.run.engine import Target


def _targets(settings: Settings, opening: Opening) -> tuple[Target, ...]:
    from luxima_retention.stores.prometheus.store import open_prometheus

    stores = open_prometheus(settings.prometheus, opening.deadline)
    return tuple((store.url, lambda store=store: store) for store in stores)


JOB = Job(
    policy="metrics",
    targets=_targets,
    missing="prometheus.urls",
    dimensions=lambda _settings: frozenset(),
)

if __name__ == "__main__":
    from luxima_retention.cli import main

    main(["run", JOB.policy, *sys.argv[1:]])
