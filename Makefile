# Everything that a bare Debian or Ubuntu with Python 3.11 and make needs to test or to try the suite.
PYTHON ?= python3
VENV := .venv
SEEDS ?= 200
SECONDS ?= 600
DEMO := .venv-demo
PEERS := .venv-bench
# Installed from hashes, so that what is tested is what was locked; the project itself without a network.
INSTALL = bin/pip install --quiet --disable-pip-version-check
LOCK = $(VENV)/bin/python -m uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
  --no-emit-find-links --custom-compile-command 'make lock' $(UPGRADE)

# Five workers, however few processors there are: many tests wait; `make unit` needs no more than processors.
# The longest files begin first (tests/conftest.py); a file stays with the worker that has its servers.
# One order of tests, so that a red run can be repeated.
PARALLEL = --randomly-seed 1 --numprocesses 5 --dist loadfile --no-loadscope-reorder

# Hundreds of tests start the command: it would compile every module again each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help test lint types unit long mutants fuzz demo lock sbom bench clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

test: $(VENV)/.installed lint types  ## install what is needed, check, and run every test
	$(VENV)/bin/python -m pytest $(PARALLEL)

lint: $(VENV)/.installed  ## style and formatting
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.installed  ## mypy, strict
	$(VENV)/bin/mypy

unit: $(VENV)/.installed  ## the tests that need no server
	$(VENV)/bin/python -m pytest $(PARALLEL) --numprocesses auto tests/unit

long: $(VENV)/.installed  ## other examples and another order, then the random harnesses with 200 seeds and all versions of PostgreSQL; takes hours
	LUXIMA_TEST_SEEDS=3 $(VENV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal tests/unit
	LUXIMA_TEST_SEEDS=$(SEEDS) $(VENV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal \
	  --timeout 7200 tests/integration/test_table_guards.py tests/integration/test_table_random.py \
	  tests/integration/test_loki_random.py tests/integration/test_loki_killed.py \
	  tests/integration/test_logfiles_kills.py tests/integration/test_notify_channels.py

# A change that no test notices, and that tests/mutants/excused.toml does not excuse, is printed and fails.
mutants: $(VENV)/.installed  ## change every condition of what decides, and count what the tests notice; takes an hour
	$(VENV)/bin/python -m tests.mutants

fuzz: $(VENV)/.installed  ## feed broken input to every reader, SECONDS each
	$(VENV)/bin/python -m tests.fuzz --seconds $(SECONDS)

demo: $(DEMO)/.installed  ## try everything on an embedded PostgreSQL
	$(DEMO)/bin/luxima-retention demo

bench: $(VENV)/.installed $(PEERS)/.installed  ## measure beside what people use, and write docs/benchmarks.md; takes half an hour
	$(VENV)/bin/python -m bench

lock: $(VENV)/.installed  ## write the locks again; UPGRADE=--upgrade takes the newest versions
	$(LOCK) --all-extras --group build --group test --group lint pyproject.toml --output-file requirements/dev.lock
	$(LOCK) --extra demo --extra pdf --group build pyproject.toml --output-file requirements/demo.lock
	$(LOCK) --extra otel --extra pdf --constraints requirements/dev.lock pyproject.toml --output-file requirements/image.lock
	$(LOCK) --group build --constraints requirements/dev.lock --output-file requirements/build.lock
	$(LOCK) --no-deps --group helm --output-file requirements/helm.lock
	$(LOCK) --group bench --output-file requirements/bench.lock

sbom: $(VENV)/.installed  ## what the image holds, as CycloneDX
	$(VENV)/bin/python -m uv tool run --quiet --from 'cyclonedx-bom>=7,<8' cyclonedx-py requirements \
	  requirements/image.lock --pyproject pyproject.toml --output-reproducible --output-file sbom.cdx.json

clean:  ## remove what the targets made
	rm -rf $(VENV) $(DEMO) $(PEERS) .cache .mypy_cache .ruff_cache .pytest_cache demo-output sbom.cdx.json

$(VENV)/.installed: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo 'python3 -m venv does not work: apt-get install python3-venv'; exit 1; }
	$(VENV)/$(INSTALL) --require-hashes -r requirements/dev.lock
	$(VENV)/$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEMO)/.installed: requirements/demo.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 demo'; exit 1; }
	@$(PYTHON) -m venv $(DEMO) || { echo 'python3 -m venv does not work: apt-get install python3-venv'; exit 1; }
	$(DEMO)/$(INSTALL) --require-hashes -r requirements/demo.lock
	$(DEMO)/$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(PEERS)/.installed: requirements/bench.lock
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/$(INSTALL) --require-hashes -r requirements/bench.lock
	@touch $@
