"""Environment variables that are meant to be settings and are not: a misspelt one is an error. Pure.

``LUXIMA_`` is also the company's prefix, so not every such variable is ours. Ours are those with ``__`` in
them, and ``LUXIMA_CONFIG`` and the like; what is within two letters of one of ours is a slip of the pen, and
so is what differs in the characters that join the parts of a name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

PREFIX = "LUXIMA_"
#: variables of ours that are not settings
OTHERS = ("LUXIMA_CONFIG", "LUXIMA_SECRETS_DIR", "LUXIMA_FAILPOINTS")
#: stands for any name in the path of a setting: that of a set, a tenant, a policy
ANY = "*"
#: the section whose settings stand below names that anybody may choose
_POLICIES = "policies"
#: letters by which a slip of the pen differs at most: missing, added, exchanged
_SLIP = 2
_LETTERS = frozenset(PREFIX)

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A variable that is not what it should be.

    Args:
        name: of the variable, as it is set.
        message: what is wrong, as a sentence.
        hint: the name that is meant, where one is near.
    """

    name: str
    message: str
    hint: str | None = None


def paths(model: type[BaseModel], above: Path = ()) -> Iterator[Path]:
    """The path of every setting of a section: ``("loki", "http", "ca_file")``; ``ANY`` for a free name."""
    return ((*above, *path) for path in _below(model))


@cache
def _below(model: type[BaseModel]) -> tuple[Path, ...]:
    """The same, from the section; one that stands in many others is walked once."""
    fields = model.model_fields.items()
    return tuple(path for name, field in fields for path in _of(field.annotation, (name,)))


def _of(kind: Any, here: Path) -> Iterator[Path]:
    """The settings of one field: itself, those of its section, or those of its table of named entries."""
    table = next(_tables(kind), None)
    section = next(
        (part for part in _parts(kind) if isinstance(part, type) and issubclass(part, BaseModel)), None
    )
    if table is not None:
        yield here
        for name in _names(table[0]):
            yield from _of(table[1], (*here, name))
    elif section is not None:
        yield from paths(section, here)
    else:
        yield here


def _parts(kind: Any) -> tuple[Any, ...]:
    """The type, and what it is a union of."""
    return (kind, *(() if get_origin(kind) in {tuple, dict, list} else get_args(kind)))


def _tables(kind: Any) -> Iterator[tuple[Any, Any]]:
    """The types of names and entries, where the type is a table of them."""
    return (get_args(part) for part in _parts(kind) if get_origin(part) is dict)


def _names(kind: Any) -> Iterator[str]:
    """The names that entries may have, as variables spell them; ``ANY`` where they are free."""
    fixed = get_args(kind) if get_origin(kind) is Literal else ()
    yield from (name.replace("-", "_") for name in fixed or (ANY,))


def problems(names: Iterable[str], known: Collection[Path]) -> Iterator[Problem]:
    """What is wrong with the names of the environment.

    Args:
        names: of all variables that are set.
        known: the path of every setting, as :func:`paths` gives them.
    """
    spelled = {variable(path): path for path in known if len(path) > 1}
    counted = Counter(name.upper() for name in names)
    for name in sorted(counted):
        problem = _problem(name, known, spelled)
        if problem is not None:
            yield problem
        elif name.startswith(PREFIX) and "__" in name and counted[name] > 1:
            said = f"{name} is set {counted[name]} times, in upper and lower case"
            yield Problem(name=name, message=said, hint="leave one of them")


def variable(path: Path) -> str:
    """``LUXIMA_LOKI__HTTP__CA_FILE``."""
    return PREFIX + "__".join(path).upper()


def _problem(name: str, known: Collection[Path], spelled: Collection[str]) -> Problem | None:
    if name in OTHERS or not _may_be_meant(name):
        return None
    ours = name.startswith(PREFIX)
    if ours and "__" in name:
        path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if path in known or any(_is(path, setting) for setting in known):
            return None
        meant = _meant(name, path, known, spelled)
        return Problem(name=name, message=f"{name} is not a setting", hint=_hint(meant))
    meant = _nearest(name, [*spelled, *OTHERS]) or _of_other_prefix(name, known)
    if meant is None and ours:
        meant = _of_one_underscore(name.removeprefix(PREFIX).lower(), known)
    if meant is None:
        return None
    return Problem(name=name, message=f"{name} has no effect: it is not a setting", hint=_hint(meant))


def _is(path: Path, setting: Path) -> bool:
    return len(path) == len(setting) and all(
        part == wanted or (wanted == ANY and part) for part, wanted in zip(path, setting, strict=True)
    )


def _hint(meant: str | None) -> str:
    return f"write {meant}" if meant else "see docs/settings.md for the names"


def _may_be_meant(name: str) -> bool:
    """Whether a name begins nearly as ours do; cheap, for there may be hundreds of them."""
    # Each slip of the pen costs one of the prefix's letters at most.
    if len(_LETTERS.intersection(name[: len(PREFIX) + _SLIP])) < len(_LETTERS) - _SLIP:
        return False
    return name.startswith(PREFIX) or any(
        distance(name[:length], PREFIX, _SLIP) <= _SLIP
        for length in range(len(PREFIX) - _SLIP, len(PREFIX) + _SLIP + 1)
    )


def _meant(name: str, path: Path, known: Collection[Path], spelled: Collection[str]) -> str | None:
    """The name that was meant: with the names of one's own that stand in the path filled in."""
    filled = [
        variable(_filled(path, setting)) for setting in known if len(setting) == len(path) and ANY in setting
    ]
    return _nearest(name, [*spelled, *filled])


def _filled(path: Path, setting: Path) -> Path:
    return tuple(part if wanted == ANY else wanted for part, wanted in zip(path, setting, strict=True))


def _of_other_prefix(name: str, known: Collection[Path]) -> str | None:
    """``LUXMIA_ROTATION__SETS__API__PATHS``: only the prefix is wrong, and the rest is a setting."""
    _, _, rest = name.partition("_")
    path = tuple(rest.lower().split("__"))
    return PREFIX + rest if len(path) > 1 and any(_is(path, setting) for setting in known) else None


def _of_one_underscore(rest: str, known: Collection[Path]) -> str | None:
    """``LUXIMA_POLICIES_AUDIT_LOGS_RETENTION_DAYS``: a policy's setting, with single underscores.

    Of policies only: ``LUXIMA_S3_UPLOADS_REGION`` may belong to another program of the company.
    """
    settings = (setting for setting in known if setting[0] == _POLICIES and ANY in setting)
    for setting in sorted(settings, key=len, reverse=True):
        parts = ("(.+)" if part == ANY else f"({re.escape(part)})" for part in setting)
        if found := re.fullmatch("_".join(parts), rest):
            return variable(found.groups())
    return None


def _nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that differs least: by two characters at most, or by one letter besides what joins them.

    Whoever writes every ``__`` as ``_`` differs by as many characters as a long name has parts.
    """
    letters = _letters(name)
    measured = (
        (min(distance(name, candidate, _SLIP), distance(letters, _letters(candidate), 1) + 1), candidate)
        for candidate in candidates
    )
    return min((found for found in measured if found[0] <= _SLIP), default=(0, None))[1]


def _letters(name: str) -> str:
    """A name without the characters that join its parts, or may be taken for these."""
    return name.replace("_", "").replace("-", "").replace(".", "")


def distance(left: str, right: str, limit: int) -> int:
    """Letters to add, drop, replace or swap to make one of the other; more than ``limit`` is not counted."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        before, last, row = row, before, [i]
        for j, b in enumerate(right, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]
