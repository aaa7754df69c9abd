"""The SQL of the suite: in ``sql/`` of the repository, in ``luxima_retention/sql`` of the wheel.

No other module holds SQL text.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def root() -> Traversable:
    """The directory that holds ``migrations``, ``queries`` and ``templates``."""
    packaged = files("luxima_retention") / "sql"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "sql"


@cache
def load(path: str) -> str:
    """The text of one file, named relative to ``sql/``: ``migrations/0001_retention.sql``."""
    return root().joinpath(path).read_text(encoding="utf-8")


@cache
def names(directory: str) -> tuple[str, ...]:
    """The ``.sql`` files of a directory, in order, as :func:`load` takes them."""
    found = (entry.name for entry in root().joinpath(directory).iterdir())
    return tuple(f"{directory}/{name}" for name in sorted(found) if name.endswith(".sql"))


@cache
def named(path: str) -> dict[str, str]:
    """The queries of one file by name; each begins with a line ``-- name: …``."""
    _, *pieces = _NAME.split(load(path))
    return {name: text.strip() for name, text in zip(pieces[::2], pieces[1::2], strict=True)}
