"""One set's turn: what is due rotates, the surplus goes, the rest is compressed.

In the order of logrotate(8): hooks ``first``; for each log that is due, hooks ``before``, the older files
move up, the log is renamed or copied, an empty one is made, hooks ``after``; then the files that are too many
or too old go, the others are compressed, hooks ``last``. A failure keeps what it concerns as it was, is told,
and is due again at the next run, which first finishes what an earlier one has begun.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from luxima_retention.core.errors import ExitCode, RetentionError, StoreError, worst
from luxima_retention.io.failpoints import failpoint
from luxima_retention.stores.logfiles.desk import Desk
from luxima_retention.stores.logfiles.folder import lock_of
from luxima_retention.stores.logfiles.hooks import run_hooks
from luxima_retention.stores.logfiles.identity import group_id, user_id
from luxima_retention.stores.logfiles.journal import Step
from luxima_retention.stores.logfiles.moving import Moves
from luxima_retention.stores.logfiles.names import last_rotation
from luxima_retention.stores.logfiles.outcome import Rotations
from luxima_retention.stores.logfiles.removal import Removal, mail
from luxima_retention.stores.logfiles.rules import Due, Facts, due
from luxima_retention.stores.logfiles.safe import PERMISSIONS, Attributes, File
from luxima_retention.stores.logfiles.sets import LogSet, Place, first_date, open_at_once
from luxima_retention.stores.logfiles.shrink import Shrinking, settle_pairs
from luxima_retention.stores.logfiles.state import State
from luxima_retention.stores.logfiles.system import UnfitError
from luxima_retention.stores.logfiles.terms import Terms

#: directory → log → name of the set whose it is, and whether others may name it, too
Seen = dict[tuple[int, int], dict[str, tuple[str, bool]]]
#: logs whose rotation is announced together: what is kept of each does not add up over many
_TOGETHER = 1000
_TAKEN = "it waits; a date_format with %H, or %s, rotates more often than daily"


class _UnforeseenError(RetentionError):
    """What nobody has foreseen."""

    exit_code = ExitCode.FAULT


def unforeseen(error: Exception) -> RetentionError:
    """Any exception as a sentence; the other sets have their turn."""
    hint = "run again with --log-level debug and report the traceback"
    return _UnforeseenError(f"unexpected fault: {type(error).__name__}: {error}", hint)


@dataclass(slots=True)
class _Open:
    """A directory that is worked on."""

    place: Place
    moves: Moves
    #: logs that an earlier run has left half done
    recovered: tuple[Step, ...] = ()
    #: logs that were moved, now or then: until their hooks went well, nothing more becomes of their files
    moved: set[str] = field(default_factory=set)
    due: list[tuple[str, File, Due]] = field(default_factory=list)
    #: what was rotated now, for the mail
    rotated: list[Step] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A rotation that is about to be."""

    place: _Open
    step: Step
    file: File
    verdict: Due


