"""Reads the source files beside it: rules and the assumed names. A typo in one is an error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from luxima_retention.core.foreign import loader

_HERE = Path(__file__).parent
TEAM = "devops"
_ALERT_KEYS = {
    *("alert", "value", "logql", "op", "threshold", "unit", "for", "keep", "severity", "receiver", "action"),
    *("panel", "runbook", "summary", "summary_id", "each", "no_data"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert rule, whoever evaluates it.

    Args:
        name: CamelCase.
        value: PromQL without a comparison with the threshold.
        logql: the same for Loki, where Grafana asks it instead; empty for none.
        op, threshold: when it fires: ``gt`` or ``lt``.
        unit: of value, for dashboards.
        wait, keep: Prometheus durations: before it fires, and before it resolves.
        severity: ``critical``, ``warning``, ``info``; ``none`` for the watchdog.
        receiver: short name of the contact point.
        action: what an automaton may propose; empty for none.
        panel: key of the panel that shows the value.
        runbook: anchor in the runbook.
        summary: sentence by language.
        no_data: what Grafana takes missing data for.
        suffix: tells rules apart that are made for each policy.
    """

    name: str
    value: str
    op: str
    threshold: float
    severity: str
    panel: str
    runbook: str
    summary: Mapping[str, str]
    logql: str = ""
    unit: str = "short"
    wait: str = "0s"
    keep: str = ""
    receiver: str = "telegram"
    action: str = ""
    no_data: str = "OK"
    suffix: str = ""

    @property
    def uid(self) -> str:
        """``lux-retention-overdue``: at most 40 of ``[a-z0-9-]``."""
        words = "".join(f"-{char.lower()}" if char.isupper() else char for char in self.name)
        return f"lux{words}{f'-{self.suffix}' if self.suffix else ''}"[:40]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A group of rules.

    Args:
        name: of the group and of its dashboard.
        title: for people.
        interval: between two evaluations.
        records: name → expression.
        alerts: in their order.
    """

    name: str
    title: str
    interval: str
    records: Mapping[str, str]
    alerts: tuple[Alert, ...]


def _mapping(of: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [of.construct_object(key) for key, _ in node.value]
    if doubled := [key for key in keys if keys.count(key) > 1]:
        raise ValueError(f"{doubled[0]!r} stands twice{node.start_mark}")
    found: dict[Any, Any] = of.construct_mapping(node, deep=True)
    return found


#: YAML in which a key that stands twice is an error
_Strict: Any = type("_Strict", (loader(),), {})
_Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parsed(text: str) -> Any:
    """A YAML document of ours; a key that stands twice is a ``ValueError``."""
    return yaml.load(text, Loader=_Strict)  # noqa: S506 - a safe loader


@cache
def assumed() -> Mapping[str, Any]:
    """``assumed.yaml``."""
    found: Mapping[str, Any] = parsed((_HERE / "assumed.yaml").read_text(encoding="utf-8"))
    return found


def runbook(anchor: str) -> str:
    """The address of a section of the runbook."""
    return f"{assumed()['links']['runbooks']}#{anchor}"


def named(text: str) -> str:
    """A query with the names of ``assumed.yaml`` in place of ``<api_duration>`` and so on, on one line."""
    names = {key: metric["name"] for key, metric in assumed()["metrics"].items()}
    for key, name in {**names, **assumed()["logs"], **assumed()["tables"]}.items():
        text = text.replace(f"<{key}>", name)
    return " ".join(text.split())


def rules(file: str, policies: Iterable[str], environment: str) -> Rules:
    """The rules of ``retention`` or ``luxima``.

    Args:
        file: which of the two.
        policies: names, for rules that are made for each.
        environment: as in ``telemetry.environment``.

    Raises:
        ValueError: the source has a key that nobody knows.
    """
    found = parsed((_HERE / f"{file}.yaml").read_text(encoding="utf-8"))
    alerts = [made for item in found["alerts"] for made in _alerts(item, tuple(policies), environment)]
    return Rules(
        name=found["name"],
        title=found["title"],
        interval=found["interval"],
        records={item["name"]: named(item["expr"]) for item in found["record"]},
        alerts=tuple(alerts),
    )


def _alerts(item: dict[str, Any], policies: tuple[str, ...], environment: str) -> Iterator[Alert]:
    if unknown := set(item) - _ALERT_KEYS:
        raise ValueError(f"{item['alert']} has an unknown key: {min(unknown)}")
    for policy in policies if item.get("each") == "policy" else ("",):
        yield _alert(item, policy, environment)


def _alert(item: dict[str, Any], policy: str, environment: str) -> Alert:
    def filled(text: str) -> str:
        return named(text.replace("<policy>", policy).replace("<environment>", environment))

    return Alert(
        name=item["alert"],
        value=filled(item["value"]),
        logql=filled(item.get("logql", "")),
        op=item["op"],
        threshold=item["threshold"],
        unit=item.get("unit", "short"),
        wait=item["for"],
        keep=item.get("keep", ""),
        severity=item["severity"],
        receiver=item.get("receiver", "telegram"),
        action=item.get("action", ""),
        panel=item["panel"],
        runbook=item["runbook"],
        summary={"en": filled(item["summary"]), "id": filled(item["summary_id"])},
        no_data=item.get("no_data", "OK"),
        suffix=policy,
    )
