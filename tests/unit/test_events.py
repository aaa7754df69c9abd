"""Typed events: every kind goes into an entry and comes back as it was; older versions become the newest."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luxima_retention.core.errors import StoreError, TamperingFound
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence import codec, events, events_page
from luxima_retention.evidence import history as histories
from luxima_retention.evidence.ledger.entry import make, read
from luxima_retention.evidence.ledger.memory import MemoryLedger
from tests.ledgers import Raw, event

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
numbers = st.integers(-(2**53) + 1, 2**53 - 1)
st.register_type_strategy(str, texts)
st.register_type_strategy(int, numbers)
st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))


def any_of(kind):
    """Any event of a kind: hypothesis reads the annotations."""
    keys = st.text("abc-_.", max_size=5)
    plain = {"explained", "skipped", "metrics", "milliseconds"}
    given_fields = {
        field.name: st.dictionaries(keys, numbers, max_size=3)
        for field in dataclasses.fields(kind)
        if field.name in plain
    }
    for name in ("evidence",):
        if name in {field.name for field in dataclasses.fields(kind)}:
            given_fields[name] = st.dictionaries(keys, texts | numbers, max_size=3)
    if kind is events.Rotation:
        files = st.lists(st.dictionaries(keys, texts | numbers | st.none(), max_size=3), max_size=2).map(
            tuple
        )
        given_fields |= {"compressed": files, "removed": files}
    if kind is events.RunCompleted:
        given_fields["proof"] = st.none() | any_of(events.Proved)
    return st.builds(kind, **given_fields)


@pytest.mark.parametrize("kind", sorted(events.TYPES))
@settings(deadline=None)
@given(data=st.data())
def test_every_event_reads_back_from_the_bytes_of_its_entry(kind, data):
    said = data.draw(any_of(events.TYPES[kind]))
    written = make(said, policy="audit-logs", at=AT, seq=1, previous="0" * 64)
    assert (written.kind, written.body["version"]) == (kind, said.latest_version())
    assert read(written.data).event == said


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept(events.Event):
    """A kind that has changed twice."""

    kind: ClassVar[str] = "test.kept"
    upgrades: ClassVar = (
        lambda body: {"days": body["weeks"] * 7},
        lambda body: {**body, "basis": "unknown"},
    )
    days: int
    basis: str


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setitem(events.TYPES, Kept.kind, Kept)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "body",
    [
        {"version": 1, "weeks": 2},
        {"version": 2, "days": 14},
        {"version": 3, "days": 14, "basis": "unknown"},
    ],
)
def test_a_body_of_an_older_version_is_read_as_the_newest(body):
    assert events.parse("test.kept", body) == Kept(days=14, basis="unknown")
    assert Kept(days=14, basis="unknown").body()["version"] == 3


@pytest.mark.parametrize("kind", ["run.completed", "run.refused", "run.checked"])
def test_an_end_that_an_older_program_wrote_has_no_error(kind):
    newest = event(kind, error="connection refused").body()
    older = {name: value for name, value in newest.items() if name != "error"} | {"version": 1}
    assert events.parse(kind, newest).error == "connection refused"
    assert events.parse(kind, older) == event(kind)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(("kind", "version"), [("test.kept", 4), ("not.known", 1)])
def test_what_a_newer_version_wrote_is_read_as_such(kind, version):
    body = {"version": version, "much": 1}
    assert events.parse(kind, body) == events.Unknown(named=kind, members=body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "its version is None"),
        ({"version": True, "hold_id": "H"}, "its version is True"),
        ({"version": 0, "hold_id": "H"}, "its version is 0"),
        ({"version": 1}, "lacks hold_id"),
        ({"version": 1, "hold_id": "H", "more": 1}, "holds more"),
        ({"version": 1, "hold_id": 7}, "hold_id: 7 is not of type str"),
        ({"version": 1, "hold_id": None}, "hold_id: None is not of type str"),
    ],
)
def test_a_body_that_is_not_ours_is_named(body, said):
    with pytest.raises(ValueError, match=said):
        events.parse("hold.released", body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", True),
        ("number", 1.0),
        ("number", "1"),
        ("state", "finished"),
        ("first", "2026-11-23"),
        ("first", 7),
        ("skipped", [1]),
        ("skipped", {"hold": "1"}),
        ("part", "a.csv.zst"),
        ("part", {"name": "a"}),
    ],
)
def test_a_member_that_is_not_of_its_type_is_named(name, value):
    body = {**event("batch").body(), name: value}
    with pytest.raises(ValueError, match=f"batch: {name}: "):
        events.parse("batch", body)


def test_an_entry_that_is_not_ours_is_tampering_with_its_number():
    ledger = MemoryLedger()
    ledger.append(Raw("run.completed", version=1, destroyed="many"), policy="audit-logs", at=AT)
    with pytest.raises(TamperingFound, match="entry 1 is not what this program writes"):
        _ = ledger.all[0].event


def test_what_a_newer_version_wrote_about_a_run_is_never_taken_for_no_run():
    ledger = MemoryLedger()
    ledger.append(Raw("run.started", version=9, cut="x"), policy="audit-logs", at=AT)
    with pytest.raises(StoreError, match="newer version"):
        histories.read(ledger, "audit-logs", "core.audit_log")


def test_every_kind_and_part_says_what_each_member_means():
    for found in (*events.TYPES.values(), events.Guard, events.Found, events.Proved, Sealed):
        assert set(events_page.described(found)) >= {field.name for field in dataclasses.fields(found)}, found


def test_the_page_is_the_one_that_the_events_make():
    assert (ROOT / "docs" / "ledger-events.md").read_text() == events_page.page(), (
        "run: python -m luxima_retention.evidence.events_page > docs/ledger-events.md"
    )


def test_a_run_that_started_keeps_the_names_that_others_read():
    guards = [{"guard": "share", "passed": True, "observed": "1 %", "limit": "25 %", "override": None}]
    body = event("run.started", run_id="r", target="t", items=9, guards=guards).body()
    assert body["guards"] == guards
    assert {"run_id", "target", "cutoff", "items"} <= body.keys()


def test_the_codec_takes_exactly_what_a_class_declares():
    part = dataclasses.asdict(
        Sealed(
            name="n", version=None, items=1, first=None, last=None, bytes=1,
            sha256="a", raw_bytes=1, raw_sha256="b", root="c", header="",
        )
    )  # fmt: skip
    assert codec.encode(codec.decode(Sealed, part)) == part
    with pytest.raises(ValueError, match="is not an object"):
        codec.decode(Sealed, [part])
