"""The one HTTP client: for Prometheus, Loki, Tempo, PostgREST, Pushgateway, collectors and hooks.

A request has a limit in all, not for each byte, and ends when the run does: it works in a thread of its own,
and whoever waits for it looks at the clock and at the stop signal. An answer has a limit of size. Redirects
are never followed, so credentials go to the address that the settings name and to no other. Sources: RFC 7617
(basic authentication, UTF-8), RFC 6750 (bearer tokens), RFC 9110 (Date, Retry-After, Content-Encoding).
"""

from __future__ import annotations

import base64
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from luxima_retention import __version__
from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import ConfigurationError, RetentionError, StoreError
from luxima_retention.core.foreign import json_of
from luxima_retention.io.certificates import check_certificates

if TYPE_CHECKING:
    from requests import Response
    from tenacity import RetryCallState

#: Bytes of one answer; a scrape of a large server's own metrics is well below one MiB.
LARGEST_ANSWER = 32 * 1024 * 1024
_BLOCK = 64 * 1024
#: Seconds between two looks at the stop signal while a request is under way.
_LOOK = 0.1
#: Seconds for a connection, at most a third of the whole request.
_CONNECT_SECONDS = 5.0
_ATTEMPTS = 3
_FIRST_WAIT = 0.25
_LONGEST_WAIT = 120.0
#: Answers that pass by themselves (RFC 9110, sections 15.5 and 15.6; RFC 6585, section 4).
PASSING = frozenset({429, 502, 503, 504})
_OK = 200
_TOO_MANY = 429
#: Without one of these the end of an answer is the end of the connection, whatever broke it (RFC 9112, 6.3).
_LENGTH = frozenset({"content-length", "transfer-encoding"})


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address and how it is reached. Secrets are read anew for each request: their files may be rotated.

    Args:
        url: with its path prefix; never a credential in it.
        setting: the setting that names the address, for hints: ``prometheus.urls``.
        options: the section with the options below, for hints: ``prometheus.http``.
        username: for basic authentication; empty sends none.
        password: of ``username``.
        bearer_token: sent where there is no ``username``; ``None`` sends none.
        headers: more of them, by name.
        ca_file: certificates to trust instead of the usual ones.
        timeout: seconds that one request may take in all.
        proxied: whether the environment's proxies count; not where the server itself has to answer.
    """

    url: str
    setting: str
    options: str
    username: str = ""
    password: Callable[[], str] | None = None
    bearer_token: Callable[[], str] | None = None
    headers: Callable[[], Mapping[str, str]] = _no_headers
    ca_file: str = ""
    timeout: float = 30.0
    proxied: bool = False

    def sent(self) -> dict[str, str]:
        """The headers that each request carries, with the secrets as they are now.

        Raises:
            ConfigurationError: a secret cannot be read, or does not fit into a header.
        """
        given = {"User-Agent": f"luxima-retention/{__version__}", "Accept-Encoding": "identity"}
        given |= self.headers()
        if self.username:
            pair = f"{self.username}:{self.password() if self.password else ''}"
            given["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        elif self.bearer_token is not None:
            given["Authorization"] = f"Bearer {self.bearer_token()}"
        for name, value in given.items():
            if not re.fullmatch(r"[\x20-\x7e]*", value):
                raise ConfigurationError(
                    f"the header {name} for {self.url} has a line break or a character that is not ASCII",
                    f"correct the token or the headers in {self.options}",
                )
        return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, of whatever status.

    Args:
        url: that was asked.
        status: of HTTP.
        headers: by name, in any case.
        body: as it was sent.
    """

    url: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the class "Successful"

    @property
    def redirects(self) -> bool:
        """Whether it names another address, which is never followed."""
        return 300 <= self.status < 400  # noqa: PLR2004 - the class "Redirection"

    @property
    def text(self) -> str:
        """The body as UTF-8; what is not is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            StoreError: it is not JSON.
        """
        try:
            return json_of(self.body)
        except ValueError as error:
            raise StoreError(f"{self.url} does not answer with JSON") from error

    def date(self) -> datetime:
        """The server's clock, in whole seconds.

        Raises:
            StoreError: it sent no date.
        """
        try:
            return parsedate_to_datetime(self.headers["Date"]).astimezone(UTC)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise StoreError(f"{self.url} answers without a date") from error

    def retry_after(self) -> float | None:
        """Seconds that it asks to wait, from a number of them or from a date, two minutes at most."""
        value = self.headers.get("Retry-After")
        if value is None:
            return None
        seconds = math.nan
        with suppress(ValueError):
            seconds = float(value)
        if math.isnan(seconds):
            with suppress(ValueError, TypeError, OverflowError):
                seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        return None if math.isnan(seconds) else min(max(seconds, 0.0), _LONGEST_WAIT)


