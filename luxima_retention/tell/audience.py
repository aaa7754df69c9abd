"""Who is told of a run. What nobody named is not even loaded: it takes longer than many a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.core.errors import ExitCode
    from luxima_retention.core.results import RunResult
    from luxima_retention.tell.telemetry import Telemetry
    from luxima_retention.tell.traces import Tracing


class Nobody:
    """The audience of a dry run.

    Attributes:
        tracing: the trace of the run; ``None`` for none.
    """

    tracing: Tracing | None = None

    def run(self, result: RunResult) -> tuple[str, ...]:  # noqa: ARG002
        """Tell what a run did; a sentence for each receiver that could not be told."""
        return ()

    def failed(self, names: Iterable[str], began: datetime, code: ExitCode) -> tuple[str, ...]:  # noqa: ARG002
        """Tell that a run ended before it came to its policies; as :meth:`run`."""
        return ()


class Audience(Nobody):
    """Metrics, trace and messages of a real run, by the settings.

    Args:
        settings: of the whole suite.
        shard: ``(I, N)`` where this process does a part of the work.
        environment: of the process; the standard variables of OpenTelemetry count.
    """

    def __init__(
        self, settings: Settings, shard: tuple[int, int] | None, environment: Mapping[str, str]
    ) -> None:
        from luxima_retention.tell.traces import open_tracing

        self._settings = settings
        self.tracing, warnings = open_tracing(settings, "run", environment)
        self._telemetry = self._of_metrics(shard, warnings)

    def _of_metrics(self, shard: tuple[int, int] | None, warnings: list[str]) -> Telemetry | None:
        chosen = self._settings.telemetry
        if not (self.tracing or warnings or chosen.pushgateway_url or chosen.textfile_directory):
            return None
        from luxima_retention.tell.telemetry import Telemetry

        return Telemetry(self._settings, shard=shard, tracing=self.tracing, warnings=warnings)

    def run(self, result: RunResult) -> tuple[str, ...]:
        """See :class:`Nobody`."""
        warnings = tuple(self._telemetry.run(result)) if self._telemetry else ()
        if not self._settings.notify.on:
            return warnings
        from luxima_retention.tell.notify.send import after_run

        return (*warnings, *after_run(self._settings, result))

    def failed(self, names: Iterable[str], began: datetime, code: ExitCode) -> tuple[str, ...]:
        """See :class:`Nobody`."""
        return tuple(self._telemetry.failed(names, began, code)) if self._telemetry else ()
