"""Verifies a ledger with nothing but Python's standard library.

The program uses this file, and an exported bundle carries a copy of it: what an auditor runs is what
the program runs. It imports nothing of the program.

    python3 verify.py --key "$(cat the-key-you-keep.txt)" --checkpoint the-one-you-keep.txt BUNDLE

Exit status: 0 when all of it verifies, 2 for usage, 6 when something is not what was written.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

#: ``previous`` of the first entry: there is nothing before it.
GENESIS = "0" * 64
#: what every entry of version 1 has, and nothing else
MEMBERS = frozenset({"v", "seq", "at", "kind", "policy", "body", "previous"})


class TamperedError(Exception):
    """What was verified is not what was written; the message names the place."""


# --- Entries: RFC 8785 JSON, hashed as leaves of an RFC 6962 tree


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
        ValueError: the bytes are not the canonical form of an entry. That also refuses doubled keys,
            floats and white space.
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
    whole = isinstance(value, dict) and value.keys() == MEMBERS and value["v"] == 1
    return whole and isinstance(value["body"], dict) and isinstance(value["kind"], str)


class Tree:
    """The root of a growing RFC 6962 tree, in memory that grows with the logarithm of its size.

    Args:
        size: leaves that are in the tree already.
        peaks: roots of its perfect subtrees, largest first: what :attr:`peaks` was at that size.
    """

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)
        if len(self.peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(self.peaks)}")

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


#: an entry but for the inside of its body: the members are sorted, so that what the chain needs stands last
_FRAME = re.compile(
    rb'\{"at":"[0-9TZ:.-]+","body":\{.*\},"kind":"([a-z.]+)","policy":(?:null|"[^"\\]*"),'
    rb'"previous":"([0-9a-f]{64})","seq":([1-9][0-9]*),"v":1\}',
    re.DOTALL,
)


class Chain:
    """Follows entries one by one and raises at the first that does not belong where it stands.

    It reads the frame of an entry and hashes all of it. The body is not parsed: whatever stands there is
    what was hashed, and :func:`parse` refuses a body that two readers could understand differently.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.hash = GENESIS
        self.tree = Tree()

    def add(self, data: bytes, recorded_hash: str | None = None) -> str:
        """Take the next entry's bytes and return its kind.

        Args:
            data: the bytes of the entry.
            recorded_hash: the hash that is stored beside the entry, hex, where there is one.

        Raises:
            TamperedError: it is no entry, not the next one, or not linked to the one before.
        """
        expected = self.seq + 1
        frame = _FRAME.fullmatch(data)
        if frame is None:
            raise TamperedError(f"entry {expected} is not in the form of an entry")
        kind, previous, seq = frame.groups()
        if int(seq) != expected:
            raise TamperedError(f"entry {int(seq)} stands where entry {expected} should be")
        if previous.decode() != self.hash:
            raise TamperedError(
                f"entry {expected} does not follow what stands as entry {self.seq}: one of them was changed"
            )
        leaf = leaf_hash(data)
        if recorded_hash is not None and recorded_hash != leaf.hex():
            raise TamperedError(f"entry {expected} was changed: its hash is not {recorded_hash}")
        self.seq, self.hash = expected, leaf.hex()
        self.tree.add(leaf)
        return kind.decode()


# --- Checkpoints: C2SP tlog-checkpoint, a signed note with Ed25519 signatures


