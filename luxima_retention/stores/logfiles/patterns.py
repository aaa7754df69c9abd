"""Patterns of names, as glob(7) has them: ``*``, ``?``, ``[a-z]``, ``[^a]``, ``[[:digit:]]``."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from functools import cache

_WILD = frozenset("*?[\\")
_LISTS = frozenset("[\\")
_SLASHES = re.compile(r"/(?:\.?/)+")


def is_wild(part: str) -> bool:
    """Whether a part of a path is a pattern, rather than a name."""
    return not _WILD.isdisjoint(part)


def name_matches(name: str, pattern: str) -> bool:
    """As a shell does: a name that begins with a dot only where the pattern does."""
    if not is_wild(pattern):
        return name == pattern
    return _compiled(pattern, hidden=False)(name)


def matcher(pattern: str) -> Callable[[str], bool]:
    """:func:`name_matches` of one pattern, for many names."""
    return _compiled(pattern, hidden=False) if is_wild(pattern) else pattern.__eq__


def path_matches(path: str, pattern: str) -> bool:
    """A whole path, for legal holds, where nothing is to be held too little.

    ``*`` also takes ``/`` and a dot; a directory means all that is in it; a path with ``[`` in it may be
    meant as it is written; and two slashes, or ``/./``, are one.
    """
    pattern = _SLASHES.sub("/", pattern)
    if path == pattern or (pattern and path.startswith(pattern.rstrip("/") + "/")):
        return True
    matches = _compiled(pattern, hidden=True)
    return matches(path) or any(map(matches, _above(path)))


def _above(path: str) -> Iterator[str]:
    """The directories above, with and without a slash at their end."""
    while path := path.rpartition("/")[0]:
        yield path
        yield f"{path}/"


@cache
def _compiled(pattern: str, *, hidden: bool) -> Callable[[str], bool]:
    if _LISTS.isdisjoint(pattern):  # of * and ? alone both libraries say the same; this one already exists
        matches = re.compile(fnmatch.translate(pattern)).match
        dots = hidden or pattern.startswith(".")
        return lambda name: (dots or not name.startswith(".")) and matches(name) is not None
    import wcmatch.fnmatch

    flags = wcmatch.fnmatch.CASE | wcmatch.fnmatch.FORCEUNIX | (wcmatch.fnmatch.DOTMATCH if hidden else 0)
    return wcmatch.fnmatch.compile(pattern, flags=flags).match
