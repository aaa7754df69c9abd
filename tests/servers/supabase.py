"""A database as a Supabase project has it: roles, schemas, tables, and the strict stand-in in front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from tests.servers.postgres import PASSWORD, Database
from tests.servers.postgrest import Postgrest

EVENTS = """
CREATE SCHEMA app;
CREATE TABLE app.security_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    occurred_at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    subject_id uuid,
    payload jsonb NOT NULL DEFAULT '{}');
CREATE INDEX ON app.security_events (occurred_at, id);
ALTER TABLE app.security_events ENABLE ROW LEVEL SECURITY;
"""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The names of a project's API roles; of one test, as roles are the whole cluster's."""

    authenticator: str
    anon: str
    authenticated: str
    service: str


def make_roles(database: Database) -> Roles:
    """Roles with the rights that Supabase gives them; dropped with the database."""
    names = Roles(
        **{
            field: f"{database.name}_{field}"
            for field in ("authenticator", "anon", "authenticated", "service")
        }
    )
    for name in (names.anon, names.authenticated, names.service):
        database.login(name.removeprefix(f"{database.name}_"))
    database.login("authenticator", attributes="NOINHERIT")
    for name in (names.anon, names.authenticated, names.service):
        grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(name), sql.Identifier(names.authenticator))
        database.execute(grant)
    return names


@contextmanager
def run_project(database: Database, roles: Roles) -> Iterator[tuple[Postgrest, str]]:
    """The stand-in of a project and the address that ``supabase.url`` takes."""
    double = Postgrest(
        dsn=database.dsn_of(roles.authenticator, PASSWORD), secret_role=roles.service, anon_role=roles.anon
    )
    with double.run() as stub:
        yield double, stub.url
