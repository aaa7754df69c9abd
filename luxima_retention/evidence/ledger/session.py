"""What a run does before it appends anything: it decides whether it may go on signing this ledger.

A signature says: this is the ledger of yesterday, and it has grown. So before the first entry the ledger is
held against the newest checkpoint that the database and every anchor keep, and what they do not vouch for is
not signed. The first checkpoint is never made here: ``ledger keygen`` makes it, and ``ledger recover`` makes
one after a loss, with an entry that says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import ConfigurationError, StoreError, TamperingFound
from luxima_retention.evidence.events import KeptCheckpoint, LedgerRecovered
from luxima_retention.evidence.ledger.checkpoint import (
    NOTHING,
    Anchor,
    Sealed,
    Signer,
    copied,
    generate,
    grown,
    library_verifies,
    open_anchors,
    open_signer,
    seal,
    tree_at,
)
from luxima_retention.evidence.ledger.verify import WITNESS, Checkpoint, Key, TamperedError, Tree, Verifier
from luxima_retention.evidence.witness.client import Remote, WitnessAheadError, cosign
from luxima_retention.evidence.witness.timestamp import stamp

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.evidence.ledger import Ledger

_RECOVER = (
    "compare with a copy that was kept elsewhere; after a restore from a backup, or with a new anchor, run"
    " `luxima-retention ledger recover`"
)
#: attempts, where another run signs at the same time
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What signs, and what keeps or cosigns what was signed.

    Args:
        signer: the ledger's key.
        anchors: where copies go.
        witnesses: who cosigns.
        quorum: how many of them must.
        timestamp_url: an RFC 3161 authority; empty for none.
    """

    signer: Signer
    anchors: tuple[Anchor, ...] = ()
    witnesses: tuple[Remote, ...] = ()
    quorum: int = 0
    timestamp_url: str = ""


def open_places(settings: Settings, deadline: Deadline = UNLIMITED) -> Places | None:
    """What the settings name; ``None`` without a key.

    Args:
        settings: in force.
        deadline: of the run.

    Raises:
        ConfigurationError: the key cannot be used, or a witness's is none.
    """
    ledger = settings.ledger
    signer = open_signer(ledger)
    if signer is None:
        return None
    witnesses = tuple(Remote(url=item.url, key=witness_key(item.key)) for item in ledger.witnesses)
    quorum = len(witnesses) if ledger.witness_quorum is None else ledger.witness_quorum
    return Places(
        signer=signer,
        anchors=open_anchors(settings, deadline),
        witnesses=witnesses,
        quorum=quorum,
        timestamp_url=ledger.timestamp_url,
    )


def witness_key(text: str) -> Key:
    """The verifier key of a witness.

    Raises:
        ConfigurationError: it is none, or a ledger's.
    """
    try:
        key = Key.parse(text)
    except ValueError as error:
        raise ConfigurationError(f"the key of a witness cannot be used: {error}") from error
    if key.kind != WITNESS:
        raise ConfigurationError(f"{text} is the key of a ledger", "name the one of `witness keygen`")
    return key


class Session:
    """The right to sign, while a run lasts.

    Args:
        ledger: of the run.
        places: with its key.
        since: entries that were signed when it began.
    """

    def __init__(self, ledger: Ledger, places: Places, since: int) -> None:
        self._ledger, self._places, self._since = ledger, places, since

    def sign(self, now: datetime) -> Sealed:
        """Sign the head: after a run's start and at its end. It must continue what was signed last.

        Raises:
            TamperingFound: an entry of this process, or a checkpoint, is not what it was; or a witness saw
                another ledger.
            StoreError: the ledger cannot be read or written.
        """
        newest, _ = signed_head(self._ledger, self._places.signer.key)
        if newest.size < self._since:
            raise _refused(f"the checkpoint of {self._since} entries is gone from the ledger")
        if fault := _fault_of_head(self._ledger, newest):
            raise _refused(fault)
        self._check_own()
        made = _sealed(self._ledger, self._places, now)
        self._since = made.size
        return made

    def sign_start(self, now: datetime) -> None:
        """Sign what is about to be done; without its copies nothing is done.

        Raises:
            StoreError: an anchor did not take it.
            TamperingFound: see :meth:`sign`.
        """
        made = self.sign(now)
        if made.failures:
            raise StoreError(made.failures[0], "each of ledger.anchors must be writable")

    def _check_own(self) -> None:
        """What this process wrote last commits, by its chain, to all that it wrote before."""
        own = self._ledger.written
        if own is None:
            return
        found = next(iter(self._ledger.entries(after=own.seq - 1)), None)
        if found is None or found.hash != own.hash:
            raise _refused(f"entry {own.seq}, which this run wrote, is not what it was")


