"""A few nights of the soak; a month is played by hand (docs/reliability.md)."""

from __future__ import annotations

from random import Random

import pytest

from tests.soak.faults import PLACES, drawn
from tests.soak.world import play, world


@pytest.mark.timeout(900)
def test_nights_with_faults_lose_nothing_young_or_held_and_leave_nothing_due(tmp_path):
    random = Random(28)  # noqa: S311 - repeatable, not secret
    with world(tmp_path) as found:
        play(found, 2, iter(drawn(random) for _ in range(2)))
    assert not found.problems, "\n".join(found.problems)
    assert found.faults["none"] < sum(found.faults.values())


def test_every_place_of_a_kill_is_one_of_the_program():
    import re
    from pathlib import Path

    source = "".join(path.read_text() for path in Path("luxima_retention").rglob("*.py"))
    known = set(re.findall(r'"([a-z_]+\.[a-z_]+)"', source))
    assert set(PLACES) <= known
