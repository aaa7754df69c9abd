"""Names that others may have made: never followed, never replaced, and opened only as what they are."""

from __future__ import annotations

import errno
import os
import socket
import stat
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from luxima_retention.core.errors import StoreError
from luxima_retention.stores.logfiles import safe, system, walk
from luxima_retention.stores.logfiles.safe import OWN, Attributes, Directory, File
from luxima_retention.stores.logfiles.system import UnfitError


@pytest.fixture
def path(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o755)
    (logs / "app.log").write_text("first\n")
    (tmp_path / "secret").write_text("secret\n")
    return logs


@pytest.fixture
def logs(path):
    directory = Directory.open(str(path))
    yield directory
    directory.close()


def patch(monkeypatch, module=safe, **functions) -> None:
    """Other functions of the operating system for a module alone: pytest needs the real ones."""

    class Some:
        def __getattr__(self, name):
            return functions[name] if name in functions else getattr(before, name)

    before = module.os
    monkeypatch.setattr(module, "os", Some())


def rule_of(call) -> tuple[str, str]:
    with pytest.raises(UnfitError) as caught:
        call()
    return caught.value.rule, caught.value.message


def read(directory, name, **options):
    with directory.reading(name, **options) as (descriptor, file):
        return os.read(descriptor, 100), file


# --- links, and names that are taken --------------------------------------------------------------------


@pytest.mark.parametrize("target", ["../secret", "app.log", "nowhere"])
def test_a_link_is_not_followed(logs, path, target):
    (path / "link").symlink_to(target)
    said = ("symlink", f"{path}/link is a symbolic link")
    assert rule_of(lambda: read(logs, "link")) == said
    assert rule_of(lambda: read(logs, "link", write=True)) == said
    assert rule_of(lambda: logs.look("link")) == said
    assert logs.exists("link")
    with pytest.raises(FileExistsError):
        logs.make("link", Attributes())
    assert (path.parent / "secret").read_text() == "secret\n"


def test_a_name_that_is_swapped_for_a_link_after_the_look_is_not_followed(logs, path):
    logs.look("app.log")
    (path / "app.log").unlink()
    (path / "app.log").symlink_to("../secret")
    assert rule_of(lambda: read(logs, "app.log"))[0] == "symlink"


@pytest.mark.parametrize("kernel", [True, False], ids=["renameat2", "without"])
@pytest.mark.parametrize("taken", ["file", "link", "directory"])
def test_a_name_that_is_taken_is_never_replaced(logs, path, monkeypatch, kernel, taken):
    if not kernel:
        monkeypatch.setattr(system, "_renameat2", lambda: None)
    new = path / "app.log.1"
    {"file": lambda: new.write_text("kept"), "link": lambda: new.symlink_to("x"), "directory": new.mkdir}[
        taken
    ]()
    before = os.lstat(new)
    with pytest.raises(FileExistsError):
        logs.rename("app.log", "app.log.1")
    assert os.lstat(new).st_ino == before.st_ino
    assert (path / "app.log").read_text() == "first\n"


@pytest.mark.parametrize("kernel", [True, False], ids=["renameat2", "without"])
def test_a_name_that_is_free_is_taken(logs, path, monkeypatch, kernel):
    if not kernel:
        monkeypatch.setattr(system, "_renameat2", lambda: None)
    (path / "old").mkdir()
    with_others = logs.beside("old")
    logs.rename("app.log", "app.log.1")
    logs.rename("app.log.1", "app.log.2", with_others)
    assert (path / "old/app.log.2").read_text() == "first\n"
    assert [item.name for item in path.iterdir()] == ["old"]
    with_others.close()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_where_the_file_system_cannot_promise_it_a_look_comes_first(logs, path, monkeypatch, number):
    def refuses(*_arguments):
        system.ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(system, "_renameat2", lambda: refuses)
    (path / "taken").write_text("kept")
    with pytest.raises(FileExistsError) as caught:
        logs.rename("app.log", "taken")
    assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, "taken")
    logs.rename("app.log", "app.log.1")
    assert (path / "app.log.1").read_text() == "first\n"


def test_another_error_of_a_rename_is_a_sentence(logs, path, monkeypatch):
    def refuses(*_arguments):
        system.ctypes.set_errno(errno.EXDEV)
        return -1

    monkeypatch.setattr(system, "_renameat2", lambda: refuses)
    with pytest.raises(StoreError) as caught:
        logs.rename("app.log", "app.log.1")
    said = f"{path}/app.log cannot be renamed to {path}/app.log.1: {os.strerror(errno.EXDEV)}"
    assert caught.value.message == said
    assert caught.value.hint == "old_dir is on another device: set method = renamecopy"


