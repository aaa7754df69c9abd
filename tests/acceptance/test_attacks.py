"""Manipulations by everybody who has rights, each with what notices it and when.

The table in ``docs/evidence.md`` is made from ``ATTACKS``: ``python -m tests.acceptance.test_attacks``. A row
whose ``notices`` is :data:`GAP` is tried as well: what is to be noticed later passes today, and whoever
closes the gap has to change the row.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from luxima_retention import cli
from luxima_retention.core.clock import system_clock
from luxima_retention.evidence.events import Event, HoldPlaced, HoldReleased, SweepCompleted
from luxima_retention.evidence.ledger import entry
from luxima_retention.evidence.ledger.checkpoint import Anchor, Signer, seal
from luxima_retention.evidence.ledger.file import FileLedger
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.evidence.ledger.postgres import PostgresLedger
from luxima_retention.io.objects import DirectoryPlace
from tests.acceptance.test_evidence_bundle import SIGNER, change, python, resum
from tests.ledgers import event
from tests.servers.command import ROOT, ROWS, TABLE
from tests.servers.postgres import Database, PostgresServer
from tests.servers.process import wait_until

EVIDENCE = ROOT / "docs/evidence.md"
MARKS = ("<!-- attacks: made by `python -m tests.acceptance.test_attacks` -->\n", "<!-- end of attacks -->\n")
GAP = "**nothing**"

JOB = "job's role"
OWNER = "table owner"
SUPERUSER = "superuser"
KEY = "thief of the key"
ARCHIVE = "holder of the archive"
BUNDLE = "editor of the bundle"

AT_ONCE = "at once: PostgreSQL refuses it"
NEXT_RUN = "next run"
VERIFY = "`ledger verify`"
ARCHIVE_VERIFY = "`archive verify`"
VERIFIER = "`verify.py` of the bundle"

EXPIRED = "created_at < date_trunc('day', now(), 'UTC') - interval '180 days'"
HELD = f"tenant = 't1' AND {EXPIRED}"
NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
RUN = ("run", "audit-logs")
LEDGER_VERIFY = ("ledger", "verify")


@dataclass(kw_only=True)
class World:
    """An installation with a database, a hold on tenant t1, a key, an anchor, an archive."""

    database: Database
    home: Path
    variables: dict[str, str] = field(default_factory=dict)
    job: str = ""
    key: str = ""

    def build(self) -> World:
        with self.database.connect() as owner:
            owner.execute(TABLE.encode())
            owner.execute(ROWS.encode(), [4800])
        self.database.login("job")
        for name in ("anchor", "archive"):
            (self.home / name).mkdir(parents=True)
        self.configure()
        self.must("migrate", LUXIMA_DATABASE__OWNER_DSN=self.database.dsn)
        self.key = self.must("ledger", "keygen").split()[-1]
        self.must(
            "hold", "add", "--policy", "audit-logs", "--tenant", "t1", "--reason", "case", "--id", "H-1"
        )
        return self

    def copy(self, database: Database, home: Path) -> World:
        """Another one, of the same roles, with its first run: after that a copy is another store."""
        database.prepared(World, lambda _: None)
        shutil.copytree(self.home, home, dirs_exist_ok=True)
        world = World(database=database, home=home, key=self.key)
        world.configure()
        world.must("run", "audit-logs")
        return world

    def configure(self) -> None:
        self.job = self.database.dsn_of(self.database.role("job"))
        self.variables = {
            "LUXIMA_DATABASE__DSN": self.job,
            "LUXIMA_DATABASE__JOB_ROLE": self.database.role("job"),
            "LUXIMA_AUDIT_LOG__TENANT_COLUMN": "tenant",
            "LUXIMA_PACE__DUTY_CYCLE": "1",
            "LUXIMA_POLICIES__AUDIT_LOGS__MAX_FRACTION": "0.9",
            "LUXIMA_LEDGER__KEY_FILE": str(self.home / "key.pem"),
            "LUXIMA_LEDGER__ANCHORS": json.dumps([f"file://{self.home}/anchor"]),
            "LUXIMA_ARCHIVE__URL": f"file://{self.home}/archive",
            "LUXIMA_ARCHIVE__RETENTION_DAYS": "365",
        }

    def call(self, *arguments: str, **more: str) -> tuple[int, str]:
        """The command in this process: exit code, and everything that it said."""
        said = io.StringIO()
        with (
            mock.patch.dict(os.environ, {**self.variables, **more}),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            code = cli._status(list(arguments))
        return int(code), said.getvalue()

    def must(self, *arguments: str, **more: str) -> str:
        code, said = self.call(*arguments, **more)
        assert code == 0, said
        return said

    def owner(self, *statements: str) -> None:
        self._execute(self.database.dsn, statements)

    def superuser(self, *statements: str) -> None:
        self._execute(self.database.admin_dsn, statements)

    def as_job(self, *statements: str) -> None:
        self._execute(self.job, statements)

    def append(self, *events: Event) -> None:
        """Write to the ledger with the job's rights, as anybody who has them can."""
        ledger = PostgresLedger(self.job)
        try:
            for said in events:
                ledger.append(said, policy="audit-logs", at=system_clock())
        finally:
            ledger.close()

    def around(self, table: str, *statements: str) -> None:
        """As the owner, with the table's triggers off meanwhile, and put back as they were."""
        names = self.database.execute(
            "SELECT tgname, CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END"
            " FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal",
            f"retention.{table}",
        )
        back = ", ".join(f"{how} TRIGGER {name}" for name, how in names)
        off = f"ALTER TABLE retention.{table} DISABLE TRIGGER USER"
        self.owner(off, *statements, f"ALTER TABLE retention.{table} {back}")

    def _execute(self, dsn: str, statements: tuple[str, ...]) -> None:
        """In one transaction; its session has ended afterwards, and the server has counted what it did."""
        with contextlib.closing(psycopg.connect(dsn)) as connection:
            pid = connection.info.backend_pid
            for statement in statements:
                connection.execute(statement.encode())
            connection.commit()
        there = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
        assert wait_until(lambda: not self.database.execute(there, pid))


