"""Each directive of a set, and each accident, on real files."""

from __future__ import annotations

import contextlib
import fcntl
import http.server
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from luxima_retention.core.errors import ExitCode, StoreError
from luxima_retention.core.plan import Hold
from luxima_retention.stores.logfiles import removal as removal_module
from luxima_retention.stores.logfiles import safe
from luxima_retention.stores.logfiles.folder import Folder, Locks, lock_of
from luxima_retention.stores.logfiles.journal import name_of
from luxima_retention.stores.logfiles.rotate import rotate
from luxima_retention.stores.logfiles.system import BusyError
from luxima_retention.stores.logfiles.terms import Terms
from tests.integration.logsets import NOW, STATE, WEEK, sets, tree, turned

DAY = timedelta(days=1)
MANY = 20


@pytest.fixture(autouse=True)
def _own_state():
    """Each run reads the state of every log; some tests have tens of thousands."""
    yield
    for file in Path(STATE.name).iterdir():
        file.unlink()


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "logs" / "app.log"
    path.parent.mkdir(mode=0o755)
    path.write_text("first\n")
    return path


def aged(path, days, text="x\n"):
    path.write_text(text)
    at = (NOW - days * DAY).timestamp()
    os.utime(path, (at, at))
    return path


def names(log):
    return sorted(path.name for path in log.parent.glob("[!.]*") if path.is_file())


# What a set may say.


def test_a_log_is_renamed_made_again_and_left_plain_until_the_next_time(log):
    log.chmod(0o640)
    result = turned(log)
    assert tree(log.parent) == {"app.log": b"", "app.log-20261122": b"first\n"}
    assert log.stat().st_mode & 0o777 == 0o640
    assert (len(result.rotated), result.failures) == (1, [])
    log.write_text("second\n")
    turned(log, now=NOW + WEEK)
    assert tree(log.parent) == {
        "app.log": b"",
        "app.log-20261122.zst": b"first\n",
        "app.log-20261129": b"second\n",
    }


def test_compression_keeps_time_mode_and_owner(log):
    log.chmod(0o604)
    os.utime(log, (1_700_000_000, 1_700_000_000))
    turned(log, delay_compress=False)
    status = (log.parent / "app.log-20261122.zst").stat()
    assert (status.st_mtime, status.st_mode & 0o777) == (1_700_000_000, 0o604)
    assert names(log) == ["app.log", "app.log-20261122.zst"]


@pytest.mark.parametrize(
    ("codec", "extension"), [("gzip", ".gz"), ("zstd", ".zst"), ("bzip2", ".bz2"), ("xz", ".xz")]
)
def test_each_codec_has_its_extension(log, codec, extension):
    turned(log, delay_compress=False, compress=codec)
    assert names(log) == ["app.log", f"app.log-20261122{extension}"]


def test_a_program_may_compress(log):
    program = {"compress": "program", "compress_program": ["gzip", "-9"], "compress_extension": ".packed"}
    assert turned(log, delay_compress=False, **program).failures == []
    packed = log.parent / "app.log-20261122.packed"
    assert (
        subprocess.run(["gzip", "-dc"], input=packed.read_bytes(), capture_output=True, check=True).stdout
        == b"first\n"
    )


def test_a_program_is_told_of_the_file_and_not_of_our_secrets_and_what_it_says_is_told(log, monkeypatch):
    monkeypatch.setenv("LUXIMA_DATABASE__DSN", "postgresql://secret")
    script = "env | grep -c LUXIMA_ >&2; echo $LOGROTATE_COMPRESSED_FILENAME >&2; gzip"
    program = {
        "compress": "program",
        "compress_program": ["/bin/sh", "-c", script],
        "compress_extension": ".gz",
    }
    result = turned(log, delay_compress=False, **program)
    path = log.parent / "app.log-20261122"
    assert result.failures == []
    assert result.left == [f"compressing {path}, its program said: 0\n{path}"]


def test_nothing_is_compressed_where_none_is_chosen(log):
    turned(log, delay_compress=False, compress="none")
    assert names(log) == ["app.log", "app.log-20261122"]


def test_numbers_move_up_and_the_last_goes(log):
    for round_ in range(5):
        log.write_text(f"{round_}\n")
        turned(log, now=NOW + round_ * WEEK, dated=False, keep=3, delay_compress=False)
    assert tree(log.parent) == {
        "app.log": b"",
        "app.log.1.zst": b"4\n",
        "app.log.2.zst": b"3\n",
        "app.log.3.zst": b"2\n",
    }


def test_numbers_begin_where_the_set_says(log):
    turned(log, dated=False, start=0, compress="none")
    assert names(log) == ["app.log", "app.log.0"]


def test_keep_nothing_keeps_nothing(log):
    turned(log, dated=False, keep=0)
    assert names(log) == ["app.log"]


def test_dated_files_go_by_number_the_oldest_first(log):
    for day in range(1, 7):
        aged(log.parent / f"app.log-2026100{day}.gz", 50 - day)
    (log.parent / "app.log-20261399").write_text("no date: somebody else's")
    turned(log, keep=3, compress="none")
    assert names(log) == [
        "app.log",
        "app.log-20261005.gz",
        "app.log-20261006.gz",
        "app.log-20261122",
        "app.log-20261399",
    ]


def test_age_is_judged_at_every_run_not_only_when_the_log_rotates(log):
    aged(log.parent / "app.log-20261001", 52)
    aged(log.parent / "app.log-20261120", 2)
    result = turned(log, force=False, every="monthly", max_age_days=30, compress="none")
    assert (result.rotated, len(result.removed)) == ([], 1)
    assert names(log) == ["app.log", "app.log-20261120"]


def test_a_removal_is_recorded_before_it_happens(log):
    old = aged(log.parent / "app.log-20261001", 52)
    told = []

    def record(values):
        told.append((values, old.exists()))

    turned(log, force=False, max_age_days=30, record=record)
    ((values, there),) = told
    assert there
    assert not old.exists()
    assert [file["path"] for file in values["removed"]] == [str(old)]


