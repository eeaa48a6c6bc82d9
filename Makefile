# `make` lists the targets. ARGS is passed on: make search ARGS='--trials 20 --workers 2'

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
INSTALLED := .venv/.installed
COMPARE := OMP_NUM_THREADS=1 $(BIN)/python -W ignore benchmarks/samplers/compare.py

.DEFAULT_GOAL := help
.PHONY: help .venv search dashboard test test-faults check coverage bench-samplers format wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[-.a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv: $(INSTALLED) ## create .venv with the package (editable) and its pinned dependencies

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt -e '.[dev]'
	touch $@

search: $(INSTALLED) ## search the DenseNet space; ARGS='--trials 20 --workers 2'
	$(BIN)/cspnas search search_spaces/densenet.yaml $(ARGS)

dashboard: $(INSTALLED) ## open optuna-dashboard on a study; ARGS='STUDY'
	$(BIN)/cspnas dashboard $(ARGS)

test: $(INSTALLED) ## run the tests; ARGS='tests/test_cost.py'
	tools/need_chromium
	# One more than the cores of a small machine: many tests wait for processes.
	$(BIN)/pytest -n 3 $(ARGS)

test-faults: $(INSTALLED) ## the fault tests with all their rounds, about half an hour; $CSPNAS_FAULTS_LOG keeps each round's figures
	CSPNAS_FAULTS=full $(BIN)/pytest tests/faults $(ARGS)

check: $(INSTALLED) ## all that must pass: format, lint, types, import contracts, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports
	$(MAKE) test

coverage: $(INSTALLED) ## run the tests and measure which lines and branches they run; at least 90 %
	$(MAKE) test ARGS="--cov $(ARGS)"

bench-samplers: $(INSTALLED) ## compare the samplers on the accuracy table (hours; goes on where it was)
	$(BIN)/pip install -q -c constraints.txt -e '.[dev,bench]'
	for truth in rows model; do \
	  for workers in 1 4 8; do \
	    $(COMPARE) run $$truth cost-aware 100 20 $$workers || exit; \
	    for method in random nsga2 nsga3 tpe tpe-categorical; do $(COMPARE) run $$truth $$method 200 20 $$workers || exit; done; \
	  done; \
	  $(COMPARE) run $$truth costs-only 100 20 || exit; \
	  for method in gp botorch; do $(COMPARE) run $$truth $$method 100 8 || exit; done; \
	done
	$(COMPARE) table

format: $(INSTALLED) ## format the code and apply the linter's safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: $(INSTALLED) ## build sdist and wheel into dist/
	rm -rf dist
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build --outdir dist .

clean: ## remove build results and caches; .venv and studies/ stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find cspnas tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
