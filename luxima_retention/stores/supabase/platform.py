"""What Supabase itself keeps and switches off: facts that no table shows, as findings.

Asked through the Management API where a token is configured; nothing is ever changed there. Sources:
Supabase documentation, "Management API" (projects, organizations, auth configuration, read-only query)
and "Auth audit logs"; Supabase pricing, "Log retention".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from luxima_retention.core.errors import StoreError
from luxima_retention.core.plan import Finding, Identity, Level, Request, Survey
from luxima_retention.io import sqlfiles

if TYPE_CHECKING:
    from luxima_retention.io.http import Answer, Http

#: Days that a plan keeps the platform's own logs (pricing, "Log retention").
PLAN_LOG_DAYS: Mapping[str, int] = {"free": 1, "pro": 7, "team": 28, "enterprise": 90}
AUDIT_TABLE = "auth.audit_log_entries"
#: How long a blocked token has to wait where the answer does not say (documentation, "Rate limits").
_BLOCKED_SECONDS = 60.0
_TOKEN = "set management_http.bearer_token of the policy to a token that may read this project"  # noqa: S105 - the hint


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
        http: to the Management API, with a personal or scoped access token as its bearer token.
        tables: names of the tables that the policy trims.
    """

    def __init__(self, ref: str, http: Http, *, tables: tuple[str, ...] = ()) -> None:
        self._ref = ref
        self._http = http
        self._tables = tables

    def identity(self) -> Identity:
        """The project's reference, which never changes."""
        return Identity(kind="supabase", target=f"supabase:{self._ref}", fingerprint=self._ref)

    def clock(self) -> datetime:
        """The ``Date`` of an answer: whole seconds."""
        return self._ask("GET", self._project_path).date()

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
        """Nothing is kept open."""

    @property
    def _project_path(self) -> str:
        return f"/v1/projects/{self._ref}"

    def _project(self) -> Mapping[str, Any]:
        return self._object("GET", self._project_path)

    def _plan(self) -> str:
        project = self._project()
        slug = project.get("organization_slug") or project.get("organization_id")
        if not slug:
            raise StoreError(
                f"{self._http.url} does not name the organization of project {self._ref}", _TOKEN
            )
        return str(self._object("GET", f"/v1/organizations/{slug}").get("plan") or "not named").lower()

    def _audit_log_is_empty(self) -> bool:
        query = sqlfiles.named("queries/supabase.sql")["audit_log_is_empty"]
        answer = self._ask("POST", f"{self._project_path}/database/query/read-only", {"query": query})
        rows = answer.json()
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0].get("empty"), bool):
            raise StoreError(f"{answer.url} does not say whether {AUDIT_TABLE} is empty", _TOKEN)
        return bool(rows[0]["empty"])

    def _object(self, method: str, path: str) -> Mapping[str, Any]:
        answer = self._ask(method, path)
        body = answer.json()
        if not isinstance(body, dict):
            raise StoreError(f"{answer.url} does not answer as the Management API does")
        return body

    def _ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Answer:
        """One answer of status 2xx; all that is asked only reads, so a blocked token tries again later."""
        sent = None if body is None else json.dumps(body).encode()
        headers = None if body is None else {"Content-Type": "application/json"}
        answer = self._http.repeated(
            partial(self._http.send, method, path, body=sent, headers=headers), blocked=_BLOCKED_SECONDS
        )
        if answer.status in {401, 403, 404}:
            raise StoreError(f"{answer.url} answers {answer.status} to this token", _TOKEN)
        if not answer.ok:
            raise StoreError(f"{answer.url} answers {answer.status}")
        return answer


#: GET /v1/projects/{ref}/config/auth
_SWITCH = "audit_log_disable_postgres"
