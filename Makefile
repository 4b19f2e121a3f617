# Everything happens in .venv, made from pyproject.toml and constraints.txt.
# Needs make and Python 3.11 or newer; another one than python3: make PYTHON=python3.12 test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv viewer demo test test-quick test-slow coverage lowest bench docs lint format clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

venv: $(VENV)/.developing  ## the environment of a developer, in .venv

viewer: $(VENV)/.installed  ## the page of `wsi-parse view`, where it is not built or not as its sources are
	WSI_PARSE_VIEWER=require $(PIP) --no-deps --editable .

demo: $(VENV)/.installed  ## the main job on a painted slide; look at demo-out/demo/report.html
	$(BIN)/wsi-parse demo

test: test-quick  ## everything that must hold
	$(PYTEST) --numprocesses auto --dist loadfile -m "not slow and (kill or whole)"

test-quick: lint  ## lint, and the tests that answer within minutes, on all cores
	$(PYTEST) --numprocesses auto --dist loadfile -m "not slow and not kill and not whole"

test-slow: $(VENV)/.developing  ## the long proofs
	$(PYTEST) -m slow

coverage: $(VENV)/.developing  ## which lines and branches of the package the tests run
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not slow"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lowest: $(VENV)/.developing  ## renew constraints-lowest.txt: the lowest versions allowed
	$(BIN)/python -m tests.lowest

bench: $(VENV)/.developing  ## measure on this machine; writes benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

docs: $(VENV)/.developing  ## the documentation as a site: look at build/docs/index.html
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --conf-dir docs --doctree-dir build/doctrees . build/docs

lint: $(VENV)/.developing  ## ruff, mypy, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.developing  ## bring the code into its form
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

clean:  ## remove what make made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov demo-out dist build wsi_parse/viewer/static
	find . -path ./.git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

# A stamp is written last: an interrupted installation is made again.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "Installing into $(VENV); a few minutes the first time."
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) --upgrade pip
	$(PIP) --editable .
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	$(PIP) --group dev
	@touch $@