def test_a_hold_keeps_what_number_and_age_would_remove(log):
    old = [aged(log.parent / f"app.log-2026100{day}", 52 - day) for day in (1, 2)]
    hold = Hold(hold_id="H", path=f"{old[0]}*")
    result = turned(log, keep=0, holds=(hold,), compress="none")
    assert old[0].exists()
    assert not old[1].exists()
    assert any("hold" in sentence for sentence in result.left)


def test_nothing_goes_when_holds_cannot_be_read(log):
    old = aged(log.parent / "app.log-20261001", 52)
    result = turned(log, max_age_days=30, holds=None, compress="none")
    assert old.exists()
    assert result.code is ExitCode.INCOMPLETE
    assert names(log)[0] == "app.log"
    assert len(result.rotated) == 1


def test_nothing_goes_by_number_where_the_policy_archives(log):
    old = aged(log.parent / "app.log-20261001", 52)
    assert turned(log, max_age_days=30, removes=False, compress="none").left
    assert old.exists()


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"date_format": "-%Y-%m-%d-%H"}, "app.log-2026-11-22-03"),
        ({"date_format": ".%s"}, f"app.log.{int(NOW.timestamp())}"),
        ({"date_ago": "day"}, "app.log-20261121"),
        ({"date_ago": "hour", "date_format": "-%H"}, "app.log-02"),
        ({"extension": ".log"}, "app-20261122.log"),
        ({"add_extension": ".old"}, "app.log-20261122.old"),
        ({"dated": False, "extension": ".log"}, "app.1.log"),
    ],
)
def test_names_are_as_the_set_says(log, chosen, expected):
    turned(log, compress="none", **chosen)
    assert expected in names(log)


@pytest.mark.parametrize("method", ["copy", "copytruncate", "renamecopy"])
def test_a_copy_is_complete_and_the_log_is_what_the_method_says(log, method):
    os.utime(log, (1_700_000_000, 1_700_000_000))
    inode = log.stat().st_ino
    assert turned(log, method=method, compress="none").failures == []
    left = {"copy": b"first\n", "copytruncate": b"", "renamecopy": b""}[method]
    assert tree(log.parent) == {"app.log": left, "app.log-20261122": b"first\n"}
    assert (log.parent / "app.log-20261122").stat().st_mtime == 1_700_000_000
    assert (log.stat().st_ino == inode) == (method != "renamecopy")


def test_a_copy_keeps_holes(log):
    with log.open("r+b") as file:
        file.truncate(1 << 30)
        file.seek(0, 2)
        file.write(b"end")
    turned(log, method="copytruncate", compress="none")
    copied = log.parent / "app.log-20261122"
    assert copied.stat().st_size == (1 << 30) + 3
    assert copied.stat().st_blocks * 512 < 1 << 20


def test_no_log_is_made_where_the_set_does_not_create(log):
    turned(log, create=False)
    assert names(log) == ["app.log-20261122"]
    assert turned(log, create=False).code is ExitCode.INCOMPLETE
    assert turned(log, create=False, missing_ok=True).code is ExitCode.DONE


def test_a_new_log_gets_mode_and_owner_of_the_set(log):
    turned(log, create_mode="0604", create_owner="12", create_group="34")
    status = log.stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o604, 12, 34)
    failed = turned(log, now=NOW + WEEK, create_owner="no-such-user", rotate_empty=True)
    assert "no user no-such-user" in failed.failures[0]


def test_rotated_files_may_live_elsewhere(log):
    result = turned(log, old_dir="old")
    assert "old_dir" in result.failures[0]
    assert names(log) == ["app.log"]
    made = turned(log, old_dir="old", create_old_dir=True, old_dir_mode="0700")
    assert made.failures == []
    assert names(log.parent / "old" / "x") == ["app.log-20261122"]
    assert (log.parent / "old").stat().st_mode & 0o777 == 0o700
    other = log.parent.parent / "elsewhere"
    other.mkdir()
    log.write_text("second\n")
    turned(log, now=NOW + WEEK, old_dir=str(other), compress="none")
    assert tree(other) == {"app.log-20261129": b"second\n"}


