"""One run over the policies that were asked for: settings become stores, limits and an environment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from luxima_retention.config.policies import DEFAULTS, PolicySettings
from luxima_retention.config.settings import PolicyConfig
from luxima_retention.core.clock import Clock, system_clock
from luxima_retention.core.deadline import Deadline
from luxima_retention.core.durations import parse_duration, spelled
from luxima_retention.core.errors import ConfigurationError, ExitCode, RetentionError
from luxima_retention.core.guards import DEFAULT_SKEW, Limits, refusals
from luxima_retention.core.observer import Observer, Silent
from luxima_retention.core.results import Outcome, PolicyResult, RunResult, preceded
from luxima_retention.run.context import Environment, Policy
from luxima_retention.run.engine import failed, run_policy
from luxima_retention.run.matrix import about, archives, configured, policy_config
from luxima_retention.stores.kind import Opening, Surroundings
from luxima_retention.stores.registry import kind_of

if TYPE_CHECKING:
    from luxima_retention.config.settings import LedgerSettings, Settings
    from luxima_retention.core.plan import Hold, Plan
    from luxima_retention.evidence.archive import Archive
    from luxima_retention.evidence.ledger.session import Session
    from luxima_retention.evidence.ledger.verify import Key
    from luxima_retention.run.ends import Ends
    from luxima_retention.run.planfile import Approved, Proposed
    from luxima_retention.run.state import State


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
        shard, sweep, rotate_now: see :class:`~luxima_retention.stores.kind.Opening`.
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
    """How a run speaks with whoever started it; see :class:`~luxima_retention.run.context.Environment`."""

    confirm: Callable[[tuple[Plan, ...]], bool] = lambda _plans: True
    stopping: Callable[[], bool] = lambda: False
    wait: Callable[[float], None] = time.sleep
    observer: Observer = field(default_factory=Silent)
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
    deadline = _deadline(options, hooks)
    approved = _approved(options.plan, now)
    archive = _archive(settings, deadline)
    ends = None if options.dry_run else _ends(settings, archive, deadline)
    state = _state(settings, deadline)
    try:
        session, refusal = _begun(settings, options, state, now, deadline)
        environment = Environment(
            now=now,
            dry_run=options.dry_run,
            as_of=options.as_of,
            state=state,
            archive=archive,
            ready=partial(ends.try_out, state) if ends and state else lambda _archives: None,
            approved=approved,
            approvers=_approvers(settings.ledger),
            deadline=deadline.ends,
            confirm=hooks.confirm,
            stopping=hooks.stopping,
            wait=hooks.wait,
            observer=hooks.observer,
            clock=hooks.clock,
            sign_start=(lambda: session.sign_start(hooks.clock())) if session else (lambda: None),
        )
        result = _run_all(settings, options, environment, approved, refusal)
        if options.save_plan:
            _save(options.save_plan, result, now)
        if options.dry_run:
            return result
        sealed = result if state is None or refusal else _sealed(result, settings, state, session, deadline)
        return replace(sealed, warnings=(*sealed.warnings, *hooks.tell(sealed)))
    finally:
        if state is not None:
            state.close()


def _deadline(options: Options, hooks: Hooks) -> Deadline:
    """The end of the whole run, from now on."""
    ends = time.monotonic() + options.max_runtime.total_seconds() if options.max_runtime else None
    return Deadline(ends=ends, stopping=hooks.stopping, sleep=hooks.wait)


# What a run without ledger and archive does not use is not loaded: that takes as long as the run itself.


def _archive(settings: Settings, deadline: Deadline) -> Archive | None:
    if not settings.archive.url:
        return None
    from luxima_retention.evidence.archive import open_archive

    return open_archive(settings, deadline)


def _state(settings: Settings, deadline: Deadline) -> State | None:
    if not settings.keeps_state:
        return None
    from luxima_retention.run.state import open_state

    return open_state(settings, deadline)


def _ends(settings: Settings, archive: Archive | None, deadline: Deadline) -> Ends | None:
    """What the end of the run needs; ``None`` where the settings name neither database nor ledger."""
    if settings.database.dsn is None and settings.ledger == type(settings.ledger)():
        return None
    from luxima_retention.run.ends import Ends

    return Ends(settings, archive, deadline)


def _approvers(ledger: LedgerSettings) -> tuple[Key, ...]:
    if not ledger.approvers:
        return ()
    from luxima_retention.evidence.approvals import approver_keys

    return approver_keys(ledger)


def _approved(plan: Path | None, now: datetime) -> Mapping[str, Approved] | None:
    if plan is None:
        return None
    from luxima_retention.run.planfile import load

    return load(plan, now).plans


def _save(path: Path, result: RunResult, now: datetime) -> None:
    from luxima_retention.run.planfile import save

    save(path, _plans(result), now)


def _check(options: Options, now: datetime) -> None:
    if options.as_of is not None and options.as_of > now:
        raise ConfigurationError(
            f"--as-of {options.as_of.isoformat()} is in the future", "name an instant in the past"
        )
    if options.save_plan and not options.dry_run:
        raise ConfigurationError("--save-plan saves what would be done", "give --dry-run as well")
    if options.plan and options.as_of:
        raise ConfigurationError("a saved plan has its own cutoff", "leave out either --plan or --as-of")


def _begun(
    settings: Settings, options: Options, state: State | None, now: datetime, deadline: Deadline
) -> tuple[Session | None, RetentionError | None]:
    """The right to sign the ledger; or why no policy may begin: its ledger is not the one that was signed."""
    if options.dry_run or state is None:
        return None, None
    from luxima_retention.evidence.ledger.session import begin

    try:
        return begin(settings, state.ledger, now, deadline), None
    except RetentionError as error:
        return None, error


def check_named(settings: Settings, options: Options) -> None:
    """A policy that somebody names is there and configured, and knows the flags; without names one is.

    Raises:
        ConfigurationError: it is not; nothing was begun.
    """
    named = [policy_config(settings, name) for name in options.policies]
    missing = [(policy, kind_of(policy).missing(policy)) for policy in named]
    if unset := [(policy, setting) for policy, setting in missing if setting]:
        raise ConfigurationError(
            f"{unset[0][0].name} is not configured: {unset[0][1]} is not set",
            f"set {unset[0][1]}; a misspelt name in the environment leaves it unset",
        )
    if not named and not configured(settings):
        raise ConfigurationError(
            "no policy is configured",
            "set database.dsn, or see `luxima-retention matrix` for what is missing",
        )
    for flag, given in (("sweep", options.sweep), ("rotate_now", options.rotate_now)):
        if given and named and not any(flag in kind_of(policy).run_options for policy in named):
            raise ConfigurationError(
                f"--{flag.replace('_', '-')} does not apply to {', '.join(policy.name for policy in named)}",
                "leave it out, or name a policy that knows it",
            )


def _run_all(
    settings: Settings,
    options: Options,
    environment: Environment,
    approved: Mapping[str, Any] | None,
    refusal: RetentionError | None,
) -> RunResult:
    names = options.policies or tuple(approved or ()) or tuple(settings.policies)
    policies = {policy.name: policy for policy in (policy_config(settings, name) for name in names)}
    results = [_run_one(policy, options, environment, refusal) for policy in policies.values()]
    return RunResult(
        now=environment.now, dry_run=options.dry_run, as_of=options.as_of, policies=tuple(results)
    )


def _run_one(
    config: PolicyConfig[Any], options: Options, environment: Environment, refusal: RetentionError | None
) -> PolicyResult:
    """One policy; a fault in it does not keep the others from their turn."""
    kind, policy = kind_of(config), policy_of(config, options)
    try:
        missing = kind.missing(config)
        result = (
            not_configured(policy, missing)
            if missing
            else _applied(config, policy, options, environment, refusal)
        )
    except RetentionError as error:
        result = failed(policy, error)
    except Exception as error:  # noqa: BLE001 - a fault of ours: reported with exit code 1, others go on
        environment.observer.told("fault", policy=config.name, exc_info=error)
        result = PolicyResult(
            policy=config.name,
            retention_days=policy.retention_days,
            outcome=Outcome.FAULT,
            exit_code=ExitCode.FAULT,
            sentence=f"unexpected fault: {type(error).__name__}",
            hint="run again with --log-level debug and report the traceback",
        )
    return replace(result, about=about(config))


def _applied(
    config: PolicyConfig[Any],
    policy: Policy,
    options: Options,
    environment: Environment,
    refusal: RetentionError | None,
) -> PolicyResult:
    """The policy, with what precedes its five steps; these need a ledger that is the one that was signed."""
    kind, opening = kind_of(config), opening_of(config, options, environment)
    operation = None
    if kind.before is not None:
        operation = kind.before(config, opening, surroundings_of(config.name, environment))
    targets = kind.targets(config, opening)
    if refusal is not None:
        result = failed(policy, refusal, targets)
    else:
        result = run_policy(policy, targets, environment)
        _record_sweep(config, options, environment, result)
    return preceded(result, operation) if operation else result


def surroundings_of(policy: str, environment: Environment) -> Surroundings:
    """What an operation before the five steps works with."""
    state = environment.state

    def record(body: Mapping[str, Any]) -> None:
        if state is not None:
            from luxima_retention.evidence.events import rotation

            state.ledger.append(rotation(body), policy=policy, at=environment.clock())

    return Surroundings(
        now=environment.now,
        clock=environment.clock,
        holds=lambda: _readable_holds(state, policy),
        record=record,
        stopping=environment.end.over,
    )


def _readable_holds(state: State | None, policy: str) -> tuple[Hold, ...] | None:
    if state is None:
        return ()
    from luxima_retention.evidence.holds import readable_holds

    return readable_holds(state.register, policy)


def _record_sweep(
    config: PolicyConfig[Any], options: Options, environment: Environment, result: PolicyResult
) -> None:
    """Tell the sweep from the daily run of the same policy, for whoever asks when it last took place."""
    state = environment.state
    if not options.sweep or options.dry_run or state is None:
        return
    if "sweep" in kind_of(config).run_options and result.exit_code in {ExitCode.DONE, ExitCode.REFUSED}:
        from luxima_retention.evidence.events import SweepCompleted

        part = "{}/{}".format(*options.shard) if options.shard else None
        swept = SweepCompleted(part=part, exit_code=result.exit_code)
        state.ledger.append(swept, policy=config.name, at=environment.clock())


def opening_of(config: PolicyConfig[Any], options: Options, environment: Environment) -> Opening:
    """How this policy's stores are opened."""
    return Opening(
        read_only=options.dry_run,
        archives=archives(config),
        sweep=options.sweep,
        shard=options.shard,
        rotate_now=options.rotate_now,
        clock=environment.clock,
        deadline=environment.end,
    )


