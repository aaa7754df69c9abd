"""``python -m jobs.check_prometheus_retention`` is ``luxima-retention run metrics``."""

from jobs import run

if __name__ == "__main__":
    run("metrics")
