"""Calls of SQL functions through PostgREST, and what each kind of answer leaves known.

Only ``POST /rpc/<function>`` is ever sent: no filter, no limit, no preference. Sources: PostgREST
documentation, "Functions as RPC", "Transactions" (a STABLE function runs read-only), "Errors"; Supabase
documentation, "Understanding API keys" (where each kind of key goes).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import StoreError

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from luxima_retention.io import http

SCHEMA = "retention_api"
_ATTEMPTS = 8
_LONGEST_WAIT = 120.0
_FIRST_WAIT = 0.5


class Kind(Enum):
    """What is known after an answer."""

    #: it took effect
    DONE = "done"
    #: it took no effect, and may be repeated as it is
    BUSY = "busy"
    #: it took no effect: it did not finish in its time
    SLOW = "slow"
    #: it took no effect, and would not next time
    REFUSED = "refused"
    #: it may have taken effect or not
    UNKNOWN = "unknown"


#: No connection to the database could be had, so nothing began (documentation, "Errors", group 0).
_NO_CONNECTION = {"PGRST000", "PGRST001", "PGRST002", "PGRST003"}
#: Rolled back by PostgreSQL, for a reason that passes: locks, serialization, deadlock, too many clients.
_PASSING = {"55P03", "40001", "40P01", "53300"}
_CANCELED = "57014"
#: The connection broke, or the server was shut down: PostgREST cannot know whether the commit got through.
_BROKEN = ("08", "57P")


def classify(status: int, code: str | None) -> Kind:
    """What an answer's status and error code leave known. Pure.

    A gateway's answer has no code: what became of the call behind it is unknown, save for 429, which a
    gateway gives instead of passing the call on.
    """
    if code is None:
        return _without_code(status)
    if code in _NO_CONNECTION or code in _PASSING or status == 429:  # noqa: PLR2004 - too many requests
        return Kind.BUSY
    if code == _CANCELED:
        return Kind.SLOW
    return Kind.UNKNOWN if code.startswith(_BROKEN) else Kind.REFUSED


def _without_code(status: int) -> Kind:
    if status == 429:  # noqa: PLR2004 - too many requests
        return Kind.BUSY
    refused = 300 <= status < 500 and status != 408  # noqa: PLR2004 - redirects and refusals, not a timeout
    return Kind.REFUSED if refused else Kind.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, or none at all.

    Args:
        kind: what it leaves known.
        rows: of a ``DONE`` one.
        code: PostgreSQL's or PostgREST's error code.
        sentence: what it said, in one sentence, without the key.
        wait: seconds that it asks to wait.
    """

    kind: Kind
    rows: tuple[Mapping[str, Any], ...] = ()
    code: str | None = None
    sentence: str = ""
    wait: float | None = None


