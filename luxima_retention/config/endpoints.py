"""Endpoints as the HTTP client takes them, made from the settings that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from luxima_retention.io.http import Endpoint, check_ca_file

if TYPE_CHECKING:
    from luxima_retention.config.settings import HttpSettings

Named = TypeVar("Named", bound=str)


def endpoint(
    url: str, settings: HttpSettings, *, setting: str, options: str, proxied: bool = False
) -> Endpoint:
    """One address with the options of its section; what they send and the CA file are tried once.

    Args:
        url: the address.
        settings: of the section ``options``.
        setting: that names ``url``.
        options: dotted name of the section, such as ``prometheus.http``.
        proxied: whether the environment's proxies count.

    Raises:
        ConfigurationError: a secret cannot be sent, or the CA file cannot be read.
    """
    made = Endpoint(
        url=url,
        setting=setting,
        options=options,
        username=settings.username,
        password=settings.password.get_secret_value if settings.password else None,
        bearer_token=settings.bearer_token.get_secret_value if settings.bearer_token else None,
        headers=lambda: {name: value.get_secret_value() for name, value in settings.headers.items()},
        ca_file=settings.ca_file,
        timeout=settings.timeout,
        proxied=proxied,
    )
    check_ca_file(made)
    made.sent()
    return made


def reached_by(named: Mapping[Named, HttpSettings], name: Named) -> HttpSettings:
    """The options of one of several endpoints; the default ones where none are written."""
    from luxima_retention.config.settings import HttpSettings

    return named.get(name) or HttpSettings()
