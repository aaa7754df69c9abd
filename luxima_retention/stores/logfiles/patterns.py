"""Patterns of names, as glob(7) has them: ``*``, ``?``, ``[a-z]``, ``[^a]``, ``[[:digit:]]``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wcmatch.fnmatch import WcMatcher

_WILD = frozenset("*?[\\")


def is_wild(part: str) -> bool:
    """Whether a part of a path is a pattern, rather than a name."""
    return not _WILD.isdisjoint(part)


def name_matches(name: str, pattern: str) -> bool:
    """As a shell does: a name that begins with a dot only where the pattern does."""
    if not is_wild(pattern):
        return name == pattern
    return bool(_compiled(pattern, hidden=False).match(name))


def path_matches(path: str, pattern: str) -> bool:
    """A whole path, for legal holds: ``*`` also takes ``/`` and a dot, so that nothing is held too little."""
    return bool(_compiled(pattern, hidden=True).match(path))


@cache
def _compiled(pattern: str, *, hidden: bool) -> WcMatcher[str]:
    from wcmatch import fnmatch

    flags = fnmatch.CASE | fnmatch.FORCEUNIX | (fnmatch.DOTMATCH if hidden else 0)
    return fnmatch.compile(pattern, flags=flags)
