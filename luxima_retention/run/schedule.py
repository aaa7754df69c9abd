"""Runs policies, report and what else has times: a daemon where there is neither cluster nor cron.

What is due is judged by the ledger, not by what this process remembers, so that a restart forgets
nothing. Each run is a process of its own, the same command that a CronJob starts. Of several daemons
one leads, by a lease in PostgreSQL that dies with its connection; the others wait.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from luxima_retention.config.cronline import CronLine, parse
from luxima_retention.config.matrix import MATRIX
from luxima_retention.core.clock import Clock, iso, system_clock
from luxima_retention.core.durations import spelled
from luxima_retention.core.errors import ConfigurationError, LeaseHeld, LeaseLost, RetentionError
from luxima_retention.run.state import State, open_state

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.run.lease import Lease

#: seconds between two looks at the lease
_TICK = 3.0
#: seconds without such a look after which the daemon is not healthy
_STALE = 60.0
#: entries that tell that a slot was served, or that it is known to have been missed
_SERVED = frozenset({"run.completed", "run.refused", "run.checked", "run.reconciled", "slot.missed"})
#: the same of the weekly sweep, whose policy runs each day
_SWEPT = frozenset({"sweep.completed", "sweep.missed"})
#: the same of archives that went, of verifications and rehearsals, and of the monthly report
_ENDED = frozenset({"archive.expired"})
_VERIFIED, _CHECKED, _DRILLED = ({name} for name in ("ledger.verified", "archive.checked", "archive.drilled"))
_SENT = frozenset({"report.sent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What is run at which times.

    Args:
        name: the policy's, ``application-logs-sweep``, or of a command: ``archive-expire``, ``report``.
        policy: what is run; ``None`` for what is of no single policy.
        line: when.
        zone: of these times.
        arguments: of the command that is started.
        grace: how late a run may still start; ``None``: until the next one is due.
        served: kinds of entries that tell that this slot was served.
        missed: kind of the entry that tells that it was missed.
    """

    name: str
    policy: str | None
    line: CronLine
    zone: ZoneInfo
    arguments: tuple[str, ...]
    grace: timedelta | None
    served: frozenset[str] = _SERVED
    missed: str = "slot.missed"

    def after(self, instant: datetime) -> Iterator[datetime]:
        """The times after ``instant``, without end."""
        trigger = trigger_of(self)
        fire = trigger.get_next_fire_time(None, instant + timedelta(microseconds=1))
        while fire is not None:
            # An hour that summer time leaves out is told as the clock on the wall shows it.
            yield fire.astimezone(UTC).astimezone(self.zone)
            fire = trigger.get_next_fire_time(fire, fire)


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


def slots(settings: Settings) -> tuple[Slot, ...]:
    """The slots of these settings; what has no times has none, nor has what lacks its place."""
    budget = ("--max-runtime", spelled(settings.schedule.max_runtime))
    found = [_slot(settings, policy.name, policy.name, ("run", policy.name, *budget)) for policy in MATRIX]
    sweep = ("run", "application-logs", "--sweep", *budget)
    swept = _slot(settings, "application-logs-sweep", "application-logs", sweep)
    found.append(swept and replace(swept, served=_SWEPT, missed="sweep.missed"))
    found += (_any_time(settings, words, served) for words, served in _commands(settings))
    return tuple(slot for slot in found if slot is not None)


def _commands(settings: Settings) -> Iterator[tuple[tuple[str, ...], Collection[str]]]:
    """Commands that have times of their own, and the entries that tell that they ran."""
    yield ("ledger", "verify", "--record"), _VERIFIED
    if settings.archive.url:
        yield ("archive", "expire"), _ENDED
        yield ("archive", "verify", "--record"), _CHECKED
        yield ("archive", "drill"), _DRILLED
    if settings.report.url:
        yield ("report", "--month", "last", "--format", "bundle"), _SENT


