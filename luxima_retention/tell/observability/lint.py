"""What Grafana would refuse, ignore silently or show wrongly, found without a Grafana.

Sources: what its provisioning loader insists on (unknown keys are ignored, any error keeps it from starting,
``$`` expands in labels), the limits of its dashboard JSON, the rules of Grafana's dashboard-linter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, combinations
from typing import Any

from luxima_retention.tell.observability.dashboards import WIDTH
from luxima_retention.tell.observability.source import parsed

_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_DURATION = re.compile(r"0|((\d+)(y|w|d|h|m|s|ms))+")
_STATES = {"noDataState": {"NoData", "Alerting", "OK", "KeepLast"}}
_STATES["execErrState"] = {"Alerting", "Error", "OK", "KeepLast"}
#: what a file, a group, a rule may hold; anything else is ignored without a word
_FILE = {
    *("apiVersion", "groups", "deleteRules", "contactPoints", "deleteContactPoints", "muteTimes"),
    *("deleteMuteTimes", "templates", "deleteTemplates"),
}
_GROUP = {"orgId", "name", "folder", "interval", "rules"}
_RULE = {
    *("uid", "title", "condition", "data", "for", "keepFiringFor", "noDataState", "execErrState"),
    *("missing_series_evals_to_resolve", "annotations", "labels", "dashboardUid", "panelId", "isPaused"),
    *("notification_settings", "record"),
}
_QUERY = {"refId", "queryType", "relativeTimeRange", "datasourceUid", "model"}
_NOTIFICATION = {
    *("receiver", "group_by", "group_wait", "group_interval", "repeat_interval"),
    *("mute_time_intervals", "active_time_intervals"),
}
_RECEIVER = {"uid", "type", "settings", "disableResolveMessage"}
_SETTINGS = {
    "telegram": {
        *("bottoken", "chatid", "message_thread_id", "message", "parse_mode", "disable_web_page_preview"),
        *("protect_content", "disable_notifications"),
    },
    "email": {"addresses", "singleEmail", "subject", "message"},
    "webhook": {
        *("url", "httpMethod", "username", "password", "authorization_scheme", "authorization_credentials"),
        *("maxAlerts", "title", "message", "headers", "payload", "tlsConfig", "hmacConfig", "http_config"),
    },
}
_REQUIRED = {"telegram": ("bottoken", "chatid"), "email": ("addresses",), "webhook": ("url",)}
#: only ever rate or increase of these means something
_COUNTER = re.compile(r"\b(\w+_(?:total|bucket|count))\b")
_SILENT = {"row", "text", "alertlist"}


def lint(files: Mapping[str, str]) -> list[str]:
    """Everything that is wrong with a set of files, as sentences that begin with the file.

    Args:
        files: path below ``observability/`` → text, YAML or JSON.
    """
    found: list[str] = []
    loaded: dict[str, Any] = {}
    for path, text in files.items():
        if path.endswith(".tmpl"):
            continue
        try:
            loaded[path] = json.loads(text) if path.endswith(".json") else parsed(text)
        except ValueError as error:
            found.append(f"{path}: {error}")
    boards = {
        path: value for path, value in loaded.items() if "/dashboards/" in path and path.endswith(".json")
    }
    alerts = {path: value for path, value in loaded.items() if "/alerting/" in path}
    sources = _sources(loaded)
    for path, board in boards.items():
        found += (f"{path}: {said}" for said in dashboard(board, sources))
    found += alerting(alerts, list(boards.values()), sources)
    return found


def _sources(loaded: Mapping[str, Any]) -> set[str]:
    files = (value for path, value in loaded.items() if "/datasources/" in path)
    return {source["uid"] for file in files for source in file["datasources"]} | {"__expr__"}


# --- alerting -----------------------------------------------------------------------------------------------


def alerting(files: Mapping[str, Any], boards: list[dict[str, Any]], sources: set[str]) -> Iterator[str]:
    """Files of one provisioning directory, which refer to each other and to dashboards."""
    panels = {(board["uid"], panel["id"]) for board in boards for panel in panels_of(board)}
    points = [point for file in files.values() for point in file.get("contactPoints", [])]
    receivers = {point["name"] for point in points}
    rules = [rule for file in files.values() for group in file.get("groups", []) for rule in group["rules"]]
    for path, file in files.items():
        for said in chain(_unknown("file", file, _FILE), _groups(file, receivers, sources), _points(file)):
            yield f"{path}: {said}"
    for rule in rules:
        if (rule.get("dashboardUid"), rule.get("panelId")) not in panels:
            yield f"{rule['uid']}: there is no panel {rule.get('panelId')} on {rule.get('dashboardUid')}"
    yield from _doubled("uid", [rule.get("uid", "") for rule in rules])
    yield from _doubled("title", [rule.get("title", "") for rule in rules])
    yield from _doubled("uid", [item["uid"] for point in points for item in point["receivers"]])


def _groups(file: Mapping[str, Any], receivers: set[str], sources: set[str]) -> Iterator[str]:
    for group in file.get("groups", []):
        yield from _unknown(f"group {group.get('name')}", group, _GROUP)
        if not group.get("name") or not group.get("folder"):
            yield "a group needs a name and a folder"
        if _seconds(group.get("interval", "")) % 10:
            yield f"group {group.get('name')}: interval {group.get('interval')} is not a multiple of 10 s"
        for rule in group["rules"]:
            yield from (f"{rule.get('uid')}: {said}" for said in _rule(rule, receivers, sources))


def _rule(rule: Mapping[str, Any], receivers: set[str], sources: set[str]) -> Iterator[str]:
    yield from _unknown("the rule", rule, _RULE)
    yield from (f"{key} is missing" for key in ("uid", "title", "condition", "data") if not rule.get(key))
    if not _UID.fullmatch(str(rule.get("uid", ""))):
        yield "its uid is not one of up to 40 letters, digits, - and _"
    yield from _states(rule)
    for key in ("for", "keepFiringFor"):
        if not _DURATION.fullmatch(str(rule.get(key, "0"))):
            yield f"{key} {rule[key]!r} is not a duration"
    if rule.get("condition") not in {query["refId"] for query in rule.get("data", [])}:
        yield f"its condition {rule.get('condition')!r} is none of its queries"
    for query in rule.get("data", []):
        yield from _query(query, sources)
    yield from _texts(rule)
    yield from _settings_of(rule.get("notification_settings", {}), receivers)


def _states(rule: Mapping[str, Any]) -> Iterator[str]:
    for key, known in _STATES.items():
        if rule.get(key) not in known:
            yield f"{key} must be one of {', '.join(sorted(known))}"


def _query(query: Mapping[str, Any], sources: set[str]) -> Iterator[str]:
    yield from _unknown(f"query {query['refId']}", query, _QUERY)
    if query.get("datasourceUid") not in sources:
        yield f"query {query['refId']} asks {query.get('datasourceUid')}, which is not a data source"
    elif query["datasourceUid"] != "__expr__" and "relativeTimeRange" not in query:
        yield f"query {query['refId']} has no relativeTimeRange"


def _texts(rule: Mapping[str, Any]) -> Iterator[str]:
    """Labels and annotations: strings only, and no ``$`` that would expand to nothing."""
    labels, annotations = rule.get("labels", {}), rule.get("annotations", {})
    for name, value in {**labels, **annotations}.items():
        if not isinstance(value, str):
            yield f"{name} is {value!r}: put it in quotes"
    for name, value in labels.items():
        if re.search(r"(?<!\$)\$(?!\$)", str(value).replace("$$", "")):
            yield f"label {name} holds a single $, which expands from the environment"
    for name, value in annotations.items():
        if "${" in str(value):
            yield f"annotation {name} holds ${{, which expands from the environment"
    needed = {"severity": labels, "team": labels, "summary": annotations, "runbook_url": annotations}
    yield from (f"{name} is missing" for name, where in needed.items() if not where.get(name))


def _settings_of(told: Mapping[str, Any], receivers: set[str]) -> Iterator[str]:
    yield from _unknown("notification_settings", told, _NOTIFICATION)
    if told.get("receiver") not in receivers:
        yield f"receiver {told.get('receiver')!r} is not a contact point: Grafana would not start"
    if "group_by" in told and not {"alertname", "grafana_folder"} <= set(told["group_by"]):
        yield "group_by must hold alertname and grafana_folder"
    for key in ("group_wait", "group_interval", "repeat_interval"):
        if not _DURATION.fullmatch(str(told.get(key, "0"))):
            yield f"{key} {told[key]!r} is not a duration"


def _points(file: Mapping[str, Any]) -> Iterator[str]:
    for point in file.get("contactPoints", []):
        if len(point["receivers"]) != 1:
            yield f"contact point {point['name']} has {len(point['receivers'])} receivers: give it one"
        for receiver in point["receivers"]:
            yield from _receiver(point["name"], receiver)


def _receiver(name: str, receiver: Mapping[str, Any]) -> Iterator[str]:
    kind, settings = receiver.get("type", ""), receiver.get("settings", {})
    yield from _unknown(f"receiver {name}", receiver, _RECEIVER)
    yield from _unknown(f"settings of {name}", settings, _SETTINGS.get(kind, set()))
    yield from (f"{name}: {key} is missing" for key in _REQUIRED.get(kind, ()) if not settings.get(key))
    for key in ("bottoken", "password", "url"):
        value = str(settings.get(key, "$"))
        if not value.startswith("$"):
            yield f"{name}: {key} stands in the file: name a variable that holds it"


# --- dashboards ---------------------------------------------------------------------------------------------


def panels_of(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels but rows, those of collapsed rows too."""
    for panel in board["panels"]:
        yield from panel.get("panels", [])
        if panel["type"] != "row":
            yield panel


