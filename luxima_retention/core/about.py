"""What a policy is, for people. Apart from results: the matrix shows it without any run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a policy is, for people: shown in matrix, report and minutes.

    Args:
        kind: of its store.
        log_type: what the records are.
        storage: where they are.
        disposition: what happens at the end of the period.
        basis, owner: why this period, and who answers for it.
        review_by: ISO day by which somebody reviews it; empty for none.
        schedule: cron expression of its runs.
        method: how records are destroyed, by language.
        rules: names of the cited rules that may concern it.
    """

    kind: str = ""
    log_type: str = ""
    storage: str = ""
    disposition: str = ""
    basis: str = ""
    owner: str = ""
    review_by: str = ""
    schedule: str = ""
    method: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
