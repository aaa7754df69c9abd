"""The structured log on stderr: each event is a line, JSON for programs, words on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from luxima_retention.core.observer import Silent
from luxima_retention.core.redact import redacted

if TYPE_CHECKING:
    from luxima_retention.cli import Context
    from luxima_retention.core.results import Step, TargetResult


def sayer(context: Context, **always: str) -> Callable[..., None]:
    """Writes events, each with an instant, and with its values without secrets.

    Args:
        context: of the command.
        always: what each line carries, such as the trace's id.
    """
    on_terminal = sys.stderr.isatty()
    level = context.log_level or ("warning" if on_terminal else "info")
    if level == "warning":
        return _silent  # no event is one, and the library takes a while to load
    structlog = _structlog(on_terminal=on_terminal)
    renderer: Any = structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    processors = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info if level == "debug" else _without_traceback,
        _without_secrets,
        renderer,
    ]
    logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr), processors=processors, wrapper_class=structlog.BoundLogger
    )
    say: Callable[..., None] = logger.bind(**always).info
    return say


def _structlog(*, on_terminal: bool) -> Any:
    """The library; for JSON without rich, which it would load to colour tracebacks on a terminal."""
    without = not on_terminal and "rich" not in sys.modules
    if without:
        sys.modules["rich"] = None  # type: ignore[assignment] # for as long as this, an import finds none
    try:
        return import_module("structlog")
    finally:
        if without:
            del sys.modules["rich"]


def _silent(_event: str, **_values: object) -> None:
    pass


def _without_secrets(_logger: Any, _name: str, event: Any) -> Any:
    """Events are for people: every text in them loses every known secret."""
    return {name: redacted(value) if isinstance(value, str) else value for name, value in event.items()}


def _without_traceback(_logger: Any, _name: str, event: Any) -> Any:
    """A traceback may show values; it is for the debug level."""
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
    return event


class Log(Silent):
    """Writes what a run tells to the structured log.

    Args:
        say: of :func:`sayer`.
    """

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say

    def step_ended(self, policy: str, target: str, step: Step) -> None:
        """See :class:`~luxima_retention.core.observer.Observer`."""
        self._say("step.ended", policy=policy, target=target, step=step.name, milliseconds=step.milliseconds)

    def ended(self, policy: str, result: TargetResult) -> None:
        """See :class:`~luxima_retention.core.observer.Observer`."""
        told = {
            "outcome": str(result.outcome),
            "exit_code": int(result.exit_code),
            "run_id": result.run_id,
        }
        self._say("target.ended", policy=policy, target=result.target, **told, sentence=result.sentence)

    def told(self, event: str, **values: Any) -> None:
        """See :class:`~luxima_retention.core.observer.Observer`."""
        self._say(event, **values)
