"""A witness: keeps the last head it cosigned of each ledger, and cosigns the next one that begins with it.

C2SP tlog-witness, calls ``add-checkpoint`` and ``checkpoint``. :class:`Witness` decides and keeps;
:func:`serve` is the HTTP around it.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention.core.errors import StoreError
from luxima_retention.evidence.ledger.verify import (
    WITNESS,
    Checkpoint,
    Key,
    TamperedError,
    Tree,
    Verifies,
)
from luxima_retention.evidence.witness.proof import is_consistent

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: the largest request that is read, and the most hashes of a proof (tlog-witness)
_LARGEST, _MOST = 64 << 10, 63
_TEXT = "text/plain; charset=utf-8"
#: seconds that a client may take to send its request
_PATIENCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an HTTP request is answered with."""

    status: int
    body: bytes = b""
    content_type: str = _TEXT


class Cosigner:
    """The key of a witness.

    Args:
        name: of the witness.
        private: used for nothing but cosignatures, since these do not say who made them.
    """

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key = Key(name, private.public_key().public_bytes_raw(), WITNESS)

    def line(self, text: bytes, at: datetime) -> str:
        """The cosignature line of a checkpoint's text."""
        seconds = int(at.timestamp())
        signature = self._private.sign(b"cosignature/v1\ntime %d\n" % seconds + text)
        said = base64.b64encode(self.key.key_id + struct.pack(">Q", seconds) + signature).decode()
        return f"\u2014 {self.key.name} {said}\n"


class Witness:
    """Decides about checkpoints.

    Args:
        cosigner: signs.
        logs: origin → keys of the ledgers that it knows.
        directory: keeps one note for each of them; written before an answer is given.
        verifies: checks one signature.
        clock: the time of a cosignature.
    """

    def __init__(
        self,
        cosigner: Cosigner,
        logs: Mapping[str, tuple[Key, ...]],
        directory: Path,
        verifies: Verifies,
        clock: Callable[[], datetime],
    ) -> None:
        self._cosigner, self._logs, self._directory = cosigner, logs, directory
        self._verifies, self._clock = verifies, clock
        self._lock = threading.Lock()

    def checkpoint(self, origin_hash: str) -> Answer:
        """The newest head of a ledger, by the SHA-256 of its origin, with our cosignature."""
        path = self._directory / f"{origin_hash}.txt"
        known = {hashlib.sha256(origin.encode()).hexdigest() for origin in self._logs}
        if origin_hash not in known or not path.exists():
            return Answer(status=404)
        return Answer(status=200, body=path.read_bytes())

    def add_checkpoint(self, request: bytes) -> Answer:
        """Cosign a checkpoint, or say why not: the codes are those of the specification.

        Raises:
            StoreError: the state cannot be read or written; nothing was cosigned.
        """
        try:
            old_size, proof, checkpoint = _read(request)
        except (ValueError, TamperedError) as error:
            return Answer(status=400, body=f"{error}\n".encode())
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            return Answer(status=404)
        try:
            signed = [key for key in keys if checkpoint.is_signed_by(key, self._verifies)]
        except TamperedError:
            signed = []
        if not signed:
            return Answer(status=403)
        if old_size > checkpoint.size:
            return Answer(status=400, body=b"the old size is larger than the checkpoint\n")
        with self._alone():
            return self._decide(old_size, proof, checkpoint, signed[0])

    def _decide(self, old_size: int, proof: list[bytes], new: Checkpoint, log: Key) -> Answer:
        """Compare with the last head and replace it; no other request may come between."""
        path = self._directory / f"{hashlib.sha256(new.origin.encode()).hexdigest()}.txt"
        size, root = self._last(path)
        if old_size != size:
            return Answer(status=409, body=b"%d\n" % size, content_type="text/x.tlog.size")
        empty = new.size == 0 and new.root != Tree().root()
        if empty or not is_consistent(size, root, new.size, new.root, proof):
            return Answer(status=422)
        line = self._cosigner.line(new.signed.text, self._clock())
        own = (log.name, log.key_id)
        theirs = "".join(
            f"\u2014 {name} {base64.b64encode(key_id + said).decode()}\n"
            for name, key_id, said in new.signed.signatures
            if (name, key_id) == own
        )
        _replace(path, new.signed.text + b"\n" + theirs.encode() + line.encode())
        return Answer(status=200, body=line.encode())

    def _last(self, path: Path) -> tuple[int, bytes]:
        if not path.exists():
            return 0, Tree().root()
        try:
            last = Checkpoint.parse(path.read_text(encoding="utf-8"), str(path))
        except (TamperedError, OSError, UnicodeDecodeError) as error:
            raise StoreError(f"the witness cannot read its own state: {error}") from error
        return last.size, last.root

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other request, of this process or another, decides meanwhile."""
        with self._lock, (self._directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _read(request: bytes) -> tuple[int, list[bytes], Checkpoint]:
    """Old size, proof and checkpoint of a request.

    Raises:
        ValueError, TamperedError: it is not in its form.
    """
    head, separator, note = request.decode().partition("\n\n")
    first, *lines = head.split("\n")
    word, _, size = first.partition(" ")
    if not separator or word != "old" or str(int(size)) != size or int(size) < 0 or len(lines) > _MOST:
        raise ValueError("the request is not in the form of tlog-witness")
    proof = [base64.b64decode(line, validate=True) for line in lines]
    if any(len(item) != hashlib.sha256().digest_size for item in proof):
        raise ValueError("a hash of the proof has not 32 bytes")
    return int(size), proof, Checkpoint.parse(note)


def _replace(path: Path, data: bytes) -> None:
    """Durably, and whole or not at all."""
    draft = path.with_suffix(".new")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"the witness cannot write its state {path}: {error.strerror}") from error


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive; one witness for all requests."""

    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE
    witness: Witness

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != "/add-checkpoint":
            return self._say(Answer(status=404), close=True)
        if not length.isdecimal() or int(length) > _LARGEST:
            return self._say(Answer(status=413 if length.isdecimal() else 411), close=True)
        try:
            answer = self.witness.add_checkpoint(self.rfile.read(int(length)))
        except StoreError as error:
            answer = Answer(status=500, body=f"{error.message}\n".encode())
        return self._say(answer)

    def do_GET(self) -> None:
        top, _, rest = self.path.removeprefix("/").partition("/")
        self._say(self.witness.checkpoint(top) if rest == "checkpoint" else Answer(status=404))

    def _say(self, answer: Answer, *, close: bool = False) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if close:  # what was sent may not have been read
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(answer.body)


def bound(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """The server of a witness, listening; port 0 takes a free one.

    Raises:
        StoreError: the address cannot be listened at.
    """
    handler = type("Handler", (_Handler,), {"witness": witness})
    try:
        return ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise StoreError(f"the witness cannot listen at {host}:{port}: {error.strerror}") from error