def test_directories_may_share_the_one_of_their_rotated_files(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.log").write_text(f"{name}\n")
    chosen = {"dated": False, "keep": 1, "compress": "none", "create_old_dir": True}
    result = turned(tmp_path / "[ab]" / "app.log", old_dir=str(tmp_path / "old"), **chosen)
    assert (result.failures, len(result.rotated)) == ([], 2)
    assert tree(tmp_path / "old") == {"app.log.1": b"b\n"}
    assert "both rotate into" in result.left[0]
    again = turned(tmp_path / "[ab]" / "app.log", old_dir=str(tmp_path / "old"), force=False, **chosen)
    assert again.failures == []


def test_the_directory_of_rotated_files_may_be_named_though_it_is_the_same(log):
    assert turned(log, old_dir=".", compress="none").failures == []
    assert names(log) == ["app.log", "app.log-20261122"]


def test_an_old_dir_that_others_may_write_to_is_trusted_only_where_the_set_says_so(log):
    old = log.parent / "old"
    old.mkdir()
    old.chmod(0o777)
    assert "everybody may write to" in turned(log, old_dir="old").failures[0]
    assert turned(log, old_dir="old", trust_old_dir=True).failures == []
    assert tree(old) == {"app.log-20261122": b"first\n"}
    log.parent.chmod(0o777)
    log.write_text("x\n")
    assert (
        "everybody may write to" in turned(log, old_dir="old", trust_old_dir=True, now=NOW + WEEK).failures[0]
    )


def acl(group_mode, user_mode):
    """A list that lets user 65534 in, as the kernel keeps it: tag, rights and number of each."""
    entries = ((1, 6, -1), (2, user_mode, 65534), (4, group_mode, -1), (16, user_mode, -1), (32, 0, -1))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def test_access_control_lists_stay_with_a_log_its_successor_and_its_copies(log):
    attribute = "system.posix_acl_access"
    os.setxattr(log, attribute, acl(0, 6))
    assert turned(log, delay_compress=False).failures == []
    for path in (log, log.parent / "app.log-20261122.zst"):
        assert os.getxattr(path, attribute) == acl(0, 6)
    assert turned(log, now=NOW + WEEK, rotate_empty=True, create_mode="0600").failures == []
    assert attribute not in os.listxattr(log)
    log.write_text("x\n")
    os.setxattr(log, attribute, acl(4, 4))
    assert turned(log, now=NOW + 2 * WEEK, method="copytruncate", compress="none").failures == []
    assert os.getxattr(log.parent / "app.log-20261206", attribute) == acl(4, 4)


def test_another_device_needs_renamecopy(log):
    with small_disk(log.parent / "other", 4):
        failed = turned(log, old_dir="other", compress="none")
        assert "renamecopy" in failed.failures[0]
        assert tree(log.parent) == {"app.log": b"first\n"}
        done = turned(log, old_dir="other", compress="none", method="renamecopy")
        assert done.failures == []
        assert tree(log.parent / "other") == {"app.log-20261122": b"first\n"}


def test_empty_logs_rotate_only_where_the_set_says(log):
    log.write_text("")
    assert turned(log).rotated == []
    assert len(turned(log, rotate_empty=True).rotated) == 1


@pytest.mark.parametrize(
    ("size", "chosen", "rotates"),
    [
        (10, {"every": "size", "size": 10}, True),
        (9, {"every": "size", "size": 10}, False),
        (10, {"max_size": 10}, False),
        (11, {"max_size": 10}, True),
        (11, {"every": "daily", "min_size": 12, "first_run": "rotate"}, False),
        (12, {"every": "daily", "min_size": 12, "first_run": "rotate"}, True),
        (12, {"every": "daily", "min_age_days": 3, "first_run": "rotate"}, False),
    ],
)
def test_size_and_age_decide_as_the_set_says(log, size, chosen, rotates):
    log.write_bytes(b"x" * size)
    os.utime(log, (NOW.timestamp() - 3600, NOW.timestamp() - 3600))
    assert bool(turned(log, force=False, **chosen).rotated) is rotates


def test_the_first_run_is_decided_by_what_the_log_says_of_itself(log):
    log.write_text("2026-11-01T00:00:00Z started\n")
    assert len(turned(log, force=False).rotated) == 1
    log.write_text("2026-11-21T00:00:00Z started\n")
    assert turned(log, force=False, now=NOW + DAY).rotated == []


@pytest.mark.parametrize("first", ["wait", "age"])
def test_a_log_that_tells_nothing_starts_its_clock_and_rotates_a_week_later(log, first):
    assert turned(log, force=False, first_run=first).rotated == []
    assert turned(log, force=False, first_run=first, now=NOW + 6 * DAY).rotated == []
    assert len(turned(log, force=False, first_run=first, now=NOW + WEEK).rotated) == 1


def test_a_lost_state_loses_nothing_where_names_tell(log):
    aged(log.parent / "app.log-20261115", 7)
    assert len(turned(log, force=False, now=NOW).rotated) == 1
    for own in log.parent.glob(".luxima*"):
        own.unlink()
    log.write_text("again\n")
    assert turned(log, force=False, now=NOW + 3 * DAY).rotated == []


def test_numbers_remember_in_a_state_beside_the_logs_or_in_one_file(log, tmp_path):
    for rotation in ({}, {"state_file": str(tmp_path / "status")}):
        chosen = {"dated": False, "compress": "none", "rotation": rotation}
        assert len(turned(log, **chosen).rotated) == 1
        log.write_text("more\n")
        assert turned(log, force=False, now=NOW + DAY, **chosen).rotated == []
        assert len(turned(log, force=False, now=NOW + WEEK, **chosen).rotated) == 1
        log.write_text("more\n")
    assert str(log) in (tmp_path / "status").read_text()


def test_a_failed_rotation_is_due_again_at_the_next_run(log):
    hook = {"before": [{"run": ["false"]}], "first_run": "rotate"}
    failed = turned(log, force=False, **hook)
    assert failed.code is ExitCode.INCOMPLETE
    assert names(log) == ["app.log"]
    assert len(turned(log, force=False, now=NOW + timedelta(minutes=5), first_run="rotate").rotated) == 1


# Hooks.


def test_hooks_come_in_their_order_with_their_arguments(log):
    told = log.parent.parent / "told"
    script = 'echo "$0 $*" >> ' + str(told)
    hooks = {
        name: [{"run": ["/bin/sh", "-c", script, name, "{path}", "{rotated}"]}]
        for name in ("first", "before", "after", "before_removal", "last")
    }
    (log.parent / "b.log").write_text("b\n")
    aged(log.parent / "app.log-20261001", 52)
    pattern = log.parent / "*.log"
    assert turned(pattern, keep=1, compress="none", **hooks).failures == []
    there = log.parent
    assert told.read_text().splitlines() == [
        f"first {pattern} ",
        f"before {there}/app.log ",
        f"after {there}/app.log {there}/app.log-20261122",
        f"before {there}/b.log ",
        f"after {there}/b.log {there}/b.log-20261122",
        f"before_removal {there}/app.log-20261001 {there}/app.log-20261001",
        f"last {pattern} ",
    ]


def test_shared_hooks_run_once_and_only_if_something_rotates(log):
    told = log.parent.parent / "told"
    hooks = {
        name: [{"run": ["/bin/sh", "-c", f'echo "$0 $1" >> {told}', name, "{path}"]}]
        for name in ("before", "after")
    }
    (log.parent / "b.log").write_text("b\n")
    pattern = log.parent / "*.log"
    turned(pattern, shared_hooks=True, force=False, **hooks)
    assert not told.exists()
    turned(pattern, shared_hooks=True, **hooks)
    assert told.read_text() == f"before {pattern}\nafter {pattern}\n"


@pytest.mark.parametrize("event", ["first", "before"])
def test_a_hook_that_fails_first_keeps_the_log(log, event):
    result = turned(log, **{event: [{"run": ["false"]}]})
    assert "ended with status 1" in result.failures[0]
    assert tree(log.parent) == {"app.log": b"first\n"}


def test_a_shared_hook_that_fails_first_keeps_the_whole_set(log):
    (log.parent / "b.log").write_text("b\n")
    turned(log.parent / "*.log", shared_hooks=True, before=[{"run": ["false"]}])
    assert names(log) == ["app.log", "b.log"]


@pytest.mark.parametrize("shared", [True, False])
def test_a_hook_that_fails_afterwards_is_run_again_at_the_next_run(log, shared):
    flag = log.parent.parent / "flag"
    hook = {"after": [{"run": ["test", "-e", str(flag)]}], "shared_hooks": shared, "compress": "none"}
    assert turned(log, **hook).code is ExitCode.INCOMPLETE
    assert names(log) == ["app.log", "app.log-20261122"]
    assert turned(log, force=False, now=NOW + DAY, **hook).code is ExitCode.INCOMPLETE
    flag.touch()
    assert turned(log, force=False, now=NOW + DAY, **hook).failures == []
    flag.unlink()
    assert turned(log, force=False, now=NOW + DAY, **hook).failures == []


@pytest.mark.parametrize("shared", [True, False])
def test_nothing_more_becomes_of_a_log_until_its_writer_was_told(log, shared):
    old = [aged(log.parent / f"app.log-2026100{day}", 50 - day) for day in (1, 2)]
    other = log.parent / "b.log"
    other.write_text("b\n")
    flag = log.parent.parent / "flag"
    only = f"case $1 in *app.log|*'*.log') test -e {flag};; esac"
    hook = {"run": ["/bin/sh", "-c", only, "sh", "{path}"]}
    chosen = {"after": [hook], "shared_hooks": shared, "keep": 1, "delay_compress": False}
    result = turned(log.parent / "*.log", **chosen)
    assert f"hook after {'shared by' if shared else 'of'} {log.parent}" in result.failures[0]
    assert all(path.exists() for path in old)
    assert (log.parent / "app.log-20261122").read_text() == "first\n"
    assert (log.parent / "b.log-20261122.zst").exists() is not shared
    flag.touch()
    assert turned(log.parent / "*.log", force=False, now=NOW + DAY, **chosen).failures == []
    assert names(log) == ["app.log", "app.log-20261122.zst", "b.log", "b.log-20261122.zst"]


def test_first_and_last_also_run_where_what_is_due_cannot_rotate(log):
    told = log.parent.parent / "told"
    hooks = {name: [{"run": ["/bin/sh", "-c", f"echo {name} >> {told}"]}] for name in ("first", "last")}
    (log.parent / "app.log-20261122").write_text("earlier\n")
    assert "already exists" in turned(log, **hooks).failures[0]
    assert told.read_text() == "first\nlast\n"
    assert turned(log, force=False, now=NOW + DAY, **hooks).failures == []
    assert told.read_text() == "first\nlast\n"


def test_a_set_that_shares_its_hooks_waits_for_a_log_that_is_missing(log):
    pair = {"paths": [str(log), str(log.parent / "none.log")], "every": "size", "size": 1}
    (alone,) = rotate(sets(pair | {"shared_hooks": True}), Terms(now=NOW, read_only=False))
    assert ("matches no log" in alone.failures[0], alone.rotated) == (True, [])
    (apart,) = rotate(sets(pair), Terms(now=NOW, read_only=False))
    assert ("matches no log" in apart.failures[0], len(apart.rotated)) == (True, 1)


def test_a_removal_whose_hook_fails_keeps_that_file_and_no_other(log):
    old = [aged(log.parent / f"app.log-2026100{day}", 50 - day) for day in (1, 2, 3)]
    told = log.parent.parent / "told"
    script = f'echo "$1" >> {told}; case $1 in *02) exit 4;; esac'
    chosen = {
        "keep": 1,
        "compress": "none",
        "before_removal": [{"run": ["/bin/sh", "-c", script, "sh", "{path}"]}],
    }
    result = turned(log, **chosen)
    assert f"hook before_removal of {old[1]}: /bin/sh ended with status 4" in result.failures[0]
    assert [path.exists() for path in old] == [False, True, False]
    assert told.read_text().splitlines() == [str(path) for path in old]  # the oldest first
    assert [value["path"] for value in result.removed] == [str(old[0]), str(old[2])]


def test_the_oldest_of_every_log_goes_first(log):
    told = log.parent.parent / "told"
    (log.parent / "b.log").write_text("b\n")
    for name in ("app.log.1", "b.log.1"):
        aged(log.parent / name, 7)
    hook = {"run": ["/bin/sh", "-c", f'basename "$1" >> {told}', "sh", "{path}"]}
    turned(log.parent / "*.log", dated=False, keep=0, before_removal=[hook])
    assert told.read_text().split() == ["app.log.2", "b.log.2", "app.log.1", "b.log.1"]


def test_a_hook_that_never_ends_is_ended_with_all_that_it_started(log):
    begun = time.monotonic()
    result = turned(log, before=[{"run": ["/bin/sh", "-c", "sleep 60 & sleep 60"], "timeout": "1s"}])
    assert "took longer" in result.failures[0]
    assert time.monotonic() - begun < 10


def test_a_pid_file_gets_its_signal(log):
    child = subprocess.Popen(
        [sys.executable, "-c", "import signal; print(flush=True); signal.sigwait([signal.SIGUSR1])"],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]),  # noqa: PLW1509
    )
    assert child.stdout is not None
    child.stdout.readline()
    pid = log.parent.parent / "pid"
    pid.write_text(f"{child.pid}\n")
    assert turned(log, after=[{"pid_file": str(pid), "signal": "USR1"}]).failures == []
    assert child.wait(10) == 0
    child.stdout.close()


