"""The kustomize base and the crontab, from the settings in force: what is scheduled, and nothing else.

Sources: the reference of CronJob, Pod and NetworkPolicy in Kubernetes 1.31 to 1.37, and of kustomize; of
addresses outside of a cluster's own network "Using NodeLocal DNSCache in Kubernetes Clusters" and
"Learn how EKS Pod Identity grants pods access to AWS services".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from luxima_retention import __version__
from luxima_retention.config.connections import dsn_ports, s3_ports, smtp_ports, url_ports
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.run.runner import archives, configured
from luxima_retention.run.schedule import Slot, slots
from luxima_retention.stores.registry import kind_of

if TYPE_CHECKING:
    from luxima_retention.config.settings import NotifySettings, PolicyConfig, S3Settings, Settings
    from luxima_retention.config.sources import Configuration

#: the first line of every file that is written here; others are never touched
MARK = "# Written by `luxima-retention manifests`: change the settings, and write it again.\n"
#: the settings of every pod, below the directory that is written
SETTINGS = "base/luxima-retention.toml"
_APP = {"app.kubernetes.io/name": "luxima-retention"}
#: what may start at any hour is six days late at most
_ANY_HOUR = timedelta(days=6)
_ATTEMPTS, _SPARE = 3, timedelta(minutes=30)
#: a CronJob's name at most: its Jobs have eleven characters more
_LONGEST = 52
#: what else is mounted; see defaults.yaml
_MOUNTS = ("/etc/luxima-retention", "/run/secrets/luxima-retention", "/tmp")  # noqa: S108 - of the pods
#: slots whose commands have one form of output
_PLAIN = frozenset({"report", "notify-flush"})
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who runs slots: one service account, one network policy.

    Args:
        name: the policy's, or the slot's where it is not of a single policy.
        policy: the policy; ``None`` for what is not of a single one.
        ports: TCP ports that its pods reach.
        secrets: settings that its pods get as secret files, as dotted names.
    """

    name: str
    policy: str | None
    ports: frozenset[int]
    secrets: tuple[str, ...]

    @property
    def labels(self) -> dict[str, str]:
        """What network policies and overlays select by."""
        return {"luxima.id/policy": self.policy} if self.policy else {"luxima.id/job": self.name}


def manifests(configuration: Configuration) -> dict[str, str]:
    """The files, by their path below the directory that they are written to.

    Args:
        configuration: in force; secrets come from secret files or the environment, all else from the file.

    Returns:
        Texts by path. Without ``database.dsn`` the crontab only: no pod keeps a ledger in a file.

    Raises:
        ConfigurationError: nothing is scheduled, a cluster would not take a name, or the pods would not have
            these settings.
    """
    settings, chosen = configuration.settings, slots(configuration.settings)
    if not chosen:
        raise ConfigurationError("nothing is scheduled", "configure a policy, and give it a schedule")
    for slot in chosen:
        if not _NAME.fullmatch(slot.name) or len(slot.name) > _LONGEST:
            raise ConfigurationError(
                f"{slot.name!r} cannot be the name of a CronJob",
                f"name the policy with at most {_LONGEST} small letters, digits and hyphens",
            )
    accounts = _accounts(settings, chosen, _secrets(configuration))
    if settings.database.dsn is None:
        # A ledger in a file is for machines: each pod would begin one anew.
        return {"crontab": MARK + _crontab(settings, chosen)}
    written = {
        "base/kustomization.yaml": _kustomization(chosen),
        "base/namespace.yaml": _template("namespace.yaml"),
        "base/defaults.yaml": _defaults(settings),
        "base/service-accounts.yaml": _service_accounts(accounts.values()),
        "base/network-policies.yaml": _network_policies(settings, accounts.values()),
        **{f"base/jobs/{slot.name}.yaml": _cron_job(slot, accounts[_account(slot)]) for slot in chosen},
        "crontab": _crontab(settings, chosen),
        SETTINGS: configuration.file.read_text(encoding="utf-8") if configuration.file else "",
    }
    return {name: text if text.startswith(MARK) else MARK + text for name, text in written.items()}


def differing(wanted: Mapping[str, str], directory: Path) -> list[str]:
    """The names of files that are missing, differ, or were written for settings that are no more."""
    different = [name for name, text in wanted.items() if _content(directory / name) != text]
    return sorted({*different, *_left_over(wanted, directory)})


