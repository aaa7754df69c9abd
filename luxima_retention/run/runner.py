"""One run over the policies that were asked for: settings become stores, limits and an environment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luxima_retention.config.matrix import BY_NAME, MATRIX
from luxima_retention.core.clock import Clock, system_clock
from luxima_retention.core.errors import ConfigurationError, ExitCode, RetentionError
from luxima_retention.core.guards import Limits
from luxima_retention.core.results import Outcome, PolicyResult, RunResult, preceded
from luxima_retention.evidence.archive import open_archive
from luxima_retention.run import planfile
from luxima_retention.run.engine import Environment, Policy, failed, run_policy
from luxima_retention.run.job import Job, Opening, load
from luxima_retention.run.state import State, mirror_holds, open_state

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.core.plan import Plan
    from luxima_retention.evidence.ledger.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for.

    Args:
        policies: their names; none means all.
        dry_run: change nothing.
        as_of: an instant in the past to count from instead of now.
        save_plan, plan: files of approved plans.
        max_items, max_fraction, min_remaining, max_silence: values named for the guards of this run.
        max_runtime: time budget of the whole run.
        shard, sweep, rotate_now: see :class:`~luxima_retention.run.job.Opening`.
    """

    policies: tuple[str, ...] = ()
    dry_run: bool = False
    as_of: datetime | None = None
    save_plan: Path | None = None
    plan: Path | None = None
    max_items: int | None = None
    max_fraction: Decimal | None = None
    min_remaining: int | None = None
    max_silence: timedelta | str | None = None
    max_runtime: timedelta | None = None
    shard: tuple[int, int] | None = None
    sweep: bool = False
    rotate_now: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """How a run speaks with whoever started it; see :class:`~luxima_retention.run.engine.Environment`."""

    confirm: Callable[[tuple[Plan, ...]], bool] = lambda _plans: True
    stopping: Callable[[], bool] = lambda: False
    wait: Callable[[float], None] = time.sleep
    say: Callable[..., None] = lambda *_args, **_values: None
    progress: Callable[[str, int, int], None] = lambda *_: None
    clock: Clock = system_clock
    #: told of the result of a real run; gives a sentence for each receiver that could not be reached
    tell: Callable[[RunResult], Iterable[str]] = lambda _result: ()


def run(settings: Settings, options: Options, hooks: Hooks) -> RunResult:
    """Apply the policies, one after the other.

    Raises:
        ConfigurationError: the options contradict each other or the settings.
        GuardRefused: a saved plan has expired.
    """
    now = hooks.clock()
    _check(options, now)
    approved = planfile.load(options.plan, now).plans if options.plan else None
    state = open_state(settings)
    try:
        session, refusal = _begun(settings, options, state, now)
        environment = Environment(
            now=now,
            dry_run=options.dry_run,
            as_of=options.as_of,
            state=state,
            archive=open_archive(settings.archive),
            approved=approved,
            deadline=time.monotonic() + options.max_runtime.total_seconds() if options.max_runtime else None,
            confirm=hooks.confirm,
            stopping=hooks.stopping,
            wait=hooks.wait,
            say=hooks.say,
            progress=hooks.progress,
            clock=hooks.clock,
            sign_start=(lambda: session.sign_start(hooks.clock())) if session else (lambda: None),
        )
        result = _run_all(settings, options, environment, approved, refusal)
        if options.save_plan:
            planfile.save(options.save_plan, _plans(result), now)
        if options.dry_run:
            return result
        sealed = result if state is None or refusal else _sealed(result, settings, state, session)
        return replace(sealed, warnings=(*sealed.warnings, *hooks.tell(sealed)))
    finally:
        if state is not None:
            state.close()


def _check(options: Options, now: datetime) -> None:
    if unknown := [name for name in options.policies if name not in BY_NAME]:
        raise ConfigurationError(f"there is no policy {unknown[0]}", f"policies are {', '.join(BY_NAME)}")
    if options.as_of is not None and options.as_of > now:
        raise ConfigurationError(
            f"--as-of {options.as_of.isoformat()} is in the future", "name an instant in the past"
        )
    if options.save_plan and not options.dry_run:
        raise ConfigurationError("--save-plan saves what would be done", "give --dry-run as well")
    if options.plan and options.as_of:
        raise ConfigurationError("a saved plan has its own cutoff", "leave out either --plan or --as-of")


def _begun(
    settings: Settings, options: Options, state: State | None, now: datetime
) -> tuple[Session | None, RetentionError | None]:
    """The right to sign the ledger; or why no policy may begin: its ledger is not the one that was signed."""
    from luxima_retention.evidence.ledger.session import begin

    if options.dry_run or state is None:
        return None, None
    try:
        return begin(settings.ledger, state.ledger, now), None
    except RetentionError as error:
        return None, error


def _run_all(
    settings: Settings,
    options: Options,
    environment: Environment,
    approved: Mapping[str, Any] | None,
    refusal: RetentionError | None,
) -> RunResult:
    names = options.policies or tuple(approved or ()) or tuple(policy.name for policy in MATRIX)
    if refusal is not None:
        results = [failed(policy_of(settings, options, load(name)), refusal) for name in dict.fromkeys(names)]
    else:
        results = [_run_one(settings, options, environment, name) for name in dict.fromkeys(names)]
    return RunResult(
        now=environment.now, dry_run=options.dry_run, as_of=options.as_of, policies=tuple(results)
    )


