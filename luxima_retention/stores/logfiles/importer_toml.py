"""What was imported as a settings file, which the configuration reads back as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from luxima_retention.stores.logfiles.importer import Imported, ImportedSet

_HEAD = """\
# From logrotate's configuration. What has no counterpart is named above each set.
"""
_EXPIRES = {
    False: """\
# Rotated files go by keep and max_age_days alone (expire = false). With expire = true they also go after
# policies.log_files.retention_days, which needs a ledger: see ledger.path.
""",
    True: """\
# Rotated files also go after policies.log_files.retention_days, which needs a ledger: see ledger.path.
""",
}
_ZONE = """
[rotation]
time_zone = "local" # days begin and names are dated in the machine's zone, as with logrotate
"""
#: characters that the text of a comment or a multi-line string may not have
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def render(imported: Imported, *, expires: bool = False) -> str:
    """One TOML document; without any set only its comments.

    Args:
        imported: the sets.
        expires: as they were imported.
    """
    parts = [
        _HEAD,
        _EXPIRES[expires],
        *(_comment(str(note)) for note in imported.notes),
        _ZONE if imported.sets else "",
    ]
    for item in imported.sets:
        parts += ["\n", *_set(item)]
    return "".join(parts)


def _set(item: ImportedSet) -> Iterator[str]:
    yield _comment(f"{item.file}:{item.line}")
    for note in item.notes:
        yield _comment(f"note: {note}")
    table = f"rotation.sets.{_key(item.name)}"
    yield f"[{table}]\n"
    for key, value in item.values.items():
        if not _is_hooks(value):
            yield f"{key} = {_value(value)}\n"
    for key, value in item.values.items():
        for hook in value if _is_hooks(value) else ():
            yield f"\n[[{table}.{key}]]\n"
            yield from (f"{name} = {_value(part)}\n" for name, part in hook.items())


def _is_hooks(value: Any) -> bool:
    return isinstance(value, list) and isinstance(value[0], Mapping)


def _comment(text: str) -> str:
    shown = text.encode("utf-8", "backslashreplace").decode()
    return "# " + re.sub(r"[\x00-\x1f\x7f]", " ", shown) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _string(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    text = str(value)
    if "\n" in text and "'''" not in text and not text.endswith("'") and not _CONTROL.search(text):
        return f"'''\n{text}'''"
    return _string(text)


def _string(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
