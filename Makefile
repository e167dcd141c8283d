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
NAMESPACE ?=
PORT ?=
IN_NAMESPACE = $(if $(NAMESPACE),--namespace "$(NAMESPACE)")
KILLS ?= 40
SEED ?= 1
MODEL ?= digits
FROZEN ?=

# Of image and push. IMAGE_BUILD is any other command that builds: image, `.` and docker's options are appended to it.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= localhost/perdure-trainer:$(VERSION)
LAUNCHER_IMAGE ?= localhost/perdure-launcher:$(VERSION)
VARIANT ?= gpu
BUILDER ?= docker
BASE ?=
IMAGE_BUILD ?=
REVISION = $(shell git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null)
IMAGE_ARGS = $(if $(BASE),--build-arg "BASE=$(BASE)") $(if $(PIP_INDEX_URL),--build-arg "PIP_INDEX_URL=$(PIP_INDEX_URL)") \
	--build-arg "VERSION=$(VERSION)" --build-arg "REVISION=$(or $(REVISION),unknown)"
build_image = $(if $(IMAGE_BUILD),$(IMAGE_BUILD) "$(1)" . $(2) $(IMAGE_ARGS),\
	$(BUILDER) build --tag "$(1)" $(2) $(IMAGE_ARGS) .)

# Of test: how many run beside each other, those of one file never, which may share what takes long to make. Most
# wait for processes that start; two need 6 GB of memory.
BESIDE ?= 2

# Of cluster-test: tests beside each other; commands that end a node, its name appended, and bring it back.
PARALLEL ?= 3
NODE_OFF ?=
NODE_ON ?=

# What writes the dashboards is needed by no test and no run.
install_dashboards = $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	-r requirements/dashboards.txt

export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help run tensorboard report validate doctor submit list status watch logs wait diff stop resume delete render golden test image push launcher-image cluster-test kind-up kind-down chaos monitor dashboards lint format bench clean distclean

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  make run EXPERIMENT=digits WORKERS=4 STORAGE=./runs RUN=name SET="training.epochs=5 training.seed=7"'

run: $(READY) ## Trains EXPERIMENT on this machine (WORKERS, STORAGE, RUN, SET)
	@$(BIN)/perdure run "$(EXPERIMENT)" $(if $(WORKERS),--workers "$(WORKERS)") \
		$(if $(STORAGE),--storage "$(STORAGE)") $(if $(RUN),--run "$(RUN)") $(foreach each,$(SET),--set '$(each)')

tensorboard: $(READY) ## Shows the logs of RUN, or of all runs of EXPERIMENT, in TensorBoard (STORAGE, PORT)
	@$(BIN)/perdure tensorboard "$(or $(RUN),$(EXPERIMENT))" $(if $(STORAGE),--storage "$(STORAGE)") \
		$(if $(PORT),--port "$(PORT)")

report: $(READY) ## Writes RUN, or several, as one HTML page (RUN, STORAGE, ARGS such as "-o x.html")
	@test -n "$(RUN)" || { echo "make report needs RUN=name, or RUN=\"name name\"" >&2; exit 64; }
	@$(BIN)/perdure report $(RUN) $(if $(STORAGE),--storage "$(STORAGE)") $(ARGS)

validate: $(READY) ## Checks the experiment file of EXPERIMENT (SET)
	@$(BIN)/perdure validate "$(EXPERIMENT)" $(foreach each,$(SET),--set '$(each)')

render: $(READY) ## Prints the Kubernetes objects of a run of EXPERIMENT (RUN, NAMESPACE, SET)
	@$(BIN)/perdure render "$(EXPERIMENT)" $(if $(RUN),--run "$(RUN)") \
		$(if $(NAMESPACE),--namespace "$(NAMESPACE)") $(foreach each,$(SET),--set '$(each)')

doctor: $(READY) ## Says what will go wrong with a run of EXPERIMENT on the kubeconfig's cluster (NAMESPACE, SET, ARGS)
	@$(BIN)/perdure doctor $(if $(EXPERIMENT),"$(EXPERIMENT)") $(if $(RUN),--run "$(RUN)") $(IN_NAMESPACE) \
		$(if $(filter-out file,$(origin IMAGE)),--image "$(IMAGE)") $(foreach each,$(SET),--set '$(each)') $(ARGS)

submit: $(READY) ## Trains EXPERIMENT on the kubeconfig's cluster (RUN, NAMESPACE, IMAGE, SET, ARGS such as --wait)
	@$(BIN)/perdure submit "$(EXPERIMENT)" $(if $(RUN),--run "$(RUN)") $(IN_NAMESPACE) \
		$(if $(filter-out file,$(origin IMAGE)),--image "$(IMAGE)") $(foreach each,$(SET),--set '$(each)') $(ARGS)

