"""Endpoints as the HTTP client takes them, made from the settings that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention.core.errors import ConfigurationError
from luxima_retention.core.redact import is_distinctive, learn
from luxima_retention.io.http import Endpoint, check_ca_file

if TYPE_CHECKING:
    from pydantic import SecretStr

    from luxima_retention.config.settings import HttpSettings

_LARGEST_SECRET = 64 * 1024


def endpoint(
    url: str, settings: HttpSettings, *, setting: str, options: str, proxied: bool = False
) -> Endpoint:
    """One address with the options of its section; each file that they name is read once, as a trial.

    Args:
        url: the address.
        settings: of the section ``options``.
        setting: that names ``url``.
        options: dotted name of the section, such as ``prometheus.http``.
        proxied: whether the environment's proxies count.

    Raises:
        ConfigurationError: a file cannot be read, or holds something else.
    """
    made = Endpoint(
        url=url,
        setting=setting,
        options=options,
        username=settings.username,
        password=_secret(settings.password, settings.password_file, f"{options}.password_file"),
        bearer_token=_secret(
            settings.bearer_token, settings.bearer_token_file, f"{options}.bearer_token_file"
        ),
        headers=_headers(settings, f"{options}.headers_file"),
        ca_file=settings.ca_file,
        timeout=settings.timeout,
        proxied=proxied,
    )
    check_ca_file(made)
    made.sent()
    return made


def read_secret(path: str, setting: str) -> str:
    """The text of a secret's file, without white space around it.

    Raises:
        ConfigurationError: it cannot be read, is too large, or is not text in UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_SECRET + 1)
        if len(data) > _LARGEST_SECRET:
            raise ConfigurationError(f"{path} is larger than {_LARGEST_SECRET} bytes", f"correct {setting}")
        text = data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"{path} is not text in UTF-8", f"write the file of {setting} in UTF-8"
        ) from None
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not a valid path"
        raise ConfigurationError(
            f"{path} cannot be read: {said}", f"mount the secret, or correct {setting}"
        ) from error
    learn(text)
    return text


def _secret(value: SecretStr | None, path: str, setting: str) -> Callable[[], str] | None:
    """What reads a secret: from its file, which may be rotated, or from the settings."""
    if path:
        return lambda: read_secret(path, setting)
    return value.get_secret_value if value is not None else None


def _headers(settings: HttpSettings, setting: str) -> Callable[[], Mapping[str, str]]:
    given = {name: value.get_secret_value() for name, value in settings.headers.items()}
    if not settings.headers_file:
        return lambda: given
    return lambda: given | parsed_headers(read_secret(settings.headers_file, setting), setting)


def parsed_headers(text: str, setting: str) -> dict[str, str]:
    """``Name: value``, one a line.

    Raises:
        ConfigurationError: a line has no name; it is not shown, it may be a secret.
    """
    headers = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, colon, value = line.partition(":")
        if line.strip():
            if not colon or not name.strip():
                raise ConfigurationError(
                    f"line {number} of the file that {setting} names is not a header",
                    "write one header a line, as Name: value",
                )
            headers[name.strip()] = value.strip()
            if is_distinctive(value.strip()):
                learn(value.strip())
    return headers
