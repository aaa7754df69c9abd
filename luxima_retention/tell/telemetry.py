"""What the suite tells the stack that watches: metrics to a Pushgateway or to files, a trace to a collector.

Neither decides anything: where a receiver cannot be reached, the result carries a warning and ends as it
would, and all of it together costs a run two seconds at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luxima_retention import __version__
from luxima_retention.core.clock import Clock, system_clock
from luxima_retention.core.errors import ExitCode, RetentionError
from luxima_retention.core.results import OUTCOMES, Outcome, PolicyResult, RunResult
from luxima_retention.stores.registry import kind_of
from luxima_retention.tell import samples
from luxima_retention.tell.budget import BUDGET, Telling, within
from luxima_retention.tell.families import UNKNOWN, Sample, exposition
from luxima_retention.tell.promise import interval, matrix_digest, promise
from luxima_retention.tell.pushing import Group, push, write_files, written

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings, TelemetrySettings
    from luxima_retention.io.http import Http
    from luxima_retention.tell.traces import Tracing


#: seconds that receivers get, however long the libraries took to load
_LEAST = 0.5


class Telemetry:
    """The receivers of these settings.

    Args:
        settings: of the whole suite.
        shard: ``(I, N)`` where this process does a part of the work.
        tracing: the trace of this process, which ends with what is told; ``None`` for none.
        warnings: sentences that are already known.
        clock: the program's.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        shard: tuple[int, int] | None = None,
        tracing: Tracing | None = None,
        warnings: Iterable[str] = (),
        clock: Clock = system_clock,
    ) -> None:
        self._settings = settings
        self._shard = shard
        self._tracing = tracing
        self._warnings = tuple(warnings)
        self._clock = clock
        self._build = samples.Build(version=__version__, matrix=matrix_digest(settings))

    def run(self, result: RunResult) -> Iterator[str]:
        """Tell what a real run did; a sentence for each receiver that did not take it."""
        yield from self._tell(
            result.exit_code,
            policies=lambda: self._policies(result),
            # By itself: a database that does not answer must not keep the outcome from being told.
            ledger=lambda: [self._ledger(result)],
        )

    def failed(self, names: Iterable[str], began: datetime, code: ExitCode) -> Iterator[str]:
        """Tell that a run ended before it came to its policies: no ledger, no plan, a fault of ours."""
        outcome = OUTCOMES.get(code, Outcome.FAILED)
        results = tuple(
            PolicyResult(
                policy=name,
                retention_days=self._settings.policies[name].retention_days,
                outcome=outcome,
                exit_code=code,
            )
            for name in names
        )
        result = RunResult(now=began, dry_run=False, policies=results)
        yield from self._tell(code, policies=lambda: self._policies(result))

    def command(self, name: str, began: datetime, code: ExitCode, schedule: str = "") -> Iterator[str]:
        """Tell how a command ended that is not a policy's run; ``schedule`` is its cron expression."""
        ran = samples.Ran(
            target=name,
            began=began,
            code=code,
            succeeded=code is ExitCode.DONE,
            seconds={"act": (self._clock() - began).total_seconds()},
            interval=interval(self._settings, schedule),
        )
        yield from self._tell(code, run=lambda: [self._group(name, samples.of_command(ran, self._build))])

    def verified(self, at: datetime, *, whole: bool) -> Iterator[str]:
        """Tell what ``ledger verify`` found."""
        found = tuple(samples.of_verification(at, whole=whole))
        group = Group(key=self._key("ledger"), samples=found, part="verify")
        yield from self._tell(
            ExitCode.DONE if whole else ExitCode.VERIFICATION_FAILED, verification=lambda: [group]
        )

    # --- groups -------------------------------------------------------------------------------------

    def _policies(self, result: RunResult) -> Iterator[Group]:
        """A group for each policy that has a store; what is not configured has nothing to tell."""
        for policy in result.policies:
            config = self._settings.policy(policy.policy)
            if kind_of(config).missing(config) is None:
                told = samples.of_policy(
                    promise(config), policy, result.now, self._build, whole=self._shard is None
                )
                yield self._group(policy.policy, told, shard=self._shard)

    def _ledger(self, result: RunResult) -> Group:
        """The ledger, the hold register, and how the run itself ended where no policy is to blame."""
        ran = samples.Ran(
            target="ledger",
            began=result.now,
            code=result.own_code,
            succeeded=result.own_code is ExitCode.DONE,
            seconds={},
            interval=UNKNOWN,
        )
        facts = _ledger_facts(self._settings, result)
        return self._group("ledger", (*samples.of_command(ran, self._build), *facts))

    def _group(self, policy: str, told: Iterable[Sample], *, shard: tuple[int, int] | None = None) -> Group:
        part = {"shard": "{}-of-{}".format(*shard)} if shard else {}
        return Group(key={**self._key(policy), **part}, samples=tuple(told))

    def _key(self, policy: str) -> dict[str, str]:
        return {"environment": self._settings.telemetry.environment, "policy": policy}

    # --- telling ------------------------------------------------------------------------------------

    def _tell(self, code: ExitCode, **groups: Callable[[], Iterable[Group]]) -> Iterator[str]:
        """Hand over groups, by what they are about, and the trace, side by side."""
        telemetry, tellings = self._settings.telemetry, dict[str, Telling]()
        end = time.monotonic() + BUDGET
        for about, make in groups.items():
            if place := telemetry.pushgateway_url or telemetry.textfile_directory:
                tellings[f"{place} ({about})"] = partial(_deliver, telemetry, make)
        if self._tracing is not None:
            self._tracing.finish(code)
            tellings["the collector of traces"] = self._tracing.flush
            end -= self._tracing.loading
        if tellings:
            import prometheus_client  # noqa: F401 - once, before threads ask for it
            import requests  # noqa: F401 - same
        yield from self._warnings
        # A receiver that is away is away for everything that it should be told.
        yield from dict.fromkeys(within(tellings, max(_LEAST, end - time.monotonic())))


