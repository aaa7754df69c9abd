"""Writes what a third party needs to verify the ledger: files, sums, and the program that checks them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention.core.errors import ConfigurationError, StoreError, TamperingFound
from luxima_retention.evidence.ledger.checkpoint import Anchor, Signer, distinct, public_pem
from luxima_retention.evidence.ledger.verify import BUNDLE, Checkpoint, Key, TamperedError

if TYPE_CHECKING:
    from luxima_retention.evidence.ledger import Ledger


def export(
    ledger: Ledger,
    anchors: Iterable[Anchor],
    key: Key | None,
    directory: Path,
    signer: Signer | None = None,
) -> tuple[str, ...]:
    """Write a bundle. The same ledger and checkpoints give the same bytes.

    ======================  ==========================================================================
    ``ledger.jsonl``        every entry that the newest checkpoint covers, in the bytes that are hashed
    ``checkpoints/*.txt``   every signed head, from the ledger and from its anchors
    ``key.txt``, ``key.pem``  the verifier key, for ``verify.py`` and for ``openssl``
    ``verify.py``           verifies all of it with Python alone
    ``VERIFY.txt``          the commands, also with ``sha256sum`` and ``openssl`` alone
    ``SHA256SUMS``          of all of them
    ``bundle.txt``          the signed note over ``SHA256SUMS``, with a ``signer``
    ======================  ==========================================================================

    Args:
        ledger: read in flat memory. Nobody vouches for entries after its newest checkpoint, so they stay
            here; without any checkpoint all of it goes.
        anchors: whose checkpoints go in too.
        key: the first key of the ledger, from which rotations follow; ``None`` leaves both files out.
        directory: must be empty or not there.
        signer: binds the files to each other; not needed for those above, which the checkpoints bind.

    Returns:
        The names of the files.

    Raises:
        ConfigurationError: the directory is not empty.
        StoreError: the directory cannot be written, or the ledger not be read.
        TamperingFound: a checkpoint is not one.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise ConfigurationError(f"{directory} is not empty", "name a directory that does not exist yet")
        known = distinct(ledger, anchors)
        _write_ledger(ledger, directory / "ledger.jsonl", max((item.size for item in known), default=None))
        _write_checkpoints(known, directory / "checkpoints")
        if key is not None:
            (directory / "key.txt").write_text(f"{key}\n", encoding="utf-8")
            (directory / "key.pem").write_text(public_pem(key), encoding="utf-8")
        for name in ("verify.py", "VERIFY.txt"):
            (directory / name).write_bytes((files("luxima_retention.evidence.ledger") / name).read_bytes())
        return write_sums(directory, signer)
    except OSError as error:
        raise StoreError(f"the bundle {directory} cannot be written: {error.strerror}") from error
    except TamperedError as error:
        raise TamperingFound(f"the ledger is not what was written: {error}") from error


def _write_ledger(ledger: Ledger, path: Path, size: int | None) -> None:
    with path.open("wb") as file:
        for data, _ in islice(ledger.lines(), size):
            file.write(data + b"\n")


def _write_checkpoints(known: Iterable[Checkpoint], directory: Path) -> None:
    """One file for each note; the name tells the size and, where two agree on it, the content."""
    directory.mkdir()
    for checkpoint in known:
        note = checkpoint.note.encode()
        name = f"{checkpoint.size:012d}-{hashlib.sha256(note).hexdigest()[:8]}.txt"
        (directory / name).write_bytes(note)


def write_sums(directory: Path, signer: Signer | None) -> tuple[str, ...]:
    """Write ``SHA256SUMS`` of every file below, as ``sha256sum`` does, and sign it; all names, sorted."""
    own = {"SHA256SUMS", "bundle.txt"}
    paths = (path for path in directory.rglob("*") if path.is_file() and path.name not in own)
    names = sorted(path.relative_to(directory).as_posix() for path in paths)
    with (directory / "SHA256SUMS").open("w", encoding="utf-8") as sums:
        for name in names:
            sums.write(f"{_sum(directory / name)}  {name}\n")
    if signer is None:
        return (*names, "SHA256SUMS")
    text = f"{BUNDLE}\nSHA256SUMS {_sum(directory / 'SHA256SUMS')}\n"
    (directory / "bundle.txt").write_text(f"{text}\n{signer.line(text.encode())}", encoding="utf-8")
    return (*names, "SHA256SUMS", "bundle.txt")


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
