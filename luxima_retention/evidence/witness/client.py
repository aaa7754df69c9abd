"""Asks witnesses for their cosignatures of a checkpoint (C2SP tlog-witness)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from luxima_retention.core.errors import StoreError, TamperingFound
from luxima_retention.evidence.ledger.verify import Checkpoint, Key, TamperedError, Tree, Verifies
from luxima_retention.evidence.witness.proof import consistency_proof

#: seconds for one answer in all, and its largest size: a witness that is away must not keep a run
_PATIENCE, _LARGEST = 5, 64 << 10
_OK, _CONFLICT = 200, 409

#: size of an earlier tree → that tree, and the leaf hashes from there to the checkpoint's end
History = Callable[[int], tuple[Tree, Sequence[bytes]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A witness that is asked.

    Args:
        url: its submission prefix.
        key: it must sign with.
    """

    url: str
    key: Key


class WitnessAheadError(Exception):
    """A witness has cosigned more entries than the checkpoint has; ``size`` tells how many."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def cosign(witness: Remote, note: str, *, before: int, history: History, verifies: Verifies) -> str:
    """The cosignature line of a witness for a checkpoint.

    Args:
        witness: whom to ask.
        note: the signed checkpoint.
        before: entries that the witness has probably cosigned last.
        history: tells the proof's material.
        verifies: checks its signature.

    Raises:
        StoreError: it does not answer, or not as it should.
        WitnessAheadError: it has seen more entries than there are.
        TamperingFound: it says that the ledger is not the continuation of the one that it saw.
    """
    checkpoint = Checkpoint.parse(note)
    status, body = _post(witness, note, min(before, checkpoint.size), history)
    if status == _CONFLICT:
        size = _size(witness, body)
        if size > checkpoint.size:
            raise WitnessAheadError(size)
        status, body = _post(witness, note, size, history)
    if status == 422:  # noqa: PLR2004 - unprocessable: the proof
        raise TamperingFound(
            f"the witness {witness.key.name} saw another ledger: this one does not continue what it cosigned",
            "ask its operator for the checkpoint that it keeps, and compare",
        )
    if status != _OK:
        raise StoreError(f"the witness {witness.key.name} at {witness.url} answered {status}")
    return _own_line(witness, checkpoint, body, verifies)


def _post(witness: Remote, note: str, old: int, history: History) -> tuple[int, str]:
    from luxima_retention.io.http import Endpoint, Http, HttpError

    tree, leaves = history(old) if old else (Tree(), ())
    proof = [base64.b64encode(item).decode() for item in consistency_proof(tree, leaves)]
    data = "\n".join([f"old {old}", *proof, "", note])
    there = Endpoint(
        url=witness.url, setting="ledger.witnesses", options="ledger", timeout=_PATIENCE, proxied=True
    )
    try:
        answer = Http(there, largest=_LARGEST).send("POST", "/add-checkpoint", body=data.encode())
    except HttpError as error:
        raise StoreError(
            f"the witness {witness.key.name} at {witness.url} does not answer: {error.reason}"
        ) from error
    return answer.status, answer.text


def _size(witness: Remote, body: str) -> int:
    text = body.strip()
    if not text.isdecimal():
        raise StoreError(f"the witness {witness.key.name} says {text[:40]!r} instead of a size")
    return int(text)


def _own_line(witness: Remote, checkpoint: Checkpoint, body: str, verifies: Verifies) -> str:
    """The line of the expected key; lines of other keys are ignored, as the specification wants."""
    for line in body.splitlines():
        try:
            signed = Checkpoint.parse(checkpoint.signed.text.decode() + f"\n{line}\n")
            if signed.is_signed_by(witness.key, verifies):
                return f"{line}\n"
        except TamperedError as error:
            raise StoreError(f"the witness {witness.key.name} sent what is not its signature") from error
    raise StoreError(f"the witness at {witness.url} did not sign with the key {witness.key}")
