"""A strict stand-in for PostgREST behind Supabase's gateway, over a real PostgreSQL.

It runs the real functions, as the role that the key stands for, in the transaction that PostgREST would
open, and answers in its words. Where the real one would do something other than its caller meant (ignore
``limit`` on DELETE, commit despite ``tx=rollback``), this one refuses with code ``STRICT`` and remembers
it in ``violations``: no client of ours may ever get there.

Sources: PostgREST documentation, "Functions as RPC", "Transactions" (access mode, transaction-scoped
settings), "Errors" (status codes), "Preferences", "Schemas", "Configuration" (db-max-rows, db-tx-end,
db-hoisted-tx-settings), release notes 13.0.0 (limited DELETE removed); Supabase documentation,
"Understanding API keys", "Timeouts", "Error codes"; the safeupdate extension's README.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.servers.stub import Answer, Stub, run_stub

JWT_SECRET = b"throw-away-secret-of-at-least-32-bytes"
SECRET_KEY = "sb_secret_throwaway_0123456789"
PUBLISHABLE_KEY = "sb_publishable_throwaway_0123"
PREFIX = "/rest/v1"
MAX_ROWS = 1000
STATEMENT_TIMEOUT = "8s"
_FUNCTION = """
SELECT p.oid, p.provolatile, p.proretset, p.proconfig, p.prosrc, p.pronargdefaults, t.typtype,
       p.proargnames[1:p.pronargs] AS names,
       (SELECT array_agg(format_type(u.type, NULL) ORDER BY u.n)
          FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS u (type, n)) AS types
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type t ON t.oid = p.prorettype
 WHERE n.nspname = %s AND p.proname = %s
