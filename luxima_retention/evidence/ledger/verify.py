"""Verifies a bundle, or a ledger, with nothing but Python's standard library (3.9 and newer).

The program uses this file, and an exported bundle carries a copy of it: what an auditor runs is what
the program runs. It imports nothing of the program. Whoever distrusts the copy in the bundle compares its
SHA-256 with the one in the documentation, or takes the file from the program's own package.

    python3 verify.py --key "$(cat the-key-you-keep.txt)" --checkpoint the-one-you-keep.txt BUNDLE

Exit status: 0 verified; 2 usage; 3 the bundle agrees with itself, but no key was given that it could be
verified with; 6 something is not what was written.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import heapq
import json
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

#: ``previous`` of the first entry: there is nothing before it.
GENESIS = "0" * 64
#: what every entry of version 1 has, and nothing else
MEMBERS = frozenset({"v", "seq", "at", "kind", "policy", "body", "previous"})
#: the largest file of each sort that is read, in bytes
LARGEST = {"ledger.jsonl": 8 << 30, "entry": 16 << 20, "note": 64 << 10, "file": 256 << 20}


class TamperedError(Exception):
    """What was verified is not what was written; the message names the place."""


# --- Entries: RFC 8785 JSON, hashed as leaves of an RFC 6962 tree


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a whole number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two members of one name different readers take different ones."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = Counter(name for name, _ in pairs)
        raise ValueError(f"{names.most_common(1)[0][0]!r} stands there twice")
    return found


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


_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
_HASH = re.compile(r"[0-9a-f]{64}")
_KIND = re.compile(r"[a-z]+(\.[a-z]+)*")


def parse(data: bytes) -> dict[str, Any]:
    """The members of one entry.

    Raises:
        ValueError: the bytes are not the canonical form of an entry. That also refuses doubled keys,
            floats, NaN and white space.
    """
    try:
        value = _DECODER.decode(data.decode())
        same = canonical(value) == data
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not an entry: {error}") from None
    if not same or not _is_entry(value):
        raise ValueError("not the canonical form of an entry of version 1")
    members: dict[str, Any] = value
    return members


def _is_entry(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != MEMBERS:
        return False
    if type(value["v"]) is not int or value["v"] != 1 or type(value["seq"]) is not int:
        return False
    if not isinstance(value["body"], dict) or not isinstance(value["policy"], (str, type(None))):
        return False
    return _is(_AT, value["at"]) and _is(_KIND, value["kind"]) and _is(_HASH, value["previous"])


def _is(form: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


class Tree:
    """The root of a growing RFC 6962 tree, in memory that grows with the logarithm of its size.

    Args:
        size: leaves that are in the tree already.
        peaks: roots of its perfect subtrees, largest first: what :attr:`peaks` was at that size.
    """

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)
        expected = bin(size).count("1")  # noqa: FURB161 - Python 3.9 has no bit_count
        if len(self.peaks) != expected:
            raise ValueError(f"a tree of {size} leaves has {expected} peaks, not {len(self.peaks)}")

    def add(self, leaf: bytes) -> None:
        """Append a leaf hash."""
        count = self.size
        while count & 1:
            leaf = node_hash(self.peaks.pop(), leaf)
            count >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def extend(self, records: list[bytes]) -> None:
        """Append the leaves of many records."""
        sha256, add = hashlib.sha256, self.add
        for record in records:
            add(sha256(b"\x00" + record).digest())

    def root(self) -> bytes:
        """The tree hash of what was added; SHA-256 of nothing for the empty tree."""
        if not self.peaks:
            return hashlib.sha256().digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


class Chain:
    """Follows entries one by one and raises at the first that does not belong where it stands."""

    def __init__(self) -> None:
        self.seq = 0
        self.hash = GENESIS
        self.at = ""
        self.tree = Tree()

    def add(self, data: bytes, recorded_hash: str | None = None) -> dict[str, Any]:
        """Take the next entry's bytes and return its members.

        Args:
            data: the bytes of the entry.
            recorded_hash: the hash that is stored beside the entry, hex, where there is one.

        Raises:
            TamperedError: it is no entry, not the next one, not linked to the one before, or older.
        """
        expected = self.seq + 1
        try:
            members = parse(data)
        except ValueError as error:
            raise TamperedError(f"entry {expected} is {error}") from None
        if members["seq"] != expected:
            raise TamperedError(f"entry {members['seq']} stands where entry {expected} should be")
        if members["previous"] != self.hash:
            raise TamperedError(
                f"entry {expected} does not follow what stands as entry {self.seq}: one of them was changed"
            )
        # Without the Z the texts sort as the instants do.
        if members["at"][:-1] < self.at[:-1]:
            raise TamperedError(f"entry {expected} says {members['at']}, earlier than the entry before it")
        leaf = leaf_hash(data)
        if recorded_hash is not None and recorded_hash != leaf.hex():
            raise TamperedError(f"entry {expected} was changed: its hash is not {recorded_hash}")
        self.seq, self.hash, self.at = expected, leaf.hex(), members["at"]
        self.tree.add(leaf)
        return members


# --- Checkpoints: C2SP tlog-checkpoint, a signed note; and the cosignatures of witnesses


#: Whether a signature (64 bytes) is the one of a public key (32 bytes) for a message, in that order:
#: ``verifies(public, message, signature)``.
Verifies = Callable[[bytes, bytes, bytes], bool]


def _signed_text(text: bytes, said: bytes) -> tuple[bytes, bytes, int]:
    return text, said, 0


def _cosigned_text(text: bytes, said: bytes) -> tuple[bytes, bytes, int]:
    seconds = int.from_bytes(said[:8], "big")
    return b"cosignature/v1\ntime %d\n" % seconds + text, said[8:], seconds


#: type of a key → the message that its signature of a note's text is of, the bare signature, and its time
#: (C2SP signed-note, "Signature types", and tlog-cosignature). Another type of key is another line here.
SIGNER, WITNESS = 1, 4
_SCHEMES = {SIGNER: _signed_text, WITNESS: _cosigned_text}


@dataclass(frozen=True)
class Key:
    """A verifier key, ``<name>+<id>+<key>`` in base64 (C2SP signed-note, "Verifier keys").

    Args:
        name: the signer's, here the ledger's origin or the witness's name.
        public: the 32 bytes of the Ed25519 key.
        kind: ``SIGNER`` for the key of a ledger, ``WITNESS`` for one that cosigns.
    """

    name: str
    public: bytes
    kind: int = SIGNER

    @classmethod
    def parse(cls, text: str) -> Key:
        """The key that ``text`` says.

        Raises:
            ValueError: it says none, or its id does not belong to it.
        """
        name, key_id, encoded = [*text.strip().split("+", 2), "", ""][:3]
        data = base64.b64decode(encoded, validate=True)
        key = cls(name, data[1:], data[0] if data else 0)
        if not name or key.kind not in _SCHEMES or len(key.public) != 32 or key.key_id.hex() != key_id:
            raise ValueError(f"{text.strip()!r} is not an Ed25519 verifier key")
        return key

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell the keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        """The inverse of :meth:`parse`."""
        encoded = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


@dataclass(frozen=True)
class Note:
    """A signed note: a text, and the signatures below it, which are not verified yet.

    Args:
        text: what was signed.
        signatures: name and id of a key, and what it said.
        place: where the note was found, for people.
    """

    text: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...]
    place: str

    def names(self, key: Key) -> bool:
        """Whether a signature of this key stands there, whatever it is worth."""
        return any((name, key_id) == (key.name, key.key_id) for name, key_id, _ in self.signatures)

    def signed_at(self, key: Key, verifies: Verifies) -> int | None:
        """When this key signed, in seconds since 1970 (0 where its type tells no time); ``None``: it did not.

        Raises:
            TamperedError: a signature of this key is there and does not verify.
        """
        for name, key_id, said in self.signatures:
            if (name, key_id) == (key.name, key.key_id):
                message, signature, seconds = _SCHEMES[key.kind](self.text, said)
                if not verifies(key.public, message, signature):
                    raise TamperedError(f"{self.place}: the signature of {key.name} does not verify")
                return seconds
        return None


@dataclass(frozen=True)
class Checkpoint:
    """A signed head of the tree.

    Args:
        origin: the ledger's name.
        size: entries that it covers.
        root: RFC 6962 tree hash of them.
        head: hash of the last of them, hex, from the extension line ``head …``; empty without one.
        note: the whole note.
        signed: the same in its parts.
        place: where the note was found, for people.
    """

    origin: str
    size: int
    root: bytes
    head: str
    note: str
    signed: Note
    place: str = "a checkpoint"

    @classmethod
    def parse(cls, note: str, place: str = "a checkpoint") -> Checkpoint:
        """The checkpoint that a note holds; its signatures are not verified here.

        Raises:
            TamperedError: it is no note, or holds no checkpoint.
        """
        try:
            text, signatures = open_note(note)
            origin, size, root, *more = text.splitlines()
            head = next((line[5:] for line in more if line.startswith("head ")), "")
            if not origin or str(int(size)) != size or int(size) < 0:
                raise ValueError("origin or size")  # noqa: TRY301 - one handler for all of it
            data = base64.b64decode(root, validate=True)
            signed = Note(text.encode(), signatures, place)
            return cls(origin, int(size), data, head, note, signed, place)
        except ValueError as error:
            raise TamperedError(f"{place} is not a signed checkpoint: {error}") from None

    def is_signed_by(self, key: Key, verifies: Verifies | None = None) -> bool:
        """Whether a signature of this key is there and verifies; one that is there must."""
        return self.signed.signed_at(key, verifies or ed25519_verifies) is not None


def open_note(note: str) -> tuple[str, tuple[tuple[str, bytes, bytes], ...]]:
    """Text of a signed note, and name, key id and signature of each line below it; not verified.

    Raises:
        ValueError: it is no signed note.
    """
    text, _, signatures = note.rpartition("\n\n")
    if not text or not signatures.endswith("\n"):
        raise ValueError("a note is a text, an empty line, and signatures")
    return f"{text}\n", tuple(_signature(line) for line in signatures[:-1].split("\n"))


def _signature(line: str) -> tuple[str, bytes, bytes]:
    dash, name, encoded = line.split(" ")
    data = base64.b64decode(encoded, validate=True)
    if dash != "\u2014" or not name or len(data) < 5:
        raise ValueError("a signature line is not in its form")
    return name, data[:4], data[4:]


# --- Ed25519, RFC 8032 section 5.1.7; for verification only, so nothing here is secret

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int, int, int]


def ed25519_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (64 bytes) is the one of ``public`` (32 bytes) for ``message``."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, point = _decompress(public), _decompress(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or point is None or scalar >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % _L
    return _same(_times(scalar, _BASE), _plus(point, _times(challenge, key)))


def _decompress(data: bytes) -> _Point | None:
    """The point that 32 bytes name; ``None`` when they name none, or not in its one form."""
    value = int.from_bytes(data, "little")
    y, sign = value & ((1 << 255) - 1), value >> 255
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _plus(one: _Point, two: _Point) -> _Point:
    """The sum, in extended coordinates (RFC 8032, section 5.1.4)."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % _P
    b = (one[1] + one[0]) * (two[1] + two[0]) % _P
    c = 2 * one[3] * two[3] * _D % _P
    d = 2 * one[2] * two[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: _Point) -> _Point:
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _plus(result, point)
        point = _plus(point, point)
        scalar >>= 1
    return result