@dataclass(frozen=True)
class Key:
    """A verifier key, ``<name>+<id>+<key>`` in base64 (C2SP signed-note, "Verifier keys").

    Args:
        name: the signer's, here the ledger's origin.
        public: the 32 bytes of the Ed25519 key.
    """

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Key:
        """The key that ``text`` says.

        Raises:
            ValueError: it says none, or its id does not belong to it.
        """
        name, key_id, encoded = [*text.strip().split("+", 2), "", ""][:3]
        data = base64.b64decode(encoded, validate=True)
        key = cls(name, data[1:])
        if not name or data[:1] != b"\x01" or len(key.public) != 32 or key.key_id.hex() != key_id:  # noqa: PLR2004 - bytes
            raise ValueError(f"{text.strip()!r} is no Ed25519 verifier key")
        return key

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell the keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n\x01" + self.public).digest()[:4]

    def __str__(self) -> str:
        """The inverse of :meth:`parse`."""
        encoded = base64.b64encode(b"\x01" + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


@dataclass(frozen=True)
class Checkpoint:
    """A signed head of the tree.

    Args:
        origin: the ledger's name.
        size: entries that it covers.
        root: RFC 6962 tree hash of them.
        head: hash of the last of them, hex, from the extension line ``head …``; empty without one.
        text: what was signed.
        note: the whole note.
        signatures: name and id of a key, and its signature.
        place: where the note was found, for people.
    """

    origin: str
    size: int
    root: bytes
    head: str
    text: bytes
    note: str
    signatures: tuple[tuple[str, bytes, bytes], ...]
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
            if not origin or str(int(size)) != size:
                raise ValueError("origin or size")  # noqa: TRY301 - one handler for all of it
            data = base64.b64decode(root, validate=True)
            return cls(origin, int(size), data, head, text.encode(), note, signatures, place)
        except ValueError as error:
            raise TamperedError(f"{place} is not a signed checkpoint: {error}") from None

    def is_signed_by(self, key: Key) -> bool:
        """Whether a signature of this key is there and verifies; one that is there must."""
        for name, key_id, signature in self.signatures:
            if (name, key_id) == (key.name, key.key_id):
                if not ed25519_verifies(key.public, self.text, signature):
                    raise TamperedError(f"{self.place}: the signature of {key.name} does not verify")
                return True
        return False


def open_note(note: str) -> tuple[str, tuple[tuple[str, bytes, bytes], ...]]:
    """Text of a signed note, and name, key id and signature of each line below it; not verified.

    Raises:
        ValueError: it is no signed note.
    """
    text, _, signatures = note.rpartition("\n\n")
    if not text or not signatures.endswith("\n"):
        raise ValueError("a note is a text, an empty line, and signatures")
    return f"{text}\n", tuple(_signature(line) for line in signatures.splitlines())


def _signature(line: str) -> tuple[str, bytes, bytes]:
    dash, name, encoded = line.split(" ")
    data = base64.b64decode(encoded, validate=True)
    if dash != "\u2014" or not name:
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
    if len(public) != 32 or len(signature) != 64:  # noqa: PLR2004 - the lengths above
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
        covered: entries that the newest checkpoint covers which the key vouches for.
        checkpoints: how many agree.
        key: the key that signs now, as far as it is trusted; ``None`` when no key was given.
    """

    entries: int = 0
    head: str = GENESIS
    root: str = ""
    covered: int = 0
    checkpoints: int = 0
    key: Key | None = None


@dataclass
class Verifier:
    """Follows the entries once, and holds each checkpoint against the tree at its size.

    A key is trusted because it was given, or because a checkpoint that a trusted key signed covers the
    entry ``key.rotated`` that names it.

    Args:
        checkpoints: all that are known: the ledger's own, the anchors', those that somebody kept.
        key: the pinned key, which must have signed a checkpoint; without one, signatures say nothing and
            only the tree is compared.
    """

    checkpoints: Iterable[Checkpoint] = ()
    key: Key | None = None
    chain: Chain = field(default_factory=Chain)
    verdict: Verification = field(default_factory=Verification)
    agreed: int = 0  # entries under the last checkpoint that had the right root

    def run(self, entries: Iterable[tuple[bytes, str | None]]) -> Verification:
        """Verify entries (bytes, and the hash recorded beside them if there is one).

        Raises:
            TamperedError: the first thing that is not what was written, by its place.
        """
        waiting = sorted(self.checkpoints, key=lambda checkpoint: checkpoint.size, reverse=True)
        self.verdict.key = self.key
        next_key: Key | None = None
        for data, recorded in entries:
            if self.chain.add(data, recorded) == "key.rotated":
                next_key = self._named_key(data) or next_key
            while waiting and waiting[-1].size <= self.chain.seq:
                next_key = self._hold(waiting.pop(), next_key)
        if waiting:
            raise TamperedError(
                f"the ledger ends at entry {self.chain.seq}, but {waiting[0].place} covers {waiting[0].size}"
                f" entries: entries {self.chain.seq + 1} to {waiting[0].size} are missing"
            )
        self._finish()
        return self.verdict

    def _hold(self, checkpoint: Checkpoint, next_key: Key | None) -> Key | None:
        """Compare one checkpoint with the tree; the key that waits to be trusted, if still any."""
        if checkpoint.size < self.chain.seq:
            raise TamperedError(f"{checkpoint.place} covers {checkpoint.size} entries, which no ledger does")
        if checkpoint.root != self.chain.tree.root() or checkpoint.head not in {"", self.chain.hash}:
            raise TamperedError(
                f"{checkpoint.place} covers {checkpoint.size} entries with another root: one of the entries "
                f"{self.agreed + 1} to {checkpoint.size} was changed after it was signed"
            )
        if self.verdict.key and checkpoint.is_signed_by(self.verdict.key):
            self.verdict.covered = checkpoint.size
            self.verdict.key = next_key or self.verdict.key
            next_key = None
        self.agreed = checkpoint.size
        self.verdict.checkpoints += 1
        return next_key

    def _named_key(self, data: bytes) -> Key | None:
        """The key that a rotation names, if it speaks of the key that is trusted now."""
        try:
            body = parse(data)["body"]
            if self.verdict.key is None or body.get("old") != str(self.verdict.key):
                return None
            return Key.parse(str(body.get("new")))
        except ValueError as error:
            raise TamperedError(f"entry {self.chain.seq}: {error}") from None

    def _finish(self) -> None:
        verdict = self.verdict
        verdict.entries, verdict.head = self.chain.seq, self.chain.hash
        verdict.root = self.chain.tree.root().hex()
        if verdict.key and verdict.entries and not verdict.covered:
            raise TamperedError(f"no checkpoint is signed by the key {self.key}")


# --- A bundle on disk


def check_sums(directory: Path) -> int:
    """Compare every file with ``SHA256SUMS``; how many there were."""
    lines = (directory / "SHA256SUMS").read_text().splitlines()
    for line in lines:
        expected, _, name = line.partition("  ")
        with (directory / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise TamperedError(f"{name} is not the file that SHA256SUMS names")
    return len(lines)


def bundle_entries(directory: Path) -> Iterator[tuple[bytes, None]]:
    """The lines of ``ledger.jsonl``."""
    with (directory / "ledger.jsonl").open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                raise TamperedError(f"ledger.jsonl is cut in the middle of entry {number}")
            yield line[:-1], None


def bundle_checkpoints(paths: Iterable[Path]) -> Iterator[Checkpoint]:
    """The notes in these files."""
    for path in paths:
        yield Checkpoint.parse(path.read_text(encoding="utf-8"), str(path))


def main(arguments: list[str] | None = None) -> int:
    """Verify an exported bundle; the exit status."""
    parser = argparse.ArgumentParser(description="Verify an exported ledger of luxima-retention.")
    parser.add_argument("directory", type=Path, nargs="?", default=Path(), help="the bundle; default: here")
    parser.add_argument(
        "--key", type=Key.parse, help="the verifier key that you trust; without it the bundle's own"
    )
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="a checkpoint that you kept yourself"
    )
    options = parser.parse_args(arguments)
    try:
        said = _verify_bundle(options.directory, options.key, options.checkpoint)
    except (TamperedError, OSError, ValueError) as error:
        print(f"NOT VERIFIED: {error}", file=sys.stderr)  # noqa: T201 - this is a program of its own
        return 6
    print(said)  # noqa: T201 - as above
    return 0


def _verify_bundle(directory: Path, pinned: Key | None, kept: list[Path]) -> str:
    files = check_sums(directory)
    own = directory / "key.txt"
    key = pinned or (Key.parse(own.read_text()) if own.exists() else None)
    paths = [*sorted((directory / "checkpoints").glob("*.txt")), *kept]
    verdict = Verifier(bundle_checkpoints(paths), key).run(bundle_entries(directory))
    trust = "the key you gave" if pinned else "the bundle's own key, which you should compare with yours"
    return (
        f"VERIFIED: {files} files, {verdict.entries} entries, {verdict.checkpoints} checkpoints; "
        f"{verdict.covered} entries are signed by {trust if key else 'nobody'}\n"
        f"key  {verdict.key}\nroot {verdict.root}\nhead {verdict.head}"
    )


if __name__ == "__main__":
    sys.exit(main())