def begin(
    settings: Settings, ledger: Ledger, now: datetime, deadline: Deadline = UNLIMITED
) -> Session | None:
    """Hold the ledger against its newest checkpoints, before anything is appended; then sign what is new.

    Reads the checkpoints' trees and the entries after them, so that it costs what has been added.

    Args:
        settings: with key, anchors and witnesses.
        ledger: of the run.
        now: the program's clock.
        deadline: of the run.

    Returns:
        The right to sign; ``None`` without a key, which is a finding of its own (:mod:`.trust`).

    Raises:
        TamperingFound: the ledger is not the continuation of what was signed, or nothing was ever signed.
        StoreError: the ledger or an anchor cannot be read.
        ConfigurationError: the key cannot be used.
    """
    places = open_places(settings, deadline)
    if places is None:
        compare_unsigned(settings, ledger, deadline)
        return None
    size = compare(ledger, places)
    session = Session(ledger, places, size)
    session.sign_start(now)
    return session


def compare_unsigned(settings: Settings, ledger: Ledger, deadline: Deadline = UNLIMITED) -> None:
    """Without a key nothing is signed; an anchor that the settings name must not know more than the ledger.

    Raises:
        TamperingFound: it does.
        StoreError: an anchor cannot be read.
    """
    head, (_, lost) = ledger.head(), _given_up(ledger)
    size = head.seq if head else 0
    for anchor in open_anchors(settings, deadline):
        _, covered = anchor.reach()
        if covered > max(size, lost):
            raise TamperingFound(
                f"a checkpoint in {anchor.url} covers {covered} entries, and the ledger has {size}", _RECOVER
            )


def compare(ledger: Ledger, places: Places) -> int:
    """Hold the ledger against the newest checkpoint of every anchor, and against its own.

    Returns:
        The entries that the newest checkpoint covers.

    Raises:
        TamperingFound: one of them is missing, ahead of the ledger, or of another ledger.
        StoreError: one of them cannot be read.
    """
    key = places.signer.key
    try:
        # Anchors first: another run may sign meanwhile, and it records a checkpoint before it copies it.
        kept = [(anchor.url, list(_newest(anchor, key, _given_up(ledger)))) for anchor in places.anchors]
        newest, tree = signed_head(ledger, key)
        for url, notes in kept:
            _hold(ledger, url, notes, newest, tree)
        _hold_recovery(ledger, newest)
        if fault := _fault_of_head(ledger, newest):
            raise _refused(fault)
        grown(ledger, tree)
    except TamperedError as error:
        raise _refused(str(error)) from error
    return newest.size


def signed_head(ledger: Ledger, key: Key) -> tuple[Checkpoint, Tree]:
    """The newest recorded checkpoint, whose tree is that of its signed root.

    Raises:
        TamperingFound: there is none, the key has not signed it, or its tree was changed.
    """
    found = ledger.newest_checkpoint()
    if found is None:
        raise _refused("the ledger has no checkpoint, and a run never makes the first")
    tree, note = found
    try:
        checkpoint = Checkpoint.parse(note, "the newest checkpoint of the ledger")
        signed = checkpoint.is_signed_by(key, library_verifies)
    except TamperedError as error:
        raise _refused(str(error)) from error
    if not signed:
        raise _refused(f"{checkpoint.place} is not signed by the key {key}")
    if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
        raise _refused(f"{checkpoint.place} does not belong to the tree that is recorded with it")
    return checkpoint, tree


