"""Rotation through the command: killed anywhere, beside a writer that never stops, then expired."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.logsets import tree
from tests.servers.command import Command

POINTS = [
    "rotate.before_move",
    "rotate.after_move",
    "rotate.after_create",
    "rotate.after_hooks",
    "rotate.in_shift",
    "rotate.after_compress",
    "rotate.before_unlink",
    "rotate.before_state",
    "rotate.before_truncate",
]


def command(tmp_path: Path, **chosen: object) -> Command:
    chosen = {"paths": [f"{tmp_path}/logs/*.log"], "create": True, **chosen}
    return Command(
        variables={
            "LUXIMA_ROTATION__SETS": json.dumps({"api": chosen}),
            "LUXIMA_LEDGER__PATH": str(tmp_path / "ledger"),
            "LUXIMA_ROTATION__STATE_DIR": str(tmp_path / "state"),
        },
        cwd=tmp_path,
    )


def rotated(run: Command, *arguments: str, code: int = 0, **more: str) -> dict[str, object]:
    (policy,) = run.json("run", "log-files", *arguments, code=code, **more)["policies"]
    (found,) = policy["operation"]["sets"]
    assert isinstance(found, dict)
    return found


def lines_of(directory: Path) -> list[bytes]:
    return sorted(line for content in tree(directory).values() for line in content.splitlines())


def half_done(directory: Path) -> bool:
    """Whether a log was renamed by a run that did not live to tell its writer."""
    logs: dict[str, int] = {}
    for journal in (directory.parent / "state").glob("*.journal"):
        for line in map(json.loads, journal.read_text().splitlines()):
            for key in line.get("done", ()):
                logs.pop(key.rpartition(":")[2], None)
            logs |= {step["log"]: step["inode"] for step in line.get("begin", ())}
    there = {name: directory / name for name in logs}
    return any(not log.exists() or log.stat().st_ino != logs[name] for name, log in there.items())


SHAPES = {
    "dated": {"delay_compress": False},
    "numbered": {"dated": False, "delay_compress": False, "date_format": "-%Y%m%d"},
    "delayed": {"dated": False, "compress": "gzip"},
    "aside": {"method": "renamecopy", "dated": False, "delay_compress": False},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_anywhere_loses_and_doubles_no_line(tmp_path, point, shape):
    directory = tmp_path / "logs"
    directory.mkdir()
    told = tmp_path / "told"
    hook = [{"run": ["/bin/sh", "-c", f"echo x >> {told}"]}]
    run = command(tmp_path, after=hook, **SHAPES[shape])
    written = []
    for turn in range(3):
        for name in ("a.log", "b.log"):
            line = f"{turn} {name}".encode()
            with (directory / name).open("ab") as file:
                file.write(line + b"\n")
            written.append(line)
        for old in directory.glob("*-2026*"):  # as if a day had passed
            old.rename(directory / old.name.replace("-2026", f"-{2020 - turn}", 1))
        run("run", "log-files", "--rotate-now", LUXIMA_FAILPOINTS=f"{point}=kill@{1 + turn % 2}")
    told.unlink(missing_ok=True)
    pending = half_done(directory)
    assert rotated(run, "--dry-run")
    final = rotated(run)
    assert final["failures"]["count"] == 0  # type: ignore[index]
    assert lines_of(directory) == sorted(written)
    assert {"a.log", "b.log"} <= set(tree(directory))
    assert told.exists() or not pending
    assert not list(directory.glob(".luxima*"))
    assert not list((tmp_path / "state").glob("*.journal"))
    assert rotated(run)["failures"]["count"] == 0  # type: ignore[index]


@pytest.mark.parametrize("turn", [1, 2])
def test_a_kill_before_the_truncation_is_finished_by_the_next_run(tmp_path, turn):
    directory = tmp_path / "logs"
    directory.mkdir()
    (directory / "a.log").write_text("one\n")
    run = command(tmp_path, method="copytruncate", compress="none")
    run("run", "log-files", "--rotate-now", LUXIMA_FAILPOINTS="rotate.before_truncate=kill")
    assert lines_of(directory) == [b"one", b"one"]
    if turn == 2:
        with (directory / "a.log").open("a") as file:
            file.write("two\n")
    rotated(run)
    assert lines_of(directory) == [b"one", b"two"][:turn]
    assert tree(directory)["a.log"] == b""


WRITER = """
import os, signal, sys, time
path, rate = sys.argv[1], int(sys.argv[2])
reopen, ended = [False], [False]
signal.signal(signal.SIGHUP, lambda *_: reopen.__setitem__(0, True))
signal.signal(signal.SIGTERM, lambda *_: ended.__setitem__(0, True))
log = open(path, "ab", buffering=0)
with open(path + ".pid", "w") as file:
    file.write(str(os.getpid()))
