"""Rotations that are killed at any moment: every line once, every hook, never another set's."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from luxima_retention.stores.logfiles.folder import Folder
from luxima_retention.stores.logfiles.journal import Journal, Step
from luxima_retention.stores.logfiles.rotate import rotate
from luxima_retention.stores.logfiles.terms import Terms
from tests.conftest import OUTSIDE
from tests.integration.logsets import NOW, sets, tree

#: 200 in the long run
KILLS = int(OUTSIDE.get("LUXIMA_TEST_SEEDS", "40"))
METHODS = ("rename", "copytruncate", "renamecopy")


def chosen(top: Path, name: str, method: str) -> dict[str, object]:
    """A set of one of two services that log into the same directory."""
    hook = ["/bin/sh", "-c", f'echo "$1 $2" >> {top}/told-{name}', "hook", "{path}", "{rotated}"]
    return {
        "paths": [f"{top}/logs/{name}-*.log"],
        "method": method,
        "date_format": "-%Y%m%d%H%M",
        "delay_compress": False,
        "create_mode": {"a": "0600", "b": "0644"}[name],
        "after": [{"run": hook}],
    }


#: Forks from a process that has little in its memory, unlike that of the tests.
_APART = multiprocessing.get_context("forkserver")
_APART.set_forkserver_preload(["tests.integration.logsets"])


def turn(top: Path, method: str, number: int) -> None:
    """One rotation; the exit status says how it ended."""
    made = sets(chosen(top, "a", method), chosen(top, "b", method), state_dir=str(top / "own"))
    results = rotate(made, Terms(now=NOW + timedelta(minutes=number), force=True, read_only=False))
    failures = [said for result in results for said in result.failures]
    sys.exit(5 if any("another rotation works" in said for said in failures) else int(bool(failures)))


def killed(top: Path, method: str, number: int, seconds: float | None) -> bool:
    """One rotation in a process of its own; whether it was killed before its end."""
    process = _APART.Process(target=turn, args=(top, method, number))
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    status = process.exitcode
    process.close()
    if status == 5:  # a hook that was just being started has the locks a moment more
        return killed(top, method, number, None)
    assert status in {0, -signal.SIGKILL}, "a rotation has failed"
    return status != 0


@pytest.mark.parametrize("method", METHODS)
def test_kills_at_random_moments_lose_and_double_nothing(tmp_path, method):
    logs = tmp_path / "logs"
    logs.mkdir()
    dice = random.Random(method)  # noqa: S311 - a test
    written: list[bytes] = []

    def write() -> None:
        for name in ("a-1", "a-2", "b-1"):
            line = f"{len(written)} {name}".encode()
            with (logs / f"{name}.log").open("ab") as file:
                file.write(line + b"\n")
            written.append(line)

    write()
    whole, kills, number = 0.0, 0, 0
    while kills < KILLS:
        assert number < KILLS * 10
        begun = time.monotonic()
        if killed(tmp_path, method, number, dice.uniform(0, whole) if whole else None):
            kills += 1
        else:
            # The first takes longer than those that follow, and all of them as long as the machine lets them.
            whole = time.monotonic() - begun
        number += 1
        write()
    for more in (0, 1):
        assert not killed(tmp_path, method, number + more, None)
        write()
    held = Counter(line for data in tree(logs).values() for line in data.splitlines())
    assert held == Counter(written)
    assert not list(logs.glob(".luxima*"))
    assert not list((tmp_path / "own").glob("*.journal"))
    rotated = {path.name.removesuffix(".zst") for path in logs.iterdir() if "-2026" in path.name}
    for name in ("a", "b"):
        told = [line.split() for line in (tmp_path / f"told-{name}").read_text().splitlines()]
        assert {Path(log).name.partition("-")[0] for log, _ in told} == {name}
        assert {one for one in rotated if one.startswith(name)} <= {Path(to).name for _, to in told}
    modes = {path.name: path.stat().st_mode & 0o777 for path in logs.glob("?-?.log")}
    if method == "rename":
        assert modes == {"a-1.log": 0o600, "a-2.log": 0o600, "b-1.log": 0o644}


def test_many_logs_are_announced_in_one_line_and_ended_in_one(tmp_path):
    """What a crash leaves of the journal tells exactly what is not finished."""
    folder = Folder.open_own(str(tmp_path / "own"), make=True)
    assert folder is not None
    numbers = {"device": 1, "inode": 2, "mode": 0o640, "owner": 0, "group": 0}
    steps = [
        Step((1, 2), (1, 2), f"/l/{name}", name, f"{name}.1", "copy", **numbers) for name in ("a", "b", "c")
    ]
    journal = Journal(folder, "j")
    journal.begin(steps)
    journal.copied(steps[1].key, 7)
    journal.done([steps[0].key, steps[2].key, "another"])
    journal.close()
    assert len((tmp_path / "own" / "j").read_text().splitlines()) == 3
    with (tmp_path / "own" / "j").open("a") as file:
        file.write('{"done": ["1:2:b"')  # a line that was being written
    again = Journal(folder, "j")
    assert again.pending == (steps[1]._replace(copied=7),)
    again.done([steps[1].key])
    again.close()
    assert not (tmp_path / "own" / "j").exists()
    folder.close()


def test_a_log_that_was_cut_is_not_cut_again_whatever_comes_into_it(tmp_path):
    """A service that begins each log alike, and a run that is killed in the hook after the cut."""
    log = tmp_path / "app.log"
    log.write_text("start\n")
    hook = {
        "run": ["/bin/sh", "-c", f"[ -e {tmp_path}/once ] || {{ touch {tmp_path}/once; kill -9 $PPID; }}"]
    }
    values = {"paths": [str(log)], "method": "copytruncate", "compress": "none", "after": [hook]}
    made = sets(values, state_dir=str(tmp_path / "own"))
    process = os.fork()
    if not process:
        rotate(made, Terms(now=NOW, force=True, read_only=False))
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(process, 0)[1])
    log.write_text("start\nmore\n")
    (result,) = rotate(made, Terms(now=NOW, read_only=False))
    assert result.failures == []
    assert (log.read_text(), (tmp_path / "app.log-20261122").read_text()) == ("start\nmore\n", "start\n")
