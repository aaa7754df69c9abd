"""Who watches a run: told of each step, batch and outcome, and deciding nothing. No I/O here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from luxima_retention.core.results import Step, TargetResult


class Observer(Protocol):
    """What the engine calls. An observer must not raise, and must not take long."""

    def step_began(self, policy: str, target: str, name: str, at: datetime) -> None:
        """A step has begun."""

    def step_ended(self, policy: str, target: str, step: Step) -> None:
        """A step has ended, well or not."""

    def batch_done(self, policy: str, target: str, done: int, planned: int) -> None:
        """A batch is final: so many records of the plan are dealt with."""

    def ended(self, policy: str, result: TargetResult) -> None:
        """A target has its outcome."""

    def told(self, event: str, **values: Any) -> None:
        """Something for the structured log."""

    def span(self, name: str, policy: str, target: str) -> AbstractContextManager[None]:
        """Around a part of a step that takes time: ``archive.write``, ``ledger.append``."""


class Silent:
    """Watches nothing. A base for observers that watch one thing."""

    def step_began(self, policy: str, target: str, name: str, at: datetime) -> None:
        """See :class:`Observer`."""

    def step_ended(self, policy: str, target: str, step: Step) -> None:
        """See :class:`Observer`."""

    def batch_done(self, policy: str, target: str, done: int, planned: int) -> None:
        """See :class:`Observer`."""

    def ended(self, policy: str, result: TargetResult) -> None:
        """See :class:`Observer`."""

    def told(self, event: str, **values: Any) -> None:
        """See :class:`Observer`."""

    def span(self, name: str, policy: str, target: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """See :class:`Observer`."""
        return nullcontext()


class Several(Silent):
    """Passes everything on to each of several observers, in their order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def step_began(self, policy: str, target: str, name: str, at: datetime) -> None:
        """See :class:`Observer`."""
        for observer in self._observers:
            observer.step_began(policy, target, name, at)

    def step_ended(self, policy: str, target: str, step: Step) -> None:
        """See :class:`Observer`."""
        for observer in self._observers:
            observer.step_ended(policy, target, step)

    def batch_done(self, policy: str, target: str, done: int, planned: int) -> None:
        """See :class:`Observer`."""
        for observer in self._observers:
            observer.batch_done(policy, target, done, planned)

    def ended(self, policy: str, result: TargetResult) -> None:
        """See :class:`Observer`."""
        for observer in self._observers:
            observer.ended(policy, result)

    def told(self, event: str, **values: Any) -> None:
        """See :class:`Observer`."""
        for observer in self._observers:
            observer.told(event, **values)

    @contextmanager
    def span(self, name: str, policy: str, target: str) -> Iterator[None]:
        """See :class:`Observer`."""
        with ExitStack() as stack:
            for observer in self._observers:
                stack.enter_context(observer.span(name, policy, target))
            yield