@pytest.mark.parametrize("text", ["", "1", "0", "-1", "word", "99999999"])
def test_a_pid_file_that_names_no_process_is_told(log, text):
    pid = log.parent.parent / "pid"
    pid.write_text(text)
    assert len(turned(log, after=[{"pid_file": str(pid)}]).failures) == 1
    missing = turned(log, now=NOW + WEEK, rotate_empty=True, after=[{"pid_file": "/no/such/pid"}])
    assert any("does not hold the number of a process" in sentence for sentence in missing.failures)


class Receiver(http.server.BaseHTTPRequestHandler):
    got: ClassVar[list[dict[str, object]]] = []
    status = 204

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append(json.loads(body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *values):
        """Quiet."""


@pytest.mark.parametrize("status", [204, 302, 500])
def test_an_address_gets_the_paths_and_must_agree(log, status):
    Receiver.got, Receiver.status = [], status
    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        result = turned(log, after=[{"url": f"http://127.0.0.1:{server.server_port}/reopen"}])
        server.shutdown()
        thread.join()
    assert Receiver.got == [{"event": "after", "paths": [str(log)], "rotated": f"{log}-20261122"}]
    assert bool(result.failures) == (status != 204)


def test_hooks_do_not_see_our_secrets(log, monkeypatch):
    monkeypatch.setenv("LUXIMA_DATABASE__DSN", "postgresql://secret")
    out = log.parent.parent / "environment"
    turned(log, after=[{"run": ["/bin/sh", "-c", f"env > {out}"]}])
    assert "postgresql" not in out.read_text()
    assert "PATH=" in out.read_text()


# Accidents.


def test_what_is_no_regular_file_of_one_name_is_left_alone_and_told(log):
    there = log.parent
    secret = there.parent / "secret"
    secret.write_text("secret\n")
    (there / "symlink.log").symlink_to(secret)
    os.link(secret, there / "hard.log")
    os.mkfifo(there / "fifo.log")
    (there / "directory.log").mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(there / "socket.log"))
        result = turned(there / "*.log")
    assert len(result.left) == 5
    assert len(result.rotated) == 1
    assert secret.read_text() == "secret\n"
    assert (there / "symlink.log").is_symlink()
    assert result.code is ExitCode.DONE