print("ready", flush=True)
begun, number = time.monotonic(), 0
while not ended[0]:
    due = int((time.monotonic() - begun) * rate)
    while number < due:
        if reopen[0]:
            log.close()
            log = open(path, "ab", buffering=0)
            reopen[0] = False
        log.write(b"%d 2026-11-22T10:00:00Z a line of a log of some length\\n" % number)
        number += 1
    time.sleep(0.0005)
print(number, flush=True)
"""


@pytest.mark.parametrize("delay", [True, False])
def test_a_writer_of_20_000_lines_a_second_loses_none_over_ten_rotations(tmp_path, delay):
    directory = tmp_path / "logs"
    directory.mkdir()
    log = directory / "app.log"
    run = command(
        tmp_path,
        dated=False,
        delay_compress=delay,
        after=[{"pid_file": f"{log}.pid", "signal": "HUP"}],
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(log), "20000"], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == "ready\n"
        for _ in range(10):
            assert len(rotated(run, "--rotate-now")["rotated"]["items"]) == 1
        writer.terminate()
        total = int(writer.stdout.readline())
        assert writer.wait(30) == 0
    finally:
        writer.kill()
        writer.stdout.close()
    contents = {name: data for name, data in tree(directory).items() if name != "app.log.pid"}
    assert len(contents) == 11
    numbers = [int(line.split(b" ", 1)[0]) for data in contents.values() for line in data.splitlines()]
    assert sorted(numbers) == list(range(total))


def test_rotated_files_expire_by_the_five_steps(tmp_path):
    directory = tmp_path / "logs"
    directory.mkdir()
    today = datetime.now(UTC)
    for days in range(5, 65, 5):
        at = today - timedelta(days=days)
        path = directory / f"app.log-{at:%Y%m%d}"
        path.write_text(f"{days}\n")
        os.utime(path, (at.timestamp(), at.timestamp()))
    (directory / "app.log").write_text(f"{today:%Y-%m-%dT%H:%M:%SZ} now\n")
    run = command(tmp_path)
    refused = run.json("run", "log-files", code=4)
    assert "share" in json.dumps(refused["policies"][0]["targets"][0]["guards"])
    placed = run(
        "hold", "add", "--policy", "log-files", "--path", f"{directory}/*", "--to",
        f"{today - timedelta(days=56):%Y-%m-%d}", "--reason", "case",
    )  # fmt: skip
    assert placed.returncode == 0, placed.stderr
    dry = run.json("run", "log-files", "--dry-run", "--max-fraction", "1", "--max-silence", "off")
    done = run.json("run", "log-files", "--max-fraction", "1", "--max-silence", "off")
    (target,) = done["policies"][0]["targets"]
    assert target["done"]["destroyed"] == dry["policies"][0]["targets"][0]["plan"]["items"] == 4
    kept = sorted(int(data) for name, data in tree(directory).items() if name != "app.log")
    assert kept == [5, 10, 15, 20, 25, 30, 55, 60]
    entries = [json.loads(line) for line in run("ledger", "list", "--output", "json").stdout.splitlines()]
    kinds = [entry["kind"] for entry in entries]
    assert kinds.count("rotation") >= 1
    assert run("ledger", "verify").returncode == 0
    gone = run("explain", "log-files", str(directory / f"app.log-{today - timedelta(days=40):%Y%m%d}.zst"))
    assert gone.returncode == 3
    held = run.json(
        "explain", "log-files", str(next(directory.glob(f"app.log-{today - timedelta(days=60):%Y%m%d}*")))
    )
    assert held["rule"] == "hold"


def test_expiry_needs_a_ledger_and_rotation_does_not(tmp_path):
    directory = tmp_path / "logs"
    directory.mkdir()
    (directory / "app.log").write_text("x\n")
    old = directory / "app.log-20200101"
    old.write_text("old\n")
    os.utime(old, (1_577_836_800, 1_577_836_800))
    run = command(tmp_path)
    del run.variables["LUXIMA_LEDGER__PATH"]  # type: ignore[attr-defined]
    found = rotated(run, "--rotate-now", code=4)
    assert found["rotated"]["count"] == 1  # type: ignore[index]
    assert lines_of(directory) == [b"old", b"x"]


#: the command, which then tells the most memory that it had
MEASURED = """
import atexit, sys
def tell():
    lines = open("/proc/self/status").read().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