def _same(one: _Point, two: _Point) -> bool:
    return (one[0] * two[2] - two[0] * one[2]) % _P == 0 and (one[1] * two[2] - two[1] * one[2]) % _P == 0


_BASE = _decompress((4 * pow(5, -1, _P) % _P).to_bytes(32, "little")) or (0, 1, 1, 0)


# --- A whole ledger against its checkpoints


@dataclass
class Verification:
    """What was found to be whole.

    Args:
        entries: how many.
        head: hash of the last one, hex.
        root: RFC 6962 tree hash of all of them, hex.
        at: what the last one says about its time.
        covered: entries that the newest checkpoint covers which the key vouches for.
        covered_at: the time of the last of them.
        checkpoints: how many agree.
        signatures: of how many of them the signature was verified.
        abandoned: checkpoints of entries that an entry ``ledger.recovered`` gave up.
        key: the key that signs now, as far as it is trusted; ``None`` when no key was given.
        witnessed: name of a witness → entries that its newest cosignature covers, and its time in seconds
            since 1970.
    """

    entries: int = 0
    head: str = GENESIS
    root: str = ""
    at: str = ""
    covered: int = 0
    covered_at: str = ""
    checkpoints: int = 0
    signatures: int = 0
    abandoned: int = 0
    key: Key | None = None
    witnessed: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Verifier:
    """Follows the entries once, and holds each checkpoint against the tree at its size.

    A key is trusted because it was given, or because a checkpoint that a trusted key signed covers the
    entry ``key.rotated`` that names it.

    Args:
        checkpoints: all that are known, by size: the ledger's own, the anchors', those that somebody kept.
        key: the pinned key, which must have signed a checkpoint; without one, signatures say nothing and
            only the tree is compared.
        witnesses: whose newest cosignatures are looked for.
        verifies: checks one Ed25519 signature.
        every_signature: of all checkpoints; else of the newest, of the last of each month, and of those that
            hand over from one key to the next: every other is then held by the root that it must have.
        told: is told of each entry's members, in their order.
    """

    checkpoints: Iterable[Checkpoint] = ()
    key: Key | None = None
    witnesses: tuple[Key, ...] = ()
    verifies: Verifies = ed25519_verifies
    every_signature: bool = True
    told: Callable[[dict[str, Any]], None] = lambda _members: None
    chain: Chain = field(default_factory=Chain)
    verdict: Verification = field(default_factory=Verification)
    agreed: int = 0  # entries under the last checkpoint that had the right root
    _next_key: Key | None = None
    _waiting: tuple[Checkpoint, str] | None = None  # signed, not verified yet, and the time of its last entry
    _cosigned: dict[Key, Checkpoint] = field(default_factory=dict)
    _given_up: list[tuple[int, int]] = field(default_factory=list)

    def run(self, entries: Iterable[tuple[bytes, str | None]]) -> Verification:
        """Verify entries (bytes, and the hash recorded beside them if there is one).

        Raises:
            TamperedError: the first thing that is not what was written, by its place.
        """
        self.verdict.key = self.key
        waiting = _Ascending(self.checkpoints)
        for data, recorded in entries:
            members = self.chain.add(data, recorded)
            self._hear(members)
            self.told(members)
            while waiting.next is not None and waiting.next.size <= self.chain.seq:
                self._hold(waiting.take())
        while waiting.next is not None:
            self._beyond(waiting.take())
        self._finish()
        return self.verdict

    def _hear(self, members: Mapping[str, Any]) -> None:
        """What an entry says about keys, and about what was lost."""
        body, seq = members["body"], members["seq"]
        try:
            if (
                members["kind"] == "key.rotated"
                and self.verdict.key
                and (body.get("old") == str(self.verdict.key))
            ):
                self._next_key = Key.parse(str(body.get("new")))
            if members["kind"] == "ledger.recovered":
                self._given_up.append((seq - 1, int(body["lost"])))
        except (ValueError, KeyError, TypeError) as error:
            raise TamperedError(f"entry {seq}: {error}") from None

    def _hold(self, checkpoint: Checkpoint) -> None:
        """Compare one checkpoint with the tree."""
        if checkpoint.size < self.chain.seq:
            raise TamperedError(f"{checkpoint.place} covers {checkpoint.size} entries, which no ledger does")
        if checkpoint.root != self.chain.tree.root() or checkpoint.head not in {"", self.chain.hash}:
            if not self._was_given_up(checkpoint):
                raise TamperedError(
                    f"{checkpoint.place} covers {checkpoint.size} entries with another root: one of the "
                    f"entries {self.agreed + 1} to {checkpoint.size} was changed after it was signed"
                )
            return
        self.agreed = checkpoint.size
        self.verdict.checkpoints += 1
        self._cosigned.update((key, checkpoint) for key in self.witnesses if checkpoint.signed.names(key))
        if self.verdict.key and checkpoint.signed.names(self.verdict.key):
            if self._waiting and self._waiting[1][:7] != self.chain.at[:7]:
                self._trust(*self._waiting)
            self._waiting = (checkpoint, self.chain.at)
            if self.every_signature or self._next_key:
                self._trust(*self._waiting)

    def _trust(self, checkpoint: Checkpoint, at: str) -> None:
        """Verify a signature of the trusted key; a key that waits to be trusted is trusted from then on."""
        self._waiting = None
        if self.verdict.key is None or not checkpoint.is_signed_by(self.verdict.key, self.verifies):
            return
        self.verdict.signatures += 1
        self.verdict.covered, self.verdict.covered_at = checkpoint.size, at
        self.verdict.key = self._next_key or self.verdict.key
        self._next_key = None

    def _was_given_up(self, checkpoint: Checkpoint) -> bool:
        """Whether a recovery from a backup told that what this checkpoint covers is lost."""
        found = any(kept < checkpoint.size <= lost for kept, lost in self._given_up)
        self.verdict.abandoned += found
        return found

    def _beyond(self, checkpoint: Checkpoint) -> None:
        """A checkpoint of more entries than there are."""
        if not self._was_given_up(checkpoint):
            raise TamperedError(
                f"the ledger ends at entry {self.chain.seq}, but {checkpoint.place} covers {checkpoint.size}"
                f" entries: entries {self.chain.seq + 1} to {checkpoint.size} are missing"
            )

    def _finish(self) -> None:
        if self._waiting:
            self._trust(*self._waiting)
        verdict = self.verdict
        verdict.entries, verdict.head, verdict.at = self.chain.seq, self.chain.hash, self.chain.at
        verdict.root = self.chain.tree.root().hex()
        if verdict.key and not verdict.covered:
            raise TamperedError(f"no checkpoint is signed by the key {self.key}")
        for key, checkpoint in self._cosigned.items():
            seconds = checkpoint.signed.signed_at(key, self.verifies)
            verdict.witnessed[key.name] = (checkpoint.size, seconds or 0)


