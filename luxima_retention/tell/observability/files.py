"""Every generated file of ``observability/``: its path there, and its text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import yaml

from luxima_retention.tell.observability import alerting, kubernetes, provisioning
from luxima_retention.tell.observability.dashboards import DASHBOARDS, dashboard, panel_ids
from luxima_retention.tell.observability.source import Rules, rules

_HEAD = "# Made by `luxima-retention observability generate`; changes here are lost.\n"
_GROUPS = {"retention": "luxima-retention", "luxima": "luxima"}


def all_rules(policies: Iterable[str], environment: str) -> tuple[Rules, ...]:
    """The suite's rules and those of Luxima's document."""
    names = tuple(policies)
    return tuple(rules(file, names, environment) for file in _GROUPS)


def files(policies: Iterable[str], environment: str) -> Mapping[str, str]:
    """Path below ``observability/`` → text.

    Args:
        policies: names of those that must tell of themselves: the configured ones.
        environment: as in ``telemetry.environment``.
    """
    return _made(tuple(policies), environment)


@cache
def _made(policies: tuple[str, ...], environment: str) -> Mapping[str, str]:
    """Made once: nothing but these two and this package decides what they are."""
    groups = all_rules(policies, environment)
    made = {f"prometheus/{group.name}.rules.yaml": _yaml(alerting.prometheus(group)) for group in groups}
    made |= {f"grafana/dashboards/{name}.json": _json(dashboard(name)) for name in DASHBOARDS}
    made["alertmanager/luxima.tmpl"] = "".join(map(provisioning.template, provisioning.LANGUAGES))
    place = "grafana/provisioning"
    alerts = [alerting.grafana(group, panel_ids(group.name)) for group in groups]
    made |= {
        f"{place}/alerting/rules.yaml": _yaml({"apiVersion": 1, "groups": alerts}),
        f"{place}/alerting/contact-points.yaml": _yaml(provisioning.contact_points()),
        f"{place}/alerting/templates.yaml": _yaml(provisioning.templates()),
        f"{place}/dashboards/luxima.yaml": _yaml(provisioning.dashboards()),
        f"{place}/datasources/luxima.yaml": _yaml(provisioning.datasources()),
    }
    return MappingProxyType(made | _of_a_cluster(groups))


def _of_a_cluster(groups: Iterable[Rules]) -> dict[str, str]:
    made = {f"kubernetes/{group.name}.rules.yaml": _yaml(kubernetes.rule(group)) for group in groups}
    made["kubernetes/pod-monitor.yaml"] = _yaml(kubernetes.pod_monitor())
    return {**made, "kustomization.yaml": _yaml(kubernetes.kustomization(made, DASHBOARDS))}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they read."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(value: Any) -> str:
    return _HEAD + yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
