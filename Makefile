# Every target does all of its own set-up; see .ci/setup.
PYTHON ?=
BIN := .venv/bin
NOTHING :=
SPACE := $(NOTHING) $(NOTHING)
# Named after the place, since a .venv does not survive being moved.
INSTALLED := .venv/installed$(subst $(SPACE),_,$(subst /,-,$(CURDIR)))
# One thread per process: tests and replicas run side by side, and threads of one product starve each other.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: help demo test quick docs bench lab check format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## from nothing to a report: synthesised corpus, cross entropy, MMI, word error rates
	$(BIN)/workbench demo

test: check ## formatting, lint, types, then every test
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist loadfile

quick: $(INSTALLED) ## the tests that need no cluster, no browser, no k2 and no long training
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not dask and not browser and not k2"

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

lock: $(INSTALLED) ## resolve requirements.lock anew, with the newest packages that work together
	$(BIN)/python .ci/lock

clean: ## remove what set-up and tools made; corpora and runs stay
	rm -rf .venv workbench.egg-info build .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(INSTALLED): requirements.lock pyproject.toml .ci/setup
	@PYTHON='$(PYTHON)' .ci/setup $@
