# Everything that is done daily, by name; `make help` lists it. The environment is .venv in this clone.

PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3; do \
	"$$each" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { echo "$$each"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

EXPERIMENT ?= digits
WORKERS ?=
STORAGE ?=
RUN ?=
SET ?=
KILLS ?= 40
SEED ?= 1
MODEL ?= digits
FROZEN ?=

export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help run validate test chaos lint format bench clean distclean

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  make run EXPERIMENT=digits WORKERS=4 STORAGE=./runs RUN=name SET="training.epochs=5 training.seed=7"'

run: $(READY) ## Trains EXPERIMENT on this machine (WORKERS, STORAGE, RUN, SET)
	@$(BIN)/perdure run "$(EXPERIMENT)" $(if $(WORKERS),--workers "$(WORKERS)") \
		$(if $(STORAGE),--storage "$(STORAGE)") $(if $(RUN),--run "$(RUN)") $(foreach each,$(SET),--set '$(each)')

validate: $(READY) ## Checks the experiment file of EXPERIMENT (SET)
	@$(BIN)/perdure validate "$(EXPERIMENT)" $(foreach each,$(SET),--set '$(each)')

test: $(READY) ## Runs all tests (ARGS, such as ARGS="-k launcher")
	$(BIN)/pytest $(ARGS)

chaos: $(READY) ## Kills KILLS processes of runs of MODEL (digits, hard, hard16) and compares (SEED, WORKERS, FROZEN)
	@$(BIN)/python -m tests.chaos --kills "$(KILLS)" --seed "$(SEED)" --model "$(MODEL)" \
		$(if $(WORKERS),--workers "$(WORKERS)") $(if $(FROZEN),--frozen "$(FROZEN)") $(ARGS)

lint: $(READY) ## Checks style, formatting, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Formats the sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## Measures against the yardsticks; results in benchmarks/README.md (ARGS)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/bench.txt
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## Removes caches, but neither .venv nor runs
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find trainer launcher tests experiments benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## Removes .venv too
	rm -rf $(VENV) *.egg-info

# The stamp is written last, so that an installation that was broken off is begun again.
$(READY): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { \
		echo "Perdure needs Python 3.11, 3.12 or 3.13 (TensorFlow has no later one); none was found." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else \
		"$(PYTHON) is Python %d.%d; Perdure needs 3.11, 3.12 or 3.13 (TensorFlow has no later one)" % v[:2])'
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing TensorFlow and the rest into $(VENV): once, and some minutes"
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
