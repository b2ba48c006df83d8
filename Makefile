# What a developer types. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help demo test unit lint bench bench-scaling simulate faults chaos bugs venv lock up load down

VENV := .venv
PYTHON := $(VENV)/bin/python
COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

demo: up ## Install the operator, a sample database and a PgPool, and show what they do (under a minute once up)
	@$(PYTHON) -m e2e.demo

test: lint ## Everything: lint, then unit, property, model and bug tests, then admission and end-to-end tests on the cluster
	$(PYTHON) -m pytest tests --ignore=tests/admission --numprocesses=auto --dist=worksteal
	$(PYTHON) -m e2e.cluster up
	KUBECONFIG="$$($(PYTHON) -c 'from e2e.cluster import kubeconfig; print(kubeconfig())')" \
		$(PYTHON) -m pytest tests/admission e2e --durations=25

unit: lint ## What needs no cluster: lint, then unit and property tests
	$(PYTHON) -m pytest tests/unit tests/property --numprocesses=auto --dist=worksteal

lint: venv ## Style, types, and which module may import which
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy operator pooler e2e tests
	$(VENV)/bin/lint-imports --no-logo

bench: up ## Compare a pool with bare PgBouncer and with no pooler (under 5 min)
	@$(PYTHON) -m e2e.bench

FAULT ?= *
SEEDS ?= 1-60
PLAY := KUBECONFIG="$$($(PYTHON) -c 'from e2e.cluster import kubeconfig; print(kubeconfig())')" \
	$(PYTHON) -m pytest e2e/test_faults.py

faults: up ## Break everything in turn while clients work: make faults, or FAULT=pod/evict, 'FAULT=pod/*' (all of them: about 110 min)
	@rm -rf build/faults
	@$(PLAY) -k through_a_fault --fault '$(FAULT)'; played=$$?; $(PYTHON) -m e2e.faults.outcome build/faults; exit $$played

chaos: up ## Break three things at a time, by a seed: make chaos, or SEEDS=7, SEEDS=1-60 (about 2 min each; all of them: 130 min)
	@rm -rf build/faults
	@$(PLAY) -k through_chaos --seeds $(SEEDS); played=$$?; $(PYTHON) -m e2e.faults.outcome build/faults; exit $$played

bugs: up ## Put four bugs into the cluster's images and see the end-to-end tests catch them (minutes each)
	@$(PYTHON) -m tests.bugs

SCENARIO ?= pooler-bound

simulate: venv ## Play a scenario of load in virtual time and draw it: make simulate SCENARIO=lock-storm
	@mkdir -p build
	@$(PYTHON) -m tests.simulator $(SCENARIO) --output build/$(SCENARIO).svg

bench-scaling: up ## Time a load step until a new pooler serves, beside an HPA with its defaults (about 25 min)
	@$(PYTHON) -m e2e.bench_scaling

venv: $(VENV)/current ## Make the Python environment, .venv, from the lock file (about 30 s; needs Python 3.11 or later)

$(VENV)/current: requirements/dev.txt pyproject.toml
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	$(PYTHON) -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

lock: venv ## Bring the lock files in requirements/ up to date with pyproject.toml
	$(COMPILE) --extra operator pyproject.toml --output-file requirements/operator.txt
	$(COMPILE) --extra pooler pyproject.toml --output-file requirements/pooler.txt
	$(COMPILE) --extra dev pyproject.toml requirements/tools.in --output-file requirements/dev.txt

up: venv ## Bring up a three-node kind cluster with the project's images (seconds; once about 12 min without a registry)
	$(PYTHON) -m e2e.cluster up

load: venv ## Build the images anew and load them into the cluster
	$(PYTHON) -m e2e.cluster load

down: venv ## Delete the cluster; what was expensive to make stays cached
	$(PYTHON) -m e2e.cluster down