def test_hard_links_rotate_where_the_set_allows_them(log):
    os.link(log, log.parent.parent / "other")
    assert turned(log).rotated == []
    assert len(turned(log, allow_hard_links=True).rotated) == 1


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o1777])
def test_a_directory_that_everybody_may_write_to_is_refused_and_explained(log, mode):
    log.parent.chmod(mode)
    result = turned(log)
    assert "everybody may write" in result.failures[0]
    assert "trust_directory" in result.failures[0]
    assert tree(log.parent) == {"app.log": b"first\n"}
    assert len(turned(log, trust_directory=True).rotated) == 1


def test_a_directory_of_a_foreign_group_is_refused(log):
    os.chown(log.parent, 0, 4711)
    log.parent.chmod(0o775)
    assert "group 4711 may write" in turned(log).failures[0]
    os.chown(log.parent, 0, 0)
    assert turned(log).failures == []


def test_a_directory_that_is_swapped_for_a_link_is_not_followed(log, monkeypatch):
    """Whoever owns the directory above may put another one in its place at any moment."""
    victim = log.parent.parent / "victim"
    victim.mkdir()
    (victim / "app.log").write_text("precious\n")
    real = safe._rename

    def swap(*values):
        if not log.parent.is_symlink():
            log.parent.rename(log.parent.parent / "moved")
            log.parent.symlink_to(victim)
        real(*values)

    monkeypatch.setattr(safe, "_rename", swap)
    turned(log, delay_compress=False, keep=0)
    assert tree(victim) == {"app.log": b"precious\n"}
    assert tree(log.parent.parent / "moved") == {"app.log": b""}


def test_a_name_that_is_taken_is_never_overwritten(log):
    for taken in ("app.log-20261122", "app.log-20261122.zst"):
        there = log.parent / taken
        there.write_text("mine\n")
        result = turned(log, delay_compress=True)
        assert "already exists" in result.failures[0]
        assert there.read_text() == "mine\n"
        assert log.read_text() == "first\n"
        there.unlink()
    assert turned(log).failures == []


def test_a_log_that_vanishes_is_told_and_the_others_rotate(log, monkeypatch):
    (log.parent / "b.log").write_text("b\n")
    real = safe._rename

    def vanish(old_fd, old, new_fd, new):
        if old == "app.log":
            log.unlink()
        real(old_fd, old, new_fd, new)

    monkeypatch.setattr(safe, "_rename", vanish)
    result = turned(log.parent / "*.log", create=False)
    assert "vanished" in result.left[0]
    assert [entry["path"] for entry in result.rotated] == [str(log.parent / "b.log")]


def test_nothing_matches_is_an_error_unless_the_set_says_otherwise(tmp_path):
    for pattern in (tmp_path / "*.log", tmp_path / "none" / "*.log", tmp_path / "exact.log"):
        assert "matches no log" in turned(pattern).failures[0]
        assert turned(pattern, missing_ok=True).failures == []


def test_a_directory_that_cannot_be_listed_is_never_an_empty_one(log):
    log.parent.chmod(0o711)
    child = os.fork()
    if not child:
        status = 2
        try:
            os.setgid(4711)
            os.setuid(4711)
            state = {"state_dir": tempfile.mkdtemp()}
            result = turned(log.parent / "*.log", missing_ok=True, rotation=state)
            status = 0 if result.failures and "cannot be" in result.failures[0] else 1
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_one_log_in_two_sets_rotates_once_and_is_told(log):
    made = sets({"paths": [str(log)]}, {"paths": [str(log.parent / "*.log")]})
    first, second = rotate(made, Terms(now=NOW, force=True, read_only=False))
    assert len(first.rotated) == 1
    assert "belongs to set a already" in second.failures[0]


