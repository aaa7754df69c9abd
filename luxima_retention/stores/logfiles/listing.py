"""What the sets of an import will run, and as whom. No I/O."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from luxima_retention.stores.logfiles.importer import ImportedSet

_EVENTS = ("first", "before", "after", "before_removal", "last")


def told_runs(item: ImportedSet, runner: str) -> Iterator[str]:
    """A set in lines: where it stands, as whom its files are worked on, each program with its user.

    Args:
        item: the set.
        runner: name of the user that starts the rotation.
    """
    values = item.values
    user = values.get("user") or runner
    yield f"{item.name} ({item.file}:{item.line}): {' '.join(values['paths'])}"
    yield f"  files: as {user}" + (f", group {values['group']}" if values.get("group") else "")
    if program := values.get("compress_program"):
        yield f"  compress: as {user}: {shlex.join(program)}"
    if values.get("mail"):
        yield f"  mail: as {user}: to {values['mail']}"
    if values.get("shred"):
        yield f"  shred: as {user}"
    for event in _EVENTS:
        for hook in values.get(event, ()):
            yield f"  {event}: as {user if values.get('hooks_as_user') else runner}: {_hook(hook)}"


def _hook(hook: Mapping[str, Any]) -> str:
    if "pid_file" in hook:
        return f"signal {hook.get('signal', 'HUP')} to the process of {hook['pid_file']}"
    return " ".join(shlex.join(hook["run"]).split("\n"))