def _newest(anchor: Anchor, key: Key, given_up: tuple[int, int]) -> Iterable[Checkpoint]:
    """The newest checkpoint of an anchor; and those that may have been given up, down to it."""
    kept, lost = given_up
    found = False
    for checkpoint in anchor.checkpoints(newest_first=True):
        found = True
        if not checkpoint.is_signed_by(key, library_verifies) and not kept < checkpoint.size <= lost:
            raise _refused(f"{checkpoint.place} is not signed by the key {key}")
        yield checkpoint
        if not kept < checkpoint.size <= lost:
            return
    if not found:
        raise _refused(f"the anchor {anchor.url} holds no checkpoint of this ledger")


def _given_up(ledger: Ledger) -> tuple[int, int]:
    """What the newest recovery told: the entries that were kept, and how many there had been."""
    entry = ledger.newest(kinds={"ledger.recovered"})
    recovered = entry.event if entry else None
    return (entry.seq - 1, recovered.lost) if entry and isinstance(recovered, LedgerRecovered) else NOTHING


def _hold_recovery(ledger: Ledger, newest: Checkpoint) -> None:
    """A recovery that nobody has signed excuses nothing."""
    entry = ledger.newest(kinds={"ledger.recovered"})
    if entry is not None and entry.seq > newest.size:
        raise _refused(f"entry {entry.seq} is about a recovery, and is not signed")


def _hold(ledger: Ledger, url: str, notes: Sequence[Checkpoint], newest: Checkpoint, tree: Tree) -> None:
    """Compare an anchor's newest checkpoint with the ledger; those before it may have been given up."""
    fault = None
    for checkpoint in notes:
        fault = _fault(ledger, url, checkpoint, newest, tree)
        if fault is None:
            return
    raise _refused(fault or f"the anchor {url} holds no checkpoint of this ledger")


def _fault(ledger: Ledger, url: str, kept: Checkpoint, newest: Checkpoint, tree: Tree) -> str | None:
    """Why a kept checkpoint does not lead to the newest one of the ledger; ``None`` if it does."""
    if kept.size > newest.size:
        return (
            f"the anchor {url} holds a checkpoint of {kept.size} entries; the ledger's newest one covers"
            f" {newest.size}"
        )
    before = tree if kept.size == newest.size else tree_at(ledger, kept.size)
    if before.root() != kept.root:
        return f"{kept.place} covers {kept.size} entries with another root"
    if grown(ledger, before, newest.size)[0].root() != newest.root:
        return f"the ledger does not lead from {kept.place} to its newest checkpoint"
    return _fault_of_head(ledger, kept)


def _fault_of_head(ledger: Ledger, signed: Checkpoint) -> str | None:
    """Why the last entry that a checkpoint covers is not the one it was signed over.

    A ledger that was rewritten before it has another hash there, since each entry names the one before it.
    """
    if not signed.head or not signed.size:
        return None
    entry = next(iter(ledger.entries(after=signed.size - 1)), None)
    if entry is not None and (entry.seq, entry.hash) == (signed.size, signed.head):
        return None
    return f"entry {signed.size} is not the one that {signed.place} was signed over"


def _sealed(ledger: Ledger, places: Places, now: datetime) -> Sealed:
    """Sign the head, cosigned where witnesses are named; a head that is signed already is left as it is."""
    for _ in range(_ATTEMPTS):
        newest, tree = signed_head(ledger, places.signer.key)
        asking = partial(_ask, ledger, places, newest)
        head = ledger.head()
        try:
            if head is not None and head.seq == newest.size:
                return _completed(ledger, places, newest, tree, now)
            made = seal(ledger, [places.signer], places.anchors, now, asking, given_up=_given_up(ledger))
        except WitnessAheadError as ahead:
            head = ledger.head()
            if head is None or head.seq < ahead.size:
                raise _refused(
                    f"a witness has seen {ahead.size} entries, and the ledger has {head.seq if head else 0}"
                ) from ahead
            continue  # another run was faster
        if made is not None:
            return _stamped(places, made)
    raise StoreError("other runs sign all the time, and this one did not get its turn", "run it again")


def _stamped(places: Places, made: Sealed) -> Sealed:
    """With a time stamp beside each copy; an authority that is away is told, and stops no run."""
    if not places.timestamp_url:
        return made
    try:
        reply = stamp(places.timestamp_url, made.note.encode())
        for anchor in places.anchors:
            anchor.keep_timestamp(made.note, made.size, reply)
    except StoreError as error:
        return replace(made, unwitnessed=(*made.unwitnessed, f"no time stamp is kept: {error.message}"))
    return made


