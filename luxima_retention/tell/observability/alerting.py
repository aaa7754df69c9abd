"""Rules as Prometheus and as Grafana read them, made from the same values.

Sources: Prometheus documentation, "Recording rules" and "Alerting rules"; Grafana documentation, "Provision
Alerting resources", and what its loader insists on. Dollars: query models are taken as they are; in labels
``$`` expands from the environment, so it is doubled there; annotations keep ``{{ $labels… }}``.
"""

from __future__ import annotations

from typing import Any

from luxima_retention.tell.observability.source import TEAM, Alert, Rules, assumed, runbook

FOLDER = "Luxima"
PROMETHEUS, LOKI, TEMPO, POSTGRES = "luxima-prometheus", "luxima-loki", "luxima-tempo", "luxima-postgres"
_COMPARISON = {"gt": ">", "lt": "<"}
_REPEAT = {"critical": "4h", "none": "4m"}


def prometheus(rules: Rules) -> dict[str, Any]:
    """A Prometheus rule file of one group: recording rules, then the alerts that use them.

    Prometheus evaluates the rules of a group one after the other at one instant, and different groups at
    different ones, so that an alert of another group would compare figures of up to an interval ago.
    """
    records = [{"record": name, "expr": expr} for name, expr in rules.records.items()]
    alerts = [_prometheus_alert(rules, alert) for alert in rules.alerts]
    return {"groups": [{"name": rules.name, "interval": rules.interval, "rules": [*records, *alerts]}]}


def _prometheus_alert(rules: Rules, alert: Alert) -> dict[str, Any]:
    waits = {"for": alert.wait} if alert.wait != "0s" else {}
    keeps = {"keep_firing_for": alert.keep} if alert.keep else {}
    return {
        "alert": alert.name,
        "expr": f"({alert.value}) {_COMPARISON[alert.op]} {alert.threshold:g}",
        **waits,
        **keeps,
        "labels": labels(rules, alert),
        "annotations": notes(rules, alert),
    }


def labels(rules: Rules, alert: Alert) -> dict[str, str]:
    """Labels that route an alert; never a value or a run's id, each of which would be a new alert."""
    more = {"action": alert.action, "policy": alert.suffix}
    told = {name: value for name, value in more.items() if value}
    own = {"severity": alert.severity, "team": TEAM, "service": rules.name, "receiver": alert.receiver}
    return {**own, **told}


def notes(rules: Rules, alert: Alert) -> dict[str, str]:
    """Sentences for people, and the place that says what to do."""
    return {
        "summary": alert.summary["en"],
        "summary_id": alert.summary["id"],
        "runbook_url": runbook(alert.runbook),
        "dashboard_url": f"{assumed()['links']['grafana']}/d/{rules.name}",
    }


def grafana(rules: Rules, panels: dict[str, int]) -> dict[str, Any]:
    """A group of Grafana's alerting file.

    Args:
        rules: to be written.
        panels: key of a panel → its id on the dashboard that is named like the group.
    """
    return {
        "orgId": 1,
        "name": rules.name,
        "folder": FOLDER,
        "interval": rules.interval,
        "rules": [_grafana_alert(rules, alert, panels[alert.panel]) for alert in rules.alerts],
    }


def _grafana_alert(rules: Rules, alert: Alert, panel: int) -> dict[str, Any]:
    return {
        "uid": alert.uid,
        "title": f"{alert.name} {alert.suffix}".strip(),
        "condition": "B",
        "data": [_query(alert), _threshold(alert)],
        "for": alert.wait,
        **({"keepFiringFor": alert.keep} if alert.keep else {}),
        "noDataState": alert.no_data,
        "execErrState": "KeepLast",
        "dashboardUid": rules.name,
        "panelId": panel,
        "labels": labels(rules, alert),
        "annotations": notes(rules, alert),
        "notification_settings": _notification(alert),
    }


def _query(alert: Alert) -> dict[str, Any]:
    asked = {"refId": "A", "expr": alert.logql or alert.value, "intervalMs": 60000, "maxDataPoints": 43200}
    model = {**asked, "queryType": "instant"} if alert.logql else {**asked, "instant": True, "range": False}
    return {
        "refId": "A",
        "relativeTimeRange": {"from": 600, "to": 0},
        "datasourceUid": LOKI if alert.logql else PROMETHEUS,
        "model": model,
    }


def _threshold(alert: Alert) -> dict[str, Any]:
    evaluator = {"type": alert.op, "params": [alert.threshold]}
    return {
        "refId": "B",
        "datasourceUid": "__expr__",
        "model": {
            "refId": "B",
            "type": "threshold",
            "expression": "A",
            "conditions": [{"evaluator": evaluator}],
        },
    }


def _notification(alert: Alert) -> dict[str, Any]:
    return {
        "receiver": f"luxima-{alert.receiver}",
        "group_by": ["grafana_folder", "alertname", "policy"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": _REPEAT.get(alert.severity, "24h"),
    }