class _Ascending:
    """Checkpoints one by one, which must come by size, so that memory does not grow with their number."""

    def __init__(self, checkpoints: Iterable[Checkpoint]) -> None:
        self._rest = iter(checkpoints)
        self.next = next(self._rest, None)

    def take(self) -> Checkpoint:
        """The one that :attr:`next` shows."""
        taken, self.next = self.next, next(self._rest, None)
        if taken is None:
            raise TamperedError("there is no further checkpoint")
        if self.next is not None and self.next.size < taken.size:
            raise TamperedError(f"{self.next.place} covers fewer entries than the one before it")
        return taken


# --- Page one of the report, computed again from the entries alone


def _instant(text: str) -> datetime:
    # Python 3.9 does not read the Z.
    instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return instant


#: entries that are a line of the report about the run, the gap or the rotation that they tell of
_ENDS = frozenset({"run.completed", "run.reconciled"})
_LINES = frozenset({"run.refused", "run.checked", "slot.missed", "sweep.completed", "sweep.missed"})
#: figures of a line
_FIGURES = ("destroyed", "condemned", "missed")
#: what guards refused, what was let through by a named value, and what was approved for a while
_GUARDS = frozenset({"refused", "override", "approval"})

#: in one gap: two years of a run each minute
MOST_MISSED = 1_100_000

