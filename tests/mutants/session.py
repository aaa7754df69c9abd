"""One pytest session for all mutants of a module: collect its tests once, then fork a process for each.

Run in ``mutants/``, as ``python -m tests.mutants.session RESULTS MODULE [--again]``. A first process tells
which test calls which function; each mutant then meets the tests that call its function, the quickest first,
until one fails. Only the unit tests of the module itself count: ``test_guards.py``, ``test_engine.py`` and
``test_engine_told.py``, ``test_logfiles_safe.py``; and those of :data:`_ALSO`.
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
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

#: processor seconds after which a mutant runs for ever; so many times what its tests take, and at least
_TIMES, _AT_LEAST = 20, 20
_WORKERS = 2
#: so many mutants are lost at most when the session is ended
_SAVED = 25
_KILLED, _SURVIVED = 1, 0
#: what a person approved is tested over whole runs, in a file of its own
_ALSO = {"run/steps": ("test_approvals.py",), "run/engine": ("test_approvals.py",)}
_NOTICED = {"killed", "timeout"}


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
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(self._results, indent=1, sort_keys=True))
        draft.replace(self._path)

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
        if said not in _NOTICED:
            print(f"{said}: {name}", file=sys.__stderr__, flush=True)


def _passes(item: pytest.Item) -> bool:
    try:
        reports = runtestprotocol(item, log=False, nextitem=None)
    except BaseException:  # noqa: BLE001 - whatever a mutant does to pytest itself is noticed
        return False
    return not any(report.failed for report in reports)


def tests_of(module: str) -> list[str]:
    """The files of a module's own unit tests, by its path: ``stores/logfiles/safe``."""
    *above, name = module.split("/")
    kind = f"{above[-1]}_" if above[0] == "stores" else ""
    unit = Path("tests/unit")
    found = [*unit.glob(f"test_{kind}{name}.py"), *unit.glob(f"test_{kind}{name}_*.py")]
    return sorted(map(str, [*found, *(unit / file for file in _ALSO.get(module, ()))]))


if __name__ == "__main__":
    gc.disable()
    results, module, *again = sys.argv[1:]
    names = list(json.loads(Path(f"luxima_retention/{module}.py.meta").read_text())["exit_code_by_key"])
    if again:
        told = json.loads(Path(results).read_text())
        names = [name for name in names if told.get(name) not in _NOTICED]
    # A mutant that is noticed needs no report of how.
    options = ["--rootdir=.", "--tb=native", "--assert=plain", "--capture=no", "-q"]
    options += [
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--hypothesis-profile=mutants",
    ]
    plugins = [Mutants(Path(results), names)]
    sys.exit(pytest.main([*options, *tests_of(module)], plugins=plugins) if names else 0)
