# The first command on a fresh machine: `make conformance`. It needs Python 3.11 or newer and git, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Further options, for example: make conformance ARGS="-k restart --runtime docker"
ARGS ?=
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help conformance test prove prove-deep lint bench format lock clean

help:  ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

conformance: $(VENV)/installed  ## Run the scenario suite against the reference (ARGS: any option of pytest)
	@$(BIN)/pytest scenarios -n $(WORKERS) --dist worksteal $(ARGS)

test: $(VENV)/installed  ## Run all tests: the harness's own, and the scenarios
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

prove: $(VENV)/installed  ## Show that the scenarios catch known-bad implementations, and no good one (ARGS: any option of harness prove)
	@$(BIN)/harness prove --floor
	@$(BIN)/harness prove --variants
	@$(BIN)/harness prove $(ARGS)

prove-deep: $(VENV)/installed  ## Show how many small changes to the reference's source they catch (ARGS: any option of harness mutate)
	@$(BIN)/harness mutate $(ARGS)

lint: $(VENV)/installed  ## Check format, style, types, and that reference and harness are strangers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/installed  ## Measure the secret search, what credentials are found, and delivery against tar, rsync and git
	@$(BIN)/python -m harness.oracle.bench
	@$(BIN)/python -m harness.tests.reference_boot.labelled
	@PYTHONPATH=harness $(BIN)/python -m reference.bench $(ARGS)

format: $(VENV)/installed  ## Format, and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock:  ## Resolve the exact versions anew (needs uv)
	@uv pip compile --quiet pyproject.toml --group pyproject.toml:dev --universal --python-version 3.11 \
	    --generate-hashes --no-header --output-file requirements.lock

clean:  ## Remove the environment and what tools have cached
	@rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

$(VENV)/installed: requirements.lock pyproject.toml
	@command -v git >/dev/null || { echo "git is not installed; install it first (apt-get install git)" >&2; exit 4; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$$($(PYTHON) --version) is too old; name Python 3.11 or newer: make PYTHON=python3.12 …" >&2; exit 4; }
	@echo "[conformance] making the environment in $(VENV), once, about a minute: $$(grep -c == requirements.lock) packages"
	@$(PYTHON) -m venv $(VENV) || \
	    { echo "$(PYTHON) has no venv module; install it first (apt-get install python3-venv)" >&2; exit 4; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check \
	    --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
