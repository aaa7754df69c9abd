"""Whoever owns a directory of logs attacks the rotation that root runs there, at each step on the way.

An attack is a swap at a moment, never a race that luck decides: at each failpoint he has his turn, as user
4711, in a process of his own that has no other rights. Whoever is not root runs these tests as root of a user
namespace with subordinate users (subuid(5)):
``unshare --user --map-root-user --map-auto python -m pytest tests/integration/test_logfiles_attacks.py``.
"""

from __future__ import annotations

import os
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from luxima_retention.core.errors import ExitCode, StoreError
from luxima_retention.core.plan import Hold
from luxima_retention.stores.logfiles import child, moving, safe, turn
from luxima_retention.stores.logfiles.folder import Folder, state_path
from tests.integration.logsets import NOW, WEEK, sets, turned

ATTACKER = 4711
SECRET = "root-secret\n"
#: where the attacker's turn comes, as the failpoints of the rotation are named
POINTS = (
    "rotate.before_move",
    "rotate.after_move",
    "rotate.after_create",
    "rotate.after_hooks",
    "rotate.before_name",
    "rotate.before_truncate",
    "rotate.after_compress",
    "rotate.before_unlink",
)


class World:
    """A directory that the attacker owns, and one of root's that he must not reach."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.theirs = top / "theirs"
        self.logs = self.theirs / "logs"
        self.victim = top / "victim"
        self.own = {"state_dir": str(top / "own")}
        self.failed = False
        top.chmod(0o755)
        for directory in (self.theirs, self.logs, self.victim):
            directory.mkdir(mode=0o755)
        self.victim.chmod(0o700)
        (self.victim / "secret").write_text(SECRET)
        (self.victim / "secret").chmod(0o600)
        (self.victim / "app.log").write_text(SECRET)
        (self.victim / "app.log").chmod(0o600)
        self.fill()
        self.before = self.seen()

    def fill(self) -> None:
        (self.logs / "app.log").write_text("line\n")
        os.chown(self.logs / "app.log", ATTACKER, ATTACKER)
        for directory in (self.theirs, self.logs):
            os.chown(directory, ATTACKER, ATTACKER)

    def seen(self) -> dict[str, tuple[object, ...]]:
        """All that is root's: what is there, whose, with which mode, and what it holds."""
        found = {}
        for path in [self.victim, *sorted(self.victim.rglob("*"))]:
            status = path.lstat()
            held = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found[str(path)] = (status.st_uid, status.st_mode, status.st_nlink, held)
        return found

    def check(self) -> None:
        """Nothing of root's has changed, and nothing of it has come to the attacker."""
        assert not self.failed, "the attack itself has failed"
        assert self.seen() == self.before
        for path in self.theirs.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert SECRET.encode() not in path.read_bytes(), path

    def attack(self, action: Callable[[], None]) -> None:
        """What the attacker does, with his rights alone."""
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(ATTACKER)
        os.seteuid(ATTACKER)
        try:
            action()
        except OSError:
            self.failed = True
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that others may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def world(place: Path) -> World:
    return World(place)


def at(monkeypatch: pytest.MonkeyPatch, point: str, action: Callable[[], None]) -> list[str]:
    """Call an action the first time the rotation passes a point."""
    from luxima_retention.stores.logfiles import shrink, state

    passed: list[str] = []

    def hit(name: str) -> None:
        if name == point and not passed:
            passed.append(name)
            action()

    for module in (turn, moving, shrink, state):
        monkeypatch.setattr(module, "failpoint", hit)
    return passed


def directory_for_link(world: World) -> None:
    """The directory becomes a link to root's."""

    def swap() -> None:
        world.logs.rename(world.theirs / "aside")
        world.logs.symlink_to(world.victim)

    world.attack(swap)


def taken_away(world: World) -> list[Path]:
    """Every name in the directory, now free; a directory of root's is moved, which its owner may do."""
    names = list(world.logs.iterdir())
    for path in names:
        path.rename(path.with_name(f"{path.name}.aside")) if path.is_dir() else path.unlink()
    return names


def every_name_for_link(world: World) -> None:
    """Every name in the directory, ours on the way included, becomes a link to root's file."""

    def swap() -> None:
        for path in taken_away(world):
            path.symlink_to(world.victim / "secret")

    world.attack(swap)


