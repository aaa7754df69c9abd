"""An entry's bytes and its place in the chain."""

import json
from datetime import UTC, datetime
from enum import StrEnum

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from luxima_retention.core.errors import TamperingFound
from luxima_retention.evidence.ledger import GENESIS, verify_chain
from luxima_retention.evidence.ledger.entry import compose, read
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.evidence.ledger.verify import canonical, parse
from tests.ledgers import event

AT = datetime(2026, 11, 23, 8, 30, 0, 123456, tzinfo=UTC)

keys = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=8)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(keys, values, max_size=5)


GOOD = compose("batch", {}, policy=None, at=AT, seq=1, previous=GENESIS).data


def chain(count):
    ledger = MemoryLedger()
    for number in range(count):
        ledger.append(event("batch", number=number, items=number * 7), policy="audit-logs", at=AT)
    return ledger.all


def test_the_bytes_are_the_rfc_8785_form_of_the_members():
    made = compose("batch", {"b": 1, "a": "é"}, policy=None, at=AT, seq=1, previous=GENESIS)
    assert made.data.decode() == (
        '{"at":"2026-11-23T08:30:00.123456Z","body":{"a":"é","b":1},"kind":"batch","policy":null,'
        f'"previous":"{GENESIS}","seq":1,"v":1}}'
    )


@given(bodies)
def test_the_standard_library_writes_what_rfc_8785_asks_for(body):
    assert canonical(body) == rfc8785.dumps(body)


@given(bodies)
def test_an_entry_reads_back_as_it_was_made(body):
    made = compose("run.completed", body, policy="audit-logs", at=AT, seq=7, previous="ab" * 32)
    assert read(made.data) == made


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"share": 0.25}, "body.share is of type float"),
        ({"at": AT}, "body.at is of type datetime"),
        ({"list": [1, {"deep": b"x"}]}, r"body.list\[1\].deep is of type bytes"),
        ({"much": 2**53}, "beyond what every JSON reader keeps"),
        ({"name": "a\0b"}, "zero byte"),
        ({"name": "\ud800"}, "half a character"),
        ({"ключ": 1}, "printable ASCII"),
        ({1: 1}, "printable ASCII"),
    ],
)
def test_what_the_ledger_does_not_take_is_named(body, said):
    with pytest.raises(ValueError, match=said):
        compose("batch", body, policy=None, at=AT, seq=1, previous=GENESIS)


def test_enumerations_are_written_as_their_values():
    class Colour(StrEnum):
        RED = "red"

    made = compose("batch", {"colour": Colour.RED}, policy=None, at=AT, seq=1, previous=GENESIS)
    assert json.loads(made.data)["body"] == {"colour": "red"}
    assert type(made.body["colour"]) is str


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1}',
        GOOD.replace(b'"v":1', b'"v":2'),
        GOOD.replace(b'"v":1', b'"v":1,"v":1'),
        GOOD.replace(b'"v":1', b'"v":1.0'),
        GOOD.replace(b'"v":1', b'"v":NaN'),
        GOOD.replace(b'"v":1', b'"v": 1'),
        GOOD.replace(b'"body":{}', b'"body":{"b":1,"a":1}'),
        GOOD.replace(b'"body":{}', b'"body":{"a":-0}'),
        GOOD.replace(b'"body":{}', b'"body":[]'),
        GOOD.replace(b'"batch"', b'"\\u0062atch"'),
        GOOD.replace(b'"batch"', b"1"),
        GOOD.replace(b'"batch"', b'"\xff"'),
        GOOD + b"\n",
        b"[1]",
        b"",
        b"[" * 100_000,
    ],
)
def test_only_the_canonical_form_of_an_entry_is_read(data):
    with pytest.raises(ValueError, match="not "):
        parse(data)


def test_a_whole_chain_verifies_and_tells_its_length():
    assert verify_chain(chain(20)).seq == 20
    assert verify_chain([]).seq == 0


@given(st.data())
def test_a_flipped_byte_is_found_and_its_entry_named(data):
    entries = chain(6)
    victim = data.draw(st.integers(0, 4))
    raw = bytearray(entries[victim].data)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(TamperingFound, match=f"entry ({victim + 1}|{victim + 2})|not an entry"):
        verify_chain([*entries[:victim], read(bytes(raw)), *entries[victim + 1 :]])


def test_an_entry_that_was_written_anew_no_longer_leads_to_the_next():
    first, second, third = chain(3)
    forged = compose("batch", {"items": 0}, policy="audit-logs", at=AT, seq=2, previous=first.hash)
    assert forged.hash != second.hash
    with pytest.raises(TamperingFound, match="entry 3 does not follow entry 2"):
        verify_chain([first, forged, third])


@given(st.integers(0, 5), st.integers(0, 5))
def test_a_dropped_doubled_or_swapped_entry_is_found_and_its_place_named(first, second):
    entries = chain(6)
    dropped = [*entries[:first], *entries[first + 1 :]]
    if first < 5:  # a chain cut at its end is whole in itself: checkpoints find that
        with pytest.raises(TamperingFound, match=f"entry {first + 2} stands where entry {first + 1} "):
            verify_chain(dropped)
    doubled = [*entries[: first + 1], *entries[first:]]
    with pytest.raises(TamperingFound, match=f"entry {first + 1} stands where entry {first + 2} "):
        verify_chain(doubled)
    if first != second:
        entries[first], entries[second] = entries[second], entries[first]
        with pytest.raises(TamperingFound, match=f"where entry {min(first, second) + 1} should be"):
            verify_chain(entries)