def test_rotated_files_are_not_logs_even_where_the_pattern_takes_them(log):
    for round_ in range(3):
        log.write_text(f"{round_}\n")
        turned(log.parent / "*", now=NOW + round_ * WEEK, compress="none")
    assert names(log) == ["app.log", "app.log-20261122", "app.log-20261129", "app.log-20261206"]


def test_a_dry_run_writes_nothing_and_says_what_would_be_done(log):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in log.parent.iterdir())
    mtime = log.parent.stat().st_mtime_ns
    result = turned(log, read_only=True, keep=0)
    assert [entry["to"] for entry in result.rotated] == [f"{log}-20261122"]
    assert sorted((path.name, path.stat().st_mtime_ns) for path in log.parent.iterdir()) == before
    assert log.parent.stat().st_mtime_ns == mtime


def test_two_rotations_at_once_do_not_meet(log, tmp_path):
    folder = Folder.open_own(str(tmp_path / "own"), make=True)
    own = {"state_dir": str(tmp_path / "own")}
    for name in (lock_of(safe.Directory.open(str(log.parent)))[0], f"set {name_of('a', [str(log)])}"):
        locks = Locks(folder)
        locks.take(name, "")
        result = turned(log, rotation=own)
        assert (result.code, result.rotated) == (ExitCode.LOCKED, [])
        locks.close()
    assert (tmp_path / "own" / "rotation.locks").stat().st_mode & 0o777 == 0o600
    status = tmp_path / "status"
    status.touch(mode=0o640)
    with status.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BusyError):
            turned(log, rotation={"state_file": str(status)})
    assert len(turned(log, rotation={"state_file": str(status)}).rotated) == 1


def test_a_lock_that_anybody_could_have_taken_holds_nothing_up_and_is_taken_away(log, tmp_path):
    status = tmp_path / "status"
    status.touch()
    status.chmod(0o644)
    with status.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert len(turned(log, rotation={"state_file": str(status)}).rotated) == 1
    assert status.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("read_only", [True, False])
def test_a_state_file_without_a_directory_is_told(log, tmp_path, read_only):
    with pytest.raises(StoreError, match="none/state, whose directory is missing"):
        turned(log, rotation={"state_file": str(tmp_path / "none" / "state")}, read_only=read_only)
    assert names(log) == ["app.log"]


@contextlib.contextmanager
def small_disk(path: Path, mib: int) -> Iterator[Path]:
    """A file system of its own, as large as that."""
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def test_a_full_disk_loses_nothing(tmp_path):
    with small_disk(tmp_path / "disk", 3) as disk:
        log = disk / "app.log"
        data = os.urandom(2 << 20)
        log.write_bytes(data)
        for method in ("copy", "copytruncate"):
            result = turned(log, method=method, compress="none")
            assert "make room" in result.failures[0]
            assert tree(disk) == {"app.log": data}
        result = turned(log, delay_compress=False)
        assert "make room" in result.failures[0]
        assert tree(disk) == {"app.log": b"", "app.log-20261122": data}
        assert not list(disk.glob("*.tmp"))


def test_a_volume_without_room_for_the_journal_leaves_the_log(tmp_path):
    with small_disk(tmp_path / "disk", 1) as disk:
        log = disk / "app.log"
        subprocess.run(["dd", "if=/dev/zero", f"of={log}", "bs=4k"], capture_output=True, check=False)
        assert os.statvfs(disk).f_bavail == 0
        size = log.stat().st_size
        result = turned(log, rotation={"state_dir": str(disk / "own")})
        assert result.failures
        assert sum(path.stat().st_size for path in disk.glob("app.log*")) == size


def test_a_read_only_volume_is_told(tmp_path):
    with small_disk(tmp_path / "disk", 1) as disk:
        (disk / "app.log").write_text("first\n")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        result = turned(disk / "app.log")
        assert "mount the volume for writing" in result.failures[0]
        assert (disk / "app.log").read_text() == "first\n"


def test_a_file_that_is_still_written_to_is_not_compressed_yet(log):
    with log.open("a") as writer:
        result = turned(log, delay_compress=False)
        assert "still open for writing" in result.left[0]
        writer.write("late\n")
    assert tree(log.parent) == {"app.log": b"", "app.log-20261122": b"first\nlate\n"}
    turned(log, force=False, delay_compress=False)
    assert tree(log.parent) == {"app.log": b"", "app.log-20261122.zst": b"first\nlate\n"}


def test_both_a_plain_and_a_compressed_file_are_compared_before_one_goes(log):
    turned(log, delay_compress=False)
    packed = log.parent / "app.log-20261122.zst"
    plain = log.parent / "app.log-20261122"
    plain.write_text("first\n")
    assert turned(log, force=False, delay_compress=False).failures == []
    assert (plain.exists(), packed.exists()) == (False, True)


def test_a_compressed_file_of_somebody_else_is_set_aside_where_it_stands_in_the_way(log):
    aged(log.parent / "app.log.1", 3, "one\n")
    subprocess.run(["gzip", aged(log.parent / "app.log.2", 9)], check=True)
    stranger = log.parent / "app.log.1.gz"
    stranger.write_text("not compressed at all\n")
    numbered = {"dated": False, "keep": 3, "compress": "gzip"}
    dry = turned(log, read_only=True, **numbered)
    assert (dry.failures, stranger.exists(), dry.removed) == ([], True, [])
    result = turned(log, **numbered)
    assert (result.failures, result.removed) == ([], [])
    assert "app.log.1.gz does not hold what app.log.1 does" in result.left[0]
    there = names(log)
    assert there == ["app.log", "app.log.1", "app.log.1.gz-2026112203.backup", "app.log.2.gz", "app.log.3.gz"]
    assert (log.parent / there[2]).read_text() == "not compressed at all\n"
    assert tree(log.parent)["app.log.2.gz"] == b"one\n"


