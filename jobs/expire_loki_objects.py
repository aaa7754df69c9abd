"""``python -m jobs.expire_loki_objects`` is ``luxima-retention run application-logs``."""

from jobs import run

if __name__ == "__main__":
    run("application-logs")