Line = dict[str, Any]


class PageOne:
    """What happened in a period, entry by entry, by the rules of ``docs/evidence.md``.

    Args:
        start, end: of the period; the end is outside of it.
    """

    def __init__(self, start: datetime, end: datetime) -> None:
        self._start, self._end = start, end
        self._lines: dict[int, Line] = {}
        self._open: dict[str, tuple[Line, Line]] = {}
        self._holds: dict[str, list[str | None]] = {}
        self.guards: Counter[tuple[int, str]] = Counter()

    def add(self, members: Mapping[str, Any]) -> None:
        """The next entry."""
        at = _instant(members["at"])
        if at >= self._end:
            return
        kind, body, within = members["kind"], members["body"], at >= self._start
        if kind == "run.started":
            before = dict.fromkeys(_FIGURES, 0)
            self._open[str(body["run_id"])] = (_line(members), before)
        elif kind == "batch" and body["state"] != "intent" and str(body["run_id"]) in self._open:
            told, before = self._open[str(body["run_id"])]
            counted = told if within else before
            counted["destroyed"] += _whole(body, "items")
            counted["condemned"] += _whole(body, "pending")
        elif kind in _ENDS:
            self._end_of(members, within=within)
        elif within and (kind in _LINES or (kind == "rotation" and _rotated(body))):
            self._lines[members["seq"]] = _line(members)
        elif kind in {"hold.placed", "hold.released"}:
            self._hold(kind, str(body["hold_id"]), members["at"])
        if within:
            self._guarded(members)

    def lines(self) -> dict[int, Line]:
        """Entry's number → the line that it makes of the report; runs that had not ended are lines too."""
        still = {line["seq"]: line for line, _ in self._open.values()}
        found = {**self._lines, **still}
        return {seq: line for seq, line in sorted(found.items()) if self._cut(line)}

    def holds(self) -> dict[str, tuple[str | None, ...]]:
        """Holds that were in force at any time of the period: when they were placed and released."""
        return {
            hold: tuple(times)
            for hold, times in self._holds.items()
            if times[1] is None or _instant(times[1]) >= self._start
        }

    def figures(self) -> dict[str, int]:
        """Page one in numbers."""
        lines = list(self.lines().values())
        kinds = Counter(kind for _, kind in self.guards.elements())
        return {
            "records destroyed": sum(line["destroyed"] for line in lines),
            "condemned": sum(line["condemned"] for line in lines),
            "runs": sum(line["kind"].startswith("run.") for line in lines),
            "refusals": sum(line["kind"] == "run.refused" for line in lines),
            "overrides": kinds["override"] + kinds["approval"],
            "holds": len(self.holds()),
            "missed runs": sum(line["missed"] for line in lines),
        }

    def _end_of(self, members: Mapping[str, Any], *, within: bool) -> None:
        line = _line(members)
        _, before = self._open.pop(str(members["body"]["run_id"]), ({}, dict.fromkeys(_FIGURES, 0)))
        if within:
            for name in ("destroyed", "condemned"):
                line[name] -= before[name]
            self._lines[line["seq"]] = line

    def _hold(self, kind: str, hold: str, at: str) -> None:
        if kind == "hold.placed":
            self._holds[hold] = [at, None]
        elif hold in self._holds:
            self._holds[hold][1] = at

    def _guarded(self, members: Mapping[str, Any]) -> None:
        seq = members["seq"]
        for item in members["body"].get("guards") or ():
            if not item["passed"]:
                self.guards[seq, "refused"] += 1
            elif item["override"]:
                self.guards[seq, "override"] += 1
        if members["kind"] == "approval":
            self.guards[seq, "approval"] += 1

    def _cut(self, line: Line) -> bool:
        """Leave of a gap what lies within the period; false where nothing does."""
        if not line["missed"] or not line["since"] or _instant(line["since"]) >= self._start:
            return True
        at, since, gaps = _instant(line["at"]), _instant(line["since"]), line["gaps"]
        if gaps > MOST_MISSED:
            raise ValueError(f"{gaps} missed runs in one gap are more than any schedule has")
        slots = (since + (at - since) * number / (gaps + 1) for number in range(1, gaps + 1))
        line["missed"] = sum(slot >= self._start for slot in slots)
        return bool(line["missed"])


