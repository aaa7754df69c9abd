"""The hold register beside a file ledger, which vouches for every hold in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.core.errors import ConfigurationError, LeaseHeld, StoreError, TamperingFound
from luxima_retention.core.plan import Hold
from luxima_retention.evidence.events import HoldReleased
from luxima_retention.evidence.holds import FileRegister, Release, in_force, placed
from luxima_retention.evidence.ledger.file import FileLedger
from luxima_retention.run.lease import take_file
from luxima_retention.run.state import State

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


def hold(number=1, **fields):
    return Hold(hold_id=f"H-{number}", reason="case", placed_by="somebody", placed_at=AT, **fields)


@pytest.fixture
def state(tmp_path):
    state = State("", str(tmp_path / "ledger.jsonl"))
    yield state
    state.close()


def test_a_hold_is_in_force_until_it_is_released(state):
    first, second = hold(1, policy="audit-logs", tenant="acme"), hold(2, start=AT, end=AT + timedelta(days=1))
    for item in (first, second):
        state.register.place(item, state.ledger)
    assert in_force(state.register) == (first, second)
    assert in_force(state.register, "log-files") == (second,)
    state.register.release("H-1", Release(at=AT, by="somebody", reason="over"), state.ledger)
    assert in_force(state.register) == (second,)
    everything = state.register.all(active=False)
    assert [bool(item.released) for item in everything] == [True, False]
    assert [entry.kind for entry in state.ledger.entries()] == ["hold.placed", "hold.placed", "hold.released"]


def test_another_process_reads_the_same(state, tmp_path):
    state.register.place(hold(1, subject="user-7"), state.ledger)
    other = State("", str(tmp_path / "ledger.jsonl"))
    assert in_force(other.register) == (hold(1, subject="user-7"),)
    other.close()


def test_the_ledger_keeps_no_word_of_a_hold(state, tmp_path):
    state.register.place(hold(1, subject="user-7", tenant="acme"), state.ledger)
    text = (tmp_path / "ledger.jsonl").read_text()
    for word in ("user-7", "acme", "somebody", "case"):
        assert word not in text


@pytest.mark.parametrize("change", ["lost", "emptied", "edited", "garbage"])
def test_a_register_that_is_not_what_the_ledger_says_cannot_be_read(state, tmp_path, change):
    state.register.place(hold(1, tenant="acme"), state.ledger)
    path = tmp_path / "ledger.jsonl.holds.json"
    if change == "lost":
        path.unlink()
    elif change == "emptied":
        path.write_text(json.dumps({"v": 1, "holds": []}))
    elif change == "edited":
        path.write_text(path.read_text().replace("acme", "globex"))
    else:
        path.write_text("{")
    with pytest.raises(StoreError if change == "garbage" else TamperingFound, match="hold register"):
        in_force(state.register)


def release(state, name="H-1"):
    state.register.release(name, Release(at=AT, by="somebody", reason="over"), state.ledger)


def test_a_release_that_was_written_and_not_done_is_refused_until_it_is_repeated(state):
    """As a kill leaves it, and whoever writes the entry alone."""
    state.register.place(hold(1), state.ledger)
    state.ledger.append(HoldReleased(hold_id="H-1"), policy=None, at=AT)
    with pytest.raises(
        TamperingFound, match="H-1 as in force, but it was released by an entry of the ledger"
    ):
        in_force(state.register)
    release(state)
    assert in_force(state.register) == ()


def test_a_release_without_its_entry_is_refused(state, tmp_path):
    state.register.place(hold(1), state.ledger)
    path = tmp_path / "ledger.jsonl.holds.json"
    values = json.loads(path.read_text())
    values["holds"][0]["released"] = {"at": "2026-11-23T08:30:00Z", "by": "x", "reason": "y"}
    path.write_text(json.dumps(values))
    with pytest.raises(TamperingFound, match="as released, and the ledger has no release of it"):
        in_force(state.register)


def test_a_release_before_its_placing_counts_for_nothing_and_is_refused(state):
    state.ledger.append(HoldReleased(hold_id="H-1"), policy=None, at=AT)
    with pytest.raises(TamperingFound, match="releases hold H-1, which was not placed before"):
        in_force(state.register)
    state.register.place(hold(1), state.ledger)
    assert in_force(state.register) == (hold(1),)
    release(state)
    assert in_force(state.register) == ()


def test_what_the_ledger_places_twice_is_refused(state):
    state.register.place(hold(1), state.ledger)
    state.ledger.append(placed(hold(1)), policy=None, at=AT)
    with pytest.raises(TamperingFound, match="places hold H-1 twice"):
        in_force(state.register)


def test_a_hold_that_was_changed_cannot_be_released(state, tmp_path):
    state.register.place(hold(1, tenant="acme"), state.ledger)
    path = tmp_path / "ledger.jsonl.holds.json"
    path.write_text(path.read_text().replace("acme", "globex"))
    with pytest.raises(TamperingFound, match="otherwise of its placing"):
        release(state)


def test_the_review_of_a_hold_is_part_of_what_is_pinned(state, tmp_path):
    item = hold(1, review_by=AT)
    state.register.place(item, state.ledger)
    assert in_force(state.register) == (item,)
    assert item.overdue(AT)
    assert not item.overdue(AT - timedelta(seconds=1))
    assert not hold(2).overdue(AT)
    path = tmp_path / "ledger.jsonl.holds.json"
    path.write_text(path.read_text().replace('"review_by": "2026', '"review_by": "2036'))
    with pytest.raises(TamperingFound, match="otherwise than it was placed"):
        in_force(state.register)


def test_killed_before_the_ledgers_entry_the_hold_is_in_force(state, tmp_path):
    class KilledError(Exception):
        pass

    class Dying(FileLedger):
        def append(self, *_, **__):
            raise KilledError

    with pytest.raises(KilledError):
        state.register.place(hold(), Dying(tmp_path / "ledger.jsonl"))
    assert in_force(state.register) == (hold(),)
    with pytest.raises(TamperingFound, match="otherwise of its placing"):
        release(state)
    state.register.place(hold(tenant="acme"), state.ledger)
    assert in_force(state.register) == (hold(tenant="acme"),)


def test_a_name_is_taken_once(state):
    state.register.place(hold(), state.ledger)
    with pytest.raises(ConfigurationError, match="already"):
        state.register.place(hold(), state.ledger)
    with pytest.raises(ConfigurationError, match="no hold H-9"):
        state.register.release("H-9", Release(at=AT, by="x", reason="y"), state.ledger)


def test_a_register_that_cannot_be_written_is_a_sentence(tmp_path):
    ledger = FileLedger(tmp_path / "ledger.jsonl")
    register = FileRegister(tmp_path / "missing" / "holds.json", ledger)
    with pytest.raises(StoreError, match="cannot be written"):
        register.place(hold(), ledger)
    assert list(ledger.entries()) == []


def test_one_lease_for_each_policy_and_it_dies_with_its_holder(state, tmp_path):
    lease = state.lease("audit-logs")
    with pytest.raises(LeaseHeld, match="audit-logs"):
        take_file(tmp_path / "ledger.jsonl", "audit-logs", 9)
    other = state.lease("log-files")
    lease.check()
    lease.release()
    again = state.lease("audit-logs")
    assert again.token >= lease.token
    for taken in (other, again):
        taken.release()
        taken.release()


def test_a_user_without_a_name_is_a_number(monkeypatch):
    """As in a container, where no file knows the user."""
    import getpass

    from luxima_retention.cli import hold as command

    def unknown():
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert command._user().startswith("uid ")
