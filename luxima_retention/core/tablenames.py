"""How tables, their functions and their rows are named, alike over a connection and over HTTPS."""

from __future__ import annotations

import csv
import hashlib
import re

from luxima_retention.core.errors import ConfigurationError

#: that is left of PostgreSQL's 63 bytes for a name beside the longest of our prefixes
_LONGEST = 63 - len("explain_")
_PLAIN = re.compile(r"[a-z0-9]+\.[a-z0-9_]+")


def function_name(table: str) -> str:
    """``core.audit_log`` as its functions are named: ``core_audit_log``.

    Where another table could have the same name, or PostgreSQL would cut it off, a digest ends it.
    """
    name = re.sub(r"[^a-z0-9_]", "_", table.lower())
    if _PLAIN.fullmatch(table) and len(name) <= _LONGEST:
        return name
    mark = hashlib.sha256(table.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - len(mark) - 1]}_{mark}"


def key_values(table: str, columns: tuple[str, ...], item: str) -> list[str]:
    """The texts of a row's key; a single column's is taken as it is, commas and all.

    Raises:
        ConfigurationError: ``item`` has not one value for each column.
    """
    values = [item] if len(columns) == 1 else next(csv.reader([item]))
    if len(values) != len(columns):
        raise ConfigurationError(
            f"{item!r} is not a key of {table}: its columns are {', '.join(columns)}",
            "give one value for each, separated by commas; quote one that holds a comma",
        )
    return values
