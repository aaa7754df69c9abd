"""Who runs what in a cluster: accounts, the ports that they reach, and the secrets that they get."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from luxima_retention.config.connections import dsn_ports, s3_ports, smtp_ports, url_ports
from luxima_retention.config.places import connection
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.run.matrix import archives, configured, with_metrics
from luxima_retention.run.schedule import Slot
from luxima_retention.stores.registry import kind_of

if TYPE_CHECKING:
    from luxima_retention.config.settings import NotifySettings, PolicyConfig, Settings
    from luxima_retention.config.sources import Configuration

#: of what is of no single policy: what surveys every store, and so has its secrets and its ports
_OF_EVERY_STORE = frozenset({"report", "doctor", "hold", "schedule"})
#: asks which metrics there are
_LOOK = "observability-check"
#: below it stand headers by their names, which have one secret file together
_HEADERS = ".headers."
#: headers that hold a secret; others, such as X-Scope-OrgID, name a tenant
_LETS_IN = re.compile("authorization|cookie|token|secret|key", re.IGNORECASE)
#: an owner's connection string may pass a pooler by, even where the job's does not
_POSTGRESQL = frozenset({5432})


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


def account_of(slot: Slot) -> str:
    """The name of the account that runs a slot."""
    return slot.policy or slot.name


def file_name(setting: str) -> str:
    """``database__dsn``: the name of the secret file."""
    return setting.replace(".", "__")


def accounts(settings: Settings, chosen: Sequence[Slot], secrets: Sequence[str]) -> dict[str, Account]:
    """The accounts of these slots, by name."""
    policies = {slot.policy for slot in chosen if slot.policy}
    names = dict.fromkeys(map(account_of, chosen))
    return {name: account(settings, name, secrets, is_policy=name in policies) for name in names}


def account(settings: Settings, name: str, secrets: Sequence[str], *, is_policy: bool = False) -> Account:
    """The account of a policy, or of what is of no single one."""
    return Account(
        name=name,
        policy=name if is_policy else None,
        ports=_policy_ports(settings, name) if is_policy else _job_ports(settings, name),
        secrets=tuple(item for item in secrets if _needs(settings, name, is_policy, item)),
    )


def migrating(settings: Settings, secrets: Sequence[str]) -> Account:
    """The account of ``migrate``: databases only."""
    ports = (dsn_ports(settings.database_named(name).dsn) for name in databases(settings))
    return Account(
        name="migrate",
        policy=None,
        ports=_POSTGRESQL.union(*ports),
        secrets=tuple(item for item in secrets if item.endswith(".dsn")),
    )


def databases(settings: Settings) -> tuple[str, ...]:
    """The names of the databases that ``migrate`` sets up; empty is section ``database``."""
    policies = map(settings.policy, configured(settings))
    named = (kind_of(policy).database(policy) for policy in policies)
    return tuple(dict.fromkeys(["", *(name for name in named if name)]))


def secret_settings(configuration: Configuration) -> tuple[str, ...]:
    """The settings that are secrets, as dotted names: files of the pods, and never in the ConfigMap.

    Raises:
        ConfigurationError: a secret stands in the settings file, or something else in the environment.
    """
    file = str(configuration.file)
    written = {name for name, origin in configuration.origins.items() if origin == file}
    secret = {
        name
        for name in configuration.origins
        if _is_secret(configuration.settings, name, written=name in written)
    }
    for name in sorted(secret & written):
        raise ConfigurationError(
            f"{name} is a secret, and the settings file becomes a ConfigMap that many may read",
            f"put it into a secret file named {_own_file(name)}",
        )
    for name in sorted(configuration.origins.keys() - secret - written):
        setting, origin = name.replace("<short>", "tables"), configuration.origin(name)
        raise ConfigurationError(
            f"{setting} comes from the {origin}, and the pods would not have it",
            "write it into the settings file",
        )
    return tuple(sorted(secret))


def asks_the_cloud(settings: Settings) -> bool:
    """Whether somebody reaches buckets without keys of their own."""
    urls = [settings.archive.url, settings.report.url, *settings.ledger.anchors]
    names = [*filter(None, map(connection, urls))]
    names += [policy.s3 for policy in settings.policies.values() if hasattr(policy, "s3")]
    return any(settings.s3_named(name).access_key_id is None for name in names)


def _own_file(name: str) -> str:
    section, found, _ = name.partition(_HEADERS)
    return f"{file_name(section)}__headers, as JSON" if found else file_name(name)


def _is_secret(settings: Settings, name: str, *, written: bool) -> bool:
    """Whether a setting is a secret; of headers in the settings file those that let somebody in."""
    _, found, header = name.partition(_HEADERS)
    if found:
        return not written or bool(_LETS_IN.search(header))
    value: Any = settings
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    return isinstance(value, SecretStr) or f"{name}.".endswith(_HEADERS)


def _needs(settings: Settings, account: str, is_policy: bool, secret: str) -> bool:
    """Whether pods of this account need a secret: what concerns another policy only is kept from them."""
    section, _, rest = secret.partition(".")
    if secret.endswith(".owner_dsn"):
        droppers = configured(settings) if account == "schedule" else [account] if is_policy else []
        return any(_drops_partitions(settings, name) for name in droppers)
    if section not in {"policies", "databases", "s3"} or account in _OF_EVERY_STORE:
        return True
    if account == _LOOK and settings.observability.directory:
        return True  # what is configured decides what the files should say
    return rest.split(".")[0] in _own_sections(settings, account, is_policy)[section]


def _own_sections(settings: Settings, account: str, is_policy: bool) -> dict[str, set[str | None]]:
    """The policies, databases and S3 services that concern an account."""
    if not is_policy:
        asked: set[str | None] = {*with_metrics(settings)} if account == _LOOK else set()
        return {"policies": asked, "databases": set(), "s3": _s3_names(settings)}
    policy = settings.policy(account)
    own = {getattr(policy.options, "s3", "") or "default"}
    names = own | _s3_names(settings, archive=_archives(policy))
    return {"policies": {account}, "databases": {kind_of(policy).database(policy)}, "s3": names}


def _s3_names(settings: Settings, *, archive: bool = True) -> set[str | None]:
    """The connections to S3 of anchors and archive; ``default`` is the one of those that name none."""
    urls = [*settings.ledger.anchors, *([settings.archive.url] if archive else [])]
    return {"default", *filter(None, map(connection, urls))}


def _archives(policy: PolicyConfig[Any]) -> bool:
    """Whether its runs reach the archive: to write records, or to set holds on what is there."""
    return archives(policy) or policy.settings.archive.mirror_holds


def _drops_partitions(settings: Settings, name: str) -> bool:
    """The only policies that work as the owner of a table."""
    policy = settings.policy(name)
    return any(item.table.strategy == "partition_drop" for item in kind_of(policy).tables(policy))


def _s3_of(settings: Settings, *urls: str) -> frozenset[int]:
    used = filter(None, map(connection, urls))
    return frozenset[int]().union(*(s3_ports(settings.s3_named(name)) for name in used))


def _common_ports(settings: Settings) -> frozenset[int]:
    """Of ledger, anchors, telemetry, and whoever is told: what every pod reaches."""
    telemetry = settings.telemetry
    return (
        _notify_ports(settings.notify)
        | dsn_ports(settings.database.dsn)
        | _s3_of(settings, *settings.ledger.anchors)
        | url_ports(telemetry.pushgateway_url, telemetry.otlp_url)
    )


def _notify_ports(notify: NotifySettings) -> frozenset[int]:
    telegram = notify.telegram_url if notify.telegram_token else ""
    alerts = dsn_ports(notify.alert_dsn, "notify.alert_dsn")
    heartbeat = notify.heartbeat_url.get_secret_value() if notify.heartbeat_url else ""
    urls = url_ports(telegram, notify.plane_url, notify.webhook_url, heartbeat)
    return urls | smtp_ports(notify.smtp_url) | alerts


def _policy_ports(settings: Settings, name: str) -> frozenset[int]:
    policy = settings.policy(name)
    ports = _common_ports(settings) | kind_of(policy).ports(policy)
    if _archives(policy):
        ports |= _s3_of(settings, settings.archive.url)
    return ports


def _job_ports(settings: Settings, name: str) -> frozenset[int]:
    """What surveys every store reaches them all; the report writes into a bucket besides."""
    ports = _common_ports(settings) | _s3_of(settings, settings.archive.url)
    if name == _LOOK:
        asked = map(settings.policy, with_metrics(settings))
        ports = ports.union(*(kind_of(policy).ports(policy) for policy in asked))
    if name in {"report", "schedule"}:
        ports |= _s3_of(settings, settings.report.url)
    if name in _OF_EVERY_STORE:
        ports = ports.union(*(_policy_ports(settings, policy) for policy in configured(settings)))
    return ports
