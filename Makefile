# `make run` starts Servicebook, `make test` tests it; both install what they need into .venv.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header $(UPGRADE)
EXPLORER := app/graphiql/build_hook.py $(wildcard app/graphiql/web/*)

MAKEFLAGS += -j2 # the explorer is built while the dependencies are installed

.DELETE_ON_ERROR:
.PHONY: run test faults check bench format lock graphiql schemathesis clean

# exec, so that Ctrl-C and SIGTERM reach the server itself.
run: .venv/installed
	@exec $(BIN)/servicebook serve

test: .venv/tests
	@exec $(BIN)/python -m pytest $(TESTS)

# Servers and processes killed under load, for some minutes each; FAULTS="crash_storm terminated" runs
# only these. Prints what was measured as JSON.
faults: .venv/tests
	@exec $(BIN)/python -m tests.faults $(FAULTS)

check: .venv/tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# In an environment of its own: it holds graphql-core back. The tests use it where it is.
schemathesis: .venv/schemathesis/installed

# Figures, with those of others from the same run; alone on the machine. BENCHMARKS="commands" picks.
bench: .venv/tests
	@exec $(BIN)/python -m tests.benchmarks $(BENCHMARKS)

format: .venv/tests
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Hashes and no address, so that any registry or mirror serves; universal, so that any machine does.
# UPGRADE=--upgrade takes the newest versions.
lock: .venv/installed
	$(PIP) install --quiet uv
	$(LOCK) pyproject.toml --extra build --output-file requirements.lock
	$(LOCK) pyproject.toml --extra test --constraint requirements.lock --output-file tests/requirements.lock
	$(LOCK) tests/clients/requirements.txt --output-file tests/clients/requirements.lock
	$(LOCK) tests/edge/schemathesis.in --output-file tests/edge/schemathesis.lock

# The explorer, where it could not be built during the installation.
graphiql: .venv/installed
	SERVICEBOOK_REQUIRE_GRAPHIQL=1 $(PIP) wheel --quiet --no-deps --wheel-dir .venv/wheels .

clean:
	rm -rf .venv app/graphiql/dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find app domain projections tests -name __pycache__ -prune -exec rm -rf {} +

.venv/installed: .venv/dependencies .venv/explorer pyproject.toml
	@echo "Installing Servicebook"
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/tests: .venv/installed tests/requirements.lock
	@echo "Installing what the tests need (once, about 10 seconds)"
	@$(PIP) install --quiet --require-hashes --requirement tests/requirements.lock
	@touch $@

.venv/schemathesis/installed: tests/edge/schemathesis.lock | .venv/bin/pip
	@$(PYTHON) -m venv --clear .venv/schemathesis
	@.venv/schemathesis/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --requirement $<
	@touch $@

.venv/dependencies: requirements.lock | .venv/bin/pip
	@echo "Installing the dependencies (once, about 15 seconds)"
	@$(PIP) install --quiet --require-hashes --requirement requirements.lock
	@touch $@

# A wheel is built in an environment of its own, which brings node; the build leaves the explorer in
# its place. The server does without where node or its packages cannot be had.
.venv/explorer: $(EXPLORER) | .venv/bin/pip
	@echo "Building the explorer (once, about 20 seconds)"
	@$(PIP) wheel --quiet --no-deps --wheel-dir .venv/wheels . || true
	@test -e app/graphiql/dist/index.html || echo "No explorer then; 'make graphiql' tries again"
	@touch $@

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "Creating .venv"
	@$(PYTHON) -m venv --clear .venv
