"""The seed's five jobs: ``python -m jobs.prune_audit_log``. They take the options of ``run``."""

from __future__ import annotations

import sys


def run(policy: str) -> None:
    """Run one policy as ``luxima-retention run POLICY`` does, with the options of this process."""
    from luxima_retention.cli import main

    main(["run", policy, *sys.argv[1:]])
