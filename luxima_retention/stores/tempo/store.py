"""One Tempo, asked over HTTP by itself. Only GET is ever sent; what is not Tempo's own answer is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import StoreError
from luxima_retention.core.plan import Finding, Identity, Request, Survey
from luxima_retention.core.promise import Mode
from luxima_retention.stores.tempo import reading
from luxima_retention.stores.tempo.verdict import evidence, judge

if TYPE_CHECKING:
    from luxima_retention.io.http import Http
    from luxima_retention.stores.tempo.options import TempoPolicy

_T = TypeVar("_T")
#: Bytes of one page: the limits of some ten thousand tenants.
_LARGEST = 8 * 1024 * 1024
_DIRECT = "set url of the policy to the address of Tempo itself, with its path prefix"


def open_tempo(
    settings: TempoPolicy, deadline: Deadline = UNLIMITED, setting: str = "policies.traces"
) -> TempoStore | None:
    """The store of ``url``; ``None`` where it is not set.

    Raises:
        ConfigurationError: a file that ``http`` names cannot be read.
    """
    from luxima_retention.config.endpoints import endpoint
    from luxima_retention.io.http import Http

    if not settings.url:
        return None
    there = endpoint(settings.url, settings.http, setting=f"{setting}.url", options=f"{setting}.http")
    return TempoStore(Http(there, deadline, largest=_LARGEST), mode=Mode(settings.mode))


class TempoStore:
    """A server of which only the retention is checked; see :mod:`.verdict` for what follows from what.

    Args:
        http: to the process that applies retention.
        mode: what the policy's period promises.
    """

    def __init__(self, http: Http, *, mode: Mode = Mode.EXACT) -> None:
        self.url = http.url
        self._http = http
        self._mode = mode

    def identity(self) -> Identity:
        """Address, and where the blocks lie: the same place is the same Tempo."""
        config = self._document("config")
        return Identity(kind="tempo", target=self.url, fingerprint=self._parsed(reading.storage, config))

    def clock(self) -> datetime:
        """The ``Date`` of an answer: whole seconds."""
        return self._http.get("/status/version").date()

    def preflight(self, request: Request) -> tuple[Finding, ...]:  # noqa: ARG002 - nothing depends on it
        """Nothing: the survey reads all that there is."""
        return ()

    def survey(self, request: Request) -> Survey:
        """What the server says, with the verdicts as its findings; never anything expired."""
        answer = self._http.get("/status/version")
        facts = self._facts(self._parsed(reading.version, answer.text))
        findings = judge(facts, request.retention_days, self._mode)
        return Survey(
            identity=Identity(kind="tempo", target=self.url, fingerprint=facts.storage),
            store_clock=answer.date(),
            findings=tuple(replace(item, message=f"{self.url}: {item.message}") for item in findings),
            evidence=evidence(facts, findings),
        )

    def close(self) -> None:
        """Nothing is kept open."""

    def _facts(self, version: str) -> reading.Facts:
        services = self._parsed(reading.services, self._http.get("/status/services").text)
        config = self._document("config")
        applied = self._parsed(lambda given: reading.applied(given, services), config)
        facts = reading.Facts(
            version=version,
            services=services,
            applied=applied,
            storage=self._parsed(reading.storage, config),
        )
        if not applied:
            return facts
        defaults, tenants = self._parsed(reading.overrides, self._document("runtime_config"))
        return replace(facts, defaults=defaults, tenants=tenants)

    def _document(self, page: str) -> Mapping[str, Any]:
        return self._parsed(lambda text: reading.document(text, page), self._http.get(f"/status/{page}").text)

    def _parsed(self, parse: Callable[[Any], _T], given: Any) -> _T:
        try:
            return parse(given)
        except ValueError as error:
            raise StoreError(f"{self.url} gives an answer that cannot be read: {error}", _DIRECT) from error
