"""What is known of one target while it has its turn; its result at any time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from luxima_retention.core.clock import Clock
from luxima_retention.core.observer import Observer
from luxima_retention.core.proof import Verdict
from luxima_retention.core.results import Outcome, Step, TargetResult


class Known:
    """Collects facts of a target as the steps find them, so that an error hides nothing that was found.

    Args:
        policy: its name.
        target: name of the target, until the store says its own.
        observer: is told of steps and of the outcome.
        clock: the program's.
    """

    def __init__(self, policy: str, target: str, observer: Observer, clock: Clock) -> None:
        self._policy = policy
        self._observer = observer
        self._clock = clock
        self._result = TargetResult(target=target, outcome=Outcome.FAULT)

    def learn(self, **facts: Any) -> None:
        """Add fields of :class:`~.TargetResult`."""
        self._result = replace(self._result, **facts)

    def ended(self, verdict: Verdict) -> TargetResult:
        """The result, with everything that is known."""
        self.learn(
            outcome=verdict.outcome,
            exit_code=verdict.exit_code,
            sentence=verdict.sentence,
            hint=verdict.hint,
        )
        self._observer.ended(self._policy, self._result)
        return self._result

    @property
    def milliseconds(self) -> dict[str, int]:
        """Step → how long it took, of those that have ended."""
        return self._result.milliseconds

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step, and tell of its begin and its end."""
        began, ticks = self._clock(), time.monotonic()
        self._observer.step_began(self._policy, self._result.target, name, began)
        try:
            yield
        finally:
            milliseconds = round((time.monotonic() - ticks) * 1000)
            step = Step(name=name, began=began, ended=self._clock(), milliseconds=milliseconds)
            self.learn(steps=(*self._result.steps, step))
            self._observer.step_ended(self._policy, self._result.target, step)
