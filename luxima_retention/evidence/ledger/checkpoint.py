"""Signed heads of the ledger, and the places beyond the database's reach that keep copies of them.

A checkpoint is a C2SP signed note (github.com/C2SP/C2SP, "signed-note" and "tlog-checkpoint"): origin,
number of entries, RFC 6962 tree hash, and an extension line ``head`` with the hash of the last entry, so
that the chain can be followed to a signed end with ``sha256sum`` alone. :mod:`.verify` reads them.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention.config.connections import open_place
from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import ConfigurationError, StoreError, TamperingFound
from luxima_retention.evidence.events import KeyCreated, KeyRotated
from luxima_retention.evidence.ledger.verify import (
    Approvals,
    Checkpoint,
    Key,
    TamperedError,
    Tree,
    Verification,
    Verifier,
    kept_checkpoints,
    leaf_hash,
)
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.objects import Lock, ObjectStore, put

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from luxima_retention.config.settings import LedgerSettings, Settings
    from luxima_retention.evidence.ledger import Ledger


_NAMED = "ledger.key_file must name a readable file; `luxima-retention ledger keygen` makes one"


class Signer:
    """An Ed25519 key that signs for one ledger.

    Args:
        origin: the ledger's name.
        private: its key.
    """

    def __init__(self, origin: str, private: Ed25519PrivateKey) -> None:
        self.private = private
        self.key = Key(origin, private.public_key().public_bytes_raw())

    @classmethod
    def load(cls, path: Path, origin: str) -> Signer:
        """Read a key that :func:`generate` or ``openssl genpkey -algorithm ed25519`` made.

        Raises:
            ConfigurationError: it cannot be read, others may read it, or it is no such key.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"the key {path} is no file", _NAMED)
            if status.st_mode & 0o007:
                raise ConfigurationError(
                    f"everybody may use the key {path} of ledger.key_file", f"run `chmod o= {path}`"
                )
            private = load_pem_private_key(path.read_bytes(), None)
        except OSError as error:
            raise ConfigurationError(f"the key {path} cannot be read: {error.strerror}", _NAMED) from error
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"the key {path} is not an unencrypted PEM key", _NAMED) from error
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigurationError(f"the key {path} is not an Ed25519 key", _NAMED)
        return cls(origin, private)

    def line(self, text: bytes) -> str:
        """The signature line of a note."""
        signature = base64.b64encode(self.key.key_id + self.private.sign(text)).decode()
        return f"\u2014 {self.key.name} {signature}\n"

    def public_pem(self) -> str:
        """The public key as ``openssl`` reads it."""
        return public_pem(self.key)


def public_pem(key: Key) -> str:
    """A verifier key as PEM (SubjectPublicKeyInfo), for ``openssl pkeyutl``."""
    # The fixed beginning says Ed25519 (RFC 8410, section 4).
    encoded = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + key.public).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{encoded}\n-----END PUBLIC KEY-----\n"


def generate(path: Path, origin: str) -> Signer:
    """Make a new key in a new file that only its owner may read.

    Raises:
        ConfigurationError: the file already exists, or cannot be made.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    data = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fsync(descriptor)
    except OSError as error:
        raise ConfigurationError(
            f"the key {path} cannot be made: {error.strerror}", "name a file that does not exist yet"
        ) from error
    return Signer(origin, private)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A checkpoint that was made.

    Args:
        size: entries that it covers.
        root: RFC 6962 tree hash, hex.
        note: the signed note.
        anchors: URLs that hold a copy now.
        failures: one sentence for each anchor that could not be written.
        unwitnessed: one sentence for each witness that gave no cosignature.
    """

    size: int
    root: str
    note: str
    anchors: tuple[str, ...]
    failures: tuple[str, ...]
    unwitnessed: tuple[str, ...] = ()


#: no recovery gave anything up
NOTHING = (0, 0)
#: text of a checkpoint → its cosignature lines, and a sentence for each witness that gave none
Cosigning = Callable[[str, Tree], tuple[str, tuple[str, ...]]]


