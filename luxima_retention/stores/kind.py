"""What a kind of store declares: a :class:`Kind` in the ``kind.py`` of its folder, a line in ``registry.py``.

Everything that iterates over policies (migrate, run, explain, hold, doctor, matrix, schedule, manifests,
report, metrics) asks the kind, and knows no policy by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from luxima_retention.config.policies import Options
from luxima_retention.config.settings import PolicyConfig
from luxima_retention.core.clock import Clock, system_clock
from luxima_retention.core.deadline import UNLIMITED, Deadline

if TYPE_CHECKING:
    from luxima_retention.config.settings import TableSettings
    from luxima_retention.core.plan import Hold, Operation
    from luxima_retention.core.protocol import Surveyable
    from luxima_retention.io.http import Endpoint

#: The name of a target, and what opens its store.
Target: TypeAlias = "tuple[str, Callable[[], Surveyable]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How stores are opened.

    Args:
        read_only: for a dry run: what is opened cannot write.
        archives: whether records will be archived before they are destroyed.
        sweep: walk over everything that a store holds, not only over what its index names.
        shard: ``(I, N)``: this process does the part ``I`` of ``N``.
        rotate_now: rotate whatever the schedule says.
        clock: the program's.
        deadline: of the run.
    """

    read_only: bool = True
    archives: bool = False
    sweep: bool = False
    shard: tuple[int, int] | None = None
    rotate_now: bool = False
    clock: Clock = system_clock
    deadline: Deadline = UNLIMITED


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an operation before the five steps works with.

    Args:
        now: the program's clock, read once.
        clock: for instants after ``now``.
        holds: the holds in force that cover the policy; raises where they cannot be read.
        record: writes what was rotated into the ledger, if there is one.
        stopping: true once the run should end.
    """

    now: datetime
    clock: Clock
    holds: Callable[[], tuple[Hold, ...] | None]
    record: Callable[[Mapping[str, Any]], None]
    stopping: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTarget:
    """A table that a policy empties.

    Args:
        policy: its name.
        table: its settings.
        floor_days: the youngest age that may ever be deleted: the policy's own period.
        register: whether the hold register lies in this database.
        rest_role: the role that PostgREST calls the functions with; empty for none.
    """

    policy: str
    table: TableSettings
    floor_days: int
    register: bool
    rest_role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraRun:
    """A further run of a policy, at times of its own.

    Args:
        suffix: the name of its slot after the policy's: ``sweep``.
        schedule: cron expression; empty never starts it.
        flags: of ``run``.
    """

    suffix: str
    schedule: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[Options]):
    """A kind of store.

    Args:
        name: as in ``policies.<name>.kind``.
        settings: the options of its policies.
        storage: where a policy's records are, for people: ``PostgreSQL core.audit_log``.
        missing: the setting that would configure the policy, or ``None`` where it is configured.
        targets: names and openers of its stores; opens nothing itself.
        disposition: what happens at the end of the period, given whether an archive takes the records first.
        dimensions: what holds may name in these stores: ``tenant``, ``subject``, ``range``, ``path``.
        bound: the longest that a record may live beyond its period besides the day that the cutoff is
            rounded by and the time between two runs: delays of the store itself.
        archives: whether its records can be archived before they are destroyed.
        checks_only: whether it is only asked, and nothing of it ever deleted.
        database: name of the connection to the tables that ``migrate`` sets up; ``None`` for none.
        tables: the tables there.
        extra_runs: further runs at times of their own.
        run_options: flags of ``run`` that it knows: ``sweep``, ``shard``, ``rotate_now``.
        before: an operation of its own that precedes the five steps, such as a rotation.
        ports: TCP ports that its stores are reached at, for network policies.
        metrics: servers that say which metrics there are, as Prometheus does; ``None`` for none.
        volume: whether it works on files of a volume.
        method: how records are destroyed, for the minutes, by language.
        rules: names of the cited rules that may concern it; see ``report/rules.py``.
    """

    name: str
    settings: type[Options]
    storage: Callable[[PolicyConfig[Options]], str]
    missing: Callable[[PolicyConfig[Options]], str | None]
    targets: Callable[[PolicyConfig[Options], Opening], tuple[Target, ...]]
    disposition: Callable[[bool], str]
    dimensions: Callable[[PolicyConfig[Options]], frozenset[str]] = lambda _policy: frozenset()
    bound: Callable[[PolicyConfig[Options]], timedelta] = lambda _policy: timedelta()
    archives: bool = False
    checks_only: bool = False
    database: Callable[[PolicyConfig[Options]], str | None] = lambda _policy: None
    tables: Callable[[PolicyConfig[Options]], tuple[TableTarget, ...]] = lambda _policy: ()
    extra_runs: Callable[[PolicyConfig[Options]], tuple[ExtraRun, ...]] = lambda _policy: ()
    run_options: frozenset[str] = frozenset()
    before: Callable[[PolicyConfig[Options], Opening, Surroundings], Operation] | None = None
    ports: Callable[[PolicyConfig[Options]], frozenset[int]] = lambda _policy: frozenset()
    metrics: Callable[[PolicyConfig[Options]], tuple[Endpoint, ...]] | None = None
    volume: bool = False
    method: Mapping[str, str]
    rules: tuple[str, ...] = ()


def dimensions_of(tables: Collection[TableSettings]) -> frozenset[str]:
    """The dimensions of holds that every one of these tables can tell apart."""
    mapped = {
        "tenant": all(table.tenant_column for table in tables),
        "subject": all(table.subject_column for table in tables),
        "range": True,
    }
    return frozenset(name for name, known in mapped.items() if known)
