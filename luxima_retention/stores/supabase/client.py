"""Calls of SQL functions through PostgREST, and what each kind of answer leaves known.

Only ``POST /rpc/<function>`` is ever sent: no filter, no limit, no preference. Sources: PostgREST
documentation, "Functions as RPC", "Transactions" (a STABLE function runs read-only), "Errors"; Supabase
documentation, "Understanding API keys" (where each kind of key goes).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from luxima_retention import __version__
from luxima_retention.core.errors import StoreError

if TYPE_CHECKING:
    from requests import Response, Session

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
        "Accept": "application/json",
        "User-Agent": f"luxima-retention/{__version__}",
    }
    return given if key.startswith("sb_") else given | {"Authorization": f"Bearer {key}"}


class Client:
    """Calls functions of schema ``retention_api``.

    Args:
        url: of PostgREST: ``https://ref.supabase.co/rest/v1``.
        key: reads the key anew for each call.
        wait: sleeps so many seconds.
        timeout: seconds to wait for a connection, and for an answer; longer than a function may run.
        ca_file: certificates to trust instead of the usual ones.
    """

    def __init__(
        self,
        url: str,
        key: Callable[[], str],
        *,
        wait: Callable[[float], None] = time.sleep,
        timeout: float = 30.0,
        ca_file: str = "",
    ) -> None:
        self.url = url.rstrip("/")
        self._key = key
        self._wait = wait
        self._timeout = timeout
        self._ca_file = ca_file
        self._opened: Session | None = None

    def ask(
        self, function: str, arguments: Mapping[str, Any], wait: Callable[[float], None] | None = None
    ) -> Mapping[str, Any] | None:
        """The row that a STABLE function returns, if it returns one; repeated while it makes sense.

        Raises:
            StoreError: it was refused, or did not answer after several attempts.
        """
        answer = Answer(kind=Kind.UNKNOWN)
        for attempt in range(_ATTEMPTS):
            answer = self.call(function, arguments)
            if answer.kind is Kind.DONE:
                return self._row(function, answer)
            if answer.kind in {Kind.REFUSED, Kind.SLOW}:
                break
            self.pause(answer, attempt, wait)
        raise self.error(function, answer)

    def call(self, function: str, arguments: Mapping[str, Any]) -> Answer:
        """One call and what is known after it; never repeated here."""
        import requests

        try:
            with self._session().post(
                f"{self.url}/rpc/{function}",
                json=arguments,
                headers=headers(self._key()),
                timeout=self._timeout,
                allow_redirects=False,
            ) as answer:
                return _read(answer)
        except requests.exceptions.SSLError as error:
            raise StoreError(
                f"{self.url} has a certificate that is not trusted", "set supabase.ca_file to the CA's file"
            ) from error
        except requests.ConnectTimeout:
            return Answer(kind=Kind.BUSY, sentence="could not be connected to in time")
        except requests.RequestException as error:
            return Answer(kind=Kind.UNKNOWN, sentence=f"broke the connection ({type(error).__name__})")

    def pause(self, answer: Answer, attempt: int, wait: Callable[[float], None] | None = None) -> None:
        """Wait as long as the answer asks for, else ever longer."""
        jitter = random.uniform(0.5, 1)  # noqa: S311 - spreads retries
        seconds = answer.wait if answer.wait is not None else _FIRST_WAIT * 2**attempt * jitter
        (wait or self._wait)(min(seconds, _LONGEST_WAIT))

    def error(self, function: str, answer: Answer) -> StoreError:
        """The sentence and hint for an answer that ends the attempts."""
        code = f" ({answer.code})" if answer.code else ""
        return StoreError(f"{self.url}: {function} {answer.sentence}{code}", _hint(answer))

    def close(self) -> None:
        """Close the connections; may be called twice."""
        if self._opened is not None:
            self._opened.close()

    def _row(self, function: str, answer: Answer) -> Mapping[str, Any] | None:
        if len(answer.rows) > 1:
            raise StoreError(
                f"{self.url}: {function} returned {len(answer.rows)} rows instead of one",
                "run migrate again: the function is not the one that this version made",
            )
        return answer.rows[0] if answer.rows else None

    def _session(self) -> Session:
        import requests

        if self._opened is None:
            self._opened = requests.Session()
            # Given explicitly, so that a .netrc has no part in it.
            self._opened.auth = lambda request: request
            if self._ca_file:
                self._opened.verify = self._ca_file
        return self._opened


def _read(answer: Response) -> Answer:
    """What one answer says; JSON that is not PostgREST's counts as none."""
    body: Any = None
    with suppress(ValueError):
        body = answer.json()
    if answer.status_code in {200, 206} and _is_rows(body):
        return Answer(kind=Kind.DONE, rows=tuple(body))
    code = body.get("code") if isinstance(body, dict) else None
    code = code if isinstance(code, str) else None
    kind = classify(answer.status_code, code)
    if code is None and 200 <= answer.status_code < 300:  # noqa: PLR2004 - a success that says nothing
        kind = Kind.UNKNOWN
    said = body.get("message") if isinstance(body, dict) else None
    return Answer(
        kind=kind,
        code=code,
        sentence=f"answers {answer.status_code}" + (f": {str(said)[:300]}" if said else ""),
        wait=_retry_after(answer.headers.get("Retry-After")),
    )


def _is_rows(body: Any) -> bool:
    return isinstance(body, list) and all(isinstance(row, dict) for row in body)


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number of them or from a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    with suppress(ValueError):
        return max(float(value), 0.0)
    with suppress(ValueError):
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    return None


_HINTS = {
    "PGRST106": f"add {SCHEMA} to the exposed schemas of the project's Data API",
    "PGRST202": "run migrate with supabase.rest_role set, then reload PostgREST's schema cache",
    "PGRST301": "set supabase.key to a secret key of this project",
    "PGRST303": "the legacy key has expired: set supabase.key to a secret key of this project",
    "42501": "the key's role needs EXECUTE on the functions: run migrate with supabase.rest_role set to it",
    "25006": "the database is read-only: a full disk makes Supabase do that",
    "57014": "the statement timeout is too short for this table: trim it over supabase.dsn",
}


def _hint(answer: Answer) -> str:
    if answer.code in _HINTS:
        return _HINTS[answer.code]
    if "401" in answer.sentence:
        return "set supabase.key to a secret key of this project"
    return "check supabase.url and the state of the project"