def _line(members: Mapping[str, Any]) -> Line:
    body, kind = members["body"], members["kind"]
    removed = len(body.get("removed") or ()) if kind == "rotation" else None
    missed = _whole(body, "missed")
    return {
        "seq": members["seq"],
        "at": members["at"],
        "kind": kind,
        "policy": members["policy"],
        "destroyed": _whole(body, "destroyed") if removed is None else removed,
        "condemned": _whole(body, "condemned"),
        "missed": missed,
        "gaps": missed,
        "since": body.get("since"),
    }


def _rotated(body: Mapping[str, Any]) -> bool:
    return bool(_whole(body, "rotated") or body.get("removed"))


def _whole(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name) or 0
    if type(value) is not int:
        raise ValueError(f"{name} is {value!r}, not a whole number")
    return value


def compare(report: Mapping[str, Any], page: PageOne, verdict: Verification) -> None:
    """Hold ``report.json`` against what the entries say.

    Raises:
        TamperedError: the first figure that differs, with both values.
        ValueError, KeyError, TypeError: the report is not one.
    """
    ledger = report["ledger"]
    if ledger["error"] or ledger["size"] is None:
        raise TamperedError(f"report.json says itself that its ledger was not verified: {ledger['error']}")
    _same_figure("entries of the ledger", ledger["size"], verdict.entries)
    _same_figure("the ledger's root", ledger["root"], verdict.root)
    _compare_lines(report["runs"], page.lines())
    for name, column in (("removed", "destroyed"), ("condemned", "condemned"), ("missed", "missed")):
        _same_figure(name, report[name], sum(row[column] or 0 for row in report["runs"]))
    gone = report["removed"] - report["archived"] + report["archives_ended"]
    _same_figure("destroyed", report["destroyed"], gone)
    told = Counter((row["seq"], row["kind"]) for row in report["guards"] if row["kind"] in _GUARDS)
    for seq, kind in sorted({*told, *page.guards}):
        _same_figure(f"guards with {kind!r} in entry {seq}", told[seq, kind], page.guards[seq, kind])
    holds = {row["hold_id"]: (row["placed"], row["released"]) for row in report["holds"]}
    for hold, times in {**dict.fromkeys(holds), **page.holds()}.items():
        _same_figure(f"the times of hold {hold}", holds.get(hold), times)
    figures = page.figures()
    if report["verdict"] == "compliant" and (figures["refusals"] or figures["missed runs"]):
        raise TamperedError("report.json says 'compliant'; the entries tell of refusals or missed runs")


