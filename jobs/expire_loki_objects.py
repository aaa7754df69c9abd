"""Application logs: expire Loki's objects in S3 past their period."""

from __future__ import annotations

from luxima_retention.job import Job, main

JOB = Job(
    policy="application-logs",
    targets=lambda _settings, _opening: (),
    missing="loki.buckets",
    dimensions=lambda _settings: frozenset(),
)

if __name__ == "__main__":
    main(JOB)