class HttpError(StoreError):
    """No whole answer came.

    Args:
        url: that was asked.
        reason: what happened, without the address, which may be a secret itself.
        hint: what would help.
        reached: whether a connection came about: if not, the server never saw the request.
        passes: whether another attempt may help.
    """

    def __init__(self, url: str, reason: str, hint: str | None, *, reached: bool, passes: bool) -> None:
        super().__init__(f"{url} {reason}", hint)
        self.reason = reason
        self.reached = reached
        self.passes = passes


class Http:
    """Requests to one endpoint, each over a connection of its own: nothing is left open between them.

    Args:
        endpoint: where, and how.
        deadline: of the run.
        largest: bytes that an answer may have.
    """

    def __init__(
        self, endpoint: Endpoint, deadline: Deadline = UNLIMITED, *, largest: int = LARGEST_ANSWER
    ) -> None:
        self.endpoint = endpoint
        self.url = endpoint.url.rstrip("/")
        self._deadline = deadline
        self._largest = largest

    def get(self, path: str) -> Answer:
        """The answer of status 200; asked again a few times where that may help.

        Raises:
            RunStopped: the run should end.
            ConfigurationError: a secret or the CA's file cannot be read.
            StoreError: there was no answer, or one of another status.
        """
        answer = self.repeated(lambda: self.send("GET", path))
        self._refuse_status(answer)
        return answer

    def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        finish: bool = False,
    ) -> Answer:
        """One request, never repeated, and its answer whatever the status.

        Args:
            method: of HTTP.
            path: below the endpoint's URL, with its query.
            body: to send.
            headers: besides the endpoint's own.
            finish: let the request end within its own limit even when the run is told to stop: its answer
                tells whether something took effect.

        Raises:
            RunStopped: the run should end.
            ConfigurationError: a secret or the CA's file cannot be read.
            HttpError: no whole answer came.
        """
        url = self.url + path
        deadline = UNLIMITED if finish else self._deadline
        deadline.check(f"{url} was not asked")
        check_ca_file(self.endpoint)
        sent = {**self.endpoint.sent(), **(headers or {})}
        call = _Call(url, partial(_ask, self.endpoint, method, url, body, sent), self._largest)
        call.start()
        limit = deadline.within(self.endpoint.timeout)
        while not call.done.wait(min(_LOOK, limit.remaining())):
            if limit.over():
                self._abandon(call, deadline)
        if isinstance(call.error, RetentionError):
            raise call.error
        if call.answer is None:
            raise _translated(call.error, url, self.endpoint) from call.error
        return call.answer

    def repeated(self, attempt: Callable[[], Answer], *, blocked: float | None = None) -> Answer:
        """The answer of the first attempt that neither fails nor is refused in passing, else of the last one.

        Waits as long as an answer asks for, else ever longer; ends early when the run does, since ``attempt``
        does.

        Args:
            attempt: asks once, by :meth:`send`.
            blocked: seconds to wait after a 429 that does not say how long.
        """
        import tenacity

        def wait(state: RetryCallState) -> float:
            ended = state.outcome
            answer = None if ended is None or ended.failed else ended.result()
            asked = answer.retry_after() if answer is not None else None
            if asked is None and answer is not None and answer.status == _TOO_MANY:
                asked = blocked
            return growing(state) if asked is None else asked

        growing = tenacity.wait_random_exponential(_FIRST_WAIT, max=_LONGEST_WAIT)
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=wait,
            sleep=self._deadline.wait,
            retry=tenacity.retry_any(
                tenacity.retry_if_exception(lambda error: isinstance(error, HttpError) and error.passes),
                tenacity.retry_if_result(lambda answer: answer.status in PASSING),
            ),
            retry_error_callback=_last,
        )
        answer: Answer = retrying(attempt)
        return answer

    def _abandon(self, call: _Call, deadline: Deadline) -> NoReturn:
        """Leave a request to itself."""
        call.abandoned = True
        deadline.check(f"{call.url} has not answered")
        raise HttpError(
            call.url,
            f"gave no whole answer within {self.endpoint.timeout:g} s",
            f"check {self.endpoint.setting} and the network policy, or raise {self.endpoint.options}.timeout",
            reached=True,
            passes=False,
        )

    def _refuse_status(self, answer: Answer) -> None:
        options, setting = self.endpoint.options, self.endpoint.setting
        if answer.status in {401, 403}:
            raise StoreError(
                f"{answer.url} answers {answer.status}: it wants other credentials",
                f"set username and password, or bearer_token, in {options}",
            )
        if answer.redirects:
            raise StoreError(
                f"{answer.url} redirects to another address, which is not followed",
                f"set {setting} to the address that answers itself",
            )
        if answer.status != _OK:
            raise StoreError(f"{answer.url} answers {answer.status}", f"check {setting}")


