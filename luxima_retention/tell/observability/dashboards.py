"""Dashboards in Grafana's JSON (v1, schema 42), made from the YAML files beside this module.

A panel there says what it shows; everything that all panels have in common is said here once. Source:
Grafana documentation, "Dashboard JSON model"; the linter's rules of Grafana's dashboard-linter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from luxima_retention.tell.observability.alerting import LOKI, POSTGRES, PROMETHEUS
from luxima_retention.tell.observability.source import named, parsed, runbook

WIDTH = 24
SCHEMA = 42
ZONE = "Asia/Jakarta"
DASHBOARDS = ("luxima", "luxima-retention")
_TYPES = {
    "prometheus": ("prometheus", PROMETHEUS),
    "loki": ("loki", LOKI),
    "postgres": ("grafana-postgresql-datasource", POSTGRES),
}
_PANEL_KEYS = {
    *("key", "title", "type", "size", "unit", "description", "source", "queries", "thresholds", "mappings"),
    *("nulls", "options", "range", "bars", "stacked", "runbook", "join", "columns", "sort", "text"),
}


@dataclass(slots=True)
class Grid:
    """Where the next panel stands.

    Args:
        top: first free line below all rows before.
        left: first free column.
        height: of the tallest panel of this line.
    """

    top: int = 0
    left: int = 0
    height: int = 0

    def place(self, width: int, height: int) -> dict[str, int]:
        """The place of a panel; a new line where it does not fit beside the others."""
        if self.left + width > WIDTH:
            self.end_line()
        place = {"h": height, "w": width, "x": self.left, "y": self.top}
        self.left, self.height = self.left + width, max(self.height, height)
        return place

    def end_line(self) -> None:
        """Go below the panels of this line."""
        self.top, self.left, self.height = self.top + self.height, 0, 0


@cache
def source(name: str) -> Mapping[str, Any]:
    """The YAML of a dashboard, with the names of ``assumed.yaml``; read once, since links ask for its ids."""
    path = Path(__file__).with_name(f"dashboard-{name}.yaml")
    found: Mapping[str, Any] = parsed(path.read_text(encoding="utf-8"))
    return found


def panels(name: str) -> Iterator[dict[str, Any]]:
    """The panels of a dashboard as they stand in its YAML, in their order."""
    return (panel for row in source(name)["rows"] for panel in row["panels"])


def panel_ids(name: str) -> dict[str, int]:
    """Key of a panel → its id: the same each time, so that links of alerts keep their aim."""
    return {panel["key"]: number for number, panel in enumerate(panels(name), start=1)}


def dashboard(name: str) -> dict[str, Any]:
    """A dashboard, ready to be written."""
    told = source(name)
    return {
        "uid": told["uid"],
        "id": None,
        "title": told["title"],
        "description": told["description"],
        "tags": told["tags"],
        "timezone": ZONE,
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA,
        "refresh": told["refresh"],
        "time": {"from": told["time"], "to": "now"},
        "annotations": {"list": [_annotation(item) for item in told["annotations"]]},
        "templating": {"list": [_variable(item) for item in told["variables"]]},
        "panels": list(_placed(told)),
    }


def _placed(told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    ids, grid = panel_ids(told["uid"]), Grid()
    for number, row in enumerate(told["rows"], start=1):
        grid.end_line()
        collapsed = bool(row.get("collapsed"))
        place = grid.place(WIDTH, 1)
        grid.end_line()
        made = [_panel(panel, ids[panel["key"]], grid) for panel in row["panels"]]
        yield {
            "type": "row",
            "id": 1000 + number,
            "title": row["title"],
            "collapsed": collapsed,
            "gridPos": place,
            "panels": made if collapsed else [],
        }
        if not collapsed:
            yield from made


def _panel(told: Mapping[str, Any], number: int, grid: Grid) -> dict[str, Any]:
    if unknown := set(told) - _PANEL_KEYS:
        raise ValueError(f"panel {told['key']} has an unknown key: {min(unknown)}")
    made = {
        "id": number,
        "type": told["type"],
        "title": told["title"],
        "description": named(told["description"]),
        "gridPos": grid.place(*told["size"]),
        "links": _links(told),
        "options": _options(told),
        "fieldConfig": {"defaults": _defaults(told), "overrides": list(_overrides(told))},
        "targets": [_target(told, query) for query in told.get("queries", [])],
    }
    if told.get("queries"):
        made["datasource"] = _datasource(told)
    if "join" in told:
        made["transformations"] = list(_joined(told))
    return made


def _datasource(told: Mapping[str, Any]) -> dict[str, str]:
    kind, uid = _TYPES[told.get("source", "prometheus")]
    return {"type": kind, "uid": uid}


def _links(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"title": "Runbook", "url": runbook(told["runbook"]), "targetBlank": True}]


def _target(told: Mapping[str, Any], query: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"refId": query.get("ref", "A"), "datasource": _datasource(told)}
    kind = told.get("source", "prometheus")
    if kind == "postgres":
        form = "time_series" if query.get("series") else "table"
        return {**made, "rawQuery": True, "rawSql": named(query["sql"]), "format": form, "editorMode": "code"}
    made |= {"expr": named(query["expr"]), "editorMode": "code"}
    if legend := query.get("legend"):
        made["legendFormat"] = named(legend)
    if kind == "loki":
        return {**made, "queryType": "range"}
    instant = bool(query.get("instant"))
    form = "table" if query.get("table") else "time_series"
    return {**made, "instant": instant, "range": not instant, "format": form}


def _defaults(told: Mapping[str, Any]) -> dict[str, Any]:
    least, most = told.get("range", (None, None))
    defaults: dict[str, Any] = {
        "unit": told.get("unit", "none"),
        "noValue": told.get("nulls", ""),
        "color": {"mode": "thresholds" if _by_threshold(told) else "palette-classic"},
        "thresholds": _steps(told.get("thresholds", [[None, "green"]])),
        "mappings": _mappings(told.get("mappings", {}), told.get("nulls", "")),
        "custom": _custom(told),
    }
    if told.get("unit", "none") not in {"none", "short"}:
        defaults["decimals"] = 2
    bounds = {"min": least, "max": most}
    return defaults | {name: value for name, value in bounds.items() if value is not None}


def _by_threshold(told: Mapping[str, Any]) -> bool:
    return told["type"] in {"stat", "bargauge", "state-timeline"}


def _steps(thresholds: list[list[Any]]) -> dict[str, Any]:
    """Each colour from its value on; the first from the lowest."""
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in thresholds]}


def _mappings(told: Mapping[Any, Any], nulls: str) -> list[dict[str, Any]]:
    """Words for values: colour alone tells nothing to some readers; and a word for no value."""
    made: list[dict[str, Any]] = []
    if told:
        options = {str(value): {"text": word, "color": color} for value, (word, color) in told.items()}
        made.append({"type": "value", "options": options})
    if nulls:
        special = {"match": "null+nan", "result": {"text": nulls, "color": "text"}}
        made.append({"type": "special", "options": special})
    return made


def _custom(told: Mapping[str, Any]) -> dict[str, Any]:
    """What only this type of panel knows."""
    if told["type"] == "state-timeline":
        return {"lineWidth": 0, "fillOpacity": 80}
    if told["type"] == "table":
        return {"align": "auto", "cellOptions": {"type": "auto"}}
    if told["type"] != "timeseries":
        return {}
    shown = told.get("thresholds") and not told.get("bars")
    return {
        "drawStyle": "bars" if told.get("bars") else "line",
        "lineWidth": 1,
        "fillOpacity": 60 if told.get("bars") else 8,
        "showPoints": "never",
        "stacking": {"mode": "normal" if told.get("stacked") else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if shown else "off"},
    }


def _options(told: Mapping[str, Any]) -> dict[str, Any]:
    own = told.get("options", {})
    if told["type"] in {"stat", "bargauge"}:
        reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": reduce, "orientation": "auto", **own}
    if told["type"] == "timeseries":
        legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}, **own}
    if told["type"] == "text":
        return {"mode": "markdown", "content": told["text"], **own}
    if told["type"] == "table" and "sort" in told:
        return {"showHeader": True, "sortBy": [{"displayName": told["sort"], "desc": False}], **own}
    return dict(own)


def _overrides(told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for query in told.get("queries", []):
        if query.get("dashed"):
            line = {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 10]}}
            yield _override("byFrameRefID", query["ref"], [line])
        if unit := query.get("right"):
            axis = {"id": "custom.axisPlacement", "value": "right"}
            yield _override("byFrameRefID", query["ref"], [{"id": "unit", "value": unit}, axis])
    for column, shown in told.get("columns", {}).items():
        yield _override("byName", column, list(_properties(shown)))


def _override(by: str, what: str, properties: list[dict[str, Any]]) -> dict[str, Any]:
    return {"matcher": {"id": by, "options": what}, "properties": properties}


def _properties(shown: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "unit" in shown:
        yield {"id": "unit", "value": shown["unit"]}
    if "mappings" in shown:
        yield {"id": "mappings", "value": _mappings(shown["mappings"], "")}
    if "thresholds" in shown:
        yield {"id": "thresholds", "value": _steps(shown["thresholds"])}
        yield {"id": "color", "value": {"mode": "thresholds"}}
    if "cell" in shown:
        yield {"id": "custom.cellOptions", "value": {"type": shown["cell"]}}


def _joined(told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One line for each target: the queries side by side, their values named after them."""
    refs = [query["ref"] for query in told["queries"]]
    yield {"id": "joinByField", "options": {"byField": told["join"], "mode": "outer"}}
    hidden = {f"Time {number}": True for number in range(1, len(refs) + 1)}
    hidden |= {f"policy {number}": True for number in range(2, len(refs) + 1)}
    names = {f"Value #{ref}": ref for ref in refs} | {"policy 1": "policy"}
    yield {"id": "organize", "options": {"excludeByName": hidden, "renameByName": names}}


def _variable(told: Mapping[str, Any]) -> dict[str, Any]:
    """A variable of values that a label has; asked again when the time range changes."""
    multi = bool(told.get("multi"))
    return {
        "type": "query",
        "name": told["name"],
        "label": told["name"],
        "datasource": {"type": "prometheus", "uid": PROMETHEUS},
        "query": named(told["query"]),
        "refresh": 2,
        "sort": 1,
        "multi": multi,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _annotation(told: Mapping[str, Any]) -> dict[str, Any]:
    kinds = ", ".join(f"'{kind}'" for kind in told["kinds"])
    sql = named(told["sql"].replace("<kinds>", kinds))
    kind, uid = _TYPES["postgres"]
    return {
        "name": told["name"],
        "enable": True,
        "iconColor": told["color"],
        "datasource": {"type": kind, "uid": uid},
        "target": {
            "refId": "A",
            "rawQuery": True,
            "rawSql": sql,
            "format": "table",
            "editorMode": "code",
        },
    }
