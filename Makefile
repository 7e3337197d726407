# Every target does its own set-up in .venv; the second run finds it done.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder
# The linter of imports takes packages only, so worker.py stands beside them as one.
ROOMS := $(patsubst %/__init__.py,%,$(wildcard */__init__.py))
UNIT := $(wildcard tests/core tests/simulator tests/unit)

# Code is compiled once: the tests start a hundred processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help up test test-unit chaos check docs bench format lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

up: .venv/.run ## Run everything here: Temporal with its UI, API, gateway, worker, two simulated chargers
	@$(BIN)/berth up

test: .venv/.dev .venv/.client-generator ## Run every test, with the servers they need (about 15 minutes)
	@$(BIN)/python -m tests.servers
	@$(BIN)/python -m cli.up.temporal_cli >/dev/null
	@$(PYTEST)

test-unit: .venv/.dev ## Run the tests that start no process, so need no server (about a minute)
	@$(PYTEST) $(UNIT)

chaos: .venv/.dev ## Kill processes at random and let storms blow, for half an hour (CHAOS_ROUNDS, CHAOS_SEED)
	@$(BIN)/python -m cli.up.temporal_cli >/dev/null
	@seed=$${CHAOS_SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}; \
		echo "Sequences of events from seed $$seed; CHAOS_SEED=$$seed lives the same ones again"; \
		$(BIN)/python -m pytest tests/core/test_model.py tests/workflows/test_model.py --hypothesis-profile=chaos --hypothesis-seed=$$seed
	@CHAOS=full $(BIN)/python -m pytest tests/chaos

check: .venv/.dev ## Check format, lint, types and imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy .
	@rm -rf build/floors && mkdir -p build/floors/worker && cd build/floors && ln -s ../../../worker.py worker/__init__.py && \
		for room in $(ROOMS); do ln -s ../../$$room $$room; done && ../../$(BIN)/lint-imports --config ../../pyproject.toml

docs: .venv/.docs ## Build the documentation into build/docs; a broken link is an error
	@rm -rf build/docs
	@.venv/docs/bin/sphinx-build --quiet --fresh-env --fail-on-warning --nitpicky -c docs . build/docs
	@.venv/docs/bin/python docs/offline.py build/docs
	@echo "The documentation is in build/docs/index.html."

bench: .venv/.dev ## Run the benchmarks and print their table
	@$(BIN)/python -m bench

format: .venv/.dev ## Format the code and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## Pin what pyproject.toml asks for, with hashes (needs uv; UPGRADE=--upgrade for the newest)
	uv pip compile $(LOCK) $(UPGRADE) pyproject.toml -o requirements.lock
	uv pip compile $(LOCK) $(UPGRADE) --extra dev pyproject.toml -o requirements-dev.lock
	uv pip compile $(LOCK) $(UPGRADE) --group client-generator -o requirements-client-generator.lock
	uv pip compile $(LOCK) $(UPGRADE) --group docs -o requirements-docs.lock
	uv pip compile $(LOCK) $(UPGRADE) --group build -o requirements-build.lock

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -q
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r

.venv/.run: requirements.lock | .venv/.python
	@test -e .venv/.dev || echo "Installing Berth's dependencies into .venv (once, about a minute) …"
	@$(INSTALL) requirements.lock
	@touch $@

.venv/.dev: requirements-dev.lock | .venv/.python
	@echo "Installing Berth's dependencies and its tools into .venv (once, about a minute) …"
	@$(INSTALL) requirements-dev.lock
	@touch $@ .venv/.run

# A virtual environment of its own: it takes no typer as new as Berth's.
.venv/.client-generator: requirements-client-generator.lock | .venv/.python
	@$(BIN)/python -m venv --without-pip .venv/client-generator
	@PIP_PYTHON=.venv/client-generator $(INSTALL) requirements-client-generator.lock
	@touch $@

.venv/.docs: requirements-docs.lock | .venv/.python
	@echo "Installing what the documentation is built with into .venv/docs (once) …"
	@$(BIN)/python -m venv --without-pip .venv/docs
	@PIP_PYTHON=.venv/docs $(INSTALL) requirements-docs.lock
	@touch $@

# Debian's Python comes without what makes virtual environments.
VENV_PACKAGE = python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv

# The project itself needs no build: its folder on the path, and a command.
.venv/.python: Makefile
	@test -n "$(PYTHON)" || { echo "Berth needs Python 3.11 or newer, and $$(python3 --version 2>&1) is what" \
		"there is. Name another one: make up PYTHON=/path/to/python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip' 2>/dev/null || tests/debian.sh $(VENV_PACKAGE) || { \
		echo "$(PYTHON) has no ensurepip; this brings it: sudo apt-get install $(VENV_PACKAGE)" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -c 'import pathlib, sysconfig; \
		pathlib.Path(sysconfig.get_path("purelib"), "berth.pth").write_text(str(pathlib.Path.cwd()) + "\n")'
	@printf '#!/bin/sh\nexport BERTH_VAR="$${BERTH_VAR:-%s/var}"\nexec "%s/.venv/bin/python" -P -m cli "$$@"\n' \
		"$(CURDIR)" "$(CURDIR)" > $(BIN)/berth
	@chmod +x $(BIN)/berth
	@touch $@