def _deliver(telemetry: TelemetrySettings, groups: Callable[[], Iterable[Group]]) -> list[str]:
    """Make the groups and hand them over; the files first, which no network holds up."""
    made, said = list(groups()), list[str]()
    if telemetry.textfile_directory:
        said += write_files(Path(telemetry.textfile_directory), made)
    try:
        return [*said, *push(pushgateway(telemetry), made)] if telemetry.pushgateway_url else said
    except RetentionError as error:
        return [*said, error.message]


def pushgateway(telemetry: TelemetrySettings) -> Http:
    """The Pushgateway of the settings, with its credentials, within the budget.

    Raises:
        ConfigurationError: a file of a secret or of a CA cannot be read.
    """
    from luxima_retention.config.endpoints import endpoint, reached_by
    from luxima_retention.core.deadline import UNLIMITED
    from luxima_retention.io.http import Http

    place = endpoint(
        telemetry.pushgateway_url,
        reached_by(telemetry.http, "pushgateway"),
        setting="telemetry.pushgateway_url",
        options="telemetry.http.pushgateway",
        proxied=True,
    )
    return Http(place, UNLIMITED.within(BUDGET))


@contextmanager
def telling(settings: Settings, name: str, schedule: str, say: Callable[[str], None]) -> Iterator[None]:
    """Tell how the block ended, as command ``name``; its errors go on.

    Args:
        settings: of the whole suite.
        name: of the command, as its slot is called.
        schedule: cron expression of its runs.
        say: takes each warning.
    """
    began, code = system_clock(), ExitCode.FAULT
    try:
        yield
        code = ExitCode.DONE
    except RetentionError as error:
        code = error.exit_code
        raise
    except BaseException as error:
        code = _exit_code(error)
        raise
    finally:
        for warning in Telemetry(settings).command(name, began, code, schedule):
            say(warning)


def _exit_code(error: BaseException) -> ExitCode:
    """Of an exception that carries one (click's ``Exit``), else that of a fault."""
    code = getattr(error, "exit_code", None)
    return ExitCode(code) if code in set(ExitCode) else ExitCode.FAULT


def daemon_metrics(directory: str, health: Mapping[str, Any]) -> bytes:
    """What the daemon answers at ``/metrics``.

    Args:
        directory: ``telemetry.textfile_directory``, whose files it serves too; empty for none.
        health: what its health page tells.
    """
    files = written(Path(directory)) if directory else []
    return exposition((*samples.of_daemon(health), *files))


def _ledger_facts(settings: Settings, result: RunResult) -> Iterator[Sample]:
    """Figures of ledger and register; not numbers where they cannot be read."""
    from luxima_retention.run.state import open_state

    values = dict.fromkeys(
        ("ledger_entries", "ledger_head_timestamp_seconds", "holds_active", "oldest_hold_timestamp_seconds"),
        UNKNOWN,
    )
    try:
        state = open_state(settings)
        if state is not None:
            with closing(state):
                values = _read_facts(state)
    except RetentionError:
        pass  # the run has told why; here it is unknown
    anchored = bool(result.checkpoint and result.checkpoint.get("anchors"))
    values["ledger_anchor_timestamp_seconds"] = result.now.timestamp() if anchored else 0.0
    return (Sample(name=name, value=value) for name, value in values.items())


def _read_facts(state: Any) -> dict[str, float]:
    from luxima_retention.evidence.holds import in_force

    head = state.ledger.head()
    holds = in_force(state.register)
    placed = [hold.placed_at.timestamp() for hold in holds if hold.placed_at]
    return {
        "ledger_entries": head.seq if head else 0,
        "ledger_head_timestamp_seconds": head.at.timestamp() if head else UNKNOWN,
        "holds_active": len(holds),
        "oldest_hold_timestamp_seconds": min(placed, default=UNKNOWN),
    }
