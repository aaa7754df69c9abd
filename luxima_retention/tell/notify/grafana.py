"""Alerts as Grafana's webhook (version 1) and Alertmanager (version 4) send them, and what they become. Pure.

Sources: Grafana documentation, "Webhook notifications"; Prometheus documentation, "Alertmanager webhook".
"""

from __future__ import annotations

import hashlib
import hmac
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from luxima_retention.core.clock import parse_iso
from luxima_retention.core.errors import ConfigurationError, RetentionError
from luxima_retention.core.foreign import json_of
from luxima_retention.core.redact import redacted
from luxima_retention.tell.notify.plane import Incident

#: bytes of a body at most
LARGEST = 1024 * 1024
#: incidents of one body that are told one by one
MOST = 20
#: seconds that the time of a signature may differ from ours
WINDOW = 300
SIGNATURE, TIMESTAMP = "X-Grafana-Alerting-Signature", "X-Grafana-Alerting-Timestamp"
#: labels that tell troubles apart and stay while the trouble lasts; others are edited, or change at a restart
STABLE = ("environment", "namespace", "service", "job", "function", "policy", "target", "bucket", "table")
_PRIORITIES = {"critical": "urgent", "warning": "high", "info": "none"}
_LONGEST_ID, _LONGEST_TEXT = 255, 1000
_VERSIONS = frozenset({"1", "4"})
_RULE = re.compile(r"/alerting/grafana/([A-Za-z0-9_-]+)/")


class NotSigned(RetentionError):  # noqa: N818 - the sender is not the one that it should be
    """The signature is missing, wrong or old."""


class NotUnderstood(ConfigurationError):  # noqa: N818 - what arrived is not an alert
    """The body is not one that Grafana or Alertmanager sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One incident with what Telegram is told of it.

    Args:
        incident: for Plane.
        text: HTML of Telegram's few elements.
    """

    incident: Incident
    text: str


def check_signature(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Make sure that the sender knows the secret.

    Grafana signs ``timestamp:body``. Alertmanager cannot sign; it sends the secret as a bearer token.

    Args:
        secret: shared with the sender.
        headers: of the request, in any case of letters.
        body: as it came.
        now: seconds since 1970.

    Raises:
        NotSigned: it does not, or signed long ago.
    """
    given = {name.lower(): value for name, value in headers.items()}
    bearer = given.get("authorization", "")
    if bearer.startswith("Bearer ") and _same(bearer.removeprefix("Bearer "), secret):
        return
    stamp = given.get(TIMESTAMP.lower(), "")
    wanted = hmac.new(secret.encode(), stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    if not _same(given.get(SIGNATURE.lower(), ""), wanted):
        raise NotSigned(
            "the signature is missing or wrong", "set the same secret in Grafana and notify.grafana_secret"
        )
    if not re.fullmatch(r"\d{1,12}", stamp) or abs(now - int(stamp)) > WINDOW:
        raise NotSigned(
            f"the signature is older than {WINDOW} s", "look at the clocks; set hmacConfig.timestampHeader"
        )


def _same(given: str, wanted: str) -> bool:
    """Compared in constant time; a signature that is not ASCII is only wrong."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def alerts_of(body: bytes) -> tuple[Alert, ...]:
    """The alerts of a body, one for each trouble, firing ones first; of very many the rest as one.

    Raises:
        NotUnderstood: it is too large, not JSON, or of another form.
    """
    if len(body) > LARGEST:
        raise NotUnderstood(
            f"the body is larger than {LARGEST} bytes", "lower maxAlerts in the contact point"
        )
    try:
        told = json_of(body)
    except ValueError:
        raise NotUnderstood("the body is not JSON") from None
    if not isinstance(told, dict) or str(told.get("version")) not in _VERSIONS:
        raise NotUnderstood("the body is neither of Grafana's version 1 nor of Alertmanager's version 4")
    listed = told.get("alerts")
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise NotUnderstood("the body has no list of alerts")
    found: dict[str, Alert] = {}
    for item in sorted(listed, key=lambda item: item.get("status") != "firing"):
        alert = _alert(item, str(told["version"]))
        found.setdefault(alert.incident.external_id, alert)
    return _limited(told, tuple(found.values()))


def _limited(told: Mapping[str, Any], found: Sequence[Alert]) -> tuple[Alert, ...]:
    truncated = told.get("truncatedAlerts")
    rest = max(len(found) - MOST, 0) + (truncated if isinstance(truncated, int) and truncated > 0 else 0)
    if not rest:
        return tuple(found)
    name = hashlib.sha256(str(told.get("groupKey", "")).encode()).hexdigest()[:16]
    text = f"+ {rest} alerts"
    more = Incident(
        external_id=f"grafana:more:{name}",
        name=f"{rest} more alerts in the group of {found[0].incident.name}"
        if found
        else f"{rest} more alerts",
        text=f"<p>{text}</p>",
        priority="high",
        event=f"more:{rest}",
        resolved=told.get("status") == "resolved",
    )
    return (*found[:MOST], Alert(incident=more, text=text))


def _texts(value: Any) -> dict[str, str]:
    """Labels or annotations as texts; whatever else stands there is none."""
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}


