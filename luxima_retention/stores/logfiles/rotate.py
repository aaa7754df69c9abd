"""The rotation of log files: an operation of its own, which never needs the ledger.

For each set, in the order of logrotate(8): hooks ``first``; for each log that is due, hooks ``before``, the
older files move up, the log is renamed or copied, an empty one is made, hooks ``after``; then the files that
are too many or too old go, the others are compressed, hooks ``last``. A failure keeps what it concerns as it
was, is told, and is due again at the next run, which first finishes what an earlier one has begun.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from luxima_retention.core.errors import ExitCode, RetentionError, StoreError
from luxima_retention.core.plan import Hold
from luxima_retention.io.failpoints import failpoint
from luxima_retention.stores.logfiles import state as states
from luxima_retention.stores.logfiles.files import Item, held, items
from luxima_retention.stores.logfiles.hooks import run_hooks
from luxima_retention.stores.logfiles.identity import (
    acting_as,
    acting_as_oneself,
    group_id,
    user_id,
)
from luxima_retention.stores.logfiles.journal import Journal, Step
from luxima_retention.stores.logfiles.moving import Moves
from luxima_retention.stores.logfiles.names import last_rotation
from luxima_retention.stores.logfiles.outcome import ENTRY, Rotations
from luxima_retention.stores.logfiles.rules import Due, Facts, due, surplus
from luxima_retention.stores.logfiles.safe import Attributes, Directory, File, UnfitError
from luxima_retention.stores.logfiles.sets import LogSet, Place, first_date
from luxima_retention.stores.logfiles.shrink import settle_pairs, shrink
from luxima_retention.stores.logfiles.state import State
from luxima_retention.stores.logfiles.terms import Terms

#: directory → log → whose it is
_Seen = dict[tuple[int, int], dict[str, LogSet]]
#: logs whose rotation is announced together: what is kept of each does not add up over a large directory
_TOGETHER = 1000
_YEAR = timedelta(days=366)
_TAKEN = "it waits; a date_format with %H, or %s, rotates more often than daily"


def rotate(log_sets: Sequence[LogSet], terms: Terms) -> tuple[Rotations, ...]:
    """Rotate what is due in each set; a failure of one does not keep the others from their turn.

    Raises:
        LeaseHeld: another rotation has the state file.
        StoreError: the state file cannot be read.
    """
    seen: _Seen = {}
    results = []
    with _central_state(log_sets, terms) as central:
        for log_set in log_sets:
            turn = _Turn(log_set, terms, seen, central)
            turn.run()
            results.append(turn.result)
    if central is not None and central.problems and results:
        for problem in central.problems:
            results[0].fail(StoreError(problem, "it is kept beside the new one as .damaged"))
    return tuple(results)


@contextmanager
def _central_state(log_sets: Sequence[LogSet], terms: Terms) -> Iterator[State | None]:
    """The state of ``rotation.state_file``; ``None`` where each directory has its own."""
    path = log_sets[0].state_file if log_sets else ""
    if not path or Path(path).is_char_device():  # /dev/null keeps none, as logrotate(8) has it
        yield None
        return
    try:
        directory = Directory.open(os.path.dirname(path) or "/")  # noqa: PTH120 - as it is written
    except FileNotFoundError as error:
        said = f"rotation.state_file is {path}, whose directory is missing"
        raise StoreError(said, "make it, or name another") from error
    name = os.path.basename(path)  # noqa: PTH119 - as it is written
    with ExitStack() as stack:
        stack.callback(directory.close)
        if not terms.read_only:
            stack.enter_context(states.locked(directory, name))
        yield State(directory, name, log_sets[0].zone)


@dataclass(slots=True)
class _Open:
    """A directory that is worked on."""

    place: Place
    state: State | None
    journal: Journal | None
    #: logs that an earlier run has left half done
    recovered: tuple[Step, ...] = ()
    #: logs that were moved, now or then: until their hooks went well, nothing more becomes of their files
    moved: set[str] = field(default_factory=set)
    due: list[tuple[str, File, Due]] = field(default_factory=list)


class _Turn:
    """One set's turn."""

    def __init__(
        self,
        log_set: LogSet,
        terms: Terms,
        seen: _Seen,
        central: State | None,
    ) -> None:
        self.set = log_set
        self.chosen = log_set.settings
        self.terms = terms
        self.seen = seen
        self.central = central
        self.result = Rotations(name=log_set.name)
        self._begun: bool | None = None
        self._would: set[str] = set()
        self._locked: set[tuple[int, int]] = set()
        self._series: dict[tuple[tuple[int, int], str], str] = {}

    def run(self) -> None:
        """Both passes over its directories."""
        try:
            with acting_as(self.chosen.user, self.chosen.group), ExitStack() as stack:
                places = list(self.set.find())
                for place in places:
                    stack.callback(place.close)
                self._passes(places)
        except RetentionError as error:
            self.result.fail(error)

    def _passes(self, places: list[Place]) -> None:
        worked = [found for place in places if (found := self._attempt(self._open, place))]
        if self._complete(places) or not self.chosen.shared_hooks:
            for found in worked:
                self._attempt(self._rotate_all, found)
        shared = self._shared_after(worked)
        for found in worked:
            self._attempt(self._finish, found, shared=shared)
        if self._begun:
            self._attempt(self._shared_hooks, "last")

    def _complete(self, places: Sequence[Place]) -> bool:
        """Whether each pattern has its log, where one has to; hooks that are shared are for all or none."""
        missing = () if self.chosen.missing_ok else tuple(self.set.unmatched(places))
        for pattern in missing:
            error = StoreError(
                f"{pattern} matches no log", f"see missing_ok of rotation.sets.{self.set.name}"
            )
            self.result.fail(error)
        return not missing

    def _attempt(self, action: Callable[..., Any], *values: Any, **named: Any) -> Any:
        """A failure of one directory is told, and the others have their turn."""
        try:
            return action(*values, **named)
        except RetentionError as error:
            self.result.fail(error)
            return None

    # The first pass: look, finish what was begun, rotate.

    def _open(self, place: Place) -> _Open:
        self._make_old_dir(place)
        place.directory.check_safe(trusted=self.set.trusts)
        if place.store.key != place.directory.key:
            place.store.check_safe(trusted=self.set.trusts_old_dir)
        for directory in () if self.terms.read_only else (place.directory, place.store):
            if directory.key not in self._locked:  # several directories of logs may share an old_dir
                directory.lock()
                self._locked.add(directory.key)
        state = self.central or State(place.directory, states.BESIDE, self.set.zone)
        if self.central is None:
            for problem in state.problems:
                self.result.fail(StoreError(problem, "it is kept beside the new one as .damaged"))
        found = _Open(place, state, None if self.terms.read_only else Journal(place.directory))
        if found.journal is not None:
            self._moves(found.place).clean()
            found.recovered = self._recover(found)
        self._look_for_due(found)
        return found

    def _make_old_dir(self, place: Place) -> None:
        if place.rotated_in is not None or not self.chosen.create_old_dir or self.terms.read_only:
            if place.rotated_in is None and self.chosen.create_old_dir:
                place.rotated_in = place.directory  # a dry run: nothing is there yet
            return
        name = os.path.join(place.directory.path, self.chosen.old_dir)  # noqa: PTH118 - absolute ones replace
        chosen = self.chosen
        place.rotated_in = Directory.make_at(
            name,
            Attributes(
                mode=int(chosen.old_dir_mode, 8),
                owner=user_id(chosen.old_dir_owner) if chosen.old_dir_owner else None,
                group=group_id(chosen.old_dir_group) if chosen.old_dir_group else None,
            ),
        )

    def _recover(self, found: _Open) -> tuple[Step, ...]:
        """What an earlier run was killed in: its rename happened where the log is another file now."""
        journal, moves, happened = found.journal, self._moves(found.place), []
        assert journal is not None  # noqa: S101 - only a dry run has none
        for step in journal.pending:
            if not moves.happened(step):
                journal.done(step.log)
                continue
            self._create(found.place, step)
            happened.append(step)
            found.moved.add(step.log)
            found.place.found.add(step.log)
        if happened:
            self.set.look(found.place)
        return tuple(happened)

    def _look_for_due(self, found: _Open) -> None:
        recovered = {step.log for step in found.recovered}
        seen = self.seen.setdefault(found.place.directory.key, {})
        for log in found.place.logs:
            other = seen.setdefault(log, self.set)
            path = found.place.directory.path_of(log)
            if other is not self.set:
                if not other.settings.ignore_duplicates:
                    said = f"{path} belongs to set {other.name} already"
                    self.result.fail(StoreError(said, "name it in one set, or see ignore_duplicates"))
                continue
            self.result.logs += 1
            self._tell_mixed(found.place, log)
            if log in recovered:
                continue
            looked = self._judged(found, log)
            if looked is not None:
                file, verdict = looked
                if verdict.rotates:
                    found.due.append((log, file, verdict))
                else:
                    self.result.waiting[verdict.rule] += 1

    def _tell_mixed(self, place: Place, log: str) -> None:
        if place.store is place.directory:
            return
        path = place.directory.path_of(log)
        other = self._series.setdefault((place.store.key, log), path)
        if other != path:
            said = f"{path} and {other} both rotate into {place.store.path}: their files are counted as one's"
            self.result.left.append(said)

    def _judged(self, found: _Open, log: str) -> tuple[File, Due] | None:
        directory = found.place.directory
        try:
            file = directory.look(log, hard_links=self.chosen.allow_hard_links)
        except FileNotFoundError:
            self.result.left.append(f"{directory.path_of(log)} has vanished")
            return None
        except UnfitError as error:
            self.result.left.append(f"{error.message}: it is left alone")
            return None
        last = last_rotation_of(
            self.set, found.place, log, state=found.state, key=self._key(found, log), now=self.terms.now
        )
        facts = Facts(size=file.size, modified=file.modified, last=last)
        verdict = due(facts, self.set.schedule, self.terms.now, self.set.zone, force=self.terms.force)
        if last is None and not verdict.rotates and found.state is not None:
            found.state.note(self._key(found, log), self.terms.now)
        return file, verdict

    def _key(self, found: _Open, log: str) -> str:
        return found.place.directory.path_of(log) if self.central is not None else log

    def _rotate_all(self, found: _Open) -> None:
        """Rotate what is due in one directory."""
        self._hooks_of_recovered(found)
        if found.due and not self.terms.read_only and not self._begin():
            return
        self._settle(found.place)
        while found.due:
            steps = list(self._planned(found.place, found.due[:_TOGETHER]))
            del found.due[:_TOGETHER]
            if self.terms.read_only or not steps:
                continue
            stopped = self._rotate_some(found, steps)
            self._moves(found.place).sync()
            if stopped:
                break

    def _rotate_some(self, found: _Open, steps: Sequence[tuple[Step, File, Due]]) -> bool:
        """Announce some rotations and carry them out; whether the run was stopped meanwhile."""
        journal = found.journal
        assert journal is not None  # noqa: S101 - only a dry run has none
        journal.begin(step for step, _, _ in steps)
        for step, file, verdict in steps:
            if self.terms.stopping():
                self.result.code = ExitCode.STOPPED
                self.result.failures.append("the run was stopped before every log had its turn")
                return True
            self._attempt(self._rotate, found, step, file, verdict)
        return False

    def _settle(self, place: Place) -> None:
        """What is there already, as it is by now: the directory before may share this one's ``old_dir``."""
        if place.store is not place.directory:
            self.set.look(place)
        if settle_pairs(self.set, place, self.terms, self.result):
            self.set.look(place)

    def _planned(
        self, place: Place, due_now: Sequence[tuple[str, File, Due]]
    ) -> Iterator[tuple[Step, File, Due]]:
        for log, file, verdict in due_now:
            name = self._attempt(self._target, place, log)
            if name is None:
                continue
            step = Step(
                log=log,
                to=name,
                method=self.chosen.method,
                inode=file.inode,
                mode=file.mode,
                owner=file.owner,
                group=file.group,
            )
            if self.terms.read_only:
                self._tell(place, step, file, verdict)
                self._would.add(place.directory.path_of(log))
            yield step, file, verdict

    def _target(self, place: Place, log: str) -> str:
        """The name that a log gets; never one that is taken.

        Raises:
            StoreError: it is taken, which a second rotation on one day does.
        """
        naming = self.set.naming
        if not naming.dated:
            return naming.numbered(log, naming.start)
        name = naming.dated_name(log, self.terms.now)
        for taken in (name, name + self.set.extension):
            if place.store.exists(taken):
                there = f"{place.store.path_of(taken)} is there already"
                raise StoreError(f"{place.directory.path_of(log)} is due, but {there}", _TAKEN)
        return name

    def _begin(self) -> bool:
        """Hooks before the first log of the set; one that fails keeps the whole set as it is."""
        if self._begun is None:
            self._begun = False
            try:
                self._shared_hooks("first")
                if self.chosen.shared_hooks:
                    self._shared_hooks("before")
                self._begun = True
            except RetentionError as error:
                self.result.fail(error)
        return self._begun

    def _rotate(self, found: _Open, step: Step, file: File, verdict: Due) -> None:
        """Rotate one log."""
        place, path = found.place, found.place.directory.path_of(step.log)
        if not self.chosen.shared_hooks:
            self._hooks("before", path)
        moves = self._moves(found.place)
        if not self.set.naming.dated:
            moves.shift(step.log, self.set.naming, place.rotated.get(step.log, []))
        failpoint("rotate.before_move")
        try:
            moves.move(step, file)
        except FileNotFoundError:
            self.result.left.append(f"{path} has vanished")
            return
        found.moved.add(step.log)
        failpoint("rotate.after_move")
        self._tell(place, step, file, verdict)
        self._create(place, step)
        failpoint("rotate.after_create")
        if not self.set.names_tell or self.central is not None:
            assert found.state is not None  # noqa: S101 - only a dry run has none
            found.state.note(self._key(found, step.log), self.terms.now)
        if not self.chosen.shared_hooks:
            self._hooks("after", path, place.store.path_of(step.to))
            self._done(found, step)
        failpoint("rotate.after_hooks")

    def _hooks_of_recovered(self, found: _Open) -> None:
        if self.chosen.shared_hooks:
            return
        for step in found.recovered:
            path = found.place.directory.path_of(step.log)
            rotated = found.place.store.path_of(step.to)
            self._hooks("after", path, rotated)
            self._done(found, step)

    def _done(self, found: _Open, step: Step) -> None:
        """The writer has reopened; what ``renamecopy`` has set aside is still to be copied."""
        if found.journal is not None and step.method != "renamecopy":
            found.journal.done(step.log)

    def _create(self, place: Place, step: Step) -> None:
        """An empty log in place of the one renamed, unless its writer was faster."""
        chosen = self.chosen
        if not chosen.create or step.method in {"copy", "copytruncate"}:
            return
        like = Attributes(
            mode=int(chosen.create_mode, 8) if chosen.create_mode else step.mode,
            owner=user_id(chosen.create_owner) if chosen.create_owner else step.owner,
            group=group_id(chosen.create_group) if chosen.create_group else step.group,
            strict=bool(chosen.create_owner or chosen.create_group),
            acl=None if chosen.create_mode else self._moves(place).acl(step),
        )
        try:
            os.close(place.directory.make(step.log, like))
        except FileExistsError:
            return

    def _tell(self, place: Place, step: Step, file: File, verdict: Due) -> None:
        self.result.rotated.add(
            {
                "path": place.directory.path_of(step.log),
                "to": place.store.path_of(step.to),
                "bytes": file.size,
                "rule": verdict.rule,
                "sentence": verdict.sentence,
            }
        )

    def _shared_after(self, worked: Sequence[_Open]) -> bool:
        """The one run of ``after`` for a set that shares it; whether it went well."""
        if not self.chosen.shared_hooks or self.terms.read_only:
            return True
        if not self._begun and not any(found.recovered for found in worked):
            return True
        try:
            self._shared_hooks("after")
        except RetentionError as error:
            self.result.fail(error)
            return False
        return True

    def _hooks(self, event: str, path: str, rotated: str = "") -> None:
        """Hooks of one log."""
        self._run_hooks(event, [path], rotated, what=f"hook {event} of {path}")

    def _shared_hooks(self, event: str) -> None:
        """Hooks that run once for the set."""
        patterns = self.chosen.paths
        self._run_hooks(event, patterns, what=f"hook {event} shared by {' '.join(patterns)}")

    def _run_hooks(self, event: str, paths: Sequence[str], rotated: str = "", *, what: str) -> None:
        if self.terms.read_only:
            return
        with acting_as_oneself():
            self.result.left += run_hooks(getattr(self.chosen, event), event, paths, rotated, what=what)

    def _moves(self, place: Place) -> Moves:
        return Moves(place.directory, place.store, hard_links=self.chosen.allow_hard_links)

    # The second pass: what became of the logs.

    def _finish(self, found: _Open, *, shared: bool) -> None:
        """Copy what was set aside, remove what is too much, compress the rest, keep the state."""
        journal = found.journal
        if journal is not None:
            for step in journal.pending:
                if step.method == "renamecopy":
                    self._attempt(self._bring, found, step)
                elif self.chosen.shared_hooks and shared:
                    journal.done(step.log)
            if found.moved or found.place.store is not found.place.directory:
                self.set.look(found.place)
        pending = {step.log for step in journal.pending} if journal is not None else set()
        settled = found.place.without(found.moved & pending)
        self._remove_surplus(settled)
        shrink(self.set, settled, self.terms, self.result)
        if journal is not None and found.state is not None:
            self._forget(found)
            found.state.save()
            journal.close()

    def _bring(self, found: _Open, step: Step) -> None:
        self._moves(found.place).bring(step)
        if found.journal is not None:
            found.journal.done(step.log)

    def _forget(self, found: _Open) -> None:
        """Logs that are gone, and of which nothing tells any more."""
        state, place = found.state, found.place
        assert state is not None  # noqa: S101 - only a dry run has none
        if self.central is None:
            state.forget(set(state.known()) - set(place.logs) - place.rotated.keys())
            return
        for log in state.known():
            last = state.last(log)
            if last is not None and self.terms.now - last > _YEAR and not os.path.lexists(log):
                state.forget([log])

    def _remove_surplus(self, place: Place) -> None:
        if self.chosen.keep is None and self.chosen.max_age_days is None:
            return
        going, path = self._surplus(place), place.store.path
        if going and not self.terms.removes:
            self.result.left.append(f"{len(going)} files in {path} wait for the policy, which archives them")
        elif going and self.terms.holds is None:
            error = StoreError(f"{len(going)} files in {path} would go, but legal holds cannot be read")
            self.result.fail(error)
        elif going:
            self._remove(place, going, self.terms.holds or ())

    def _surplus(self, place: Place) -> list[tuple[Item, str]]:
        """The rotated files that go by number or age, the oldest of every log first."""
        chosen = self.chosen
        max_age = None if chosen.max_age_days is None else timedelta(days=chosen.max_age_days)
        by_log: dict[str, list[Item]] = {}
        for item in items(self.set, place):
            by_log.setdefault(item.log, []).append(item)
        going = []
        for log, rotated in by_log.items():
            keep = chosen.keep if log not in self._would or not chosen.keep else chosen.keep - 1
            going += surplus(rotated, keep=keep, max_age=max_age, now=self.terms.now)
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
            self.terms.record({"set": self.set.name, "removed": [value for _, value in entry]})
            for item, value in entry:
                self._attempt(self._remove_one, item, value)
            place.store.sync()

    def _remove_one(self, item: Item, value: dict[str, Any]) -> None:
        self._hooks("before_removal", item.path, item.path)
        item.directory.remove(item.rotated.name)
        self.result.removed.add(value)


def _removed(item: Item, sentence: str) -> dict[str, Any]:
    path = item.path.encode("utf-8", "backslashreplace").decode()
    return {"path": path, "bytes": item.file.size, "sentence": sentence}


def last_rotation_of(
    log_set: LogSet, place: Place, log: str, *, state: State | None, key: str, now: datetime
) -> datetime | None:
    """When a log last rotated, or its clock was started; ``None`` for one that nothing tells of."""
    told = (last_rotation(place.rotated.get(log, ()), now), state.last(key) if state is not None else None)
    known = max((instant for instant in told if instant is not None), default=None)
    if known is not None or log_set.settings.first_run == "wait":
        return known
    if log_set.settings.first_run == "rotate":
        return now - timedelta(days=3 * 366)
    return first_date(place.directory, log, log_set.zone, hard_links=log_set.settings.allow_hard_links)
