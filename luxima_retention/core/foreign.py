"""Reads JSON and YAML that others wrote: whatever is wrong with it is one ``ValueError``."""

from __future__ import annotations

import math
from typing import Any, NoReturn


def json_of(text: str | bytes) -> Any:
    """The value that a JSON text says.

    Args:
        text: bytes are UTF-8, UTF-16 or UTF-32, as RFC 8259 tells them apart.

    Raises:
        ValueError: it is not JSON, is nested too deeply to be read, or holds a number that no other program
            reads (``NaN``, ``Infinity``, ``1e999``).
    """
    import json

    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def yaml_of(text: str) -> Any:
    """The value that a YAML text says, with plain types only.

    Raises:
        ValueError: it is not YAML, is nested too deeply to be read, or holds a value that has no Python form.
    """
    import yaml

    try:
        _check_depth(text)
        return yaml.load(text, loader())  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise ValueError("it is not YAML") from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (TypeError, AttributeError, LookupError, OverflowError) as error:
        # PyYAML makes dates, numbers and keys of texts that only look like them.
        raise ValueError(f"it holds a value that cannot be read: {error}") from error


#: no server nests its answers as deeply; libyaml's loader overflows the stack at some ten thousand
_DEEPEST = 200


def _check_depth(text: str) -> None:
    """Count by the parser, which does not recurse, before the loader, which does."""
    import yaml

    depth = 0
    for event in yaml.parse(text, loader()):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")


def loader() -> Any:
    """PyYAML's safe loader: the one in C, where PyYAML was built with it."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large for a number")
    return value