def names_to_come_for_links(world: World) -> None:
    """Names that will be made are there already, as links into root's directory."""

    def swap() -> None:
        for name in ("app.log", "app.log.1", "app.log.1.zst", "app.log-20261122", "app.log-20261122.zst"):
            (world.logs / name).unlink(missing_ok=True)
            (world.logs / name).symlink_to(world.victim / "new")

    world.attack(swap)


def names_for_directories(world: World) -> None:
    """Every name becomes a directory."""

    def swap() -> None:
        for path in taken_away(world):
            path.mkdir()

    world.attack(swap)


def names_for_fifos(world: World) -> None:
    """Every name becomes a FIFO, which would hold up whoever opens it."""

    def swap() -> None:
        for path in taken_away(world):
            os.mkfifo(path)

    world.attack(swap)


SWAPS = (
    directory_for_link,
    every_name_for_link,
    names_to_come_for_links,
    names_for_directories,
    names_for_fifos,
)
SETS = {
    "rename": {"dated": False, "delay_compress": False},
    "copytruncate": {"method": "copytruncate", "delay_compress": False},
    "renamecopy": {"method": "renamecopy", "delay_compress": False},
    "old": {"old_dir": "old", "create_old_dir": True, "delay_compress": False, "keep": 0},
}


@pytest.mark.parametrize("swap", SWAPS, ids=lambda swap: swap.__name__)
@pytest.mark.parametrize("chosen", SETS)
def test_no_swap_at_any_step_leads_out_of_the_directory(place, monkeypatch, swap, chosen):
    passed = set()
    place.chmod(0o755)
    for number, point in enumerate(POINTS):
        home = place / str(number)
        home.mkdir()
        world = World(home)
        hit = at(monkeypatch, point, lambda world=world: swap(world))
        turned(world.logs / "*.log", rotation=world.own, **SETS[chosen])
        turned(world.logs / "*.log", rotation=world.own, now=NOW + WEEK, **SETS[chosen])
        world.check()
        passed |= {*hit}
    assert len(passed) >= 4


@pytest.mark.parametrize("chosen", SETS)
def test_no_hard_link_is_read_written_or_given_away(world, monkeypatch, chosen):
    """As it is where protected_hardlinks is off: the link is made for him."""

    def link() -> None:
        for name in ("app.log", "app.log.1", "app.log-20261122"):
            (world.logs / name).unlink(missing_ok=True)
            os.link(world.victim / "secret", world.logs / name)

    for point in POINTS:
        at(monkeypatch, point, link)
        turned(world.logs / "*.log", rotation=world.own, **SETS[chosen])
        for path in world.logs.rglob("*"):
            if path.is_file():
                assert path.stat().st_ino == (world.victim / "secret").stat().st_ino or (
                    SECRET.encode() not in path.read_bytes()
                )
                path.unlink()
        status = (world.victim / "secret").stat()
        assert (status.st_uid, status.st_mode & 0o7777) == (0, 0o600)
        assert (world.victim / "secret").read_text() == SECRET
        world.fill()


def test_what_lies_beside_the_logs_is_never_believed(world):
    """Journals, state and locks of every form that the program has ever had."""

    def plant() -> None:
        secret = (world.logs / "app.log").stat()
        for name in (".luxima-rotation.journal", "a.journal", "rotation.journal"):
            (world.logs / name).write_text(
                f'{{"log": "../victim/new", "to": "x", "method": "rename", "inode": 1, "mode": 438,'
                f' "owner": {ATTACKER}, "group": {ATTACKER}, "device": {secret.st_dev}}}\n'
            )
        (world.logs / ".luxima-rotation.state").write_text("logrotate state -- version 2\n")
        (world.logs / "rotation.locks").touch()
        (world.logs / "x").touch()

    world.attack(plant)
    result = turned(world.logs / "*.log", rotation=world.own)
    assert (result.failures, result.rotated.total) == ([], 1)
    world.check()
    own = {path.name for path in (world.top / "own").iterdir()}
    assert own <= {"rotation.locks", "rotation.state"}


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_of_our_own_that_others_may_write_to_is_refused(world, mode):
    own = world.top / "own"
    own.mkdir()
    os.chown(own, 0, ATTACKER)
    own.chmod(mode)
    with pytest.raises(StoreError, match="others may write to"):
        turned(world.logs / "*.log", rotation=world.own)
    own.chmod(0o700)
    os.chown(own, ATTACKER, 0)
    with pytest.raises(StoreError, match="belongs to user 4711"):
        turned(world.logs / "*.log", rotation=world.own)
    assert (world.logs / "app.log").read_text() == "line\n"


