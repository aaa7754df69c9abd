"""What would keep a run from working: the engine's first three steps over every store, and what a run needs.

Everything is reached and asked; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from luxima_retention.core.clock import Clock
from luxima_retention.core.errors import ExitCode, RetentionError
from luxima_retention.core.guards import OF_WHAT_GOES, GuardResult
from luxima_retention.core.plan import Finding, Level
from luxima_retention.core.protocol import Expirable, Surveyable
from luxima_retention.evidence.approvals import approver_keys
from luxima_retention.evidence.archive import Archive, open_archive
from luxima_retention.evidence.holds import in_force
from luxima_retention.run import steps
from luxima_retention.run.context import Environment, Policy
from luxima_retention.run.ends import try_archive
from luxima_retention.run.runner import Options, opening_of, policy_of
from luxima_retention.run.state import State, open_state
from luxima_retention.stores.kind import Target
from luxima_retention.stores.registry import kind_of

if TYPE_CHECKING:
    from luxima_retention.config.settings import PolicyConfig, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Args:
        subject: ``audit-logs core.audit_log``, ``ledger``, ``archive``.
        level: ``info`` is good.
        message: what was found.
        hint: what would change it.
        code: exit code that it asks for.
    """

    subject: str
    level: Level
    message: str
    hint: str | None = None
    code: ExitCode = ExitCode.DONE


def examine(settings: Settings, clock: Clock) -> Iterator[Check]:
    """Check the suite's own memory and what a run needs at its end, then each policy's stores."""
    archive = open_archive(settings)
    state = open_state(settings)
    try:
        now = clock()
        yield from _memory(state, now)
        yield from _guarded("checkpoints", lambda: _checkpoints(settings, state))
        yield from _guarded("archive", lambda: _archive(archive))
        keys = approver_keys(settings.ledger)
        environment = Environment(
            now=now, dry_run=True, state=state, archive=archive, clock=clock, approvers=keys
        )
        for name in settings.policies:
            yield from _guarded(name, partial(_policy, settings.policy(name), environment))
    finally:
        if state is not None:
            state.close()


def _guarded(subject: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What ``look`` finds; an error of ours is a finding too."""
    try:
        yield from look()
    except RetentionError as error:
        yield Check(
            subject=subject, level=Level.FAILED, message=error.message, hint=error.hint, code=error.exit_code
        )


def _good(subject: str, message: str) -> Check:
    return Check(subject=subject, level=Level.INFO, message=message)


def _warning(subject: str, message: str, hint: str | None) -> Check:
    return Check(subject=subject, level=Level.WARNING, message=message, hint=hint)


# --- what a run writes to -------------------------------------------------------------------------------


def _memory(state: State | None, now: datetime) -> Iterator[Check]:
    if state is None:
        hint = "set database.dsn, or ledger.path on a persistent volume"
        yield _warning("ledger", "no ledger is configured: nothing will be destroyed", hint)
        return
    yield from _guarded("ledger", lambda: _ledger(state))
    yield from _guarded("holds", lambda: _register(state, now))


def _ledger(state: State) -> Iterator[Check]:
    state.ledger.check_writable()
    head = state.ledger.head()
    yield _good("ledger", f"writable, {head.seq if head else 0} entries")


def _register(state: State, now: datetime) -> Iterator[Check]:
    holds = in_force(state.register)
    yield _good("holds", f"as the ledger says, {len(holds)} in force")
    for hold in holds:
        if hold.review_by is not None and hold.overdue(now):
            told = f"the review of hold {hold.hold_id} is overdue since {hold.review_by:%Y-%m-%d}"
            hint = f"`luxima-retention hold release {hold.hold_id}`, or place another with --review-by"
            yield _warning("holds", told, hint)


def _checkpoints(settings: Settings, state: State | None) -> Iterator[Check]:
    from luxima_retention.evidence.ledger import trust
    from luxima_retention.evidence.ledger.session import compare, compare_unsigned, open_places

    for gap in trust.set_up(settings.ledger):
        level = Level.INFO if gap.code == "no-witness" else Level.WARNING
        yield Check(subject="checkpoints", level=level, message=gap.sentence, hint=gap.hint)
    places = open_places(settings)
    if places is None and state is not None:
        compare_unsigned(settings, state.ledger)
    if places is None or state is None:
        return
    yield _good("checkpoints", f"signed with {places.signer.key}")
    size = compare(state.ledger, places)
    anchors = ", ".join(anchor.url for anchor in places.anchors) or "no anchor"
    yield _good("checkpoints", f"{size} entries continue what was signed: {anchors}")


def _archive(archive: Archive | None) -> Iterator[Check]:
    if archive is None:
        yield _good("archive", "none is configured")
        return
    try_archive(archive)
    count = sum(1 for _ in archive.place.stored("manifests/"))
    yield _good("archive", f"{archive.url} is writable and holds {count} archived runs")


# --- what a run would do --------------------------------------------------------------------------------


def _policy(config: PolicyConfig[Any], environment: Environment) -> Iterator[Check]:
    """One policy's turn."""
    kind, name, options = kind_of(config), config.name, Options(dry_run=True)
    if missing := kind.missing(config):
        told = "not configured: nothing is kept or deleted by this policy"
        yield _warning(name, told, f"set {missing}")
        return
    policy = policy_of(config, options)
    for target in kind.targets(config, opening_of(config, options, environment)):
        subject = f"{name} {target[0]}"
        yield from _guarded(subject, partial(_target, subject, policy, environment, target))


def _target(subject: str, policy: Policy, environment: Environment, target: Target) -> Iterator[Check]:
    """The engine's first three steps, told one by one."""
    with closing(target[1]()) as store:
        surveyed = steps.survey(policy, environment, store)
        survey = surveyed.survey
        yield _good(subject, f"asked, identity {survey.identity.fingerprint}, {survey.expired} expired")
        if survey.unknown:
            message = f"{survey.unknown} records or objects could not be read or recognised"
            yield Check(subject=subject, level=Level.FAILED, message=message, code=ExitCode.INCOMPLETE)
        yield from (_finding(subject, finding) for finding in survey.findings)
        yield from _verdicts(subject, policy, environment, surveyed, store)


def _verdicts(
    subject: str, policy: Policy, environment: Environment, surveyed: steps.Surveyed, store: Surveyable
) -> Iterator[Check]:
    """What the guards say of a store that records are deleted from."""
    if not isinstance(store, Expirable):
        return
    guarded = steps.guard(policy, environment, steps.decide(policy, environment, surveyed))
    findings = {finding.code for finding in surveyed.survey.findings}
    for verdict in guarded.verdicts:
        if verdict.guard not in findings and verdict.guard != "ledger":
            yield _verdict(subject, verdict)


def _verdict(subject: str, verdict: GuardResult) -> Check:
    """A guard of what goes can be answered by naming a value; any other refusal keeps every run away."""
    if verdict.passed:
        return _good(subject, f"{verdict.guard}: {verdict.message}")
    named = verdict.guard in {*OF_WHAT_GOES, "approved-plan"}
    return Check(
        subject=subject,
        level=Level.WARNING if named else Level.REFUSE,
        message=f"a run would refuse: {verdict.guard}: {verdict.message}",
        hint=verdict.hint,
        code=ExitCode.DONE if named else verdict.code,
    )


def _finding(subject: str, finding: Finding) -> Check:
    return Check(
        subject=subject,
        level=finding.level,
        message=finding.message,
        hint=finding.hint,
        code=finding.level.exit_code,
    )
