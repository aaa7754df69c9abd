"""Conditions outside the pure modules, each with its change and the test that must fail for it.

The list is ``conditions.toml``. A change is made in a copy of the tree, and only its test is run there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: what the tests that are named need
_COPIED = ("luxima_retention", "sql", "tests", "jobs", "pyproject.toml", "docs", "README.md")
#: exit codes of pytest: every test passed; one failed
_PASSED, _FAILED = 0, 1
#: for hangs only
_LIMIT = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One change.

    Args:
        about: what the condition is for.
        file: below the root.
        was: text that occurs exactly once in it.
        now: what stands there instead.
        test: the node of pytest that must fail then.
    """

    about: str
    file: str
    was: str
    now: str
    test: str


def listed(root: Path = ROOT) -> tuple[Condition, ...]:
    """Every condition of the list."""
    text = (root / "tests/mutants/conditions.toml").read_text(encoding="utf-8")
    return tuple(Condition(**item) for item in tomllib.loads(text)["condition"])


def fault(condition: Condition, root: Path = ROOT) -> str | None:
    """Why a condition cannot be changed as it is written; ``None`` if it can."""
    path = root / condition.file
    if not path.is_file():
        return f"{condition.file} is not there"
    times = path.read_text(encoding="utf-8").count(condition.was)
    if times != 1:
        return f"{condition.was!r} occurs {times} times in {condition.file}, not once"
    name = condition.test.partition("::")[2].partition("[")[0]
    test = root / condition.test.partition("::")[0]
    if not test.is_file() or f"def {name}(" not in test.read_text(encoding="utf-8"):
        return f"there is no test {condition.test}"
    return None if condition.was != condition.now else "it changes nothing"


@contextmanager
def _copy() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="luxima-mutants-") as directory:
        root = Path(directory)
        for name in _COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / name, root / name)
        if (ROOT / ".cache").exists():
            (root / ".cache").symlink_to(ROOT / ".cache")
        yield root


@contextmanager
def _servers(chosen: Sequence[Condition]) -> Iterator[dict[str, str]]:
    """One PostgreSQL for all of them, in the environment of the tests; none where only units are tried."""
    if not any(item.test.startswith("tests/integration") for item in chosen):
        yield {}
        return
    from tests.servers.postgres import PostgresServer, remove_copies

    server = PostgresServer.start()
    try:
        yield {"LUXIMA_TEST_POSTGRES_DSN": server.dsn}
    finally:
        server.stop()
        remove_copies()


def _run(root: Path, tests: Sequence[str], environment: dict[str, str]) -> int:
    """The exit code of pytest over these tests, of the copy."""
    options = ["-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "--hypothesis-profile", "mutants"]
    command = [sys.executable, "-B", "-m", "pytest", "-n", "0", *options, *tests]
    values = {**os.environ, **environment, "PYTHONPATH": str(root)}
    try:
        done = subprocess.run(command, cwd=root, env=values, capture_output=True, timeout=_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return _FAILED
    if done.returncode not in {_PASSED, _FAILED}:
        print(done.stdout.decode()[-2000:], done.stderr.decode()[-2000:], sep="\n")
    return done.returncode


def survivors(chosen: Sequence[Condition]) -> list[Condition]:
    """The conditions that can be changed without their test failing; told one by one.

    Raises:
        SystemExit: a condition or a test is not what the list says.
    """
    if faults := [said for item in chosen if (said := fault(item))]:
        raise SystemExit("\n".join(faults))
    alive = []
    with _copy() as root, _servers(chosen) as environment:
        tests = sorted({item.test for item in chosen})
        if _run(root, tests, environment) != _PASSED:
            raise SystemExit("the tests of the conditions do not pass as they are")
        for item in chosen:
            if not _noticed(root, item, environment):
                alive.append(item)
                print(f"survived: {item.file}: {item.about}: {item.test}", flush=True)
    return alive


def _noticed(root: Path, item: Condition, environment: dict[str, str]) -> bool:
    path = root / item.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(item.was, item.now), encoding="utf-8")
    try:
        code = _run(root, [item.test], environment)
    finally:
        path.write_text(text, encoding="utf-8")
    if code not in {_PASSED, _FAILED}:
        raise SystemExit(f"pytest ended with {code} for {item.test}")
    return code == _FAILED