def test_a_folder_below_a_directory_of_somebody_else_is_refused(world):
    os.chown(world.logs, ATTACKER, ATTACKER)
    for where in (world.logs / "own", world.logs / "deep" / "own"):
        with pytest.raises(StoreError, match="belongs to user 4711"):
            turned(world.logs / "*.log", rotation={"state_dir": str(where)})
    world.attack(lambda: (world.logs / "link").symlink_to(world.victim))
    with pytest.raises(StoreError, match="belongs to user 4711"):
        turned(world.logs / "*.log", rotation={"state_dir": str(world.logs / "link" / "own")})
    world.check()


def test_files_in_the_folder_that_are_not_ours_are_refused(world):
    turned(world.logs / "*.log", rotation=world.own, dated=False)
    own = world.top / "own"
    (own / "rotation.locks").unlink()
    (own / "rotation.locks").symlink_to(world.victim / "secret")
    with pytest.raises(StoreError):
        turned(world.logs / "*.log", rotation=world.own)
    (own / "rotation.locks").unlink()
    os.chown(own / "rotation.state", ATTACKER, ATTACKER)
    with pytest.raises(StoreError, match="belongs to user 4711"):
        turned(world.logs / "*.log", rotation=world.own)
    world.check()


@pytest.mark.parametrize("old_dir", ["old", "deep/old", "old/deeper"])
def test_old_dir_is_made_by_descriptor_and_no_link_is_followed(world, monkeypatch, old_dir):
    chosen = {"old_dir": old_dir, "create_old_dir": True, "old_dir_owner": str(ATTACKER)}
    first = old_dir.split("/", 1)[0]
    world.attack(lambda: (world.logs / first).symlink_to(world.victim))
    result = turned(world.logs / "*.log", rotation=world.own, **chosen)
    assert "not followed" in result.failures[0]
    world.check()
    (world.logs / first).unlink()
    real = os.mkdir

    def swapped(name, mode=0o777, *, dir_fd=None):
        real(name, mode, dir_fd=dir_fd)
        if name == old_dir.rsplit("/", 1)[-1]:
            os.rmdir(name, dir_fd=dir_fd)
            os.symlink(world.victim, name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", swapped)
        assert turned(world.logs / "*.log", rotation=world.own, **chosen).failures
    world.check()


def test_a_link_that_a_wildcard_finds_is_told_and_not_followed(world):
    hosts = world.top / "hosts"
    hosts.mkdir()
    for name in ("good", "bad"):
        (hosts / name).mkdir()
        (hosts / name / "app.log").write_text("x\n")
    os.chown(hosts, ATTACKER, ATTACKER)
    world.attack(lambda: (hosts / "evil").symlink_to(world.victim))
    (hosts / "rooted").symlink_to(world.victim)
    result = turned(hosts / "*" / "app.log", rotation=world.own)
    assert (result.failures, result.rotated.total) == ([], 2)
    assert sum("it is not followed" in said for said in result.left) == 2
    world.check()
    os.chown(hosts, 0, 0)
    result = turned(hosts / "*" / "app.log", rotation=world.own, now=NOW + WEEK, rotate_empty=True)
    assert result.rotated.total == 3  # root's own link, in root's own directory
    assert sum("it is not followed" in said for said in result.left) == 1


@pytest.mark.parametrize("mode", [0o775, 0o777])
@pytest.mark.parametrize("named", [True, False])
def test_a_link_of_root_that_others_could_have_moved_there_is_not_followed(world, mode, named):
    """Whoever may write to two directories moves a link of root from one to the other: it leads elsewhere."""
    shared = world.top / "shared"
    shared.mkdir()
    (world.logs / "way").symlink_to("../../victim" if named else "../victim")
    os.chown(shared, 0, ATTACKER)
    shared.chmod(mode)
    world.attack(lambda: (world.logs / "way").rename(shared / "way"))
    pattern = shared / ("way" if named else "w*") / "app.log"
    result = turned(pattern, rotation=world.own, missing_ok=True)
    (said,) = result.failures if named else result.left
    assert f"{shared}/way is a link in a directory that others may write to: it is not followed" in said
    assert result.rotated.total == 0
    world.check()


def test_a_link_on_the_named_way_is_an_error(world):
    world.attack(lambda: (world.logs / "deep").symlink_to(world.victim))
    result = turned(world.logs / "deep" / "*.log", rotation=world.own)
    assert "is a link, and" in result.failures[0]
    world.check()
    (world.top / "way").symlink_to(world.logs)
    assert turned(world.top / "way" / "*.log", rotation=world.own).rotated.total == 1


def test_a_set_with_a_user_has_no_other_identity(world):
    told, hooks = world.top / "told", world.top / "hooks"
    told.touch()
    told.chmod(0o666)
    script = f"#!/bin/sh\ngrep -E '^(Uid|Gid|Groups)' /proc/self/status >> {told}\nexec gzip\n"
    (world.top / "compress").write_text(script)
    (world.top / "compress").chmod(0o755)
    result = turned(
        world.logs / "*.log",
        rotation=world.own,
        user=str(ATTACKER),
        group=str(ATTACKER),
        compress="program",
        compress_program=[str(world.top / "compress")],
        compress_extension=".gz",
        delay_compress=False,
        after=[{"run": ["/bin/sh", "-c", f"id -u >> {hooks}"]}],
    )
    assert result.failures == []
    assert told.read_text().split() == [
        *("Uid:", *["4711"] * 4),
        *("Gid:", *["4711"] * 4),
        "Groups:",
    ]
    assert hooks.read_text() == "0\n"  # reloading a service needs that
    assert {path.stat().st_uid for path in world.logs.iterdir()} == {ATTACKER}
    assert (os.getresuid(), os.geteuid()) == ((0, 0, 0), 0)


def test_hooks_run_as_the_user_where_the_set_says_so(world):
    told = world.top / "told"
    told.touch()
    told.chmod(0o666)
    hook = [{"run": ["/bin/sh", "-c", f"id -u >> {told}; id -g >> {told}; id -G >> {told}"]}]
    chosen = {"user": str(ATTACKER), "group": str(ATTACKER), "hooks_as_user": True, "after": hook}
    assert turned(world.logs / "*.log", rotation=world.own, **chosen).failures == []
    assert told.read_text().split() == ["4711"] * 3


def test_a_user_cannot_reach_what_root_could(world):
    world.attack(lambda: (world.logs / "b.log").symlink_to(world.victim / "secret"))
    result = turned(world.victim / "*.log", rotation=world.own, user=str(ATTACKER))
    assert "cannot be opened" in result.failures[0]
    world.check()


@pytest.mark.parametrize(
    ("user", "group", "said"),
    [("root", "nosuchgroup", "no group nosuchgroup"), ("nosuchuser", "", "no user nosuchuser")],
)
def test_a_user_or_group_that_is_unknown_is_an_error(world, user, group, said):
    result = turned(world.logs / "*.log", rotation=world.own, user=user, group=group)
    assert said in result.failures[0]
    assert (result.code, result.rotated.total) == (ExitCode.INCOMPLETE, 0)


def test_a_process_of_a_user_that_dies_is_told_and_the_next_run_finishes(world, monkeypatch):
    chosen = {"user": str(ATTACKER), "rotation": world.own, "dated": False}
    told = world.top / "told"
    chosen["after"] = [{"run": ["/bin/sh", "-c", f"echo x >> {told}"]}]
    with monkeypatch.context() as patch:
        at(patch, "rotate.after_move", lambda: os.kill(os.getpid(), 9))
        result = turned(world.logs / "*.log", **chosen)
    assert "has ended with signal 9" in result.failures[0]
    assert not (world.logs / "app.log").exists()
    assert turned(world.logs / "*.log", force=False, **chosen).failures == []
    assert ((world.logs / "app.log").read_text(), told.read_text()) == ("", "x\n")


def test_the_other_side_of_a_users_process_answers_only_its_questions(world):
    with pytest.raises(ValueError, match="not the lock of a directory"):
        child._answered(None, "lock", ["set x", ""])  # type: ignore[arg-type]
    assert child._answered(None, "close", []) == {"answer": None}  # type: ignore[arg-type]


def test_a_pid_file_of_somebody_else_names_no_process_of_root(world):
    """Whoever writes it would have root signal any process."""
    signalled: list[int] = []
    import signal

    before = signal.signal(signal.SIGUSR1, lambda number, _frame: signalled.append(number))
    try:
        pid = world.logs / "app.pid"
        pid.write_text(f"{os.getpid()}\n")
        os.chown(pid, ATTACKER, ATTACKER)
        after = [{"pid_file": str(pid), "signal": "USR1"}]
        result = turned(world.logs / "*.log", rotation=world.own, after=after)
        assert "gets no signal" in result.failures[0]
        assert signalled == []
        os.chown(pid, 0, 0)
        assert turned(world.logs / "*.log", rotation=world.own, force=False, after=after).failures == []
        assert signalled == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_pid_file_that_leads_to_another_ones_is_not_believed(world):
    """Root's own pid file tells of root's own process; a link to it in his directory must not."""
    (world.victim / "root.pid").write_text(f"{os.getpid()}\n")
    world.before = world.seen()
    pid = world.logs / "app.pid"
    after = [{"pid_file": str(pid), "signal": "KILL"}]  # this very process would not live to see it
    world.attack(lambda: pid.symlink_to(world.victim / "root.pid"))
    result = turned(world.logs / "*.log", rotation=world.own, after=after)
    assert "is a link, and" in result.failures[0]
    pid.unlink()
    os.link(world.victim / "root.pid", pid)  # as it is where protected_hardlinks is off
    result = turned(world.logs / "*.log", rotation=world.own, force=False, after=after)
    assert "no regular file of one name" in result.failures[0]


def test_root_may_link_a_pid_file(world):
    import signal

    signalled: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: signalled.append(number))
    try:
        (world.victim / "root.pid").write_text(f"{os.getpid()}\n")
        for name, to in (("one", world.victim / "root.pid"), ("two", "one")):
            (world.top / name).symlink_to(to)
        after = [{"pid_file": str(world.top / "two"), "signal": "USR1"}]
        assert turned(world.logs / "*.log", rotation=world.own, after=after).failures == []
        assert signalled == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def acl(path: Path, *entries: tuple[int, int, int]) -> None:
    """An access control list in the kernel's form: tag, permissions, number."""
    none = 0xFFFFFFFF
    whole = sorted([(1, 7, none), *entries, (4, 5, none), (16, 7, none), (32, 5, none)])
    data = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in whole)
    os.setxattr(path, "system.posix_acl_access", data)


