"""The documents of a cluster as data: CronJobs, accounts, network policies, and what every pod has.

Sources: the reference of CronJob, Pod and NetworkPolicy in Kubernetes 1.31 to 1.37; of addresses outside of a
cluster's own network "Using NodeLocal DNSCache in Kubernetes Clusters" and "Learn how EKS Pod Identity grants
pods access to AWS services".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from luxima_retention.core.errors import ConfigurationError
from luxima_retention.core.foreign import yaml_of
from luxima_retention.run.manifests.accounts import Account, asks_the_cloud, file_name
from luxima_retention.run.schedule import Slot

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings

Document = dict[str, Any]

#: what all of ours has
APP = {"app.kubernetes.io/name": "luxima-retention"}
#: the image, as base names it; kustomize and the chart put theirs in its place
IMAGE = "luxima-retention"
#: where it comes from unless somebody names another
REPOSITORY = "luxima/luxima-retention"
#: what may start at any hour is six days late at most
_ANY_HOUR = timedelta(days=6)
_ATTEMPTS, _SPARE = 3, timedelta(minutes=30)
#: what else is mounted; see defaults.yaml
_MOUNTS = ("/etc/luxima-retention", "/run/secrets/luxima-retention", "/tmp")  # noqa: S108 - of the pods
#: slots whose commands have one form of output
_PLAIN = frozenset({"report", "notify-flush"})


def template(name: str) -> str:
    """A text of this package."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def dumped(*documents: Any) -> str:
    """The documents as YAML, each written out: a reader should not have to look for an anchor."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, _data: Any) -> bool:
            return True

    text: str = yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, width=110, allow_unicode=True)
    return text


def merged(below: Any, above: Any) -> Any:
    """``above`` laid over ``below`` as kustomize lays a patch: lists of named things go by their names."""
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        both = {key: merged(below[key], above[key]) for key in below.keys() & above.keys()}
        return {**below, **above, **both}
    if _named(below) and _named(above):
        found = {item["name"]: item for item in below}
        mine = {item["name"]: merged(found.get(item["name"], {}), item) for item in above}
        return list({**found, **mine}.values())
    return above


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) and "name" in item for item in value)


def defaults(settings: Settings) -> str:
    """What every CronJob has, as the text of a patch."""
    import jinja2

    forms = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    environment = jinja2.Environment(**forms)  # type: ignore[arg-type]  # noqa: S701 - YAML of settings, no page
    deadline = settings.schedule.max_runtime * _ATTEMPTS + _SPARE
    return environment.from_string(template("defaults.yaml")).render(
        key=_key(settings.ledger.key_file), deadline=int(deadline.total_seconds())
    )


def parsed_defaults(settings: Settings) -> Document:
    """The same as data."""
    found: Document = yaml_of(defaults(settings))
    return found


def _key(file: str) -> dict[str, str] | None:
    """Where the ledger's key is mounted, and its name there."""
    path = PurePosixPath(file)
    if file and (not path.is_absolute() or str(path.parent) in {"/", *_MOUNTS}):
        raise ConfigurationError(
            f"ledger.key_file is {file}, and pods mount the key as a directory of its own",
            "name a file in another directory, such as /run/secrets/ledger-key/ledger.pem",
        )
    return {"directory": str(path.parent), "name": path.name} if file else None


def cron_job(slot: Slot, account: Account) -> Document:
    """The CronJob of a slot, without what every CronJob has."""
    form = () if slot.name in _PLAIN else ("--output", "json")
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": slot.name, "labels": account.labels},
        "spec": {
            "schedule": slot.expression,
            "timeZone": slot.zone.key,
            # Without it, a CronJob that is resumed starts a missed run at once, at any hour.
            "startingDeadlineSeconds": int((slot.grace or _ANY_HOUR).total_seconds()),
            "jobTemplate": {
                "spec": {
                    "template": {
                        "metadata": {"labels": account.labels},
                        "spec": pod([*slot.arguments, *form], account),
                    }
                },
            },
        },
    }


def pod(arguments: Sequence[str], account: Account, *, runs_as: str = "") -> Document:
    """What a pod has of its own.

    Args:
        arguments: of the program.
        account: whose ports and secrets it has.
        runs_as: the service account, where it is not the account's own.
    """
    return {
        "serviceAccountName": runs_as or account.name,
        "containers": [{"name": "run", "args": list(arguments)}],
        "volumes": [{"name": "secrets", "projected": {"sources": sources(account.secrets)}}],
    }


def sources(secrets: Iterable[str]) -> list[Document]:
    """A Secret for each section: ``database.dsn`` is the key ``dsn`` of ``luxima-retention-database``."""
    items: dict[str, list[dict[str, str]]] = {}
    for setting in secrets:
        section, _, key = setting.rpartition(".")
        name = f"luxima-retention-{re.sub('[._]', '-', section)}"
        items.setdefault(name, []).append({"key": key, "path": file_name(setting)})
    return [{"secret": {"name": name, "items": keys}} for name, keys in items.items()]


def service_account(name: str) -> Document:
    """One for each policy and job, so that each can be given its own rights; none may ask the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name},
        "automountServiceAccountToken": False,
    }


def network_policies(settings: Settings, accounts: Iterable[Account]) -> list[Document]:
    """What nobody may, what everybody may, and what each account may."""
    common = [
        network_policy("default-deny", {}, types=("Ingress", "Egress")),
        network_policy("dns", APP, egress=_DNS),
    ]
    if asks_the_cloud(settings):
        common.append(network_policy("cloud-identity", APP, egress=_POD_IDENTITY))
    return [*common, *(reaching(account) for account in accounts if account.ports)]


def reaching(account: Account) -> Document:
    """The way out of an account's pods."""
    return network_policy(
        account.name, account.labels, egress=[{"ports": ports("TCP", *sorted(account.ports))}]
    )


def network_policy(
    name: str,
    labels: Mapping[str, str],
    *,
    types: Sequence[str] = ("Egress",),
    egress: Sequence[Mapping[str, Any]] = (),
) -> Document:
    """A NetworkPolicy of the pods with these labels."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": dict(labels)} if labels else {},
            "policyTypes": list(types),
            **({"egress": list(egress)} if egress else {}),
        },
    }


def ports(protocol: str, *numbers: int) -> list[Document]:
    """Ports of a NetworkPolicy."""
    return [{"port": number, "protocol": protocol} for number in numbers]


def of_namespace(name: str) -> Document:
    """The peer of a NetworkPolicy that is a whole namespace."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _addresses(*ranges: str) -> list[Document]:
    return [{"ipBlock": {"cidr": item}} for item in ranges]


#: The cluster's own, NodeLocal DNSCache on the node, and OpenShift's.
_DNS: list[Document] = [
    {
        "to": [of_namespace("kube-system"), *_addresses("169.254.20.10/32")],
        "ports": [*ports("UDP", 53), *ports("TCP", 53)],
    },
    {"to": [of_namespace("openshift-dns")], "ports": [*ports("UDP", 5353), *ports("TCP", 5353)]},
]
#: EKS Pod Identity: the agent on the node that gives credentials.
_POD_IDENTITY: list[Document] = [
    {"to": _addresses("169.254.170.23/32", "fd00:ec2::23/128"), "ports": ports("TCP", 80)}
]
