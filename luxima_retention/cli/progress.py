"""Progress on stderr, on a terminal only."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from luxima_retention.core.observer import Silent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Live(Silent):
    """Progress bars on stderr, on a terminal only."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> None:
        """Nothing is shown before the first batch."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bars off the terminal."""
        if self._progress is not None:
            self._progress.stop()

    def batch_done(self, policy: str, target: str, done: int, planned: int) -> None:  # noqa: ARG002
        """Show how far a target is."""
        if not sys.stderr.isatty():
            return
        if self._progress is None:
            from rich.progress import Progress

            from luxima_retention.cli.render import console

            self._progress = Progress(console=console(stderr=True), transient=True)
            self._progress.start()
        if target not in self._tasks:
            self._tasks[target] = self._progress.add_task(target, total=planned)
        self._progress.update(self._tasks[target], completed=done)
