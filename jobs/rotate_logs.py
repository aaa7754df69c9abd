"""Log files: rotate weekly, then expire what was rotated."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from luxima_retention.core.errors import RetentionError
from luxima_retention.run.job import Job, Opening

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.core.plan import Operation
    from luxima_retention.run.context import Environment, Target
    from luxima_retention.stores.logfiles.sets import LogSet
    from luxima_retention.stores.logfiles.store import LogFilesStore


def _targets(settings: Settings, opening: Opening) -> tuple[Target, ...]:
    if not settings.rotation.sets:
        return ()
    from luxima_retention.stores.logfiles.sets import log_sets

    return tuple((item.name, partial(_open, item, opening)) for item in log_sets(settings.rotation))


def _open(log_set: LogSet, opening: Opening) -> LogFilesStore:
    from luxima_retention.stores.logfiles.store import LogFilesStore

    return LogFilesStore(log_set, clock=opening.clock, read_only=opening.read_only)


def _rotate(settings: Settings, environment: Environment, opening: Opening) -> Operation:
    """Rotate what is due: never kept from it by ledger, holds or guards."""
    from luxima_retention.evidence.holds import readable_holds
    from luxima_retention.stores.logfiles.outcome import summed_up
    from luxima_retention.stores.logfiles.rotate import rotate
    from luxima_retention.stores.logfiles.sets import log_sets
    from luxima_retention.stores.logfiles.terms import Terms

    state = environment.state
    terms = Terms(
        now=environment.now,
        policy=JOB.policy,
        force=opening.rotate_now,
        read_only=opening.read_only,
        removes=not opening.archives,
        holds=readable_holds(state.register if state else None, JOB.policy),
        stopping=environment.stopping,
        record=partial(_record, environment),
    )
    results = rotate(log_sets(settings.rotation), terms)
    for result in () if opening.read_only else results:
        if not result.rotated and not result.unrecorded:
            continue
        try:
            _record(environment, result.entry(ends=True))
        except RetentionError as error:  # what was rotated stays rotated
            result.fail(error)
    return summed_up(results, dry_run=opening.read_only)


def _record(environment: Environment, values: Mapping[str, Any]) -> None:
    """An entry, where there is a ledger; files that go by number or age are told before they go."""
    from luxima_retention.evidence.events import rotation

    if environment.state is not None:
        environment.state.ledger.append(rotation(values), policy=JOB.policy, at=environment.clock())


JOB = Job(
    policy="log-files",
    targets=_targets,
    missing="rotation.sets",
    dimensions=lambda _settings: frozenset({"path", "range"}),
    before=_rotate,
)

if __name__ == "__main__":
    from luxima_retention.cli import main

    main(["run", JOB.policy, *sys.argv[1:]])