def _completed(ledger: Ledger, places: Places, newest: Checkpoint, tree: Tree, now: datetime) -> Sealed:
    """The newest checkpoint, with the cosignatures and in the anchors that it still lacks."""
    lines, away = _ask(ledger, places, newest, newest.note, tree)
    lacking = [key for key in _keys(places) if not newest.signed.names(key)]
    more = Checkpoint.parse(newest.note + lines)
    if any(more.signed.names(key) for key in lacking):
        newest = more
        ledger.record(newest.note, tree)
    written, failures = copied(newest.note, newest.size, places.anchors, now, _given_up(ledger))
    return Sealed(
        size=newest.size,
        root=newest.root.hex(),
        note=newest.note,
        anchors=written,
        failures=failures,
        unwitnessed=away,
    )


def _keys(places: Places) -> Iterator[Key]:
    return (witness.key for witness in places.witnesses)


def _ask(
    ledger: Ledger, places: Places, newest: Checkpoint, note: str, tree: Tree
) -> tuple[str, tuple[str, ...]]:
    """The cosignature lines for a note; and a sentence for each that is missing, where the quorum is.

    Raises:
        WitnessAheadError, TamperingFound: a witness saw another ledger, or more of it.
    """
    if not places.witnesses:
        return "", ()

    def history(old: int) -> tuple[Tree, Sequence[bytes]]:
        before = tree_at(ledger, old)
        return before, grown(ledger, before, tree.size)[2]

    lines, away = "", []
    for witness in places.witnesses:
        try:
            lines += cosign(witness, note, before=newest.size, history=history, verifies=library_verifies)
        except StoreError as error:
            away.append(error.message)
    cosigned = len(places.witnesses) - len(away)
    return lines, tuple(away) if cosigned < places.quorum else ()


def recover(settings: Settings, ledger: Ledger, reason: str, now: datetime) -> Sealed:
    """Go on after a loss: enter what was kept, what is gone and why, and sign from there.

    For a database that was restored from a backup, an anchor that was lost or is new, and a key that was
    lost: where ``ledger.key_file`` is not there, a new key is made, which others must pin anew.

    Raises:
        TamperingFound: the ledger is not a chain, or its checkpoints are not of it: nothing may be signed.
        ConfigurationError: no key is configured.
        StoreError: the ledger or an anchor cannot be used.
    """
    places = open_places(_with_key(settings))
    if places is None:
        raise ConfigurationError("ledger.key_file is empty", "set it to the path of the key")
    try:
        own = sorted(map(Checkpoint.parse, ledger.notes()), key=lambda checkpoint: checkpoint.size)
        verdict = Verifier(own).run(ledger.lines())
        kept = [(anchor.url, _first(anchor)) for anchor in places.anchors]
    except TamperedError as error:
        hint = "restore retention.ledger and retention.checkpoint from the same backup"
        raise TamperingFound(f"the ledger is not what was written: {error}", hint) from error
    recovered = LedgerRecovered(
        reason=reason,
        entries=verdict.entries,
        root=verdict.root,
        lost=max([verdict.entries, *(newest.size for _, newest in kept if newest)]),
        anchors=tuple(_told(url, newest) for url, newest in kept),
        key=str(places.signer.key),
    )
    ledger.append(recovered, policy=None, at=now)
    made = seal(ledger, [places.signer], places.anchors, now, given_up=_given_up(ledger))
    if made is None or made.failures:
        raise StoreError(made.failures[0] if made else "nothing was signed")
    return made


def _with_key(settings: Settings) -> Settings:
    """The settings, whose key is there now."""
    ledger = settings.ledger
    if ledger.key_file and not Path(ledger.key_file).exists():
        generate(Path(ledger.key_file), ledger.origin)
    return settings


def _first(anchor: Anchor) -> Checkpoint | None:
    return next(iter(anchor.checkpoints(newest_first=True)), None)


def _told(url: str, newest: Checkpoint | None) -> KeptCheckpoint:
    return KeptCheckpoint(
        url=url, size=newest.size if newest else 0, root=newest.root.hex() if newest else None
    )


def _refused(sentence: str) -> TamperingFound:
    return TamperingFound(f"this ledger must not be signed: {sentence}", _RECOVER)
