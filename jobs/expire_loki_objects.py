"""Application logs: expire Loki's objects in S3 past their period."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from luxima_retention.run.job import Job, Opening

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.core.protocol import Surveyable
    from luxima_retention.run.engine import Target


def _targets(settings: Settings, opening: Opening) -> tuple[Target, ...]:
    if not settings.loki.buckets:
        return ()

    def opened() -> Surveyable:
        from luxima_retention.stores.loki import open_loki

        return open_loki(
            settings.loki,
            clock=opening.clock,
            read_only=opening.read_only,
            sweep=opening.sweep,
            shard=opening.shard,
            deadline=opening.deadline,
        )

    return ((f"s3://{','.join(settings.loki.buckets)}", opened),)


JOB = Job(
    policy="application-logs",
    targets=_targets,
    missing="loki.buckets",
    dimensions=lambda _settings: frozenset({"tenant", "range"}),
)

if __name__ == "__main__":
    from luxima_retention.cli import main

    main(["run", JOB.policy, *sys.argv[1:]])
