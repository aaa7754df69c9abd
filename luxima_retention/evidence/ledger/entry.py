"""One entry of the ledger: its members, its bytes, its place in the chain. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import TamperingFound
from luxima_retention.core.redact import redacted_tree
from luxima_retention.evidence import events
from luxima_retention.evidence.events import Event
from luxima_retention.evidence.ledger.verify import GENESIS, Chain, TamperedError, leaf_hash, parse

_LARGEST = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as it stands in the ledger.

    Args:
        seq: 1, 2, 3, … without gaps.
        at: when it was written, by the program's clock, UTC.
        kind: one of :data:`~luxima_retention.evidence.events.TYPES`, or one of a newer version.
        policy: ``None`` for an entry of no single policy.
        body: JSON object without floats and without personal data.
        previous: hash of entry ``seq - 1``, hex; ``verify.GENESIS`` for the first.
        data: the RFC 8785 bytes of all of the above.
        hash: SHA-256 of a zero byte and ``data``, hex: the entry's leaf hash in the RFC 6962 tree.
    """

    seq: int
    at: datetime
    kind: str
    policy: str | None
    body: Mapping[str, Any]
    previous: str
    data: bytes
    hash: str

    @property
    def event(self) -> Event:
        """What it says, as an object.

        Raises:
            TamperingFound: the body is not what this program writes under that kind and version.
        """
        try:
            return events.parse(self.kind, self.body)
        except ValueError as error:
            raise TamperingFound(
                f"entry {self.seq} is not what this program writes: {error}",
                "run `luxima-retention ledger verify` and compare with the newest anchor",
            ) from None


def make(event: Event, *, policy: str | None, at: datetime, seq: int, previous: str) -> Entry:
    """The entry that follows the one whose hash is ``previous``.

    Raises:
        ValueError: see :func:`compose`.
    """
    return compose(event.kind, event.body(), policy=policy, at=at, seq=seq, previous=previous)


def compose(
    kind: str, body: Mapping[str, Any], *, policy: str | None, at: datetime, seq: int, previous: str
) -> Entry:
    """An entry of these values.

    Raises:
        ValueError: the body holds a float, an instant, a key that is not ASCII, a number beyond 2^53 - 1 or
            a string that PostgreSQL cannot store. Each is a fault of the caller.
    """
    import rfc8785

    plain = redacted_tree(_plain(body, "body"))
    members = {
        "v": 1,
        "seq": seq,
        "at": iso(at),
        "kind": kind,
        "policy": policy,
        "body": plain,
        "previous": previous,
    }
    data = rfc8785.dumps(members)
    return Entry(
        seq=seq,
        at=parse_iso(members["at"]),
        kind=kind,
        policy=policy,
        body=plain,
        previous=previous,
        data=data,
        hash=leaf_hash(data).hex(),
    )


def read(data: bytes) -> Entry:
    """The entry that these bytes are; whether it stands in its place is for :func:`verify_chain`.

    Raises:
        TamperingFound: the bytes are not an entry in its canonical form.
    """
    try:
        members = parse(data)
        return Entry(
            seq=int(members["seq"]),
            at=parse_iso(members["at"]),
            kind=members["kind"],
            policy=members["policy"],
            body=members["body"],
            previous=members["previous"],
            data=data,
            hash=leaf_hash(data).hex(),
        )
    except (ValueError, TypeError) as error:
        raise TamperingFound(f"the ledger holds something that is not an entry: {error}") from error


def after(head: Entry | None) -> tuple[int, str]:
    """Sequence number and ``previous`` of the entry that would follow ``head``."""
    return (1, GENESIS) if head is None else (head.seq + 1, head.hash)


def not_before(at: datetime, newest: datetime | None) -> datetime:
    """The time of an entry that follows one of ``newest``: times in the ledger never go back.

    Entries of two processes stand in the order in which they took the head, and two machines' clocks differ:
    the later entry takes the earlier one's time then. What each clock said stands in the entries about runs.
    """
    return at if newest is None else max(at, newest)


def matches(item: Entry, kinds: Collection[str] | None, policy: str | None) -> bool:
    """Whether an entry is of one of these kinds and of this policy; ``None`` does not restrict."""
    return (kinds is None or item.kind in kinds) and (policy is None or item.policy == policy)


def verify_chain(entries: Iterable[Entry]) -> Chain:
    """Follow the whole chain from its first entry, in flat memory.

    Returns:
        The chain at its end: its length, last hash and tree.

    Raises:
        TamperingFound: the first entry that is changed, missing, doubled or out of place, by its number.
    """
    chain = Chain()
    try:
        for entry in entries:
            chain.add(entry.data, entry.hash)
    except TamperedError as error:
        raise TamperingFound(f"the ledger was changed: {error}") from error
    return chain


def _plain(value: Any, place: str) -> Any:
    """``value`` as plain JSON values, or a ``ValueError`` that names the place of what is none."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _number(int(value), place)
    if isinstance(value, str):
        return _text(str.__str__(value), place)
    if isinstance(value, Mapping):
        return {_key(key, place): _plain(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{place}[{index}]") for index, item in enumerate(value)]
    raise ValueError(f"{place} is of type {type(value).__name__}, which the ledger does not take")


def _number(value: int, place: str) -> int:
    if abs(value) > _LARGEST:
        raise ValueError(f"{place} is {value}, beyond what every JSON reader keeps exactly")
    return value


def _text(value: str, place: str) -> str:
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError(f"{place} holds a zero byte or half a character")
    return value


def _key(key: Any, place: str) -> str:
    if not isinstance(key, str) or not key.isascii() or not key.isprintable():
        raise ValueError(f"{place} has the key {key!r}; keys are printable ASCII")
    return str(key)