@dataclass(kw_only=True)
class Files:
    """An installation whose ledger is a file, with a key that is pinned, an anchor and a hold."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def build(self) -> Files:
        (self.home / "anchor").mkdir(parents=True)
        self.variables = {
            "LUXIMA_LEDGER__PATH": str(self.home / "ledger.jsonl"),
            "LUXIMA_LEDGER__ORIGIN": SIGNER.key.name,
            "LUXIMA_LEDGER__PUBLIC_KEY": str(SIGNER.key),
            "LUXIMA_LEDGER__ANCHORS": json.dumps([f"file://{self.home}/anchor"]),
        }
        code, said = self.call("hold", "add", "--policy", "log-files", "--reason", "case", "--id", "H-1")
        assert code == 0, said
        write(self.ledger, 10)
        seal(self.ledger, [SIGNER], [self.anchor], NOW)
        return self

    call = World.call

    @property
    def ledger(self) -> FileLedger:
        return FileLedger(self.home / "ledger.jsonl")

    @property
    def anchor(self) -> Anchor:
        return Anchor(DirectoryPlace(self.home / "anchor"), SIGNER.key.name)

    def forge(self, count: int, *, anchored: bool = False, signer: Signer = SIGNER) -> None:
        """Another ledger in place of this one, signed; with ``anchored`` another anchor too."""
        for path in self.home.glob("ledger.jsonl*"):
            path.unlink()
        if anchored:
            shutil.rmtree(self.home / "anchor")
            (self.home / "anchor").mkdir()
        write(self.ledger, count, items=0)
        seal(self.ledger, [signer], [self.anchor] if anchored else [], NOW)

    def register(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit the file of holds."""
        path = self.home / "ledger.jsonl.holds.json"
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))


