"""What is started besides the CronJobs: Jobs ``migrate`` and ``doctor``, the form of ``hold``, the daemon.

Sources: the documentation of Argo CD, "Resource Hooks" and "Sync Phases and Waves"; of Helm, "Chart Hooks".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from luxima_retention.run.manifests.accounts import Account, account, databases, file_name, migrating
from luxima_retention.run.manifests.documents import (
    APP,
    Document,
    merged,
    of_namespace,
    parsed_defaults,
    pod,
    ports,
    reaching,
    service_account,
)

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings

#: the Secret with the connection strings of owners, which only ``migrate`` gets
OWNER = "luxima-retention-owner"
#: seconds that such a Job may take in all
_DEADLINE = 3600
#: between the daemon's own limit and the kill
_SPARE = timedelta(seconds=10)
#: of the namespace that Prometheus runs in
_MONITORING = "monitoring"


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What the component ``jobs`` brings, and the chart where it is asked to.

    Args:
        migrate: brings the databases up to date; before everything else.
        doctor: looks at everything; after everything else.
        hold: starts nothing by itself: the form of the Job by which a person places a hold.
        accounts: service accounts that nobody else brings.
        policies: the ways out of their pods.
    """

    migrate: Document
    doctor: Document
    hold: Document
    accounts: tuple[Document, ...]
    policies: tuple[Document, ...]


def jobs(settings: Settings, secrets: Sequence[str], known: Collection[str]) -> Jobs:
    """The Jobs of these settings.

    Args:
        settings: in force.
        secrets: as dotted names.
        known: service accounts that base brings.
    """
    owner, looks, holds = (
        migrating(settings, secrets),
        account(settings, "doctor", secrets),
        account(settings, "hold", secrets),
    )
    # Whoever surveys every store for the report has the rights to do so.
    surveys = "report" if "report" in known else "doctor"
    own = [name for name in (surveys, "hold") if name not in known]
    return Jobs(
        migrate=_migrate(settings, owner),
        doctor=_job(settings, looks, pod(["doctor"], looks, runs_as=surveys)),
        hold=_hold(settings, holds),
        accounts=tuple(_labelled(service_account(name)) for name in own),
        policies=tuple(_labelled(reaching(item)) for item in (owner, looks, holds)),
    )


def _migrate(settings: Settings, owner: Account) -> Document:
    """The only Job that is an owner; it needs no rights in a cloud."""
    items = [
        {
            "key": name or "database",
            "path": file_name(f"databases.{name}.owner_dsn" if name else "database.owner_dsn"),
        }
        for name in databases(settings)
    ]
    spec = pod(["migrate"], owner, runs_as="default")
    spec["volumes"][0]["projected"]["sources"].append({"secret": {"name": OWNER, "items": items}})
    return _job(settings, owner, spec)


def _job(settings: Settings, owner: Account, spec: Document) -> Document:
    """A Job with the pod that CronJobs have."""
    template = parsed_defaults(settings)["spec"]["jobTemplate"]["spec"]
    labels = {**APP, **owner.labels}
    own = {
        "activeDeadlineSeconds": _DEADLINE,
        "template": {"metadata": {"labels": labels}, "spec": spec},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": owner.name, "labels": labels},
        "spec": merged(template, own),
    }


def _hold(settings: Settings, owner: Account) -> Document:
    """A CronJob, since ``kubectl create job --from`` takes no other form; it is suspended for ever."""
    job = _job(settings, owner, pod(["hold", "list"], owner))
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": job["metadata"],
        "spec": {
            "schedule": "0 0 1 1 *",
            "suspend": True,
            "jobTemplate": {"metadata": {"labels": dict(APP)}, "spec": job["spec"]},
        },
    }


def daemon(settings: Settings, secrets: Sequence[str]) -> tuple[Document, ...]:
    """The daemon as a Deployment, with its account and its network policy."""
    owner = account(settings, "schedule", secrets)
    labels = {**APP, **owner.labels}
    policy = _labelled(reaching(owner))
    policy["spec"]["policyTypes"] = ["Ingress", "Egress"]
    policy["spec"]["ingress"] = [
        {"from": [of_namespace(_MONITORING)], "ports": ports("TCP", settings.schedule.health_port)}
    ]
    template = merged(
        parsed_defaults(settings)["spec"]["jobTemplate"]["spec"]["template"],
        {"metadata": {"labels": labels}, "spec": _daemon_pod(settings, owner)},
    )
    del template["spec"]["restartPolicy"]
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": owner.name, "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": owner.labels}, "template": template},
    }
    return _labelled(service_account(owner.name)), policy, deployment


def _daemon_pod(settings: Settings, owner: Account) -> Document:
    """Runs are processes of this pod: it needs the memory of several at a time, and the patience of one."""
    spec = pod(["schedule"], owner)
    probe = {"httpGet": {"path": "/healthz", "port": "health"}}
    (run,) = spec["containers"]
    run |= {
        "env": [{"name": "LUXIMA_SCHEDULE__HEALTH_HOST", "value": "0.0.0.0"}],  # noqa: S104 - of the pod
        "ports": [{"name": "health", "containerPort": settings.schedule.health_port, "protocol": "TCP"}],
        "readinessProbe": probe,
        "livenessProbe": {**probe, "periodSeconds": 30},
        "resources": {"limits": {"memory": "2Gi", "ephemeral-storage": "4Gi"}},
    }
    patience = settings.schedule.shutdown + _SPARE
    return {**spec, "terminationGracePeriodSeconds": int(patience.total_seconds())}


def _labelled(document: Document) -> Document:
    metadata: Mapping[str, object] = document["metadata"]
    return {**document, "metadata": {**metadata, "labels": dict(APP)}}
