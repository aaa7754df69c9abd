"""The house stays as it was drawn: layers, small functions, SQL in its place, lazy imports, a whole wheel."""

from __future__ import annotations

import ast
import json
import os
import re
import statistics
import subprocess
import sys
import zipfile
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests import sources
from tests.conftest import LONGEST

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "luxima_retention"
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "jobs").glob("*.py")])
IO = {"psycopg", "boto3", "requests", "socket", "subprocess", "urllib", "click", "pydantic"}


def imports(path, *, lazy=True):
    """The modules that a file imports; without those inside functions if ``lazy`` is false."""
    nodes = sources.nodes(path) if lazy else sources.tree(path).body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions():
    return ((path, node) for path in SOURCES for node in sources.functions(path))


WINGS = ["core", "io", "config", "evidence", "stores", "run", "tell", "report", "cli"]


def room(name):
    """The wing of a module, and within ``stores`` its kind: ``("stores", "loki")``."""
    parts = name.split(".")
    if parts[0] != "luxima_retention" or len(parts) < 2 or parts[1] not in WINGS:
        return None
    in_a_folder = parts[1] == "stores" and len(parts) > 2 and (PACKAGE / "stores" / parts[2]).is_dir()
    return parts[1], parts[2] if in_a_folder else ""


def test_imports_point_down_the_wings_and_stores_do_not_know_each_other():
    """Not even lazily: what a wing may use stands below it."""
    for path in PACKAGE.rglob("*.py"):
        own = room(module_of(path))
        if own is None:
            continue
        for name in imports(path):
            other = room(name)
            if other is None or other == own:
                continue
            assert WINGS.index(other[0]) <= WINGS.index(own[0]), f"{path} imports {name}"
            if own[0] == other[0] == "stores" and own[1] and other[1]:
                assert own[1] == other[1], f"{path} imports {name}"


def test_stores_know_no_ledger_and_no_migration():
    for path in (PACKAGE / "stores").rglob("*.py"):
        for name in imports(path):
            foreign = ("luxima_retention.evidence", "luxima_retention.run")
            assert not name.startswith(foreign), f"{path} imports {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=lambda path: path.stem)
def test_core_does_no_io(path):
    for imported in imports(path):
        assert imported.split(".")[0] not in IO, f"{path} imports {imported}"
    assert path.stem == "clock" or "system_clock" not in path.read_text()


def test_only_the_command_line_knows_the_command_line():
    for path in SOURCES:
        if "cli" not in path.parts and path.name != "__main__.py":
            found = [name for name in imports(path) if name.startswith(("click", "luxima_retention.cli"))]
            assert found in ([], ["luxima_retention.cli", "luxima_retention.cli.main"]), f"{path}: {found}"


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_no_module_imports_one_that_imports_it():
    """Not even lazily; only a package's face may know its own modules that know it."""
    names = {module_of(path): path for path in SOURCES}
    uses = {
        name: {
            found
            for found in imports(path)
            if found in names and not (path.name == "__init__.py" and found.startswith(name))
        }
        - {name}
        for name, path in names.items()
    }
    assert tuple(TopologicalSorter(uses).static_order())


def test_functions_are_small():
    """Whole functions, from the line of ``def`` to the last one."""
    sizes = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path, node in functions()
    }
    assert statistics.median(sizes.values()) <= 10
    assert {name: size for name, size in sizes.items() if size > 55} == {}
    assert sum(size > 30 for size in sizes.values()) <= len(sizes) // 50


def test_no_sql_stands_in_python():
    statement = re.compile(
        r"\b(SELECT\s+\S+.*\bFROM|INSERT\s+INTO|DELETE\s+FROM|UPDATE\s+\S+\s+SET|CREATE\s+(TABLE|SCHEMA|ROLE))\b"
    )
    for path in SOURCES:
        for line, text in sources.texts(path):
            assert not statement.search(text), f"{path}:{line} {text[:60]}"


def test_every_test_can_fail():
    proves = re.compile(r"assert|pytest\.raises|promise\(|conformance\.|expect|check")
    for path in (ROOT / "tests").rglob("test_*.py"):
        # A comment proves nothing.
        lines = [line.partition(" #")[0] for line in path.read_text().splitlines()]
        for node in sources.functions(path):
            if node.name.startswith("test_"):
                text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                assert proves.search(text), f"{path}:{node.name} cannot fail"


def test_the_longest_files_are_there():
    assert set(LONGEST) <= {path.name for path in (ROOT / "tests").rglob("test_*.py")}


def test_nothing_tracked_names_this_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".toml", ".sql", ".yaml", ".yml", ".txt", ".lock", ""}
            and path.is_file()
        ):
            text = path.read_text(errors="replace")
            for trace in ("/work" + "/", "tmp/" + "venv"):
                assert trace not in text, f"{name} holds {trace}"
            assert path.suffix != ".lock" or "://" not in text, f"{name} names where packages come from"


