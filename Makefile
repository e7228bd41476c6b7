# One command for each thing a contributor does. Needs a POSIX shell, make and any Python 3.11 to 3.14.
#
#   make test WORKERS=4                                      more parallel test processes
#   make test VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt GROUP=test     the oldest versions we promise

VENV = .venv
CONSTRAINTS = constraints.txt
GROUP = dev
WORKERS = 2
PYTEST_ARGS =

BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
UV := $(shell command -v uv || echo .uv/bin/uv)

# Byte code of the packages is kept: without it every start of torch costs several times as much.
export PYTHONDONTWRITEBYTECODE =

# Each test process computes on one core: two processes with two threads each are slower than with one.
ONE_THREAD = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OPENCV_FOR_THREADS_NUM=1
PYTEST = $(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) $(PYTEST_ARGS)

.PHONY: help env test test-all lint format demo constraints clean

help:
	@echo "make env          create $(VENV) with everything pinned by $(CONSTRAINTS)"
	@echo "make test         the fast tests"
	@echo "make test-all     the slow ones too"
	@echo "make lint         style, format, types and layers"
	@echo "make format       let ruff rewrite what it can"
	@echo "make demo         train on nuclei for a few minutes and draw the result"
	@echo "make constraints  pin the newest and the oldest versions anew"
	@echo "make clean        remove caches, builds and runs"

env: $(STAMP)

$(STAMP): pyproject.toml $(CONSTRAINTS) | $(UV)
	test -x $(BIN)/python || $(UV) venv $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --constraints $(CONSTRAINTS) --group $(GROUP) --editable .
	@touch $@

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/python -m pip install --quiet uv

test: env
	$(PYTEST) -m "not slow"

test-all: env
	$(PYTEST)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check
	$(BIN)/python -m pytest -q tests/test_layers.py

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: env
	$(BIN)/python examples/nuclei/demo.py

COMPILE = $(UV) pip compile --quiet --upgrade --no-header --no-annotate --no-emit-index-url

constraints: | $(UV)
	@echo "# Every package at its newest version, for all supported Pythons. Made by: make constraints" > constraints.txt
	$(COMPILE) --universal --python-version 3.11 --group dev --extra bench --extra nasnet --extra ray --extra search pyproject.toml >> constraints.txt
	@echo "# Every direct dependency at its lowest version, for Python 3.11. Made by: make constraints" > constraints-oldest.txt
	$(COMPILE) --resolution lowest-direct --python-version 3.11 --group test pyproject.toml >> constraints-oldest.txt

clean:
	rm -rf runs build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -not -path './.uv/*' -prune -exec rm -rf {} +