def seal(
    ledger: Ledger,
    signers: Sequence[Signer],
    anchors: Iterable[Anchor],
    now: datetime,
    cosigning: Cosigning | None = None,
    *,
    given_up: tuple[int, int] = NOTHING,
) -> Sealed | None:
    """Sign the present head of the ledger and copy it to the anchors. Reads only what is new.

    It signs what it finds: whether that is the ledger of yesterday is asked by :mod:`.session`.

    Args:
        ledger: with at least one entry; nothing is signed for an empty one.
        signers: the key; right after a rotation the old and the new one.
        anchors: where copies go.
        now: the program's clock, for the lock of the copies.
        cosigning: asks the witnesses before the checkpoint is recorded, so that it is recorded once.
        given_up: entries that a recovery kept, and how many there had been: anchors hold checkpoints of other
            entries with numbers between these.

    Raises:
        StoreError: the ledger cannot be read or written.
        TamperingFound: what follows the last checkpoint is not a chain, or an anchor holds another
            checkpoint of as many entries.
    """
    tree, head = _grown(ledger)
    if not tree.size:
        return None
    root = base64.b64encode(tree.root()).decode()
    text = f"{signers[0].key.name}\n{tree.size}\n{root}\nhead {head}\n"
    note = text + "\n" + "".join(signer.line(text.encode()) for signer in signers)
    if not all(Checkpoint.parse(note).is_signed_by(signer.key, library_verifies) for signer in signers):
        raise TamperingFound("a checkpoint that was just signed does not verify")
    lines, away = cosigning(note, tree) if cosigning else ("", ())
    note += lines
    failpoint("ledger.before_checkpoint")
    ledger.record(note, tree)
    written, failures = copied(note, tree.size, anchors, now, given_up)
    return Sealed(
        size=tree.size,
        root=tree.root().hex(),
        note=note,
        anchors=written,
        failures=failures,
        unwitnessed=away,
    )


