"""What Supabase itself keeps and switches off: facts that no table shows, as findings.

Asked through the Management API where a token is configured; nothing is ever changed there. Sources:
Supabase documentation, "Management API" (projects, organizations, auth configuration, read-only query)
and "Auth audit logs"; Supabase pricing, "Log retention".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from luxima_retention.core.errors import StoreError
from luxima_retention.core.plan import Finding, Identity, Level, Request, Survey
from luxima_retention.io import sqlfiles

if TYPE_CHECKING:
    from requests import Response, Session

#: Days that a plan keeps the platform's own logs (pricing, "Log retention").
PLAN_LOG_DAYS: Mapping[str, int] = {"free": 1, "pro": 7, "team": 28, "enterprise": 90}
AUDIT_TABLE = "auth.audit_log_entries"
API = "https://api.supabase.com"
#: How long a blocked token has to wait where the answer does not say (documentation, "Rate limits").
_BLOCKED_SECONDS = 60.0
_LONGEST_WAIT = 120.0
_ATTEMPTS = 3
_TOKEN = "set supabase.management_token to a token that may read this project"  # noqa: S105 - the hint


def plan_finding(plan: str, policy_days: int) -> Finding:
    """What the plan's log retention means for a policy of so many days. Pure."""
    kept = PLAN_LOG_DAYS.get(plan)
    if kept is None:
        return Finding(
            code="plan-unknown",
            level=Level.WARNING,
            message=f"how long the plan {plan!r} keeps the platform's logs is not known",
            hint="compare the plan's log retention with the policy by hand",
        )
    if kept < policy_days:
        return Finding(
            code="plan-keeps-less",
            level=Level.WARNING,
            message=f"plan {plan} keeps {_days(kept)}; the policy says {policy_days}",
            hint="add a log drain to storage of your own, or keep security events in a table",
        )
    return Finding(
        code="plan-keeps-enough",
        level=Level.INFO,
        message=f"plan {plan} keeps {_days(kept)} of the platform's logs; the policy says {policy_days}",
    )


def audit_finding(*, disabled: bool, empty: bool) -> Finding | None:
    """What the switch "Write audit logs to the database" means for its table. Pure."""
    if not disabled:
        return None
    if empty:
        return Finding(
            code="not-applicable",
            level=Level.INFO,
            message=f"{AUDIT_TABLE} is empty because its copy in PostgreSQL is switched off: not applicable",
            hint="take it out of supabase.tables, or switch the copy on in the project's Auth settings",
        )
    return Finding(
        code="audit-log-off",
        level=Level.WARNING,
        message=f"{AUDIT_TABLE} holds old events only: its copy in PostgreSQL is switched off",
        hint="new events are in the platform's logs alone, for as long as the plan keeps them",
    )


def _days(count: int) -> str:
    return f"{count} day{'' if count == 1 else 's'}"


