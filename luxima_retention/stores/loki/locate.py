"""Where keys are in the buckets, at few requests: pages of a listing beside the sorted keys.

Chunks lie by stream, and expire by day. Where days of a backlog lie side by side, one page shows what many
batches will ask for; so what a page showed is remembered, in sixteen bytes for a key, and pages of what
expires are read on to their end.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from luxima_retention.core.errors import StoreError
from luxima_retention.io.listing import rows
from luxima_retention.stores.loki.bucket import ABREAST, BATCH, Buckets
from luxima_retention.stores.loki.keys import instant, milliseconds

#: keys that are remembered at most: 32 MiB
_MOST = 2_000_000
#: keys that are looked for one page after the other, before others are looked for beside them
_SLICE = 100
_FIRST_PAGE = 64
#: what comes after every key below a directory
_END = "\U0010ffff"


@dataclass(slots=True, kw_only=True)
class Located:
    """A key that is in a bucket.

    Args:
        modified: when its newest version was uploaded.
        versions: of it and of markers that hide it; ``None`` where the bucket keeps none.
    """

    modified: datetime
    versions: list[str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What one page showed: every key after ``first`` up to ``last``.

    Args:
        first: before its first key.
        last: its last key, or what comes after all of them.
        hashes: of its keys, sorted.
        modified: of each, Unix milliseconds.
    """

    first: str
    last: str
    hashes: array[int]
    modified: array[int]

    @classmethod
    def of(cls, first: str, last: str, items: Iterable[tuple[str, datetime]]) -> _Shown:
        pairs = sorted((hash(key), milliseconds(modified)) for key, modified in items)
        return cls(
            first=first,
            last=last,
            hashes=array("q", (one for one, _ in pairs)),
            modified=array("q", (two for _, two in pairs)),
        )

    def find(self, wire: str) -> Located | None:
        """By hash: two keys of one hash in 2**64 are taken for the same."""
        wanted = hash(wire)
        at = bisect_left(self.hashes, wanted)
        if at == len(self.hashes) or self.hashes[at] != wanted:
            return None
        return Located(modified=instant(self.modified[at]), versions=[None])


