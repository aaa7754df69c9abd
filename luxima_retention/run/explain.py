"""Why one record goes or stays: the engine's first three steps, then the store's word about the record."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from luxima_retention.core.clock import Clock, system_clock
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.core.plan import Explanation
from luxima_retention.core.protocol import Expirable
from luxima_retention.evidence.approvals import approver_keys
from luxima_retention.evidence.archive import open_archive
from luxima_retention.run import steps
from luxima_retention.run.context import Environment, Policy
from luxima_retention.run.matrix import policy_config
from luxima_retention.run.runner import Options, opening_of, policy_of
from luxima_retention.run.state import open_state
from luxima_retention.stores.kind import Target
from luxima_retention.stores.registry import kind_of

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Why a record goes or stays.

    Args:
        explanation: what the store says of the record.
        refused: sentences of the guards that would keep a run from it now.
    """

    explanation: Explanation
    refused: tuple[str, ...] = ()


def explain(settings: Settings, name: str, item: str, clock: Clock = system_clock) -> Explained:
    """Ask the stores of a policy in turn; the first that knows the record tells.

    Raises:
        ConfigurationError: the policy has no store, or deletes nothing.
        StoreError: a store cannot be asked.
    """
    config, options = policy_config(settings, name), Options(dry_run=True)
    kind, policy = kind_of(config), policy_of(config, options)
    if missing := kind.missing(config):
        raise ConfigurationError(f"{config.name} has no store", f"set {missing}")
    state = open_state(settings)
    try:
        archive = open_archive(settings)
        keys = approver_keys(settings.ledger)
        environment = Environment(
            now=clock(), dry_run=True, state=state, archive=archive, clock=clock, approvers=keys
        )
        targets = kind.targets(config, opening_of(config, options, environment))
        return _first_found(policy, environment, targets, item)
    finally:
        if state is not None:
            state.close()


def _first_found(
    policy: Policy, environment: Environment, targets: tuple[Target, ...], item: str
) -> Explained:
    """The explanation of the first target that knows the item; else the last one's."""
    found: Explained | None = None
    for target in targets:
        found = _explained(policy, environment, target, item) or found
        if found is not None and found.explanation.verdict != "absent":
            return found
    if found is None:
        raise ConfigurationError(f"{policy.name} is only checked: nothing of it is ever deleted by us")
    return found


def _explained(policy: Policy, environment: Environment, target: Target, item: str) -> Explained | None:
    """One store's word; ``None`` for a store that is only checked."""
    with closing(target[1]()) as store:
        if not isinstance(store, Expirable):
            return None
        guarded = steps.examined(policy, environment, store)
        told = store.explain(item, guarded.planned.surveyed.request)
    refused = tuple(f"{verdict.guard}: {verdict.message}" for verdict in guarded.refused)
    return Explained(explanation=told, refused=refused if told.verdict == "goes" else ())
