"""Rotated files as a store: the promises of every store, holds by path and range, archives, accidents."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import resource
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from luxima_retention.core.clock import system_clock
from luxima_retention.core.plan import Hold, Level
from luxima_retention.stores.logfiles.folder import Folder, Locks, lock_of
from luxima_retention.stores.logfiles.safe import Directory
from luxima_retention.stores.logfiles.store import LogFilesStore
from luxima_retention.stores.logfiles.system import BusyError
from tests.integration import conformance
from tests.integration.conformance import Item, carry_out, planned, request_of, some, work
from tests.integration.logsets import STATE, sets, turned

DAY = timedelta(days=1)


class Files:
    """Rotated files of many logs in two directories."""

    policy = "log-files"
    takes_undated = False

    def __init__(self, root: Path) -> None:
        self.root = root
        for tenant in ("acme", "globex"):
            (root / tenant).mkdir()
            (root / tenant / "live.log").write_text("live\n")

    def path_of(self, number: int) -> Path:
        return next(self.root.glob(f"*/r{number}.log.1"), self.root / "none")

    def fill(self, items: list[Item]) -> None:
        for item in items:
            assert item.at is not None
            path = self.root / item.tenant / f"r{item.name}.log.1"
            path.write_text(f"{item.name}\n")
            # To the nanosecond, and past the rounding of the instant's own float.
            micro = (item.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
            os.utime(path, ns=(micro * 1000, micro * 1000))

    def names(self) -> set[int]:
        return {int(path.name.split(".")[0][1:]) for path in self.root.glob("*/r*.log.1")}

    def open(self, *, read_only: bool = False) -> LogFilesStore:
        (made,) = sets({"paths": [f"{self.root}/*/*.log"], "dated": False})
        return LogFilesStore(made, clock=system_clock, read_only=read_only)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.mark.parametrize("promise", conformance.PROMISES, ids=lambda promise: promise.__name__)
def test_promises(files, promise):
    promise(files)
    assert (files.root / "acme" / "live.log").read_text() == "live\n"


def test_every_file_explains_itself(files):
    conformance.every_record_explains_itself(files, lambda number: str(files.path_of(number)))


def test_a_hold_of_a_path_keeps_its_files(files):
    hold = Hold(hold_id="H", policy="log-files", path=f"{files.root}/acme/*")
    conformance.held_records_stay(files, hold, lambda item: item.tenant == "acme")


def test_a_hold_of_a_range_keeps_every_file_that_may_hold_its_records(tmp_path):
    """A file covers the time since the rotation before it; the oldest may reach back for ever."""
    days = [20260105, 20260112, 20260119, 20260126]
    for day in days:
        path = tmp_path / f"app.log-{day}"
        path.write_text("x\n")
        at = datetime.strptime(str(day), "%Y%m%d").replace(tzinfo=UTC).timestamp()
        os.utime(path, (at, at))
    (made,) = sets({"paths": [f"{tmp_path}/app.log"], "missing_ok": True})
    store = LogFilesStore(made, clock=system_clock, read_only=True)
    hold = Hold(hold_id="H", start=datetime(2026, 1, 14, tzinfo=UTC), end=datetime(2026, 1, 15, tzinfo=UTC))
    request = replace(request_of(Files.__new__(Files), store, days=30), holds=(hold,))
    assert (store.survey(request).held, store.survey(request).expired) == (1, 3)
    assert store.explain(f"{tmp_path}/app.log-20260119", request).rule == "hold"
    early = replace(hold, start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2020, 1, 2, tzinfo=UTC))
    request = replace(request, holds=(early,))
    assert store.explain(f"{tmp_path}/app.log-20260105", request).rule == "hold"
    assert store.survey(request).held == 1


class Sink:
    format = "jsonl"

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes | memoryview) -> None:
        self.data += bytes(data)


def test_each_file_goes_to_the_archive_whole(tmp_path):
    content = {f"app.log-2026010{day}.gz": os.urandom(day * 400_000) for day in range(1, 4)}
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
        os.utime(tmp_path / name, (1_767_000_000, 1_767_000_000))
    (made,) = sets({"paths": [f"{tmp_path}/app.log"], "missing_ok": True})
    store = LogFilesStore(made, clock=system_clock, read_only=False)
    _, plan = planned(Files.__new__(Files), store, days=30)
    sink = Sink()
    (batch,) = store.batches(plan, work())
    staged = batch.stage(sink)
    assert batch.commit().items == staged.items == 3
    lines = [json.loads(line) for line in sink.data.splitlines()]
    assert {Path(line["path"]).name: base64.b64decode(line["data"]) for line in lines} == content
    for line in lines:
        assert line["sha256"] == hashlib.sha256(base64.b64decode(line["data"])).hexdigest()
    sums = "".join(f"{line['sha256']}  {line['path']}\n" for line in lines)
    assert staged.digest == hashlib.sha256(sums.encode()).hexdigest()
    assert list(tmp_path.glob("app*")) == []


def test_what_has_changed_since_it_was_read_stays(files):
    files.fill([Item(name=number, at=datetime.now(UTC) - 100 * DAY) for number in (1, 2, 3)])
    store = files.open()
    _, plan = planned(files, store)
    (batch,) = store.batches(plan, work())
    assert batch.stage(None).items == 3
    files.path_of(1).write_text("written again\n")
    files.path_of(2).unlink()
    outcome = batch.commit()
    assert (outcome.items, dict(outcome.skipped)) == (1, {"changed": 1, "vanished": 1})
    assert files.names() == {1}


def test_a_link_in_place_of_a_rotated_file_is_told_and_stays(files):
    secret = files.root / "secret"
    secret.write_text("x")
    (files.root / "acme" / "r1.log.1").symlink_to(secret)
    store = files.open()
    findings = store.preflight(request_of(files, store))
    assert [finding.code for finding in findings] == ["left-alone"]
    survey, plan = planned(files, store)
    assert carry_out(store, plan, work()) == survey.expired == 0
    assert secret.exists()


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda root: (root / "acme").chmod(0o777), "unsafe-directory"),
        (lambda root: root.rename(root.with_name("gone")), "missing"),
    ],
)
def test_what_would_hinder_a_run_is_found_first(files, break_it, code):
    store = files.open()
    assert store.preflight(request_of(files, store)) == ()
    break_it(files.root)
    (finding,) = store.preflight(request_of(files, store))
    assert (finding.code, finding.level) == (code, Level.FAILED)


def test_a_log_that_has_not_rotated_for_longer_than_the_period_is_told(files):
    old = files.root / "acme" / "live.log"
    os.utime(old, (1_700_000_000, 1_700_000_000))
    store = files.open(read_only=True)
    (finding,) = store.preflight(request_of(files, store))
    assert (finding.code, finding.level) == ("not-rotated", Level.WARNING)
    assert store.explain(str(old), request_of(files, store)).verdict == "stays"


def test_a_rotation_at_work_keeps_expiry_out(files):
    files.fill(some(5))
    store = files.open()
    locks = Locks(Folder.open_own(STATE.name, make=True))
    locks.take(*lock_of(Directory.open(str(files.root / "acme"))))
    _, plan = planned(files, store)
    with pytest.raises(BusyError):
        carry_out(store, plan, work())
    locks.close()
    carry_out(store, plan, work())


def test_a_directory_of_our_own_that_others_may_write_to_is_found_first(files, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    own.chmod(0o777)
    (log_set,) = sets({"paths": [f"{files.root}/*/*.log"]}, state_dir=str(own))
    store = LogFilesStore(log_set, clock=system_clock, read_only=True)
    assert "state-dir" in [finding.code for finding in store.preflight(request_of(files, store))]


def test_files_of_a_set_that_does_not_expire_stay_and_are_told(files, tmp_path):
    old = tmp_path / "one" / "app.log-20200101"
    old.parent.mkdir()
    old.write_text("old\n")
    (tmp_path / "one" / "app.log").write_text("x\n")
    os.utime(old, (1_577_836_800, 1_577_836_800))
    for expire in (True, False):
        (log_set,) = sets({"paths": [f"{tmp_path}/one/*.log"], "expire": expire})
        store = LogFilesStore(log_set, clock=system_clock, read_only=False)
        request = request_of(files, store)
        survey = store.survey(request)
        assert (survey.expired, survey.population.value) == (int(expire), 1)
        told = [finding.code for finding in store.preflight(request)]
        assert ("not-expiring" in told) == (not expire)
        assert store.explain(str(old), request).verdict == ("goes" if expire else "stays")


@pytest.fixture
def listed(monkeypatch):
    """How often each directory is listed."""
    counted = Counter()
    listdir = os.listdir

    def counting(place="."):
        counted[os.fstat(place).st_ino if isinstance(place, int) else place] += 1
        return listdir(place)

    monkeypatch.setattr(os, "listdir", counting)
    return counted


def test_what_was_examined_is_surveyed_without_a_second_look_but_the_proof_looks_again(files, listed):
    now = system_clock()
    files.fill([Item(name=1, at=now - 40 * DAY, tenant="acme")])
    store = files.open()
    request = request_of(files, store)
    assert store.preflight(request) == ()
    assert (store.survey(request).population.value, set(listed.values())) == (1, {1})
    files.fill([Item(name=2, at=now - 40 * DAY, tenant="globex")])
    assert (store.survey(request).population.value, set(listed.values())) == (2, {2})
    store.preflight(request)
    assert store.survey(replace(request, holds=())).population.value == 2
    assert set(listed.values()) == {4}


def test_a_rotation_lists_each_directory_once_where_nothing_can_go(files, listed):
    files.fill([Item(name=1, at=system_clock() - DAY, tenant="acme")])
    result = turned(f"{files.root}/*/*.log", dated=False, compress="none", keep=3)
    assert (result.rotated.total, result.failures) == (2, [])
    assert set(listed.values()) == {1}


@pytest.mark.parametrize("keep", [1, 2])
def test_what_is_too_much_after_a_rotation_goes(files, keep, listed):
    log = files.root / "acme" / "live.log"
    for number in range(3):
        log.write_text(f"{number}\n")
        turned(log, dated=False, compress="none", keep=keep)
    left = {path.name: path.read_text() for path in log.parent.glob("live.log.*")}
    assert left == {f"live.log.{number + 1}": f"{2 - number}\n" for number in range(keep)}
    assert listed


def test_a_draft_of_a_killed_run_goes_from_both_directories(tmp_path):
    logs, old = tmp_path / "logs", tmp_path / "old"
    for directory in (logs, old):
        directory.mkdir()
        (directory / ".luxima-rotation.0123.tmp").write_text("half\n")
    (logs / "app.log").write_text("line\n")
    assert turned(logs / "*.log", old_dir=str(old), compress="none").rotated.total == 1
    assert [path.name for path in tmp_path.rglob(".luxima*")] == []


@pytest.fixture
def few_descriptors():
    """A hundred more than are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = sum(1 for _ in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_descriptors")
def test_more_directories_than_descriptors_are_examined_surveyed_and_emptied(files):
    long_ago, many = (system_clock() - 100 * DAY).timestamp(), 150
    for number in range(many):
        rotated = files.root / f"tenant-{number}" / f"r{number}.log.1"
        rotated.parent.mkdir()
        rotated.write_text("old\n")
        os.utime(rotated, (long_ago, long_ago))
    store = files.open()
    assert store.preflight(request_of(files, store)) == ()
    survey, plan = planned(files, store)
    assert (survey.expired, len(survey.parts)) == (many, many)
    assert carry_out(store, plan, work()) == many
    store.close()
    assert files.names() == set()
