"""What a Tempo server says about its retention, as values. Pure: no I/O, no clock.

Sources: Tempo documentation, "HTTP API" (``/status``), "Configuration" (``compactor``, ``backend_worker``,
``overrides``), and how Tempo 2.10.0 and 3.0.3, built from their public source, answer (``tests/data/tempo``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from luxima_retention.core.durations import go_seconds
from luxima_retention.core.foreign import yaml_of

#: The tenant whose overrides count for every tenant without its own.
WILDCARD = "*"
#: process → section with the period that it applies; 3.0.0 removed the compactor (release notes, #6273)
APPLIES = {"compactor": "compactor", "backend-worker": "backend_worker"}
_SERVICE = re.compile(r"\|\s*([a-z][a-z-]*)\s*\|\s*(\w+)\s*\|.*")
_VERSION = re.compile(r"tempo, version (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What one tenant's limits say; a tenant's own replace all the defaults.

    Args:
        seconds: its ``block_retention``; 0 leaves it to the process that applies it.
        disabled: ``compaction_disabled``, which also ends its retention.
    """

    seconds: float = 0
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A process here that deletes blocks.

    Args:
        service: ``compactor`` or ``backend-worker``.
        setting: that holds its period.
        seconds: the period.
        disabled: whether it is switched off.
    """

    service: str
    setting: str
    seconds: float
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one server said.

    Args:
        version: as it names itself.
        services: of Tempo that run in this process.
        applied: by which of them blocks go; none where that happens in another process.
        defaults: limits of a tenant without any.
        tenants: limits by tenant, ``WILDCARD`` among them where it is set.
        storage: where the blocks lie: ``s3:tempo-traces``.
    """

    version: str
    services: tuple[str, ...] = ()
    applied: tuple[Applied, ...] = ()
    defaults: Override = field(default_factory=Override)
    tenants: Mapping[str, Override] = field(default_factory=dict)
    storage: str = ""


def document(text: str, page: str) -> Mapping[str, Any]:
    """The YAML of a status page, which names itself in its first line.

    Raises:
        ValueError: it is another page, or not YAML.
    """
    head, separator, body = text.partition("---\n")
    if head.strip() != f"GET /status/{page}" or not separator:
        raise ValueError(f"it is not Tempo's page {page}: {text[:80]!r}")
    loaded = yaml_of(body)
    if not isinstance(loaded, dict):
        raise ValueError("it is not a table")  # noqa: TRY004 - what a server says is no fault of the caller
    return loaded


def version(text: str) -> str:
    """``3.0.3`` of the page version.

    Raises:
        ValueError: it names no Tempo.
    """
    match = _VERSION.search(text)
    if match is None:
        raise ValueError(f"it names no version of Tempo: {text[:80]!r}")
    return match[1]


def services(text: str) -> tuple[str, ...]:
    """Those that run, of the page services.

    Raises:
        ValueError: it names none.
    """
    rows = [match for line in text.splitlines() if (match := _SERVICE.fullmatch(line.strip()))]
    if not rows:
        raise ValueError(f"it names no service: {text[:80]!r}")
    return tuple(row[1] for row in rows if row[2] == "Running")


def applied(config: Mapping[str, Any], running: tuple[str, ...]) -> tuple[Applied, ...]:
    """By which of the services that run here blocks go, and after how long.

    Raises:
        ValueError: a service runs, and its period is not in the configuration.
    """
    return tuple(_applied(config, service) for service in APPLIES if service in running)


def _applied(config: Mapping[str, Any], service: str) -> Applied:
    name = APPLIES[service]
    section = _table(config, name)
    period = _table(section, "compaction").get("block_retention")
    if period is None:
        raise ValueError(f"{name}.compaction.block_retention is not in it")
    return Applied(
        service=service,
        setting=f"{name}.compaction.block_retention",
        seconds=go_seconds(str(period)),
        disabled=section.get("disabled") is True,
    )


def overrides(runtime: Mapping[str, Any]) -> tuple[Override, dict[str, Override]]:
    """Defaults, and limits by tenant, of the page runtime_config.

    Raises:
        ValueError: an entry cannot be read.
    """
    defaults = _override(_table(runtime, "defaults"))
    tenants = _table(runtime, "overrides")
    named = (name for name in tenants if tenants[name] is not None)
    return defaults, {str(name): _override(_table(tenants, name)) for name in named}


def _override(limits: Mapping[str, Any]) -> Override:
    """One tenant's, in the scoped format or in the older flat one (documentation, "Overrides")."""
    scoped = {**limits, **_table(limits, "compaction")}
    return Override(
        seconds=go_seconds(str(scoped.get("block_retention", 0))),
        disabled=scoped.get("compaction_disabled") is True,
    )


def storage(config: Mapping[str, Any]) -> str:
    """Where the blocks lie: ``s3:bucket/prefix``, ``gcs:bucket``, ``azure:container``, ``local:/path``."""
    trace = _table(_table(config, "storage"), "trace")
    backend = str(trace.get("backend", ""))
    place = _table(trace, backend)
    names = ("bucket", "bucket_name", "container_name", "path")
    name = next((str(place[key]) for key in names if place.get(key)), "")
    return f"{backend}:{name}" + (f"/{place['prefix']}" if place.get("prefix") else "")


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table in a table; an empty one where it is missing.

    Raises:
        ValueError: something else stands there.
    """
    found = values.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ValueError(f"{name} is not a table")  # noqa: TRY004 - same
    return found
