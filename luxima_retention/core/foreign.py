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
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise ValueError("it is not YAML") from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (TypeError, AttributeError, LookupError, OverflowError) as error:
        # PyYAML makes dates, numbers and keys of texts that only look like them.
        raise ValueError(f"it holds a value that cannot be read: {error}") from error


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large for a number")
    return value