def _alert(item: Mapping[str, Any], version: str) -> Alert:
    labels, notes = _texts(item.get("labels")), _texts(item.get("annotations"))
    resolved = item.get("status") == "resolved"
    title = redacted(notes.get("summary") or labels.get("alertname") or "alert")[:200]
    lines = list(_lines(item, labels, notes))
    links = dict(_links(item, notes))
    incident = Incident(
        external_id=_external_id(item, labels, version),
        name=title,
        text=f"<p><strong>{'Resolved' if resolved else 'Firing'}</strong> {html.escape(title)}</p>"
        + "".join(f"<p>{html.escape(line)}</p>" for line in lines),
        priority=_PRIORITIES.get(labels.get("severity", "warning").lower(), "high"),
        event=f"{'resolved' if resolved else 'firing'}:{item.get('startsAt', '')}",
        resolved=resolved,
        links=links,
    )
    sign = "🟢" if resolved else "🔴" if incident.priority == "urgent" else "🟠"
    shown = [f'<a href="{html.escape(url)}">{html.escape(label)}</a>' for label, url in links.items()]
    head = f"{sign} <b>{html.escape(title)}</b>"
    text = "\n".join([head, *(html.escape(line) for line in lines), *([" · ".join(shown)] if shown else [])])
    return Alert(incident=incident, text=text)


def _lines(item: Mapping[str, Any], labels: Mapping[str, str], notes: Mapping[str, str]) -> Iterator[str]:
    """What people ask for: what it means, where, since when."""
    if notes.get("description"):
        yield redacted(notes["description"])[:_LONGEST_TEXT]
    stable = [f"{name}={labels[name]}" for name in STABLE if name in labels]
    if stable:
        yield redacted(" · ".join(stable))[:_LONGEST_TEXT]
    begun = _instant(item.get("startsAt"))
    if begun is not None:
        yield f"{begun:%Y-%m-%d %H:%M} UTC"


def _instant(value: Any) -> datetime | None:
    """RFC 3339, or ``None``; the year 1 stands for none."""
    try:
        instant = parse_iso(str(value))
    except (ValueError, OverflowError):
        return None
    return instant if instant.year > 1 else None


def _links(item: Mapping[str, Any], notes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    given = (
        ("Rule", item.get("generatorURL")),
        ("Dashboard", item.get("dashboardURL")),
        ("Panel", item.get("panelURL")),
        ("Silence", item.get("silenceURL")),
        ("Runbook", notes.get("runbook_url")),
    )
    for label, url in given:
        if isinstance(url, str) and url.startswith(("https://", "http://")) and len(url) <= _LONGEST_TEXT:
            yield label, url


def _external_id(item: Mapping[str, Any], labels: Mapping[str, str], version: str) -> str:
    """The same for as long as the trouble lasts, whatever else of the alert is edited."""
    match = _RULE.search(str(item.get("generatorURL", "")))
    rule = labels.get("__alert_rule_uid__") or (match[1] if match and version == "1" else "")
    stable = ",".join(f"{name}={labels[name]}" for name in STABLE if name in labels)
    made = f"grafana:{rule or labels.get('alertname', 'alert')}:{stable}"
    if len(made) <= _LONGEST_ID:
        return made
    return made[: _LONGEST_ID - 65] + ":" + hashlib.sha256(made.encode()).hexdigest()