def _compare_lines(rows: list[Line], lines: Mapping[int, Line]) -> None:
    known: dict[int, Line] = {}
    for row in rows:
        if row["seq"] is not None:
            known[row["seq"]] = row
        elif row["destroyed"] or row["condemned"] or row["kind"] not in {"never", "slot.missed"}:
            raise TamperedError(f"report.json tells of a {row['kind']} that no entry tells of")
    for seq in sorted({*known, *lines}):
        if seq not in known or seq not in lines:
            side = "report.json" if seq in known else "the ledger"
            raise TamperedError(f"only {side} tells of entry {seq} in this period")
        for name in ("kind", "policy", "at", *_FIGURES):
            _same_figure(f"{name} of entry {seq}", known[seq][name] or 0, lines[seq][name] or 0)


def _same_figure(name: str, told: Any, found: Any) -> None:
    if told != found:
        raise TamperedError(f"{name}: report.json says {told!r}, the entries say {found!r}")


# --- A bundle on disk. Whoever made it may want this program to read what it should not


def _open_file(directory: Path, name: str, limit: int) -> BinaryIO:
    """An ordinary file of the bundle, open; never a link, a device, or anything outside of the folder.

    Raises:
        TamperedError: it is no such file, or larger than ``limit``.
    """
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts) or "\\" in name or ":" in name or "\0" in name:
        raise TamperedError(f"{name!r} is not the name of a file inside the bundle")
    place = directory
    for part in parts:
        place = place / part
        if place.is_symlink():
            raise TamperedError(f"{name} is a link, or lies behind one; a bundle holds ordinary files only")
    return _open_regular(place, name, limit)


def _open_regular(path: Path, name: str, limit: int) -> BinaryIO:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise TamperedError(f"{name} cannot be read: {error.strerror}") from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
        os.close(descriptor)
        what = (
            f"has {found.st_size} bytes, more than {limit}"
            if stat.S_ISREG(found.st_mode)
            else "is not a file"
        )
        raise TamperedError(f"{name} {what}; it is not read")
    return os.fdopen(descriptor, "rb")


def _text_of(file: BinaryIO, name: str) -> str:
    with file:
        try:
            return file.read().decode()
        except UnicodeDecodeError as error:
            raise TamperedError(f"{name} is not UTF-8 text: {error}") from None


def _limit_of(name: str) -> int:
    return LARGEST["note"] if name.startswith("checkpoints/") else LARGEST.get(name, LARGEST["file"])


def _names_below(directory: Path) -> Iterator[str]:
    for top, directories, names in os.walk(directory):
        for name in (*names, *(item for item in directories if Path(top, item).is_symlink())):
            yield Path(top, name).relative_to(directory).as_posix()


def check_sums(directory: Path) -> tuple[str, ...]:
    """Compare every file with ``SHA256SUMS``; their names.

    Raises:
        TamperedError: a file is changed, missing, not listed, listed twice, or none that a bundle may hold.
    """
    text = _text_of(_open_file(directory, "SHA256SUMS", LARGEST["file"]), "SHA256SUMS")
    listed: set[str] = set()
    for line in text.splitlines():
        expected, _, name = line.partition("  ")
        if name in listed or not _HASH.fullmatch(expected):
            raise TamperedError(f"SHA256SUMS: the line {line!r} is not a sum, or stands there twice")
        listed.add(name)
        if _sum_of(_open_file(directory, name, _limit_of(name))) != expected:
            raise TamperedError(f"{name} is not the file that SHA256SUMS names")
    for name in _names_below(directory):
        if name not in listed and name not in {"SHA256SUMS", "bundle.txt"}:
            raise TamperedError(f"{name} is not listed in SHA256SUMS")
    return tuple(sorted(listed))


