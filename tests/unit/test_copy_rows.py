"""Rows that PostgreSQL sends one by one reach the archive many at once; no rows give no bytes."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from luxima_retention.stores.table import store
from luxima_retention.stores.table.store import copy_rows

HEADER = b"id,at\n"


class Connection:
    """Answers every COPY with the same blocks."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = blocks

    @contextmanager
    def cursor(self):
        yield self

    @contextmanager
    def copy(self, statement, values):
        assert statement == "COPY"
        yield [memoryview(block) for block in self.blocks]


class Sink:
    format = "csv"

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data) -> None:
        self.written.append(data)


def copied(*blocks: bytes) -> list[bytes]:
    sink = Sink()
    copy_rows(Connection(*blocks), "COPY", {}, sink)
    return sink.written


@pytest.mark.parametrize("blocks", [(), (HEADER,)])
def test_no_rows_give_no_bytes(blocks):
    assert copied(*blocks) == []


def test_few_rows_are_one_piece_with_their_header():
    assert copied(HEADER, b"1,a\n", b"2,b\n") == [HEADER + b"1,a\n2,b\n"]


@pytest.mark.parametrize(
    ("limit", "pieces"),
    [
        (10, [HEADER + b"1,a\n", b"2,b\n3,c\n4,d\n"]),
        (11, [HEADER + b"1,a\n2,b\n", b"3,c\n4,d\n"]),
        (14, [HEADER + b"1,a\n2,b\n", b"3,c\n4,d\n"]),
        (18, [HEADER + b"1,a\n2,b\n3,c\n", b"4,d\n"]),
        (22, [HEADER + b"1,a\n2,b\n3,c\n4,d\n"]),
    ],
)
def test_rows_are_handed_over_when_there_are_enough_and_the_last_ones_too(monkeypatch, limit, pieces):
    monkeypatch.setattr(store, "_GATHERED", limit)
    assert copied(HEADER, b"1,a\n", b"2,b\n", b"3,c\n", b"4,d\n") == pieces
