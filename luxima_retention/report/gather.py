"""The report's two sources, asked once each: the ledger, verified, and every store, surveyed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from luxima_retention.config.cronline import passed, previous
from luxima_retention.core.clock import Clock, system_clock
from luxima_retention.core.errors import ExitCode, RetentionError, StoreError, TamperingFound
from luxima_retention.core.results import PolicyResult, RunResult
from luxima_retention.report.model import LedgerState, Letterhead, Report, Terms, build

if TYPE_CHECKING:
    from luxima_retention.config.settings import PolicyConfig, Settings
    from luxima_retention.evidence.ledger import Entry, Ledger
    from luxima_retention.report.retrospective import Retrospective
    from luxima_retention.tell.notify.conditions import Memory

#: a run is expected this often where the settings expect none
_DAILY = timedelta(days=1)


def gather(
    settings: Settings, ledger: Ledger, start: datetime, end: datetime, clock: Clock = system_clock
) -> tuple[Report, ExitCode]:
    """The report about a period. Changes nothing.

    Args:
        settings: in force.
        ledger: open.
        start: of the period.
        end: of the period; outside of it.
        clock: read for the survey.

    Returns:
        The report, and the exit code that the ledger asks for: a ledger that cannot be verified or read
        is in the report, and does not keep it from being written.
    """
    state, error = verified(settings, ledger)
    entries = _Entries(ledger)
    survey = _survey(settings, clock)
    report = build(
        entries,
        survey,
        start,
        end,
        error.message if error else None,
        ledger=state,
        late=_late(settings, survey),
        terms=_terms(settings, start),
    )
    if not report.ledger_error:
        return report, ExitCode.DONE
    return report, (error or entries.error or TamperingFound("")).exit_code


def verified(settings: Settings, ledger: Ledger) -> tuple[LedgerState, RetentionError | None]:
    """What verification showed, or why it failed."""
    from luxima_retention.evidence.approvals import approver_keys
    from luxima_retention.evidence.ledger.checkpoint import open_anchors, trusted_key, verify
    from luxima_retention.evidence.ledger.session import compare, open_places
    from luxima_retention.evidence.ledger.trust import witness_keys

    anchors = open_anchors(settings)
    named = tuple(anchor.url for anchor in anchors)
    pinned = bool(settings.ledger.public_key)
    try:
        key = trusted_key(settings.ledger, None, ledger)
        people = approver_keys(settings.ledger)
        verdict = verify(ledger, anchors, key, (), witness_keys(settings.ledger), approvers=people)
        if places := open_places(settings):
            compare(ledger, places)
    except (TamperingFound, StoreError) as error:
        return LedgerState(pinned=pinned, anchors=named), error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"the ledger or a checkpoint of it cannot be read: {type(error).__name__} {error}"
        return LedgerState(pinned=pinned, anchors=named), TamperingFound(message)
    state = LedgerState(
        size=verdict.entries,
        root=verdict.root,
        head=verdict.head,
        signed=verdict.covered,
        checkpoints=verdict.checkpoints,
        key=str(verdict.key) if verdict.key else None,
        pinned=pinned,
        anchors=named,
    )
    return state, None


class _Entries:
    """The ledger's entries; remembers the error that ended them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.error: RetentionError | None = None

    def __iter__(self) -> Iterator[Entry]:
        try:
            yield from self._ledger.entries()
        except RetentionError as error:
            self.error = error
            raise


def _survey(settings: Settings, clock: Clock) -> RunResult:
    """A dry run over every policy; one that cannot even begin is told by each policy."""
    from luxima_retention.run import runner
    from luxima_retention.run.engine import failed

    hooks = runner.Hooks(clock=clock)
    options = runner.Options(dry_run=True)
    try:
        return runner.run(settings, options, hooks)
    except (StoreError, TamperingFound) as error:
        policies = [runner.policy_of(settings.policy(name), options) for name in settings.policies]
        return RunResult(
            now=clock(), dry_run=True, policies=tuple(failed(policy, error) for policy in policies)
        )


