"""Legal holds: one register, honoured by every store.

The register is table ``retention.hold`` where ``database.dsn`` is set, else a file beside the file
ledger. The ledger's ``hold.placed`` and ``hold.released`` are the truth: they repeat each hold's digest,
never its words, which may name people. A register that says anything else is not believed: it lacks a hold,
shows another one, or one that nobody placed, or calls one released that is not. Releasing deletes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import ConfigurationError, StoreError, TamperingFound
from luxima_retention.core.foreign import json_of
from luxima_retention.core.plan import Hold, digest
from luxima_retention.evidence.codec import decode
from luxima_retention.evidence.events import HoldPlaced, HoldReleased
from luxima_retention.io.sqlfiles import named

if TYPE_CHECKING:
    import psycopg

    from luxima_retention.evidence.ledger import Entry, Ledger

#: what the ledger says of holds
KINDS = frozenset({HoldPlaced.kind, HoldReleased.kind})
_COMPARE = "find out who changed it; `luxima-retention ledger list --kind hold.placed` says what was placed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The end of a hold."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A hold as it stands in the register."""

    hold: Hold
    released: Release | None = None


class Register(Protocol):
    """Where holds are kept. Every method raises ``StoreError`` when the register cannot be used."""

    def all(self, *, active: bool = True) -> tuple[Registered, ...]:
        """The holds in force, or every hold there ever was, oldest first.

        Raises:
            TamperingFound: it is not what the ledger says.
        """

    def place(self, hold: Hold, ledger: Ledger) -> None:
        """Put a hold in force, and into the ledger.

        Raises:
            ConfigurationError: its id is taken.
        """

    def release(self, hold_id: str, release: Release, ledger: Ledger) -> None:
        """End a hold, and say so in the ledger.

        Raises:
            ConfigurationError: no such hold is in force.
            TamperingFound: the ledger does not say that this hold was placed.
        """

    def close(self) -> None:
        """Give back connections; may be called twice."""


def in_force(register: Register, policy: str | None = None) -> tuple[Hold, ...]:
    """The active holds, or those of them that cover ``policy``."""
    holds = (registered.hold for registered in register.all())
    return tuple(hold for hold in holds if policy is None or hold.covers(policy))


def readable_holds(register: Register | None, policy: str) -> tuple[Hold, ...] | None:
    """The active holds of a policy; ``None`` where the register cannot be read, nothing where there is none.

    For work that a hold may only narrow: whoever gets ``None`` removes nothing, and says so.
    """
    if register is None:
        return ()
    try:
        return in_force(register, policy)
    except (StoreError, TamperingFound):
        return None


def to_json(hold: Hold) -> dict[str, Any]:
    """A hold as JSON values."""
    return {key: iso(value) if isinstance(value, datetime) else value for key, value in asdict(hold).items()}


def placed(hold: Hold) -> HoldPlaced:
    """What the ledger says about a hold: no words of people, but a digest that pins them."""
    return HoldPlaced(
        hold_id=hold.hold_id,
        dimensions=tuple(sorted(hold.dimensions())),
        start=hold.start,
        end=hold.end,
        review_by=hold.review_by,
        sha256=digest(to_json(hold)),
    )


class Told:
    """What the ledger says of holds, entry after entry. Pure.

    Only the first placing of a hold counts, and only a release after it.

    Attributes:
        seq: of the last entry that was looked at.
    """

    def __init__(self) -> None:
        self.seq = 0
        self._placed: dict[str, HoldPlaced] = {}
        self._released: set[str] = set()
        self._twice: set[str] = set()
        self._strays: set[str] = set()

    def add(self, entry: Entry) -> None:
        """The next entry of one of :data:`KINDS`.

        Raises:
            StoreError: a newer version has written it.
            TamperingFound: no version has.
        """
        event = entry.event
        if isinstance(event, HoldPlaced):
            (self._twice.add if event.hold_id in self._placed else self._strays.discard)(event.hold_id)
            self._placed.setdefault(event.hold_id, event)
        elif isinstance(event, HoldReleased):
            (self._released if event.hold_id in self._placed else self._strays).add(event.hold_id)
        else:
            raise StoreError(
                f"entry {entry.seq} is about a hold, and was written by a newer version",
                "upgrade the installation",
            )
        self.seq = entry.seq

    def knows(self, hold_id: str) -> bool:
        """Whether such a hold was ever placed."""
        return hold_id in self._placed

    def differences(self, found: Iterable[Registered]) -> Iterator[str]:
        """What a register, ``it``, says otherwise."""
        rows = {item.hold.hold_id: item for item in found}
        for hold_id, event in self._placed.items():
            if said := _difference(event, rows.get(hold_id), released=hold_id in self._released):
                yield said
        for hold_id in sorted(rows.keys() - self._placed.keys()):
            yield f"it shows hold {hold_id}, which the ledger does not know"
        for hold_id in sorted(self._twice):
            yield f"the ledger places hold {hold_id} twice"
        for hold_id in sorted(self._strays):
            yield f"the ledger releases hold {hold_id}, which was not placed before"

    def compare(self, found: Iterable[Registered], where: str) -> None:
        """Make sure that a register says what the ledger says.

        Args:
            found: every hold that there ever was.
            where: the register, for people.

        Raises:
            TamperingFound: it does not.
        """
        if said := list(self.differences(found)):
            raise TamperingFound(f"{where} does not agree with the ledger: {'; '.join(said)}", _COMPARE)

    def check_placed(self, hold: Hold) -> None:
        """Make sure that a hold that is about to end is the one that was placed.

        Raises:
            TamperingFound: it is not.
        """
        if self._placed.get(hold.hold_id) != placed(hold):
            raise TamperingFound(
                f"hold {hold.hold_id} cannot be released: the ledger says otherwise of its placing",
                _COMPARE,
            )