def dashboard(board: Mapping[str, Any], sources: set[str]) -> Iterator[str]:
    """One dashboard."""
    if not _UID.fullmatch(str(board.get("uid", ""))):
        yield "its uid is not one of up to 40 letters, digits, - and _"
    if board.get("id") is not None or board.get("editable") is not False:
        yield "id must be null and editable false: the file is the truth"
    for variable in board.get("templating", {}).get("list", []):
        if not isinstance(variable.get("query"), str) or variable.get("refresh") != 2:  # noqa: PLR2004 - on time change
            yield f"variable {variable.get('name')} needs a query of text, and refresh on time range change"
    panels = list(panels_of(board))
    yield from _doubled("panel id", [str(panel["id"]) for panel in panels])
    yield from _overlaps([panel for panel in board["panels"] if panel["type"] != "row"])
    for panel in panels:
        yield from (f"panel {panel['title']}: {said}" for said in _panel(panel, sources))


def _panel(panel: Mapping[str, Any], sources: set[str]) -> Iterator[str]:
    place = panel["gridPos"]
    if place["x"] + place["w"] > WIDTH or min(place.values()) < 0:
        yield "it stands beyond the 24 columns"
    for key in ("title", "description"):
        if not panel.get(key):
            yield f"it has no {key}"
    if not panel.get("links"):
        yield "it has no link to a runbook"
    if panel["type"] in _SILENT:
        return
    if not panel.get("targets"):
        yield "it asks nothing"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield "it has no unit"
    if not panel["fieldConfig"]["defaults"].get("noValue"):
        yield "it has no word for no value"
    for target in panel["targets"]:
        yield from _expression(target, sources)