"""
_SOURCES = """
SELECT p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname IN ('retention', 'retention_api')
"""
_STATUS = {
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "21000": 400,
    "42883": 404,
    "42P01": 404,
    "53400": 500,
    "P0001": 400,
}
_STATUS_CLASS = {"08": 503, "09": 500, "0L": 403, "0P": 403, "25": 500, "28": 403, "2D": 500, "38": 500}
_STATUS_CLASS |= {"39": 500, "3B": 500, "40": 500, "53": 503, "54": 500, "55": 500, "57": 500, "58": 500}
_OPERATORS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "eq": "=", "neq": "<>"}


def jwt(role: str, *, expires: float | None = None, secret: bytes = JWT_SECRET) -> str:
    """A legacy key: a JWT, HS256, of a role; ten years unless ``expires`` (Unix seconds) says otherwise."""
    claims = {"role": role, "iss": "supabase", "exp": int(expires or time.time() + 315_360_000)}
    parts = [_b64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = ".".join(parts)
    return f"{signed}.{_b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """An answer that is no success."""

    def __init__(self, status: int, code: str | None, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        body = {"code": code, "message": message, "details": None, "hint": None} | more
        self.body = body if code else {"message": message, **more}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, taken apart."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def reads(self) -> bool:
        return self.method in {"GET", "HEAD"}

    @property
    def preferences(self) -> list[str]:
        return [item.strip() for item in self.headers.get("prefer", "").split(",") if item.strip()]


#: What becomes of one answer: given its number (from 1), a name of :data:`FAULTS` or ``None``.
Faults = Callable[[int], str | None]
FAULTS = ("429", "503", "cut after commit", "502 after commit", "504 before")


def every_tenth(number: int) -> str | None:
    """One fault after the other, each in the place of every tenth answer."""
    return FAULTS[number // 10 % len(FAULTS)] if number % 10 == 0 else None


@dataclass
class Postgrest:
    """The stand-in.

    Attributes:
        dsn: of the login role, as ``authenticator``: no rights of its own, member of the other roles.
        schemas: exposed; the first is the default.
        secret_role: the role of ``sb_secret_`` keys.
        faults: decides about each answer to an RPC call.
        violations: what a client did that would have hurt in earnest.
        calls: function and arguments of each call that reached the database.
    """

    dsn: str
    schemas: tuple[str, ...] = ("public", "retention_api")
    secret_role: str = "service_role"
    anon_role: str = "anon"
    faults: Faults = lambda _number: None
    max_rows: int = MAX_ROWS
    timeout: str = STATEMENT_TIMEOUT
    violations: list[str] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    injected: list[str] = field(default_factory=list)
    _idle: list[psycopg.Connection[dict[str, Any]]] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=lambda: count(1))

    @contextmanager
    def run(self) -> Iterator[Stub]:
        """Serve; ``url`` is what ``supabase.url`` takes."""
        try:
            with run_stub(self.answer) as stub:
                yield stub
        finally:
            while self._idle:
                self._idle.pop().close()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request; a fault may take the place of its answer, before or after it took effect."""
        parts = urlsplit(target)
        request = Request(
            method=method,
            path=parts.path,
            query=parse_qsl(parts.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in headers.items()},
            body=body,
        )
        fault = self.faults(next(self._number)) if "/rpc/" in parts.path else None
        if fault:
            self.injected.append(fault)
        if fault in {"429", "503"}:
            return _json(int(fault), {"message": "try again later"}, {"Retry-After": "1"})
        if fault == "504 before":
            return Answer(504, b"<html>upstream request timeout</html>", {"Content-Type": "text/html"})
        done = self._answered(request)
        if fault == "cut after commit":
            return Answer(cut=True)
        if fault == "502 after commit":
            return Answer(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"})
        return done

    def _answered(self, request: Request) -> Answer:
        try:
            return self._routed(request)
        except Refused as refused:
            if refused.body.get("code") == "STRICT":
                self.violations.append(str(refused))
            return _json(refused.status, refused.body)

    def _routed(self, request: Request) -> Answer:
        role, authenticated = self._gateway(request)
        self._check_preferences(request)
        if not request.path.startswith(PREFIX + "/"):
            raise Refused(404, None, "no Route matched with those values")
        schema = self._schema(request)
        path = request.path.removeprefix(PREFIX + "/")
        try:
            if path.startswith("rpc/"):
                return self._rpc(request, schema, path.removeprefix("rpc/"), role)
            return self._table(request, schema, path, role)
        except psycopg.Error as error:
            raise _refused(error, authenticated=authenticated) from error

    # --- the gateway and its keys -----------------------------------------------------------------------

    def _gateway(self, request: Request) -> tuple[str, bool]:
        """The role, and whether it is more than the anonymous one."""
        key, bearer = request.headers.get("apikey"), request.headers.get("authorization")
        if not key:
            raise Refused(401, None, "No API key found in request")
        if key.startswith(("sb_secret_", "sb_publishable_")):
            return self._of_new_key(request, key, bearer)
        self._claims(key)
        if bearer is None:
            return self.anon_role, False
        role = self._claims(bearer.removeprefix("Bearer "))["role"]
        return role, role != self.anon_role

    def _of_new_key(self, request: Request, key: str, bearer: str | None) -> tuple[str, bool]:
        if key not in {SECRET_KEY, PUBLISHABLE_KEY}:
            raise Refused(401, None, "Invalid API key")
        if bearer is not None and bearer != f"Bearer {key}":
            role = self._claims(bearer.removeprefix("Bearer "))["role"]
            return role, role != self.anon_role
        if bearer is not None:
            raise Refused(400, "STRICT", "a secret key is no JWT: it belongs in apikey only")
        if key == PUBLISHABLE_KEY:
            return self.anon_role, False
        if "mozilla" in request.headers.get("user-agent", "").lower():
            raise Refused(401, None, "Forbidden use of secret API key in browser")
        return self.secret_role, True

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            head, claims, signature = token.split(".")
            expected = hmac.new(JWT_SECRET, f"{head}.{claims}".encode(), hashlib.sha256).digest()
            decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        except ValueError as error:
            raise Refused(401, "PGRST301", "JWSError (CompactDecodeError Invalid number of parts)") from error
        if not hmac.compare_digest(_b64(expected), signature):
            raise Refused(401, "PGRST301", "JWSError JWSInvalidSignature")
        if decoded["exp"] < time.time():
            raise Refused(401, "PGRST303", "JWT expired")
        return decoded

    # --- what PostgREST itself checks -------------------------------------------------------------------

    def _check_preferences(self, request: Request) -> None:
        preferences = request.preferences
        known = ("return=", "count=", "handling=", "tx=", "missing=", "resolution=", "timezone=")
        strict = "handling=strict" in preferences
        unknown = [item for item in preferences if not item.startswith((*known, "max-affected="))]
        if strict and unknown:
            raise Refused(400, "PGRST122", "Invalid preferences given with handling=strict")
        if any(item.startswith("tx=") for item in preferences):
            raise Refused(400, "STRICT", "tx=rollback commits where the server does not allow it")
        if any(item.startswith("max-affected=") for item in preferences) and not strict:
            raise Refused(400, "STRICT", "max-affected without handling=strict limits nothing")
        if request.method == "DELETE" and any(name in {"limit", "order"} for name, _ in request.query):
            raise Refused(400, "STRICT", "limit and order on DELETE are ignored: every match would go")

    def _schema(self, request: Request) -> str:
        header = "accept-profile" if request.reads else "content-profile"
        schema = request.headers.get(header, self.schemas[0])
        if schema not in self.schemas:
            raise Refused(406, "PGRST106", f"Invalid schema: {schema}")
        return schema

    # --- functions --------------------------------------------------------------------------------------

    def _rpc(self, request: Request, schema: str, name: str, role: str) -> Answer:
        if request.method not in {"GET", "HEAD", "POST"}:
            raise Refused(405, "PGRST101", "Only GET, HEAD and POST can be used on a function")
        arguments = dict(request.query) if request.reads else _object(request.body)
        function = self._function(schema, name, arguments)
        reads = request.reads or function["provolatile"] in {"s", "i"}
        with self._transaction(role, reads=reads, config=function["proconfig"] or []) as cursor:
            self.calls.append((name, arguments))
            cursor.execute(_call(schema, name, function, arguments), [json.dumps(arguments)])
            rows = cursor.fetchall()
        return _rows(request, rows[: self.max_rows])

    def _function(self, schema: str, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The one function of that name which takes these arguments."""
        for function in self._asked(_FUNCTION, schema, name):
            names = function["names"] or []
            required = names[: len(names) - function["pronargdefaults"]]
            if set(required) <= set(arguments) <= set(names):
                self._check_safeupdate()
                return function
        wanted = ", ".join(sorted(arguments))
        raise Refused(
            404, "PGRST202", f"Could not find the function {schema}.{name}({wanted}) in the schema cache"
        )

    def _check_safeupdate(self) -> None:
        """A preloaded safeupdate: a DELETE without WHERE fails, inside functions too."""
        for row in self._asked(_SOURCES):
            for statement in re.findall(r"DELETE\s+FROM[^;]*", row["prosrc"], re.IGNORECASE):
                if not re.search(r"\bWHERE\b", statement, re.IGNORECASE):
                    raise Refused(400, "21000", f"DELETE requires a WHERE clause, in {row['proname']}")

    # --- tables -----------------------------------------------------------------------------------------

    def _table(self, request: Request, schema: str, table: str, role: str) -> Answer:
        if request.method not in {"GET", "HEAD", "DELETE"}:
            raise Refused(405, "PGRST117", f"Unsupported HTTP method: {request.method}")
        where, values = _filters(request.query)
        if request.method == "DELETE" and not values:
            raise Refused(400, "21000", "DELETE requires a WHERE clause")
        what = sql.SQL("SELECT * FROM {}" if request.reads else "DELETE FROM {}")
        statement = what.format(sql.Identifier(schema, table)) + where
        with self._transaction(role, reads=request.reads, config=[]) as cursor:
            cursor.execute(statement, values)
            rows = cursor.fetchmany(self.max_rows) if request.reads else []
        return _rows(request, rows) if request.reads else Answer(204)

    # --- the database -----------------------------------------------------------------------------------

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        """One of the pool."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row)
        try:
            yield connection
        finally:
            if not connection.closed:
                self._idle.append(connection)

    def _asked(self, query: str, *parameters: str) -> list[dict[str, Any]]:
        with self._connection() as connection:
            return connection.execute(query, parameters or None).fetchall()

    @contextmanager
    def _transaction(self, role: str, *, reads: bool, config: list[str]) -> Iterator[psycopg.Cursor[Any]]:
        """As PostgREST opens one: access mode, role, hoisted settings."""
        with self._connection() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY" if reads else "SET TRANSACTION READ WRITE")
            settings = {"role": role, "statement_timeout": self.timeout, "lock_timeout": self.timeout}
            hoisted = dict(item.split("=", 1) for item in config)
            settings |= {name: hoisted[name] for name in ("statement_timeout",) if name in hoisted}
            for name, value in settings.items():
                cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
            yield cursor


def _call(schema: str, name: str, function: Mapping[str, Any], arguments: Mapping[str, Any]) -> sql.Composed:
    """The call with named arguments, each from the JSON body by its declared type."""
    given = [
        (argument, kind)
        for argument, kind in zip(function["names"] or [], function["types"] or [], strict=True)
        if argument in arguments
    ]
    target = sql.Identifier(schema, name)
    if not given:
        return sql.SQL("SELECT * FROM (SELECT %s::json) _ (body), LATERAL {}() result").format(target)
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(arg), sql.SQL(kind)) for arg, kind in given
    )
    named = sql.SQL(", ").join(sql.SQL("{0} => _.{0}").format(sql.Identifier(arg)) for arg, _ in given)
    return sql.SQL("SELECT result.* FROM json_to_record(%s) AS _ ({}), LATERAL {}({}) result").format(
        columns, target, named
    )


