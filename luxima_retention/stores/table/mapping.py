"""Which column, or which value in a column of JSON, a hold means; compared as the column itself compares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from luxima_retention.io.sqlfiles import load

if TYPE_CHECKING:
    from psycopg import sql

_STEP = re.compile(r"->>?'([^']+)'")


def split(setting: str) -> tuple[str, tuple[str, ...]]:
    """``payload->'actor'->>'id'`` as the column and the keys of the path; no keys for a plain column."""
    column = setting.partition("->")[0]
    return column, tuple(_STEP.findall(setting))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """What a hold's tenant or subject is compared with.

    Args:
        setting: as the settings name it.
        type: that a hold's text is turned into, as ``format_type`` writes it.
        equality: the operator, as ``OPERATOR(pg_catalog.=)``: that of the type's own default order.
        collation: of the column, quoted and with its schema; empty for a type without one.
    """

    setting: str
    type: str
    equality: str
    collation: str

    def value(self) -> sql.Composed:
        """The row's value."""
        from psycopg import sql

        column, keys = split(self.setting)
        parts: list[sql.Composable] = [sql.SQL("t.{}").format(sql.Identifier(column))]
        arrows = [" -> "] * (len(keys) - 1) + [" ->> "]
        for arrow, key in zip(arrows, keys, strict=False):
            parts += [sql.SQL(arrow), sql.Literal(key)]
        return sql.SQL("({})").format(sql.Composed(parts)) if keys else sql.Composed(parts)

    def equals(self, name: str) -> sql.Composed:
        """Whether the row's value is that of column ``name`` of rule ``h``."""
        from psycopg import sql

        held = sql.SQL("h.{}").format(sql.Identifier(name))
        if split(self.setting)[1]:
            plain = sql.SQL(load("templates/json_value.sql"))
            return sql.SQL("{} {} {}").format(
                plain.format(value=self.value()), sql.SQL(self.equality), plain.format(value=held)
            )
        if self.collation:
            held = sql.SQL("({} COLLATE {})").format(held, sql.SQL(self.collation))
        return sql.SQL("{} {} {}").format(self.value(), sql.SQL(self.equality), held)
