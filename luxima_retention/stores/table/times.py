"""How a column says when: instants, seconds and their parts since 1970, UUIDv7 and ULID keys.

The expressions stand in ``sql/queries/times.sql``. Comparisons stay in the column's own type, so that an
index on it is used. Sources: RFC 9562, section 5.7 (UUIDv7: 48 bits of milliseconds, then version 7); the
ULID specification (ten characters of Crockford's base 32 for 48 bits of milliseconds).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from luxima_retention.io.sqlfiles import named

if TYPE_CHECKING:
    from psycopg import sql

WITHOUT_ZONE = ("timestamp without time zone", "date")
_INTEGERS = ("smallint", "integer", "bigint", "numeric")
_TEXTS = ("text", "character varying", "character", "bpchar")
#: kind → column types that can hold it
TYPES = {
    "instant": ("timestamp with time zone", *WITHOUT_ZONE),
    "epoch_seconds": _INTEGERS,
    "epoch_milliseconds": _INTEGERS,
    "epoch_microseconds": _INTEGERS,
    "uuid_v7": ("uuid",),
    "ulid": (*_TEXTS, "uuid"),
}
_UNITS = {"epoch_seconds": 1, "epoch_milliseconds": 1000, "epoch_microseconds": 1_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeColumn:
    """The time column of a table.

    Args:
        name: of the column.
        kind: a key of :data:`TYPES`.
        type: as ``format_type`` writes it.
        zone: of a column without zone; ``None`` for others.
    """

    name: str
    kind: str
    type: str
    zone: str | None = None

    def at(self, value: sql.Composable) -> sql.Composed:
        """The instant that a value says, ``timestamptz``; NULL or ``-infinity`` for one that says none."""
        return self._expression(f"at_{self._form}", value, dated=self.dated(value))

    def dated(self, value: sql.Composable) -> sql.Composed:
        """Whether a value says when at all; never true of NULL."""
        forms = {"local": "instant", "date": "instant"}
        form = "uuid_v7" if self.kind == "uuid_v7" else forms.get(self._form, self._form)
        return self._expression(f"dated_{form}", value)

    def edge(self, instant: sql.Composable) -> sql.Composed:
        """An instant in the column's own type: what is less than it is older."""
        return self._expression(f"edge_{self._form}", instant)

    def past(self, value: sql.Composable, edge: sql.Composable) -> sql.Composed:
        """Whether a value lies before ``edge``; one without a date never does."""
        name = "past_text" if self._form == "text" else "past"
        return self._expression(name, value, edge=edge, dated=self.dated(value))

    @property
    def _form(self) -> str:
        """Which expressions are meant."""
        if self.kind in _UNITS:
            return "epoch"
        if self.kind != "instant":
            return "uuid" if self.type == "uuid" else "text"
        if self.zone is None:
            return "instant"
        return "date" if self.type == "date" else "local"

    def _expression(self, name: str, value: sql.Composable, **more: sql.Composable) -> sql.Composed:
        from psycopg import sql

        text = "\n".join(
            line for line in named("queries/times.sql")[name].splitlines() if not line.startswith("--")
        )
        unit, zone = sql.Literal(_UNITS.get(self.kind, 1)), sql.Literal(self.zone or "UTC")
        return sql.SQL(text).format(value=value, unit=unit, zone=zone, type=sql.SQL(self.type), **more)