def headers(key: str) -> dict[str, str]:
    """A secret key goes into ``apikey`` alone; a legacy key, which is a JWT, into ``Authorization`` too."""
    given = {
        "apikey": key,
        "Content-Profile": SCHEMA,
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    return given if key.startswith("sb_") else given | {"Authorization": f"Bearer {key}"}


class Client:
    """Calls functions of schema ``retention_api``.

    Args:
        http: to PostgREST: ``https://ref.supabase.co/rest/v1``; one request takes longer than a function may.
        key: reads the key anew for each call.
        deadline: of the run.
    """

    def __init__(self, http: http.Http, key: Callable[[], str], deadline: Deadline = UNLIMITED) -> None:
        self.url = http.url
        self._http = http
        self._key = key
        self._deadline = deadline

    def ask(
        self, function: str, arguments: Mapping[str, Any], *, finish: bool = False
    ) -> Mapping[str, Any] | None:
        """The row that a STABLE function returns, if it returns one; repeated while it makes sense.

        Args:
            function: its name.
            arguments: by name.
            finish: ask once more even when the run is told to stop: what a batch did has to be known.

        Raises:
            RunStopped: the run should end.
            StoreError: it was refused, or did not answer after several attempts.
        """
        import tenacity

        def wait(state: RetryCallState) -> float:
            ended = state.outcome
            return pause_of(ended.result(), state.attempt_number - 1) if ended is not None else 0.0

        retrying = tenacity.Retrying(
            stop=lambda state: state.attempt_number >= _ATTEMPTS or self._deadline.over(),
            wait=wait,
            sleep=self._deadline.wait,
            retry=tenacity.retry_if_result(lambda answer: answer.kind in {Kind.BUSY, Kind.UNKNOWN}),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        answer: Answer = retrying(self.call, function, arguments, finish=finish)
        if answer.kind is Kind.DONE:
            return self._row(function, answer)
        if answer.kind is not Kind.REFUSED and not finish:
            self._deadline.check(f"{self.url}: {function} {answer.sentence}")
        raise self.error(function, answer)

    def call(self, function: str, arguments: Mapping[str, Any], *, finish: bool = False) -> Answer:
        """One call and what is known after it; never repeated here.

        Raises:
            RunStopped: the run should end, and nothing was sent unless ``finish`` is false.
            StoreError: the certificate is not trusted, or the answer cannot be read.
        """
        from luxima_retention.io.http import HttpError

        body = json.dumps(arguments).encode()
        try:
            return _read(
                self._http.send(
                    "POST", f"/rpc/{function}", body=body, headers=headers(self._key()), finish=finish
                )
            )
        except HttpError as error:
            kind = Kind.UNKNOWN if error.reached else Kind.BUSY
            return Answer(kind=kind, sentence=error.reason)

    def error(self, function: str, answer: Answer) -> StoreError:
        """The sentence and hint for an answer that ends the attempts."""
        code = f" ({answer.code})" if answer.code else ""
        return StoreError(f"{self.url}: {function} {answer.sentence}{code}", _hint(answer))

    def _row(self, function: str, answer: Answer) -> Mapping[str, Any] | None:
        if len(answer.rows) > 1:
            raise StoreError(
                f"{self.url}: {function} returned {len(answer.rows)} rows instead of one",
                "run migrate again: the function is not the one that this version made",
            )
        return answer.rows[0] if answer.rows else None


def pause_of(answer: Answer, attempt: int) -> float:
    """Seconds until the next attempt: what the answer asks for, else ever more."""
    jitter = random.uniform(0.5, 1)  # noqa: S311 - spreads retries
    return answer.wait if answer.wait is not None else min(_FIRST_WAIT * 2**attempt * jitter, _LONGEST_WAIT)


def _read(answer: http.Answer) -> Answer:
    """What one answer says; JSON that is not PostgREST's counts as none."""
    body: Any = None
    with suppress(StoreError):
        body = answer.json()
    if answer.status in {200, 206} and _is_rows(body):
        return Answer(kind=Kind.DONE, rows=tuple(body))
    code = body.get("code") if isinstance(body, dict) else None
    code = code if isinstance(code, str) else None
    kind = classify(answer.status, code)
    if code is None and 200 <= answer.status < 300:  # noqa: PLR2004 - a success that says nothing
        kind = Kind.UNKNOWN
    said = body.get("message") if isinstance(body, dict) else None
    return Answer(
        kind=kind,
        code=code,
        sentence=f"answers {answer.status}" + (f": {str(said)[:300]}" if said else ""),
        wait=answer.retry_after(),
    )


def _is_rows(body: Any) -> bool:
    return isinstance(body, list) and all(isinstance(row, dict) for row in body)


_HINTS = {
    "PGRST106": f"add {SCHEMA} to the exposed schemas of the project's Data API",
    "PGRST202": "run migrate with the policy's rest_role set, then reload PostgREST's schema cache",
    "PGRST301": "set the policy's key to a secret key of this project",
    "PGRST303": "the legacy key has expired: set the policy's key to a secret key of this project",
    "42501": "the key's role needs EXECUTE on the functions: set the policy's rest_role to it, run migrate",
    "25006": "the database is read-only: a full disk makes Supabase do that",
    "57014": "the statement timeout is too short for this table: trim it over databases.supabase.dsn",
}


def _hint(answer: Answer) -> str:
    if answer.code in _HINTS:
        return _HINTS[answer.code]
    if "401" in answer.sentence:
        return "set the policy's key to a secret key of this project"
    return "check url of the policy and the state of the project"
