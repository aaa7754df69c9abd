"""Good input, changed: bytes flip, vanish and repeat, words stand in wrong places, types differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

#: numbers and texts at which readers break
EDGES = (
    b"0",
    b"-1",
    b"1" * 400,
    b"9" * 5000,
    b"1e999",
    b"NaN",
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    "٣".encode(),
    b"\r\n",
    b"\n\n",
    b"[" * 20_000,
    b"{",
    b'"',
    b"'",
    b"\\",
    b"../../etc/passwd",
    b"2026-02-30T25:61:61Z",
    b"0001-01-01T00:00:00+23:59",
    b"9999-12-31T23:59:59-23:59",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    10**400,
    1.5,
    float("inf"),
    "",
    "\x00",
    "\ud800",
    "x" * 10_000,
    [],
    [[]],
    {},
    {"": None},
)


def mutants(seeds: Sequence[bytes], random: Random) -> bytes:
    """One changed input, from one of these."""
    data = random.choice(seeds)
    if random.random() < 0.5 and (value := _json(data)) is not None:
        return json.dumps(_reshaped(value, random)).encode()
    for _ in range(random.randint(1, 3)):
        data = random.choice(_CHANGES)(data, seeds, random)
    return data


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _reshaped(value: Any, random: Random) -> Any:
    """The value with one place replaced by something of another kind, or missing."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        name = random.choice(list(value))
        if random.random() < 0.1:
            return {key: item for key, item in value.items() if key != name}
        return {**value, name: _reshaped(value[name], random)}
    if isinstance(value, list) and value and random.random() < 0.9:
        at = random.randrange(len(value))
        return [*value[:at], _reshaped(value[at], random), *value[at + 1 :]]
    return random.choice(VALUES)


def _flip(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    if not data:
        return b"\x80"
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def _cut(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start = random.randint(0, len(data))
    return data[:start] + data[start + random.choice((1, 2, 7, len(data))) :]


def _repeat(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start = random.randint(0, len(data))
    piece = data[start : start + random.choice((1, 8, 80))]
    return data[:start] + piece * random.choice((2, 50)) + data[start:]


def _insert(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(EDGES) + data[at:]


def _replace(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    """One number or word replaced by an edge."""
    words = data.split(b" ")
    words[random.randrange(len(words))] = random.choice(EDGES)
    return b" ".join(words)


def _splice(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(seeds)
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


_CHANGES: tuple[Callable[[bytes, Sequence[bytes], Random], bytes], ...] = (
    _flip,
    _cut,
    _repeat,
    _insert,
    _replace,
    _splice,
)