def write(ledger: FileLedger | MemoryLedger, count: int, items: int = 1, first: int = 0) -> None:
    for number in range(first, first + count):
        ledger.append(event("batch", number=number, items=items), policy="audit-logs", at=NOW)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One manipulation.

    Attributes:
        role: who does it.
        what: he does, for the table.
        notices: what notices it, or :data:`GAP` and why.
        when: it is noticed.
        do: it.
        call: the command that notices it; empty where ``do`` itself is refused.
        code: how that ends.
        says: part of what it says.
        world: where: ``shared`` for what changes nothing, ``own``, ``files``, ``archive`` or ``bundle``.
    """

    role: str
    what: str
    notices: str
    when: str
    do: Callable[[Any], None]
    call: tuple[str, ...] = ()
    code: int = 0
    says: str = ""
    world: str = "own"

    def __str__(self) -> str:
        return f"{self.role}: {self.what}".replace("`", "")


# --- what is done ---------------------------------------------------------------------------------------


def sql(role: str, *statements: str) -> Callable[[World], None]:
    return lambda world: {JOB: world.as_job, OWNER: world.owner, SUPERUSER: world.superuser}[role](
        *statements
    )


def around(table: str, *statements: str) -> Callable[[World], None]:
    return lambda world: world.around(table, *statements)


def again(world: World) -> None:
    """Rows that expire meanwhile, so that the next run has something to do."""
    world.owner(
        "INSERT INTO core.audit_log (created_at, tenant)"
        " SELECT now() - interval '190 days', 't2' FROM generate_series(1, 30)"
    )


def greedy(world: World) -> None:
    """A batch function that forgets holds."""
    found = world.database.execute(
        "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'prune_core_audit_log'"
    )
    text = found[0][0].replace("retention.rules(", "retention.rules( /* none */ ")
    world.superuser(text)


def own_digest(world: World) -> None:
    """As if ``migrate`` had made the changed function."""
    from luxima_retention.run.functions import _catalogue

    greedy(world)
    with psycopg.connect(world.database.admin_dsn) as connection:
        digest = _catalogue(connection, "core_audit_log")
        connection.execute("UPDATE retention.target SET catalogue = %s", [digest])


def hidden_hold(world: World) -> None:
    world.around("ledger", "UPDATE retention.ledger SET kind = 'batch' WHERE kind = 'hold.placed'")
    world.around("hold", "DELETE FROM retention.hold")


def truncated(world: World) -> None:
    world.owner(
        "CREATE TABLE core.kept AS SELECT * FROM core.audit_log WHERE id > 30",
        "TRUNCATE core.audit_log",
        "INSERT INTO core.audit_log SELECT * FROM core.kept",
        "DROP TABLE core.kept",
    )


def rewritten(world: World) -> None:
    """A chain of his own that fits, from the fourth entry on, and no checkpoint."""
    forged = MemoryLedger()
    with psycopg.connect(world.database.dsn) as connection:
        rows = connection.execute("SELECT entry FROM retention.ledger ORDER BY seq").fetchall()
    for (data,) in rows:
        found = entry.read(bytes(data))
        said = found.event if found.seq < 4 else SweepCompleted()
        forged.append(said, policy=found.policy, at=found.at)
    world.around("checkpoint", "DELETE FROM retention.checkpoint")
    world.around("ledger", "DELETE FROM retention.ledger", *(_insert(made) for made in forged.all))


def _insert(made: entry.Entry) -> str:
    policy = f"'{made.policy}'" if made.policy else "NULL"
    return (
        "INSERT INTO retention.ledger (seq, entry, hash, previous, kind, policy, at) VALUES"
        f" ({made.seq}, '\\x{made.data.hex()}', '\\x{made.hash}', '\\x{made.previous}',"
        f" '{made.kind}', {policy}, '{made.at.isoformat()}')"
    )


def forgotten(world: World) -> None:
    """The same, with the anchors emptied as well."""
    rewritten(world)
    for path in (world.home / "anchor").rglob("*"):
        if path.is_file():
            path.unlink()


def part(change: Callable[[Path], None]) -> Callable[[World], None]:
    def do(world: World) -> None:
        change(min((world.home / "archive").rglob("*.zst")))

    return do


def manifest(change: Callable[[Path], None]) -> Callable[[World], None]:
    def do(world: World) -> None:
        change(min(path for path in (world.home / "archive/manifests").rglob("*") if path.is_file()))

    return do


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def fewer(path: Path) -> None:
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"items":', '"items":1'))


def emptied(world: World) -> None:
    for path in (world.home / "archive").rglob("*"):
        if path.is_file():
            path.unlink()


def edited(what: str) -> Callable[[Path], None]:
    def do(bundle: Path) -> None:
        change(bundle, what)
        resum(bundle)

    return do


def other_key(bundle: Path) -> None:
    (bundle / "key.txt").write_text(f"{STRANGER.key}\n")
    resum(bundle)


def bent(bundle: Path) -> None:
    path = min((bundle / "checkpoints").iterdir())
    path.write_text(path.read_text().replace("\n20\n", "\n19\n"))
    resum(bundle)


def unsigned(bundle: Path) -> None:
    for path in (bundle / "checkpoints").iterdir():
        path.unlink()
    resum(bundle)


def lengthened(bundle: Path) -> None:
    """An entry of his own after the last checkpoint."""
    path = bundle / "ledger.jsonl"
    forged = MemoryLedger()
    forged.all = [entry.read(line) for line in path.read_bytes().splitlines()]
    forged.append(event("batch", number=99, items=0), policy=None, at=NOW)
    path.write_bytes(b"".join(item.data + b"\n" for item in forged.all))
    resum(bundle)


def shortened(bundle: Path) -> None:
    """The tail of the ledger and the checkpoints that cover it."""
    path = bundle / "ledger.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:20]))
    max((bundle / "checkpoints").iterdir()).unlink()
    resum(bundle)


def edit(name: str, changed: Callable[[str], str]) -> Callable[[Path], None]:
    """Change one file of a report's bundle, and the sums."""

    def do(bundle: Path) -> None:
        (path,) = bundle.rglob(name)
        before = path.read_text()
        path.write_text(changed(before))
        assert path.read_text() != before
        resum(bundle)

    return do