@dataclass(slots=True, kw_only=True)
class _Memory:
    """The pages of one bucket, by where they begin."""

    shown: list[_Shown] = field(default_factory=list)
    begin: list[str] = field(default_factory=list)

    def add(self, pages: Iterable[_Shown]) -> None:
        self.shown = sorted([*self.shown, *pages], key=lambda page: page.first)
        self.begin = [page.first for page in self.shown]

    def knows(self, wire: str) -> bool:
        """Whether what comes after a key has been shown."""
        at = bisect_right(self.begin, wire) - 1
        return at >= 0 and self.shown[at].last > wire

    def split(self, wires: Iterable[str]) -> tuple[dict[str, Located], list[str]]:
        """What is known of keys, and those of which nothing is."""
        found, unknown = dict[str, Located](), []
        for wire in wires:
            at = bisect_left(self.begin, wire) - 1
            page = self.shown[at] if at >= 0 else None
            if page is None or page.last < wire:
                unknown.append(wire)
            elif (known := page.find(wire)) is not None:
                found[wire] = known
        return found, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    """Keys that are looked for one page after the other.

    Args:
        area: what is listed in the order of its keys.
        wires: the keys, sorted.
        until: where the next ones begin; empty after the last of them.
    """

    area: str
    wires: list[str]
    until: str


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One way through an area of a bucket.

    Args:
        found: of the keys that were wanted.
        shown: pages to remember.
    """

    found: dict[str, Located] = field(default_factory=dict)
    shown: list[_Shown] = field(default_factory=list)


class Looker:
    """Looks for keys, which are chunks' or in one directory of the index.

    Costs a request for each thousand keys where they lie side by side, and one for each stream where what is
    kept lies between them.

    Args:
        buckets: where.
        soon: whether a key will be looked for later; pages of such keys are read on. What a page showed is
            taken for true from then on, so a looker is for one walk. Versions are not remembered.
    """

    def __init__(self, buckets: Buckets, soon: Callable[[str], bool] | None = None) -> None:
        self._buckets = buckets
        self._soon = soon
        self._memory = {bucket: _Memory() for bucket in buckets.names}

    def locate(self, keys: Iterable[str]) -> dict[str, dict[str, Located]]:
        """Bucket → key → what is there."""
        names = {self._buckets.wire(key): key for key in keys}
        return {
            bucket: {names[wire]: item for wire, item in self._located(bucket, sorted(names)).items()}
            for bucket in self._buckets.names
        }

    def _room(self) -> int:
        """Pages that each of the walks side by side may remember."""
        kept = sum(len(page.hashes) for memory in self._memory.values() for page in memory.shown)
        return max(0, _MOST - kept) // BATCH // ABREAST

    def _located(self, bucket: str, wires: Sequence[str]) -> dict[str, Located]:
        memory = self._memory[bucket]
        found, unknown = memory.split(wires)
        slices = [
            _Slice(area=area, wires=some[at : at + step], until=(*some[at + step :][:1], "")[0])
            for area, group in groupby(unknown, key=self._buckets.area)
            if (some := list(group))
            for step in [max(_SLICE, -(-len(some) // ABREAST))]
            for at in range(0, len(some), step)
        ]
        room = 0 if bucket in self._buckets.versioned else self._room()
        with ThreadPoolExecutor(ABREAST) as pool:
            walks = list(pool.map(lambda one: self._walk(bucket, one, room), slices))
        memory.add(page for walk in walks for page in walk.shown)
        for walk in walks:
            found |= walk.found
        return found

    def _walk(self, bucket: str, part: _Slice, room: int) -> _Walk:
        """Go through a part of an area beside the sorted keys; jump over what nobody looks for."""
        soon = self._soon if room else None
        versioned = bucket in self._buckets.versioned
        marker = "KeyMarker" if versioned else "StartAfter"
        wanted, walk, at, size = set(part.wires), _Walk(), 0, _FIRST_PAGE if soon is None else BATCH
        where: dict[str, Any] = {marker: part.wires[0][:-1]}
        while True:
            page = self._page(bucket, part.area, size, where)
            items = _items(page)
            hits = _collect(items, wanted, walk.found)
            after = _next(page, marker, items) if page["IsTruncated"] else None
            last = part.area + _END if after is None else after[marker]
            if soon is not None:
                shown = [(key, modified) for key, modified, _ in items]
                walk.shown.append(_Shown.of(where[marker], last, shown))
                hits = sum(1 for key, _ in shown if soon(key))
                soon = soon if len(walk.shown) < room else None
            if after is None:
                return walk
            _check_order(bucket, part.area, marker, where, after)
            where = after
            # The versions of the last key may go on at the next page.
            at = (bisect_left if versioned else bisect_right)(part.wires, last, at)
            more = soon is not None and hits * 2 > len(items) and last < part.until
            if not more or self._memory[bucket].knows(last):
                if at == len(part.wires):
                    return walk
                if part.wires[at][:-1] > last:
                    where = {marker: part.wires[at][:-1]}
            # A key on a page costs a twentieth of a request, about.
            size = _size_after(size, hits)

    def _page(self, bucket: str, area: str, size: int, where: Mapping[str, Any]) -> Mapping[str, Any]:
        client, versioned = self._buckets.client, bucket in self._buckets.versioned
        ask = client.list_object_versions if versioned else client.list_objects_v2
        page: Mapping[str, Any] = self._buckets.call(
            bucket, ask, Bucket=bucket, Prefix=area, MaxKeys=size, **where
        )
        if "IsTruncated" not in page:
            raise StoreError(f"the listing of s3://{bucket}/{area} is not whole: a page without an end")
        return page


def _items(page: Mapping[str, Any]) -> list[tuple[str, datetime, str | None]]:
    """Key, instant and version of everything on a page."""
    items: list[tuple[str, datetime, str | None]] = [(key, when, None) for key, _, when in rows(page)]
    for kind in ("Versions", "DeleteMarkers"):
        items += [(item["Key"], item["LastModified"], item["VersionId"]) for item in page.get(kind, ())]
    return items


def _collect(
    items: Iterable[tuple[str, datetime, str | None]], wanted: set[str], found: dict[str, Located]
) -> int:
    """Take what is wanted; how many items that were."""
    hits = 0
    for key, modified, version in items:
        if key in wanted:
            hits += 1
            known = found.setdefault(key, Located(modified=modified, versions=[]))
            known.versions.append(version)
            known.modified = max(known.modified, modified)
    return hits


def _next(page: Mapping[str, Any], marker: str, items: Sequence[tuple[str, Any, Any]]) -> dict[str, Any]:
    """Parameters of the page after this one."""
    if marker == "StartAfter":
        return {marker: items[-1][0] if items else ""}
    return {marker: page.get("NextKeyMarker", ""), "VersionIdMarker": page.get("NextVersionIdMarker", "")}


def _check_order(
    bucket: str, area: str, marker: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    if after[marker] < before[marker] or after == before:
        raise StoreError(
            f"the listing of s3://{bucket}/{area} does not continue after {before[marker]}",
            "services that list in no order, or from the beginning only, are not supported",
        )


def _size_after(size: int, hits: int) -> int:
    """Of the next page: large where most keys of this one were looked for, small where few were."""
    if hits * 2 > size:
        return BATCH
    return min(BATCH, size * 4) if hits * 20 > size else max(16, size // 2)
