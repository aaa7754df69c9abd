"""Whether a Prometheus server keeps its samples as long as the policy says. Pure: no I/O, no clock.

Sources: Prometheus documentation, "Storage", "Compaction" (a block spans up to 10 % of the retention
time, or 31 days, whichever is smaller) and "Operational aspects" (blocks go when they have wholly
expired; that may take up to two hours; the first limit to be reached applies). Release notes: 2.49.0
(#12986, ``prometheus_tsdb_retention_limit_seconds``), 3.8.0 (#17026, retention in the configuration
file, which takes precedence over the flags), 3.11.0 (#18080, a percentage; #18200, the time of the
configuration file was 1e6 times too long before).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from luxima_retention.core.clock import iso
from luxima_retention.core.plan import Level
from luxima_retention.core.promise import DAY, Mode, in_days
from luxima_retention.stores.prometheus.reading import Limits, Metrics

#: A block leaves no sooner than its newest sample expired, counted from the newest block; the head
#: holds back up to three hours of samples and the clean-up takes up to two.
LAG_SECONDS = 6 * 3600
LARGEST_BLOCK = 31 * DAY
#: Before so many days of blocks, what they take says little about what they will take.
PROJECTION_DAYS = 3
_UNIT_BUG = ((3, 8, 0), (3, 11, 0))


class Code(StrEnum):
    """The verdicts, for programs."""

    COMPLIANT = "compliant"
    NOT_YET = "not-yet-provable"
    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    SIZE_BOUND = "size-bound"
    AGENT = "agent"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one server said.

    Args:
        product: ``Prometheus``, or another server that answers in its place.
        agent: whether it runs as an agent.
        version: of the server.
        stated: the limits that its runtime page names.
        file: ``storage.tsdb.retention`` of its configuration file: ``time``, ``size``, ``percentage``.
        flags: its flags by name.
        metrics: its own metrics.
        now: its clock.
        started: start of its process.
    """

    product: str
    now: datetime
    agent: bool = False
    version: tuple[int, int, int] = (0, 0, 0)
    stated: Limits = field(default_factory=Limits)
    file: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    started: datetime | None = None

    @property
    def oldest(self) -> datetime | None:
        """The oldest sample that the server still holds."""
        return self.metrics.instant("prometheus_tsdb_lowest_timestamp_seconds")

    @property
    def newest(self) -> datetime | None:
        """The newest sample."""
        return self.metrics.instant("prometheus_tsdb_head_max_time_seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compliance:
    """What follows from the facts.

    Args:
        code: for programs.
        level: what it means for the run.
        sentence: for people, with the figures.
        hint: what would change it.
        provable_from: for ``not-yet-provable``: when the oldest sample will be old enough.
    """

    code: Code
    level: Level
    sentence: str
    hint: str | None = None
    provable_from: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """The facts beside the policy, and what is really in force."""

    facts: Facts
    seconds: int
    mode: Mode
    limit: Limits

    @property
    def reached(self) -> bool:
        """Whether the oldest sample is as old as the period."""
        oldest = self.facts.oldest
        return oldest is not None and _age(self.facts, oldest) >= self.seconds


def judge(facts: Facts, days: int, mode: Mode) -> Compliance:
    """The verdict: the first of the rules that applies, from what the settings say to what is there."""
    if facts.product != "Prometheus":
        return _unsupported(facts)
    if facts.agent:
        return _agent()
    case = _Case(facts=facts, seconds=days * DAY, mode=mode, limit=in_force(facts))
    verdicts = (rule(case) for rule in _RULES)
    return next((verdict for verdict in verdicts if verdict is not None), None) or _compliant(case)


def in_force(facts: Facts) -> Limits:
    """The limits that the storage applies, which need not be those that its pages name.

    From 3.8.0 until 3.11.0 a time in the configuration file is applied 1e6 times too long, though the
    pages name it as written (release notes 3.11.0, #18200). Where the storage exports its own limit
    (2.49.0, #12986) and that is another one, the export is the truth; a negative one has overflowed.
    """
    if has_unit_bug(facts):
        return Limits(seconds=None, size=facts.stated.size)
    exported = facts.metrics.values.get("prometheus_tsdb_retention_limit_seconds")
    if exported is None or abs(exported - (facts.stated.seconds or 0)) <= 1:
        return facts.stated
    return Limits(seconds=exported if exported > 0 else None, size=facts.stated.size)


def has_unit_bug(facts: Facts) -> bool:
    """Whether the time in the configuration file is applied in the wrong unit."""
    written = facts.file.get("time", "0") not in {"0", "0s"}
    return written and _UNIT_BUG[0] <= facts.version < _UNIT_BUG[1]


def block_seconds(limit: Limits) -> float:
    """The span of the largest block: by how much a sample may outlive the limit."""
    if limit.seconds is None:
        return LARGEST_BLOCK
    return min(max(limit.seconds / 10, 2 * 3600), LARGEST_BLOCK)


def _too_short(case: _Case) -> Compliance | None:
    limit = case.limit.seconds
    if not case.mode.keeps or limit is None or limit >= case.seconds:
        return None
    default = not case.facts.file and case.facts.flags.get("storage.tsdb.retention.time") == "0s"
    origin = ", the default, because no limit is set" if default else ""
    return Compliance(
        code=Code.TOO_SHORT,
        level=Level.DRIFT,
        sentence=f"samples go after {in_days(limit)}{origin}; the policy says {in_days(case.seconds)}",
        hint=_set_time(case),
    )


def _too_long(case: _Case) -> Compliance | None:
    limit = case.limit.seconds
    size_decides = limit is None and case.limit.size and case.mode.keeps and not has_unit_bug(case.facts)
    if not case.mode.ends or size_decides:
        return None
    allowed = case.seconds + (block_seconds(Limits(seconds=case.seconds)) if case.mode.keeps else 0)
    if limit is not None and limit <= allowed:
        return None
    kept = f"samples stay {in_days(limit)}" if limit is not None else "no sample is ever deleted for its age"
    return Compliance(
        code=Code.TOO_LONG,
        level=Level.DRIFT,
        sentence=f"{kept}{_contradiction(case)}; the policy says {in_days(case.seconds)}",
        hint=_bug_hint(case) if has_unit_bug(case.facts) else _set_time(case),
    )


def _contradiction(case: _Case) -> str:
    """What the server's pages say instead, where they say something else."""
    stated = case.facts.stated.seconds
    if stated == case.limit.seconds or stated is None:
        return ""
    return f", although its runtime page says {in_days(stated)}"


def _size_only(case: _Case) -> Compliance | None:
    if not case.mode.keeps or case.limit.size is None or case.limit.seconds is not None:
        return None
    return _size_bound(
        case, f"only a size limits what is kept ({case.limit.size}), so no age is promised or ended"
    )


def _size_reached(case: _Case) -> Compliance | None:
    removed = case.facts.metrics.values.get("prometheus_tsdb_size_retentions_total", 0)
    oldest = case.facts.oldest
    if not case.mode.keeps or case.limit.size is None or case.reached or not removed or oldest is None:
        return None
    age = in_days(_age(case.facts, oldest))
    return _size_bound(case, f"the size limit of {case.limit.size} has removed blocks: {age} are left")


def _size_ahead(case: _Case) -> Compliance | None:
    """Whether the size limit will be reached first, at the rate of what is stored now."""
    values = case.facts.metrics.values
    room = values.get("prometheus_tsdb_retention_limit_bytes", 0)
    used = values.get("prometheus_tsdb_storage_blocks_bytes", 0)
    oldest = case.facts.oldest
    if not case.mode.keeps or room <= 0 or used <= 0 or oldest is None or case.reached:
        return None
    age = _age(case.facts, oldest)
    lasts = room / used * age
    if age < PROJECTION_DAYS * DAY or lasts >= case.seconds:
        return None
    return _size_bound(case, f"at today's rate the size limit of {case.limit.size} holds {in_days(lasts)}")


def _size_bound(case: _Case, sentence: str) -> Compliance:
    return Compliance(
        code=Code.SIZE_BOUND,
        level=Level.DRIFT,
        sentence=f"{sentence}; the policy says {in_days(case.seconds)}",
        hint=f"raise the size limit and the volume, and {_set_time(case)}",
    )


def _too_old(case: _Case) -> Compliance | None:
    """Samples that should have gone are there: the promise is broken, whatever the settings say."""
    oldest, newest = case.facts.oldest, case.facts.newest
    if not case.mode.ends or oldest is None:
        return None
    limit = Limits(seconds=max(case.seconds, case.limit.seconds or 0))
    allowed = (limit.seconds or 0) + block_seconds(limit) + LAG_SECONDS
    if _age(case.facts, oldest) <= allowed:
        return None
    silent = newest is not None and _age(case.facts, newest) > DAY
    stopped = f"; nothing was stored since {iso(newest)}, so nothing expires" if silent and newest else ""
    return Compliance(
        code=Code.TOO_LONG,
        level=Level.DRIFT,
        sentence=f"its oldest sample is of {iso(oldest)}, older than {in_days(allowed)}{stopped}",
        hint="look for failed compactions in its log, and for out-of-order or backfilled blocks",
    )


def _lost(case: _Case) -> Compliance | None:
    """A server that has run for longer than the period, and holds less: something removed samples.

    A time in the configuration file may have been raised at a reload, so such a server is merely young.
    """
    facts = case.facts
    if not case.mode.keeps or case.reached or facts.started is None or facts.oldest is None or facts.file:
        return None
    run = _age(facts, facts.started)
    if run <= case.seconds + block_seconds(case.limit):
        return None
    return Compliance(
        code=Code.TOO_SHORT,
        level=Level.DRIFT,
        sentence=f"it has run for {in_days(run)}, but its oldest sample is of {iso(facts.oldest)}",
        hint="look for a lost volume, deletions through the admin API, or a server that scraped nothing",
    )


def _young(case: _Case) -> Compliance | None:
    if not case.mode.keeps or case.reached:
        return None
    oldest = case.facts.oldest
    since = oldest or case.facts.now
    provable = since + timedelta(seconds=case.seconds)
    has = f"its oldest sample is of {iso(oldest)}" if oldest else "it holds no sample yet"
    return Compliance(
        code=Code.NOT_YET,
        level=Level.INFO if oldest and not case.limit.size else Level.WARNING,
        sentence=f"its limit fits the policy, but {has}{_and_size(case)}: provable from {iso(provable)}",
        hint=None,
        provable_from=provable,
    )


def _and_size(case: _Case) -> str:
    return f", and a size limit of {case.limit.size} may be reached first" if case.limit.size else ""


def _compliant(case: _Case) -> Compliance:
    limit, oldest = case.limit.seconds, case.facts.oldest
    kept = f"samples go after {in_days(limit)}" if limit is not None else "no sample is deleted for its age"
    there = f", the oldest is of {iso(oldest)}" if oldest else ""
    bug = has_unit_bug(case.facts)
    return Compliance(
        code=Code.COMPLIANT,
        level=Level.WARNING if bug else Level.INFO,
        sentence=f"{kept}{_contradiction(case)}{there};"
        f" the policy says {in_days(case.seconds)} ({case.mode})",
        hint=_bug_hint(case) if bug else None,
    )


def _agent() -> Compliance:
    return Compliance(
        code=Code.AGENT,
        level=Level.FAILED,
        sentence="it runs as an agent, which keeps no samples; retention is the remote store's",
        hint="name the servers that receive its remote write in prometheus.urls",
    )


def _unsupported(facts: Facts) -> Compliance:
    period = facts.metrics.retention_period
    says = f", whose retentionPeriod is {period}" if period else ""
    return Compliance(
        code=Code.UNSUPPORTED,
        level=Level.FAILED,
        sentence=f"{facts.product} answers here{says}: its retention cannot be checked this way",
        hint="name each Prometheus server itself in prometheus.urls, not the query layer in front of it",
    )


def _set_time(case: _Case) -> str:
    """How this server's version is told a time limit."""
    days = case.seconds // DAY
    if case.facts.version >= _UNIT_BUG[1]:
        return f"set storage.tsdb.retention.time to {days}d in its configuration file"
    return f"start it with --storage.tsdb.retention.time={days}d"


def _bug_hint(case: _Case) -> str:
    days = case.seconds // DAY
    return (
        "Prometheus 3.8 to 3.10 applies the time of its configuration file 1e6 times too long: "
        f"upgrade to 3.11, or use the flag --storage.tsdb.retention.time={days}d instead"
    )


def _age(facts: Facts, instant: datetime) -> float:
    return (facts.now - instant).total_seconds()


_Rule = Callable[[_Case], Compliance | None]
_RULES: tuple[_Rule, ...] = (
    _too_short,
    _too_long,
    _size_only,
    _size_reached,
    _size_ahead,
    _too_old,
    _lost,
    _young,
)