class SupabasePlatform:
    """A project as the Management API shows it; :class:`~luxima_retention.core.protocol.Surveyable`.

    Args:
        ref: reference of the project.
        token: personal or scoped access token; sent to ``url`` only, never shown.
        tables: names of the tables that the policy trims.
        url: of the Management API.
        wait: sleeps so many seconds.
        timeout: seconds to wait for a connection, and for each further byte.
    """

    def __init__(
        self,
        ref: str,
        token: Callable[[], str],
        *,
        tables: tuple[str, ...] = (),
        url: str = API,
        wait: Callable[[float], None] = time.sleep,
        timeout: float = 10.0,
    ) -> None:
        self._ref = ref
        self._token = token
        self._tables = tables
        self._url = url.rstrip("/")
        self._wait = wait
        self._timeout = timeout
        self._opened: Session | None = None

    def identity(self) -> Identity:
        """The project's reference, which never changes."""
        return Identity(kind="supabase", target=f"supabase:{self._ref}", fingerprint=self._ref)

    def clock(self) -> datetime:
        """The ``Date`` of an answer: whole seconds."""
        answer = self._ask("GET", f"/v1/projects/{self._ref}")
        try:
            return parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
        except (KeyError, ValueError) as error:
            raise StoreError(f"{self._url} answers without a date") from error

    def preflight(self, request: Request) -> tuple[Finding, ...]:  # noqa: ARG002 - nothing is ever deleted here
        """Whether the token reads the project: an error if it does not."""
        self._project()
        return ()

    def survey(self, request: Request) -> Survey:
        """The plan's log retention, and whether the audit table is fed at all; nothing ever expires here."""
        plan = self._plan()
        findings = [plan_finding(plan, request.retention_days)]
        evidence: dict[str, str | int] = {"plan": plan, "plan_log_days": PLAN_LOG_DAYS.get(plan, "unknown")}
        if AUDIT_TABLE in self._tables:
            disabled = bool(self._object("GET", f"{self._project_path}/config/auth").get(_SWITCH))
            found = audit_finding(disabled=disabled, empty=disabled and self._audit_log_is_empty())
            evidence[_SWITCH] = str(disabled).lower()
            findings += [found] if found else []
        return Survey(
            identity=self.identity(),
            store_clock=self.clock(),
            findings=tuple(findings),
            evidence=evidence,
        )

    def close(self) -> None:
        """Close the connections; may be called twice."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _project_path(self) -> str:
        return f"/v1/projects/{self._ref}"

    def _project(self) -> Mapping[str, Any]:
        return self._object("GET", self._project_path)

    def _plan(self) -> str:
        project = self._project()
        slug = project.get("organization_slug") or project.get("organization_id")
        if not slug:
            raise StoreError(f"{self._url} names no organization of project {self._ref}", _TOKEN)
        return str(self._object("GET", f"/v1/organizations/{slug}").get("plan") or "not named").lower()

    def _audit_log_is_empty(self) -> bool:
        query = sqlfiles.named("queries/supabase.sql")["audit_log_is_empty"]
        answer = self._ask("POST", f"{self._project_path}/database/query/read-only", {"query": query})
        rows = _parsed(answer)
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0].get("empty"), bool):
            raise StoreError(f"{answer.url} does not say whether {AUDIT_TABLE} is empty", _TOKEN)
        return bool(rows[0]["empty"])

    def _object(self, method: str, path: str) -> Mapping[str, Any]:
        answer = self._ask(method, path)
        body = _parsed(answer)
        if not isinstance(body, dict):
            raise StoreError(f"{answer.url} does not answer as the Management API does")
        return body

    def _ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Response:
        """One answer of status 2xx; waits for a blocked token a few times."""
        for attempt in range(1, _ATTEMPTS + 1):
            answer = self._send(method, path, body)
            if answer.status_code not in {429, 503} or attempt == _ATTEMPTS:
                break
            self._wait(_retry_after(answer))
        if answer.status_code in {401, 403, 404}:
            raise StoreError(f"{answer.url} answers {answer.status_code} to this token", _TOKEN)
        if answer.is_redirect or not answer.ok:
            raise StoreError(f"{answer.url} answers {answer.status_code}")
        return answer

    def _send(self, method: str, path: str, body: Mapping[str, str] | None) -> Response:
        import requests

        try:
            return self._session().request(
                method,
                self._url + path,
                json=body,
                headers={"Authorization": f"Bearer {self._token()}"},
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise StoreError(
                f"{self._url}{path} cannot be reached: {type(error).__name__}", "check the network policy"
            ) from error

    def _session(self) -> Session:
        import requests

        if self._opened is None:
            self._opened = requests.Session()
            self._opened.headers["User-Agent"] = "luxima-retention"
            # Given explicitly, so that a .netrc has no part in it.
            self._opened.auth = lambda request: request
        return self._opened


#: GET /v1/projects/{ref}/config/auth
_SWITCH = "audit_log_disable_postgres"


def _parsed(answer: Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise StoreError(f"{answer.url} does not answer with JSON") from error


def _retry_after(answer: Response) -> float:
    """Seconds that the answer asks for, within reason."""
    try:
        return min(max(float(answer.headers.get("Retry-After", _BLOCKED_SECONDS)), 0.0), _LONGEST_WAIT)
    except ValueError:
        return _BLOCKED_SECONDS