def _difference(event: HoldPlaced, row: Registered | None, *, released: bool) -> str | None:
    """What a register says otherwise than the ledger of one hold that was placed."""
    if row is None:
        return f"it lacks hold {event.hold_id}, which the ledger places"
    if placed(row.hold) != event:
        return f"it shows hold {event.hold_id} otherwise than it was placed"
    if row.released is not None and not released:
        return f"it shows hold {event.hold_id} as released, and the ledger has no release of it"
    if row.released is None and released:
        return f"it shows hold {event.hold_id} as in force, but it was released by an entry of the ledger"
    return None


class PostgresRegister:
    """Table ``retention.hold``, compared with table ``retention.ledger`` in one snapshot.

    Args:
        dsn: where schema ``retention`` is; connected to at first use.
        deadline: of the run.
    """

    def __init__(self, dsn: str, deadline: Deadline = UNLIMITED) -> None:
        self._dsn = dsn
        self._deadline = deadline
        self._own: psycopg.Connection[Any] | None = None
        self._told = Told()
        self._rows: list[tuple[Any, ...]] = []
        self._found: tuple[Registered, ...] = ()
        self._agreed = False

    def all(self, *, active: bool = True) -> tuple[Registered, ...]:
        """See :class:`Register`."""
        found = self._read()
        if not self._agreed:
            self._told.compare(found, "the hold register")
            self._agreed = True
        return tuple(item for item in found if item.released is None or not active)

    def place(self, hold: Hold, ledger: Ledger) -> None:
        """See :class:`Register`. Row and entry become final together."""
        import psycopg

        try:
            with self._transaction(f"hold {hold.hold_id} cannot be placed") as connection:
                connection.execute(_sql("place"), asdict(hold))
                ledger.append(placed(hold), policy=hold.policy, at=_placed_at(hold), inside=connection)
        except StoreError as error:
            if isinstance(error.__cause__, psycopg.errors.UniqueViolation):
                raise _taken(hold.hold_id) from None
            raise

    def release(self, hold_id: str, release: Release, ledger: Ledger) -> None:
        """See :class:`Register`. Row and entry become final together."""
        found = _find(self._read(), hold_id)
        self._told.check_placed(found)
        values = {"hold_id": hold_id, "at": release.at, "by": release.by, "reason": release.reason}
        with self._transaction(f"hold {hold_id} cannot be released") as connection:
            if connection.execute(_sql("release"), values).fetchone() != (True,):
                raise _unknown(hold_id)
            released = HoldReleased(hold_id=hold_id)
            ledger.append(released, policy=found.policy, at=release.at, inside=connection)

    def close(self) -> None:
        """See :class:`Register`."""
        if self._own is not None:
            self._own.close()

    def _read(self) -> tuple[Registered, ...]:
        """Every hold, as it stands there, and what the ledger has said since it was last asked.

        Each batch asks, and thousands of holds take half a second to read and compare: what has not changed
        since it was compared is not compared again.
        """
        from luxima_retention.evidence.ledger.postgres import entry_of

        with self._transaction("the hold register cannot be read") as connection:
            connection.execute(_sql("one_snapshot"))
            rows = connection.execute(_sql("holds")).fetchall()
            entries = connection.execute(_sql("hold_entries"), {"after": self._told.seq}).fetchall()
        told = [entry for entry in map(entry_of, entries) if entry.kind in KINDS]
        for entry in told:
            self._told.add(entry)
        if told or rows != self._rows:
            self._rows, self._agreed = rows, False
            self._found = tuple(_registered(row) for row in rows)
        return self._found

    @contextmanager
    def _transaction(self, sentence: str) -> Iterator[psycopg.Connection[Any]]:
        from luxima_retention.io.postgres import connect, errors

        if self._own is None or self._own.closed:
            self._own = connect(self._dsn, purpose="holds", deadline=self._deadline)
        with errors(sentence), self._own.transaction():
            yield self._own