def check_ca_file(endpoint: Endpoint) -> None:
    """Look at the CA's file before anything is sent.

    Raises:
        ConfigurationError: it is not there, or not PEM.
    """
    if endpoint.ca_file:
        check_certificates(endpoint.ca_file, f"set {endpoint.options}.ca_file to the CA's file")


@contextmanager
def _ask(
    endpoint: Endpoint, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
) -> Iterator[Response]:
    """Send one request; its answer can be read while the context is open."""
    import requests

    with requests.Session() as session:
        session.trust_env = endpoint.proxied
        # Given explicitly, so that a .netrc has no part in it.
        session.auth = lambda request: request
        with session.request(
            method,
            url,
            data=body,
            headers=dict(headers),
            # Whoever waits ends it before, so only a connection that does not come about ends here.
            timeout=(min(_CONNECT_SECONDS, endpoint.timeout / 3), endpoint.timeout + 1),
            allow_redirects=False,
            stream=True,
            verify=endpoint.ca_file or True,
        ) as response:
            yield response


class _Call(threading.Thread):
    """One request under way. A daemon: a server that never ends its answer must not keep the process.

    Attributes:
        done: set at its end.
        abandoned: nobody waits for it any longer.
        answer: that came.
        error: that came instead.
    """

    def __init__(self, url: str, ask: Callable[[], AbstractContextManager[Response]], largest: int) -> None:
        super().__init__(daemon=True, name=f"http {url}")
        self.url = url
        self.done = threading.Event()
        self.abandoned = False
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self._ask = ask
        self._largest = largest

    def run(self) -> None:
        """Work in the thread; whatever happens is kept for the one that waits."""
        try:
            self.answer = self._answered()
        except Exception as error:  # noqa: BLE001 - told in the thread that waits
            self.error = error
        finally:
            self.done.set()

    def _answered(self) -> Answer:
        with self._ask() as response:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise StoreError(f"{self.url} answers compressed, which was not asked for")
            if response.status_code == _OK and not _LENGTH & {name.lower() for name in response.headers}:
                raise StoreError(f"{self.url} does not say how long its answer is, so it may be cut short")
            body = b"".join(self._blocks(response))
            return Answer(url=self.url, status=response.status_code, headers=response.headers, body=body)

    def _blocks(self, response: Response) -> Iterator[bytes]:
        """What has arrived, as it arrives, up to a size that no honest answer has."""
        size = 0
        while not self.abandoned and (block := response.raw.read1(_BLOCK)):
            size += len(block)
            if size > self._largest:
                raise StoreError(f"{self.url} answers with more than {self._largest} bytes")
            yield block


def _translated(error: Exception | None, url: str, endpoint: Endpoint) -> RetentionError:
    """Our error for what went wrong in the thread; what the library says may quote secrets."""
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return StoreError(
            f"{url} has a certificate that is not trusted", f"set {endpoint.options}.ca_file to the CA's file"
        )
    if isinstance(error, (requests.exceptions.InvalidURL, UnicodeError)):
        return ConfigurationError(f"{url} is not a valid address", f"correct {endpoint.setting}")
    cause = _innermost(error or ConnectionError())
    late = isinstance(cause, TimeoutError)
    return HttpError(
        url,
        f"cannot be reached: {'no answer in time' if late else _reason(cause)}",
        f"check {endpoint.setting} and the network policy",
        reached=error is None or not _is_nobody(error),
        passes=not late,
    )


def _is_nobody(error: Exception) -> bool:
    """Whether no connection came about."""
    from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError))


def _innermost(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error


def _reason(cause: BaseException) -> str:
    """What the system said, which names no credentials."""
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return "the connection broke"


def _last(state: RetryCallState) -> Any:
    """What the last attempt gave: its answer or its error."""
    if state.outcome is None:
        raise StoreError("nothing was tried")
    return state.outcome.result()