def test_a_pair_that_somebody_writes_to_or_was_set_aside_before_is_told_and_kept(log):
    plain = aged(log.parent / "app.log.1", 3, "one\n")
    (log.parent / "app.log.1.gz").write_text("other\n")
    numbered = {"dated": False, "compress": "gzip", "force": False, "first_run": "wait"}
    with plain.open("a"):
        assert "still open for writing" in turned(log, **numbered).left[0]
    (log.parent / "app.log.1.gz-2026112203.backup").touch()
    assert "already exists" in turned(log, **numbered).failures[0]
    assert plain.read_text() + (log.parent / "app.log.1.gz").read_text() == "one\nother\n"


def test_names_of_every_kind_rotate(log):
    odd = [
        "a b.log",
        "ü.log",
        "x" * 236 + ".log",
        "quote'\".log",
        "-rf.log",
        "new\nline.log",
        os.fsdecode(b"\xff\xfe.log"),
    ]
    for name in odd:
        (log.parent / name).write_text("x\n")
    result = turned(log.parent / "*.log", delay_compress=False, dated=False)
    assert result.failures == []
    assert len(result.rotated) == len(odd) + 1
    too_long = log.parent / ("y" * 251 + ".log")
    too_long.write_text("x\n")
    assert "name too long" in turned(too_long).failures[0].lower()
    assert too_long.read_text() == "x\n"


def test_a_set_is_worked_on_as_its_user():
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "app.log"
        log.write_text("first\n")
        log.parent.chmod(0o777)
        os.chown(log, 65534, 65534)
        os.chown(log.parent, 65534, 65534)
        result = turned(log, user="nobody", delay_compress=False)
        assert result.failures == []
        assert {path.stat().st_uid for path in log.parent.iterdir()} == {65534}
        assert len(list(log.parent.glob("app.log*"))) == 2
        assert "no user nowhere" in turned(log, user="nowhere").failures[0]
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_a_run_that_is_stopped_stops_between_logs(log):
    for index in range(5):
        (log.parent / f"{index}.log").write_text("x\n")
    turns = iter([False, False, True])
    result = turned(log.parent / "*.log", stopping=lambda: next(turns, True), compress="none")
    assert (len(result.rotated), result.code) == (2, ExitCode.STOPPED)
    assert len(turned(log.parent / "*.log", now=NOW + DAY, compress="none").rotated) == 4


def test_many_files_take_little_memory(tmp_path):
    directory = tmp_path / "many"
    directory.mkdir()
    for number in range(MANY * 1000):
        (directory / f"{number}.log").touch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = turned(directory / "*.log", force=False)
    assert (result.logs, result.waiting["empty"]) == (MANY * 1000, MANY * 1000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 << 10


def test_of_many_files_some_are_told_all_are_counted_and_each_is_recorded_once(tmp_path):
    directory = tmp_path / "many"
    directory.mkdir()
    many = [directory / f"{number}.log" for number in range(1100)]
    for path in many:
        path.write_text("x\n")
    entries = []
    result = turned(directory / "*.log", delay_compress=False, record=entries.append)
    entries.append(result.entry(ends=True))
    assert (result.failures, result.rotated.total, result.compressed.total) == ([], 1100, 1100)
    assert result.as_json()["rotated"] == {"count": 1100, "items": list(result.rotated), "bytes": 2200}
    assert len(result.rotated) == len(result.compressed) == 100
    assert len(entries) == 3
    recorded = [file["path"] for entry in entries for file in entry["compressed"]]
    assert sorted(recorded) == sorted(f"{path}-20261122.zst" for path in many)
    assert [entry["rotated"] for entry in entries] == [0, 0, 1100]
    assert not list(directory.glob("*.journal*"))


def test_a_ledger_that_fails_on_the_way_is_told_and_what_was_compressed_stays(tmp_path):
    directory = tmp_path / "many"
    directory.mkdir()
    for number in range(520):
        (directory / f"{number}.log").write_text("x\n")

    def record(_values):
        raise StoreError("the ledger cannot be written")

    result = turned(directory / "*.log", delay_compress=False, record=record)
    assert set(result.failures) == {"the ledger cannot be written"}
    assert len(list(directory.glob("*.zst"))) == 520


# Patterns.


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("[^b]*.log", ["a.log", "1.log", "odd[1].log"]),
        ("[!b]*.log", ["a.log", "1.log", "odd[1].log"]),
        ("[[:digit:]].log", ["1.log"]),
        ("[[:alpha:]].log", ["a.log", "b.log"]),
        ("?.log", ["a.log", "b.log", "1.log"]),
        ("*", ["a.log", "b.log", "1.log", "odd[1].log"]),
        (".*.log", [".hidden.log"]),
        ("odd\\[1].log", ["odd[1].log"]),
        ("{a,b}.log", []),
    ],
)
def test_patterns_are_those_of_glob(tmp_path, pattern, matched):
    for name in ("a.log", "b.log", "1.log", ".hidden.log", "odd[1].log"):
        (tmp_path / name).write_text("x\n")
    result = turned(tmp_path / pattern, missing_ok=True, compress="none")
    assert sorted(entry["path"] for entry in result.rotated) == sorted(
        f"{tmp_path}/{name}" for name in matched
    )


def test_a_pattern_may_begin_at_home(log, monkeypatch):
    monkeypatch.setenv("HOME", str(log.parent))
    assert turned("~/*.log").rotated.total == 1
    assert "there is no user nosuchuser" in turned("~nosuchuser/*.log").failures[0]


# Scale and patience.


def test_more_directories_than_descriptors_rotate(tmp_path):
    """Also where the hard limit is no higher."""
    for number in range(600):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "app.log").write_text("x\n")
    process = os.fork()
    if not process:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
            result = turned(tmp_path / "*" / "app.log", delay_compress=False, old_dir="../old")
            status = 0 if "old_dir" in result.failures[0] else 2
            result = turned(tmp_path / "*" / "app.log", delay_compress=False)
            status = status or int((result.failures, result.compressed.total) != ([], 600))
        finally:
            os._exit(status)
    assert os.waitpid(process, 0)[1] == 0


