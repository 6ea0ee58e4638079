# `make demo` and `make test` set up what they need in .venv/; nothing else is touched.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready
OWN    := $(wildcard packages/*)
INPUTS := constraints.txt requirements-dev.txt $(wildcard packages/*/pyproject.toml)

.PHONY: setup demo test test-slow test-long lint docs bench wheels clean

setup: $(READY)

$(READY): $(INPUTS)
	$(PYTHON) -c 'import sys; sys.exit("fer needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip uv
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --constraint constraints.txt --requirement requirements-dev.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --constraint constraints.txt --no-build-isolation \
		$(addprefix --editable ./,$(OWN))
	touch $@

demo: setup
	$(BIN)/fer-run train dan synthetic

# A process for each CPU; with threads of their own they would compete for the same CPUs.
PYTHONS := --numprocesses auto --maxprocesses 8 --durations 15
test test-slow test-long: export OMP_NUM_THREADS := 1

# The core's tests see no plugin but their own.
test: setup
	$(BIN)/python tests/alone.py fer-core $(PYTHONS) --dist loadfile
	$(BIN)/python -m pytest $(PYTHONS) --dist loadfile --ignore packages/fer-core

test-slow: setup
	$(BIN)/python -m pytest $(PYTHONS) --dist worksteal -m "slow and not long and not gpu"

test-long: setup
	$(BIN)/python -m pytest $(PYTHONS) --dist worksteal -m "long and not gpu"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup
	$(BIN)/python docs/build_reference.py

bench: setup
	$(BIN)/python benchmarks/all.py --out bench.md

wheels: setup
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist $(addprefix ./,$(OWN))

clean:
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache
