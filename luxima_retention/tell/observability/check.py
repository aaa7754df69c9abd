"""Which metrics rules and dashboards use, and which of them a Prometheus does not have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from luxima_retention.core.errors import StoreError
from luxima_retention.tell.families import FAMILIES, PREFIX
from luxima_retention.tell.observability.lint import panels_of
from luxima_retention.tell.observability.source import assumed, parsed

_TIMEOUT = 10
#: words of PromQL that look like names
_WORDS = frozenset(
    {
        *(
            "by",
            "without",
            "on",
            "ignoring",
            "group_left",
            "group_right",
            "bool",
            "and",
            "or",
            "unless",
            "offset",
        ),
        *("inf", "nan", "le", "vector", "absent"),
    }
)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w:$])([a-zA-Z_:][\w:]*)(?!\s*\(|[\w:])")
#: exported by programs of the stack, not by Luxima
_STACK = frozenset(
    {
        *("up", "push_time_seconds", "push_failure_time_seconds", "kube_cronjob_spec_suspend"),
        *("kube_cronjob_schedule_invalid", "grafana_alerting_rule_evaluation_failures_total"),
    }
)
_PARTS = ("_bucket", "_count", "_sum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A metric that is used and that the Prometheus does not have.

    Args:
        name: of the metric.
        used_by: alerts, recording rules and panels.
        exported_by: who should export it.
    """

    name: str
    used_by: tuple[str, ...]
    exported_by: str


def metrics_of(expr: str) -> set[str]:
    """The names of the metrics in a PromQL expression."""
    bare = _LABELS.sub(" ", re.sub(r"\[[^\]]*\]", " ", re.sub(r"\{[^}]*\}", " ", _STRING.sub("", expr))))
    return {name for name in _NAME.findall(bare) if name.lower() not in _WORDS}


def used(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Metric → the rules and panels that use it."""
    found: dict[str, set[str]] = {}
    for user, expr in expressions(files):
        for name in metrics_of(expr):
            found.setdefault(name, set()).add(user)
    return found


def expressions(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every PromQL expression with the name of what uses it."""
    for path, text in files.items():
        if path.startswith("prometheus/"):
            for group in parsed(text)["groups"]:
                yield from ((rule.get("alert") or rule["record"], rule["expr"]) for rule in group["rules"])
        elif path.startswith("grafana/dashboards/"):
            yield from _of_board(json.loads(text))


def _of_board(board: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in panels_of(board):
        for target in panel.get("targets", []):
            if target["datasource"]["type"] == "prometheus":
                yield f"panel {panel['title']}", target["expr"]


def origin(name: str) -> str:
    """Who exports a metric; empty where nobody is known to."""
    base = next((name.removesuffix(part) for part in _PARTS if name.endswith(part)), name)
    for metric in assumed()["metrics"].values():
        if metric["name"] in {name, base}:
            return str(metric["exported_by"])
    if name.removeprefix(PREFIX) in FAMILIES and name.startswith(PREFIX):
        return "luxima-retention itself"
    if name in _STACK:
        return "the stack"
    return "a recording rule" if ":" in name else ""


def missing(files: Mapping[str, str], prometheus: str) -> list[Missing]:
    """The metrics that are used and that this Prometheus has not seen for a day.

    Raises:
        StoreError: it cannot be asked.
    """
    users = used(files)
    known = _names(prometheus)
    return [
        Missing(
            name=name, used_by=tuple(sorted(users[name])), exported_by=origin(name) or "nobody that is known"
        )
        for name in sorted(set(users) - known)
    ]


def _names(url: str) -> set[str]:
    import requests

    address = f"{url.rstrip('/')}/api/v1/label/__name__/values"
    try:
        answer = requests.get(address, timeout=_TIMEOUT, allow_redirects=False)
        names = answer.json()["data"] if answer.ok else None
    except (requests.RequestException, ValueError, KeyError) as error:
        raise StoreError(
            f"{address} cannot be reached: {type(error).__name__}", "check --prometheus"
        ) from error
    if names is None:
        raise StoreError(f"{address} answers {answer.status_code}", "check --prometheus")
    return set(names)
