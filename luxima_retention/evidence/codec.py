"""Frozen dataclasses as JSON values and back, by their annotations. Pure.

What a value may hold: text, whole numbers, truth, instants, enumerations, other such dataclasses, and
tuples and mappings of these. There are no floats, as RFC 8785 bytes of them differ between languages.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache, partial
from typing import Any, Union, get_args, get_origin, get_type_hints

from luxima_retention.core.clock import iso, parse_iso

_Decode = Callable[[Any], Any]


def encode(value: Any) -> Any:
    """The JSON form of a value."""
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    return value


def decode(kind: type, members: Any) -> Any:
    """The dataclass of exactly these members.

    Raises:
        ValueError: a member is missing, unknown, or not of its type.
    """
    known = _decoders(kind)
    if not isinstance(members, Mapping):
        raise ValueError(f"{members!r} is not an object")  # noqa: TRY004 - one error for what is not in its form
    if missing := sorted(known.keys() - members.keys()):
        raise ValueError(f"it lacks {', '.join(missing)}")
    if unknown := sorted(members.keys() - known.keys()):
        raise ValueError(f"it holds {', '.join(unknown)}, which this program does not know")
    return kind(**{name: _member(name, known[name], members[name]) for name in known})


def decode_member(kind: type, name: str, value: Any) -> Any:
    """One member of a dataclass.

    Raises:
        ValueError: the dataclass has no such member, or the value is not of its type.
    """
    known = _decoders(kind)
    if name not in known:
        raise ValueError(f"{kind.__name__} has no member {name}")
    return _member(name, known[name], value)


def _member(name: str, decoder: _Decode, value: Any) -> Any:
    try:
        return decoder(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


@cache
def _decoders(kind: type) -> Mapping[str, _Decode]:
    hints = get_type_hints(kind)
    return {field.name: _decoder(hints[field.name]) for field in fields(kind)}


def _decoder(hint: Any) -> _Decode:
    """What turns a JSON value into one of this type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return _either(arguments)
    if origin is tuple:
        return _many(_decoder(arguments[0]))
    if origin is not None:
        return _mapping(_decoder(arguments[1]))
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(decode, hint)
    return _instant if hint is datetime else hint if issubclass(hint, Enum) else _exactly(hint)


def _exactly(kind: type) -> _Decode:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{value!r} is not of type {kind.__name__}")
        return value

    return read


def _either(kinds: tuple[Any, ...]) -> _Decode:
    """``X | None``, or ``str | int``."""
    optional = types.NoneType in kinds
    plain = tuple(kind for kind in kinds if kind is not types.NoneType)
    one = _decoder(plain[0]) if len(plain) == 1 else None

    def read(value: Any) -> Any:
        if value is None and optional:
            return None
        if one is not None:
            return one(value)
        if type(value) not in plain:
            raise ValueError(f"{value!r} has a type that is not allowed here")
        return value

    return read


def _many(item: _Decode) -> _Decode:
    def read(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{value!r} is not a list")  # noqa: TRY004 - one error for what is not in its form
        return tuple(item(each) for each in value)

    return read


def _mapping(item: _Decode) -> _Decode:
    def read(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"{value!r} is not an object")  # noqa: TRY004 - one error for what is not in its form
        return {str(key): item(each) for key, each in value.items()}

    return read


def _instant(value: Any) -> datetime:
    return parse_iso(value if isinstance(value, str) else repr(value))
