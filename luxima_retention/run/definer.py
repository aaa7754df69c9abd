"""Whom the functions of tables belong to: a role without login that has just the rights on these tables.

A trigger of the table runs with the rights of whoever owns the function that deletes, so that is never a
superuser. Where the role cannot be had, or cannot see rows under row-level security, the functions go to the
table's owner or to whoever runs migrate. Source: PostgreSQL documentation, "CREATE FUNCTION", "Row Security
Policies", "Role Attributes" (CREATEROLE since version 16).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from luxima_retention.core.errors import ConfigurationError
from luxima_retention.io.sqlfiles import load, named
from luxima_retention.stores.table.sql import Shape, function_names, identifier, rest_names

if TYPE_CHECKING:
    import psycopg

_CREATEROLE_IS_BOUND = 16


class _Me(NamedTuple):
    name: str
    is_superuser: bool
    may_create: bool
    bypasses: bool
    version: int


class _TableOwner(NamedTuple):
    secured: bool
    forced: bool
    name: str
    is_superuser: bool
    is_me: bool


class Definer:
    """The role ``<job role>_definer``, made when it is first needed.

    Args:
        connection: in migrate's transaction.
        job_role: that calls the functions.
    """

    def __init__(self, connection: psycopg.Connection[Any], job_role: str) -> None:
        self._connection = connection
        self.job_role = job_role
        self.name = f"{job_role[:55]}_definer"
        self._me = _Me(*self._row("myself"))

    def owner_of(self, shape: Shape, table: str) -> str:
        """The role that this table's functions are to belong to; it has its rights afterwards.

        Raises:
            ConfigurationError: no role that is not a superuser could delete there.
        """
        quoted = identifier(table).as_string(None)
        owner = _TableOwner(*self._row("table_owner", table=quoted))
        candidates = [self.name] if self._is_there(secured=owner.secured) else []
        if owner.is_me and not owner.is_superuser and not owner.forced:
            candidates.append(owner.name)
        if not self._me.is_superuser and (self._me.bypasses or not owner.secured):
            candidates.append(self._me.name)
        for role in candidates:
            if self._may_empty(shape, quoted, role):
                return role
        return self._last_resort(shape, quoted, table)

    def hand_over(self, shape: Shape, owner: str, *, rest: bool) -> None:
        """Give the functions of a table to ``owner``."""
        if owner == self._me.name:
            return
        self._execute("definer_grants", definer=self._identifier(owner))
        self._execute("owner", owner=self._identifier(owner), **function_names(shape))
        if rest:
            self._execute("rest_owner", owner=self._identifier(owner), **rest_names(shape))

    def _last_resort(self, shape: Shape, quoted: str, table: str) -> str:
        """A role that sees no row under row-level security: the run says so, and deletes nothing."""
        if self._is_there(secured=False) and self._may_empty(shape, quoted, self.name):
            return self.name
        raise ConfigurationError(
            f"no role without superuser's rights may be given SELECT and DELETE on {table}",
            f"run migrate as the owner of {table}, or as a superuser",
        )

    def _is_there(self, *, secured: bool) -> bool:
        """Whether the role exists, made if need be, and above row-level security where that is asked."""
        if not self._exists():
            if not (self._me.is_superuser or self._me.may_create):
                return False
            self._execute("definer", definer=self._identifier(self.name))
        self._join()
        _, bypasses = self._row("definer", role=self.name, job=self.job_role)
        if not secured or bypasses:
            return True
        bound = self._me.version >= _CREATEROLE_IS_BOUND and self._me.bypasses and self._me.may_create
        if not (self._me.is_superuser or bound):
            return False
        self._query("bypass", definer=self._identifier(self.name))
        return True

    def _exists(self) -> bool:
        row = self._connection.execute(
            named("queries/catalogue.sql")["definer"].encode(), {"role": self.name, "job": self.job_role}
        ).fetchone()
        if row is not None and row[0]:
            raise ConfigurationError(
                f"role {self.name} has more rights than a role that only owns functions should",
                "it must not log in, be a superuser, create roles or databases, replicate, be a member of"
                f" another role, or have {self.job_role} as a member: drop it, or set another job_role",
            )
        return row is not None

    def _join(self) -> None:
        """Become a member, so that functions can be given to the role."""
        if not self._me.is_superuser:
            name = "member_16" if self._me.version >= _CREATEROLE_IS_BOUND else "member"
            self._query(name, definer=self._identifier(self.name))

    def _may_empty(self, shape: Shape, quoted: str, role: str) -> bool:
        """Whether a role may read and delete there, after this role has granted what it can."""
        import psycopg
        from psycopg import sql

        if role == self.name:
            schema = sql.Identifier(shape.table.partition(".")[0])
            names = {"owner": self._identifier(role), "table": identifier(shape.table), "schema": schema}
            try:
                with self._connection.transaction():
                    self._execute("table_grants", **names)
                    for statement in shape.grants:
                        self._connection.execute(sql.SQL(statement).format(owner=self._identifier(role)))
            except psycopg.errors.InsufficientPrivilege:
                return False
        return bool(self._row("may_empty", role=role, table=quoted)[0])

    def _identifier(self, name: str) -> Any:
        from psycopg import sql

        return sql.Identifier(name)

    def _row(self, name: str, **values: Any) -> tuple[Any, ...]:
        row = self._connection.execute(named("queries/catalogue.sql")[name].encode(), values).fetchone()
        if row is None:
            raise ConfigurationError(f"the catalogue does not answer {name}", "run migrate again")
        return tuple(row)

    def _query(self, name: str, **names: Any) -> None:
        from psycopg import sql

        self._connection.execute(sql.SQL(named("queries/catalogue.sql")[name]).format(**names))

    def _execute(self, template: str, **names: Any) -> None:
        from psycopg import sql

        self._connection.execute(sql.SQL(load(f"templates/{template}.sql")).format(**names))
