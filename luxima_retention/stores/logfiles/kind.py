"""The kind ``logfiles``: log files beside the cluster's stdout, rotated, compressed, and destroyed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from luxima_retention.config.settings import PolicyConfig
from luxima_retention.core.errors import RetentionError
from luxima_retention.stores.kind import Kind, Opening, Surroundings, Target

if TYPE_CHECKING:
    from luxima_retention.core.plan import Operation
    from luxima_retention.stores.logfiles.sets import LogSet
    from luxima_retention.stores.logfiles.store import LogFilesStore
from luxima_retention.stores.logfiles.options import LogFilesPolicy

Policy = PolicyConfig[LogFilesPolicy]


def _targets(policy: Policy, opening: Opening) -> tuple[Target, ...]:
    from luxima_retention.stores.logfiles.sets import log_sets

    return tuple((item.name, partial(_open, item, opening)) for item in log_sets(policy.options))


def _open(log_set: LogSet, opening: Opening) -> LogFilesStore:
    from luxima_retention.stores.logfiles.store import LogFilesStore

    return LogFilesStore(log_set, clock=opening.clock, read_only=opening.read_only)


def _rotate(policy: Policy, opening: Opening, surroundings: Surroundings) -> Operation:
    """Rotate what is due: never kept from it by ledger, holds or guards."""
    from luxima_retention.stores.logfiles.outcome import summed_up
    from luxima_retention.stores.logfiles.rotate import rotate
    from luxima_retention.stores.logfiles.sets import log_sets
    from luxima_retention.stores.logfiles.terms import Terms

    record = surroundings.record
    terms = Terms(
        now=surroundings.now,
        policy=policy.name,
        force=opening.rotate_now,
        read_only=opening.read_only,
        removes=not opening.archives,
        holds=surroundings.holds(),
        stopping=surroundings.stopping,
        record=record,
    )
    results = rotate(log_sets(policy.options), terms)
    for result in () if opening.read_only else results:
        if not result.rotated and not result.unrecorded:
            continue
        try:
            record(result.entry(ends=True))
        except RetentionError as error:  # what was rotated stays rotated
            result.fail(error)
    return summed_up(results, dry_run=opening.read_only)


KIND = Kind(
    name="logfiles",
    settings=LogFilesPolicy,
    storage=lambda policy: f"directories, {len(policy.options.sets)} sets",
    missing=lambda policy: None if policy.options.sets else f"{policy.setting}.sets (or rotation.sets)",
    targets=_targets,
    disposition=lambda _archives: "rotate, compress, destroy",
    dimensions=lambda _policy: frozenset({"path", "range"}),
    run_options=frozenset({"rotate_now"}),
    before=_rotate,
    volume=True,
    method={"id": "Penghapusan berkas", "en": "Deletion of files"},
)
