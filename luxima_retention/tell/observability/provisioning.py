"""Data sources, contact points, message templates and the dashboards' provider, as Grafana's files.

Sources: Grafana documentation, "Provision Grafana" and "Configure trace to logs"; Telegram Bot API,
"HTML style". Secrets are names of variables that Grafana expands, never values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luxima_retention.tell.observability.alerting import FOLDER, LOKI, POSTGRES, PROMETHEUS, TEMPO

#: alerts that one message lists; the rest is counted, so that it stays within Telegram's 4096 characters
LISTED = 4

#: names of variables that Grafana expands
_SIGNED_WITH, _OPENED_WITH = "$LUXIMA_ACTIONS_SECRET", "$LUXIMA_POSTGRES_PASSWORD"

_SUMMARY = '{{ printf "%.160s" .Annotations.summary | html }}'
_WORDS = {
    "id": {
        "firing": "MASALAH",
        "resolved": "PULIH",
        "since": "sejak",
        "until": "sampai",
        "runbook": "Runbook",
        "dashboard": "Dasbor",
        "more": "dan lainnya",
        "summary": '{{ if .Annotations.summary_id }}{{ printf "%.160s" .Annotations.summary_id | html }}'
        "{{ else }}"
        f"{_SUMMARY}{{{{ end }}}}",
    },
    "en": {
        "firing": "PROBLEM",
        "resolved": "RESOLVED",
        "since": "since",
        "until": "until",
        "runbook": "Runbook",
        "dashboard": "Dashboard",
        "more": "and more",
        "summary": _SUMMARY,
    },
}


LANGUAGES = tuple(_WORDS)


def template(language: str) -> str:
    """The message in one language: HTML of Telegram, each value escaped, bounded in length.

    A value may be old once an alert has resolved, so none is shown: what happened, since when, what to do.
    """
    text = Path(__file__).with_name("message.tmpl").read_text(encoding="utf-8")
    for name, word in {**_WORDS[language], "language": language, "listed": str(LISTED)}.items():
        text = text.replace(f"@{name}@", word)
    return text


def templates() -> dict[str, Any]:
    """The file of message templates, in both languages."""
    made = [{"orgId": 1, "name": f"luxima-{language}", "template": template(language)} for language in _WORDS]
    return {"apiVersion": 1, "templates": made}


def contact_points(language: str = "id") -> dict[str, Any]:
    """One receiver for each contact point; tokens and addresses come from Grafana's environment."""
    message = f'{{{{ template "luxima.message.{language}" . }}}}'
    telegram = {
        "bottoken": "$TELEGRAM_BOT_TOKEN",
        "chatid": "$TELEGRAM_CHAT_ID",
        "message": message,
        "parse_mode": "HTML",
        "disable_web_page_preview": True,
    }
    email = {
        "addresses": "devops@luxima.id",
        "subject": "{{ len .Alerts.Firing }} alert: {{ .CommonLabels.alertname }}",
        "message": message,
    }
    actions = {
        "url": "$LUXIMA_ACTIONS_URL",
        "httpMethod": "POST",
        "hmacConfig": {"secret": _SIGNED_WITH, "timestampHeader": "X-Grafana-Alerting-Timestamp"},
    }
    watchdog = {"url": "$LUXIMA_WATCHDOG_URL", "httpMethod": "POST"}
    points = (
        ("telegram", "telegram", telegram, False),
        ("email", "email", email, False),
        ("actions", "webhook", actions, False),
        ("watchdog", "webhook", watchdog, True),
    )
    return {"apiVersion": 1, "contactPoints": [_point(*point) for point in points]}


def _point(name: str, kind: str, settings: dict[str, Any], firing_only: bool) -> dict[str, Any]:
    receiver = {
        "uid": f"luxima-{name}",
        "type": kind,
        "settings": settings,
        "disableResolveMessage": firing_only,
    }
    return {"orgId": 1, "name": f"luxima-{name}", "receivers": [receiver]}


def datasources() -> dict[str, Any]:
    """Loki, Prometheus, Tempo and PostgreSQL, with links from logs to traces to metrics and back."""
    return {
        "apiVersion": 1,
        "prune": False,
        "datasources": [_prometheus(), _loki(), _tempo(), _postgres()],
    }


def _source(uid: str, name: str, kind: str, url: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "uid": uid,
        "name": name,
        "type": kind,
        "access": "proxy",
        "url": url,
        "editable": False,
        "jsonData": data,
        **more,
    }


def _prometheus() -> dict[str, Any]:
    exemplar = {"name": "trace_id", "datasourceUid": TEMPO}
    data = {"httpMethod": "POST", "timeInterval": "60s", "exemplarTraceIdDestinations": [exemplar]}
    return _source(PROMETHEUS, "Luxima Prometheus", "prometheus", "$LUXIMA_PROMETHEUS_URL", data)


def _loki() -> dict[str, Any]:
    trace = {
        "name": "trace",
        "matcherType": "label",
        "matcherRegex": "trace_id",
        "datasourceUid": TEMPO,
        "url": "$${__value.raw}",
        "urlDisplayLabel": "Trace",
    }
    return _source(LOKI, "Luxima Loki", "loki", "$LUXIMA_LOKI_URL", {"derivedFields": [trace]})


def _tempo() -> dict[str, Any]:
    logs = {
        "datasourceUid": LOKI,
        "spanStartTimeShift": "-5m",
        "spanEndTimeShift": "5m",
        "customQuery": True,
        "query": '{service_name="luxima-retention"} | trace_id="$${__trace.traceId}"',
    }
    metrics = {
        "datasourceUid": PROMETHEUS,
        "spanStartTimeShift": "-1h",
        "spanEndTimeShift": "1h",
        "tags": [{"key": "luxima.retention.policy", "value": "policy"}],
        "queries": [
            {"name": "records destroyed", "query": "luxima_retention_last_run_destroyed_records{$$__tags}"}
        ],
    }
    data = {"tracesToLogsV2": logs, "tracesToMetrics": metrics, "nodeGraph": {"enabled": True}}
    return _source(TEMPO, "Luxima Tempo", "tempo", "$LUXIMA_TEMPO_URL", data)


def _postgres() -> dict[str, Any]:
    data = {"database": "$LUXIMA_POSTGRES_DATABASE", "sslmode": "require", "postgresVersion": 1600}
    return _source(
        POSTGRES,
        "Luxima PostgreSQL",
        "grafana-postgresql-datasource",
        "$LUXIMA_POSTGRES_HOST",
        data,
        user="$LUXIMA_POSTGRES_USER",
        secureJsonData={"password": _OPENED_WITH},
    )


def dashboards() -> dict[str, Any]:
    """The provider of the dashboards: read from files, not to be changed in the browser."""
    provider = {
        "name": "luxima",
        "orgId": 1,
        "folder": FOLDER,
        "folderUid": "luxima",
        "type": "file",
        "disableDeletion": False,
        "allowUiUpdates": False,
        "updateIntervalSeconds": 30,
        "options": {"path": "/var/lib/grafana/dashboards/luxima"},
    }
    return {"apiVersion": 1, "providers": [provider]}