def without_holds(text: str) -> str:
    return json.dumps({**json.loads(text), "holds": []})


STRANGER = Signer(SIGNER.key.name, Ed25519PrivateKey.from_private_bytes(b"\2" * 32))
PRUNE = "SELECT count(*) FROM retention.prune_core_audit_log(gen_random_uuid(), {}, {}, 100, '[]')"
#: the cutoff of a run of today
TODAY = "date_trunc('day', now(), 'UTC') - interval '180 days'"


# --- the list -------------------------------------------------------------------------------------------


def refused(what: str, says: str, *statements: str, role: str = JOB) -> Attack:
    """What PostgreSQL refuses as it is done."""
    notices = "rights" if says == "permission denied" else "triggers and functions of schema `retention`"
    return Attack(
        role=role,
        what=what,
        notices=notices,
        when=AT_ONCE,
        do=sql(role, *statements),
        says=says,
        world="shared",
    )


def forged(what: str, *said: Event) -> Attack:
    """An entry that the job's role writes, and that the register does not bear out."""
    return Attack(
        role=JOB,
        what=what,
        notices="trigger `entry_has_hold`",
        when=AT_ONCE,
        do=lambda world: world.append(*said),
        says="the register does not",
        world="shared",
    )


def by_holds(
    what: str, says: str, *statements: str, role: str = OWNER, do: Callable[[World], None] | None = None
) -> Attack:
    """Changes of the register that go past its triggers."""
    return Attack(
        role=role,
        what=what,
        notices="guard `holds`: the ledger says otherwise",
        when=f"{NEXT_RUN}, `doctor`, {VERIFY}",
        do=do or around("hold", *statements),
        call=RUN,
        code=6,
        says=says,
    )


def seen(role: str, what: str, notices: str, do: Callable[[World], None], says: str, code: int) -> Attack:
    """What the next run notices."""
    return Attack(role=role, what=what, notices=notices, when=NEXT_RUN, do=do, call=RUN, code=code, says=says)


def verified(
    role: str, what: str, notices: str, do: Callable[[Any], None], says: str, world: str = "own"
) -> Attack:
    """What the verification of the ledger notices."""
    return Attack(
        role=role,
        what=what,
        notices=notices,
        when=VERIFY,
        do=do,
        call=LEDGER_VERIFY,
        code=6,
        says=says,
        world=world,
    )


def archived(what: str, notices: str, do: Callable[[World], None], says: str) -> Attack:
    return Attack(
        role=ARCHIVE,
        what=what,
        notices=notices,
        when=ARCHIVE_VERIFY,
        do=do,
        call=("archive", "verify"),
        code=6,
        says=says,
        world="archive",
    )


def bundled(
    what: str, says: str, do: Callable[[Path], None], notices: str = "the hashes of the chain"
) -> Attack:
    return Attack(
        role=BUNDLE, what=what, notices=notices, when=VERIFIER, do=do, code=6, says=says, world="bundle"
    )


def reported(what: str, notices: str, do: Callable[[Path], None]) -> Attack:
    return Attack(
        role=BUNDLE,
        what=what,
        notices=notices,
        when=VERIFIER,
        do=do,
        code=6,
        says="NOT VERIFIED",
        world="report",
    )


def gap(
    role: str, what: str, why: str, do: Callable[[Any], None], call: tuple[str, ...], world: str = "own"
) -> Attack:
    return Attack(role=role, what=what, notices=f"{GAP}: {why}", when="-", do=do, call=call, world=world)