def not_configured(policy: Policy, missing: str) -> PolicyResult:
    """The result of a policy without a store; never compliant."""
    return PolicyResult(
        policy=policy.name,
        retention_days=policy.retention_days,
        outcome=Outcome.NOT_CONFIGURED,
        sentence="no store is configured",
        hint=f"set {missing}",
    )


def policy_of(config: PolicyConfig[Any], options: Options) -> Policy:
    """The policy in force: settings, with the values that the command line names on top."""
    chosen, kind = config.options, kind_of(config)
    silence = chosen.max_silence
    if options.max_silence is not None:
        silence = options.max_silence if isinstance(options.max_silence, timedelta) else None
    limits = Limits(
        max_fraction=_first(options.max_fraction, chosen.max_fraction),
        max_items=_first(options.max_items, chosen.max_items),
        min_remaining=_first(options.min_remaining, chosen.min_remaining),
        max_silence=silence,
        max_skew=chosen.max_clock_skew,
        fingerprints=chosen.identity,
        dimensions=kind.dimensions(config),
        named=_named(options),
        widened=_widened(config),
    )
    return Policy(
        name=config.name,
        retention_days=chosen.retention_days,
        disposition=kind.disposition(archives(config)),
        basis=chosen.basis,
        archive=chosen.archive,
        # A shard is a part of a slot, and tells nothing of the others.
        schedule="" if options.shard else chosen.schedule,
        zone=ZoneInfo(config.settings.schedule.time_zone),
        grace=config.settings.schedule.grace,
        lease="{}-{}-of-{}".format(config.name, *options.shard) if options.shard else "",
        ledgerless=kind.before is not None,
        limits=limits,
    )


