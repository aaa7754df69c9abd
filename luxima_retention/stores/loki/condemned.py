"""Lists of condemned chunks: what phase one names and phase two destroys, kept outside of Loki's prefixes.

An object is written before a table's index goes, and removed after its chunks are gone. A table with many
chunks has several lists, so that each fits into little memory.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from os import SEEK_END
from typing import Any, Self

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import StoreError
from luxima_retention.core.foreign import json_of
from luxima_retention.io.objects import ObjectStore, put
from luxima_retention.stores.loki.bucket import side_by_side
from luxima_retention.stores.loki.keys import Chunk, parse_chunk
from luxima_retention.stores.loki.scan import Names

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


class Lists:
    """Every list that was there at one moment, each read once; what they name waits on disk.

    Args:
        place: where they are.
        now_ms: see :func:`~luxima_retention.stores.loki.keys.parse_chunk`.

    Attributes:
        order: due date and name of each, the latest first.

    Raises:
        StoreError: one cannot be read, or is not one: chunks that it names would be forgotten.
    """

    def __init__(self, place: ObjectStore, now_ms: int) -> None:
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - see __exit__
        self._lists: dict[str, tuple[Condemned, int, int]] = {}
        names = [stored.name for stored in place.stored(_PREFIX)]
        try:
            for item in side_by_side(lambda name: read_one(place, name, now_ms), names):
                text = "\n".join(item.keys).encode()
                at = self._spool.seek(0, SEEK_END)
                self._spool.write(text)
                self._lists[item.name] = (replace(item, keys=()), at, len(text))
        except BaseException:
            self._spool.close()
            raise
        self.order = sorted(((item.due, name) for name, (item, _, _) in self._lists.items()), reverse=True)

    def __enter__(self) -> Self:
        """For ``with``."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give back the disk."""
        self._spool.close()

    def __iter__(self) -> Iterator[Condemned]:
        """One at a time, the latest due date first."""
        return (self[name] for _, name in self.order)

    def __getitem__(self, name: str) -> Condemned:
        """One list."""
        item, at, size = self._lists[name]
        self._spool.seek(at)
        text = self._spool.read(size).decode()
        return replace(item, keys=tuple(text.split("\n")) if text else ())

    def waiting(self, now: datetime) -> Iterator[Condemned]:
        """Those whose time has not come."""
        return (self[name] for due, name in self.order if due > now)

    def due(self, now: datetime) -> Iterator[Condemned]:
        """Those whose time has come, the oldest first."""
        return (self[name] for due, name in reversed(self.order) if due <= now)


def read_one(place: ObjectStore, name: str, now_ms: int) -> Condemned:
    """One list.

    Raises:
        StoreError: as :class:`Lists`.
    """
    try:
        return _parsed(name, json_of(b"".join(place.read(name))), now_ms)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{place.url}/{name} is not a list of condemned chunks: {error!r}",
            "restore it, or remove it: a run with --sweep finds its chunks again",
        ) from error


def _parsed(name: str, members: Any, now_ms: int) -> Condemned:
    keys = members["keys"]
    if not isinstance(keys, list):
        raise TypeError(f"keys are {type(keys).__name__}")
    for key in keys:
        if parse_chunk(key, now_ms) is None:
            raise ValueError(f"{key!r} is not the key of a chunk")
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
    """Keys on lists that decide about a chunk instead of the one that is looked at: each counts once.

    Args:
        again: keys that a table which came back names anew.
    """

    def __init__(self, again: Container[str] = ()) -> None:
        self._again = again
        self._names = Names()

    def add(self, keys: Iterable[str]) -> None:
        """Those of a list that come before the lists that are asked about from now on."""
        for key in keys:
            self._names.add(key)

    def __contains__(self, key: object) -> bool:
        """Whether another list, or a table that came back, names it."""
        return key in self._names or key in self._again
