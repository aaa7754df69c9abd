"""Lists of condemned chunks: what phase one names and phase two destroys, kept outside of Loki's prefixes.

An object is written before a table's index goes, and removed after its chunks are gone. A table with many
chunks has several lists, so that each fits into little memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import StoreError
from luxima_retention.core.foreign import json_of
from luxima_retention.io.objects import ObjectStore, put
from luxima_retention.stores.loki.keys import Chunk, parse_chunk

_PREFIX = "condemned/"
#: chunks of one list
LENGTH = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Condemned:
    """One list.

    Args:
        name: of the object.
        due: from then on its chunks may be destroyed.
        keys: of the chunks.
        kib: uncompressed size of all of them, as the index says; 0 where it does not.
    """

    name: str
    due: datetime
    keys: tuple[str, ...]
    kib: int = 0


def name_of(what: str, run_id: str, keys: Iterable[str]) -> str:
    """The name of a list; the same only for a resumed run that condemns the same chunks again."""
    digest = hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()
    return f"{_PREFIX}{what}-{run_id}-{digest[:8]}.json"


def write(place: ObjectStore, item: Condemned) -> None:
    """Store a list, durably; one of the same name is replaced.

    Raises:
        StoreError: it cannot be written.
    """
    members = {"v": 1, "due": iso(item.due), "kib": item.kib, "keys": sorted(item.keys)}
    put(place, item.name, json.dumps(members, separators=(",", ":")).encode())


def read(place: ObjectStore, now_ms: int) -> Iterator[Condemned]:
    """Every list, one at a time.

    Args:
        place: where they are.
        now_ms: see :func:`~luxima_retention.stores.loki.keys.parse_chunk`.

    Raises:
        StoreError: one cannot be read, or is not one: chunks that it names would be forgotten.
    """
    for stored in place.stored(_PREFIX):
        yield read_one(place, stored.name, now_ms)


def read_one(place: ObjectStore, name: str, now_ms: int) -> Condemned:
    """One list.

    Raises:
        StoreError: as :func:`read`.
    """
    try:
        return _parsed(name, json_of(b"".join(place.read(name))), now_ms)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{place.url}/{name} is no list of condemned chunks: {error!r}",
            "restore it, or remove it: a run with --sweep finds its chunks again",
        ) from error


def _parsed(name: str, members: Any, now_ms: int) -> Condemned:
    keys = members["keys"]
    if not isinstance(keys, list):
        raise TypeError(f"keys are {type(keys).__name__}")
    for key in keys:
        if parse_chunk(key, now_ms) is None:
            raise ValueError(f"{key!r} is no key of a chunk")
    return Condemned(name=name, due=parse_iso(members["due"]), keys=tuple(keys), kib=int(members["kib"]))


# --- what may be done about them now ---------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Judged:
    """A list of condemned chunks, and what may be done about it now.

    Args:
        item: the list.
        due: chunks that may be destroyed.
        waiting: how many have a time that has not come.
        rest: what must stay on the list besides, because it is held, may still be named, or has not
            expired under the periods of today.
        fresh: those of ``rest`` that have not expired.
        held: those of ``rest`` that a hold keeps.
        stuck: those of ``rest`` that an index file which cannot be read may name.
    """

    item: Condemned
    due: list[str] = field(default_factory=list)
    waiting: int = 0
    rest: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    held: int = 0
    stuck: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What decides about a listed chunk, in this order.

    Args:
        now: lists that are due later wait.
        expired: whether it has, under the periods of today.
        elsewhere: keys that are counted, or decided about, elsewhere: condemned anew, or on a later list.
        named: keys that a kept index file names.
        held: whether a hold keeps it.
        blocked: whether an index file that is not read may name it.
    """

    now: datetime
    expired: Callable[[Chunk], bool]
    elsewhere: Container[str]
    named: Container[str]
    held: Callable[[Chunk], bool]
    blocked: Callable[[Chunk], bool]


def judge(item: Condemned, rule: Rule, now_ms: int) -> Judged:
    """Sort the chunks of a list."""
    judged = Judged(item=item)
    for key in item.keys:
        chunk = parse_chunk(key, now_ms)
        if chunk is None or key in rule.elsewhere:
            continue
        if not rule.expired(chunk):
            judged.rest.append(key)
            judged.fresh.append(key)
        elif key in rule.named:
            judged.rest.append(key)
        elif rule.held(chunk):
            judged.rest.append(key)
            judged.held += 1
        elif item.due > rule.now:
            judged.waiting += 1
        elif rule.blocked(chunk):
            judged.rest.append(key)
            judged.stuck += 1
        else:
            judged.due.append(key)
    return judged


class OnLater:
    """Keys on lists whose time has not come: a chunk goes with the latest list that names it.

    Args:
        again: keys that a table which came back names anew.
    """

    def __init__(self, again: Container[str] = ()) -> None:
        self._again = again
        self._hashes: set[int] = set()

    def add(self, keys: Iterable[str]) -> None:
        """A list that is due later than those that are asked about from now on."""
        self._hashes.update(map(hash, keys))

    def __contains__(self, key: object) -> bool:
        """Whether a later list, or a table that came back, names it."""
        return hash(key) in self._hashes or key in self._again


def by_due(place: ObjectStore, now_ms: int) -> list[tuple[datetime, str]]:
    """Due date and name of every list, the latest first; what they name is forgotten again.

    Raises:
        StoreError: as :func:`read`.
    """
    return sorted(((item.due, item.name) for item in read(place, now_ms)), reverse=True)
