"""Signed heads of the ledger, and the places beyond the database's reach that keep copies of them.

A checkpoint is a C2SP signed note (github.com/C2SP/C2SP, "signed-note" and "tlog-checkpoint"): origin,
number of entries, RFC 6962 tree hash, and an extension line ``head`` with the hash of the last entry, so
that the chain can be followed to a signed end with ``sha256sum`` alone. :mod:`.verify` reads them.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention.config.connections import s3_access
from luxima_retention.core.errors import ConfigurationError, StoreError, TamperingFound
from luxima_retention.evidence.events import KeyCreated, KeyRotated
from luxima_retention.evidence.ledger.verify import (
    Checkpoint,
    Key,
    TamperedError,
    Tree,
    Verification,
    Verifier,
    leaf_hash,
)
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.objects import Lock, ObjectStore, open_objects, put

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from luxima_retention.config.settings import LedgerSettings, Settings
    from luxima_retention.evidence.ledger import Ledger


class Signer:
    """An Ed25519 key that signs for one ledger.

    Args:
        origin: the ledger's name.
        private: its key.
    """

    def __init__(self, origin: str, private: Ed25519PrivateKey) -> None:
        self._private = private
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
            if path.stat().st_mode & 0o007:
                raise ConfigurationError(f"everybody may use the key {path}", f"run `chmod o= {path}`")
            private = load_pem_private_key(path.read_bytes(), None)
        except OSError as error:
            hint = "ledger.key_file must name a readable file; `luxima-retention ledger keygen` makes one"
            raise ConfigurationError(f"the key {path} cannot be read: {error.strerror}", hint) from error
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"the key {path} is not an unencrypted PEM key") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigurationError(f"the key {path} is not an Ed25519 key")
        return cls(origin, private)

    def line(self, text: bytes) -> str:
        """The signature line of a note."""
        signature = base64.b64encode(self.key.key_id + self._private.sign(text)).decode()
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
        ConfigurationError: the file is there already, or cannot be made.
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
            f"the key {path} cannot be made: {error.strerror}", "name a file that is not there yet"
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
    """

    size: int
    root: str
    note: str
    anchors: tuple[str, ...]
    failures: tuple[str, ...]


def seal(
    ledger: Ledger, signers: Sequence[Signer], anchors: Iterable[Anchor], now: datetime
) -> Sealed | None:
    """Sign the present head of the ledger and copy it to the anchors. Reads only what is new.

    Args:
        ledger: with at least one entry; nothing is signed for an empty one.
        signers: the key; right after a rotation the old and the new one.
        anchors: where copies go.
        now: the program's clock, for the lock of the copies.

    Raises:
        StoreError: the ledger cannot be read or written.
        TamperingFound: what follows the last checkpoint is no chain, or an anchor holds another
            checkpoint of as many entries.
    """
    tree, head = _grown(ledger)
    if not tree.size:
        return None
    root = base64.b64encode(tree.root()).decode()
    text = f"{signers[0].key.name}\n{tree.size}\n{root}\nhead {head}\n"
    note = text + "\n" + "".join(signer.line(text.encode()) for signer in signers)
    if not all(Checkpoint.parse(note).is_signed_by(signer.key) for signer in signers):
        raise TamperingFound("a checkpoint that was just signed does not verify")
    failpoint("ledger.before_checkpoint")
    ledger.record(note, tree)
    written, failures = [], []
    for anchor in anchors:
        try:
            anchor.keep(note, tree.size, now)
            written.append(anchor.url)
        except StoreError as error:
            failures.append(f"the checkpoint is not anchored: {error.message}")
    return Sealed(
        size=tree.size,
        root=tree.root().hex(),
        note=note,
        anchors=tuple(written),
        failures=tuple(failures),
    )