def _sum_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    with file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def bundle_entries(directory: Path) -> Iterator[tuple[bytes, None]]:
    """The lines of ``ledger.jsonl``, in flat memory."""
    largest = LARGEST["entry"]
    with _open_file(directory, "ledger.jsonl", LARGEST["ledger.jsonl"]) as file:
        for number, line in enumerate(iter(lambda: file.readline(largest), b""), start=1):
            if not line.endswith(b"\n"):
                what = "longer than an entry can be" if len(line) == largest else "cut"
                raise TamperedError(f"ledger.jsonl: entry {number} is {what}")
            yield line[:-1], None


def bundle_checkpoints(directory: Path, names: Iterable[str]) -> Iterator[Checkpoint]:
    """The checkpoints of a bundle, whose names begin with their size, so that they come by size."""
    for name in sorted(name for name in names if name.startswith("checkpoints/")):
        note = _text_of(_open_file(directory, name, LARGEST["note"]), name)
        yield Checkpoint.parse(note, name)


def kept_checkpoints(paths: Iterable[Path]) -> list[Checkpoint]:
    """The checkpoints that somebody kept, by size."""
    notes = ((_text_of(_open_regular(path, str(path), LARGEST["note"]), str(path)), path) for path in paths)
    found = [Checkpoint.parse(note, str(path)) for note, path in notes]
    return sorted(found, key=lambda checkpoint: checkpoint.size)


#: the first line of what binds the files of a bundle; no origin of a ledger has a space, so that no signature
#: of a checkpoint is one of a bundle
BUNDLE = "luxima-retention bundle"
#: files that need nothing else to be believed: the key signs the ledger through its checkpoints
_OF_LEDGER = ("ledger.jsonl", "key.txt", "key.pem", "verify.py", "VERIFY.txt", "SHA256SUMS")


def check_binding(directory: Path, names: Iterable[str], key: Key) -> tuple[str, ...]:
    """Verify ``bundle.txt``, the signed note over ``SHA256SUMS``; the names of the files that only it binds.

    Raises:
        TamperedError: its signature or sum is not right; or it is missing, and there are files that need it.
    """
    others = [name for name in names if name not in _OF_LEDGER and not name.startswith("checkpoints/")]
    if not (directory / "bundle.txt").exists():
        if others:
            raise TamperedError(f"bundle.txt is missing: nothing binds {', '.join(others)} to the ledger")
        return ()
    note = _text_of(_open_file(directory, "bundle.txt", LARGEST["note"]), "bundle.txt")
    sums = _sum_of(_open_file(directory, "SHA256SUMS", LARGEST["file"]))
    try:
        text, signatures = open_note(note)
    except ValueError as error:
        raise TamperedError(f"bundle.txt is not a signed note: {error}") from None
    if text != f"{BUNDLE}\nSHA256SUMS {sums}\n":
        raise TamperedError("bundle.txt is not about this SHA256SUMS: a file was changed, added or removed")
    if Note(text.encode(), signatures, "bundle.txt").signed_at(key, ed25519_verifies) is None:
        raise TamperedError(f"bundle.txt is not signed by the key {key}")
    return tuple(others)


# --- The program


@dataclass
class Findings:
    """What a bundle was found to be; see :func:`say`."""

    files: int
    pinned: bool
    verdict: Verification
    page: PageOne | None
    period: tuple[str, str] | None
    bound: tuple[str, ...]


def verify_bundle(
    directory: Path, pinned: Key | None, kept: Iterable[Path] = (), witnesses: tuple[Key, ...] = ()
) -> Findings:
    """Verify an exported bundle.

    Args:
        directory: the bundle.
        pinned: the key that its reader trusts; without it the bundle's own, which proves nothing.
        kept: checkpoints that its reader kept.
        witnesses: who must have cosigned the newest checkpoint.

    Raises:
        TamperedError: the first thing that is not what was written, by its place.
        OSError, ValueError: a file cannot be read.
    """
    names = check_sums(directory)
    report = _read_report(directory) if "report.json" in names else None
    page = PageOne(_instant(report["from"]), _instant(report["to"])) if report else None
    key = pinned or _own_key(directory, names)
    notes = heapq.merge(
        bundle_checkpoints(directory, names), kept_checkpoints(kept), key=lambda checkpoint: checkpoint.size
    )
    told = page.add if page else (lambda _members: None)
    verifier = Verifier(notes, key, witnesses, every_signature=False, told=told)
    verdict = verifier.run(bundle_entries(directory))
    if key and verdict.covered < verdict.entries:
        raise TamperedError(
            f"entries {verdict.covered + 1} to {verdict.entries} stand after the last signed checkpoint: "
            "nobody vouches for them"
        )
    _demand(witnesses, verdict)
    if report and page:
        compare(report, page, verdict)
    bound = check_binding(directory, names, verdict.key) if verdict.key else ()
    period = (report["from"], report["to"]) if report else None
    return Findings(len(names), pinned is not None, verdict, page, period, bound)