def test_what_vanished_cannot_be_renamed_and_the_caller_is_told_which_way(logs):
    with pytest.raises(FileNotFoundError):
        logs.rename("gone", "app.log.1")


def test_names_that_others_may_have_made_are_opened_with_care():
    """Not followed, not inherited by hooks, not made our terminal, and never waited for."""
    for flag in (os.O_NOFOLLOW, os.O_CLOEXEC, os.O_NOCTTY, os.O_NONBLOCK):
        assert system.NO_FOLLOW & flag
    for flags in (walk._PASSING, walk._READING):
        assert flags & os.O_NOFOLLOW
        assert flags & os.O_DIRECTORY


def test_a_fifo_is_no_log_and_does_not_block(logs, path):
    os.mkfifo(path / "pipe")
    said = ("not-a-file", f"{path}/pipe is a FIFO")
    assert rule_of(lambda: read(logs, "pipe")) == said
    assert rule_of(lambda: logs.look("pipe")) == said


@pytest.mark.parametrize(
    ("name", "kind"),
    [("S_IFLNK", "a symbolic link"), ("S_IFDIR", "a directory"), ("S_IFSOCK", "a socket")]
    + [(name, "a device") for name in ("S_IFBLK", "S_IFCHR")],
)
def test_what_is_no_regular_file_is_named(logs, name, kind):
    status = SimpleNamespace(st_mode=getattr(stat, name) | 0o600, st_nlink=1)
    with pytest.raises(UnfitError) as caught:
        safe._fit(logs, "x", status, hard_links=True)
    assert caught.value.message == f"{logs.path}/x is {kind}"
    assert caught.value.rule == ("symlink" if name == "S_IFLNK" else "not-a-file")
    assert caught.value.hint == "name regular files alone in paths"


def test_a_socket_is_left_alone(logs, path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path / "s"))
        assert rule_of(lambda: logs.look("s"))[0] == "not-a-file"


def test_a_file_of_two_names_is_left_alone_unless_the_set_allows_it(logs, path):
    os.link(path / "app.log", path.parent / "other")
    with pytest.raises(UnfitError) as caught:
        logs.look("app.log")
    assert caught.value.rule == "hard-link"
    assert caught.value.message == f"{path}/app.log has 2 names (hard links)"
    assert caught.value.hint == "set allow_hard_links where that is meant to be"
    assert rule_of(lambda: read(logs, "app.log"))[0] == "hard-link"
    assert logs.look("app.log", hard_links=True).size == 6
    assert read(logs, "app.log", hard_links=True)[0] == b"first\n"


def test_a_file_that_has_just_been_removed_has_vanished(logs):
    status = SimpleNamespace(st_mode=stat.S_IFREG | 0o600, st_nlink=0)
    for allowed in (True, False):
        with pytest.raises(FileNotFoundError) as caught:
            safe._fit(logs, "x", status, hard_links=allowed)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, f"{logs.path}/x")
        assert caught.value.strerror == "it has just been removed"


def test_what_the_kernel_has_no_word_for_is_no_regular_file(logs):
    rule = rule_of(lambda: safe._fit(logs, "x", SimpleNamespace(st_mode=0), hard_links=False))
    assert rule == ("not-a-file", f"{logs.path}/x is no regular file")


# --- what a file says of itself -------------------------------------------------------------------------


def test_a_file_is_what_its_status_says(logs, path):
    os.utime(path / "app.log", ns=(5, 1_700_000_000_123_456_789))
    (path / "app.log").chmod(0o4640)
    status = (path / "app.log").stat()
    file = logs.look("app.log")
    assert file == File(
        name="app.log",
        size=6,
        written=1_700_000_000_123_456_789,
        device=status.st_dev,
        inode=status.st_ino,
        mode=0o4640,
        owner=status.st_uid,
        group=status.st_gid,
    )
    assert file.modified == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
    assert read(logs, "app.log") == (b"first\n", file)