#: what takes longer to load than many a command takes; each only where it is used
HEAVY = {"pydantic", "pydantic_settings", "psycopg", "boto3", "botocore", "requests", "rich", "cryptography"}
#: the same of those that read the settings, and of ours what only works on a store
OF_SETTINGS = {"pydantic"}
OF_RUNS = {
    *(HEAVY - OF_SETTINGS),
    *("apscheduler", "concurrent.futures.thread", "jinja2", "multiprocessing", "structlog", "urllib.request"),
    "luxima_retention.cli.render",
    "luxima_retention.core.results",
    "luxima_retention.evidence.events",
    "luxima_retention.io.objects",
    "luxima_retention.run.engine",
    "luxima_retention.run.runner",
    "luxima_retention.run.schedule",
}


def loaded(arguments, **environment):
    """The modules that a command loads; it must have printed something."""
    code = (
        "import sys; from luxima_retention.cli import _status; status = _status(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr); sys.exit(status)"
    )
    variables = {name: value for name, value in os.environ.items() if not name.startswith("LUXIMA_")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=variables | environment,
    )
    assert done.stdout
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["--version"], ["hold", "add", "--help"]]
)
def test_help_loads_nothing_heavy(arguments):
    assert sorted(HEAVY & loaded(arguments)) == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_matrix_loads_nothing_that_works_on_stores(form):
    assert sorted(OF_RUNS & loaded(["matrix", "--output", form])) == []


#: what a run needs only where it signs, tells somebody, reaches a database, a bucket or a server
OF_OTHERS = {
    *("apscheduler", "boto3", "botocore", "cryptography", "jinja2", "multiprocessing", "prometheus_client"),
    *("psycopg", "pydantic_settings", "requests", "urllib3", "urllib.request"),
    *("pygments", "rich._emoji_codes", "rich.traceback"),
    "luxima_retention.evidence.approvals",
    "luxima_retention.evidence.archive",
    "luxima_retention.evidence.events",
    "luxima_retention.evidence.holds",
    "luxima_retention.evidence.ledger",
    "luxima_retention.io.http",
    "luxima_retention.io.objects",
    "luxima_retention.run.act",
    "luxima_retention.run.approvals",
    "luxima_retention.run.ends",
    "luxima_retention.run.lease",
    "luxima_retention.run.planfile",
    "luxima_retention.run.state",
    "luxima_retention.run.schedule",
    "luxima_retention.tell.notify.send",
    "luxima_retention.tell.telemetry",
}
#: what writes the structured log, and what it loads in turn
OF_THE_LOG = {"structlog", "asyncio", "concurrent.futures"}


@pytest.mark.parametrize(
    ("options", "besides"),
    [
        (["--log-level", "warning", "run", "--dry-run"], OF_THE_LOG),
        (["--log-level", "warning", "run"], OF_THE_LOG),
        (["run"], set()),
        (["run", "--output", "json"], {"rich", "luxima_retention.cli.render"}),
    ],
)
def test_a_rotation_loads_nothing_that_other_policies_need(options, besides, tmp_path):
    log = tmp_path / "logs" / "app.log"
    log.parent.mkdir()
    log.write_text("a line\n")
    sets = json.dumps({"app": {"paths": [str(log)], "compress": "gzip"}})
    modules = loaded(
        [*options, "log-files"],
        LUXIMA_ROTATION__SETS=sets,
        LUXIMA_ROTATION__STATE_DIR=str(tmp_path / "state"),
    )
    assert "luxima_retention.stores.logfiles.turn" in modules
    assert sorted((OF_OTHERS | besides) & modules) == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheel")
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(directory)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return directory / done.stdout.split()[-1]


def test_sql_travels_in_the_wheel_and_jobs_do_not(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "sql").rglob("*.sql"):
        assert f"luxima_retention/sql/{path.relative_to(ROOT / 'sql')}" in names
    assert not [name for name in names if name.startswith("jobs/")]
    assert "luxima_retention/py.typed" in names


def test_every_template_and_text_travels_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    data = [path for path in (ROOT / "luxima_retention").rglob("*.*") if path.suffix not in {".py", ".pyc"}]
    assert {"report.typ", "report.html.j2", "README.txt", "VERIFY.txt"} <= {path.name for path in data}
    assert {str(path.relative_to(ROOT)) for path in data} <= names


def test_the_installed_wheel_works_outside_of_the_repository(wheel, tmp_path):
    """Unpacked beside the libraries of this environment, with nothing of the repository in reach."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    code = f"import sys; sys.path[:0] = [{str(site)!r}]; sys.path += {libraries!r};"
    code += (
        "import luxima_retention; assert luxima_retention.__file__.startswith(sys.path[0]);"
        "from luxima_retention.io.sqlfiles import names; assert names('migrations');"
        "from luxima_retention.cli import main; main(sys.argv[1:])"
    )
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    for arguments in (["matrix"], ["completion", "bash"]):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code, *arguments],
            cwd=empty,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "audit" in done.stdout or "complete" in done.stdout


@pytest.mark.parametrize("job", sorted(path.stem for path in (ROOT / "jobs").glob("[a-z]*.py")))
def test_every_job_runs_by_itself(job, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import runpy; runpy.run_module('jobs.{job}', run_name='__main__')",
            "--dry-run",
        ],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "is not configured" in done.stderr
