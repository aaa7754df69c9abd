"""Writes what a stranger needs to verify the ledger: files, their sums, and the program that checks them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention.core.errors import ConfigurationError, StoreError
from luxima_retention.evidence.ledger.checkpoint import Anchor, public_pem
from luxima_retention.evidence.ledger.verify import Checkpoint, Key

if TYPE_CHECKING:
    from luxima_retention.evidence.ledger import Ledger


def export(ledger: Ledger, anchors: Iterable[Anchor], key: Key | None, directory: Path) -> tuple[str, ...]:
    """Write a bundle. The same ledger and checkpoints give the same bytes.

    ======================  ==========================================================================
    ``ledger.jsonl``        every entry, one a line, in the bytes that are hashed
    ``checkpoints/*.txt``   every signed head, from the ledger and from its anchors
    ``key.txt``, ``key.pem``  the verifier key, for ``verify.py`` and for ``openssl``
    ``verify.py``           verifies all of it with Python alone
    ``VERIFY.txt``          the commands, also with ``sha256sum`` and ``openssl`` alone
    ``SHA256SUMS``          of all of them
    ======================  ==========================================================================

    Args:
        ledger: read in flat memory.
        anchors: whose checkpoints go in too.
        key: the first key of the ledger, from which rotations follow; ``None`` leaves both files out.
        directory: must be empty or not there.

    Returns:
        The names of the files.

    Raises:
        ConfigurationError: the directory is not empty.
        StoreError: the directory cannot be written, or the ledger not be read.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise ConfigurationError(f"{directory} is not empty", "name a directory that is not there yet")
        _write_ledger(ledger, directory / "ledger.jsonl")
        _write_checkpoints(ledger, anchors, directory / "checkpoints")
        if key is not None:
            (directory / "key.txt").write_text(f"{key}\n", encoding="utf-8")
            (directory / "key.pem").write_text(public_pem(key), encoding="utf-8")
        for name in ("verify.py", "VERIFY.txt"):
            (directory / name).write_bytes((files("luxima_retention.evidence.ledger") / name).read_bytes())
        return write_sums(directory)
    except OSError as error:
        raise StoreError(f"the bundle {directory} cannot be written: {error.strerror}") from error


def _write_ledger(ledger: Ledger, path: Path) -> None:
    with path.open("wb") as file:
        for data, _ in ledger.lines():
            file.write(data + b"\n")


def _write_checkpoints(ledger: Ledger, anchors: Iterable[Anchor], directory: Path) -> None:
    """One file for each note; the name tells the size and, where two agree on it, the content."""
    directory.mkdir()
    found = [Checkpoint.parse(note) for note in ledger.notes()]
    for anchor in anchors:
        found += anchor.checkpoints()
    for checkpoint in found:
        note = checkpoint.note.encode()
        name = f"{checkpoint.size:012d}-{hashlib.sha256(note).hexdigest()[:8]}.txt"
        (directory / name).write_bytes(note)


def write_sums(directory: Path) -> tuple[str, ...]:
    """Write ``SHA256SUMS`` of every other file below, as ``sha256sum`` does, by name; all names."""
    paths = (path for path in directory.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    names = sorted(path.relative_to(directory).as_posix() for path in paths)
    with (directory / "SHA256SUMS").open("w", encoding="utf-8") as sums:
        for name in names:
            with (directory / name).open("rb") as file:
                sums.write(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return (*names, "SHA256SUMS")
