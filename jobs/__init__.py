"""One short declaration for each policy, each also runnable: ``python -m jobs.prune_audit_log``."""
