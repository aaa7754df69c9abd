"""Instants as text and back, and time zones by their names."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from luxima_retention.core import clock
from luxima_retention.core.clock import iso, parse_iso, system_clock, zone_of
from luxima_retention.core.errors import ConfigurationError

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
JAKARTA = timezone(timedelta(hours=7))


def test_the_systems_clock_is_aware_and_in_utc():
    before = datetime.now(UTC)
    told = system_clock()
    assert told.tzinfo is UTC
    assert before <= told <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (AT, "2026-11-23T08:30:00Z"),
        (AT.replace(microsecond=120), "2026-11-23T08:30:00.000120Z"),
        (datetime(2026, 11, 23, 15, 30, tzinfo=JAKARTA), "2026-11-23T08:30:00Z"),
    ],
)
def test_an_instant_is_written_in_utc_and_read_back(instant, text):
    assert iso(instant) == text
    assert parse_iso(text) == instant
    assert parse_iso(text).tzinfo is UTC


def test_the_machines_zone_does_not_matter(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Jakarta")
        time.tzset()
        try:
            told = iso(AT), parse_iso("2026-11-23T15:30:00+07:00").utcoffset(), system_clock().utcoffset()
        finally:
            patched.undo()
            time.tzset()
    assert told == ("2026-11-23T08:30:00Z", timedelta(), timedelta())


def test_another_zone_is_read_as_utc():
    assert parse_iso("2026-11-23T15:30:00+07:00") == AT
    assert parse_iso("2026-11-23T15:30:00+07:00").utcoffset() == timedelta()


def test_an_instant_without_a_zone_is_nobodys():
    naive = AT.replace(tzinfo=None)
    with pytest.raises(ValueError, match=r"datetime\(2026, 11, 23, 8, 30\) has no time zone"):
        iso(naive)
    with pytest.raises(ValueError, match="'2026-11-23T08:30:00' has no time zone"):
        parse_iso("2026-11-23T08:30:00")


def test_an_instant_outside_of_the_calendar_is_told():
    text = "0001-01-01T00:00:00+07:00"
    with pytest.raises(ValueError, match=re.escape(f"{text!r} lies outside of the calendar")):
        parse_iso(text)


def test_a_zone_by_its_name_does_not_ask_the_machine(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert zone_of("Asia/Jakarta") == ZoneInfo("Asia/Jakarta")


@pytest.mark.parametrize("value", ["Europe/Berlin", ":Europe/Berlin"])
def test_the_machines_zone_is_that_of_tz(monkeypatch, value):
    monkeypatch.setenv("TZ", value)
    assert zone_of("local") == ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("value", ["CET-1CEST,M3.5.0,M10.5.0/3", "../etc/passwd", "Europe"])
def test_a_rule_in_tz_is_no_name(monkeypatch, value):
    monkeypatch.setenv("TZ", value)
    with pytest.raises(ConfigurationError) as caught:
        zone_of("local")
    assert (
        caught.value.message
        == f"the machine's time zone is {value!r} by TZ, which is not the name of a time zone"
    )
    assert caught.value.hint == "set rotation.time_zone"


def test_without_tz_the_machines_file_counts_and_else_utc(monkeypatch, tmp_path):
    monkeypatch.delenv("TZ", raising=False)
    file = tmp_path / "localtime"
    monkeypatch.setattr(clock, "_LOCAL", file)
    assert zone_of("local") is UTC
    file.write_bytes(_zone_file())
    zone = zone_of("local")
    assert zone.utcoffset(AT) == timedelta(hours=3)
    assert getattr(zone, "key", None) == "local"


def _zone_file() -> bytes:
    """A zone of three hours, as RFC 8536 writes it."""
    header = b"TZif" + b"2" + bytes(15)
    counts = (0, 0, 0, 0, 1, 4)
    block = b"".join(count.to_bytes(4, "big") for count in counts)
    kind = (3 * 3600).to_bytes(4, "big") + bytes([0, 0]) + b"EAT\0"
    return (header + block + kind) * 2 + b"\nEAT-3\n"
