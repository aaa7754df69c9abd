"""How many rows a batch takes, and how long the next one waits: decided from what the last one took. No I/O.

Others feel two things of a batch. Whoever commits meanwhile writes its WAL with their own, so a batch that
may pause writes little of it. And they wait while its commit reaches the disk, so the pause is a multiple of
how long that took: a disk that is slow, or busy with others, is asked less often. The time that rows are
locked bounds a batch as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luxima_retention.config.settings import PaceSettings

FIRST_BATCH = 1000
_SMALLEST_BATCH = 100
#: seconds of deleting that one batch aims for, when batches may pause and when not
_GENTLE_SECONDS = 0.035
_FREE_SECONDS = 0.5
#: how much one batch may differ from the one before
_STEP = 4
#: bytes of WAL that the commit of one batch has to write, when batches may pause
WAL_PER_FLUSH = 512 * 1024
#: part of the time that the disk may be busy with commits of batches
_FLUSH_SHARE = 0.1
#: no single commit tells more than this of the next ones
_LONGEST_PAUSE = 5.0
_MIB = 1024 * 1024
#: measured on rows of 240 bytes with two indexes; for the forecast only
_WAL_PER_ROW = 350
_ROWS_PER_SECOND = 400_000
_COMMIT_SECONDS = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one batch took on the server, without the way there and back.

    Args:
        limit: rows that it might take.
        items: rows that it took.
        deleting: seconds until it could be committed.
        commit: seconds that the commit took.
        wal_bytes: written meanwhile, other sessions' included.
    """

    limit: int
    items: int
    deleting: float
    commit: float
    wal_bytes: int


def first_rows(pace: PaceSettings) -> int:
    """Rows of the first batch, before anything was measured."""
    return min(FIRST_BATCH, pace.max_batch_rows)


def next_rows(taken: Taken, pace: PaceSettings) -> int:
    """Rows of the next batch: as many as its time and its WAL allow, and not many more or less at once."""
    gentle = pace.duty_cycle < 1
    wanted = taken.limit * (_GENTLE_SECONDS if gentle else _FREE_SECONDS) / max(taken.deleting, 0.001)
    if gentle and taken.items and taken.wal_bytes:
        wanted = min(wanted, taken.items * WAL_PER_FLUSH / taken.wal_bytes)
    wanted = min(max(wanted, taken.limit / _STEP), taken.limit * _STEP)
    return min(max(round(wanted), _SMALLEST_BATCH), pace.max_batch_rows)


def pause(taken: Taken, pace: PaceSettings) -> tuple[str, float]:
    """Why and how many seconds the next batch waits; 0 when it need not.

    ``duty-cycle``: for the part of the time that is spent deleting; ``commit-latency``: for the part that the
    disk is busy with commits; ``wal-budget``: for the WAL of a minute. The longest of them counts.
    """
    busy = taken.deleting + taken.commit
    gentle = pace.duty_cycle < 1
    flush = taken.commit * (1 / _FLUSH_SHARE - 1) if gentle else 0.0
    budget = pace.max_wal_mib_per_minute * _MIB
    reasons = {
        "duty-cycle": busy * (1 / pace.duty_cycle - 1),
        "commit-latency": min(flush, _LONGEST_PAUSE),
        "wal-budget": taken.wal_bytes * 60 / budget - busy if budget else 0.0,
    }
    reason = max(reasons, key=lambda name: reasons[name])
    return reason, reasons[reason]


def forecast(expired: int, pace: PaceSettings) -> dict[str, int]:
    """What ``expired`` rows will take, roughly: batches, seconds, bytes of WAL."""
    gentle = pace.duty_cycle < 1
    rows = min(pace.max_batch_rows, WAL_PER_FLUSH // _WAL_PER_ROW if gentle else pace.max_batch_rows)
    batches = -(-expired // rows)
    deleting = rows / _ROWS_PER_SECOND
    taken = Taken(
        limit=rows, items=rows, deleting=deleting, commit=_COMMIT_SECONDS, wal_bytes=rows * _WAL_PER_ROW
    )
    one = deleting + _COMMIT_SECONDS + pause(taken, pace)[1]
    return {"batches": batches, "seconds": round(batches * one), "wal_bytes": expired * _WAL_PER_ROW}