class Turn:
    """One set's turn.

    Args:
        log_set: the set.
        terms: of the run.
        seen: the logs of the sets before, and then of this one.
        state: when logs last rotated.
        desk: for what needs the rights of the process that was started.
    """

    def __init__(self, log_set: LogSet, terms: Terms, seen: Seen, state: State | None, desk: Desk) -> None:
        self.set = log_set
        self.chosen = log_set.settings
        self.terms = terms
        self.seen = seen
        self.state = state
        self.desk = desk
        self.result = Rotations(name=log_set.name)
        self._mine = (log_set.name, self.chosen.ignore_duplicates)
        self._begun: bool | None = None
        self._stopped = False
        self._would: set[str] = set()
        self._done: list[str] = []
        self._room = open_at_once()
        self._series: dict[tuple[tuple[int, int], str], str] = {}
        self._shrinking = Shrinking(log_set, terms, desk, self.result)
        self._removal = Removal(log_set, terms, desk, self.result, attempt=self._attempt, hooks=self._hooks)

    def run(self) -> None:
        """Both passes over its directories."""
        places: list[Place] = []
        try:
            places = self.set.find(lambda error: self.result.left.append(error.message))
            self._passes(places)
        except RetentionError as error:
            self.result.fail(error)
        except Exception as error:  # noqa: BLE001 - told, and the other sets have their turn
            self.result.fail(unforeseen(error))
        finally:
            for place in places:
                place.close()

    def _passes(self, places: list[Place]) -> None:
        worked = self._opened(places)
        if self._complete(places) or not self.chosen.shared_hooks:
            self._rotate_all(worked)
        shared, pending = self._shared_after(worked), self._pending()
        for found in worked:
            self._attempt(self._finish, found, pending.get(found.place.directory.key, ()), shared=shared)
            self._rest(found.place, worked)
        self._attempt(self._shrinking.end)
        if self._begun:
            self._attempt(self._shared_hooks, "last")

    def _rest(self, place: Place, places: Sized) -> None:
        """Give back the descriptors of a directory where there are many."""
        if len(places) > self._room:
            place.park()

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
        """A failure of one directory or log is told, and the others have their turn."""
        try:
            return action(*values, **named)
        except RetentionError as error:
            self.result.fail(error)
        except Exception as error:  # noqa: BLE001 - the same
            self.result.fail(unforeseen(error))
        return None

    # The first pass: look, finish what was begun, rotate.

    def _opened(self, places: Sequence[Place]) -> list[_Open]:
        pending, worked = self._pending(), []
        for place in places:
            found = self._attempt(self._open, place, pending.pop(place.directory.key, []))
            self._rest(place, places)
            if found is not None:
                worked.append(found)
        for step in (step for steps in pending.values() for step in steps):
            said = f"{step.path} was rotated when a run was killed, and its directory is not there any more"
            self.result.left.append(said)
            self.desk.done([step.key])
        return worked

    def _pending(self) -> dict[tuple[int, int], list[Step]]:
        """What is not finished, by directory."""
        pending: dict[tuple[int, int], list[Step]] = {}
        for step in self.desk.pending():
            pending.setdefault(step.directory, []).append(step)
        return pending

    def _open(self, place: Place, pending: Sequence[Step]) -> _Open:
        self._make_old_dir(place)
        place.directory.check_safe(trusted=self.set.trusts)
        if place.store.key != place.directory.key:
            place.store.check_safe(trusted=self.set.trusts_old_dir)
        found = _Open(place, self._moves(place))
        if not self.terms.read_only:
            for directory in {place.directory.key: place.directory, place.store.key: place.store}.values():
                self.desk.lock(*lock_of(directory))
            found.moves.clean(place.drafts)
            found.recovered = self._recover(found, pending)
        self._look_for_due(found)
        return found

    def _make_old_dir(self, place: Place) -> None:
        if place.rotated_in is not None or not self.chosen.create_old_dir:
            return
        if self.terms.read_only:
            place.rotated_in = place.directory  # nothing is there yet
            return
        chosen = self.chosen
        attributes = Attributes(
            mode=int(chosen.old_dir_mode, 8),
            owner=user_id(chosen.old_dir_owner) if chosen.old_dir_owner else None,
            group=group_id(chosen.old_dir_group) if chosen.old_dir_group else None,
        )
        place.rotated_in = place.directory.beside(chosen.old_dir, attributes)

    def _recover(self, found: _Open, pending: Sequence[Step]) -> tuple[Step, ...]:
        """What an earlier run was killed in: its rename happened where the log is another file now."""
        happened = []
        for step in pending:
            if not found.moves.happened(step):
                self.desk.done([step.key])
                continue
            self._create(found, step)
            self._note(found.place, step.log)
            happened.append(step)
            found.moved.add(step.log)
            found.place.found.add(step.log)
        if happened:
            self.set.look(found.place)
        return tuple(happened)

    def _look_for_due(self, found: _Open) -> None:
        recovered = {step.log for step in found.recovered}
        seen, mine = self.seen.setdefault(found.place.directory.key, {}), self._mine
        for log in found.place.logs:
            other, shared = seen.setdefault(log, mine)
            if other != self.set.name:
                if not shared:
                    path = found.place.directory.path_of(log)
                    said = f"{path} belongs to set {other} already"
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
        force, last = self.terms.force, None
        if not force:
            last = last_rotation_of(self.set, found.place, log, state=self.state, now=self.terms.now)
        facts = Facts(size=file.size, modified=file.modified, last=last)
        verdict = due(facts, self.set.schedule, self.terms.now, self.set.zone, force=force)
        if not force and last is None and not verdict.rotates:
            self._note(found.place, log)
        return file, verdict

    def _note(self, place: Place, log: str) -> None:
        """A log has rotated, or its clock starts."""
        if self.state is not None:
            self.state.note(place.directory.path_of(log), self.terms.now)

    def _rotate_all(self, worked: Sequence[_Open]) -> None:
        """Rotate what is due, announced together as far as that is possible."""
        planned: list[_Planned] = []
        for found in worked:
            self._attempt(self._hooks_of_recovered, found)
            if found.due and not self.terms.read_only and not self._begin():
                continue
            # Directories may share their old_dir: then the files of the one before must be there already.
            alone = found.place.store is not found.place.directory
            if alone:
                self._rotate_some(planned)
            self._attempt(self._settle, found.place)
            for log, file, verdict in found.due:
                planned += self._attempt(self._planned, found, log, file, verdict) or ()
                if len(planned) >= _TOGETHER:
                    self._rotate_some(planned)
            found.due.clear()
            if alone:
                self._rotate_some(planned)
            self._rest(found.place, worked)
        self._rotate_some(planned)

    def _rotate_some(self, planned: list[_Planned]) -> None:
        """Announce some rotations and carry them out, unless the run is stopped meanwhile."""
        some, planned[:] = tuple(planned), ()
        if not some or self._stopped or self.terms.read_only:
            return
        if self._attempt(self._announce, some) is None:
            return
        places = {id(one.place): one.place for one in some}
        try:
            for one in some:
                if self.desk.stopping():
                    self._stopped = True
                    self.result.code = worst((self.result.code, ExitCode.STOPPED))
                    self.result.failures.append("the run was stopped before every log had its turn")
                    return
                self._attempt(self._rotate, one)
                self._rest(one.place.place, places)
        finally:
            self._attempt(self._all_done)

    def _announce(self, planned: Sequence[_Planned]) -> bool:
        self.desk.begin([one.step for one in planned])
        return True

    def _settle(self, place: Place) -> None:
        """What already exists, as it is by now: the directory before may share this one's ``old_dir``."""
        if place.store is not place.directory:
            self.set.look(place)
        if settle_pairs(self.set, place, self.terms, self.result):
            self.set.look(place)

    def _planned(self, found: _Open, log: str, file: File, verdict: Due) -> list[_Planned]:
        place = found.place
        step = Step(
            directory=place.directory.key,
            store=place.store.key,
            path=place.directory.path_of(log),
            log=log,
            to=self._target(place, log),
            method=self.chosen.method,
            device=file.device,
            inode=file.inode,
            mode=file.mode & PERMISSIONS,
            owner=file.owner,
            group=file.group,
        )
        if self.terms.read_only:
            self._tell(place, step, file, verdict)
            self._would.add(step.path)
        return [_Planned(found, step, file, verdict)]

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
                there = f"{place.store.path_of(taken)} already exists"
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

    def _rotate(self, planned: _Planned) -> None:
        """Rotate one log."""
        found, step = planned.place, planned.step
        place, path, moves = found.place, step.path, found.moves
        if not self.chosen.shared_hooks:
            self._hooks("before", path)
        if not self.set.naming.dated:
            moves.shift(step.log, self.set.naming, place.rotated.get(step.log, []))
        failpoint("rotate.before_move")
        try:
            moves.move(step, planned.file)
        except FileNotFoundError:
            self.result.left.append(f"{path} has vanished")
            return
        found.moved.add(step.log)
        failpoint("rotate.after_move")
        self._tell(place, step, planned.file, planned.verdict)
        if self.chosen.mail and self.chosen.mail_newest:
            found.rotated.append(step)
        self._create(found, step)
        failpoint("rotate.after_create")
        if not self.set.names_tell or self.set.state_file:
            self._note(place, step.log)
        if not self.chosen.shared_hooks:
            self._told_writer(found, step)
        failpoint("rotate.after_hooks")

    def _hooks_of_recovered(self, found: _Open) -> None:
        if self.chosen.shared_hooks:
            return
        for step in found.recovered:
            self._told_writer(found, step)
        self._all_done()

    def _told_writer(self, found: _Open, step: Step) -> None:
        """Have the writer reopen its log; what ``renamecopy`` has set aside is still to be copied.

        A hook that has run is noted at once, so that a kill has few of them run again. Without hooks many
        logs are noted together: the next run finds them as they should be.
        """
        self._hooks("after", step.path, found.place.store.path_of(step.to))
        if step.method != "renamecopy":
            self._done.append(step.key)
        if self.chosen.after:
            self._all_done()

    def _all_done(self) -> None:
        done, self._done = self._done, []
        if done:
            self.desk.done(done)

    def _create(self, found: _Open, step: Step) -> None:
        """An empty log in place of the one renamed, unless its writer was faster."""
        chosen = self.chosen
        if not chosen.create or step.method in {"copy", "copytruncate"}:
            return
        like = Attributes(
            mode=int(chosen.create_mode, 8) if chosen.create_mode else step.mode,
            owner=user_id(chosen.create_owner) if chosen.create_owner else step.owner,
            group=group_id(chosen.create_group) if chosen.create_group else step.group,
            strict=bool(chosen.create_owner or chosen.create_group),
            acl=None if chosen.create_mode else found.moves.acl(step),
        )
        try:
            os.close(found.place.directory.make(step.log, like))
        except FileExistsError:
            return

    def _tell(self, place: Place, step: Step, file: File, verdict: Due) -> None:
        if self.result.rotated.full:
            self.result.rotated.counted(file.size)
            return
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
        if not getattr(self.chosen, event):
            return
        self._run_hooks(event, [path], rotated, what=f"hook {event} of {path}")

    def _shared_hooks(self, event: str) -> None:
        """Hooks that run once for the set."""
        patterns = self.set.patterns
        self._run_hooks(event, patterns, what=f"hook {event} shared by {' '.join(patterns)}")

    def _run_hooks(self, event: str, paths: Sequence[str], rotated: str = "", *, what: str) -> None:
        hooks = () if self.terms.read_only else getattr(self.chosen, event)
        if hooks and self.chosen.hooks_as_user:  # this process is the user's
            self.result.left += run_hooks(hooks, event, paths, rotated, what=what)
        elif hooks:
            self.result.left += self.desk.hooks(event, paths, rotated, what)

    def _moves(self, place: Place) -> Moves:
        return Moves(
            place.directory,
            place.store,
            hard_links=self.chosen.allow_hard_links,
            copied=lambda step, inode: self.desk.copied(step.key, inode),
        )

    # The second pass: what became of the logs.

    def _finish(self, found: _Open, pending: Sequence[Step], *, shared: bool) -> None:
        """Copy what was set aside, remove what is too much, compress the rest."""
        place = found.place
        unfinished = {step.log for step in pending if not self._finished(found, step, shared=shared)}
        apart = place.store is not place.directory  # other directories may share it
        if apart or self.set.compresses or self._removal.may_go(place, found.moved):
            self.set.look(place)
        for step in found.rotated:
            if step.log not in unfinished:
                compressed = self.set.compresses and not self.chosen.delay_compress
                subject = step.path if compressed else place.store.path_of(step.to)  # as logrotate has it
                self._attempt(mail, self.set, place.store, step.to, subject=subject)
        settled = place.without(found.moved & unfinished)
        self._removal.take(settled, self._would)
        if self.set.compresses:
            self._shrinking.take(settled)

    def _finished(self, found: _Open, step: Step, *, shared: bool) -> bool:
        """Whether nothing is left to be done for a log that was moved."""
        if step.method == "renamecopy":
            return self._attempt(self._bring, found, step) is not None
        if self.chosen.shared_hooks and shared:
            self.desk.done([step.key])
            return True
        return False

    def _bring(self, found: _Open, step: Step) -> bool:
        found.moves.bring(step)
        self.desk.done([step.key])
        return True


def last_rotation_of(
    log_set: LogSet, place: Place, log: str, *, state: State | None, now: datetime
) -> datetime | None:
    """When a log last rotated, or its clock was started; ``None`` for one that nothing tells of."""
    path = place.directory.path_of(log)
    told = (last_rotation(place.rotated.get(log, ()), now), state.last(path) if state is not None else None)
    known = max((instant for instant in told if instant is not None), default=None)
    if known is not None or log_set.settings.first_run == "wait":
        return known
    if log_set.settings.first_run == "rotate":
        return now - timedelta(days=3 * 366)
    return first_date(place.directory, log, log_set.zone, hard_links=log_set.settings.allow_hard_links)
