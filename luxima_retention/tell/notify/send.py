"""Tells people what a run saw, and later what could not be told at once; ten seconds in all at most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Thread
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from luxima_retention.core.clock import Clock, system_clock
from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import ConfigurationError, LeaseHeld, RetentionError, StoreError
from luxima_retention.core.results import RunResult
from luxima_retention.tell.notify.channel import Channel, Later, Refused, bounded
from luxima_retention.tell.notify.conditions import (
    Delivery,
    Memory,
    Message,
    Seen,
    Severity,
    digest,
    forget,
    observe,
    quiet_until,
    tick,
)
from luxima_retention.tell.notify.texts import Style

if TYPE_CHECKING:
    from luxima_retention.config.settings import NotifySettings, Settings
    from luxima_retention.tell.notify.store import Store

#: seconds that all of it may take
BUDGET = 10.0
#: of these, what the memory may take before people are told without it
_STORE_SECONDS = 3.0
_LEASE_PAUSE = 0.2
#: seconds after which a message that no receiver took is given up
_TOO_OLD = 86_400.0
_SPARE = 0.5


@dataclass(slots=True, kw_only=True)
class Told:
    """What came of it.

    Args:
        warnings: a sentence for each receiver that did not get something.
        hints: what somebody should change, though everything arrived.
        sent: deliveries that arrived.
        waiting: deliveries that wait.
    """

    warnings: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    sent: int = 0
    waiting: int = 0


def after_run(settings: Settings, result: RunResult, clock: Clock = system_clock) -> Iterator[str]:
    """Tell what a real run did; a sentence for each receiver that could not be told. Never raises."""
    yield from _telling(settings, lambda deadline: _after_run(settings, result, deadline, clock))


def after_check(settings: Settings, seen: Sequence[Seen], clock: Clock = system_clock) -> Iterator[str]:
    """Tell what a command saw that is no run. As :func:`after_run`."""
    yield from _telling(settings, lambda deadline: _said_of(settings, seen, deadline, clock))


def _telling(settings: Settings, work: Callable[[Deadline], Iterator[str]]) -> Iterator[str]:
    """Tell within the budget; whatever goes wrong is a sentence."""
    if not settings.notify.on:
        return
    deadline = UNLIMITED.within(BUDGET)
    try:
        yield from bounded(lambda: list(work(deadline)), BUDGET, "the notifications")
    except RetentionError as error:
        yield f"no notification was sent: {error.message}"
    except Exception as error:  # noqa: BLE001 - a fault in here must not end a run that is over
        yield f"no notification was sent: unexpected fault {type(error).__name__}"


def _after_run(settings: Settings, result: RunResult, deadline: Deadline, clock: Clock) -> Iterator[str]:
    from luxima_retention.tell.notify.facts import seen_of
    from luxima_retention.tell.notify.hooks import beat

    hearts: Future[list[str]] = Future()
    pulse = Thread(
        target=lambda: hearts.set_result(list(beat(settings.notify, result, deadline))), daemon=True
    )
    pulse.start()
    yield from _said_of(settings, seen_of(settings, result), deadline, clock)
    pulse.join(max(deadline.remaining() - _SPARE, 0.0))
    yield from hearts.result() if hearts.done() else ["the heartbeats did not end in time"]


def _said_of(settings: Settings, seen: Sequence[Seen], deadline: Deadline, clock: Clock) -> Iterator[str]:
    told = _with_memory(settings, seen, deadline, clock)
    yield from (*told.warnings, *told.hints)


def _with_memory(settings: Settings, seen: Sequence[Seen], deadline: Deadline, clock: Clock) -> Told:
    """Tell by what is remembered; where the memory cannot be reached, without it."""
    try:
        store = bounded(lambda: _kept(settings, seen), _STORE_SECONDS, "the memory of notifications")
    except RetentionError as error:
        told = _without_memory(settings, seen, deadline, clock)
        told.warnings.append(error.message)
        return told
    if store is None:
        return _without_memory(settings, seen, deadline, clock)
    try:
        with _leased(store, deadline):
            return _tell(settings, store, deadline, clock, daily=False)
    except LeaseHeld:
        # It is in the inbox, and whoever has the lease, or the next flush, tells it.
        return Told()
    finally:
        store.close()


def _kept(settings: Settings, seen: Sequence[Seen]) -> Store | None:
    from luxima_retention.tell.notify.store import open_store

    store = open_store(settings)
    if store is not None:
        store.put(seen)
    return store


def _without_memory(settings: Settings, seen: Sequence[Seen], deadline: Deadline, clock: Clock) -> Told:
    """Tell every trouble, since nobody knows which was told before."""
    memory = Memory()
    message = observe(memory, seen)
    memory.outbox = _addressed(settings, [message] if message else [], clock())
    # Nobody keeps it for the morning.
    memory.outbox = [replace(item, due=0.0) for item in memory.outbox]
    return _deliver(settings, memory, deadline, clock)


@contextmanager
def _leased(store: Store, deadline: Deadline) -> Iterator[None]:
    """The lease, waited for as long as there is time to tell something afterwards."""
    limit = deadline.within(_STORE_SECONDS)
    while True:
        try:
            lease = store.lease()
            break
        except LeaseHeld:
            if limit.over():
                raise
            limit.wait(_LEASE_PAUSE)
    try:
        yield
    finally:
        lease.release()


def flush(settings: Settings, clock: Clock = system_clock) -> Told:
    """Send what waits: digests, what quiet hours or a receiver held back, what a killed run left.

    Raises:
        ConfigurationError: no ledger is configured.
        LeaseHeld: somebody else is at it.
        StoreError: the memory cannot be used.
    """
    from luxima_retention.tell.notify.store import open_store

    deadline = UNLIMITED.within(BUDGET)
    store = bounded(lambda: open_store(settings), _STORE_SECONDS, "the memory of notifications")
    if store is None:
        raise ConfigurationError(
            "no ledger is configured, so nothing is remembered and nothing waits",
            "set database.dsn or ledger.path",
        )
    try:
        with _leased(store, deadline):
            return _tell(settings, store, deadline, clock, daily=True)
    finally:
        store.close()


def _tell(settings: Settings, store: Store, deadline: Deadline, clock: Clock, *, daily: bool) -> Told:
    """Fold the inbox into the memory, save, send, save again: killed at any place, nothing is lost."""
    memory, inbox = store.load()
    now, zone = clock(), ZoneInfo(settings.schedule.time_zone)
    found = [observe(memory, seen) for seen in inbox]
    found.append(forget(memory, set(_policies(settings)), now.timestamp()))
    if daily:
        found += [tick(memory, now.timestamp()), digest(memory, now, zone)]
    memory.outbox += _addressed(settings, [message for message in found if message], now)
    store.save(memory)
    told = _deliver(settings, memory, deadline, clock)
    store.save(memory)
    return told


def _policies(settings: Settings) -> Iterator[str]:
    """Whose troubles somebody can still mend: policies that name a store, the ledger, the dashboards.

    A process that tells has not every policy's secrets, so a table counts where only its DSN is missing.
    """
    from luxima_retention.stores.registry import kind_of

    yield from ("ledger", "observability")
    for policy in map(settings.policy, settings.policies):
        kind = kind_of(policy)
        if kind.missing(policy) is None or kind.tables(policy):
            yield policy.name


def _addressed(settings: Settings, messages: Iterable[Message], now: datetime) -> list[Delivery]:
    """One delivery for each channel; at night some wait."""
    zone = ZoneInfo(settings.schedule.time_zone)
    morning = quiet_until(now, zone, settings.notify.quiet)
    return [
        Delivery(
            channel=name,
            message=message,
            due=morning.timestamp()
            if morning and waits and message.severity is not Severity.CRITICAL
            else 0.0,
        )
        for message in messages
        for name, waits in _names(settings.notify)
        if not (message.digest and name == "plane")
    ]


def _names(settings: NotifySettings) -> Iterator[tuple[str, bool]]:
    """The channels that are configured, and whether each keeps the night."""
    if settings.telegram_token:
        yield "telegram", False
    if settings.smtp_url and settings.mail_to:
        yield "mail", True
    if settings.plane_url:
        yield "plane", False
    if settings.webhook_url:
        yield "webhook", False
    if settings.alert_dsn:
        yield "alert", False


def style_of(settings: Settings) -> Style:
    """How these settings write."""
    return Style(
        language=settings.notify.language,
        zone=ZoneInfo(settings.schedule.time_zone),
        environment=settings.telemetry.environment,
        links={str(name): url for name, url in settings.notify.links.items()},
    )


def open_channel(settings: Settings, name: str, deadline: Deadline, clock: Clock = system_clock) -> Channel:
    """The channel of this name.

    Raises:
        ConfigurationError: a file that the settings name cannot be read.
    """
    style, chosen = style_of(settings), settings.notify
    if name == "telegram":
        from luxima_retention.tell.notify.telegram import Telegram

        return Telegram(chosen, style, deadline, clock)
    if name == "mail":
        from luxima_retention.tell.notify.mail import Mail

        return Mail(chosen, style, deadline)
    if name == "plane":
        from luxima_retention.tell.notify.plane import Plane

        return Plane(chosen, style, deadline)
    if name == "alert":
        from luxima_retention.tell.notify.alerts import Alerts

        return Alerts(chosen, style, deadline)
    from luxima_retention.tell.notify.hooks import Webhook

    return Webhook(chosen, style, deadline)


@dataclass(slots=True, kw_only=True)
class _Tried:
    """One delivery that was tried: its reference, or why it did not arrive.

    Args:
        delivery: that was tried.
        at: when its receiver answered, seconds since 1970.
        reference: what the channel knows it by.
        error: why it did not arrive.
        hint: what somebody should change, though it did.
    """

    delivery: Delivery
    at: float
    reference: Any = None
    error: Exception | None = None
    hint: str = ""


def _deliver(settings: Settings, memory: Memory, deadline: Deadline, clock: Clock) -> Told:
    """Send what is due, each channel in a thread of its own; the memory keeps what did not arrive."""
    stamp, told = clock().timestamp(), Told()
    # A receiver that asked to wait gets nothing else meanwhile.
    blocked = {item.channel for item in memory.outbox if item.attempts and item.due > stamp}
    due = [item for item in memory.outbox if item.due <= stamp and item.channel not in blocked]
    limit = deadline.within(max(deadline.remaining() - _SPARE, 0.0))
    tried: dict[str, list[_Tried]] = {name: [] for name in dict.fromkeys(item.channel for item in due)}
    known = {number: dict(channels) for number, channels in memory.sent.items()}
    threads = [
        Thread(
            target=_send_all,
            args=(
                settings,
                name,
                [one for one in due if one.channel == name],
                known,
                limit,
                clock,
                tried[name],
            ),
            daemon=True,
        )
        for name in tried
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(limit.remaining())
    results = {id(item.delivery): item for found in tried.values() for item in list(found)}
    memory.outbox = [
        item for item in memory.outbox if not _settled(item, results.get(id(item)), memory, told, stamp)
    ]
    if unanswered := sorted({item.channel for item in due if id(item) not in results}):
        told.warnings.append(f"{', '.join(unanswered)} did not answer in time; the next flush tries again")
    told.waiting = len(memory.outbox)
    return told


def _send_all(  # noqa: PLR0917 - what a thread works with
    settings: Settings,
    name: str,
    due: Sequence[Delivery],
    known: dict[str, dict[str, Any]],
    limit: Deadline,
    clock: Clock,
    tried: list[_Tried],
) -> None:
    """Send what one channel has to send, in its order; after one that has to wait the others wait, too."""
    sent = {number: channels[name] for number, channels in known.items() if name in channels}
    try:
        channel = open_channel(settings, name, limit, clock)
    except RetentionError as error:
        tried += [_Tried(delivery=item, at=clock().timestamp(), error=error) for item in due]
        return
    for item in due:
        outcome = _sent_one(channel, item, sent, clock)
        tried.append(outcome)
        if outcome.error is None:
            sent[item.message.number] = outcome.reference
        elif not isinstance(outcome.error, Refused):
            return


def _sent_one(channel: Channel, item: Delivery, sent: Mapping[str, Any], clock: Clock) -> _Tried:
    try:
        reference = channel.send(item.message, sent)
    except Exception as error:  # noqa: BLE001 - told where the results are gathered
        return _Tried(delivery=item, at=clock().timestamp(), error=error)
    return _Tried(
        delivery=item, at=clock().timestamp(), reference=reference, hint=getattr(channel, "hint", "")
    )


def _settled(item: Delivery, tried: _Tried | None, memory: Memory, told: Told, now: float) -> bool:
    """Whether a delivery is over: it arrived, it never will, or it is too old."""
    if tried is not None and tried.error is None:
        memory.sent.setdefault(item.message.number, {})[item.channel] = tried.reference
        memory.arrived(item.message.number, item.channel, tried.at)
        told.sent += 1
        if tried.hint and tried.hint not in told.hints:
            told.hints.append(tried.hint)
        return True
    if tried is not None:
        told.warnings.append(f"{item.channel}: {_sentence(tried.error)}")
        if isinstance(tried.error, Refused):
            return True
        item.attempts += 1
        item.due = now + tried.error.seconds if isinstance(tried.error, Later) else 0.0
    if now - item.message.at > _TOO_OLD:
        told.warnings.append(f"{item.channel}: a message was given up after a day")
        return True
    return False


def _sentence(error: Exception | None) -> str:
    if isinstance(error, RetentionError):
        from luxima_retention.tell.notify.channel import reason_of

        return reason_of(error)
    return f"unexpected fault {type(error).__name__}"


def test(settings: Settings) -> Iterator[tuple[str, bool, str]]:
    """Send a marked message through every channel: its name, whether it arrived, and what it said."""
    for name, _ in _names(settings.notify):
        deadline = UNLIMITED.within(BUDGET)
        try:
            channel = open_channel(settings, name, deadline)
            said = channel.test()
            yield name, True, "; ".join(filter(None, (said, getattr(channel, "hint", ""))))
        except (RetentionError, StoreError) as error:
            yield name, False, _sentence(error)
