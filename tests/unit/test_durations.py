"""Durations as people write them, and back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from luxima_retention.core.durations import go_seconds, in_words, parse_duration, spelled, within_go


@pytest.mark.parametrize(
    ("written", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        (" 7 d ", timedelta(days=7)),
        ("0s", timedelta()),
        ("off", None),
        (None, None),
        (timedelta(hours=5), timedelta(hours=5)),
    ],
)
def test_a_duration_is_read(written, duration):
    assert parse_duration(written) == duration


@pytest.mark.parametrize("written", ["", "7", "d", "7w", "-7d", "7d 3h", "1.5h", 7, "OFF"])
def test_what_is_no_duration_is_told_with_its_value(written):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        parse_duration(written)
    assert str(caught.value) == f"{written!r} is not a duration: write 90s, 30m, 2h, 7d or off"


@pytest.mark.parametrize("written", ["9999999999999d", "9" * 5000 + "s"])
def test_a_duration_beyond_the_calendar_is_told(written):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        parse_duration(written)
    assert str(caught.value) == f"{written!r} is longer than a century"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("720h0m0s", 2_592_000),
        ("30d", 2_592_000),
        ("22.5s", 22.5),
        ("1w", 604_800),
        ("1y", 31_536_000),
        ("1m30s", 90),
        ("250ms", 0.25),
        ("5us", 5e-6),
        ("5µs", 5e-6),
        ("3ns", 3e-9),
    ],
)
def test_a_duration_of_go_is_read(text, seconds):
    found = go_seconds(text)
    assert found == pytest.approx(seconds)
    assert isinstance(found, float)


@pytest.mark.parametrize("text", ["", "5", "h", "1h 5m", "1h5", "x1h", "-1h", "1.h"])
def test_what_is_no_duration_of_go_is_told(text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        go_seconds(text)
    assert str(caught.value) == f"{text!r} is not a duration"


def test_no_program_in_go_keeps_more_than_292_years():
    longest = 2**63 / 1e9
    assert within_go(longest, "x") == longest
    assert isinstance(within_go(3, "3s"), float)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        within_go(longest * 1.001, "9" * 50)
    assert str(caught.value) == f"{'9' * 40!r} is longer than any duration"
    with pytest.raises(ValueError, match="'300y' is longer than any duration"):
        go_seconds("300y")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "off"),
        (timedelta(days=7), "7d"),
        (timedelta(days=1), "1d"),
        (timedelta(hours=25), "25h"),
        (timedelta(hours=1), "1h"),
        (timedelta(minutes=61), "61m"),
        (timedelta(minutes=1), "1m"),
        (timedelta(seconds=61), "61s"),
        (timedelta(), "0s"),
        (True, "true"),
        (False, "false"),
        ("Any Text", "Any Text"),
        (5, "5"),
    ],
)
def test_a_value_is_spelled_as_a_setting_is_written(value, written):
    assert spelled(value) == written
    if isinstance(value, timedelta):
        assert parse_duration(written) == value


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(days=31, hours=7), "31 d 7 h"),
        (timedelta(days=31), "31 d"),
        (timedelta(seconds=1), "0 d 1 h"),
        (timedelta(hours=1, seconds=1), "0 d 2 h"),
        (timedelta(days=1) - timedelta(seconds=1), "1 d"),
        (timedelta(), "0 d"),
    ],
)
def test_whole_hours_are_rounded_up(duration, words):
    assert in_words(duration) == words


def test_a_century_is_a_duration_and_a_second_more_is_none():
    assert parse_duration("36500d") == timedelta(days=36_500)
    with pytest.raises(ValueError, match="longer than a century"):
        parse_duration(f"{36_500 * 86_400 + 1}s")
