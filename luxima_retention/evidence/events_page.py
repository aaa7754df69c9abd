"""The page ``docs/ledger-events.md``, made from the events themselves.

``python -m luxima_retention.evidence.events_page > docs/ledger-events.md``
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields

from luxima_retention.core.plan import Counters
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence import events

_HEAD = """# What the ledger's entries say

Made from `luxima_retention/evidence/events.py` by `python -m luxima_retention.evidence.events_page`.

An entry has the members `at`, `body`, `kind`, `policy`, `previous`, `seq` and `v`.
How they are hashed and chained stands in [evidence](evidence.md); this page lists the members of `body`.
`version` in each body is that of its kind: an older one is read as the newest, and a kind or version that a
program does not know is never taken for something else.
Instants are UTC in ISO 8601; numbers are whole; what is not known is `null`.
"""
#: what stands inside other events
_PARTS = (events.Guard, events.Found, events.Proved, Counters, Sealed)


def page() -> str:
    """The whole page."""
    kinds = (events.TYPES[kind] for kind in sorted(events.TYPES))
    told = [_HEAD, *(_of_kind(found) for found in kinds), "## Parts of them\n", *map(_of_part, _PARTS)]
    return "\n".join(told)


def described(found: type) -> dict[str, str]:
    """Field → what its docstring says of it, those of its bases included."""
    told: dict[str, str] = {}
    for base in reversed(found.__mro__):
        if base.__module__.startswith("luxima_retention"):
            told |= dict(_arguments(inspect.getdoc(base) or ""))
    return told


def _of_kind(found: type[events.Event]) -> str:
    return f"## `{found.kind}`, version {found.latest_version()}\n\n{_summary(found)}\n\n{_table(found)}"


def _of_part(found: type) -> str:
    return f"### {found.__name__}\n\n{_summary(found)}\n\n{_table(found)}"


def _summary(found: type) -> str:
    return (inspect.getdoc(found) or "").partition("\n\n")[0].replace("\n", " ")


def _table(found: type) -> str:
    told = described(found)
    rows = (
        f"| `{field.name}` | {_type(str(field.type))} | {told.get(field.name, '').replace('``', '`')} |"
        for field in fields(found)
    )
    return "\n".join(("| member | type | meaning |", "|---|---|---|", *rows, ""))


def _type(name: str) -> str:
    """A type as JSON has it."""
    words = {"str": "text", "int": "number", "bool": "truth", "datetime": "instant", "None": "null"}
    words |= {"ExitCode": "number", "Outcome": "text", "Level": "text", "BatchState": "text"}
    words |= {"ArchiveState": "text", "ActionState": "text"}
    plain = re.sub(r"tuple\[(.*), \.\.\.\]", r"list of \1", name).replace("Mapping", "object")
    plain = re.sub(r"[A-Za-z]+", lambda match: words.get(match[0], match[0]), plain)
    return plain.replace(" | ", " or ")


def _arguments(doc: str) -> Iterator[tuple[str, str]]:
    """The lines of a docstring's ``Args``, joined."""
    _, _, section = doc.partition("Args:\n")
    for match in re.finditer(r"^    (\w+): (.+(?:\n {8,}.+)*)", section, re.MULTILINE):
        yield match[1], re.sub(r"\s+", " ", match[2])


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - the page is the output
