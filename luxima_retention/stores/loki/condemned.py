"""Lists of condemned chunks: what phase one names and phase two destroys, kept outside of Loki's prefixes.

One object for each table and run, written before the table's index goes, removed after its chunks are gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from luxima_retention.clock import iso, parse_iso
from luxima_retention.errors import StoreError
from luxima_retention.places import Place, put

_PREFIX = "condemned/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condemned:
    """One list.

    Args:
        name: of the object.
        day: number of the first table that was kept when it was written; what the list names is referred
            to by older tables only.
        due: from then on its chunks may be destroyed.
        keys: of the chunks.
        kib: uncompressed size of all of them, as the index says; 0 where it does not.
    """

    name: str
    day: int
    due: datetime
    keys: tuple[str, ...]
    kib: int = 0


def name_of(table: str, run_id: str) -> str:
    """The name of a table's list; the same when a run is resumed."""
    return f"{_PREFIX}{table}-{run_id}.json"


def write(place: Place, item: Condemned) -> None:
    """Store a list, durably; one of the same name is replaced.

    Raises:
        StoreError: it cannot be written.
    """
    members = {"v": 1, "day": item.day, "due": iso(item.due), "kib": item.kib, "keys": sorted(item.keys)}
    put(place, item.name, json.dumps(members, separators=(",", ":")).encode())


def read(place: Place) -> Iterator[Condemned]:
    """Every list.

    Raises:
        StoreError: one cannot be read, or is not one: chunks that it names would be forgotten.
    """
    for stored in place.stored(_PREFIX):
        try:
            members = json.loads(b"".join(place.read(stored.name)))
            yield Condemned(
                name=stored.name,
                day=int(members["day"]),
                due=parse_iso(members["due"]),
                keys=tuple(members["keys"]),
                kib=int(members["kib"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{place.url}/{stored.name} is no list of condemned chunks: {error!r}"
            ) from error
