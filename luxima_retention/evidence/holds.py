"""Legal holds: one register, honoured by every store.

The register is table ``retention.hold`` where ``database.dsn`` is set, else a file beside the file
ledger. The ledger repeats each hold's digest, never its words, which may name people; a register that
lacks a hold of the ledger, or shows another one, cannot be read. Releasing a hold deletes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from luxima_retention.core.clock import iso, parse_iso
from luxima_retention.core.errors import ConfigurationError, StoreError, TamperingFound
from luxima_retention.core.plan import Hold, digest
from luxima_retention.evidence.events import HoldPlaced, HoldReleased
from luxima_retention.io.sqlfiles import named

if TYPE_CHECKING:
    import psycopg

    from luxima_retention.evidence.ledger import Ledger

_TIMES = frozenset({"start", "end", "placed_at"})


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
            TamperingFound: a hold of the ledger is missing, or was changed.
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
        sha256=digest(to_json(hold)),
    )


class PostgresRegister:
    """Table ``retention.hold``.

    Args:
        dsn: where schema ``retention`` is; connected to at first use.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._own: psycopg.Connection[Any] | None = None

    def all(self, *, active: bool = True) -> tuple[Registered, ...]:
        """See :class:`Register`."""
        with self._transaction("the hold register cannot be read") as connection:
            rows = connection.execute(_sql("holds"), {"active": active}).fetchall()
        return tuple(_registered(row) for row in rows)

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
        found = _find(self.all(), hold_id)
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

    @contextmanager
    def _transaction(self, sentence: str) -> Iterator[psycopg.Connection[Any]]:
        from luxima_retention.io.postgres import connect, errors

        if self._own is None or self._own.closed:
            self._own = connect(self._dsn, purpose="holds")
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
        """See :class:`Register`. A hold that the ledger does not know yet counts all the same."""
        found = self._read()
        self._compare({item.hold.hold_id: item for item in found})
        return tuple(item for item in found if item.released is None or not active)

    def place(self, hold: Hold, ledger: Ledger) -> None:
        """See :class:`Register`. The file first: killed in between, the hold is in force."""
        found = self.all(active=False)
        if any(item.hold.hold_id == hold.hold_id for item in found):
            raise _taken(hold.hold_id)
        self._write((*found, Registered(hold=hold)))
        ledger.append(placed(hold), policy=hold.policy, at=_placed_at(hold))

    def release(self, hold_id: str, release: Release, ledger: Ledger) -> None:
        """See :class:`Register`. The ledger first: killed in between, the hold is still in force."""
        found = self.all(active=False)
        hold = _find(tuple(item for item in found if item.released is None), hold_id)
        ledger.append(HoldReleased(hold_id=hold_id), policy=hold.policy, at=release.at)
        self._write(
            tuple(replace(item, released=release) if item.hold.hold_id == hold_id else item for item in found)
        )

    def close(self) -> None:
        """See :class:`Register`."""

    def _compare(self, found: Mapping[str, Registered]) -> None:
        for entry in self._ledger.entries(kinds={HoldPlaced.kind}):
            event = entry.event
            if not isinstance(event, HoldPlaced):
                raise StoreError(
                    f"entry {entry.seq} places a hold as a newer version does", "upgrade the suite"
                )
            item = found.get(event.hold_id)
            if item is None or placed(item.hold) != event:
                said = "lacks" if item is None else "shows another"
                raise TamperingFound(
                    f"the hold register {self._path} {said} hold {event.hold_id} of the ledger"
                )

    def _read(self) -> tuple[Registered, ...]:
        try:
            values = json.loads(self._path.read_bytes())
            return tuple(_from_json(value) for value in values["holds"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError) as error:
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
    names = ("hold_id", "policy", "tenant", "subject", "start", "end", "key_prefix", "path", "reason")
    values = dict(zip((*names, "case_ref", "placed_by", "placed_at"), row[:12], strict=True))
    at, by, reason = row[12:]
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


def _from_json(value: Mapping[str, Any]) -> Registered:
    hold: dict[str, Any] = {
        key: parse_iso(item) if key in _TIMES and item else item for key, item in value["hold"].items()
    }
    said = value["released"]
    return Registered(
        hold=Hold(**hold),
        released=Release(**{**said, "at": parse_iso(said["at"])}) if said else None,
    )


def _placed_at(hold: Hold) -> datetime:
    if hold.placed_at is None:
        raise ValueError("a hold is placed at an instant")
    return hold.placed_at


def _find(found: tuple[Registered, ...], hold_id: str) -> Hold:
    for item in found:
        if item.hold.hold_id == hold_id:
            return item.hold
    raise _unknown(hold_id)


def _unknown(hold_id: str) -> ConfigurationError:
    return ConfigurationError(f"no hold {hold_id} is in force", "see `luxima-retention hold list`")


def _taken(hold_id: str) -> ConfigurationError:
    return ConfigurationError(f"there is a hold {hold_id} already", "name another with --id")
