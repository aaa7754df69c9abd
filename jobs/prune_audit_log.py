"""``python -m jobs.prune_audit_log`` is ``luxima-retention run audit-logs``."""

from jobs import run

if __name__ == "__main__":
    run("audit-logs")
