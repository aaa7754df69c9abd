"""Rules, dashboards and the daemon's metrics as what operators in a cluster take.

Sources: Prometheus Operator, "API reference" (``monitoring.coreos.com/v1``: PrometheusRule, PodMonitor); the
values of kube-prometheus-stack (``release``, which its selectors ask for; ``grafana_dashboard``, which
Grafana's sidecar looks for).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from luxima_retention.tell.observability import alerting
from luxima_retention.tell.observability.source import Rules

#: where Prometheus and Grafana run, and where the daemon does
_NAMESPACE, _WATCHED = "monitoring", "luxima-retention"
#: selectors of kube-prometheus-stack, when its release has the name that its documentation gives it
_RELEASE = {"release": "kube-prometheus-stack"}
_API = "monitoring.coreos.com/v1"


def rule(group: Rules) -> dict[str, Any]:
    """The rules of one file of Prometheus, the very same, as a PrometheusRule."""
    return {
        "apiVersion": _API,
        "kind": "PrometheusRule",
        "metadata": {"name": group.name, "labels": dict(_RELEASE)},
        "spec": alerting.prometheus(group),
    }


def pod_monitor() -> dict[str, Any]:
    """Has Prometheus ask the daemon, where ``cron/components/daemon`` runs it."""
    return {
        "apiVersion": _API,
        "kind": "PodMonitor",
        "metadata": {"name": "luxima-retention-schedule", "labels": dict(_RELEASE)},
        "spec": {
            "namespaceSelector": {"matchNames": [_WATCHED]},
            "selector": {"matchLabels": {"luxima.id/job": "schedule"}},
            "podMetricsEndpoints": [{"port": "health", "path": "/metrics", "interval": "30s"}],
        },
    }


def kustomization(resources: Iterable[str], boards: Iterable[str]) -> dict[str, Any]:
    """All of it for ``kubectl apply -k observability``; each dashboard is a ConfigMap from its one file."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": _NAMESPACE,
        "resources": list(resources),
        # The sidecar follows a ConfigMap by its name.
        "generatorOptions": {"disableNameSuffixHash": True, "labels": {"grafana_dashboard": "1"}},
        "configMapGenerator": [
            {"name": f"{name}-dashboard", "files": [f"grafana/dashboards/{name}.json"]} for name in boards
        ],
    }
