"""What is done around a rotation: a signal, a request, a program. Never a shell of our own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention.core.errors import StoreError
from luxima_retention.stores.logfiles import walk

if TYPE_CHECKING:
    from luxima_retention.stores.logfiles.options import RotationHookSettings

_PREFIX = "LUXIMA_"
_LOWEST = 2  # 0 and 1 are the whole group and init: never what a pid file means


def run_hooks(
    hooks: Iterable[RotationHookSettings], event: str, paths: Sequence[str], rotated: str, *, what: str
) -> tuple[str, ...]:
    """Run hooks one after the other; the first that fails ends it, and those that may fail are told of.

    Args:
        hooks: of one event.
        event: ``after``; for the request.
        paths: the logs, or the patterns of the set for hooks that it shares.
        rotated: what the log became; empty where there is no one file.
        what: what failed, where one does.

    Raises:
        StoreError: what failed, with the value.
    """
    told = []
    for hook in hooks:
        if hook.tolerate == "missing" and hook.pid_file and not Path(hook.pid_file).exists():
            continue
        try:
            _run_one(hook, event, paths, rotated)
        except StoreError as error:
            if hook.tolerate != "failure":
                raise StoreError(f"{what}: {error.message}", error.hint) from error
            told.append(f"{what}: {error.message}, which is tolerated")
    return tuple(told)


def _run_one(hook: RotationHookSettings, event: str, paths: Sequence[str], rotated: str) -> None:
    if hook.pid_file:
        _signal(Path(hook.pid_file), hook.signal)
    elif hook.url:
        _post(hook, event, paths, rotated)
    else:
        _run(hook, paths, rotated)


def _signal(pid_file: Path, name: str) -> None:
    number = getattr(signal, f"SIG{name.removeprefix('SIG')}", None)
    if number is None:
        raise StoreError(f"there is no signal {name}", "write HUP or USR1")
    process, owner = _process(pid_file)
    try:
        handle = os.pidfd_open(process)
    except OSError as error:
        raise StoreError(f"{pid_file} names process {process}: {error.strerror}") from error
    try:
        _check_owner(pid_file, owner, process)
        signal.pidfd_send_signal(handle, number)
    except OSError as error:
        said = f"process {process} of {pid_file} did not get SIG{name.removeprefix('SIG')}"
        raise StoreError(f"{said}: {error.strerror}") from error
    finally:
        os.close(handle)


def _process(pid_file: Path) -> tuple[int, int]:
    """The process that a pid file names, and the user whose file it is."""
    try:
        with os.fdopen(walk.open_file(str(pid_file.absolute())), "rb") as file:
            process, owner = int(file.read(64)), os.fstat(file.fileno()).st_uid
    except (OSError, ValueError) as error:
        raise StoreError(f"{pid_file} does not hold the number of a process: {error}") from error
    if process < _LOWEST:
        raise StoreError(f"{pid_file} names process {process}, which gets no signal")
    return process, owner


def _check_owner(pid_file: Path, owner: int, process: int) -> None:
    """Whoever writes a pid file could name any process; only one of the same user gets the signal then."""
    if owner in {0, os.geteuid()}:
        return
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    users = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
    if str(owner) not in users[:1]:
        said = f"{pid_file} belongs to user {owner} and names process {process} of user {users[0]}"
        raise StoreError(f"{said}, which gets no signal", "let root or the user of the process write it")


def _post(hook: RotationHookSettings, event: str, paths: Sequence[str], rotated: str) -> None:
    import json

    from luxima_retention.io.http import Endpoint, Http, HttpError

    body = json.dumps({"event": event, "paths": list(paths), "rotated": rotated}).encode()
    there = Endpoint(
        url=hook.url, setting="url", options="the hook", timeout=hook.timeout.total_seconds(), proxied=True
    )
    try:
        answer = Http(there).send("POST", "", body=body, headers={"Content-Type": "application/json"})
    except HttpError as error:
        # The address may carry a token.
        raise StoreError(f"the request failed: it {error.reason}") from None
    if not answer.ok:
        raise StoreError(f"the request was answered with status {answer.status}")


def _run(hook: RotationHookSettings, paths: Sequence[str], rotated: str) -> None:
    arguments = [part for word in hook.run for part in _filled(word, paths, rotated)]
    try:
        # What it prints belongs to people, and standard output to our own result.
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=2,
            env=environment(os.environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise StoreError(f"{arguments[0]} cannot be started: {error}") from error
    try:
        status = process.wait(hook.timeout.total_seconds())
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise StoreError(
            f"{arguments[0]} took longer than {hook.timeout}", "see timeout of the hook"
        ) from None
    if status:
        raise StoreError(f"{arguments[0]} ended with status {status}")


def _filled(word: str, paths: Sequence[str], rotated: str) -> Sequence[str]:
    if word == "{path}":
        return (" ".join(paths),)
    return (rotated,) if word == "{rotated}" else (word,)


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """That of programs which a set names: ours, without our own settings, among which are secrets."""
    return {name: value for name, value in given.items() if not name.startswith(_PREFIX)}
