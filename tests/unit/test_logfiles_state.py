"""The state file: logrotate's own form, read and written; damaged, locked, replaced."""

from __future__ import annotations

import fcntl
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxima_retention.stores.logfiles.safe import Directory
from luxima_retention.stores.logfiles.state import State, locked
from luxima_retention.stores.logfiles.system import BusyError
from tests.servers.programs import find_program

JAKARTA = ZoneInfo("Asia/Jakarta")
AT = datetime(2026, 11, 22, 6, 5, 9, tzinfo=JAKARTA)


@pytest.fixture
def directory(tmp_path):
    opened = Directory.open(str(tmp_path))
    yield opened
    opened.close()


def opened(directory):
    return State(directory, "status", JAKARTA)


def test_what_is_noted_is_read_again(directory, tmp_path):
    state = opened(directory)
    assert state.last("/var/log/a.log") is None
    state.note("/var/log/a.log", AT.astimezone(UTC))
    state.note('/var/log/odd " \\ \n name', AT)
    state.save()
    text = (tmp_path / "status").read_text()
    assert text.startswith('logrotate state -- version 2\n"/var/log/a.log" 2026-11-22-6:5:9\n')
    again = opened(directory)
    assert again.last("/var/log/a.log") == AT
    assert again.last('/var/log/odd " \\ \n name') == AT
    assert not again.problems
    assert (tmp_path / "status").stat().st_mode & 0o777 == 0o640


def test_a_file_of_version_one_is_read(directory, tmp_path):
    (tmp_path / "status").write_text(
        'logrotate state -- version 1\n"/var/log/a" 2026-11-22\n/var/log/b 2026-1-2\n'
    )
    state = opened(directory)
    assert state.last("/var/log/a") == datetime(2026, 11, 22, tzinfo=JAKARTA)
    assert state.last("/var/log/b") == datetime(2026, 1, 2, tzinfo=JAKARTA)
    assert not state.problems


def test_what_cannot_be_read_is_told_and_kept_and_the_rest_counts(directory, tmp_path):
    lines = ['"/a" 2026-11-22-6:5:9', '"/b" 2026-99-22-6:5:9', "rubbish", '"/c" 2026-1-1-0:0:0', ""]
    text = "\n".join(["logrotate state -- version 2", *lines])
    (tmp_path / "status").write_text(text)
    state = opened(directory)
    assert len(state.problems) == 2
    assert [state.last(name) is not None for name in ("/a", "/b", "/c")] == [True, False, True]
    state.note("/d", AT)
    state.save()
    assert (tmp_path / "status.damaged").read_text() == text
    assert opened(directory).known() == ("/a", "/c", "/d")


@pytest.mark.parametrize(
    "data", [b"\x00\xff\xfe" * 50, b"something else\n", b'logrotate state -- version 9\n"/a" 2026-1-1\n']
)
def test_rubbish_is_told(directory, tmp_path, data):
    (tmp_path / "status").write_bytes(data)
    assert opened(directory).problems


def test_nothing_is_written_when_nothing_has_changed(directory, tmp_path):
    opened(directory).save()
    assert list(tmp_path.iterdir()) == []


@given(name=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_every_name_comes_back(tmp_path_factory, name):
    directory = Directory.open(str(tmp_path_factory.mktemp("state")))
    state = opened(directory)
    state.note(name, AT)
    state.save()
    assert opened(directory).last(name) == AT
    directory.close()


def test_the_lock_is_that_of_logrotate(directory, tmp_path):
    with locked(directory, "status"):
        with (tmp_path / "status").open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(BusyError), locked(directory, "status"):
            pass
    with locked(directory, "status"), pytest.raises(BusyError), locked(directory, "status"):
        pass


def test_logrotate_reads_what_we_write(directory, tmp_path):
    import subprocess

    log = tmp_path / "a.log"
    log.write_text("x\n")
    state = opened(directory)
    state.note(str(log), datetime(2001, 1, 1, tzinfo=UTC))
    state.save()
    (tmp_path / "status").chmod(0o640)
    config = tmp_path / "config"
    config.write_text(f"{log} {{\n daily\n rotate 2\n}}\n")
    config.chmod(0o644)
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [find_program("logrotate"), "-s", str(tmp_path / "status"), str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.log.1").read_text() == "x\n"
    assert opened(directory).last(str(log)).year > 2001