ATTACKS = (
    refused("deletes rows by a statement of its own", "permission denied", "DELETE FROM core.audit_log"),
    refused("empties the table", "permission denied", "TRUNCATE core.audit_log"),
    refused(
        "makes records older", "permission denied", "UPDATE core.audit_log SET created_at = '2000-01-01'"
    ),
    refused("deletes a hold", "permission denied", "DELETE FROM retention.hold"),
    refused(
        "releases a hold by `UPDATE`", "permission denied", "UPDATE retention.hold SET released_at = now()"
    ),
    refused(
        "releases a hold without an entry",
        "no entry hold.released",
        "SELECT retention.release_hold('H-1', now(), 'x', 'x')",
    ),
    refused(
        "places a hold without an entry",
        "no entry hold.placed",
        "INSERT INTO retention.hold (hold_id, reason, placed_by, placed_at) VALUES ('H-2', 'x', 'x', now())",
    ),
    forged("writes `hold.released` of a hold that is in force", HoldReleased(hold_id="H-1")),
    forged("writes `hold.released` before the hold is placed", HoldReleased(hold_id="H-9")),
    forged("writes a second `hold.placed` with other terms", HoldPlaced(hold_id="H-1")),
    refused("deletes entries", "permission denied", "DELETE FROM retention.ledger"),
    refused("changes entries", "permission denied", "UPDATE retention.ledger SET policy = 'x'"),
    refused("deletes checkpoints", "permission denied", "DELETE FROM retention.checkpoint"),
    refused(
        "writes an entry that does not follow the last one",
        "does not follow",
        "INSERT INTO retention.ledger (seq, entry, hash, previous) VALUES (9999, '{}', '', '')",
    ),
    refused("lowers a floor", "permission denied", "UPDATE retention.target SET floor_days = 1"),
    refused(
        "calls the batch function with today as cutoff", "younger than the floor", PRUNE.format(1, "now()")
    ),
    refused(
        "calls the batch function without a lease",
        "is not that of the lease",
        PRUNE.format(0, TODAY),
    ),
    refused("calls the batch function and writes no entry", "have no entry", PRUNE.format(1, TODAY)),
    refused(
        "replaces a function",
        "permission denied",
        "CREATE OR REPLACE FUNCTION retention.appended(p_kind text, p_body jsonb) RETURNS boolean"
        " LANGUAGE sql AS 'SELECT true'",
    ),
    gap(
        JOB,
        "writes a valid entry about a run that never was",
        "whoever may write the ledger may write untrue things; entries are final, not true by themselves",
        lambda world: world.append(event("run.completed", run_id="none", target="core.audit_log")),
        LEDGER_VERIFY,
    ),
    by_holds("removes a hold", "it lacks hold H-1", "DELETE FROM retention.hold"),
    by_holds(
        "lets a hold name another tenant",
        "otherwise than it was placed",
        "UPDATE retention.hold SET tenant = 't2'",
    ),
    by_holds(
        "lets a hold name another policy",
        "otherwise than it was placed",
        "UPDATE retention.hold SET policy = 'security-events'",
    ),
    by_holds(
        "gives a hold a range that holds nothing",
        "otherwise than it was placed",
        "UPDATE retention.hold SET start_at = '1990-01-01', end_at = '1990-01-02'",
    ),
    by_holds(
        "calls a hold released",
        "as released",
        "UPDATE retention.hold SET released_at = now(), released_by = 'x', release_reason = 'x'",
    ),
    by_holds(
        "inserts a hold that nobody placed",
        "which the ledger does not know",
        "INSERT INTO retention.hold (hold_id, reason, placed_by, placed_at) VALUES ('H-2', 'x', 'x', now())",
    ),
    seen(
        OWNER,
        "removes a hold, and hides its entry by its column",
        "guard `holds`: entries are read by their bytes",
        hidden_hold,
        "columns and its bytes disagree",
        6,
    ),
    seen(
        OWNER,
        "deletes held rows by hand",
        "guard `held-records`: fewer than at the run before",
        sql(OWNER, f"DELETE FROM core.audit_log WHERE {HELD}"),
        "held records are gone",
        6,
    ),
    seen(
        OWNER,
        "gives held rows another tenant",
        "guard `held-records`: fewer than at the run before",
        sql(OWNER, f"UPDATE core.audit_log SET tenant = 't2' WHERE {HELD}"),
        "held records are gone or no longer held",
        6,
    ),
    seen(
        OWNER,
        "makes held rows younger",
        "guard `held-records`: fewer than at the run before",
        sql(OWNER, f"UPDATE core.audit_log SET created_at = now() WHERE {HELD}"),
        "held records are gone or no longer held",
        6,
    ),
    seen(
        OWNER,
        "deletes young rows by hand",
        "the server's count of deletions: report exception `deleted_externally`",
        sql(OWNER, "DELETE FROM core.audit_log WHERE id <= 40"),
        "about 40 records",
        0,
    ),
    seen(
        OWNER,
        "empties the table with `TRUNCATE` and puts most of it back",
        "the number of records and the table's file: `deleted_externally`, `deletions_unknown`",
        truncated,
        "TRUNCATE or rewritten",
        0,
    ),
    seen(
        OWNER,
        "switches a trigger of the register off",
        "digest of the catalogue, in the database and in the ledger",
        sql(OWNER, "ALTER TABLE retention.hold DISABLE TRIGGER hold_has_entry"),
        "not as migrate left them",
        4,
    ),
    seen(
        OWNER,
        "grants the job's role more than it has",
        "digest of the catalogue, in the database and in the ledger",
        lambda world: world.owner(f"GRANT DELETE ON retention.hold TO {world.database.role('job')}"),
        "not as migrate left them",
        4,
    ),
    verified(
        OWNER,
        "changes an entry in place",
        "the hash chain",
        around(
            "ledger",
            "UPDATE retention.ledger SET entry = convert_to(replace(convert_from(entry, 'UTF8'),"
            " '\"items\":', '\"items\":1'), 'UTF8') WHERE kind = 'batch'",
        ),
        "was changed",
    ),
    verified(
        OWNER,
        "cuts the newest entries off",
        "checkpoints and anchors cover more",
        around("ledger", "DELETE FROM retention.ledger WHERE seq > 5"),
        "missing",
    ),
    verified(
        OWNER,
        "writes the ledger anew, and empties the table of checkpoints",
        "the anchors",
        rewritten,
        "with another root",
    ),
    gap(
        OWNER,
        "changes what stands in a record, or the date of one that no hold keeps",
        "the program proves what it destroys and keeps, not what records say",
        sql(OWNER, "UPDATE core.audit_log SET detail = '{}' WHERE id <= 40"),
        RUN,
    ),
    by_holds(
        "deletes a hold with `session_replication_role = replica`",
        "it lacks hold H-1",
        do=sql(SUPERUSER, "SET session_replication_role = replica", "DELETE FROM retention.hold"),
        role=SUPERUSER,
    ),
    refused(
        "releases a hold with `session_replication_role = replica`",
        "has no entry hold.released",
        "SET session_replication_role = replica",
        "UPDATE retention.hold SET released_at = now(), released_by = 'x'",
        role=SUPERUSER,
    ),
    refused(
        "deletes entries with `session_replication_role = replica`",
        "never changed or removed",
        "SET session_replication_role = replica",
        "DELETE FROM retention.ledger",
        role=SUPERUSER,
    ),
    seen(
        SUPERUSER,
        "replaces the text of the batch function",
        "digest of the catalogue",
        greedy,
        "not as migrate left them",
        4,
    ),
    seen(
        SUPERUSER,
        "replaces it, and writes down the digest as `migrate` does",
        "the digest in the ledger",
        own_digest,
        "the ledger knows other functions",
        4,
    ),
    seen(
        SUPERUSER,
        "deletes rows and resets the server's counters",
        "the reset itself: `deletions_unknown`; the number of records tells how many at least",
        lambda world: world.superuser("DELETE FROM core.audit_log WHERE id <= 40", "SELECT pg_stat_reset()"),
        "counters were reset",
        0,
    ),
    seen(
        SUPERUSER,
        "deletes rows and inserts as many others",
        "the server's count of deletions: `deleted_externally`",
        lambda world: world.superuser(
            "DELETE FROM core.audit_log WHERE id <= 40",
            "INSERT INTO core.audit_log (created_at, tenant) SELECT now(), 't2' FROM generate_series(1, 40)",
        ),
        "about 40 records",
        0,
    ),
    seen(
        SUPERUSER,
        "writes the ledger anew, and empties checkpoints and anchors",
        "a run with a key never signs the first checkpoint itself",
        forgotten,
        "checkpoint",
        6,
    ),
    verified(
        KEY,
        "writes another ledger and signs it",
        "the anchors",
        lambda files: files.forge(30),
        "another root",
        world="files",
    ),
    verified(
        KEY,
        "writes a shorter one and signs it",
        "the anchors",
        lambda files: files.forge(5),
        "missing",
        world="files",
    ),
    verified(
        KEY,
        "has another key only, and signs with it",
        "the pinned key",
        lambda files: files.forge(30, anchored=True, signer=STRANGER),
        "",
        world="files",
    ),
    gap(
        KEY,
        "signs another ledger, and writes the anchors too",
        "only a witness, or a checkpoint that somebody else kept, knows better",
        lambda files: files.forge(30, anchored=True),
        LEDGER_VERIFY,
        world="files",
    ),
    verified(
        SUPERUSER,
        "edits the hold's words in the file of holds",
        "the hold's digest in the ledger",
        lambda files: files.register(lambda values: values["holds"][0]["hold"].update(policy="metrics")),
        "otherwise than it was placed",
        world="files",
    ),
    verified(
        SUPERUSER,
        "removes the hold from the file of holds",
        "the ledger",
        lambda files: files.register(lambda values: values["holds"].clear()),
        "it lacks hold H-1",
        world="files",
    ),
    verified(
        SUPERUSER,
        "calls the hold released in the file of holds",
        "the ledger",
        lambda files: files.register(
            lambda values: values["holds"][0].update(
                released={"at": "2026-11-23T00:00:00Z", "by": "x", "reason": "x"}
            )
        ),
        "as released",
        world="files",
    ),
    verified(
        SUPERUSER,
        "writes `hold.released` into the file ledger and leaves the file of holds",
        "the file of holds: the release has to be repeated",
        lambda files: files.ledger.append(HoldReleased(hold_id="H-1"), policy="log-files", at=NOW),
        "as in force",
        world="files",
    ),
    archived("changes a byte of a part", "the part's SHA-256 in the manifest", part(flip), ""),
    archived("removes a part", "the manifest", part(lambda path: path.unlink()), ""),
    archived("changes the figures of a manifest", "its digest in the ledger", manifest(fewer), ""),
    archived(
        "removes the manifest of a run",
        "the ledger names it",
        manifest(lambda path: path.unlink()),
        "is missing from",
    ),
    archived(
        "empties the whole archive", "the ledger names what was archived", emptied, "archived runs are not"
    ),
    bundled("changes an entry", "does not follow", edited("flipped")),
    bundled("leaves an entry out", "stands where entry 7 should be", edited("dropped")),
    bundled("doubles an entry", "stands where entry 8 should be", edited("doubled")),
    bundled("exchanges two entries", "stands where entry 7 should be", edited("swapped")),
    bundled("cuts the tail of the ledger off", "are missing", edited("cut"), "the checkpoints cover more"),
    bundled("names another key", "", other_key, "the key that the reader was given by other means"),
    bundled("changes a checkpoint", "", bent, "its signature"),
    gap(
        BUNDLE,
        "cuts the tail off with the checkpoints that cover it",
        "a shorter ledger was once a whole one; a kept or witnessed checkpoint knows better",
        shortened,
        (),
        world="bundle",
    ),
    bundled(
        "writes entries after the last checkpoint",
        "they are not signed",
        lengthened,
        "the last signature",
    ),
    reported(
        "changes how many records the report says were destroyed",
        "the entries, from which page one is computed again",
        edit("report.json", lambda text: re.sub(r'"destroyed": ?[1-9]\d*', '"destroyed": 7', text)),
    ),
    reported(
        "changes the page that people read",
        "the signature over `SHA256SUMS`",
        edit("report.html", lambda text: text.replace("core.audit_log", "core.other_log")),
    ),
    reported("leaves the holds out of the report", "the entries", edit("report.json", without_holds)),
)