def _any_time(settings: Settings, words: tuple[str, ...], served: Collection[str]) -> Slot | None:
    """A slot that may start at any hour: what comes late does no harm, and makes up for what was missed."""
    name = "-".join(word for word in words[:2] if not word.startswith("--"))
    slot = _slot(settings, name, None, words)
    return slot and replace(slot, served=frozenset(served), grace=None)


def _slot(settings: Settings, name: str, policy: str | None, arguments: tuple[str, ...]) -> Slot | None:
    """The slot at the times that the settings give to ``name``; ``None`` if they give none."""
    schedule = settings.schedule
    expression = getattr(schedule, name.replace("-", "_"))
    if not expression:
        return None
    return Slot(
        name=name,
        policy=policy,
        line=parse(expression),
        zone=ZoneInfo(schedule.time_zone),
        arguments=arguments,
        grace=schedule.grace,
    )


def trigger_of(slot: Slot) -> CronTrigger:
    """The trigger of a slot. APScheduler counts weekdays from Monday, so it gets them by name."""
    line = slot.line
    fields = {
        name: ",".join(map(str, sorted(getattr(line, name)))) for name in ("minute", "hour", "day", "month")
    }
    return CronTrigger(**fields, day_of_week=",".join(line.day_names), second=0, timezone=slot.zone)