def _read_report(directory: Path) -> dict[str, Any]:
    text = _text_of(_open_file(directory, "report.json", LARGEST["file"]), "report.json")
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_number)
    except (ValueError, RecursionError) as error:
        raise TamperedError(f"report.json cannot be read in one way only: {error}") from None
    if not isinstance(value, dict):
        raise TamperedError("report.json is not a report")
    return value


def _own_key(directory: Path, names: Iterable[str]) -> Key | None:
    if "key.txt" not in names:
        return None
    return Key.parse(_text_of(_open_file(directory, "key.txt", LARGEST["note"]), "key.txt"))


def _demand(witnesses: Iterable[Key], verdict: Verification) -> None:
    for key in witnesses:
        size, _ = verdict.witnessed.get(key.name, (0, 0))
        if size < verdict.entries:
            raise TamperedError(
                f"the witness {key.name} cosigned {size} entries, not the {verdict.entries} of this ledger"
            )


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def say(found: Findings) -> Iterator[str]:
    """What is proved, line by line, and what is not."""
    verdict = found.verdict
    what = f"{found.files} files, {verdict.entries} entries, up to {verdict.at or 'no time at all'}"
    if found.pinned:
        yield f"VERIFIED: {what}"
    else:
        yield f"NOT VERIFIED, only found to agree with itself: {what}"
        yield "           give the key that you keep yourself with --key"
    trust = "the key you gave" if found.pinned else "the bundle's own key"
    yield f"signed     {verdict.covered} entries by {trust if verdict.key else 'nobody'}: {verdict.key}"
    for name, (size, seconds) in verdict.witnessed.items():
        yield f"witnessed  {size} entries by {name} at {_date(seconds)}"
    yield f"roots      {verdict.checkpoints} checkpoints agree with the entries"
    yield f"           {verdict.signatures} signatures verified: the newest, each month's last, rotations"
    if found.page and found.period:
        yield f"report     page one agrees with the entries from {found.period[0]} to {found.period[1]}:"
        yield "           " + ", ".join(f"{count} {name}" for name, count in found.page.figures().items())
    if found.bound:
        yield f"bound      by a signature of the same key: {', '.join(found.bound)}"
    yield f"root       {verdict.root}"
    yield f"head       {verdict.head}"
    yield "not proved"
    yield from (f"           - {sentence}" for sentence in _not_proved(found))


def _not_proved(found: Findings) -> Iterator[str]:
    verdict = found.verdict
    yield f"anything that happened after {verdict.at or 'the beginning'}"
    yield "that an entry told the truth when it was written, or that all was entered that was done"
    if not found.pinned:
        yield "who signed: a key that comes with the bundle may be anybody's"
    if not verdict.witnessed:
        yield "that the key's holder did not rewrite all of it: no witness was asked for (--witness)"
    if verdict.abandoned:
        yield f"{verdict.abandoned} checkpoints of entries that a recovery from a backup gave up"
    if found.bound:
        yield "that HTML, PDF and CSV show the figures of report.json: only that they are as they were made"


def _ledger_key(text: str) -> Key:
    return _key_of(text, SIGNER, "of a witness, not of a ledger")


def _witness_key(text: str) -> Key:
    return _key_of(text, WITNESS, "of a ledger, not of a witness: whoever signs is no witness of it")


def _key_of(text: str, kind: int, otherwise: str) -> Key:
    try:
        key = Key.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if key.kind != kind:
        raise argparse.ArgumentTypeError(f"this is the key {otherwise}")
    return key


def main(arguments: list[str] | None = None) -> int:
    """Verify an exported bundle; the exit status."""
    parser = argparse.ArgumentParser(description="Verify an exported ledger of luxima-retention.")
    parser.add_argument("directory", type=Path, nargs="?", default=Path(), help="the bundle; default: here")
    parser.add_argument("--key", type=_ledger_key, help="the verifier key that you keep; needed to verify")
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="a checkpoint that you kept yourself"
    )
    parser.add_argument(
        "--witness", type=_witness_key, action="append", default=[], help="a witness that must have cosigned"
    )
    options = parser.parse_args(arguments)
    try:
        found = verify_bundle(options.directory, options.key, options.checkpoint, tuple(options.witness))
    except (TamperedError, OSError) as error:
        print(f"NOT VERIFIED: {error}", file=sys.stderr)
        return 6
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        print(f"NOT VERIFIED: a file is not what it should be: {error!r}", file=sys.stderr)
        return 6
    print("\n".join(say(found)))
    return 0 if found.pinned else 3


if __name__ == "__main__":
    sys.exit(main())