def _late(settings: Settings, survey: RunResult) -> RunResult | None:
    """What had expired so long ago that a run was due since: those records are overdue.

    Only policies with expired records are asked again.
    """
    from luxima_retention.run import runner

    asked: list[PolicyResult] = []
    for policy in survey.policies:
        if any(target.survey and target.plan and target.survey.expired for target in policy.targets):
            options = runner.Options(
                policies=(policy.policy,),
                dry_run=True,
                as_of=_last_due(settings, policy.policy, survey.now),
            )
            try:
                asked += runner.run(settings, options, runner.Hooks(clock=lambda: survey.now)).policies
            except (StoreError, TamperingFound):
                continue  # told as expired records of which nobody knows whether they are overdue
    return RunResult(now=survey.now, dry_run=True, policies=tuple(asked)) if asked else None


def _last_due(settings: Settings, name: str, now: datetime) -> datetime:
    """When the last run should have taken place that is no longer merely late."""
    policy = settings.policy(name)
    if not policy.options.schedule:
        return now - _DAILY - settings.schedule.grace
    due = now - settings.schedule.grace
    zone = ZoneInfo(settings.schedule.time_zone)
    return previous(policy.options.schedule, zone, due)


def _terms(settings: Settings, start: datetime) -> Terms:
    from luxima_retention.run.matrix import archives

    days = settings.archive.retention_days
    policies = [settings.policy(name) for name in settings.policies]
    return Terms(
        slots={policy.name: partial(_slots, policy) for policy in policies},
        archived={policy.name: days for policy in policies if days and archives(policy)},
        letterhead=_letterhead(settings, start),
    )


def _letterhead(settings: Settings, start: datetime) -> Letterhead:
    """What the settings say for the minutes of the period that begins then."""
    report, said = settings.report, settings.report.minutes
    local = start.astimezone(ZoneInfo(settings.schedule.time_zone))
    return Letterhead(
        company=said.company,
        controller=said.controller,
        place=said.place,
        number=said.number.format(year=str(local.year), month=f"{local.month:02}"),
        schedule=said.schedule,
        officials=said.officials,
        public_body=said.public_body,
        copies={str(name): days for name, days in report.copies.items()},
    )


def _slots(policy: PolicyConfig[Any], after: datetime, until: datetime) -> tuple[datetime, ...]:
    """The times of the policy's runs after one instant, up to another; a run may be late by the grace."""
    expression, schedule = policy.options.schedule, policy.settings.schedule
    if not expression:
        return ()
    return tuple(passed(expression, ZoneInfo(schedule.time_zone), after, until - schedule.grace))


def retrospective(
    settings: Settings, ledger: Ledger, start: datetime, end: datetime, clock: Clock = system_clock
) -> tuple[Retrospective, ExitCode]:
    """The look back at a period, and the exit code that the ledger asks for; see :func:`gather`."""
    from luxima_retention.report.retrospective import Sources, look_back

    state, error = verified(settings, ledger)
    entries = _Entries(ledger)
    sources = Sources(
        entries=entries,
        size=state.size,
        ledger_error=error.message if error else None,
        memory=_remembered(settings),
        environment=settings.telemetry.environment,
        owners={name: policy.owner for name, policy in settings.policies.items()},
    )
    made = look_back(sources, start, end, clock())
    if not made.ledger_error:
        return made, ExitCode.DONE
    return made, (error or entries.error or TamperingFound("")).exit_code


def _remembered(settings: Settings) -> Memory | None:
    """What people were told; ``None`` where nobody knows."""
    from luxima_retention.tell.notify.store import open_store

    if not settings.notify.on:
        return None
    try:
        store = open_store(settings)
        if store is None:
            return None
        with closing(store):
            return store.remembered()
    except StoreError:
        return None  # the look back says that it is not known
