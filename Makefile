# Every target makes the environment in .venv if it is missing or if pyproject.toml or constraints.txt changed since,
# and reuses it otherwise. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# An interpreter of your own: make PYTHON=/path/to/python3.12
PYTHON ?=
# The one that Debian's dolfinx is built for.
SYSTEM_PYTHON ?= /usr/bin/python3
VENV ?= .venv
VENV_DOLFINX ?= .venv-dolfinx
# Test processes, and further arguments for pytest: make test JOBS=1 ARGS="tests/geometry -k mesh"
JOBS ?= 2
ARGS ?=

BIN := $(VENV)/bin
EXTRAS := all,test,lint,docs
# The name of the stamp is a checksum of what the environment is made from and of where it stands (scripts and the
# editable install hold absolute paths), so neither file times nor a copied folder can deceive it.
STAMP := $(VENV)/.made-$(shell { pwd; cat pyproject.toml constraints.txt; } | cksum | tr ' ' '-')
STAMP_DOLFINX := $(VENV_DOLFINX)/.made-$(shell { pwd; cat constraints-dolfinx.txt; } | cksum | tr ' ' '-')
PIP_INSTALL := -m pip --disable-pip-version-check install -q -q
# Tests run side by side, so each process keeps to one thread.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
HAS_DOLFINX := $(SYSTEM_PYTHON) -c 'import importlib.util as u, sys; sys.exit(u.find_spec("dolfinx") is None)' 2>/dev/null

.PHONY: help demo test test-fast test-dolfinx dolfinx-env lint format docs env clean distclean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \2/p' Makefile | awk '{ t = $$2; $$1 = $$2 = ""; printf "  make %-13s %s\n", t, $$0 }'

# Threads of PyTorch that wait for others give up their core after some 50 microseconds instead of milliseconds: as fast
# on an idle machine, and ten times as fast where others use it too.
demo: $(STAMP) ## Train two neural operators on Darcy flow, compare them, draw a figure
	GOMP_SPINCOUNT=20000 $(BIN)/funcspace demo

test: $(STAMP) ## Run all tests, and those of dolfinx where it is installed
	$(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)
	@if $(HAS_DOLFINX); then $(MAKE) --no-print-directory test-dolfinx; \
	else echo "make test: dolfinx is not installed, so its tests were left out;" \
	"to run them: apt-get install python3-dolfinx && make test-dolfinx"; fi

test-fast: $(STAMP) ## Run the tests that are not marked slow
	$(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" $(ARGS)

test-dolfinx: dolfinx-env ## Run the dolfinx tests beside Debian's python3-dolfinx
	@files=$$(grep -rl --include='test_*.py' 'mark\.dolfinx' tests || true); \
	if [ -z "$$files" ]; then echo "make test-dolfinx: no test is marked dolfinx"; exit 0; fi; \
	set -x; $(TEST_ENV) $(VENV_DOLFINX)/bin/python -m pytest -m dolfinx $$files

dolfinx-env: $(STAMP_DOLFINX) ## Make .venv-dolfinx on the system Python

lint: $(STAMP) ## Check style, format, types and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: $(STAMP) ## Format the code and sort its imports
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

docs: $(STAMP) ## Build the documentation into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -W --keep-going --quiet -b html docs docs/_build/html
	$(BIN)/sphinx-build -W --keep-going --quiet -b doctest docs docs/_build/doctest
	@echo "make docs: open docs/_build/html/index.html"

env: $(STAMP) ## Make or renew .venv

$(STAMP):
	@python=; for name in $(or $(PYTHON),python3.11 python3 python3.12 python3.13); do \
	if $$name -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then echo "make: funcspace needs Python 3.11 or newer with the venv module" \
	"(on Debian: apt-get install python3 python3-venv), and found none among" \
	"'$(or $(PYTHON),python3.11 python3 python3.12 python3.13)'; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	rm -f $(VENV)/.made-*; \
	if ! $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	echo "make: making $(VENV) with $$($$python --version)"; rm -rf $(VENV); $$python -m venv $(VENV); fi
	@echo "make: installing $$(grep '^torch==' constraints.txt) into $(VENV)"
	@$(BIN)/python $(PIP_INSTALL) "$$(grep '^torch==' constraints.txt)" -c constraints.txt
	@echo "make: installing funcspace[$(EXTRAS)] and what it needs, some 150 packages (a few minutes the first time)"
	@$(BIN)/python $(PIP_INSTALL) -e ".[$(EXTRAS)]" -c constraints.txt
	@touch $@
	@echo "make: $(VENV) is ready"

$(STAMP_DOLFINX):
	@if ! $(HAS_DOLFINX); then echo "make: $(SYSTEM_PYTHON) has no dolfinx; on Debian: apt-get install python3-dolfinx" >&2; exit 1; fi
	@echo "make: making $(VENV_DOLFINX) on $$($(SYSTEM_PYTHON) --version), beside Debian's dolfinx"
	@rm -rf $(VENV_DOLFINX)
	@$(SYSTEM_PYTHON) -m venv --system-site-packages $(VENV_DOLFINX)
	@$(VENV_DOLFINX)/bin/python $(PIP_INSTALL) -r constraints-dolfinx.txt
	@$(VENV_DOLFINX)/bin/python $(PIP_INSTALL) --no-deps -e .
	@touch $@
	@echo "make: $(VENV_DOLFINX) is ready"

clean: ## Remove what builds, tests and the demo leave behind, but not the environments
	rm -rf build dist docs/_build docs/api/generated demo-output .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## Remove the environments too
	rm -rf $(VENV) $(VENV_DOLFINX)
