"""Lists of condemned chunks: what phase one names and phase two destroys, kept outside of Loki's prefixes.

An object is written before a table's index goes, and removed after its chunks are gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import StoreError
from luxima_retention.io.objects import ObjectStore, put
from luxima_retention.stores.loki.keys import parse_chunk

_PREFIX = "condemned/"


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
    """Every list.

    Args:
        place: where they are.
        now_ms: see :func:`~luxima_retention.stores.loki.keys.parse_chunk`.

    Raises:
        StoreError: one cannot be read, or is not one: chunks that it names would be forgotten.
    """
    for stored in place.stored(_PREFIX):
        try:
            yield _parsed(stored.name, json.loads(b"".join(place.read(stored.name))), now_ms)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{place.url}/{stored.name} is no list of condemned chunks: {error!r}",
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
