"""What several commands need: types of arguments, terminals, signals."""

from __future__ import annotations

import gc
import math
import os
import select
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

from luxima_retention.core.errors import ConfigurationError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

output_option = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the result on stdout."
)


class PolicyName(click.ParamType[str]):
    """A policy of the settings: ``audit-logs`` or ``audit_logs``; which there are, the settings say."""

    name = "POLICY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002 - theirs
        """See :class:`click.ParamType`."""
        return str(value).lower().replace("_", "-")

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - theirs
        incomplete: str,
    ) -> list[CompletionItem]:
        """The policies in force; none where the settings cannot be read."""
        from click.shell_completion import CompletionItem

        from luxima_retention.cli import Context
        from luxima_retention.core.errors import RetentionError

        try:
            names = list((ctx.obj or Context()).settings.policies)
        except RetentionError:
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


policy_type = PolicyName()


class Instant(click.ParamType[datetime]):
    """``2026-11-23`` (its start, UTC) or ``2026-11-23T08:30:00+07:00``."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """See :class:`click.ParamType`."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not an instant: write 2026-11-23 or 2026-11-23T08:30:00Z", param, ctx)
        if instant.tzinfo is None and "T" in value:
            self.fail(f"{value!r} has no time zone: add Z or +07:00", param, ctx)
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


class Duration(click.ParamType[timedelta]):
    """``90s``, ``30m``, ``2h``, ``7d``; with ``off`` allowed, the word itself."""

    name = "duration"

    def __init__(self, *, off: bool = False) -> None:
        self._off = off

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See :class:`click.ParamType`."""
        from luxima_retention.core.durations import parse_duration

        if value == "off" and self._off:
            return value
        try:
            duration = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if duration is None:
            self.fail("a duration is needed: write 90s, 30m, 2h or 7d", param, ctx)
        return duration


class Part(click.ParamType[Decimal]):
    """``0.25``: a part of all, from 0 to 1."""

    name = "F"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """See :class:`click.ParamType`."""
        try:
            part = Decimal(str(value))
        except InvalidOperation:
            part = Decimal(-1)
        if not 0 <= part <= 1:
            self.fail(f"{value!r} is not a part from 0 to 1", param, ctx)
        return part


class Shard(click.ParamType[tuple[int, int]]):
    """``2/8``: the third of eight parts, counted from 0 as Indexed Jobs do."""

    name = "I/N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """See :class:`click.ParamType`."""
        index, _, count = str(value).partition("/")
        if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            self.fail(f"{value!r} is not a shard: write I/N with I from 0 to N-1", param, ctx)
        return int(index), int(count)


#: seconds; whoever waits longer asks again
_LONGEST_WAIT = 86_400.0


class Stopper:
    """Turns true at SIGTERM or SIGINT; a second SIGINT ends the process at once.

    A pipe, not a :class:`threading.Event`: the handler runs inside of the main thread's own wait, and would
    wait for ever for the event's lock.
    """

    def __init__(self) -> None:
        self._stopped = False
        self._reader, self._writer = os.pipe()

    def __call__(self) -> bool:
        """Whether somebody has asked for the end."""
        return self._stopped

    def wait(self, seconds: float) -> None:
        """Sleep, or less when told to stop."""
        poll = select.poll()  # descriptors may be many: select() takes none above 1023
        poll.register(self._reader, select.POLLIN)
        poll.poll(math.ceil(min(max(seconds, 0.0), _LONGEST_WAIT) * 1000))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals inside the block."""
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            signal.signal(number, self._told)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _told(self, number: int, _frame: object) -> None:
        if self._stopped and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self._stopped:
            self._stopped = True
            os.write(self._writer, b"\0")  # never read: it ends every wait


@contextmanager
def loading() -> Iterator[None]:
    """While modules and settings are loaded: they stay to the end, so nobody searches them for garbage.

    The collector would, a dozen times on the way and once more at the exit: a sixth of a small run.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def readers_may_leave() -> Iterator[None]:
    """Keep the exit code of what was done, although nobody reads the result to its end."""
    try:
        yield
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # rich ends the process
        from luxima_retention.cli import leave_quietly

        leave_quietly()


def fitted(line: str, further: str = "  ", *, err: bool = False) -> str:
    """A line for people: folded between words on a terminal, as it is for a file or a pipe.

    Args:
        line: of any length, with its indentation.
        further: the indentation of what does not fit.
        err: it goes to stderr, not to stdout.
    """
    if not (sys.stderr if err else sys.stdout).isatty():
        return line
    from shutil import get_terminal_size

    return folded(line, further, get_terminal_size().columns)


def folded(line: str, further: str, width: int) -> str:
    """A line as several ones of this width at most; a word that is longer stays whole."""
    words = line.lstrip()
    return textwrap.fill(
        words,
        width,
        initial_indent=line[: len(line) - len(words)],
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def both_zones(instant: datetime) -> str:
    """``2026-05-27 00:00 UTC (07:00 WIB)``."""
    from zoneinfo import ZoneInfo

    there = instant.astimezone(ZoneInfo("Asia/Jakarta"))
    day = "" if there.date() == instant.date() else f"{there:%Y-%m-%d} "
    return f"{instant:%Y-%m-%d %H:%M} UTC ({day}{there:%H:%M} WIB)"


def warn(sentence: str) -> None:
    """Tell what did not keep the command from its work."""
    click.echo(fitted(f"warning: {sentence}", err=True), err=True)


def listening(_context: click.Context, option: click.Parameter, value: str | None) -> tuple[str, int] | None:
    """Host and port of an option ``--listen``.

    Raises:
        ConfigurationError: it is neither.
    """
    from luxima_retention.config.values import host_and_port

    if value is None:
        return None
    try:
        return host_and_port(value)
    except ValueError:
        raise ConfigurationError(f"--{option.name} is {value!r}", "write HOST:PORT: 127.0.0.1:8043") from None
