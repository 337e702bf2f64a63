# Every task of the repository; `make` alone lists them. Each one sets up what it needs: a machine with Python 3.11 or
# newer, make and a package index is enough. CI runs `.ci/run`, which calls these targets and nothing else.
#
#   make PYTHON=/path/to/python3.13 …    another interpreter for the environment
#   make test ARGS='-k money -x'         further arguments for the command behind a target

PYTHON ?= python3
ARGS ?=
SEED ?= 0
STEPS ?= 2000
POINT ?=
EXAMPLES ?= 50
WORKERS ?= 2
export UV_PYTHON_DOWNLOADS := never

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
PARALLEL := -n $(WORKERS)
SYNCED := .venv/.synced
PEERS := .venv/.peers
GENERATED := protos/gen/.stamp
READY := $(SYNCED) $(GENERATED)
IMAGE := protos/gen/contracts.binpb

.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
.PHONY: help demo test check up down generate bench profile integration e2e sim fuzz faults format docs release lock clean \
	check-format check-lint check-types check-imports check-contracts check-tidy

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## Runs real orders from Salesforce to paid and proves that none is lost or doubled
	@$(BIN)/ordermesh demo $(ARGS)

test: $(READY) ## Runs all tests, with a real PostgreSQL and a real Redis-compatible server
	@$(PYTEST) $(PARALLEL) $(ARGS)

check: check-format check-lint check-types check-imports check-contracts check-tidy ## Looks at format, style, types, import directions, contracts and tidiness

up: $(READY) ## Starts all processes on this machine; Ctrl-C stops them
	@$(BIN)/ordermesh up $(ARGS)

down: $(READY) ## Stops what `make up` started
	@$(BIN)/ordermesh down $(ARGS)

generate: $(READY) ## Compiles the contracts into protos/gen
	@:

bench: $(READY) $(PEERS) ## Measures against common ways of doing the same, side by side in one run
	@$(BIN)/python -m benchmarks $(ARGS)

profile: $(READY) $(PEERS) ## Draws flame graphs of the accept path into docs/benchmarks
	@$(BIN)/python -m benchmarks.profile $(ARGS)

integration: $(READY) ## Runs the tests that use real stores and processes
	@$(PYTEST) $(PARALLEL) tests/integration $(ARGS)

e2e: $(READY) ## Runs the journeys through all processes
	@$(PYTEST) tests/e2e $(ARGS)

sim: $(READY) ## Simulates the mesh under a fake clock and faults, seed by seed: make sim SEED="7 8" STEPS=20000
	@$(BIN)/python -m tests.simulation --steps $(STEPS) $(foreach seed,$(filter-out 0,$(SEED)),--seed $(seed)) $(ARGS)

fuzz: $(READY) ## Tries the REST surface with requests made from its document: make fuzz EXAMPLES=200
	@ORDERMESH_FUZZ_EXAMPLES=$(EXAMPLES) $(PYTEST) tests/integration/services/test_surface.py -s $(ARGS)

faults: $(READY) ## Kills processes and stores in the middle and judges: make faults POINT=after_deliver SEED=3
	@GRPC_VERBOSITY=ERROR $(BIN)/python -m tests.faults --point '$(POINT)' $(foreach seed,$(filter-out 0,$(SEED)),--seed $(seed)) $(ARGS)

format: $(READY) ## Formats Python and the contracts
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .
	@$(BIN)/buf format --write protos

docs: $(READY) ## Writes the pages in docs/ that are made from code and contracts
	@$(BIN)/python -m tests.tidy.settings_page
	@$(BIN)/python -m tests.tidy.metrics_page
	@$(BIN)/python -m tests.tidy.roles_page
	@$(BIN)/python -m tests.tidy.ownership_page

release: $(READY) ## Keeps the contracts of this version, which later ones are held against
	@$(BIN)/python -m protos.release

lock: $(SYNCED) ## Resolves the dependencies anew within pyproject.toml's bounds
	@$(BIN)/uv lock --upgrade

clean: ## Removes generated code and caches; keeps .venv and the data of `make up`
	@rm -rf protos/gen .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

check-format: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/buf format --diff --exit-code protos

check-lint: $(READY)
	@$(BIN)/ruff check .

check-types: $(READY)
	@$(BIN)/mypy

check-imports: $(READY)
	@$(BIN)/lint-imports --no-logo

check-contracts: $(READY)
	@$(BIN)/buf lint $(IMAGE) --path ordermesh
	@$(BIN)/python -m protos.compare

check-tidy: $(READY)
	@$(PYTEST) --quiet --durations=0 --durations-min=5 tests/tidy

# --- what the targets above need ---------------------------------------------------------------------------------

# The contracts: their folders are listed too, so that a removed file is noticed. generate.py itself compares digests.
$(GENERATED): protos/generate.py $(shell find protos/ordermesh) $(SYNCED)
	@$(BIN)/python protos/generate.py
	@touch $@

# The packages, exactly as locked. Where the index of the lock file cannot be reached but pip is set up for another one
# (a mirror, a folder of wheels), pip installs the same versions, each checked against the lock file's digest.
$(SYNCED): pyproject.toml uv.lock | $(BIN)/python
	@test -x $(BIN)/uv || { echo "installing uv into .venv"; \
		{ $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; } && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check uv; }
	@echo "installing the locked packages"
	@$(BIN)/uv sync --frozen --inexact --quiet || { echo "trying again with pip and its own settings"; \
		$(BIN)/uv export --frozen --quiet --no-emit-project --output-file .venv/locked.txt && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r .venv/locked.txt && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .; }
	@touch $@

# What only `make bench` needs: the packages it measures ordermesh against.
$(PEERS): $(SYNCED)
	@echo "installing the packages to measure against"
	@$(BIN)/uv sync --frozen --inexact --quiet --group bench || { echo "trying again with pip and its own settings"; \
		$(BIN)/uv export --frozen --quiet --no-emit-project --group bench --output-file .venv/peers.txt && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r .venv/peers.txt; }
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ordermesh needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "creating .venv"
	@$(PYTHON) -m venv .venv || \
		{ echo "python3 -m venv failed; on Debian and Ubuntu install the package python3-venv" >&2; exit 1; }
