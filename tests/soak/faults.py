"""What happens in a night: each fault makes the world bad, says how a run may end, and mends the world."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from luxima_retention.core.errors import ExitCode

if TYPE_CHECKING:
    from tests.soak.world import World

#: places where a run may be killed or fail
PLACES = (
    "engine.after_intent",
    "act.before_entry",
    "act.before_commit",
    "act.after_commit",
    "act.before_seal",
    "archive.before_upload",
    "archive.during_upload",
    "archive.after_upload",
    "archive.before_manifest",
    "table.before_delete",
    "table.after_delete",
    "table.before_commit",
    "table.after_commit",
    "engine.after_act",
    "engine.after_proof",
    "ledger.before_checkpoint",
)
KILLED = -9
_UNFINISHED = frozenset({ExitCode.FAULT, ExitCode.INCOMPLETE, ExitCode.STOPPED})


@dataclass(frozen=True)
class Fault:
    """A fault of one night.

    Args:
        name: for the summary.
        codes: with which a run of that night may end.
        clean: whether nothing that is due may be left after it.
        arguments: more of them, for the runs of that night.
        variables: of the runs of that night.
    """

    name: str
    codes: frozenset[int]
    clean: bool = False
    arguments: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    @contextmanager
    def strikes(self, world: World) -> Iterator[None]:
        """The world is bad inside; a fault of variables alone leaves it as it is."""
        worlds = {
            "archive away": world.without_archive,
            "database away": world.without_database,
            "clock a year ahead": lambda: world.shifted(365),
            "clock a year behind": lambda: world.shifted(-365),
        }
        with worlds[self.name]() if self.name in worlds else nullcontext():
            yield


def drawn(random: Random) -> Fault:
    """The fault of a night; every third night has none."""
    place = random.choice(PLACES)
    at = random.choice(("", "@1", "@2", "@3"))
    zero = int(ExitCode.DONE)
    faults = (
        Fault("none", frozenset({zero}), clean=True),
        Fault("none", frozenset({zero}), clean=True),
        Fault(f"kill at {place}{at}", frozenset({KILLED, zero}), variables=_armed(f"{place}=kill{at}")),
        Fault(f"fail at {place}{at}", _UNFINISHED | {zero, 6}, variables=_armed(f"{place}=fail{at}")),
        Fault("terminated", _UNFINISHED | {zero}, variables=_armed(f"{place}=term{at}")),
        Fault("refused", frozenset({4, zero}), variables=(("LUXIMA_POLICIES__AUDIT_LOGS__MAX_ITEMS", "1"),)),
        Fault("archive away", frozenset({3, zero})),
        Fault("database away", frozenset({3})),
        Fault("clock a year ahead", frozenset({4})),
        Fault("clock a year behind", frozenset({zero, 4, 6, 3})),
        Fault("no time", frozenset({zero, 7}), arguments=("--max-runtime", "1s")),
    )
    return random.choice(faults)


def _armed(text: str) -> tuple[tuple[str, str], ...]:
    return (("LUXIMA_FAILPOINTS", text),)
