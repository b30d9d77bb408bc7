# `make run` opens the app (without a terminal: prints a table and trains for an epoch); `make test` checks everything,
# `make check` in under a minute all but the heavy tests (see CONTRIBUTING.md). Each sets itself up: a virtual
# environment in .venv, installed once, and again when pyproject.toml changes.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run check test lint types contracts light-tests tests thorough faults golden picture clean

run: $(INSTALLED)
	@if [ -t 0 ] && [ -t 1 ]; then \
		$(BIN)/alexplore tui; \
	else \
		$(BIN)/alexplore shapes --preset paper && $(BIN)/alexplore train --preset fmnist-28 --epochs 1; \
	fi

check: $(INSTALLED)
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint types contracts light-tests

test: $(INSTALLED)
	@$(MAKE) --no-print-directory --jobs 2 lint types contracts tests

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED)
	$(BIN)/mypy

contracts: $(INSTALLED)
	$(BIN)/lint-imports

light-tests: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist worksteal -m "not heavy and not faults and not exhaustive" --hypothesis-profile eighth

tests: $(INSTALLED)
	$(BIN)/pytest -n 4 --dist worksteal --hypothesis-profile quarter

thorough: $(INSTALLED)
	$(BIN)/pytest -n 2 -m "not faults"

faults: $(INSTALLED)
	$(BIN)/pytest -n 2 -m faults

golden: $(INSTALLED)
	$(BIN)/pytest -n 2 --update-golden -m golden

picture: $(INSTALLED)
	$(BIN)/python -m docs.picture

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(INSTALLED): pyproject.toml constraints.txt alexplore/__init__.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "alexplore needs Python 3.11 or newer, found " + sys.version.split()[0])'
	@echo "setting up $(VENV): PyTorch is large, so the first time takes a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@