@pytest.mark.parametrize(
    ("written", "modified"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1000, datetime(1970, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)),
        (2**63 - 1, datetime(2262, 4, 11, 23, 47, 16, 854775, tzinfo=UTC)),
        (10**24, datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_the_last_write_of_a_file(written, modified):
    file = File(name="x", size=0, written=written, device=1, inode=1, mode=0, owner=0, group=0)
    assert file.modified == modified


@pytest.mark.parametrize("changed", ["st_dev", "st_ino", "st_size", "st_mtime_ns", None])
def test_a_file_is_the_same_only_with_device_inode_size_and_time(changed):
    file = File(name="x", size=3, written=4, device=1, inode=2, mode=0, owner=0, group=0)
    values = {"st_dev": 1, "st_ino": 2, "st_size": 3, "st_mtime_ns": 4}
    if changed:
        values[changed] += 5
    assert file.same(SimpleNamespace(**values)) is (changed is None)


def test_a_file_may_be_opened_for_writing(logs, path):
    with logs.reading("app.log", write=True) as (descriptor, _):
        os.write(descriptor, b"F")
    assert (path / "app.log").read_text() == "First\n"
    with logs.reading("app.log") as (descriptor, _), pytest.raises(OSError, match="Bad file descriptor"):
        os.write(descriptor, b"x")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


# --- directories ----------------------------------------------------------------------------------------


def test_a_link_of_somebody_else_on_the_way_is_refused(path, monkeypatch):
    """Here nobody is trusted, as if the link belonged to another user."""
    (path.parent / "way").symlink_to("logs")
    way = str(path.parent / "way")
    Directory.open(way).close()
    monkeypatch.setattr(walk, "trusted_users", frozenset)
    assert rule_of(lambda: Directory.open(way))[0] == "symlink"


@pytest.mark.parametrize(("mode", "refused"), [(0o777, True), (0o1777, False), (0o755, False)])
def test_a_link_where_everybody_may_write_is_refused(path, mode, refused):
    open_to_all = path.parent / "all"
    open_to_all.mkdir()
    (open_to_all / "way").symlink_to(path)
    open_to_all.chmod(mode)
    way = str(open_to_all / "way")
    if refused:
        assert rule_of(lambda: Directory.open(way))[0] == "symlink"
    else:
        Directory.open(way).close()


def test_a_directory_that_is_not_there_or_none_is_told(path):
    with pytest.raises(FileNotFoundError):
        Directory.open(str(path / "none"))
    with pytest.raises(StoreError, match=f"{path}/app.log cannot be opened: Not a directory"):
        Directory.open(str(path / "app.log"))


def test_names_are_ours_and_those_of_others(logs, path):
    (path / f"{OWN}.tmp").touch()
    assert sorted(logs.names()) == [f"{OWN}.tmp", "app.log"]


def test_a_parked_directory_is_opened_again_if_it_is_the_same(logs, path):
    logs.park()
    logs.park()
    assert logs.names() == ["app.log"]
    assert logs.real_path == str(path)
    logs.park()
    path.rename(path.with_name("moved"))
    path.mkdir()
    with pytest.raises(UnfitError) as caught:
        logs.names()
    assert (caught.value.rule, caught.value.message) == (
        "replaced",
        f"{path} is another directory than at first",
    )
    with pytest.raises(UnfitError):
        logs.names()
    path.rmdir()
    with pytest.raises(StoreError, match=f"{path} cannot be opened again: No such file"):
        logs.names()


def test_a_directory_beside_is_made_with_its_attributes(logs, path):
    made = logs.beside("old/deep", Attributes(mode=0o750))
    assert stat.S_IMODE((path / "old/deep").stat().st_mode) == 0o750
    assert stat.S_IMODE((path / "old").stat().st_mode) == 0o755
    assert (made.path, made.real_path) == (f"{path}/old/deep", f"{path}/old/deep")
    made.park()
    assert made.names() == []
    made.close()
    absolute = logs.beside(str(path / "old"))
    assert (absolute.path, absolute.names()) == (f"{path}/old", ["deep"])
    absolute.close()
    with pytest.raises(FileNotFoundError):
        logs.beside("none")
    with pytest.raises(StoreError, match=f"{path}/app.log/x cannot be made: Not a directory"):
        logs.beside("app.log/x", Attributes())


def test_what_is_made_has_its_whole_name_and_every_one_above_it(logs, path):
    for name in ("one/two/three", "slash/", str(path / "absolute/below"), "boxX", "XboxX/deepX"):
        made = logs.beside(name, Attributes(mode=0o750))
        there = path / name.rstrip("/")
        assert made.real_path == str(there)
        assert made.path_of("a") == f"{made.path.rstrip('/')}/a"
        assert stat.S_IMODE(there.stat().st_mode) == 0o750
        above = there.parent
        while above != path:
            assert stat.S_IMODE(above.stat().st_mode) == 0o755
            above = above.parent
        made.close()


def test_what_is_beside_is_told_by_its_path_and_what_was_tried(logs, path):
    for like, tried in ((None, "opened"), (Attributes(), "made")):
        with pytest.raises(StoreError, match=f"^{path}/app.log cannot be {tried}: Not a directory"):
            logs.beside("app.log", like)
        (path / "all").mkdir(exist_ok=True)
        (path / "all").chmod(0o777)
        if not (path / "all/way").is_symlink():
            (path / "all/way").symlink_to(path)
        for name in ("all/way", "all/way/deep"):
            with pytest.raises(UnfitError, match=f"{path}/all/way "):
                logs.beside(name, like)


def test_a_directory_is_made_for_its_maker_alone_and_opened_as_nothing_else(logs, path, monkeypatch):
    made, opened = [], []

    def mkdir(name, mode, *, dir_fd):
        made.append((name, mode))
        os.mkdir(name, mode, dir_fd=dir_fd)

    def opens(name, flags, *, dir_fd):
        opened.append((name, flags))
        return os.open(name, flags, dir_fd=dir_fd)

    patch(monkeypatch, mkdir=mkdir, open=opens)
    safe._make(logs.descriptor, "new", Attributes(mode=0o755))
    assert made == [("new", 0o700)]
    assert opened == [("new", os.O_RDONLY | os.O_DIRECTORY | system.NO_FOLLOW)]
    assert stat.S_IMODE((path / "new").stat().st_mode) == 0o755


@pytest.mark.parametrize("swapped", ["full", "of another"])
def test_a_directory_that_somebody_has_swapped_gets_no_rights(logs, path, monkeypatch, swapped):
    def mkdir(name, mode, *, dir_fd):
        os.mkdir(name, mode, dir_fd=dir_fd)
        if swapped == "full":
            (path / name / "kept").touch()

    user = os.geteuid() + (swapped == "of another")
    patch(monkeypatch, mkdir=mkdir, geteuid=lambda: user)
    safe._make(logs.descriptor, "new", Attributes(mode=0o777))
    assert stat.S_IMODE((path / "new").stat().st_mode) == 0o700
    safe._make(logs.descriptor, "new", Attributes(mode=0o777))  # taken: left alone
    assert stat.S_IMODE((path / "new").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("users", "groups", "named"),
    [
        ({0, 10}, {7}, None),
        ({12, 10, 11}, {7}, "user 11, user 12"),
        ({10}, {8, 9}, "group 8, group 9"),
        ({11}, {7, 8}, "user 11, group 8"),
    ],
)
def test_a_directory_whose_list_lets_others_make_names_is_refused(
    logs, path, monkeypatch, users, groups, named
):
    status = SimpleNamespace(st_mode=stat.S_IFDIR | 0o775, st_gid=7)
    patch(monkeypatch, fstat={logs.descriptor: status}.__getitem__)
    monkeypatch.setattr(safe, "own_groups", lambda: {7})
    monkeypatch.setattr(walk, "trusted_users", lambda: frozenset({0, 10}))
    monkeypatch.setattr(safe, "writers_by_acl", {logs.descriptor: (users, groups)}.__getitem__)
    if named is None:
        logs.check_safe(trusted=False)
        return
    with pytest.raises(UnfitError) as caught:
        logs.check_safe(trusted=False)
    said = f"{named} may write to {path}, as its access control list says"
    assert (caught.value.rule, caught.value.message) == ("unsafe-directory", said)
    hint = "setfacl -b it, work as its owner (user), or set trust_directory of the set"
    assert caught.value.hint == hint


def test_a_directory_that_is_there_already_keeps_its_mode(logs, path):
    (path / "old").mkdir(mode=0o711)
    logs.beside("old", Attributes(mode=0o750)).close()
    assert stat.S_IMODE((path / "old").stat().st_mode) == 0o711


def test_opening_a_directory_again_parks_the_one_above_where_it_was(logs):
    made = logs.beside("old", Attributes(mode=0o750))
    made.park()
    logs.park()
    assert made.names() == []
    assert logs._descriptor is None
    made.park()
    assert logs.names() == ["app.log", "old"] or logs.names() == ["old", "app.log"]
    assert made.names() == []
    assert logs._descriptor is not None
    made.close()


def test_a_path_is_for_people(tmp_path):
    root = Directory.open("/")
    assert root.path_of("var") == "/var"
    root.close()


@pytest.mark.parametrize(
    ("mode", "trusted", "said"),
    [
        (0o755, False, None),
        (0o1777, False, "everybody may write to {}"),
        (0o757, False, "everybody may write to {}"),
        (0o777, True, None),
        (0o775, False, "group 4711 may write to {}, and this process is not of it"),
        (0o775, True, None),
    ],
)
def test_a_directory_in_which_others_may_make_names_is_refused(logs, path, monkeypatch, mode, trusted, said):
    status = SimpleNamespace(st_mode=stat.S_IFDIR | mode, st_gid=4711)
    patch(monkeypatch, fstat={logs.descriptor: status}.__getitem__)
    if said is None:
        logs.check_safe(trusted=trusted)
        return
    with pytest.raises(UnfitError) as caught:
        logs.check_safe(trusted=trusted)
    assert (caught.value.rule, caught.value.message) == ("unsafe-directory", said.format(path))
    hint = "chmod o-w,g-w it, work as its owner (user), or set trust_directory of the set"
    assert caught.value.hint == hint
    monkeypatch.setattr(safe, "own_groups", lambda: {4711})
    if mode == 0o775:
        logs.check_safe(trusted=False)


@pytest.mark.parametrize(
    ("user", "groups"), [(0, {0}), (1000, {50, 7, 8})], ids=["root trusts root's only", "a user its own"]
)
def test_the_groups_that_are_trusted(monkeypatch, user, groups):
    patch(monkeypatch, walk, geteuid=lambda: user, getegid=lambda: 50, getgroups=lambda: [7, 8])
    assert walk.own_groups() == groups


def test_why_names_cannot_be_made(logs, path, monkeypatch):
    assert logs.not_writable() == ""
    asked = {}

    def access(name, mode, **options):
        asked.update(name=name, mode=mode, **options)
        return False

    patch(monkeypatch, access=access)
    patch(monkeypatch, geteuid=lambda: 12)
    assert logs.not_writable() == f"user 12 may not write to {path}"
    rights = os.W_OK | os.X_OK
    assert asked == {"name": ".", "mode": rights, "dir_fd": logs.descriptor, "effective_ids": True}
    patch(monkeypatch, statvfs=lambda _descriptor: SimpleNamespace(f_flag=os.ST_RDONLY | 8))
    assert logs.not_writable() == f"{path} is on a volume that is mounted read-only"


# --- making, removing -----------------------------------------------------------------------------------


def test_a_new_file_is_its_owners_alone_until_it_has_its_mode(logs, path, monkeypatch):
    seen = []

    class Like(Attributes):
        def apply(self, descriptor):
            seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            super().apply(descriptor)

    descriptor = logs.make("new", Like(mode=0o644))
    os.write(descriptor, b"x")
    os.lseek(descriptor, 0, os.SEEK_SET)
    assert os.read(descriptor, 9) == b"x"
    os.close(descriptor)
    assert seen == [0o600]
    assert stat.S_IMODE((path / "new").stat().st_mode) == 0o644
    with pytest.raises(FileExistsError):
        logs.make("new", Attributes())


def test_a_new_file_that_cannot_have_its_attributes_is_removed(logs, path):
    class Fails(Attributes):
        def apply(self, descriptor):
            raise OSError(errno.EPERM, "no right")

    with pytest.raises(StoreError, match=f"{path}/new cannot be made: no right"):
        logs.make("new", Fails())
    assert not (path / "new").exists()


def test_a_file_is_replaced_and_removed(logs, path):
    (path / "state").write_text("old")
    (path / "draft").write_text("new")
    logs.replace("draft", "state")
    assert (path / "state").read_text() == "new"
    logs.remove("state")
    logs.remove("state")
    assert not logs.exists("state")
    logs.sync()
    with pytest.raises(StoreError, match=f"{path}/state cannot be replaced: No such file"):
        logs.replace("gone", "state")
    (path / "directory").mkdir()
    with pytest.raises(StoreError, match=f"{path}/directory cannot be removed"):
        logs.remove("directory")


@pytest.mark.parametrize(("number", "told"), [(errno.EINVAL, False), (errno.EROFS, False), (errno.EIO, True)])
def test_a_file_system_without_the_notion_need_not_be_synchronised(logs, path, monkeypatch, number, told):
    def fails(_descriptor):
        raise OSError(number, "said")

    patch(monkeypatch, fsync=fails)
    if not told:
        logs.sync()
        return
    with pytest.raises(StoreError, match=f"{path} cannot be synchronised: said"):
        logs.sync()


def test_a_descriptor_that_is_closed_is_told_for_each_question(path):
    """Of a directory that is gone, every question is a sentence that names what was asked."""
    logs = Directory.open(str(path))
    os.close(logs._descriptor)
    asked = {
        "cannot be listed": logs.names,
        "/app.log cannot be examined": lambda: logs.look("app.log"),
        "/x cannot be examined": lambda: logs.exists("x"),
        "/app.log cannot be opened": lambda: read(logs, "app.log"),
        "/y cannot be made": lambda: logs.make("y", Attributes()),
        "/z cannot be removed": lambda: logs.remove("z"),
    }
    for said, question in asked.items():
        with pytest.raises(StoreError, match=f"{path}.*{said}: Bad file descriptor"):
            question()


# --- owner, mode, access control list -------------------------------------------------------------------


class Changes:
    """What is set on a descriptor, and in which order."""

    def __init__(self, monkeypatch, fails=()):
        self.done = []
        status = SimpleNamespace(st_uid=10, st_gid=20)
        patch(monkeypatch, fstat={3: status}.__getitem__)
        patch(monkeypatch, fchown=self.owner)
        patch(monkeypatch, fchmod=lambda descriptor, mode: self.did(descriptor, "mode", mode))
        monkeypatch.setattr(safe, "set_acl", lambda descriptor, acl: self.did(descriptor, "acl", acl))
        self.fails = fails

    def did(self, descriptor, name, value):
        assert descriptor == 3
        self.done.append((name, value))

    def owner(self, descriptor, user, group):
        assert descriptor == 3
        if (user, group) in self.fails:
            raise PermissionError
        self.done.append((user, group))


@pytest.mark.parametrize(
    ("like", "done"),
    [
        (Attributes(), []),
        (Attributes(owner=10, group=20), []),
        (Attributes(owner=0, group=0), [(0, -1), (-1, 0)]),
        (Attributes(owner=11), [(11, -1)]),
        (Attributes(group=21), [(-1, 21)]),
        # the list holds the mode, and a change of the owner clears bits of it
        (
            Attributes(owner=11, group=21, acl=b"l", mode=0o640),
            [(11, -1), (-1, 21), ("acl", b"l"), ("mode", 0o640)],
        ),
        (Attributes(mode=0), [("mode", 0)]),
    ],
)
def test_attributes_are_set_in_their_order_and_only_where_they_differ(monkeypatch, like, done):
    changes = Changes(monkeypatch)
    like.apply(3)
    assert changes.done == done


@pytest.mark.parametrize(("strict", "done"), [(True, []), (False, [(-1, 21), ("mode", 0o600)])])
def test_an_owner_that_may_not_be_given_is_an_error_only_where_the_set_names_it(monkeypatch, strict, done):
    changes = Changes(monkeypatch, fails=[(11, -1)])
    like = Attributes(owner=11, group=21, mode=0o600, strict=strict)
    if strict:
        with pytest.raises(PermissionError):
            like.apply(3)
    else:
        like.apply(3)
    assert changes.done == done


def test_the_attributes_of_another_file_lend_no_rights(monkeypatch):
    file = File(name="x", size=0, written=0, device=1, inode=1, mode=0o6755, owner=5, group=6)
    monkeypatch.setattr(safe, "acl_of", lambda descriptor: b"list" if descriptor == 9 else None)
    like = Attributes.of(file, 9)
    assert like == Attributes(mode=0o755, owner=5, group=6, acl=b"list", strict=False)


def test_the_access_control_list_is_asked_by_the_open_directory(logs, monkeypatch):
    monkeypatch.setattr(safe, "acl_of", lambda name: name)
    assert logs.acl("app.log") == f"/proc/self/fd/{logs.descriptor}/app.log"

    def fails(_name):
        raise OSError(errno.EIO, "said")

    monkeypatch.setattr(safe, "acl_of", fails)
    with pytest.raises(StoreError, match=f"{logs.path}/app.log cannot be examined: said"):
        logs.acl("app.log")