class FileRegister:
    """A JSON file beside the file ledger, replaced as a whole; the ledger vouches for it.

    Args:
        path: of the register.
        ledger: the file ledger; read each time the register is.
    """

    def __init__(self, path: Path, ledger: Ledger) -> None:
        self._path = path
        self._ledger = ledger

    def all(self, *, active: bool = True) -> tuple[Registered, ...]:
        """See :class:`Register`. A hold that the ledger does not know yet counts all the same.

        Placing writes the file first: a process that is killed in between leaves such a hold.
        """
        found = self._read()
        told = self._told()
        known = tuple(item for item in found if told.knows(item.hold.hold_id))
        told.compare(known, f"the hold register {self._path}")
        return tuple(item for item in found if item.released is None or not active)

    def place(self, hold: Hold, ledger: Ledger) -> None:
        """See :class:`Register`. The file first: killed in between, the hold is in force.

        It may be placed again then.
        """
        if self._told().knows(hold.hold_id):
            raise _taken(hold.hold_id)
        others = (item for item in self._read() if item.hold.hold_id != hold.hold_id)
        self._write((*others, Registered(hold=hold)))
        ledger.append(placed(hold), policy=hold.policy, at=_placed_at(hold))

    def release(self, hold_id: str, release: Release, ledger: Ledger) -> None:
        """See :class:`Register`. The ledger first: killed in between, the release has to be repeated."""
        found = self._read()
        hold = _find(found, hold_id)
        self._told().check_placed(hold)
        ledger.append(HoldReleased(hold_id=hold_id), policy=hold.policy, at=release.at)
        self._write(
            tuple(replace(item, released=release) if item.hold.hold_id == hold_id else item for item in found)
        )

    def close(self) -> None:
        """See :class:`Register`."""

    def _told(self) -> Told:
        told = Told()
        for entry in self._ledger.entries(kinds=KINDS):
            told.add(entry)
        return told

    def _read(self) -> tuple[Registered, ...]:
        try:
            values = json_of(self._path.read_bytes())
            return tuple(_from_json(value) for value in values["holds"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"the hold register {self._path} cannot be read: {error}") from error

    def _write(self, items: tuple[Registered, ...]) -> None:
        text = json.dumps({"v": 1, "holds": [_to_json(item) for item in items]}, indent=2)
        draft = self._path.with_name(self._path.name + ".new")
        try:
            with draft.open("w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise StoreError(f"the hold register {self._path} cannot be written: {error.strerror}") from error


def _sql(name: str) -> bytes:
    return named("queries/state.sql")[name].encode()


def _registered(row: tuple[Any, ...]) -> Registered:
    names = tuple(field.name for field in fields(Hold))  # the columns stand in the order of the fields
    values = dict(zip(names, row[: len(names)], strict=True))
    at, by, reason = row[len(names) :]
    return Registered(
        hold=Hold(**{key: _utc(value) for key, value in values.items()}),
        released=None if at is None else Release(at=_utc(at), by=by, reason=reason or ""),
    )


def _utc(value: Any) -> Any:
    """An instant of the register in the one form that digests are made of."""
    return parse_iso(iso(value)) if isinstance(value, datetime) else value


def _to_json(item: Registered) -> dict[str, Any]:
    released = item.released
    said = {"at": iso(released.at), "by": released.by, "reason": released.reason} if released else None
    return {"hold": to_json(item.hold), "released": said}


#: what a file says of a hold that an older version wrote
_UNSAID = {name: value for name, value in asdict(Hold(hold_id="")).items() if name != "hold_id"}


def _from_json(value: Mapping[str, Any]) -> Registered:
    said = value["released"]
    return Registered(
        hold=decode(Hold, {**_UNSAID, **value["hold"]}),
        released=decode(Release, said) if said else None,
    )


def _placed_at(hold: Hold) -> datetime:
    if hold.placed_at is None:
        raise ValueError("a hold is placed at an instant")
    return hold.placed_at


def _find(found: tuple[Registered, ...], hold_id: str) -> Hold:
    for item in found:
        if item.hold.hold_id == hold_id and item.released is None:
            return item.hold
    raise _unknown(hold_id)


def _unknown(hold_id: str) -> ConfigurationError:
    return ConfigurationError(f"no hold {hold_id} is in force", "see `luxima-retention hold list`")


def _taken(hold_id: str) -> ConfigurationError:
    return ConfigurationError(f"there is a hold {hold_id} already", "name another with --id")
