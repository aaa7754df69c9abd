"""One pytest session for all mutants: collect the tests once, then try each mutant in a forked process.

Run in ``mutants/``, as ``python -m tests.mutants.session RESULTS PATTERN…``. A first process tells which test
calls which function; each mutant then meets the tests that call its function, the quickest first, until one
fails.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from mutmut.configuration import config
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

#: processor seconds after which a mutant runs for ever; so many times what its tests take, and at least
_TIMES, _AT_LEAST = 20, 20
_WORKERS = 2
#: so many mutants are lost at most when the session is ended
_SAVED = 25
_KILLED, _SURVIVED = 1, 0


class Mutants:
    """Runs the session's tests for every mutant instead of once.

    Args:
        results: JSON file of mutant → ``killed``, ``timeout``, ``survived`` or ``no tests``.
        names: of the mutants.
    """

    def __init__(self, results: Path, names: Sequence[str]) -> None:
        self._path, self._names = results, names
        self._results = json.loads(results.read_text()) if results.exists() else {}
        self._items: dict[str, pytest.Item] = {}
        self._tests: dict[str, list[str]] = {}
        self._seconds: dict[str, float] = {}
        self._running: dict[int, str] = {}

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """See pytest; tells pytest that every test was run."""
        self._items = {item.nodeid: item for item in session.items}
        self._learn()
        gc.freeze()
        for name in self._names:
            if tests := self._tests.get(mangled_name_from_mutant_name(name)):
                while len(self._running) >= _WORKERS:
                    self._reap()
                self._fork(name, tests)
            else:
                self._tell(name, "no tests")
        while self._running:
            self._reap()
        self._save()
        return True

    def _save(self) -> None:
        self._path.write_text(json.dumps(self._results, indent=1, sort_keys=True))

    def _learn(self) -> None:
        """Which tests call which function, and how long each takes."""
        reading, writing = os.pipe()
        if not (child := os.fork()):
            with os.fdopen(writing, "w") as file:
                json.dump(self._calls(), file)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as file:
            told = json.load(file)
        os.waitpid(child, 0)
        if told["failed"]:
            raise pytest.UsageError(f"without a mutant these tests fail: {', '.join(told['failed'])}")
        self._seconds = told["seconds"]
        self._tests = {
            name: sorted(tests, key=self._seconds.__getitem__) for name, tests in told["tests"].items()
        }

    def _calls(self) -> dict[str, Any]:
        set_mutant_under_test("stats")
        tests, seconds, failed = defaultdict(list), {}, []
        for nodeid, item in self._items.items():
            begun = time.process_time()
            if not _passes(item):
                failed.append(nodeid)
            seconds[nodeid] = time.process_time() - begun
            for function in state()._stats:
                tests[function].append(nodeid)
            state()._stats.clear()
        return {"tests": tests, "seconds": seconds, "failed": failed}

    def _fork(self, name: str, tests: Iterable[str]) -> None:
        if child := os.fork():
            self._running[child] = name
            return
        limit = int(_AT_LEAST + _TIMES * sum(self._seconds[test] for test in tests))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        set_mutant_under_test(name)
        passed = all(_passes(self._items[test]) for test in tests)
        os._exit(_SURVIVED if passed else _KILLED)

    def _reap(self) -> None:
        child, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        said = {_KILLED: "killed", _SURVIVED: "survived"}.get(code, "timeout" if code < 0 else "killed")
        self._tell(self._running.pop(child), said)

    def _tell(self, name: str, said: str) -> None:
        self._results[name] = said
        if not len(self._results) % _SAVED:
            self._save()
        if said not in {"killed", "timeout"}:
            print(f"{said}: {name}", file=sys.__stderr__, flush=True)


def _passes(item: pytest.Item) -> bool:
    try:
        reports = runtestprotocol(item, log=False, nextitem=None)
    except BaseException:  # noqa: BLE001 - whatever a mutant does to pytest itself is noticed
        return False
    return not any(report.failed for report in reports)


def chosen(patterns: Sequence[str]) -> list[str]:
    """The names of the generated mutants that match one of the patterns."""
    names = []
    for path in sorted(Path("luxima_retention").rglob("*.py.meta")):
        names += json.loads(path.read_text())["exit_code_by_key"]
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


if __name__ == "__main__":
    gc.disable()
    results, *patterns = sys.argv[1:]
    if patterns == ["--alive"]:
        found = json.loads(Path(results).read_text())
        names = [name for name, said in found.items() if said not in {"killed", "timeout"}]
    else:
        names = chosen(patterns)
    # A mutant that is noticed needs no report of how.
    options = ["--tb=native", "--assert=plain", "--capture=no"]
    options += [*config().pytest_add_cli_args, *config().pytest_add_cli_args_test_selection]
    sys.exit(pytest.main(["--rootdir=.", *options], plugins=[Mutants(Path(results), names)]))
