"""The types of settings' values, each with its check: periods, durations, lists, zones, names, addresses."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from luxima_retention.config.cronline import parse as parse_cron
from luxima_retention.core.durations import parse_duration
from luxima_retention.core.foreign import json_of


class Section(BaseModel):
    """A table of the settings file: frozen, and a key that it does not know is an error.

    Modules of sections do without ``from __future__ import annotations``: each start would compile every
    annotation once more, which took longer than to validate all settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)


def whole(value: object) -> object:
    """A whole number, or its text; ``true`` and ``1.5`` are refused."""
    if isinstance(value, (bool, float)) or (isinstance(value, str) and not value.strip().isdecimal()):
        raise ValueError(f"{value!r} is not a whole number of days")
    return value


#: a century: beyond it, instants have no date
Days = Annotated[int, BeforeValidator(whole), Field(ge=1, le=36_500)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Fraction = Annotated[Decimal, Field(ge=0, le=1)]


def shaped(pattern: str, wanted: str) -> AfterValidator:
    """A check of a whole text; what is wrong is told by what is wanted, for the value may be a secret."""
    known = re.compile(pattern)

    def check(value: str) -> str:
        if not known.fullmatch(value):
            raise ValueError(wanted)
        return value

    return AfterValidator(check)


def listed(value: object) -> object:
    """The list that a file gives; from the environment comma separated, or as JSON."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("["):
        return as_json(value)
    return tuple(filter(None, (item.strip() for item in value.split(","))))


def bucket(value: str) -> str:
    """As a client of S3 takes it; a service may ask for more."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", value):
        raise ValueError(f"{value!r} is not a valid bucket name")
    return value


Bucket = Annotated[str, AfterValidator(bucket)]


def as_day(value: object) -> object:
    """``2026-11-03`` as TOML or the environment gives it."""
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a day: write 2026-11-03") from None


def as_json(value: object) -> object:
    """A table or list of tables; from the environment as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json_of(value)
    except ValueError:
        raise ValueError("it is not valid JSON") from None


_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


def identifiers(value: str, parts: int) -> str:
    """``core.audit_log`` or ``created_at``: names as PostgreSQL takes them, in their own case."""
    names = value.split(".")
    if value and (len(names) != parts or not all(_IDENTIFIER.fullmatch(name) for name in names)):
        raise ValueError(f"{value!r} is not {'schema.table' if parts > 1 else 'a column'}")
    return value


Table = Annotated[str, AfterValidator(lambda value: identifiers(value, 2))]
Column = Annotated[str, AfterValidator(lambda value: identifiers(value, 1))]
_PATH = re.compile(r"(->'[^']+')*->>'[^']+'")


def mapping(value: str) -> str:
    """``tenant_id``, or a path into JSON: ``payload->>'actor_id'``, ``payload->'actor'->>'id'``."""
    column = value.partition("->")[0]
    identifiers(column, 1)
    path = value[len(column) :]
    if path and not (column and _PATH.fullmatch(path)):
        raise ValueError(f"{value!r} is neither a column nor a path such as payload->>'actor_id'")
    return value


HoldColumn = Annotated[str, AfterValidator(mapping)]


def zone(value: str) -> str:
    """``Asia/Jakarta``."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{value!r} is not a time zone: write Asia/Jakarta or UTC") from None
    return value


def zone_or_local(value: str) -> str:
    """``Asia/Jakarta``, or ``local`` for the machine's own."""
    return value if value == "local" else zone(value)


_BYTES = re.compile(r"(\d+)\s*(|k|M|G)i?B?")


def as_bytes(value: object) -> object:
    """``512``, ``100k``, ``10M``, ``1G``: powers of 1024."""
    if not isinstance(value, str):
        return value
    match = _BYTES.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is not a size: write 512, 100k, 10M or 1G")
    return int(match[1]) * 1024 ** ("", "k", "M", "G").index(match[2])


Bytes = Annotated[int, BeforeValidator(as_bytes), Field(ge=0)]
Mode = Annotated[str, shaped(r"([0-7]{3,4})?", "it must be three or four octal digits: 0640")]


def expression(value: str) -> str:
    """A cron expression, or nothing."""
    if value:
        parse_cron(value)
    return value


CronExpression = Annotated[str, AfterValidator(expression)]


_LAST_PORT = 65535


def host_and_port(value: str) -> tuple[str, int]:
    """``127.0.0.1:8086`` or ``host:0``, as sockets take it.

    Raises:
        ValueError: it has no host or no port.
    """
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > _LAST_PORT:
        raise ValueError(f"{value!r} is not HOST:PORT: write 127.0.0.1:8086")
    return host.strip("[]"), int(port)


def _listening(value: str) -> str:
    host_and_port(value)
    return value


#: where a server of ours listens
Listen = Annotated[str, AfterValidator(_listening)]
#: the name of a section ``s3.<name>``
S3Name = Annotated[str, shaped(r"[a-z0-9_-]*", "it must be lower-case letters, digits, - and _")]
_MAILBOX = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+"
#: one mailbox, without a name
MailAddress = Annotated[str, shaped(_MAILBOX, "it must be an e-mail address: name@example.org")]
#: the same, or nothing
Sender = Annotated[str, shaped(f"({_MAILBOX})?", "it must be an e-mail address: name@example.org")]
