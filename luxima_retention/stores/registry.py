"""The kinds of stores: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luxima_retention.config.policies import PolicySettings
    from luxima_retention.config.settings import PolicyConfig
    from luxima_retention.stores.kind import Kind

_FOLDERS = {
    "table": "table",
    "supabase": "supabase",
    "loki": "loki",
    "prometheus": "prometheus",
    "logfiles": "logfiles",
    "tempo": "tempo",
}


@cache
def kinds() -> Mapping[str, Kind[Any]]:
    """Every kind by its name."""
    return {
        name: import_module(f"luxima_retention.stores.{folder}.kind").KIND
        for name, folder in _FOLDERS.items()
    }


def options() -> Mapping[str, type[PolicySettings]]:
    """The options of each kind, to validate policies with."""
    return {name: kind.settings for name, kind in kinds().items()}


def kind_of(policy: PolicyConfig[Any]) -> Kind[Any]:
    """The kind of a policy."""
    return kinds()[policy.options.kind]
