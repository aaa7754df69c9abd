"""Verifies a ledger with nothing but Python's standard library.

The program uses this file, and an exported bundle carries a copy of it: what an auditor runs is what
the program runs. It imports nothing of the program.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, NoReturn

#: ``previous`` of the first entry: there is nothing before it.
GENESIS = "0" * 64


class TamperedError(Exception):
    """What was verified is not what was written; the message names the place."""


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a whole number")


_DECODER = json.JSONDecoder(parse_float=_refuse_number, parse_constant=_refuse_number)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value without floats and with ASCII keys, which every entry is.

    RFC 8785 sorts keys by UTF-16 units and writes numbers as ECMAScript does; for ASCII keys and whole
    numbers that is what Python's own encoder writes with sorted keys and no white space.
    """
    return _ENCODER.encode(value).encode()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256 of a zero byte and ``data`` (RFC 6962, section 2.1): the hash of an entry."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of a one byte and both halves (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def parse(data: bytes) -> dict[str, Any]:
    """The members of one entry.

    Raises:
        ValueError: the bytes are not the canonical form of a JSON object. That also refuses doubled
            keys, floats and white space.
    """
    try:
        value = _DECODER.decode(data.decode())
        same = canonical(value) == data
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not an entry: {error}") from None
    if not same or not isinstance(value, dict):
        raise ValueError("not the canonical form of a JSON object")
    return value


class Tree:
    """The root of a growing RFC 6962 tree, in memory that grows with the logarithm of its size."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # roots of the perfect subtrees, largest first

    def add(self, leaf: bytes) -> None:
        """Append a leaf hash."""
        count = self.size
        while count & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            count >>= 1
        self._peaks.append(leaf)
        self.size += 1

    def extend(self, records: list[bytes]) -> None:
        """Append the leaves of many records."""
        sha256, add = hashlib.sha256, self.add
        for record in records:
            add(sha256(b"\x00" + record).digest())

    def root(self) -> bytes:
        """The tree hash of what was added; SHA-256 of nothing for the empty tree."""
        if not self._peaks:
            return hashlib.sha256().digest()
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


class Chain:
    """Follows entries one by one and raises at the first that does not belong where it stands."""

    def __init__(self) -> None:
        self.seq = 0
        self.hash = GENESIS
        self.tree = Tree()

    def add(self, data: bytes, recorded_hash: str | None = None) -> dict[str, Any]:
        """Take the next entry's bytes and return its members.

        Args:
            data: the bytes of the entry.
            recorded_hash: the hash that is stored beside the entry, hex, where there is one.

        Raises:
            TamperedError: the entry is not canonical, not the next one, or not linked to the one before.
        """
        expected = self.seq + 1
        try:
            entry = parse(data)
        except ValueError as error:
            raise TamperedError(f"entry {expected}: {error}") from None
        if entry.get("seq") != expected:
            raise TamperedError(f"entry {entry.get('seq')} stands where entry {expected} should be")
        if entry.get("previous") != self.hash:
            raise TamperedError(
                f"entry {expected} does not follow what stands as entry {self.seq}: one of them was changed"
            )
        leaf = leaf_hash(data)
        if recorded_hash is not None and recorded_hash != leaf.hex():
            raise TamperedError(
                f"entry {expected} was changed: its hash is {leaf.hex()}, not {recorded_hash}"
            )
        self.seq, self.hash = expected, leaf.hex()
        self.tree.add(leaf)
        return entry
