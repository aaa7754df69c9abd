"""Application logs: expire Loki's objects in S3 past their period."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luxima_retention.job import Job, Opening, main

if TYPE_CHECKING:
    from luxima_retention.engine import Target
    from luxima_retention.settings import Settings
    from luxima_retention.stores import Surveyable


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
        )

    return ((f"s3://{','.join(settings.loki.buckets)}", opened),)


JOB = Job(
    policy="application-logs",
    targets=_targets,
    missing="loki.buckets",
    dimensions=lambda _settings: frozenset({"tenant", "range"}),
)

if __name__ == "__main__":
    main(JOB)