def write(wanted: Mapping[str, str], directory: Path) -> list[str]:
    """Write what differs, and remove what an earlier call wrote and nobody wants any more.

    Returns:
        The names of the files that were written or removed.

    Raises:
        ConfigurationError: a file stands there that was not written here; nothing was written.
    """
    names = differing(wanted, directory)
    for name in names:
        path = directory / name
        if path.is_symlink() or (path.exists() and not (_content(path) or "").startswith(MARK)):
            raise ConfigurationError(
                f"{path} was not written by this command, and is left alone",
                "move it away, or name another directory with --output",
            )
    try:
        for name in names:
            _replace(directory / name, wanted.get(name))
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be written: {error.strerror}") from error
    return names


def _replace(path: Path, text: str | None) -> None:
    """Write the file as a whole, or remove it."""
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _left_over(wanted: Collection[str], directory: Path) -> Iterator[str]:
    for path in directory.glob("base/jobs/*.yaml"):
        name = path.relative_to(directory).as_posix()
        if name not in wanted and (_content(path) or "").startswith(MARK):
            yield name


# What pods get, and reach


def _secrets(configuration: Configuration) -> tuple[str, ...]:
    """The settings that are secrets, as dotted names: files of the pods, and never in the ConfigMap.

    Raises:
        ConfigurationError: a secret stands in the settings file, or something else in the environment.
    """
    file = str(configuration.file)
    secret = {name for name in configuration.origins if _is_secret(configuration.settings, name)}
    written = {name for name, origin in configuration.origins.items() if origin == file}
    for name in sorted(secret & written):
        raise ConfigurationError(
            f"{name} is a secret, and the settings file becomes a ConfigMap that many may read",
            f"put it into a secret file named {_file_name(name)}",
        )
    for name in sorted(configuration.origins.keys() - secret - written):
        setting, origin = name.replace("<short>", "tables"), configuration.origin(name)
        raise ConfigurationError(
            f"{setting} comes from the {origin}, and the pods would not have it",
            "write it into the settings file",
        )
    return tuple(sorted(secret))


def _is_secret(settings: Settings, name: str) -> bool:
    value: Any = settings
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    return isinstance(value, SecretStr)


def _file_name(setting: str) -> str:
    """``database__dsn``: the name of the secret file."""
    return setting.replace(".", "__")


def _account(slot: Slot) -> str:
    return slot.policy or slot.name


def _accounts(settings: Settings, chosen: Sequence[Slot], secrets: Sequence[str]) -> dict[str, Account]:
    names = dict.fromkeys(map(_account, chosen))
    policies = {slot.policy for slot in chosen if slot.policy}
    return {
        name: Account(
            name=name,
            policy=name if name in policies else None,
            ports=_policy_ports(settings, name) if name in policies else _job_ports(settings, name),
            secrets=tuple(item for item in secrets if _needs(settings, name, name in policies, item)),
        )
        for name in names
    }


def _needs(settings: Settings, account: str, is_policy: bool, secret: str) -> bool:
    """Whether pods of this account need a secret: what concerns another policy only is kept from them."""
    section, _, rest = secret.partition(".")
    if secret.endswith(".owner_dsn"):
        return is_policy and _drops_partitions(settings, account)
    if section not in {"policies", "databases", "s3"} or account == "report":
        return True
    if account == "observability-check" and settings.observability.directory:
        return True  # what is configured decides what the files should say
    return rest.split(".")[0] in _own_sections(settings, account, is_policy)[section]


def _own_sections(settings: Settings, account: str, is_policy: bool) -> dict[str, set[str | None]]:
    """The policies, databases and S3 services that concern an account."""
    if not is_policy:
        return {"policies": set(), "databases": set(), "s3": _s3_names(settings.ledger, settings.archive)}
    policy = settings.policy(account)
    users = [policy.options, settings.ledger, *([settings.archive] if _archives(policy) else [])]
    return {"policies": {account}, "databases": {kind_of(policy).database(policy)}, "s3": _s3_names(*users)}


def _s3_names(*users: Any) -> set[str | None]:
    """The connections to S3 of sections; ``default`` of those that name none."""
    return {getattr(user, "s3", "") or "default" for user in users}


