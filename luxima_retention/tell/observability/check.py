"""Which metrics rules and dashboards use, and which of them a Prometheus does not have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from luxima_retention.core.errors import ExitCode, RetentionError, StoreError
from luxima_retention.evidence.events import ObservabilityChecked
from luxima_retention.io.http import Http
from luxima_retention.tell.families import FAMILIES, PREFIX
from luxima_retention.tell.observability.lint import lint, panels_of
from luxima_retention.tell.observability.source import assumed, parsed

#: of each list in the ledger's entry
_LISTED = 100
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


def missing(files: Mapping[str, str], servers: Sequence[Http]) -> list[Missing]:
    """The metrics that are used and that none of these servers has seen for a day.

    Raises:
        RetentionError: something is missing, and one of them, that may have it, cannot be asked.
    """
    users, faults = used(files), list[RetentionError]()
    lacking = set(users)
    for server in servers:
        try:
            lacking -= _names(server)
        except RetentionError as error:
            faults.append(error)
    if lacking and faults:
        raise faults[0]
    return [
        Missing(
            name=name, used_by=tuple(sorted(users[name])), exported_by=origin(name) or "nobody that is known"
        )
        for name in sorted(lacking)
    ]


def _names(prometheus: Http) -> set[str]:
    answer = prometheus.send("GET", "/api/v1/label/__name__/values")
    said = answer.json() if answer.ok else None
    names = said.get("data") if isinstance(said, dict) else None
    if not isinstance(names, list):
        raise StoreError(
            f"{prometheus.url} answers {answer.status}, and no names of metrics",
            f"check {prometheus.endpoint.setting}",
        )
    return set(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a look at rules and dashboards found.

    Args:
        compared: files that were compared.
        differs: paths of files that are missing or not what would be written.
        wrong: what Grafana would refuse, ignore or show wrongly, as sentences.
        asked: whether a Prometheus was asked.
        missing: what none has.
        error: why one could not be asked.
    """

    compared: int
    differs: tuple[str, ...]
    wrong: tuple[str, ...]
    asked: bool
    missing: tuple[Missing, ...] = ()
    error: RetentionError | None = None

    @property
    def code(self) -> ExitCode:
        """0 all well, 8 something was found, else what its error asks for."""
        if self.differs or self.wrong or self.missing:
            return ExitCode.DRIFT
        return self.error.exit_code if self.error else ExitCode.DONE

    @property
    def event(self) -> ObservabilityChecked:
        """The ledger's entry."""
        return ObservabilityChecked(
            compared=self.compared,
            differs=self.differs[:_LISTED],
            wrong=self.wrong[:_LISTED],
            asked=self.asked,
            missing=tuple(item.name for item in self.missing[:_LISTED]),
            error=self.error.message if self.error else None,
            exit_code=self.code,
        )

    @property
    def sentence(self) -> str:
        """What was found, in numbers, and the first of each."""
        found = {
            "files differ": self.differs,
            "are wrong": self.wrong,
            "metrics are missing": tuple(item.name for item in self.missing),
        }
        told = [f"{len(names)} {what}: {names[0]}" for what, names in found.items() if names]
        return "; ".join([*told, *([self.error.message] if self.error else [])])


def look(files: Mapping[str, str], directory: Path | None, servers: Sequence[Http]) -> Checked:
    """Compare, lint, and ask.

    Args:
        files: path → text, as they would be written now.
        directory: where they are read from; ``None`` compares none.
        servers: that should have their metrics, one or the other.
    """
    compared = files if directory is not None else {}
    found = Checked(
        compared=len(compared),
        differs=tuple(path for path, text in compared.items() if _text(directory, path) != text),
        wrong=tuple(lint(files)),
        asked=bool(servers),
    )
    if not servers:
        return found
    try:
        return replace(found, missing=tuple(missing(files, servers)))
    except RetentionError as error:
        return replace(found, error=error)


def _text(directory: Path | None, path: str) -> str | None:
    try:
        return (directory / path).read_text(encoding="utf-8") if directory else None
    except (OSError, UnicodeDecodeError):
        return None