def _grown(ledger: Ledger) -> tuple[Tree, str]:
    """The tree over all entries, and the hash of the last one; reads from the last checkpoint on."""
    tree = ledger.tree()
    seq, head = max(0, tree.size - 1), ""
    for entry in ledger.entries(after=seq):
        if entry.seq != seq + 1 or head not in {"", entry.previous}:
            raise _broken(f"entry {entry.seq} does not follow what stands as entry {seq}")
        seq, head = entry.seq, entry.hash
        if seq > tree.size:
            tree.add(leaf_hash(entry.data))
    if seq < tree.size:
        raise _broken(f"the ledger ends at entry {seq}, but its checkpoint covers {tree.size}")
    return tree, head


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

    def keep(self, note: str, size: int, now: datetime) -> None:
        """Copy a checkpoint there.

        Raises:
            StoreError: it cannot be written.
            TamperingFound: a different checkpoint of as many entries, by the same keys, is there.
        """
        name = f"{self._prefix}{size:012d}-{leaf_hash(note.encode()).hex()[:8]}.txt"
        others = [stored.name for stored in self._place.stored(f"{self._prefix}{size:012d}-")]
        if name in others:
            return
        ours = Checkpoint.parse(note)
        for other in others:
            theirs = Checkpoint.parse(self._read(other), f"{self.url}/{other}")
            if theirs.root != ours.root:
                raise TamperingFound(f"{theirs.place} covers {size} entries with another root")
        lock = (
            Lock(mode="COMPLIANCE", until=now + timedelta(days=self._lock_days)) if self._lock_days else None
        )
        put(self._place, name, note.encode(), lock)

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Every checkpoint that is kept there, in all versions that the place has of it."""
        for name, version in self._place.versions(self._prefix):
            note = self._read(name, version)
            yield Checkpoint.parse(note, f"{self.url}/{name}")

    def reach(self) -> tuple[int, int]:
        """How many checkpoints are kept there, and entries that the newest covers, by their names alone."""
        sizes = [
            int(stored.name.removeprefix(self._prefix).partition("-")[0])
            for stored in self._place.stored(self._prefix)
        ]
        return len(sizes), max(sizes, default=0)

    def _read(self, name: str, version: str | None = None) -> str:
        return b"".join(self._place.read(name, version)).decode()


def open_anchors(settings: Settings) -> tuple[Anchor, ...]:
    """The anchors of these settings."""
    ledger = settings.ledger
    access = s3_access(settings.s3_named(ledger.s3))
    return tuple(
        Anchor(open_objects(url, access), ledger.origin, ledger.anchor_lock_days) for url in ledger.anchors
    )


def open_signer(settings: LedgerSettings) -> Signer | None:
    """The key of these settings; ``None`` when ``ledger.key_file`` is empty."""
    return Signer.load(Path(settings.key_file), settings.origin) if settings.key_file else None


def trusted_key(settings: LedgerSettings, given: str | None, ledger: Ledger) -> Key | None:
    """The key that checkpoints must be signed with: the one given, the pinned one, or our own.

    Our own key is only as good as this machine, and says nothing before it has signed: without a
    checkpoint it is ``None``.

    Raises:
        ConfigurationError: what was given or pinned is no verifier key.
    """
    text = given or settings.public_key
    if text:
        try:
            return Key.parse(text)
        except ValueError as error:
            raise ConfigurationError(f"the pinned key is none: {error}", "see ledger.public_key") from error
    signed = next(iter(ledger.notes()), None)
    signer = open_signer(settings) if signed else None
    return signer.key if signer else None


def verify(
    ledger: Ledger, anchors: Iterable[Anchor], key: Key | None, kept: Iterable[Path] = ()
) -> Verification:
    """Follow the whole ledger once, against its own checkpoints and those of the anchors.

    Args:
        ledger: read in flat memory.
        anchors: each must be readable.
        key: the pinned key; without one, only the tree is compared.
        kept: files with checkpoints that somebody kept.

    Raises:
        TamperingFound: the first thing that is not what was written, by its place.
        StoreError: the ledger or an anchor cannot be read.
    """
    try:
        known = [Checkpoint.parse(note, "a checkpoint of the ledger") for note in ledger.notes()]
        for anchor in anchors:
            known += anchor.checkpoints()
        known += [Checkpoint.parse(path.read_text(encoding="utf-8"), str(path)) for path in kept]
        return Verifier(known, key).run(ledger.lines())
    except TamperedError as error:
        raise TamperingFound(f"the ledger is not what was written: {error}") from error


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