def _archives(policy: PolicyConfig[Any]) -> bool:
    """Whether its runs reach the archive: to write records, or to set holds on what is there."""
    return archives(policy) or policy.settings.archive.mirror_holds


def _drops_partitions(settings: Settings, name: str) -> bool:
    """The only policies that work as the owner of a table."""
    policy = settings.policy(name)
    return any(item.table.strategy == "partition_drop" for item in kind_of(policy).tables(policy))


def _s3_of(settings: Settings, section: Any, *urls: str) -> frozenset[int]:
    used = any(url.startswith("s3:") for url in urls)
    return s3_ports(settings.s3_named(section.s3)) if used else frozenset()


def _common_ports(settings: Settings) -> frozenset[int]:
    """Of ledger, anchors, telemetry, and whoever is told: what every pod reaches."""
    telemetry = settings.telemetry
    return (
        _notify_ports(settings.notify)
        | dsn_ports(settings.database.dsn)
        | _s3_of(settings, settings.ledger, *settings.ledger.anchors)
        | url_ports(telemetry.pushgateway_url, telemetry.otlp_url)
    )


def _notify_ports(notify: NotifySettings) -> frozenset[int]:
    telegram = notify.telegram_url if notify.telegram_token else ""
    alerts = dsn_ports(notify.alert_dsn)
    heartbeat = notify.heartbeat_url.get_secret_value() if notify.heartbeat_url else ""
    urls = url_ports(telegram, notify.plane_url, notify.webhook_url, heartbeat)
    return urls | smtp_ports(notify.smtp_url) | alerts


def _policy_ports(settings: Settings, name: str) -> frozenset[int]:
    policy = settings.policy(name)
    ports = _common_ports(settings) | kind_of(policy).ports(policy)
    if _archives(policy):
        ports |= _s3_of(settings, settings.archive, settings.archive.url)
    return ports


def _job_ports(settings: Settings, name: str) -> frozenset[int]:
    """The report surveys every store, reads archive and anchors, and writes into a bucket."""
    ports = _common_ports(settings) | _s3_of(settings, settings.archive, settings.archive.url)
    if name == "observability-check":
        ports |= url_ports(settings.observability.prometheus_url)
    if name == "report":
        ports |= _s3_of(settings, settings.report, settings.report.url)
        ports = ports.union(*(_policy_ports(settings, policy) for policy in configured(settings)))
    return ports


# Documents


def _template(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _dumped(*documents: Mapping[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump_all(documents, sort_keys=False, width=110)
    return text


def _kustomization(chosen: Sequence[Slot]) -> str:
    parts = ["namespace.yaml", "service-accounts.yaml", "network-policies.yaml"]
    return _dumped(
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "luxima-retention",
            "labels": [{"pairs": _APP, "includeTemplates": True}],
            "resources": [*parts, *(f"jobs/{slot.name}.yaml" for slot in chosen)],
            "configMapGenerator": [{"name": "luxima-retention", "files": ["luxima-retention.toml"]}],
            "images": [
                {"name": "luxima-retention", "newName": "luxima/luxima-retention", "newTag": __version__}
            ],
            "patches": [{"path": "defaults.yaml", "target": {"kind": "CronJob"}}],
        }
    )


def _defaults(settings: Settings) -> str:
    """What every CronJob has."""
    import jinja2

    # YAML for a cluster, and nothing in it comes from outside of the settings.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)  # noqa: S701
    deadline = settings.schedule.max_runtime * _ATTEMPTS + _SPARE
    return environment.from_string(_template("defaults.yaml")).render(
        key=_key(settings.ledger.key_file), deadline=int(deadline.total_seconds())
    )


def _key(file: str) -> dict[str, str] | None:
    """Where the ledger's key is mounted, and its name there."""
    path = PurePosixPath(file)
    if file and (not path.is_absolute() or str(path.parent) in {"/", *_MOUNTS}):
        raise ConfigurationError(
            f"ledger.key_file is {file}, and pods mount the key as a directory of its own",
            "name a file in another directory, such as /run/secrets/ledger-key/ledger.pem",
        )
    return {"directory": str(path.parent), "name": path.name} if file else None


def _cron_job(slot: Slot, account: Account) -> str:
    form = () if slot.name in _PLAIN else ("--output", "json")
    pod = {
        "serviceAccountName": account.name,
        "containers": [{"name": "run", "args": [*slot.arguments, *form]}],
        "volumes": [{"name": "secrets", "projected": {"sources": _sources(account)}}],
    }
    return _dumped(
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": slot.name, "labels": account.labels},
            "spec": {
                "schedule": slot.expression,
                "timeZone": slot.zone.key,
                # Without it, a CronJob that is resumed starts a missed run at once, at any hour.
                "startingDeadlineSeconds": int((slot.grace or _ANY_HOUR).total_seconds()),
                "jobTemplate": {
                    "spec": {"template": {"metadata": {"labels": account.labels}, "spec": pod}},
                },
            },
        }
    )


def _sources(account: Account) -> list[dict[str, Any]]:
    """A Secret for each section: ``database.dsn`` is the key ``dsn`` of ``luxima-retention-database``."""
    items: dict[str, list[dict[str, str]]] = {}
    for setting in account.secrets:
        section, _, key = setting.rpartition(".")
        name = f"luxima-retention-{re.sub('[._]', '-', section)}"
        items.setdefault(name, []).append({"key": key, "path": _file_name(setting)})
    return [{"secret": {"name": name, "items": keys}} for name, keys in items.items()]


def _service_accounts(accounts: Iterable[Account]) -> str:
    """One for each policy and job, so that each can be given its own rights; none may ask the cluster."""
    return _dumped(
        *(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": account.name},
                "automountServiceAccountToken": False,
            }
            for account in accounts
        )
    )


