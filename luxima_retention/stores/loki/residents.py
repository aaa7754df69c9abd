"""What else is in Loki's buckets: whether they are Loki's at all, and what no table of the index names.

Sources: Loki documentation, "Storage" and "Configuration" (dataobj, bloom_build, ruler_storage, compactor);
objects of Loki 3.4 and of its main branch of August 2026.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from luxima_retention.core.plan import Finding, Level
from luxima_retention.stores.loki.bucket import Buckets, Object
from luxima_retention.stores.loki.keys import is_tenant, looks_like_chunk, parse_chunk

#: directories that other parts of Loki write: they hold no lines, or lines that Loki keeps by itself
_OTHERS = ("__deletion_manifest__", "bloom", "pattern", "patterns", "rules")
_DATA = "dataobj"
_OURS = "luxima-retention"
_SHOWN = 5


@dataclass(slots=True, kw_only=True)
class Residents:
    """What was found at the root of the buckets.

    Args:
        empty: buckets without any object.
        others: directories of other parts of Loki.
        data_objects: objects with lines that only newer Lokis can read.
        strange: directories of chunks whose tenants' names are not known as such.
        strange_objects: how many objects of theirs one look showed.
        seen: how many objects of others one look showed, where no table was recognised.
        chunks_only: whether all of these are chunks.
    """

    empty: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    data_objects: int = 0
    strange: list[str] = field(default_factory=list)
    strange_objects: int = 0
    seen: int = 0
    chunks_only: bool = True

    @property
    def unknown(self) -> int:
        """Objects that may hold expired lines, and that are not looked into."""
        return self.data_objects + self.strange_objects


def residents(buckets: Buckets, index_path: str, now_ms: int, *, recognised: bool) -> Residents:
    """Look at the root of every bucket; costs a request or two for each.

    Args:
        buckets: of Loki.
        index_path: ``index/``.
        now_ms: see :func:`~luxima_retention.stores.loki.keys.parse_chunk`.
        recognised: whether any table of the index is.
    """
    found = Residents()
    for name in buckets.directories(""):
        if name == _DATA:
            found.data_objects += sum(
                1 for item in buckets.objects(f"{name}/") if not _is_chunk(item, now_ms)
            )
        elif name in _OTHERS:
            if any(not _is_chunk(item, now_ms) for item in buckets.some(f"{name}/")):
                found.others.append(f"{name}/")
        elif not is_tenant(name) and not index_path.startswith(f"{name}/"):
            like = sum(looks_like_chunk(item.key) for item in buckets.some(f"{name}/"))
            found.strange += [f"{name}/"] if like else []
            found.strange_objects += like
    if len(buckets.names) > 1 or not recognised:
        _look_inside(buckets, found, now_ms)
    return found


def _look_inside(buckets: Buckets, found: Residents, now_ms: int) -> None:
    for bucket in buckets.names:
        some = [item for item in buckets.some("", bucket=bucket) if not item.key.startswith(f"{_OURS}/")]
        if not some:
            found.empty.append(bucket)
        found.seen += len(some)
        found.chunks_only = found.chunks_only and all(_is_chunk(item, now_ms) for item in some)


def _is_chunk(item: Object, now_ms: int) -> bool:
    return parse_chunk(item.key, now_ms) is not None


def no_index(buckets: Buckets, found: Residents, index_path: str, unnamed: list[str]) -> Finding:
    """What is said of buckets in which no table of the index was recognised."""
    names = ", ".join(buckets.names)
    if not found.seen:
        below = buckets.wire("")
        return Finding(
            code="empty-bucket",
            level=Level.FAILED,
            message=f"there is no object in {names}"
            + (f" below {below}" if below else "")
            + ", where Loki should have written",
            hint="correct the policy's buckets or object_prefix, or endpoint_url of its section s3",
        )
    tables = f"; tables there are called {', '.join(unnamed[:_SHOWN])}" if unnamed else ""
    return Finding(
        code="no-index",
        level=Level.FAILED,
        message=f"{names} holds objects, but no index table by periods below {buckets.wire(index_path)}"
        + tables,
        hint="correct object_prefix, index_path or the prefix of periods, or set url to read them from Loki",
    )


def told(found: Residents, level: Level = Level.WARNING) -> Iterator[Finding]:
    """What is left alone, and what of it keeps the run from saying that nothing expired is left.

    Args:
        found: at the root.
        level: of what is unknown; the survey counts it, too.
    """
    if found.data_objects:
        yield Finding(
            code="data-objects",
            level=level,
            message=f"{found.data_objects} data objects below {_DATA}/ hold lines of unknown age",
            hint="let Loki's own retention of data objects work, or move them out of these buckets",
        )
    if found.strange:
        yield Finding(
            code="strange-tenants",
            level=level,
            message=f"{found.strange_objects} or more chunks are of tenants whose names Loki does not allow"
            f" today: {', '.join(found.strange[:_SHOWN])}",
            hint="delete them by hand, or with the Loki that wrote them",
        )
    if found.others:
        yield Finding(
            code="other-objects",
            level=Level.INFO,
            message=f"also in the buckets, and left alone: {', '.join(found.others)}",
        )
    if found.empty:
        yield Finding(
            code="empty-bucket",
            level=Level.WARNING,
            message=f"there is no object in {', '.join(found.empty)}",
            hint="correct the policy's buckets, unless it is of a period that has passed or has not begun",
        )
