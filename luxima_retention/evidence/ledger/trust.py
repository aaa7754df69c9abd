"""What a ledger that was verified still does not prove, as findings for doctor and report. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from luxima_retention.config.places import address
from luxima_retention.core.clock import iso
from luxima_retention.evidence.events import LedgerVerified
from luxima_retention.evidence.ledger.session import witness_key

if TYPE_CHECKING:
    from luxima_retention.config.settings import LedgerSettings
    from luxima_retention.evidence.ledger.verify import Key, Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that verification cannot prove with these settings.

    Args:
        code: ``no-key``, ``no-pin``, ``no-anchor``, ``no-witness``, ``quorum-missing``, ``unsigned-tail``,
            ``approver-unknown``, ``recovered``. All but ``no-witness`` are exceptions of the report.
        sentence: for people.
        hint: the setting or command that changes it.
    """

    code: str
    sentence: str
    hint: str


def witness_keys(settings: LedgerSettings) -> tuple[Key, ...]:
    """The keys of the witnesses that the settings name.

    Raises:
        ConfigurationError: one of them is none.
    """
    return tuple(witness_key(item.key) for item in settings.witnesses)


def set_up(settings: LedgerSettings, *, pinned: str | None = None) -> Iterator[Gap]:
    """What the settings alone leave open."""
    if not settings.key_file and not settings.public_key and not pinned:
        yield Gap(
            code="no-key",
            sentence="the ledger is not signed: the owner of the database can rewrite it",
            hint="set ledger.key_file, then `luxima-retention ledger keygen`",
        )
    elif not settings.public_key and not pinned:
        yield Gap(
            code="no-pin",
            sentence="no key is pinned: a ledger that was signed again by another key would pass",
            hint="set ledger.public_key to what `luxima-retention ledger keygen` printed",
        )
    if not settings.anchors:
        yield Gap(
            code="no-anchor",
            sentence="no checkpoint is kept beyond the database's reach",
            hint="set ledger.anchors, best to a bucket with Object Lock",
        )
    if not settings.witnesses:
        yield Gap(
            code="no-witness",
            sentence="no second party cosigns: the holder of the key and every anchor can rewrite all of it",
            hint="set ledger.witnesses",
        )


def gaps(settings: LedgerSettings, verdict: Verification, *, pinned: str | None = None) -> tuple[Gap, ...]:
    """What a verification that succeeded leaves open.

    Args:
        settings: in force.
        verdict: what verification found, with the witnesses of the settings.
        pinned: a key that was named instead of ``ledger.public_key``.
    """
    return (*set_up(settings, pinned=pinned), *_found(settings, verdict))


def _found(settings: LedgerSettings, verdict: Verification) -> Iterator[Gap]:
    named = len(settings.witnesses)
    needed = named if settings.witness_quorum is None else settings.witness_quorum
    have = sum(size >= verdict.covered for size, _ in verdict.witnessed.values())
    if named and have < needed:
        yield Gap(
            code="quorum-missing",
            sentence=f"{have} of {named} witnesses cosigned the newest checkpoint, and {needed} must",
            hint="see whether they run; the next run asks them again",
        )
    if verdict.key and verdict.covered < verdict.entries:
        first = verdict.covered + 1
        yield Gap(
            code="unsigned-tail",
            sentence=f"entries {first} to {verdict.entries} are not signed yet",
            hint="the next run signs them, if they continue what was signed",
        )
    if verdict.approvals and verdict.approvals.unknown:
        count = verdict.approvals.unknown
        yield Gap(
            code="approver-unknown",
            sentence=f"{count} approvals were carried out that no key of the settings signed",
            hint="name the keys of those who approved in ledger.approvers",
        )
    if verdict.abandoned:
        yield Gap(
            code="recovered",
            sentence=f"a recovery gave up what {verdict.abandoned} checkpoints cover",
            hint="see the entry ledger.recovered",
        )


def verified(settings: LedgerSettings, verdict: Verification) -> LedgerVerified:
    """The entry ``ledger.verified``."""
    return LedgerVerified(
        entries=verdict.entries,
        root=verdict.root,
        signed=verdict.covered,
        checkpoints=verdict.checkpoints,
        pinned=bool(settings.public_key),
        anchors=tuple(map(address, settings.anchors)),
        gaps=tuple(gap.code for gap in gaps(settings, verdict)),
    )


def told(settings: LedgerSettings, verdict: Verification, found: tuple[Gap, ...]) -> dict[str, Any]:
    """What ``ledger verify`` prints as JSON."""
    return {
        "entries": verdict.entries,
        "until": verdict.at or None,
        "checkpoints": verdict.checkpoints,
        "signed": verdict.covered,
        "key": str(verdict.key) if verdict.key else None,
        "pinned": not any(gap.code in {"no-key", "no-pin"} for gap in found),
        "anchors": [address(url) for url in settings.anchors],
        "approved": dict(verdict.approvals.signed) if verdict.approvals else {},
        "witnessed": [
            {"witness": name, "entries": size, "at": iso(datetime.fromtimestamp(seconds, UTC))}
            for name, (size, seconds) in verdict.witnessed.items()
        ],
        "gaps": [{"code": gap.code, "sentence": gap.sentence, "hint": gap.hint} for gap in found],
        "root": verdict.root,
        "head": verdict.head,
    }
