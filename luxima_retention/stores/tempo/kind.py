"""The kind ``tempo``: a Tempo is asked whether it keeps traces as the policy says; nothing is deleted."""

from __future__ import annotations

from luxima_retention.config.connections import url_ports
from luxima_retention.config.settings import PolicyConfig
from luxima_retention.stores.kind import Kind, Opening, Target
from luxima_retention.stores.tempo.options import TempoPolicy

Policy = PolicyConfig[TempoPolicy]


def _targets(policy: Policy, opening: Opening) -> tuple[Target, ...]:
    from luxima_retention.stores.tempo.store import open_tempo

    store = open_tempo(policy.options, opening.deadline, policy.setting)
    return () if store is None else ((store.url, lambda: store),)


KIND = Kind(
    name="tempo",
    settings=TempoPolicy,
    storage=lambda policy: f"Tempo, {policy.options.url or 'no server'}",
    missing=lambda policy: None if policy.options.url else f"{policy.setting}.url",
    targets=_targets,
    disposition=lambda _archives: "check only",
    checks_only=True,
    ports=lambda policy: url_ports(policy.options.url),
    method={"id": "Tidak ada pemusnahan: hanya diperiksa", "en": "No destruction: checked only"},
)
