"""Named places where a test can kill, fail or delay the process; free when nothing is set.

``LUXIMA_FAILPOINTS="batch.before_commit=kill@3,archive.after_upload=fail"`` kills the process with
SIGKILL the third time it passes ``batch.before_commit``, and raises at each ``archive.after_upload``.
Actions: ``kill``, ``term`` (SIGTERM to itself), ``fail``, ``sleep:SECONDS``. The variable is no
setting: it is read once, at import.
"""

from __future__ import annotations

import os
import signal
import time


class FailpointHit(RuntimeError):  # noqa: N818 - only ever raised on purpose, by a test
    """The failure that a test asked for."""


def _parse(text: str) -> dict[str, tuple[str, int]]:
    """``name=action[@count]`` items, comma separated, as name → (action, count; 0 means each time)."""
    armed = {}
    for item in filter(None, text.split(",")):
        name, _, action = item.partition("=")
        action, _, count = action.partition("@")
        armed[name] = (action, int(count or 0))
    return armed


_armed = _parse(os.environ.get("LUXIMA_FAILPOINTS", ""))
_passed: dict[str, int] = {}


def failpoint(name: str) -> None:
    """Do what the test asked for at ``name``; nothing otherwise."""
    if name not in _armed:
        return
    action, count = _armed[name]
    _passed[name] = _passed.get(name, 0) + 1
    if count in (0, _passed[name]):
        _act(name, action)


def _act(name: str, action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "term":
        os.kill(os.getpid(), signal.SIGTERM)
    elif action == "fail":
        raise FailpointHit(f"failpoint {name}")
    elif action.startswith("sleep:"):
        time.sleep(float(action.removeprefix("sleep:")))
    else:
        raise ValueError(f"failpoint {name}: unknown action {action!r}")