@pytest.mark.parametrize("tag", [2, 8], ids=["user", "group"])
def test_an_access_control_list_that_lets_others_write_is_seen(world, tag):
    """The mode of such a directory shows root's own group as the one that may write."""
    own = world.top / "own"
    own.mkdir(mode=0o700)
    acl(own, (tag, 7, ATTACKER))
    with pytest.raises(StoreError, match="others may write to"):
        turned(world.logs / "*.log", rotation=world.own)
    with pytest.raises(StoreError, match="others may write to"):
        turned(world.logs / "*.log", rotation={"state_dir": str(own / "deeper")})
    os.removexattr(own, "system.posix_acl_access")
    own.chmod(0o700)
    os.chown(world.logs, ATTACKER, 0)
    acl(world.logs, (tag, 5, ATTACKER))
    assert turned(world.logs / "*.log", rotation=world.own).failures == []
    acl(world.logs, (tag, 7, ATTACKER))
    said = turned(world.logs / "*.log", rotation=world.own).failures[0]
    assert f"{'user' if tag == 2 else 'group'} 4711 may write to" in said
    assert turned(world.logs / "*.log", rotation=world.own, trust_directory=True).failures == []


def test_what_is_no_file_is_left_alone_with_a_sentence(world):
    """A FIFO, a socket, a device, a link and a file with two names, under the names of logs."""
    import socket

    os.mkfifo(world.logs / "fifo.log")
    os.mknod(world.logs / "device.log", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (world.logs / "link.log").symlink_to(world.victim / "secret")
    os.link(world.logs / "app.log", world.logs / "twice.log")
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(world.logs / "socket.log"))
    for method in ("rename", "copytruncate", "renamecopy", "copy"):
        result = turned(world.logs / "*.log", rotation=world.own, method=method, rotate_empty=True)
        assert (result.failures, result.rotated.total, len(result.left)) == ([], 0, 6), method
    world.check()


