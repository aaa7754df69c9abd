"""Log files: rotate weekly, then expire what was rotated."""

from __future__ import annotations

from luxima_retention.job import Job, main

JOB = Job(
    policy="log-files",
    targets=lambda _settings, _opening: (),
    missing="rotation.sets (not in this version yet)",
    dimensions=lambda _settings: frozenset(),
)

if __name__ == "__main__":
    main(JOB)
