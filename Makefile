VENV ?= .venv
PYTHON ?= python3

BIN := $(VENV)/bin
MARK := $(VENV)/.visionmesh-managed
STAMP := $(VENV)/.visionmesh-installed
CODE := visionmesh rpc annotations gateway storage trainer trainer_timm trainer_torch trainer_yolo tests benchmarks examples
BASELINE := protos/baseline.binpb
# Of `make bench`: names of benchmarks (all without), and their options.
BENCH ?=
OPTIONS ?= --quick

# Tools are called by path; programs that look for a sibling (protoc plugins, grpcurl) find it on PATH.
export PATH := $(abspath $(BIN)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help env demo up test bench lint ruff types walls contract format protos protos-check counts protos-baseline clean

help: ## List every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "  (VENV=$(VENV): an environment of yours, given as VENV=/path, is used as it is)"

# .venv, and any environment that this file made, is kept up to date; another one that exists is used as it is.
ifeq ($(VENV),.venv)
env: $(STAMP) ## Create the environment and install everything
else ifneq ($(wildcard $(MARK)),)
env: $(STAMP)
else ifneq ($(wildcard $(BIN)/python),)
env:
	@:
else
env: $(STAMP)
endif

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	touch $(MARK)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[gateway,trainer,timm,yolo,plot,dev]" -c constraints.txt
	touch $(STAMP)

demo: env ## Run the whole story on this machine, from upload to prediction
	PYTHONPATH=$(CURDIR) $(BIN)/python examples/demo.py

up: env ## Start gateway and trainers on this machine (Ctrl-C stops them)
	PYTHONPATH=$(CURDIR) $(BIN)/python -m visionmesh.cli.main up

# Three at once: most tests wait for processes that start. Which stay together: tests/conftest.py.
test: env ## Run the tests
	$(BIN)/pytest --numprocesses 3 --dist loadfile --durations 40

bench: env ## Measure, small and quick (BENCH=prediction: one alone; OPTIONS=: in full, for figures)
	PYTHONPATH=$(CURDIR) $(BIN)/python -m benchmarks $(BENCH) $(OPTIONS)

lint: ruff types walls contract ## Run every check that is no test

ruff: env ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env ## Check types (mypy --strict)
	$(BIN)/mypy $(CODE)

walls: env ## Check who imports whom
	$(BIN)/lint-imports

contract: env ## Lint the protos and compare them with the baseline
	$(BIN)/buf lint
	$(BIN)/buf breaking --against $(BASELINE)

format: env ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/buf format -w

protos: env ## Generate the Python stubs from the protos
	$(BIN)/python protos/generate.py

protos-check: env ## Fail where the committed stubs differ from the protos
	$(BIN)/python protos/generate.py --check

counts: env ## Measure every model again (after an upgrade of timm or ultralytics)
	PYTHONPATH=$(CURDIR) $(BIN)/python -m trainer_timm.count_parameters
	PYTHONPATH=$(CURDIR) $(BIN)/python -m trainer_yolo.count_models

protos-baseline: env ## Renew the image that `contract` compares with (at a release)
	$(BIN)/buf build --exclude-source-info -o $(BASELINE)

clean: ## Remove the environment, caches and build outputs
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