def test_the_name_of_a_log_is_no_header_of_a_mail(world):
    told = world.top / "told"
    (world.top / "mail").write_text(f'#!/bin/sh\nprintf "%s\\n" "$2" > {told}\ncat > /dev/null\n')
    (world.top / "mail").chmod(0o755)
    name = "a\nBcc: evil@example.org\r.log"
    world.attack(lambda: (world.logs / name).write_text("line\n"))
    (world.logs / "app.log").unlink()
    rotation = {**world.own, "mail_program": str(world.top / "mail")}
    chosen = {"mail": "ops@example.org", "keep": 0, "compress": "none"}
    assert turned(world.logs / "*.log", rotation=rotation, **chosen).failures == []
    (subject,) = told.read_text().splitlines()
    assert "a?Bcc: evil@example.org?.log" in subject


def test_bits_that_lend_rights_are_never_copied(world):
    (world.logs / "app.log").chmod(0o6777)
    turned(world.logs / "*.log", rotation=world.own, delay_compress=False)
    assert {path.stat().st_mode & 0o7777 for path in world.logs.iterdir()} == {0o777}


def test_a_lock_that_the_owner_of_the_directory_can_take_keeps_nobody_out(world):
    import fcntl

    for path in (world.logs, world.logs / "app.log"):
        descriptor = os.open(path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert turned(world.logs / "*.log", rotation=world.own).failures == []


def test_a_hold_sees_a_file_by_every_name_that_its_directory_has(world):
    (world.top / "way").symlink_to(world.logs)
    old = world.logs / "app.log-20261001"
    old.write_text("old\n")
    for path in (
        *(world.top / "way" / "[^b]*", world.logs / "app.log-[[:digit:]]*", world.logs / "app.log"),
        *(world.logs, f"{world.logs}/", f"{world.theirs}//logs/./app.log", world.top / "th[e]irs"),
    ):
        hold = Hold(hold_id="case", path=str(path))
        turned(
            world.top / "way" / "*.log",
            rotation=world.own,
            force=False,
            keep=0,
            holds=(hold,),
            compress="none",
        )
        assert old.exists(), path


def test_where_the_folder_is(monkeypatch):
    assert state_path("/x") == "/x"
    assert state_path("") == "/var/lib/luxima-retention"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")
    assert state_path("") == "/var/lib/a"
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/x/state")
    assert state_path("") == "/home/x/state/luxima-retention"
    monkeypatch.setenv("STATE_DIRECTORY", "here:/var/lib/b")
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", "/home/y/")
    assert state_path("") == "/home/y/.local/state/luxima-retention"
    monkeypatch.setenv("HOME", "y")
    with pytest.raises(StoreError, match="no home directory"):
        state_path("")


def test_who_has_no_home_directory_is_told(monkeypatch):
    """As in a container whose user stands in no /etc/passwd."""
    import pwd

    def unknown(_number: int) -> None:
        raise KeyError(_number)

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match="no home directory"):
        state_path("")
    with pytest.raises(StoreError, match="no home directory"):
        _ = sets({"paths": ["~/*.log"]})[0].patterns


def test_a_directory_that_is_another_one_by_now_is_not_opened_again(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    directory = safe.Directory.open(str(there))
    directory.park()
    there.rename(tmp_path / "aside")
    there.mkdir()
    with pytest.raises(StoreError, match="is another directory than at first"):
        _ = directory.descriptor
    assert Folder.open_own(str(tmp_path / "none"), make=False) is None