def upcoming(chosen: Sequence[Slot], now: datetime, count: int) -> list[tuple[datetime, Slot]]:
    """The next ``count`` runs of all slots, in order."""
    found = [(fire, slot) for slot in chosen for fire, _ in zip(slot.after(now), range(count), strict=False)]
    return sorted(found, key=lambda item: (item[0], item[1].name))[:count]


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
    passed = []
    for fire in slot.after(last):
        if fire > now:
            break
        passed.append(fire)
    late = bool(passed) and (slot.grace is None or now - passed[-1] <= slot.grace)
    return Due(run=late, missed=tuple(passed[:-1] if late else passed), since=last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """How the daemon speaks with whoever started it.

    Args:
        command: what a slot's arguments are given to.
        stopping: whether somebody asked for the end.
        wait: sleeps so many seconds, or less when told to stop.
        say: the structured log.
        clock: the program's.
    """

    command: Sequence[str]
    stopping: Callable[[], bool]
    wait: Callable[[float], None]
    say: Callable[..., None]
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
            raise ConfigurationError("nothing is scheduled", "give a policy its times in section schedule")
        self._lock = threading.Lock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ended: dict[str, dict[str, Any]] = {}
        self._role = "starting"
        self._reason: str | None = None
        self._beat = time.monotonic()

    def serve(self) -> None:
        """Lead or wait until told to stop; then stop the runs in good order, and wait for them.

        Raises:
            ConfigurationError: no ledger is configured, or the health address cannot be used.
        """
        try:
            with _answering(self._settings, self.health) as address:
                self._hooks.say("schedule.started", health=address, slots=list(self._slots))
                while not self._hooks.stopping():
                    self._term()
        finally:
            self._stop()

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether the daemon is alive, and what it would tell about itself."""
        healthy = time.monotonic() - self._beat < _STALE
        coming = upcoming(tuple(self._slots.values()), self._hooks.clock(), 1)
        next_run = {"slot": coming[0][1].name, "at": iso(coming[0][0])} if coming else None
        with self._lock:
            told = {"running": sorted(self._children), "ended": dict(self._ended)}
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
                # It sleeps by a clock that stands still while the machine does: look at the calendar again.
                scheduler.wakeup()
                self._hooks.wait(_TICK)
        except LeaseLost as error:
            self._become("standby", error)
        finally:
            # Runs that are under way have leases of their own; nobody waits for them here.
            scheduler.shutdown(wait=False)

    def _scheduler(self) -> BackgroundScheduler:
        scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(2 * len(self._slots))},
            # What is not bound to its time may begin at any.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=ZoneInfo(self._settings.schedule.time_zone),
        )
        for slot in self._slots.values():
            scheduler.add_job(
                self._run,
                trigger_of(slot),
                args=[slot.name],
                id=slot.name,
                misfire_grace_time=None if slot.grace is None else int(slot.grace.total_seconds()) or 1,
            )
        scheduler.add_listener(self._not_started, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
        return scheduler

    def _recall(self, state: State, slot: Slot) -> bool:
        """Write the times that were missed into the ledger; whether one of them can still be served."""
        now = self._hooks.clock()
        newest = state.ledger.newest(kinds=slot.served, policy=slot.policy)
        found = due(slot, newest.at if newest else None, now)
        # A run that starts now writes those of its policy itself; sweeps are known here only.
        if found.missed and (slot.missed == "sweep.missed" or not found.run):
            state.ledger.append(slot.missed, _missed(slot, found), policy=slot.policy, at=now)
            self._hooks.say("slot.missed", slot=slot.name, missed=len(found.missed))
        if found.run:
            self._hooks.say("slot.late", slot=slot.name, missed=len(found.missed))
        return found.run

    def _not_started(self, event: JobEvent) -> None:
        """APScheduler let a time go by: the machine slept, or the run before is still at work."""
        name = event.job_id.removeprefix("late-")
        self._hooks.say("slot.skipped", slot=name, busy=event.code == EVENT_JOB_MAX_INSTANCES)
        slot = self._slots[name]
        if event.code == EVENT_JOB_MISSED:
            try:
                with closing(_state(self._settings)) as state:
                    self._recall(state, slot)
            except RetentionError as error:
                # The next run counts the gap and writes it.
                self._hooks.say("slot.unrecorded", slot=name, reason=error.message)

    def _run(self, name: str) -> None:
        """One run, to its end; none while the same slot's run before is still at work."""
        began = time.monotonic()
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
            self._children[name] = child
        self._hooks.say("run.begun", slot=name, pid=child.pid)
        code = child.wait()
        seconds = round(time.monotonic() - began, 1)
        with self._lock:
            del self._children[name]
            self._ended[name] = {"exit_code": code, "at": iso(self._hooks.clock()), "seconds": seconds}
        self._hooks.say("run.ended", slot=name, exit_code=code, seconds=seconds)

    def _stop(self) -> None:
        with self._lock:
            children = tuple(self._children.values())
            for child in children:
                child.terminate()
        for child in children:
            child.wait()


def _missed(slot: Slot, found: Due) -> Mapping[str, Any]:
    """The body of ``slot.missed``, as the engine writes it, with the times themselves; of the sweep's too."""
    following = next(slot.after(found.missed[0]))
    between = following - found.missed[0]
    return {
        "missed": len(found.missed),
        "since": iso(found.since) if found.since else None,
        "every_seconds": int(between.total_seconds()),
        "slot": slot.name,
        "first": iso(found.missed[0]),
        "last": iso(found.missed[-1]),
    }


def _state(settings: Settings) -> State:
    state = open_state(settings)
    if state is None:
        raise ConfigurationError(
            "no ledger is configured, and without one nobody knows what is due",
            "set database.dsn, or ledger.path to a file on a persistent volume",
        )
    return state


@contextmanager
def _answering(settings: Settings, health: Callable[[], tuple[bool, dict[str, Any]]]) -> Iterator[str]:
    """Answer ``/healthz`` inside the block; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        #: seconds for a request to be told
        timeout = 10

        def do_GET(self) -> None:
            healthy, told = health()
            data = json.dumps(told).encode()
            self.send_response(404 if self.path != "/healthz" else 200 if healthy else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Probes come every few seconds; nobody reads them."""

    place = (settings.schedule.health_host, settings.schedule.health_port)
    try:
        server = ThreadingHTTPServer(place, Handler)
    except OSError as error:
        raise ConfigurationError(
            f"the health address {place[0]}:{place[1]} cannot be used: {error.strerror}",
            "name another in schedule.health_host and schedule.health_port",
        ) from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{place[0]}:{server.server_port}/healthz"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
