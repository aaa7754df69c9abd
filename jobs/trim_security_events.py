"""Security events: trim Supabase's tables past their period."""

from __future__ import annotations

from luxima_retention.job import Job, main

JOB = Job(
    policy="security-events",
    targets=lambda _settings, _opening: (),
    missing="supabase.dsn and supabase.tables",
    dimensions=lambda _settings: frozenset(),
)

if __name__ == "__main__":
    main(JOB)