def _run_one(settings: Settings, options: Options, environment: Environment, name: str) -> PolicyResult:
    """One policy; a fault in it does not keep the others from their turn."""
    job = load(name)
    policy = policy_of(settings, options, job)
    try:
        opening = opening_of(settings, options, policy, environment)
        targets = job.targets(settings, opening)
        if not targets:
            return not_configured(policy, job)
        operation = job.before(settings, environment, opening) if job.before else None
        result = run_policy(policy, targets, environment)
        _record_sweep(name, options, environment, result)
        return preceded(result, operation) if operation else result
    except RetentionError as error:
        return failed(policy, error)
    except Exception as error:  # noqa: BLE001 - a fault of ours: reported with exit code 1, others go on
        environment.say("fault", policy=name, exc_info=error)
        return PolicyResult(
            policy=name,
            retention_days=policy.retention_days,
            outcome=Outcome.FAULT,
            exit_code=ExitCode.FAULT,
            sentence=f"unexpected fault: {type(error).__name__}",
            hint="run again with --log-level debug and report the traceback",
        )


def _record_sweep(name: str, options: Options, environment: Environment, result: PolicyResult) -> None:
    """Tell the sweep from the daily run of the same policy, for whoever asks when it last took place."""
    state = environment.state
    if not options.sweep or name != "application-logs" or options.dry_run or state is None:
        return
    if result.exit_code in {ExitCode.DONE, ExitCode.REFUSED}:
        part = "{}/{}".format(*options.shard) if options.shard else None
        body = {"part": part, "exit_code": int(result.exit_code)}
        state.ledger.append("sweep.completed", body, policy=name, at=environment.clock())


def opening_of(settings: Settings, options: Options, policy: Policy, environment: Environment) -> Opening:
    """How this policy's stores are opened."""
    archives = policy.archive == "required" or (policy.archive == "auto" and policy.may_archive)
    return Opening(
        read_only=options.dry_run,
        archives=archives and bool(settings.archive.url),
        sweep=options.sweep,
        shard=options.shard,
        rotate_now=options.rotate_now,
        clock=environment.clock,
    )


def not_configured(policy: Policy, job: Job) -> PolicyResult:
    """The result of a policy without a store; never compliant."""
    return PolicyResult(
        policy=policy.name,
        retention_days=policy.retention_days,
        outcome=Outcome.NOT_CONFIGURED,
        sentence="no store is configured",
        hint=f"set {job.missing}",
    )


def policy_of(settings: Settings, options: Options, job: Job) -> Policy:
    """The policy in force: settings, with the values that the command line names on top."""
    default = BY_NAME[job.policy]
    chosen = getattr(settings.policies, default.key)
    silence = chosen.max_silence
    if options.max_silence is not None:
        silence = options.max_silence if isinstance(options.max_silence, timedelta) else None
    named = {
        guard: option
        for guard, option, value in (
            ("share", f"--max-fraction {options.max_fraction}", options.max_fraction),
            ("max-items", f"--max-items {options.max_items}", options.max_items),
            ("min-remaining", f"--min-remaining {options.min_remaining}", options.min_remaining),
            ("stale-source", f"--max-silence {options.max_silence}", options.max_silence),
        )
        if value is not None
    }
    limits = Limits(
        share=settings.guards.max_fraction,
        max_fraction=_first(options.max_fraction, chosen.max_fraction),
        max_items=_first(options.max_items, chosen.max_items),
        min_remaining=_first(options.min_remaining, chosen.min_remaining),
        max_silence=silence,
        max_skew=settings.guards.max_clock_skew,
        fingerprints=chosen.identity,
        dimensions=job.dimensions(settings),
        named=named,
    )
    return Policy(
        name=job.policy,
        retention_days=chosen.retention_days,
        archive=chosen.archive,
        may_archive=default.may_archive,
        every=None if options.shard else chosen.every,
        lease="{}-{}-of-{}".format(job.policy, *options.shard) if options.shard else "",
        ledgerless=job.before is not None,
        limits=limits,
    )


def _first(named: Any, configured: Any) -> Any:
    return configured if named is None else named


def _plans(result: RunResult) -> Sequence[Plan]:
    """The plans of a dry run that a real run would carry out."""
    targets = [target for policy in result.policies for target in policy.targets]
    return [
        target.plan
        for target in targets
        if target.plan is not None and target.outcome is Outcome.WOULD_DELETE
    ]


def _sealed(result: RunResult, settings: Settings, state: State, session: Session | None) -> RunResult:
    """Sign the ledger's head after the run; what goes wrong there is told, and counts."""
    try:
        mirror_holds(settings, state)
        made = session.sign(system_clock()) if session else None
    except RetentionError as error:
        return replace(result, warnings=(error.message,), own_code=error.exit_code)
    if made is None:
        return result
    told = {"size": made.size, "root": made.root, "anchors": list(made.anchors)}
    code = ExitCode.INCOMPLETE if made.failures else ExitCode.DONE
    # A quorum that is missing does not stop a run; it is told here, and the report has it as an exception.
    return replace(result, checkpoint=told, warnings=(*made.failures, *made.unwitnessed), own_code=code)
