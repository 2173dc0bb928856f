# Every target sets up what it needs: .venv with the pinned versions of constraints.txt, once, until they change.
# Needs Python 3.12 or newer and a C++ compiler (Brian2 compiles its simulations). pip obeys your PIP_* variables.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
# Force an interpreter with `make setup PYTHON=/path/to/python3`; otherwise the first that is new enough is taken.
PYTHON ?= python3 python3.12 python3.13 python3.14
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.NOTPARALLEL:
.PHONY: help setup demo test test-fast test-slow check format wheel-test clean

help:
	@echo "make demo        train, simulate and validate a small network; writes runs/demo/report.html"
	@echo "make test        the tests (with CI=true the slow ones too)"
	@echo "make test-slow   the slow tests alone"
	@echo "make check       ruff and mypy"
	@echo "make format      let ruff rewrite the code"
	@echo "make wheel-test  build the wheel, install it alone, run the demo from another folder"
	@echo "make clean       remove builds and caches (keeps .venv and runs)"

setup: $(STAMP)

$(BIN)/python:
	@for python in $(PYTHON); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || continue; \
	    "$$python" -m venv $(VENV) && exit 0; \
	    rm -rf $(VENV); \
	    echo "error: '$$python -m venv' failed, see above (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; \
	done; \
	echo "error: needs Python 3.12 or newer, none found among: $(PYTHON). Name one: make setup PYTHON=/path/to/python3" >&2; \
	exit 1

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/spikebridge run demo --out runs/demo
	@echo "Open the report in a browser: $(CURDIR)/runs/demo/report.html"

test: test-fast $(if $(filter true,$(CI)),test-slow)

# One thread per worker: two workers that each start a thread per core only wait for each other. A worker begins with a
# half of the modules and takes from the other one when it is through: what a module shares is made once, mostly.
PYTEST := $(ONE_THREAD) $(BIN)/pytest -n $(WORKERS) --dist worksteal

test-fast: $(STAMP)
	$(PYTEST) -m "not slow"

test-slow: $(STAMP)
	$(PYTEST) -m slow

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel-test: $(STAMP)
	rm -rf dist build
	$(BIN)/python -m build
	$(BIN)/python -m venv build/empty
	build/empty/bin/python -m pip install -c constraints.txt dist/*.whl
	mkdir build/elsewhere
	cd build/elsewhere && ../empty/bin/spikebridge run demo --out demo
	test -s build/elsewhere/demo/report.html

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find $(wildcard bridge training sim validation cli tests benchmarks) -name __pycache__ -prune -exec rm -rf {} +
