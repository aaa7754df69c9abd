"""Reports in every state that must look right: each function returns one, the same each time."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from luxima_retention.core.about import About
from luxima_retention.core.clock import iso
from luxima_retention.core.errors import ExitCode
from luxima_retention.core.plan import Count, Identity, Pending, Request, Survey, cutoff_at, decide
from luxima_retention.core.results import Outcome, PolicyResult, RunResult, TargetResult
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.evidence.ledger.verify import Tree, leaf_hash
from luxima_retention.report.model import LedgerState, Report, Terms, build
from luxima_retention.run.matrix import about
from tests.configured import settings_of
from tests.ledgers import event

#: the period: November 2026 in Jakarta
START = datetime(2026, 10, 31, 17, tzinfo=UTC)
END = datetime(2026, 11, 30, 17, tzinfo=UTC)
NOW = datetime(2026, 11, 30, 19, 30, tzinfo=UTC)
DAY = timedelta(days=1)
TARGETS = {
    "application-logs": "s3://loki-chunks",
    "security-events": "public.security_events",
    "audit-logs": "core.audit_log",
    "metrics": "http://prometheus:9090",
    "log-files": "/var/log/luxima",
}
#: what a usual day destroys
A_DAY = {"application-logs": 18240, "security-events": 1312, "audit-logs": 48107, "log-files": 6}
#: 120 characters, as a tenant might be called
LONG = "s3://loki-chunks/tenant-" + "perusahaan-dengan-nama-yang-sangat-panjang-" * 2 + "di-jakarta"
KEY = "luxima-retention+4b1d7a52+AdR0oqfVS9wzXyiKp3yr1k9Zt5yHqT1p2E2ZLr3mUuQx"
SEED = settings_of()
ABOUT: dict[str, About] = {name: about(SEED.policy(name)) for name in SEED.policies}


def daily(after, until):
    """A run each day."""
    return [after + number * DAY for number in range(1, int((until - after) / DAY + 0.5))]


TERMS = Terms(slots=dict.fromkeys(ABOUT, daily), archived={"audit-logs": 365, "security-events": 365})


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class History:
    """A ledger that grows run by run."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()

    def say(self, kind: str, at: datetime, policy: str | None, **body: Any) -> None:
        self.ledger.append(event(kind, **body), policy=policy, at=at)

    def run(self, policy: str, at: datetime, destroyed: int, target: str = "", **more: Any) -> None:
        """A whole run: the intent, one batch, its archive, its end."""
        run_id, days = self._begun(policy, at, destroyed, target), SEED.policies[policy].retention_days
        cutoff = cutoff_at(days, at)
        first, last = iso(cutoff - DAY), iso(cutoff - timedelta(minutes=1))
        target = target or TARGETS[policy]
        manifest = None
        if destroyed:
            body = {"run_id": run_id, "target": target, "number": 1, "state": "done", "items": destroyed}
            self.say("batch", at, policy, **body, first=first, last=last)
        if destroyed and policy in {"audit-logs", "security-events"}:
            manifest = f"{policy}/{at:%Y/%m/%d}/{run_id}.manifest.json"
            named = {"run_id": run_id, "manifest": manifest, "manifest_sha256": digest(run_id)}
            sizes = {"parts": 1, "items": destroyed, "bytes": destroyed * 87, "root": digest(run_id + "r")}
            self.say("archive.verified", at, policy, **named, **sizes, keep_until=iso(at + 365 * DAY))
        body = {
            "run_id": run_id,
            "target": target,
            "retention_days": days,
            "cutoff": iso(cutoff),
            "outcome": "done" if destroyed else "nothing_to_do",
            "exit_code": 0,
            "planned": destroyed,
            "destroyed": destroyed,
            "condemned": 0,
            "batches": 1 if destroyed else 0,
            "bytes": destroyed * 412,
            "first": first if destroyed else None,
            "last": last if destroyed else None,
            "held": 0,
            "locked": 0,
            "undated": 0,
            "proof": {"left": 0, "unexplained": 0, "overdue": 0},
            "archive": manifest,
        }
        self.say("run.completed", at + timedelta(seconds=42), policy, **{**body, **more})

    def killed(self, policy: str, at: datetime, planned: int) -> str:
        """A run that announced a batch and was never heard of again."""
        run_id = self._begun(policy, at, planned, "")
        body = {"run_id": run_id, "target": TARGETS[policy]}
        self.say("batch", at, policy, **body, number=1, state="done", items=planned // 3)
        self.say("batch", at, policy, **body, number=2, state="intent", items=planned // 3)
        return run_id

    def refused(self, policy: str, at: datetime, items: int, target: str = "") -> None:
        guard = {"guard": "share", "passed": False, "observed": "61 %", "limit": "25 %", "override": None}
        cutoff = iso(cutoff_at(SEED.policies[policy].retention_days, at))
        body = {"target": target or TARGETS[policy], "items": items, "cutoff": cutoff, "guards": [guard]}
        self.say("run.refused", at, policy, **body)

    def checked(self, at: datetime) -> None:
        body = {"target": TARGETS["metrics"], "retention_days": 60, "store_clock": iso(at)}
        evidence = {"product": "prometheus", "version": "3.5.0", "flag.retention.time": "60d"}
        self.say("run.checked", at, "metrics", **body, cutoff=iso(cutoff_at(60, at)), evidence=evidence)

    def _begun(self, policy: str, at: datetime, items: int, target: str) -> str:
        run_id = "{}-{}-{}-{}-{}".format(*_sliced(digest(f"{policy} {target} {at}")))
        guards = [
            {"guard": "clock-skew", "passed": True, "observed": "1 s", "limit": "60 s", "override": None}
        ]
        if items:
            body = {"run_id": run_id, "target": target or TARGETS[policy], "items": items, "guards": guards}
            cutoff = iso(cutoff_at(SEED.policies[policy].retention_days, at))
            self.say("run.started", at, policy, **body, disposition=ABOUT[policy].disposition, cutoff=cutoff)
        return run_id

    def state(self) -> LedgerState:
        tree = Tree()
        for entry in self.ledger.all:
            tree.add(leaf_hash(entry.data))
        head = self.ledger.head()
        return LedgerState(
            size=tree.size,
            root=tree.root().hex(),
            head=head.hash if head else "",
            signed=tree.size,
            checkpoints=30,
            key=KEY,
            pinned=True,
            anchors=("s3://luxima-anchors/retention",),
        )


def _sliced(text: str) -> list[str]:
    return [text[:8], text[8:12], text[12:16], text[16:20], text[20:32]]


def ordinary(
    history: History, days: int = 30, start: datetime = START, but: frozenset[int] = frozenset()
) -> None:
    """So many days on which every policy ran; not on those of ``but``."""
    for day in range(days):
        for number, policy in enumerate(TARGETS):
            at = start + day * DAY + timedelta(hours=2, minutes=17 + 20 * number)
            if day in but or at >= NOW:
                continue
            if policy == "metrics":
                history.checked(at)
            else:
                wave = 100 + (day * 7919 + number * 104729) % 41 - 20
                weekly = policy == "log-files" and day % 7
                history.run(policy, at, 0 if weekly else A_DAY[policy] * wave // 100)


def store(
    policy: str, target: str = "", *, age: int | None = None, expired: int = 0, held: int = 0, **more: Any
) -> TargetResult:
    """What the survey found in one store; ``age`` of its oldest record in days."""
    days = SEED.policies[policy].retention_days
    age = days if age is None else age
    outcome = more.pop("outcome", Outcome.WOULD_DELETE if expired else Outcome.NOTHING_TO_DO)
    facts = Survey(
        identity=Identity(kind="memory", target=target or TARGETS[policy], fingerprint="f"),
        store_clock=NOW + timedelta(seconds=1),
        expired=expired,
        held=held,
        population=Count(value=9_120_441, exact=False),
        oldest=NOW - age * DAY - timedelta(hours=1),
        newest=NOW,
        evidence={"strategy": "index", "query_sha256": digest(policy)},
        pending=more.pop("pending", ()),
        locked=more.pop("locked", 0),
        undated=more.pop("undated", 0),
    )
    request = Request(policy=policy, retention_days=days, cutoff=cutoff_at(days, NOW), now=NOW)
    plan = decide(request, facts, cutoff_basis="program clock", disposition=ABOUT[policy].disposition)
    checks = policy == "metrics"
    return TargetResult(
        target=facts.identity.target,
        outcome=Outcome.COMPLIANT if checks and outcome is Outcome.NOTHING_TO_DO else outcome,
        survey=facts,
        plan=None if checks else plan,
        **more,
    )


def survey(*stores: tuple[str, TargetResult], unset: tuple[str, ...] = ()) -> RunResult:
    """A survey in which every store is in order but for those given, and those that are not set."""
    given: dict[str, list[TargetResult]] = {}
    for policy, target in stores:
        given.setdefault(policy, []).append(target)
    usual = {"application-logs": 29, "security-events": 90, "audit-logs": 180, "metrics": 58, "log-files": 23}
    policies = []
    for name in SEED.policies:
        nothing = PolicyResult(
            policy=name,
            retention_days=SEED.policies[name].retention_days,
            about=ABOUT[name],
            outcome=Outcome.NOT_CONFIGURED,
            sentence="no store is configured",
            hint="set policies.application-logs.buckets",
        )
        targets = tuple(given.get(name, [store(name, age=usual[name])]))
        policies.append(
            nothing
            if name in unset
            else replace(nothing, outcome=targets[0].outcome, targets=targets, hint=None)
        )
    return RunResult(now=NOW, dry_run=True, policies=tuple(policies))


def made(history: History, found: RunResult, late: RunResult | None = None, **more: Any) -> Report:
    start = more.pop("start", START)
    return build(
        history.ledger.entries(),
        found,
        start,
        END,
        more.pop("error", None),
        ledger=more.pop("state", None) or history.state(),
        late=late,
        terms=TERMS,
    )


def late(policy: str, expired: int, target: str = "") -> RunResult:
    """What was overdue."""
    facts = store(policy, target, age=200, expired=expired)
    result = PolicyResult(policy=policy, retention_days=1, outcome=Outcome.WOULD_DELETE, targets=(facts,))
    return RunResult(now=NOW, dry_run=True, policies=(result,))


def first_day() -> Report:
    """Nothing has run yet; the survey finds the backlog that the first run would be refused."""
    share = "share: 8120331 records of 9120441 would be deleted (observed 89 %, limit 25 %)"
    sentence = f"a real run would refuse: {share}"
    backlog = store(
        "audit-logs", age=1460, expired=8_120_331, outcome=Outcome.WOULD_REFUSE, sentence=sentence
    )
    history = History()
    history.say("key.created", START, None, key=KEY)
    return made(history, survey(("audit-logs", backlog)), late("audit-logs", 8_000_000))


def all_good() -> Report:
    """A month in order; today's records wait for tonight's run, and a hold keeps some."""
    history = History()
    held = {"hold_id": "H-2026-014", "dimensions": ["range", "tenant"], "sha256": digest("hold")}
    history.say("hold.placed", START - 20 * DAY, "audit-logs", **held, start=iso(START - 300 * DAY))
    ordinary(history, 12)
    restored = {"run_id": "r", "manifest": "audit-logs/2026/11/02/x.manifest.json", "parts": 1}
    sizes = {"items": 48107, "bytes": 4185309, "manifest_sha256": digest("x")}
    history.say("archive.restored", START + 12 * DAY, "audit-logs", **restored, **sizes)
    ordinary(history, 18, START + 12 * DAY)
    waiting = store("audit-logs", age=181, expired=48_107, held=312)
    pending = (Pending(items=18_240, due=NOW + timedelta(hours=20), reason="queries may still read them"),)
    condemned = store("application-logs", age=30, pending=pending)
    return made(
        history,
        survey(("audit-logs", waiting), ("application-logs", condemned)),
        late("audit-logs", 0),
    )


def with_exceptions() -> Report:
    """Runs that were refused, missed, killed, resumed and approved, and a store that could not be asked."""
    history = History()
    ordinary(history, 12)
    for day in range(12, 16):
        history.refused("security-events", START + day * DAY, 80_331)
    body = {"target": TARGETS["security-events"], "items": 80331, "population": 131000}
    history.say("approval", START + 16 * DAY, "security-events", **body, option="--max-fraction 0.7")
    history.run("security-events", START + 16 * DAY, 80_331)
    run_id = history.killed("audit-logs", START + 17 * DAY, 48_000)
    history.say("run.resumed", START + 18 * DAY, "audit-logs", run_id=run_id, target=TARGETS["audit-logs"])
    done = {"run_id": run_id, "outcome": "done", "exit_code": 0, "planned": 48000, "destroyed": 48000}
    history.say("run.completed", START + 18 * DAY, "audit-logs", **done, target=TARGETS["audit-logs"])
    body = {"missed": 3, "since": iso(START + 12 * DAY)}
    history.say("slot.missed", START + 19 * DAY, "log-files", **body)
    ordinary(history, 11, START + 19 * DAY)
    history.killed("application-logs", NOW - timedelta(hours=3), 17_000)
    silent = TargetResult(
        target="http://prometheus:9090",
        outcome=Outcome.FAILED,
        exit_code=ExitCode.INCOMPLETE,
        sentence="http://prometheus:9090 does not answer: connection refused",
    )
    return made(history, survey(("metrics", silent)))


def not_compliant() -> Report:
    """Overdue records, a run that could not prove itself, and runs that stopped days ago."""
    history = History()
    ordinary(history, 21)
    history.run("audit-logs", START + 21 * DAY, 40_000, outcome="verification_failed", exit_code=6)
    late_store = store("audit-logs", age=189, expired=412_870, held=312)
    return made(history, survey(("audit-logs", late_store)), late("audit-logs", 364_763))


def not_configured() -> Report:
    """Two policies without any store."""
    history = History()
    ordinary(history)
    return made(history, survey(unset=("application-logs", "metrics")))


def broken() -> Report:
    """A ledger that fails verification."""
    history = History()
    ordinary(history, 5)
    error = "the ledger is not what was written: entry 17 is not the one that entry 18 follows"
    return made(history, survey(), error=error, state=LedgerState(anchors=("s3://luxima-anchors/retention",)))


def many_runs() -> Report:
    """400 runs over 84 days, some of them missed and refused."""
    history = History()
    ordinary(history, 84, END - 84 * DAY, frozenset({20, 21, 22, 50}))
    for day in (30, 31):
        history.refused("audit-logs", END - day * DAY, 80_331)
    body = {"missed": 3, "since": iso(END - 61 * DAY)}
    history.say("slot.missed", END - 57 * DAY, "audit-logs", **body)
    return made(history, survey(), start=END - 84 * DAY)


def long_names() -> Report:
    """A target of 120 characters, as a tenant may be called, with markup in another."""
    history = History()
    ordinary(history, 3, END - 3 * DAY)
    history.run("application-logs", END - DAY, 7, target=LONG)
    history.refused("audit-logs", END - DAY, 5, target='core."<b>=1+1</b>"')
    odd = store("audit-logs", 'core."<b>=1+1</b>"', age=179)
    wide = store("application-logs", LONG, age=31, expired=12)
    return made(history, survey(("application-logs", wide), ("audit-logs", odd)))


def ten_tables() -> Report:
    """A policy of ten tables."""
    history = History()
    ordinary(history, 30)
    stores = []
    for number in range(10):
        name = f"tenant_{number:02}.security_events"
        history.run("security-events", END - DAY, 100 + number, target=name)
        kept = {"locked": 3, "undated": 7} if number == 4 else {}
        stores.append(("security-events", store("security-events", name, age=80 + number, **kept)))
    return made(history, survey(*stores))


STATES = {
    state.__name__: state
    for state in (
        first_day,
        all_good,
        with_exceptions,
        not_compliant,
        not_configured,
        broken,
        many_runs,
        long_names,
        ten_tables,
    )
}


@cache
def state_of(name: str) -> Report:
    """The report of that name, made once: it is frozen."""
    return STATES[name]()
