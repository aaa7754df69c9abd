"""Addresses as settings take them: one check for every HTTP URL, one for every connection string."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

_SCHEMES = ("http", "https")
_HOST = re.compile(r"[^\s/?#@\\]+")
_WRITE = "it must begin with http:// or https:// and end with host, port or path"


def check_url(value: str) -> str:
    """An HTTP address with neither credentials nor a query: ``https://host:port/prefix``; or nothing.

    Raises:
        ValueError: what is wrong, without the value where it holds a secret.
    """
    if not value:
        return value
    scheme, separator, rest = value.partition("://")
    if not separator or scheme.lower() not in _SCHEMES:
        raise ValueError(f"{_shown(value)} has no http:// or https:// before it: {_WRITE}")
    if "@" in rest:
        raise ValueError("it has credentials in it: they have settings of their own, so take them out")
    if "?" in rest or "#" in rest:
        raise ValueError(f"it has a ? or # in it: {_WRITE}")
    if not _HOST.match(rest) or re.search(r"[\s\\\x00-\x20\x7f]", rest):
        raise ValueError(f"{_shown(value)} is not an address: {_WRITE}")
    _check_port(value)
    return value


def _check_port(value: str) -> None:
    try:
        parts = urlsplit(value)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"{_shown(value)} has no valid host and port: {_WRITE}")


def _shown(value: str) -> str:
    """The value up to its path, which may be a token; nothing of one that may hold a password."""
    if re.search(r"[@?#]", value):
        return "it"
    match = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*:/*)?[^/]*", value)
    return repr(match[0] if match else "")


def check_dsn(value: SecretStr) -> SecretStr:
    """A connection string whose password, if it has one, is where PostgreSQL looks for it.

    libpq ends the user and the password of a URI at the first ``@`` and looks for neither after a ``/``; what
    follows becomes host, port and database, and stands in its messages. So such a string is refused here.
    Source: PostgreSQL documentation, "Connection URIs" (percent-encoding).

    Raises:
        ValueError: what is wrong, without the value.
    """
    scheme, separator, rest = value.get_secret_value().partition("://")
    if not separator or scheme not in {"postgresql", "postgres"}:
        return value
    before, _, query = rest.partition("?")
    login, at, _ = before.rpartition("@")
    lost = "@" in query and not at and ":" in before.partition("/")[0]
    if "@" in login or "/" in login or "#" in login or lost:
        raise ValueError(
            "user or password has a special character as it is: write @ as %40, / as %2F, # as %23, ? as %3F"
        )
    return value


Url = Annotated[str, AfterValidator(check_url)]
Dsn = Annotated[SecretStr, AfterValidator(check_dsn)]
