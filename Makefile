# The commands of the project. `make` or `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format generate kernels sizes models cards clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(BIN)/whit ## make .venv with whit in it

demo: $(BIN)/whit ## see it work: no board, no compiler
	@$(BIN)/whit demo

test: $(VENV)/test ## every test; what a machine lacks is skipped, with the reason
	@$(BIN)/python -m pytest

check: $(VENV)/dev ## what to run before a commit: format, lint, types, generated files, fast tests
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy
	@$(BIN)/python tools/generate_format.py --check
	@$(BIN)/python tools/size_report.py --check
	@$(BIN)/python -m pytest -q tests/host tests/both

format: $(VENV)/dev ## format the Python
	@$(BIN)/ruff format --quiet
	@$(BIN)/ruff check --fix --quiet

generate: $(VENV)/dev ## write what follows from opset.py: C headers, field numbers, FORMAT.md
	@$(BIN)/python tools/generate_format.py

kernels: $(VENV)/dev ## build device/prebuilt from device/kernels (clang-22, lld-22, llvm-22) and device/whit/viper
	@$(BIN)/python tools/build_kernels.py
	@$(BIN)/python tools/build_harness.py

sizes: $(VENV)/dev ## what whit itself takes of a board's memory
	@$(BIN)/python tools/size_report.py

models: $(VENV)/models ## train the example models again (PyTorch) and write their cards
	@$(BIN)/python models/digits/make.py
	@$(BIN)/python models/motions/make.py
	@$(BIN)/python models/beats/make.py
	@$(BIN)/python models/cards.py

cards: $(VENV)/dev ## write the figures of the example models' cards, of the models as they are
	@$(BIN)/python models/cards.py

clean: ## remove what the commands above made
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

# A Python without venv is completed on Debian and Ubuntu, whose package it is.
$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
	    echo "make: whit needs Python 3.10 to 3.13, $$($(PYTHON) --version) was found; run: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
	    rm -rf $(VENV); echo "python3 has no venv module; installing python3-venv"; \
	    SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	    $$SUDO apt-get update -q >/dev/null && $$SUDO apt-get install -yq python3-venv >/dev/null && \
	    $(PYTHON) -m venv $(VENV); \
	} || { rm -rf $(VENV); echo "make: cannot make $(VENV); install python3-venv, then run make again" >&2; exit 1; }

$(BIN)/whit: $(VENV)/pyvenv.cfg pyproject.toml
	@echo "installing whit into $(VENV)"
	@$(PIP) --editable '.[verify]'
	@touch $@

$(VENV)/dev: $(BIN)/whit
	@echo "installing what the tests need into $(VENV)"
	@$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/test: $(VENV)/dev
	@echo "installing PyTorch for the tests into $(VENV)"
	@$(PIP) --editable '.[test]'
	@touch $@

$(VENV)/models: $(VENV)/test
	@$(PIP) --editable '.[models]'
	@touch $@