# --- the tests ------------------------------------------------------------------------------------------


def of(*worlds: str) -> Any:
    found = [attack for attack in ATTACKS if attack.world in worlds]
    return pytest.mark.parametrize("attack", found, ids=str)


@pytest.fixture(scope="module")
def first(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Built once; the others are copies."""
    built: list[World] = []

    def build(original: Database) -> None:
        built.append(World(database=original, home=tmp_path_factory.mktemp("first")).build())

    postgres.original(World, build)
    return built[0]


@pytest.fixture(scope="module")
def shared(
    first: World, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with postgres.database() as database:
        world = first.copy(database, tmp_path_factory.mktemp("shared"))
        again(world)
        yield world


@of("shared")
def test_what_is_refused_as_it_is_done(shared, attack):
    with pytest.raises(Exception, match=attack.says):
        attack.do(shared)


@of("own")
def test_what_changes_the_database(first, database, tmp_path, attack):
    world = first.copy(database, tmp_path / "home")
    before = database.execute(f"SELECT count(*) FROM core.audit_log WHERE {HELD}")
    assert before[0][0] > 0
    attack.do(world)
    again(world)
    kept = database.execute(f"SELECT count(*) FROM core.audit_log WHERE {HELD}")
    code, said = world.call(*attack.call)
    assert (code, attack.says in said) == (attack.code, True), said
    for call in (("doctor",), LEDGER_VERIFY) if "doctor" in attack.when else ():
        code, said = world.call(*call)
        assert (code, attack.says in said) == (6, True), said
    assert database.execute(f"SELECT count(*) FROM core.audit_log WHERE {HELD}") == kept


@of("archive")
def test_what_changes_the_archive(shared, tmp_path, attack):
    home = tmp_path / "home"
    shutil.copytree(shared.home, home)
    world = World(
        database=shared.database,
        home=home,
        variables={**shared.variables, "LUXIMA_ARCHIVE__URL": f"file://{home}/archive"},
    )
    world.must("archive", "verify")
    attack.do(world)
    code, said = world.call(*attack.call)
    assert (code, attack.says in said) == (attack.code, True), said


@of("files")
def test_what_changes_a_ledger_in_a_file(tmp_path, attack):
    files = Files(home=tmp_path / "home").build()
    code, said = files.call(*LEDGER_VERIFY)
    assert code == 0, said
    attack.do(files)
    code, said = files.call(*attack.call)
    assert (code, attack.says in said) == (attack.code, True), said


@of("bundle")
def test_what_changes_a_bundle(tmp_path, attack):
    from luxima_retention.evidence.ledger.bundle import export

    ledger = MemoryLedger()
    for first in (0, 20):
        write(ledger, 20, first=first)
        seal(ledger, [SIGNER], (), NOW)
    bundle = tmp_path / "bundle"
    export(ledger, (), SIGNER.key, bundle)
    assert python(bundle, "--key", str(SIGNER.key)).returncode == 0
    attack.do(bundle)
    given = () if attack.do is other_key else ("--key", str(SIGNER.key))
    done = python(bundle, *given)
    said = done.stdout + done.stderr
    assert (done.returncode, attack.says in said) == (attack.code, True), said


@pytest.fixture(scope="module")
def report(shared: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a report, as it is given to an auditor."""
    home = tmp_path_factory.mktemp("report")
    shared.must("report", "--from", "2026-01-01", "--to", "2999-01-01", "-o", str(home / "report.zip"))
    shutil.unpack_archive(home / "report.zip", home / "bundle")
    (sums,) = (home / "bundle").rglob("SHA256SUMS")
    return sums.parent


@of("report")
def test_what_changes_the_bundle_of_a_report(shared, report, tmp_path, attack):
    bundle = tmp_path / "bundle"
    shutil.copytree(report, bundle)
    done = python(bundle, "--key", shared.key)
    assert done.returncode == 0, done.stdout + done.stderr
    attack.do(bundle)
    done = python(bundle, "--key", shared.key)
    said = done.stdout + done.stderr
    assert (done.returncode, attack.says in said) == (attack.code, True), said


def table() -> str:
    """The page's table, by role."""
    rows = (f"| {item.role} | {item.what} | {item.notices} | {item.when} |" for item in ATTACKS)
    return "\n".join(("| who | does what | what notices it | when |", "|---|---|---|---|", *rows, ""))


def test_at_least_forty_of_every_role_are_on_the_page():
    assert len(ATTACKS) >= 40
    assert {item.role for item in ATTACKS} == {JOB, OWNER, SUPERUSER, KEY, ARCHIVE, BUNDLE}
    before, _, rest = EVIDENCE.read_text().partition(MARKS[0])
    assert rest.partition(MARKS[1])[0] == table()
    assert len({str(item) for item in ATTACKS}) == len(ATTACKS)
    assert before


if __name__ == "__main__":
    head, _, tail = EVIDENCE.read_text().partition(MARKS[0])
    EVIDENCE.write_text(head + MARKS[0] + table() + MARKS[1] + tail.partition(MARKS[1])[2])
