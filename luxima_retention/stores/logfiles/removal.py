"""Rotated files that go by number or age: mailed, overwritten, removed; kept where a hold says so."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import groupby
from operator import attrgetter
from typing import IO, Any

from luxima_retention.core.errors import StoreError
from luxima_retention.core.plan import Hold
from luxima_retention.stores.logfiles import codecs
from luxima_retention.stores.logfiles.desk import Desk
from luxima_retention.stores.logfiles.files import Item, held, items
from luxima_retention.stores.logfiles.hooks import environment
from luxima_retention.stores.logfiles.outcome import ENTRY, Rotations
from luxima_retention.stores.logfiles.rules import surplus
from luxima_retention.stores.logfiles.safe import Directory
from luxima_retention.stores.logfiles.sets import LogSet, Place
from luxima_retention.stores.logfiles.terms import Terms

#: seconds for a program: overwriting many gigabytes takes a while
_PATIENCE = 3600.0


class Removal:
    """Removes the rotated files of a set that are too many or too old.

    Args:
        log_set: whose they are.
        terms: of the run.
        desk: for the ledger.
        result: told what was done.
        attempt: calls a function and tells its failure.
        hooks: runs those of an event, of a log and of what it became.
    """

    def __init__(
        self,
        log_set: LogSet,
        terms: Terms,
        desk: Desk,
        result: Rotations,
        *,
        attempt: Callable[..., Any],
        hooks: Callable[[str, str, str], None],
    ) -> None:
        self.set = log_set
        self.chosen = log_set.settings
        self.terms = terms
        self.desk = desk
        self.result = result
        self._attempt = attempt
        self._hooks = hooks

    def may_go(self, place: Place, moved: Collection[str]) -> bool:
        """Whether anything could go after some logs were moved, by what was there before."""
        if self.chosen.keep is None:
            return self.chosen.max_age_days is not None
        logs = {*place.rotated, *moved}
        most = max((len(place.rotated.get(log, ())) + (log in moved) for log in logs), default=0)
        return self.chosen.max_age_days is not None or most > self.chosen.keep

    def take(self, place: Place, would: set[str]) -> None:
        """Remove what goes from a directory.

        Args:
            place: the directory.
            would: paths of logs that a dry run would have rotated, each of which has one file more then.
        """
        if self.chosen.keep is None and self.chosen.max_age_days is None:
            return
        going, path = self._surplus(place, would), place.store.path
        if going and not self.terms.removes:
            self.result.left.append(f"{len(going)} files in {path} wait for the policy, which archives them")
        elif going and self.terms.holds is None:
            error = StoreError(
                f"{len(going)} files in {path} would be deleted, but legal holds cannot be read"
            )
            self.result.fail(error)
        elif going:
            self._remove(place, going, self.terms.holds or ())

    def _surplus(self, place: Place, would: set[str]) -> list[tuple[Item, str]]:
        """The rotated files that go by number or age, the oldest of every log first."""
        chosen = self.chosen
        max_age = None if chosen.max_age_days is None else timedelta(days=chosen.max_age_days)
        going: list[tuple[Item, str]] = []
        if max_age is None:  # a log of few files, of which none can go, is not looked at
            few = {log for log, files in place.rotated.items() if len(files) < (chosen.keep or 0)}
            place = place.without(few)
        for log, rotated in groupby(items(self.set, place, self.terms.now), key=attrgetter("log")):
            keep = chosen.keep if log not in would or not chosen.keep else chosen.keep - 1
            going += surplus(list(rotated), keep=keep, max_age=max_age, now=self.terms.now)
        return sorted(going, key=lambda each: (-each[0].rank, each[0].log))

    def _remove(self, place: Place, going: Sequence[tuple[Item, str]], holds: tuple[Hold, ...]) -> None:
        free = []
        for item, sentence in going:
            if held(item, holds, self.terms.policy):
                self.result.left.append(f"{item.path} is kept by a hold")
            else:
                free.append((item, _removed(item, sentence)))
        if self.terms.read_only:
            for _, value in free:
                self.result.removed.add(value)
            return
        for start in range(0, len(free), ENTRY):
            entry = free[start : start + ENTRY]
            self.desk.record({"set": self.set.name, "removed": [value for _, value in entry]})
            for item, value in entry:
                self._attempt(self._remove_one, item, value)
            place.store.sync()

    def _remove_one(self, item: Item, value: dict[str, Any]) -> None:
        self._hooks("before_removal", item.path, item.path)
        if self.chosen.mail and not self.chosen.mail_newest:
            mail(self.set, item.directory, item.rotated.name, subject=self._subject(item))
        remove(self.set, item.directory, item.rotated.name)
        self.result.removed.add(value)

    def _subject(self, item: Item) -> str:
        """The name that it has, or would have had once it was compressed."""
        later = self.set.compresses and not self.chosen.delay_compress and not item.rotated.compressed
        return item.path + self.set.extension if later else item.path


def _removed(item: Item, sentence: str) -> dict[str, Any]:
    path = item.path.encode("utf-8", "backslashreplace").decode()
    return {"path": path, "bytes": item.file.size, "sentence": sentence}


def remove(log_set: LogSet, directory: Directory, name: str) -> None:
    """Remove a rotated file; where the set says so, overwrite it first.

    Raises:
        StoreError: it cannot be removed or overwritten; it is still there then.
    """
    if log_set.settings.shred:
        path = directory.path_of(name)
        with directory.reading(name, write=True) as (descriptor, _):
            cycles = str(log_set.settings.shred_cycles)
            _run(["shred", "-n", cycles, "-"], f"{path} was not overwritten", out=descriptor)
    directory.remove(name)


def mail(log_set: LogSet, directory: Directory, name: str, *, subject: str) -> None:
    """Send a rotated file to the address of the set, decompressed.

    Raises:
        FileNotFoundError: it has vanished.
        StoreError: the program that sends mail failed.
    """
    path, chosen = directory.path_of(name), log_set.settings
    with directory.reading(name, hard_links=chosen.allow_hard_links) as (descriptor, _):
        # Whoever names a log names no header of a mail.
        plain = "".join(letter if letter.isprintable() else "?" for letter in subject)
        command = [log_set.mail_program, "-s", plain, chosen.mail]
        _run(command, f"{path} was not sent to {chosen.mail}", content=descriptor)


def _run(command: list[str], failed: str, *, out: int = 2, content: int | None = None) -> None:
    """Run a program, with no identity but the effective one; of ``content`` it reads what that holds."""
    ours = os.getresuid() == (os.geteuid(),) * 3
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            env=environment(os.environ),
            start_new_session=True,
            user=None if ours else os.geteuid(),
            group=None if ours else os.getegid(),
        ) as process:
            assert process.stdin is not None  # noqa: S101 - a pipe
            with _ending(process):
                with suppress(BrokenPipeError):  # a program that ends early tells why by its status
                    if content is not None:
                        _feed(content, process.stdin)
                with suppress(BrokenPipeError):
                    process.stdin.close()
                process.stdin = None
                status = process.wait()
    except OSError as error:
        hint = f"install {command[0]}, or see mail and shred of the set"
        raise StoreError(f"{failed}: {command[0]}: {error}", hint) from error
    if status:
        raise StoreError(f"{failed}: {command[0]} ended with status {status}")


@contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A program that does not end, or does not read what it is given, is killed with all that it started."""
    killing = threading.Timer(_PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    killing.daemon = True
    killing.start()
    try:
        yield
    finally:
        killing.cancel()


def _feed(descriptor: int, to: IO[bytes]) -> None:
    compressed = codecs.recognised(os.pread(descriptor, 8, 0)) is not None
    os.lseek(descriptor, 0, os.SEEK_SET)
    for data in codecs.decompress(descriptor) if compressed else codecs.blocks(descriptor):
        to.write(data)