list: $(READY) ## Lists the runs of NAMESPACE (ARGS such as -A)
	@$(BIN)/perdure list $(IN_NAMESPACE) $(ARGS)

status watch logs wait: $(READY) ## Looks at RUN, or at the newest run of EXPERIMENT (NAMESPACE, ARGS such as -f)
	@$(BIN)/perdure $@ "$(or $(RUN),$(EXPERIMENT))" $(IN_NAMESPACE) $(ARGS)

diff: $(READY) ## Compares EXPERIMENT with RUN, or its newest run (NAMESPACE, IMAGE, SET)
	@$(BIN)/perdure diff "$(EXPERIMENT)" $(if $(RUN),--run "$(RUN)") $(IN_NAMESPACE) \
		$(if $(filter-out file,$(origin IMAGE)),--image "$(IMAGE)") $(foreach each,$(SET),--set '$(each)') $(ARGS)

stop resume delete: $(READY) ## Stops RUN after a save, lets it go on, deletes its objects (NAMESPACE)
	@test -n "$(RUN)" || { echo "make $@ needs RUN=name; make status EXPERIMENT=$(EXPERIMENT) shows the newest" >&2; exit 64; }
	@$(BIN)/perdure $@ "$(RUN)" $(IN_NAMESPACE) $(ARGS)

test: $(READY) ## Runs all tests (ARGS, such as ARGS="-k launcher"; BESIDE, how many beside each other, 0 to debug)
	$(BIN)/pytest --numprocesses "$(BESIDE)" --dist loadscope $(ARGS)

image: ## Builds the trainer's IMAGE (VARIANT gpu or cpu, BUILDER docker, podman or buildah, BASE)
	$(call build_image,$(IMAGE),--file docker/trainer.Dockerfile --build-arg "VARIANT=$(VARIANT)")

push: ## Pushes IMAGE to its registry
	$(BUILDER) push "$(IMAGE)"

launcher-image: ## Builds LAUNCHER_IMAGE, the command line for use in a cluster, without TensorFlow
	$(call build_image,$(LAUNCHER_IMAGE),--file docker/launcher.Dockerfile)

cluster-test: $(READY) ## Runs tests/cluster on the kubeconfig's cluster, whose nodes have IMAGE (PARALLEL, ARGS)
	PERDURE_IMAGE="$(IMAGE)" PERDURE_TEST_NODE_OFF="$(NODE_OFF)" PERDURE_TEST_NODE_ON="$(NODE_ON)" \
		$(BIN)/pytest tests/cluster -m cluster --numprocesses "$(PARALLEL)" --maxschedchunk 1 $(ARGS)

kind-up: ## Starts a cluster of two nodes with kind, unless it is there, and brings IMAGE to it
	kind get clusters | grep -qx perdure || kind create cluster --name perdure --config k8s/kind.yaml
	kind load docker-image "$(IMAGE)" --name perdure

kind-down: ## Deletes that cluster
	kind delete cluster --name perdure

chaos: $(READY) ## Kills KILLS processes of runs of MODEL (digits, hard, hard16, roll_back, stack) and compares (SEED, WORKERS, FROZEN)
	@$(BIN)/python -m tests.chaos --kills "$(KILLS)" --seed "$(SEED)" --model "$(MODEL)" \
		$(if $(WORKERS),--workers "$(WORKERS)") $(if $(FROZEN),--frozen "$(FROZEN)") $(ARGS)

monitor: $(READY) ## Shows the runs of this machine in Prometheus and Grafana, which have to be installed (ARGS)
	@$(BIN)/perdure monitor $(ARGS)

dashboards: $(READY) ## Regenerates Grafana's dashboards and the PrometheusRule
	@$(install_dashboards)
	$(BIN)/python -m k8s.dashboards --write

golden: $(READY) ## Regenerates the golden files of rendered runs, and of what the verbs print
	$(BIN)/python -m tests.launcher.manifests.golden --write
	PERDURE_WRITE_GOLDEN=1 $(BIN)/pytest --quiet tests/launcher/cluster/test_golden_output.py \
		tests/launcher/cluster/test_terminal.py tests/launcher/html_report/test_page.py

lint: $(READY) ## Checks style, formatting, types, layers, golden and generated files
	@$(install_dashboards)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --package k8s.dashboards --package benchmarks
	$(BIN)/lint-imports
	$(BIN)/python -m tests.launcher.manifests.golden
	$(BIN)/python -m k8s.dashboards

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
