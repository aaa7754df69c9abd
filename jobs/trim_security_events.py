"""``python -m jobs.trim_security_events`` is ``luxima-retention run security-events``."""

from jobs import run

if __name__ == "__main__":
    run("security-events")
