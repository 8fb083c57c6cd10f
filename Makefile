# `make` lists the targets. Everything lives in .venv, build/ and runs/; nothing else is touched.
.DEFAULT_GOAL := help
.PHONY: help demo book site check test faults lab reset clean

# The first Python that the lock serves and that can make an environment; or `make PYTHON=...`.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.10 python3; do \
	$$python -c 'import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
	2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
# A folder of wheels to set up from without a network: make demo WHEELS=DIR.
WHEELS ?=

# OpenMP threads wait awake for a moment, then sleep: as quick as spinning on a quiet machine, and
# two processes on two cores do not starve each other.
export GOMP_SPINCOUNT := 10000

# Where the environment forbids bytecode, every process would compile what it imports: up to 10 s.
unexport PYTHONDONTWRITEBYTECODE

define STYLE
$(BIN)/ruff check .
$(BIN)/ruff format --check .
$(BIN)/mypy
endef
# Processes of one thread each: a test is too small to gain from more threads. One more than two
# cores have, because some wait for runs of their own. More cores take more: make test WORKERS=8.
WORKERS ?= 3
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS)

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /make \1 	/p' Makefile

demo: .venv/.ready ## set up, run the race of four students (minutes on two cores), show its page
	@echo "The race of four students (some three minutes on two cores), then its page (one minute)."
	@$(BIN)/crosskd-lab race
	@$(BIN)/crosskd-lab book 02 --open
	@echo "Next: 'make lab' to take it apart, 'make book' for all chapters as pages, or more evidence:"
	@echo "      .venv/bin/crosskd-lab race --steps 240 --seeds 3 --out runs/race240"

book: .venv/.ready ## set up, then execute and render the chapters that have changed or are not made
	@$(BIN)/crosskd-lab book

site: .venv/.ready ## the race and the whole book as pages for a web server, in build/site
	@$(BIN)/crosskd-lab race
	@$(BIN)/crosskd-lab book
	@mkdir -p build/site && cp build/book/*.html build/site && touch build/site/.nojekyll

check: .venv/.ready ## style, types and the tests of the door (root files, heads, methods)
	$(STYLE)
	$(PYTEST) tests/test_*.py tests/heads tests/methods

test: .venv/.ready ## set up, then style, types and all tests
	$(STYLE)
	$(PYTEST) --durations=20

faults: .venv/.ready ## the long part of the tests: trainings, races, sweeps killed at any moment
	$(BIN)/python -m pytest -q -m faults tests/faults

lab: .venv/.ready ## set up, then open JupyterLab at the welcome notebook (this machine only)
	$(BIN)/jupyter lab --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) \
		--LabApp.default_url=/lab/tree/notebooks/00_welcome.ipynb

reset: .venv/.ready ## clear the outputs of the notebooks, so that git sees only what you wrote
	@$(BIN)/jupyter nbconvert --clear-output --inplace --log-level=ERROR notebooks/*.ipynb

clean: ## remove .venv, build/ and caches; runs/ and data/ stay
	rm -rf .venv build .pytest_cache .ruff_cache .mypy_cache *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.10, 3.11 or 3.12 with venv is needed and none was" \
		"found: install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) scripts/set_up.py $(WHEELS)
	@touch $@