def _filters(query: list[tuple[str, str]]) -> tuple[sql.Composed, list[str]]:
    conditions, values = [], []
    for column, text in query:
        operator, _, value = text.partition(".")
        if operator in _OPERATORS:
            conditions.append(sql.SQL("{} " + _OPERATORS[operator] + " %s").format(sql.Identifier(column)))
            values.append(value)
    if not conditions:
        return sql.Composed([]), values
    return sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions), values


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise Refused(400, "PGRST102", "Empty or invalid json") from error
    if not isinstance(value, dict):
        raise Refused(400, "PGRST102", "All object keys must match")
    return value


def _rows(request: Request, rows: list[dict[str, Any]]) -> Answer:
    if request.headers.get("accept") != "application/vnd.pgrst.object+json":
        return _json(200, rows)
    if len(rows) != 1:
        raise Refused(406, "PGRST116", "JSON object requested, multiple (or no) rows returned")
    return _json(200, rows[0])


def _json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    body = json.dumps(value, default=_text).encode()
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Answer(status, body, kind | dict(headers or {}))


def _text(value: Any) -> str:
    """Timestamps as PostgreSQL's own JSON writes them; the rest as text."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _refused(error: psycopg.Error, *, authenticated: bool) -> Refused:
    """The table "Status codes" of the documentation."""
    code = error.sqlstate or "08006"
    status = _STATUS.get(code) or _STATUS_CLASS.get(code[:2], 400)
    if code == "42501":
        status = 403 if authenticated else 401
    diagnostic = error.diag
    return Refused(
        status,
        code,
        diagnostic.message_primary or str(error),
        details=diagnostic.message_detail,
        hint=diagnostic.message_hint,
    )
