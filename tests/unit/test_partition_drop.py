"""A partition in the trash is dropped only as it was put there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from luxima_retention.core.errors import StoreError
from luxima_retention.core.protocol import Work
from luxima_retention.stores.table.partitions import Content, Detached, DropBatch

AT = datetime(2026, 1, 5, tzinfo=UTC)


class Trash:
    """A table in the trash with so many rows; notes what is done to it."""

    def __init__(self, items: int, held: int = 0) -> None:
        self.found = Content(items=items, first=AT, last=AT, held=held)
        self.done: list[str] = []

    def content(self, _name, _holds):
        return self.found

    def alter(self, action, _name):
        self.done.append(action)

    def note(self, action, **_values):
        self.done.append(action)


def drop_of(trash):
    item = Detached(
        relation=1,
        partition="core.old",
        bound="",
        items=120,
        first=AT,
        last=AT,
        size_bytes=8192,
        archived=True,
        due=AT,
        complete=True,
        name=("retention_trash", "old_1"),
        attached=False,
    )
    work = Work(run_id="r", token=1, resumed=False, holds=tuple, stopping=lambda: False, wait=lambda _: None)
    return DropBatch(trash, item, work)


@pytest.mark.parametrize("items", [119, 121, 0])
def test_rows_that_came_or_went_in_the_trash_end_the_run(items):
    trash = Trash(items)
    with pytest.raises(StoreError, match=rf"retention_trash\.old_1 holds {items} rows where 120 were put"):
        drop_of(trash).stage(None)
    assert trash.done == []


def test_a_table_in_the_trash_goes_as_it_was_put_there_and_stays_when_held():
    free, held = Trash(120), Trash(120, held=3)
    assert [drop.stage(None).items for drop in (drop_of(free), drop_of(held))] == [120, 0]
    for trash in (free, held):
        batch = drop_of(trash)
        batch.stage(None)
        batch.commit()
    assert (free.done, held.done) == (["drop", "forget"], [])
