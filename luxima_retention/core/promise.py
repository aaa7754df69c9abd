"""What a policy's period promises of a server that deletes by itself, for the kinds that only check. Pure."""

from __future__ import annotations

from enum import StrEnum

DAY = 86_400


class Mode(StrEnum):
    """What the policy's period promises.

    ``minimum``: nothing younger goes. ``maximum``: nothing older stays. ``exact``: both; each kind says by
    how much its servers cannot help but miss that.
    """

    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    EXACT = "exact"

    @property
    def keeps(self) -> bool:
        """Whether the period promises that nothing younger goes."""
        return self is not Mode.MAXIMUM

    @property
    def ends(self) -> bool:
        """Whether the period promises that nothing older stays."""
        return self is not Mode.MINIMUM


def in_days(seconds: float) -> str:
    """``60 days``, ``1 day``, ``12 h`` for less than two days."""
    if seconds < 2 * DAY and seconds % DAY:
        return f"{seconds / 3600:.4g} h"
    days = f"{round(seconds / DAY, 1):g}"
    return f"{days} day" if days == "1" else f"{days} days"