def _named(options: Options) -> dict[str, str]:
    """Guard → the option through which this run names its limit."""
    given = (
        ("share", "--max-fraction", options.max_fraction),
        ("max-items", "--max-items", options.max_items),
        ("min-remaining", "--min-remaining", options.min_remaining),
        ("stale-source", "--max-silence", options.max_silence),
    )
    return {guard: f"{flag} {value}" for guard, flag, value in given if value is not None}


def _widened(config: PolicyConfig[Any]) -> dict[str, str]:
    """Guard → the setting that switches it off or lets it pass more than by default."""
    chosen, usual = config.options, DEFAULTS.get(config.name, {})
    silence = parse_duration(usual.get("max_silence"))
    silent = silence is not None and (chosen.max_silence is None or chosen.max_silence > silence)
    remaining = usual.get("min_remaining", PolicySettings.model_fields["min_remaining"].default)
    skew, key = chosen.max_clock_skew, config.setting
    found = (
        ("share", chosen.max_fraction is not None, f"{key}.max_fraction = {chosen.max_fraction}"),
        ("stale-source", silent, f"{key}.max_silence = {spelled(chosen.max_silence)}"),
        ("min-remaining", chosen.min_remaining < remaining, f"{key}.min_remaining = {chosen.min_remaining}"),
        ("clock-skew", skew > DEFAULT_SKEW, f"{key}.max_clock_skew = {spelled(skew)}"),
    )
    return {guard: setting for guard, wide, setting in found if wide}


def _first(named: Any, configured: Any) -> Any:
    return configured if named is None else named


def _plans(result: RunResult) -> Sequence[Proposed]:
    """The plans of a dry run, each with what would refuse it now: a backlog's is agreed to with that."""
    from luxima_retention.run.planfile import Proposed

    targets = [target for policy in result.policies for target in policy.targets]
    return [
        Proposed(plan=target.plan, refused=tuple(item.message for item in refusals(target.verdicts)))
        for target in targets
        if target.plan is not None and target.plan.items
    ]


def _sealed(
    result: RunResult, settings: Settings, state: State, session: Session | None, deadline: Deadline
) -> RunResult:
    """Sign the ledger's head after the run; what goes wrong there is told, and counts."""
    from luxima_retention.run.state import mirror_holds

    try:
        mirror_holds(settings, state, deadline)
        made = session.sign(system_clock()) if session else None
    except RetentionError as error:
        return replace(result, warnings=(error.message,), own_code=error.exit_code)
    if made is None:
        return result
    told = {"size": made.size, "root": made.root, "anchors": list(made.anchors)}
    code = ExitCode.INCOMPLETE if made.failures else ExitCode.DONE
    # A quorum that is missing does not stop a run; it is a warning here and an exception in the report.
    return replace(result, checkpoint=told, warnings=(*made.failures, *made.unwitnessed), own_code=code)
