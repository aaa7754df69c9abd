"""Runs policies, report and what else has times: a daemon where there is neither cluster nor cron.

What is due is judged by the ledger, not by what this process remembers, so that a restart forgets
nothing. Each run is a process of its own, the same command that a CronJob starts. Of several daemons
one leads, by a lease in PostgreSQL that dies with its connection; the others wait.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_MISSED, JobEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from luxima_retention.config.cronline import passed, times
from luxima_retention.config.values import host_and_port
from luxima_retention.core.clock import Clock, iso, system_clock
from luxima_retention.core.durations import spelled
from luxima_retention.core.errors import ConfigurationError, ExitCode, LeaseHeld, LeaseLost, RetentionError
from luxima_retention.evidence.events import SlotMissed, SweepMissed, missed
from luxima_retention.run.healthz import answering
from luxima_retention.run.matrix import with_metrics
from luxima_retention.run.state import State, open_state
from luxima_retention.stores.registry import kind_of

if TYPE_CHECKING:
    from luxima_retention.config.settings import Job, Settings
    from luxima_retention.run.lease import Lease

#: seconds between two looks at the lease
_TICK = 3.0
#: seconds without such a look after which the daemon is not healthy
_STALE = 60.0
#: seconds until a report that failed is tried again: twice as many each time, up to the longest
_RETRY, _LONGEST_RETRY = 600.0, 6 * 3600.0
#: entries that tell that a slot was served, or that it is known to have been missed
_SERVED = frozenset({"run.completed", "run.refused", "run.checked", "run.reconciled", "slot.missed"})
#: the same, and that a run began or failed: it did not take place as it should, but it was not missed
_BEGUN = _SERVED | {"run.started", "run.failed"}
#: what tells that a slot of a policy's further runs was served
_SWEPT = frozenset({"sweep.completed", "sweep.missed"})
#: the same of archives that went, of verifications and rehearsals, and of the monthly report
_ENDED = frozenset({"archive.expired"})
_VERIFIED, _CHECKED, _DRILLED = ({name} for name in ("ledger.verified", "archive.checked", "archive.drilled"))
_SENT, _LOOKED_AT = frozenset({"report.sent"}), frozenset({"observability.checked"})
#: a flush leaves no entry: one that was missed is made up for by the next one
_NEVER: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What is run at which times.

    Args:
        name: the policy's, the policy's with a suffix, ``archive-expire`` or ``report``.
        policy: what is run; ``None`` for what is of no single policy.
        expression: when, as a cron expression.
        zone: of these times.
        arguments: of the command that is started.
        grace: how late a run may still start; ``None``: until the next one is due.
        served: kinds of entries that tell that this slot was served.
        missed: tells that it was missed.
    """

    name: str
    policy: str | None
    expression: str
    zone: ZoneInfo
    arguments: tuple[str, ...]
    grace: timedelta | None
    served: frozenset[str] = _SERVED
    missed: type[SlotMissed | SweepMissed] = SlotMissed

    def after(self, instant: datetime) -> Iterator[datetime]:
        """The times after ``instant``, without end."""
        return times(self.expression, self.zone, instant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What the ledger says about a slot.

    Args:
        run: whether a run should start now.
        missed: times that went by without a run; the one that starts now is not among them.
        since: the last run that there was.
    """

    run: bool = False
    missed: tuple[datetime, ...] = ()
    since: datetime | None = None

    def since_run(self, begun: datetime) -> Due:
        """Without the times up to a run that began, whether it has ended or not."""
        return replace(self, missed=tuple(time for time in self.missed if time > begun), since=begun)


def slots(settings: Settings) -> tuple[Slot, ...]:
    """The slots of these settings; what has no times has none, nor has what is not configured.

    Raises:
        ConfigurationError: two of them have one name.
    """
    found = [slot for name in settings.policies for slot in _of_policy(settings, name)]
    found += (_any_time(settings, words, served) for words, served in _commands(settings))
    if settings.notify.on:
        flush = _slot(settings, "notify-flush", settings.schedule.jobs["notify-flush"], ("notify", "flush"))
        found.append(replace(flush, served=_NEVER))
    found = [slot for slot in found if slot.expression]
    names = [slot.name for slot in found]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"there is a job named {doubled[0]} besides the policy", "rename the policy")
    return tuple(found)


def _commands(settings: Settings) -> Iterator[tuple[tuple[str, ...], Collection[str]]]:
    """Commands that have times of their own, and the entries that tell that they ran."""
    if settings.keeps_state:
        yield ("ledger", "verify", "--record"), _VERIFIED
        if settings.observability.directory or with_metrics(settings):
            yield ("observability", "check", "--record"), _LOOKED_AT
    if settings.archive.url:
        yield ("archive", "expire"), _ENDED
        yield ("archive", "verify", "--record"), _CHECKED
        yield ("archive", "drill"), _DRILLED
    if settings.report.url:
        yield ("report", "--month", "last", "--format", "bundle"), _SENT


def _any_time(settings: Settings, words: tuple[str, ...], served: Collection[str]) -> Slot:
    """A slot that may start at any hour: what comes late does no harm, and makes up for what was missed."""
    name = "-".join(word for word in words[:2] if not word.startswith("--"))
    slot = _slot(settings, name, settings.schedule.jobs[cast("Job", name)], words)
    return replace(slot, served=frozenset(served), grace=None)


def _of_policy(settings: Settings, name: str) -> Iterator[Slot]:
    """The slot of a policy, and those of its kind's further runs."""
    policy = settings.policy(name)
    kind = kind_of(policy)
    if kind.missing(policy) is not None:
        return
    budget = ("--max-runtime", spelled(settings.schedule.max_runtime), "--if-locked", "skip")
    if policy.options.schedule:
        yield replace(_slot(settings, name, policy.options.schedule, ("run", name, *budget)), policy=name)
    for extra in kind.extra_runs(policy):
        if extra.schedule:
            words = ("run", name, *extra.flags, *budget)
            slot = _slot(settings, f"{name}-{extra.suffix}", extra.schedule, words)
            yield replace(slot, policy=name, served=_SWEPT, missed=SweepMissed)


def _slot(settings: Settings, name: str, expression: str, arguments: tuple[str, ...]) -> Slot:
    return Slot(
        name=name,
        policy=None,
        expression=expression,
        zone=ZoneInfo(settings.schedule.time_zone),
        arguments=arguments,
        grace=settings.schedule.grace,
    )


class Trigger(BaseTrigger):  # type: ignore[misc]
    """The times of a slot, for APScheduler: its own trigger skips a day when summer time begins at night."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """See :class:`apscheduler.triggers.base.BaseTrigger`; a time that is ``now`` counts. In UTC."""
        return next(self._slot.after(previous or now - timedelta(microseconds=1))).astimezone(UTC)


def upcoming(chosen: Sequence[Slot], now: datetime, count: int) -> list[tuple[datetime, Slot]]:
    """The next ``count`` runs of all slots, in order."""
    found = [(fire, slot) for slot in chosen for fire, _ in zip(slot.after(now), range(count), strict=False)]
    return sorted(found, key=lambda item: (item[0].astimezone(UTC), item[1].name))[:count]


def due(slot: Slot, last: datetime | None, now: datetime) -> Due:
    """Whether a slot is due.

    Args:
        slot: what is asked about.
        last: when the ledger last says that it was served; ``None`` before the first run, which waits for
            its time.
        now: the present instant.
    """
    if last is None:
        return Due()
    due_then = list(passed(slot.expression, slot.zone, last, now))
    late = bool(due_then) and (slot.grace is None or now - due_then[-1] <= slot.grace)
    return Due(run=late, missed=tuple(due_then[:-1] if late else due_then), since=last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """How the daemon speaks with whoever started it.

    Args:
        command: what a slot's arguments are given to.
        stopping: whether somebody asked for the end.
        wait: sleeps so many seconds, or less when told to stop.
        say: the structured log.
        metrics: what the health page tells, for Prometheus.
        clock: the program's.
    """

    command: Sequence[str]
    stopping: Callable[[], bool]
    wait: Callable[[float], None]
    say: Callable[..., None]
    metrics: Callable[[Mapping[str, Any]], bytes] = lambda _told: b""
    clock: Clock = system_clock


class Daemon:
    """Starts the slots of the settings while it leads.

    Raises:
        ConfigurationError: no slot has a time.
    """

    def __init__(self, settings: Settings, hooks: Hooks) -> None:
        self._settings = settings
        self._hooks = hooks
        self._slots = {slot.name: slot for slot in slots(settings)}
        if not self._slots:
            raise ConfigurationError("nothing is scheduled", "configure a policy, and give it a schedule")
        self._lock = threading.Lock()
        self._children: dict[str, tuple[subprocess.Popen[bytes], threading.Thread]] = {}
        self._ended: dict[str, dict[str, Any]] = {}
        #: slot → how often it failed in a row, and when (by the monotonic clock) it is tried again
        self._failed: dict[str, tuple[int, float]] = {}
        self._role = "starting"
        self._reason: str | None = None
        self._beat = time.monotonic()

    def serve(self) -> None:
        """Lead or wait until told to stop; then stop the runs in good order, and wait for them.

        Raises:
            ConfigurationError: no ledger is configured, or the health address cannot be used.
        """
        schedule = self._settings.schedule
        with answering(*host_and_port(schedule.listen), self.health, self._hooks.metrics) as address:
            self._hooks.say("schedule.started", health=address, slots=list(self._slots))
            try:
                while not self._hooks.stopping():
                    self._term()
            finally:
                self._stop()

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether the daemon is alive, and what it would tell about itself."""
        healthy = time.monotonic() - self._beat < _STALE
        coming = upcoming(tuple(self._slots.values()), self._hooks.clock(), 1)
        next_run = {"slot": coming[0][1].name, "at": iso(coming[0][0])} if coming else None
        # Without the lock: whoever starts a process may have to wait for the machine.
        told = {"running": sorted(list(self._children)), "ended": dict(self._ended)}  # noqa: C414 - a copy
        return healthy, {
            "role": self._role,
            "reason": self._reason,
            **told,
            "healthy": healthy,
            "next": next_run,
        }

    def _term(self) -> None:
        """Lead as long as the lease lasts; without it wait a moment."""
        try:
            with closing(_state(self._settings)) as state:
                lease = state.lease("schedule")
                try:
                    self._lead(state, lease)
                finally:
                    lease.release()
        except ConfigurationError:
            raise
        except LeaseHeld as error:
            self._become("standby", error)
        except RetentionError as error:
            self._become("waiting", error)
        self._beat = time.monotonic()
        self._hooks.wait(_TICK)

    def _become(self, role: str, reason: RetentionError | None = None) -> None:
        """Take a role, and tell it once; the health page tells the newest reason."""
        self._reason = reason.message if reason else None
        if role != self._role:
            self._role = role
            self._hooks.say(f"schedule.{role}", reason=self._reason)

    def _lead(self, state: State, lease: Lease) -> None:
        """Start what is due, then each slot at its time, until the lease is lost or the end is asked for."""
        scheduler = self._scheduler()
        # Before it is asked what was missed, so that nothing can become due in between.
        scheduler.start()
        try:
            for slot in self._slots.values():
                if self._recall(state, slot):
                    scheduler.add_job(self._run, args=[slot.name], id=f"late-{slot.name}")
            self._become("leader")
            while not self._hooks.stopping():
                lease.check()
                self._beat = time.monotonic()
                self._watch_clock(scheduler)
                self._try_again(state, scheduler)
                self._hooks.wait(_TICK)
        except LeaseLost as error:
            self._become("standby", error)
        finally:
            # Runs that are under way have leases of their own; nobody waits for them here.
            scheduler.shutdown(wait=False)

    def _watch_clock(self, scheduler: BackgroundScheduler) -> None:
        """Look at the calendar again: clocks are set back, and machines sleep."""
        for slot in self._slots.values():
            # Read before the clock, so that a run that starts meanwhile does not look like one.
            planned = scheduler.get_job(slot.name).next_run_time
            coming = next(slot.after(self._hooks.clock())).astimezone(UTC)
            if planned > coming:
                # It had gone on to the times of a future that is none any more, and would wait for them.
                self._hooks.say("schedule.clock_set_back", slot=slot.name, planned=iso(planned))
                scheduler.modify_job(slot.name, next_run_time=coming)
        # It sleeps by a clock that stands still while the machine does.
        scheduler.wakeup()

    def _try_again(self, state: State, scheduler: BackgroundScheduler) -> None:
        """Start what failed and may come late at any hour, if it is still due."""
        now = time.monotonic()
        with self._lock:
            ready = [name for name, (_, at) in self._failed.items() if at <= now]
            for name in ready:
                self._failed[name] = (self._failed[name][0], float("inf"))
        for name in ready:
            if self._due(state, self._slots[name]).run:
                self._hooks.say("slot.tried_again", slot=name)
                scheduler.add_job(self._run, args=[name], id=f"late-{name}", replace_existing=True)

    def _scheduler(self) -> BackgroundScheduler:
        scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(2 * len(self._slots))},
            # What is not bound to its time may begin at any.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        for slot in self._slots.values():
            scheduler.add_job(
                self._run,
                Trigger(slot),
                args=[slot.name],
                id=slot.name,
                misfire_grace_time=None if slot.grace is None else int(slot.grace.total_seconds()) or 1,
            )
        scheduler.add_listener(self._not_started, EVENT_JOB_MISSED)
        return scheduler

    def _recall(self, state: State, slot: Slot) -> bool:
        """Write the times that were missed into the ledger; whether one of them can still be served."""
        now, found = self._hooks.clock(), self._due(state, slot)
        # A run that starts now writes those of its policy itself; of other slots only this daemon knows.
        event = missed(slot.missed, found.missed, found.since, slot.name)
        if event and (slot.served is not _SERVED or not found.run):
            state.ledger.append(event, policy=slot.policy, at=now)
            self._hooks.say("slot.missed", slot=slot.name, missed=len(found.missed))
        if found.run:
            self._hooks.say("slot.late", slot=slot.name, missed=len(found.missed))
        return found.run

    def _due(self, state: State, slot: Slot) -> Due:
        """What the ledger says now."""
        ledger, policy = state.ledger, slot.policy
        newest = ledger.newest(kinds=slot.served, policy=policy)
        found = due(slot, newest.at if newest else None, self._hooks.clock())
        begun = ledger.newest(kinds=_BEGUN, policy=policy) if slot.served is _SERVED else newest
        return found.since_run(begun.at) if begun else found

    def _not_started(self, event: JobEvent) -> None:
        """APScheduler let a time go by: the machine slept."""
        name = event.job_id.removeprefix("late-")
        self._hooks.say("slot.skipped", slot=name, busy=False)
        try:
            with closing(_state(self._settings)) as state:
                self._recall(state, self._slots[name])
        except RetentionError as error:
            # The next run counts the gap and writes it.
            self._hooks.say("slot.unrecorded", slot=name, reason=error.message)

    def _run(self, name: str) -> None:
        """Start a run; none while the same slot's run before is still at work."""
        with self._lock:
            if self._hooks.stopping():
                return
            if name in self._children:
                self._hooks.say("slot.skipped", slot=name, busy=True)
                return
            try:
                child = subprocess.Popen(
                    [*self._hooks.command, *self._slots[name].arguments], stdin=subprocess.DEVNULL
                )
            except OSError as error:
                # The machine has no room for another process; the next run counts the gap and writes it.
                self._hooks.say("slot.skipped", slot=name, busy=False, reason=error.strerror)
                return
            # Nobody has to wait for this thread: a process that hangs in the kernel cannot even be killed.
            watcher = threading.Thread(target=self._watch, args=(name, child), daemon=True)
            self._children[name] = (child, watcher)
            watcher.start()

    def _watch(self, name: str, child: subprocess.Popen[bytes]) -> None:
        """Wait for the end of a run, and remember it."""
        began = time.monotonic()
        self._hooks.say("run.begun", slot=name, pid=child.pid)
        code = child.wait()
        seconds = round(time.monotonic() - began, 1)
        with self._lock:
            del self._children[name]
            self._ended[name] = {"exit_code": code, "at": iso(self._hooks.clock()), "seconds": seconds}
            failures = self._failed.pop(name, (0, 0.0))[0] + 1
            # A report that fails verification is for people: a second one says the same.
            if self._slots[name].grace is None and code not in {ExitCode.DONE, ExitCode.VERIFICATION_FAILED}:
                self._failed[name] = (failures, time.monotonic() + retry_after(failures))
        self._hooks.say("run.ended", slot=name, exit_code=code, seconds=seconds)

    def _stop(self) -> None:
        """Ask the runs to end, and kill what has not within ``schedule.shutdown``."""
        self._become("stopping")
        with self._lock:
            children = dict(self._children)
        for child, _ in children.values():
            child.terminate()
        deadline = time.monotonic() + self._settings.schedule.shutdown.total_seconds()
        self._join(children, deadline)
        for name, (child, watcher) in children.items():
            if watcher.is_alive():
                self._hooks.say("run.killed", slot=name, pid=child.pid)
                child.kill()
        self._join(children, time.monotonic() + _TICK)

    def _join(self, children: Mapping[str, tuple[object, threading.Thread]], deadline: float) -> None:
        """Wait for the runs, alive for whoever asks."""
        for _, watcher in children.values():
            while watcher.is_alive() and (left := deadline - time.monotonic()) > 0:
                watcher.join(min(left, _TICK))
                self._beat = time.monotonic()


def retry_after(failures: int) -> float:
    """Seconds until the next attempt after so many that failed in a row."""
    return float(min(_RETRY * 2 ** (min(failures, 20) - 1), _LONGEST_RETRY))


def _state(settings: Settings) -> State:
    state = open_state(settings)
    if state is None:
        raise ConfigurationError(
            "no ledger is configured, and what is due is read from the ledger",
            "set database.dsn, or ledger.path to a file on a persistent volume",
        )
    return state