def _network_policies(settings: Settings, accounts: Iterable[Account]) -> str:
    common = [_policy("default-deny", {}, types=("Ingress", "Egress")), _policy("dns", _APP, egress=_DNS)]
    if _asks_the_cloud(settings):
        common.append(_policy("cloud-identity", _APP, egress=_POD_IDENTITY))
    own = [
        _policy(account.name, account.labels, egress=[{"ports": _ports("TCP", *sorted(account.ports))}])
        for account in accounts
        if account.ports
    ]
    return _dumped(*common, *own)


def _policy(
    name: str,
    labels: Mapping[str, str],
    *,
    types: Sequence[str] = ("Egress",),
    egress: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
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


def _ports(protocol: str, *numbers: int) -> list[dict[str, Any]]:
    return [{"port": number, "protocol": protocol} for number in numbers]


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _addresses(*ranges: str) -> list[dict[str, Any]]:
    return [{"ipBlock": {"cidr": item}} for item in ranges]


#: The cluster's own, NodeLocal DNSCache on the node, and OpenShift's.
_DNS: list[dict[str, Any]] = [
    {
        "to": [_namespace("kube-system"), *_addresses("169.254.20.10/32")],
        "ports": [*_ports("UDP", 53), *_ports("TCP", 53)],
    },
    {"to": [_namespace("openshift-dns")], "ports": [*_ports("UDP", 5353), *_ports("TCP", 5353)]},
]
#: EKS Pod Identity: the agent on the node that gives credentials.
_POD_IDENTITY: list[dict[str, Any]] = [
    {"to": _addresses("169.254.170.23/32", "fd00:ec2::23/128"), "ports": _ports("TCP", 80)}
]


def _asks_the_cloud(settings: Settings) -> bool:
    """Whether somebody reaches buckets without keys of their own."""
    users: list[Any] = [settings.archive, settings.ledger, settings.report, *settings.policies.values()]
    used: list[S3Settings] = [settings.s3_named(user.s3) for user in users if hasattr(user, "s3")]
    return any(item.access_key_id is None for item in used)


def _words(slot: Slot) -> tuple[str, ...]:
    return ("luxima-retention", *slot.arguments)


def _user(settings: Settings, slot: Slot) -> str:
    """Files belong to many users, and hooks reload services: only root may do both. A set may say user."""
    volume = slot.policy is not None and kind_of(settings.policy(slot.policy)).volume
    return "root" if volume else "luxima-retention"


def _crontab(settings: Settings, chosen: Sequence[Slot]) -> str:
    width = max(len(slot.expression) for slot in chosen)
    lines = [
        f"{slot.expression:<{width}}  {_user(settings, slot):<16}  {' '.join(_words(slot))}"
        for slot in chosen
    ]
    return _template("crontab").format(zone=settings.schedule.time_zone, lines="\n".join(lines))
