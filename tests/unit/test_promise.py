"""What a period promises of a server that deletes by itself."""

from __future__ import annotations

import pytest

from luxima_retention.core.promise import Mode, in_days


@pytest.mark.parametrize(
    ("mode", "keeps", "ends"),
    [(Mode.MINIMUM, True, False), (Mode.MAXIMUM, False, True), (Mode.EXACT, True, True)],
)
def test_what_each_mode_promises(mode, keeps, ends):
    assert (mode.keeps, mode.ends) == (keeps, ends)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (60 * 86_400, "60 days"),
        (86_400, "1 day"),
        (0, "0 days"),
        (43_200, "12 h"),
        (86_401, "24 h"),
        (2 * 86_400 - 1, "48 h"),
        (2 * 86_400, "2 days"),
        (2 * 86_400 + 8640, "2.1 days"),
        (2 * 86_400 + 4752, "2.1 days"),
        (2 * 86_400 + 3888, "2 days"),
        (5400, "1.5 h"),
        (1234, "0.3428 h"),
    ],
)
def test_seconds_in_words(seconds, words):
    assert in_days(seconds) == words
