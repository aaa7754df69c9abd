"""Archiving rows before they go."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.measure import cost_of, ours, peer
from bench.model import Aim, Benchmark, Figures, of, ratio
from bench.postgres import EXPIRED, FREE, Postgres, acted, rated, run_command, run_postgres
from bench.prune import DELETE, statement
from tests.servers.postgres import binaries

_ROWS = 500_000
_BARE, _PIPE, _OURS = (
    "single DELETE, nothing archived",
    "COPY piped through zstd -3, then DELETE",
    "ours, archived",
)
_RESTORED = "archive restore"
_DIFFERENCES = """
SELECT count(*) FROM core.original o FULL JOIN core.restored r USING (id)
WHERE record_send(o) IS DISTINCT FROM record_send(r)
"""
COPY = f"COPY (SELECT * FROM core.audit_log WHERE {EXPIRED}) TO STDOUT WITH (FORMAT csv, HEADER true)"


def archiving(directory: Path) -> dict[str, str]:
    """The variables of an archive in a directory."""
    return {
        "LUXIMA_ARCHIVE__URL": f"file://{directory}",
        "LUXIMA_ARCHIVE__RETENTION_DAYS": "400",
        "LUXIMA_POLICIES__AUDIT_LOGS__ARCHIVE": "required",
    }


def pipe(postgres: Postgres, name: str, directory: Path) -> dict[str, float]:
    """As pg_archiver and scripts do: nothing is read back before the rows go."""
    target = directory / "rows.csv.zst"
    line = 'set -o pipefail; "$0" --no-psqlrc --quiet "$1" --command "$2" | "$3" -q -3 -f -o "$4"'
    psql, dsn = binaries() / "psql", postgres.server.conninfo(dbname=name)
    begun = time.monotonic()
    copied = cost_of(["bash", "-c", line, psql, dsn, COPY, peer("zstd") or "zstd", target])
    deleted = statement(postgres, name, DELETE)
    seconds = time.monotonic() - begun
    found = rated(round(deleted["rows_per_s"] * deleted["seconds"]), seconds)
    size = target.stat().st_size / (1 << 20)
    return found | {"cpu_s": copied.cpu, "memory_mib": copied.memory, "result_mib": size}


def archived(postgres: Postgres, name: str, directory: Path) -> tuple[dict[str, float], dict[str, str], str]:
    """The command: its figures, its variables and the name of the run."""
    variables = postgres.variables(name) | FREE | archiving(directory)
    target, cost = run_command(variables=variables, policy="audit-logs")
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / (1 << 20)
    return acted(target, cost) | {"result_mib": size}, variables, target["run_id"]


def measure(figures: Figures) -> None:
    """Every way on its copy; then an archive is verified, restored and compared."""
    rows = figures.size(2 * _ROWS)
    with run_postgres() as postgres:
        postgres.prepare("plain", rows, rows // 2)
        for _ in figures.rounds():
            with postgres.copy("plain") as name:
                figures.record(_BARE, statement(postgres, name, DELETE))
            with postgres.copy("plain") as name, tempfile.TemporaryDirectory() as home:
                figures.record(_PIPE, pipe(postgres, name, Path(home)))
            with postgres.copy("plain") as name, tempfile.TemporaryDirectory() as home:
                figures.record(_OURS, archived(postgres, name, Path(home))[0])
            with postgres.copy("plain") as name, tempfile.TemporaryDirectory() as home:
                afterwards(figures, postgres, name, Path(home))


def afterwards(figures: Figures, postgres: Postgres, name: str, directory: Path) -> None:
    """Whether the archive gives back what it took."""
    with postgres.connect(name) as connection:
        connection.execute(f"CREATE TABLE core.original AS SELECT * FROM core.audit_log WHERE {EXPIRED}")
        rows = connection.execute("SELECT count(*) FROM core.original").fetchone()
    count = rows[0] if rows else 0
    _, variables, run = archived(postgres, name, directory)
    verified = cost_of(ours("archive", "verify"), variables)
    figures.record("archive verify", verified.figures() | {"rows_per_s": count / verified.seconds})
    restored = cost_of(ours("archive", "restore", run, "--into", "core.restored"), variables)
    with postgres.connect(name) as connection:
        different = connection.execute(_DIFFERENCES).fetchone()
    figures.record(
        _RESTORED,
        restored.figures()
        | {
            "rows_per_s": count / restored.seconds,
            "different": different[0] if different else count,
        },
    )


BENCHMARKS = (
    Benchmark(
        name="archive",
        title="Archive, then delete",
        compares="Half a million expired rows of about 240 bytes leave a table of a million, into a"
        " directory. Ours compresses, hashes, stores and reads back each part before its batch"
        " commits; the pipe verifies nothing. Rows a second are those of the action; verifying and"
        " restoring are whole commands.",
        measure=measure,
        minutes=2.5,
        headline="rows_per_s",
        reference=_BARE,
        aims=(
            Aim(
                says="At least a third of a bare DELETE",
                measured=ratio("rows_per_s", _OURS, _BARE),
                least=1 / 3,
            ),
            Aim(
                says="At least 1.2 × COPY piped through zstd",
                measured=ratio("rows_per_s", _OURS, _PIPE),
                least=1.2,
                why="the pipe neither hashes nor reads back; ours does both before each commit, at 1.3 s of"
                " CPU for half a million rows, beside the server on two cores",
            ),
            Aim(
                says="Every row comes back to the last byte",
                measured=of("different", _RESTORED),
                most=0,
                unit="rows different",
            ),
        ),
    ),
)
