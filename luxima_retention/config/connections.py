"""Connections, from settings to what opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from luxima_retention.config.places import address, connection
from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from luxima_retention.config.settings import S3Settings, Settings
    from luxima_retention.io.objects import Access, ObjectStore


def s3_access(settings: S3Settings, deadline: Deadline = UNLIMITED) -> Access:
    """How the buckets of this service are reached."""
    from luxima_retention.io.objects import Access

    key, secret = settings.access_key_id, settings.secret_access_key
    return Access(
        endpoint_url=settings.endpoint_url,
        region=settings.region,
        access_key_id=key.get_secret_value() if key else "",
        secret_access_key=secret.get_secret_value() if secret else "",
        addressing_style=settings.addressing_style,
        ca_file=settings.ca_file,
        deadline=deadline,
    )


def open_place(settings: Settings, url: str, deadline: Deadline = UNLIMITED) -> ObjectStore:
    """The place that ``url`` names, through the connection that it names; ``deadline`` is that of the run.

    Raises:
        ConfigurationError: it names no place, or a connection that is not written.
    """
    from luxima_retention.io.objects import open_objects

    name = connection(url)
    if name not in {None, "default", *settings.s3}:
        raise ConfigurationError(
            f"{url} names the connection {name!r}, which does not exist", f"write a section s3.{name}"
        )
    return open_objects(address(url), s3_access(settings.s3_named(name or ""), deadline))


def url_ports(*urls: str) -> frozenset[int]:
    """The TCP ports of ``http://`` and ``https://`` addresses, for network policies; empty ones have none."""
    parts = [urlsplit(url) for url in urls if url]
    return frozenset(part.port or (443 if part.scheme == "https" else 80) for part in parts)


def smtp_ports(url: str) -> frozenset[int]:
    """The TCP port of a mail server; an empty address has none."""
    part = urlsplit(url)
    return frozenset({part.port or (465 if part.scheme == "smtps" else 587)}) if url else frozenset()


def s3_ports(settings: S3Settings) -> frozenset[int]:
    """The TCP port of an S3 service: HTTPS, where none has an address of its own."""
    return url_ports(settings.endpoint_url or "https://amazonaws.com")


def dsn_ports(dsn: SecretStr | None, setting: str = "a dsn of the settings") -> frozenset[int]:
    """The TCP ports of a connection string: 5432 where it names none, several for several hosts.

    Raises:
        ConfigurationError: it is none; it is not repeated, it may hold a password.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    if dsn is None:
        return frozenset()
    try:
        named = str(conninfo_to_dict(dsn.get_secret_value()).get("port") or "")
        return frozenset(int(port or 5432) for port in named.split(","))
    except (ProgrammingError, ValueError):
        raise ConfigurationError(
            f"{setting} is not a PostgreSQL connection string",
            "write it as postgresql://role@host:5432/database or as host=… dbname=…",
        ) from None