atexit.register(tell)
from luxima_retention.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_gigantic_sparse_file_rotates_in_little_memory(tmp_path):
    directory = tmp_path / "logs"
    directory.mkdir()
    with (directory / "a.log").open("wb") as file:
        file.write(b"begin\n")
        file.truncate(1 << 29)  # three times the memory that it may have
    run = command(tmp_path, delay_compress=False)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "run", "log-files", "--rotate-now"],
        env=run.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stderr.splitlines()[-1]) * 1024 < 150 << 20
    (packed,) = directory.glob("a.log-*.zst")
    assert packed.stat().st_size < 1 << 20


def test_it_works_as_anybody_with_a_group_and_a_root_that_is_read_only(tmp_path):
    """As a pod does: a user of its own, the volume's group, nothing else that can be written."""
    import tempfile

    with tempfile.TemporaryDirectory() as volume:
        logs = Path(volume) / "logs"
        state = Path(volume) / "state"  # another volume, with the same fsGroup
        logs.mkdir()
        state.mkdir()
        os.chown(state, 0, 2000)
        state.chmod(0o2775)
        (logs / "app.log").write_text("x\n")
        Path(volume).chmod(0o711)
        for path in (logs, logs / "app.log"):
            os.chown(path, 4000, 2000)
        logs.chmod(0o2775)
        (logs / "app.log").chmod(0o664)
        run = command(tmp_path, paths=[f"{logs}/*.log"], delay_compress=False)
        del run.variables["LUXIMA_LEDGER__PATH"]  # type: ignore[attr-defined]
        done = subprocess.run(
            [
                *("setpriv", "--reuid=10001", "--regid=10001", "--groups=2000", "--no-new-privs"),
                *(sys.executable, "-m", "luxima_retention", "run", "log-files", "--rotate-now"),
            ],
            env=run.environment(
                PYTHONDONTWRITEBYTECODE="1", LUXIMA_ROTATION__STATE_DIR=str(state / "rotation")
            ),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert (logs / "app.log").stat().st_size == 0
        assert len(list(logs.glob("app.log-*.zst"))) == 1


def test_a_run_that_is_told_to_end_ends_in_good_order(tmp_path):
    directory = tmp_path / "logs"
    directory.mkdir()
    for number in range(50):
        (directory / f"{number}.log").write_text("x\n")
    run = command(tmp_path, compress="none")
    done = run("run", "log-files", "--rotate-now", LUXIMA_FAILPOINTS="rotate.after_create=term@3")
    assert done.returncode == 7, done.stdout
    assert len(list(directory.glob("*.log-*"))) == 3
    assert rotated(run, "--rotate-now")["rotated"]["count"] == 47  # type: ignore[index]
    assert len(lines_of(directory)) == 50
