"""The ledger in a file: whole lines, one chain, whatever dies meanwhile."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxima_retention.core.errors import StoreError, TamperingFound
from luxima_retention.evidence.ledger import verify_chain
from luxima_retention.evidence.ledger.file import FileLedger
from tests.ledgers import event

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


def append(ledger, number, policy="audit-logs", kind="batch"):
    said = event(kind, number=number) if kind == "batch" else event(kind)
    return ledger.append(said, policy=policy, at=AT)


@pytest.fixture
def ledger(tmp_path):
    return FileLedger(tmp_path / "ledger.jsonl")


def test_a_ledger_that_is_not_there_is_empty_and_stays_absent(ledger):
    assert ledger.head() is None
    assert list(ledger.entries()) == []
    assert ledger.newest(kinds={"batch"}) is None
    assert not ledger.path.exists()


def test_entries_come_back_in_order_and_filtered(ledger):
    append(ledger, 1)
    append(ledger, 2, policy="log-files")
    append(ledger, 3, kind="run.completed")
    assert [item.seq for item in ledger.entries()] == [1, 2, 3]
    assert [item.seq for item in ledger.entries(after=1)] == [2, 3]
    assert [item.seq for item in ledger.entries(kinds={"batch"}, policy="audit-logs")] == [1]
    assert ledger.newest(kinds={"batch"}).seq == 2
    assert ledger.head().seq == 3
    assert verify_chain(ledger.entries()).seq == 3


def test_only_its_owner_may_read_it(ledger):
    append(ledger, 1)
    assert ledger.path.stat().st_mode & 0o777 == 0o600


def test_appenders_in_many_processes_leave_one_chain(ledger):
    script = (
        "import sys\nfrom datetime import UTC, datetime\nfrom pathlib import Path\n"
        "from luxima_retention.evidence.events import SweepCompleted\n"
        "from luxima_retention.evidence.ledger.file import FileLedger\n"
        "ledger = FileLedger(Path(sys.argv[1]))\n"
        "for number in range(25):\n"
        "    ledger.append(SweepCompleted(part=str(number)), policy=None, at=datetime.now(UTC))\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", script, ledger.path]) for _ in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    assert verify_chain(ledger.entries()).seq == 100


@given(st.data())
def test_a_torn_end_is_moved_aside_and_the_chain_goes_on(tmp_path_factory, data):
    ledger = FileLedger(tmp_path_factory.mktemp("torn") / "ledger.jsonl")
    append(ledger, 1)
    whole = ledger.path.read_bytes()
    append(ledger, 2)
    line = ledger.path.read_bytes()[len(whole) :]
    torn = line[: data.draw(st.integers(1, len(line) - 2))]
    ledger.path.write_bytes(whole + torn)
    assert [item.seq for item in ledger.entries()] == [1]
    assert append(ledger, 22).seq == 2
    assert [item.body["number"] for item in ledger.entries()] == [1, 22]
    assert ledger.path.with_name("ledger.jsonl.torn-2").read_bytes() == torn + b"\n"


def test_a_last_line_that_lacks_only_its_end_counts(ledger):
    append(ledger, 1)
    append(ledger, 2)
    ledger.path.write_bytes(ledger.path.read_bytes()[:-1])
    assert append(ledger, 3).seq == 3
    assert verify_chain(ledger.entries()).seq == 3


def test_zeros_that_a_file_system_left_are_a_torn_end(ledger):
    append(ledger, 1)
    with ledger.path.open("ab") as file:
        file.write(b"\0" * 300)
    assert append(ledger, 2).seq == 2


@pytest.mark.parametrize("tail", [b"rubbish", b'{"at":"x"}', b'{"at":"2026","v":1}'])
def test_an_end_that_is_no_beginning_of_an_entry_is_refused(ledger, tail):
    append(ledger, 1)
    before = ledger.path.read_bytes() + tail
    ledger.path.write_bytes(before)
    with pytest.raises(TamperingFound, match="not the beginning of entry 2"):
        append(ledger, 2)
    assert ledger.path.read_bytes() == before


def test_a_directory_that_is_not_there_is_a_sentence(tmp_path):
    ledger = FileLedger(tmp_path / "missing" / "ledger.jsonl")
    with pytest.raises(StoreError, match="No such file or directory") as caught:
        ledger.check_writable()
    assert "ledger.path" in caught.value.hint


def test_a_symbolic_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "ledger.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        append(FileLedger(tmp_path / "ledger.jsonl"), 1)


def test_a_full_disk_leaves_the_ledger_as_it_was(ledger, monkeypatch):
    append(ledger, 1)
    before = ledger.path.read_bytes()
    real, calls = os.write, []

    def write(descriptor, data):
        calls.append(data)
        return real(descriptor, data[:40]) if len(calls) == 1 else _full()

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StoreError, match="No space left"):
        append(ledger, 2)
    assert ledger.path.read_bytes() == before


def _full():
    raise OSError(28, "No space left on device")
