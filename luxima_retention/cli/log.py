"""The structured log on stderr: each event is a line, JSON for programs, words on a terminal."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
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
        return _silent  # no event is one
    return partial(_say, _in_words if on_terminal else _as_json, always, tracebacks=level == "debug")


def _silent(_event: str, **_values: object) -> None:
    pass


def _say(
    form: Callable[[dict[str, Any]], str],
    always: dict[str, str],
    event: str,
    /,
    *,
    tracebacks: bool,
    exc_info: BaseException | None = None,
    **values: Any,
) -> None:
    """One write for each line: the daemon's threads share the stream."""
    line = {**always, **values, **_of_error(exc_info, tracebacks=tracebacks)}
    line |= {"event": event, "level": "info", "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}
    told = {name: redacted(value) if isinstance(value, str) else value for name, value in line.items()}
    sys.stderr.write(f"{form(told)}\n")
    sys.stderr.flush()


def _of_error(error: BaseException | None, *, tracebacks: bool) -> dict[str, str]:
    """A traceback may show values; it is for the debug level."""
    if error is None:
        return {}
    if tracebacks:
        return {"exception": "".join(traceback.format_exception(error)).rstrip()}
    return {"error": type(error).__name__}


def _as_json(line: dict[str, Any]) -> str:
    return json.dumps(line, default=repr)


def _in_words(line: dict[str, Any]) -> str:
    """Instant, event, and its values as ``name=value``; a traceback on lines of its own."""
    values = {name: value for name, value in line.items() if name not in {"event", "level", "timestamp"}}
    trace = values.pop("exception", None)
    words = " ".join([line["timestamp"], line["event"], *(f"{key}={item}" for key, item in values.items())])
    return f"{words}\n{trace}" if trace else words


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