def _expression(target: Mapping[str, Any], sources: set[str]) -> Iterator[str]:
    if target["datasource"]["uid"] not in sources:
        yield f"it asks {target['datasource']['uid']}, which is not a data source"
    expr = target.get("expr", "")
    if target["datasource"]["type"] == "prometheus":
        for counter in _COUNTER.findall(expr):
            if not re.search(rf"(rate|increase)\({counter}", expr):
                yield f"{counter} is a counter: only rate or increase of it means something"
    if re.search(r"\brate\([^)]*\[\d+[smhd]\]", expr):
        yield "rate needs $__rate_interval"


def _overlaps(panels: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for one, other in combinations(panels, 2):
        a, b = one["gridPos"], other["gridPos"]
        across = a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"]
        if across and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]:
            yield f"panels {one['title']} and {other['title']} overlap"


# --- common -------------------------------------------------------------------------------------------------


def _unknown(what: str, told: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    return (f"{what} has a key that nobody reads: {key}" for key in told if key not in known)


def _doubled(what: str, values: list[str]) -> Iterator[str]:
    return (f"{what} {value} stands twice" for value in sorted(set(values)) if values.count(value) > 1)


def _seconds(duration: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    found = re.findall(r"(\d+)([smhd])", duration)
    return sum(int(number) * units[unit] for number, unit in found) or 1