def test_writers_that_never_reopen_are_waited_for_once_and_told(tmp_path):
    writers = []
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        path = tmp_path / str(number) / "app.log"
        path.write_text("x\n")
        writers.append(path.open("a"))
    begun = time.monotonic()
    result = turned(tmp_path / "*" / "app.log", delay_compress=False)
    waited = time.monotonic() - begun
    for writer in writers:
        writer.close()
    assert sum("still open for writing" in said for said in result.left) == 10
    assert 5 <= waited < 25  # once; ten times would be 50
    assert turned(tmp_path / "*" / "app.log", delay_compress=False, force=False).compressed.total == 10


def test_a_run_that_should_end_does_not_wait_for_writers(log):
    with log.open("a"):
        begun = time.monotonic()
        turns = iter([False, False])
        result = turned(log, delay_compress=False, stopping=lambda: next(turns, True))
        assert time.monotonic() - begun < 5
    assert "still open for writing" in result.left[0]


# Dates that are not of this time.


def test_a_file_of_1904_rotates_and_goes(log):
    os.utime(log, (-2_082_844_800, -2_082_844_800))
    result = turned(log, delay_compress=False, max_age_days=30)
    assert (result.failures, result.rotated.total, result.removed.total) == ([], 1, 1)
    (log.parent / "app.log-19040101").write_text("old\n")
    result = turned(log, force=False, keep=3)
    assert (result.failures, names(log)) == ([], ["app.log", "app.log-19040101"])


def test_a_file_dated_in_the_future_neither_goes_nor_holds_a_place(log):
    for name in ("app.log-20991231", "app.log-20261101", "app.log-20261108", "app.log-20261115"):
        aged(log.parent / name, 3)
    log.write_text("")
    turned(log, force=False, keep=2, compress="none", first_run="wait")
    assert names(log) == ["app.log", "app.log-20261108", "app.log-20261115", "app.log-20991231"]


# Mail and shred.


@pytest.mark.parametrize("reads", [True, False])
def test_a_mail_program_that_hangs_is_ended_and_keeps_the_file(log, monkeypatch, reads):
    """Whether it reads what it is given and never ends, or does not even read."""
    monkeypatch.setattr(removal_module, "_PATIENCE", 1.0)
    mailer = log.parent.parent / "mailer"
    mailer.write_text(f"#!/bin/sh\n{'cat > /dev/null' if reads else ':'}\nsleep 1000\n")
    mailer.chmod(0o755)
    log.write_text("line\n" * 100_000)  # more than a pipe takes
    chosen = {"keep": 1, "compress": "none", "mail": "me@example.org", "mail_newest": True}
    begun = time.monotonic()
    done = turned(log, rotation={"mail_program": str(mailer)}, **chosen)
    assert time.monotonic() - begun < 60
    assert "ended with status -9" in done.failures[0]


def test_what_goes_is_mailed_decompressed_and_a_mail_that_fails_keeps_it(log):
    out = log.parent.parent / "out"
    mailer = log.parent.parent / "mailer"
    mailer.write_text(f'#!/bin/sh\necho "$@" >> {out}\ncat >> {out}\n')
    mailer.chmod(0o755)
    chosen = {
        "dated": False,
        "compress": "gzip",
        "delay_compress": False,
        "keep": 1,
        "mail": "me@example.org",
    }
    turned(log, **chosen)
    log.write_text("second\n")
    failing = turned(log, rotation={"mail_program": "false"}, **chosen)
    assert "was not sent to me@example.org: false ended with status 1" in failing.failures[0]
    assert names(log) == ["app.log", "app.log.1.gz", "app.log.2.gz"]
    mailing = {"mail_program": str(mailer)}
    assert turned(log, rotation=mailing, force=False, **chosen).failures == []
    assert out.read_text() == f"-s {log}.2.gz me@example.org\nfirst\n"
    out.unlink()
    log.write_text("third\n")
    turned(log, rotation=mailing, **{**chosen, "mail_newest": True})
    assert out.read_text() == f"-s {log} me@example.org\nthird\n"


def test_what_goes_is_overwritten_first(log):
    chosen = {"dated": False, "compress": "none", "keep": 1, "shred": True, "shred_cycles": 1}
    turned(log, **chosen)
    other = log.parent.parent / "other"
    log.write_text("second\n")
    with (log.parent / "app.log.1").open("rb") as seen:
        assert turned(log, **chosen).failures == []
        assert b"first" not in seen.read()
    os.link(log.parent / "app.log.1", other)
    log.write_text("third\n")
    turned(log, **chosen)
    assert other.read_text() == "second\n"


def test_minutes_are_counted_by_the_clock(log):
    chosen = {"every": "minutes", "minutes": 5, "force": False, "dated": False, "compress": "none"}
    turned(log, first_run="wait", **chosen)
    for seconds, rotated in ((200, 0), (299, 0), (300, 1)):
        result = turned(log, now=NOW + timedelta(seconds=seconds), first_run="wait", **chosen)
        assert result.rotated.total == rotated, seconds


def test_a_fault_that_nobody_has_foreseen_is_told_and_the_other_sets_go_on(log, monkeypatch):
    other = log.parent / "b.log"
    other.write_text("x\n")
    real = safe._rename

    def fault(old_fd, old, new_fd, new):
        if old == "app.log":
            raise ZeroDivisionError("odd")
        real(old_fd, old, new_fd, new)

    monkeypatch.setattr(safe, "_rename", fault)
    made = sets({"paths": [str(log)]}, {"paths": [str(other)]})
    first, second = rotate(made, Terms(now=NOW, force=True, read_only=False))
    assert "unexpected fault: ZeroDivisionError: odd" in first.failures[0]
    assert (first.code, second.failures, second.rotated.total) == (ExitCode.FAULT, [], 1)
