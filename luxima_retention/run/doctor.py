"""What would keep a run from working: everything is reached and asked, nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from luxima_retention.config.matrix import BY_NAME, MATRIX
from luxima_retention.core.clock import Clock, iso
from luxima_retention.core.errors import ExitCode, RetentionError
from luxima_retention.core.plan import Finding, Hold, Level, Request, conservative_now, cutoff_at
from luxima_retention.evidence.holds import in_force
from luxima_retention.run.job import Job, Opening, load
from luxima_retention.run.state import State, open_state

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.core.protocol import Surveyable


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
    """Check the suite's own memory, the archive, then each policy's stores."""
    state = open_state(settings)
    try:
        yield from _memory(state)
        yield from _guarded("checkpoints", lambda: _checkpoints(settings, state))
        yield from _guarded("archive", lambda: _archive(settings))
        holds = _holds(state)
        for policy in MATRIX:
            visit = _Visit(settings=settings, job=load(policy.name), clock=clock, holds=holds)
            yield from visit.checks()
    finally:
        if state is not None:
            state.close()


def _guarded(subject: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What ``look`` finds; an error of ours is a finding too."""
    try:
        yield from look()
    except RetentionError as error:
        yield _bad(subject, error)


def _bad(subject: str, error: RetentionError) -> Check:
    return Check(
        subject=subject, level=Level.FAILED, message=error.message, hint=error.hint, code=error.exit_code
    )


def _good(subject: str, message: str) -> Check:
    return Check(subject=subject, level=Level.INFO, message=message)


def _memory(state: State | None) -> Iterator[Check]:
    if state is None:
        yield Check(
            subject="ledger",
            level=Level.WARNING,
            message="no ledger is configured: nothing will be destroyed",
            hint="set database.dsn, or ledger.path on a persistent volume",
        )
        return
    yield from _guarded("ledger", lambda: _ledger(state))
    yield from _guarded("holds", lambda: _register(state))


def _ledger(state: State) -> Iterator[Check]:
    state.ledger.check_writable()
    head = state.ledger.head()
    yield _good("ledger", f"writable, {head.seq if head else 0} entries")


def _register(state: State) -> Iterator[Check]:
    yield _good("holds", f"readable, {len(state.register.all())} in force")


def _holds(state: State | None) -> tuple[Hold, ...]:
    """The holds in force; that they cannot be read is a check of its own."""
    try:
        return in_force(state.register) if state else ()
    except RetentionError:
        return ()


def _checkpoints(settings: Settings, state: State | None) -> Iterator[Check]:
    from luxima_retention.evidence.ledger import trust
    from luxima_retention.evidence.ledger.session import compare, open_places

    for gap in trust.set_up(settings.ledger):
        level = Level.INFO if gap.code == "no-witness" else Level.WARNING
        yield Check(subject="checkpoints", level=level, message=gap.sentence, hint=gap.hint)
    places = open_places(settings.ledger)
    if places is None or state is None:
        return
    yield _good("checkpoints", f"signed with {places.signer.key}")
    size = compare(state.ledger, places)
    anchors = ", ".join(anchor.url for anchor in places.anchors) or "no anchor"
    yield _good("checkpoints", f"{size} entries continue what was signed: {anchors}")


def _archive(settings: Settings) -> Iterator[Check]:
    from luxima_retention.evidence.archive import open_archive

    archive = open_archive(settings.archive)
    if archive is None:
        yield _good("archive", "none is configured")
        return
    count = sum(1 for _ in archive.manifests())
    yield _good("archive", f"{archive.url} is readable and holds {count} archived runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """One policy's turn."""

    settings: Settings
    job: Job
    clock: Clock
    holds: tuple[Hold, ...]

    def checks(self) -> Iterator[Check]:
        targets = self.job.targets(self.settings, Opening(clock=self.clock))
        if not targets:
            yield Check(
                subject=self.job.policy,
                level=Level.WARNING,
                message="not configured: nothing is kept or deleted by this policy",
                hint=f"set {self.job.missing}",
            )
        for name, opener in targets:
            subject = f"{self.job.policy} {name}"
            yield from _guarded(subject, partial(self._target, subject, opener))

    def _target(self, subject: str, opener: Callable[[], Surveyable]) -> Iterator[Check]:
        now, store = self.clock(), opener()
        try:
            yield _good(subject, f"reached, identity {store.identity().fingerprint}")
            yield _clock(subject, self.settings, now, store.clock())
            request = self._request(store, now)
            findings = (*store.preflight(request), *store.survey(request).findings)
            yield from (_finding(subject, finding) for finding in dict.fromkeys(findings))
        finally:
            store.close()

    def _request(self, store: Surveyable, now: datetime) -> Request:
        policy = self.job.policy
        days = getattr(self.settings.policies, BY_NAME[policy].key).retention_days
        present, _ = conservative_now(now, store.clock(), None)
        holds = tuple(hold for hold in self.holds if hold.covers(policy))
        cutoff = cutoff_at(days, present)
        return Request(policy=policy, retention_days=days, cutoff=cutoff, now=now, holds=holds)


def _clock(subject: str, settings: Settings, now: datetime, store_now: datetime) -> Check:
    skew = abs(now - store_now)
    message = f"its clock says {iso(store_now)}, {skew.total_seconds():.1f} s from this machine's"
    check = _good(subject, message)
    if skew <= settings.guards.max_clock_skew:
        return check
    hint = "correct the clock that is wrong; a run refuses beyond guards.max_clock_skew"
    return replace(check, level=Level.REFUSE, hint=hint, code=ExitCode.REFUSED)


def _finding(subject: str, finding: Finding) -> Check:
    return Check(
        subject=subject,
        level=finding.level,
        message=finding.message,
        hint=finding.hint,
        code=finding.level.exit_code,
    )
