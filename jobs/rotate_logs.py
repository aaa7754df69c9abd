"""``python -m jobs.rotate_logs`` is ``luxima-retention run log-files``."""

from jobs import run

if __name__ == "__main__":
    run("log-files")
