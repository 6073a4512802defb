# Every target does all of its own set-up; see .ci/setup.
PYTHON ?=
TORCH ?=
K2 ?=
TESTS ?=
BIN := .venv/bin
NOTHING :=
SPACE := $(NOTHING) $(NOTHING)
# Named after the place, since a .venv does not survive being moved.
PLACE := $(subst $(SPACE),_,$(subst /,-,$(CURDIR)))
INSTALLED := .venv/installed$(PLACE)
INSTALLED_K2 := .venv-k2/installed$(PLACE)
LOCKS := requirements.lock requirements-cpu.lock requirements-cuda.lock
# One thread per process: tests and replicas run side by side, and threads of one product starve each other.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
# Tests start a hundred Python processes. Without byte code each would compile torch and Dask again, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test quick schedules bounds test-k2 test-python docs bench lab check format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(if $(K2),$(INSTALLED_K2),$(INSTALLED)) ## from nothing to a report: synthesised corpus, cross entropy, MMI, word error rates (K2=1: lattices by k2)
	$(if $(K2),.venv-k2,.venv)/bin/workbench baseline demo --synthetic is --size demo $(if $(K2),--set lattice_engine=k2)

# Three processes for two processors: tests of clusters and browsers wait for half of their time. Files are taken in
# the order of their names: by their number of tests, as xdist orders them, those with one long test would come last.
# Types are checked meanwhile, and told at the end.
test: $(INSTALLED) ## formatting, lint, types and every test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@told=$$(mktemp); $(BIN)/mypy >$$told 2>&1 & types=$$!; \
	$(ONE_THREAD) $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder; tests=$$?; \
	wait $$types; types=$$?; cat $$told; rm $$told; [ $$tests$$types = 00 ]

quick: $(INSTALLED) ## the tests that need no cluster, no browser, no k2 and no long training
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not dask and not browser and not k2"

schedules: $(INSTALLED) ## twenty thousand seeded schedules of faults on the protocol of training, in virtual time
	PYTHONPATH=tests $(ONE_THREAD) $(BIN)/python tests/faults/seeded_schedules.py --seeds 20000

# What is compiled with checks is kept apart, for numba keeps one form of each function.
bounds: $(INSTALLED) ## two thousand hostile scores for the compiled code, which checks every index here
	@kept=$$(mktemp -d); NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$$kept PYTHONPATH=tests $(ONE_THREAD) \
	$(BIN)/python tests/hostile_scores.py --rounds 2000; ended=$$?; rm -r "$$kept"; exit $$ended

test-k2: $(INSTALLED_K2) ## the tests of k2 and the golden digests, with k2 and the torch of its time, in .venv-k2
	$(ONE_THREAD) .venv-k2/bin/python -m pytest -q -m k2
	PYTHONPATH=tests $(ONE_THREAD) .venv-k2/bin/python tests/golden.py

test-python: ## the quick tests with another Python in an environment of its own: make test-python PYTHON=python3.13
	@[ -n '$(PYTHON)' ] || { echo 'name one: make test-python PYTHON=python3.13' >&2; exit 2; }
	PYTHON='$(PYTHON)' TORCH='$(TORCH)' .ci/setup .venv-other current
	$(ONE_THREAD) .venv-other/bin/python -m pytest -q -n 2 --dist loadfile -m "not slow and not dask and not browser and not k2" $(TESTS)
	rm -rf .venv-other

docs: $(INSTALLED) ## the documentation as a site in build/docs, which needs no network
	$(BIN)/sphinx-build -q -W --keep-going -b html workbench/docs build/docs
	@echo build/docs/index.html

bench: $(INSTALLED) ## the benchmarks of tests/benchmarks, with their figures printed
	@for bench in tests/benchmarks/bench_*.py; do echo "== $$bench"; PYTHONPATH=tests $(ONE_THREAD) $(BIN)/python $$bench || exit 1; done

lab: $(INSTALLED) ## the notebooks, in JupyterLab
	$(BIN)/workbench lab

check: $(INSTALLED) ## formatting, lint and types only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED) ## rewrite the sources as `make check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(INSTALLED) ## resolve the lock files anew, with the newest packages that work together
	$(BIN)/python .ci/lock

clean: ## remove what set-up and tools made; corpora and runs stay
	rm -rf .venv .venv-k2 .venv-other workbench.egg-info build .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(INSTALLED): $(LOCKS) pyproject.toml .ci/setup
	@PYTHON='$(PYTHON)' TORCH='$(TORCH)' .ci/setup .venv current $@

$(INSTALLED_K2): requirements-k2.lock pyproject.toml .ci/setup
	@PYTHON='$(PYTHON)' .ci/setup .venv-k2 k2 $@
