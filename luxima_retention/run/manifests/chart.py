"""The Helm chart: the same documents as the kustomize base, complete, and templates that put the values in.

Sources: Helm's documentation of "Charts", "Schema Files" and "Chart Hooks"; JSON Schema draft 7.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from luxima_retention import __version__
from luxima_retention.run.manifests.documents import (
    APP,
    REPOSITORY,
    Document,
    dumped,
    merged,
    parsed_defaults,
    template,
)
from luxima_retention.run.manifests.jobs import Jobs

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings

#: what podSpec may hold: what says where a pod runs, and nothing of what it may do
_PLACEMENT = (
    "affinity",
    "dnsConfig",
    "dnsPolicy",
    "hostAliases",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "tolerations",
    "topologySpreadConstraints",
)
#: before the CronJobs of a release, in this order
_BEFORE = "pre-install,pre-upgrade"
_AFTER = "post-install,post-upgrade"


def chart(
    settings: Settings,
    crons: Iterable[Document],
    accounts: Sequence[Document],
    policies: Sequence[Document],
    extra: Jobs,
) -> dict[str, str]:
    """The files of the chart, by their path below its directory; the settings besides.

    Args:
        settings: in force.
        crons: the CronJobs, without what every CronJob has.
        accounts: service accounts.
        policies: network policies.
        extra: Jobs that are asked for by the value ``jobs``.
    """
    below = parsed_defaults(settings)
    whole = [_labelled(_whole(below, cron)) for cron in crons]
    ways_of_migrate = [item for item in extra.policies if item["metadata"]["name"] == "migrate"]
    others = [item for item in extra.policies if item not in ways_of_migrate]
    return {
        "Chart.yaml": dumped(_chart()),
        "values.yaml": _values(below),
        "values.schema.json": _schema([item["metadata"]["name"] for item in [*accounts, *extra.accounts]]),
        "documents/cron-jobs.yaml": dumped(whole),
        "documents/service-accounts.yaml": dumped([_labelled(item) for item in accounts]),
        "documents/network-policies.yaml": dumped([_labelled(item) for item in policies]),
        "documents/jobs.yaml": dumped(_hooks(extra, ways_of_migrate)),
        "documents/jobs-accounts.yaml": dumped([*extra.accounts, *others]),
        **{f"templates/{name}": template(f"helm/{name}") for name in _TEMPLATES},
    }


_TEMPLATES = ("_helpers.tpl", "common.yaml", "cron-jobs.yaml", "jobs.yaml")


def _whole(below: Document, cron: Document) -> Document:
    whole: Document = merged(below, cron)
    job = whole["spec"]["jobTemplate"]
    job["metadata"] = {"labels": dict(APP)}
    labels = job["spec"]["template"]["metadata"]["labels"]
    job["spec"]["template"]["metadata"]["labels"] = {**APP, **labels}
    return whole


def _labelled(document: Document) -> Document:
    metadata: Mapping[str, Any] = document["metadata"]
    return {**document, "metadata": {**metadata, "labels": {**APP, **metadata.get("labels", {})}}}


def _hooks(extra: Jobs, ways: Sequence[Document]) -> list[Document]:
    """Before an upgrade: the settings and the way to the database, then ``migrate``; ``doctor`` comes last.

    A hook runs before the chart's other documents are there, so what it needs are hooks as well.
    """
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "luxima-retention-migrate"}}
    return [
        _hook(_labelled(settings), _BEFORE, -2),
        *(_hook(item, _BEFORE, -2) for item in ways),
        _hook(extra.migrate, _BEFORE, -1),
        _hook(extra.doctor, _AFTER, 0),
        extra.hold,
    ]


def _hook(document: Document, when: str, weight: int) -> Document:
    notes = {
        "helm.sh/hook": when,
        "helm.sh/hook-weight": str(weight),
        # A Job cannot be changed: the one before goes first.
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }
    return {**document, "metadata": {**document["metadata"], "annotations": notes}}


def _chart() -> Document:
    return {
        "apiVersion": "v2",
        "name": "luxima-retention",
        "description": "Applies a log retention matrix to every store, and proves that it did",
        "type": "application",
        "version": __version__,
        "appVersion": __version__,
        "kubeVersion": ">=1.31.0-0",
    }


def _values(below: Document) -> str:
    """The values with what each of them does; resources are those of base."""
    (run,) = below["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    resources = "".join(f"  {line}\n" for line in dumped(run["resources"]).splitlines())
    text = template("helm/values.yaml")
    return text.format(
        repository=REPOSITORY, tag=__version__, policy=run["imagePullPolicy"], resources=resources
    )


def _schema(accounts: Sequence[str]) -> str:
    """What may stand in the values: a misspelt one is refused before anything is installed."""
    schema = json.loads(template("helm/values.schema.json"))
    schema["properties"]["serviceAccounts"]["propertyNames"] = {"enum": list(accounts)}
    schema["properties"]["podSpec"]["propertyNames"] = {"enum": list(_PLACEMENT)}
    return json.dumps(schema, indent=2) + "\n"