def copied(
    note: str, size: int, anchors: Iterable[Anchor], now: datetime, given_up: tuple[int, int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """URLs of the anchors that hold the note now, and a sentence for each that could not be written."""
    written, failures = [], []
    for anchor in anchors:
        try:
            anchor.keep(note, size, now, given_up)
            written.append(anchor.url)
        except StoreError as error:
            failures.append(f"the checkpoint is not anchored: {error.message}")
    return tuple(written), tuple(failures)


def grown(ledger: Ledger, tree: Tree, size: int | None = None) -> tuple[Tree, str, list[bytes]]:
    """Go on from a tree of the ledger's first entries, to ``size`` entries or to all of them.

    Returns:
        The larger tree, the hash of its last entry (empty where the tree was empty and stays so), and the
        leaf hashes that were added.

    Raises:
        TamperingFound: what follows is not a chain, goes back in time, or ends too early.
    """
    tree = Tree(tree.size, tree.peaks)
    seq, head, at = max(0, tree.size - 1), "", None
    added = []
    for entry in ledger.entries(after=seq):
        if size is not None and entry.seq > size:
            break
        if entry.seq != seq + 1 or head not in {"", entry.previous}:
            raise _broken(f"entry {entry.seq} does not follow entry {seq}")
        if at is not None and entry.at < at:
            raise _broken(f"entry {entry.seq} is older than the entry before it")
        seq, head, at = entry.seq, entry.hash, entry.at
        if seq > tree.size:
            added.append(leaf_hash(entry.data))
            tree.add(added[-1])
    if seq < max(tree.size, size or 0):
        raise _broken(
            f"the ledger ends at entry {seq}, but its checkpoint covers {max(tree.size, size or 0)}"
        )
    return tree, head, added


def _grown(ledger: Ledger) -> tuple[Tree, str]:
    """The tree over all entries, and the hash of the last one; reads from the last checkpoint on."""
    newest = ledger.newest_checkpoint()
    tree, head, _ = grown(ledger, newest[0] if newest else Tree())
    return tree, head


def tree_at(ledger: Ledger, size: int) -> Tree:
    """The tree of the first ``size`` entries: from the nearest recorded one, and the entries from there."""
    newest = ledger.newest_checkpoint(size)
    return grown(ledger, newest[0] if newest else Tree(), size)[0]


def _broken(sentence: str) -> TamperingFound:
    return TamperingFound(sentence, "run `luxima-retention ledger verify`, compare with the anchors")


class Anchor:
    """A place that keeps checkpoints; what it holds is never replaced.

    Args:
        place: a directory or a bucket.
        origin: the ledger's name, part of each copy's name.
        lock_days: S3 Object Lock, compliance mode; 0 sets none.
    """

    def __init__(self, place: ObjectStore, origin: str, lock_days: int = 0) -> None:
        self.url = place.url
        self._place = place
        self._prefix = f"{re.sub('[^A-Za-z0-9._-]', '_', origin)}/"
        self._lock_days = lock_days

    def keep(self, note: str, size: int, now: datetime, given_up: tuple[int, int] = NOTHING) -> None:
        """Copy a checkpoint there.

        Args:
            note: the signed checkpoint.
            size: entries that it covers.
            now: the program's clock, for the lock.
            given_up: see :func:`seal`.

        Raises:
            StoreError: it cannot be written.
            TamperingFound: a different checkpoint of as many entries, by the same keys, is there.
        """
        name = self._name(note, size)
        stored = self._place.stored(f"{self._prefix}{size:012d}-")
        others = [item.name for item in stored if not item.name.endswith(".tsr")]
        if name in others:
            return
        ours = Checkpoint.parse(note)
        for other in others:
            theirs = Checkpoint.parse(self._read(other), f"{self.url}/{other}")
            if theirs.root != ours.root and not given_up[0] < size <= given_up[1]:
                raise TamperingFound(f"{theirs.place} covers {size} entries with another root")
        lock = (
            Lock(mode="COMPLIANCE", until=now + timedelta(days=self._lock_days)) if self._lock_days else None
        )
        put(self._place, name, note.encode(), lock)

    def keep_timestamp(self, note: str, size: int, reply: bytes) -> None:
        """Keep an RFC 3161 reply about a checkpoint beside it, with the ending ``.tsr``.

        Raises:
            StoreError: it cannot be written.
        """
        put(self._place, self._name(note, size).removesuffix(".txt") + ".tsr", reply, None)

    def _name(self, note: str, size: int) -> str:
        return f"{self._prefix}{size:012d}-{leaf_hash(note.encode()).hex()[:8]}.txt"

    def checkpoints(self, *, newest_first: bool = False) -> Iterator[Checkpoint]:
        """Every checkpoint that is kept there, in all versions that the place has of it; by size.

        Raises:
            StoreError: it cannot be read.
            TamperedError: something there is not a checkpoint.
        """
        for name, version in sorted(
            self._place.versions(self._prefix), key=lambda item: item[0], reverse=newest_first
        ):
            if not name.endswith(".tsr"):
                yield Checkpoint.parse(self._read(name, version), f"{self.url}/{name}")

    def reach(self) -> tuple[int, int]:
        """How many checkpoints are kept there, and entries that the newest covers, by their names alone."""
        sizes = [
            int(stored.name.removeprefix(self._prefix).partition("-")[0])
            for stored in self._place.stored(self._prefix)
        ]
        return len(sizes), max(sizes, default=0)

    def _read(self, name: str, version: str | None = None) -> str:
        return b"".join(self._place.read(name, version)).decode()


def open_anchors(settings: Settings, deadline: Deadline = UNLIMITED) -> tuple[Anchor, ...]:
    """The anchors of these settings; ``deadline`` is that of the run."""
    ledger = settings.ledger
    places = (open_place(settings, url, deadline) for url in ledger.anchors)
    return tuple(Anchor(place, ledger.origin, ledger.anchor_lock_days) for place in places)


def open_signer(settings: LedgerSettings) -> Signer | None:
    """The key of these settings; ``None`` when ``ledger.key_file`` is empty."""
    return Signer.load(Path(settings.key_file), settings.origin) if settings.key_file else None


def pinned_key(text: str) -> Key:
    """The key that ``ledger.public_key`` names, or its option.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return Key.parse(text)
    except ValueError as error:
        raise ConfigurationError(f"the pinned key is not valid: {error}", "see ledger.public_key") from error


def trusted_key(settings: LedgerSettings, given: str | None, ledger: Ledger) -> Key | None:
    """The key that checkpoints must be signed with: the one given, the pinned one, or our own.

    Our own key is only as good as this machine, and says nothing before it has signed: without a
    checkpoint it is ``None``.

    Raises:
        ConfigurationError: what was given or pinned is not a verifier key.
    """
    if text := given or settings.public_key:
        return pinned_key(text)
    signed = next(iter(ledger.notes()), None)
    signer = open_signer(settings) if signed else None
    return signer.key if signer else None


def verify(
    ledger: Ledger,
    anchors: Iterable[Anchor],
    key: Key | None,
    kept: Iterable[Path] = (),
    witnesses: Iterable[Key] = (),
    *,
    approvers: Iterable[Key] = (),
) -> Verification:
    """Follow the whole ledger once, against its own checkpoints and those of the anchors.

    Each distinct checkpoint is compared once, and the signature of each is verified.

    Args:
        ledger: read in flat memory.
        anchors: each must be readable.
        key: the pinned key; without one, only the tree is compared.
        kept: files with checkpoints that somebody kept.
        witnesses: whose newest cosignatures are looked for; see :attr:`.Verification.witnessed`.
        approvers: whose approvals are recognised; see :attr:`.Verification.approvals`.

    Raises:
        TamperingFound: the first thing that is not what was written, by its place.
        StoreError: the ledger or an anchor cannot be read.
    """
    try:
        known = distinct(ledger, anchors)
        known = sorted((*known, *kept_checkpoints(kept)), key=lambda checkpoint: checkpoint.size)
        approvals = Approvals(approvers, library_verifies)
        verifier = Verifier(known, key, tuple(witnesses), library_verifies, told=approvals.add)
        verdict = verifier.run(ledger.lines())
    except (TamperedError, KeyError, TypeError, ValueError) as error:
        raise TamperingFound(f"the ledger is not what was written: {error}") from error
    verdict.approvals = approvals
    return verdict


def distinct(ledger: Ledger, anchors: Iterable[Anchor]) -> list[Checkpoint]:
    """The checkpoints of the ledger and its anchors, each note once, by size.

    Raises:
        TamperedError: one of them is not a checkpoint.
        StoreError: the ledger or an anchor cannot be read.
    """
    found = {note: Checkpoint.parse(note, "a checkpoint of the ledger") for note in ledger.notes()}
    for anchor in anchors:
        for checkpoint in anchor.checkpoints():
            found.setdefault(checkpoint.note, checkpoint)
    return sorted(found.values(), key=lambda checkpoint: checkpoint.size)


def library_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """As :func:`.verify.ed25519_verifies`, thirty times as fast."""
    from cryptography.exceptions import InvalidSignature

    try:
        _public(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@cache
def _public(public: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(public)


def check_unsigned(ledger: Ledger, anchors: Iterable[Anchor]) -> None:
    """Refuse to make a first key where there was one: its checkpoints would vouch for nothing any more.

    Raises:
        ConfigurationError: the ledger or an anchor holds a checkpoint already.
        StoreError: an anchor cannot be read.
    """
    signed = ledger.newest_checkpoint() is not None
    if signed or any(next(iter(anchor.checkpoints()), None) for anchor in anchors):
        raise ConfigurationError(
            "this ledger has been signed before",
            "replace its key with `ledger keygen --rotate FILE`; if the key is lost, run `ledger recover`",
        )


def create(ledger: Ledger, signer: Signer, anchors: Iterable[Anchor], now: datetime) -> Sealed | None:
    """Write the entry ``key.created`` and the first checkpoint of the key."""
    ledger.append(KeyCreated(key=str(signer.key)), policy=None, at=now)
    return seal(ledger, [signer], anchors, now)


def rotate_key(
    ledger: Ledger, old: Signer, new: Signer, anchors: Iterable[Anchor], now: datetime
) -> Sealed | None:
    """Write the entry ``key.rotated``, and a checkpoint over it that both keys sign.

    From then on the new key signs; whoever trusts the old one trusts it through that checkpoint.
    """
    ledger.append(KeyRotated(old=str(old.key), new=str(new.key)), policy=None, at=now)
    return seal(ledger, [old, new], anchors, now)
